import keras

import kerassl
from kerassl import _registry, detectors, models  # noqa: F401


def test_every_class_that_files_name_is_registered_when_kerassl_is_imported():
    known = {name for name in keras.saving.get_custom_objects() if name.startswith("kerassl>")}
    listed = {f"kerassl>{name}" for names in _registry._HOMES.values() for name in names}
    assert known == listed
    for module, names in _registry._HOMES.items():
        for name in names:
            later = _registry._Later(module, name)
            assert later._true() is keras.saving.get_registered_object(f"kerassl>{name}")
    assert kerassl.SimCLR is keras.saving.get_registered_object("kerassl>SimCLR")
