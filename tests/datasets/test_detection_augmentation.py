"""Annotated images in batches with an augmentation, and JPEGs that are shrunk while they are decoded."""

import dataclasses
import io
import math

import numpy as np
import PIL.Image
import pytest

from kerassl import UserError
from kerassl.augment import BoxAugmentation
from kerassl.datasets import Record, detection_batches, single_object_batches
from kerassl.datasets.images.decoding import decode, shrinkage
from kerassl.resizing import letterbox

pytestmark = pytest.mark.current_stack
NEVER = {"flip": 0.0, "zoom": 0.0, "crop": 0.0, "jitter": 0.0}


@pytest.fixture
def record(tmp_path):
    """`record(name, height, width, *boxes)`: a gray image with a white rectangle for each box."""

    def make(name, height, width, *boxes, suffix="png", difficult=None, ground=90):
        pixels = np.full((height, width, 3), ground, np.uint8)
        for x0, y0, x1, y1 in boxes:
            pixels[y0:y1, x0:x1] = 255
        path = tmp_path / f"{name}.{suffix}"
        PIL.Image.fromarray(pixels).save(path, **({"quality": 95, "subsampling": 0} if suffix == "jpg" else {}))
        return Record(
            name,
            str(path),
            height,
            width,
            np.array(boxes, np.float32).reshape(-1, 4),
            np.arange(len(boxes), dtype=np.int32),
            np.array(difficult if difficult is not None else [False] * len(boxes)),
        )

    return make


