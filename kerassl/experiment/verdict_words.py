"""What `verdict` found, in plain words and as a table in plain letters."""

from kerassl.experiment.report import COLUMNS

PROTOCOLS = {"frozen": "frozen features", "localizer": "the localiser", "detector": "the detector"}
# Of these every image has its own score.
MEASURES = ("mean_iou", "loc_acc_50", "loc_acc_70", "top1", "top3")
# These are figures of all images together, which is why no interval over images is given for them.
AP = ("voc07_ap50", "voc10_ap50", "coco_ap", "coco_ap50", "coco_ap75")
# Tight boxes are what pre-training is for: this measure is told first, and always.
HEADLINE = "loc_acc_70"
_DOES = {
    "loc_acc_70": ("finds tighter boxes", "finds looser boxes"),
    "loc_acc_50": ("finds more objects", "finds fewer objects"),
    "mean_iou": ("overlaps the objects more", "overlaps the objects less"),
    "top1": ("names more objects right", "names fewer objects right"),
    "top3": ("has the right name among three more often", "has the right name among three less often"),
}


def sentences(found):
    """The verdict in words: the gate, a summary for each arm, then every number of labels.

    Args:
        found: dict of `verdict`.

    Returns:
        List of str.
    """
    told = [sentence for protocol in found["protocols"] for sentence in details(found, protocol)]
    return [*gate_sentences(found), *summaries(found), *told]


def gate_sentences(found):
    """Whether the measure tells good features from random ones: one sentence, or none without a gate."""
    gate = found["gate"]
    if gate is None:
        return []
    if gate["passed"] is None:
        return [
            f"Whether this measure tells good features from random ones is not known yet: {gate['good']} and "
            f"{gate['poor']} have no seed in common with frozen features and the largest number of labels. Until then "
            "nothing is claimed by frozen features."
        ]
    numbers = " and ".join(
        f"{points(each['value'], each)} points of {COLUMNS[key][0]} ({_between(each, found)}; "
        f"{100 * each['least']:g} asked)"
        for key, each in gate["measures"].items()
    )
    seen = f"with {labels_text(gate['labels'])} and {_seeds(gate['seeds'], found)}, frozen features"
    seen += f", {gate['good']} minus {gate['poor']} is {numbers}."
    if gate["passed"]:
        return [f"This measure tells good features from random ones: {seen}"]
    return [
        "This measure does not tell good features from random ones here, and nothing is claimed by frozen features: "
        + seen
    ]


def claimed(found, protocol):
    """Whether a difference of this protocol may be called real: not with frozen features whose gate is not passed."""
    return protocol != "frozen" or found["gate"] is None or found["gate"]["passed"] is True


def summaries(found):
    """For each arm one sentence: at how many numbers of labels it is really better than the baseline, and worse."""
    told = []
    for arm in found["arms"]:
        parts = [_summary(found, protocol, arm) for protocol in found["protocols"]]
        parts = [part for part in parts if part]
        if arm != found["baseline"] and parts:
            told.append(f"{arm} against {found['baseline']}: {'; '.join(parts)}.")
    return told


def _summary(found, protocol, arm):
    differences = [
        (count["labels"], each)
        for count in found["protocols"][protocol]["counts"]
        for each in count["differences"]
        if (each["arm"], each["other"]) == (arm, found["baseline"]) and each["seeds"]
    ]
    if not differences:
        return ""
    with_what = f"with {PROTOCOLS[protocol]}"
    if not claimed(found, protocol):
        return f"{with_what} nothing is claimed"
    of = "the one number of labels" if len(differences) == 1 else f"{len(differences)} numbers of labels"
    sides = []
    for word, sign in (("better", 1), ("worse", -1)):
        where = {}
        for labels, each in differences:
            for measure in _real(each, sign):
                where.setdefault(measure, []).append(labels_text(labels, short=True))
        if where:
            times = sum(bool(_real(each, sign)) for _, each in differences)
            listed = "; ".join(f"{COLUMNS[key][0]} at {_listed(at)}" for key, at in where.items())
            sides.append(f"really {word} at {of if len(differences) == 1 else f'{times} of {of}'} ({listed})")
    once = ", by one seed" if all(len(each["seeds"]) == 1 for _, each in differences) else ""
    return f"{with_what}{once} " + (" and ".join(sides) or f"not to be told apart at {_any(of)}")


def _any(of):
    return of if of.startswith("the one") else f"any of {of}"


def _real(difference, sign):
    return [key for key in _order(difference) if _is(difference["measures"][key], sign)]


def _is(each, sign):
    return each["real"] and sign * each["value"] > 0


def _order(difference):
    return sorted(difference["measures"], key=lambda key: (key != HEADLINE, MEASURES.index(key)))


def details(found, protocol):
    """A sentence for each number of labels and each pair of arms."""
    return [
        _detail(found, protocol, count["labels"], difference)
        for count in found["protocols"][protocol]["counts"]
        for difference in count["differences"]
    ]


