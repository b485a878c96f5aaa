import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_cv.src.models.object_detection.yolo_v8 import yolo_v8_detector

from kerassl.detectors.yolov8 import distances, task_aligned
from kerassl.detectors.yolov8 import layers as yolo_layers


def test_neck_and_heads_equal_those_of_keras_cv_when_their_weights_are_copied():
    inputs = [keras.Input((None, None, channels)) for channels in (16, 32, 64)]
    theirs = yolo_v8_detector.apply_path_aggregation_fpn([*inputs], depth=2, name="fpn")
    theirs = keras.Model(inputs, yolo_v8_detector.apply_yolo_v8_head(theirs, 3, name="head"))
    starts = {"box": [distances.START] * 3, "classification": [0.0] * 3}
    ours = keras.Model(inputs, yolo_layers.heads(yolo_layers.neck(inputs, 2), {"box": 64, "classification": 3}, starts))
    rng = np.random.default_rng(0)
    for layer in theirs.layers:  # statistics as of a trained network: at the start they would hide a layer's place
        layer.set_weights([np.abs(rng.normal(0.5, 0.2, weight.shape)) * (0.05 if weight.ndim > 1 else 1)
                           for weight in layer.get_weights()])  # fmt: skip
    names = {"neck_p4_down": "fpn_p4p5", "neck_p3_down": "fpn_p3p4p5"}
    for level, number in ((4, 1), (5, 2)):
        names[f"neck_shrunk_p{level - 1}"] = f"fpn_p3p4p5_downsample{number}"
        names[f"neck_p{level}_up"] = f"fpn_p3p4p5_downsample{number}_block"
    for level in (3, 4, 5):
        names[f"box_head_p{level}"] = f"head_{level - 2}_box"
        names[f"classification_head_p{level}"] = f"head_{level - 2}_class"
    copied = 0
    for layer in ours.layers:
        if not layer.weights:
            continue
        block = next(name for name in names if layer.name.startswith(name))
        rest = layer.name.removeprefix(block)
        if rest == "_3":
            rest = "_3_conv"
        half = {"_short": 0, "_deep": 1}.get(rest.rsplit("_", 1)[0])
        if half is not None:  # KerasCV computes both in one and splits them
            source = theirs.get_layer(f"{names[block]}_pre_{rest.rsplit('_', 1)[1]}").get_weights()
            layer.set_weights([np.split(weight, 2, -1)[half] for weight in source])
        else:
            inner = "_pre" if rest[1].isdigit() and block.startswith("neck_p") else ""
            layer.set_weights(theirs.get_layer(f"{names[block]}{inner}{rest}").get_weights())
        copied += layer.count_params()
    assert copied == theirs.count_params() == ours.count_params()
    features = [rng.normal(size=(2, side, side, c)).astype("float32") for side, c in ((8, 16), (4, 32), (2, 64))]
    expected, found = theirs(features), ours(features)
    np.testing.assert_allclose(found["box"], expected["boxes"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(tf.sigmoid(found["classification"]), expected["classes"], atol=1e-5)
    assert np.std(found["box"]) > 0.1


def test_an_image_seems_to_hold_few_objects_when_training_starts(tiny_detector, rectangles):
    outputs = tiny_detector("YOLOV8", image_size=96)(rectangles(4, 96)[0])
    assert outputs["box"].shape == (4, 144 + 36 + 9, 64)
    assert outputs["classification"].shape == (4, 144 + 36 + 9, 2)
    assert 1 < tf.reduce_sum(tf.sigmoid(outputs["classification"]), [1, 2]).numpy().mean() < 20
    assert 1 < np.median(distances.expected(outputs["box"])) < 2.5


def slow_loss(model, outputs, boxes, classes):
    """The loss of a batch in NumPy, but for the targets, which have a slow twin of their own."""
    bins, logits = (np.array(outputs[name], "float64") for name in ("box", "classification"))
    centers, strides = distances.locations(model.image_size)
    wanted_boxes, wanted, _ = (
        part.numpy() for part in task_aligned.targets(centers, boxes, classes, *model.boxes_and_scores(outputs))
    )
    share = 1 / (1 + np.exp(-logits))
    entropy = -(wanted * np.log(share) + (1 - wanted) * np.log(1 - share)).sum()
    box = 0.0
    for i, a in zip(*np.nonzero(wanted.any(-1))):
        target = np.concatenate([centers[a] - wanted_boxes[i, a, :2], wanted_boxes[i, a, 2:] - centers[a]]) / strides[a]
        weights = np.exp(bins[i, a].reshape(4, 16))
        weights /= weights.sum(1, keepdims=True)
        expected = (weights * np.arange(16)).sum(1)[None]
        overlap = float(distances.ciou(target[None].astype("float64"), expected)[0])
        clipped = np.clip(target, 0, 15)
        left = np.minimum(clipped.astype(int), 14)
        sides = np.arange(4)
        nll = -(left + 1 - clipped) * np.log(weights[sides, left]) - (clipped - left) * np.log(weights[sides, left + 1])
        box += wanted[i, a].sum() * (7.5 * (1 - overlap) + 1.5 * nll.mean())
    return (box + 0.5 * entropy) / max(wanted.sum(), 1)


def test_loss_equals_the_formulas_when_computed_in_numpy(tiny_detector, noisy_heads, rectangles):
    model, (images, boxes, classes) = noisy_heads(tiny_detector("YOLOV8")), rectangles(8)
    classes = classes.copy()
    classes[4:] = -1
    outputs = model(images, training=False)
    loss = model.compute_loss(x=tf.constant(images), y={"boxes": boxes, "classes": classes}, y_pred=outputs)
    assert float(loss) == pytest.approx(slow_loss(model, outputs, boxes, classes), rel=1e-4)


def step(model, images, boxes, classes):
    variables = [getattr(variable, "value", variable) for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        loss = model.compute_loss(x=images, y={"boxes": boxes, "classes": classes}, y_pred=outputs)
    return loss, tape.gradient(loss, variables)


@pytest.mark.current_stack
def test_every_trainable_weight_gets_a_gradient(tiny_detector, rectangles):
    model = tiny_detector("YOLOV8")
    _, gradients = step(model, *rectangles(4))
    assert len(gradients) == len(model.trainable_variables) > 50
    assert all(gradient is not None for gradient in gradients)
    of_backbone = {id(variable) for variable in model.backbone.trainable_variables}
    assert of_backbone < {id(variable) for variable in model.trainable_variables}


@pytest.mark.current_stack
def test_outputs_and_loss_are_float32_when_precision_is_mixed(tiny_detector, rectangles):
    keras.utils.set_random_seed(0)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = tiny_detector("YOLOV8", image_size=32)
        assert {output.dtype for output in model(rectangles(4, 32)[0]).values()} == {tf.float32}
        assert model.get_layer("box_head_p3_3").compute_dtype == "bfloat16"
        loss, gradients = step(model, *rectangles(4, 32))
        assert loss.dtype == tf.float32
        keras.mixed_precision.set_global_policy("float32")
        exact = tiny_detector("YOLOV8", image_size=32)
        exact.set_weights(model.get_weights())
        expected, exact_gradients = step(exact, *rectangles(4, 32))
        assert float(loss) == pytest.approx(float(expected), rel=0.05)
        norms = [
            np.sqrt(sum((np.array(g, "float32") ** 2).sum() for g in each)) for each in (gradients, exact_gradients)
        ]
        assert norms[0] == pytest.approx(norms[1], rel=0.2)
    finally:
        keras.mixed_precision.set_global_policy("float32")
