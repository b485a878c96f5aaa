"""Draw the curves of the published studies, in `docs/results/`, from the trials in `studies/results/`.

python -m studies.plot_results
"""

import json
import pathlib
import statistics

from kerassl.report import plots
from kerassl.report.plots import COLORS, INK, PANELS, label_curves, subplots
from kerassl.types import COCO_METRICS, METRIC_NAMES

STUDIES_FOLDER = pathlib.Path(__file__).parent
FIGURES = STUDIES_FOLDER.parent / "docs" / "results"

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

# Panels of the README: title, then the baseline and the variant above it, each with its label.
GAINS = {
    "imagenet": ("MobileNet with ImageNet weights", {"ImageNet": "ImageNet", "ImageNet + boxes": "+ pseudo-boxes"}),
    "scratch": (
        "EfficientNetB1 from random initialization",
        {"random": "random", "dense, longest, re-estimated + boxes": "dense contrast + pseudo-boxes"},
    ),
}


def gains():
    """Plot LocAcc@0.7 over the number of labels, without and with pre-training on unlabeled images."""
    figure, panels = subplots(len(GAINS), size=(4.6, 3))
    for axes, (study, (title, variants)) in zip(panels, GAINS.items(), strict=True):
        counts = found(_trials(study), tuple(variants))["protocols"]["frozen"]["counts"]
        labels = [count["labels"] for count in counts]
        for color, marker, (variant, name) in zip((INK, COLORS[0]), "os", variants.items(), strict=True):
            values = [count["variants"][variant]["figures"]["loc_acc_70"]["by_seed"] for count in counts]
            low, high, mean = ([100 * each(seeds) for seeds in values] for each in (min, max, statistics.fmean))
            axes.fill_between(labels, low, high, color=color, alpha=0.12, lw=0)
            axes.plot(labels, mean, color=color, marker=marker, ms=5, lw=2, label=name)
        axes.set_xscale("log")
        axes.set_xticks(labels, [f"{each:,}" for each in labels])
        axes.set_xticks([], minor=True)
        axes.set(xlabel="labeled images", ylabel="LocAcc@0.7 (%)", ylim=(0, None))
        axes.set_title(title, fontsize=11)
        axes.legend(loc="upper left", frameon=False)
    return figure


def self_training(summary):
    """Plot average precision over the number of labels, and what the student gains over its control.

    Args:
        summary: dict as of `summarize`, of the variants `supervised`, `control` and `self-trained`.
    """
    counts = [
        count for count in summary["protocols"]["detector"]["counts"]
        if {"supervised", "control", "self-trained"} <= count["variants"].keys()
    ]  # fmt: skip
    figure, (left, right) = subplots(2, size=(4.6, 3.2))
    shown = {"supervised": ("supervised", plots.GRAY), "control": ("the same, trained as long as the student", INK)}
    for name, (text, color) in {**shown, "self-trained": ("self-trained student", COLORS[0])}.items():
        own = [(count["labels"], count["variants"][name]["figures"]["coco_ap"]) for count in counts]
        labels, values = zip(*own)
        low, high = ([100 * each(value["by_seed"]) for value in values] for each in (min, max))
        left.fill_between(labels, low, high, color=color, alpha=0.12, lw=0)
        left.plot(labels, [100 * value["mean"] for value in values], color=color, marker="o", ms=5, lw=2, label=text)
    for place, key in enumerate(COCO_METRICS):
        for row, count in enumerate(counts):
            found = next(each for each in count["differences"] if each["variant"] == "self-trained")["measures"][key]
            value, low, high = (100 * found[each] for each in ("value", "low", "high"))
            right.errorbar(
                row + 0.2 * (place - 1), value, yerr=[[value - low], [high - value]], fmt="o", color=COLORS[place],
                capsize=3, lw=2, label=None if row else METRIC_NAMES[key].name,
            )  # fmt: skip
    left.set_xscale("log")
    names = [f"{count['labels']:,}" for count in counts]
    left.set_xticks([count["labels"] for count in counts], names)
    left.set_xticks([], minor=True)
    left.set(xlabel="labeled images", ylabel=f"{METRIC_NAMES['coco_ap'].name} (%)", ylim=(0, None))
    right.axhline(0, color=INK, lw=1, ls="--")
    right.set_xticks(range(len(counts)), names)
    right.set(xlabel="labeled images", ylabel="student − control (points)")
    right.margins(x=0.2)
    for axes in (left, right):
        axes.legend(loc="best", frameon=False)
    return figure


def _trials(study):
    return json.loads((STUDIES_FOLDER / "results" / f"compare_{study}.json").read_text())


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
    by_seed = {key: {"by_seed": [trial["figures"][key] for trial in trials]} for key in PANELS["frozen"]}
    return {"seeds": [trial["seed"] for trial in trials], "figures": by_seed}


if __name__ == "__main__":
    for study, variants in STUDIES.items():
        figure = FIGURES / f"{study}.png"
        figure.write_bytes(label_curves(found(_trials(study), variants), "frozen"))
        print(f"wrote {figure}")
    gains().savefig(FIGURES / "gain.png", dpi=130)
    print(f"wrote {FIGURES / 'gain.png'}")
    tested = STUDIES_FOLDER / "results" / "self_training" / "summary-test-own.json"
    if tested.is_file():
        self_training(json.loads(tested.read_text())).savefig(FIGURES / "self_training.png", dpi=130)
        print(f"wrote {FIGURES / 'self_training.png'}")
