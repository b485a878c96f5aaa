"""Teachers of feature distillation: frozen networks from images to feature maps."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kerassl import backbones
from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._io.arrays import reason
from kerassl._io.keras_file import open_model
from kerassl.backbones.description import read_description
from kerassl.backbones.pyramid import last_by_stride
from kerassl.models.kerashub import PREFIX, load_preset
from kerassl.models.teacher_names import check_teacher
from kerassl.types import LEVELS

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)

# Pixels in [0, 255] for a network of pixels in [0, 1] have 65,000 times the variance, for one of [-1, 1] 16,000 times,
# for one of standardized pixels 3,000 times. Images in the same scale stay below 10.
_TOO_MUCH = 1000.0

_WANTED = "give a keras.Model of images [batch, height, width, 3] in [0, 255] whose outputs are feature maps"


class Teacher:
    """A frozen network, called for its feature maps: one for each level of the student.

    It is no Keras object: what Keras finds in a model it trains, saves and counts. The network is called for inference
    and nothing of it is changed, not even `trainable`.

    Args:
        network: `keras.Model` from images in [0, 255] to a map, a list of maps, one for each level, or a dict from
            level to map; or str or path, as `open_teacher` takes it.
        levels: levels of the student.
        image_size: int, side of the images in pixels.

    Attributes:
        shapes: list of (height, width, channels), one for each level.

    Raises:
        UserError: if the network does not run on such images, or gives no finite feature maps.
    """

    def __init__(
        self, network: str | os.PathLike | keras.Model, levels: Sequence[str], image_size: int, student: keras.Model
    ) -> None:
        network = open_teacher(network) if isinstance(network, (str, os.PathLike)) else network
        if not isinstance(network, keras.Model):
            raise UserError(f"the teacher is {type(network).__name__}, no model; {_WANTED}")
        self.network, self.levels, self.name = network, tuple(levels), f"the teacher {network.name}"
        shared = {id(each) for each in network.weights} & {id(each) for each in student.weights}
        if shared:
            raise UserError(
                f"{self.name} has {len(shared)} weights in common with the student, which would change them; give a "
                "network of its own"
            )
        fixed = _input_sides(network)
        if fixed is not None and any(side not in (None, image_size) for side in fixed):
            raise UserError(
                f"{self.name} takes images of {fixed[0]} x {fixed[1]} pixels, not of {image_size}; give "
                "kerassl.models.teacher_map(teacher), which resizes them"
            )
        self._maps = _pyramid_of(network, self.levels) or network
        try:
            maps = self(tf.fill([1, image_size, image_size, 3], 127.0))
        except UserError:
            raise
        except Exception as error:  # whatever a model of the user's own raises
            raise UserError(
                f"{self.name} does not run on images of {image_size} pixels ({reason(error)}); {_WANTED}"
            ) from error
        self.shapes = [tuple(int(side) for side in each.shape[1:]) for each in maps]
        for level, shape, each in zip(self.levels, self.shapes, maps):
            if shape[0] * shape[1] == 1 and image_size > LEVELS[level]:
                raise UserError(
                    f"{self.name} gives one location for a whole image; cut it before it pools its feature map"
                )
            check_finite(self.name, level, each)

    def __call__(self, images: tf.Tensor) -> list[tf.Tensor]:
        """Return a feature map `[B, h, w, C]` for each level, of images `[B, S, S, 3]` in [0, 255]."""
        found = self._maps(images, training=False)
        if isinstance(found, Mapping):
            missing = [level for level in self.levels if level not in found]
            if missing:
                raise UserError(f"{self.name} gives {', '.join(map(str, found))}, and no {missing[0]}; {_WANTED}")
            maps = [found[level] for level in self.levels]
        else:
            maps = list(found) if isinstance(found, (list, tuple)) else [found] * len(self.levels)
        if len(maps) != len(self.levels):
            raise UserError(
                f"{self.name} gives {len(maps)} maps for {len(self.levels)} levels ({', '.join(self.levels)}); give "
                "one for each, or one for all"
            )
        for each in maps:
            if len(each.shape) != 4:
                raise UserError(
                    f"{self.name} gives {tuple(each.shape)} and no feature map [batch, height, width, channels]; "
                    + ("kerassl.models.teacher_map makes one of tokens" if len(each.shape) == 3 else _WANTED)
                )
        return maps

    def fingerprint(self) -> np.ndarray:
        """Return four numbers, above 0, by which the teacher's weights are recognized."""
        digests = [
            hashlib.sha256(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes()).digest()
            for array in map(np.asarray, self.network.get_weights())
        ]
        # Sorted: the order of weights depends on which of them are frozen.
        whole = hashlib.sha256(b"".join(sorted(digests))).digest()
        return np.frombuffer(whole[:16], "<u4").astype("int64") + 1

    def check_input_scale(self, images: tf.Tensor) -> None:
        """Refuse a network that was trained on pixels in another scale than [0, 255], where that is sure.

        Its first batch normalization knows the variance of its input in training. One with the variance that every
        network starts with was not trained, or knows nothing.
        """
        variances = _first_batch_norm(self.network, images)
        if variances is None:
            return
        kept, found = variances
        ratio = float(np.median(found / np.maximum(kept, 1e-12)))
        if not np.all(kept == 1.0) and ratio > _TOO_MUCH:
            raise UserError(
                f"{self.name} was trained on pixels in a smaller scale than [0, 255]: its first batch normalization "
                f"sees {ratio:,.0f} times the variance it knows; put keras.layers.Rescaling before it"
            )


