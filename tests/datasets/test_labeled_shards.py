"""Labels packed into shards, and read from them."""

import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.datasets import (
    VOC_CLASSES,
    DetectionDataset,
    Record,
    card,
    detection_batches,
    image_folder,
    read_image,
    single_object_batches,
    write_shards,
)
from kerassl.datasets.images.files import files_identity
from kerassl.datasets.images.shard_index import read_index
from kerassl.datasets.pipeline.letterboxed import identified, letterboxed_batches

pytestmark = pytest.mark.current_stack

NAMES = ("dog", "cat", "person", "bus")


@pytest.fixture
def photos(devkit, thing):
    """A VOCdevkit of 13 images of differing sizes, three classes, some objects difficult, one image without any."""
    hard = "<difficult>1</difficult>"
    for number in range(13):
        things = [
            thing(NAMES[number % 3], (2 + number, 3, 31 + number, 28), hard if number % 4 == 3 else ""),
            thing(NAMES[number % 2], (5, 4, 20, 9 + number)),
            thing(NAMES[3], (1.5, 1, 60, 33.25), hard),
        ]
        devkit.add(f"{number:02d}", "".join(things[: number % 4]), height=40 + number, width=60 + 2 * number)
    return devkit.root


def write(records, folder, **kwargs):
    records = records if isinstance(records, DetectionDataset) else DetectionDataset(records, VOC_CLASSES)
    return write_shards(records, folder, **{"per_shard": 5, "progress": False, **kwargs})


