"""1,200 files that were spoilt at random: none stops a reader, each is read or named with a reason."""

import io
import itertools
import json
import re

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.datasets import DetectionDataset
from kerassl.datasets.images.decoding import decode
from kerassl.datasets.pipeline.letterboxed import letterboxed_batches

pytestmark = pytest.mark.current_stack


def _spoilt(contents, others, rng):
    """Cut, with flipped bits, or with the beginning of another file; every tenth is left whole."""
    kind = rng.integers(10)
    if kind == 0:
        return contents
    if kind <= 3:
        return contents[: rng.integers(len(contents))]
    if kind <= 8:
        spoilt = bytearray(contents)
        reach = rng.choice([32, len(contents)])  # the header is where most can go wrong
        for place in rng.integers(0, min(reach, len(contents)), rng.integers(1, 4)):
            spoilt[place] ^= 1 << rng.integers(8)
        return bytes(spoilt)
    length = rng.integers(1, 64)
    return others[rng.integers(len(others))][:length] + contents[length:]


def _encoded(kind, rng, **settings):
    height, width = rng.integers(8, 64, 2)
    pixels = PIL.Image.fromarray(rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8))
    file = io.BytesIO()
    pixels.resize((width, height)).save(file, kind, **settings)
    return file.getvalue()


def _pillow_reads(path):
    try:
        with PIL.Image.open(path) as image:
            image.load()
            return True
    except Exception:
        return False


def _decodes(path):
    try:
        return bool(tf.size(decode(path.read_bytes())))
    except tf.errors.OpError:
        return False


@pytest.mark.timeout(60)
def test_reads_each_whole_image_and_names_each_other(tmp_path, caplog, exif):
    rng = np.random.default_rng(0)
    wholes = [
        _encoded(kind, rng, **settings)
        for kind, settings in (
            ("JPEG", {}),
            ("JPEG", {"exif": exif(6)}),
            ("JPEG", {"progressive": True}),
            ("PNG", {}),
            ("PNG", {"exif": exif(3)}),
            ("WEBP", {}),
            ("WEBP", {"lossless": True, "exif": exif(8)}),
        )
        for _ in range(4)
    ]
    paths = []
    for number in range(300):
        whole = wholes[number % len(wholes)]
        paths.append(tmp_path / f"{number:03d}.jpg")
        paths[-1].write_bytes(_spoilt(whole, wholes, rng))
    good = {place for place, path in enumerate(paths) if _decodes(path)}
    read = set()
    for places, images, _, _ in letterboxed_batches([str(path) for path in paths], 32, 64):
        assert images.shape == (len(places), 32, 32, 3)
        read.update(places.tolist())
    assert read == good
    logged = {re.match(r"left out .*/(\d+)\.jpg: it (.+)", line).groups() for line in caplog.messages}
    assert {int(number) for number, _ in logged} == set(range(300)) - good
    assert all(len(reason) > 8 for _, reason in logged)
    untouched = {place for place, path in enumerate(paths) if path.read_bytes() in wholes}
    assert len(untouched) > 20
    assert untouched <= good
    # TensorFlow reads on over faults that Pillow stops at, and the other way; both refuse most of the rest.
    pillow = {place for place, path in enumerate(paths) if _pillow_reads(path)}
    assert 60 < len(good) < 240
    assert len(good ^ pillow) < 45


@pytest.mark.timeout(60)
def test_reads_or_names_each_voc_annotation(tmp_path, save_image, thing, caplog):
    rng = np.random.default_rng(1)
    whole = f"<annotation>{thing()}{thing('person', (1, 1, 60, 40))}</annotation>".encode()
    untouched = set()
    for number in range(150):
        name = f"{number:03d}"
        save_image(tmp_path / f"{name}.png")
        spoilt = _spoilt(whole, [b"<html><body>" * 10, b"\xff\xfe<\0a\0" * 20], rng)
        (tmp_path / f"{name}.xml").write_bytes(spoilt)
        untouched |= {name} if spoilt == whole else set()
    records = DetectionDataset.open(tmp_path, class_names=["dog", "person"], allow_broken=True)
    read = {record.image_id: record for record in records}
    found = (re.match(r"broken file \d+: .*/(\d+)\.xml .{9}", line) for line in caplog.messages)
    named = {match[1] for match in found if match}
    assert not named & read.keys()
    assert len(named | read.keys()) == 150
    assert len(read) >= len(untouched) > 4
    assert len(named) > 50
    for name in untouched:
        np.testing.assert_array_equal(read[name].boxes, [[10, 5, 30, 25], [0, 0, 60, 40]])


