"""Regions that are painted over in training images."""

import json

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.augment import BoxAugmentation
from kerassl.datasets import Record, detection_batches, single_object_batches
from kerassl.datasets.pipeline.erase import erased_regions, paint_over

pytestmark = pytest.mark.current_stack


def _by_hand(image, regions):
    found = image.copy()
    height, width = image.shape[:2]
    for y in range(height):
        for x in range(width):
            across, down = (x + 0.5) / width, (y + 0.5) / height
            if any(x0 <= across < x1 and y0 <= down < y1 for x0, y0, x1, y1 in regions):
                found[y, x] = np.round(image.reshape(-1, 3).mean(axis=0))
    return found


@pytest.mark.parametrize("size", [(40, 60), (61, 37), (1, 5)])
def test_regions_get_the_mean_color_and_the_rest_stays(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    regions = [[0.0, 0.75, 0.4, 1.0], [0.5, 0.1, 0.93, 0.31]]
    painted = tf.function(lambda image: paint_over(image, erased_regions(regions)))(tf.constant(image))
    assert painted.dtype == tf.uint8
    np.testing.assert_array_equal(painted, _by_hand(image, regions))


def test_image_is_left_alone_when_there_is_no_region():
    image = tf.ones([4, 4, 3])
    assert paint_over(image, erased_regions(None)) is image
    assert paint_over(image, erased_regions({})) is image


def test_file_list_and_dict_say_the_same(tmp_path):
    regions = {"cow": [[0.0, 0.5, 0.25, 1.0]], "all": [[0.5, 0.0, 1.0, 0.5], [0.0, 0.0, 1.0, 0.125]]}
    path = tmp_path / "regions.json"
    path.write_text(json.dumps(regions))
    expected = np.array([*regions["cow"], *regions["all"]], np.float32)
    for each in (path, str(path), regions, expected.tolist(), expected):
        np.testing.assert_array_equal(erased_regions(each), expected)


@pytest.fixture
def records(tmp_path):
    """Two images of two classes and shapes, dark but for a white lower left quarter of the lower half."""
    made = []
    for number, (height, width) in enumerate([(64, 128), (128, 64)]):
        pixels = np.full((height, width, 3), 10, np.uint8)
        pixels[height // 2 :, : width // 4] = 250
        path = tmp_path / f"{number}.png"
        PIL.Image.fromarray(pixels).save(path)
        box = np.array([[width // 2, 0, width, height // 4]], np.float32)
        made.append(Record(str(number), str(path), height, width, box, np.array([number], np.int32), np.zeros(1, bool)))
    return made


REGIONS = {"first": [[0.0, 0.5, 0.25, 1.0]]}


@pytest.mark.parametrize(("read", "augmentation"), [(single_object_batches, "mirrored"), (detection_batches, None)])
def test_images_of_every_class_are_painted_before_they_are_mirrored(records, read, augmentation):
    mirrored = None
    if augmentation:
        mirrored = BoxAugmentation(flip=1.0, zoom=0.0, crop=0.0, jitter=0.0)
    plain, painted = (next(iter(read(records, 64, 2, erase=erase, augmentation=mirrored))) for erase in (None, REGIONS))
    images, boxes = [], []
    for batch in (plain, painted):
        images.append((batch["images"] if read is detection_batches else batch[0]).numpy())
        boxes.append((batch["bounding_boxes"]["boxes"] if read is detection_batches else batch[1]["box"]).numpy())
    assert all((image > 150).any() for image in images[0])
    assert not (images[1] > 150).any()
    # Mean color: an eighth is white.
    np.testing.assert_allclose(images[1][images[0] > 249.5], 10 + 240 / 8, atol=1.5)
    np.testing.assert_array_equal(*boxes)


def test_every_second_image_is_painted_where_its_mirror_image_is_when_flips_are_drawn(records):
    for batch in single_object_batches(records * 8, 64, 16, flip=True, erase=REGIONS):
        assert not (batch[0].numpy() > 150).any()


@pytest.mark.parametrize(
    ("erase", "says"),
    [
        ([[0, 0, 1.5, 1]], "1.5"),
        ([[0.5, 0, 0.5, 1]], "0.5"),
        ([[0, 0, 1]], "(1, 3)"),
        ({"cow": 3}, "without a list"),
        ({"cow": ["left"]}, "no list of regions"),
        ([[0, 0, float("nan"), 1]], "nan"),
        ("missing.json", "cannot be read"),
    ],
)
def test_input_is_refused_in_one_line_when_invalid(records, erase, says):
    with pytest.raises(UserError) as caught:
        single_object_batches(records, 64, 2, erase=erase)
    assert says in str(caught.value)
    assert "shares of the image" in str(caught.value)
    assert "\n" not in str(caught.value)
