"""The networks of `keras.applications` that can be backbones, by name."""

from __future__ import annotations

_FAMILIES = (
    *(f"EfficientNetB{size}" for size in range(8)),
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "MobileNetV3Large",
    "ResNet50",
)


def list_backbones() -> list[str]:
    """List the names that `build` accepts.

    Returns:
        Names of `keras.applications` networks.

    Example:
        >>> "EfficientNetB1" in kerassl.backbones.list_backbones()
        True
    """
    return list(_FAMILIES)


def canonical(name: str) -> str | None:
    """Return the name in the spelling of `list_backbones`, whatever its case, or None."""
    return {family.lower(): family for family in _FAMILIES}.get(str(name).lower())
