import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kerassl import UserError, datasets
from kerassl.callbacks import Resume, StopAtNaN
from kerassl.callbacks.state import weights
from kerassl.callbacks.stop_at_nan import grid
from kerassl.datasets.pipeline.stream import BrokenFiles, Epochs
from kerassl.datasets.record import Record


def weights_of(model):
    return [np.array(each.numpy()) for each in weights(model)]


@pytest.fixture
def planted(classed):
    """5 batches of 2; a pixel of the fourth is NaN."""
    data = classed(10, 2).enumerate()

    bad = np.zeros([64, 64, 3], "float32")
    bad[3, 5, 1] = np.nan

    def plant(number, batch):
        images, classes = batch
        return tf.where(number == 3, images + bad, images), classes

    made = data.map(plant)
    return datasets.ResumableDataset(lambda epochs, step: made.skip(step), 5, Epochs(), BrokenFiles(False))


class Before(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        self.step, self.weights = batch, weights_of(self.model)


def test_run_stops_and_restores_weights_and_writes_the_batch_when_the_loss_is_nan(classifier, planted, tmp_path):
    model, before = classifier("sgd"), Before()
    nan = StopAtNaN(tmp_path / "nan", planted)
    model.fit(planted, epochs=3, verbose=0, callbacks=[nan, before])
    assert before.step == 3
    np.testing.assert_equal(weights_of(model), before.weights)
    assert all(np.isfinite(weight).all() for weight in weights_of(model))
    assert "\n" not in nan.message
    assert "epoch 0, step 3" in nan.message
    assert "not finite" in nan.message
    with np.load(tmp_path / "nan" / "batch.npz") as file:
        assert (file["epoch"], file["step"]) == (0, 3)
        assert sorted(file.files) == ["epoch", "images", "labels", "loss", "step"]
        np.testing.assert_array_equal(np.argwhere(np.isnan(file["images"]))[:, 1:], [[3, 5, 1]] * 2)
        assert file["labels"].shape == (2,)
    sheet = np.asarray(Image.open(tmp_path / "nan" / "batch.png"))
    assert sheet.shape == (64, 128, 3)
    np.testing.assert_array_equal(sheet[3, 64 + 5], (255, 0, 0))


def test_run_stops_when_a_finite_loss_spoils_the_weights(classifier, classed, tmp_path):
    class Spoil(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                kernel = self.model.get_layer("conv").get_weights()
                kernel[0][1, 2, 0, 3] = np.inf
                self.model.get_layer("conv").set_weights(kernel)

    model, nan, before = classifier("sgd"), StopAtNaN(tmp_path / "nan"), Before()
    callbacks = [Spoil(), nan, before, Resume(tmp_path / "run")]  # as if the step had done it
    model.fit(classed(), verbose=0, callbacks=callbacks)
    assert before.step == 1
    assert Resume(tmp_path / "run").epoch == 0
    assert "weights became NaN or infinite (at a loss of" in nan.message
    np.testing.assert_equal(weights_of(model), before.weights)


@pytest.mark.current_stack
def test_nothing_is_written_when_the_loss_is_finite(classifier, classed, tmp_path):
    nan, history = StopAtNaN(tmp_path / "nan", restore=False), keras.callbacks.History()
    classifier("sgd").fit(classed(), verbose=0, callbacks=[nan, history])
    assert nan.message is None
    assert not (tmp_path / "nan").exists()
    assert len(history.history["loss"]) == 1


@pytest.mark.current_stack
def test_batch_is_found_by_its_place_in_a_reader_and_in_a_run_that_was_continued(localizer, tmp_path):
    rng, records = np.random.default_rng(0), []
    for number in range(10):
        path = tmp_path / f"{number}.png"
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), "uint8")).save(path)
        box = np.array([[4.0, 4.0, 40.0, 40.0]], "float32")
        records.append(Record(path.stem, str(path), 64, 64, box, np.array([0], "int32"), np.array([False])))

    class Poison(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 1:
                layer = self.model.get_layer("sides")
                layer.set_weights([np.full_like(weight, np.nan) for weight in layer.get_weights()])

    data = datasets.single_object_batches(records, 64, 2, shuffle=True, seed=3)
    nan = StopAtNaN(tmp_path / "nan", data, types.SimpleNamespace(offset=2))  # as `Resume` has it
    model = localizer()
    model.run_eagerly = True  # its graph would take longer to build
    model.fit(data.at(1, 2), epochs=2, initial_epoch=1, verbose=0, callbacks=[nan, Poison()])
    assert "epoch 1, step 3" in nan.message
    assert "finite values alone" in nan.message
    expected = list(datasets.single_object_batches(records, 64, 2, shuffle=True, seed=3, initial_epoch=1))[3]
    with np.load(tmp_path / "nan" / "batch.npz") as file:
        np.testing.assert_array_equal(file["images"], expected[0])
        np.testing.assert_array_equal(file["box"], expected[1]["box"])


def test_data_without_a_place_is_refused(labeled):
    with pytest.raises(UserError, match="takes as data a ResumableDataset"):
        StopAtNaN("nan", labeled())


@pytest.mark.current_stack
def test_grid_shows_every_image_in_its_place():
    images = np.stack([np.full((2, 3, 3), 10.0 * number) for number in range(5)])
    images[4, 1, 2, 0] = np.inf
    sheet = grid(images)
    assert sheet.shape == (2 * 2, 3 * 3, 3)
    assert [sheet[0, 0, 0], sheet[0, 3, 0], sheet[0, 6, 0], sheet[2, 0, 0], sheet[2, 6, 0]] == [0, 10, 20, 30, 0]
    np.testing.assert_array_equal(sheet[3, 5], (255, 0, 0))
