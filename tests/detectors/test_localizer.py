import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kerassl import datasets, detectors
from kerassl.detectors import supervised
from kerassl.detectors.localizer import head as parts
from kerassl.detectors.localizer.losses import BoxLoss, LocationLoss, loc_acc_50, mean_iou
from kerassl.resizing import letterbox


def squares(count, size=64, seed=0):
    """Images `[N, S, S, 3]` of one bright rectangle, red or blue, and the targets."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(90, 110, (count, size, size, 3)).astype("float32")
    boxes, classes = np.zeros((count, 4), "float32"), rng.integers(0, 2, count).astype("int32")
    for index in range(count):
        width, height = rng.integers(size // 4, size // 2, 2)
        x, y = rng.integers(0, size - width + 1), rng.integers(0, size - height + 1)
        images[index, y : y + height, x : x + width] = [(220, 30, 30), (30, 30, 220)][classes[index]]
        boxes[index] = np.array([x, y, x + width, y + height]) / size
    return images, {"class": classes, "box": boxes}


def batches(images, targets, batch_size=16):
    return tf.data.Dataset.from_tensor_slices((images, targets)).shuffle(len(images), seed=0).batch(batch_size)


def slow_giou(a, b):
    sides = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in range(2)]
    common = max(sides[0], 0) * max(sides[1], 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return common / union - (hull - union) / hull, common / union


def random_boxes(count, seed):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 0.6, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(0.05, 0.4, (count, 2))], -1).astype("float32")


def test_box_loss_equals_loops():
    truth, answer = random_boxes(40, 0), random_boxes(40, 1)
    expected = [1 - slow_giou(a, b)[0] + 5 * np.abs(a - b).mean() for a, b in zip(truth, answer)]
    assert float(BoxLoss()(truth, answer)) == pytest.approx(np.mean(expected), rel=1e-5)
    assert float(BoxLoss()(truth, truth)) == pytest.approx(0, abs=1e-6)
    ious = [slow_giou(a, b)[1] for a, b in zip(truth, answer)]
    np.testing.assert_allclose(mean_iou(truth, tf.constant(answer)), ious, atol=1e-6)
    np.testing.assert_array_equal(loc_acc_50(truth, tf.constant(answer)), np.array(ious) >= 0.5)


def test_box_loss_has_a_finite_gradient_when_a_box_is_empty():
    answer = tf.Variable([[0.2, 0.2, 0.2, 0.2]])
    with tf.GradientTape() as tape:
        loss = BoxLoss()(np.array([[0.2, 0.2, 0.2, 0.2]], "float32"), answer)
    assert np.isfinite(tape.gradient(loss, answer)).all()


def test_location_loss_equals_loops():
    rng = np.random.default_rng(0)
    truth, locations = random_boxes(6, 2), rng.normal(0, 1, (6, 3, 4, 5)).astype("float32")
    expected = []
    for box, grid in zip(truth, locations):
        naming, drawing, shares = [], [], []
        for i in range(3):
            for j in range(4):
                location = np.array([j / 4, i / 3, (j + 1) / 4, (i + 1) / 3])
                common = np.prod(np.maximum(np.minimum(box[2:], location[2:]) - np.maximum(box[:2], location[:2]), 0))
                share = common * 12
                score, distance = grid[i, j, 0], np.log1p(np.exp(grid[i, j, 1:]))
                naming.append(np.log1p(np.exp(-score)) * share + np.log1p(np.exp(score)) * (1 - share))
                center = (location[:2] + location[2:]) / 2
                proposed = np.concatenate([center - distance[:2], center + distance[2:]])
                drawing.append(1 - slow_giou(box, proposed)[0] + 5 * np.abs(box - proposed).mean())
                shares.append(share)
        expected.append(np.mean(naming) + np.average(drawing, weights=shares))
    assert float(LocationLoss()(truth, locations)) == pytest.approx(np.mean(expected), rel=1e-5)


def test_vote_equals_loops():
    rng = np.random.default_rng(0)
    weights, sides = rng.uniform(0, 1, (2, 3, 5, 1)).astype("float32"), rng.normal(0, 1, (2, 3, 5, 4)).astype("float32")
    weights /= weights.sum((1, 2), keepdims=True)
    expected = np.zeros((2, 4))
    for b in range(2):
        for i in range(3):
            for j in range(5):
                center = np.array([(j + 0.5) / 5, (i + 0.5) / 3])
                distance = np.log1p(np.exp(sides[b, i, j]))
                box = np.concatenate([center - distance[:2], center + distance[2:]])
                expected[b] += weights[b, i, j, 0] * box
    np.testing.assert_allclose(parts.BoxVote()([tf.constant(weights), tf.constant(sides)]), expected, atol=1e-5)


def test_weights_of_locations_sum_to_one():
    weights = parts.LocationSoftmax()(tf.random.normal([3, 4, 5, 1]))
    np.testing.assert_allclose(tf.reduce_sum(weights, [1, 2, 3]), 1, atol=1e-6)


@pytest.mark.current_stack
def test_localizer_finds_rectangles_that_it_has_not_seen(tiny_backbone):
    keras.utils.set_random_seed(0)
    model = detectors.Localizer(tiny_backbone(), ["red", "blue"], 64, num_filters=32)
    model.compile(learning_rate=3e-3)
    model.fit(batches(*squares(256)), epochs=6, verbose=0)
    score = model.evaluate(batches(*squares(64, seed=1)), verbose=0, return_dict=True)
    assert score["box_loc_acc_50"] >= 0.8
    assert score["class_accuracy"] >= 0.95


@pytest.mark.current_stack
def test_step_is_traced_once_and_accuracy_is_that_of_the_labels(tiny_backbone, monkeypatch):
    traced, step = [], supervised.scaled_step
    monkeypatch.setattr(supervised, "scaled_step", lambda *given: traced.append(given) or step(*given))
    localizer = detectors.Localizer(tiny_backbone(), ["red", "blue"], image_size=64, num_filters=8)
    localizer.compile()
    images, targets = squares(16)
    localizer.fit(batches(images, targets, 4), epochs=2, verbose=0)
    assert len(traced) == 1
    named = np.argmax(localizer(images, training=False)["class"], -1)
    found = localizer.evaluate(images, targets, verbose=0, return_dict=True)
    assert found["class_accuracy"] == pytest.approx(np.mean(named == targets["class"]))


def named(image_id, path):
    """As much of a record as prediction needs."""
    return datasets.Record(image_id, str(path), 1, 1, None, None, None)


def test_predictions_are_in_pixels_of_the_original_and_the_same_in_any_batch(tiny_backbone, tmp_path, caplog):
    model = detectors.Localizer(tiny_backbone(), ["red", "blue"], 64, num_filters=16)
    rng = np.random.default_rng(0)
    names = []
    for number, shape in enumerate([(50, 90), (128, 64), (64, 64)]):
        path = tmp_path / f"{number}.png"
        Image.fromarray(rng.integers(0, 255, (*shape, 3), "uint8")).save(path)
        names.append(named(f"image {number}", path))
    found = detectors.predict(model, names, batch_size=2, verbose=0)
    assert list(found) == ["image 0", "image 1", "image 2"]
    image, scale = letterbox(tf.constant(np.asarray(Image.open(names[0].path))), 64)
    outputs = model(image[None])
    expected = np.clip(outputs["box"][0].numpy() * 90, 0, [90, 50, 90, 50])
    np.testing.assert_allclose(found["image 0"].boxes[0], expected, atol=1e-3)
    np.testing.assert_allclose(found["image 0"].logits[0], outputs["class"][0], atol=1e-5)
    assert float(scale) == pytest.approx(64 / 90)
    for one in found.values():
        assert one.classes[0] == one.logits[0].argmax()
        assert one.scores[0] == pytest.approx(tf.nn.softmax(one.logits[0]).numpy().max(), rel=1e-5)
    alone = detectors.predict(model, names[2:], verbose=0)
    np.testing.assert_allclose(alone["image 2"].boxes, found["image 2"].boxes, atol=1e-3)
    (tmp_path / "broken.png").write_bytes(b"no image")
    with caplog.at_level(logging.WARNING, "kerassl"):
        some = detectors.predict(model, [named("broken", tmp_path / "broken.png"), *names], verbose=0)
    assert "broken.png" in caplog.text
    assert list(some) == list(found)
