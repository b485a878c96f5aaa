"""`kerassl.load`: what it opens, and what it says of what it does not open."""

import json
import zipfile

import keras
import numpy as np
import pytest

import kerassl
from kerassl import UserError, backbones, detectors, metrics
from kerassl._io import keras_file as _keras_file
from kerassl.augment import SimCLRViews
from kerassl.backbones import weights as backbone_weights
from kerassl.config import read_config
from kerassl.detectors.model_files import load as load_for_command
from kerassl.types import Detections


@pytest.fixture(scope="module")
def files(tiny_backbone, tmp_path_factory):
    """A folder with a file of each kind."""
    folder = tmp_path_factory.mktemp("files")
    backbone = tiny_backbone()
    backbones.save(backbone, folder / "backbone.keras")
    views = {"hidden_dim": 8, "projection_dim": 4, "augmentation": SimCLRViews(64)}
    simclr = kerassl.SimCLR(backbone, 64, **views)
    simclr.compile(kerassl.optimizers.LARS(0.1))
    simclr.save(folder / "simclr.keras")
    for name, kind, width in (("localizer", detectors.Localizer, 8), ("detector", detectors.RetinaNet, 32)):
        model = kind(tiny_backbone(), ["a", "b"], image_size=64, num_filters=width)
        model.compile()
        model.save(folder / f"{name}.keras")
    detectors.save_weights(backbone, folder / "weights.npz")
    boxes = Detections([[0, 1, 2, 3]], [0.5], [1])
    metrics.save_predictions(folder / "predictions.json", {"x": boxes})
    (folder / "pretrain.json").write_text('{"loss": 1.5}')
    (folder / "metrics.jsonl").write_text('{"kind": "epoch", "stage": "a", "epoch": 1}\n')
    (folder / "config.yaml").write_text("seed: 7\n")
    return folder


def test_every_kind_of_file_is_loaded(files):
    kinds = {"simclr.keras": kerassl.SimCLR, "localizer.keras": detectors.Localizer, "": detectors.RetinaNet}
    for name, kind in kinds.items():
        model = kerassl.load(files / name)  # without a name a run's folder, whose detector it is
        assert type(model) is kind
        assert model.optimizer is not None
    backbone = kerassl.load(str(files / "backbone.keras"))
    assert any(isinstance(layer, backbones.FastBatchNormalization) for layer in backbone.layers)
    weights = kerassl.load(files / "weights.npz")
    assert backbone_weights.checksum(weights) == backbone_weights.checksum(backbone_weights.table(backbone))
    assert kerassl.load(files / "predictions.json")["x"].classes.tolist() == [1]
    assert kerassl.load(files / "pretrain.json") == {"loss": 1.5}
    assert kerassl.load(files / "metrics.jsonl") == [{"kind": "epoch", "stage": "a", "epoch": 1}]
    assert kerassl.load(files / "config.yaml") == read_config(None, {"seed": 7})


def changed(text, **values):
    return json.dumps({**json.loads(text), **values})


def damaged(files, folder):
    """Files that cannot be opened, each with what is to be said of it."""
    whole = (files / "localizer.keras").read_bytes()
    with zipfile.ZipFile(files / "localizer.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = parts["config.json"].decode()
    place = whole.index(parts["model.weights.h5"]) + 5000
    elsewhere = config.replace(
        '"module": "keras.layers", "class_name": "Rescaling"', '"module": "os", "class_name": "Walk"'
    )
    code = {"class_name": "__lambda__", "config": {"value": ["4wAAAA==", None, None]}}
    lambda_ = json.loads(config)
    lambda_["config"]["backbone"]["config"]["layers"][1]["config"]["scale"] = code
    assert elsewhere != config
    for name, content, message in (
        ("empty", b"", "is empty"),
        ("text", b"weights", "is no .keras file"),
        ("cut", whole[:-100], "is cut off or damaged"),
        ("start", whole[:60], "is cut off or damaged"),
        ("flipped", whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :], "part model.weights.h5 is wrong"),
        ("hdf5", b"\x89HDF\r\n\x1a\n" + bytes(100), "is an HDF5 file"),
        ("zip", {"word/document.xml": "x"}, "is a zip archive, but no Keras model: it holds no config.json"),
        ("no-json", {**parts, "config.json": "{"}, "is damaged (Expecting property name"),
        ("deep", {**parts, "config.json": "[" * 100_000}, "is damaged ("),
        ("nothing", {**parts, "config.json": "{}"}, "is damaged ("),
        (
            "no-weights",
            {name: parts[name] for name in ("config.json", "metadata.json")},
            "does not open as a Localizer",
        ),
        ("unknown", {**parts, "config.json": changed(config, registered_name="kerassl>Next")}, "a kerassl>Next, which"),
        ("elsewhere", {**parts, "config.json": elsewhere}, "holds a Walk of os, which is not registered"),
        ("lambda", {**parts, "config.json": json.dumps(lambda_)}, "holds a Lambda layer, whose Python code is not run"),
        (
            "older",
            {**parts, "metadata.json": '{"keras_version": "1.2"}', "config.json": changed(config, config={})},
            "was saved by Keras 1.2 and does not open on Keras",
        ),
    ):
        path = folder / f"{name}.keras"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            with zipfile.ZipFile(path, "w") as archive:
                for part, value in content.items():
                    archive.writestr(part, value)
        yield path, message
    (folder / "folder.keras").mkdir()
    (folder / "folder.keras" / "config.json").write_text(config)
    yield folder / "folder.keras", "is a folder"
    yield folder / "missing.keras", "there is no "


def test_file_that_is_no_model_gets_its_reason_in_one_line_everywhere(files, tmp_path):
    for path, message in damaged(files, tmp_path):
        for read in (kerassl.load, load_for_command, backbones.load):
            if read is kerassl.load and message == "is a folder":
                continue
            with pytest.raises(UserError) as error:
                read(path)
            line = str(error.value)
            assert "\n" not in line
            assert str(path) in line
            if read is not backbones.load or message[:5] in ("is em", "is cu", "is a ", "is an", "is no"):
                assert message in line
            assert len(line) < 500


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.h5", b"x", "backbones.build"),
        ("a.txt", b"x", "give a .keras model"),
        ("a.npz", b"x", "is damaged or no .npz file (File is not a zip file)"),
        ("a.json", b'{"a": ', "is damaged or no JSON"),
        ("a.json", b"[" * 100_000, "is damaged or no JSON"),
        ("a.yaml", b"a: [", "is no YAML"),
    ],
)
def test_other_file_gets_its_reason_in_one_line(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        kerassl.load(tmp_path / name)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="without a servable and without a model"):
        kerassl.load(tmp_path)


def test_arrays_are_read_without_pickles(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([{}], object))
    with pytest.raises(UserError, match="Object arrays cannot be loaded"):
        kerassl.load(tmp_path / "a.npz")


def test_layer_that_somebody_registered_is_opened(tmp_path):
    @keras.saving.register_keras_serializable(package="mine")
    class Twice(keras.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    images = keras.Input((2,))
    keras.Model(images, Twice()(images)).save(tmp_path / "mine.keras")
    assert _keras_file.read_keras_file(tmp_path / "mine.keras", "").kind == "Functional"
    assert kerassl.load(tmp_path / "mine.keras")(np.ones([1, 2])).numpy().tolist() == [[2.0, 2.0]]
