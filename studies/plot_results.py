"""Draw the curves of the published studies, in `docs/results/`, from the trials in `studies/results/`.

python -m studies.plot_results
"""

import json
import pathlib

from kerassl.report.plots import PANELS, label_curves

STUDIES_FOLDER = pathlib.Path(__file__).parent

# The variants that the text speaks of first, the baseline before the others; all are in the tables.
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


def found(trials, variants):
    """Trials of frozen features as `summarize` gives them, as far as curves need it.

    Args:
        trials: list of dicts, of a file of `studies/results/`.
        variants: sequence of str, those to draw, the baseline first.

    Returns:
        Dict with `baseline`, `variants`, `seeds` and `protocols`.
    """
    trials = [trial for trial in trials if trial["protocol"] == "frozen" and trial["variant"] in variants]
    counts = []
    for labels in sorted({trial["labels"] for trial in trials}):
        of_variant = {
            variant: [trial for trial in trials if (trial["variant"], trial["labels"]) == (variant, labels)]
            for variant in variants
        }
        counts.append({"labels": labels, "variants": {variant: _drawn(own) for variant, own in of_variant.items()}})
    seeds = sorted({trial["seed"] for trial in trials})
    return {
        "baseline": variants[0],
        "variants": list(variants),
        "seeds": seeds,
        "protocols": {"frozen": {"counts": counts}},
    }


def _drawn(trials):
    by_seed = {key: {"by_seed": [trial["figures"][key] for trial in trials]} for key in PANELS}
    return {"seeds": [trial["seed"] for trial in trials], "figures": by_seed}


if __name__ == "__main__":
    for study, variants in STUDIES.items():
        trials = json.loads((STUDIES_FOLDER / "results" / f"compare_{study}.json").read_text())
        figure = STUDIES_FOLDER.parent / "docs" / "results" / f"{study}.png"
        figure.write_bytes(label_curves(found(trials, variants), "frozen"))
        print(f"wrote {figure}")
