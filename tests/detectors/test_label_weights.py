"""Weights, ignored regions and background weights in the losses of both detectors, in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import detectors
from kerassl.detectors.label_weights import Labels, location_weights

SIZE, CLASSES = 64, ("red", "green", "blue")


@pytest.fixture(scope="module")
def float64():
    keras.mixed_precision.set_global_policy("float64")
    keras.backend.set_floatx("float64")  # for losses and metrics
    yield
    keras.backend.set_floatx("float32")
    keras.mixed_precision.set_global_policy("float32")


@pytest.fixture(params=["RetinaNet", "YOLOV8"], scope="module")
def scene(request, float64, tiny_backbone):
    """A detector, three images with two boxes, of which the last has one, and outputs near the objects."""
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = getattr(detectors, request.param)(tiny_backbone(), CLASSES, SIZE, num_filters=32)
    model.compile()
    boxes = np.tile([[[4.0, 4, 30, 40], [20, 16, 60, 60]]], (3, 1, 1)) + rng.uniform(0, 4, [3, 2, 4])
    classes = np.array([[0.0, 1], [2, 0], [1, -1]])
    boxes[2, 1] = -1
    images = rng.uniform(0, 255, (3, SIZE, SIZE, 3))
    outputs = {name: np.array(value) + rng.normal(0, 0.5, value.shape) for name, value in model(images).items()}
    return model, images, {"boxes": boxes, "classes": classes}, outputs


def with_weights(labels, **changes):
    shape = np.shape(labels["classes"])
    plain = {
        "weight": np.ones(shape),
        "box_weight": np.ones(shape),
        "ignore": np.zeros(shape),
        "background": np.ones([shape[0], 4]),
        "center": np.full([shape[0], 2], float(SIZE)),
    }
    return {**labels, **plain, **changes}


def rows(places, *parts):
    return [tf.nest.map_structure(lambda part: np.array(part)[places], part) for part in parts]


def loss_and_gradient(model, images, labels, outputs):
    outputs = tf.nest.map_structure(tf.constant, outputs)
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss = model.compute_loss(x=tf.constant(images), y=labels, y_pred=outputs)
    return float(loss), {name: np.array(value) for name, value in tape.gradient(loss, outputs).items()}


def test_loss_is_the_same_to_the_bit_when_all_weights_are_one(scene):
    model, images, labels, outputs = scene
    expected = loss_and_gradient(model, images, labels, outputs)
    found = loss_and_gradient(model, images, with_weights(labels), outputs)
    assert found[0] == expected[0]
    for name in expected[1]:
        np.testing.assert_array_equal(found[1][name], expected[1][name])


@pytest.mark.slow  # twenty steps in float64, one by one
@pytest.mark.parametrize("kind", ["YOLOV8", "RetinaNet"])
def test_weights_after_twenty_steps_are_the_same_to_the_bit_when_all_weights_are_one(kind, float64, tiny_backbone):
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (20, 2, SIZE, SIZE, 3))
    corners = rng.uniform(0, 30, [20, 2, 2, 2])
    boxes = np.concatenate([corners, corners + rng.uniform(8, 34, [20, 2, 2, 2])], -1)
    classes = rng.integers(0, 3, [20, 2, 2])
    classes[::3, 1, 1], boxes[::3, 1, 1] = -1, -1
    found = []
    for change in (lambda labels: labels, with_weights):
        keras.utils.set_random_seed(0)
        num_filters = {"YOLOV8": 8, "RetinaNet": 32}[kind]
        model = getattr(detectors, kind)(tiny_backbone(), CLASSES, SIZE, num_filters=num_filters)
        model.compile("adamw", 1e-3)
        batches = [change({"boxes": b, "classes": c.astype(float)}) for b, c in zip(boxes, classes)]
        tf.config.run_functions_eagerly(True)  # steps are few, graphs of them slow to make
        losses = [np.array(model.train_on_batch(*batch)) for batch in zip(images, batches)]
        tf.config.run_functions_eagerly(False)
        found.append([*losses, *model.get_weights()])
    assert len(np.unique(np.array(found[0][:20])[:, 0])) == 20
    for first, second in zip(*found, strict=True):
        np.testing.assert_array_equal(second, first)


def test_weight_counts_an_image_as_often_when_it_is_that_of_boxes_and_background(scene):
    model, images, labels, outputs = scene
    loss, gradients = loss_and_gradient(model, *rows([0, 0, 0, 1, 2], images, labels, outputs))
    weights = np.array([3.0, 1, 1])
    weighted = with_weights(
        labels, weight=np.repeat(weights[:, None], 2, 1), background=np.repeat(weights[:, None], 4, 1)
    )
    found, others = loss_and_gradient(model, images, weighted, outputs)
    assert found == pytest.approx(loss, rel=1e-10)
    for name, gradient in gradients.items():
        together = np.stack([gradient[:3].sum(0), gradient[3], gradient[4]])
        np.testing.assert_allclose(others[name], together, rtol=1e-10, atol=1e-16)


def test_images_teach_nothing_when_the_weights_of_boxes_and_background_are_zero(scene):
    model, images, labels, outputs = scene
    loss, gradients = loss_and_gradient(model, *rows([0], images, labels, outputs))
    weights = np.array([1.0, 0, 0])[:, None]
    weighted = with_weights(labels, weight=np.repeat(weights, 2, 1), background=np.repeat(weights, 4, 1))
    found, others = loss_and_gradient(model, images, weighted, outputs)
    assert found == pytest.approx(loss, rel=1e-10)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(others[name][:1], gradient, rtol=1e-10, atol=1e-16)
        assert not others[name][1:].any()


def slow_loss(model, labels, outputs):
    """The loss from the unweighted one of each location, by loops."""
    plain = Labels(*(tf.constant(labels[name]) for name in ("boxes", "classes")))
    if isinstance(model, detectors.YOLOV8):
        from kerassl.detectors.yolov8 import distances, task_aligned
        from kerassl.detectors.yolov8.yolov8 import _box_loss, _class_loss

        centers, strides = model.locations()
        boxes, wanted, owner = task_aligned.targets(centers, *plain[:2], *model.boxes_and_scores(outputs))
        box = _box_loss(distances.to_distances(boxes, centers, strides), tf.constant(outputs["box"]))
        share, clear = wanted.numpy().sum(-1), np.ones(owner.shape)
    else:
        from kerassl.detectors.retinanet import anchors
        from kerassl.detectors.retinanet.retinanet import _focal as _class_loss
        from kerassl.detectors.retinanet.retinanet import _smooth_l1

        offsets, classes, owner = anchors.targets(model.anchors(), *plain[:2])
        box, wanted = (
            _smooth_l1(offsets, tf.constant(outputs["box"])),
            tf.one_hot(tf.cast(classes, "int32"), 3, dtype="float64"),
        )
        share, clear = (classes.numpy() >= 0).astype(float), classes.numpy() != anchors.IGNORED
    entropy, box, owner = (
        _class_loss(wanted, tf.constant(outputs["classification"])).numpy(),
        box.numpy(),
        owner.numpy(),
    )
    total = loss = 0.0
    for image, location in np.ndindex(owner.shape):
        row = owner[image, location]
        own = row < 2
        weight = labels["weight"][image, row] if own else labels["background"][image, 0]
        loss += clear[image, location] * weight * entropy[image, location]
        if own:
            loss += weight * labels["box_weight"][image, row] * share[image, location] * box[image, location]
            total += weight * share[image, location]
    return loss / max(total, 1)


def test_weights_scale_loss_and_normalizer_when_each_box_has_its_own(scene):
    model, images, labels, outputs = scene
    rng = np.random.default_rng(1)
    weighted = with_weights(
        labels,
        weight=rng.uniform(0.2, 2, [3, 2]),
        box_weight=np.array([[1.0, 0], [0.5, 1], [0, 1]]),
        background=np.repeat(rng.uniform(0.2, 1, [3, 1]), 4, 1),
    )
    loss, gradients = loss_and_gradient(model, images, weighted, outputs)
    assert loss == pytest.approx(slow_loss(model, weighted, outputs), rel=1e-10)
    assert gradients["box"][0].any()
    assert not gradients["box"][2].any()


def test_logits_of_its_class_have_no_gradient_when_a_region_is_ignored(scene):
    model, images, labels, outputs = scene
    region = np.array([[34.0, 2, 62, 30]])  # beside the first object, over a part of the second
    ignored = {
        "boxes": np.concatenate([labels["boxes"], np.tile(region, (3, 1, 1))], 1),
        "classes": np.concatenate([labels["classes"], np.zeros([3, 1])], 1),
    }
    ignored = with_weights(ignored, ignore=np.array([[0.0, 0, 1]] * 3))
    outputs = {name: value.copy() for name, value in outputs.items()}
    outputs["classification"][0, :, 0] = np.where(np.arange(outputs["box"].shape[1]) % 7, 2.0, 800.0)
    _, before = loss_and_gradient(model, images, with_weights(labels), outputs)
    _, gradients = loss_and_gradient(model, images, ignored, outputs)
    before, found = before["classification"], gradients["classification"]
    silent = (found == 0) & (before != 0)
    assert silent[..., 0].any(1).all()
    assert not silent[..., 1:].any()  # the others of these locations stay negative
    np.testing.assert_allclose(found[~silent], before[~silent], rtol=1e-10)
    if isinstance(model, detectors.YOLOV8):
        centers, _ = model.locations()
    else:
        anchors = model.anchors().numpy()
        centers = (anchors[:, :2] + anchors[:, 2:]) / 2
    inside = ((centers > region[0, :2]) & (centers < region[0, 2:])).all(-1)
    where = silent[1, :, 0]
    assert inside[where].all()
    if isinstance(model, detectors.YOLOV8):  # every location in it, but those of an object of its class
        np.testing.assert_array_equal(where, inside & (found[1, :, 0] == 0))
        assert (inside & ~where).any()


def test_background_weighs_by_the_quarter_when_an_image_is_a_mosaic():
    centers = np.array([[10.0, 10], [50, 10], [10, 50], [50, 50], [40, 39], [39, 39]])
    labels = Labels(
        *map(tf.constant, (np.zeros([1, 1, 4]), [[0.0]], [[7.0]], [[0.5]], [[0.0]], [[1.0, 2, 3, 4]], [[40.0, 40]]))
    )
    labels = Labels(*(tf.cast(each, tf.float64) for each in labels))
    weight, box = location_weights(labels, tf.constant([[1, 1, 1, 0, 1, 1]]), tf.constant(centers))
    np.testing.assert_array_equal(weight[0], [1, 2, 3, 7, 2, 1])
    assert box[0, 3] == 3.5
