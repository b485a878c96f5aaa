"""Colors changed one operation after the other, against tf.image, colorsys and Pillow, image by image."""

import colorsys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance
from scipy import ndimage

from kerassl.augment import SimCLRViews
from kerassl.augment.blur import gaussian_blur
from kerassl.augment.color import Jitter, recolor, recolor_in_turn

SEED = tf.constant([2, 9])


@pytest.fixture(scope="module")
def photos():
    """Colorful images with texture and with black and white places, uint8."""
    rng = np.random.default_rng(3)
    smooth = tf.image.resize(rng.uniform(-40, 300, [24, 6, 5, 3]), [48, 40], method="bicubic").numpy()
    return np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def _chain(image, jitter, index):
    """Apply `tf.image` to one image in [0, 255], in steps as SimCLR's code takes them."""
    x = tf.constant(image, tf.float32) / 255.0
    operations = {
        0: lambda x: x * jitter.brightness[index],
        1: lambda x: tf.image.adjust_contrast(x, jitter.contrast[index]),
        2: lambda x: tf.image.adjust_saturation(x, jitter.saturation[index]),
        3: lambda x: tf.image.adjust_hue(x, jitter.hue[index]),
    }
    for operation in jitter.order[index]:
        x = tf.clip_by_value(operations[int(operation)](x), 0.0, 1.0)
    if jitter.grayscale[index]:
        x = tf.repeat(tf.image.rgb_to_grayscale(x), 3, axis=-1)
    return 255.0 * x.numpy()


def _one(**changes):
    """A jitter of one image that does nothing but what is named."""
    same = {
        "brightness": 1.0,
        "contrast": 1.0,
        "saturation": 1.0,
        "hue": 0.0,
        "order": [0, 1, 2, 3],
        "grayscale": False,
    }
    return Jitter(**{name: tf.constant([value]) for name, value in {**same, **changes}.items()})


def test_views_are_tensorflows_chain_of_operations_when_not_fused(photos):
    views = SimCLRViews(32, blur=0, fused=False)
    plain = SimCLRViews(32, blur=0, jitter=0, grayscale=0)  # the same draws, hence the same crops
    draws = views._draws(SEED, 0, len(photos), None)
    jitter = Jitter(*(np.asarray(part) for part in views._jitter(draws)))
    assert 0 < jitter.grayscale.sum() < len(jitter.grayscale)
    assert len(np.unique(jitter.order, axis=0)) > 12
    # TensorFlow's own saturation and hue give black where red is highest and blue above green by a rounding; fractions
    # keep channels apart.
    images = photos + np.random.default_rng(1).uniform(0, 1, photos.shape).astype(np.float32)
    crops, out = (np.concatenate(each(images, SEED)[:2]) for each in (plain, views))
    expected = np.stack([_chain(crop, jitter, index) for index, crop in enumerate(crops)])
    np.testing.assert_allclose(out, expected, atol=1)


def test_order_of_operations_matters_when_values_are_clipped_in_between():
    image = tf.constant([[[[200.0, 100.0, 50.0]]]])
    brighter_first = recolor_in_turn(image, _one(brightness=1.8, saturation=0.5, order=[0, 2, 1, 3]))
    saturation_first = recolor_in_turn(image, _one(brightness=1.8, saturation=0.5, order=[2, 0, 1, 3]))
    np.testing.assert_allclose(brighter_first[0, 0, 0], [255, 217.5, 172.5], atol=0.1)  # 360 is cut to 255 at once
    np.testing.assert_allclose(saturation_first[0, 0, 0], [255, 255, 225], atol=0.1)


@pytest.mark.parametrize("turns", [-0.2, 0.05, 1 / 3])
def test_hue_turns_the_color_circle_of_hsv_when_not_fused(photos, turns):
    image = photos[0, :12, :12]
    out = recolor_in_turn(tf.constant(image[None], tf.float32), _one(hue=turns))[0]
    for pixel, found in zip(image.reshape(-1, 3) / 255, out.numpy().reshape(-1, 3)):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        expected = 255 * np.array(colorsys.hsv_to_rgb((hue + turns) % 1, saturation, value))
        np.testing.assert_allclose(found, expected, atol=0.1)


