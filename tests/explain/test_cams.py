"""Grad-CAM++, Layer-CAM and Score-CAM against formulas by hand, and heatmaps of single boxes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from kerassl import UserError, detectors
from kerassl.detectors.pseudo_boxes.heatmaps import enlarge
from kerassl.explain import GradCAM, GradCAMPlusPlus, LayerCAM, ScoreCAM


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, [3, 64, 96, 3]).astype(np.float32)


@pytest.fixture(scope="module")
def classifier(tiny_backbone):
    keras.utils.set_random_seed(1)
    backbone = tiny_backbone()
    x = keras.layers.GlobalAveragePooling2D()(backbone.output)
    return keras.Model(backbone.input, keras.layers.Dense(3, name="logits")(x), name="classifier")


def features_and_gradient(model, layer, images, score):
    """Of one feature map and a score of all images, in float64."""
    both = keras.Model(model.inputs[0], [model.get_layer(layer).output, model.output])
    with tf.GradientTape() as tape:
        source = tf.constant(images)
        tape.watch(source)
        features, output = both(source, training=False)
        value = score(output)
    gradient = tape.gradient(value, features)
    return features.numpy().astype(float), gradient.numpy().astype(float), value.numpy().astype(float)


def test_layer_cam_equals_its_formula_when_gradients_are_given(classifier, images):
    features, gradient, _ = features_and_gradient(classifier, "act4", images, lambda output: output[:, 1])
    locations = np.maximum((np.maximum(gradient, 0) * features).sum(-1), 0)
    heatmaps = LayerCAM(classifier, layer="P4")(images, 1)
    np.testing.assert_allclose(heatmaps, enlarge(locations.astype("float32"), (64, 96)), atol=1e-4)
    assert np.abs(heatmaps - GradCAM(classifier, layer="P4")(images, 1)).max() > 0.05


def test_grad_cam_plus_plus_equals_its_formula_when_gradients_are_given(classifier, images):
    features, gradient, score = features_and_gradient(classifier, "act4", images, lambda output: output[:, 2])
    expected = []
    for f, g, s in zip(features, gradient, score):
        # The gradients are those of exp(score), a deep network's second and third derivatives their powers.
        locations = np.zeros(f.shape[:2])
        for k in range(f.shape[-1]):
            denominator = 2 * g[..., k] ** 2 + f[..., k].sum() * g[..., k] ** 3
            alpha = np.where(g[..., k] != 0, g[..., k] ** 2 / np.where(g[..., k] != 0, denominator, 1), 0)
            alpha = alpha / alpha.sum()  # tf-keras-vis lets the weights of a channel add up to 1
            locations += (alpha * np.maximum(np.exp(s) * g[..., k], 0)).sum() * f[..., k]
        expected.append(np.maximum(locations, 0))
    heatmaps = GradCAMPlusPlus(classifier, layer="P4")(images, 2)
    np.testing.assert_allclose(heatmaps, enlarge(np.stack(expected).astype("float32"), (64, 96)), atol=1e-3)


def test_score_cam_weighs_channels_by_the_share_of_the_class_behind_their_mask():
    inputs = keras.Input((32, 32, 3))
    colors = keras.layers.Conv2D(
        2, 8, strides=8, use_bias=False, name="map", activation="relu",
        kernel_initializer=lambda shape, dtype=None: tf.constant(
            np.broadcast_to([[1.0, -1], [-1, 1], [0, 0]], shape) / 64, tf.float32),
    )(inputs)  # fmt: skip
    pooled = keras.layers.GlobalMaxPooling2D()(colors)
    model = keras.Model(inputs, keras.layers.Dense(2, kernel_initializer="identity", name="logits")(pooled))
    image = np.zeros([32, 32, 3], "float32")
    image[:8, :8, 0], image[24:, 24:, 1] = 4, 3  # a red and a green location
    maps = np.zeros([4, 4, 2], "float32")
    maps[0, 0, 0], maps[3, 3, 1] = 4, 3
    for label in (0, 1):
        weights = []
        for channel in range(2):
            mask = ndimage.zoom(maps[..., channel] / maps[..., channel].max(), 8, order=1, mode="nearest")
            logits = model((image * mask[..., None])[None]).numpy()[0].astype(float)
            weights.append(np.exp(logits[label]) / np.exp(logits).sum())
        expected = enlarge((maps * np.float32(weights)).sum(-1)[None], (32, 32))[0]
        np.testing.assert_allclose(ScoreCAM(model, layer="map")(image, label)[0], expected, atol=1e-4)
        assert np.sort(weights)[1] > 3 * np.sort(weights)[0]
    assert ScoreCAM(model, layer="map", channels=1)(image, 0)[0, 0, 0] == 1


@pytest.mark.parametrize("kind", ["RetinaNet", pytest.param("YOLOV8", marks=pytest.mark.current_stack)])
def test_heatmap_of_a_box_is_that_of_the_anchor_that_found_it(tiny_detector, images, kind):
    keras.utils.set_random_seed(3)
    model = tiny_detector(kind, ["cat", "dog", "cow"])
    square = images[:2, :, :64]
    boxes, _ = model.boxes_and_scores(model(square, training=False))
    anchors = [40, 7]
    asked = np.stack([boxes[row, anchor] for row, anchor in enumerate(anchors)])

    def score(output):
        return tf.stack([output["classification"][0, 40, 2], output["classification"][1, 7, 0]])

    features, gradient, _ = features_and_gradient(model, "act4", square, score)
    for method, weights in ((GradCAM, gradient.mean(axis=(1, 2), keepdims=True)), (LayerCAM, np.maximum(gradient, 0))):
        heatmaps = method(model, layer="P4")(square, [2, 0], boxes=asked)
        locations = np.maximum((weights * features).sum(-1), 0)
        np.testing.assert_allclose(heatmaps, enlarge(locations.astype("float32"), (64, 64)), atol=1e-4)
        assert heatmaps.max() == 1


@pytest.mark.current_stack
def test_boxes_are_refused_when_they_are_none_or_ask_a_model_without_boxes(classifier, tiny_backbone, images):
    with pytest.raises(UserError, match="'classifier' is no detector"):
        GradCAM(classifier)(images, 0, boxes=np.ones([3, 4]))
    model = detectors.RetinaNet(tiny_backbone(), ["cat"], image_size=64, num_filters=32)
    square = images[:2, :, :64]
    for boxes, message in (
        ([[0, 0, 9, 9]], r"boxes are \(1, 4\); give one box .* each of the 2 images"),
        ([[0, 0, 9, 9], [5, 5, 5, 9]], "no area"),
        ([[0, 0, 9, 9], [5000, 5000, 6000, 6000]], r"touches the box \[5000"),
    ):
        with pytest.raises(UserError, match=message):
            GradCAM(model)(square, 0, boxes=boxes)
    with pytest.raises(UserError, match="is a detector; Score-CAM"):
        ScoreCAM(model)
    with pytest.raises(UserError, match="channels is 99; 'act5' has 1 to 16"):
        ScoreCAM(classifier, channels=99)
