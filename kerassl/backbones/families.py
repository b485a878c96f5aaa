"""The networks of `keras.applications` that can be backbones, by name."""

FAMILIES = (
    *(f"EfficientNetB{size}" for size in range(8)),
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "MobileNetV3Large",
    "ResNet50",
)
"""Names that `build` knows."""


def canonical(name):
    """The catalogue's spelling of a network's name, or None."""
    return {family.lower(): family for family in FAMILIES}.get(str(name).lower())
