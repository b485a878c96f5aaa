"""Color jitter as one affine map of (red, green, blue) for each image."""

from __future__ import annotations

import math
import typing

from kerassl._compat import tf
from kerassl.augment.lanes import lanewise

# Weights of the luma (ITU-R BT.601), and its color axes I and Q, by rows.
LUMA = (0.299, 0.587, 0.114)
YIQ = (LUMA, (0.59590059, -0.27455667, -0.32134392), (0.21153661, -0.52273617, 0.31119955))
RGB = ((1.0, 0.95598634, 0.6208248), (1.0, -0.27201283, -0.64720424), (1.0, -1.10674021, 1.70423049))


class Jitter(typing.NamedTuple):
    """The color changes of each image.

    Attributes:
        brightness: `[N]` float32, factor of all values.
        contrast: `[N]` float32, factor of the distance from the image's mean luma.
        saturation: `[N]` float32, factor of the distance from each pixel's luma.
        hue: `[N]` float32, turn of the color circle, in turns.
        order: `[N, 4]` int32, a permutation of 0 (brightness), 1 (contrast), 2 (saturation) and 3 (hue).
        grayscale: `[N]` bool, whether only the luma is kept at the end.
    """

    brightness: tf.Tensor
    contrast: tf.Tensor
    saturation: tf.Tensor
    hue: tf.Tensor
    order: tf.Tensor
    grayscale: tf.Tensor


def drawn_jitter(
    chosen: tf.Tensor, factors: tf.Tensor, order: tf.Tensor, grayscale: tf.Tensor, strength: float
) -> Jitter:
    """Convert uniform draws to color changes.

    Brightness, contrast and saturation are multiplied by factors of `1 ± 0.8 strength`, the hue turns by up to
    `0.2 strength` of the color circle.

    Args:
        chosen: `[N]` bool, whether the image is jittered at all.
        factors: `[N, 4]` float32 in [0, 1), uniform.
        order: `[N, 4]` float32 in [0, 1), uniform.
        grayscale: `[N]` bool.
        strength: float >= 0.
    """
    reach = 0.8 * strength
    low = max(0.0, 1.0 - reach)  # a negative factor would invert the image
    scaled = tf.where(chosen[:, None], low + factors[:, :3] * (1.0 + reach - low), 1.0)
    hue = tf.where(chosen, (2.0 * factors[:, 3] - 1.0) * 0.2 * strength, 0.0)
    brightness, contrast, saturation = tf.unstack(scaled, axis=1)
    return Jitter(brightness, contrast, saturation, hue, tf.argsort(order, axis=1), grayscale)


def recolor(images: tf.Tensor, jitter: Jitter, mean: tf.Tensor | None = None) -> tf.Tensor:
    """Apply each image's color operations in the image's own order.

    All of them are affine in (red, green, blue), contrast once the mean color at that point is known, and the mean
    itself is mapped by the operations before. So they compose to one matrix and one offset for each image, applied in
    one pass. Values are clipped to [0, 255] once, at the end. Clipping after each operation instead changes values by
    1.7 gray levels in the mean of 200 photos at SimCLR's strength, and by nothing in half of the views.

    The hue turns in the plane of the color axes I and Q, which keeps the luma; saturation is about the luma, and
    contrast about its mean. `recolor_in_turn` has `tf.image`'s operations, which are not affine: 8.3 gray levels away
    in the mean (`docs/results/views.md`).

    Args:
        images: `[N, S, S, 3]` float32 in [0, 255].
        mean: `[N, 3]` float32, the mean colors where these are not those of all pixels; or None.

    Returns:
        `[N, S, S, 3]` float32 in [0, 255].
    """
    mean = mean_colors(images) if mean is None else mean
    return tf.ensure_shape(_mixed(images, *_composed(mean, jitter)), images.shape)


@tf.function(jit_compile=True, autograph=False)
def _mixed(images, matrix, offset):
    """`[N, S, S, 3]` by each image's matrix `[N, 3, 3]` and offset `[N, 3]`, in [0, 255]; in one compiled pass."""
    channels = tf.unstack(images, axis=-1)
    mixed = [
        sum(matrix[:, to, start, None, None] * channel for start, channel in enumerate(channels))
        + offset[:, to, None, None]
        for to in range(3)
    ]
    return tf.clip_by_value(tf.stack(mixed, axis=-1), 0.0, 255.0)


