"""SimCLR's views against plain loops over images and pixels, and against themselves split over replicas."""

import colorsys
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.augment import SimCLRViews, Views
from kerassl.augment.blur import gaussian_blur
from kerassl.augment.color import Jitter, recolor
from kerassl.augment.crop import ATTEMPTS, crop, crop_boxes, whole_pixels

LUMA = np.array([0.299, 0.587, 0.114])
SEED = tf.constant([3, 5])


def _photos(count=4, height=48, width=40, low=0, high=256):
    """Smooth colorful images with some texture, uint8."""
    rng = np.random.default_rng(7)
    coarse = rng.uniform(low, high, [count, 6, 5, 3])
    smooth = tf.image.resize(coarse, [height, width], method="bicubic").numpy()
    return np.clip(smooth + rng.normal(0, 6, smooth.shape), low, high - 1).astype(np.uint8)


# References, one image at a time.


def _crop_reference(image, box, flip, size):
    sides = image.shape[:2] * 2
    top, left, bottom, right = (round(float(edge * side)) for edge, side in zip(box, sides))
    np.testing.assert_allclose([top, left, bottom, right], box * np.array(sides), atol=1e-3)  # whole pixels
    image = image[top:bottom, left:right]
    height, width, _ = image.shape
    out = np.zeros([size, size, 3])
    for i in range(size):
        for j in range(size):
            y = (i + 0.5) / size * height - 0.5
            x = (j + 0.5) / size * width - 0.5
            y0, x0 = math.floor(y), math.floor(x)
            for yy, wy in ((y0, 1 - (y - y0)), (y0 + 1, y - y0)):
                for xx, wx in ((x0, 1 - (x - x0)), (x0 + 1, x - x0)):
                    pixel = image[min(max(yy, 0), height - 1), min(max(xx, 0), width - 1)]
                    out[i, j] += wy * wx * pixel
    return out[:, ::-1] if flip else out


