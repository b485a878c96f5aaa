"""SimCLR's two random views of every image."""

import math

import keras
import tensorflow as tf

from kerassl._errors import UserError
from kerassl._numbers import FROM_0, check
from kerassl.augment.arguments import check_probability, check_range
from kerassl.augment.blur import gaussian_blur
from kerassl.augment.color import drawn_jitter, recolour, recolour_in_turn
from kerassl.augment.crop import ATTEMPTS, crop, crop_boxes, whole_pixels
from kerassl.augment.views import Views
from kerassl.resizing import check_image_size

# How many uniform numbers a view takes, by what they are for.
_DRAWS = {
    "areas": ATTEMPTS,
    "aspects": ATTEMPTS,
    "positions": 2,
    "flip": 1,
    "jitter": 1,
    "factors": 4,
    "order": 4,
    "grey": 1,
    "blur": 1,
    "sigma": 1,
}


@keras.saving.register_keras_serializable(package="kerassl")
class SimCLRViews:
    """Two random views of every image of a batch: crop, flip, colour jitter, grey and blur, in this order.

    Everything is drawn for each image and each view by itself, in the graph, and depends on the seed and the image's
    place in the (global) batch alone: replicas that hold parts of a batch make the views that one replica would make
    of the whole. The defaults are SimCLR's; small networks learn more from milder views, `SimCLRViews.mild`.

    Brightness, contrast and saturation are multiplied by factors of `1 ± 0.8 strength`, the hue turns by up to
    `0.2 strength` of the colour circle, in an order of its own for each view. Values are clipped once, after the
    last of these. Images are best read a quarter larger than the views, or less: crops are not anti-aliased.

    Args:
        image_size: int. Side of the views in pixels, a multiple of 32.
        crop_area: (lowest, highest) share of the image that a crop shows. From 0.2 up the two views overlap more,
            which suits small networks and images of many objects.
        aspect: (lowest, highest) width over height of a crop, in pixels.
        flip: float in [0, 1]. Probability that a view is mirrored left to right.
        jitter: float in [0, 1]. Probability that a view's colours are jittered.
        strength: float >= 0. Of the jitter; 1 is SimCLR's for ImageNet, 0.5 its for small images.
        grey: float in [0, 1]. Probability that a view loses its colours.
        blur: float in [0, 1]. Probability that a view is blurred. The kernel has a tenth of the
            side as taps, or fewer where these reach beyond four sigma.
        sigma: (lowest, highest) width of the blur, in pixels.
        seed: int. Mixed into the seed of every call.
        fused: bool. Compose the colour operations into one matrix an image, with saturation about the luma and the
            hue turned in YIQ. False applies `tf.image`'s operations, whose saturation and hue are those of HSV, one
            after the other with clipping after each, as SimCLR's own code does. The draws are the same; the colours
            take some seventy times as long, and values differ by 5 (strength 0.5) to 8 (strength 1) grey levels in the
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
        image_size,
        *,
        crop_area=(0.08, 1.0),
        aspect=(3 / 4, 4 / 3),
        flip=0.5,
        jitter=0.8,
        strength=1.0,
        grey=0.2,
        blur=0.5,
        sigma=(0.1, 2.0),
        seed=0,
        fused=True,
    ):
        self.image_size = check_image_size(image_size)
        self.crop_area = check_range("crop_area", crop_area, highest=1.0)
        self.aspect = check_range("aspect", aspect)
        self.flip = check_probability("flip", flip)
        self.jitter = check_probability("jitter", jitter)
        if not FROM_0.fits(strength):
            raise UserError(f"strength is {strength}; give 0 (no colour jitter) or more, 0.5 to 1 is usual")
        self.strength = float(strength)
        self.grey = check_probability("grey", grey)
        self.blur = check_probability("blur", blur)
        self.sigma = check_range("sigma", sigma)
        self.seed = check(seed=seed)
        self.fused = bool(fused)

    @classmethod
    def mild(cls, image_size, **changes):
        """Views for small networks and short runs: crops from a fifth of the image up, half the colour jitter.

        Args:
            image_size: int. Side of the views in pixels, a multiple of 32.
            **changes: those of `SimCLRViews`, over the preset.

        Returns:
            `SimCLRViews`.
        """
        return cls(image_size, **{"crop_area": (0.2, 1.0), "strength": 0.5, **changes})

    def __call__(self, images, seed, *, offset=0, total=None):
        images = tf.convert_to_tensor(images)
        if images.shape.rank != 4 or images.shape[-1] != 3:
            raise UserError(f"views are made of images [batch, height, width, 3]; these have the shape {images.shape}")
        draws = self._draws(seed, offset, tf.shape(images)[0], total)
        height, width = tf.shape(images)[1], tf.shape(images)[2]
        boxes = whole_pixels(self._boxes(draws, height, width), height, width)  # [2B, 4]
        flips = draws["flip"][:, 0] < self.flip
        crops = crop(images, boxes, flips, self.image_size)  # [2B, S, S, 3]
        coloured = (recolour if self.fused else recolour_in_turn)(crops, self._jitter(draws))
        # Beyond four sigma all weights together are 1e-4.
        radius = max(1, min(self.image_size // 20, math.ceil(4 * self.sigma[1])))
        first, second = tf.split(gaussian_blur(coloured, self._sigmas(draws), radius), 2)
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
            draws["aspects"],
            draws["positions"],
            tf.cast(width, tf.float32) / tf.cast(height, tf.float32),
            crop_area=self.crop_area,
            aspect=self.aspect,
        )

    def _jitter(self, draws):
        jittered, grey = draws["jitter"][:, 0] < self.jitter, draws["grey"][:, 0] < self.grey
        return drawn_jitter(jittered, draws["factors"], draws["order"], grey, self.strength)

    def _sigmas(self, draws):
        sigmas = self.sigma[0] + draws["sigma"][:, 0] * (self.sigma[1] - self.sigma[0])
        return tf.where(draws["blur"][:, 0] < self.blur, sigmas, 0.0)

    def get_config(self):
        return {
            "image_size": self.image_size,
            "crop_area": list(self.crop_area),
            "aspect": list(self.aspect),
            "flip": self.flip,
            "jitter": self.jitter,
            "strength": self.strength,
            "grey": self.grey,
            "blur": self.blur,
            "sigma": list(self.sigma),
            "seed": self.seed,
            "fused": self.fused,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)
