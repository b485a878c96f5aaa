"""The images and labels of a run."""

import pytest

from kerassl import datasets
from kerassl.config import read_config
from kerassl.runs.sources import sources

pytestmark = pytest.mark.current_stack


def test_warning_names_images_when_they_are_trained_and_scored_on(tmp_path, caplog):
    root = datasets.write_scenes(tmp_path / "scenes", train=3, val=2, image_size=(64, 64))
    lists = root / "VOC2007" / "ImageSets" / "Main"
    (lists / "mixed.txt").write_text((lists / "val.txt").read_text() + (lists / "train.txt").read_text().split()[0])
    voc = {"root": str(root), "train": "train", "test": "mixed", "classes": list(datasets.SCENE_CLASSES)}
    data = sources(read_config(None, {"data.voc": voc}), tmp_path)
    assert len(data.test) == 3
    assert "1 of the 3 images to score on are trained on too (as train_000000 is in both" in caplog.text
    caplog.clear()
    sources(read_config(None, {"data.voc": {**voc, "test": "val"}}), tmp_path)
    assert "trained on too" not in caplog.text
