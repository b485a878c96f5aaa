"""The audit's rows against what is worked out by hand from heatmaps that are given, and on every kind of model."""

import json

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from kerassl import UserError, datasets, detectors
from kerassl.detectors import Localizer
from kerassl.explain import GradCAM, audit_model
from kerassl.explain.audit.score_drops import score_falls
from kerassl.resizing import letterbox

pytestmark = pytest.mark.current_stack

CLASSES = ["cat", "dog"]


@pytest.fixture
def record(tmp_path):
    """`record(name, box, label)`: an image of noise, 64 pixels wide and 48 high, with objects."""

    def make(name, *things, difficult=None):
        path = tmp_path / f"{name}.png"
        pixels = np.random.default_rng(len(name)).integers(0, 256, (48, 64, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(path)
        boxes = np.array([box for box, _ in things], np.float32).reshape(-1, 4)
        labels = np.array([label for _, label in things], np.int32)
        hard = np.zeros(len(things), bool) if difficult is None else np.array(difficult)
        return datasets.Record(name, str(path), 48, 64, boxes, labels, hard)

    return make


class _Given:
    """Stands in for a method of heatmaps: a hot rectangle of each image, (rows, columns), or none."""

    def __init__(self, *hot):
        self.hot = list(hot)
        self.asked = []

    def __call__(self, model, layer=None):
        self.layer = GradCAM(model, layer=layer).layer
        return self._heatmaps

    def _heatmaps(self, images, classes, batch_size):
        self.asked += [int(label) for label in classes]
        heatmaps = np.zeros(images.shape[:3], np.float32)
        for each in heatmaps:
            place = self.hot.pop(0)
            if place is not None:
                each[place] = 1.0
        return heatmaps


class _Method:
    """A given method with the attribute that the audit reads."""

    def __init__(self, given):
        self.given = given

    def __call__(self, model, layer=None):
        heatmaps = self.given(model, layer)
        wrapped = lambda images, classes, batch_size: heatmaps(images, classes, batch_size)  # noqa: E731
        wrapped.layer = self.given.layer
        return wrapped


@pytest.fixture
def always_dog():
    """A classifier with two feature maps that says dog whatever it sees."""
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, strides=8, padding="same", name="locations")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    logits = keras.layers.Dense(
        2, kernel_initializer="zeros", bias_initializer=lambda *_, **__: tf.constant([0.0, 1.0])
    )
    return keras.Model(inputs, logits(x), name="always_dog")


LEFT, RIGHT = (0, 0, 32, 48), (32, 0, 64, 48)
ON_LEFT, ON_RIGHT = (slice(0, 48), slice(0, 32)), (slice(0, 48), slice(32, 64))


def _run(model, records, *hot, **settings):
    given = _Given(*hot)
    found = audit_model(model, records, method=_Method(given), classes=CLASSES, image_size=64, **settings)
    return found, {row["image"]: row for row in found.rows}, given


def test_rows_state_wrong_reasons_when_saliency_is_off_the_object(always_dog, record):
    records = [
        record("dog on", (LEFT, 1)),
        record("dog off", (LEFT, 1)),
        record("cat off", (LEFT, 0)),
        record("a quarter", (LEFT, 1)),
        record("no saliency", (LEFT, 1)),
    ]
    quarter = (slice(0, 48), slice(24, 56))  # 8 of 32 columns lie on the object
    found, rows, given = _run(always_dog, records, ON_LEFT, ON_RIGHT, ON_RIGHT, quarter, None)
    assert given.asked == [1, 1, 0, 1, 1]
    assert {name: row["energy"] for name, row in rows.items()} == {
        "dog on": 1.0,
        "dog off": 0.0,
        "cat off": 0.0,
        "a quarter": pytest.approx(0.25),
        "no saliency": None,
    }
    assert all(row["area"] == pytest.approx(0.5) for row in rows.values())
    assert {name for name, row in rows.items() if not row["right"]} == {"cat off"}
    assert {name for name, row in rows.items() if row["wrong_reason"]} == {"dog off", "a quarter"}
    assert {name for name, row in rows.items() if row["best"] == "dog"} == set(rows)
    assert rows["cat off"]["score"] == pytest.approx(1 / (1 + np.e), abs=1e-6)
    # The highest pixels are within 15 of the object for some of the columns alone, of an image that was not scaled.
    assert rows["dog on"]["pointing"] == 1
    assert rows["dog off"]["pointing"] == pytest.approx(15 / 32)
    assert rows["no saliency"]["pointing"] is None
    assert not rows["no saliency"]["off_object"]
    assert [row["image"] for row in found.rows][:2] == ["dog off", "a quarter"]
    assert found.figures() == {
        "images": 5,
        "right": 0.8,
        "energy": pytest.approx(1.25 / 4),
        "area": pytest.approx(0.5),
        "pointing": pytest.approx(np.mean([rows[name]["pointing"] for name in rows if name != "no saliency"])),
        "wrong_reason": 2,
        "off_object": 0,
    }
    assert list(found.by_class()) == ["dog", "cat"]
    assert found.by_class()["cat"]["right"] == 0
    assert found.findings == found.unused == []
    assert found.regions() == {}
    json.dumps(found.rows)


def test_highest_point_is_off_the_object_when_it_is_beyond_the_tolerance(always_dog, record):
    far = (slice(10, 12), slice(50, 60))
    _, rows, _ = _run(always_dog, [record("far", ((0, 0, 30, 40), 1))], far)
    assert rows["far"]["off_object"]
    assert rows["far"]["pointing"] == 0


def test_little_saliency_is_no_wrong_reason_when_the_object_is_small(always_dog, record):
    small = record("small", ((0, 0, 8, 8), 1))  # a forty-eighth of the image
    _, rows, _ = _run(always_dog, [small], (slice(0, 16), slice(0, 16)))
    assert rows["small"]["energy"] == pytest.approx(0.25)
    assert not rows["small"]["wrong_reason"]


def test_largest_object_is_explained_when_the_model_is_a_classifier(always_dog, record):
    things = [((0, 0, 40, 48), 0), ((40, 0, 60, 40), 1), ((40, 0, 50, 10), 0)]
    found, _, given = _run(always_dog, [record("two", *things, difficult=[True, False, False])], ON_LEFT)
    assert given.asked == [1]
    assert len(found.rows) == 1


@pytest.mark.parametrize("kind", ["RetinaNet", pytest.param("YOLOV8", marks=pytest.mark.slow)])
def test_each_class_is_explained_when_the_model_is_a_detector(record, tiny_backbone, kind):
    model = getattr(detectors, kind)(tiny_backbone(), CLASSES, image_size=64, num_filters=32)
    images = [record("both", (LEFT, 0), (RIGHT, 1), (LEFT, 1)), record("one", (LEFT, 0))]
    scores = {}
    for image in images:
        square = letterbox(datasets.read_image(image.path), 64)[0][None]
        best = model.boxes_and_scores(model(square, training=False))[1].numpy()[0].max(axis=0)
        scores |= {(image.image_id, name): score for name, score in zip(CLASSES, best)}
    del scores["one", "dog"]
    rows = audit_model(model, images, layer="P4", score_threshold=0.0).rows
    assert {(row["image"], row["class"]): row["score"] for row in rows} == pytest.approx(scores, abs=1e-5)
    assert all(row["right"] for row in rows)
    assert not any(row["right"] for row in audit_model(model, images, layer="P4", score_threshold=1.0).rows)


def test_localizer_is_audited_by_grad_cam_of_its_level(record, tiny_backbone):
    keras.utils.set_random_seed(0)
    model = Localizer(tiny_backbone(), CLASSES, 64, num_filters=8)
    image = record("one", (LEFT, 0))
    (row,) = audit_model(model, [image], layer="P4").rows
    square = letterbox(datasets.read_image(image.path), 64)[0].numpy()
    heatmaps = GradCAM(model, layer="P4")(square, 0)[0]
    assert row["energy"] == pytest.approx(heatmaps[:48, :32].sum() / heatmaps.sum(), abs=1e-4)
    logits = model(square[None], training=False)["class"].numpy()[0]
    assert row["score"] == pytest.approx((np.exp(logits) / np.exp(logits).sum())[0], abs=1e-4)


def test_score_falls_when_its_region_is_painted_over(record):
    image = record("one", (LEFT, 0))
    region = np.array([0.5, 0.0, 1.0, 0.5])

    def brightness(images):
        return tf.stack([tf.reduce_mean(images[:, :24, 32:], [1, 2, 3]) / 255, tf.zeros(len(images))], axis=1)

    falls = score_falls(brightness, [image.path, image.path], [0, 1], region, 64)
    image = datasets.read_image(image.path).astype(float)
    before, after = image[:24, 32:].mean() / 255, image.mean() / 255
    assert falls.shape == (2, 2)
    assert falls[0, 0] == pytest.approx(before - after, abs=1e-4)
    assert falls[0, 1] == pytest.approx(np.log(before / (1 - before)) - np.log(after / (1 - after)), abs=1e-3)
    np.testing.assert_allclose(falls[1], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"classes": None}, "classes"),
        ({"image_size": None}, "image size"),
        ({"classes": ["cat"]}, "1 classes"),
        ({"energy": 2}, "energy is 2"),
        ({"fall": -1}, "fall is -1"),
        ({"level": 0}, "level is 0"),
        ({"least": 2}, "least 2"),
    ],
)
def test_input_is_refused_in_one_line_when_invalid(always_dog, record, settings, says):
    with pytest.raises(UserError, match=says) as caught:
        audit_model(always_dog, [record("one", (LEFT, 0))], **{"classes": CLASSES, "image_size": 64, **settings})
    assert "\n" not in str(caught.value)


def test_records_are_refused_when_the_model_lacks_their_class(always_dog, record):
    with pytest.raises(UserError, match="has class 2, but the model has 2 classes"):
        audit_model(always_dog, [record("one", (LEFT, 2))], classes=CLASSES, image_size=64)
    with pytest.raises(UserError, match="none of 1 images has an object"):
        audit_model(always_dog, [record("none")], classes=CLASSES, image_size=64)
