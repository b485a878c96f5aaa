"""The images and labels of a run."""

import pathlib
import re
import shutil

import pytest

from kerassl import UserError, datasets
from kerassl.config import read_config
from kerassl.config.sources import check_images, open_labels, some_files, sources

pytestmark = pytest.mark.current_stack


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """The same 20 images as a folder with the splits train (12) and val (8), and as one without splits."""
    folder = tmp_path_factory.mktemp("data")
    devkit = datasets.write_scenes(folder / "devkit", train=12, val=8, image_size=(64, 64)) / "VOC2007"
    shutil.copytree(devkit, folder / "plain", ignore=shutil.ignore_patterns("ImageSets"))
    names = (devkit / "ImageSets" / "Main" / "val.txt").read_text() + "train_000000\n"
    (devkit / "ImageSets" / "Main" / "mixed.txt").write_text(names)
    return {"devkit": str(devkit), "plain": str(folder / "plain")}


def config_of(scenes, **data):
    """A configuration of `data`, where `devkit` and `plain` are short for the folders."""
    for part in ("train", "val", "test"):
        path, _, split = str(data.get(part, "")).partition(":")
        if path in scenes:
            data[part] = {"path": scenes[path], "split": split or None}
    return read_config(None, {f"data.{key}": value for key, value in data.items()})


def read(scenes, **data):
    return sources(config_of(scenes, **data), "")


@pytest.mark.parametrize(
    ("data", "sizes"),
    [
        ({"train": "plain"}, (14, 2, 4)),
        ({"train": "plain", "val": 0.25}, (15, 5, None)),
        ({"train": "plain", "test": 0.25}, (15, None, 5)),
        ({"train": "plain", "val": 0.1, "test": "devkit:val"}, (18, 2, 8)),
        ({"train": "devkit"}, (12, 8, None)),
        ({"train": "devkit", "test": 0.25}, (9, 8, 3)),
        ({"train": "devkit", "test": "devkit:val"}, (12, None, 8)),
        ({"train": "devkit:train", "test": "devkit:val"}, (12, None, 8)),
        ({"train": "devkit:train"}, (9, 1, 2)),
        ({"train": "plain", "count": 6}, (6, 2, 4)),
    ],
)
def test_parts_are_those_that_are_named_or_the_datas_own_or_held_out(scenes, data, sizes):
    found = read(scenes, **data)
    assert found.unseen == (sizes[2] is not None)
    parts = [found.train, found.val, found.test if found.unseen else None]
    assert tuple(part and len(part) for part in parts) == sizes
    if "test" not in data:
        ids = [record.image_id for part in parts if part is not None for record in part]
        assert len(ids) == len(set(ids))
    assert len(found.images) == (14 if "count" in data else sizes[0])  # pre-training needs no labels


@pytest.mark.parametrize(
    "data",
    [
        {"train": "plain"},
        {"train": "devkit"},
        {"train": "plain", "test": "devkit:val"},
        {"train": "plain", "val": 0.25},
    ],
)
def test_labels_of_a_configuration_are_those_that_a_run_trains_and_scores_on(scenes, data):
    config = config_of(scenes, **data)
    found = sources(config, "")
    for part, expected in (("train", found.train), ("test", found.test)):
        labels = open_labels(None, config=config, part=part)
        assert [record.image_id for record in labels] == [record.image_id for record in expected]
    if data == {"train": "devkit"}:
        assert len(open_labels(None, split="mixed", config=config)) == 9


def test_all_images_are_read_with_a_warning_when_the_data_have_a_training_split(scenes, caplog):
    for path, split, warnings in (("devkit", None, 1), ("devkit", "val", 0), ("plain", None, 0)):
        caplog.clear()
        open_labels(scenes[path], split=split, config=read_config(None))
        assert len([record for record in caplog.records if record.levelname == "WARNING"]) == warnings


def test_shares_are_those_of_split_and_no_seed_changes_them(scenes):
    whole = datasets.DetectionDataset.open(scenes["plain"])
    for found in (read(scenes, train="plain"), read(scenes, train="plain", count=3)):
        for part, expected in zip((found.val, found.test), whole.split(val=0.1, test=0.2)[1:], strict=True):
            assert [record.image_id for record in part] == [record.image_id for record in expected]


def test_one_warning_counts_the_images_when_parts_share_them(scenes, caplog):
    check_images(read(scenes, train="devkit:train", test="devkit:mixed", val="devkit:val"))
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert re.findall(r"(\d) of 9 test images", warning.args[0]) == ["1", "8"]
    caplog.clear()
    check_images(read(scenes, train="devkit", test="devkit:val"))
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_labels_are_refused_when_there_are_none(scenes):
    with pytest.raises(UserError, match="no labeled images are named; give --data"):
        read(scenes)


def test_scenes_are_scored_on_the_test_images_where_there_are_some(tmp_path):
    made = {"train": 3, "val": 2, "unlabeled": 1, "image_size": [64, 64], "classes": ["car", "face"]}
    found = sources(read_config(None, {"data.scenes": {**made, "test": 4}}), tmp_path / "a")
    assert (len(found.train), len(found.val), len(found.test), found.unseen) == (3, 2, 4, True)
    assert found.classes == ("car", "face")
    alone = sources(read_config(None, {"data.scenes": made}), tmp_path / "b")
    assert (alone.val, len(alone.test)) == (None, 2)


def test_files_are_chosen_by_their_names_when_folders_are_others():
    names = [f"{number:03d}.jpg" for number in range(40)]
    here, there = (some_files([f"{folder}/{name}" for name in names], 10, 3) for folder in ("/a/photos", "other"))
    assert [pathlib.Path(path).name for path in here] == [pathlib.Path(path).name for path in there]
    assert len(here) == 10
    assert here != some_files([f"/a/photos/{name}" for name in names], 10, 4)
    assert some_files(["x/1.jpg", "y/1.jpg"], 5, 0) == ["x/1.jpg", "y/1.jpg"]
