"""The parts of a model that are trained at their own time and pace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kerassl._errors import UserError
from kerassl._lazy import keras
from kerassl.backbones.pyramid import last_by_stride
from kerassl.types import LEVELS

STAGES = ("stem", "P3", "P4", "P5")
"""The parts of a backbone, from the image on."""

PARTS = (*STAGES, "neck", "head")


def stages(backbone: keras.Model) -> dict[str, list[keras.layers.Layer]]:
    """Cut a backbone after the last feature map of each level.

    Args:
        backbone: flat functional `keras.Model` of images in [0, 255].

    Returns:
        Dict `{"stem": layers, "P3": layers, "P4": layers, "P5": layers}`, each layer once. The stem ends with the last
        map of stride 4; behind the last map of stride 32 nothing is left out.

    Raises:
        UserError: if the network has no feature map of one of the strides.

    Example:
        >>> backbone = kerassl.backbones.build("EfficientNetB1")
        >>> [len(layers) for layers in kerassl.backbones.stages(backbone).values()]
        [76, 44, 117, 102]
    """
    last = last_by_stride(backbone)
    strides = (4, LEVELS["P3"], LEVELS["P4"])
    if any(stride not in last for stride in (*strides, LEVELS["P5"])):
        raise UserError(f"{backbone.name} has no feature maps of strides 4, 8, 16 and 32, by which it is cut in stages")
    layers = list(backbone.layers)
    names = [layer.name for layer in layers]
    ends = [0, *(names.index(last[stride]) + 1 for stride in strides), len(layers)]
    return {stage: layers[start:end] for stage, start, end in zip(STAGES, ends, ends[1:])}


def parts(model: keras.Model) -> dict[str, list[keras.layers.Layer]]:
    """Group the layers of a localizer, a detector or a `SimCLR` by part.

    Args:
        model: `keras.Model` with a `backbone`.

    Returns:
        Dict from each of `PARTS` to a list of layers. The neck is what joins the levels of the pyramid (by name: it
        begins with `neck` or `feature_pyramid`), the head all else.

    Raises:
        UserError: if the model has no backbone that can be cut.
    """
    if not hasattr(model, "backbone"):
        raise UserError(
            f"{type(model).__name__} has no backbone to tell apart; give a detector or a detectors.Localizer"
        )
    found = {**stages(model.backbone), "neck": [], "head": []}
    own = {id(model.backbone), *(id(layer) for layer in model.backbone.layers)}
    for layer in model.layers:
        if id(layer) not in own and not isinstance(layer, keras.layers.InputLayer):
            found["neck" if layer.name.startswith(("neck", "feature_pyramid")) else "head"].append(layer)
    return found


def by_part(values: Mapping, accepted: Sequence[str] = PARTS) -> dict:
    """Expand `"backbone"` to its stages; a stage's own entry overrides it.

    Args:
        values: dict from a part, or `"backbone"`, to anything.
        accepted: the parts that may be named.

    Returns:
        Dict from parts to values; parts that nothing is said of are left out.

    Raises:
        UserError: if there is no such part.
    """
    for name in values:
        if name not in ("backbone", *accepted):
            raise UserError(f"there is no part {name!r} here; the parts are backbone, {', '.join(accepted)}")
    whole = dict.fromkeys(STAGES, values["backbone"]) if "backbone" in values else {}
    return {**whole, **{name: value for name, value in values.items() if name != "backbone"}}
