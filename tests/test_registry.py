import importlib
import pkgutil

import keras

import kerassl
from kerassl import _registry

PACKAGES = ("augment", "backbones", "callbacks", "detectors", "losses", "models", "optimizers")


def test_every_class_that_files_name_is_registered_when_kerassl_is_imported():
    for package in PACKAGES:
        for module in pkgutil.iter_modules(importlib.import_module(f"kerassl.{package}").__path__):
            importlib.import_module(f"kerassl.{package}.{module.name}")
    known = {name for name in keras.saving.get_custom_objects() if name.startswith("kerassl>")}
    assert known == {f"kerassl>{name}" for names in _registry._HOMES.values() for name in names}
    for module, names in _registry._HOMES.items():
        for name in names:
            later = _registry._Later(module, name)
            assert later._true() is keras.saving.get_registered_object(f"kerassl>{name}")
    assert kerassl.SimCLR is keras.saving.get_registered_object("kerassl>SimCLR")
