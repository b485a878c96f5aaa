"""The smallest network of each family of `keras.applications`, equal to Keras's own."""

import importlib

import keras
import numpy as np
import pytest

from kerassl import _compat, backbones
from kerassl.backbones.families import find

MODULES = {
    "ConvNeXtTiny": "convnext",
    "DenseNet121": "densenet",
    "EfficientNetB0": "efficientnet",
    "EfficientNetV2B0": "efficientnet_v2",
    "MobileNet": "mobilenet",
    "MobileNetV2": "mobilenet_v2",
    "MobileNetV3Small": "mobilenet_v3",
    "ResNet50": "resnet",
    "ResNet50V2": "resnet_v2",
    "VGG16": "vgg16",
    "Xception": "xception",
}


class AskedError(Exception):
    """Keras asked for a file."""


def published_url(name, monkeypatch):
    """Where Keras itself would get its ImageNet weights."""
    utilities = importlib.import_module(f"keras.src.utils.{'file' if _compat.KERAS_3 else 'data'}_utils")

    def get_file(file, url, **_):
        raise AskedError(file, url)

    with monkeypatch.context() as patched:
        patched.setattr(utilities, "get_file", get_file)
        with pytest.raises(AskedError) as asked:
            getattr(keras.applications, name)(include_top=False, weights="imagenet", input_shape=(224, 224, 3))
    return asked.value.args


def trained(network, generator):
    """A network with weights as of a trained one: those at the start would hide a layer that is left out."""
    for variable in network.trainable_weights:
        value = np.asarray(variable)
        variable.assign(value + 0.02 * generator.normal(size=value.shape))
    return network


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.filterwarnings("ignore:The structure of")
def test_network_of_a_family_gives_what_keras_gives_after_its_own_preprocessing(name, tmp_path, monkeypatch):
    family = find(name)
    assert published_url(name, monkeypatch) == (family.file, family.url)
    generator = np.random.default_rng(0)
    images = generator.uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    stock = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(None, None, 3))
    preprocess = getattr(keras.applications, MODULES[name]).preprocess_input
    expected = np.asarray(trained(stock, generator)(preprocess(images.copy())))
    stock.save_weights(tmp_path / "stock.weights.h5")
    backbone = backbones.build(name, weights=tmp_path / "stock.weights.h5")
    outputs = np.asarray(backbone(images))
    assert np.linalg.norm(outputs - expected) <= 2e-4 * np.linalg.norm(expected)

    levels = backbones.pyramid(backbone, 64)
    maps = keras.Model(backbone.inputs[0], [backbone.get_layer(layer).output for layer in levels.values()])(images)
    assert [each.shape[1:3] for each in maps] == [(8, 8), (4, 4), (2, 2)]

    backbones.save(backbone, tmp_path / "backbone.keras")
    again = backbones.load(tmp_path / "backbone.keras")
    np.testing.assert_array_equal(again(images), outputs)
    assert [layer.name for layer in again.layers[1:]] == [layer.name for layer in backbone.layers[1:]]
