"""One model of each kind and its servable, which takes seconds to export: for tests that only read it."""

import pytest
from random_models import detector, localizer, vivid, yolov8

from kerassl import models, serving

SIZES = (1, 3)  # other than the default
ABOUT = {"data": "three colors", "metrics": {"voc07_ap50": 0.5}}


def _served(model, tmp_path_factory, **settings):
    path = tmp_path_factory.mktemp("servables") / "voc" / "1"
    return model, serving.export(model, path, batch_sizes=SIZES, **settings)


@pytest.fixture(scope="session")
def vivid_detector(tiny_backbone, tmp_path_factory):
    """The model, and the folder of its servable."""
    return _served(detector(vivid(tiny_backbone())), tmp_path_factory, about=ABOUT)


@pytest.fixture(scope="session")
def vivid_yolov8(tiny_backbone, tmp_path_factory):
    return _served(yolov8(vivid(tiny_backbone())), tmp_path_factory, max_detections=99)


@pytest.fixture(scope="session")
def vivid_localizer(tiny_backbone, tmp_path_factory):
    return _served(localizer(vivid(tiny_backbone())), tmp_path_factory)


@pytest.fixture(scope="session")
def simclr(tiny_backbone, tmp_path_factory):
    return _served(models.SimCLR(tiny_backbone(), image_size=64), tmp_path_factory)


@pytest.fixture(scope="session")
def limited_backbone(tiny_backbone, tmp_path_factory):
    """Its servable takes files of at most 90 x 50 pixels."""
    return _served(tiny_backbone(), tmp_path_factory, image_size=64, max_pixels=90 * 50)


@pytest.fixture(scope="session")
def batch_sizes():
    """Those that the servables were exported for."""
    return SIZES


@pytest.fixture(scope="session")
def about():
    """Extra entries of the detector's model card."""
    return ABOUT
