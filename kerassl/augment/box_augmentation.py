"""Random changes of annotated images that take the boxes along."""

from __future__ import annotations

import math
import typing

from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._numbers import FROM_0, SHARE, check
from kerassl.augment.arguments import check_probability, check_range
from kerassl.augment.box_weights import COLUMNS, BoxWeights
from kerassl.augment.color import drawn_jitter, mean_colors, recolor
from kerassl.augment.lanes import lanewise
from kerassl.augment.mosaic import mosaic, mosaic_images
from kerassl.augment.visible_boxes import ROUNDING, visible_boxes
from kerassl.augment.windows import ATTEMPTS, window
from kerassl.resizing import resize

# How many uniform numbers an image takes, by what they are for.
_DRAWS = {
    "flip": 1,
    "zoom": 1,
    "factor": 1,
    "offset": 2,
    "crop": 1,
    "areas": ATTEMPTS,
    "ratios": ATTEMPTS,
    "positions": 2 * ATTEMPTS,
    "jitter": 1,
    "factors": 4,
    "order": 4,
    "mosaic": 1,
    "center": 2,
    "partners": 3,
    "places": 4,
    "parts": 8,
}


class Placed(typing.NamedTuple):
    """An image resized into its square, before batch-level augmentation.

    Attributes:
        image: `[S, S, 3]` float32 in [0, 255], black around the resized image.
        boxes: `[n, 4]` float32, xyxy in pixels of the square, not clipped.
        region: `[4]` float32, xyxy: the part that the resized image covers.
        draws: `[k]` float32 in [0, 1), uniform: what is still to be decided.
    """

    image: tf.Tensor
    boxes: tf.Tensor
    region: tf.Tensor
    draws: tf.Tensor


