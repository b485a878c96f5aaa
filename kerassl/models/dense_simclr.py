"""Contrastive pre-training of a backbone and of the locations of its feature maps."""

from __future__ import annotations

import typing
from collections.abc import Sequence

from kerassl import backbones
from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl.backbones.shares import on_share
from kerassl.losses import InfoNCE
from kerassl.losses.replicas import shares_added_up
from kerassl.models.levels import check_levels
from kerassl.models.location_contrast import LocationContrast
from kerassl.models.projection import projection_head
from kerassl.models.simclr import SimCLR


class _Contrast(typing.NamedTuple):
    """`losses.Contrast` of both losses together, and their parts."""

    loss: tf.Tensor
    accuracy: tf.Tensor
    views: tf.Tensor
    parts: list


@keras.saving.register_keras_serializable(package="kerassl")
class DenseSimCLR(SimCLR):
    """`SimCLR` that also contrasts the locations of feature maps, for detectors.

    The two views' crop boxes and flips determine which location of the second view's feature map shows the same place
    as a location of the first (`augment.match_locations`). Such pairs, both from the first view to the second and back,
    are contrasted with the drawn pairs' keys of all other images of the global batch (`losses.dense_info_nce`);
    locations of the same image are negatives only with `min_negative_distance`. The loss is

        (1 - dense_weight) * global + dense_weight * mean over the levels of the dense loss

    A level at which no location has a match adds 0 to the mean. Every level has a projection head of its own, 1x1
    convolutions, which is discarded after pre-training like the global one.

    Besides the parent's metrics a step logs `global_loss`, `dense_loss` (the mean over the levels, without the weight),
    `dense_accuracy` (how often a location is more similar to its match than to any negative) and `matched` (the share
    of all locations that have a match); `loss` is the sum.

    Args:
        backbone: as of `SimCLR`, with feature maps of the strides 8, 16 and 32.
        image_size: as of `SimCLR`.
        levels: some of `"P3"`, `"P4"` and `"P5"`. P3 is the finest, with four times the locations of P4.
        dense_weight: float in [0, 1]. 0.5 weighs both equally; 0 trains the backbone exactly as `SimCLR` does.
        dense_temperature: float > 0 or None, which takes the global loss's.
        dense_hidden_dim: int. Length of the hidden layer of the locations' heads. The global one's for each of hundreds
            of locations would cost more than the rest of the loss.
        locations_per_image: int > 0. Maximum number of matched locations of each view that are drawn, at each level
            and step. The draw depends on the seed, the step and the image's place in the global batch alone.
        min_negative_distance: float >= 1 or None. Locations of the same image are negatives, too, if they are more than
            this many diagonals of a location apart on the image (the larger of both views'). None takes those of other
            images alone.
        tile_size: int > 0 or None. How many locations are compared with all others at once, as in `dense_info_nce`.
            None compares all: 4 `N² locations_per_image²` similarities for a global batch of `N`.
        **kwargs: the other arguments of `SimCLR`, by name. `projection_dim` is also that of the locations.

    Attributes:
        location_heads: list of `keras.Sequential`, one for each level.

    Raises:
        UserError: as of `SimCLR`; if a level is unknown, repeated or not in the backbone, or a number is out of
            range.

    Example:
        >>> model = kerassl.models.DenseSimCLR("EfficientNetB1", image_size=128, levels=("P4", "P5"))
        >>> model.compile(kerassl.optimizers.LARS(0.6))
        >>> model.fit(kerassl.datasets.image_folder("photos", image_size=160, batch_size=64), epochs=100)
        >>> kerassl.backbones.save(model.backbone, "backbone.keras")

    References:
        Wang et al., "Dense Contrastive Learning for Self-Supervised Visual Pre-Training", 2021, eq. 2 and 3. Xie et
        al., "Propagate Yourself", 2021, for matching by geometry.
    """

    def __init__(
        self,
        backbone: str | keras.Model = "EfficientNetB1",
        image_size: int = 128,
        *,
        levels: str | Sequence[str] = ("P4", "P5"),
        dense_weight: float = 0.5,
        dense_temperature: float | None = None,
        dense_hidden_dim: int = 256,
        locations_per_image: int = 16,
        min_negative_distance: float | None = None,
        tile_size: int | None = None,
        name: str = "dense_simclr",
        **kwargs,
    ) -> None:
        super().__init__(backbone, image_size, name=name, **kwargs)
        self.levels = check_levels(levels)
        if not 0 <= dense_weight <= 1:
            raise UserError(f"dense_weight is {dense_weight}; give the share of the dense loss, 0 to 1, as 0.5")
        self.dense_weight = float(dense_weight)
        self.dense_temperature = dense_temperature
        self.dense_hidden_dim = dense_hidden_dim
        self.location_contrast = LocationContrast(
            self.levels, self._temperature(), locations_per_image, min_negative_distance, tile_size, self.seed
        )
        names = backbones.pyramid(self.backbone, self.image_size)
        maps = [self.backbone.get_layer(names[level]).output for level in self.levels]
        # Its method and not the model, which Keras would track and save besides the backbone.
        self._features = keras.Model(self.backbone.inputs[0], [self.backbone.output, *maps]).__call__
        self.location_heads = [
            projection_head(each.shape[-1], dense_hidden_dim, self._config["projection_dim"], f"{level}_head")
            for level, each in zip(self.levels, maps)
        ]
        self.global_tracker = keras.metrics.Mean(name="global_loss")
        self.dense_trackers = [keras.metrics.Mean(name=name) for name in ("dense_loss", "dense_accuracy", "matched")]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [*super().metrics, self.global_tracker, *self.dense_trackers]

    def _temperature(self):
        if self.dense_temperature is not None:
            return self.dense_temperature
        return self.objective.temperature if isinstance(self.objective, InfoNCE) else self._config["temperature"]

    def _shares(self, views, training):
        images = tf.concat([views.first, views.second], axis=0)

        def network(images):
            features, *maps = self._features(images, training=training)  # one pass for both losses
            return self._project(features, training), *maps

        embeddings, *maps = on_share(network, images)
        whole = self._contrast(*tf.split(embeddings, 2, axis=0))
        step = self.optimizer.iterations
        found = self.location_contrast(views, maps, self.location_heads, step, training)
        dense, accuracy, matched = (tf.cast(value, whole.loss.dtype) for value in found)
        loss = (1.0 - self.dense_weight) * whole.loss + self.dense_weight * dense
        return _Contrast(loss, whole.accuracy, whole.views, [whole.loss, dense, accuracy, matched])

    def _log(self, contrast):
        for tracker, value in zip([self.global_tracker, *self.dense_trackers], shares_added_up(*contrast.parts)):
            tracker.update_state(value)
        return super()._log(contrast)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "levels": list(self.levels),
            "dense_weight": self.dense_weight,
            "dense_temperature": self.dense_temperature,
            "dense_hidden_dim": self.dense_hidden_dim,
            "locations_per_image": self.location_contrast.locations_per_image,
            "min_negative_distance": self.location_contrast.min_negative_distance,
            "tile_size": self.location_contrast.tile_size,
        }