def assert_same(ours, theirs):
    ours, theirs = tf.nest.flatten(list(ours)), tf.nest.flatten(list(theirs))
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def flip_byte(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def refused(pattern, function, *args, **kwargs):
    with pytest.raises(UserError, match=pattern) as error:
        function(*args, **kwargs)
    assert "\n" not in str(error.value)


def test_gives_the_records_that_were_packed(photos, tmp_path):
    records = DetectionDataset.from_voc(photos)
    assert write(records, tmp_path / "shards") == (13, 3, 0, [])
    found = DetectionDataset.from_shards(tmp_path / "shards")
    assert found.class_names == VOC_CLASSES
    assert len(found) == len(records)
    for one, other in zip(found, records):
        assert (one.image_id, one.height, one.width) == (other.image_id, other.height, other.width)
        for name in ("boxes", "classes", "difficult"):
            ours, theirs = getattr(one, name), getattr(other, name)
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(read_image(one.path), read_image(other.path))


def test_gives_the_batches_of_voc_to_the_bit_when_nothing_is_shrunk(photos, tmp_path):
    write(DetectionDataset.from_voc(photos), tmp_path / "shards")
    read = DetectionDataset.from_shards(tmp_path / "shards"), DetectionDataset.from_voc(photos)
    ours, theirs = (each.batches(64, 4, flip=True, seed=3) for each in read)
    assert ours.element_spec == theirs.element_spec
    assert_same(ours, theirs)
    assert_same(ours, theirs)  # the next epoch, in another order
    assert_same(ours.at(5, 2), theirs.at(5, 2))


def test_gives_the_single_objects_of_voc_and_takes_files_beside_shards(photos, tmp_path):
    records = DetectionDataset.from_voc(photos)
    write(records, tmp_path / "shards")
    found = DetectionDataset.from_shards(tmp_path / "shards")
    mixed = [*found[:5], *records[5:9], *found[9:]]
    for ours in (found, mixed):
        batches = (single_object_batches(each, 64, 4, shuffle=True, flip=True, seed=1) for each in (ours, records))
        assert_same(*batches)
    batches = (detection_batches(each, 64, 4, difficult=False, flip=True) for each in (mixed, records))
    assert_same(*batches)


def slow_reference(record, side):
    """Boxes of an image whose short side was shrunk, each corner by itself."""
    scale = side / min(record.height, record.width)
    height, width = round(record.height * scale), round(record.width * scale)
    boxes = []
    for x0, y0, x1, y1 in record.boxes.tolist():
        boxes.append([x0 / record.width * width, y0 / record.height * height])
        boxes[-1] += [x1 / record.width * width, y1 / record.height * height]
    return height, width, boxes


def test_boxes_follow_images_that_are_stored_smaller(photos, tmp_path):
    records = DetectionDataset.from_voc(photos)
    write(records, tmp_path / "shards", image_size=43)
    sizes = set()
    for one, other in zip(DetectionDataset.from_shards(tmp_path / "shards"), records):
        height, width, boxes = slow_reference(other, min(43, other.height, other.width))
        assert (one.height, one.width) == (height, width) == read_image(one.path).shape[:2]
        np.testing.assert_allclose(one.boxes, np.reshape(boxes, (-1, 4)), rtol=0, atol=1e-3)
        sizes.add(height == other.height)
    assert sizes == {True, False}  # those of 40 to 43 px are stored as they are


@pytest.mark.parametrize("image_size", [None, 20])
def test_boxes_stay_on_their_objects_when_a_camera_was_held_askew(tmp_path, save_turned, white_box, image_size):
    records = []
    for orientation in range(1, 9):
        path = tmp_path / "photos" / f"{orientation}.jpg"
        save_turned(path, orientation, (8, 8, 24, 16), height=40, width=64)
        box, (height, width) = np.array([white_box(path)], np.float32), read_image(path).shape[:2]
        records.append(Record(path.stem, str(path), height, width, box, np.array([1], np.int32), np.array([False])))
    write(records, tmp_path / "shards", image_size=image_size)
    for one, other in zip(DetectionDataset.from_shards(tmp_path / "shards"), records):
        assert (one.height, one.width) == read_image(one.path).shape[:2]
        assert (one.height > one.width) == (int(one.image_id) >= 5)
        np.testing.assert_allclose(one.boxes, other.boxes / (1 if image_size is None else 2), atol=1e-3)
        np.testing.assert_allclose(white_box(one.path), one.boxes[0], atol=0 if image_size is None else 1)


def test_features_have_the_names_of_the_object_detection_api(photos, tmp_path):
    record = DetectionDataset.from_voc(photos)[3]
    write([record], tmp_path / "shards", image_size=20)
    (raw,) = tf.data.TFRecordDataset([str(path) for path in (tmp_path / "shards").glob("*.tfrecord")])
    features = tf.train.Example.FromString(raw.numpy()).features.feature
    found = {name: each.ListFields()[0][1].value for name, each in features.items() if each.ListFields()}
    assert found["image/source_id"] == [b"03"]
    assert found["image/filename"] == [record.path.encode()]
    assert [found[f"image/original/{side}"] for side in ("height", "width")] == [[43], [66]]
    assert [found[f"image/{side}"] for side in ("height", "width")] == [[20], [31]]
    assert found["image/object/class/text"] == [VOC_CLASSES[label].encode() for label in record.classes]
    assert found["image/object/class/label"] == [label + 1 for label in record.classes]
    assert found["image/object/difficult"] == [1, 0, 1]
    for side, corner in (("width", "xmin"), ("height", "ymin"), ("width", "xmax"), ("height", "ymax")):
        place = ("xmin", "ymin", "xmax", "ymax").index(corner)
        shares = record.boxes[:, place] / getattr(record, side)
        np.testing.assert_allclose(found[f"image/object/bbox/{corner}"], shares, rtol=1e-6)


def test_damaged_record_is_left_out_and_named(photos, tmp_path, caplog):
    folder = tmp_path / "shards"
    write(DetectionDataset.from_voc(photos), folder)
    whole = DetectionDataset.from_shards(folder)
    flip_byte(folder / "shard-00001.tfrecord", read_index(folder).shards[1]["offsets"][2] + 500)
    name = f"{folder / 'shard-00001.tfrecord'}#2"
    assert [each.image_id for each in DetectionDataset.from_shards(folder)] == [f"{n:02d}" for n in range(13) if n != 7]
    assert f"{name} is damaged: its checksum is wrong" in caplog.text
    refused("00001.tfrecord#2 is damaged", DetectionDataset.from_shards, folder, strict=True)
    # One that was damaged later is met when its image is read.
    data = detection_batches(whole, 32, 13)
    (batch,) = data
    assert batch["images"].shape[0] == 13
    assert data.broken == [name]
    (read,) = letterboxed_batches([each.path for each in whole], 32, 13)
    assert read[0].tolist() == [place for place in range(13) if place != 7]
    images = card.image_card([each.path for each in whole], progress=False)
    assert (images.count, len(images.heights), [path for path, _ in images.broken]) == (13, 12, [name])
    # Writing again repairs it.
    assert write(DetectionDataset.from_voc(photos), folder).kept == 2
    assert len(DetectionDataset.from_shards(folder)) == 13


def test_shards_whose_labels_changed_are_written_again(photos, tmp_path):
    folder = tmp_path / "shards"
    write(DetectionDataset.from_voc(photos), folder)
    path = photos / "VOC2007" / "Annotations" / "06.xml"
    path.write_text(path.read_text().replace("<difficult>1</difficult>", "").replace("31", "30").replace("28", "27"))
    assert write(DetectionDataset.from_voc(photos), folder).kept == 2
    for one, other in zip(DetectionDataset.from_shards(folder), DetectionDataset.from_voc(photos)):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.difficult, other.difficult)


