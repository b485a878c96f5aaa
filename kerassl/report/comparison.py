"""The summary of a comparison in sentences and tables, for its page and for the terminal.

A `summary` is what `comparison.summary.summarize` returns.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from kerassl._display import counted, printable
from kerassl.report.render import Cell, Column, Table, figures_table, headings, interval, percent
from kerassl.types import AP_METRICS, LOCALIZATION_METRICS, METRIC_NAMES, PROTOCOLS


def is_conclusive(summary: Mapping, protocol: str) -> bool:
    """Return whether differences may be called significant: those of frozen features need a passed sanity check."""
    check = summary["sanity_check"]
    return protocol != "frozen" or check is None or check["passed"] is True


def significant(summary: Mapping, protocol: str, variant: str) -> dict[str, dict[int | None, int]]:
    """Return, for each metric, the numbers of labels (None is all) at which a variant is better (1) or worse (-1)."""
    found: dict[str, dict] = {}
    for count in summary["protocols"][protocol]["counts"] if is_conclusive(summary, protocol) else ():
        for key, one in _from_baseline(summary, count, variant)["measures"].items():
            if one["significant"]:
                found.setdefault(key, {})[count["labels"]] = 1 if one["value"] > 0 else -1
    return found


def _from_baseline(summary, count, variant):
    pair, none = (variant, summary["baseline"]), {"seeds": [], "measures": {}, "ap": {}}
    return next((each for each in count["differences"] if (each["variant"], each["other"]) == pair), none)


def sentences(summary: Mapping) -> list[str]:
    """Return the sanity check, then where each variant is significantly better or worse than the baseline."""
    found = [_sanity(summary)] if summary["sanity_check"] else []
    for variant, (protocol, table) in itertools.product(summary["variants"], summary["protocols"].items()):
        seeds = max(len(_from_baseline(summary, count, variant)["seeds"]) for count in table["counts"])
        if not seeds or not is_conclusive(summary, protocol):
            continue
        signs = significant(summary, protocol, variant)
        baseline = f"{summary['baseline']} ({PROTOCOLS[protocol]}, {counted(seeds, 'seed')}; {level(summary)} CI"
        for word, sign in (("better", 1), ("worse", -1)):
            at = {key: [labels for labels, each in one.items() if each == sign] for key, one in signs.items()}
            where = [f"{METRIC_NAMES[key].name} ({labels_text(*labels)})" for key, labels in at.items() if labels]
            if where:
                found.append(f"{variant} is significantly {word} than {baseline} excludes 0): {', '.join(where)}.")
        if not signs:
            found.append(f"No significant difference between {variant} and {baseline} includes 0).")
    return found


def _sanity(summary):
    check = summary["sanity_check"]
    pair = f"{check['good']} − {check['poor']}"
    if check["passed"] is None:
        return f"Sanity check open: {pair} has no seed yet. Nothing is concluded from frozen features."
    numbers = ", ".join(
        f"{METRIC_NAMES[key].name} {percent(one['value'], '+.1f')} points ({level(summary)} CI "
        f"{interval((one['low'], one['high']))}; at least {100 * one['least']:g} required)"
        for key, one in check["measures"].items()
    )
    state, so = ("passed", "") if check["passed"] else ("failed", " Nothing is concluded from frozen features.")
    return f"Sanity check {state}: {pair} with {labels_text(check['labels'])} is {numbers}.{so}"


def level(summary: Mapping) -> str:
    """Return the confidence level: `95 %`."""
    return f"{100 * summary['confidence']:g} %"


def labels_text(*labels: int | None) -> str:
    """Return `100, 300, all labels`."""
    numbers = ", ".join("all" if each is None else f"{each:,}" for each in labels)
    return f"{numbers} label{'' if labels == (1,) else 's'}"


def protocol_table(summary: Mapping, protocol: str) -> Table:
    """Return means, and differences from the baseline below them, by number of labels and variant."""
    counts = summary["protocols"][protocol]["counts"]
    known = {key for count in counts for one in count["variants"].values() for key in one["figures"]}
    keys = [key for key in (*LOCALIZATION_METRICS, *AP_METRICS) if key in known]
    rows = []
    for count in counts:
        labels = labels_text(count["labels"])
        for variant, one in count["variants"].items():
            change = _from_baseline(summary, count, variant)
            signs = {key: at.get(count["labels"], 0) for key, at in significant(summary, protocol, variant).items()}
            cells = [_mean(one["figures"].get(key), _change(change, key), signs.get(key, 0)) for key in keys]
            begins = variant == next(iter(count["variants"]))
            rows.append([Cell(f"{variant}, {labels}", strong=begins), *cells, str(len(one["seeds"]))])
        for each in count["differences"]:
            if each["other"] != summary["baseline"]:
                cells = [_change(each, key) or "–" for key in keys]
                rows.append([f"{each['variant']} − {each['other']}, {labels}", *cells, str(len(each["seeds"]))])
    return Table(headings(METRIC_NAMES[key] for key in keys) | {"seeds": ""}, rows)


def _mean(figure, change, sign):
    if figure is None:
        return Cell("–")
    deviation = "" if figure["deviation"] is None else f" ± {percent(figure['deviation'])}"
    return Cell(percent(figure["mean"]) + deviation + ("", " ▲", " ▼")[sign], change, bool(sign))


def _change(difference, key):
    """A difference in points; with two decimals where one would round an end of a significant interval to 0."""
    if key in difference["ap"]:
        return percent(difference["ap"][key]["mean"], "+.1f")
    if key not in difference["measures"]:
        return ""
    one = difference["measures"][key]
    digits = 2 if one["significant"] and min(abs(one["low"]), abs(one["high"])) < 0.0005 else 1
    return f"{percent(one['value'], f'+.{digits}f')} ({interval((one['low'], one['high']), f'.{digits}f')})"


def comparison_text(summary: Mapping) -> str:
    """Return sentences and tables of means for the terminal."""
    blocks = ["\n".join(map(printable, sentences(summary)))]
    for protocol, table in summary["protocols"].items():
        head = f"{PROTOCOLS[protocol]}, {table['images']:,} images, mean ± deviation over seeds in %"
        blocks.append(f"{head}\n{protocol_table(summary, protocol).to_text(notes=False)}")
    blocks.append(f"▲ ▼: significantly better or worse than {printable(summary['baseline'])} ({level(summary)} CI).")
    return "\n\n".join(blocks)


def intervals_count(summary: Mapping) -> int:
    """Return the number of intervals that a page of the summary has."""
    counts = [count for own in summary["protocols"].values() for count in own["counts"]]
    return sum(len(each["measures"]) for count in counts for each in count["differences"])


def metrics_table(rows: Mapping[str, Mapping], keys: Sequence[str]) -> Table:
    """Return the metrics that the rows have, shares in %."""
    scale = {"%": (".1f", 100, True), "min": (".1f", 1, False)}
    columns = {key: METRIC_NAMES[key] for key in keys}
    return figures_table(rows, {key: Column(name, text, *scale[unit]) for key, (name, unit, text) in columns.items()})
