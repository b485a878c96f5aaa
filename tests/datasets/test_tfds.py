"""PASCAL VOC through tensorflow-datasets: its own mock data, and a small data set that it prepared itself."""

import importlib.resources.abc
import sys
import unittest.mock

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets

from kerassl import datasets
from kerassl._errors import UserError
from kerassl.datasets.formats.tfds import tfds


@pytest.fixture(scope="module")
def devkit(tmp_path_factory):
    """Scenes under the names of VOC's classes."""
    folder = tmp_path_factory.mktemp("devkit")
    root = datasets.scenes(folder / "VOCdevkit", train=7, val=3, seed=1)
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


def _images(dataset):
    """Each image with its own boxes and classes, told from each other by the sum of its pixels."""
    rows = {}
    for batch in dataset.as_numpy_iterator():
        labels = batch["bounding_boxes"]
        for image, boxes, classes in zip(batch["images"], labels["boxes"], labels["classes"]):
            there = classes >= 0
            assert np.all(boxes[~there] == -1)
            rows[float(image.astype("float64").sum())] = (image, boxes[there], classes[there])
    return rows


@pytest.mark.parametrize(("split", "voc_split", "count"), [("train", "train", 7), ("validation", "val", 3)])
def test_gives_what_voc_gives_when_both_read_one_devkit(devkit, prepared, split, voc_split, count):
    found = _images(tfds("voc/2007", split, data_dir=prepared, image_size=96, batch_size=4))
    expected = _images(datasets.voc(devkit, 2007, voc_split, image_size=96, batch_size=4))
    assert len(found) == len(expected) == count
    assert found.keys() == expected.keys()
    for key, (image, boxes, classes) in expected.items():
        np.testing.assert_array_equal(found[key][0], image)
        np.testing.assert_array_equal(found[key][2], classes)
        np.testing.assert_allclose(found[key][1], boxes, atol=1e-3)  # tensorflow-datasets keeps shares in float32


def test_has_the_structure_of_voc(devkit, prepared):
    found = tfds("voc/2007", "train", data_dir=prepared, image_size=96, batch_size=4).element_spec
    expected = datasets.voc(devkit, 2007, "train", image_size=96, batch_size=4).element_spec
    tf.nest.assert_same_structure(found, expected)
    for ours, theirs in zip(tf.nest.flatten(found), tf.nest.flatten(expected)):
        assert ours.dtype == theirs.dtype == tf.float32
        assert ours.shape.is_compatible_with(theirs.shape)


def test_shuffles_the_same_images_in_another_order_when_asked(prepared):
    def order(**options):
        dataset = tfds("voc/2007", "train", data_dir=prepared, image_size=32, batch_size=1, **options)
        return [[float(batch["images"].sum()) for batch in dataset.as_numpy_iterator()] for _ in range(2)]

    plain, shuffled = order(), order(shuffle=True, seed=3)
    assert plain[0] == plain[1]
    assert shuffled[0] != shuffled[1]
    assert sorted(shuffled[0]) == sorted(shuffled[1]) == sorted(plain[0])
    assert order(shuffle=True, seed=3) == shuffled


def _example(boxes, labels, height=50, width=100):
    """As tensorflow-datasets gives it with its image still encoded; boxes are shares, (ymin, xmin, ymax, xmax)."""
    return {
        "image": tf.io.encode_png(np.full((height, width, 3), 90, np.uint8)),
        "objects": {
            "bbox": np.array(boxes, np.float32).reshape(-1, 4),
            "label": np.array(labels, np.int64),
        },
    }


def _mocked(examples, **options):
    def as_dataset(self, *args, **kwargs):
        return tf.data.Dataset.from_generator(
            lambda: iter(examples),
            output_signature={
                "image": tf.TensorSpec([], tf.string),
                "objects": {"bbox": tf.TensorSpec([None, 4]), "label": tf.TensorSpec([None], tf.int64)},
            },
        )

    with tensorflow_datasets.testing.mock_data(as_dataset_fn=as_dataset):
        return list(tfds(image_size=64, **options).as_numpy_iterator())


def test_moves_the_first_corner_by_a_pixel_when_scaling_by_hand():
    # VOC's (xmin, ymin, xmax, ymax) = (11, 6, 30, 25) of 100 x 50 pixels; letterboxed by 0.64.
    (batch,) = _mocked([_example([[6 / 50, 11 / 100, 25 / 50, 30 / 100]], [14])], batch_size=2)
    np.testing.assert_allclose(
        batch["bounding_boxes"]["boxes"], [[[10 * 0.64, 5 * 0.64, 30 * 0.64, 25 * 0.64]]], atol=1e-4
    )
    assert batch["bounding_boxes"]["classes"].tolist() == [[14.0]]
    np.testing.assert_allclose(batch["images"][0, :32], 90, atol=1e-3)
    assert np.all(batch["images"][0, 32:] == 0)


def test_fills_up_with_minus_one_when_images_have_fewer_or_no_boxes():
    whole = [0.02, 0.01, 1.0, 1.0]
    inverted = [0.9, 0.2, 0.1, 0.4]
    examples = [_example([], []), _example([whole, inverted, whole], [3, 4, 5])]
    (batch,) = _mocked(examples, batch_size=2)
    assert batch["bounding_boxes"]["classes"].tolist() == [[-1, -1], [3, 5]]
    np.testing.assert_allclose(batch["bounding_boxes"]["boxes"][1], [[0, 0, 64, 32]] * 2, atol=1e-4)
    assert np.all(batch["bounding_boxes"]["boxes"][0] == -1)
    (empty,) = _mocked(examples[:1], batch_size=2)
    assert empty["bounding_boxes"]["boxes"].shape == (1, 1, 4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "voc/2008"}, ["'voc/2008'", "voc/2007"]),
        ({"split": "val"}, ["'val'", "validation"]),
        ({"image_size": 100}, ["100", "96", "128"]),
        ({"batch_size": 0}, ["batch_size is 0"]),
    ],
)
def test_says_what_is_accepted_when_an_argument_is_wrong(prepared, options, words):
    with pytest.raises(UserError) as caught:
        tfds(**{"data_dir": prepared, "image_size": 64, "batch_size": 2, **options})
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), caught.value


def test_says_how_to_prepare_when_nothing_is_prepared(tmp_path):
    with pytest.raises(UserError) as caught:
        tfds(data_dir=tmp_path, image_size=64, batch_size=2)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "download_and_prepare()" in str(caught.value)
    assert not list(tmp_path.iterdir())
