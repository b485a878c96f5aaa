"""Boxes and pixels against plain loops and Pillow, objects found by their colors, and the distributions of draws."""

import math

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from scipy import stats

from kerassl import UserError
from kerassl.augment import BoxAugmentation
from kerassl.augment.box_augmentation import _DRAWS, Placed
from kerassl.augment.box_weights import BoxWeights
from kerassl.augment.mosaic import CENTER, mosaic
from kerassl.augment.windows import ATTEMPTS
from kerassl.resizing import letterbox

SIZE = 96
NEVER = {"flip": 0.0, "zoom": 0.0, "crop": 0.0, "jitter": 0.0, "mosaic": 0.0}
SURE = 0.001
# By the class of the object. The ground is gray: each channel of a mixture shows which of both there is more of.
COLORS = np.array([[number & 1, number >> 1 & 1, number >> 2 & 1] for number in range(1, 8)]) * 255


def _scene(rng, classes=(0, 1, 2)):
    """A gray image of random sides with a rectangle for each class, apart from each other: pixels and boxes."""
    height, width = rng.integers(90, 260, 2)
    pixels = np.full([height, width, 3], 128, np.uint8)
    boxes = np.zeros([len(classes), 4], np.float32)
    lane = width // len(classes)
    for place, number in enumerate(rng.permutation(len(classes))):
        x0 = place * lane + rng.integers(2, lane // 3)
        x1 = rng.integers(x0 + 8, (place + 1) * lane - 1)
        y0 = rng.integers(0, height - 20)
        y1 = rng.integers(y0 + 8, height + 1)
        pixels[y0:y1, x0:x1] = COLORS[classes[number]]
        boxes[number] = x0, y0, x1, y1
    return pixels, boxes


def _found(image, number):
    """The box of an object's pixels, xyxy, or None."""
    sign = np.where(COLORS[number] > 0, 1, -1)
    ys, xs = np.nonzero(np.all((image - 128) * sign > 64, axis=-1))
    return None if not len(xs) else np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])


def _compiled(augmentation, size=SIZE):
    return tf.function(
        lambda image, boxes, seed: augmentation.place(image, boxes, size, seed),
        input_signature=[
            tf.TensorSpec([None, None, 3], tf.uint8),
            tf.TensorSpec([None, 4]),
            tf.TensorSpec([3], tf.int32),
        ],
    )


def _stacked(placed):
    return Placed(*(tf.stack(field) for field in zip(*placed)))


def _batches(augmentation, count, batch, objects, seed=0):
    """Batches of scenes with their placed forms: (pixels, boxes, `Placed`, images, boxes, classes)."""
    rng, place = np.random.default_rng(seed), _compiled(augmentation)
    finish = tf.function(lambda placed, classes: augmentation.finish(placed, classes))
    for step in range(count):
        classes = [rng.choice(7, objects, replace=False) for _ in range(batch)]
        if batch * objects <= 7:  # each color in one image alone
            classes = np.split(rng.permutation(7)[: batch * objects], batch)
        scenes = [_scene(rng, each) for each in classes]
        placed = _stacked([place(*scene, [seed, step, number]) for number, scene in enumerate(scenes)])
        yield scenes, classes, placed, [each.numpy() for each in finish(placed, tf.cast(classes, tf.float32))]


# ---- plain loops


def _draws(numbers):
    ends = np.cumsum(list(_DRAWS.values()))
    return dict(zip(_DRAWS, np.split(np.asarray(numbers), ends[:-1])))


def _slow_visible(box, region, visible, smallest):
    x0, y0, x1, y1 = max(box[0], region[0]), max(box[1], region[1]), min(box[2], region[2]), min(box[3], region[3])
    if x1 <= x0 or y1 <= y0 or min(x1 - x0, y1 - y0) < smallest - 1e-3:
        return None
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    share = (x1 - x0) * (y1 - y0) / ((box[2] - box[0]) * (box[3] - box[1]))
    if share < visible - 1e-4 or not region[0] <= x <= region[2] or not region[1] <= y <= region[3]:
        return None
    return [x0, y0, x1, y1]


