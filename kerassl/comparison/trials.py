"""Trials of a comparison: a training on labels and its scoring each, and the file that records it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence

from kerassl._io import files as _files
from kerassl._io.state import write_json
from kerassl.config.sources import Sources
from kerassl.runs import finetune as finetuning
from kerassl.runs import running
from kerassl.runs.plan.stages import Plan, Training
from kerassl.types import AP_METRICS, LOCALIZATION_METRICS

FIGURES = (*LOCALIZATION_METRICS, *AP_METRICS, "coco_ar100")
"""The metrics in a trial's file, where the protocol has them; all in [0, 1]."""


def finetune(stage: Training, data: Sources, records: Callable, limit: running.TimeLimit) -> None:
    """Train and score the localizer or the detector of a trial.

    Args:
        stage: `plan.Training`.
        data: `Sources`.
        records: Function from number of labels and seed to the records to train on.
        limit: `TimeLimit`.

    Raises:
        OutOfTimeError: if the limit is over.
    """
    limit.check()
    own = records(stage.labels, stage.seed)
    figures = finetuning.run(stage, data.with_labels(own), limit)
    if stage.protocol == "localizer":
        own = [record for record in own if record.largest() is not None]
    steps = math.ceil(len(own) / stage.settings.batch_size) * stage.settings.epochs
    each = json.loads((stage.folder / f"{stage.protocol}_images.json").read_text(encoding="utf-8"))
    write_record(stage, figures, each, len(own), steps)
    if not stage.keeps:
        _files.clear(stage.folder)


def write_record(stage: Training, figures: dict, each: dict, images: int, steps: int) -> None:
    """Write the file that marks a trial as done."""
    content = {
        "variant": stage.variant,
        "protocol": stage.protocol,
        "labels": stage.labels,
        "seed": stage.seed,
        "images": images,
        "figures": {name: figures[name] for name in FIGURES if name in figures},
        "per_image": each,
        "minutes": figures["minutes"],
        "steps": steps,
    }
    write_json(stage.outputs[-1], content)


def mean_figures(plan: Plan, records: Sequence[dict]) -> dict[str, dict]:
    """Return for each variant its figures by protocol: the mean over seeds with the most labels.

    Args:
        plan: `Plan`.
        records: The records of all trials.

    Returns:
        Dict from variant to dict from protocol to figures; `labels` and `seeds` are those of which they are the mean.
    """
    table: dict[str, dict] = {name: {} for name in plan.variants}
    for kept in (stage for stage in plan.of(Training) if stage.keeps):
        name, protocol, labels = kept.variant, kept.protocol, kept.labels
        own = [
            each for each in records if (each["variant"], each["protocol"], each["labels"]) == (name, protocol, labels)
        ]
        row = {key: sum(each["figures"][key] for each in own) / len(own) for key in own[0]["figures"]}
        row["minutes"] = sum(each["minutes"] for each in own) / len(own)
        table[name][protocol] = {**row, "labels": labels, "seeds": len(own)}
        if protocol == "detector":
            table[name][protocol]["kind"] = kept.settings.kind
    return table
