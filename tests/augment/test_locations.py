"""Matched locations against loops that follow pixels through the views, and against cases worked by hand."""

import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.augment import SimCLRViews, Views, match_locations

pytestmark = pytest.mark.current_stack

WHOLE = [0.0, 0.0, 1.0, 1.0]


def _views(first_box, second_box, flips=(False, False), size=64):
    image = tf.zeros([1, size, size, 3])
    boxes = [tf.constant([box], tf.float32) for box in (first_box, second_box)]
    return Views(image, image, *boxes, *(tf.constant([flip]) for flip in flips))


def _matched(*arguments, stride=16, **settings):
    """The matches as a list, None where there is none."""
    matches = match_locations(_views(*arguments, **settings), stride)
    return [int(location) if valid else None for location, valid in zip(matches.locations[0], matches.valid[0])]


@pytest.fixture(scope="module")
def coordinates():
    """1,000 pairs of crops and flips of an image whose pixels hold their own place: `[y, x, 0]` in pixels."""
    height, width, batch = 120, 150, 250
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    image = tf.constant(np.stack([y, x, 0 * y], -1)[None], tf.float32)
    crops = tf.function(SimCLRViews(64, jitter=0, grayscale=0, blur=0))
    images = tf.repeat(image, batch, axis=0)
    return [crops(images, tf.constant([4, step])) for step in range(1000 // batch)]


def _line(pixels):
    """The places of a view's pixels along one side, continued to its edges.

    An enlarged box's outermost pixels repeat its edge.
    """
    inner = np.arange(len(pixels))[4:-4]
    step, start = np.polyfit(inner, pixels[4:-4], 1)
    assert np.allclose(pixels[4:-4], start + step * inner, atol=1e-3)
    return start + step * np.arange(len(pixels)), step


def _holder(pixels, step, place, stride):
    """The location along one side whose pixel is nearest to a place, None beyond the view; and if that is close."""
    offsets = np.abs(pixels - place)
    nearest = int(np.argmin(offsets))
    outside = not min(pixels) - abs(step) / 2 <= place <= max(pixels) + abs(step) / 2
    close = any(abs(place - (pixels[at] - step / 2)) < 0.02 for at in range(stride, len(pixels), stride))
    close |= min(abs(offsets[0] - abs(step) / 2), abs(offsets[-1] - abs(step) / 2)) < 0.02
    return (None if outside else nearest // stride), close


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_matches_are_those_of_loops_over_pixels_when_crops_and_flips_are_random(coordinates, stride):
    grid, compared, without, unsure = 64 // stride, 0, 0, 0
    batches = coordinates[: 1 + stride // 16]  # loops take long where locations are many
    for views in batches:
        matches = match_locations(views, stride)
        assert matches.locations.dtype == tf.int32
        assert matches.locations.shape == matches.valid.shape == (250, grid * grid)
        locations, valid = matches.locations.numpy(), matches.valid.numpy()
        for pair, (first, second) in enumerate(zip(views.first.numpy(), views.second.numpy())):
            rows, columns = _line(second[:, 32, 0]), _line(second[32, :, 1])
            for location in range(grid * grid):
                middle = np.array(divmod(location, grid)) * stride + stride // 2
                around = first[middle[0] - 1 : middle[0] + 1, middle[1] - 1 : middle[1] + 1]  # four about the center
                y, x, _ = around.mean((0, 1))
                (row, close), (column, closer) = _holder(*rows, y, stride), _holder(*columns, x, stride)
                expected = None if row is None or column is None else row * grid + column
                found = int(locations[pair, location]) if valid[pair, location] else None
                compared += 1
                without += expected is None
                unsure += bool(close or closer)
                assert found == expected or close or closer, (pair, location)
    assert compared == 250 * len(batches) * grid * grid
    assert unsure < 0.02 * compared
    assert 0.2 < without / compared < 0.8


def test_locations_match_themselves_when_both_views_have_one_box():
    for flips in ((False, False), (True, True)):
        assert _matched(WHOLE, WHOLE, flips) == list(range(16))


@pytest.mark.parametrize("flips", [(True, False), (False, True)])
def test_columns_are_reversed_when_one_view_is_mirrored(flips):
    assert _matched(WHOLE, WHOLE, flips) == [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12]


def test_locations_have_no_match_when_boxes_do_not_overlap():
    assert _matched([0, 0, 0.5, 1], [0.5, 0, 1, 1]) == [None] * 16


def test_middle_locations_match_when_the_second_view_shows_the_middle():
    none = [None] * 4
    # Centers at 3/8 and 5/8 of the sides are 1/4 and 3/4 of the middle half.
    inner = [[None, 1 * 4 + 1, 1 * 4 + 3, None], [None, 3 * 4 + 1, 3 * 4 + 3, None]]
    assert _matched(WHOLE, [0.25, 0.25, 0.75, 0.75]) == none + inner[0] + inner[1] + none


def test_locations_share_a_match_when_the_second_view_shows_more():
    # The lower right quarter of the image: four of its locations make one of the whole.
    assert _matched([0.5, 0.5, 1, 1], WHOLE) == [10, 10, 11, 11, 10, 10, 11, 11, 14, 14, 15, 15, 14, 14, 15, 15]


def test_swapped_views_match_back_when_locations_are_paired_one_to_one():
    views = _views([0, 0, 0.8, 0.8], [0.2, 0.2, 1, 1], (True, False))
    there, back = match_locations(views, 16), match_locations(views.swapped(), 16)
    pairs = {(i, int(c)) for i, (c, ok) in enumerate(zip(there.locations[0], there.valid[0])) if ok}
    assert len(pairs) == 9
    assert pairs == {(int(c), i) for i, (c, ok) in enumerate(zip(back.locations[0], back.valid[0])) if ok}


def test_unmatched_locations_can_be_gathered_when_none_is_valid():
    matches = match_locations(_views([0, 0, 0.5, 1], [0.5, 0, 1, 1]), 32)
    assert matches.locations.numpy().tolist() == [[0, 0, 0, 0]]


def test_matches_are_alike_when_batch_and_size_are_unknown_to_the_graph(coordinates):
    views = Views(*(field[:8] for field in coordinates[0]))
    eager = match_locations(views, 32)
    shapes = [[None, None, None, 3]] * 2 + [[None, 4]] * 2 + [[None]] * 2
    signature = Views(*(tf.TensorSpec(shape, field.dtype) for shape, field in zip(shapes, views)))
    traced = tf.function(lambda views: match_locations(views, 32), input_signature=[signature])(views)
    for name in ("locations", "valid"):
        np.testing.assert_array_equal(getattr(traced, name), getattr(eager, name))


@pytest.mark.parametrize("stride", [0, 12, 2.5, True])
def test_stride_is_refused_when_it_does_not_divide_the_views(stride):
    with pytest.raises(UserError, match=f"stride is {stride} for views of 64 px.*8, 16 or 32"):
        match_locations(_views(WHOLE, WHOLE), stride)
