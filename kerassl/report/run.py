"""The page of a run: pre-training, fine-tuning or a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kerassl.report import comparison
from kerassl.report.plots import Plot
from kerassl.report.render import Column, figures_table, render
from kerassl.report.self_training import choice_table, gain_plot
from kerassl.types import AP_METRICS, LOCALIZATION_METRICS, PROTOCOLS

_PRETRAINED = {
    **{key: Column(key, form=",.0f") for key in ("images", "steps")},
    "loss": Column("loss, nats", "lower is better"),
    "chance": Column("loss of guessing", "that of a network that learned nothing"),
    "contrast_accuracy": Column(
        "contrastive accuracy, %", "how often the other view of an image is the most similar one", ".1f", 100
    ),
    "accuracy": Column("class accuracy, %", form=".1f", factor=100),
    "minutes": Column("minutes", form=".1f"),
}
_COSINE = Column("loss (1 − cosine)", "1: the student learned nothing; 0: its features are the teacher's")
_STAGES = {"pretrain": ("Pre-training", _PRETRAINED), "distill": ("Distillation", _PRETRAINED | {"loss": _COSINE})}
_LABELED = {
    "images": Column("images", form=",.0f"),
    "objects": Column("labels", form=",.0f"),
    "ignored": Column("ignored regions", form=",.0f"),
    "empty": Column("without a label", "images", form=",.0f"),
    "foreign": Column("foreign", "images that were left out as unlike the labeled ones", form=",.0f"),
    "broken": Column("cannot be read", "images", form=",.0f"),
}
_KINDS = {"yolov8": " (YOLOV8)", "retinanet": " (RetinaNet)"}


def run_page(results: Mapping, lines: Sequence[Mapping], config: str, images: list[Plot]) -> str:
    """Return the page of a run as HTML.

    Args:
        results: what `results.json` holds.
        lines: those of `metrics.jsonl`.
        config: the resolved configuration.
        images: detections and class activation maps.
    """
    variants, summary = results.get("variants") or {}, results.get("significance")
    stages = {stage: _figures(results, stage) for stage in _STAGES}
    tables = {} if summary else _results(variants)
    tables |= {_STAGES[key][0]: figures_table(rows, _STAGES[key][1]) for key, rows in stages.items() if rows}
    choice = results.get("choice")
    if choice:
        title = f"Validation, {choice['images']} images, with the difference from the recommended detector (95 %)"
        tables[title] = choice_table(choice)
    if results.get("labels"):
        tables["Labels of the teacher"] = figures_table(results["labels"], _LABELED)
    return render(
        "run",
        title=results["title"],
        results=results,
        failures={name: reason for name, figures in stages["pretrain"].items() if (reason := failure(figures))},
        summary=summary,
        comparison=comparison,
        gain=choice and choice.get("gain"),
        gain_plot=gain_plot,
        lines=lines,
        tables=tables,
        seen={name: one["seen"] for name, one in variants.items() if one.get("seen")},
        images=images,
        config=config,
    )


def _figures(results, stage):
    """The figures of a stage of each variant, or of the run."""
    rows = {name: one[stage] for name, one in (results.get("variants") or {}).items() if one.get(stage)}
    own = results.get(stage)
    return rows if rows or not own else {own.get("teacher", _STAGES[stage][0]): own}


def failure(figures: Mapping) -> str | None:
    """Return why a pre-training of these figures (`pretrain.json`) failed, or None where it did not."""
    if figures.get("learned") is not False:
        return None
    return "; ".join(f"{alarm['kind']}: {alarm['message']}" for alarm in figures["alarms"] if alarm["at_end"])


def _results(variants):
    """A table of metrics for each protocol."""
    tables = {}
    for protocol, name in PROTOCOLS.items():
        rows = {variant: one[protocol] for variant, one in variants.items() if protocol in one}
        if rows:
            first = next(iter(rows.values()))
            title = name.capitalize() + _KINDS.get(first.get("kind"), "")
            title += "" if first.get("labels") is None else f", {comparison.labels_text(first['labels'])}"
            tables[title] = comparison.metrics_table(rows, (*LOCALIZATION_METRICS, *AP_METRICS, "minutes"))
    return tables
