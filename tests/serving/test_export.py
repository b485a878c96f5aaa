import hashlib
import json
import os
import pathlib
import shutil

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
def test_servable_gives_the_detections_of_the_model_and_holds_nothing_for_xla(
    kind, rows, request, photos, c_servable, tmp_path
):
    model, path = request.getfixturevalue(kind)
    functions, _ = functions_of(path)
    assert not [f.signature.name for f in functions if f.attr["_XlaMustCompile"].b]
    served = c_servable(path).run("serving_default", images=photos.astype("float32"))
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


def test_images_may_be_of_any_size_and_uint8(servable, photos, signatures):
    signatures = signatures(servable)
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


def test_localizer_returns_class_and_box_of_the_object(vivid_localizer, photos, signatures, tmp_path):
    model, path = vivid_localizer
    for number, photo in enumerate(photos):
        Image.fromarray(photo).save(tmp_path / f"{number}.png")
    expected = detectors.predict(model, [tmp_path / f"{n}.png" for n in range(3)], verbose=0)
    served = signatures(path)["serving_default"](images=tf.constant(photos, tf.float32))
    for row, found in enumerate(expected.values()):
        np.testing.assert_allclose(served["box"][row], found.boxes[0], atol=1e-5 * 90)
        assert int(served["class"][row]) == found.classes[0]
        assert served["class_name"][row].numpy().decode() == CLASSES[found.classes[0]]
    np.testing.assert_allclose(
        served["probabilities"], tf.nn.softmax([found.logits[0] for found in expected.values()]), atol=1e-5
    )
    assert json.loads((path / "assets.extra" / "model_card.json").read_text())["kind"] == "localizer"


def test_embeddings_are_those_of_the_model(simclr, limited_backbone, signatures):
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    model, backbone = simclr[0], limited_backbone[0]
    expected = [model.embed(images), backbone(images).numpy().mean((1, 2))]
    for (_, path), embeddings in zip((simclr, limited_backbone), expected):
        served = signatures(path)["serving_default"](images=tf.constant(images))
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


@pytest.mark.current_stack
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


@pytest.mark.current_stack
def test_killed_export_leaves_the_version_before_and_none_of_its_own(tmp_path, monkeypatch):
    """A process that is killed leaves the folder as it is at that moment."""
    before = tmp_path / "voc" / "1" / "mine.txt"
    before.parent.mkdir(parents=True)
    before.write_text("keep")
    killed = tmp_path / "killed"
    pixels = keras.Input((None, None, 3))
    backbone = keras.Model(pixels, keras.layers.AveragePooling2D(32)(pixels))

    def save(module, path, **kwargs):
        (pathlib.Path(path) / "saved_model.pb").write_bytes(b"whole")
        if not killed.exists():
            shutil.copytree(tmp_path / "voc", killed)

    monkeypatch.setattr(tf.saved_model, "save", save)
    serving.export(backbone, tmp_path / "voc" / "2", image_size=32, batch_sizes=(1,))
    # What it wrote is under a name that is not a number, which TensorFlow Serving ignores.
    (left,) = [folder for folder in killed.iterdir() if folder.name != "1"]
    assert (left / "folder" / "saved_model.pb").exists()
    assert left.name.startswith(".")
    # The next one to that version takes it away; what other versions left is not its own.
    other = killed / ".20-01234567.part"
    other.mkdir()
    serving.export(backbone, killed / "2", image_size=32, batch_sizes=(1,))
    assert sorted(folder.name for folder in killed.iterdir()) == [other.name, "1", "2"]
    assert [path.read_text() for path in (killed / "1").iterdir()] == ["keep"]


@pytest.mark.current_stack
def test_request_without_images_has_an_answer_without_rows(servable, c_servable):
    servable = c_servable(servable)
    for name, (takes, gives) in servable.signatures.items():
        ((key, spec),) = takes.items()
        strings = spec.shape == (None,)
        for shape in [[0]] if strings else [[0, 50, 90, 3], [0, 0, 0, 3]]:
            answer = servable.run(name, **{key: np.zeros(shape, object if strings else np.float32)})
            assert set(answer) == set(gives)
            for output, wanted in gives.items():
                assert answer[output].shape == (0, *wanted.shape[1:]), (name, output)


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("image_size", "message"), [(None, "give image_size"), (100, "96 or 128")], ids=["none", "no multiple"]
)
def test_export_refuses_a_backbone_when_the_image_size_is_missing_or_wrong(
    tiny_backbone, tmp_path, image_size, message
):
    with pytest.raises(UserError, match=message):
        serving.export(tiny_backbone(), tmp_path / "1", image_size=image_size)


@pytest.mark.current_stack
def test_export_refuses_when_the_model_is_something_else(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(UserError, match="Sequential cannot be exported"):
        serving.export(model, tmp_path / "1", image_size=64)
