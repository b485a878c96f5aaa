"""The rule by which an audit names a region: what is planted is found, and chance is not."""

import numpy as np
import pytest

from kerassl.boxes import box_iou
from kerassl.explain import recurring_regions
from kerassl.explain.audit.matching import SIDE, agreement, edges
from kerassl.explain.audit.off_object import GRID, off_object_saliency, saliency_in
from kerassl.explain.audit.windows import Window, all_windows

pytestmark = pytest.mark.current_stack  # NumPy alone: both stacks would find out the same

CLASSES, EACH = 3, 11


def _image(rng, height=120, width=SIDE):
    """Uneven ground with things of any shape on it."""
    ground = rng.uniform(60, 190, (height // 8 + 1, width // 8 + 1, 3)).repeat(8, 0).repeat(8, 1)[:height, :width]
    for _ in range(12):
        y, x, h, w = rng.integers(0, [height, width, 40, 40])
        ground[y : y + h + 2, x : x + w + 2] = rng.uniform(0, 255, 3)
    return ground + rng.normal(0, 4, ground.shape)


_STAMP = np.random.default_rng(99).random((10, 30)).round().repeat(2, 0)[:16, :, None] * 255.0


class _Set:
    """Images of three classes with an object in the middle, and saliency on it."""

    def __init__(self, seed, shapes=((120, SIDE),), each=EACH):
        self.rng = np.random.default_rng(seed)
        count = CLASSES * each
        self.labels = np.arange(count) % CLASSES
        shapes = [shapes[number % len(shapes)] for number in range(count)]
        self.images = [_image(self.rng, *shape) for shape in shapes]
        self.sizes = np.array(shapes) / SIDE
        self.saliency = self.rng.uniform(0, 0.05, (count, SIDE, SIDE))
        self.objects = np.zeros((count, SIDE, SIDE), bool)
        for number, (height, width) in enumerate(shapes):
            rows, columns = (slice(side // 3, 2 * side // 3) for side in (height, width))
            self.objects[number, rows, columns] = True
            self.saliency[number, rows, columns] = self.rng.uniform(0.5, 1)

    def stamp(self, members, place="lower left", jitter=2):
        """Prints a stamp 6 pixels from the lower edge; gives the region that holds all of them."""
        spots = []
        for number in members:
            image = self.images[number]
            y, x = np.array([image.shape[0] - 22, 6]) + self.rng.integers(-jitter, jitter + 1, 2)
            if place == "lower right":
                x = image.shape[1] - 30 - x
            image[y : y + 16, x : x + 30] = _STAMP
            spots.append(np.array([x, y, x + 30, y + 16]) / np.tile(image.shape[1::-1], 2))
        return np.array([*np.min(spots, axis=0)[:2], *np.max(spots, axis=0)[2:]])

    def highlight(self, members, area=(slice(95, 120), slice(0, 40))):
        self.saliency[(members, *area)] = 1.0

    def find(self, **settings):
        squares = np.stack([edges(_square(image), *image.shape[:2]) for image in self.images])
        present = self.labels[:, None] == np.arange(CLASSES)
        grids = off_object_saliency(self.saliency, self.objects, self.sizes)
        saliency = (np.arange(len(squares)), self.labels, grids)
        return recurring_regions(squares, self.sizes, present, saliency, permutations=199, **settings)


def _square(image):
    square = np.zeros((SIDE, SIDE, 3))
    square[: image.shape[0], : image.shape[1]] = image
    return np.clip(square, 0, 255)


def _members(data, label, count=EACH):
    return np.flatnonzero(data.labels == label)[:count]


def _overlap(region, truth):
    return box_iou(region[None], truth[None])[0, 0]


def test_stamp_of_one_class_is_found_with_its_place_and_images_when_it_attracts_saliency():
    data, count = _Set(0), 8
    members = _members(data, 1, count)
    truth = data.stamp(members)
    data.highlight(members)
    (found,) = data.find()
    assert found.class_id == 1
    assert found.drawn
    assert _overlap(found.region, truth) >= 0.6
    assert set(found.images) == set(members)
    assert found.share == pytest.approx(count / EACH)
    assert found.agreement > 0.5
    assert found.p_value <= 0.01
    assert found.saliency > 2 * found.saliency_elsewhere

    # Whatever the order of the images is.
    turned = np.arange(len(data.labels))[::-1]
    data.images = [data.images[number] for number in turned]
    data.labels, data.sizes = data.labels[turned], data.sizes[turned]
    data.saliency, data.objects = data.saliency[turned], data.objects[turned]
    (other,) = data.find()
    np.testing.assert_allclose(other.region, found.region, atol=0.03)
    assert {len(data.labels) - 1 - number for number in other.images} == set(members)


def test_stamp_is_found_at_its_edge_when_images_are_landscape_and_portrait():
    data = _Set(1, shapes=[(120, SIDE), (SIDE, 120), (SIDE, SIDE)])
    data.labels = np.arange(len(data.labels)) // EACH  # each shape in each class
    members = _members(data, 2)
    truth = data.stamp(members, "lower right")
    for number in members:
        height, width = data.images[number].shape[:2]
        data.highlight(number, (slice(height - 25, height), slice(width - 40, width)))
    (found,) = data.find()
    assert found.class_id == 2
    assert found.drawn
    assert _overlap(found.region, truth) >= 0.5
    assert set(found.images) <= set(members)
    assert len(found.images) >= EACH - 2


def test_stamp_recurs_but_attracts_nothing_when_the_saliency_is_elsewhere():
    data = _Set(2)
    data.stamp(_members(data, 0))
    (found,) = data.find()
    assert found.class_id == 0
    assert not found.drawn
    assert found.p_recurs <= 0.01 < found.p_saliency


def test_stamp_attracts_nothing_when_it_is_within_the_object():
    data = _Set(3)
    members = _members(data, 0)
    data.stamp(members)
    data.highlight(members)
    data.objects[members, 90:120, 0:50] = True
    assert not any(found.drawn for found in data.find())


def test_nothing_is_found_when_every_class_has_the_stamp():
    data = _Set(4)
    data.stamp(np.arange(len(data.labels)))
    data.highlight(_members(data, 0))
    assert data.find() == []


def test_nothing_is_found_when_other_things_are_at_one_place():
    data = _Set(5)
    members = _members(data, 1)
    for number in members:
        data.images[number][98:114, 6:36] = data.rng.random((8, 30, 3)).round().repeat(2, 0) * 255
    data.highlight(members)
    assert data.find() == []


def test_nothing_is_found_when_images_are_doubles_of_each_other():
    data = _Set(6)
    members = _members(data, 1, 6)
    for number in members:
        data.images[number] = data.images[members[0]] + data.rng.normal(0, 2, data.images[0].shape)
    data.highlight(members)
    assert data.find() == []


@pytest.mark.parametrize("sets", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_false_findings_are_as_rare_as_the_level_when_nothing_recurs(sets):
    alarms = []
    for seed in range(sets):
        data = _Set(100 + seed, each=7)
        data.highlight(_members(data, seed % CLASSES))  # the saliency differs from class to class, as it does
        alarms.append(data.find(level=0.05))
    # 4 or more of 20 at a level of 0.05 have a chance of 0.016.
    assert sum(len(found) > 0 for found in alarms) <= 3 * sets // 20
    assert not any(each.p_value <= 0.01 for found in alarms for each in found)


def test_classes_of_too_few_images_are_left_alone():
    data = _Set(8)
    members = _members(data, 1, 3)
    data.stamp(members, jitter=0)
    data.highlight(members)
    assert data.find() == []


def test_agreement_is_high_when_outlines_are_shifted_a_little_or_light_differs():
    rng = np.random.default_rng(0)
    first = _image(rng, SIDE, SIDE)
    moved = np.roll(0.5 * first + 80, (2, -4), axis=(0, 1))  # darker, flatter, and beside its place
    other = _image(rng, SIDE, SIDE)
    flat = np.full((SIDE, SIDE, 3), 128.0)
    images = np.stack([edges(np.clip(each, 0, 255), SIDE, SIDE) for each in (first, moved, other, flat)])
    found = agreement(images, np.full([4, 2], 60), 40, 40)
    np.testing.assert_array_equal(found, found.T)
    assert found[0, 1] > 0.9
    assert found[0, 2] < 0.5
    np.testing.assert_array_equal(found[3], 0)


def test_margin_of_the_letterbox_is_no_outline():
    image = np.full((100, SIDE, 3), 200.0)
    assert not edges(_square(image), 100, SIDE).any()


def test_windows_touch_all_edges_of_images_of_any_shape():
    sizes = np.array([[0.75, 1.0], [1.0, 0.75], [1.0, 1.0]])
    corners = np.array([window.corners(sizes) for window in all_windows()])
    ends = np.array([window.corners(sizes) + [window.height, window.width] for window in all_windows()])
    assert corners.min() == 0
    np.testing.assert_allclose(ends.max(axis=0), sizes)
    corners = Window(1.0, 0.5, 0.25, 0.125).corners([*sizes, [0.1, 1.0]])
    np.testing.assert_allclose(corners, [[0.3125, 0.75], [0.4375, 0.5], [0.4375, 0.75], [0.0, 0.75]])


@pytest.mark.parametrize("side", [32, 48, 224])
def test_off_object_saliency_equals_sums_over_pixels(side):
    rng = np.random.default_rng(0)
    saliency, objects = rng.random((3, side, side)), rng.random((3, side, side)) < 0.3
    saliency[2] = 0
    sizes = np.array([[0.75, 1.0], [1.0, 0.5], [1.0, 1.0]])
    boxes = np.array([[0.25, 0.5, 0.75, 1.0]] * 3)
    grids = off_object_saliency(saliency, objects, sizes)
    assert grids.shape == (3, GRID, GRID)
    found = saliency_in(grids, boxes)
    for number, (height, width) in enumerate(np.rint(sizes * side).astype(int)):
        total = saliency[number, :height, :width].sum()
        inside = 0.0
        for y in range(side // 2, height):
            for x in range(side // 4, min(3 * side // 4, width)):
                inside += saliency[number, y, x] * (not objects[number, y, x])
        assert found[number] == pytest.approx(inside / total if total else 0.0, abs=1e-6)


def test_saliency_is_even_within_a_square_of_the_grid():
    grid = np.zeros([1, GRID, GRID])
    grid[0, 3, 5] = 1.0
    boxes = np.array([[5.25, 0.0, 5.75, 3.5]]) / GRID
    assert saliency_in(grid, boxes)[0] == pytest.approx(0.25)
