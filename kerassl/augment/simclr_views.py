"""SimCLR's two random views of every image."""

from __future__ import annotations

import math
from typing import Any

from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._numbers import FROM_0, check
from kerassl.augment.arguments import check_probability, check_range
from kerassl.augment.blur import gaussian_blur
from kerassl.augment.color import drawn_jitter, recolor, recolor_in_turn
from kerassl.augment.crop import ATTEMPTS, crop, crop_boxes, whole_pixels
from kerassl.augment.views import Views
from kerassl.resizing import check_image_size

# How many uniform numbers a view takes, by what they are for.
_DRAWS = {
    "areas": ATTEMPTS,
    "ratios": ATTEMPTS,
    "positions": 2,
    "flip": 1,
    "jitter": 1,
    "factors": 4,
    "order": 4,
    "grayscale": 1,
    "blur": 1,
    "sigma": 1,
}


@keras.saving.register_keras_serializable(package="kerassl")
class SimCLRViews:
    """Draw two random views of every image of a batch: crop, flip, color jitter, grayscale and blur, in this order.

    Everything is drawn for each image and each view by itself, in the graph, and depends on the seed and the image's
    place in the (global) batch alone: replicas that hold parts of a batch make the views that one replica would make
    of the whole. The defaults are SimCLR's; small networks learn more from milder views, `SimCLRViews.mild`.

    Brightness, contrast and saturation are multiplied by factors of `1 ± 0.8 strength`, the hue turns by up to
    `0.2 strength` of the color circle, in an order of its own for each view. Values are clipped once, after the
    last of these. Images are best read a quarter larger than the views, or less: crops are not anti-aliased.

    Args:
        image_size: int. Side of the views in pixels, a multiple of 32.
        scale: (lowest, highest) share of the image that a crop shows. From 0.2 up the two views overlap more,
            which suits small networks and images of many objects.
        ratio: (lowest, highest) width over height of a crop, in pixels.
        flip: float in [0, 1]. Probability that a view is mirrored left to right.
        jitter: float in [0, 1]. Probability that a view's colors are jittered.
        strength: float >= 0. Of the jitter; 1 is SimCLR's for ImageNet, 0.5 its for small images.
        grayscale: float in [0, 1]. Probability that a view loses its colors.
        blur: float in [0, 1]. Probability that a view is blurred. The kernel has a tenth of the
            side as taps, or fewer where these reach beyond four sigma.
        sigma: (lowest, highest) width of the blur, in pixels.
        seed: int. Mixed into the seed of every call.
        fused: bool. Compose the color operations into one matrix an image, with saturation about the luma and the
            hue turned in YIQ. False applies `tf.image`'s operations, whose saturation and hue are those of HSV, one
            after the other with clipping after each, as SimCLR's own code does. The draws are the same; the colors
            take some seventy times as long, and values differ by 5 (strength 0.5) to 8 (strength 1) gray levels in the
            mean.

    Call arguments:
        images: `[B, H, W, 3]` in [0, 255], uint8 or float.
        seed: `[2]` int32 tensor; the same seed gives the same views.
        offset: int or scalar int32. How many images of the global batch come before these.
        total: int, scalar int32 or None. Size of the global batch; None is `B`.

    Returns:
        `Views`.

    Raises:
        UserError: if the image size is no multiple of 32, or a range or a probability is not one.

    Example:
        >>> views = kerassl.augment.SimCLRViews(128)(images, tf.constant([0, step]))
        >>> views.first.shape
        TensorShape([64, 128, 128, 3])

    Reference:
        Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", 2020, appendix A.
    """

    # Readers give pixels as they are stored then: a batch of floats takes four times the memory's time.
    image_dtype = tf.uint8

    def __init__(
        self,
        image_size: int,
        *,
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: float = 0.5,
        jitter: float = 0.8,
        strength: float = 1.0,
        grayscale: float = 0.2,
        blur: float = 0.5,
        sigma: tuple[float, float] = (0.1, 2.0),
        seed: int = 0,
        fused: bool = True,
    ) -> None:
        self.image_size = check_image_size(image_size)
        self.scale = check_range("scale", scale, highest=1.0)
        self.ratio = check_range("ratio", ratio)
        self.flip = check_probability("flip", flip)
        self.jitter = check_probability("jitter", jitter)
        if not FROM_0.fits(strength):
            raise UserError(f"strength is {strength}; give 0 (no color jitter) or more, 0.5 to 1 is usual")
        self.strength = float(strength)
        self.grayscale = check_probability("grayscale", grayscale)
        self.blur = check_probability("blur", blur)
        self.sigma = check_range("sigma", sigma)
        self.seed = check(seed=seed)
        self.fused = bool(fused)

    @classmethod
    def mild(cls, image_size: int, **changes: Any) -> SimCLRViews:
        """Views for small networks and short runs: crops from a fifth of the image up, half the color jitter.

        Args:
            image_size: int. Side of the views in pixels, a multiple of 32.
            **changes: those of `SimCLRViews`, over the preset.

        Returns:
            `SimCLRViews`.
        """
        return cls(image_size, **{"scale": (0.2, 1.0), "strength": 0.5, **changes})

    def __call__(
        self, images: tf.Tensor, seed: tf.Tensor, *, offset: int | tf.Tensor = 0, total: int | tf.Tensor | None = None
    ) -> Views:
        images = tf.convert_to_tensor(images)
        if images.shape.rank != 4 or images.shape[-1] != 3:
            raise UserError(f"views are made of images [batch, height, width, 3]; these have the shape {images.shape}")
        draws = self._draws(seed, offset, tf.shape(images)[0], total)
        height, width = tf.shape(images)[1], tf.shape(images)[2]
        boxes = whole_pixels(self._boxes(draws, height, width), height, width)  # [2B, 4]
        flips = draws["flip"][:, 0] < self.flip
        crops = crop(images, boxes, flips, self.image_size)  # [2B, S, S, 3]
        colored = (recolor if self.fused else recolor_in_turn)(crops, self._jitter(draws))
        # Beyond four sigma all weights together are 1e-4.
        radius = max(1, min(self.image_size // 20, math.ceil(4 * self.sigma[1])))
        first, second = tf.split(gaussian_blur(colored, self._sigmas(draws), radius), 2)
        return Views(first, second, *tf.split(boxes, 2), *tf.split(flips, 2))

    def _draws(self, seed, offset, count, total):
        """Uniform numbers in [0, 1) by purpose, `[2 * count, …]`: the first views' rows, then the second views'."""
        total = count if total is None else total
        columns = sum(_DRAWS.values())
        # Replicas draw for the whole batch and keep their rows. One algorithm on every device.
        seed = tf.random.experimental.stateless_fold_in(tf.cast(seed, tf.int32), self.seed % 2**31)
        block = tf.random.stateless_uniform([total, 2, columns], seed, alg="philox")
        rows = block[offset : offset + count]
        rows = tf.reshape(tf.transpose(rows, [1, 0, 2]), [-1, columns])  # [2B, columns]
        return dict(zip(_DRAWS, tf.split(rows, list(_DRAWS.values()), axis=1)))

    def _boxes(self, draws, height, width):
        return crop_boxes(
            draws["areas"],
            draws["ratios"],
            draws["positions"],
            tf.cast(width, tf.float32) / tf.cast(height, tf.float32),
            scale=self.scale,
            ratio=self.ratio,
        )

    def _jitter(self, draws):
        jittered, grayscale = draws["jitter"][:, 0] < self.jitter, draws["grayscale"][:, 0] < self.grayscale
        return drawn_jitter(jittered, draws["factors"], draws["order"], grayscale, self.strength)

    def _sigmas(self, draws):
        sigmas = self.sigma[0] + draws["sigma"][:, 0] * (self.sigma[1] - self.sigma[0])
        return tf.where(draws["blur"][:, 0] < self.blur, sigmas, 0.0)

    def get_config(self) -> dict:
        return {
            "image_size": self.image_size,
            "scale": list(self.scale),
            "ratio": list(self.ratio),
            "flip": self.flip,
            "jitter": self.jitter,
            "strength": self.strength,
            "grayscale": self.grayscale,
            "blur": self.blur,
            "sigma": list(self.sigma),
            "seed": self.seed,
            "fused": self.fused,
        }

    @classmethod
    def from_config(cls, config: dict) -> SimCLRViews:
        return cls(**config)
