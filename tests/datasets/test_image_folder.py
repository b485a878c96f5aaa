import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.datasets import image_files, image_folder, read_image, user_error
from kerassl.resizing import center_crop


@pytest.fixture
def photos(tmp_path, save_image):
    """Ten square images of 32 pixels, of which each has one gray: 0, 20, 40, …"""
    for number in range(10):
        path = save_image(tmp_path / "photos" / f"{number}.png", 32, 32)
        tf.io.write_file(str(path), tf.io.encode_png(tf.fill([32, 32, 3], tf.constant(20 * number, tf.uint8))))
    return tmp_path / "photos"


def _numbers(images):
    """Which of the ten images they are."""
    return np.round(images.numpy()[:, 0, 0, 0] / 20).astype(int).tolist()


def _epoch(dataset):
    return [_numbers(images) for images in dataset]


def _flat(dataset):
    return [number for batch in _epoch(dataset) for number in batch]


def _refused(pattern, *args, **kwargs):
    with pytest.raises(UserError, match=pattern) as error:
        image_folder(*args, **kwargs)
    assert "\n" not in str(error.value)


@pytest.mark.current_stack
def test_finds_images_in_all_folders_and_any_case(tmp_path, save_image):
    for name in ("b.JPG", "a.jpeg", "deep/er/c.Png", "d.bmp"):
        save_image(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.jpg").write_bytes(b"")
    expected = [str(tmp_path / name) for name in ("a.jpeg", "b.JPG", "d.bmp", "deep/er/c.Png")]
    assert image_files(tmp_path) == expected
    assert image_files(str(tmp_path)) == expected
    assert image_files([tmp_path / "d.bmp", tmp_path, tmp_path / "a.jpeg"]) == [expected[2], *expected[:2], expected[3]]


@pytest.mark.current_stack
def test_refuses_folders_that_are_missing_or_empty(tmp_path, save_image):
    _refused("no file or folder .*nowhere", tmp_path / "nowhere", 32, 1)
    (tmp_path / "empty").mkdir()
    _refused("empty holds no images; .*jpg", tmp_path / "empty", 32, 1)
    _refused("no image is named", [], 32, 1)
    save_image(tmp_path / "some" / "a.jpg")
    _refused("1 image cannot fill one batch of 2; give a batch_size of at most 1, or more", tmp_path / "some", 32, 2)
    _refused("multiple of 32", tmp_path / "some", 33, 1)
    _refused("batch_size is 0", tmp_path / "some", 32, 0)
    assert len(list(image_folder(tmp_path / "some", 32, 2, drop_remainder=False))) == 1


@pytest.mark.current_stack
def test_refuses_a_folder_when_no_image_can_be_read(tmp_path):
    for name in ("a.jpg", "b.png"):
        (tmp_path / name).write_bytes(b"nothing")
    _refused("none of 2 image files can be read, first .*a.jpg is no image", tmp_path, 32, 1)


def test_gives_sorted_files_when_not_shuffled(photos):
    dataset = image_folder(photos, 32, 4, shuffle=False, drop_remainder=False)
    assert dataset.cardinality() == 3
    assert dataset.element_spec == tf.TensorSpec([None, 32, 32, 3], tf.float32)
    assert _epoch(dataset) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] == _epoch(dataset)


def test_gives_what_reading_and_cropping_gives_by_itself(tmp_path, save_image):
    paths = [save_image(tmp_path / f"{number}.jpg", 50 + number, 40, seed=number) for number in range(3)]
    (images,) = image_folder(paths, 32, 3, shuffle=False)
    for image, path in zip(images, paths):
        np.testing.assert_allclose(image, center_crop(read_image(path), 32), atol=0.501)
        np.testing.assert_array_equal(image, np.round(image))


@pytest.mark.current_stack
def test_gives_another_order_each_epoch_and_the_same_again_when_seeded(photos):
    dataset = image_folder(photos, 32, 5, seed=3)
    epochs = [_flat(dataset) for _ in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(10))
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert _flat(image_folder(photos, 32, 5, seed=3, initial_epoch=2)) == epochs[2]
    assert _flat(image_folder(photos, 32, 5, seed=4)) != epochs[0]


