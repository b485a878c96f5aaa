import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kerassl import _compat, detectors
from kerassl._errors import UserError
from kerassl.boxes import pairwise_iou
from kerassl.datasets import Record
from kerassl.detectors.self_training.merging import merge_mirrored
from kerassl.resizing import letterbox

# What does not depend on the kind of detector is found out with one, another on each stack.
one_kind = pytest.mark.parametrize("eager_detector", ["YOLOV8" if _compat.KERAS_3 else "RetinaNet"], indirect=True)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Five PNGs of different shapes."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    shapes = [(50, 90), (128, 64), (64, 64), (33, 47), (200, 120)]
    for number, shape in enumerate(shapes):
        Image.fromarray(rng.integers(0, 255, (*shape, 3), "uint8")).save(folder / f"{number}.png")
    return folder


def same(first, second, tolerance):
    assert first.keys() == second.keys()
    for name in first:
        for part in ("boxes", "scores", "classes"):
            np.testing.assert_allclose(getattr(first[name], part), getattr(second[name], part), atol=tolerance)


def test_detections_are_in_pixels_of_the_original_image_by_falling_score(eager_detector, photos):
    found = detectors.predict(eager_detector, photos, verbose=0)
    assert sorted(found) == sorted(str(path) for path in photos.iterdir())
    for path, detection in found.items():
        width, height = Image.open(path).size
        boxes = detection.boxes
        assert 0 < len(boxes) <= 100
        assert boxes.shape == (len(boxes), 4)
        assert (detection.boxes.dtype, detection.scores.dtype, detection.classes.dtype) == (
            "float32",
            "float32",
            "int32",
        )
        assert boxes.min() >= 0
        assert boxes[:, [0, 2]].max() <= width
        assert boxes[:, [1, 3]].max() <= height
        assert np.all(np.diff(detection.scores) <= 0)
        assert detection.scores.min() >= 0.01
        # The letterbox has been undone: something reaches beyond the half of the long side.
        assert boxes.max() > 0.6 * max(width, height)


@pytest.mark.current_stack
@one_kind
def test_detections_are_the_same_when_batches_have_other_sizes(eager_detector, photos):
    alone = detectors.predict(eager_detector, photos, batch_size=1, verbose=0)
    some = detectors.predict(eager_detector, photos, batch_size=2, verbose=0)
    same(alone, some, 1e-4)


@pytest.mark.current_stack
def test_detections_are_the_same_when_blank_images_fill_the_batch_or_two_replicas_share_it(
    eager_detector, tiny_detector, mirrored
):
    images = np.random.default_rng(1).uniform(0, 255, (4, 64, 64, 3)).astype("float32")
    areas = np.array([[64.0, 40.0], [30.0, 64.0], [64.0, 64.0], [64.0, 50.0]], "float32")
    expected = [
        [part[0].numpy() for part in detectors.decode(eager_detector, images[i : i + 1], areas=areas[i : i + 1])]
        for i in range(4)
    ]
    blank = np.zeros((3, 64, 64, 3), "float32"), np.full((3, 2), 64, "float32")
    filled = detectors.decode(
        eager_detector, np.concatenate([images, blank[0]]), areas=np.concatenate([areas, blank[1]])
    )
    strategy = mirrored(2, eagerly=True)
    with strategy.scope():
        twin = tiny_detector(type(eager_detector).__name__, class_names=eager_detector.class_names)
        twin.set_weights(eager_detector.get_weights())
    halves = strategy.experimental_distribute_values_from_function(
        lambda context: tuple(tf.constant(part[2 * context.replica_id_in_sync_group :][:2]) for part in (images, areas))
    )
    parts = strategy.run(lambda half: detectors.decode(twin, half[0], areas=half[1]), args=(halves,))
    shared = [np.concatenate([part.numpy() for part in strategy.experimental_local_results(p)]) for p in parts]
    for found in (filled, shared):
        for row, (boxes, scores, classes, count) in enumerate(expected):
            assert 2 < count == int(found[3][row])
            np.testing.assert_allclose(found[0][row], boxes, atol=1e-4 * 64)
            np.testing.assert_allclose(found[1][row], scores, atol=1e-4)
            np.testing.assert_array_equal(found[2][row], classes)


