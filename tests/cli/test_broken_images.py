"""Commands on folders with images that cannot be read, and with names that are not UTF-8."""

import json
import os

import numpy as np
import PIL.Image
import pytest

import kerassl
from kerassl import UserError, backbones, datasets, detectors, tasks
from kerassl.cli.main import main
from kerassl.datasets.pipeline.letterboxed import letterboxed_batches

pytestmark = pytest.mark.current_stack

CLASSES = ("a$_$b", "<dog>")
NAME = os.fsdecode(b"caf\xe9")


def _jpeg(path, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(path, "JPEG")


@pytest.fixture(scope="module")
def devkit(tmp_path_factory):
    """Two images to train on, and four to score on: one is cut off, and one's name is Latin-1."""
    folder = tmp_path_factory.mktemp("broken") / "devkit" / "VOC2007"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    splits = {"train": ["1", "2"], "val": ["3", "4", "5"], "test": ["5"]}
    for number in range(1, 6):
        _jpeg(folder / "JPEGImages" / f"{number}.jpg", number)
        name = CLASSES[number % 2].replace("<", "&lt;")
        (folder / "Annotations" / f"{number}.xml").write_text(
            "<annotation><size><width>64</width><height>48</height></size><object>"
            f"<name>{name}</name><bndbox><xmin>11</xmin><ymin>11</ymin><xmax>40</xmax><ymax>30</ymax></bndbox>"
            "</object></annotation>"
        )
    for split, ids in splits.items():
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(ids) + "\n")
    cut = folder / "JPEGImages" / "5.jpg"
    cut.write_bytes(cut.read_bytes()[:1500])
    os.rename(folder / "JPEGImages" / "1.jpg", folder / "JPEGImages" / f"{NAME}.jpg")
    _jpeg(folder / "JPEGImages" / "1.jpg", 1)
    return folder.parent


def _run(*arguments):
    return main([str(each) for each in arguments])


def test_model_is_scored_on_the_other_images_when_one_is_cut_off(devkit, tiny_backbone, tmp_path, caplog):
    model = detectors.Localizer(tiny_backbone(), CLASSES, image_size=64, num_filters=8)
    model.save(tmp_path / "localizer.keras")
    common = ("evaluate", "--model", tmp_path / "localizer.keras", "--data", devkit, "--classes", *CLASSES)
    plots = ("--plots", tmp_path / "plots", "--out", tmp_path / "figures.json")
    assert _run(*common, "--split", "val", *plots) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    whole = datasets.DetectionDataset.open(devkit, split="val", class_names=CLASSES)[:2]
    assert figures["mean_iou"] == pytest.approx(kerassl.evaluate(model, whole).mean_iou)
    assert "5.jpg: it cannot be decoded (it is truncated" in caplog.text
    assert (tmp_path / "plots" / "precision_recall.png").is_file()


def test_training_is_refused_before_it_begins_when_no_test_image_can_be_read(devkit, tmp_path, capsys):
    config = tmp_path / "run.yaml"
    config.write_text(f"data: {{train: '{devkit}/VOC2007'}}\n")
    command = ("finetune", "--config", config, "--classes", *CLASSES, "--weights", "random")
    assert _run(*command, "--out", tmp_path / "run") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "none of 1 image files can be read, first " in line
    assert "5.jpg cannot be decoded (it is truncated" in line
    assert not (tmp_path / "run").exists()


def test_commands_read_files_whose_names_are_no_utf8(devkit, tiny_backbone, tmp_path, capsys):
    images = devkit / "VOC2007" / "JPEGImages"
    backbones.save(tiny_backbone(), tmp_path / "backbone.keras")
    features = ("--backbone", tmp_path / "backbone.keras", "--image-size", 32, "--out", tmp_path / "e.npz")
    assert _run("embed", "--images", images, *features) == 0
    with np.load(tmp_path / "e.npz") as found:
        assert len(found["names"]) == 5
        assert str(images / f"{NAME}.jpg") in found["names"]
    assert tasks.views([str(images)], count=6, image_size=32, out=tmp_path / "views.png") == 5
    found = tasks.inspect([str(images)], decode=True)
    assert (found.images.count, len(found.images.broken), len(found.duplicates.found)) == (6, 1, 1)
    assert _run("inspect", images) == 0
    assert r"caf\xe9.jpg" in capsys.readouterr().out
    done = tasks.shards([str(images)], out=tmp_path / "shards")
    assert (done.images, done.shards, len(done.broken)) == (5, 1, 1)


def test_prediction_stops_at_a_broken_file_when_it_is_strict(devkit):
    paths = datasets.image_files(devkit / "VOC2007" / "JPEGImages")
    with pytest.raises(UserError, match=r"5\.jpg cannot be decoded .*repair or remove the file"):
        list(letterboxed_batches(paths, 32, 4, strict=True))
