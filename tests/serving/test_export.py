import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from random_models import CLASSES
from tensorflow.core.protobuf import saved_model_pb2

from kerassl import backbones, detectors, serving
from kerassl._errors import UserError
from kerassl.backbones import weights as backbone_weights
from kerassl.serving.c_api import CServable


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(0).integers(0, 255, (3, 50, 90, 3), "uint8")


@pytest.fixture(scope="module")
def model(vivid_detector):
    return vivid_detector[0]


@pytest.fixture(scope="module")
def servable(vivid_detector):
    return vivid_detector[1]


def predicted(model, photos, folder):
    """Return the predictions of `predict` in the same pixels, in order."""
    for number, photo in enumerate(photos):
        Image.fromarray(photo).save(folder / f"{number}.png")
    found = detectors.predict(model, [folder / f"{number}.png" for number in range(len(photos))], verbose=0)
    return list(found.values())


def functions_of(path):
    """The functions in a SavedModel, and all its node operations."""
    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return graph.library.function, {node.op for node in nodes}


@pytest.mark.parametrize(
    ("kind", "rows"),
    [("vivid_detector", 100), pytest.param("vivid_yolov8", 99, marks=pytest.mark.current_stack)],
)
def test_servable_gives_the_detections_of_the_model_and_holds_nothing_for_xla(kind, rows, request, photos, tmp_path):
    model, path = request.getfixturevalue(kind)
    functions, _ = functions_of(path)
    assert not [f.signature.name for f in functions if f.attr["_XlaMustCompile"].b]
    servable = CServable(path)
    served = servable.run("serving_default", images=photos.astype("float32"))
    servable.close()
    assert served["boxes"].shape == (3, rows, 4)
    assert json.loads((path / "assets.extra" / "model_card.json").read_text())["max_detections"] == rows
    for row, found in enumerate(predicted(model, photos, tmp_path)):
        count = served["num_detections"][row]
        assert 0 < count == len(found.scores)
        np.testing.assert_allclose(served["scores"][row, :count], found.scores, atol=1e-5)
        np.testing.assert_allclose(served["boxes"][row, :count], found.boxes, atol=1e-5 * 90)
        np.testing.assert_array_equal(served["classes"][row, :count], found.classes)
        names = [name.decode() for name in served["class_names"][row]]
        assert names == [CLASSES[label] for label in found.classes] + [""] * (rows - count)


def test_images_may_be_of_any_size_and_uint8(servable, photos):
    signatures = tf.saved_model.load(str(servable)).signatures
    whole = signatures["serving_default"](images=tf.constant(photos, tf.float32))
    for name, value in signatures["serving_uint8"](images=tf.constant(photos)).items():
        np.testing.assert_array_equal(value, whole[name])
    alone = signatures["serving_default"](images=tf.constant(photos[1:2], tf.float32))
    np.testing.assert_allclose(alone["boxes"][0], whole["boxes"][1], atol=1e-3)
    other = signatures["serving_default"](images=tf.zeros([1, 200, 130, 3]))
    count = int(other["num_detections"][0])
    corners = other["boxes"][0, :count].numpy()
    assert 64 < corners[:, 3].max() <= 200
    assert corners[:, 2].max() <= 130


def test_the_graph_has_nothing_random_and_nothing_for_xla_alone(model, servable, tmp_path):
    assert any(isinstance(layer, backbones.FastSwish) for layer in model.layers)
    functions, operations = functions_of(servable)
    assert len(functions) > 2
    assert not [f.signature.name for f in functions if f.attr["_XlaMustCompile"].b]
    assert not {name for name in operations if "Random" in name}
    assert "CombinedNonMaxSuppression" in operations
    # The test sees such a function where there is one: the swish that trains fast.
    module = tf.Module()
    swish = keras.layers.Input((4,)), backbones.FastSwish()
    outputs = swish[1](swish[0], training=True)
    training = keras.Model(swish[0], outputs)
    module.run = tf.function(lambda x: training(x, training=True), input_signature=[tf.TensorSpec([None, 4])])
    tf.saved_model.save(module, str(tmp_path / "training"))
    functions, _ = functions_of(tmp_path / "training")
    assert [f.signature.name for f in functions if f.attr["_XlaMustCompile"].b]


def test_localizer_returns_class_and_box_of_the_object(vivid_localizer, photos, tmp_path):
    model, path = vivid_localizer
    for number, photo in enumerate(photos):
        Image.fromarray(photo).save(tmp_path / f"{number}.png")
    expected = detectors.predict(model, [tmp_path / f"{n}.png" for n in range(3)], verbose=0)
    served = tf.saved_model.load(str(path)).signatures["serving_default"](images=tf.constant(photos, tf.float32))
    for row, found in enumerate(expected.values()):
        np.testing.assert_allclose(served["box"][row], found.boxes[0], atol=1e-5 * 90)
        assert int(served["class"][row]) == found.classes[0]
        assert served["class_name"][row].numpy().decode() == CLASSES[found.classes[0]]
    np.testing.assert_allclose(
        served["probabilities"], tf.nn.softmax([found.logits[0] for found in expected.values()]), atol=1e-5
    )


def test_embeddings_are_those_of_the_model(simclr, limited_backbone):
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    model, backbone = simclr[0], limited_backbone[0]
    expected = [model.embed(images), backbone(images).numpy().mean((1, 2))]
    for (_, path), embeddings in zip((simclr, limited_backbone), expected):
        served = tf.saved_model.load(str(path)).signatures["serving_default"](images=tf.constant(images))
        np.testing.assert_allclose(served["embeddings"], embeddings, atol=1e-5)