class Absent:
    """In place of the teacher of a model that was loaded from a file, which holds none.

    Args:
        shapes: those of the teacher's maps.
    """

    def __init__(self, shapes: Sequence[Sequence[int]]) -> None:
        self.shapes = [tuple(shape) for shape in shapes]


def open_teacher(
    name: str | os.PathLike,
    weights: str | os.PathLike | None = None,
    cut_at: str | None = None,
    image_size: int | None = None,
) -> keras.Model:
    """Open a teacher by its name.

    Args:
        name: one of `backbones.list_backbones()`; the path of a `.keras` file; or `kerashub:` and the name of a preset
            of KerasHub, as `"kerashub:dinov2_small"`, or the folder of one.
        weights: `"imagenet"` (None takes them), `"random"`, or the path of a file as of `backbones.build`. Other names
            have weights.
        cut_at: str or None, the layer of a backbone after which it is cut.
        image_size: int or None. Side of the images in pixels for a network of KerasHub; None is 224 for DINOv2 and
            DINOv3, and its own for others.

    Returns:
        `keras.Model` from images `[B, H, W, 3]` in [0, 255] to feature maps.

    Raises:
        UserError: if it is unknown or cannot be read or downloaded, or an argument is for teachers of another kind.

    Example:
        >>> teacher = kerassl.models.open_teacher("MobileNet", "weights.npz", cut_at="conv_pw_12_relu")
        >>> model = kerassl.models.FeatureDistillation("MobileNetV3Small", teacher, image_size=128)
    """
    name, weights = os.fspath(name), None if weights is None else os.fspath(weights)
    check_teacher(name, weights, cut_at, image_size)
    if name.startswith(PREFIX):
        network, mean, deviation = load_preset(name, image_size)
        return teacher_map(network, mean=mean, deviation=deviation)
    if name.endswith(".keras"):
        described = read_description(name, _WANTED) is not None
        return backbones.load(name) if described else open_model(name, _WANTED, compile=False)
    weights = None if weights == "random" else weights or "imagenet"
    return backbones.build(name, weights=weights, cut_at=cut_at)


def check_finite(name: str, level: str, values: Any) -> None:
    if not np.all(np.isfinite(values)):
        raise UserError(
            f"{name} gives features that are NaN or infinite for {level}; give one whose weights are finite"
        )


def _input_sides(network):
    """Height and width of a network's images, each None where it takes any; None where that is not known."""
    inputs = getattr(network, "inputs", None) or ()
    return tuple(inputs[0].shape[1:3]) if len(inputs) == 1 and len(inputs[0].shape) == 4 else None


def _pyramid_of(network, levels):
    """A backbone's maps of the strides of the levels, or None of a network that has other outputs, or no such maps."""
    try:
        last = last_by_stride(network)
        names = [last[LEVELS[level]] for level in levels]
        if len(network.outputs) > 1 or network.layers[-1].name not in last.values() or not network.inputs:
            return None
        return keras.Model(network.inputs[0], [network.get_layer(name).output for name in names])
    except (AttributeError, KeyError, TypeError, ValueError):  # no flat functional model
        return None


def _first_batch_norm(network, images):
    """The variance of its input that the first batch normalization keeps, and that on images; None if there is none."""
    for layer in getattr(network, "layers", ()):
        if isinstance(layer, keras.layers.BatchNormalization):
            try:
                inputs = keras.Model(network.inputs[0], layer.input)(images, training=False)
            except (AttributeError, TypeError, ValueError):
                return None
            values = np.asarray(inputs, np.float64).reshape(-1, inputs.shape[-1])
            kept = np.asarray(layer.moving_variance, np.float64)
            return None if kept.shape != values.shape[1:] else (kept, values.var(axis=0))
    return None