@keras.saving.register_keras_serializable(package="kerassl")
class BoxAugmentation:
    """Random changes of annotated images for the training of detectors: crop, zoom, flip, colors and mosaic.

    Give it to `datasets.detection_batches` or `single_object_batches` as `augmentation`. Everything is drawn in the
    graph for each image by itself, from the seed, the epoch and the image alone; only a mosaic's other three images
    depend on the batch. Crop, zoom and letterbox are one anti-aliased resize of the file's own pixels, and the rest
    stays black, as in a letterbox.

    A box is kept, clipped to the visible part, if its center and at least the share `min_visibility` of its area are
    visible and both sides of that part have at least `min_size` pixels. A crop, or a zoom above 1, that would leave no
    box of an image with boxes is drawn again, at most ten times; then the whole image is taken.

    Args:
        flip: float in [0, 1]. Probability that an image is mirrored left to right.
        zoom: float in [0, 1]. Probability that it is scaled against its letterbox. A smaller image is anywhere in
            the square, a larger one shows a part.
        zoom_range: (lowest, highest) factor; the draw is uniform in its logarithm.
        crop: float in [0, 1]. Probability that a part of it is cut out, which then fills the square.
        scale: (lowest, highest) share of the image that a crop shows; less where its shape does not fit.
        ratio: (lowest, highest) width over height of a crop, in pixels.
        jitter: float in [0, 1]. Probability that its colors are jittered.
        strength: float >= 0. Of the jitter; 1 is `SimCLRViews`' for pre-training, far more than a detector wants.
        mosaic: float in [0, 1]. Probability that it is laid together with three others of its batch, all at half their
            size. A last batch of fewer than four images has none. Not for `single_object_batches`.
        min_visibility: Float in [0, 1]. Share of a box's area that must stay visible. 0.7 or more suits a localizer,
            which predicts one object.
        min_size: Float >= 0. Shortest side of a box that is kept, in pixels.
        seed: int. Mixed into every draw.

    Raises:
        UserError: if a range or a probability is not one.

    Example:
        >>> augmentation = kerassl.augment.BoxAugmentation(mosaic=0.5)
        >>> detector.fit(kerassl.datasets.detection_batches(records, 256, 8, shuffle=True, augmentation=augmentation))

    References:
        Liu et al., "SSD: Single Shot MultiBox Detector", 2016, section 2.2 (crops and zoom).
        Bochkovskiy et al., "YOLOv4: Optimal Speed and Accuracy of Object Detection", 2020 (mosaic).
    """

    def __init__(
        self,
        *,
        flip: float = 0.5,
        zoom: float = 0.5,
        zoom_range: tuple[float, float] = (0.5, 1.5),
        crop: float = 0.5,
        scale: tuple[float, float] = (0.3, 1.0),
        ratio: tuple[float, float] = (0.5, 2.0),
        jitter: float = 0.8,
        strength: float = 0.25,
        mosaic: float = 0.0,
        min_visibility: float = 0.3,
        min_size: float = 2.0,
        seed: int = 0,
    ) -> None:
        self.flip = check_probability("flip", flip)
        self.zoom = check_probability("zoom", zoom)
        self.zoom_range = check_range("zoom_range", zoom_range)
        self.crop = check_probability("crop", crop)
        self.scale = check_range("scale", scale, highest=1.0)
        self.ratio = check_range("ratio", ratio)
        self.jitter = check_probability("jitter", jitter)
        self.mosaic = check_probability("mosaic", mosaic)
        if not SHARE.fits(min_visibility):
            raise UserError(f"min_visibility is {min_visibility}; give a share of a box's area, from 0 to 1")
        for name, value in (("strength", strength), ("min_size", min_size)):
            if not FROM_0.fits(value):
                raise UserError(f"{name} is {value}; give 0 or more")
        self.strength, self.min_visibility, self.min_size = float(strength), float(min_visibility), float(min_size)
        self.seed = check(seed=seed)

    @property
    def enlargement(self) -> float:
        """Return by how much an image can be larger than its letterbox, if the image is square."""
        zoomed = max(1.0, self.zoom_range[1]) if self.zoom else 1.0
        return zoomed / (self.scale[0] ** 0.5 if self.crop else 1.0)

    def place(self, image: tf.Tensor, boxes: tf.Tensor, size: int, seed: tf.Tensor) -> Placed:
        """Put an image into its square: crop, zoom, flip.

        Args:
            image: `[H, W, 3]` uint8.
            boxes: `[n, 4]` float32, xyxy in pixels of the image; rows without an area are no boxes.
            size: int. Side of the square in pixels.
            seed: `[3]` int32 tensor; the same seed gives the same.

        Returns:
            `Placed`.
        """
        seed = tf.random.experimental.stateless_fold_in(tf.cast(seed[:2], tf.int32), seed[2])
        seed = tf.random.experimental.stateless_fold_in(seed, self.seed % 2**31)
        numbers = tf.random.stateless_uniform([sum(_DRAWS.values())], seed, alg="philox")
        draws = _named(numbers)
        zoomed = draws["zoom"][0] < self.zoom
        low, high = (math.log(end) for end in self.zoom_range)
        factor = lanewise(tf.exp, low + draws["factor"] * (high - low))[0]
        origin, sides, shown = window(
            draws,
            draws["crop"][0] < self.crop,
            tf.where(zoomed, factor, 1.0),
            tf.cast(tf.shape(image)[1::-1], tf.float32),
            boxes,
            size,
            scale=self.scale,
            ratio=self.ratio,
            min_visibility=self.min_visibility,
            min_size=self.min_size,
        )
        # Even, so that a mosaic can halve it.
        offset = 2 * tf.cast(tf.floor(draws["offset"] * tf.cast((size - shown) // 2 + 1, tf.float32)), tf.int32)
        offset = tf.where(zoomed, offset, 0)
        (x, y), (width, height) = tf.unstack(origin), tf.unstack(sides)
        part = image[y : y + height, x : x + width]
        mirrored = draws["flip"][0] < self.flip
        part = tf.cond(mirrored, lambda: tf.reverse(part, [1]), lambda: part)
        # Where it is enlarged there is nothing to smooth, and the plain way is the faster one.
        resized = tf.cond(
            tf.reduce_all(shown >= sides),
            lambda: tf.image.resize(part, shown[::-1]),
            lambda: resize(part, shown[::-1]),
        )
        after = size - shown - offset
        square = tf.pad(resized, [[offset[1], after[1]], [offset[0], after[0]], [0, 0]])
        boxes = _moved(boxes, origin, shown / sides, mirrored, shown, offset)
        region = tf.cast(tf.concat([offset, offset + shown], axis=0), tf.float32)
        return Placed(tf.ensure_shape(square, [size, size, 3]), boxes, region, numbers)

    def finish(
        self, placed: Placed, classes: tf.Tensor, most: int | None = None, weights: BoxWeights | None = None
    ) -> tuple:
        """Finish a batch: colors, mosaics, and which boxes are left.

        Args:
            placed: `Placed` of a batch; every field has one more axis in front.
            classes: `[B, n]` float32, -1 where there is no box.
            most: int or None. Rows of boxes of the result; None is `n`, with mosaics `4 * n`.
            weights: `BoxWeights` of a batch, or None. A region that is ignored is clipped, never dropped while a part
                of it is visible.

        Returns:
            `[B, S, S, 3]` float32 images, `[B, most, 4]` float32 boxes and `[B, most]` float32 classes. Both hold -1
            where there is no box, behind those that there are. With `weights` also a dict of `weight`, `box_weight`,
            `ignore` `[B, most]`, `background` `[B, 4]` of the quarters of a mosaic and `center` `[B, 2]`, where they
            meet.
        """
        draws = _named(placed.draws)
        images = self._colored(placed, draws)
        boxes, regions = placed.boxes[:, None], placed.region[:, None]  # [B, 1, n, 4], [B, 1, 4]
        rows = classes[..., None] if weights is None else tf.concat([classes[..., None], weights.boxes], axis=-1)
        rows, size = rows[:, None], images.shape[1]  # [B, 1, n, k]
        background = None if weights is None else tf.tile(weights.background[:, None], [1, 4])
        center = tf.fill([tf.shape(images)[0], 2], size)
        if self.mosaic:
            mixed = (draws["mosaic"][:, 0] < self.mosaic) & (tf.shape(images)[0] >= 4)
            layout = mosaic(draws, placed.region, size)
            places = tf.where(mixed)  # [m, 1]
            chosen = type(layout)(*(tf.gather_nd(field, places) for field in layout))
            images = tf.tensor_scatter_nd_update(images, places, mosaic_images(images, chosen))
            shifts = tf.tile(tf.cast(layout.shifts, tf.float32), [1, 1, 2])[:, :, None]  # [B, 4, 1, 4]
            quarters = tf.gather(placed.boxes, layout.sources) / 2 + shifts  # [B, 4, n, 4]
            boxes = tf.where(mixed[:, None, None, None], quarters, boxes)
            regions = tf.where(mixed[:, None, None], tf.cast(layout.regions, tf.float32), regions)
            single = tf.concat([rows, tf.fill(tf.shape(tf.tile(rows, [1, 3, 1, 1])), -1.0)], axis=1)
            rows = tf.where(mixed[:, None, None, None], tf.gather(rows[:, 0], layout.sources), single)
            center = tf.where(mixed[:, None], layout.centers, center)
            if weights is not None:
                quarters = tf.gather(weights.background, layout.sources)
                background = tf.where(mixed[:, None], quarters, background)
        images = tf.ensure_shape(images, placed.image.shape)
        boxes, kept = visible_boxes(boxes, regions[:, :, None], self.min_visibility, self.min_size, 2 * ROUNDING)
        if weights is None:
            boxes, rows = _packed(boxes, rows, kept & (rows[..., 0] >= 0), most)
            return images, boxes, rows[..., 0]
        classes, weight, box_weight, ignore, ignored_if_cut = tf.unstack(rows, axis=-1)
        ignore = tf.where(kept, ignore, tf.maximum(ignore, ignored_if_cut))
        visible = tf.reduce_all(boxes[..., 2:] > boxes[..., :2], axis=-1)
        rows = tf.stack([classes, weight, box_weight, ignore], axis=-1)
        boxes, rows = _packed(boxes, rows, (kept | visible & (ignore > 0)) & (classes >= 0), most)
        names = dict(zip(COLUMNS[:3], tf.unstack(rows[..., 1:], axis=-1)))
        own = {**names, "background": background, "center": tf.cast(center, tf.float32)}
        return images, boxes, rows[..., 0], own

    def _colored(self, placed, draws):
        if not self.jitter or not self.strength:
            return placed.image
        never = tf.zeros_like(draws["jitter"][:, 0], tf.bool)
        jitter = drawn_jitter(
            draws["jitter"][:, 0] < self.jitter, draws["factors"], draws["order"], never, self.strength
        )
        # The black around an image is none of its colors, and stays black.
        size = placed.image.shape[1]
        sides = placed.region[:, 2:] - placed.region[:, :2]
        mean = mean_colors(placed.image) * (size * size / tf.reduce_prod(sides, axis=1, keepdims=True))
        along = tf.range(size, dtype=tf.float32)
        within = (along >= placed.region[:, :2, None]) & (along < placed.region[:, 2:, None])  # [B, 2, S]
        columns, rows = tf.unstack(tf.cast(within, tf.float32), axis=1)
        # Long rows: products with three numbers at a time take several times as long.
        colored = tf.reshape(recolor(placed.image, jitter, mean), [-1, size, size * 3])
        colored = colored * tf.repeat(columns, 3, axis=1)[:, None] * rows[:, :, None]
        return tf.reshape(colored, tf.shape(placed.image))

    def get_config(self) -> dict:
        return {
            "flip": self.flip,
            "zoom": self.zoom,
            "zoom_range": list(self.zoom_range),
            "crop": self.crop,
            "scale": list(self.scale),
            "ratio": list(self.ratio),
            "jitter": self.jitter,
            "strength": self.strength,
            "mosaic": self.mosaic,
            "min_visibility": self.min_visibility,
            "min_size": self.min_size,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict) -> BoxAugmentation:
        return cls(**config)


def _named(numbers):
    return dict(zip(_DRAWS, tf.split(numbers, list(_DRAWS.values()), axis=-1)))


def _moved(boxes, origin, factors, mirrored, shown, offset):
    """Boxes of an image in its square, `[n, 4]`."""
    origin, shown, offset = (tf.cast(each, tf.float32) for each in (origin, shown, offset))
    factors = tf.cast(factors, tf.float32)
    first, last = ((corners - origin) * factors for corners in (boxes[:, :2], boxes[:, 2:]))
    x0, x1 = first[:, 0], last[:, 0]
    x0, x1 = tf.where(mirrored, shown[0] - x1, x0), tf.where(mirrored, shown[0] - x0, x1)
    moved = tf.stack([x0, first[:, 1], x1, last[:, 1]], axis=1)
    return moved + tf.tile(offset, [2])


def _packed(boxes, rows, kept, most):
    """Boxes `[B, q, n, 4]` and what belongs to them as `[B, most, ...]`, those that are kept in front."""
    parts, count = (boxes, rows), boxes.shape[1] * boxes.shape[2]
    flat = [tf.reshape(each, [-1, count, *each.shape[3:]]) for each in (*parts, kept)]
    order = tf.argsort(tf.cast(~flat[-1], tf.int32), axis=1, stable=True)[:, : most or count]
    *parts, kept = (tf.gather(each, order, batch_dims=1) for each in flat)
    missing = [[0, 0], [0, max(0, (most or 0) - count)], [0, 0]]
    return [tf.pad(tf.where(kept[..., None], each, -1.0), missing, constant_values=-1.0) for each in parts]
