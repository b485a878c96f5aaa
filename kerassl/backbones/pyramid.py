"""The levels P3 to P5 of a backbone, found by stride."""

from __future__ import annotations

from kerassl._errors import UserError
from kerassl._lazy import keras
from kerassl.types import LEVELS


def pyramid(backbone: keras.Model, image_size: int | None = None) -> dict[str, str]:
    """Find the last feature map of each of the strides 8, 16 and 32.

    Args:
        backbone: flat functional `keras.Model` of images `[B, H, W, 3]`.
        image_size: int or None. Also refuse a network whose feature maps of such images, which takes a second to find
            out, are not as many locations wide and high as their strides say: one that crops, pads or enlarges.

    Returns:
        Dict `{"P3": layer name, "P4": layer name, "P5": layer name}`.

    Raises:
        UserError: if the network has no feature map of one of the strides, or one of another size.

    Example:
        >>> kerassl.backbones.pyramid(kerassl.backbones.build("EfficientNetB1"))["P5"]
        'top_activation'
    """
    last = last_by_stride(backbone)
    missing = [f"{level} (stride {stride})" for level, stride in LEVELS.items() if stride not in last]
    if missing:
        raise UserError(
            f"{backbone.name} has no feature map for {', '.join(missing)}; a detector needs all of P3 to P5"
        )
    levels = {level: last[stride] for level, stride in LEVELS.items()}
    if image_size is not None:
        _check_maps(backbone, levels, image_size)
    return levels


def last_by_stride(backbone: keras.Model) -> dict[int | None, str]:
    """The name of the last layer whose output is a feature map of each stride; a dict by stride in pixels."""
    strides: dict = {}  # by the identity of a symbolic tensor; None where it is no feature map
    last = {}
    for layer in backbone.layers:
        inputs = layer.input if isinstance(layer.input, (list, tuple)) else [layer.input]
        known = [strides.get(id(tensor)) for tensor in inputs]
        stride = max((value for value in known if value), default=None)
        kind = type(layer).__name__
        if kind == "InputLayer":
            stride = 1
        elif len(layer.output.shape) != 4 or layer.output.shape[1] == 1:  # pooled to a vector, as in squeeze-excite
            stride = None
        elif stride:
            step = getattr(layer, "strides", 1)
            stride *= step[0] if isinstance(step, (list, tuple)) else step
        strides[id(layer.output)] = stride
        if "Padding" not in kind:  # a padded map is a location larger than the image's share
            last[stride] = layer.name
    return last


def _check_maps(backbone, levels, image_size):
    maps = keras.Model(backbone.input, [backbone.get_layer(name).output for name in levels.values()])
    found = maps(keras.Input((image_size, image_size, 3)))
    for (level, name), shape in zip(levels.items(), (each.shape for each in found)):
        side = image_size // LEVELS[level]
        if tuple(shape[1:3]) != (side, side):
            raise UserError(
                f"{name!r} of {backbone.name} gives {shape[1]} x {shape[2]} locations for images of {image_size} "
                f"pixels, but {level} has {side} x {side}; detectors need strides of 8, 16 and 32 without crops or pads"
            )
