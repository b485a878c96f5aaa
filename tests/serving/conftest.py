"""One model of each kind and its servable, which takes seconds to export: for tests that only read it."""

import pytest
from random_models import detector, localizer, vivid, yolov8

from kerassl import serving

SIZES = (1, 3, 5)  # others than a server has unless told


def _served(make, tiny_backbone, tmp_path_factory):
    model = make(vivid(tiny_backbone()))
    path = tmp_path_factory.mktemp("servables") / "voc" / "1"
    return model, serving.export(model, path, batch_sizes=SIZES)


@pytest.fixture(scope="session")
def vivid_detector(tiny_backbone, tmp_path_factory):
    """The model, and the folder of its servable."""
    return _served(detector, tiny_backbone, tmp_path_factory)


@pytest.fixture(scope="session")
def vivid_yolov8(tiny_backbone, tmp_path_factory):
    return _served(yolov8, tiny_backbone, tmp_path_factory)


@pytest.fixture(scope="session")
def vivid_localizer(tiny_backbone, tmp_path_factory):
    return _served(localizer, tiny_backbone, tmp_path_factory)


@pytest.fixture(scope="session")
def batch_sizes():
    """Those that the servables were exported for."""
    return SIZES