def _hue_reference(image, turns):
    to_yiq = np.array([LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    angle = 2 * math.pi * turns
    y, i, q = np.moveaxis(image @ to_yiq.T, -1, 0)
    turned = np.stack([y, i * math.cos(angle) + q * math.sin(angle), q * math.cos(angle) - i * math.sin(angle)], -1)
    return turned @ np.linalg.inv(to_yiq).T


def _jitter_reference(image, jitter, index):
    x = image.astype(np.float64)
    for operation in jitter.order[index]:
        if operation == 0:
            x = x * jitter.brightness[index]
        elif operation == 1:
            mean = (x @ LUMA).mean()
            x = mean + jitter.contrast[index] * (x - mean)
        elif operation == 2:
            luma = (x @ LUMA)[..., None]
            x = luma + jitter.saturation[index] * (x - luma)
        else:
            x = _hue_reference(x, jitter.hue[index])
    if jitter.grayscale[index]:
        x = np.repeat((x @ LUMA)[..., None], 3, -1)
    return np.clip(x, 0, 255)


def _blur_reference(image, sigma, radius):
    if sigma == 0:
        return image
    for axis in (0, 1):
        out = np.zeros_like(image)
        for place in range(image.shape[axis]):
            total = 0
            for other in range(max(0, place - radius), min(image.shape[axis], place + radius + 1)):
                weight = math.exp(-((place - other) ** 2) / (2 * sigma**2))
                total += weight
                out[(slice(None),) * axis + (place,)] += weight * np.take(image, other, axis)
            out[(slice(None),) * axis + (place,)] /= total
        image = out
    return image


def _jitter(count, seed=0):
    rng = np.random.default_rng(seed)
    factors = rng.uniform(0.5, 1.5, [3, count]).astype(np.float32)
    hue = rng.uniform(-0.2, 0.2, count).astype(np.float32)
    order = np.stack([rng.permutation(4) for _ in range(count)]).astype(np.int32)
    return Jitter(*factors, hue, order, rng.uniform(size=count) < 0.3)


def test_views_equal_the_loops_over_images_when_given_the_same_draws():
    images = _photos(3)
    views = SimCLRViews(32, scale=(0.2, 1.0))
    out = views(images, SEED)
    draws = views._draws(SEED, 0, 3, None)
    jitter = Jitter(*(np.asarray(part) for part in views._jitter(draws)))
    sigmas = views._sigmas(draws).numpy()
    boxes = np.concatenate([out.first_boxes, out.second_boxes])
    flips = np.concatenate([out.first_flips, out.second_flips])
    for row, view in enumerate(np.concatenate([out.first, out.second])):
        expected = _crop_reference(images[row % 3], boxes[row], flips[row], 32)
        expected = _blur_reference(_jitter_reference(expected, jitter, row), sigmas[row], 1)
        np.testing.assert_allclose(view, expected, atol=0.1)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("box", [(0.0, 0.0, 1.0, 1.0), (0.1, 0.3, 0.6, 0.9), (0.5, 0.5, 0.52, 0.51)])
def test_crop_equals_the_loop_over_pixels_when_boxes_shrink_and_grow(box, flip):
    image = _photos(1)[0]
    box = whole_pixels(tf.constant([box]), *image.shape[:2])
    out = crop(image[None], box, tf.constant([flip]), 32)[0]
    np.testing.assert_allclose(out, _crop_reference(image, box[0].numpy(), flip, 32), atol=0.05)


def test_crop_agrees_with_pillow_when_the_box_is_enlarged():
    from PIL import Image

    image = _photos(1)[0]
    box = tf.constant([[4 / 48, 8 / 40, 28 / 48, 32 / 40]])  # 24 by 24 pixels
    expected = Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR, box=(8, 4, 32, 28))
    out = crop(image[None], box, tf.constant([False]), 32)[0]
    # Pillow reads around the box where it is cut out while resizing; the edges differ by that.
    np.testing.assert_allclose(out[1:-1, 1:-1], np.asarray(expected, np.float32)[1:-1, 1:-1], atol=1)


def test_edges_of_boxes_move_by_half_a_pixel_at_most_and_leave_no_box_empty():
    rng = np.random.default_rng(0)
    boxes = np.sort(rng.uniform(size=[1000, 2, 2]), axis=1).reshape(1000, 4).astype(np.float32)
    moved = whole_pixels(tf.constant(boxes), tf.constant(48), tf.constant(40)).numpy() * [48, 40, 48, 40]
    np.testing.assert_allclose(moved, np.round(moved), atol=1e-4)
    assert (moved[:, 2:] - moved[:, :2]).min() > 0.99
    assert moved.min() >= 0
    assert (moved <= np.array([48, 40, 48, 40]) + 1e-4).all()
    wide = (boxes[:, 2:] - boxes[:, :2]).min(1) > 1 / 40  # thinner ones may have to grow
    assert np.abs(moved - boxes * [48, 40, 48, 40])[wide].max() <= 0.5001


def test_thinnest_box_keeps_a_pixel_at_the_far_edge():
    moved = whole_pixels(tf.constant([[0.999, 0.999, 1.0, 1.0]]), tf.constant(48), tf.constant(40))
    np.testing.assert_allclose(moved, [[47 / 48, 39 / 40, 1, 1]], atol=1e-6)


def test_crop_of_the_whole_image_changes_nothing_when_the_size_is_the_same():
    images = _photos(2, 32, 32)
    boxes = tf.tile([[0.0, 0.0, 1.0, 1.0]], [2, 1])
    np.testing.assert_allclose(crop(images, boxes, tf.constant([False, False]), 32), images, atol=1e-3)


def test_recolor_equals_the_chain_of_operations_when_each_image_has_its_own_order():
    images = _photos(24, 16, 16).astype(np.float32)
    jitter = _jitter(24)
    out = recolor(images, Jitter(*(tf.constant(part) for part in jitter)))
    expected = np.stack([_jitter_reference(image, jitter, i) for i, image in enumerate(images)])
    np.testing.assert_allclose(out, expected, atol=0.1)


@pytest.mark.parametrize("operation", ["brightness", "contrast", "saturation"])
def test_recolor_agrees_with_pillow_when_nothing_clips(operation):
    from PIL import Image, ImageEnhance

    image = _photos(1, 24, 24, low=90, high=150)[0]
    factors = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, operation: 1.4}
    one = {name: tf.constant([value]) for name, value in factors.items()}
    jitter = Jitter(**one, hue=tf.constant([0.0]), order=tf.constant([[3, 1, 0, 2]]), grayscale=tf.constant([False]))
    enhancer = {"brightness": "Brightness", "contrast": "Contrast", "saturation": "Color"}[operation]
    expected = getattr(ImageEnhance, enhancer)(Image.fromarray(image)).enhance(1.4)
    out = recolor(image[None].astype(np.float32), jitter)[0]
    np.testing.assert_allclose(out, np.asarray(expected, np.float32), atol=1.5)  # Pillow rounds twice


