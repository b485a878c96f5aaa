"""COCO's figures of random pairs of json files, read by our readers, against pycocotools on the same files."""

import contextlib
import dataclasses
import io
import json

import numpy as np
import PIL.Image
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from kerassl.datasets import DetectionDataset
from kerassl.metrics import coco_ap, load_coco_results

pytestmark = pytest.mark.current_stack  # NumPy alone: both stacks would find out the same

KEYS = [
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
    "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large",
]  # fmt: skip
# Numbers as the files have them, in no order: as text, 10 would come before 9. Image 40 has nothing.
IMAGES, CATEGORIES = [9, 10, 2, 300, 40], {7: "dog", 3: "cat", 90: "owl", 4: "nothing"}


def _oracle(truth, results):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(truth))
        evaluation = COCOeval(coco, coco.loadRes(str(results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [np.nan if value == -1 else value for value in evaluation.stats]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of 200 x 150 pixels."""
    folder = tmp_path_factory.mktemp("images")
    for key in IMAGES:
        PIL.Image.new("RGB", (200, 150)).save(folder / f"{key}.png")
    return folder


def _box(rng, grid):
    """On a grid overlaps and thresholds tie, off it they are floats of many digits; some reach out of the image."""
    corner, sides = rng.uniform(-10, 120, 2), rng.uniform(2, 120, 2)
    box = np.concatenate([corner, sides])
    return [float(each) for each in (np.maximum(np.round(box / grid), [-9, -9, 1, 1]) * grid if grid else box)]


def _near(rng, box):
    """The same box, or its part of 50 to 95 % in one direction: its IoU is a threshold, up to the rounding."""
    x, y, width, height = box
    share = rng.choice([1.0, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95])
    return [x, y, width * share, height] if rng.uniform() < 0.5 else [x, y, width, height * share]


def _pair(seed):
    rng = np.random.default_rng(seed)
    grid = (0, 0.1, 1, 10)[seed % 4]
    crowds, categories = (0, 0.3, 0.6)[seed % 3], list(CATEGORIES)[:3]
    annotations, results = [], []
    for image in IMAGES[:-1]:
        truth = []
        for _ in range(rng.integers(0, 7)):
            box = _box(rng, grid)
            truth.append(
                {
                    "id": int(len(annotations) + len(truth) + 1),
                    "image_id": image,
                    "category_id": int(rng.choice(categories)),
                    "bbox": box,
                    "area": box[2] * box[3] * float(rng.choice([1, 0.6])),
                    "iscrowd": int(rng.uniform() < crowds),
                }
            )
        annotations += truth
        for _ in range(rng.integers(0, 25) if seed % 5 else 130):
            near = truth and rng.uniform() < 0.7
            one = truth[rng.integers(len(truth))] if near else None
            category = one["category_id"] if near and rng.uniform() < 0.8 else int(rng.choice(categories))
            box = _near(rng, one["bbox"]) if near else _box(rng, grid)
            entry = {"image_id": image, "category_id": category, "bbox": box}
            results += [{**entry, "score": float(rng.integers(0, 8) / 7)}] * int(1 + (rng.uniform() < 0.1))
    images = [{"id": key, "file_name": f"{key}.png", "width": 200, "height": 150} for key in IMAGES]
    rng.shuffle(results)
    rng.shuffle(annotations)
    named = [{"id": key, "name": name} for key, name in CATEGORIES.items()]
    return {"images": images, "annotations": list(annotations), "categories": named}, list(results)


def _scored(truth, results, folder, classes=None):
    records = DetectionDataset.from_coco(truth, folder, class_names=classes)
    predictions = load_coco_results(results, records.categories, [each.image_id for each in records])
    return coco_ap(predictions, records, records.class_names, sizes=True).to_dict()


@pytest.mark.parametrize("seed", range(60))
def test_twelve_metrics_are_those_of_pycocotools_when_files_are_random(folder, tmp_path, seed):
    truth, results = tmp_path / "truth.json", tmp_path / "results.json"
    content, found = _pair(seed)
    truth.write_text(json.dumps(content))
    results.write_text(json.dumps(found))
    # In another order of the classes, too: which number a class has is no part of the figures.
    for classes in (None, list(CATEGORIES.values())):
        ours = _scored(truth, results, folder, classes)
        np.testing.assert_allclose([ours[key] for key in KEYS], _oracle(truth, results), rtol=0, atol=1e-9)


def test_metrics_are_those_of_pycocotools_when_objects_have_no_area_are_outside_or_have_id_0(folder, tmp_path, caplog):
    truth, results = tmp_path / "truth.json", tmp_path / "results.json"
    content, found = _pair(1)
    for one, box in zip(content["annotations"], ([30, 30, 0, 20], [300, 10, 20, 20], [5, 5, 1e-9, 1e-9])):
        one["bbox"], one["iscrowd"] = box, 0
    next(one for one in content["annotations"][3:] if not one["iscrowd"])["id"] = 0
    truth.write_text(json.dumps(content))
    results.write_text(json.dumps([*found, {**found[0], "bbox": [5, 5, 1e-9, 0], "score": 2}]))
    ours = _scored(truth, results, folder)
    np.testing.assert_allclose([ours[key] for key in KEYS], _oracle(truth, results), rtol=0, atol=1e-9)
    assert "has the id 0, which pycocotools takes for none" in caplog.text


def test_boxes_that_were_changed_since_are_scored_when_records_or_predictions_are_of_files(folder, tmp_path):
    truth, results = tmp_path / "truth.json", tmp_path / "results.json"
    content = {
        "images": [{"id": 2, "file_name": "2.png"}],
        "annotations": [{"id": 1, "image_id": 2, "category_id": 7, "bbox": [10, 10, 40, 40], "iscrowd": 0}],
        "categories": [{"id": 7, "name": "dog"}],
    }
    truth.write_text(json.dumps(content))
    results.write_text(json.dumps([{"image_id": 2, "category_id": 7, "bbox": [10, 10, 40, 40], "score": 1}]))
    (record,) = labeled = DetectionDataset.from_coco(truth, folder)
    predictions = load_coco_results(results, labeled.categories, ["2"])
    assert record.named.names == ("dog",)
    moved = dataclasses.replace(record, boxes=record.boxes + 50)
    assert coco_ap(predictions, [record], ["dog"]).ap == pytest.approx(1)
    assert coco_ap(predictions, [moved], ["dog"]).ap == 0
    predictions = {"2": dataclasses.replace(predictions["2"], boxes=predictions["2"].boxes + 50)}
    assert coco_ap(predictions, [moved], ["dog"]).ap == pytest.approx(1)
    assert coco_ap(predictions, [record], ["dog"]).ap == 0
