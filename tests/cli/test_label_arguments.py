"""How commands take labels: classes by name or from a file, and broken labels."""

import json
import shutil

import numpy as np
import PIL.Image
import pytest

from kerassl import tasks
from kerassl.cli.main import main
from kerassl.datasets import DetectionDataset

pytestmark = pytest.mark.current_stack

OBJECT = "<object><name>{}</name><bndbox><xmin>5</xmin><ymin>6</ymin><xmax>30</xmax><ymax>25</ymax></bndbox></object>"
FORMATS = {"voc": "1 of 3 annotation files", "a.json": "1 of 6 objects", "yolo": "1 of 5 objects"}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The same three images and boxes, two cats and four dogs, as VOC, COCO and YOLO."""
    monkeypatch.chdir(tmp_path)
    for name in ("voc/Annotations", "yolo/images/train", "yolo/labels/train"):
        (tmp_path / name).mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    notes = []
    for number, names in enumerate((["cat", "dog", "dog"], ["dog"], ["cat", "dog"])):
        PIL.Image.fromarray(pixels).save(tmp_path / f"yolo/images/train/{number}.png")
        things = "".join(OBJECT.format(name) for name in names)
        (tmp_path / f"voc/Annotations/{number}.xml").write_text(f"<annotation>{things}</annotation>")
        lines = "".join(f"{['dog', 'cat'].index(name)} 0.5 0.5 0.2 0.2\n" for name in names)
        (tmp_path / f"yolo/labels/train/{number}.txt").write_text(lines)
        for name in names:
            category = {"cat": 1, "dog": 2}[name]
            notes.append({"id": len(notes), "image_id": number, "category_id": category, "bbox": [5, 6, 9, 9]})
    shutil.copytree(tmp_path / "yolo/images/train", tmp_path / "voc/JPEGImages")
    (tmp_path / "yolo/data.yaml").write_text("names: [dog, cat]\n")
    images = [{"id": number, "file_name": f"voc/JPEGImages/{number}.png"} for number in range(3)]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": notes, "categories": categories}))
    return tmp_path


@pytest.mark.parametrize("form", FORMATS)
def test_classes_are_read_in_the_order_of_a_file_and_others_left_out(data, form):
    (data / "names.txt").write_text("dog\ncat\n", encoding="utf-16")
    for given, boxes in ((["names.txt"], [4, 2]), ("names.txt", [4, 2]), (["cat"], [2])):
        found = tasks.inspect(data=form, classes=given).labels
        assert found.classes == ("dog", "cat")[-len(boxes) :]
        assert found.boxes.tolist() == boxes


@pytest.mark.parametrize("form", FORMATS)
def test_many_broken_labels_are_refused_unless_they_are_allowed(data, capsys, form):
    for path in ("voc/Annotations/2.xml", "yolo/labels/train/2.txt"):
        (data / path).write_text("nothing")
    (data / "a.json").write_text((data / "a.json").read_text().replace('"category_id": 1', '"category_id": 8', 1))
    assert main(["shards", "--data", form, "--out", "s"]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert FORMATS[form] in line
    assert line.endswith("fix them, or leave them out with --allow-broken-labels")
    assert not (data / "s").exists()
    found = tasks.inspect([form])  # which is for finding them
    assert len(found.labels.per_image) == (2 if form == "voc" else 3)
    assert main(["shards", "--data", form, "--allow-broken-labels", "--out", "s"]) == 0
    assert len(DetectionDataset.from_shards("s")) == (2 if form == "voc" else 3)