@pytest.mark.parametrize("factor", [0.3, 1.7])
def test_saturation_is_that_of_hsv_when_not_fused(photos, factor):
    image = photos[1, :12, :12]
    out = recolor_in_turn(tf.constant(image[None], tf.float32), _one(saturation=factor))[0]
    for pixel, found in zip(image.reshape(-1, 3) / 255, out.numpy().reshape(-1, 3)):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        expected = 255 * np.array(colorsys.hsv_to_rgb(hue, min(1, factor * saturation), value))
        np.testing.assert_allclose(found, expected, atol=0.1)


@pytest.mark.parametrize("form", [recolor, recolor_in_turn])
@pytest.mark.parametrize("factor", [0.4, 1.6])
def test_brightness_and_grayscale_are_those_of_pillow(photos, form, factor):
    image = Image.fromarray(photos[2])
    batch = tf.constant(photos[2:3], tf.float32)
    brighter = np.asarray(ImageEnhance.Brightness(image).enhance(factor), np.float32)
    np.testing.assert_allclose(form(batch, _one(brightness=factor))[0], brighter, atol=1)
    grayscale = np.repeat(np.asarray(image.convert("L"), np.float32)[..., None], 3, -1)
    np.testing.assert_allclose(form(batch, _one(grayscale=True))[0], grayscale, atol=1)


def test_fused_form_is_the_chain_when_brightness_alone_is_drawn_and_nothing_clips():
    image = tf.constant(np.random.default_rng(0).uniform(60, 140, [1, 8, 8, 3]), tf.float32)
    for changes in ({"brightness": 1.5}, {"brightness": 0.5, "grayscale": True}):
        np.testing.assert_allclose(recolor(image, _one(**changes)), recolor_in_turn(image, _one(**changes)), atol=1e-3)


def test_view_is_mirrored_exactly_when_the_flip_alone_differs(photos):
    straight, mirrored = (SimCLRViews(64, flip=flip)(photos, SEED) for flip in (0, 1))
    assert not np.any(straight.first_flips)
    assert np.all(mirrored.first_flips)
    for name in ("first", "second"):
        np.testing.assert_allclose(getattr(mirrored, name), getattr(straight, name)[:, :, ::-1], atol=0.05)
        np.testing.assert_array_equal(getattr(mirrored, f"{name}_boxes"), getattr(straight, f"{name}_boxes"))


def test_blur_is_that_of_scipy_away_from_the_borders(photos):
    images = photos[:4].astype(np.float32)
    sigmas = np.array([0.4, 1.0, 1.5, 2.0], np.float32)
    out = gaussian_blur(tf.constant(images), tf.constant(sigmas), 8)
    for image, sigma, found in zip(images, sigmas, out.numpy()):
        expected = ndimage.gaussian_filter(image.astype(np.float64), (sigma, sigma, 0), radius=(8, 8, 0))
        np.testing.assert_allclose(found[8:-8, 8:-8], expected[8:-8, 8:-8], atol=0.01)


def test_kernel_is_cut_where_its_weights_are_nothing(monkeypatch):
    from kerassl.augment import simclr_views

    taken = []
    monkeypatch.setattr(simclr_views, "gaussian_blur", lambda images, sigmas, radius: taken.append(radius) or images)
    for size, sigma in ((32, (0.1, 2)), (128, (0.1, 2)), (224, (0.1, 2)), (224, (0.1, 5))):
        SimCLRViews(size, sigma=sigma)(tf.zeros([1, 8, 8, 3]), SEED)
    assert taken == [1, 6, 8, 11]


def test_form_comes_back_when_serialized_and_old_configurations_load():
    for fused in (True, False):
        views = SimCLRViews(32, fused=fused)
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(views))
        assert again.fused is fused
        assert again.get_config() == views.get_config()
    old = SimCLRViews(32, seed=3).get_config()
    del old["fused"]
    assert SimCLRViews.from_config(old).get_config() == SimCLRViews(32, seed=3).get_config()
