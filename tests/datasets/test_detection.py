import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.datasets import Record, detection_batches, single_object_batches


@pytest.fixture
def marked(tmp_path):
    """`marked(name, height, width, *boxes)`: a record of a black image in which each box is filled with white."""

    def make(name, height, width, *boxes, difficult=None):
        pixels = np.zeros((height, width, 3), np.uint8)
        for x0, y0, x1, y1 in boxes:
            pixels[y0:y1, x0:x1] = 255
        PIL.Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        return Record(
            name,
            str(tmp_path / f"{name}.png"),
            height,
            width,
            np.array(boxes, np.float32).reshape(-1, 4),
            np.arange(len(boxes), dtype=np.int32),
            np.zeros(len(boxes), bool) if difficult is None else np.array(difficult, bool),
        )

    return make


def _white(image):
    """The box of the white pixels."""
    ys, xs = np.nonzero(image[..., 0] > 127)
    return [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


def test_gives_letterboxed_pixels_and_pads_with_minus_one(marked):
    records = [
        marked("a", 32, 64, (10, 4, 30, 20)),
        marked("b", 128, 96),
        marked("c", 64, 32, (4, 8, 20, 40), (0, 0, 8, 8)),
    ]
    dataset = detection_batches(records, 64, 2)
    assert dataset.cardinality() == 2
    first, second = list(dataset)
    assert first["images"].shape == (2, 64, 64, 3)
    boxes, classes = first["bounding_boxes"]["boxes"], first["bounding_boxes"]["classes"]
    assert (boxes.dtype, classes.dtype, first["images"].dtype) == (tf.float32, tf.float32, tf.float32)
    np.testing.assert_array_equal(boxes[0], [[10, 4, 30, 20], [-1] * 4])
    np.testing.assert_array_equal(boxes[1], [[-1] * 4] * 2)
    np.testing.assert_array_equal(classes, [[0, -1], [-1, -1]])
    np.testing.assert_array_equal(second["bounding_boxes"]["boxes"], [[[4, 8, 20, 40], [0, 0, 8, 8]]])
    np.testing.assert_array_equal(second["bounding_boxes"]["classes"], [[0, 1]])
    assert _white(first["images"].numpy()[0]) == [10, 4, 30, 20]


@pytest.mark.parametrize(("height", "width"), [(96, 192), (192, 96), (32, 16), (100, 130)])
def test_boxes_stay_on_their_objects_when_scaled_and_mirrored(marked, height, width):
    x1, y1 = width * 5 // 8, height * 3 // 4
    records = [marked("a", height, width, (width // 8, height // 4, x1, y1))]
    mirrored = set()
    for batch in detection_batches(records, 64, 1, flip=True).repeat().take(12):
        box = batch["bounding_boxes"]["boxes"].numpy()[0, 0]
        np.testing.assert_allclose(_white(batch["images"].numpy()[0]), box, atol=1.01)
        mirrored.add(bool(box[0] > 64 * min(1, width / height) / 5))
    assert mirrored == {False, True}


@pytest.mark.current_stack
def test_flips_the_image_and_not_its_margin_when_mirrored(marked):
    records = [marked("a", 64, 32, (0, 0, 8, 64))]
    dataset = detection_batches(records, 64, 1, flip=True).repeat().take(12)
    lefts = {float(batch["bounding_boxes"]["boxes"][0, 0, 0]) for batch in dataset}
    assert lefts == {0.0, 24.0}  # the image stays in the left half


@pytest.mark.current_stack
def test_draws_flips_by_seed_epoch_and_image(marked):
    records = [marked(str(number), 32, 32, (0, 0, 8, 8)) for number in range(12)]

    def flips(seed, epochs, **kwargs):
        dataset = detection_batches(records, 32, 12, flip=True, seed=seed, **kwargs).repeat().take(epochs)
        return [(batch["bounding_boxes"]["boxes"][:, 0, 0] > 0).numpy().tolist() for batch in dataset]

    three = flips(0, 3)
    assert len({tuple(each) for each in three}) == 3
    assert all(0 < sum(each) < 12 for each in three)
    assert flips(0, 3) == three
    assert flips(1, 1)[0] != three[0]
    assert flips(0, 1, initial_epoch=2)[0] == three[2]


@pytest.mark.current_stack
def test_leaves_out_difficult_boxes_when_requested(marked):
    records = [marked("a", 32, 32, (0, 0, 8, 8), (8, 8, 20, 20), difficult=[True, False])]
    (batch,) = detection_batches(records, 32, 1, difficult=False)
    np.testing.assert_array_equal(batch["bounding_boxes"]["boxes"], [[[8, 8, 20, 20]]])
    np.testing.assert_array_equal(batch["bounding_boxes"]["classes"], [[1]])


@pytest.mark.current_stack
def test_goes_on_in_new_orders_when_repeated(marked):
    records = [marked(str(number), 32, 32, (0, 0, number + 1, 4)) for number in range(6)]
    dataset = detection_batches(records, 32, 3, shuffle=True).repeat()
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    widths = np.concatenate([batch["bounding_boxes"]["boxes"][:, 0, 2] for batch in dataset.take(4)])
    assert sorted(widths[:6]) == sorted(widths[6:]) == [1, 2, 3, 4, 5, 6]
    assert widths[:6].tolist() != widths[6:].tolist()


def test_single_object_batches_hold_the_largest_box_that_is_not_difficult(marked):
    records = [
        marked("a", 32, 64, (0, 0, 64, 32), (8, 4, 40, 20), (0, 0, 4, 4), difficult=[True, False, False]),
        marked("b", 32, 32),
        marked("c", 32, 32, (0, 0, 9, 9), difficult=[True]),
        marked("d", 128, 64, (16, 32, 48, 64)),
    ]
    ((images, targets),) = single_object_batches(records, 64, 4)
    assert images.shape == (2, 64, 64, 3)
    np.testing.assert_array_equal(targets["class"], [1, 0])
    np.testing.assert_allclose(
        targets["box"], [[8 / 64, 4 / 64, 40 / 64, 20 / 64], [8 / 64, 16 / 64, 24 / 64, 32 / 64]]
    )
    assert targets["class"].dtype == tf.int32
    assert targets["box"].dtype == tf.float32


@pytest.mark.current_stack
def test_keeps_labels_with_their_images_when_shuffled_and_some_are_broken(marked, caplog):
    records = [marked(str(number), 32, 32, (0, 0, 3 * number + 2, 16)) for number in range(9)]
    with open(records[4].path, "wb"):
        pass
    dataset = single_object_batches(records, 32, 3, shuffle=True)
    for _ in range(3):
        widths = []
        for images, targets in dataset:
            for image, box in zip(images.numpy(), targets["box"].numpy()):
                np.testing.assert_allclose(_white(image), box * 32, atol=0.01)
                widths.append(round(box[2] * 32))
        assert len(widths) == 9
        assert set(widths) == {3 * number + 2 for number in range(9) if number != 4}
    assert "4.png is empty" in caplog.text


@pytest.mark.current_stack
def test_refuses_records_of_which_nothing_can_be_learnt(marked):
    empty = [marked("a", 32, 32)]
    for read, records, pattern in (
        (detection_batches, [], "no annotated images"),
        (single_object_batches, [], "no annotated images"),
        (single_object_batches, empty, "none of 1 images has an object"),
    ):
        with pytest.raises(UserError, match=pattern):
            read(records, 32, 1)
    with pytest.raises(UserError, match="multiple of 32"):
        detection_batches(empty, 31, 1)
    with pytest.raises(UserError, match="cannot fill one batch of 2"):
        detection_batches(empty, 32, 2, drop_remainder=True)
    (batch,) = detection_batches(empty, 32, 2)
    np.testing.assert_array_equal(batch["bounding_boxes"]["classes"], [[-1]])
