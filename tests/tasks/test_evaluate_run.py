"""`kerassl.evaluate` and `kerassl.predict` from Python."""

import pathlib

import keras
import numpy as np
import pytest

import kerassl
from kerassl.datasets import SCENE_CLASSES, DetectionDataset, Record, write_scenes
from kerassl.metrics import evaluate_detections, save_predictions
from kerassl.metrics.prediction_formats import FORMATS, Predicted, Written, text_stems
from kerassl.types import Detections

pytestmark = pytest.mark.current_stack


def test_figures_of_a_model_and_a_data_set_are_those_of_their_files(tmp_path, tiny_backbone):
    root = write_scenes(tmp_path / "devkit", train=0, val=4, image_size=(64, 80), single_object=True)
    data = DetectionDataset.from_voc(root, 2007, "val", class_names=SCENE_CLASSES)
    keras.utils.set_random_seed(0)
    model = kerassl.detectors.Localizer(tiny_backbone(), SCENE_CLASSES, 64, num_filters=8)
    model.save(tmp_path / "localizer.keras")
    named = {"data": str(root), "split": "val"}
    expected = kerassl.evaluate(tmp_path / "localizer.keras", **named, out=tmp_path / "figures.json")
    assert kerassl.evaluate(model, data) == pytest.approx(expected)
    found = kerassl.predict(model, [record.path for record in data])
    written = kerassl.predict(model, [record.path for record in data], out=tmp_path / "out")
    assert written.images == len(found)
    kept = kerassl.load(tmp_path / "out" / "predictions.json")
    assert list(kept) == [pathlib.Path(path).name for path in found]
    for one, other in zip(kept.values(), found.values()):
        assert one.boxes.tolist() == other.boxes.tolist()


def test_parts_of_predictions_are_scored_as_one(tmp_path, save_image):
    records = []
    for number in range(4):
        path = save_image(tmp_path / "photos" / str(number % 2) / f"{number // 2}.jpg", seed=number)
        box = np.array([[number, 2, 20, 30]], np.float32)
        records.append(Record(str(number), str(path), 40, 60, box, np.array([number % 2]), np.zeros(1, bool)))
    data = DetectionDataset(records, ["cat", "dog"])
    found = [Detections(one.boxes, [0.5], one.classes, ("cat", "dog")) for one in records]
    for part in (1, 2):  # as `predict` names images and parts
        names = [f"{number % 2}/{number // 2}.jpg" for number in range(4)]
        some = dict(zip(names[part - 1 :: 2], found[part - 1 :: 2]))
        save_predictions(tmp_path / "out" / f"part-{part}-of-2" / "predictions.json", some)
    figures = kerassl.evaluate(predictions=[str(tmp_path / "out")], data=data)
    assert (figures.coco_ap, figures.mean_iou) == (1, 1)
    save_predictions(tmp_path / "more.json", dict(zip(["0/0.jpg", "1/0.jpg", "2/0.jpg"], found)))
    with pytest.raises(kerassl.UserError, match=r"1 of 3 predicted images are not in the data set, '2/0.jpg' first"):
        kerassl.evaluate(predictions=[str(tmp_path / "more.json")], data=data)


