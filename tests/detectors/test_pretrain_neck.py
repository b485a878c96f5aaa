"""Pseudo-boxes, and the neck and box head that learn from them before there are labels."""

import dataclasses
import logging
import types

from kerassl.backbones import weights as backbone_weights

from kerassl import _compat  # isort: skip
import keras
import numpy as np
import pytest

from kerassl import UserError, boxes, datasets, detectors
from kerassl.detectors import supervised
from kerassl.detectors.pseudo_boxes import pseudo_records
from kerassl.detectors.pseudo_boxes.pseudo_records import boxes_of

BOTH = pytest.mark.parametrize("kind", ["RetinaNet", "YOLOV8"])


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Scenes with the boxes that they were drawn with."""
    root = datasets.write_scenes(tmp_path_factory.mktemp("data") / "scenes", train=8, val=0, image_size=(64, 80))
    return datasets.DetectionDataset.from_voc(root, 2007, "train", class_names=datasets.SCENE_CLASSES)


def planted(height=40, width=60):
    heatmaps = np.zeros([height, width], np.float32)
    heatmaps[5:15, 10:40] = 0.6  # 300 pixels
    heatmaps[20:36, 30:42] = 1.0  # 192
    heatmaps[38, 2] = 0.9  # a speck
    return heatmaps


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("settings", "expected", "left"),
    [
        ({"threshold": 0.5}, [[10, 5, 40, 15]], {}),
        ({"threshold": 0.5, "max_boxes": 3}, [[10, 5, 40, 15], [30, 20, 42, 36], [2, 38, 3, 39]], {}),
        (
            {"threshold": 0.5, "max_boxes": 3, "min_size": 0.01},
            [[10, 5, 40, 15], [30, 20, 42, 36]],
            {"boxes too small": 1},
        ),
        ({"threshold": 0.5, "max_size": 0.1}, [], {"boxes too large": 1}),  # of 300 / 2400
        ({"threshold": 0.7}, [[30, 20, 42, 36]], {}),
    ],
)
def test_boxes_of_a_heatmap_are_those_around_its_largest_pieces(settings, expected, left):
    boxes, why = boxes_of(planted(), **settings)
    np.testing.assert_array_equal(boxes, np.reshape(expected, [-1, 4]))
    assert why == left


@pytest.mark.current_stack
def test_there_is_no_box_when_nothing_or_everything_is_salient():
    for heatmaps, why in ((np.zeros([8, 8]), "images without foreground"), (np.ones([8, 8]), "boxes too large")):
        boxes, left = boxes_of(heatmaps, 0.5, max_size=0.9)
        assert boxes.shape == (0, 4)
        assert left == {why: 1}


def colors():
    """A network whose locations have the mean color of their squares."""
    inputs = x = keras.Input((None, None, 3))
    for level in range(1, 6):
        x = keras.layers.AveragePooling2D(2, name=f"pool{level}")(x)
    return keras.Model(inputs, x, name="colors")


def test_pseudo_records_box_bright_things_in_pixels_of_the_original_and_read_no_label(tmp_path, caplog):
    from PIL import Image

    draw, truth, given = np.random.default_rng(0), [], []
    for number, (height, width) in enumerate([(96, 96), (100, 150), (300, 200), (96, 96)]):
        image = draw.uniform(20, 40, [height, width, 3])
        box = np.array([width // 3, height // 4, 2 * width // 3, 3 * height // 4])
        if number < 3:
            image[box[1] : box[3], box[0] : box[2]] += 180
            truth.append(box)
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / f"{number}.png")
        # Labels that cannot be read: whoever tried would fail.
        given.append(datasets.Record(f"id{number}", str(tmp_path / f"{number}.png"), height, width, None, None, None))
    with caplog.at_level("INFO", "kerassl"):
        found = detectors.pseudo_records(
            colors(), given, image_size=96, level="P3", threshold=0.5, min_size=0.05, verbose=0
        )
    assert [record.image_id for record in found] == ["id0", "id1", "id2"]
    for record, plain, box in zip(found, given, truth):
        assert (record.path, record.height, record.width) == (plain.path, plain.height, plain.width)
        assert boxes.box_iou(record.boxes, [box])[0, 0] > 0.6
        assert record.classes.tolist() == [0]
        assert record.difficult.tolist() == [False]
        assert (record.boxes[:, 2:] <= [record.width, record.height]).all()
    assert "3 pseudo-boxes in 3 of 4 images; " in caplog.text
    assert ("kerassl", logging.WARNING) not in [record[:2] for record in caplog.record_tuples]


@pytest.mark.current_stack
def test_few_pseudo_boxes_are_warned_of(records, caplog, monkeypatch):
    draws = iter([np.ones([1, 4])] + [np.zeros([0, 4])] * 20)
    monkeypatch.setattr(pseudo_records, "boxes_of", lambda *_: (next(draws), {}))
    detectors.pseudo_records(colors(), (list(records) * 3)[:11], image_size=32, level="P3", verbose=0)
    (warned,) = [text for name, level, text in caplog.record_tuples if (name, level) == ("kerassl", logging.WARNING)]
    assert warned.startswith("only 1 of 11 images have a pseudo-box")


@pytest.mark.current_stack
@pytest.mark.parametrize("kind", ["RetinaNet", pytest.param("YOLOV8", marks=pytest.mark.slow)])
def test_neck_learns_and_all_else_of_the_detector_stays(kind, tiny_detector, records, caplog, monkeypatch):
    traced = []
    step = supervised.scaled_step
    monkeypatch.setattr(supervised, "scaled_step", lambda *given: traced.append(given) or step(*given))
    keras.utils.set_random_seed(0)
    detector = tiny_detector(kind, class_names=["red", "green", "blue"], learning_rate=1e-3)
    held = detector.backbone.get_layer("bn2")
    held.trainable = False
    flags = {layer.name: layer.trainable for layer in detector.layers}
    before, slots = backbone_weights.table(detector), [np.array(slot) for slot in detector.optimizer.variables]
    with caplog.at_level("INFO", "kerassl"):
        history = detectors.pretrain_neck(detector, records, epochs=5, batch_size=4, learning_rate=5e-3, verbose=0)
    loss = history.history["loss"]
    assert loss[-1] < 0.9 * loss[0]
    assert len(traced) == 1 or not _compat.KERAS_3  # a trace takes a large network a minute

    after = backbone_weights.table(detector)
    backbone = {layer.name for layer in detector.backbone.layers}
    moved = 0
    for name, old in before.items():
        layer = name.split("/")[0]
        if layer in backbone or layer.startswith("classification"):
            np.testing.assert_array_equal(after[name], old, err_msg=name)
        else:
            moved += 1
            assert not np.array_equal(after[name], old), name
    assert f"{detector.name}: {moved} weights of neck and box head moved" in caplog.text
    assert {layer.name: layer.trainable for layer in detector.layers} == flags
    assert int(detector.optimizer.iterations) == 0
    for old, new in zip(slots, detector.optimizer.variables):
        np.testing.assert_array_equal(np.array(new), old)


@pytest.mark.slow
@BOTH
def test_detector_trains_on_labels_as_any_other_afterwards(kind, tiny_detector, records):
    detector = tiny_detector(kind, class_names=["red", "green", "blue"])
    detectors.pretrain_neck(detector, records, epochs=1, batch_size=8, verbose=0)
    before = backbone_weights.table(detector)
    batches = datasets.detection_batches(clipped(records, 3), 64, 8)
    detector.fit(batches, epochs=1, verbose=0, shuffle=False)
    same = [name for name, weight in backbone_weights.table(detector).items() if np.array_equal(weight, before[name])]
    assert not [name for name in same if name.endswith("kernel")]
    assert int(detector.optimizer.iterations) == 1


def clipped(records, classes):
    """Records whose classes are of a shorter list."""
    return [dataclasses.replace(record, classes=record.classes % classes) for record in records]


@pytest.mark.parametrize("kind", ["RetinaNet", pytest.param("YOLOV8", marks=pytest.mark.current_stack)])
def test_neck_of_other_classes_fits_whole_or_not_at_all(kind, tiny_detector, tmp_path):
    one, other = tiny_detector(kind), tiny_detector(kind, class_names=["a", "b", "c"])
    checksum = detectors.save_neck(one, tmp_path / "neck.npz")
    assert detectors.load_neck(other, tmp_path / "neck.npz") == checksum
    assert detectors.save_neck(other, tmp_path / "again.npz") == checksum
    with np.load(tmp_path / "neck.npz") as file:
        table = dict(file)
    first, *rest = table
    np.savez(tmp_path / "less.npz", **{name: table[name] + 1 for name in rest})
    np.savez(tmp_path / "more.npz", **table, **{"classification_head/kernel": np.zeros(3)})
    for file, message in (("less", f"1 missing .{first}"), ("more", "1 unknown to the network")):
        with pytest.raises(UserError, match=message) as caught:
            detectors.load_neck(other, tmp_path / f"{file}.npz")
        assert "\n" not in str(caught.value)
    assert detectors.save_neck(other, tmp_path / "again.npz", overwrite=True) == checksum


@pytest.mark.current_stack
def test_detector_is_unchanged_when_the_loss_is_not_finite(tiny_detector, records, monkeypatch):
    detector = tiny_detector()
    before = backbone_weights.checksum(backbone_weights.table(detector))
    flags = [layer.trainable for layer in detector.layers]

    def fit(self, *args, **kwargs):
        assert not self.backbone.trainable_weights
        head = self.get_layer("box_head")
        head.set_weights([np.full_like(weight, np.nan) for weight in head.get_weights()])
        return types.SimpleNamespace(history={"loss": [1.0, float("nan")]})

    monkeypatch.setattr(type(detector), "fit", fit)
    with pytest.raises(UserError, match="became NaN or infinite; lower its learning_rate") as caught:
        detectors.pretrain_neck(detector, records, verbose=0)
    assert "\n" not in str(caught.value)
    assert backbone_weights.checksum(backbone_weights.table(detector)) == before
    assert [layer.trainable for layer in detector.layers] == flags


@pytest.mark.current_stack
def test_input_is_refused_in_one_line_when_invalid(tiny_detector, tiny_backbone, records, tmp_path):
    detector = tiny_detector()
    path = records[0].path
    empty = [dataclasses.replace(record, boxes=np.zeros([0, 4], np.float32)) for record in records]
    for ask, message in (
        (lambda: detectors.pretrain_neck(tiny_backbone(), records), "is no detector of kerassl"),
        (lambda: detectors.pretrain_neck(detector, records, epochs=0), "epochs is 0; give 1 or more"),
        (lambda: detectors.pretrain_neck(detector, empty), "none of 8 records has a box; give those of pseudo_records"),
        (lambda: detectors.pretrain_neck(detector, tmp_path / "nowhere"), "there is no file or folder"),
        (lambda: detectors.pseudo_records(detector.backbone, path, threshold=1.0), "threshold is 1.0"),
        (lambda: detectors.pseudo_records(detector.backbone, path, max_boxes=0), "max_boxes is 0"),
        (lambda: detectors.pseudo_records(detector.backbone, path, min_size=0.5, max_size=0.4), "min_size is 0.5"),
        (lambda: detectors.pseudo_records(detector.backbone, path, heatmap="center"), "heatmap is 'center'"),
        (lambda: detectors.save_neck(detector, tmp_path / "neck.h5"), "saved as a .npz file"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            ask()
        assert "\n" not in str(caught.value)
