import keras
import keras_cv
import numpy as np
import pytest
import tensorflow as tf

from kerassl import datasets
from kerassl._errors import UserError
from kerassl.boxes import pairwise_iou
from kerassl.detectors.decoding import select
from kerassl.detectors.retinanet.anchors import targets


def batches(images, boxes, classes, batch_size=8):
    data = {"images": images, "bounding_boxes": {"boxes": boxes, "classes": classes}}
    return tf.data.Dataset.from_tensor_slices(data).batch(batch_size)


def test_every_anchor_says_one_percent_when_training_starts(tiny_detector, rectangles):
    scores = tf.sigmoid(tiny_detector()(rectangles(4)[0])["classification"]).numpy()
    assert scores.shape == (4, 9 * (64 + 16 + 4 + 1 + 1), 2)
    assert 0.005 < np.median(scores) < 0.02
    assert scores.max() < 0.2


@pytest.mark.current_stack
def test_there_is_an_output_for_each_anchor_when_levels_round_up(tiny_detector, rectangles):
    for size in (64, 96, 160):  # 96 / 64 and 96 / 128 are no whole numbers
        model = tiny_detector(image_size=size)
        assert model.anchors().shape == (model(rectangles(1, size)[0])["box"].shape[1], 4)


def slow_focal(labels, logits, alpha=0.25, gamma=2.0):
    score = np.clip(1 / (1 + np.exp(-logits.astype("float64"))), 1e-7, 1 - 1e-7)
    at_truth = np.where(labels == 1, score, 1 - score)
    return np.where(labels == 1, alpha, 1 - alpha) * (1 - at_truth) ** gamma * -np.log(at_truth)


def test_loss_equals_the_paper_when_computed_in_numpy(tiny_detector, rectangles):
    model, (images, boxes, classes) = tiny_detector(), rectangles(8)
    outputs = {name: np.array(value) for name, value in model(images[:8], training=False).items()}
    offsets, labels, _ = (t.numpy() for t in targets(model.anchors(), boxes[:8], classes[:8]))
    one_hot = (labels[..., None] == np.arange(2)).astype("float64")
    found = labels >= 0
    error = np.abs(offsets - outputs["box"])
    smooth = np.where(error < 1, 0.5 * error**2, error - 0.5).mean(-1)
    expected = (
        slow_focal(one_hot, outputs["classification"]).sum(-1)[labels != -2].sum() + smooth[found].sum()
    ) / found.sum()
    loss = model.compute_loss(
        x=tf.constant(images[:8]),
        y={"boxes": boxes[:8], "classes": classes[:8]},
        y_pred=model(images[:8], training=False),
    )
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_heads_have_the_width_that_was_asked_for(tiny_detector):
    assert tiny_detector(num_filters=32).get_layer("box_head").prediction_layer.kernel.shape[2] == 32


def test_heads_normalize_each_image_by_itself(tiny_detector, rectangles):
    head, maps = (
        tiny_detector().get_layer("box_head"),
        np.random.default_rng(0).normal(size=[3, 8, 8, 256]).astype("float32"),
    )
    alone = np.concatenate([head(maps[place : place + 1], training=True) for place in range(3)])
    np.testing.assert_allclose(head(maps, training=True), alone, atol=1e-6)
    # Twice the features and other ones beside them: its outputs are the same.
    np.testing.assert_allclose(head(2 * maps), head(maps), atol=1e-3)


def test_predict_keeps_low_scores(tiny_detector, rectangles):
    found = tiny_detector().predict(rectangles(4)[0], verbose=0)
    counts = found["num_detections"]
    assert found["boxes"].shape == (4, 100, 4)
    assert counts.min() > 0
    assert 0 < found["confidence"][0, counts[0] - 1] < 0.5


@pytest.mark.current_stack
def test_decoding_equals_that_of_keras_cv_when_there_is_one_class(tiny_detector):
    model = tiny_detector(class_names=["thing"])
    rng = np.random.default_rng(0)
    count = model.anchors().shape[0]
    outputs = {
        "box": rng.normal(0, 0.7, (4, count, 4)).astype("float32"),
        "classification": rng.normal(-7, 2, (4, count, 1)).astype("float32"),
    }
    suppress = keras_cv.layers.NonMaxSuppression("xyxy", False, confidence_threshold=0.01)
    boxes, scores = model.boxes_and_scores(outputs)
    expected = suppress(tf.clip_by_value(boxes, 0.0, 64.0), scores)
    boxes, scores, _, counts = select(boxes, scores, tf.fill([4, 2], 64.0))
    found = {"boxes": boxes, "confidence": scores, "num_detections": counts}
    np.testing.assert_array_equal(found["num_detections"], expected["num_detections"])
    for index, count in enumerate(found["num_detections"].numpy()):
        assert 10 < count < 100
        for name in ("confidence", "boxes"):
            np.testing.assert_allclose(found[name][index, :count], expected[name][index][:count], atol=1e-4)


@pytest.mark.slow
def test_outputs_and_loss_are_float32_when_precision_is_mixed(tiny_detector, rectangles):
    images, boxes, classes = rectangles(8, 96)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        with pytest.raises(UserError, match=r"image size 64 does not train in mixed_bfloat16.*use 96 or more"):
            tiny_detector()
        model = tiny_detector(image_size=96)
        assert {output.dtype for output in model(images).values()} == {tf.float32}
        assert model.get_layer("box_head").prediction_layer.compute_dtype == "bfloat16"
        losses = model.fit(batches(images, boxes, classes), epochs=15, verbose=0).history["loss"]
        assert np.isfinite(losses).all()
        assert losses[-1] < losses[0]
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.realdata
def test_anchors_fit_most_of_the_objects_of_voc(tiny_detector, real_data):
    records = datasets.DetectionDataset.from_voc(real_data / "VOCdevkit", 2007, "train").subset(300)
    fits, fits_largest = [], []
    anchors = tiny_detector(image_size=128).anchors()
    for record in records:
        boxes = record.boxes * 128 / max(record.height, record.width)
        best = tf.reduce_max(pairwise_iou(anchors, boxes), 0).numpy() >= 0.5
        fits += best.tolist()
        fits_largest.append(best[record.largest()])
    # The paper's sizes, four strides instead of two, fit 63 % and 91 %.
    assert np.mean(fits) > 0.75
    assert np.mean(fits_largest) > 0.95