def teacher_map(
    network: keras.Model,
    image_size: int | None = None,
    *,
    patch_size: int | None = None,
    prefix_tokens: int | None = None,
    mean: Sequence[float] = _MEAN,
    deviation: Sequence[float] = _DEVIATION,
) -> keras.Model:
    """Make a teacher of a network that takes standardized images and returns tokens, as a vision transformer.

    Images are resized (bilinearly, with anti-aliasing), scaled to [0, 1] and standardized; the tokens of the patches,
    row by row, become a map. A network that returns a map keeps it.

    Args:
        network: `keras.Model` of images, as a backbone of KerasHub.
        image_size: int or None. Side of the images that the network gets, in pixels, a multiple of its patches. None
            takes the size that the network was built for.
        patch_size: int or None, side of a patch in pixels. None takes `network.patch_size`.
        prefix_tokens: int or None, tokens before those of the patches. None takes the class token and
            `network.num_register_tokens`, or no token where there are just those of the patches.
        mean, deviation: sequences of three floats, of pixels in [0, 1]. ImageNet's by default, as DINOv2 and DINOv3
            take them; ViT and SigLIP of KerasHub take 0.5 for all.

    Returns:
        `keras.Model` from images `[B, H, W, 3]` in [0, 255] to a map `[B, h, w, C]`.

    Raises:
        UserError: if sizes are unknown, or the patches do not divide the image.

    Example:
        >>> hub = keras_hub.models.Backbone.from_preset("dinov2_small", image_shape=(224, 224, 3))
        >>> model = kerassl.models.FeatureDistillation("MobileNetV3Small", kerassl.models.teacher_map(hub), 128)
    """
    sides = _input_sides(network)
    own = None if sides is None else sides[0]
    if image_size is not None and own not in (None, image_size):
        raise UserError(f"{network.name} was built for images of {own} pixels, not of {image_size}; give no other size")
    size = image_size or own
    if size is None:
        raise UserError(f"{network.name} takes images of any size; give teacher_map image_size, as 224")
    patch = patch_size if patch_size is not None else getattr(network, "patch_size", None)
    patch = patch[0] if isinstance(patch, (tuple, list)) else patch
    if patch is not None and (patch < 1 or size % patch):
        below = size // max(patch, 1) * patch
        raise UserError(
            f"patches of {patch} pixels do not divide images of {size}; use {below or patch} or {below + patch}"
        )
    if prefix_tokens is None:
        prefix_tokens = 1 + int(getattr(network, "num_register_tokens", 0) or 0)
    return _Map(network, int(size), patch, prefix_tokens, mean, deviation, name=network.name)


class _Map(keras.Model):
    def __init__(self, network, size, patch, prefix, mean, deviation, name):
        super().__init__(name=name)
        self.network, self.size, self.patch, self.prefix = network, size, patch, prefix
        self.mean, self.deviation = 255.0 * np.asarray(mean, "float32"), 255.0 * np.asarray(deviation, "float32")
        inputs = network.input if getattr(network, "inputs", None) else None
        self.key = next(iter(inputs)) if isinstance(inputs, Mapping) else None

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        images = tf.cast(images, tf.float32)
        if tuple(images.shape[1:3]) != (self.size, self.size):
            images = tf.image.resize(images, [self.size, self.size], antialias=True)
        images = (images - self.mean) / self.deviation
        tokens = self.network(images if self.key is None else {self.key: images}, training=False)
        if len(tokens.shape) != 3:
            return tokens
        if self.patch is None:
            raise UserError(f"{self.name} gives tokens, and no patch_size; give teacher_map that of its patches, as 14")
        side, count = self.size // self.patch, tokens.shape[1]
        extra = count - side * side
        if extra not in (0, self.prefix):
            raise UserError(
                f"{self.name} gives {count} tokens, not {side} x {side} and {self.prefix} before them; give "
                "teacher_map its patch_size and prefix_tokens"
            )
        return tf.reshape(tokens[:, extra:], [-1, side, side, tokens.shape[2]])


def resizing(source: tuple[int, int], target: tuple[int, int]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a function that resizes maps `[B, h, w, C]`: bilinearly between the centers of locations, anti-aliased.

    As `tf.image.resize(maps, target, antialias=True)`, as two products with fixed matrices: in the type of the maps,
    and the same on every device. Smaller maps are means of the locations within a triangle of twice the new stride.
    """
    if source == target:
        return lambda maps: maps
    rows, columns = (_weights_of(*sides) for sides in zip(source, target))

    def resize(maps):
        return tf.einsum("ih,jw,bhwc->bijc", tf.cast(rows, maps.dtype), tf.cast(columns, maps.dtype), maps)

    return resize


def _weights_of(source, target):
    """`[target, source]`, the share of each location in each new one."""
    stride = source / target
    centers = (np.arange(target) + 0.5) * stride - 0.5
    distances = np.abs(centers[:, None] - np.arange(source)) / max(stride, 1.0)
    weights = np.maximum(1.0 - distances, 0.0)
    return weights / weights.sum(axis=1, keepdims=True)