def _slow_place(own, pixels, boxes, size, draws):
    """The square, the boxes and the region, by the rules in words."""
    height, width = pixels.shape[:2]
    zoomed, cropped = draws["zoom"][0] < own.zoom, draws["crop"][0] < own.crop
    low, high = own.zoom_range
    factor = low * (high / low) ** float(draws["factor"][0]) if zoomed else 1.0
    for attempt in range(ATTEMPTS + 1):
        w, h, zoom, at = width, height, factor, draws["positions"][2 * attempt : 2 * attempt + 2]
        if attempt == ATTEMPTS:
            zoom, at = min(factor, 1.0), (0, 0)
        elif cropped:
            area = own.scale[0] + draws["areas"][attempt] * (own.scale[1] - own.scale[0])
            ratio = own.ratio[0] * (own.ratio[1] / own.ratio[0]) ** float(draws["ratios"][attempt])
            w = min(width, math.sqrt(area * width * height * ratio))
            h = min(height, math.sqrt(area * width * height / ratio))
        longest = max(w, h)
        w, h = max(1, round(min(w, longest / zoom))), max(1, round(min(h, longest / zoom)))
        scale = zoom * size / longest
        shown = [min(size, max(1, round(side * scale))) for side in (w, h)]
        x, y = int(at[0] * (width - w + 1)), int(at[1] * (height - h + 1))
        scales = [shown[0] / w, shown[1] / h] * 2
        moved = [[(corner - start) * by for corner, start, by in zip(box, (x, y, x, y), scales)] for box in boxes]
        if not len(boxes) or any(_slow_visible(box, [0, 0, *shown], own.min_visibility, own.min_size) for box in moved):
            break
    offset = [2 * int(draws["offset"][axis] * ((size - shown[axis]) // 2 + 1)) if zoomed else 0 for axis in (0, 1)]
    part = pixels[y : y + h, x : x + w]
    if draws["flip"][0] < own.flip:
        part = part[:, ::-1]
        moved = [[shown[0] - x1, y0, shown[0] - x0, y1] for x0, y0, x1, y1 in moved]
    square = np.zeros([size, size, 3])
    image = PIL.Image.fromarray(part).resize(shown, PIL.Image.BILINEAR)
    square[offset[1] : offset[1] + shown[1], offset[0] : offset[0] + shown[0]] = image
    moved = [[x0 + offset[0], y0 + offset[1], x1 + offset[0], y1 + offset[1]] for x0, y0, x1, y1 in moved]
    return square, moved, [*offset, offset[0] + shown[0], offset[1] + shown[1]]


def _slow_mosaic(row, placed, classes, draws, size, own):
    """A mosaic and its objects by loops over quarters and pixels' rows."""
    count = len(classes)
    low, high = (round(size * end) for end in CENTER)
    center = [low + int(draw * (high - low + 1)) for draw in draws["center"]]
    left, others = list(range(1, count)), []
    for number in range(3):
        others.append(left.pop(int(draws["partners"][number] * (count - 1 - number))))
    sources = np.array([row, *((row + other) % count for other in others)])[np.argsort(draws["places"])]
    image, objects = np.zeros([size, size, 3]), []
    for quarter, source in enumerate(sources):
        bounds = [(0, center[axis]) if not quarter >> axis & 1 else (center[axis], size) for axis in (0, 1)]
        region, shift = [], []
        for axis, (begin, end) in enumerate(bounds):
            first, last = placed.region[source][axis], placed.region[source][axis + 2]
            side = int(last - first) // 2
            spare = side - (end - begin)
            if spare > 0:
                at = begin - int(draws["parts"][2 * quarter + axis] * (spare + 1))
            else:
                at = begin if quarter >> axis & 1 else end - side
            region.append((max(at, begin), min(at + side, end)))
            shift.append(at - int(first) // 2)
        square = placed.image[source]
        halves = (square[::2, ::2] + square[1::2, ::2] + square[::2, 1::2] + square[1::2, 1::2]) / 4
        for y in range(*region[1]):
            x0, x1 = region[0]
            image[y, x0:x1] = halves[y - shift[1], x0 - shift[0] : x1 - shift[0]]
        for box, number in zip(placed.boxes[source], classes[source]):
            moved = [corner / 2 + by for corner, by in zip(box, (*shift, *shift))]
            shown = _slow_visible(
                moved, [region[0][0], region[1][0], region[0][1], region[1][1]], own.min_visibility, own.min_size
            )
            if shown:
                objects.append((*shown, number))
    return image, objects


@pytest.mark.current_stack
@pytest.mark.parametrize("visible", [0.3, 1.0])
def test_place_is_that_of_plain_loops(visible):
    augmentation = BoxAugmentation(zoom_range=(0.4, 1.8), scale=(0.05, 0.8), min_visibility=visible)
    for scenes, _, placed, _ in _batches(augmentation, 30, 2, 3, seed=3):
        for row, (pixels, boxes) in enumerate(scenes):
            found = [field[row].numpy() for field in placed]
            square, moved, region = _slow_place(augmentation, pixels, boxes, SIZE, _draws(found[3]))
            np.testing.assert_array_equal(found[2], region)
            np.testing.assert_allclose(found[1], moved, atol=2e-3)
            # Pillow rounds to whole levels after each direction.
            np.testing.assert_allclose(found[0], square, atol=1.6)


@pytest.mark.current_stack
@pytest.mark.parametrize("batch", [1, 3, 4, 6])
def test_mosaic_is_that_of_plain_loops(batch):
    augmentation = BoxAugmentation(jitter=0.0, mosaic=0.7)
    mixed = 0
    for _, classes, placed, (images, boxes, labels) in _batches(augmentation, 12, batch, 3, seed=4):
        assert boxes.shape == (batch, 12, 4)
        placed = Placed(*(field.numpy() for field in placed))
        for row in range(batch):
            draws = _draws(placed.draws[row])
            if draws["mosaic"][0] < 0.7 and batch >= 4:
                mixed += 1
                image, objects = _slow_mosaic(row, placed, classes, draws, SIZE, augmentation)
                np.testing.assert_allclose(images[row], image, atol=1e-3)
            else:
                region = placed.region[row]
                shown = [_slow_visible(box, region, 0.3, 2.0) for box in placed.boxes[row]]
                objects = [(*box, number) for box, number in zip(shown, classes[row]) if box]
                np.testing.assert_array_equal(images[row], placed.image[row])
            kept = np.concatenate([boxes[row], labels[row][:, None]], axis=1)
            assert np.all(kept[len(objects) :] == -1)
            np.testing.assert_allclose(kept[: len(objects)], np.reshape(objects, [-1, 5]), atol=2e-3)
    assert (0 < mixed < 12 * batch) if batch >= 4 else mixed == 0


@pytest.mark.current_stack
@pytest.mark.parametrize("mosaic_share", [0.0, 0.7])
def test_cut_off_boxes_become_ignored_regions_when_they_have_weights(mosaic_share):
    augmentation = BoxAugmentation(jitter=0.0, mosaic=mosaic_share, crop=1.0, scale=(0.1, 0.3), min_visibility=0.6)
    cut, quarters = 0, 0
    for _, classes, placed, (_, plain, _) in _batches(augmentation, 6, 4, 3, seed=5):
        own = np.zeros([4, 3, 4], np.float32)
        own[..., 0] = 1 + np.arange(12).reshape(4, 3)  # tells the objects apart
        own[..., 1], own[:, 1, 2], own[:, :2, 3] = 0.5, 1, 1  # the second is ignored; the last is a human's
        background = np.arange(1.0, 5, dtype=np.float32)
        _, boxes, labels, found = augmentation.finish(
            placed, tf.cast(classes, tf.float32), None, BoxWeights(tf.constant(own), tf.constant(background))
        )
        found = {name: value.numpy() for name, value in found.items()}
        for row, (box, label) in enumerate(zip(boxes.numpy(), labels.numpy())):
            real = label >= 0
            whole = {tuple(each) for each in plain[row] if each[0] >= 0}
            kept = {tuple(each) for each in box[real]}
            assert whole <= kept
            assert (found["weight"][row, ~real] == -1).all()
            for each, weight, ignore in zip(box[real], found["weight"][row], found["ignore"][row]):
                source, place = divmod(int(weight) - 1, 3)
                assert place < 2 or tuple(each) in whole
                assert ignore == (place == 1 or tuple(each) not in whole)
                assert (each[2:] > each[:2]).all()
                cut += tuple(each) not in whole
                behind = (each[:2] + each[2:]) / 2 > found["center"][row]
                assert found["background"][row, behind[0] + 2 * behind[1]] == background[source]
            quarters += len(set(found["background"][row])) == 4
    assert cut > 5
    assert (quarters > 5) == (mosaic_share > 0)


# ---- objects by their colors


@pytest.mark.current_stack
@pytest.mark.parametrize(
    "settings",
    [
        {"zoom": 1.0, "zoom_range": (1.2, 3.0)},
        {"crop": 1.0},
        {"crop": 1.0, "scale": (0.02, 0.3), "min_visibility": 0.7},
        {"flip": 0.5, "zoom": 0.5, "crop": 0.5},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_boxes_are_those_of_the_objects_pixels(settings):
    augmentation = BoxAugmentation(**{**NEVER, **settings})
    seen = 0
    for _, classes, _, (images, boxes, labels) in _batches(augmentation, 70, 3, 2):
        for row in range(3):
            kept = {int(label): box for label, box in zip(labels[row], boxes[row]) if label >= 0}
            assert kept  # every scene has objects, so one is left
            assert set(kept) <= set(classes[row])
            for label, box in kept.items():
                np.testing.assert_allclose(_found(images[row], label), box, atol=1)
            seen += len(kept)
    assert seen > 210


@pytest.mark.current_stack
def test_boxes_are_those_of_the_objects_pixels_when_colors_change():
    augmentation = BoxAugmentation(jitter=1.0, strength=0.5)
    for _, _, placed, (images, boxes, labels) in _batches(augmentation, 70, 3, 1):
        for image, region, box, label in zip(images, placed.region.numpy().astype(int), boxes, labels):
            assert label[0] >= 0
            image = image[region[1] : region[3], region[0] : region[2]]
            values, counts = np.unique(image.round().astype(int) @ [65536, 256, 1], return_counts=True)
            colors = values[np.argsort(-counts)[:2], None] >> [16, 8, 0] & 255
            first, second = colors.astype("float32")  # object and ground, or ground and object
            x, y = ((box[0][:2] + box[0][2:]) / 2 - region[:2]).astype(int)
            thing, ground = sorted((first, second), key=lambda color: np.abs(image[y, x] - color).sum())
            other = (image - ground) @ (thing - ground)
            ys, xs = np.nonzero(other > other.max() / 2)
            found = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) + np.tile(region[:2], 2)
            np.testing.assert_allclose(found, box[0], atol=1)


@pytest.mark.current_stack
def test_boxes_are_those_of_the_objects_pixels_in_mosaics():
    augmentation = BoxAugmentation(mosaic=1.0, jitter=0.0, zoom_range=(0.8, 1.5))
    seen = 0
    for _, classes, _, (images, boxes, labels) in _batches(augmentation, 60, 4, 1, seed=1):
        for row in range(4):
            kept = {int(label): box for label, box in zip(labels[row], boxes[row]) if label >= 0}
            assert len(kept) == np.sum(labels[row] >= 0)  # four different images
            for label, box in kept.items():
                np.testing.assert_allclose(_found(images[row], label), box, atol=1)
            for label in set(np.ravel(classes)) - set(kept):  # too little of it was left
                box = _found(images[row], label)
                assert box is None or np.prod(box[2:] - box[:2]) < SIZE * SIZE / 5
            seen += len(kept)
    assert seen > 400


@pytest.mark.current_stack
def test_crop_keeps_an_object_where_there_is_one_and_any_crop_does_where_there_is_none():
    augmentation = BoxAugmentation(**{**NEVER, "crop": 1.0, "scale": (0.05, 0.2)})
    place = _compiled(augmentation)
    pixels = np.zeros([120, 160, 3], np.uint8)
    corner, none = np.array([[150, 110, 158, 118]], np.float32), np.full([1, 4], -1, np.float32)
    whole = 0
    for step in range(200):
        placed = place(pixels, corner, [0, step, 0])
        x0, y0, x1, y1 = placed.boxes.numpy()[0]
        assert 0 <= (x0 + x1) / 2 <= placed.region[2]
        assert 0 <= (y0 + y1) / 2 <= placed.region[3]
        whole += np.allclose(placed.boxes[0], corner * SIZE / 160)
        for boxes in (none, none[:0]):
            free = place(pixels, boxes, [0, step, 0])
            area = np.prod(free.region[2:]) / SIZE / SIZE
            assert area < 1 or free.region[2] == free.region[3]
    assert 0 < whole < 200  # ten attempts hit the corner now and then


@pytest.mark.current_stack
def test_image_without_boxes_and_rows_without_one_stay_so():
    augmentation = BoxAugmentation(mosaic=0.5)
    place = _compiled(augmentation)
    rng = np.random.default_rng(0)
    empty = np.full([3, 4], -1, np.float32)
    placed = [place(rng.integers(0, 256, [60, 80, 3], np.uint8), empty, [0, 0, number]) for number in range(6)]
    images, boxes, classes = augmentation.finish(_stacked(placed), tf.fill([6, 3], -1.0), most=5)
    assert images.shape == (6, SIZE, SIZE, 3)
    assert np.all(np.isfinite(images))
    np.testing.assert_array_equal(boxes, np.full([6, 5, 4], -1))
    np.testing.assert_array_equal(classes, np.full([6, 5], -1))


def test_nothing_drawn_is_the_letterbox():
    place = _compiled(BoxAugmentation(**NEVER))
    rng = np.random.default_rng(2)
    for height, width in ((60, 200), (200, 61), (97, 97), (20, 33)):
        image = rng.integers(0, 256, [height, width, 3], np.uint8)
        box = np.array([[3, 5, width - 4, height - 2]], np.float32)
        placed = place(image, box, [0, 0, 0])
        square, scale = letterbox(image, SIZE)
        np.testing.assert_allclose(placed.image, square, atol=1e-3)
        np.testing.assert_allclose(placed.boxes, box * scale, atol=0.51)  # sides are whole pixels


@pytest.mark.current_stack
def test_colors_of_the_image_change_and_the_black_around_it_does_not():
    augmentation = BoxAugmentation(**{**NEVER, "jitter": 1.0, "strength": 0.5})
    place = _compiled(augmentation)
    image = np.random.default_rng(0).integers(60, 200, [50, 100, 3], np.uint8)
    placed = _stacked([place(image, np.zeros([0, 4], np.float32), [0, 0, number]) for number in range(20)])
    images, _, _ = augmentation.finish(placed, tf.zeros([20, 0]))
    assert np.all(images[:, 48:] == 0)
    changed = np.abs(images[:, :48] - placed.image[:, :48]).mean(axis=(1, 2, 3))
    assert changed.min() > 1
    # Contrast turns about the image's own mean: alone, it leaves that as it is, whatever is black around it.
    alone = tf.zeros_like(placed.draws).numpy()
    first = {name: end - count for (name, count), end in zip(_DRAWS.items(), np.cumsum(list(_DRAWS.values())))}
    alone[:, first["factors"] : first["factors"] + 4] = 0.5
    alone[:, first["factors"] + 1] = np.linspace(0, 0.99, 20)
    images, _, _ = augmentation.finish(placed._replace(draws=tf.constant(alone)), tf.zeros([20, 0]))
    np.testing.assert_allclose(np.mean(images[:, :48]), np.mean(placed.image[:, :48]), atol=0.1)
    deviations = np.std(images[:, :48], axis=(1, 2, 3))
    assert np.all(np.diff(deviations) > 0)


# ---- draws


@pytest.mark.current_stack
def test_draws_have_their_distributions_and_depend_on_nothing_but_seed_epoch_and_image():
    size, count = 192, 1500
    augmentation = BoxAugmentation(flip=0.3, zoom=0.6, crop=0.0)
    place = _compiled(augmentation, size)
    image, none = np.zeros([size, size, 3], np.uint8), np.zeros([0, 4], np.float32)
    image[:, : size // 2] = 255

    def draw(*seed):
        return place(image, none, tf.constant(seed))

    placed = [draw(5, 1, number) for number in range(count)]
    regions = np.array([each.region for each in placed])
    sides = regions[:, 2] - regions[:, 0]
    smaller = sides < size
    # Half of a logarithmic range from 0.5 to 1.5 is not half of the smaller ones.
    share = 0.6 * math.log(2) / math.log(3)
    assert stats.binomtest(int(smaller.sum()), count, share).pvalue > SURE
    logs = np.log(sides[smaller] / size)
    assert stats.kstest(logs, "uniform", args=(math.log(0.5), math.log(2))).pvalue > SURE
    room = size - sides[smaller]
    for axis in (0, 1):
        assert stats.kstest(regions[smaller, axis][room > 40] / room[room > 40], "uniform").pvalue > SURE
    mirrored = np.array(
        [each.image[int(region[1]) + 2, int(region[0]) + 2, 0] < 128 for each, region in zip(placed, regions)]
    )
    assert stats.binomtest(int(mirrored[smaller].sum()), int(smaller.sum()), 0.3).pvalue > SURE
    draws = np.array([each.draws for each in placed])
    assert len(np.unique(draws, axis=0)) == count
    assert np.abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.08
    assert np.array_equal(draw(5, 1, 7).draws, draws[7])
    assert not np.array_equal(draw(5, 2, 7).draws, draws[7])
    assert not np.array_equal(draw(6, 1, 7).draws, draws[7])
    other = BoxAugmentation(seed=1).place(image, none, 64, tf.constant([5, 1, 7]))
    assert not np.array_equal(other.draws, draws[7])


@pytest.mark.current_stack
def test_crops_have_their_areas_and_shapes():
    augmentation = BoxAugmentation(**{**NEVER, "crop": 1.0, "scale": (0.1, 0.4)})
    image, corners = tf.zeros([300, 300, 3], tf.uint8), tf.constant([[0.0, 0, 300, 300]])
    augmentation.min_visibility = 0.0

    def place(step):
        placed = augmentation.place(image, corners, 32, tf.stack([0, step, 0]))
        return placed.boxes[0], placed.region

    draw = tf.function(lambda steps: tf.map_fn(place, steps, (tf.float32, tf.float32)))
    found = []
    for box, region in zip(*(part.numpy() for part in draw(tf.range(1500)))):
        (x0, y0, x1, y1), (_, _, right, bottom) = box, region
        width, height = right * 300 / (x1 - x0), bottom * 300 / (y1 - y0)
        found.append((width * height / 300**2, math.log(width / height), -x0 / (x1 - x0) / (1 - width / 300)))
    area, shape, left = np.array(found).T
    # The whole image's center must be in the crop, for it is the one object: large crops pass more often.
    assert area.min() > 0.095
    assert area.max() < 0.405
    assert stats.kstest(shape, "uniform", args=(math.log(0.5), math.log(4))).pvalue > 1e-6
    assert abs(left.mean() - 0.5) < 0.02
    assert abs(shape.mean()) < 0.04


@pytest.mark.current_stack
def test_mosaics_lay_different_images_of_the_batch_anywhere():
    count, rng = 4000, np.random.default_rng(0)
    draws = {
        name: tf.constant(rng.random([count, _DRAWS[name]]), tf.float32)
        for name in ("center", "partners", "places", "parts")
    }
    layout = mosaic(draws, tf.tile([[0.0, 0.0, 64.0, 64.0]], [count, 1]), 64)
    sources, regions = layout.sources.numpy(), layout.regions.numpy()
    assert all(len(set(each)) == 4 for each in sources.tolist())
    assert all(row in each for row, each in enumerate(sources.tolist()))
    own = np.argmax(sources == np.arange(count)[:, None], axis=1)
    assert stats.chisquare(np.bincount(own, minlength=4)).pvalue > SURE
    distance = (sources - np.arange(count)[:, None]) % count
    assert stats.kstest(distance[distance > 0] / count, "uniform").pvalue > SURE
    center = regions[:, 3, :2]
    assert (center.min(), center.max()) == (19, 45)
    assert stats.chisquare(np.bincount(center[:, 0] - 19)).pvalue > SURE
    # No quarter reaches into another.
    for row in range(20):
        shown = np.zeros([64, 64], int)
        for x0, y0, x1, y1 in regions[row]:
            shown[y0:y1, x0:x1] += 1
        assert shown.max() == 1


def test_config_is_that_of_the_arguments_and_bad_ones_are_refused():
    changed = BoxAugmentation(
        flip=0.1, zoom=0.2, zoom_range=(0.7, 1.2), crop=0.3, scale=(0.2, 0.9), ratio=(0.8, 1.3), jitter=0.4,
        strength=0.6, mosaic=0.5, min_visibility=0.7, min_size=3.0, seed=8,
    )  # fmt: skip
    assert BoxAugmentation.from_config(changed.get_config()).get_config() == changed.get_config()
    assert BoxAugmentation().get_config() != changed.get_config()
    for settings, message in (
        ({"flip": 1.5}, "flip is 1.5; it is a probability"),
        ({"mosaic": -0.1}, "mosaic is -0.1; it is a probability"),
        ({"zoom_range": (0, 1)}, r"zoom_range is \(0, 1\)"),
        ({"zoom_range": (2, 1)}, r"zoom_range is \(2, 1\)"),
        ({"scale": (0.5, 1.5)}, "at most 1"),
        ({"min_visibility": 2}, "min_visibility is 2; give a share"),
        ({"min_size": -1}, "min_size is -1"),
        ({"strength": float("nan")}, "strength is nan"),
    ):
        with pytest.raises(UserError, match=message):
            BoxAugmentation(**settings)


@pytest.mark.current_stack
def test_enlargement_bounds_how_much_a_square_image_grows():
    for settings, expected in (({}, 1.5 / 0.3**0.5), ({"crop": 0.0}, 1.5), ({"zoom": 0.0}, 0.3**-0.5), (NEVER, 1.0)):
        augmentation = BoxAugmentation(**settings)
        assert augmentation.enlargement == pytest.approx(expected)
        place, image = _compiled(augmentation), np.zeros([SIZE, SIZE, 3], np.uint8)
        box = np.array([[0, 0, SIZE, SIZE]], np.float32)
        grown = []
        for step in range(100):
            x0, y0, x1, y1 = place(image, box, [1, step, 0]).boxes[0].numpy()
            grown.append(min(x1 - x0, y1 - y0) / SIZE)
        assert max(grown) <= expected * 1.02
