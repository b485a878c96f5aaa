"""Every reader of labels against files that nobody should write: read, left out with a reason, or refused in a line."""

import json
import os
import pathlib
import re

import numpy as np
import pytest

from kerassl import UserError
from kerassl.datasets import DetectionDataset, read_class_names

pytestmark = [pytest.mark.current_stack, pytest.mark.timeout(60)]

CLASSES = ["dog", "cat"]
MORE = 12  # whole files beside the hostile one, so that it is less than a tenth


def _xml(things):
    return f"<annotation><size><width>60</width><height>40</height></size>{things}</annotation>"


def _thing(name="dog", box=(11, 6, 30, 25)):
    corners = "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box))
    return f"<object><name>{name}</name><bndbox>{corners}</bndbox></object>"


def _coco(box=(10, 5, 20, 20), image=None, **more):
    images = [{"id": number, "file_name": f"{number:02d}.png"} for number in range(MORE)]
    notes = [{"id": number, "image_id": number, "category_id": 1, "bbox": [1, 2, 9, 9]} for number in range(MORE)]
    images.append({"id": 99, "file_name": "hostile.png", **(image or {})})
    notes.append({"id": 99, "image_id": 99, "category_id": 1, "bbox": box, **more})
    return json.dumps({"images": images, "annotations": notes, "categories": [{"id": 1, "name": "dog"}]})


