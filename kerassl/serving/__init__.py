"""Servables: trained models as SavedModels that take images and return answers."""

import importlib

# By the names of their modules. Loaded on first use: what checks a servable does without TensorFlow's Python.
_HOMES = {
    "check": "kerassl.serving.checking",
    "export": "kerassl.serving.exporting",
    "export_tflite": "kerassl.serving.tflite",
}
__all__ = ["check", "export", "export_tflite"]


def __getattr__(name):
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'kerassl.serving' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
