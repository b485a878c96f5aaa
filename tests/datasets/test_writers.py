"""Labels that are written in each format, and read again."""

import csv
import dataclasses
import json
import os
import pathlib
import xml.etree.ElementTree as ElementTree

import numpy as np
import PIL.Image
import pytest
import yaml
from pycocotools.coco import COCO

from kerassl import UserError
from kerassl.datasets import (
    DetectionDataset,
    LabelWeights,
    Record,
    write_coco,
    write_csv,
    write_shards,
    write_voc,
    write_yolo,
)
from kerassl.datasets.formats.annotation import renumber

pytestmark = pytest.mark.current_stack

WRITERS = {"voc": write_voc, "coco": write_coco, "yolo": write_yolo, "csv": write_csv}
NAMES = ("zebra crossing", "Größe, 2", 'a "<&>"')


def record(path, boxes=(), classes=None, difficult=False, crowd=False, size=(60, 40), image_id=None):
    count = len(boxes)
    return Record(
        image_id=image_id or str(path),
        path=str(path),
        height=size[1],
        width=size[0],
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        classes=np.array(range(count) if classes is None else classes, np.int32),
        difficult=np.full(count, difficult),
        crowd=np.full(count, crowd),
    )


@pytest.fixture
def splits(tmp_path, save_image, save_turned):
    """Names that clash, in characters of all kinds; decimals; a rotated image; and images without boxes."""
    folder = tmp_path / "photos"
    save_turned(folder / "turned.jpg", 6, (0, 0, 9, 9))
    train = [
        record(save_image(folder / "a.jpg"), [[0, 0, 60, 40], [10.1, 5.7, 30.2, 25.33333]]),
        record(save_image(folder / "more" / "a.png", seed=1), [[1 / 3, 1e-4, 59.99, 39.5]], [2], difficult=True),
        record(save_image(folder / "more" / "A_2 ä,'x'.png", seed=2)),
        record(folder / "turned.jpg", [[3, 2, 20, 50]], [1], size=(40, 60)),
    ]
    val = [
        record(save_image(folder / "b.jpg", seed=3), [[4, 5, 6, 7], [4, 5, 6, 7]], crowd=[False, True]),
        record(save_image(folder / "c.jpg", seed=4)),
    ]
    return {"train": DetectionDataset(train, NAMES), "val": DetectionDataset(val, NAMES)}


def content(record):
    return PIL.Image.open(record.path).tobytes()


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("kind", WRITERS)
def test_boxes_classes_and_images_are_the_same_when_written_and_read_again(tmp_path, splits, kind, copy, caplog):
    done = WRITERS[kind](splits, tmp_path / "out", copy=copy, progress=False)
    caplog.clear()
    for split, given in splits.items():
        read = DetectionDataset.open(tmp_path / "out", split=split, class_names=NAMES)
        assert tuple(read.class_names) == NAMES
        by_content = {content(one): one for one in read}
        assert len(by_content) == len(read) == len(given)
        for one in given:
            found, kept = by_content[content(one)], ~one.crowd if kind != "coco" else slice(None)
            assert (found.width, found.height) == (one.width, one.height)
            np.testing.assert_allclose(found.boxes, one.boxes[kept], atol=1e-3 if kind == "yolo" else 0)
            np.testing.assert_array_equal(found.classes, one.classes[kept])
            np.testing.assert_array_equal(found.crowd, one.crowd[kept])
            if kind in ("voc", "coco"):
                np.testing.assert_array_equal(found.difficult, one.difficult[kept])
            assert os.path.samefile(found.path, one.path) != copy
    assert not [each for each in caplog.records if each.levelname != "INFO"]
    assert (done.images, done.objects) == (6, 5 + (kind == "coco"))
    assert sum(done.left_out.values()) == (kind != "coco")
    assert all(path.exists() for path in done.paths)


def test_files_are_those_that_other_readers_open_when_written(tmp_path, splits):
    for kind, write in WRITERS.items():
        write(splits, tmp_path / kind, progress=False)
    coco = COCO(tmp_path / "coco" / "train.json")
    assert [each["name"] for each in coco.loadCats(coco.getCatIds())] == list(NAMES)
    entry = coco.loadImgs(coco.getImgIds())[0]
    assert (tmp_path / "coco" / "images" / entry["file_name"]).is_file()
    np.testing.assert_allclose(
        [each["bbox"] for each in coco.imgToAnns[entry["id"]]],
        [[0, 0, 60, 40], [10.1, 5.7, 20.1, 19.63333]],
        atol=1e-5,
    )
    root = ElementTree.parse(tmp_path / "voc" / "Annotations" / "a.xml").getroot()
    assert [root.findtext(f"size/{side}") for side in ("width", "height", "depth")] == ["60", "40", "3"]
    assert [[corner.text for corner in each] for each in root.iter("bndbox")] == [
        ["1", "1", "60", "40"],
        ["11.1", "6.7", "30.2", "25.33333"],
    ]
    settings = yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text(encoding="utf-8"))
    assert settings == {"train": "images/train", "val": "images/val", "names": dict(enumerate(NAMES))}
    for split in ("train", "val"):
        images = {path.stem for path in (tmp_path / "yolo" / settings[split]).iterdir()}
        assert images == {path.stem for path in (tmp_path / "yolo" / "labels" / split).iterdir()}
    with (tmp_path / "csv" / "val.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [list(row.values()) for row in rows] == [
        ["b.jpg", "60", "40", NAMES[0], "4", "5", "6", "7"],
        ["c.jpg", "60", "40", "", "", "", "", ""],
    ]


