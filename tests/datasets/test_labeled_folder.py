import logging
import unicodedata

import numpy as np
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.datasets import labeled_folder, read_image, user_error
from kerassl.resizing import center_crop


@pytest.fixture
def animals(tmp_path, save_image):
    """Five dogs, two cats and three owls, the class and the number being the shade of gray."""
    for label, (name, count) in enumerate({"dog": 5, "cat": 2, "owl": 3}.items()):
        for number in range(count):
            path = save_image(tmp_path / "animals" / name / f"{number}.png", 32, 32)
            gray = tf.fill([32, 32, 3], tf.constant(60 * label + 5 * number, tf.uint8))
            tf.io.write_file(str(path), tf.io.encode_png(gray))
    return tmp_path / "animals"


def _read(folder):
    """The grays of all images, and their labels, batch by batch."""
    return [(images.numpy()[:, 0, 0, 0].round().tolist(), labels.numpy().tolist()) for images, labels in folder.batches]


def _refused(pattern, *args, **kwargs):
    with pytest.raises(UserError, match=pattern) as error:
        labeled_folder(*args, **kwargs)
    assert "\n" not in str(error.value)


def test_gives_classes_and_images_in_sorted_order_with_the_last_batch(animals):
    (animals / "notes.txt").write_text("no class")
    for name in (".hidden", "__MACOSX", ".ipynb_checkpoints"):
        (animals / name).mkdir()
    folder = labeled_folder(animals, 32, 4)
    assert folder.class_names == ("cat", "dog", "owl")
    assert folder.counts == (2, 5, 3)
    assert folder.batches.element_spec == (
        tf.TensorSpec([None, 32, 32, 3], tf.float32),
        tf.TensorSpec([None], tf.int32),
    )
    expected = [([60, 65, 0, 5], [0, 0, 1, 1]), ([10, 15, 20, 120], [1, 1, 1, 2]), ([125, 130], [2, 2])]
    assert _read(folder) == expected
    assert _read(folder) == expected


@pytest.mark.current_stack
def test_images_are_those_of_reading_and_cropping_by_hand(tmp_path, save_image):
    paths = [save_image(tmp_path / name / "deep" / "a.jpg", 50, 40, seed=seed) for seed, name in enumerate("ab")]
    ((images, labels),) = labeled_folder(tmp_path, 32, 8).batches
    assert labels.numpy().tolist() == [0, 1]
    for image, path in zip(images, paths):
        np.testing.assert_allclose(image, center_crop(read_image(path), 32), atol=1e-3)


@pytest.mark.current_stack
def test_labels_follow_the_order_of_classes_when_they_are_given(animals):
    folder = labeled_folder(str(animals), 32, 8, class_names=["owl", "cat"])
    assert folder.class_names == ("owl", "cat")
    assert _read(folder) == [([120, 125, 130, 60, 65], [0, 0, 0, 1, 1])]


def test_leaves_broken_files_out_and_names_each_when_some_cannot_be_read(animals, caplog):
    (animals / "cat" / "0.png").write_bytes(b"")  # the very first of all, and one in the middle, and the last
    (animals / "dog" / "2.png").write_bytes((animals / "dog" / "2.png").read_bytes()[:60])
    (animals / "owl" / "2.png").write_bytes(b"nothing")
    folder = labeled_folder(animals, 32, 4)
    with caplog.at_level(logging.WARNING, "kerassl"):
        expected = [([65, 0, 5, 15], [0, 1, 1, 1]), ([20, 120, 125], [1, 2, 2])]
        assert _read(folder) == expected
        assert _read(folder) == expected
    logged = [
        message for message in caplog.messages if "broken image" in message and message.endswith("it is left out")
    ]
    assert len(logged) == 3
    for message, name in zip(logged, ("cat/0.png is empty", "dog/2.png cannot be decoded", "owl/2.png is no image")):
        assert name in message


@pytest.mark.current_stack
def test_stops_and_names_the_file_when_strict(animals):
    (animals / "dog" / "2.png").write_bytes(b"")
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        _read(labeled_folder(animals, 32, 4, strict=True))
    assert "2.png is empty" in str(user_error(error.value))


@pytest.mark.current_stack
def test_is_refused_when_folder_or_classes_are_unfit(tmp_path, animals, save_image):
    _refused("there is no folder .*nowhere", tmp_path / "nowhere", 32, 4)
    _refused("there is no folder .*0.png", animals / "dog" / "0.png", 32, 4)
    _refused("dog holds no sub-folders", animals / "dog", 32, 4)
    save_image(tmp_path / "one" / "dog" / "a.png")
    _refused(r"1 class \(dog\)", tmp_path / "one", 32, 4)
    _refused(
        "no sub-folder for the classes cow, hen; it has cat, dog, owl",
        animals,
        32,
        4,
        class_names=["cow", "cat", "hen"],
    )
    _refused("class_names is 'dog'; give a list", animals, 32, 4, class_names="dog")
    _refused("has a class twice", animals, 32, 4, class_names=["dog", "cat", "dog"])
    _refused("multiple of 32", animals, 33, 4)
    _refused("batch_size is 0", animals, 32, 0)
    (animals / "empty").mkdir()
    _refused("empty holds no images", animals, 32, 4)
    for name in ("a.jpg", "b.png"):
        (animals / "empty" / name).write_bytes(b"nothing")
    _refused("none of 2 image files can be read, first .*empty/a.jpg is no image", animals, 32, 4)


@pytest.mark.current_stack
def test_names_are_the_same_in_every_form_of_unicode(animals):
    (animals / "owl").rename(animals / unicodedata.normalize("NFD", "chó"))
    assert labeled_folder(animals, 32, 8).class_names == ("cat", "chó", "dog")
    assert labeled_folder(animals, 32, 8, class_names=["cat", "chó"]).counts == (2, 3)
