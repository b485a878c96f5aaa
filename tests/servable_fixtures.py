"""One model of each kind and its servable, which takes seconds to export: for tests that only read it."""

import os

import filelock
import keras
import pytest
import tensorflow as tf
from random_models import detector, localizer, vivid, yolov8

from kerassl import models, serving
from kerassl.serving.c_api import CServable

SIZES = (1, 3)  # other than the default
ABOUT = {"data": "three colors", "metrics": {"voc07_ap50": 0.5}}


@pytest.fixture(scope="session")
def served(tmp_path_factory, tiny_backbone):
    """`served(name, build, **settings)`: `build(backbone)`, and the folder of its servable; one for all workers."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def make(name, build, **settings):
        keras.utils.set_random_seed(0)
        model, path = build(tiny_backbone()), folder / "servables" / name / "voc" / "1"
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / "servables" / f"{name}.lock"):
            if not path.exists():
                serving.export(model, path, batch_sizes=SIZES, **settings)
        return model, path

    return make


@pytest.fixture(scope="session")
def vivid_detector(served):
    """The model, and the folder of its servable."""
    return served("detector", lambda backbone: detector(vivid(backbone)), about=ABOUT)


@pytest.fixture(scope="session")
def vivid_yolov8(served):
    return served("yolov8", lambda backbone: yolov8(vivid(backbone)), max_detections=99)


@pytest.fixture(scope="session")
def vivid_localizer(served):
    return served("localizer", lambda backbone: localizer(vivid(backbone)))


@pytest.fixture(scope="session")
def simclr(served):
    return served("simclr", lambda backbone: models.SimCLR(backbone, image_size=64))


@pytest.fixture(scope="session")
def limited_backbone(served):
    """Its servable takes files of at most 90 x 50 pixels."""
    return served("backbone", lambda backbone: backbone, image_size=64, max_pixels=90 * 50)


@pytest.fixture(scope="session")
def signatures():
    """`signatures(path)`: those of a servable in TensorFlow, which is loaded once."""
    loaded = {}

    def load(path):
        if path not in loaded:
            loaded[path] = tf.saved_model.load(str(path))
        return loaded[path].signatures

    return load


@pytest.fixture(scope="session")
def c_servable():
    """`c_servable(path)`: a servable in TensorFlow's C library, which is loaded once."""
    loaded = {}

    def load(path):
        if path not in loaded:
            loaded[path] = CServable(path)
        return loaded[path]

    yield load
    for each in loaded.values():
        each.close()


@pytest.fixture(scope="session")
def batch_sizes():
    """Those that the servables were exported for."""
    return SIZES


@pytest.fixture(scope="session")
def about():
    """Extra entries of the detector's model card."""
    return ABOUT
