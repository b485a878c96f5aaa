"""`DetectionDataset.open`: what labelImg, CVAT, Label Studio, Roboflow, FiftyOne and others write."""

import json
import os
import subprocess
import sys
import typing

import numpy as np
import PIL.Image
import pytest

from kerassl import UserError
from kerassl.datasets import DetectionDataset, own_splits

pytestmark = pytest.mark.current_stack

NAMES = ["cat", "dog", "owl"]


class Sample(typing.NamedTuple):
    """An image, its split, and its objects: name of the class and xyxy."""

    stem: str
    split: str
    width: int
    height: int
    objects: list

    @property
    def file(self):
        return f"{self.stem}.jpg"


SAMPLES = [
    Sample("a b", "train", 60, 40, [("dog", (3, 5, 23, 16)), ("cat", (10, 20, 60, 40))]),
    Sample("c.rf.0f3a", "train", 50, 70, [("owl", (0, 0, 9, 70))]),
    Sample("empty", "train", 40, 30, []),
    Sample("é", "val", 48, 48, [("dog", (1, 2, 47, 46)), ("dog", (4, 4, 20, 30))]),
    Sample("x1", "test", 64, 32, [("cat", (16, 8, 32, 24))]),
]


def save(path, text=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def photo(path, sample):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(np.full((sample.height, sample.width, 3), 90, np.uint8)).save(path)


def photos(folder, samples=SAMPLES):
    for sample in samples:
        photo(folder / sample.file, sample)


def of(split):
    return [sample for sample in SAMPLES if sample.split == split]


SPLITS = {"train": "train", "val": "valid", "test": "test"}  # as Roboflow calls its folders


def voc_xml(sample, file=None):
    objects = "".join(
        f"<object><name>{name}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult><bndbox>"
        f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, (x0, y0, x1, y1) in sample.objects
    )
    return (
        f"<annotation><folder/><filename>{file or sample.file}</filename><source><database>Unknown</database></source>"
        f"<size><width>{sample.width}</width><height>{sample.height}</height><depth>3</depth></size><segmented>0"
        f"</segmented>{objects}</annotation>"
    )


def coco_json(samples, prefix="", first=1):
    images = [
        {"id": first + number, "file_name": prefix + each.file, "width": each.width, "height": each.height}
        for number, each in enumerate(samples)
    ]
    boxes = [
        {"image_id": first + number, "category_id": first + NAMES.index(name), "bbox": [x0, y0, x1 - x0, y1 - y0]}
        | {"area": (x1 - x0) * (y1 - y0), "iscrowd": 0, "segmentation": []}
        for number, each in enumerate(samples)
        for name, (x0, y0, x1, y1) in each.objects
    ]
    boxes = [{"id": first + number, **each} for number, each in enumerate(boxes)]
    categories = [{"id": first + number, "name": name, "supercategory": ""} for number, name in enumerate(NAMES)]
    return json.dumps({"info": {}, "licenses": [], "images": images, "annotations": boxes, "categories": categories})


def yolo_lines(sample):
    wide, high = sample.width, sample.height
    return "".join(
        f"{NAMES.index(name)} {(x0 + x1) / 2 / wide:.6f} {(y0 + y1) / 2 / high:.6f} {(x1 - x0) / wide:.6f} "
        f"{(y1 - y0) / high:.6f}\n"
        for name, (x0, y0, x1, y1) in sample.objects
    )


def table(samples, prefix="", header=True):
    rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"] if header else []
    for each in samples:
        for name, (x0, y0, x1, y1) in each.objects or [("", [""] * 4)]:
            size = f"{each.width},{each.height}"
            corners = f"{x0},{y0},{x1},{y1}"
            rows.append(
                f"{prefix}{each.file},{size},{name},{corners}" if header else f"{prefix}{each.file},{corners},{name}"
            )
    return "\n".join(rows) + "\n"


# Each writes into a folder and returns the path to open.


def labelimg_voc(root):
    photos(root)
    for each in SAMPLES:
        save(root / f"{each.stem}.xml", voc_xml(each))
    return root


def labelimg_voc_apart(root):
    photos(root / "images")
    for each in SAMPLES:
        save(root / "annots" / f"{each.stem}.xml", voc_xml(each))
    return root / "annots"


def labelimg_yolo(root):
    photos(root)
    save(root / "classes.txt", "\n".join(NAMES) + "\n")
    for each in SAMPLES:
        save(root / f"{each.stem}.txt", yolo_lines(each))
    return root


def voc_named_by_file_name(root):
    """Names of the XML files that are not those of the images."""
    photos(root / "img")
    for number, each in enumerate(SAMPLES):
        save(root / "ann" / f"{each.stem if number else 'label-0'}.xml", voc_xml(each))
    return root


def cvat_voc(root):
    photos(root / "JPEGImages")
    for each in SAMPLES:
        save(root / "Annotations" / f"{each.stem}.xml", voc_xml(each))
    for split in SPLITS:
        save(root / "ImageSets" / "Main" / f"{split}.txt", "".join(f"{each.stem}\n" for each in of(split)))
    save(root / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:1,2,3::\n")
    return root


def cvat_coco(root):
    photos(root / "images" / "default")
    save(root / "annotations" / "instances_default.json", coco_json(SAMPLES))
    return root


def cvat_yolo(root):
    photos(root / "obj_train_data")
    for each in SAMPLES:
        save(root / "obj_train_data" / f"{each.stem}.txt", yolo_lines(each))
    for split in ("train", "val"):
        chosen = [each for each in SAMPLES if (each.split == "train") == (split == "train")]
        lines = "".join(f"data/obj_train_data/{each.file}\n" for each in chosen)
        save(root / f"{SPLITS[split]}.txt", lines)
    save(root / "obj.names", "\n".join(NAMES) + "\n")
    lines = ["classes = 3", "train = data/train.txt", "valid = data/valid.txt", "names = data/obj.names"]
    save(root / "obj.data", "\n".join([*lines, "backup = backup/"]) + "\n")
    return root


def cvat_ultralytics(root):
    yolo_folders(root, "{kind}/{split}")
    for split in SPLITS:
        save(root / f"{split}.txt", "".join(f"data/images/{split}/{each.file}\n" for each in of(split)))
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(NAMES))
    save(root / "data.yaml", "path: .\n" + "".join(f"{split}: {split}.txt\n" for split in SPLITS) + f"names:\n{names}")
    return root


def label_studio_voc(root):
    photos(root / "images")
    for each in SAMPLES:
        save(root / "Annotations" / f"{each.stem}.xml", voc_xml(each, each.stem))
    return root


def label_studio_coco(root):
    photos(root / "images")
    save(root / "result.json", coco_json(SAMPLES, "images\\", 0))
    return root


def label_studio_yolo(root):
    photos(root / "images")
    for each in SAMPLES:
        save(root / "labels" / f"{each.stem}.txt", yolo_lines(each))
    save(root / "classes.txt", "\n".join(NAMES) + "\n")
    categories = [{"id": number, "name": name} for number, name in enumerate(NAMES)]
    save(root / "notes.json", json.dumps({"categories": categories, "info": {"version": "1.0"}}))
    return root


def roboflow_voc(root):
    for split, folder in SPLITS.items():
        photos(root / folder, of(split))
        for each in of(split):
            save(root / folder / f"{each.stem}.xml", voc_xml(each))
    save(root / "README.dataset.txt", "# pets\n")
    return root


def roboflow_coco(root):
    for split, folder in SPLITS.items():
        photos(root / folder, of(split))
        content = json.loads(coco_json(of(split)))
        pets = {"id": 0, "name": "pets", "supercategory": "none"}
        content["categories"] = [pets, *({**each, "supercategory": "pets"} for each in content["categories"])]
        save(root / folder / "_annotations.coco.json", json.dumps(content))
    return root


def yolo_folders(root, pattern, splits=None):
    for split in SPLITS:
        name = (splits or {}).get(split, split)
        photos(root / pattern.format(kind="images", split=name), of(split))
        for each in of(split):
            save(root / pattern.format(kind="labels", split=name) / f"{each.stem}.txt", yolo_lines(each))


def roboflow_yolo(root):
    yolo_folders(root, "{split}/{kind}", SPLITS)
    folders = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n"
    save(root / "data.yaml", f"{folders}\nnc: 3\nnames: ['cat', 'dog', 'owl']\n\nroboflow:\n  version: 2\n")
    save(root / "README.roboflow.txt", "pets\n")
    return root


def roboflow_csv(root):
    for split, folder in SPLITS.items():
        photos(root / folder, of(split))
        save(root / folder / "_annotations.csv", table(of(split)))
    return root


def fiftyone_voc(root):
    photos(root / "data")
    for each in SAMPLES:
        save(root / "labels" / f"{each.stem}.xml", voc_xml(each))
    return root


def fiftyone_coco(root):
    photos(root / "data")
    save(root / "labels.json", coco_json(SAMPLES))
    return root


def fiftyone_yolo(root):
    yolo_folders(root, "{kind}/{split}")
    splits = "".join(f"{split}: ./images/{split}/\n" for split in SPLITS)
    save(root / "dataset.yaml", f"path: {root}\n{splits}names:\n- cat\n- dog\n- owl\n")
    return root / "dataset.yaml"


def yolo_with_lists_of_folders(root):
    yolo_folders(root / "pets", "{kind}/{split}")
    splits = "train: [images/train]\nval:\n  - images/val\ntest: # none\n"
    save(root / "pets.yaml", f"path: ../datasets/pets\n{splits}names: {{0: cat, 1: dog, 2: owl}}\n")
    return root / "pets.yaml"


def darknet_voc(root):
    photos(root / "JPEGImages")
    for each in SAMPLES:
        save(root / "labels" / f"{each.stem}.txt", yolo_lines(each))
    save(root / "pets.names", "\n".join(NAMES))
    return root


def yolo_without_a_yaml(root):
    yolo_folders(root, "{kind}/{split}")
    save(root / "classes.txt", "\n".join(NAMES))
    return root


def coco_2017(root):
    for split in SPLITS:
        photos(root / f"{split}2017", of(split))
        save(root / "annotations" / f"instances_{split}2017.json", coco_json(of(split)))
    return root


def coco_beside_photos(root):
    photos(root / "my photos")
    photo(root / "others" / SAMPLES[0].file, SAMPLES[1])
    photos(root.parent / "other pets")
    save(root / "annotations.json", coco_json(SAMPLES))
    return root / "annotations.json"


def cvat_xml(subsets=None):
    """As CVAT for images exports it: with polygons and tags of whole images."""
    images = ""
    for number, each in enumerate(SAMPLES):
        shapes = "".join(
            f'<box label="{name}" source="manual" occluded="0" xtl="{x0}.00" ytl="{y0}.00" xbr="{x1}.00" ybr="{y1}.00" '
            f'z_order="0"><attribute name="hidden">false</attribute></box>'
            if (x0 + y0) % 2 == 0
            else f'<polygon label="{name}" occluded="0" points="{x0}.0,{y0}.0;{x1}.0,{y0}.0;{x0}.0,{y1}.0"></polygon>'
            for name, (x0, y0, x1, y1) in each.objects
        )
        subset = f'subset="{subsets[each.split]}" task_id="7" ' if subsets else ""
        images += f'<image id="{number}" name="{each.file}" {subset}width="{each.width}" height="{each.height}">'
        images += f'{shapes}<tag label="night" source="manual"></tag></image>'
    labels = "".join(f"<label><name>{name}</name><color>#fff</color></label>" for name in NAMES)
    meta = f"<meta><task><name>pets</name><labels>{labels}</labels></task></meta>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{meta}{images}</annotations>'


def cvat_images(root):
    photos(root / "images")
    save(root / "annotations.xml", cvat_xml())
    return root


def cvat_project(root):
    subsets = {"train": "Train", "val": "Validation", "test": "Test"}
    for split, subset in subsets.items():
        photos(root / "images" / subset, of(split))
    save(root / "annotations.xml", cvat_xml(subsets))
    return root / "annotations.xml"


def box_lines(samples, prefix=""):
    return "".join(
        " ".join(
            [f"{prefix}{each.file}", *(f"{','.join(map(str, box))},{NAMES.index(name)}" for name, box in each.objects)]
        )
        + "\n"
        for each in samples
    )


def roboflow_lines(root):
    for split, folder in SPLITS.items():
        photos(root / folder, of(split))
        save(root / folder / "_annotations.txt", box_lines(of(split)))
        save(root / folder / "_classes.txt", "\n".join(NAMES))
    return root


def keras_yolo3(root):
    photos(root / "images")
    save(root / "train.txt", box_lines(SAMPLES, "images/"))
    save(root / "classes.txt", "\n".join(NAMES))
    return root / "train.txt"


def keras_retinanet(root):
    photos(root / "images")
    save(root / "annotations.csv", table(SAMPLES, "images/", header=False))
    save(root / "classes.csv", "cat,0\ndog,1\nowl,2\n")
    return root


def tensorflow_tutorial(root):
    photos(root / "images")
    for split in ("train", "test"):
        chosen = [each for each in SAMPLES if (each.split == "train") == (split == "train")]
        save(root / "data" / f"{split}_labels.csv", table(chosen))
    return root


WRITERS = [
    labelimg_voc, labelimg_voc_apart, labelimg_yolo, voc_named_by_file_name, cvat_voc, cvat_coco, cvat_yolo,
    cvat_ultralytics, label_studio_voc, label_studio_coco, label_studio_yolo, roboflow_voc, roboflow_coco,
    roboflow_yolo, roboflow_csv, fiftyone_voc, fiftyone_coco, fiftyone_yolo, yolo_with_lists_of_folders,
    darknet_voc, yolo_without_a_yaml, coco_2017, coco_beside_photos, keras_retinanet, tensorflow_tutorial,
    cvat_images, cvat_project, roboflow_lines, keras_yolo3,
]  # fmt: skip
# Where other than the splits of the samples are defined: the splits, and those in which the test image is.
OWN = {
    **dict.fromkeys(("labelimg_voc", "labelimg_voc_apart", "labelimg_yolo", "voc_named_by_file_name", "cvat_coco"), ()),
    **dict.fromkeys(("label_studio_voc", "label_studio_coco", "label_studio_yolo", "fiftyone_voc", "darknet_voc"), ()),
    **dict.fromkeys(("fiftyone_coco", "coco_beside_photos", "keras_retinanet", "cvat_images", "keras_yolo3"), ()),
    "cvat_yolo": ("train", "val"),
    "yolo_with_lists_of_folders": ("train", "val"),
    "tensorflow_tutorial": ("train", "test"),
}


def content(data):
    """The objects by file name."""
    return {
        os.path.basename(record.path): [
            (data.class_names[k], tuple(box)) for k, box in zip(record.classes, record.boxes)
        ]
        for record in data
    }


def assert_same(data, samples):
    found = content(data)
    assert sorted(found) == sorted(each.file for each in samples)
    for each in samples:
        assert [name for name, _ in found[each.file]] == [name for name, _ in each.objects]
        for (_, box), (_, expected) in zip(found[each.file], each.objects):
            np.testing.assert_allclose(box, expected, atol=1e-3)
    assert len({record.image_id for record in data}) == len(data)


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_gives_the_same_boxes_when_tools_export_them(tmp_path, caplog, write):
    caplog.set_level("INFO", "kerassl")
    path = write(tmp_path / "datasets" / "pets")
    splits = OWN.get(write.__name__, tuple(SPLITS))
    assert own_splits(path) == splits
    data = DetectionDataset.open(path, strict=True)
    (line,) = [line for line in caplog.messages if " is read as " in line]
    assert line.startswith(f"{path} is read as ")
    assert list(data.class_names) == NAMES
    inside = [each for each in SAMPLES if write is not yolo_with_lists_of_folders or each.split != "test"]
    assert_same(data, inside)
    others = "val" if "val" in splits else "test"
    for split in splits:
        part = DetectionDataset.open(path, split=split, strict=True)
        assert list(part.class_names) == NAMES
        assert_same(part, [each for each in inside if (each.split if each.split in splits else others) == split])
    chosen = DetectionDataset.open(path, class_names=["owl", "dog"])
    kept = [each._replace(objects=[one for one in each.objects if one[0] != "cat"]) for each in inside]
    assert list(chosen.class_names) == ["owl", "dog"]
    assert_same(chosen, kept)


def test_every_shape_of_cvat_becomes_the_box_around_it(tmp_path, caplog):
    photo(tmp_path / "a.jpg", Sample("a", "train", 100, 80, []))
    shapes = (
        '<box label="b" xtl="40" ytl="30" xbr="60" ybr="40" rotation="90"/>'
        '<ellipse label="a" cx="50" cy="40" rx="20" ry="10" rotation="30"/>'
        '<mask label="a" rle="1" left="3" top="4" width="5" height="6"/>'
        '<polyline label="b" points="1,1;2,2"/><box label="b" xtl="1" ytl="1" xbr="x" ybr="2"/>'
    )
    labels = "<labels><label><name>b</name></label><label><name>a</name></label></labels>"
    text = f'<annotations><meta>{labels}</meta><image name="a.jpg">{shapes}</image></annotations>'
    save(tmp_path / "annotations.xml", text)
    data = DetectionDataset.open(tmp_path / "annotations.xml", allow_broken=True)
    assert data.class_names == ("b", "a")
    around = np.linspace(0, 2 * np.pi, 9999)
    outline = (20 * np.cos(around) + 10j * np.sin(around)) * np.exp(1j * np.radians(30))
    wide, high = outline.real.max(), outline.imag.max()
    expected = [[45, 25, 55, 45], [50 - wide, 40 - high, 50 + wide, 40 + high], [3, 4, 8, 10]]
    np.testing.assert_allclose(data[0].boxes, expected, atol=1e-3)
    assert data[0].classes.tolist() == [0, 1, 1]
    assert "1 shapes that have no box left out" in caplog.text
    assert "1 rows that cannot be read left out" in caplog.text


@pytest.mark.parametrize("number", [1, 2, 40])
@pytest.mark.parametrize("broken", ["1,2,x,40,0", "1,2,30,40,0 1,2,x,40,0", "1,2,x,40,0 1,2,30,40,0", "1,2,40,0"])
def test_a_line_of_boxes_is_named_and_left_out_when_it_is_broken(tmp_path, caplog, number, broken):
    photos(tmp_path)
    lines = ["a b.jpg 3,4,9,9,0"] * 40
    lines[number - 1] = f"é.jpg {broken}"
    save(tmp_path / "_annotations.txt", "\n".join(lines))
    save(tmp_path / "_classes.txt", "dog")
    data = DetectionDataset.open(tmp_path)
    assert sum(len(record.boxes) for record in data) == 39 + broken.count("30")
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert f"_annotations.txt, line {number}: 'é.jpg {broken}' has a box that is no four numbers and a class" in line


@pytest.mark.parametrize("name", [".", "..", "labels", "../images"])
def test_relative_folders_are_read_like_whole_ones(tmp_path, monkeypatch, name):
    root = tmp_path / "pets"
    photos(root / "images")
    for each in SAMPLES:
        save(root / "labels" / f"{each.stem}.txt", yolo_lines(each))
    save(root / "data.yaml", "names: [cat, dog, owl]\n")
    monkeypatch.chdir({".": root, "labels": root}.get(name, root / "labels"))
    assert_same(DetectionDataset.open(name, strict=True), SAMPLES)


@pytest.mark.parametrize("kind", ["voc", "coco", "csv", "yolo", "data.yaml"])
def test_images_are_those_of_the_folder_that_is_named(tmp_path, kind):
    photos(tmp_path / "far" / "elsewhere")
    root = tmp_path / "labels"
    for each in SAMPLES if kind in ("voc", "yolo", "data.yaml") else ():
        suffix, text = ("xml", voc_xml(each)) if kind == "voc" else ("txt", yolo_lines(each))
        save(root / f"{each.stem}.{suffix}", text)
    if kind == "coco":
        save(root / "boxes.json", coco_json(SAMPLES, "../../label-studio/data/media/upload/1/"))
    if kind == "csv":
        save(root / "boxes.csv", table(SAMPLES))
    if kind in ("yolo", "data.yaml"):
        save(root / "data.yaml", "train: gone\nnames: [cat, dog, owl]\n")
    path = root / kind if kind == "data.yaml" else root
    assert_same(DetectionDataset.open(path, tmp_path / "far" / "elsewhere", strict=True), SAMPLES)
    if kind not in ("yolo", "data.yaml"):
        assert "give the folder of the images as images" in refused(path)
        (tmp_path / "far" / "elsewhere").rename(root / "my photos")
        assert_same(DetectionDataset.open(path, strict=True), SAMPLES)


def refused(path, *args, **options):
    with pytest.raises(UserError) as error:
        DetectionDataset.open(path, *args, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def both(root):
    labelimg_voc(root)
    save(root / "boxes.json", coco_json(SAMPLES))
    return root


def xml_and_yolo(root):
    labelimg_voc(root)
    for each in SAMPLES:
        save(root / f"{each.stem}.txt", yolo_lines(each))
    return root


def two_jsons(root):
    photos(root)
    for name in ("first", "second"):
        save(root / f"{name}.json", coco_json(SAMPLES))
    return root


def two_yamls(root):
    yolo_folders(root, "{kind}/{split}")
    for name in ("first", "second"):
        save(root / f"{name}.yaml", "train: images/train\nnames: [cat, dog, owl]\n")
    return root


def two_copies(root):
    """Images of the same names in two folders: either may be meant."""
    photos(root / "small")
    photos(root / "large")
    save(root / "labels.json", coco_json(SAMPLES))
    return root


def two_years(root):
    for year in (2007, 2012):
        cvat_voc(root / f"VOC{year}")
    return root


def file(name, text=""):
    def write(root):
        photos(root)
        save(root / name, text)
        return root / name

    return write


def only_images(root):
    photos(root)
    for suffix in ("txt", "json", "csv", "yaml", "xml", "data"):
        os.mkfifo(root / f"pipe.{suffix}")
    return root


def captions(root):
    photos(root)
    for each in SAMPLES:
        save(root / f"{each.stem}.txt", "a dog on a lawn\n")
    return root


def cvat_own_xml(root):
    photos(root)
    save(root / "annotations.xml", "<annotations><version>1.1</version></annotations>")
    return root


def without_images(write):
    def made(root):
        path = write(root)
        for name in ("a b.jpg", "é.jpg"):
            next(root.rglob(name)).unlink()
        return path

    return made


def other_data(write):
    """Labels beside which there are photos of the same names alone."""

    def made(root):
        photos(root.parent / "images", [each._replace(width=31) for each in SAMPLES])
        path = write(root.parent / "labels")
        for file in (root.parent / "labels").rglob("*.jpg"):
            file.unlink()
        return path

    return made


# What is given, how, and what the message holds.
REFUSALS = [
    (lambda root: root / "nowhere", {}, ["there is no '", "nowhere'; give a VOCdevkit"]),
    (lambda root: "", {}, ["there is no ''; give"]),
    (lambda root: "tfds:cats/1", {}, ["tensorflow-datasets has no 'cats/1' (", "); give its name, as voc/2007"]),
    (only_images, {}, ["holds no labels of a known format (5 .jpg, 1 ", "); give"]),
    (captions, {}, ["holds no labels of a known format"]),
    (cvat_own_xml, {}, ["holds no labels of a known format (5 .jpg, 1 .xml)"]),
    (
        both,
        {},
        ["holds 5 XML files of VOC (", ") and a COCO json (", "); give ", "boxes.json, or move the files of one"],
    ),
    (xml_and_yolo, {}, ["XML files of VOC (", ") and YOLO's label files (", "); move the files of one format into"]),
    (lambda root: cvat_ultralytics(root) / "train.txt", {}, ["train.txt is no list of class", "give the data.yaml or"]),
    (lambda root: roboflow_voc(root) / "README.dataset.txt", {}, ["README.dataset.txt is no list of class names"]),
    (file("a.json", '[{"data": {}, "annotations": []}]'), {}, ["a.json has no list of images", "export the labels as"]),
    (two_jsons, {}, ["holds 2 COCO jsons: ", "first.json, ", "second.json; give one of them"]),
    (two_yamls, {}, ["first.yaml, ", "second.yaml; give one of them"]),
    (two_copies, {}, ["none of the images that ", "labels.json names is found beside it (first "]),
    (without_images(coco_beside_photos), {}, ["2 of 5 images cannot be read, ", "a b.jpg (images that are missing)"]),
    (without_images(keras_retinanet), {}, ["2 of 5 images cannot be read, ", "a b.jpg (images that are missing)"]),
    (
        without_images(voc_named_by_file_name),
        {},
        ["2 of 5 annotation files cannot be read, ", "has no image of its na"],
    ),
    (other_data(fiftyone_coco), {}, ["5 of 5 images that", "have another size in", "images, which", "as images"]),
    (
        other_data(roboflow_csv),
        {},
        ["images that", "have another size in", "images, which was found beside it (first "],
    ),
    (other_data(fiftyone_voc), {}, ["5 of 5 images that", "have another size in", "images, which was found beside it"]),
    (two_years, {}, ["holds the years 2007, 2012; give one of them: ", "VOC2007 or ", "VOC2012"]),
    (cvat_voc, {"split": "dev"}, ["has no split 'dev'; it has train, val, test"]),
    (fiftyone_coco, {"split": "train"}, ["has no split 'train'; it defines none; leave the split out"]),
    (fiftyone_coco, {"images": "gone"}, ["there is no folder gone; give the folder of the images"]),
    (fiftyone_coco, {"class_names": ["dgo"]}, ["has no category 'dgo'; did you mean 'dog'"]),
    (keras_retinanet, {"class_names": ["dogg", "cat"]}, ["has no class 'dogg'; did you mean 'dog'"]),
    (file("a.xml", "<annotation/>"), {}, ["a.xml is one file; give the folder of the XML files"]),
    (file("a.xml", "<annotations><track id='0'/></annotations>"), {}, ["tracks in a video; export", "CVAT for images"]),
    (
        file("a.xml", "<annotations><image name='gone.jpg'/></annotations>"),
        {},
        ["none of the images", "first gone.jpg"],
    ),
    (file("a.txt", "a b.jpg 1,2,9,9,0\n"), {}, ["there is no data.yaml or classes.txt in", "class_names=[…]"]),
    (file("a.txt", "a b.jpg 1,2,9,9,1\n"), {"class_names": ["cat"]}, ["line 1: 'a b.jpg", "names the class 1, but"]),
    (file("a.zip"), {}, ["a.zip is an archive; unpack it"]),
    (file("a.docx"), {}, ["a.docx is no file of labels of a known format; give"]),
    (file("classes.txt", "cat\n"), {}, ["classes.txt is beside no label files of YOLO"]),
    (file("a.csv", "image,caption\na b.jpg,walk\n"), {}, ["a.csv is no table of boxes", "'image,caption'"]),
    (file("a.csv", "a b.jpg,0.1,0.2,0.3,0.4,cat\n"), {}, ["boxes in shares of the image, from 0 to 0.4", "in pixels"]),
    (file("a.csv", "gone.jpg,1,2,3,4,cat\n"), {}, ["none of the images", "first gone.jpg", "as images"]),
    (file("a.csv", "a b.jpg,,,,,\n"), {}, ["names no class", "class_names="]),
    (file("a.csv", "a b.jpg,1,2,3,4,cat\na b.jpg,1,2,x,4,cat\n"), {}, ["line 2: 'a b.jpg,1,2,x,4,cat' has no four"]),
    (
        file("a.csv", "a b.jpg,9,2,3,4,cat\n"),
        {},
        ["1 of 1 objects cannot be read", "line 1, cat (9, 2, 3, 4) (inverted"],
    ),
    (
        file("a.csv", "a b.jpg,3,2,3,4,cat\n"),
        {},
        ["none of 1 boxes has an area; the first: ", "line 1, cat (3, 2, 3, 4)"],
    ),
    (
        file("a.yaml", "names: [cat]\ntrain: ../gone/images\n"),
        {},
        ["has train: ../gone/images, which is not in"],
    ),
    (
        file("a.yaml", "names: [cat]\ntrain: {a: b}\n"),
        {},
        ["a.yaml has train: ", "give a folder, a text file"],
    ),
    (file("a.yaml", "train: .\n"), {}, ["a.yaml has no list of names"]),
    (file("obj.data", "train = .\n"), {}, ["obj.data names no file of class names"]),
]


@pytest.mark.parametrize(("write", "options", "words"), REFUSALS, ids=map(str, range(len(REFUSALS))))
def test_refuses_in_one_line_what_is_no_labels_or_ambiguous(tmp_path, caplog, write, options, words):
    caplog.set_level("INFO", "kerassl")
    line = refused(write(tmp_path / "pets"), **options)
    assert " is read as " not in caplog.text
    assert "cannot be read" not in line or line.split("; ")[1] not in caplog.text  # the reason is given once
    place = 0
    for word in words:
        assert word in line[place:], line
        place = line.index(word, place)


def test_a_nearer_folder_is_taken_and_missing_images_left_out_when_asked(tmp_path):
    path = without_images(coco_beside_photos)(tmp_path / "pets")
    assert len(DetectionDataset.open(path, allow_broken=True)) == 3
    photos(tmp_path / "pets" / "my photos")
    photos(tmp_path / "images", [each._replace(width=31) for each in SAMPLES])
    assert_same(DetectionDataset.open(path, strict=True), SAMPLES)
    named = DetectionDataset.open(path, tmp_path / "images")
    assert {record.width for record in named} == {31}


def test_each_of_two_readings_is_chosen_by_its_path(tmp_path):
    root = both(tmp_path / "pets")
    assert_same(DetectionDataset.open(root / "boxes.json", strict=True), SAMPLES)
    (root / "apart").mkdir()
    for path in root.glob("*.xml"):
        path.rename(root / "apart" / path.name)
    assert f"({root / 'apart'}) and a COCO json ({root / 'boxes.json'}); give the path of one of them" in refused(root)
    assert_same(DetectionDataset.open(root / "apart", strict=True), SAMPLES)


def test_labels_are_recognized_and_read_without_tensorflow(tmp_path):
    paths = [str(write(tmp_path / write.__name__)) for write in (cvat_voc, coco_2017, roboflow_yolo, roboflow_csv)]
    code = f"""
import sys
from kerassl import UserError
from kerassl import UserError
from kerassl.datasets import DetectionDataset, own_splits
for path in {paths!r}:
    assert len(own_splits(path)) == 3
    assert len(DetectionDataset.open(path)) == {len(SAMPLES)}
try:
    DetectionDataset.open({str(tmp_path / "gone")!r})
except UserError:
    assert "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.realdata
def test_reads_other_peoples_voc_as_it_is(real_data, caplog):
    found = {name: DetectionDataset.open(real_data / "foreign_voc" / name) for name in ("bccd", "kangaroo", "raccoon")}
    assert {name: (len(each), sum(len(record.classes) for record in each)) for name, each in found.items()} == {
        "bccd": (12, 156),  # of 158: two have no area
        "kangaroo": (12, 19),
        "raccoon": (12, 12),
    }
    assert [each.class_names for each in found.values()] == [("Platelets", "RBC", "WBC"), ("kangaroo",), ("raccoon",)]
    assert "2 boxes without an area left out" in caplog.text
    folder = real_data / "foreign_voc" / "kangaroo"
    for path, images in ((folder / "Annotations", None), (folder / "Annotations", folder / "JPEGImages")):
        apart = DetectionDataset.open(path, images, class_names=["kangaroo"])
        assert [record.path for record in apart] == [record.path for record in found["kangaroo"]]