@pytest.mark.parametrize("format", ["coco", "yolo", "voc", "csv"])
def test_every_format_that_predict_writes_is_scored_alike(tmp_path, caplog, save_image, format):
    names, rng, records, found = (
        ["a/c.rf.0f3a.jpg", "a/2.jpg", "b/2.jpg", "b/none.jpg"],
        np.random.default_rng(1),
        [],
        [],
    )
    for number, name in enumerate(names):
        boxes = np.float32(rng.uniform(0, 18, [3, 4]) + [0, 0, 20, 20])
        path, classes = save_image(tmp_path / "photos" / name, seed=number), np.array([0, 2, 2])
        records.append(Record(str(number), str(path), 40, 60, boxes, classes, np.zeros(3, bool)))
        kept = slice(0, 0 if number == 3 else 2)
        moved = np.clip(boxes + np.float32(rng.uniform(-3, 3, boxes.shape)), [0, 0, 21, 21], 40)[kept]
        found.append(Predicted(name, 60, 40, moved, np.float32([0.9, 0.5])[kept], np.array([1, 0])[kept]))
    labels = DetectionDataset(records, ["cat", "dog", "owl"])
    expected = evaluate_detections(
        {str(n): Detections(one.boxes, one.scores, one.classes, ("owl", "cat", "dog")) for n, one in enumerate(found)},
        records,
        labels.class_names,
        sizes=True,
    )
    stems = text_stems(names)
    for part in ("1", "2"):
        rows = found[int(part) - 1 :: 2]
        out = tmp_path / "out" / f"part-{part}-of-2"
        out.mkdir(parents=True)
        FORMATS[format](Written(out, ["owl", "cat", "dog"], lambda rows=rows: iter(rows), stems, 0.3))
    figures = kerassl.evaluate(predictions=[str(tmp_path / "out")], data=labels)
    assert figures.scalars() == pytest.approx(expected.scalars(), rel=1e-5, nan_ok=True)
    assert 0 < figures.coco_ap < 1
    assert "scores less than 0.5: average precision" in caplog.text


def test_image_without_a_file_of_yolo_has_no_detections(tmp_path, caplog, save_image):
    caplog.set_level("INFO", "kerassl")
    box, zero = np.array([[6, 4, 30, 20]], np.float32), np.zeros(1, int)
    paths = [save_image(tmp_path / "photos" / f"{name}.jpg", seed=seed) for seed, name in enumerate("ab")]
    records = [Record(path.stem, str(path), 40, 60, box, zero, zero.astype(bool)) for path in paths]
    data, folder = DetectionDataset(records, ["cat"]), tmp_path / "out" / "labels"
    folder.mkdir(parents=True)
    with pytest.raises(kerassl.UserError, match=r"holds no \.txt files of predictions"):
        kerassl.evaluate(predictions=[str(folder.parent)], data=data)
    (folder / "a.txt").write_text("0 0.3 0.3 0.4 0.4 0.05\n")
    figures = kerassl.evaluate(predictions=[str(folder.parent)], data=data)
    assert figures.voc10_ap50 == 0.5
    assert f"1 of 2 images have no file in {folder.parent}, first b: nothing was detected in them" in caplog.messages
    (folder / "a.txt").write_text("0 0.3 0.3 0.4 0.4 0.05\n7 0.3 0.3 0.4 0.4 0.05\n")
    with pytest.raises(kerassl.UserError, match=r"a\.txt, line 2.* names the class 7, but the classes are 0 to 0"):
        kerassl.evaluate(predictions=[str(folder.parent)], data=data)
    (folder / "a.txt").write_text("")
    (folder / "c.txt").write_text("")
    with pytest.raises(kerassl.UserError, match=r"1 of 3 predicted images are not in the data set, 'c' first"):
        kerassl.evaluate(predictions=[str(folder.parent)], data=data)


@pytest.mark.parametrize("name", [None, "annotations.csv"])
def test_folder_without_predictions_is_refused_with_what_is_accepted(tmp_path, name):
    if name is not None:
        (tmp_path / name).touch()
    with pytest.raises(kerassl.UserError, match=r"holds no predictions; give a folder with .*predictions.csv"):
        kerassl.evaluate(predictions=[str(tmp_path)], data="labels")


def test_labels_in_place_of_predictions_are_refused(tmp_path, save_image):
    record = Record(
        "a", str(save_image(tmp_path / "a.jpg")), 40, 60, np.zeros([0, 4]), np.zeros(0, int), np.zeros(0, bool)
    )
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(kerassl.UserError, match=r"line 1: .* has no score: it is a label and no detection"):
        kerassl.evaluate(predictions=[str(tmp_path)], data=DetectionDataset([record], ["cat"]))
