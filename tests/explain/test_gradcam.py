"""Grad-CAM by tf-keras-vis against the gradient taken by hand, on every kind of model that it explains."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.explain import GradCAM
from kerassl.explain.cam.cam import levels_of

NAMES = ["cat", "dog", "cow"]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, [3, 64, 96, 3]).astype(np.float32)


@pytest.fixture(scope="module")
def classifier(tiny_backbone):
    keras.utils.set_random_seed(1)
    backbone = tiny_backbone()
    x = keras.layers.GlobalAveragePooling2D()(backbone.output)
    return keras.Model(backbone.input, keras.layers.Dense(3, name="logits")(x), name="classifier")


def _by_hand(model, layer, images, classes, output=lambda outputs: outputs):
    """One image at a time, channel by channel, as eq. 1 and 2 of the paper have it."""
    both = keras.Model(model.inputs[0], [model.get_layer(layer).output, output(model.output)])
    heatmaps = []
    for image, label in zip(images, classes):
        with tf.GradientTape() as tape:
            source = tf.constant(image[None])
            tape.watch(source)
            features, scores = both(source, training=False)
            score = scores[0, label] if len(scores.shape) == 2 else tf.reduce_max(scores[0, :, label])
        gradient = tape.gradient(score, features)[0].numpy()
        features = features[0].numpy()
        height, width, channels = features.shape
        heatmap = np.zeros([height, width])
        for channel in range(channels):
            heatmap += gradient[..., channel].mean() * features[..., channel]
        heatmap = np.maximum(heatmap, 0)
        heatmaps.append(_resized(heatmap, image.shape[:2]) if heatmap.max() > 0 else np.zeros(image.shape[:2]))
    return np.stack([heatmap / heatmap.max() if heatmap.max() > 0 else heatmap for heatmap in heatmaps])


def _resized(heatmaps, size):
    """Bilinear, centers of locations at the centers of their regions, the border's locations repeated outwards."""
    points = [
        np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        for new, old in zip(size, heatmaps.shape, strict=True)
    ]
    rows = np.stack([np.interp(points[0], np.arange(heatmaps.shape[0]), column) for column in heatmaps.T], axis=1)
    return np.stack([np.interp(points[1], np.arange(heatmaps.shape[1]), row) for row in rows])


@pytest.mark.parametrize("layer", ["P3", "P4", "P5", "conv2"])
def test_heatmaps_equal_the_gradient_by_hand_when_the_model_is_a_classifier(classifier, images, layer):
    names = {"P3": "act3", "P4": "act4", "P5": "act5"}
    heatmaps = GradCAM(classifier, layer=layer)(images, [0, 1, 2])
    assert heatmaps.shape == (3, 64, 96)
    assert heatmaps.dtype == np.float32
    expected = _by_hand(classifier, names.get(layer, layer), images, [0, 1, 2])
    np.testing.assert_allclose(heatmaps, expected, atol=1e-4)
    assert expected.max() > 0


def test_heatmaps_equal_the_gradient_by_hand_when_the_model_is_a_localizer(tiny_backbone, images):
    from kerassl.detectors import Localizer

    keras.utils.set_random_seed(2)
    model = Localizer(tiny_backbone(), NAMES, 64, num_filters=8)
    heatmaps = GradCAM(model)(images, 1)
    expected = _by_hand(model, "act5", images, [1] * 3, lambda outputs: outputs["class"])
    np.testing.assert_allclose(heatmaps, expected, atol=1e-4)
    assert expected.max() > 0


def test_deepest_level_that_a_localizer_uses_is_explained_by_default(tiny_backbone, images):
    from kerassl.detectors import Localizer

    model = Localizer(tiny_backbone(), NAMES, 64, num_filters=8, levels=["P3", "P4"])
    np.testing.assert_array_equal(GradCAM(model)(images, 1), GradCAM(model, layer="P4")(images, 1))
    assert levels_of(model) == ("P3", "P4")
    for layer in ("P5", "act5"):
        with pytest.raises(UserError, match=r"'act5' is no feature map on the way .* give 'P3', 'P4' or the name"):
            GradCAM(model, layer=layer)


@pytest.mark.parametrize("kind", ["RetinaNet", pytest.param("YOLOV8", marks=pytest.mark.current_stack)])
def test_heatmaps_equal_the_gradient_by_hand_when_the_model_is_a_detector(tiny_detector, images, kind):
    keras.utils.set_random_seed(3)
    model = tiny_detector(kind, NAMES)
    square = images[:, :64, :64]
    for layer, name in ((None, "act5"), ("P4", "act4")):
        heatmaps = GradCAM(model, layer=layer)(square, [2, 0, 1])
        expected = _by_hand(model, name, square, [2, 0, 1], lambda outputs: outputs["classification"])
        np.testing.assert_allclose(heatmaps, expected, atol=1e-4)
        assert expected.max() > 0


def test_best_class_is_explained_when_none_is_named(classifier, images):
    cam = GradCAM(classifier)
    best = classifier(images).numpy().argmax(axis=1)
    np.testing.assert_allclose(cam(images), cam(images, best), atol=1e-6)
    assert np.abs(cam(images, (best + 1) % 3) - cam(images)).max() > 0.05


