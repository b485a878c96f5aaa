"""Servables: trained models as SavedModels that take images and return answers."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "checking": ["check"],
        "exporting": ["export"],
        "tflite": ["export_tflite"],
    },
    light=["checking"],
)
