"""`ResumableDataset`: a `tf.data.Dataset` everywhere, which starts at any step of any epoch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.callbacks import Resume, Throughput
from kerassl.datasets import ResumableDataset, image_folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """8 images, each of one shade."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(8):
        image = tf.fill([32, 32, 3], tf.constant(30 * number, tf.uint8))
        tf.io.write_file(str(folder / f"{number}.png"), tf.io.encode_png(image))
    return folder


def shades(batches):
    return [images[:, 0, 0, 0].round().tolist() for images in batches.as_numpy_iterator()]


def averaging():
    """The smallest model, with the same weights each time."""
    layers = [keras.Input([32, 32, 3]), keras.layers.GlobalAveragePooling2D()]
    made = keras.Sequential([*layers, keras.layers.Dense(1, kernel_initializer="ones")])
    made.compile("sgd", "mse")
    return made


@pytest.mark.current_stack
def test_starts_at_any_step_of_any_epoch(photos):
    images = image_folder(photos, 32, 2, seed=1)
    epochs = [shades(images) for _ in range(3)]
    assert len({str(epoch) for epoch in epochs}) == 3
    assert (images.steps, len(images), images.broken) == (4, 4, [])
    assert shades(images.at(2, 1)) == epochs[2][1:]
    assert len(images.at(2, 1)) == 3
    images.begin(1)
    assert shades(images) == epochs[1]
    assert shades(images) == epochs[2]


@pytest.mark.current_stack
def test_maps_stay_resumable_and_other_transformations_do_not(photos):
    images = image_folder(photos, 32, 2, seed=1)
    for made in (images.map(lambda batch: batch + 1), images.prefetch(1), images.with_options(tf.data.Options())):
        assert isinstance(made, ResumableDataset)
        assert (made.steps, len(made)) == (4, 4)
    made = images.map(lambda batch: batch + 1).map(lambda batch: 2 * batch)
    first, second = shades(made), shades(made)
    assert shades(made.at(1, 2)) == second[2:]
    made.begin(0)
    assert shades(made) == first
    watched = Throughput(2).watch(images)
    assert isinstance(watched, ResumableDataset)
    assert shades(watched.at(1, 3)) == shades(images.at(1, 3))
    assert not isinstance(images.batch(2), ResumableDataset)
    with pytest.raises(UserError, match=r"takes as data a ResumableDataset, .* not _BatchDataset"):
        Resume("checkpoints", data=images.batch(2))


def test_fit_splits_its_batches_when_replicas_share_them(photos, mirrored):
    def pairs(batch):
        return batch / 255, tf.reduce_mean(batch, axis=[1, 2, 3])[:, None]

    def fit(strategy):
        with strategy.scope():
            model = averaging()
            model.run_eagerly = True  # its graph would take longer to build
        images = image_folder(photos, 32, 4, shuffle=False).map(pairs)
        return model.fit(images, shuffle=False, verbose=0).history["loss"]

    np.testing.assert_allclose(fit(mirrored(2, eagerly=True)), fit(tf.distribute.get_strategy()), rtol=1e-5)


@pytest.mark.current_stack
def test_a_strategy_distributes_it_with_its_options(photos, mirrored):
    images = image_folder(photos, 32, 4, seed=1)
    assert images.options().autotune.enabled is False
    strategy = mirrored(2)
    found = []
    for batch in strategy.experimental_distribute_dataset(images):
        found.append([float(x) for part in strategy.experimental_local_results(batch) for x in part[:, 0, 0, 0]])
    assert found == shades(images.at(0))
