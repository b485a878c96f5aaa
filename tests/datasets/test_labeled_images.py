import numpy as np
import pytest
from PIL import Image

from kerassl import UserError
from kerassl.datasets import labeled_images, named_classes


def drawn(path, gray):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((32, 32, 3), gray, np.uint8)).save(path)
    return str(path)


@pytest.mark.current_stack
def test_class_is_that_of_the_sub_folder_or_of_the_name_in_a_flat_folder(tmp_path):
    cat, dog = drawn(tmp_path / "deep" / "cat" / "more" / "x_1.png", 1), drawn(tmp_path / "deep" / "dog" / "2.png", 2)
    drawn(tmp_path / "deep" / "bird_3.png", 3)  # beside the sub-folders: of no class
    one, two = drawn(tmp_path / "flat" / "cow_1.png", 4), drawn(tmp_path / "flat" / "hen_2_b.png", 5)
    drawn(tmp_path / "flat" / "plain.png", 6)
    single = drawn(tmp_path / "elsewhere" / "2007_000032.png", 7)  # named by itself: as of VOC, whose names tell none
    found = named_classes([tmp_path / "deep", tmp_path / "flat", single])
    assert found == {cat: "cat", dog: "dog", one: "cow", two: "hen"}


def test_images_keep_their_labels_in_every_order_and_an_epoch_is_entered_within(tmp_path):
    paths = [drawn(tmp_path / f"{number}.png", 10 * number) for number in range(9)]
    batches = labeled_images(paths, list(range(9)), 32, 2, seed=3)
    assert batches.steps == 4
    epochs = [[(images.numpy(), labels.numpy()) for images, labels in batches] for _ in range(2)]
    for epoch in epochs:
        for images, labels in epoch:
            np.testing.assert_array_equal(images[:, 0, 0, 0], 10 * labels)
    orders = [[label for _, labels in epoch for label in labels] for epoch in epochs]
    assert orders[0] != orders[1]
    entered = [labels.numpy().tolist() for _, labels in batches.at(1, 2)]
    assert entered == [labels.tolist() for _, labels in epochs[1][2:]]
    with pytest.raises(UserError, match="cannot fill one batch"):
        labeled_images(paths, list(range(9)), 32, 16)
