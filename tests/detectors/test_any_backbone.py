"""Every kind of network that `backbones.build` knows carries either detector; one that does not fit is refused."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import _compat, backbones, detectors
from kerassl._errors import UserError

KINDS = ("RetinaNet", "YOLOV8")


@pytest.mark.slow
@pytest.mark.current_stack
@pytest.mark.parametrize(
    "family",
    ["EfficientNetB0", "MobileNet", "MobileNetV2", "MobileNetV3Small", "ResNet50", "ConvNeXtTiny", "VGG16", "Xception"],
)
def test_detector_over_a_family_takes_a_step_on_the_smallest_images(family, rectangles, tiny_detector):
    images, boxes, classes = rectangles(2, 32)
    backbone = backbones.build(family)
    for kind in KINDS:
        model = tiny_detector(kind, image_size=32, backbone=backbone)
        variables = [getattr(variable, "value", variable) for variable in model.trainable_variables]
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            loss = model.compute_loss(x=images, y={"boxes": boxes, "classes": classes}, y_pred=outputs)
        gradients = tape.gradient(loss, variables)
        assert np.isfinite(float(loss))
        assert all(gradient is not None and np.isfinite(gradient).all() for gradient in gradients)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        assert all(np.isfinite(weight).all() for weight in model.get_weights())
        assert detectors.decode(model, images)[0].shape == (2, 100, 4)


def test_backbone_of_keras_cv_carries_a_detector_when_it_is_flat():
    models = _compat.keras_cv.models
    settings = {"include_rescaling": True, "compression_ratio": 0.5, "growth_rate": 8}
    backbone = models.DenseNetBackbone(stackwise_num_repeats=[1, 1, 1, 1], **settings)
    detector = detectors.YOLOV8(backbone, ["car"], 64, num_filters=8)
    assert detector(tf.zeros([1, 64, 64, 3]))["box"].shape == (1, 84, 64)
    nested = {"stackwise_channels": [8, 16, 32, 64], "stackwise_depth": [1, 1, 1, 1], "include_rescaling": True}
    with pytest.raises(UserError, match="has no feature map for P3"):
        detectors.YOLOV8(models.CSPDarkNetBackbone(**nested), ["car"], 64)


def cropped(tiny):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Cropping2D(16, name="crop")(inputs)
    for layer in tiny.layers[1:]:
        x = layer.__class__.from_config(layer.get_config())(x)
    return keras.Model(inputs, x, name="cropped")


@pytest.mark.parametrize("kind", KINDS)
def test_backbone_is_refused_in_one_line_when_its_strides_are_wrong(kind, stock_backbone):
    message = "'act3' of cropped gives 4 x 4 locations for images of 64 pixels, but P3 has 8 x 8"
    with pytest.raises(UserError, match=message) as caught:
        getattr(detectors, kind)(cropped(stock_backbone()), ["car"], image_size=64)
    assert "\n" not in str(caught.value)
    short = stock_backbone()
    short = keras.Model(short.input, short.get_layer("act4").output, name="short")
    with pytest.raises(UserError, match=r"short has no feature map for P5 \(stride 32\)"):
        getattr(detectors, kind)(short, ["car"], image_size=64)


@pytest.mark.parametrize("kind", ["RetinaNet", pytest.param("YOLOV8", marks=pytest.mark.current_stack)])
def test_weights_by_name_fit_whole_or_not_at_all(kind, tiny_detector, rectangles, tmp_path, caplog):
    keras.utils.set_random_seed(0)
    images = rectangles(2)[0]
    model, twin = tiny_detector(kind), tiny_detector(kind)
    checksum = detectors.save_weights(model, tmp_path / "detector.npz")
    with np.load(tmp_path / "detector.npz") as file:
        table = dict(file)
    np.savez(tmp_path / "older.npz", **{name: table[name] for name in table if name != "kerassl/classes"})
    assert json.loads(str(table.pop("kerassl/classes"))) == list(model.class_names)
    # A weight that went by no name, or by another's, would be missing.
    assert sum(array.size for array in table.values()) == model.count_params()
    assert not np.array_equal(twin(images)["box"], model(images)["box"]) or kind == "RetinaNet"  # whose start is 0
    with caplog.at_level("INFO", "kerassl"):
        assert detectors.load_weights(twin, tmp_path / "detector.npz") == checksum
    assert f"{len(table)} weights into {model.name}, checksum {checksum[:16]}" in caplog.text
    for name, value in model(images).items():
        np.testing.assert_array_equal(twin(images)[name], value)
    other = tiny_detector(kind, class_names=["red", "green", "blue"])
    before = [np.array(weight) for weight in other.get_weights()]
    for name, message in (
        ("detector", r"detector\.npz and the model have different classes \('green' in the model alone\)"),
        ("older", r"older\.npz does not fit .*of another shape"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            detectors.load_weights(other, tmp_path / f"{name}.npz")
        assert "\n" not in str(caught.value)
    for old, new in zip(before, other.get_weights()):
        np.testing.assert_array_equal(new, old)
