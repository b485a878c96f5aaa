import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError, backbones
from kerassl.backbones import weights as backbone_weights


def images(size=64, seed=0):
    return tf.constant(np.random.default_rng(seed).uniform(0, 255, (2, size, size, 3)), "float32")


@pytest.fixture(scope="module")
def mobilenet():
    return backbones.build("MobileNet", cut_at="conv_pw_12_relu")


MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """EfficientNetB0 of a file in the form, and with the quirk, of the published ones."""
    stock = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(None, None, 3))
    table = {name: array for name, array in backbone_weights.table(stock).items() if "normalization" not in name}
    table.update({"normalization/mean": MEAN, "normalization/variance": DEVIATION, "normalization/count": 0})
    path = tmp_path_factory.mktemp("published") / "notop.h5"
    with h5py.File(path, "w") as file:
        for name, array in table.items():
            layer, weight = name.split("/")
            file[f"{layer}/{layer}/{weight}:0"] = array
    return backbones.build("EfficientNetB0", weights=path)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("EfficientNetB0", ["block4a_expand_activation", "block6a_expand_activation", "top_activation"]),
        ("MobileNet", ["conv_pw_5_relu", "conv_pw_11_relu", "conv_pw_12_relu"]),
    ],
)
def test_pyramid_has_strides_8_16_32_and_the_widest_map_of_each(name, layers, mobilenet, published):
    backbone = mobilenet if name == "MobileNet" else published
    levels = backbones.pyramid(backbone)
    assert levels == dict(zip(("P3", "P4", "P5"), layers))
    outputs = {level: backbone.get_layer(layer).output for level, layer in levels.items()}
    for size in (96, 128):
        features = keras.Model(backbone.input, outputs)(tf.zeros([1, size, size, 3]))
        assert {level: size // feature.shape[1] for level, feature in features.items()} == {"P3": 8, "P4": 16, "P5": 32}
        assert all(feature.shape[1] == feature.shape[2] for feature in features.values())


def test_pyramid_is_refused_when_a_stride_is_missing(mobilenet):
    with pytest.raises(UserError, match="P5"):
        backbones.pyramid(backbones.build("MobileNet", cut_at="conv_pw_5_relu"))


def test_features_are_equal_when_a_saved_backbone_is_loaded(tmp_path, mobilenet):
    path = tmp_path / "backbone.keras"
    digest = backbones.save(mobilenet, path)
    loaded = backbones.load(path)
    np.testing.assert_array_equal(loaded(images()), mobilenet(images()))
    assert backbone_weights.checksum(backbone_weights.table(loaded)) == digest
    assert [layer.name for layer in loaded.layers[1:]] == [layer.name for layer in mobilenet.layers[1:]]


def test_features_are_equal_when_a_network_of_ones_own_is_loaded(tmp_path, tiny_backbone):
    backbone = tiny_backbone()
    backbones.save(backbone, tmp_path / "own.keras")
    np.testing.assert_array_equal(backbones.load(tmp_path / "own.keras")(images()), backbone(images()))


def test_weights_are_taken_by_name_when_the_file_is_npz(tmp_path, mobilenet):
    table = backbone_weights.table(mobilenet)
    np.savez(tmp_path / "weights.npz", **dict(reversed(table.items())))
    twin = backbones.build("MobileNet", weights=tmp_path / "weights.npz", cut_at="conv_pw_12_relu")
    np.testing.assert_array_equal(twin(images()), mobilenet(images()))


def test_weights_are_refused_and_nothing_changes_when_they_fit_in_part(tmp_path, mobilenet):
    table = backbone_weights.table(mobilenet)
    before = backbone_weights.checksum(table)
    partial = {name: array + 1 for name, array in table.items() if name != "conv1/kernel"}
    with pytest.raises(UserError, match=r"1 missing \(conv1/kernel\)"):
        backbone_weights.assign(mobilenet, partial, "file.npz")
    with pytest.raises(UserError, match=r"1 unknown to the network \(other/kernel\)"):
        backbone_weights.assign(mobilenet, {**table, "other/kernel": np.zeros(3)}, "file.npz")
    with pytest.raises(UserError, match="1 of another shape"):
        backbone_weights.assign(mobilenet, {**table, "conv1/kernel": np.zeros(3)}, "file.npz")
    assert backbone_weights.checksum(backbone_weights.table(mobilenet)) == before


def test_scale_is_that_of_keras_for_imagenet_when_an_efficientnet_file_is_published(tmp_path, published):
    first = keras.Model(published.input, published.get_layer("normalization").output)
    pixels = images(32)
    np.testing.assert_allclose(first(pixels), (pixels / 255.0 - MEAN) / DEVIATION, rtol=1e-4, atol=1e-5)
    # A file kept from such a network carries the same scale on.
    backbones.save(published, tmp_path / "kept.keras")
    kept = backbones.load(tmp_path / "kept.keras")
    np.testing.assert_allclose(kept(pixels), published(pixels), rtol=1e-5, atol=1e-7)


def test_damaged_file_is_refused(tmp_path, mobilenet):
    path = tmp_path / "backbone.keras"
    backbones.save(mobilenet, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    description = json.loads(members["kerassl/backbone.json"])
    members["kerassl/backbone.json"] = json.dumps({**description, "checksum": "0" * 64}).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(UserError, match="checksum"):
        backbones.load(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="damaged"):
        backbones.load(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "EfficientNetB9"}, "EfficientNetB1"),
        ({"name": "MobileNet", "cut_at": "conv_pw_99"}, "conv_pw_99"),
        ({"name": "MobileNet", "weights": "nowhere.npz"}, "nowhere.npz"),
        ({"name": "MobileNet", "weights": "notes.txt"}, "notes.txt"),
    ],
)
def test_build_is_refused_in_one_line_when_argument_is_unknown(arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        backbones.build(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.realdata
def test_imagenet_mobilenet_fits_its_trunk_whole(real_data):
    weights = real_data / "mobilenet_v1_1.0_imagenet_minus_pw13.npz"
    trunk = backbones.build("MobileNet", weights=weights, cut_at="conv_pw_12_relu")
    assert backbones.pyramid(trunk) == {"P3": "conv_pw_5_relu", "P4": "conv_pw_11_relu", "P5": "conv_pw_12_relu"}
    with pytest.raises(UserError, match="conv_pw_13/kernel"):
        backbones.build("MobileNet", weights=weights)
