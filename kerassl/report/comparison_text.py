"""What `summarize` found, in plain words and as a table in plain letters."""

from kerassl._display import printable
from kerassl.types import AP_METRICS, LOCALIZATION_METRICS, METRIC_NAMES, PROTOCOLS

# Tight boxes are what pre-training is for: this measure is told first, and always.
HEADLINE = "loc_acc_70"
_DOES = {
    "loc_acc_70": ("finds tighter boxes", "finds looser boxes"),
    "loc_acc_50": ("finds more objects", "finds fewer objects"),
    "mean_iou": ("overlaps the objects more", "overlaps the objects less"),
    "top1": ("names more objects right", "names fewer objects right"),
    "top3": ("more often has the right name among three", "less often has the right name among three"),
}


def sentences(found):
    """Significance summary in words: the sanity check, a summary for each variant, then every number of labels.

    Args:
        found: dict of `summarize`.

    Returns:
        List of str.
    """
    told = [sentence for protocol in found["protocols"] for sentence in details(found, protocol)]
    return [*gate_sentences(found), *summaries(found), *told]


def gate_sentences(found):
    """Whether the measure tells good features from random ones: one sentence, or none without a sanity_check."""
    sanity_check = found["sanity_check"]
    if sanity_check is None:
        return []
    if sanity_check["passed"] is None:
        return [
            f"Whether this measure tells good features from random ones is not known yet: {sanity_check['good']} and "
            f"{sanity_check['poor']} have no seed in common with frozen features and the largest number of labels. "
            "Until then nothing is claimed by frozen features."
        ]
    numbers = " and ".join(
        f"{points(each['value'], each)} points of {METRIC_NAMES[key].name} ({_sure(found)}: {between(each)}; "
        f"{100 * each['least']:g} asked)"
        for key, each in sanity_check["measures"].items()
    )
    seeds = _seeds(sanity_check["seeds"], all_seeds(found, "frozen"))
    seen = f"with {labels_text(sanity_check['labels'])} and {seeds}, frozen features"
    seen += f", {sanity_check['good']} minus {sanity_check['poor']} is {numbers}."
    if sanity_check["passed"]:
        return [f"This measure tells good features from random ones: {seen}"]
    return [
        "This measure does not tell good features from random ones here, and nothing is claimed by frozen features: "
        + seen
    ]


def claimed(found, protocol):
    """Whether a difference of this protocol may be called real: of frozen features if the sanity check passed."""
    return protocol != "frozen" or found["sanity_check"] is None or found["sanity_check"]["passed"] is True


def summaries(found):
    """For each variant one sentence: at how many numbers of labels it is really better than the baseline, and worse."""
    told = []
    for variant in found["variants"]:
        parts = [_summary(found, protocol, variant) for protocol in found["protocols"]]
        parts = [part for part in parts if part]
        if variant != found["baseline"] and parts:
            told.append(f"{variant} against {found['baseline']}: {'; '.join(parts)}.")
    return told


def _summary(found, protocol, variant):
    differences = [
        (count["labels"], each)
        for count in found["protocols"][protocol]["counts"]
        for each in count["differences"]
        if (each["variant"], each["other"]) == (variant, found["baseline"]) and each["seeds"]
    ]
    if not differences:
        return ""
    if not claimed(found, protocol):
        return f"with {PROTOCOLS[protocol]}, nothing is claimed"
    of = "the one label count" if len(differences) == 1 else f"of {len(differences)} label counts"
    sides = []
    for word, sign in (("better", 1), ("worse", -1)):
        at = {labels_text(labels, short=True): _real(each, sign) for labels, each in differences}
        times = sum(map(bool, at.values()))
        if times:
            counted = of if len(differences) == 1 else f"{times} {of}"
            sides.append(f"really {word} at {counted} ({_where(at)})")
    seeds = [len(each["seeds"]) for _, each in differences]
    by = (" and one seed" if max(seeds) == 1 else "") + (
        " (some seeds are missing)" if min(seeds) < len(all_seeds(found, protocol)) else ""
    )
    never = "not to be told apart at " + (of if len(differences) == 1 else f"any {of}")
    return f"with {PROTOCOLS[protocol]}{by}, {' and '.join(sides) or never}"


