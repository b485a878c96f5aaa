"""Distillation of a frozen network's feature maps into a backbone, from images without labels."""

from __future__ import annotations

import os
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from kerassl import backbones
from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl.augment import SimCLRViews, Views
from kerassl.backbones.shares import on_share
from kerassl.losses import InfoNCE
from kerassl.losses.replicas import place_in_global_batch, shares_added_up
from kerassl.models.levels import check_levels
from kerassl.models.location_contrast import LocationContrast
from kerassl.models.projection import projection_head
from kerassl.models.teachers import Absent, Teacher, check_finite, resizing
from kerassl.models.view_model import ViewModel
from kerassl.types import LEVELS

# Folded into the seed, so that the views that are measured are not those of the first steps.
_MEASURED = 2207

_PROJECTED, _HIDDEN = 128, 256  # channels of the contrast's embeddings, and of the hidden layer of locations' heads


class _Batch(typing.NamedTuple):
    """Views, and the teacher's maps of them as they are compared: of the first views, then of the second."""

    views: Views
    targets: list


class _Shares(typing.NamedTuple):
    """This replica's shares of the loss, of each level's and, with contrast, of the parts and its accuracy."""

    loss: tf.Tensor
    levels: list
    parts: list


class _Statistics(keras.layers.Layer):
    """Mean and deviation of the teacher's channels at each level, and by which teacher they were measured."""

    def __init__(self, channels: Sequence[int], **kwargs) -> None:
        super().__init__(trainable=False, **kwargs)
        self.means = [self._add(f"mean_{i}", [count], "zeros") for i, count in enumerate(channels)]
        self.deviations = [self._add(f"deviation_{i}", [count], "ones") for i, count in enumerate(channels)]
        self.fingerprint = self._add("fingerprint", [4], "zeros", "int64")  # zeros: nothing was measured
        self.built = True

    def _add(self, name, shape, start, dtype=None):
        return self.add_weight(name=name, shape=shape, initializer=start, dtype=dtype, trainable=False)


