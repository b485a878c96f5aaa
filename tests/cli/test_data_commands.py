"""`kerassl shards` and `kerassl inspect`."""

import json
import pathlib
import shutil

import numpy as np
import PIL.Image
import pytest
from said import quiet

from kerassl import tasks
from kerassl.cli.main import main
from kerassl.datasets import DetectionDataset, image_folder, write_scenes
from kerassl.metrics import save_predictions

pytestmark = pytest.mark.current_stack


@pytest.fixture(scope="module")
def devkit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "devkit"
    write_scenes(folder, train=6, val=4, unlabeled=5, single_object=False, seed=0)
    (folder / "unlabeled" / "broken.jpg").write_bytes(b"nothing")
    return folder


def refused(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("kerassl: ")
    assert not any("Traceback" in line for line in lines)
    return lines[-1]


def test_shards_are_written_and_continued(devkit, tmp_path, capsys):
    command = ["shards", "--images", str(devkit / "unlabeled"), "--out", str(tmp_path / "shards"), "--per-shard", "3"]
    assert main([*command, "--image-size", "64"]) == 0
    assert f"5 images in 2 shards; 1 broken files left out: {tmp_path / 'shards'}" in capsys.readouterr().out
    assert main([*command, "--image-size", "64"]) == 0
    assert "2 of them from before" in capsys.readouterr().out
    (images,) = image_folder(tmp_path / "shards", 32, 5)
    assert images.shape == (5, 32, 32, 3)
    assert "not image_size None" in refused(capsys, *command)
    assert "quality is 0" in refused(capsys, *command, "--quality", "0")
    assert "no images are named" in refused(capsys, "shards", "--out", tmp_path / "other")


def test_shards_have_the_labels_when_they_are_named(devkit, tmp_path, capsys):
    command = ["shards", "--data", str(devkit), "--split", "train", "--out", str(tmp_path / "shards")]
    assert main([*command, "--per-shard", "4"]) == 0
    packed = DetectionDataset.from_shards(tmp_path / "shards")
    classes = packed.class_names
    assert "6 images in 2 shards: " in capsys.readouterr().out
    records = DetectionDataset.from_voc(devkit, class_names=classes)
    assert [each.image_id for each in packed] == [each.image_id for each in records]
    assert quiet(["inspect", str(devkit), "--split", "train"]) == 0
    expected = capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "shards"), "--decode", "--out", str(tmp_path / "card.png")]) == 0
    assert capsys.readouterr().out == f"{expected}card: {tmp_path / 'card.png'}\n"
    with PIL.Image.open(tmp_path / "card.png") as drawn:
        assert np.asarray(drawn).std() > 10
    with (tmp_path / "shards" / "shard-00001.tfrecord").open("r+b") as file:
        file.seek(500)
        file.write(bytes(8))
    assert main(["inspect", str(tmp_path / "shards")]) == 0
    printed = capsys.readouterr().out
    assert "broken: 1" in printed
    assert "shard-00001.tfrecord#0 is damaged: its checksum is wrong" in printed
    assert "5 images, 0 of them without a box" in printed


def test_shards_are_refused_as_labels_when_they_have_none(devkit, tmp_path, capsys):
    out = tmp_path / "shards"
    assert main(["shards", "--images", str(devkit / "unlabeled"), "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["inspect", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "images: 5 " in printed
    assert "class" not in printed
    predictions = tmp_path / "predictions.json"
    save_predictions(predictions, {})
    assert "without labels" in refused(capsys, "evaluate", "--predictions", predictions, "--data", out)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.jpg").write_bytes(b"nothing")
    assert "nothing to draw" in refused(capsys, "inspect", tmp_path / "broken", "--out", tmp_path / "card.png")


def test_card_has_the_figures_of_images_and_of_voc(devkit, tmp_path, capsys):
    assert main(["inspect", str(devkit / "unlabeled")]) == 0
    printed = capsys.readouterr().out
    assert "images: 6 " in printed
    assert "broken.jpg is no image" in printed
    assert "class" not in printed
    for where in ([str(devkit)], ["--data", str(devkit)], [str(devkit / "VOC2007")]):
        assert main(["inspect", *where, "--out", str(tmp_path / "card.png"), "--decode"]) == 0
        printed = capsys.readouterr().out
        assert "10 images, 0 of them without a box" in printed
        with PIL.Image.open(tmp_path / "card.png") as drawn:
            assert np.asarray(drawn).std() > 10
        (tmp_path / "card.png").unlink()
    assert quiet(["inspect", str(devkit), "--split", "train"]) == 0
    assert "6 images, 0 of them without" in capsys.readouterr().out


def test_duplicates_are_listed_of_each_pair_of_splits(devkit, tmp_path):
    copy = shutil.copytree(devkit, tmp_path / "copy")
    images = copy / "VOC2007" / "JPEGImages"
    with PIL.Image.open(images / "train_000001.jpg") as image:
        image.resize((100, 100)).save(images / "val_000002.jpg", quality=60)
    shutil.copy(min((copy / "unlabeled").glob("*0*.jpg")), copy / "unlabeled" / "zz_copy.jpg")
    (tmp_path / "run.yaml").write_text(f"data: {{train: '{copy}', val: {{path: '{devkit}', split: val}}}}")
    splits, near = {"train": 6, "val": 4}, ("train", "val", "val_000002.jpg", "near")
    for arguments, counts, expected in (
        ({"paths": [copy]}, splits, [near]),
        ({"config": tmp_path / "run.yaml"}, splits, []),
        ({"data": copy, "split": "train", "test": DetectionDataset.open(copy, split="val")},
         {"train": 6, "test": 4}, [("train", "test", *near[2:])]),
        ({"data": copy, "split": "val"}, {"images": 4}, []),
        ({"paths": [copy / "unlabeled"]}, {"images": 7}, [("images", "images", "zz_copy.jpg", "exact")]),
        ({"paths": [images / "train_000001.jpg", images]}, {str(images / "train_000001.jpg"): 1, str(images): 9},
         [(str(images / "train_000001.jpg"), str(images), *near[2:])]),
    ):  # fmt: skip
        found = tasks.inspect(**arguments).duplicates
        assert dict(found.images) == counts
        kinds = [(each.original_split, each.split, pathlib.Path(each.path).name, each.kind) for each in found.found]
        assert kinds == expected
    for flags, count in (([], 1), (["--no-duplicates"], None)):
        assert quiet(["inspect", str(copy), *flags, "--out", str(tmp_path / f"{count}.json")]) == 0
        written = json.loads((tmp_path / f"{count}.json").read_text())
        assert written["labels"]["boxes"] == sum(each["boxes"] for each in written["labels"]["classes"]) > 9
        assert (written["duplicates"] and len(written["duplicates"]["found"])) == count