def _where(at):
    """Measures by the label counts at which they are real: `LocAcc@0.7 and Top-1 at 300 and all`."""
    by_counts = {}
    for key in dict.fromkeys(key for keys in at.values() for key in keys):
        by_counts.setdefault(tuple(count for count, keys in at.items() if key in keys), []).append(key)
    return "; ".join(f"{_all_or_listed(keys)} at {_listed(counts)}" for counts, keys in by_counts.items())


def _all_or_listed(keys):
    return (
        "every measure" if len(keys) == len(LOCALIZATION_METRICS) else _listed([METRIC_NAMES[key].name for key in keys])
    )


def _real(difference, sign):
    return [key for key in _order(difference) if _sign(difference["measures"][key]) == sign]


def _sign(each):
    """1 and -1 for a difference that is real, else 0."""
    return (1 if each["value"] > 0 else -1) if each["real"] else 0


def _order(difference):
    return sorted(difference["measures"], key=lambda key: (key != HEADLINE, LOCALIZATION_METRICS.index(key)))


def details(found, protocol):
    """A sentence for each number of labels and each pair of variants."""
    return [
        _detail(found, protocol, count["labels"], difference)
        for count in found["protocols"][protocol]["counts"]
        for difference in count["differences"]
    ]


def _detail(found, protocol, labels, difference):
    variant, other, measures = difference["variant"], difference["other"], difference["measures"]
    head = f"With {labels_text(labels)}, {PROTOCOLS[protocol]}: "
    if not difference["seeds"]:
        return f"{head}{variant} and {other} have no seed in common yet."

    headline = f"{METRIC_NAMES[HEADLINE].name} {_first(measures[HEADLINE], found)}"
    real = [key for key in _order(difference) if measures[key]["real"]]
    if not claimed(found, protocol):
        said = f"{variant} minus {other}: {headline}; nothing is claimed"
    elif not real:
        said = f"{variant} cannot be told from {other}: {headline}, and by no other measure"
    else:
        said = _told_apart(difference, real, found)
    if "coco_ap75" in difference["ap"]:
        ap = difference["ap"]["coco_ap75"]
        by_seed = ", ".join(points(value) for value in ap["by_seed"])
        said += f"; {METRIC_NAMES['coco_ap75'].name} {points(ap['mean'])} points (by seed {by_seed}; no interval)"
    return f"{head}{said}.{_caveat(difference, found, protocol)}"


def _told_apart(difference, real, found):
    """The first measure in words, then the others that agree, those that contradict it, and those that are open."""
    measures = difference["measures"]
    first, *others = real
    up = measures[first]["value"] > 0
    does = _DOES[first][0 if up else 1]
    value = _first(measures[first], found)
    said = f"{difference['variant']} {does} than {difference['other']}: {METRIC_NAMES[first].name} {value}"
    for word, side in (("also", up), ("but", not up)):
        same = [key for key in others if (measures[key]["value"] > 0) == side]
        if same:
            listed = _listed([f"{METRIC_NAMES[key].name} {_difference(measures[key])}" for key in same])
            said += f"; {word} {'above' if side else 'below'} it in {listed}"
    left = [METRIC_NAMES[key].name for key in _order(difference) if key not in real and key != HEADLINE]
    if HEADLINE not in real:
        headline = f"{METRIC_NAMES[HEADLINE].name} {_difference(measures[HEADLINE])}"
        return f"{said}; not told apart by {headline}" + (f", nor by {_listed(left)}" if left else "")
    return f"{said}; not told apart by {_listed(left)}" if left else said


def _first(each, found):
    """As the next, with the units: the first number of a sentence."""
    return f"{points(each['value'], each)} points ({_sure(found)}: {between(each)})"


