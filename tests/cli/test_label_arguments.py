"""Arguments of commands that take labels: classes by name or from a file, broken labels, folders without a year."""

import json
import shutil

import numpy as np
import PIL.Image
import pytest

from kerassl.cli.main import main
from kerassl.config.config import read_config
from kerassl.runs.sources import labeled_split
from kerassl.tasks.inspect import find

pytestmark = pytest.mark.current_stack

OBJECT = "<object><name>{}</name><bndbox><xmin>5</xmin><ymin>6</ymin><xmax>30</xmax><ymax>25</ymax></bndbox></object>"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The same three images and boxes, two cats and four dogs, as VOC, COCO and YOLO."""
    monkeypatch.chdir(tmp_path)
    for name in ("voc/Annotations", "voc/ImageSets/Main", "images/train", "labels/train"):
        (tmp_path / name).mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    notes = []
    for number, names in enumerate((["cat", "dog", "dog"], ["dog"], ["cat", "dog"])):
        PIL.Image.fromarray(pixels).save(tmp_path / f"images/train/{number}.png")
        things = "".join(OBJECT.format(name) for name in names)
        (tmp_path / f"voc/Annotations/{number}.xml").write_text(f"<annotation>{things}</annotation>")
        lines = "".join(f"{['dog', 'cat'].index(name)} 0.5 0.5 0.2 0.2\n" for name in names)
        (tmp_path / f"labels/train/{number}.txt").write_text(lines)
        for name in names:
            category = {"cat": 1, "dog": 2}[name]
            notes.append({"id": len(notes), "image_id": number, "category_id": category, "bbox": [5, 6, 9, 9]})
    shutil.copytree(tmp_path / "images/train", tmp_path / "voc/JPEGImages")
    for split in ("train", "val"):
        (tmp_path / f"voc/ImageSets/Main/{split}.txt").write_text("0\n1\n2\n")
    (tmp_path / "data.yaml").write_text("names: [dog, cat]\n")
    images = [{"id": number, "file_name": f"{number}.png"} for number in range(3)]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": notes, "categories": categories}))
    return tmp_path


INSPECT = {
    "voc": ["inspect", "voc"],
    "coco": ["inspect", "--coco", "a.json", "images/train"],
    "yolo": ["inspect", "--yolo", "images/train"],
}
SHARDS = {
    "voc": ["shards", "--voc", "voc"],
    "coco": ["shards", "--coco", "a.json", "--images", "images/train"],
    "yolo": ["shards", "--yolo", "--images", "images/train"],
}


def refused(capsys, *arguments):
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    line = err.strip().splitlines()[-1]
    assert line.startswith("kerassl: ")
    return line


@pytest.mark.parametrize("form", INSPECT)
def test_a_class_that_the_data_lack_is_refused_with_the_closest(data, capsys, form):
    line = refused(capsys, *INSPECT[form], "--classes", "dog", "catt")
    assert "'catt'; did you mean 'cat'" in line
    assert "cannot be read (No such file" in refused(capsys, *INSPECT[form], "--classes", "config.yaml")
    assert "classes=" not in line


@pytest.mark.parametrize(
    "labels",
    [
        {"paths": [], "voc": "voc", "coco": None},
        {"paths": ["images/train"], "voc": None, "coco": "a.json"},
        {"paths": ["images/train"], "voc": None, "coco": None, "yolo": True},
    ],
)
def test_a_file_of_names_is_read_when_classes_is_its_path(data, labels):
    (data / "names.txt").write_text("dog\ncat\n", encoding="utf-16")
    for given in ("names.txt", "data.yaml"):
        found = find(**labels, year=None, split=None, classes=[given])
        assert found.classes == ("dog", "cat")
        assert [sorted(record.classes.tolist()) for record in found.records] == [[0, 0, 1], [0], [0, 1]]


@pytest.mark.parametrize(("form", "source"), [("coco", "a.json"), ("yolo", "labels/train")])
def test_objects_that_classes_leaves_out_are_counted(data, caplog, form, source):
    assert main([*INSPECT[form], "--classes", "cat"]) == 0
    (line,) = [line for line in caplog.messages if "left out" in line]
    assert line.endswith(f"{source}: 4 objects of 1 classes that were not asked for left out: dog 4")


def test_a_class_that_no_object_has_is_refused(data, capsys):
    line = refused(capsys, "views", "--out", "v.png", "--voc", "voc", "--classes", "cat", "dog", "bird")
    assert "voc has no class 'bird'; it has 2: cat, dog" in line


@pytest.mark.parametrize("form", SHARDS)
def test_many_broken_labels_are_refused_unless_they_are_allowed(data, capsys, form):
    for path in ("voc/Annotations/2.xml", "labels/train/2.txt"):
        (data / path).write_text("nothing")
    (data / "a.json").write_text((data / "a.json").read_text().replace('"category_id": 1', '"category_id": 8', 1))
    line = refused(capsys, *SHARDS[form], "--out", "s")
    assert {"voc": "1 of 3 annotation files", "coco": "1 of 6 objects", "yolo": "1 of 5 objects"}[form] in line
    assert line.endswith("fix them, or leave them out with --allow-broken-labels")
    assert not (data / "s").exists()
    assert main(INSPECT[form]) == 0  # which is for finding them
    assert f"annotated: {2 if form == 'voc' else 3} images" in capsys.readouterr().out
    if form == "voc":
        assert main([*SHARDS[form], "--allow-broken-labels", "--out", "s"]) == 0
        assert "2 images in 1 shards" in capsys.readouterr().out


def test_a_folder_without_a_year_is_read_by_flags_and_by_a_configuration(data, capsys):
    views = ["views", "--out", "w.png", "--image-size", "32"]
    flags = read_config(None, {"data.voc.root": "voc"})
    assert len(labeled_split(flags, "train", ["cat", "dog"])) == 3
    (data / "c.yaml").write_text("data: {voc: {root: voc, year: null, classes: data.yaml}}\n")
    config = read_config("c.yaml")
    assert config.data.voc.year is None
    assert len(labeled_split(config, "val", config.data.voc.classes)) == 3
    line = refused(capsys, *views, "--voc", "voc", "--year", "2012", "--classes", "cat", "dog")
    assert "voc holds no VOC2012, but images itself; leave the year out" in line
    for year in (2007, 2012):
        shutil.copytree(data / "voc", data / f"kit/VOC{year}")
    line = refused(capsys, *views, "--voc", "kit", "--classes", "cat", "dog")
    assert line.endswith("kit holds the years 2007, 2012; give one of them: kit/VOC2007 or kit/VOC2012")


def test_classes_of_a_configuration_are_names_or_their_file(data):
    (data / "c.yaml").write_text("data: {voc: {root: voc, classes: data.yaml}}\n")
    assert read_config("c.yaml").data.voc.classes == ["dog", "cat"]
    flags = {"data.voc.root": "voc", "data.voc.classes": ["data.yaml"], "data.allow_broken_labels": True}
    config = read_config(None, flags)
    assert config.data.voc.classes == ["dog", "cat"]
    assert config.data.allow_broken_labels


def test_yolo_is_read_from_within_its_folder(data, capsys, monkeypatch):
    for folder, path in (("images", "train"), ("images/train", ".")):
        monkeypatch.chdir(data / folder)
        assert main(["inspect", "--yolo", path]) == 0
        assert "boxes: 6" in capsys.readouterr().out
