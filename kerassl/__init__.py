"""Self-supervised pre-training of detector backbones in Keras."""

import importlib

from kerassl import _registry
from kerassl._errors import UserError
from kerassl._version import __version__

_PACKAGES = (
    "augment",
    "backbones",
    "boxes",
    "callbacks",
    "config",
    "datasets",
    "detectors",
    "explain",
    "features",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "resizing",
    "runs",
    "serving",
    "statistics",
    "tasks",
    "types",
)
_OTHERS = {
    "SimCLR": "kerassl.models",
    "convert": "kerassl.tasks",
    "distill": "kerassl.runs.distill",
    "evaluate": "kerassl.tasks",
    "export": "kerassl.tasks",
    "finetune": "kerassl.runs.finetune",
    "label": "kerassl.tasks",
    "load": "kerassl._load",
    "predict": "kerassl.tasks",
    "pretrain": "kerassl.runs.pretrain",
    "run_comparison": "kerassl.comparison.execute",
    "self_train": "kerassl.runs.self_train",
}
__all__ = ["UserError", "__version__", *_OTHERS, *_PACKAGES]

# So that `keras.saving.load_model` opens what kerassl saved without a further import.
_registry.watch()


def __getattr__(name):
    # Loaded on first use: TensorFlow, KerasCV and tf-keras-vis take seconds each.
    if name in _PACKAGES:
        return importlib.import_module(f"kerassl.{name}")
    if name in _OTHERS:
        return getattr(importlib.import_module(_OTHERS[name]), name)
    raise AttributeError(f"module 'kerassl' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
