"""Common to the models that are trained on labels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError, backbones, detectors

KINDS = ("RetinaNet", "YOLOV8", "Localizer")
DETECTORS = ("RetinaNet", pytest.param("YOLOV8", marks=pytest.mark.current_stack))


@pytest.fixture
def made(tiny_detector, tiny_backbone):
    """`made(kind, backbone=None)`: a compiled model of 64 pixels and two classes that runs eagerly."""

    def build(kind, backbone=None, **compiling):
        if kind == "Localizer":
            model = detectors.Localizer(backbone or tiny_backbone(), ["red", "blue"], 64, num_filters=8)
            model.compile()
        else:
            model = tiny_detector(kind, backbone=backbone, **compiling)
        model.run_eagerly = True  # its graph would take longer to build
        return model

    return build


def batches(images, boxes, classes, kind="RetinaNet"):
    if kind == "Localizer":
        labels = {"class": classes[:, 0].astype("int32"), "box": boxes[:, 0] / images.shape[1]}
        return tf.data.Dataset.from_tensors((images, labels))
    return tf.data.Dataset.from_tensors({"images": images, "bounding_boxes": {"boxes": boxes, "classes": classes}})


@pytest.mark.parametrize("kind", ["RetinaNet", pytest.param("YOLOV8", marks=pytest.mark.current_stack), "Localizer"])
def test_backbone_stays_as_it_is_when_frozen(kind, made, tiny_backbone, rectangles):
    backbone = tiny_backbone()
    before = [np.array(weight) for weight in backbone.get_weights()]
    backbone.trainable = False
    model = made(kind, backbone)
    own = [(weight, np.array(weight)) for weight in model.trainable_weights]
    model.fit(batches(*rectangles(4), kind), verbose=0)
    for weight, old in zip(backbone.get_weights(), before):
        np.testing.assert_array_equal(weight, old)  # moving statistics of the batch norm included
    assert np.mean([np.any(np.array(weight) != old) for weight, old in own]) > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_all_layers_are_layers_of_the_model_and_fast(kind, made):
    model = made(kind)
    assert {"conv2", "conv3", "conv4"} < {layer.name for layer in model.layers}
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    if kind == "YOLOV8":
        assert not any(type(layer) is keras.layers.BatchNormalization for layer in model.layers)
        assert sum(isinstance(layer, backbones.FastSwish) for layer in model.layers) > 30


@pytest.mark.current_stack
@pytest.mark.parametrize("kind", DETECTORS)
def test_loss_is_finite_and_teaches_background_when_no_image_has_an_object(kind, made, rectangles):
    keras.utils.set_random_seed(0)
    images, model = rectangles(4)[0], made(kind, learning_rate=1e-2)
    for rows in (3, 0):
        nothing = np.full((4, rows, 4), -1, "float32"), np.full((4, rows), -1, "float32")
        labels = dict(zip(("boxes", "classes"), nothing))
        loss = model.compute_loss(x=images, y=labels, y_pred=model(images, training=False))
        assert 0 < float(loss) < np.inf
    before = tf.sigmoid(model(images)["classification"]).numpy().mean()
    history = model.fit(batches(images, np.full((4, 3, 4), -1.0), np.full((4, 3), -1.0)).repeat(2), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert tf.sigmoid(model(images)["classification"]).numpy().mean() < before


@pytest.mark.parametrize("kind", DETECTORS)
def test_fit_refuses_in_one_line_when_images_labels_or_settings_do_not_fit(kind, made, rectangles):
    model, (images, boxes, classes) = made(kind), rectangles(4)
    with pytest.raises(UserError, match="96 x 96 pixels, but the detector was built for 64 x 64"):
        model.fit(batches(*rectangles(4, size=96)), verbose=0)
    for act in (model.fit, model.evaluate):
        with pytest.raises(UserError, match="2 classes, but a label") as error:
            act(batches(images, boxes, classes + 1), verbose=0)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="metrics of its own; leave metrics out"):
        model.compile("sgd", metrics=["accuracy"])


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        *((kind, {"class_names": "car"}, "list of the class names") for kind in KINDS),
        ("RetinaNet", {"class_names": ["car", "car"]}, "'car' more than once"),
        ("YOLOV8", {"class_names": []}, "list of the class names"),
        ("Localizer", {"class_names": [1]}, "no string"),
        *((kind, {"image_size": 100}, "96 or 128") for kind in KINDS),
        ("RetinaNet", {"anchor_sizes": [8, 16]}, "five sizes"),
        ("RetinaNet", {"num_filters": 100}, "multiple of 32"),
        ("YOLOV8", {"num_filters": 33}, "give an even num_filters"),
        ("YOLOV8", {"depth": 0}, "depth of 1 to 3"),
        ("Localizer", {"levels": ["P3", "P5"]}, r"levels are \[P3, P5\]; .* takes one of P3, P4, P5, or adjacent"),
        ("Localizer", {"levels": ["P4", "P3"]}, "from the finest on"),
        ("Localizer", {"levels": []}, "one of P3, P4, P5"),
    ],
)
def test_argument_is_refused_in_one_line_when_invalid(kind, arguments, message, tiny_backbone):
    with pytest.raises(UserError, match=message) as error:
        getattr(detectors, kind)(tiny_backbone(), **{"class_names": ["car"], "image_size": 64, **arguments})
    assert "\n" not in str(error.value)