def test_heatmap_points_at_the_object_when_one_color_makes_the_class():
    inputs = keras.Input((None, None, 3))
    red = keras.layers.Conv2D(
        1, 8, strides=8, name="red", use_bias=False, kernel_initializer=lambda shape, dtype=None: tf.constant(
            np.broadcast_to([[1.0], [-0.5], [-0.5]], shape), tf.float32)
    )(inputs)  # fmt: skip
    x = keras.layers.GlobalMaxPooling2D()(keras.layers.Activation("relu")(red))
    model = keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="ones")(x))
    image = np.full([64, 64, 3], 90, np.uint8)
    image[40:56, 8:24] = (220, 20, 20)
    heatmaps = GradCAM(model, layer="red")(image, 0)
    assert heatmaps.shape == (1, 64, 64)
    assert heatmaps[0, 40:56, 8:24].mean() > 0.7
    outside = heatmaps[0].copy()
    outside[32:64, 0:32] = 0
    assert outside.max() < 1e-3
    # Centered on the object, not half a location beside it.
    weights = heatmaps[0] / heatmaps[0].sum()
    assert abs((weights.sum(1) * (np.arange(64) + 0.5)).sum() - 48) < 0.5
    assert abs((weights.sum(0) * (np.arange(64) + 0.5)).sum() - 16) < 0.5


def test_heatmap_is_black_when_nothing_speaks_for_the_class(images):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(2, 8, strides=8, activation="relu", kernel_initializer="ones", name="map")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    against = keras.initializers.Constant(-1.0)
    model = keras.Model(inputs, keras.layers.Dense(2, kernel_initializer=against)(x))
    np.testing.assert_array_equal(GradCAM(model)(images, 0), np.zeros([3, 64, 96]))


def test_heatmaps_are_alike_when_batches_are_smaller(classifier, images):
    cam = GradCAM(classifier)
    np.testing.assert_allclose(cam(images, batch_size=2), cam(images), atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_heatmaps_are_nearly_alike_when_the_precision_is_mixed(images, policy):
    heatmaps = {}
    before = keras.mixed_precision.global_policy()
    for name in ("float32", policy):
        keras.mixed_precision.set_global_policy(name)
        try:
            keras.utils.set_random_seed(4)
            inputs = keras.Input((None, None, 3))
            x = keras.layers.Conv2D(8, 8, strides=8, activation="relu")(keras.layers.Rescaling(1 / 255)(inputs))
            x = keras.layers.GlobalAveragePooling2D()(x)
            model = keras.Model(inputs, keras.layers.Dense(3, dtype="float32")(x))
            heatmaps[name] = GradCAM(model)(images, [0, 1, 2])
        finally:
            keras.mixed_precision.set_global_policy(before)
    assert heatmaps["float32"].max() == 1
    assert heatmaps[policy].dtype == np.float32
    np.testing.assert_allclose(heatmaps[policy], heatmaps["float32"], atol=0.05)


def test_model_is_untouched_when_it_was_explained(classifier, images):
    before = [weight.copy() for weight in classifier.get_weights()]
    GradCAM(classifier)(images, 0)
    for old, new in zip(before, classifier.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def _nested(classifier):
    inputs = keras.Input((64, 96, 3))
    return keras.Model(inputs, classifier(inputs), name="outer")


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model, images: GradCAM(model, layer="nowhere"), "'nowhere' is no feature map.*'act5'"),
        (lambda model, images: GradCAM(model, layer="logits"), "'logits' is no feature map"),
        (lambda model, images: GradCAM(_nested(model)), "'classifier' is a model within the model"),
        (lambda model, images: GradCAM(keras.Model(model.input, {"box": model.output})), "has no class scores"),
        (lambda model, images: GradCAM(model)(images, 3), "class_id is 3, but the model has 3 classes, 0 to 2"),
        (lambda model, images: GradCAM(model)(images, -1), "class_id is -1"),
        (lambda model, images: GradCAM(model)(images, [0, 1]), "each of the 3 images"),
        (lambda model, images: GradCAM(model)(images, 1.5), "class_id is 1.5"),
        (lambda model, images: GradCAM(model)(images[..., :1]), r"images are \(3, 64, 96, 1\)"),
    ],
)
def test_input_is_refused_in_one_line_when_model_layer_or_class_do_not_fit(classifier, images, call, message):
    with pytest.raises(UserError, match=message) as caught:
        call(classifier, images)
    assert "\n" not in str(caught.value)


def test_size_is_refused_when_the_strides_do_not_divide_it(tiny_backbone):
    from kerassl.detectors import Localizer

    with pytest.raises(UserError, match="240 is no multiple of 32"):
        GradCAM(Localizer(tiny_backbone(), NAMES, 64, num_filters=8))(np.zeros([240, 240, 3]))


@pytest.mark.slow
def test_heatmaps_equal_the_gradient_by_hand_when_the_backbone_is_efficientnet():
    from kerassl import backbones
    from kerassl.detectors import Localizer

    keras.utils.set_random_seed(0)
    model = Localizer(backbones.build("EfficientNetB0"), NAMES, 64, num_filters=8)
    images = np.random.default_rng(0).uniform(0, 255, [2, 64, 64, 3]).astype(np.float32)
    heatmaps = GradCAM(model)(images, [0, 1])
    layer = backbones.pyramid(model.backbone)["P5"]
    np.testing.assert_allclose(
        heatmaps, _by_hand(model, layer, images, [0, 1], lambda outputs: outputs["class"]), atol=1e-4
    )
