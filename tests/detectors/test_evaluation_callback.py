"""Average precision in the logs of `fit`, and what reads them there."""

import csv
import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kerassl import UserError, datasets, detectors, metrics
from kerassl.callbacks import EMA, Resume
from kerassl.datasets import Record
from kerassl.detectors import Evaluation
from kerassl.types import Detections

CLASSES = ("red", "blue")


def _record(image_id, boxes, classes, path=""):
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    return Record(image_id, str(path), 64, 64, boxes, np.asarray(classes, np.int32), np.zeros(len(boxes), bool))


def _found(boxes, labels):
    return Detections(boxes, np.linspace(0.9, 0.1, len(labels)), np.asarray(labels, np.int32))


@pytest.fixture
def small():
    """A model that is no detector, what it learns from, and the place for its predictions."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model, (np.ones((4, 2), "float32"), np.ones((4, 1), "float32"))


def test_logs_hold_the_measured_figures_for_all_that_read_them_when_every_is_two(tmp_path, small):
    model, (inputs, targets) = small
    records = [_record("a", [[0, 0, 20, 20]], [0]), _record("b", [[0, 0, 20, 20]], [1])]
    labels, epochs = {1: [1, 1], 3: [0, 1], 5: [0, 0]}, []  # both wrong, one right of each class, one wrong

    def predict(model, images):
        epochs.append(len(epochs) * 2 + 1)
        return {r.image_id: _found([[0, 0, 20, 20]], [label]) for r, label in zip(images, labels[epochs[-1]])}

    watching = [
        Evaluation(records, CLASSES, every=2, predict=predict),
        keras.callbacks.ModelCheckpoint(
            str(tmp_path / "{epoch}.keras"), "val_voc07_ap50", save_best_only=True, mode="max"
        ),
        keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
    ]
    history = model.fit(inputs, targets, epochs=5, verbose=0, callbacks=watching).history
    assert epochs == [1, 3, 5]
    assert history["val_voc07_ap50"] == [0.25, 0.25, 1, 1, 0.5]
    assert history["val_top1"] == [0.5, 0.5, 1, 1, 0.5]
    assert {"val_voc10_ap50", "val_coco_ap", "val_coco_ar100", "val_mean_iou", "val_loc_acc_70"} <= set(history)
    with (tmp_path / "log.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [float(line["val_top1"]) for line in lines] == history["val_top1"]
    assert sorted(path.stem for path in tmp_path.glob("[0-9].*")) == ["1", "3"]


def test_last_epoch_is_measured_when_training_is_resumed_or_stopped(small):
    model, (inputs, targets) = small
    measured = []

    def predict(model, images):
        measured.append(1)
        return {r.image_id: _found([[0, 0, 20, 20]], [0]) for r in images}

    scores = Evaluation([_record("a", [[0, 0, 20, 20]], [0])], CLASSES, every=10, predict=predict)
    model.fit(inputs, targets, initial_epoch=3, epochs=6, verbose=0, callbacks=[scores])
    assert len(measured) == 2  # the first epoch and the last

    class Stop(keras.callbacks.Callback):
        def on_batch_end(self, batch, logs=None):
            self.model.stop_training = self.epochs == 1

        def on_epoch_begin(self, epoch, logs=None):
            self.epochs = epoch

    model.fit(inputs, targets, epochs=6, verbose=0, callbacks=[Stop(), scores])
    assert len(measured) == 4


def test_figures_are_nan_when_the_model_has_diverged(small):
    model, (inputs, targets) = small
    scores = Evaluation(
        [_record("a", [[0, 0, 20, 20]], [0])], CLASSES, predict=lambda *_: {"a": _found([[0, 0, np.nan, 20]], [0])}
    )
    history = model.fit(inputs, targets, epochs=1, verbose=0, callbacks=[scores]).history
    assert all(math.isnan(value[0]) for name, value in history.items() if name.startswith("val_"))
    assert len(history) == 1 + 11


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda r: Evaluation([_record("a", [], [])], CLASSES), "none of 1 images has an object"),
        (lambda r: Evaluation([], CLASSES), "none of 0 images"),
        (lambda r: Evaluation(r, CLASSES, every=0), "every is 0"),
        (lambda r: Evaluation(r, CLASSES), "cannot predict with Sequential; give predict"),
    ],
)
def test_input_is_refused_in_one_line_when_invalid(small, make, message):
    model, (inputs, targets) = small

    def fit():
        model.fit(inputs, targets, verbose=0, callbacks=[make([_record("a", [[0, 0, 20, 20]], [0])])])

    with pytest.raises(UserError, match=message) as caught:
        fit()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("decay", [pytest.param(None, marks=pytest.mark.current_stack), 0.5])
def test_weights_of_the_best_epoch_are_kept_and_a_resumed_run_keeps_the_same(tmp_path, small, decay):
    _, (inputs, targets) = small
    record = _record("a", [[0, 0, 20, 20]], [0])
    quality = {0: 10, 2: 20, 4: 20, 5: 15}  # the wider the box, the better; of equal epochs the later is kept

    def fit(folder, stop=None):
        keras.utils.set_random_seed(1)
        model, seen = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), {}
        model.compile("sgd", "mse")
        ema = None if decay is None else EMA(decay)
        scores = Evaluation([record], CLASSES, 2, ema=ema, keep_best=True, predict=lambda *_: predict())
        resume = Resume(tmp_path / folder, beside=[each for each in (ema, scores) if each is not None])

        def predict():
            seen[scores.epoch] = [np.array(weight) for weight in model.get_weights()]
            return {"a": _found([[0, 0, 20, quality[scores.epoch]]], [0])}

        class Epoch(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                scores.epoch = epoch

            def on_epoch_end(self, epoch, logs=None):
                if epoch == stop:
                    raise KeyboardInterrupt

        watching = [each for each in (ema, Epoch(), scores, resume) if each is not None]
        data = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(2)
        logs = resume.wrap_fit(model, model.fit, data, epochs=6, callbacks=watching, verbose=0).history
        return model.get_weights(), scores.best, logs, seen

    whole, best, logs, seen = fit("whole")
    assert (best.epoch, best.monitor, best.metrics["mean_iou"]) == (4, "coco_ap", 1)
    assert logs["val_coco_ap"][1] == logs["val_coco_ap"][0] < logs["val_coco_ap"][2]
    for weight, expected in zip(whole, seen[4], strict=True):
        np.testing.assert_array_equal(weight, expected)
    with pytest.raises(KeyboardInterrupt):
        fit("stopped", stop=3)
    again, resumed, more, measured = fit("stopped")
    assert list(measured) == [4, 5]  # the epochs of a run that was not stopped
    assert resumed == best
    assert more["val_coco_ap"] == logs["val_coco_ap"][-len(more["val_coco_ap"]) :]
    for weight, expected in zip(again, whole, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Records of eight images of one bright rectangle, and of one without any object."""
    folder, rng, records = tmp_path_factory.mktemp("photos"), np.random.default_rng(0), []
    for number in range(9):
        image = rng.integers(90, 110, (64, 64, 3), "uint8")
        label = int(rng.integers(2))
        x, y, width, height = *rng.integers(0, 32, 2), *rng.integers(16, 32, 2)
        image[y : y + height, x : x + width] = [(220, 30, 30), (30, 30, 220)][label]
        path = folder / f"{number}.png"
        Image.fromarray(image).save(path)
        boxes = [[x, y, x + width, y + height]] if number else []
        records.append(_record(str(number), boxes, [label][: len(boxes)], path))
    return records