def test_hue_turns_colors_as_the_color_circle_does_when_they_are_pale():
    grayscale = tf.constant([False])
    same = tf.constant([1.0])
    for turns in (-0.2, 0.1, 1 / 3):
        jitter = Jitter(same, same, same, tf.constant([turns]), tf.constant([[0, 1, 2, 3]]), grayscale)
        out = recolor(tf.constant([[[[140.0, 120.0, 120.0]]]]), jitter)[0, 0, 0].numpy()
        # The rotation keeps luma and the circle of HSV keeps the largest value: their hues differ by up to 20 degrees.
        hue = colorsys.rgb_to_hsv(*(out / 255))[0]
        assert min(abs(hue - turns % 1), 1 - abs(hue - turns % 1)) < 0.06
        assert abs(out @ LUMA - np.array([140, 120, 120]) @ LUMA) < 0.01


def test_hue_agrees_with_tensorflow_addons_when_it_is_installed():
    addons = pytest.importorskip("tensorflow_addons")
    image = tf.constant(_photos(1, 24, 24, low=90, high=150), tf.float32)
    same = tf.constant([1.0])
    jitter = Jitter(same, same, same, tf.constant([0.1]), tf.constant([[0, 1, 2, 3]]), tf.constant([False]))
    expected = addons.image.adjust_hsv_in_yiq(image, delta_hue=-0.1 * 2 * math.pi)  # turns the other way
    np.testing.assert_allclose(recolor(image, jitter), expected, atol=0.2)  # its constants have three digits


def test_blur_equals_the_loop_over_taps_when_each_image_has_its_own_sigma():
    images = _photos(4, 32, 32).astype(np.float32)
    sigmas = np.array([0.1, 0.7, 2.0, 0.0], np.float32)
    out = gaussian_blur(images, sigmas, 3)
    expected = np.stack([_blur_reference(image.astype(np.float64), s, 3) for image, s in zip(images, sigmas)])
    np.testing.assert_allclose(out, expected, atol=0.01)
    np.testing.assert_array_equal(out[3], images[3])


def test_blur_agrees_with_tensorflow_addons_when_it_is_installed():
    addons = pytest.importorskip("tensorflow_addons")
    images = _photos(2, 32, 32).astype(np.float32)
    expected = addons.image.gaussian_filter2d(images, (13, 13), 1.7)
    out = gaussian_blur(images, tf.constant([1.7, 1.7]), 6)
    np.testing.assert_allclose(out[:, 6:-6, 6:-6], expected[:, 6:-6, 6:-6], atol=0.01)  # borders are padded there


def test_parts_of_a_batch_give_the_views_of_the_whole_when_given_their_place():
    images = _photos(6)
    views = SimCLRViews(32)
    whole = views(images, SEED)
    parts = [views(images[start : start + 3], SEED, offset=start, total=6) for start in (0, 3)]
    for name, field in whole._asdict().items():
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_allclose(joined, field, atol=1e-3, err_msg=name)


