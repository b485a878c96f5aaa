"""TFLite files, run by TensorFlow's interpreter, against the models in memory."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from random_models import CLASSES

from kerassl import detectors, serving
from kerassl._errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")


@pytest.fixture(scope="module")
def images():
    """Of photos' smoothness, with black margins like a letterbox's."""
    y, x = np.mgrid[:64, :64][..., None]
    waves = [128 + 100 * np.sin(x / (4 + number) + [0, 1, 2]) * np.cos(y / 7 + number) for number in range(3)]
    images = np.stack(waves).astype("float32")
    images[1, 40:] = 0
    return images


def answers(path, images):
    run = tf.lite.Interpreter(str(path)).get_signature_runner("serving_default")
    return [run(images=image[None]) for image in images]


def builtin_alone(path):
    """Loads the file without any delegate or TensorFlow's own operations."""
    interpreter = tf.lite.Interpreter(
        str(path), experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()


@pytest.mark.current_stack
@pytest.mark.parametrize("kind", [pytest.param("vivid_detector", marks=pytest.mark.slow), "vivid_yolov8"])
def test_file_of_a_detector_gives_its_detections(request, images, tmp_path, kind):
    model, _ = request.getfixturevalue(kind)
    path = serving.export_tflite(model, tmp_path / "detector.tflite", max_detections=20)
    builtin_alone(path)
    served = answers(path, images)
    expected = [value.numpy() for value in detectors.decode(model, tf.constant(images), max_detections=20)]
    assert expected[3].min() > 0
    for row, answer in enumerate(served):
        assert answer["boxes"].shape == (1, 20, 4)
        assert answer["num_detections"] == [expected[3][row]]
        np.testing.assert_allclose(answer["scores"][0], expected[1][row], atol=1e-4)
        np.testing.assert_array_equal(answer["classes"][0], expected[2][row])
        np.testing.assert_allclose(answer["boxes"][0], expected[0][row], atol=1e-3 * 64)
    card = json.loads((tmp_path / "detector.json").read_text())
    assert (card["kind"], card["precision"], card["image_size"]) == ("detector", "float32", 64)
    assert card["classes"] == CLASSES
    assert set(card["outputs"]) == set(served[0])
    assert card["max_detections"] == 20


def test_file_of_a_localizer_gives_its_box_and_class_in_half_the_bytes(vivid_localizer, images, tmp_path):
    model, _ = vivid_localizer
    outputs = model(images, training=False)
    paths = {}
    for precision, near in (("float32", 1e-4), ("float16", 2e-3)):
        paths[precision] = serving.export_tflite(model, tmp_path / f"{precision}.tflite", precision=precision)
        for row, answer in enumerate(answers(paths[precision], images)):
            box = np.clip(64 * outputs["box"].numpy()[row], 0, 64)
            np.testing.assert_allclose(answer["box"][0], box, atol=10 * near * 64)
            np.testing.assert_allclose(answer["probabilities"][0], tf.nn.softmax(outputs["class"])[row], atol=near)
    sizes = [path.stat().st_size for path in paths.values()]
    assert 1.8 < sizes[0] / sizes[1] < 2.1


@pytest.mark.current_stack
def test_export_refuses_invalid_arguments_and_replaces_nothing(vivid_localizer, tmp_path):
    model, _ = vivid_localizer
    with pytest.raises(UserError, match="give float32 or float16"):
        serving.export_tflite(model, tmp_path / "a.tflite", precision="int8")
    with pytest.raises(UserError, match=r"does not end in \.tflite"):
        serving.export_tflite(model, tmp_path / "a")
    with pytest.raises(UserError, match="give a detector or a Localizer"):
        serving.export_tflite(keras.Sequential([keras.Input((3,))]), tmp_path / "a.tflite")
    (tmp_path / "a.json").write_text("mine")
    with pytest.raises(UserError, match=r"a\.json already exists"):
        serving.export_tflite(model, tmp_path / "a.tflite")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