def test_coco_json_keeps_ids_areas_and_boxes_when_read_from_one(tmp_path, save_image):
    save_image(tmp_path / "in" / "a.jpg")
    stated = {"bbox": [-5, 3, 30.5, 20.25], "area": 17.5, "iscrowd": 0}
    given = {
        "images": [{"id": 42, "file_name": "a.jpg"}],
        "categories": [{"id": 7, "name": "cat"}, {"id": 90, "name": "dog"}],
        "annotations": [{"id": 3, "image_id": 42, "category_id": 90, **stated}],
    }
    (tmp_path / "in" / "given.json").write_text(json.dumps(given))
    read = DetectionDataset.from_coco(tmp_path / "in" / "given.json", tmp_path / "in")
    write_coco(read, tmp_path / "out", progress=False)
    found = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert found["categories"] == given["categories"]
    assert [(each["id"], each["file_name"]) for each in found["images"]] == [(42, "a.jpg")]
    assert found["annotations"] == [{"id": 1, "image_id": 42, "category_id": 90, **stated}]


def test_weights_reach_the_batches_when_a_coco_json_keeps_them(tmp_path, save_image, caplog):
    boxes = [[2, 3, 30, 33], [20, 4, 58, 38], [5, 5, 25, 15]]
    own = LabelWeights(np.float32([0.75, 1, 0.1]), np.float32([1, 0, 1]), np.array([False, False, True]), 0.25)
    first = dataclasses.replace(record(save_image(tmp_path / "photos" / "a.png"), boxes, [0, 1, 1]), weights=own)
    labeled = DetectionDataset([first, record(save_image(tmp_path / "photos" / "b.png", seed=1), boxes[:1])], NAMES)
    write_coco(labeled, tmp_path / "coco", progress=False)
    assert not [each for each in caplog.records if each.levelname == "WARNING"]
    read = DetectionDataset.open(tmp_path / "coco" / "annotations.json")
    labels = next(iter(read.batches(32, 2, shuffle=False)))["bounding_boxes"]
    assert labels["boxes"].shape == (2, 3, 4)
    np.testing.assert_array_equal(labels["weight"][:, :1], [[0.75], [1]])
    np.testing.assert_array_equal(labels["box_weight"][0], [1, 0, 1])
    np.testing.assert_array_equal(labels["ignore"], [[0, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(labels["background"], [[0.25] * 4, [1] * 4])
    np.testing.assert_array_equal(labels["center"], [[32, 32]] * 2)
    assert read[0].ignored.tolist() == [False, False, True]
    (some, _), _ = renumber(read, read.class_names, read.class_names[1:])
    np.testing.assert_array_equal(some.weights.weight, own.weight[1:])
    assert (some.weights.ignore.tolist(), some.weights.background) == ([False, True], 0.25)
    write_voc(read, tmp_path / "voc", progress=False)
    assert [each.args[0] for each in caplog.records if each.levelname == "WARNING"] == [1, 2]
    write_shards(read, tmp_path / "shards", progress=False)
    for folder in ("voc", "shards"):
        plain = DetectionDataset.open(tmp_path / folder)
        assert [(len(each.boxes), each.weights) for each in plain] == [(2, None), (1, None)]


def test_image_is_named_when_it_is_cut_off_and_written(tmp_path, save_image, caplog):
    path = pathlib.Path(save_image(tmp_path / "photos" / "a.jpg"))
    path.write_bytes(path.read_bytes()[:-9])
    write_csv(DetectionDataset([record(path)], ["cat"]), tmp_path / "out", progress=False)
    assert f"1 images are cut off and written as they are, first {path}" in caplog.text


def test_images_of_shards_are_files_again_when_written(tmp_path, splits):
    numbered = [dataclasses.replace(one, image_id=str(place)) for place, one in enumerate(splits["train"])]
    write_shards(splits["train"].with_records(numbered), tmp_path / "once", progress=False)
    write_shards(DetectionDataset.from_shards(tmp_path / "once"), tmp_path / "shards", progress=False)
    write_yolo(DetectionDataset.from_shards(tmp_path / "shards"), tmp_path / "out", progress=False)
    files = sorted((tmp_path / "out" / "images").iterdir())
    originals = [pathlib.Path(one.path).read_bytes() for one in splits["train"]]
    assert sorted(path.read_bytes() for path in files) == sorted(originals)
    assert all(path.suffix in (".jpg", ".png") for path in files)
    assert {path.stem for path in files} >= {pathlib.Path(one.path).stem for one in splits["train"]}


@pytest.mark.parametrize(
    ("out", "labeled", "message"),
    [
        ("photos/out", None, "is read; choose a folder outside"),
        ("photos", None, "is read; choose a folder outside"),
        (".", None, "already exists"),
        ("new", {}, "no images"),
        ("new", {"a/b": 0}, "cannot be the name of a split"),
        ("new", {"train": 0, "val": 1}, "other classes"),
    ],
)
def test_output_is_refused_and_nothing_written_when_it_makes_no_sense(tmp_path, save_image, out, labeled, message):
    rows = [record(save_image(tmp_path / "photos" / "a.jpg"))]
    given = DetectionDataset(rows, ["cat"]), DetectionDataset(rows, ["dog"])
    labeled = given[0] if labeled is None else {split: given[place] for split, place in labeled.items()}
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=message):
        write_yolo(labeled, tmp_path / out, progress=False)
    assert sorted(tmp_path.rglob("*")) == before