@pytest.mark.parametrize(
    "replicas", [pytest.param(2, marks=pytest.mark.addons_stack), pytest.param(4, marks=pytest.mark.current_stack)]
)
def test_replicas_give_the_views_of_the_whole_batch_when_they_share_it(mirrored, replicas):
    images = tf.constant(_photos(8))
    views = SimCLRViews(32)
    whole = views(images, SEED)
    strategy = mirrored(replicas)
    share = 8 // replicas

    @tf.function
    def on_replica():
        offset = tf.distribute.get_replica_context().replica_id_in_sync_group * share
        return views(images[offset : offset + share], SEED, offset=offset, total=8)

    parts = strategy.run(on_replica)
    for name, field in whole._asdict().items():
        joined = np.concatenate(strategy.experimental_local_results(getattr(parts, name)))
        np.testing.assert_allclose(joined, field, atol=1e-3, err_msg=name)


def test_views_differ_between_images_and_between_views_when_the_images_are_one():
    images = np.repeat(_photos(1), 8, 0)
    out = SimCLRViews(32)(images, SEED)
    everything = np.concatenate([out.first, out.second]).reshape(16, -1)
    distance = np.abs(everything[:, None] - everything[None]).mean(-1) + 1e9 * np.eye(16)
    assert distance.min() > 0.5


def test_draws_are_fresh_in_one_traced_function_when_the_seed_changes():
    images = tf.constant(_photos(2))
    traced = tf.function(SimCLRViews(32))
    first, again, other = (traced(images, tf.constant([0, step])) for step in (1, 1, 2))
    np.testing.assert_array_equal(first.first, again.first)
    assert np.abs(first.first - other.first).mean() > 1
    assert traced.experimental_get_tracing_count() == 1


def test_views_differ_when_the_objects_seed_does():
    images = _photos(2)
    assert np.abs(SimCLRViews(32, seed=1)(images, SEED).first - SimCLRViews(32, seed=2)(images, SEED).first).mean() > 1


@pytest.mark.parametrize("shape", [(50, 50), (40, 120)])
def test_draws_follow_the_policy_when_there_are_ten_thousand(shape):
    views = SimCLRViews(32)
    draws = views._draws(tf.constant([0, 0]), 0, 5000, None)
    height, width = shape
    y0, x0, y1, x1 = views._boxes(draws, height, width).numpy().T
    assert min(y0.min(), x0.min()) >= 0
    assert max(y1.max(), x1.max()) <= 1 + 1e-6
    area, ratio = (y1 - y0) * (x1 - x0), (x1 - x0) * width / ((y1 - y0) * height)
    assert area.min() >= 0.08 - 1e-5
    assert area.max() <= 1 + 1e-5
    assert ratio.min() >= 3 / 4 - 1e-4
    assert ratio.max() <= 4 / 3 + 1e-4
    if shape == (50, 50):
        assert area.min() < 0.1
        assert area.max() > 0.95
        assert abs(np.log(ratio).mean()) < 0.02  # no lean towards high or wide boxes
        center = (y0 + y1) / 2
        assert abs(center.mean() - 0.5) < 0.01
    jitter = views._jitter(draws)
    untouched = np.mean((jitter.brightness == 1.0) & (jitter.hue == 0.0))
    assert abs(untouched - 0.2) < 0.02
    assert abs(np.mean(draws["flip"] < views.flip) - 0.5) < 0.02
    assert abs(np.mean(jitter.grayscale) - 0.2) < 0.02
    for factor in jitter[:3]:
        assert 0.2 <= factor.numpy().min() < 0.22
        assert 1.78 < factor.numpy().max() <= 1.8
    assert -0.2 <= jitter.hue.numpy().min() < -0.19
    assert 0.19 < jitter.hue.numpy().max() <= 0.2
    orders, counts = np.unique(jitter.order, axis=0, return_counts=True)
    assert len(orders) == 24
    assert counts.min() > 0.7 * 10_000 / 24
    sigmas = views._sigmas(draws).numpy()
    assert abs(np.mean(sigmas == 0) - 0.5) < 0.02
    assert 0.1 <= sigmas[sigmas > 0].min() < 0.12
    assert 1.98 < sigmas.max() <= 2
    both = np.stack([area[:5000], area[5000:]])
    assert abs(np.corrcoef(both)[0, 1]) < 0.05


