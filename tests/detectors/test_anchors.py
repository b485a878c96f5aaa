import keras_cv
import numpy as np
import pytest
import tensorflow as tf
from keras_cv.src.bounding_box.converters import _decode_deltas_to_boxes, _encode_box_to_deltas

from kerassl.boxes import pairwise_iou
from kerassl.detectors.retinanet import anchors as boxes


def random_boxes(rng, *shape, size=100.0):
    corner = rng.uniform(0, 0.7 * size, (*shape, 2))
    return np.concatenate([corner, corner + rng.uniform(2, 0.3 * size, (*shape, 2))], -1).astype("float32")


def slow_iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def slow_targets(anchors, objects, classes, positive=0.5, negative=0.4):
    """The rule of `targets` for one image, in loops: `(owner or None, class)` of each anchor."""
    real = [m for m in range(len(objects)) if classes[m] >= 0]
    favorite = {m: max(range(len(anchors)), key=lambda a: (slow_iou(anchors[a], objects[m]), -a)) for m in real}
    answers = []
    for a, anchor in enumerate(anchors):
        wanted = [m for m in real if favorite[m] == a]
        owner = max(wanted or real, key=lambda m: (slow_iou(anchor, objects[m]), -m), default=None)
        overlap = -1.0 if owner is None else slow_iou(anchor, objects[owner])
        if wanted or overlap >= positive:
            answers.append((owner, classes[owner]))
        else:
            answers.append((None, -1.0 if overlap < negative else -2.0))
    return answers


def test_iou_equals_loops_when_boxes_are_random():
    rng = np.random.default_rng(0)
    first, second = random_boxes(rng, 2, 30), random_boxes(rng, 2, 7)
    expected = [[[slow_iou(a, b) for b in second[i]] for a in first[i]] for i in range(2)]
    np.testing.assert_allclose(pairwise_iou(first, second), expected, atol=1e-6)


def test_iou_is_zero_when_both_boxes_are_empty():
    assert pairwise_iou(tf.zeros([1, 4]), tf.zeros([1, 4])).numpy() == 0


def test_offsets_equal_those_of_keras_cv_and_lead_back():
    rng = np.random.default_rng(1)
    anchors, objects = random_boxes(rng, 50), random_boxes(rng, 3, 50)
    options = {"anchor_format": "xyxy", "box_format": "xyxy", "variance": boxes.VARIANCE}
    offsets = boxes.encode(objects, anchors)
    np.testing.assert_allclose(offsets, _encode_box_to_deltas(anchors, objects, **options), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        boxes.decode_offsets(offsets, anchors), _decode_deltas_to_boxes(anchors, offsets, **options), atol=1e-3
    )
    np.testing.assert_allclose(boxes.decode_offsets(offsets, anchors), objects, atol=1e-3)


def test_decoding_stays_finite_when_an_offset_is_wild():
    assert np.isfinite(boxes.decode_offsets(tf.fill([1, 4], 1e4), tf.constant([[0.0, 0.0, 10.0, 10.0]]))).all()


@pytest.mark.parametrize("count", [1, 2, 6])
def test_targets_equal_loops_when_rows_pad(count):
    rng = np.random.default_rng(count)
    anchors = random_boxes(rng, 200)
    objects, classes = random_boxes(rng, 5, count + 2), rng.integers(0, 4, (5, count + 2)).astype("float32")
    objects[:, count:], classes[:, count:] = -1, -1
    offsets, labels, _ = (tensor.numpy() for tensor in boxes.targets(anchors, objects, classes))
    encoded = boxes.encode(objects[:, :, None], anchors).numpy()  # [B, M, A, 4]
    for i in range(5):
        for a, (owner, label) in enumerate(slow_targets(anchors, objects[i], classes[i])):
            assert labels[i, a] == label
            np.testing.assert_allclose(offsets[i, a], 0 if owner is None else encoded[i, owner, a], rtol=1e-4)


def test_targets_equal_those_of_keras_cv_when_every_object_has_a_fitting_anchor():
    generator = keras_cv.layers.AnchorGenerator(
        "xyxy", sizes=[16.0, 32.0], scales=[1.0], aspect_ratios=[1.0], strides=[4, 8], clip_boxes=True
    )
    encoder = keras_cv.models.retinanet.LabelEncoder("xyxy", generator)
    anchors = np.concatenate([np.array(level) for level in generator(image_shape=(64, 64, 3)).values()])
    rng = np.random.default_rng(3)
    chosen = rng.permuted(np.tile(np.arange(len(anchors)), (4, 1)), axis=1)[:, :3]
    objects = (anchors[chosen] + rng.uniform(-1, 1, (4, 3, 4))).astype("float32")
    classes = rng.integers(0, 5, (4, 3)).astype("float32")
    expected = encoder(tf.zeros([4, 64, 64, 3]), {"boxes": tf.constant(objects), "classes": tf.constant(classes)})
    offsets, labels, _ = boxes.targets(anchors, objects, classes)
    np.testing.assert_array_equal(labels, expected[1])
    assert (labels.numpy() >= 0).sum() >= 12
    found = labels.numpy() >= 0
    np.testing.assert_allclose(offsets.numpy()[found], np.array(expected[0])[found], rtol=1e-3, atol=1e-3)


def test_targets_are_background_when_there_is_no_object():
    anchors = random_boxes(np.random.default_rng(0), 20)
    _, labels, _ = boxes.targets(anchors, np.full((2, 3, 4), -1, "float32"), np.full((2, 3), -1, "float32"))
    assert (labels.numpy() == -1).all()
    _, labels, _ = boxes.targets(anchors, np.zeros((2, 0, 4), "float32"), np.zeros((2, 0), "float32"))
    assert (labels.numpy() == -1).all()