@one_kind
def test_decode_refuses_in_one_line_when_images_have_another_size(eager_detector):
    with pytest.raises(UserError, match="96 x 96 pixels, but the detector was built for 64 x 64") as caught:
        detectors.decode(eager_detector, tf.zeros([1, 96, 96, 3]))
    assert "\n" not in str(caught.value)


def test_detections_are_those_of_decode_when_the_letterbox_is_undone_by_hand(eager_detector, photos):
    path = photos / "0.png"  # 50 high, 90 wide
    record = Record("a", str(path), 50, 90, np.zeros([0, 4]), np.zeros(0, int), np.zeros(0, bool))
    found = detectors.predict(eager_detector, [record], verbose=0)["a"]

    image, scale = letterbox(tf.constant(np.asarray(Image.open(path))), 64)
    areas = tf.constant([[50.0, 90.0]]) * scale
    boxes, scores, _, counts = detectors.decode(eager_detector, image[None], areas=areas)
    count = int(counts[0])
    assert len(found.scores) == count
    np.testing.assert_allclose(found.scores, scores[0, :count], atol=1e-5)
    np.testing.assert_allclose(found.boxes, boxes[0, :count] * 90 / 64, atol=1e-3)


@pytest.mark.current_stack
@one_kind
def test_batches_have_features_and_merged_detections_when_asked(eager_detector, photos):
    paths = [str(photos / f"{number}.png") for number in range(5)]
    (plain,) = detectors.predict_batches(eager_detector, paths)
    (found,) = detectors.predict_batches(eager_detector, paths, features=True)
    assert plain.features is None
    for one, other in zip(plain.detections, found.detections, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.scores, other.scores)
    images = tf.stack([letterbox(np.asarray(Image.open(path)), 64)[0] for path in paths])
    last = eager_detector.get_layer("act5").output
    expected = keras.Model(eager_detector.inputs, last)(images).numpy().mean((1, 2))
    np.testing.assert_allclose(found.features, expected, rtol=1e-4, atol=1e-6)
    (merged,) = detectors.predict_batches(eager_detector, paths, mirror=True)
    for path, one, both, agreement, (_, width) in zip(
        paths, plain.detections, merged.detections, merged.agreements, merged.sizes
    ):
        image = np.asarray(Image.open(path))
        (mirrored,) = detectors.predict(eager_detector, image[:, ::-1], verbose=0).values()
        expected, agreed = merge_mirrored(one, mirrored, width)
        np.testing.assert_allclose(both.scores, expected.scores, atol=1e-4)
        np.testing.assert_allclose(np.sort(agreement), np.sort(agreed), atol=1e-3)