def _white(image, low=172):
    ys, xs = np.nonzero(image[..., 0] > low)
    return [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


def _taken(dataset):
    return [{"images": each["images"].numpy(), **each["bounding_boxes"]} for each in dataset]


def _same(first, second):
    return all(np.array_equal(first[key], second[key]) for key in first)


def test_batches_are_the_same_for_a_seed_and_an_epoch_and_others_else(record):
    records = [record(f"{n}", 40 + 8 * n, 60, (n, 3, 30 + n, 30), (35, 5, 55, 38)) for n in range(7)]

    def epochs(count, seed=0, mosaic=0.5, **kwargs):
        augmentation = BoxAugmentation(mosaic=mosaic)
        settings = {"shuffle": True, "seed": seed, "augmentation": augmentation, **kwargs}
        return _taken(detection_batches(records, 64, 4, **settings).repeat().take(2 * count))

    two = epochs(2)
    assert all(_same(first, second) for first, second in zip(two[2:], epochs(1, initial_epoch=1), strict=True))
    assert not _same(two[0], two[2])


def test_shapes_are_known_and_rows_are_as_many_as_four_images_can_have(record):
    records = [
        record("a", 64, 64, (0, 0, 30, 30), (30, 30, 60, 60), (0, 30, 30, 60)),
        record("b", 64, 64, (0, 0, 60, 60)),
        record("c", 64, 64),
        *(record(f"d{n}", 64, 64, (4, 4, 40, 40), (40, 40, 60, 60)) for n in range(3)),
    ]
    for mosaic, batch, rows in ((0.0, 4, 3), (1.0, 4, 9)):
        dataset = detection_batches(records, 32, batch, augmentation=BoxAugmentation(mosaic=mosaic))
        spec = dataset.element_spec
        assert spec["images"].shape.as_list() == [None, 32, 32, 3]
        assert spec["bounding_boxes"]["boxes"].shape.as_list() == [None, rows, 4]
        assert spec["bounding_boxes"]["classes"].shape.as_list() == [None, rows]
        assert dataset.cardinality() == math.ceil(6 / batch)
    full = detection_batches(records, 32, 4, augmentation=BoxAugmentation(), drop_remainder=True).element_spec
    assert full["images"].shape.as_list() == [4, 32, 32, 3]
    # All boxes of four images that stay whole are there.
    whole = {**NEVER, "mosaic": 1.0, "min_size": 0.0, "min_visibility": 0.0}
    boxes = np.concatenate(
        [each["classes"] for each in _taken(detection_batches(records, 32, 4, augmentation=BoxAugmentation(**whole)))],
    )
    assert (boxes[:4] >= 0).sum(axis=1).max() >= 6


def test_difficult_boxes_are_left_out_or_kept_and_an_image_may_have_none(record):
    records = [
        record("a", 64, 64, (4, 4, 30, 30), (34, 34, 60, 60), difficult=[True, False]),
        record("b", 64, 64, (4, 4, 30, 30), difficult=[True]),
    ]
    found = {}
    for difficult in (True, False):
        dataset = detection_batches(records, 64, 2, difficult=difficult, augmentation=BoxAugmentation(**NEVER))
        (batch,) = _taken(dataset)
        found[difficult] = [sorted(row[row >= 0]) for row in batch["classes"].numpy()]
    assert found == {True: [[0, 1], [0]], False: [[1], []]}


def test_one_object_keeps_its_share_and_its_box_is_that_of_its_pixels(record):
    records = [record(f"{n}", 60, 90, (60 - 4 * n, 10, 88 - 4 * n, 50), difficult=None, suffix="png") for n in range(8)]
    augmentation = BoxAugmentation(jitter=0.0, crop=1.0, scale=(0.1, 0.5), min_visibility=0.7, zoom=0.3)
    dataset = single_object_batches(records, 64, 8, augmentation=augmentation).repeat()
    sizes = []
    for images, target in dataset.take(25):
        assert target["class"].numpy().tolist() == [0] * 8
        for image, box in zip(images.numpy(), target["box"].numpy() * 64):
            np.testing.assert_allclose(_white(image), box, atol=1)
            sizes.append((box[2] - box[0]) * (box[3] - box[1]))
    assert np.std(sizes) / np.mean(sizes) > 0.2


def test_refuses_what_does_not_go_together(record):
    records, augmentation = [record("a", 64, 64, (4, 4, 30, 30))], BoxAugmentation(mosaic=0.5)
    for read in (detection_batches, single_object_batches):
        with pytest.raises(UserError, match="mirrors too; leave flip out"):
            read(records, 64, 1, flip=True, augmentation=augmentation)
        with pytest.raises(UserError, match="no annotated images"):
            read([], 64, 1, augmentation=BoxAugmentation())
    with pytest.raises(UserError, match="of four images, but batch_size is 3"):
        detection_batches(records, 64, 3, augmentation=augmentation)
    with pytest.raises(UserError, match=r"mosaic is 0\.5, but a mosaic has several objects"):
        single_object_batches(records, 64, 1, augmentation=augmentation)


def test_broken_image_is_replaced_when_there_is_an_augmentation(record, caplog):
    records = [record(f"{n}", 64, 64, (4, 4, 30 + n, 30)) for n in range(5)]
    with open(records[2].path, "wb"):
        pass
    dataset = detection_batches(records, 64, 5, augmentation=BoxAugmentation(mosaic=1.0))
    ((batch,), (_,)) = _taken(dataset), _taken(dataset)
    assert batch["images"].shape == (5, 64, 64, 3)
    assert caplog.text.count("2.png is empty") == 1


# ---- shrunk while decoded


def _jpeg(pixels):
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()


def test_jpegs_are_shrunk_as_far_as_their_long_side_allows():
    contents = _jpeg(np.zeros((100, 257, 3), np.uint8))
    for longest, ratio in ((258, 1), (129, 1), (128, 2), (65, 2), (64, 4), (32, 8), (4, 8)):
        assert shrinkage(contents, longest) == ratio
        assert decode(contents, longest=longest).shape == (math.ceil(100 / ratio), math.ceil(257 / ratio), 3)
    file = io.BytesIO()
    PIL.Image.new("RGB", (257, 100)).save(file, "PNG")
    assert shrinkage(file.getvalue(), 32) == 1
    assert decode(file.getvalue(), longest=32).shape == (100, 257, 3)


@pytest.mark.parametrize(
    ("height", "width", "augmentation"),
    [(403, 601, None), (601, 403, BoxAugmentation(**{**NEVER, "flip": 0.5, "crop": 1.0}))],
)
def test_boxes_stay_on_objects_of_shrunk_jpegs(record, height, width, augmentation):
    made = record("a", height, width, (width - 171, 60, width - 20, height - 7), suffix="jpg")
    made = dataclasses.replace(made, height=1, width=1)  # the file's own size counts
    flip = augmentation is None
    dataset = detection_batches([made], 64, 1, flip=flip, augmentation=augmentation).repeat().take(8)
    for batch in _taken(dataset):
        np.testing.assert_allclose(_white(batch["images"][0]), batch["boxes"][0, 0], atol=1)


def test_shrunk_jpegs_are_as_near_to_the_mean_of_their_pixels_and_show_no_moire(record, tmp_path):
    size = 64
    y, x = np.mgrid[:512, :512]
    # Rings that grow finer outwards, to one and a half pixels each.
    rings = 127.5 + 127.5 * np.cos((x**2 + y**2) * np.pi / 700)
    pixels = np.repeat(rings[..., None], 3, -1).astype(np.uint8)
    (tmp_path / "rings.jpg").write_bytes(_jpeg(pixels))
    rings_record = dataclasses.replace(record("a", 512, 512), path=str(tmp_path / "rings.jpg"))
    (batch,) = _taken(detection_batches([rings_record], size, 1))
    whole = letterbox(decode((tmp_path / "rings.jpg").read_bytes()), size)[0].numpy()
    finest = np.hypot(*np.mgrid[:size, :size]) > size / 2  # nothing of these rings can be shown
    mean = pixels.reshape(size, 8, size, 8, 3).mean((1, 3))
    found = {
        name: (np.std(image[finest]), np.abs(image - mean).mean())
        for name, image in (("shrunk", batch["images"][0]), ("whole", whole))
    }
    assert found["shrunk"][1] < found["whole"][1]
    assert found["shrunk"][0] < 2  # of rings whose own deviation is 90
