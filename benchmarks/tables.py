"""Results as tables for the screen, which are Markdown too."""


def comparison_table(results):
    """kerassl and others, side by side.

    Args:
        results: list of dicts, of `measuring.measure` with `comparison.add_ratios`.

    Returns:
        str.
    """
    return _table(
        ("whole training step", "pairs/s", "ms a step", "peak memory, MiB", "pairs/s over kerassl's"),
        [
            (
                _named(result),
                *_cells(result, "pairs_per_second:.1f", "ms:.0f", "memory_mib:.0f", "ratio_to_kerassl:.2f"),
            )
            for result in results
        ],
    )


def stages_table(results):
    """kerassl's parts, each measured alone.

    Args:
        results: list of dicts, of `measuring.measure` with `comparison.add_ratios`.

    Returns:
        str.
    """
    return _table(
        ("part of kerassl's step, alone", "ms", "share of the whole step"),
        [(result["label"], *_cells(result, "ms:.1f", "share_of_step:.1%")) for result in results],
    )


def growth_table(title, results):
    """How a cost grows.

    Args:
        title: str, heads the first column.
        results: list of dicts, of `measuring.measure`.

    Returns:
        str.
    """
    return _table(
        (title, "pairs/s", "ms", "peak memory, MiB"),
        [(result["label"], *_cells(result, "pairs_per_second:.1f", "ms:.0f", "memory_mib:.0f")) for result in results],
    )


def _named(result):
    versions = result.get("versions", {})
    if "torch" not in versions:
        return result["label"]
    return f"{result['label']} (lightly {versions['lightly']}, torch {versions['torch'].split('+')[0]})"


def _cells(result, *wanted):
    if "note" in result:
        return [result["note"], *[""] * (len(wanted) - 1)]
    return [format(result[key], form) for key, form in (item.split(":") for item in wanted)]


def _table(heads, rows):
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    lines = [heads, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)
