"""Draws the curves of the published studies, `docs/results_*.png`, from the cells in `docs/results/`.

python -m benchmarks.results_pictures
"""

import json
import pathlib

from kerassl.report.comparison_plots import PANELS, curves

DOCS = pathlib.Path(__file__).parent.parent / "docs"

# The arms that the text speaks of first, the baseline before the others; all are in the tables.
STUDIES = {
    "imagenet": ("ImageNet", "ImageNet + boxes", "ImageNet + dense", "random + boxes", "random"),
    "scratch": (
        "random",
        "plain",
        "dense",
        "dense, longest",
        "dense, longest, re-estimated + boxes",
        "supervised, longest",
    ),
}


def found(cells, arms):
    """Cells of frozen features as `verdict` gives them, as far as curves need it.

    Args:
        cells: list of dicts, of a file of `docs/results/`.
        arms: sequence of str, those to draw, the baseline first.

    Returns:
        Dict with `baseline`, `arms`, `seeds` and `protocols`.
    """
    cells = [cell for cell in cells if cell["protocol"] == "frozen" and cell["arm"] in arms]
    counts = []
    for labels in sorted({cell["labels"] for cell in cells}):
        of_arm = {arm: [cell for cell in cells if (cell["arm"], cell["labels"]) == (arm, labels)] for arm in arms}
        counts.append({"labels": labels, "arms": {arm: _drawn(own) for arm, own in of_arm.items()}})
    seeds = sorted({cell["seed"] for cell in cells})
    return {"baseline": arms[0], "arms": list(arms), "seeds": seeds, "protocols": {"frozen": {"counts": counts}}}


def _drawn(cells):
    by_seed = {key: {"by_seed": [cell["figures"][key] for cell in cells]} for key in PANELS}
    return {"seeds": [cell["seed"] for cell in cells], "figures": by_seed}


if __name__ == "__main__":
    for study, arms in STUDIES.items():
        cells = json.loads((DOCS / "results" / f"compare_{study}.json").read_text())
        picture = DOCS / f"results_{study}.png"
        picture.write_bytes(curves(found(cells, arms), "frozen"))
        print(f"wrote {picture}")