def test_card_describes_the_model(model, servable, about):
    card = json.loads((servable / "assets.extra" / "model_card.json").read_text())
    assert card["kind"] == "detector"
    assert card["image_size"] == 64
    assert card["classes"] == CLASSES
    assert card["max_detections"] == 100
    assert card["tensorflow"] == tf.__version__
    assert card["weights_sha256"] == backbone_weights.checksum(backbone_weights.table(model))
    assert {name: card[name] for name in about} == about
    assert card["command"]
    assert card["files"]["saved_model.pb"] == hashlib.sha256((servable / "saved_model.pb").read_bytes()).hexdigest()
    assert (servable / "assets.extra" / "classes.txt").read_text().split() == CLASSES


def test_export_refuses_when_a_version_is_there(model, tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="already exists"):
        serving.export(model, tmp_path / "1")
    assert os.listdir(tmp_path) == ["1"]
    assert os.listdir(tmp_path / "1") == ["mine.txt"]


def test_nothing_half_written_stays_when_saving_fails(tiny_backbone, tmp_path, monkeypatch):
    def fail(module, path, **kwargs):
        (pathlib.Path(path) / "saved_model.pb").write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        serving.export(tiny_backbone(), tmp_path / "1", image_size=64)
    assert os.listdir(tmp_path) == []


@pytest.mark.current_stack
def test_export_replaces_nothing_when_it_appears_meanwhile(tiny_backbone, tmp_path, monkeypatch):
    def save(module, path, **kwargs):
        (pathlib.Path(path) / "saved_model.pb").write_bytes(b"half")
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "other.txt").write_text("keep")

    monkeypatch.setattr(tf.saved_model, "save", save)
    with pytest.raises(UserError, match="already exists"):
        serving.export(tiny_backbone(), tmp_path / "1", image_size=64)
    assert os.listdir(tmp_path) == ["1"]
    assert os.listdir(tmp_path / "1") == ["other.txt"]


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
import conftest
import tensorflow as tf
from kerassl import detectors, serving
save = tf.saved_model.save
def saved(*arguments, **settings):
    save(*arguments, **settings)
    os.kill(os.getpid(), signal.SIGKILL)
tf.saved_model.save = saved
serving.export(conftest._tiny_backbone(), sys.argv[1], image_size=64, batch_sizes=(1,))
"""


@pytest.mark.current_stack
def test_a_killed_export_leaves_the_version_before_and_none_of_its_own(tiny_backbone, tmp_path):
    before = serving.export(tiny_backbone(), tmp_path / "voc" / "1", image_size=64, batch_sizes=(1,))
    files = {file: file.read_bytes() for file in before.rglob("*") if file.is_file()}
    command = [sys.executable, "-c", KILLED, tmp_path / "voc" / "2", pathlib.Path(__file__).parents[1]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    # What it wrote is under a name that is not a number, which TensorFlow Serving ignores.
    parts = [folder for folder in (tmp_path / "voc").iterdir() if folder.name != "1"]
    assert [(folder / "folder" / "saved_model.pb").exists() for folder in parts] == [True]
    assert parts[0].name.startswith(".")
    assert not (tmp_path / "voc" / "2").exists()
    # The next one to that version takes it away; what other versions left is not its own.
    other = tmp_path / "voc" / ".20-01234567.part"
    other.mkdir()
    after = serving.export(tiny_backbone(), tmp_path / "voc" / "2", image_size=64, batch_sizes=(1,))
    assert sorted(folder.name for folder in (tmp_path / "voc").iterdir()) == [other.name, "1", "2"]
    assert (
        tf.saved_model.load(str(after)).signatures["embed"](images=tf.zeros([1, 9, 9, 3]))["embeddings"].shape[0] == 1
    )
    assert files == {file: file.read_bytes() for file in before.rglob("*") if file.is_file()}


def test_a_request_without_images_has_an_answer_without_rows(servable):
    signatures, servable = tf.saved_model.load(str(servable)).signatures, CServable(servable)
    for name, function in signatures.items():
        (spec,) = tf.nest.flatten(function.structured_input_signature)
        for shape in [[0]] if spec.dtype == tf.string else [[0, 50, 90, 3], [0, 0, 0, 3]]:
            value = np.zeros(shape, object if spec.dtype == tf.string else spec.dtype.as_numpy_dtype)
            served = {key: each.numpy() for key, each in function(tf.constant(value, spec.dtype)).items()}
            for answer in (served, servable.run(name, **{spec.name: value})):
                assert set(answer) == set(function.structured_outputs)
                for key, wanted in function.structured_outputs.items():
                    assert answer[key].shape == (0, *wanted.shape[1:]), (name, key)
                    assert answer[key].dtype == (object if wanted.dtype == tf.string else wanted.dtype)
    servable.close()


@pytest.mark.parametrize(
    ("image_size", "message"), [(None, "give image_size"), (100, "96 or 128")], ids=["none", "no multiple"]
)
def test_export_refuses_a_backbone_when_the_image_size_is_missing_or_wrong(
    tiny_backbone, tmp_path, image_size, message
):
    with pytest.raises(UserError, match=message):
        serving.export(tiny_backbone(), tmp_path / "1", image_size=image_size)


def test_export_refuses_when_the_model_is_something_else(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(UserError, match="Sequential cannot be exported"):
        serving.export(model, tmp_path / "1", image_size=64)
