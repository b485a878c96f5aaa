"""PASCAL VOC through tensorflow-datasets: a small data set that it prepared itself."""

import importlib.resources.abc
import pathlib
import shutil
import sys
import unittest.mock

import numpy as np
import pytest
import tensorflow_datasets

from kerassl import UserError, datasets
from kerassl.datasets import DetectionDataset

pytestmark = pytest.mark.current_stack


@pytest.fixture(scope="module")
def devkit(tmp_path_factory):
    """Scenes under the names of VOC's classes."""
    folder = tmp_path_factory.mktemp("devkit")
    root = datasets.write_scenes(folder / "VOCdevkit", train=7, val=3, seed=1)
    for path in (root / "VOC2007" / "Annotations").iterdir():
        text = path.read_text(encoding="utf-8")
        for scene, voc in zip(datasets.SCENE_CLASSES, reversed(datasets.VOC_CLASSES)):
            text = text.replace(f"<name>{scene}</name>", f"<name>{voc}</name>")
        path.write_text(text, encoding="utf-8")
    sets = root / "VOC2007" / "ImageSets" / "Main"
    (sets / "test.txt").write_text((sets / "val.txt").read_text(encoding="utf-8"), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def prepared(devkit, tmp_path_factory):
    """The folder in which tensorflow-datasets prepared the devkit, by its own reader of VOC's files."""
    folder = tmp_path_factory.mktemp("prepared")
    builder = tensorflow_datasets.builder("voc/2007", data_dir=folder)
    archives = {"trainval": str(devkit.parent), "test": str(devkit.parent)}
    manager = tensorflow_datasets.download.DownloadManager
    # tensorflow-datasets 4.9.10 imports this to prepare, and asks for it on Python 3.8 only; Python has the same.
    backport = unittest.mock.patch.dict(sys.modules, {"importlib_resources": importlib.resources})
    with backport, unittest.mock.patch.object(manager, "download_and_extract", return_value=archives):
        builder.download_and_prepare()
    return folder


@pytest.mark.parametrize(
    ("split", "voc_split", "count"),
    [("train", "train", 7), ("validation", "val", 3), ("train+validation", None, 10), ("train[2:5]", None, 3)],
)
def test_gives_what_voc_gives_when_both_read_one_devkit(devkit, prepared, split, voc_split, count):
    found = DetectionDataset.from_tfds("voc/2007", split, data_dir=prepared)
    expected = DetectionDataset.from_voc(devkit, 2007, voc_split)
    if len(found) < len(expected):
        expected = expected.with_records(
            [each for each in expected if each.image_id in {one.image_id for one in found}]
        )
    assert (len(found), found.class_names) == (count, datasets.VOC_CLASSES)
    for one, other in zip(found, expected, strict=True):
        assert (one.image_id, one.height, one.width) == (other.image_id, other.height, other.width)
        np.testing.assert_array_equal(one.classes, other.classes)
        np.testing.assert_array_equal(one.difficult, other.difficult)
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)  # tensorflow-datasets keeps shares in float32
        np.testing.assert_array_equal(datasets.read_image(one.path), datasets.read_image(other.path))
    chosen = [[record.image_id for record in each.subset(2, seed=1)] for each in (found, expected)]
    assert chosen[0] == chosen[1]


def test_gives_the_batches_of_voc_and_resumes_within_an_epoch(devkit, prepared):
    read = (
        DetectionDataset.from_tfds(split="train", data_dir=prepared),
        DetectionDataset.from_voc(devkit, 2007, "train"),
    )
    ours, theirs = (each.batches(96, 2, seed=5) for each in read)
    for found, expected in zip((*ours, *ours, *ours.at(4, 2)), (*theirs, *theirs, *theirs.at(4, 2)), strict=True):
        np.testing.assert_array_equal(found["images"], expected["images"])
        for name, atol in (("classes", 0), ("boxes", 1e-3)):
            ours_, theirs_ = (each["bounding_boxes"][name] for each in (found, expected))
            np.testing.assert_allclose(ours_, theirs_, atol=atol)


