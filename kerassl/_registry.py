"""Keras's registry of classes: kerassl's are in it as soon as kerassl is imported, and loaded when a file names one."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys

_HOMES = {
    "augment.box_augmentation": ("BoxAugmentation",),
    "augment.simclr_views": ("SimCLRViews",),
    "backbones.fast_convolutions": ("FastDepthwiseConv2D", "FastPointwiseConv2D"),
    "backbones.fast_layers": ("FastBatchNormalization", "FastHardSwish", "FastSwish"),
    "detectors.retinanet.retinanet": ("RetinaNet",),
    "detectors.retinanet.head": ("RetinaNetHead",),
    "detectors.yolov8.yolov8": ("YOLOV8",),
    "losses.info_nce": ("InfoNCE",),
    "models.dense_simclr": ("DenseSimCLR",),
    "models.feature_distillation": ("FeatureDistillation",),
    "detectors.localizer.localizer": ("Localizer",),
    "detectors.localizer.head": ("Beside", "BoxVote", "LocationSoftmax", "Standardize", "WeightedPooling"),
    "models.simclr": ("SimCLR",),
    "models.view_classifier": ("ViewClassifier",),
    "optimizers.lars": ("LARS",),
    "optimizers.warmup_cosine": ("WarmupCosine",),
}


class _Later:
    """Take the place of a class or function until its module is imported, which registers the true one."""

    def __init__(self, module, name):
        self._module, self.__name__ = module, name

    def _true(self):
        return getattr(importlib.import_module(f"kerassl.{self._module}"), self.__name__)

    def from_config(self, config):
        return self._true().from_config(config)

    def __call__(self, *arguments, **settings):
        return self._true()(*arguments, **settings)


def _register(keras):
    known = keras.saving.get_custom_objects()
    for module, names in _HOMES.items():
        for name in names:
            known.setdefault(f"kerassl>{name}", _Later(module, name))


class _Watch(importlib.abc.MetaPathFinder):
    """Find Keras as Python does, and register the names once it has been loaded."""

    busy = False

    def find_spec(self, fullname, path=None, target=None):
        if fullname != "keras" or self.busy:
            return None
        self.busy = True
        try:
            spec = importlib.util.find_spec("keras")
        finally:
            self.busy = False
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_register(module):
                load(module)
                _register(module)

            spec.loader.exec_module = load_and_register
        return spec


def watch() -> None:
    """Register the names with Keras, now or when it is imported. Imports nothing itself."""
    keras = sys.modules.get("keras")
    if hasattr(keras, "saving"):
        _register(keras)
    else:
        sys.meta_path.insert(0, _Watch())