@keras.saving.register_keras_serializable(package="kerassl")
class FeatureDistillation(ViewModel):
    """Learn a frozen teacher's feature maps: a backbone, and a 1x1 convolution for each of its levels.

    Teacher and student see the same random views, two of each image. Each level of the student is mapped to the
    teacher's channels and compared with the teacher's map, which is resized to the student's locations (bilinearly,
    anti-aliased) and standardized: each channel has the mean 0 and the deviation 1 over the images that `adapt` was
    given. A channel that was the same everywhere counts as 0. The loss is `1 - cosine` over channels, 0 to 2, in
    float32 or wider: the mean over all views of the global batch, all locations and all levels. A student that has
    learned nothing has a loss of about 1. A step logs `loss` and that of each level, as `P4_loss`.

    With `contrast` the two views of an image are contrasted as well, by a projection head of their own, and the loss is

        (1 - contrast_weight) * distillation + contrast_weight * contrast

    which logs `distillation_loss`, `contrast_loss` (both without the weight) and `contrast_accuracy`, too.

    `adapt` comes before `fit`, and measures the teacher on fixed views. What it measured is in the model's weights, and
    so in its files and checkpoints; the teacher is in neither. A checkpoint (`callbacks.Resume`) holds the student, the
    heads, the optimizer, and those statistics with a fingerprint of the teacher's weights: a run that is resumed needs
    no `adapt`, and refuses another teacher. A loaded model gets its teacher by `set_teacher`.

    The teacher runs for inference, without gradients. Nothing of it changes, and it is neither trained, nor saved, nor
    counted among the model's weights. A backbone learned from a teacher that was trained with labels is not label-free.

    Args:
        backbone: as of `SimCLR`, with feature maps of the strides 8, 16 and 32; the student.
        teacher: one of

            - a backbone as `backbones.build` returns it, any flat functional `keras.Model` whose output is its last
              feature map: gives its maps of the strides of `levels`, where it has them;
            - another `keras.Model` from images `[B, H, W, 3]` in [0, 255] to a map for all levels, a list of maps, one
              for each level from fine to coarse, or a dict from level to map. `models.teacher_map` makes one of a
              vision transformer;
            - str or path, as `models.open_teacher` takes it: `"MobileNet"`, a `.keras` file, `"kerashub:dinov2_small"`.

            Its maps may have any number of locations. Build it under the strategy under which the model is built.
        image_size: int. Side of the views, in pixels; a multiple of 32.
        levels: some of `"P3"`, `"P4"` and `"P5"`.
        contrast: None; `"global"` for the loss of `SimCLR`; or `"dense"` for that of the locations of `DenseSimCLR`, at
            `levels`.
        contrast_weight: float in [0, 1]. A contrastive loss is several times as large: 0.05 to 0.2 keeps distillation
            the larger part. 0 trains the backbone exactly as without contrast.
        temperature: float > 0, of the contrast.
        augmentation: callable of images and a seed that returns `augment.Views`, or None for
            `augment.SimCLRViews.mild(image_size)`.
        seed: int. Of the views' draws.

    Attributes:
        backbone: `keras.Model`, what distillation is for. Save it by `backbones.save`.
        heads: list of `keras.layers.Dense`, one for each level, discarded afterwards.
        contrast_heads: list of `keras.Sequential`, discarded, too: one, or one for each level; empty without contrast.

    Raises:
        UserError: if an argument is out of range, or the teacher does not run on such images, gives no feature maps, or
            gives NaN.

    Example:
        >>> teacher = kerassl.backbones.build("MobileNet", weights="imagenet")
        >>> model = kerassl.models.FeatureDistillation("MobileNetV3Small", teacher, image_size=128)
        >>> images = kerassl.datasets.image_folder("photos", image_size=160, batch_size=64)
        >>> model.adapt(images)
        >>> model.compile("adamw")
        >>> model.fit(images, epochs=50)
        >>> kerassl.backbones.save(model.backbone, "backbone.keras")

    References:
        Romero et al., "FitNets: Hints for Thin Deep Nets", 2015, for features as targets. Heo et al., "A Comprehensive
        Overhaul of Feature Distillation", 2019, for distances at several levels.
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        teacher: str | os.PathLike | keras.Model | Absent,
        image_size: int = 128,
        *,
        levels: str | Sequence[str] = ("P4", "P5"),
        contrast: str | None = None,
        contrast_weight: float = 0.1,
        temperature: float = 0.1,
        augmentation: Callable[..., Views] | None = None,
        seed: int = 0,
        name: str = "feature_distillation",
        **kwargs,
    ) -> None:
        if augmentation is None:
            augmentation = SimCLRViews.mild(image_size)
        super().__init__(backbone, image_size, augmentation, seed, name=name, **kwargs)
        self.levels = check_levels(levels)
        names = backbones.pyramid(self.backbone, self.image_size)
        maps = [self.backbone.get_layer(names[level]).output for level in self.levels]
        if contrast not in (None, "global", "dense"):
            raise UserError(f"contrast is {contrast!r}; give None, 'global' or 'dense'")
        if not 0 <= contrast_weight <= 1:
            raise UserError(f"contrast_weight is {contrast_weight}; give the share of the contrast, 0 to 1, as 0.1")
        self.contrast, self.contrast_weight = contrast, float(contrast_weight)
        outputs = [self.backbone.output, *maps] if contrast == "global" else maps
        # Its method and not the model, which Keras would track and save besides the backbone.
        self._features = keras.Model(self.backbone.inputs[0], outputs).__call__
        self._teacher = teacher if isinstance(teacher, Absent) else self._checked(teacher)
        shapes = self._teacher.shapes
        sides = [self.image_size // LEVELS[level] for level in self.levels]
        self._resizing = tuple(resizing(shape[:2], (side, side)) for shape, side in zip(shapes, sides))
        wide = keras.mixed_precision.global_policy().variable_dtype
        self.statistics = _Statistics([shape[2] for shape in shapes], dtype=wide, name="statistics")
        # Not in half precision, which the loss would raise again anyway.
        self.heads = [
            keras.layers.Dense(shape[2], dtype=wide, name=f"{level}_head") for level, shape in zip(self.levels, shapes)
        ]
        for head, each in zip(self.heads, maps):
            head.build((None, each.shape[-1]))
        self.objective: InfoNCE | LocationContrast
        if contrast == "dense":
            self.objective = LocationContrast(self.levels, temperature, seed=self.seed)
            self.contrast_heads = [
                projection_head(each.shape[-1], _HIDDEN, _PROJECTED, f"{level}_projection")
                for level, each in zip(self.levels, maps)
            ]
        else:
            self.objective = InfoNCE(temperature, dtype=wide)
            channels = self.backbone.output_shape[-1]
            self.contrast_heads = [projection_head(channels, channels, _PROJECTED)] if contrast else []
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.level_trackers = [keras.metrics.Mean(name=f"{level}_loss") for level in self.levels]
        parts = ("distillation_loss", "contrast_loss", "contrast_accuracy") if contrast else ()
        self.contrast_trackers = [keras.metrics.Mean(name=part) for part in parts]

    def _checked(self, teacher):
        return Teacher(teacher, self.levels, self.image_size, self.backbone)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [self.loss_tracker, *self.level_trackers, *self.contrast_trackers]

    @property
    def adapted(self) -> bool:
        """Whether the teacher's features were measured."""
        return bool(np.any(self.statistics.fingerprint.numpy()))

    def set_teacher(self, teacher: str | os.PathLike | keras.Model) -> None:
        """Give a model that was loaded from a file its teacher, or any model another one, for which to call `adapt`.

        Args:
            teacher: as of the constructor.

        Raises:
            UserError: as of the constructor; if its maps have other sizes than those of the teacher before.

        Example:
            >>> model = keras.saving.load_model("distillation.keras")
            >>> model.set_teacher("MobileNet")
            >>> model.fit(kerassl.datasets.image_folder("photos/", 96, 32))
        """
        found, before = self._checked(teacher), self._teacher.shapes
        if found.shapes != before:
            raise UserError(f"{found.name} gives maps of {found.shapes}, the model was made for maps of {before}")
        self._teacher = found

    def adapt(self, images: Iterable, steps: int | None = None) -> int:
        """Measure mean and deviation of the teacher's channels, in one pass over fixed views.

        They are those of the maps as they are compared, resized to the student's locations. The views are drawn by the
        model's augmentation and depend on its seed and the batch's number alone. Sums are in float64, outside of
        replicas: the statistics are the same for any number of these.

        Args:
            images: batches as of `fit`. A reader's data set is read from its epoch 0, and begins there again then.
            steps: int or None. At most so many batches; a few thousand images suffice.

        Returns:
            int, the number of images.

        Raises:
            UserError: if there is no batch; if features are NaN or infinite, or the same for all images; if the teacher
                was, surely, trained on pixels in another scale.
        """
        if isinstance(self._teacher, Absent):
            raise UserError(f"{self.name} has no teacher; give it by set_teacher")
        teacher, count = self._teacher, 0
        sums = [np.zeros([2, shape[2]]) for shape in teacher.shapes]
        measure = tf.function(self._measure, reduce_retracing=True)
        _begin(images)
        for number, batch in enumerate(images):
            if number == steps:
                break
            views = self._fixed_views(batch, number)
            if not number:
                teacher.check_input_scale(views)
            for total, part in zip(sums, measure(views)):
                total += part.numpy()
            count += int(views.shape[0]) // 2
        _begin(images)
        if not count:
            raise UserError("there is no batch to measure the teacher on; give adapt a data set with images")
        found = []
        for level, (first, second) in zip(self.levels, sums):
            check_finite(teacher.name, level, (first, second))
            locations = 2 * count * (self.image_size // LEVELS[level]) ** 2
            mean = first / locations
            deviation = np.sqrt(np.maximum(second / locations - mean**2, 0.0))
            deviation[deviation <= 1e-6 * np.abs(mean)] = 0.0  # rounding, of a channel that is the same everywhere
            if not deviation.any():
                raise UserError(f"{teacher.name} gives the same features for all images at {level}; give a trained one")
            found.append((mean, deviation))
        for (mean, deviation), *kept in zip(found, self.statistics.means, self.statistics.deviations):
            kept[0].assign(mean)
            kept[1].assign(deviation)
        self.statistics.fingerprint.assign(teacher.fingerprint())
        return count

    def _fixed_views(self, batch, number):
        images = self._images(batch)
        if isinstance(images, Views):
            return tf.concat([images.first, images.second], axis=0)
        seed = tf.random.experimental.stateless_fold_in(tf.constant([self.seed % 2**31, number]), _MEASURED)
        views = self.augmentation(images, seed)
        return tf.concat([views.first, views.second], axis=0)

    def _measure(self, images):
        """Sums over all locations of each channel, and of its square, `[2, C]`, of each level."""
        values = [tf.reshape(tf.cast(each, tf.float64), [-1, each.shape[-1]]) for each in self._teacher_maps(images)]
        return [tf.stack([tf.reduce_sum(each, 0), tf.reduce_sum(tf.square(each), 0)]) for each in values]

    def _teacher_maps(self, images):
        """The teacher's maps at the student's locations."""
        maps = [tf.cast(each, self.statistics.means[0].dtype) for each in self._teacher(images)]
        return [resize(each) for resize, each in zip(self._resizing, maps)]

    def call(self, images: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """Return the maps that are to equal the teacher's, of images in [0, 255]: `[B, h, w, C]` for each level."""
        return self._outputs(images, training)[0]

    def _outputs(self, images, training):
        """The maps that are to equal the teacher's, the student's own, and embeddings for a global contrast."""

        def network(images):
            found = self._features(images, training=training)
            found = found if isinstance(found, (list, tuple)) else [found]  # one map is a list on one stack alone
            maps = [*found[-len(self.levels) :]]
            rows = [head(tf.reshape(each, [-1, each.shape[-1]])) for head, each in zip(self.heads, maps)]
            mapped = [
                tf.reshape(row, tf.concat([tf.shape(each)[:3], [row.shape[-1]]], 0)) for row, each in zip(rows, maps)
            ]
            whole = []
            if self.contrast == "global":
                whole = [self.contrast_heads[0](self.pool(found[0]), training=training)]
            return mapped, maps, whole

        return on_share(network, images)

    def _views(self, data):
        views = super()._views(data)
        images = tf.concat([views.first, views.second], axis=0)
        maps = on_share(self._teacher_maps, images)  # here: outside of the tape
        scaled = [
            tf.math.divide_no_nan(each - tf.convert_to_tensor(mean), tf.convert_to_tensor(deviation))
            for each, mean, deviation in zip(maps, self.statistics.means, self.statistics.deviations)
        ]
        return _Batch(views, [tf.math.l2_normalize(each, axis=-1) for each in scaled])

    def _shares(self, batch, training):
        views, targets = batch
        images = tf.concat([views.first, views.second], axis=0)
        mapped, maps, whole = self._outputs(images, training)
        _, count = place_in_global_batch(tf.shape(images)[0])
        losses = []
        for found, target in zip(mapped, targets):
            cosines = tf.reduce_sum(tf.math.l2_normalize(found, axis=-1) * target, axis=-1)  # [B, h, w]
            locations = tf.cast(count * cosines.shape[1] * cosines.shape[2], cosines.dtype)
            losses.append(tf.reduce_sum(1.0 - cosines) / locations)
        loss = tf.add_n(losses) / len(losses)
        if self.contrast is None:
            return _Shares(loss, losses, [])
        if self.contrast == "global":
            beside = self.objective.contrast(*tf.split(whole[0], 2, axis=0))
        else:
            beside = self.objective(views, maps, self.contrast_heads, self.optimizer.iterations, training)
        parts = [loss, *(tf.cast(each, loss.dtype) for each in (beside.loss, beside.accuracy))]
        return _Shares((1.0 - self.contrast_weight) * loss + self.contrast_weight * parts[1], losses, parts)

    def _log(self, shares):
        for tracker, value in zip(self.metrics, shares_added_up(shares.loss, *shares.levels, *shares.parts)):
            tracker.update_state(value)
        return self._logs()

    def make_train_function(self, force: bool = False) -> Any:
        self._check_teacher()
        return super().make_train_function(force)

    def make_test_function(self, force: bool = False) -> Any:
        self._check_teacher()
        return super().make_test_function(force)

    def _check_teacher(self):
        """Refuse to train without the teacher that was measured; after a checkpoint was restored."""
        if isinstance(self._teacher, Absent):
            raise UserError(f"{self.name} was loaded from a file, which holds no teacher; give it by set_teacher")
        if not self.adapted:
            raise UserError(f"{self.name} does not know its teacher's features; call adapt(images) before fit")
        if not np.array_equal(self._teacher.fingerprint(), self.statistics.fingerprint.numpy()):
            raise UserError(
                f"{self._teacher.name} is not the one that was measured; give that one, or call adapt(images) again"
            )

    def get_config(self) -> dict:
        shapes = [list(shape) for shape in self._teacher.shapes]
        return {
            **super().get_config(),
            "levels": list(self.levels),
            "contrast": self.contrast,
            "contrast_weight": self.contrast_weight,
            "temperature": self.objective.temperature,
            "teacher": shapes,
        }

    @classmethod
    def from_config(cls, config: dict) -> FeatureDistillation:
        shapes = config["teacher"]
        return super().from_config({**config, "teacher": Absent(shapes)})  # type: ignore[return-value]


def _begin(images):
    if hasattr(images, "begin"):
        images.begin(0)
