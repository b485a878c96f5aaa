"""Contrast of the locations of feature maps, as of `models.DenseSimCLR`."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence

from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._numbers import COUNT
from kerassl.augment import Views, location_centers, match_locations
from kerassl.losses import dense_info_nce
from kerassl.losses.dense_info_nce import check_contrast
from kerassl.losses.replicas import place_in_global_batch
from kerassl.types import LEVELS

# Folded into the seed, so that locations are not drawn by the same random numbers as views.
_LOCATIONS = 6311


class LocationShares(typing.NamedTuple):
    """This replica's shares, each the mean over the levels.

    Attributes:
        loss: scalar, float32 or float64.
        accuracy: how often a location is more similar to its match than to any negative.
        matched: share of all locations that have a match.
    """

    loss: tf.Tensor
    accuracy: tf.Tensor
    matched: tf.Tensor


@dataclasses.dataclass(frozen=True)
class LocationContrast:
    """Contrast matched locations of two views' feature maps, as `models.DenseSimCLR` describes it.

    Attributes:
        levels: tuple of str.
        temperature, locations_per_image, min_negative_distance, tile_size: as of `models.DenseSimCLR`.
        seed: int, of the draw of locations.

    Raises:
        UserError: if a number is out of range.
    """

    levels: tuple[str, ...]
    temperature: float
    locations_per_image: int = 16
    min_negative_distance: float | None = None
    tile_size: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not COUNT.fits(self.locations_per_image):
            raise UserError(f"locations_per_image is {self.locations_per_image}; give a number of locations, as 16")
        if self.min_negative_distance is not None and not self.min_negative_distance >= 1:
            raise UserError(
                f"min_negative_distance is {self.min_negative_distance}; give a number, 1 or more, as 1.5, or None"
            )
        check_contrast(self.temperature, self.tile_size)

    def __call__(
        self,
        views: Views,
        maps: Sequence[tf.Tensor],
        heads: Sequence[keras.Sequential],
        step: tf.Tensor,
        training: bool,
    ) -> LocationShares:
        """Contrast the locations of a batch.

        Args:
            views: `augment.Views` of this replica's `B` images.
            maps: of each level, those of the first views and then those of the second, `[2B, h, w, C]`.
            heads: projection head of each level.
            step: scalar, of which the draw of locations depends.
            training: bool.
        """
        found = [self._of_level(number, views, each, heads[number], step, training) for number, each in enumerate(maps)]
        loss = found[0][0]
        return LocationShares(
            *(tf.add_n([tf.cast(value, loss.dtype) for value in values]) / len(found) for values in zip(*found))
        )

    def _of_level(self, number, views, maps, head, step, training):
        """This replica's share of loss, accuracy and matched locations of one level."""
        shape = tf.shape(maps)
        embedded = head(tf.reshape(maps, [-1, maps.shape[-1]]), training=training)  # 1x1 convolutions
        embedded = tf.reshape(embedded, [shape[0], shape[1] * shape[2], embedded.shape[-1]])
        first, second = tf.split(embedded, 2, axis=0)  # [B, locations, D]

        stride = LEVELS[self.levels[number]]
        there, back = match_locations(views, stride), match_locations(views.swapped(), stride)
        matches, valid = (tf.stack(both, axis=1) for both in zip(there, back))  # [B, 2, locations]
        offset, total = place_in_global_batch(tf.shape(first)[0])
        drawn, known = self.draw(valid, number, step, offset, total)
        taken = tf.gather(matches, drawn, batch_dims=2)
        # Both directions are one pool: pairs from the first view to the second, then those back.
        anchors, keys = (
            tf.concat([tf.gather(a, at[:, 0], batch_dims=1), tf.gather(b, at[:, 1], batch_dims=1)], axis=1)
            for a, b, at in ((first, second, drawn), (second, first, taken))
        )
        known = tf.reshape(known, [-1, 2 * tf.shape(known)[2]])
        places = None
        if self.min_negative_distance is not None:
            places = tf.stack([location_centers(each, stride) for each in (views, views.swapped())], axis=1)
            places = tf.gather(places, drawn, batch_dims=2) / self.min_negative_distance  # [B, 2, K, 2]
            places = tf.reshape(places, [-1, tf.shape(known)[1], 2])
        found = dense_info_nce(anchors, keys, known, self.temperature, self.tile_size, places)
        whole = tf.cast(2 * total * tf.shape(valid)[2], tf.float32)
        return found.loss, found.accuracy, tf.reduce_sum(tf.cast(valid, tf.float32)) / whole

    def draw(
        self, valid: tf.Tensor, number: int, step: tf.Tensor, offset: tf.Tensor, total: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draw locations `[B, 2, K]` of both views, those that have a match first, and whether they have one.

        Args:
            valid: `[B, 2, locations]` bool, whether a location has a match.
            number: int, of the level.
            step: scalar.
            offset, total: as of `place_in_global_batch`.
        """
        count = tf.shape(valid)[2]
        seed = tf.stack([self.seed % 2**31, tf.cast(step, tf.int32)])
        seed = tf.random.experimental.stateless_fold_in(seed, _LOCATIONS + number)
        # Replicas draw for the whole batch and keep their rows. One algorithm on every device.
        chances = tf.random.stateless_uniform([total, 2, count], seed, alg="philox")
        chances = tf.where(valid, chances[offset : offset + tf.shape(valid)[0]], -1.0)
        best, drawn = tf.math.top_k(chances, tf.minimum(self.locations_per_image, count))
        return drawn, best >= 0.0