def _detail(found, protocol, labels, difference):
    arm, other, measures = difference["arm"], difference["other"], difference["measures"]
    head = f"With {labels_text(labels)}, {PROTOCOLS[protocol]}: "
    if not difference["seeds"]:
        return f"{head}{arm} and {other} have no seed in common yet."

    def numbers(key):
        return f"{COLUMNS[key][0]} {points(measures[key]['value'], measures[key])} points ({_between(measures[key], found)})"

    real = [key for key in _order(difference) if measures[key]["real"]]
    if not claimed(found, protocol):
        said = f"{arm} minus {other}: {numbers(HEADLINE)}; nothing is claimed"
    elif not real:
        said = f"{arm} cannot be told from {other}: {numbers(HEADLINE)}, and by no other measure"
    else:
        first, *others = real
        up = measures[first]["value"] > 0
        said = f"{arm} {_does(first, up)} than {other}: {numbers(first)}"
        for key in others:
            also = measures[key]["value"] > 0
            said += f"; {'it also' if also == up else 'but it'} {_does(key, also)}: {numbers(key)}"
        open_ = [key for key in _order(difference) if key not in real]
        if HEADLINE in open_:
            said += f"; not told apart by {numbers(HEADLINE)}"
            open_.remove(HEADLINE)
            said += f", nor by {_listed([COLUMNS[key][0] for key in open_])}" if open_ else ""
        elif open_:
            said += f"; not told apart by {_listed([COLUMNS[key][0] for key in open_])}"
    if "coco_ap75" in difference["ap"]:
        ap = difference["ap"]["coco_ap75"]
        by_seed = ", ".join(points(value) for value in ap["by_seed"])
        said += f"; {COLUMNS['coco_ap75'][0]} {points(ap['mean'])} points (by seed {by_seed}; no interval)"
    return f"{head}{said}.{_caveat(difference, found)}"


def _does(key, up):
    return _DOES[key][0 if up else 1]


def _caveat(difference, found):
    have, all_ = len(difference["seeds"]), len(found["seeds"])
    partly = f" Not finished: {have} of {all_} seeds, those that both have." if have < all_ else ""
    return partly + (" One seed: another training may differ." if have == 1 else "")


def points(share, beside=None):
    """A difference of shares in points, with its sign; two decimals where one would show a real interval's end as 0."""
    return _number(share, _digits(beside), "+")


def _between(each, found):
    digits = _digits(each)
    low, high = _number(each["low"], digits), _number(each["high"], digits)
    return f"{100 * found['confidence']:g} %: {low} to {high}"


def between(each):
    """The ends of an interval in points: `1.1 to 5.4`."""
    return f"{_number(each['low'], _digits(each))} to {_number(each['high'], _digits(each))}"


def _digits(each):
    if each is None or not each.get("real"):
        return 1
    return 2 if min(abs(each["low"]), abs(each["high"])) < 0.0005 else 1


def _number(share, digits, sign=""):
    text = format(100 * share, f"{sign}.{digits}f")
    return text.lstrip("+-") if not float(text) else text.replace("-", "−")


def labels_text(labels, short=False):
    """`300 labels`, `all labels`; or `300`, `all`."""
    number = "all" if labels is None else f"{labels:,}"
    return number if short else f"{number} label{'' if labels == 1 else 's'}"


def _seeds(seeds, found):
    some = "" if len(seeds) == len(found["seeds"]) else f" of {len(found['seeds'])}"
    return f"{len(seeds)}{some} seed{'' if len(found['seeds']) == 1 else 's'}"


def _listed(words):
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def mean_text(figure):
    """A mean in %, with the deviation over seeds where there are several."""
    deviation = "" if figure["deviation"] is None else f" ± {100 * figure['deviation']:.1f}"
    return f"{100 * figure['mean']:.1f}{deviation}"


def columns(found, protocol):
    """The figures that a protocol's arms have, in the order of the report."""
    counts = found["protocols"][protocol]["counts"]
    known = {key for count in counts for arm in count["arms"].values() for key in arm["figures"]}
    return [key for key in (*MEASURES, *AP) if key in known]


def table_text(found):
    """The means and the differences for the terminal, a block for each protocol and number of labels."""
    lines = []
    for protocol, table in found["protocols"].items():
        keys = columns(found, protocol)
        for count in table["counts"]:
            lines += _block(found, protocol, count, keys, table["images"])
    lines.append(
        f"In %: mean ± deviation over seeds. Differences in points, with the interval ({100 * found['confidence']:g} %) "
        "over images and seeds; * leaves out 0. Average precision has none: its differences are means over seeds."
    )
    return "\n".join([*gate_sentences(found), *lines])


def _block(found, protocol, count, keys, images):
    rows = [
        (arm, [mean_text(one["figures"][key]) if key in one["figures"] else "–" for key in keys], one["seeds"])
        for arm, one in count["arms"].items()
    ]
    for each in count["differences"]:
        cells = [_difference_cell(each, key, claimed(found, protocol)) for key in keys]
        rows.append((f"{each['arm']} minus {each['other']}", cells, each["seeds"]))
    heads = [COLUMNS[key][0] for key in keys]
    width = 2 + max(len(name) for name, _, _ in rows)
    widths = [2 + max(len(cell) for cell in column) for column in zip(heads, *(cells for _, cells, _ in rows))]
    head = f"{PROTOCOLS[protocol]}, {labels_text(count['labels'])}, {images} images"
    return [
        head[0].upper() + head[1:],
        "".ljust(width) + "".join(name.rjust(wide) for name, wide in zip(heads, widths)) + "   seeds",
        *(
            name.ljust(width) + "".join(cell.rjust(wide) for cell, wide in zip(cells, widths)) + f"{len(seeds):>8}"
            for name, cells, seeds in rows
        ),
        "",
    ]


def _difference_cell(difference, key, may_claim):
    if key in difference["measures"]:
        each = difference["measures"][key]
        star = "*" if each["real"] and may_claim else " "
        return f"{points(each['value'], each)} ({between(each)}){star}"
    return points(difference["ap"][key]["mean"]) if key in difference["ap"] else "–"