def test_shards_are_packed_again_smaller_and_read_as_images(photos, tmp_path):
    records = DetectionDataset.from_voc(photos)
    write(records, tmp_path / "large")
    write(DetectionDataset.from_shards(tmp_path / "large"), tmp_path / "twice", image_size=20)
    write(records, tmp_path / "once", image_size=20)
    for one, other in zip(
        DetectionDataset.from_shards(tmp_path / "twice"), DetectionDataset.from_shards(tmp_path / "once")
    ):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(read_image(one.path), read_image(other.path))
    plain = [record.path for record in records]
    write_shards(plain, tmp_path / "plain", per_shard=5, progress=False)
    assert_same(image_folder(tmp_path / "large", 32, 4), image_folder(tmp_path / "plain", 32, 4))
    names, paths = identified(tmp_path / "plain")
    assert names == paths == identified(paths)[1]
    assert paths[5] == f"{tmp_path / 'plain' / 'shard-00001.tfrecord'}#0"
    before = files_identity(paths)
    os.utime(tmp_path / "plain" / "shard-00002.tfrecord", (1, 1))
    assert files_identity(paths) != before


def test_refuses_what_cannot_be(photos, tmp_path, save_image):
    records, folder = DetectionDataset.from_voc(photos), tmp_path / "shards"
    refused("image id 00 is there twice", write, [*records, records[0]], folder)
    assert not folder.exists()
    write_shards([record.path for record in records], folder, per_shard=5, progress=False)
    refused("hold images without labels", DetectionDataset.from_shards, folder)
    refused("per_shard 5, no labels, not .* per_shard 5, labels", write, records, folder)
    write(records, tmp_path / "labeled")
    turned = [dataclasses.replace(record, classes=19 - record.classes) for record in records]
    turned = DetectionDataset(turned, VOC_CLASSES[::-1])
    refused("at place 0 is aeroplane, not tvmonitor", write, turned, tmp_path / "labeled")
    longer = DetectionDataset(records, [*VOC_CLASSES, "sheep dog"])
    refused("at place 20 is none, not sheep dog", write, longer, tmp_path / "labeled")
    refused("holds no index.json", DetectionDataset.from_shards, photos)
    refused(
        "knows no .*#5; read the names from the shards again",
        read_image,
        f"{tmp_path / 'labeled' / 'shard-00000.tfrecord'}#5",
    )
    (tmp_path / "notes.txt").write_text("mine")
    for taken in (tmp_path / "notes.txt", tmp_path / "notes.txt" / "shards"):
        refused(r"notes.txt.* (cannot be written|is a file; give a folder)", write, records, taken)