@pytest.mark.current_stack
def test_suppression_equals_loops():
    """Greedy, class by class: a box stays unless a better one that stays covers it."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 60, (1, 40, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 40, (1, 40, 2))], -1).astype("float32")
    scores = rng.uniform(0, 1, (1, 40, 3)).astype("float32")
    found = detectors.decoding.select(boxes, scores, np.full((1, 2), 100, "float32"), score_threshold=0.2)
    overlap = pairwise_iou(boxes[0], boxes[0]).numpy()
    expected = []
    for kind in range(3):
        kept = []
        for index in np.argsort(-scores[0, :, kind]):
            if scores[0, index, kind] > 0.2 and all(overlap[index, other] <= 0.5 for other in kept):
                kept.append(index)
                expected.append((-scores[0, index, kind], kind, index))
    expected.sort()
    count = int(found[3][0])
    assert count == len(expected)
    assert count < (scores > 0.2).sum()
    np.testing.assert_array_equal(found[2][0, :count], [kind for _, kind, _ in expected])
    np.testing.assert_allclose(found[1][0, :count], [-score for score, *_ in expected])
    np.testing.assert_allclose(found[0][0, :count], [boxes[0, index] for *_, index in expected])


@pytest.mark.current_stack
def test_box_is_no_detection_when_clipping_leaves_nothing():
    boxes = np.array([[[10, 10, 30, 30], [60, 5, 80, 20], [-20, -9, -2, 40], [45, 10, 70, 30]]], "float32")
    scores = np.array([[[0.3], [0.9], [0.8], [0.6]]], "float32")
    found = detectors.decoding.select(boxes, scores, np.array([[60, 50]], "float32"), score_threshold=0.0)
    assert int(found[3][0]) == 2
    np.testing.assert_array_equal(found[0][0, :2], [[45, 10, 50, 30], [10, 10, 30, 30]])
    np.testing.assert_allclose(found[1][0, :2], [0.6, 0.3])


@pytest.mark.current_stack
@one_kind
def test_arrays_are_empty_when_nothing_is_detected(eager_detector, photos):
    found = detectors.predict(eager_detector, photos / "0.png", score_threshold=0.999, verbose=0)
    (detection,) = found.values()
    assert detection.boxes.shape == (0, 4)
    assert detection.scores.shape == detection.classes.shape == (0,)


@one_kind
def test_file_is_named_and_left_out_when_it_is_broken(eager_detector, photos, tmp_path, caplog):
    good, broken = photos / "2.png", tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no image")
    with caplog.at_level(logging.WARNING, "kerassl"):
        found = detectors.predict(eager_detector, [broken, good], verbose=0, batch_size=2)
    assert list(found) == [str(good)]
    assert str(broken) in caplog.text
    same(found, detectors.predict(eager_detector, good, verbose=0), 1e-4)
    with pytest.raises(UserError, match=r"broken\.jpg"):
        detectors.predict(eager_detector, broken, verbose=0)


@one_kind
def test_detections_are_those_of_files_when_arrays_are_given(eager_detector, photos):
    paths = sorted(photos.iterdir())
    arrays = [np.asarray(Image.open(path)) for path in paths]
    named = detectors.predict(eager_detector, paths, verbose=0)
    found = detectors.predict(eager_detector, arrays, verbose=0)
    assert list(found) == [str(number) for number in range(len(paths))]
    same(dict(zip(named, found.values())), named, 1e-3)
    same(detectors.predict(eager_detector, arrays[2][None], verbose=0), {"0": found["2"]}, 1e-3)
    same(detectors.predict(eager_detector, arrays[2], verbose=0), {"0": found["2"]}, 1e-3)
    with pytest.raises(UserError, match=r"array of shape \(8, 8, 1\)"):
        detectors.predict(eager_detector, [np.zeros([8, 8, 1])], verbose=0)


@pytest.mark.current_stack
def test_predict_refuses_when_the_model_is_no_detector(photos):
    with pytest.raises(UserError, match="Sequential is not a detector"):
        detectors.predict(keras.Sequential([keras.layers.Dense(1)]), photos)


@pytest.mark.current_stack
@pytest.mark.parametrize("arguments", [{"score_threshold": 1.5}, {"iou_threshold": -1}, {"max_detections": 0}])
@one_kind
def test_predict_refuses_when_a_threshold_is_out_of_range(eager_detector, photos, arguments):
    with pytest.raises(UserError, match="thresholds"):
        detectors.predict(eager_detector, photos, **arguments)


@one_kind
def test_model_can_be_saved_when_it_has_predicted(eager_detector, photos, tmp_path):
    detectors.predict(eager_detector, photos, verbose=0)
    eager_detector.save(tmp_path / "detector.keras")
    loaded, images = keras.saving.load_model(tmp_path / "detector.keras"), tf.random.uniform([2, 64, 64, 3], 0, 255)
    for name, value in eager_detector(images).items():
        np.testing.assert_array_equal(loaded(images)[name], value)
