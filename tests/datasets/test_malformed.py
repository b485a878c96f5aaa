"""1,000 files that were spoilt at random: none stops a reader, each is read or named with a reason."""

import io
import json
import re

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from kerassl import UserError
from kerassl.datasets import DetectionDataset
from kerassl.datasets.formats.findings import Findings
from kerassl.datasets.formats.voc_annotation import NoAnnotationError, read_voc_annotation
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
    for number in range(500):
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
    assert {int(number) for number, _ in logged} == set(range(500)) - good
    assert all(len(reason) > 8 for _, reason in logged)
    untouched = {place for place, path in enumerate(paths) if path.read_bytes() in wholes}
    assert len(untouched) > 40
    assert untouched <= good
    # TensorFlow reads on over faults that Pillow stops at, and the other way; both refuse most of the rest.
    pillow = {place for place, path in enumerate(paths) if _pillow_reads(path)}
    assert 100 < len(good) < 400
    assert len(good ^ pillow) < 75


@pytest.mark.timeout(60)
def test_reads_or_names_each_voc_annotation(devkit, thing, caplog):
    rng = np.random.default_rng(1)
    classes = ["dog", "person"]
    whole = thing() + thing("person", (1, 1, 60, 40), "<difficult>1</difficult>")
    outcomes, untouched = {}, set()
    for number in range(200):
        name = f"{number:03d}"
        devkit.add(name, whole)
        path = devkit.folder / "Annotations" / f"{name}.xml"
        written = path.read_bytes()
        path.write_bytes(_spoilt(written, [b"<html><body>" * 10, b"\xff\xfe<\0a\0" * 20], rng))
        if path.read_bytes() == written:
            untouched.add(name)
        try:
            read_voc_annotation(path, classes.index, Findings())
            outcomes[name] = "read"
        except NoAnnotationError:
            outcomes[name] = "left out"
        except ValueError:
            outcomes[name] = "read"
    kept = set(outcomes)
    (devkit.folder / "ImageSets" / "Main" / "train.txt").write_text("\n".join(kept))
    records = DetectionDataset.from_voc(devkit.root, class_names=classes, allow_broken=True)
    assert {record.image_id for record in records} == {name for name in kept if outcomes[name] == "read"}
    logged = {
        match[1]
        for match in (re.match(r"broken file \d+: .*/(\d+)\.xml .{9}", line) for line in caplog.messages)
        if match
    }
    assert logged == {name for name in kept if outcomes[name] == "left out"}
    assert untouched <= {record.image_id for record in records}
    assert len(records) >= len(untouched) > 4
    assert len(logged) > 50


@pytest.mark.timeout(60)
def test_reads_or_refuses_each_coco_json_in_one_line(tmp_path, save_image):
    rng = np.random.default_rng(2)
    for name in ("1.png", "2.png"):
        save_image(tmp_path / name)
    boxes = [[1, 2, 30, 20], [0, 0, 60, 40], [5.5, 6.5, 7, 8]]
    whole = json.dumps(
        {
            "images": [{"id": key, "file_name": f"{key}.png", "height": 40, "width": 60} for key in (1, 2)],
            "annotations": [
                {"id": key, "image_id": 1 + key % 2, "category_id": 1 + key % 2, "bbox": box, "iscrowd": 0}
                for key, box in enumerate(boxes)
            ],
            "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
        }
    ).encode()
    read, refused = 0, []
    for number in range(150):
        path = tmp_path / f"{number}.json"
        path.write_bytes(_spoilt(whole, [b'[{"images": ' * 9, b"\xff\xd8\xff\xe0" * 16], rng))
        try:
            records = DetectionDataset.from_coco(path, tmp_path, allow_broken=True)
        except UserError as error:
            refused.append((number, str(error)))
        else:
            assert {record.image_id for record in records}
            for record in records:
                assert np.all((record.boxes >= 0) & (record.boxes <= [60, 40, 60, 40]))
                assert len(record.boxes) == len(record.classes)
            read += 1
    assert 15 < read < 120
    for number, message in refused:
        assert f"{number}.json" in message
        assert "\n" not in message


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
    records = DetectionDataset.from_yolo(tmp_path, class_names=["dog", "cat", "owl"], allow_broken=True)
    assert len(records) == 150
    logged = [re.match(r"(\d+) .* left out: .*\.txt, line \d", line) for line in caplog.messages]
    assert lines == sum(len(record.classes) for record in records) + sum(int(match[1]) for match in logged if match)
    assert sum(len(record.classes) for record in records) > 150
    for record in records:
        assert np.all((record.boxes >= 0) & (record.boxes <= [60, 40, 60, 40]))
