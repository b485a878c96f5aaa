"""Every reader of images against every file that is no image, or no file at all; and good files of strange names."""

import json
import logging
import os
import pathlib
import socket
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from kerassl import datasets
from kerassl._errors import UserError
from kerassl.datasets import card
from kerassl.datasets.images.reading import decodable
from kerassl.datasets.pipeline.letterboxed import letterboxed_batches
from kerassl.datasets.record import Record
from kerassl.report.data_card import card_text

pytestmark = pytest.mark.current_stack


def _png(width, height):
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def _saved(form):
    def save(path):
        PIL.Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(path, form)

    return save


def _cut(path):
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:1500])


def _socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(path.parent)  # the name of a socket has to be short
        listener.bind(path.name)
        os.chdir(here)


def _sparse(path):
    with path.open("wb") as file:
        file.truncate(2**31)


# How to make a file, and what is reported of it.
HOSTILE = {
    "cut.jpg": (_cut, "truncated"),
    "empty.jpg": (lambda path: path.write_bytes(b""), "is empty"),
    "text.jpg": (lambda path: path.write_text("words"), "is no image that can be read"),
    "zeros.png": (lambda path: path.write_bytes(b"\0" * 500), "is no image that can be read"),
    "tiff.jpg": (_saved("TIFF"), "is a TIFF"),
    "avif.jpg": (_saved("AVIF"), "is an AVIF"),
    "j2k.jpg": (_saved("JPEG2000"), "is a JPEG 2000"),
    "icon.png": (_saved("ICO"), "is an icon"),
    "netpbm.jpg": (_saved("PPM"), "is a Netpbm"),
    "surface.png": (_saved("DDS"), "is no image that can be read"),
    "targa.bmp": (_saved("TGA"), "is no image that can be read"),
    "huge.png": (lambda path: path.write_bytes(_png(12_000, 9_000)), "would have 108 million pixels"),
    "flat.png": (lambda path: path.write_bytes(_png(20, 0)), "is no image that can be read"),
    "pipe.jpg": (os.mkfifo, "is a named pipe and no file"),
    "socket.jpg": (_socket, "is a socket and no file"),
    "device.jpg": (lambda path: path.symlink_to("/dev/zero"), "is a device and no file"),
    "nothing.jpg": (lambda path: path.symlink_to("elsewhere.jpg"), "is a link to nothing"),
    "itself.jpg": (lambda path: path.symlink_to("itself.jpg"), "is a link to nothing"),
    "sparse.jpg": (_sparse, "has 2.15 billion bytes"),
}
# Names of whole images: Latin-1, a line break, mathematics, markup.
GOOD = [b"a.jpg", b"caf\xe9.jpg", b"two\nlines.jpg", b"$_$.jpg", b"<b>&'\".jpg", b"{0}%s.jpg"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / "photos"
    folder.mkdir()
    for number, name in enumerate(GOOD):
        image = PIL.Image.fromarray(np.full((48, 64, 3), 40 * number, np.uint8))
        image.save(folder / os.fsdecode(name), "JPEG")
    for name, (make, _) in HOSTILE.items():
        make(folder / name)
    return folder


def _records(folder):
    box, label = np.array([[1, 1, 30, 30]], np.float32), np.zeros(1, np.int32)
    return [
        Record(pathlib.Path(path).stem, path, 48, 64, box, label, np.zeros(1, bool))
        for path in datasets.image_files(folder)
    ]


def _shards(folder):
    out = folder.parent / "shards"
    done = datasets.write_shards(folder, out, progress=False)
    assert len(done.broken) == len(HOSTILE)
    return sum(len(images) for images in datasets.image_folder(out, 32, 1).as_numpy_iterator())


def _labeled_shards(folder):
    out = folder.parent / "labeled"
    datasets.write_shards(datasets.DetectionDataset(_records(folder), ["cat"]), out, progress=False)
    records = datasets.DetectionDataset.from_shards(out)
    assert {record.image_id for record in records} == {pathlib.Path(os.fsdecode(name)).stem for name in GOOD}
    return len(records)


def _card(decode):
    def look(folder):
        found = card.image_card(datasets.image_files(folder), decode, progress=False)
        for path, reason in found.broken:
            logging.getLogger("kerassl").warning("%s %s", path, reason)
        broken = {pathlib.Path(path).name for path, _ in found.broken}
        assert broken == {*HOSTILE}
        card_text(found).encode()
        return len(found.heights)

    return look


def _one_by_one(folder):
    read = 0
    for path in datasets.image_files(folder):
        try:
            read += datasets.read_image(path).shape == (48, 64, 3)
        except UserError as error:
            logging.getLogger("kerassl").warning("%s", error)
    return read


def _files(batches):
    """How many different images there are: another takes the place of a broken one."""
    return len({each.tobytes() for batch in batches for each in np.asarray(batch)})


def _labeled_images(folder):
    paths = datasets.image_files(folder)
    return _files(images for images, _ in datasets.labeled_images(paths, [0] * len(paths), 32, 1))


def _labeled_folder(folder):
    classes = folder.parent / "classes"
    classes.mkdir()
    for name in ("cat", "dog"):
        (classes / name).symlink_to(folder)
    labels = np.concatenate([labels for _, labels in datasets.labeled_folder(classes, 32, 4).batches])
    assert np.bincount(labels).tolist() == [len(GOOD), len(GOOD)]
    return len(GOOD)


# Each gives the number of images that it read.
READERS = {
    "read_image": _one_by_one,
    "image_folder": lambda folder: _files(datasets.image_folder(folder, 32, 1)),
    "image_folder with a cache": lambda folder: _files(datasets.image_folder(folder, 32, 1, cache="memory")),
    "labeled_folder": _labeled_folder,
    "labeled_images": _labeled_images,
    "detection_batches": lambda folder: _files(
        batch["images"] for batch in datasets.detection_batches(_records(folder), 32, 1)
    ),
    "letterboxed_batches": lambda folder: sum(
        len(places) for places, *_ in letterboxed_batches(datasets.image_files(folder), 32, 4)
    ),
    "shards": _shards,
    "labeled shards": _labeled_shards,
    "inspect": _card(False),
    "inspect --decode": _card(True),
}


@pytest.mark.parametrize("reader", READERS)
def test_reads_what_can_be_read_and_names_the_rest_when_files_are_hostile(reader, folder, caplog):
    assert READERS[reader](folder) == len(GOOD)
    for name, (_, reason) in HOSTILE.items():
        assert any(name in line and reason in line for line in caplog.messages), name
    for line in caplog.messages:
        assert "\n" not in line
        line.encode()


def _voc(folder, root):
    (root / "VOC2007" / "Annotations").mkdir(parents=True)
    (root / "VOC2007" / "JPEGImages").symlink_to(folder)
    for path in datasets.image_files(folder):
        (root / "VOC2007" / "Annotations" / f"{pathlib.Path(path).stem}.xml").write_text(
            "<annotation><size><width>64</width><height>48</height></size><object><name>cat</name><bndbox><xmin>1"
            "</xmin><ymin>1</ymin><xmax>30</xmax><ymax>30</ymax></bndbox></object></annotation>"
        )
    return datasets.DetectionDataset.from_voc(root, 2007, None, class_names=["cat"], allow_broken=True)


def _coco(folder, root):
    names = [pathlib.Path(path).name for path in datasets.image_files(folder)]
    images = [{"id": number, "file_name": name, "width": 64, "height": 48} for number, name in enumerate(names)]
    box = {"category_id": 1, "bbox": [1, 1, 30, 30], "area": 900, "iscrowd": 0}
    boxes = [{"id": number, "image_id": number, **box} for number in range(len(names))]
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]}
    (root / "boxes.json").write_text(json.dumps(content))
    return datasets.DetectionDataset.from_coco(root / "boxes.json", folder, allow_broken=True)


