import json
import re
import unicodedata

import numpy as np
import pycocotools.coco
import pytest

from kerassl import UserError
from kerassl.datasets import DetectionDataset

pytestmark = pytest.mark.current_stack  # files alone: both stacks would find out the same

CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}, {"id": 90, "name": "owl"}]


class _Set:
    """A COCO json that grows, and its images."""

    def __init__(self, root, save_image):
        self.path, self.folder, self.save_image = root / "boxes.json", root / "images", save_image
        self.folder.mkdir()
        self.content = {"images": [], "annotations": [], "categories": CATEGORIES}

    def image(self, key, name=None, height=40, width=60, **more):
        name = name or f"{key}.png"
        self.save_image(self.folder / name, height, width)
        self.content["images"].append({"id": key, "file_name": name, "height": height, "width": width, **more})

    def annotate(self, image_id, bbox=(10, 5, 20.5, 20), category=7, **more):
        key = len(self.content["annotations"]) + 1
        entry = {"id": key, "image_id": image_id, "bbox": list(bbox), "category_id": category, **more}
        self.content["annotations"].append(entry)

    def read(self, **kwargs):
        self.path.write_text(json.dumps(self.content))
        return DetectionDataset.from_coco(self.path, self.folder, **kwargs)

    def refused(self, pattern, **kwargs):
        with pytest.raises(UserError, match=pattern) as error:
            self.read(**kwargs)
        assert "\n" not in str(error.value)


@pytest.fixture
def animals(tmp_path, save_image):
    return _Set(tmp_path, save_image)


def test_reads_boxes_crowds_and_images_without_any(animals):
    animals.image(12, "deep/er/a.png")
    animals.image(5)
    animals.annotate(12)
    animals.annotate(12, (0, 0, 60, 40), 90, iscrowd=1)
    empty, full = animals.read(strict=True)
    assert (full.image_id, empty.image_id) == ("12", "5")
    assert full.path == str(animals.folder / "deep/er/a.png")
    np.testing.assert_array_equal(full.boxes, [[10, 5, 30.5, 25], [0, 0, 60, 40]])
    assert full.classes.tolist() == [1, 2]  # cat, dog, owl: in order of the ids
    assert full.difficult.tolist() == [False, False]
    assert full.crowd.tolist() == [False, True]
    assert full.largest() == 0
    assert (full.height, full.width, full.mask_path) == (40, 60, None)
    assert empty.boxes.shape == (0, 4)
    assert animals.read().class_names == ("cat", "dog", "owl")


def test_agrees_with_pycocotools(animals):
    rng = np.random.default_rng(0)
    for key in range(1, 21):
        animals.image(key)
    for _ in range(100):
        x, y = rng.uniform(0, [40, 30])
        category = CATEGORIES[rng.integers(3)]["id"]
        animals.annotate(
            int(rng.integers(1, 21)), (x, y, *rng.uniform(1, 10, 2)), category, iscrowd=int(rng.integers(2))
        )
    records = animals.read(strict=True)
    oracle = pycocotools.coco.COCO(str(animals.path))
    names = records.class_names
    assert {int(record.image_id) for record in records} == set(oracle.getImgIds())
    for record in records:
        entries = oracle.loadAnns(oracle.getAnnIds(imgIds=int(record.image_id)))
        wanted = oracle.loadImgs(int(record.image_id))[0]
        assert (record.height, record.width) == (wanted["height"], wanted["width"])
        corners = np.reshape([entry["bbox"] for entry in entries], [-1, 4])
        corners[:, 2:] += corners[:, :2]
        np.testing.assert_allclose(record.boxes, corners, atol=1e-4)
        expected = [oracle.loadCats(entry["category_id"])[0]["name"] for entry in entries]
        assert [names[label] for label in record.classes] == expected
        assert record.crowd.tolist() == [bool(entry["iscrowd"]) for entry in entries]
        assert not record.difficult.any()


