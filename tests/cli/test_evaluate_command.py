"""`kerassl evaluate` over saved predictions of every kind; no model is trained."""

import dataclasses
import json
import pathlib
import re
import shutil

import numpy as np
import pytest

from kerassl import metrics
from kerassl.cli.main import main
from kerassl.datasets import SCENE_CLASSES, DetectionDataset, write_scenes
from kerassl.types import Detections

pytestmark = pytest.mark.current_stack  # NumPy alone: both stacks would find out the same

CLASSES = list(SCENE_CLASSES)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A devkit, its records, and predictions: the truth, moved a little, with noise of low scores."""
    folder = tmp_path_factory.mktemp("data")
    root = write_scenes(folder / "devkit", train=1, val=8, unlabeled=0, single_object=False)
    records = DetectionDataset.from_voc(root, 2007, "val", class_names=CLASSES)
    rng, predictions = np.random.default_rng(0), {}
    for record in records:
        count = len(record.boxes)
        boxes = record.boxes + rng.normal(0, 3, (count, 4))
        noise = rng.uniform(0, 60, (3, 2))
        boxes = np.concatenate([boxes, np.concatenate([noise, noise + 30], 1)]).astype(np.float32)
        scores = np.concatenate([rng.uniform(0.5, 1, count), rng.uniform(0, 0.4, 3)]).astype(np.float32)
        labels = np.concatenate([record.classes, rng.integers(0, len(CLASSES), 3)]).astype(np.int32)
        predictions[record.image_id] = Detections(boxes, scores, labels)
    metrics.save_predictions(folder / "own.json", predictions)
    named = {record.path: predictions[record.image_id] for record in records}
    metrics.save_predictions(folder / "files.json", named)
    metrics.save_voc_results(folder / "Main", predictions, CLASSES, split="val")
    return folder, records, predictions


def evaluated(data, predictions, tmp_path, *more):
    folder = data[0]
    labels = ["--data", folder / "devkit", "--split", "val", "--classes", *CLASSES]
    out = tmp_path / f"{predictions.stem}_figures.json"
    arguments = ["evaluate", "--predictions", predictions, *labels, "--out", out, *more]
    return main([str(each) for each in arguments]), json.loads(out.read_text()) if out.exists() else None


def test_all_kinds_of_files_give_the_figures_of_the_evaluator(data, tmp_path, capsys):
    folder, records, predictions = data
    expected = metrics.evaluate_detections(predictions, records, CLASSES).to_dict()
    for name in ("own.json", "files.json", "Main"):
        status, figures = evaluated(data, folder / name, tmp_path)
        assert status == 0
        for key, value in expected.items():
            if isinstance(value, float):
                assert figures[key] == pytest.approx(value, abs=1e-6), (name, key)
        assert figures["errors"]["counts"] == expected["errors"]["counts"]
    printed = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if line.strip()}
    for name in CLASSES:
        if expected["per_class_objects"][name]:
            assert rows[name][1] == str(expected["per_class_objects"][name])
            keys = ("voc07", "voc10", "coco", "mean_iou")
            assert rows[name][2:6] == [_percent(expected[f"per_class_{key}"][name]) for key in keys]
    assert rows["all,"][3] == _percent(expected["voc07_ap50"])
    for kind, count in expected["errors"]["counts"].items():
        assert rows[kind][1] == str(count)


def _percent(value):
    return "–" if np.isnan(value) else f"{100 * value:.1f}"


def test_plots_are_drawn_and_errors_counted_from_a_score_when_asked_for(data, tmp_path, capsys):
    folder, records, predictions = data
    status, figures = evaluated(data, folder / "own.json", tmp_path, "--plots", tmp_path / "new", "--score", 0.5)
    assert status == 0
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"precision_recall.png", "errors.png"}
    assert figures["voc07_ap50"] == metrics.voc_ap(predictions, records, CLASSES).ap
    assert figures["errors"]["detections"] == sum(len(one.filter(0.5)) for one in predictions.values())


def test_figures_are_json_with_null_when_a_class_has_no_objects(data, tmp_path):
    out = tmp_path / "figures.json"
    labels = ["--data", data[0] / "devkit", "--split", "val", "--classes", *CLASSES, "--out", out]
    assert main([str(each) for each in ["evaluate", "--predictions", data[0] / "own.json", *labels]]) == 0
    assert json.loads(out.read_text())["per_class_voc07"]["fish"] is None  # of which the devkit has lists alone
    assert "NaN" not in out.read_text()


@pytest.fixture
def coco(data, tmp_path):
    """The same as a COCO json and its results: their paths, and the folder of the images."""
    _, records, predictions = data
    truth = {"images": [], "annotations": [], "categories": []}
    truth["categories"] = [{"id": 3 * label + 1, "name": name} for label, name in enumerate(CLASSES)]
    results = []
    for number, record in enumerate(records):
        name = record.path.rpartition("/")[2]
        truth["images"].append({"id": number, "file_name": name, "width": record.width, "height": record.height})
        for box, label, hard in zip(record.boxes.tolist(), record.classes.tolist(), record.difficult.tolist()):
            entry = {"id": len(truth["annotations"]) + 1, "image_id": number, "category_id": 3 * label + 1}
            truth["annotations"].append({**entry, "bbox": _corner_and_sides(box), "iscrowd": int(hard)})
        found = predictions[record.image_id]
        results += found.to_coco(number, {3 * label + 1: label for label in range(len(CLASSES))})
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(json.dumps(results))
    return tmp_path / "truth.json", tmp_path / "results.json", data[0] / "devkit" / "VOC2007" / "JPEGImages"


def _corner_and_sides(box):
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def test_coco_labels_and_results_give_the_figures_of_the_evaluator(data, coco, tmp_path):
    _, records, predictions = data
    truth, results, images = coco
    out = tmp_path / "figures.json"
    arguments = ["--data", truth, "--data-images", images, "--out", out]
    assert main([str(each) for each in ["evaluate", "--predictions", results, *arguments]]) == 0
    figures, expected = (
        json.loads(out.read_text()),
        metrics.evaluate_detections(predictions, records, CLASSES).to_dict(),
    )
    assert figures["coco_ap"] == pytest.approx(expected["coco_ap"], abs=1e-6)
    assert figures["mean_iou"] == pytest.approx(expected["mean_iou"], abs=1e-6)


def test_broken_image_is_left_out_when_its_predictions_are_missing(data, tmp_path, capsys, caplog):
    folder, records, predictions = data
    shutil.copytree(folder / "devkit", tmp_path / "devkit")
    for record in records[:2]:
        path = tmp_path / "devkit" / "VOC2007" / "JPEGImages" / pathlib.Path(record.path).name
        path.write_bytes(path.read_bytes()[:900])
    rest = {record.image_id: predictions[record.image_id] for record in records[2:]}
    metrics.save_predictions(tmp_path / "p.json", rest, CLASSES)
    arguments = ["--data", tmp_path / "devkit", "--split", "val", "--classes", *CLASSES, "--out", tmp_path / "f.json"]
    assert main([str(each) for each in ["evaluate", "--predictions", tmp_path / "p.json", *arguments]]) == 0
    assert "2 images that cannot be decoded left out: val_000000, val_000001" in caplog.text
    expected = metrics.evaluate_detections(rest, records[2:], CLASSES).to_dict()
    assert json.loads((tmp_path / "f.json").read_text())["voc07_ap50"] == pytest.approx(expected["voc07_ap50"])


def test_labels_and_predictions_are_refused_when_they_do_not_fit(data, coco, tmp_path, capsys):
    folder, _, predictions = data
    _, results, _ = coco
    voc = ["--data", folder / "devkit", "--split", "val", "--classes", *CLASSES]
    relative = {
        name: dataclasses.replace(one, boxes=one.boxes / 1000) for name, one in predictions.items()
    }  # all below a pixel
    metrics.save_predictions(tmp_path / "relative.json", relative)
    metrics.save_predictions(tmp_path / "other.json", {"nowhere": next(iter(predictions.values()))})
    (tmp_path / "comp4_det_val_unicorn.txt").write_text("")
    cases = [
        (["--predictions", tmp_path / "relative.json", *voc], "multiply relative ones"),
        (["--predictions", tmp_path / "other.json", *voc], "'nowhere' first"),
        (["--predictions", tmp_path / "comp4_det_val_unicorn.txt", *voc], "named after no class"),
        (["--predictions", tmp_path / "none.json", *voc], "there is no file of predictions"),
        (["--predictions", folder / "own.json", results, *voc], "of json files give one"),
        (["--predictions", results, *voc], "give --data the json"),
        (["--predictions", results], "no labeled images are named"),
        (["--predictions", results, "--model", "x.keras", *voc], "either --model or --predictions"),
    ]
    for arguments, message in cases:
        capsys.readouterr()
        assert main(["evaluate", *map(str, arguments)]) == 2, arguments
        last = capsys.readouterr().err.strip().splitlines()[-1]
        assert last.startswith("kerassl: ")
        assert re.search(message, last), (message, last)


def test_a_warning_is_logged_when_nothing_was_detected(data, tmp_path, caplog):
    metrics.save_predictions(tmp_path / "empty.json", dict.fromkeys(data[2], Detections([], [], [])))
    status, figures = evaluated(data, tmp_path / "empty.json", tmp_path)
    assert status == 0
    assert figures["voc10_ap50"] == 0
    assert "nothing was detected in any of 8 images" in caplog.text