def test_shards_of_it_hold_the_same_images(prepared, tmp_path):
    read = DetectionDataset.from_tfds(split="train", data_dir=prepared)
    datasets.write_shards(read, tmp_path / "shards", per_shard=3, progress=False)
    packed = DetectionDataset.from_shards(tmp_path / "shards")
    for one, other in zip(packed, read, strict=True):
        assert one.image_id == other.image_id
        np.testing.assert_array_equal(datasets.read_image(one.path), datasets.read_image(other.path))


def test_a_damaged_image_is_left_out_and_named(prepared, tmp_path, caplog):
    shutil.copytree(prepared, tmp_path / "copy")
    read = DetectionDataset.from_tfds(split="train", data_dir=tmp_path / "copy")
    file = pathlib.Path(read[2].path.rpartition("#")[0])
    content = bytearray(file.read_bytes())
    content[content.find(b"\xff\xd8\xff") + 40] ^= 1
    file.write_bytes(content)
    (batch,) = read.batches(32, 7, shuffle=False)
    assert batch["images"].shape[0] == 7
    assert "broken image 1: " in caplog.text
    assert "is damaged: its checksum is wrong" in caplog.text


class FewBoxes(tensorflow_datasets.core.GeneratorBasedBuilder):
    """Images with boxes, of which one split has none."""

    VERSION = tensorflow_datasets.core.Version("1.0.0")

    def _info(self):
        kinds = tensorflow_datasets.features
        objects = {"bbox": kinds.BBoxFeature(), "label": kinds.ClassLabel(names=["cat", "dog"]), "is_crowd": np.bool_}
        features = kinds.FeaturesDict({"image": kinds.Image(), "objects": kinds.Sequence(objects)})
        return tensorflow_datasets.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, manager):
        return {
            "train": self._generate_examples(3, 2),
            "validation": self._generate_examples(2, 1),
            "test": self._generate_examples(2, 0),
        }

    def _generate_examples(self, images, boxes):
        for number in range(images):
            box = tensorflow_datasets.features.BBox(ymin=0.25, xmin=0.5, ymax=0.5, xmax=1.0)
            objects = [{"bbox": box, "label": number % 2, "is_crowd": place > 0} for place in range(boxes)]
            yield number, {"image": np.full((40, 60, 3), 9 * number, np.uint8), "objects": objects}


def test_any_data_set_with_boxes_is_opened_by_its_name(tmp_path, monkeypatch):
    builder = tensorflow_datasets.builder("few_boxes", data_dir=tmp_path)
    with unittest.mock.patch.dict(sys.modules, {"importlib_resources": importlib.resources}):
        builder.download_and_prepare()
    monkeypatch.setattr(tensorflow_datasets, "builder", lambda name, data_dir: builder)
    assert datasets.own_splits("tfds:few_boxes") == ("train", "val", "test")
    train, val, every = (DetectionDataset.open("tfds:few_boxes", split=split) for split in ("train", "val", None))
    assert [len(each) for each in (train, val, every)] == [3, 2, 5]
    assert every.class_names == ("cat", "dog")
    assert len({record.image_id for record in every}) == 5  # though no image has a file name
    for record in train:
        np.testing.assert_array_equal(record.boxes, [[30, 10, 60, 20]] * 2)
        assert record.crowd.tolist() == [False, True]
    assert {int(record.classes[0]) for record in train} == {0, 1}
    dogs = DetectionDataset.open("tfds:few_boxes", class_names=["dog"])
    assert sum(len(record.boxes) for record in dogs) == 3
    assert datasets.read_image(train[0].path).shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "voc/2008"}, ["'voc/2008'", "voc/2007"]),
        ({"name": "no_such_boxes"}, ["'no_such_boxes'", "voc/2007"]),
        ({"name": "mnist"}, ["mnist", "no boxes"]),
        ({"split": "dev"}, ["'dev'", "validation"]),
    ],
)
def test_says_what_is_accepted_when_an_argument_is_wrong(prepared, options, words):
    with pytest.raises(UserError) as caught:
        DetectionDataset.from_tfds(**{"data_dir": prepared, **options})
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), caught.value


def test_says_how_to_prepare_when_nothing_is_prepared(tmp_path):
    with pytest.raises(UserError) as caught:
        DetectionDataset.from_tfds(data_dir=tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "download_and_prepare()" in str(caught.value)
    assert not list(tmp_path.iterdir())