@pytest.mark.current_stack
def test_leaves_out_other_images_each_epoch_when_the_remainder_is_dropped(photos):
    dataset = image_folder(photos, 32, 4)
    assert dataset.cardinality() == 2
    assert dataset.element_spec.shape == (4, 32, 32, 3)
    seen = [set(_flat(dataset)) for _ in range(4)]
    assert all(len(each) == 8 for each in seen)
    assert set.union(*seen) == set(range(10))


def test_replaces_broken_files_and_names_each_once(photos, caplog):
    (photos / "3.png").write_bytes(b"")
    (photos / "6.png").write_bytes((photos / "6.png").read_bytes()[:60])
    dataset = image_folder(photos, 32, 5, shuffle=False)
    with caplog.at_level(logging.WARNING, "kerassl"):
        epochs = [_epoch(dataset) for _ in range(2)]
    assert epochs == [[[0, 1, 2, 4, 5], [7, 8, 9, 0, 1]]] * 2
    logged = [message for message in caplog.messages if "broken image" in message]
    assert len(logged) == 2
    assert "broken image 1" in logged[0]
    assert "3.png is empty (0 bytes)" in logged[0]
    assert "6.png cannot be decoded" in logged[1]


@pytest.mark.current_stack
def test_fills_the_epoch_when_most_files_are_broken(photos):
    for number in range(10):
        if number != 4:
            (photos / f"{number}.png").write_bytes(b"")
    assert _epoch(image_folder(photos, 32, 5)) == [[4] * 5] * 2


@pytest.mark.current_stack
def test_stops_when_all_files_vanish_during_a_run(photos):
    dataset = image_folder(photos, 32, 5)
    for path in photos.iterdir():
        path.unlink()
    with pytest.raises(tf.errors.InvalidArgumentError, match="none of 10 image files can be read any more"):
        _epoch(dataset)


def test_stops_and_names_the_file_when_strict(photos):
    (photos / "3.png").write_bytes(b"")
    dataset = image_folder(photos, 32, 5, strict=True)
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        _epoch(dataset)
    expected = f"{photos / '3.png'} is empty (0 bytes); fix or remove the file, or read without strict"
    assert str(user_error(error.value)) == expected
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(loss=keras.losses.MeanSquaredError())
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        model.fit(dataset.map(lambda images: (images, tf.zeros([5, 1]))), verbose=0)
    assert str(user_error(error.value)) == expected
    assert user_error(tf.errors.InvalidArgumentError(None, None, "another fault")) is None


@pytest.mark.current_stack
def test_augments_with_one_seed_a_batch_that_goes_on_over_epochs(photos):
    dataset = image_folder(photos, 32, 5, augmentation=lambda images, seed: (images, seed), seed=9)
    assert dataset.cardinality() == 2
    seeds = [seed.numpy().tolist() for _ in range(3) for _, seed in dataset]
    assert seeds == [[9, step] for step in range(6)]
    later = image_folder(photos, 32, 5, augmentation=lambda images, seed: (images, seed), seed=9, initial_epoch=2)
    assert [seed.numpy().tolist() for _, seed in later] == seeds[4:]


def test_fit_sees_the_same_epochs_as_a_loop(photos):
    seen = []

    class Watcher(keras.Model):
        def __init__(self):
            super().__init__()
            self.scale = self.add_weight(shape=(), name="scale")

        def train_step(self, images):
            tf.numpy_function(
                lambda images: seen.append(np.round(images[:, 0, 0, 0] / 20).astype(int).tolist()), [images], []
            )
            return {"loss": tf.reduce_mean(images)}

    model = Watcher()
    model.compile(optimizer="sgd")
    history = model.fit(image_folder(photos, 32, 5, seed=3), epochs=3, verbose=0)
    assert len(history.history["loss"]) == 3
    dataset = image_folder(photos, 32, 5, seed=3)
    assert seen == [batch for _ in range(3) for batch in _epoch(dataset)]
