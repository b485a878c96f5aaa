"""The counts of a data set's card."""

import shutil

import numpy as np
import PIL.Image
import pytest

from kerassl.datasets import VOC_CLASSES, DetectionDataset, Record, card, image_files
from kerassl.datasets.formats.findings import collected

pytestmark = pytest.mark.current_stack


@pytest.fixture
def photos(tmp_path, save_image):
    """Two JPEGs of one content, one rotated by EXIF, a grayscale PNG, a truncated file, an empty one."""
    folder = tmp_path / "photos"
    save_image(folder / "a.jpg", 40, 60)
    shutil.copy(folder / "a.jpg", folder / "b.jpg")
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.new("RGB", (30, 20)).save(folder / "c.jpg", exif=exif)
    PIL.Image.new("L", (100, 80)).save(folder / "d.png")
    save_image(folder / "e.jpg", 40, 60, seed=5)
    (folder / "e.jpg").write_bytes((folder / "e.jpg").read_bytes()[:1500])
    (folder / "f.jpg").write_bytes(b"")
    return folder


@pytest.fixture
def records():
    boxes = np.array([[0, 0, 50, 50], [10, 10, 35, 35], [0, 0, 100, 100]], np.float32)
    return [
        Record("a", "a.jpg", 100, 100, boxes, np.array([1, 1, 0], np.int32), np.array([False, True, False])),
        Record("b", "b.jpg", 50, 200, boxes[:1], np.array([1], np.int32), np.array([True])),
        Record("c", "c.jpg", 10, 10, boxes[:0], np.zeros(0, np.int32), np.zeros(0, bool)),
    ]


@pytest.mark.parametrize("decode", [False, True])
def test_counts_images_formats_and_faults_with_and_without_decoding(photos, decode):
    found = card.image_card(image_files(photos), decode=decode, progress=False)
    assert found.count == 6
    assert found.bytes == sum(path.stat().st_size for path in photos.iterdir())
    assert found.heights.tolist() == [40, 40, 20, 80]
    assert found.widths.tolist() == [60, 60, 30, 100]
    assert found.formats == {"JPEG RGB": 3, "PNG L": 1}
    assert found.rotated == 1
    broken = dict(found.broken)
    assert broken.pop(str(photos / "f.jpg")) == "is empty (0 bytes)"
    assert list(broken) == [str(photos / "e.jpg")]


def test_counts_boxes_images_and_relative_sizes_by_class(records):
    found = card.label_card(records, ["cat", "dog", "cow"])
    assert found.boxes.tolist() == [1, 3, 0]
    assert found.images.tolist() == [1, 2, 0]
    assert found.difficult.tolist() == [0, 2, 0]
    assert found.per_image.tolist() == [3, 1, 0]
    np.testing.assert_allclose(found.sizes, [0.5, 0.25, 1.0, 0.5])
    assert card.label_card([], ["cat"]).sizes.shape == (0,)


def test_lists_boxes_that_are_clipped_left_out_or_tiny(tmp_path, devkit, thing):
    devkit.add("a", thing(box=(1, 1, 61, 20)) + thing(box=(5, 5, 5, 20)) + thing(box=(5, 5, 20, 20)))
    devkit.add("b", thing(box=(11, 11, 15, 13)), width=600)
    with collected() as findings:
        records = DetectionDataset.from_voc(devkit.root, 2007)
    found = card.label_card(records, records.class_names, findings)
    counts = {kind: len(places) for kind, places in found.faults.items()}
    assert sorted(counts.values()) == [1, 1, 1]
    tiny = found.faults["boxes with a side under 1% of the image's longer side"]
    assert tiny == (f"{records[1].path}: (10, 10, 15, 13)",)
    assert found.to_dict()["faults"].keys() == counts.keys()
    with collected() as later:
        pass
    assert not later


@pytest.mark.realdata
def test_card_matches_known_counts_of_real_voc(real_data):
    records = DetectionDataset.from_voc(real_data / "VOCdevkit", 2007, None)
    found = card.label_card(records, VOC_CLASSES)
    assert (found.boxes.sum(), found.difficult.sum(), len(found.per_image)) == (6320, 1238, 2000)
    images = card.image_card([record.path for record in records], progress=False)
    assert images.formats == {"JPEG RGB": 2000}
    assert not images.broken
    assert np.maximum(images.heights, images.widths).max() == 500