def _yolo(folder, root):
    (root / "labels").mkdir()
    (root / "images").symlink_to(folder)
    for path in datasets.image_files(folder):
        (root / "labels" / f"{pathlib.Path(path).stem}.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    return datasets.DetectionDataset.from_yolo(root / "images", class_names=["cat"], allow_broken=True)


@pytest.mark.parametrize("read", [_voc, _coco, _yolo])
def test_labels_of_whole_images_alone_are_read_when_files_are_hostile(read, folder, tmp_path, caplog):
    records = read(folder, tmp_path)
    names = {os.fsencode(os.path.basename(record.path)) for record in records}
    assert names == {*GOOD, b"cut.jpg"}  # whose header is whole
    assert all(len(record.boxes) == 1 for record in records)
    for name in ("huge.png", "tiff.jpg", "empty.jpg"):
        assert any(name in line and HOSTILE[name][1] in line for line in caplog.messages), name
    for line in caplog.messages:
        assert "\n" not in line
        line.encode()


def test_inspect_calls_broken_what_cannot_be_decoded(folder):
    paths = datasets.image_files(folder)
    whole = {pathlib.Path(path).name for path, good in zip(paths, decodable(paths)) if good}
    assert whole == {os.fsdecode(name) for name in GOOD}


@pytest.mark.parametrize("loop", ["up", "two up", "itself", "sibling", "round"])
def test_each_image_is_found_once_when_links_lead_round(tmp_path, loop, save_image):
    root = tmp_path / "photos"
    wanted = [str(save_image(root / name)) for name in ("a.jpg", "sub/b.jpg", "other/c.jpg")]
    links = {
        "up": [("loop", root)],
        "two up": [("sub/up", root), ("other/up", root), ("other/above", tmp_path)],
        "itself": [("x", root / "x")],
        "sibling": [("a", root / "sub")],
        "round": [("sub/x", root / "other"), ("other/y", root / "sub")],
    }
    for name, target in links[loop]:
        (root / name).symlink_to(target)
    assert datasets.image_files(root) == sorted(wanted)
    classes = datasets.labeled_folder(root, 32, 1)
    assert set(classes.class_names) - {"a"} == {"sub", "other"}


def test_what_other_programs_leave_is_no_image_when_a_folder_is_searched(tmp_path, save_image):
    kept = save_image(tmp_path / "photos" / "a.jpg")
    names = ("._a.jpg", "__MACOSX/a.jpg", ".cache/b.jpg", "@eaDir/c.jpg", "thumbs.DB", "$RECYCLE.BIN/d.jpg", "Icon\r")
    for name in names:
        path = tmp_path / "photos" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(kept.read_bytes())
    assert datasets.image_files(tmp_path / "photos") == [str(kept)]
    hidden = tmp_path / ".hidden"
    hidden.mkdir()
    (hidden / "a.jpg").write_bytes(kept.read_bytes())
    assert len(datasets.image_files(hidden)) == 1  # it was named
