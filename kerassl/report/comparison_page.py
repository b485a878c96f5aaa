"""The significance summary as parts of a report's page."""

from kerassl._display import marked_up
from kerassl.report import comparison_plots
from kerassl.report import comparison_text as words
from kerassl.report import render as report
from kerassl.report.comparison_text import claimed, labels_text
from kerassl.types import AP_METRICS, LOCALIZATION_METRICS, METRIC_NAMES, PROTOCOLS

_PROBES = {
    "linear_top1": ("linear, Top-1", "a linear classifier on the features: how often its first guess is right"),
    "linear_top3": ("linear, Top-3", "the same among three guesses"),
    "knn_top1": ("neighbours, Top-1", "how often an image's nearest others tell its class; nothing is trained"),
}
# The widest table, that of the detector, fits the page, and in a narrow window scrolls instead of widening it.
_STYLE = """<style>
.significance{overflow-x:auto;font-size:.9rem}.significance th,.significance td{padding:.35rem}
.significance td{white-space:nowrap;vertical-align:top}.significance th:nth-child(2){text-align:left}
.significance .first>*{border-top:2px solid #9ca3af}
</style>"""
_UNDER = {
    "frozen": "The backbone stays as it came; a small head learns to find and name one object an image.",
    "localizer": "The whole network learns to find and name one object an image.",
    "detector": "The whole network learns to find and name all objects.",
}


def summary_parts(found, variants):
    """Significance summary for `report.page`: in words, in tables and as curves.

    Args:
        found: dict of `summarize`; with a `probe` (dict from variant to `linear_top1`, `linear_top3` and `knn_top1`,
            shares) these get a table as well.
        variants: dict from the variant's name to a dict, whose `seen` says what it has seen, or any collection of
        names.

    Returns:
        List of str, HTML.
    """
    parts = [
        _STYLE,
        "<h2>Significance summary</h2>",
        *_gate(found),
        _list(words.summaries(found)),
        _covers(found),
        _variants(found, variants),
    ]
    drawn = {title: (says, png) for title, says, png in comparison_plots.pictures(found)}
    for protocol, table in found["protocols"].items():
        name = PROTOCOLS[protocol]
        parts.append(
            f"<h2>{name[0].upper()}{name[1:]}</h2><p>{_UNDER[protocol]} Scored on {table['images']:,} images.</p>"
        )
        told = f"<details><summary>in words</summary>{_list(words.details(found, protocol))}</details>"
        parts += [_figures(found, protocol), _differences(found, protocol), told]
        title = comparison_plots.title(protocol)
        if title in drawn:
            parts.append(report.picture(title, *drawn[title]))
    return [*parts, _probe(found)]


def _gate(found):
    note = "" if claimed(found, "frozen") else " class='note'"
    return [f"<p{note}><b>{marked_up(sentence)}</b></p>" for sentence in words.gate_sentences(found)]


def _list(told):
    return f"<ul>{''.join(f'<li>{marked_up(sentence)}</li>' for sentence in told)}</ul>" if told else ""


def _covers(found):
    """What an interval covers, and what it does not."""
    count = sum(
        len(each["measures"])
        for table in found["protocols"].values()
        for count in table["counts"]
        for each in count["differences"]
    )
    sure, chance = f"{100 * found['confidence']:g} %", (1 - found["confidence"]) * count
    lines = [
        f"An interval ({sure}) covers other images and other seeds, which is to say other labeled images and other "
        "trainings of the head or detector: both were drawn anew "
        f"{found['resamples']:,} times, the same draws for both variants.",
        "Where there is one seed it covers other images alone: another training may differ.",
        "It does not cover another pre-training of the same variant, nor another data set.",
        "“Really” means that the interval of the difference leaves out 0. "
        f"This page has {count} intervals: about {chance:.0f} of them would leave out 0 if no variant differed at "
        "all, so that a difference that stands alone is weak evidence.",
        "Average precision is a figure of all images together: it has means, and differences by seed, and no interval.",
    ]
    return f"<details><summary>what the intervals cover</summary>{_list(lines)}</details>"


def _variants(found, variants):
    items = []
    for name in variants:
        said = variants[name].get("seen", "") if isinstance(variants, dict) and isinstance(variants[name], dict) else ""
        marks = [said] if said else []
        marks += ["The baseline."] if name == found["baseline"] else []
        marks += [] if name in found["variants"] else ["No result yet."]
        items.append(f"<li><b>{marked_up(name)}</b>{': ' if marks else ''}{marked_up(' '.join(marks))}</li>")
    return f"<h2>The variants, and what each has seen</h2><ul>{''.join(items)}</ul>"


def _heads(keys, first):
    heads = "".join(
        f"<th title='{marked_up(METRIC_NAMES[key].description)}'>{METRIC_NAMES[key].name}</th>" for key in keys
    )
    return f"<thead><tr>{''.join(f'<th>{name}</th>' for name in first)}{heads}<th>seeds</th></tr></thead>"


