"""The study of the detector's recipe: its trials, and the mean over seeds that scored other images."""

import pathlib
from types import SimpleNamespace

import numpy as np
import pytest

from kerassl.config import read_config
from kerassl.datasets import DetectionDataset, Record
from kerassl.metrics import coco_ap
from kerassl.types import Detections
from studies import recipe

BOX = np.array([[10, 10, 50, 60]], np.float32)


def labeled(names):
    records = [
        Record(name, f"{name}.jpg", 100, 100, BOX, np.zeros(1, np.int32), np.zeros(1, np.bool_)) for name in names
    ]
    return DetectionDataset(records, ["cat"])


def test_changes_are_settings_of_their_own_when_a_trial_is_written():
    sections = [read_config(None, {"detector": {**recipe.BASE, **each}}).detector for each in recipe.CHANGES.values()]
    assert len({section.model_dump_json() for section in sections}) == len(recipe.CHANGES)
    assert len({recipe.result(*trial) for trial in recipe.TRIALS}) == len(recipe.TRIALS)


def test_image_counts_in_every_seed_that_scored_it_when_it_is_drawn(monkeypatch):
    parts = {0: labeled("abc"), 1: labeled("bcd")}
    found = {
        seed: {
            record.image_id: Detections(BOX + shift * place, np.array([0.9 - 0.1 * place]), np.zeros(1, np.int64))
            for place, record in enumerate(parts[seed])
        }
        for seed, shift in ((0, 4), (1, 9))
    }
    monkeypatch.setattr(recipe, "images", lambda data, seed: (parts[seed], 1))
    monkeypatch.setattr(recipe, "predictions", lambda folder, labels: found[int(labels.name.split("-")[1])])
    figures, count = recipe.mean_over_seeds(SimpleNamespace(data=None, out=pathlib.Path()), "base", [0, 1])
    assert count == 4
    each = [coco_ap(found[seed], parts[seed], ["cat"]).ap for seed in parts]
    assert each[0] != each[1]
    assert figures(np.arange(4))["coco_ap"] == pytest.approx(np.mean(each))
    alone = coco_ap({"a": found[0]["a"]}, labeled("a"), ["cat"]), coco_ap({"d": found[1]["d"]}, labeled("d"), ["cat"])
    assert figures(np.array([0, 0, 3]))["coco_ap"] == pytest.approx(np.mean([each.ap for each in alone]))
