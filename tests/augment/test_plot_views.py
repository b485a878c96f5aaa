"""The contact sheet: what is numbered, where boxes are drawn, what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.augment import SimCLRViews, Views, match_locations, plot_views
from kerassl.augment.plot_views import _numbers

pytestmark = pytest.mark.current_stack

ORANGE, CYAN = (255, 159, 28), (0, 194, 209)


def _views(count=2, size=64):
    images = tf.fill([count, 96, 96, 3], 128.0)
    return images, SimCLRViews(size)(images, tf.constant([0, 3]))


def _places(sheet, color):
    return np.argwhere(np.all(np.abs(sheet.astype(int) - color) < 6, axis=-1))


def test_numbers_mark_both_locations_of_every_match_when_several_share_one():
    _, views = _views(count=8)
    matches = match_locations(views, 16)
    for locations, valid in zip(matches.locations.numpy(), matches.valid.numpy()):
        first, second = _numbers(locations, valid)
        pairs = {number: [location] for location, (number,) in first.items()}
        for location, numbers in second.items():
            for number in numbers:
                pairs[number].append(location)
        assert sorted(map(tuple, pairs.values())) == [
            (location, locations[location]) for location in np.flatnonzero(valid)
        ]
        assert sorted(pairs) == list(range(1, valid.sum() + 1))


def test_boxes_are_drawn_where_the_views_were_cut_when_their_colors_are_looked_for():
    image = tf.fill([1, 64, 64, 3], 128.0)
    no = tf.constant([False])
    boxes = [tf.constant([box]) for box in ([0.1, 0.2, 0.5, 0.9], [0.4, 0.1, 0.9, 0.6])]
    ground = (40, 90, 160)
    sheet = plot_views(np.tile(np.array(ground), [1, 200, 200, 1]), Views(image, image, *boxes, no, no))
    panel = _places(sheet, ground)
    (top, left), (bottom, right) = panel.min(0), panel.max(0)
    for color, box in ((ORANGE, boxes[0]), (CYAN, boxes[1])):
        y0, _, y1, x1 = box[0].numpy() * (np.array([bottom - top, right - left] * 2) + 1)
        drawn = _places(sheet, color)
        drawn = drawn[drawn[:, 1] <= right]
        assert drawn[:, 1].max() == pytest.approx(left + x1, abs=3)  # badges stand at the left
        # A badge's corner may stand out by a little.
        assert drawn[:, 0].min() == pytest.approx(top + y0, abs=7)
        assert drawn[:, 0].max() == pytest.approx(top + y1, abs=7)


def test_sheet_has_a_row_an_image_and_shows_other_views_when_they_differ():
    images, views = _views(2)
    two = plot_views(images, views, names=["a.jpg", "b.jpg"], title="Views")
    one = plot_views(images[:1], Views(*(field[:1] for field in views)), names=["a.jpg"], title="Views")
    assert two.dtype == np.uint8
    assert two.shape[1] == one.shape[1] > 1000
    assert 1.5 < two.shape[0] / one.shape[0] < 2
    _, others = _views(2)
    np.testing.assert_array_equal(two, plot_views(images, others, names=["a.jpg", "b.jpg"], title="Views"))
    brighter = others._replace(second=others.second + 60)
    assert np.any(two != plot_views(images, brighter, names=["a.jpg", "b.jpg"], title="Views"))


def test_sheet_is_refused_when_numbers_do_not_fit():
    images, views = _views(2)
    with pytest.raises(UserError, match="views 2 and names 1"):
        plot_views(images, views, names=["a.jpg"])
    with pytest.raises(UserError, match=r"images are \(1, 96, 96, 3\)"):
        plot_views(images[:1], views)
    with pytest.raises(UserError, match="stride is 24"):
        plot_views(images, views, stride=24)