BOMB = '<!DOCTYPE a [<!ENTITY a "dog">' + "".join(
    f'<!ENTITY {chr(98 + place)} "{f"&{chr(97 + place)};" * 10}">' for place in range(9)
)
READERS = {
    "voc": "Annotations/hostile.xml",
    "list": "ImageSets/Main/hostile.txt",
    "coco": "hostile.json",
    "yolo": "labels/hostile.txt",
    "names": "hostile.txt",
    "yaml": "hostile.yaml",
}
NO_PIPE = "is a pipe or a device"
# By kind and reader: what the file holds, or a function that makes something else there; and a pattern of the reason
# that is given, or what is read: how many boxes the image has, the ids of the list, the names.
CASES = {
    "empty": {
        "voc": (b"", "is no whole XML file"),
        "list": (b"", "split 'hostile' is empty"),
        "coco": (b"", "is no whole json"),
        "yolo": (b"", 0),
        "names": (b"", "names no class"),
        "yaml": (b"", "has no list of names"),
    },
    "truncated": {
        "voc": (_xml(_thing())[:90].encode(), "is no whole XML"),
        "list": (b"00\n01\n0", "for 1 of 3 ids, first 0.png|for 1 of 3 ids, first 0.jpg"),
        "coco": (_coco()[:300].encode(), "is no whole json"),
        "yolo": (b"0 0.5 0.5 0.2", "line 1: '0 0.5 0.5 0.2' holds 4 numbers"),
        "yaml": (b"names: [dog, ca", "is no YAML"),
    },
    "binary": {
        "voc": (bytes(range(256)) * 8, "is no UTF-8|holds NUL bytes"),
        "list": (bytes(range(256)) * 8, "is no UTF-8"),
        "coco": (bytes(range(256)) * 8, "is no UTF-8"),
        "yolo": (bytes(range(256)) * 8, "does not hold numbers alone"),
        "names": (bytes(range(256)) * 8, "is no UTF-8"),
        "yaml": (bytes(range(256)) * 8, "is no UTF-8"),
    },
    "another format": {
        "voc": (b"<html><body>dog</body></html>", "holds <html> and not <annotation>"),
        "list": (_xml(_thing()).encode(), "has no image for 1 of 1 ids, first <annotation>"),
        "coco": (b"[]", "has no list of images"),
        "yolo": (_xml(_thing()).encode(), "does not hold numbers alone"),
        "names": (_xml(_thing()).encode(), ["""<annotation><size><width>60</width><height>40</height></size><object>"""
            "<name>dog</name><bndbox><xmin>11</xmin><ymin>6</ymin><xmax>30</xmax><ymax>25</ymax></bndbox></object>"
            "</annotation>"]),
        "yaml": (b"- dog\n- cat\n", "has no list of names"),
    },
    "entities": {
        "voc": (f"{BOMB}]><annotation><object><name>&j;</name></object></annotation>".encode(), "are refused"),
        "yaml": (b"a: &a [x,x]\nb: &b [*a,*a]\nnames: [*b, *b]\n", "has a list among its names"),
    },
    "external entity": {
        "voc": (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><annotation>&b;</annotation>', "are refused"),
    },
    "deep": {
        "voc": (b"<annotation>" + b"<x>" * 100_000, "is no whole XML"),
        "coco": (b'{"images": ' + b"[" * 200_000, "is nested too deeply"),
        "yaml": (b"names: " + b"[" * 1_000, "is no YAML"),
    },
    "huge numbers": {
        "voc": (_xml(_thing(box=("1e400", 1, "9" * 500, 2))).encode(), "object whose box is .'1e400'"),
        "coco": (_coco(box=[10**400, 1, 10**300, 1]).encode(), "annotation 99: .1000"),
        "yolo": (b"0 0.5 0.5 " + b"9" * 500 + b" 1e999\n", "holds a number that is not finite"),
        "yaml": (b"names: {" + b"9" * 500 + b": dog}", "numbers its names"),
    },
    "many digits": {
        "coco": (_coco().replace("[10, 5, 20, 20]", f"[{'9' * 10_000}, 1, 2, 3]").encode(), "is no whole json"),
        "yolo": (b"9" * 400 + b" 0.5 0.5 0.2 0.2", "not finite"),
    },
    "nan": {
        "voc": (_xml(_thing(box=("nan", 1, "inf", 2))).encode(), "object whose box is .'nan', '1', 'inf'"),
        "coco": (_coco(box=[float("nan"), 1, float("inf"), 2]).encode(), "annotation 99: .nan, 1, inf"),
        "yolo": (b"0 nan 0.5 inf 0.2", "holds a number that is not finite"),
    },
    "negative sizes": {
        "voc": (_xml(_thing(box=(30, 25, 11, 6))).encode(), "1 inverted boxes left out: .*hostile.xml"),
        "coco": (_coco(box=[30, 25, -9, -9]).encode(), "1 inverted boxes left out: .*annotation 99"),
        "yolo": (b"0 0.5 0.5 -0.2 -0.2", "1 inverted boxes left out: .*hostile.txt, line 1"),
    },
    "no area in float32": {
        "voc": (_xml(_thing(box=(31, 26, "31.0000000001", "26"))).encode(), "1 boxes without an area left"),
        "coco": (_coco(box=[30, 25, 1e-9, 1e-9]).encode(), "1 boxes without an area left out"),
        "yolo": (b"0 0.5 0.5 1e-12 1e-12", "1 boxes without an area left out"),
    },
    "NUL": {
        "voc": (_xml(_thing("do\0g")).encode(), "holds NUL bytes"),
        "list": (b"00\n0\x001\n", "holds NUL bytes"),
        "coco": (_coco().replace("dog", "do\0g").encode(), "holds NUL bytes"),
        "yolo": (b"0 0.5 0.5\0 0.2 0.2", "does not hold numbers alone"),
        "names": (b"dog\0\ncat", "holds NUL bytes"),
        "yaml": (b"names: [do\0g]", "holds NUL bytes"),
    },
    "UTF-16": {
        "voc": (_xml(_thing()).encode("utf-16"), 1),
        "list": ("00\r\n01\r\n".encode("utf-16"), {"00", "01"}),
        "coco": (_coco().encode("utf-16"), 1),
        "yolo": ("0 0.5 0.5 0.2 0.2\r\n".encode("utf-16"), 1),
        "names": ("dog\r\ncat\r\n".encode("utf-16"), ["dog", "cat"]),
        "yaml": ("names: [dog, cat]\r\n".encode("utf-16"), ["dog", "cat"]),
    },
    "Latin-1": {
        "voc": (_xml(f"<folder>für</folder>{_thing()}").encode("latin-1"), "is no UTF-8 .byte 0xfc"),
        "list": ("00\né\n".encode("latin-1"), "is no UTF-8 .byte 0xe9 in line 2"),
        "coco": (_coco().replace("dog", "für").encode("latin-1"), "is no UTF-8 .byte 0xfc"),
        "yolo": ("0 0.5 0.5 0.2 0.2 für".encode("latin-1"), "does not hold numbers alone"),
        "names": ("dog\nfür".encode("latin-1"), "is no UTF-8 .byte 0xfc in line 2"),
        "yaml": ("names: [für]".encode("latin-1"), "is no UTF-8 .byte 0xfc"),
    },
    "folder": {
        **dict.fromkeys(("coco", "yolo"), (pathlib.Path.mkdir, "is a folder and no file")),
        "voc": (pathlib.Path.mkdir, "1 images without an annotation left out, first .*hostile.png"),
        "list": (pathlib.Path.mkdir, "has no split 'hostile'"),
        "yaml": (pathlib.Path.mkdir, "holds no data.yaml"),
    },
    "pipe": {
        **dict.fromkeys(("voc", "coco", "yolo", "names", "yaml"), (os.mkfifo, NO_PIPE)),
        "list": (os.mkfifo, "has no split 'hostile'"),
    },
    "loop": {
        **{reader: (lambda path: path.symlink_to(path), "cannot be read") for reader in READERS if reader != "list"},
        "list": (lambda path: path.symlink_to(path), "has no split 'hostile'"),
    },
    "no permission": {reader: (lambda path: path.touch(0), "Permission denied") for reader in READERS},
    "way out": {
        "list": (b"00\n../Annotations/01\n", "for 1 of 2 ids, first ../Annotations/01"),
        "coco": (_coco(image={"file_name": "../../outside.png"}).encode(), "outside of their folder left"),
    },
    "long name": {
        "voc": (_xml(_thing("d" * 100_000)).encode(), "not asked for left out: ddd.* 1"),
        "list": (b"00\n" + b"x" * 5000, "for 1 of 2 ids, first xxx"),
        "coco": (_coco(image={"file_name": "x" * 5000}).encode(), "1 images that are missing left out: .*image 99"),
    },
    "wrong types": {
        "voc": (_xml("<object><bndbox/></object>").encode(), "has an object without a <name>"),
        "coco": (_coco(image={"id": {"a": 1}}, category_id=[1]).encode(), "images without an id or a file name"),
        "yaml": (b"names: {0: [dog]}", "has a list among its names"),
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files of all readers, without the hostile one's labels."""
    import PIL.Image

    root = tmp_path_factory.mktemp("whole")
    for name in ("JPEGImages", "Annotations", "ImageSets/Main", "labels"):
        (root / name).mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    for name in [*(f"{number:02d}" for number in range(MORE)), "hostile"]:
        PIL.Image.fromarray(pixels).save(root / "JPEGImages" / f"{name}.png")
        if name != "hostile":
            (root / "Annotations" / f"{name}.xml").write_text(_xml(_thing()))
            (root / "labels" / f"{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    PIL.Image.fromarray(pixels).save(root.parent / "outside.png")
    return root


def _read(reader, root, path):
    if reader == "voc":
        return DetectionDataset.from_voc(root, None, None, class_names=CLASSES)
    if reader == "list":
        return DetectionDataset.from_voc(root, None, "hostile", class_names=CLASSES)
    if reader == "coco":
        return DetectionDataset.from_coco(path, root / "JPEGImages")
    if reader == "yolo":
        return DetectionDataset.from_yolo(root / "JPEGImages", root / "labels", class_names=CLASSES)
    return read_class_names(path)


@pytest.mark.parametrize(
    ("kind", "reader"), [(kind, reader) for kind, readers in CASES.items() for reader in readers], ids=str
)
def test_a_hostile_file_is_read_or_its_reason_is_given(whole, caplog, kind, reader):
    (made, expected), path = CASES[kind][reader], whole / READERS[reader]
    try:
        path.write_bytes(made) if isinstance(made, bytes) else made(path)
        if kind == "no permission" and os.access(path, os.R_OK):
            pytest.skip("root may read everything")
        found, lines = _read(reader, whole, path), caplog.messages
    except UserError as error:
        found, lines = None, [str(error)]
    finally:
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    assert not any("\n" in line for line in lines)
    if isinstance(expected, str):
        assert any(re.search(expected, line) for line in lines), lines
        if (kind, reader) != ("long name", "voc") and reader != "list":
            assert any("hostile" in line or "annotation 99" in line for line in lines), lines
    else:
        assert not lines
    if found is None:
        return
    if reader in ("names", "yaml"):
        assert found == expected
        return
    boxes = {pathlib.Path(record.path).stem: record.boxes for record in found}
    assert all(pathlib.Path(record.path).parent == whole / "JPEGImages" for record in found)
    if reader == "list":
        assert set(boxes) == expected
        return
    assert len(boxes) >= MORE
    assert len(boxes.pop("hostile", [])) == (0 if isinstance(expected, str) else expected)
    assert all(len(each) == 1 for each in boxes.values())


def test_labels_are_read_when_names_of_files_are_not_utf8(whole, tmp_path):
    for folder in ("JPEGImages", "Annotations", "labels"):
        (tmp_path / folder).mkdir()
    for folder, there, name in (
        ("JPEGImages", "00.png", b"\xff\xfe.png"),
        ("Annotations", "00.xml", b"\xff\xfe.xml"),
        ("labels", "00.txt", b"\xff\xfe.txt"),
    ):
        try:
            (tmp_path / folder / os.fsdecode(name)).write_bytes((whole / folder / there).read_bytes())
        except OSError:
            pytest.skip("this file system has no such names")
    for records in (
        DetectionDataset.from_voc(tmp_path, split=None, class_names=CLASSES, strict=True),
        DetectionDataset.from_yolo(tmp_path / "JPEGImages", tmp_path / "labels", class_names=CLASSES, strict=True),
    ):
        assert [os.fsencode(pathlib.Path(record.image_id).stem) for record in records] == [b"\xff\xfe"]
        assert len(records[0].boxes) == 1


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_a_folder_is_refused_in_a_line_when_its_name_cannot_be(tmp_path, name):
    (tmp_path / "a.json").write_text(_coco())
    for read in (
        lambda: DetectionDataset.from_voc(f"{tmp_path}/{name}"),
        lambda: DetectionDataset.from_yolo(f"{tmp_path}/{name}"),
        lambda: DetectionDataset.from_yolo(tmp_path, f"{tmp_path}/{name}"),
        lambda: DetectionDataset.from_coco(tmp_path / "a.json", f"{tmp_path}/{name}"),
    ):
        with pytest.raises(UserError, match="there is no folder"):
            read()
    with pytest.raises(UserError, match="cannot be read"):
        DetectionDataset.from_coco(f"{tmp_path}/{name}", tmp_path)