@pytest.mark.current_stack  # the commands' tests have a localizer on both
def test_figures_are_those_of_the_localizers_boxes_when_fitted(tiny_backbone, photos):
    model = detectors.Localizer(tiny_backbone(), CLASSES, image_size=64, num_filters=8)
    model.compile()
    model.run_eagerly = True  # the callback is in question: the step's graph would take longer to build
    batches = datasets.single_object_batches(photos[1:], 64, 8)
    watching = [Evaluation(photos, CLASSES)]
    history = model.fit(batches, verbose=0, callbacks=watching, shuffle=False).history
    predictions = detectors.predict(model, photos[1:], verbose=0)
    logits = np.concatenate([found.logits for found in predictions.values()])
    figures = metrics.evaluate_detections(predictions, photos[1:], CLASSES).to_dict()
    top = metrics.topk(logits, [record.classes[0] for record in photos[1:]], 1)
    for name, value in {**{key: figures[key] for key in ("mean_iou", "loc_acc_50", "loc_acc_70")}, **top}.items():
        assert history[f"val_{name}"][-1] == pytest.approx(value, abs=1e-6)
    assert not any("ap" in name for name in history)
    # Records that are numbered by another order of the names are the same labels.
    turned = [dataclasses.replace(record, classes=1 - record.classes) for record in photos]
    again, same = Evaluation(turned, CLASSES[::-1]), {}
    again.set_model(model)
    again.set_params({"epochs": 1})
    again.on_train_begin()
    again.on_epoch_end(0, same)
    assert same == pytest.approx({name: history[name][-1] for name in same}, abs=1e-6)
    with pytest.raises(UserError, match=r"\('blue' in the model alone; 'green' in the records of Evaluation alone\)"):
        model.fit(batches, verbose=0, callbacks=[Evaluation(photos, ["red", "green"])], shuffle=False)


@pytest.mark.current_stack
def test_figures_are_those_of_the_detector_when_fitted(tiny_backbone, photos):
    model = detectors.RetinaNet(tiny_backbone(), CLASSES, image_size=64, num_filters=32)
    model.compile()
    model.run_eagerly = True
    batches = datasets.detection_batches(photos[1:], 64, 8)
    scores = Evaluation(photos, CLASSES)
    history = model.fit(batches, verbose=0, callbacks=[scores], shuffle=False).history
    found = detectors.predict(model, photos, verbose=0)
    expected = metrics.evaluate_detections(found, photos, CLASSES, known_pixels=True)
    expected = {f"val_{name}": value for name, value in expected.scalars().items()}
    assert {name: history[name][-1] for name in expected} == pytest.approx(expected, abs=1e-6)