def _table(head, rows):
    return f"<div class='significance'><table>{head}<tbody>{''.join(rows)}</tbody></table></div>"


def _rows(blocks):
    """Rows of (labels, [(first cell, cells)]): the number of labels stands in the first row of its block."""
    for labels, lines in blocks:
        for number, (name, cells) in enumerate(lines):
            label = labels_text(labels, short=True) if number == 0 else ""
            line = " class='first'" if number == 0 else ""
            yield f"<tr{line}><td>{label}</td><th>{marked_up(name)}</th>{''.join(cells)}</tr>"


def _figures(found, protocol):
    keys = words.columns(found, protocol)
    blocks = []
    for count in found["protocols"][protocol]["counts"]:
        lines = []
        signs = words.marks(found, protocol, count)
        for variant, one in count["variants"].items():
            cells = [_mean(one["figures"].get(key), signs.get(variant, {}).get(key)) for key in keys]
            name = f"{variant} (baseline)" if variant == found["baseline"] else variant
            lines.append((name, [*cells, _seeds(one["seeds"], found, protocol)]))
        blocks.append((count["labels"], lines))
    legend = (
        "In %: mean over seeds ± their standard deviation; point at a figure for the lowest and the highest seed. "
        f"<b>▲</b> and <b>▼</b>: really above or below {marked_up(found['baseline'])} at that number of labels."
    )
    if not claimed(found, protocol):
        legend = legend.partition("<b>")[0] + "Nothing is marked as better or worse: the sanity check was not passed."
    return f"<p>{legend}</p>" + _table(_heads(keys, ("labels", "variant")), _rows(blocks))


def _mean(figure, sign):
    if figure is None:
        return "<td>–</td>"
    known = [value for value in figure["by_seed"] if value is not None]
    told = f"{100 * min(known):.1f} to {100 * max(known):.1f}: {100 * figure['spread']:.1f} points apart"
    value, _, deviation = words.mean_text(figure).partition(" ")
    value = f"<b>{value}&nbsp;{'▲' if sign > 0 else '▼'}</b>" if sign else value
    small = f"<br><small>{deviation}</small>" if deviation else ""
    return f"<td title='{told}'>{value}{small}</td>"


def _seeds(seeds, found, protocol):
    all_ = len(words.all_seeds(found, protocol))
    return f"<td>{len(seeds)}{f' of {all_}' if len(seeds) < all_ else ''}</td>"


def _differences(found, protocol):
    keys = words.columns(found, protocol)
    blocks = []
    for count in found["protocols"][protocol]["counts"]:
        lines = [
            (
                f"{each['variant']} minus {each['other']}",
                [*(_difference(found, protocol, each, key) for key in keys), _seeds(each["seeds"], found, protocol)],
            )
            for each in count["differences"]
        ]
        blocks.append((count["labels"], lines))
    if not any(lines for _, lines in blocks):
        return ""
    by_seed = (
        " Average precision: the mean of the differences by seed, and these." if set(AP_METRICS) & set(keys) else ""
    )
    bold = "; bold where it leaves out 0" if claimed(found, protocol) else ""
    return (
        f"<h3>Differences</h3><p>In points, over the seeds that both variants have, image by image; below each its "
        f"interval{bold}.{by_seed}</p>" + _table(_heads(keys, ("labels", "")), _rows(blocks))
    )


def _difference(found, protocol, difference, key):
    if key in LOCALIZATION_METRICS and key in difference["measures"]:
        each = difference["measures"][key]
        value, small = words.points(each["value"], each), words.between(each)
        value = f"<b>{value}</b>" if each["real"] and claimed(found, protocol) else value
    elif key in difference["ap"]:
        value = words.points(difference["ap"][key]["mean"])
        small = ", ".join(words.points(single) for single in difference["ap"][key]["by_seed"])
    else:
        return "<td>–</td>"
    return f"<td>{value}<br><small>{small}</small></td>"


def _probe(found):
    probe = found.get("probe")
    if not probe:
        return ""
    keys = [key for key in _PROBES if any(row.get(key) is not None for row in probe.values())]
    heads = "".join(f"<th title='{_PROBES[key][1]}'>{_PROBES[key][0]}</th>" for key in keys)
    rows = []
    for name, row in probe.items():
        cells = ["–" if row.get(key) is None else f"{100 * row[key]:.1f}" for key in keys]
        rows.append(f"<tr><th>{marked_up(name)}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    legend = _list([f"{_PROBES[key][0]}: {_PROBES[key][1]}." for key in keys])
    return (
        "<h2>Probes: do the features tell the class?</h2><p>In %, without an interval: they say nothing of boxes.</p>"
        + f"<table><thead><tr><th>variant</th>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        + legend
    )
