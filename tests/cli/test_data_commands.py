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
    write_scenes(folder, train=6, val=4, unlabeled=5, image_size=(64, 80), seed=0)
    (folder / "unlabeled" / "broken.jpg").write_bytes(b"nothing")
    return folder


def refused(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("kerassl: ")
    assert not any("Traceback" in line for line in lines)
    return lines[-1]


def test_shards_are_written_and_continued(devkit, tmp_path, capsys):
    images, out = [str(devkit / "unlabeled")], tmp_path / "shards"
    done = tasks.shards(images, out=out, per_shard=3, image_size=64)
    assert (done.images, done.shards, done.kept, len(done.broken)) == (5, 2, 0, 1)
    command = ["shards", "--images", *images, "--out", str(out), "--per-shard", "3"]
    assert main([*command, "--image-size", "64"]) == 0
    assert tasks.shards(images, out=out, per_shard=3, image_size=64).kept == 2
    (batch,) = image_folder(out, 32, 5)
    assert batch.shape == (5, 32, 32, 3)
    assert "not image_size None" in refused(capsys, *command)


def test_shards_have_the_labels_when_they_are_named(devkit, tmp_path, capsys):
    out = tmp_path / "shards"
    assert quiet(["shards", "--data", str(devkit), "--split", "train", "--out", str(out), "--per-shard", "4"]) == 0
    packed, records = DetectionDataset.from_shards(out), DetectionDataset.open(devkit, split="train")
    assert [each.image_id for each in packed] == [each.image_id for each in records]
    found = [
        tasks.inspect(decode=True, **named) for named in ({"data": devkit, "split": "train"}, {"paths": [str(out)]})
    ]
    assert str(found[0]) == str(found[1])
    with (out / "shard-00001.tfrecord").open("r+b") as file:
        file.seek(500)
        file.write(bytes(8))
    found = tasks.inspect([str(out)])
    ((path, reason),) = found.images.broken
    assert path.endswith("shard-00001.tfrecord#0")
    assert "checksum" in reason
    assert len(found.labels.per_image) == 5


def test_shards_are_refused_as_labels_when_they_have_none(devkit, tmp_path, capsys):
    out = tmp_path / "shards"
    tasks.shards([str(devkit / "unlabeled")], out=out)
    found = tasks.inspect([str(out)])
    assert found.images.count == 5
    assert found.labels is None
    predictions = tmp_path / "predictions.json"
    save_predictions(predictions, {})
    assert "without labels" in refused(capsys, "evaluate", "--predictions", predictions, "--data", out)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.jpg").write_bytes(b"nothing")
    assert "nothing to draw" in refused(capsys, "inspect", tmp_path / "broken", "--out", tmp_path / "card.png")


def test_card_has_the_figures_of_images_and_of_labels(devkit, tmp_path):
    found = tasks.inspect([str(devkit / "unlabeled")])
    assert found.images.count == 6
    assert [path for path, _ in found.images.broken] == [str(devkit / "unlabeled" / "broken.jpg")]
    assert found.labels is None
    records = DetectionDataset.open(devkit)
    for named in ({"paths": [str(devkit)]}, {"data": devkit / "VOC2007"}):
        found = tasks.inspect(**named)
        assert found.images.count == 10
        assert found.labels.per_image.tolist() == [len(record.boxes) for record in records]
    assert tasks.inspect([str(devkit)], split="train").images.count == 6
    assert quiet(["inspect", str(devkit), "--out", str(tmp_path / "card.png"), "--decode"]) == 0
    with PIL.Image.open(tmp_path / "card.png") as drawn:
        assert np.asarray(drawn).std() > 10


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