def test_box_is_the_largest_of_an_accepted_aspect_when_no_attempt_fits():
    full = tf.ones([1, ATTEMPTS])
    box = crop_boxes(full, full * 0.5, tf.constant([[0.5, 0.5]]), 3.0, scale=(0.9, 1.0), ratio=(0.5, 1.5))[0]
    np.testing.assert_allclose(box, [0, 0.25, 1, 0.75], atol=1e-6)


def test_values_stay_in_range_when_the_jitter_is_strong():
    out = SimCLRViews(32, strength=2.0, jitter=1.0)(_photos(8), SEED)
    both = np.concatenate([out.first, out.second])
    assert both.dtype == np.float32
    assert both.min() >= 0
    assert both.max() <= 255
    assert both.min() < 1
    assert both.max() > 254


def test_nothing_is_changed_when_every_operation_is_switched_off():
    images = _photos(2, 32, 32)
    off = SimCLRViews(32, scale=(1, 1), ratio=(1, 1), flip=0, jitter=0, grayscale=0, blur=0)
    out = off(images, SEED)
    np.testing.assert_allclose(out.first, images, atol=1e-3)
    np.testing.assert_allclose(out.second_boxes, [[0, 0, 1, 1]] * 2, atol=1e-6)


@pytest.mark.parametrize("kind", [tf.uint8, tf.float32, tf.float16])
def test_views_are_alike_when_images_come_in_another_type(kind):
    images = tf.constant(_photos(2))
    expected = SimCLRViews(32)(images, SEED)
    out = SimCLRViews(32)(tf.cast(images, kind), SEED)
    assert out.first.dtype == tf.float32
    np.testing.assert_allclose(out.first, expected.first, atol=1e-3)


def test_views_pass_through_a_data_pipeline_when_mapped():
    data = tf.data.Dataset.from_tensor_slices(_photos(3)).batch(2).enumerate()
    views = SimCLRViews(32)
    data = data.map(lambda step, images: views(images, tf.stack([0, tf.cast(step, tf.int32)])))
    assert data.element_spec.first.shape.as_list() == [None, 32, 32, 3]
    first, last = data
    assert isinstance(first, Views)
    assert first.first.shape == (2, 32, 32, 3)
    assert last.second.shape == (1, 32, 32, 3)
    assert last.second_boxes.shape == (1, 4)
    assert last.second_flips.shape == (1,)


def test_configuration_comes_back_when_serialized():
    views = SimCLRViews.mild(64, seed=4, ratio=(1, 2))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(views))
    assert again.get_config() == views.get_config()
    assert again.scale == (0.2, 1.0)
    assert again.strength == 0.5
    assert SimCLRViews.mild(64, strength=0.2).strength == 0.2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 240}, "use 224 or 256"),
        ({"image_size": 0}, "use 32 or 64"),
        ({"image_size": 32, "scale": (0.5, 1.5)}, "scale is \\(0.5, 1.5\\).*at most 1"),
        ({"image_size": 32, "scale": (1.0, 0.5)}, "in this order"),
        ({"image_size": 32, "sigma": (0, 2)}, "sigma"),
        ({"image_size": 32, "flip": 1.2}, "flip is 1.2.*probability"),
        ({"image_size": 32, "strength": -1}, "strength"),
    ],
)
def test_arguments_are_refused_in_one_line_when_invalid(arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        SimCLRViews(**arguments)
    assert "\n" not in str(caught.value)


def test_batch_is_refused_when_it_is_not_one_of_color_images():
    with pytest.raises(UserError, match=r"\(2, 8, 8, 1\)"):
        SimCLRViews(32)(tf.zeros([2, 8, 8, 1]), SEED)
