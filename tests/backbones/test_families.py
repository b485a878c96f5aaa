"""The families beside EfficientNet: equal to Keras's own, with fast layers that equal the stock ones."""

import json
import pathlib
import subprocess
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import _compat, backbones
from kerassl.backbones import weights as backbone_weights

# One of the MobileNets answers for the others; `test_all_families.py` has each, ResNet50's files among them.
LEVELS = {
    "MobileNetV3Small": (
        "expanded_conv_3_expand_hard_swish",
        "expanded_conv_8_expand_hard_swish",
        "conv_1_hard_swish",
    ),
    "ResNet50": ("conv3_block4_out", "conv4_block6_out", "conv5_block3_out"),
}


def images(size=64, seed=0, dtype="float32", batch=2):
    return tf.constant(np.random.default_rng(seed).uniform(0, 255, (batch, size, size, 3)), dtype)


def keras_network(name):
    """The network of `keras.applications` and what it wants as input, for images in [0, 255]."""
    network = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(None, None, 3))
    module = {"ResNet50": "resnet50"}.get(name, "mobilenet_v3")
    return network, getattr(keras.applications, module).preprocess_input


def randomize(model, seed=1):
    """Statistics and offsets as of a trained network: at the start they would hide a layer that is left out."""
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.get_weights()[0].shape
            spread = [(1, 0.1), (0, 0.1), (0, 0.1), (1, 0.1)]
            layer.set_weights([np.abs(generator.normal(m, s, shape)) if m else generator.normal(m, s, shape)
                               for m, s in spread])  # fmt: skip
    return model


@pytest.fixture(scope="module")
def built():
    return "MobileNetV3Small", randomize(backbones.build("MobileNetV3Small"))


def write_published_form(table, path, file_names=None):
    """Writes a table as the files of keras.applications are: a group for a layer, whose list of weights it carries."""
    layers = {}
    for name, array in table.items():
        layer, weight = name.rsplit("/", 1)
        layers.setdefault(layer, []).append((f"{layer}/{weight}:0", array))
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer, weights in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name, _ in weights]
            for name, array in weights:
                group[name] = array


def in_keras_2(name):
    """The name that Keras 2.15 and its published file give to a layer of MobileNetV3."""
    block, _, part = name.rpartition("_squeeze_excite_")
    if block:
        return f"{block}/squeeze_excite/{part.replace('conv', 'Conv')}"
    stem, _, norm = name.partition("_bn")
    norm = "/BatchNorm" if name.endswith("_bn") else norm
    if stem in ("conv", "conv_1"):
        return stem.capitalize() + norm
    block, _, part = stem.rpartition("_")
    return f"{block}/{part}{norm}"


@pytest.mark.parametrize(
    "name", ["MobileNetV3Small", pytest.param("ResNet50", marks=[pytest.mark.current_stack, pytest.mark.slow])]
)
def test_outputs_are_those_of_keras_when_a_file_of_published_form_is_read(name, tmp_path):
    network, preprocess = keras_network(name)
    randomize(network)
    write_published_form(backbone_weights.table(network), tmp_path / "notop.h5")
    ours = backbones.build(name, weights=tmp_path / "notop.h5")
    expected = np.asarray(network(preprocess(np.array(images()))))
    assert np.linalg.norm(expected) > 0
    assert np.linalg.norm(ours(images()) - expected) <= 1e-4 * np.linalg.norm(expected)
    assert tuple(backbones.pyramid(ours).values()) == LEVELS[name]


@pytest.mark.current_stack
def test_mobilenet_v3_is_read_when_names_are_those_of_keras_2(tmp_path, built):
    _, backbone = built
    table = {}
    for key, array in backbone_weights.table(backbone).items():
        layer, weight = key.split("/")
        table[f"{in_keras_2(layer)}/{weight}"] = array
    assert {"Conv/BatchNorm/gamma", "expanded_conv_1/depthwise/depthwise_kernel"} < set(table)
    assert {"expanded_conv_4/squeeze_excite/Conv_1/bias", "expanded_conv/project/BatchNorm/beta"} < set(table)
    write_published_form(table, tmp_path / "notop.h5")
    np.testing.assert_array_equal(
        backbones.build("MobileNetV3Small", weights=tmp_path / "notop.h5")(images()), backbone(images())
    )


def test_pyramid_of_a_family_is_the_widest_map_of_each_stride(built):
    _, backbone = built
    levels = backbones.pyramid(backbone)
    outputs = [backbone.get_layer(layer).output for layer in levels.values()]
    features = keras.Model(backbone.input, outputs)(images(96))
    assert [feature.shape[1:3] for feature in features] == [(12, 12), (6, 6), (3, 3)]


@pytest.mark.current_stack
def test_features_are_equal_when_a_cut_network_is_loaded(tmp_path, built):
    name, _ = built
    cut = backbones.build(name, cut_at=LEVELS[name][1])
    backbones.save(cut, tmp_path / "backbone.keras")
    loaded = backbones.load(tmp_path / "backbone.keras")
    np.testing.assert_array_equal(loaded(images()), cut(images()))
    assert [layer.name for layer in loaded.layers[1:]] == [layer.name for layer in cut.layers[1:]]


@pytest.mark.parametrize("name", ["MobileNetV3Small", "EfficientNetB0"])
def test_saved_network_holds_layers_of_plain_keras_alone(name, tmp_path, built):
    backbone = built[1] if name == built[0] else randomize(backbones.build(name, cut_at="block2b_add"))
    backbones.save(backbone, tmp_path / "backbone.keras")
    with zipfile.ZipFile(tmp_path / "backbone.keras") as archive:
        config = archive.read("config.json").decode()
    assert "kerassl" not in config
    assert "Fast" not in config
    expected = np.asarray(backbone(images()))
    got = keras.saving.load_model(tmp_path / "backbone.keras")(images())
    assert np.linalg.norm(got - expected) <= 1e-4 * np.linalg.norm(expected)


def test_names_are_the_same_when_another_network_was_built_before(built):
    name, backbone = built
    again = backbones.build(name)
    assert [layer.name for layer in again.layers[1:]] == [layer.name for layer in backbone.layers[1:]]
    assert list(backbone_weights.table(again)) == list(backbone_weights.table(backbone))


def test_features_are_equal_when_the_other_stack_loads_a_file(tmp_path, built):
    """The other Keras version rebuilds a network from its names, whatever the file's own config says."""
    _, backbone = built
    other = pathlib.Path(__file__).parents[2] / (".venv-addons" if _compat.KERAS_3 else ".venv")
    python = other / "bin" / "python"
    if not (other / ".ready").exists():
        pytest.skip("the other stack is not set up")
    backbones.save(backbone, tmp_path / "backbone.keras")
    np.save(tmp_path / "images.npy", images())
    code = (
        "import json, numpy as np; from kerassl import backbones;"
        "m = backbones.load('backbone.keras'); np.save('features.npy', m(np.load('images.npy')));"
        "json.dump([l.name for l in m.layers[1:]], open('layers.json', 'w'))"
    )
    environment = {"PYTHONPATH": str(pathlib.Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"}
    subprocess.run([python, "-c", code], check=True, cwd=tmp_path, timeout=240, env=environment)
    expected = np.asarray(backbone(images()))
    got = np.load(tmp_path / "features.npy")
    assert np.linalg.norm(got - expected) <= 1e-4 * np.linalg.norm(expected)
    names = json.loads((tmp_path / "layers.json").read_text())
    assert sorted(names) == sorted(layer.name for layer in backbone.layers[1:])
