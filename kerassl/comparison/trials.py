"""Trials of a comparison: a training on labels and its scoring each, and the file that records it."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence

from kerassl import metrics
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.arrays import DamagedError, reason
from kerassl._io.state import read_kept, write_json
from kerassl.config.sources import Sources
from kerassl.runs import finetune as finetuning
from kerassl.runs import running, students
from kerassl.runs.plan.stages import Matched, Mixed, Plan, Training
from kerassl.types import AP_METRICS, LOCALIZATION_METRICS

log = logging.getLogger("kerassl")

FIGURES = (*LOCALIZATION_METRICS, *AP_METRICS, "coco_ar100")
"""The metrics in a trial's file, where the protocol has them; all in [0, 1]."""


def finetune(stage: Training, data: Sources, limit: running.TimeLimit) -> None:
    """Train and score the localizer or the detector of a trial.

    Args:
        stage: `plan.Training`, also of a student or a control.
        data: `Sources` with the labels of the trial.
        limit: `TimeLimit`.

    Raises:
        OutOfTimeError: if the limit is over.
    """
    limit.check()
    more: dict[str, float] = {}
    if isinstance(stage, Matched):
        seen = _images_seen(stage.student)
        figures = students.train_matched(stage, data, seen, limit)
        more = {"images_seen": seen}
    elif isinstance(stage, Mixed):
        figures = students.train_student(stage, data, limit)
        more = {"images_seen": students.images_seen(stage, data.train)}
    else:
        figures = finetuning.run(stage, data, limit)
    count = len(data.train)
    if stage.protocol == "localizer":
        count = sum(record.largest() is not None for record in data.train)
    steps = math.ceil(count / stage.settings.batch_size) * stage.settings.epochs
    if more:
        steps = math.ceil(more["images_seen"] / stage.settings.batch_size)
    each = json.loads((stage.folder / f"{stage.protocol}_images.json").read_text(encoding="utf-8"))
    predictions = stage.folder / "detector_predictions.json"
    if predictions.is_file():
        _keep_matches(stage, predictions, data.test)
    write_record(stage, figures, each, count, steps, **more)
    if not stage.keeps:
        _files.clear(stage.folder)


def _images_seen(student):
    """How many images a student of a trial and its teachers saw, from the trial's file."""
    found = read_kept(student.record, "images_seen")
    if found is None:
        raise UserError(f"{student.record} has no images_seen, by which its control is trained; remove the file")
    return found["images_seen"]


def _keep_matches(stage, predictions, test):
    """Write how detections match the objects, by which intervals of average precision are computed."""
    found = metrics.load_predictions(predictions)
    records = [record for record in test if record.image_id in found]  # files that cannot be read are missing
    matches = metrics.coco_ap_of_images(
        {one.image_id: found[one.image_id] for one in records}, records, test.class_names
    )
    with _files.whole(_matches(stage), state=True) as part:
        matches.save(part)


def _matches(stage):
    return stage.outputs[-1].with_suffix(".npz")


def with_matches(stage: Training, record: dict) -> dict:
    """Return the record of a trial with `matches`: `metrics.CocoMatches`, or None where it has none."""
    file, matches = _matches(stage), None
    try:
        matches = metrics.CocoMatches.load(file) if file.is_file() else None
    except (DamagedError, KeyError) as error:
        log.warning("%s is damaged (%s); average precision has no interval", file, reason(error))
    return {**record, "matches": matches}


def write_record(stage: Training, figures: dict, each: dict, images: int, steps: int, **more) -> None:
    """Write the file that marks a trial as done, with `more` of it."""
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
        **more,
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
    for kept in (stage for stage in plan.trials if stage.keeps):
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