def _sure(found):
    return f"{100 * found['confidence']:g} %"


def _difference(each):
    return f"{points(each['value'], each)} ({between(each)})"


def all_seeds(found, protocol):
    """The seeds of a way of measuring; another may have more."""
    variants = [one for count in found["protocols"][protocol]["counts"] for one in count["variants"].values()]
    return sorted({seed for one in variants for seed in one["seeds"]})


def _caveat(difference, found, protocol):
    have, all_ = len(difference["seeds"]), len(all_seeds(found, protocol))
    partly = f" Not finished: {have} of {all_} seeds, those that both have." if have < all_ else ""
    return partly + (" One seed: another training may differ." if have == 1 else "")


def points(share, beside=None):
    """A difference of shares in points, with its sign; two decimals where one would show a real interval's end as 0."""
    return _number(share, _digits(beside), "+")


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


def _seeds(seeds, all_):
    some = "" if len(seeds) == len(all_) else f" of {len(all_)}"
    return f"{len(seeds)}{some} seed{'' if len(all_) == 1 else 's'}"


def _listed(words):
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def mean_text(figure):
    """A mean in %, with the deviation over seeds where there are several."""
    deviation = "" if figure["deviation"] is None else f" ± {100 * figure['deviation']:.1f}"
    return f"{100 * figure['mean']:.1f}{deviation}"


def columns(found, protocol):
    """The figures that a protocol's variants have, in the order of the report."""
    counts = found["protocols"][protocol]["counts"]
    known = {key for count in counts for variant in count["variants"].values() for key in variant["figures"]}
    return [key for key in (*LOCALIZATION_METRICS, *AP_METRICS) if key in known]


def marks(found, protocol, count):
    """What is really above or below the baseline: variant → figure → 1 or -1, with nothing else in it."""
    if not claimed(found, protocol):
        return {}
    return {
        each["variant"]: {key: _sign(one) for key, one in each["measures"].items() if one["real"]}
        for each in count["differences"]
        if each["other"] == found["baseline"]
    }


def table_text(found):
    """The means, and the differences of the headline measure, for the terminal.

    Args:
        found: dict of `summarize`.

    Returns:
        str, a block of lines for each protocol and number of labels.
    """
    lines = gate_sentences(found)
    for protocol, table in found["protocols"].items():
        for count in table["counts"]:
            lines += _block(found, protocol, count, table["images"])
    return "\n".join(map(printable, lines)) + (
        f"\nIn %: mean ± deviation over seeds; + and - after it: really above or below "
        f"{printable(found['baseline'])}, by the interval ({_sure(found)}) over images and seeds. Average precision "
        "has no interval."
    )


def _block(found, protocol, count, images):
    keys, signs = columns(found, protocol), marks(found, protocol, count)
    head = f"{PROTOCOLS[protocol]}, {labels_text(count['labels'])}, {images:,} images"
    rows = [
        [
            "",
            *(METRIC_NAMES[key].name + " " for key in keys),
            "seeds",
            f"{METRIC_NAMES[HEADLINE].name} minus {found['baseline']}",
        ]
    ]
    against = {each["variant"]: each for each in count["differences"] if each["other"] == found["baseline"]}
    for variant, one in count["variants"].items():
        cells = [_mark(one["figures"].get(key), signs.get(variant, {}).get(key)) for key in keys]
        rows.append([variant, *cells, str(len(one["seeds"])), _headline(against.get(variant))])
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        "",
        head[0].upper() + head[1:],
        *(
            "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
            for row in rows
        ),
        *(
            f"{each['variant']} minus {each['other']}: {METRIC_NAMES[HEADLINE].name} {_headline(each)}"
            for each in count["differences"]
            if each["other"] != found["baseline"]
        ),
    ]


def _mark(figure, sign):
    return ("–" if figure is None else mean_text(figure)) + {1: "+", -1: "-", None: " "}[sign]


def _headline(difference):
    return _difference(difference["measures"][HEADLINE]) if difference and difference["seeds"] else "–"