_COCO = {
    "images": [{"id": key, "file_name": f"{key}.png", "height": 40, "width": 60} for key in (1, 2)],
    "annotations": [
        {"id": key, "image_id": 1 + key % 2, "category_id": 1 + key % 2, "bbox": box, "iscrowd": 0}
        for key, box in enumerate([[1, 2, 30, 20], [0, 0, 60, 40], [5.5, 6.5, 7, 8]])
    ],
    "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
}
_ROWS = "1.png,1,2,31,22,dog\n2.png,0,0,60,40,cat\n1.png,5.5,6.5,12.5,14.5,dog\n"
_HEADER = "filename,xmin,ymin,xmax,ymax,class\n"
WHOLES = {
    "labels.json": json.dumps(_COCO),
    "rows.csv": _ROWS,
    "header.csv": _HEADER + _ROWS + "2.png,,,,,\n",
    "data.yaml": "path: .\ntrain: images\nval: [list.txt, ../pets/images]\nnc: 2\nnames: {0: dog, 1: cat}\n",
    "obj.data": "classes = 2\nnames = data/obj.names\ntrain = data/list.txt\n",
    "classes.txt": "dog\ncat\n",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", WHOLES)
def test_reads_or_refuses_each_file_in_one_line(tmp_path, save_image, caplog, name):
    rng = np.random.default_rng(2)
    root, whole = tmp_path / "pets", WHOLES[name].encode()
    for number in (1, 2):
        save_image(root / "images" / f"{number}.png")
        (root / "labels").mkdir(exist_ok=True)
        (root / "labels" / f"{number}.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    (root / "list.txt").write_text("images/1.png\n")
    (root / "obj.names").write_text("dog\ncat\n")
    read, refused, path = [], [], root / name
    boxes = 3 if name.endswith(("json", "csv")) else 1 if name == "obj.data" else 2
    for _ in range(100):
        path.write_bytes(_spoilt(whole, [b'[{"images": ' * 9, b"\xff\xd8\xff\xe0" * 16, b"a,b,c,,\n\n" * 9], rng))
        caplog.clear()
        try:
            read.append(DetectionDataset.open(path, allow_broken=True))
        except UserError as error:
            refused.append(str(error))
            continue
        if path.read_bytes() == whole:
            assert sum(len(record.boxes) for record in read[-1]) == boxes
            assert not [line for line in caplog.records if line.levelname == "WARNING"]
    assert not [line for line in refused if str(root) not in line or "\n" in line]
    assert len(refused) > 10
    assert len(read) > 15
    for record in itertools.chain(*read):
        assert np.all((record.boxes >= 0) & (record.boxes <= [60, 40, 60, 40]))
        assert len(record.boxes) == len(record.classes)


@pytest.mark.timeout(60)
def test_reads_or_counts_each_line_of_yolo_files(tmp_path, save_image, caplog):
    rng = np.random.default_rng(3)
    whole = b"0 0.5 0.5 0.25 0.5\n1 0.1 0.1 0.4 0.1 0.4 0.7\n2 0.2 0.3 0.1 0.1\n"
    lines = 0
    for number in range(150):
        save_image(tmp_path / f"{number}.png")
        path = tmp_path / f"{number}.txt"
        path.write_bytes(_spoilt(whole, [b"\x89PNG\r\n\x1a\n" * 8, b"<annotation>" * 6], rng))
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
        lines += sum(bool(line.strip()) for line in text.split("\n"))
    records = DetectionDataset.open(tmp_path, class_names=["dog", "cat", "owl"], allow_broken=True)
    assert len(records) == 150
    logged = [re.match(r"(\d+) .* left out: .*\.txt, line \d", line) for line in caplog.messages]
    assert lines == sum(len(record.classes) for record in records) + sum(int(match[1]) for match in logged if match)
    assert sum(len(record.classes) for record in records) > 150
    for record in records:
        assert np.all((record.boxes >= 0) & (record.boxes <= [60, 40, 60, 40]))