def mean_colors(images: tf.Tensor) -> tf.Tensor:
    """The mean color of each image, `[N, S, S, 3]` to `[N, 3]`."""
    _, height, width, channels = images.shape
    # Long rows: sums over, and with, three numbers at a time take several times as long.
    columns = tf.reduce_mean(tf.reshape(images, [-1, height, width * channels]), axis=1)
    return tf.reduce_mean(tf.reshape(columns, [-1, width, channels]), axis=1)


def recolor_in_turn(images: tf.Tensor, jitter: Jitter) -> tf.Tensor:
    """Apply each image's color operations one after the other, as SimCLR's own code does.

    The operations are those of `tf.image`: contrast is about the mean of each channel, saturation and hue are those of
    HSV, and values are clipped to [0, 255] after each. It takes some seventy times as long as `recolor`.
    """
    for slot in range(4):
        chosen = jitter.order[:, slot, None, None, None]
        by_hsv = _in_hsv(
            images,
            tf.where(jitter.order[:, slot] == 2, jitter.saturation, 1.0),
            tf.where(jitter.order[:, slot] == 3, jitter.hue, 0.0),
        )
        mean = tf.reduce_mean(images, axis=[1, 2], keepdims=True)
        contrast = mean + (images - mean) * jitter.contrast[:, None, None, None]
        changed = tf.where(chosen == 0, images * jitter.brightness[:, None, None, None], by_hsv)
        images = tf.clip_by_value(tf.where(chosen == 1, contrast, changed), 0.0, 255.0)
    luma = tf.reduce_sum(images * tf.constant(LUMA), axis=-1, keepdims=True)
    return tf.where(jitter.grayscale[:, None, None, None], luma, images)


def _in_hsv(images, saturation, hue):
    """Images `[N, S, S, 3]` with the saturation multiplied and the hue turned, for each image by its own `[N]`."""
    turns, share, value = tf.unstack(tf.image.rgb_to_hsv(images / 255.0), axis=-1)
    turns = tf.math.floormod(turns + hue[:, None, None], 1.0)
    share = tf.clip_by_value(share * saturation[:, None, None], 0.0, 1.0)
    return tf.image.hsv_to_rgb(tf.stack([turns, share, value], axis=-1)) * 255.0


def _composed(mean, jitter):
    """The matrix `[N, 3, 3]` and offset `[N, 3]` of all operations, for images of mean color `[N, 3]`."""
    eye = tf.eye(3)
    luma = tf.constant([LUMA] * 3)  # replaces each channel by the luma
    column = [-1, 1, 1]
    contrast = tf.reshape(jitter.contrast, column)
    saturation = tf.reshape(jitter.saturation, column)
    steps = tf.stack(
        [
            tf.reshape(jitter.brightness, column) * eye,
            contrast * eye,
            saturation * eye + (1.0 - saturation) * luma,
            _hue_matrix(jitter.hue),
        ],
        axis=1,
    )  # [N, 4, 3, 3]
    matrix, offset = eye[None] + tf.zeros_like(steps[:, 0]), tf.zeros_like(mean)
    for slot in range(4):
        chosen = jitter.order[:, slot]
        step = tf.gather(steps, chosen, batch_dims=1)  # [N, 3, 3]
        now = tf.linalg.matvec(matrix, mean) + offset
        towards = (1.0 - jitter.contrast)[:, None] * tf.linalg.matvec(luma[None], now)  # [N, 3]
        shift = tf.where((chosen == 1)[:, None], towards, 0.0)
        matrix, offset = tf.matmul(step, matrix), tf.linalg.matvec(step, offset) + shift
    last = tf.where(tf.reshape(jitter.grayscale, column), luma, eye)
    return tf.matmul(last, matrix), tf.linalg.matvec(last, offset)


def _hue_matrix(turns):
    """Turns of the color circle, from red towards green, in the plane (I, Q): `[N]` to `[N, 3, 3]`. Luma is kept."""
    cos, sin = lanewise(tf.cos, 2.0 * math.pi * turns), lanewise(tf.sin, 2.0 * math.pi * turns)
    one, zero = tf.ones_like(cos), tf.zeros_like(cos)
    turn = tf.reshape(tf.stack([one, zero, zero, zero, cos, sin, zero, -sin, cos], axis=-1), [-1, 3, 3])
    return tf.matmul(tf.matmul(tf.constant(RGB)[None], turn), tf.constant(YIQ)[None])