def test_restricts_to_classes_and_numbers_them_as_given(animals, caplog):
    animals.image(1)
    for category in (7, 3, 90):
        animals.annotate(1, category=category)
    (record,) = animals.read(class_names=["owl", "dog"], strict=True)
    assert record.classes.tolist() == [1, 0]
    assert animals.read(class_names=["owl", "dog"]).categories == {3: None, 7: 1, 90: 0}
    assert "boxes.json: 1 objects of 1 classes that were not asked for left out: cat 1" in caplog.text
    animals.refused("no category 'fish'; it has 3: cat, dog, owl", class_names=["dog", "fish"])
    animals.refused("more than once", class_names=["dog", "dog"])


def test_takes_categories_of_one_name_for_one_class(animals):
    animals.content["categories"] = [{"id": 0, "name": "dog"}, {"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    animals.image(1)
    for category in (0, 1, 2):
        animals.annotate(1, category=category)
    assert animals.read()[0].classes.tolist() == [0, 0, 1]
    assert animals.read().categories == {0: 0, 1: 0, 2: 1}


FAULTS = {
    "boxes without an area": {"bbox": (10, 5, 0, 20)},
    "inverted boxes": {"bbox": (10, 5, 20, -3)},
    "boxes outside the image": {"bbox": (70, 5, 20, 20)},
    "boxes clipped": {"bbox": (50, 5, 20, 20)},
    "boxes that are no four numbers": {"bbox": (1, 2, 3)},
    "boxes that are no four": {"bbox": (1, 2, 3, "4")},
    "boxes that are no": {"bbox": (1, 2, 3, float("nan"))},
    "annotations of unknown categories": {"category": 8},
    "annotations of unknown cat": {"category": "dog"},
    "annotations of unknown images": {"image_id": 99},
    "annotations of unknown im": {"image_id": None},
}


@pytest.mark.parametrize("words", FAULTS)
def test_fixes_and_counts_when_annotations_are_wrong(animals, caplog, words):
    animals.image(1)
    for _ in range(5):
        animals.annotate(**{"image_id": 1, **FAULTS[words]})
    animals.annotate(1)
    if (
        "no four" in words
        or "categories" in words
        or "unknown cat" in words
        or "that are no" in words
        or "inverted" in words
    ):
        animals.refused("5 of 6 objects cannot be read.*annotation 1.*allow_broken=True")
        caplog.clear()
    (record,) = animals.read(allow_broken=True)
    expected = [[10, 5, 30.5, 25]]
    np.testing.assert_array_equal(
        record.boxes, expected if "clipped" not in words else [[50, 5, 60, 25]] * 5 + expected
    )
    (line,) = caplog.messages
    assert line.startswith(f"5 {words}")
    assert "boxes.json, annotation 1" in line
    assert "and 2 more" in line
    animals.refused("boxes.json, annotation 1.*strict", strict=True)


def test_leaves_out_images_that_are_missing_broken_or_nameless(animals, caplog):
    for key in range(1, 5):
        animals.image(key)
    (animals.folder / "1.png").unlink()
    (animals.folder / "2.png").write_bytes(b"nothing")
    animals.content["images"] += [
        {"id": 3, "file_name": "4.png"},
        {"id": 8},
        {"id": "9", "file_name": "9.png"},
        {"id": 10, "file_name": "../boxes.json"},
        {"id": 11, "file_name": "/etc/hostname"},
        {"id": 12, "file_name": "a\0b"},
        7,
    ]
    assert [record.image_id for record in animals.read(allow_broken=True)] == ["4"]
    animals.refused("5 of 6 images cannot be read.*image 1: 1.png .images that are missing.*allow_broken=True")
    for words in (
        "2 images that are missing left out: .*1.png.*9.png",
        "2.png is no image that can be read; its image is left out",
        "1 images whose id occurs twice left out: .*image 3: 4.png",
        "3 images without an id or a file name left out",
        "2 images outside of their folder left out: .*boxes.json.*/etc/hostname",
    ):
        assert any(re.search(words, line) for line in caplog.messages), words
    animals.refused("strict", strict=True)
    for path in animals.folder.iterdir():
        path.unlink()
    animals.refused("none of the 6 images .*images that are missing left out, first .*1.png")


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", "no whole json"),
        (b'{"images": [', "no whole json"),
        (b'{"images": ["\xff"]}', r"is no UTF-8 \(byte 0xff in line 1"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[]", "no list of images"),
        (b'{"images": [], "annotations": {}, "categories": []}', "no list of annotations"),
        (b'{"images": [], "annotations": [], "categories": []}', "no categories"),
        (b'{"images": [], "annotations": [], "categories": [{"id": 1}]}', "has the category"),
        (b'{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}', "names no image"),
    ],
)
def test_refuses_what_is_no_coco_json(tmp_path, contents, words):
    (tmp_path / "a.json").write_bytes(contents)
    with pytest.raises(UserError, match=f"a.json .*{words}") as error:
        DetectionDataset.from_coco(tmp_path / "a.json", tmp_path)
    assert "\n" not in str(error.value)


def test_refuses_a_missing_json_or_folder(tmp_path):
    with pytest.raises(UserError, match=r"nothing.json cannot be read"):
        DetectionDataset.from_coco(tmp_path / "nothing.json", tmp_path)
    with pytest.raises(UserError, match=r"no folder .*nowhere"):
        DetectionDataset.from_coco(tmp_path / "nothing.json", tmp_path / "nowhere")


@pytest.mark.parametrize("orientation", [3, 6])  # of the first four and of the others; VOC's test has each
@pytest.mark.parametrize("as_stored", [True, False])
def test_turns_boxes_along_when_the_json_has_the_stored_size(animals, save_turned, white_box, orientation, as_stored):
    stored = [16, 8, 40, 24]
    path = animals.folder / "1.jpg"
    save_turned(path, orientation, stored)
    seen = white_box(path)
    box = stored if as_stored else seen
    width, height = (60.0, 40.0) if as_stored or orientation < 5 else (40, 60)
    animals.content["images"].append({"id": 1, "file_name": "1.jpg", "height": height, "width": width})
    animals.annotate(1, [int(value) for value in (box[0], box[1], box[2] - box[0], box[3] - box[1])])
    (record,) = animals.read(strict=True)
    np.testing.assert_array_equal(record.boxes, [seen if orientation >= 5 else box])


@pytest.mark.parametrize(
    ("image_id", "of", "category", "of_category", "expected"),
    [
        ("f3-a", "f3-a", 7, 7, "f3-a"),
        (1, "1", 7, "7", "1"),
        ("1", 1.0, "7", 7, "1"),
        (1, 1, "dog", "dog", "1"),
    ],
)
def test_ids_are_the_same_as_numbers_and_as_strings(animals, image_id, of, category, of_category, expected):
    animals.content["categories"] = [{"id": category, "name": "dog"}, {"id": 3, "name": "cat"}]
    animals.image(image_id)
    animals.annotate(of, category=of_category)
    (record,) = animals.read(strict=True)
    assert record.image_id == expected
    assert [animals.read().class_names[label] for label in record.classes] == ["dog"]


def test_an_id_of_another_type_is_another_id(animals, caplog):
    animals.image(1)
    animals.annotate(1, category="07")
    animals.refused("1 of 1 objects cannot be read.*annotation 1 of category '07'")
    assert not animals.read(allow_broken=True)[0].boxes.size


@pytest.mark.parametrize(
    "name",
    [
        "/data/set/images/a.png", "C:\\data\\a.png", "more\\b.png", ".\\a.png", "/somewhere/more/b.png", "images/a.png",
        "../images/a.png", "./more/../a.png",
    ],
)  # fmt: skip
def test_a_file_name_is_taken_for_the_one_file_that_fits(animals, name):
    for there in ("a.png", "more/b.png"):
        animals.save_image(animals.folder / there)
    animals.content["images"] = [{"id": 1, "file_name": name}]
    animals.annotate(1)
    (record,) = animals.read(strict=True)
    assert record.path == str(animals.folder / ("more/b.png" if "b.png" in name else "a.png"))


def test_file_names_are_left_out_when_they_fit_one_file_or_none(animals, caplog):
    names = ["/one/a.png", "/two/a.png", "/three/c.png", "b.png"]
    animals.save_image(animals.folder / "a.png")
    animals.save_image(animals.folder / "b.png")
    animals.content["images"] = [{"id": key, "file_name": name} for key, name in enumerate(names)]
    assert [record.image_id for record in animals.read(allow_broken=True)] == ["3"]
    assert "2 images whose name fits several files left out" in caplog.text
    assert "image 0: /one/a.png" in caplog.text
    assert "1 images outside of their folder left out: " in caplog.text
    assert "image 2: /three/c.png" in caplog.text


def test_names_are_the_same_in_every_form_of_unicode(animals):
    composed, apart = "chó", unicodedata.normalize("NFD", "chó")
    animals.content["categories"] = [{"id": 7, "name": apart}]
    animals.save_image(animals.folder / f"{apart}.png")
    animals.content["images"] = [{"id": 1, "file_name": f"{composed}.png"}]
    animals.annotate(1)
    (record,) = animals.read(class_names=[composed], strict=True)
    assert record.classes.tolist() == [0]
    assert animals.read().class_names == (composed,)


def test_what_occurs_twice_is_refused_left_out_or_named(animals, caplog):
    animals.image(1)
    animals.annotate(1)
    animals.content["annotations"] *= 2
    animals.annotate(1, (1, 2, 3, 4))
    animals.content["annotations"][-1]["id"] = 1
    assert animals.read()[0].boxes.tolist() == [[10, 5, 30.5, 25], [1, 2, 4, 6]]
    assert caplog.messages == [
        f"1 annotations kept whose id another has: {animals.path}, annotation 1",
        f"1 annotations that occur twice left out: {animals.path}, annotation 1",
    ]
    animals.content["categories"] = [*CATEGORIES, {"id": 8, "name": "dog"}]
    animals.content["images"].append({"id": 2, "file_name": "1.png"})
    animals.read()
    assert f"{animals.path}: 1 images kept whose file another has: image 2: 1.png" in caplog.text
    assert f"{animals.path}: the categories 7, 8 are all called 'dog' and are read as one class" in caplog.text
    animals.content["categories"] = [*CATEGORIES, {"id": 7, "name": "fish"}]
    animals.refused("boxes.json has two categories of the id 7, 'dog' and 'fish'; give each an id of its own")


def test_boxes_without_an_area_in_float32_are_left_out(animals, caplog):
    animals.image(1)
    animals.annotate(1, (5, 5, 1e-9, 1e-9))
    animals.annotate(1)
    assert animals.read()[0].boxes.tolist() == [[10, 5, 30.5, 25]]
    assert "1 boxes without an area left out" in caplog.text


def test_a_file_of_names_chooses_and_numbers_the_classes(animals, tmp_path, caplog):
    animals.image(1)
    for category in (7, 3, 90):
        animals.annotate(1, category=category)
    (tmp_path / "names.txt").write_text("owl\ncat\n")
    assert animals.read(class_names=tmp_path / "names.txt")[0].classes.tolist() == [1, 0]
    assert "1 objects of 1 classes that were not asked for left out: dog 1" in caplog.text
    (tmp_path / "names.txt").write_text("owl\ncats\n")
    animals.refused("no category 'cats'; did you mean 'cat'", class_names=[str(tmp_path / "names.txt")])
