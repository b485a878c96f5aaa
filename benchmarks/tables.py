"""Results as tables for the screen, which are Markdown too."""

_RATE, _MS, _MEMORY = "pairs_per_second:.1f", "ms:.0f", "memory_mib:.0f"


def comparison_table(results):
    """kerassl and others, side by side.

    Args:
        results: list of dicts, of `measuring.measure` with `comparison.add_ratios`.

    Returns:
        str.
    """
    columns = {"pairs/s": _RATE, "ms a step": _MS, "peak memory, MiB": _MEMORY}
    return _table("whole training step", {**columns, "pairs/s over kerassl's": "ratio_to_kerassl:.2f"}, results)


def stages_table(results):
    """kerassl's parts, each measured alone; `results` as of `comparison_table`."""
    return _table(
        "part of kerassl's step, alone", {"ms": "ms:.1f", "share of the whole step": "share_of_step:.1%"}, results
    )


def detectors_table(results):
    """Training of detectors, and of their networks alone; `results` with `comparison.add_bare_ratios`."""
    columns = {"images/s": _RATE, "ms a step": _MS, "peak memory, MiB": _MEMORY}
    return _table(
        "training step of a detector", {**columns, "images/s over its network's": "ratio_to_bare:.2f"}, results
    )


def growth_table(title, results):
    """How a cost grows; `title` heads the first column."""
    return _table(title, {"pairs/s": _RATE, "ms": _MS, "peak memory, MiB": _MEMORY}, results)


def _table(title, columns, results):
    """A row a result, with cells by heading: a key and its format."""
    rows = [(_named(result), *_cells(result, *columns.values())) for result in results]
    return table((title, *columns), rows)


def input_table(results, columns):
    """Pairs a second on one core, a row a contender; in brackets kerassl's over it.

    Args:
        results: list of dicts, of `measuring.measure` with `input_rows.add_ratios`.
        columns: list of (image size, stage, heading).

    Returns:
        str.
    """
    found = {(result["contender"], *result["place"]): result for result in results}
    labels = {result["contender"]: _named(result) for result in results if "versions" in result}
    labels = {**{result["contender"]: result["label"] for result in results}, **labels}
    rows = []
    for contender, label in labels.items():
        cells = [found.get((contender, size, stage), {"note": "left out"}) for size, stage, _ in columns]
        rows.append((label, *(_over(cell) for cell in cells)))
    return table(("pairs/s a core (kerassl's over it)", *(heading for *_, heading in columns)), rows)


def _over(result):
    if "note" in result:
        return result["note"]
    ratio = f" ({result['kerassl_over_it']:.2f})" if "kerassl_over_it" in result else ""
    return f"{result['pairs_per_second']:.0f}{ratio}{' *' if result['disturbed'] else ''}"


def _named(result):
    versions = result.get("versions", {})
    if "torch" not in versions:
        return result["label"]
    parts = [f"{name} {version.split('+')[0]}" for name, version in versions.items() if name != "torchvision"]
    return f"{result['label']} ({', '.join(parts)})"


def _cells(result, *wanted):
    if "note" in result:
        return [result["note"], *[""] * (len(wanted) - 1)]
    return [format(result[key], form) for key, form in (item.split(":") for item in wanted)]


def table(heads, rows):
    """Markdown that lines up on the screen too, of str."""
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    lines = [heads, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)
