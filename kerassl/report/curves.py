"""What a run's `metrics.jsonl` tells, as pictures for its report."""

import io
import math

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kerassl._display import plotted
from kerassl.types import PROTOCOLS

_COLOURS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed")
_GREY = "#6b7280"

# What a pre-training logs beside its loss: title, and the names in the log of what is drawn together.
_WATCHED = (
    ("other view found", ("contrast_accuracy",)),
    ("probes, Top-1", ("knn_top1", "linear_top1")),
    ("cells: match found, have a match", ("dense_accuracy", "matched")),
    ("directions used", ("effective_rank",)),
    ("alignment and uniformity", ("alignment", "uniformity")),
    ("pairs a second", ("pairs_per_second",)),
)


def pictures(lines, pretrain):
    """Draws the curves of a run.

    Args:
        lines: list of dicts, those of `metrics.jsonl`.
        pretrain: dict of the pre-training's figures, or None.

    Returns:
        List of (title, what it says, PNG bytes).
    """
    epochs = [line for line in lines if line["kind"] == "epoch"]
    drawn = []
    if any("loss" in line for line in epochs):
        drawn.append(("Training", "Loss by epoch.", _losses(epochs, pretrain)))
    watched = [line for line in epochs if line["stage"] == "pretrain"]
    if pretrain and len(watched) > 1:
        says = (
            "How often an image's other view was found among all; how many directions the embeddings use; how far "
            "apart the views of an image lie (alignment) and how evenly the images fill the sphere (uniformity, lower "
            "is more even)."
        )
        drawn.append(("The pre-training's health", says, _health(watched)))
    return drawn


def _losses(epochs, pretrain):
    """Loss of each stage over its epochs; the pre-training's with its chance line."""
    stages = {}
    for line in epochs:
        if "loss" in line:
            # With dense contrast the chance line is that of the global part alone.
            stages.setdefault(line["stage"], {})[line["epoch"]] = line.get("global_loss", line["loss"])
    tasks = sorted({stage.split(":")[0] for stage in stages}, key=["pretrain", *PROTOCOLS].index)
    figure, panels = _panels(len(tasks))
    for axes, task in zip(panels, tasks):
        own = {stage: losses for stage, losses in stages.items() if stage.split(":")[0] == task}
        for colour, (stage, losses) in zip(_COLOURS, own.items()):
            axes.plot(
                *zip(*sorted(losses.items())), "o-", ms=3, color=colour, label=plotted(stage.partition(":")[2], 30)
            )
        if task == "pretrain" and pretrain:
            chance = math.log(2 * pretrain["batch_size"] - (2 if pretrain["decoupled"] else 1))
            axes.axhline(chance, color=_GREY, ls="--", lw=1)
            axes.annotate(f"chance {chance:.2f}", (1, chance), va="bottom", color=_GREY, fontsize=8)
            axes.set_ylim(bottom=0, top=1.12 * max(chance, *own["pretrain"].values()))
        elif len(own) > 1:
            axes.legend(frameon=False, fontsize=8)
        axes.set_title("pre-training loss (nats)" if task == "pretrain" else f"{PROTOCOLS[task]}: loss")
    return _png(figure)


def _health(lines):
    shown = [
        (title, kept)
        for title, names in _WATCHED
        if (kept := [name for name in names if any(name in line for line in lines)])
    ]
    figure, panels = _panels(len(shown))
    for axes, (title, names) in zip(panels, shown):
        for colour, name in zip(_COLOURS, names):
            points = sorted({line["epoch"]: line[name] for line in lines if name in line}.items())
            axes.plot(*zip(*points), "o-", ms=3, color=colour, label=name.removesuffix("_top1"))
        if len(names) > 1:
            axes.legend(frameon=False, fontsize=8)
        axes.set_title(title)
    return _png(figure)


def _panels(count):
    columns = min(count, 3)
    rows = -(-count // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in panels[:count]:
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[count:]:
        axes.remove()
    return figure, panels[:count]


def _png(figure):
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    return picture.getvalue()
