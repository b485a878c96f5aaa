"""Other programs' result files: the devkit's, and COCO's results json."""

import dataclasses
import json
import unicodedata

import numpy as np
import pytest

from kerassl import UserError
from kerassl.metrics import evaluate_detections, load_coco_results, load_voc_results, save_voc_results
from kerassl.types import Detections

pytestmark = pytest.mark.current_stack  # files alone: both stacks would find out the same

NAMES = ["cat", "wild_cat", "cow"]
IDS = ["000001", "000002", "000003"]


def _scattered(predictions):
    """The same with scores that do not tie, so that no order is left to chance."""
    rng = np.random.default_rng(0)
    scattered = {}
    for name, one in predictions.items():
        scores = rng.uniform(-3, 3, len(one)).astype(np.float32)
        boxes = (one.boxes + rng.uniform(0, 1, (len(one), 1))).astype(np.float32)
        scattered[name] = Detections(boxes, scores, one.classes)
    return scattered


def test_devkit_files_give_the_same_detections_when_read_again(tmp_path, case):
    predictions, records = case(2, images=8)
    predictions = _scattered(predictions)
    paths = save_voc_results(tmp_path / "results" / "Main", predictions, NAMES, split="val")
    assert [path.name for path in paths] == [f"comp4_det_val_{name}.txt" for name in NAMES]
    again = load_voc_results(tmp_path / "results" / "Main", NAMES, list(predictions))
    for name, one in predictions.items():
        # In the files, a class follows the other; within a class, scores fall.
        order = np.lexsort([-one.scores, one.classes])
        for key in ("boxes", "scores", "classes"):
            value = getattr(one, key)
            np.testing.assert_array_equal(getattr(again[name], key).astype(value.dtype), value[order])
    # nan of classes without objects is equal here.
    np.testing.assert_equal(*(evaluate_detections(one, records, NAMES).to_dict() for one in (again, predictions)))


def test_pixels_are_inclusive_and_count_from_one_when_written(tmp_path, prediction):
    save_voc_results(tmp_path, {"000001": prediction([[0, 0, 10, 20], [5, 5, 6, 6]], [0.5, 0.75], [0, 0])}, NAMES)
    lines = (tmp_path / "comp4_det_test_cat.txt").read_text().splitlines()
    assert [[float(number) for number in line.split()[1:]] for line in lines] == [
        [0.75, 6, 6, 6, 6],
        [0.5, 1, 1, 10, 20],
    ]
    assert {line.split()[0] for line in lines} == {"000001"}
    assert (tmp_path / "comp4_det_test_cow.txt").read_text() == ""


def test_images_that_no_line_names_have_no_detections_when_read(tmp_path, caplog):
    (tmp_path / "comp4_det_val_cat.txt").write_text("000002 0.5 1 1 10 20\n\n000002 -.25 3 4 5 6.5\n")
    (tmp_path / "comp4_det_val_wild_cat.txt").write_text("000001 1e-3 1 1 1 1\r\n")
    found = load_voc_results(tmp_path, NAMES, IDS)
    assert list(found) == IDS
    assert found["000002"].boxes.tolist() == [[0, 0, 10, 20], [2, 3, 5, 6.5]]
    assert found["000002"].scores.tolist() == [0.5, -0.25]
    assert found["000001"].classes.tolist() == [1]
    assert found["000003"].boxes.shape == (0, 4)
    assert "there is no file for 1 of 3 classes (cow)" in caplog.text


def test_names_are_the_same_in_every_form_of_unicode_when_read(tmp_path):
    composed, apart = "chó", unicodedata.normalize("NFD", "chó")
    (tmp_path / f"comp4_det_val_{apart}.txt").write_text(f"{apart} 0.5 1 1 10 20\n", encoding="utf-8")
    found = load_voc_results(tmp_path, [composed], [composed])
    assert found[composed].boxes.tolist() == [[0, 0, 10, 20]]


def test_files_of_the_split_are_taken_when_a_folder_holds_several(tmp_path):
    for split, score in (("val", 0.5), ("test", 0.25)):
        for name in NAMES:
            (tmp_path / f"comp4_det_{split}_{name}.txt").write_text(f"000001 {score} 1 1 10 20\n")
    assert load_voc_results(tmp_path, NAMES, IDS, split="test")["000001"].scores.tolist() == [0.25] * 3
    one = load_voc_results([tmp_path / "comp4_det_val_cow.txt"], NAMES, IDS, split="train")
    assert one["000001"].scores.tolist() == [0.5]
    with pytest.raises(UserError, match=r"results of comp4_det_test and comp4_det_val; give the files of one"):
        load_voc_results(tmp_path, NAMES, IDS, split="train")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("comp4_det_val_cat.txt", "000001 0.5 1 1 10 20\n000001 0.5 1 1 10\n", r"val_cat.txt, line 2 is '000001 0.5 1"),
        ("comp4_det_val_cat.txt", "000001 0.5 1 1 ten 20\n", "line 1 is .* a line is an image id, a score, xmin"),
        ("comp4_det_val_cat.txt", "000001 nan 1 1 10 20\n", "line 1 .* must be finite"),
        ("comp4_det_val_cat.txt", "000001 0.5 20 1 10 20\n", "line 1 has an inverted box"),
        (
            "comp4_det_val_cat.txt",
            "000001 .5 1 1 9 9\n000009 .5 1 1 9 9",
            "line 2 names the image '000009'.*3 that are",
        ),
        ("comp4_det_val_dog.txt", "", r"dog.txt is named after no class of the 3 \(cat, wild_cat, cow\)"),
        ("comp4_det_val.txt", "", "named after no class"),
        ("results.txt", "", "named like a result of the devkit"),
        ("comp4_det_val_cat.txt", b"caf\xe9 0.5 1 1 10 20\n", "is no UTF-8"),
        ("comp4_det_val_cat.txt", "000001 0.5 1 1 10 1e999\n", "line 1 .* must be finite"),
        ("comp4_det_val_cat.txt", "000001 true 1 1 10 20\n", "line 1 is '000001 true"),
        (None, "", r"there is no file .*comp4_det_val_cow.txt"),
    ],
)
def test_devkit_file_is_refused_in_one_line_when_it_does_not_fit(tmp_path, name, text, message):
    path = tmp_path / (name or "comp4_det_val_cow.txt")
    if name:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message) as caught:
        load_voc_results(path, NAMES, IDS)
    assert "\n" not in str(caught.value)


def test_devkit_folder_is_refused_when_it_is_empty(tmp_path):
    with pytest.raises(UserError, match="contains no result of the devkit"):
        load_voc_results(tmp_path, NAMES, IDS)


def test_devkit_files_are_not_written_when_a_line_could_not_be_read(tmp_path, prediction):
    for image_id, label, message in (
        ("my photo", 0, "'my photo' is empty or contains white space"),
        ("a", 3, "class 3"),
    ):
        with pytest.raises(UserError, match=message):
            save_voc_results(tmp_path, {image_id: prediction([[0, 0, 9, 9]], [0.5], [label])}, NAMES)
    assert not list(tmp_path.iterdir())


def _entry(**changes):
    return {"image_id": 7, "category_id": 18, "bbox": [1, 2, 3.5, 4], "score": 0.5, **changes}


def test_coco_results_become_corners_and_classes_when_read(tmp_path, caplog):
    path = tmp_path / "results.json"
    other = _entry(image_id="x", category_id="18", score=1, segmentation=[])
    path.write_text(json.dumps([_entry(image_id=7.0), _entry(category_id=3), other]))
    found = load_coco_results(path, {18: 1, 3: None}, ["7", "8", "x"])
    assert found["7"].boxes.tolist() == [[1, 2, 4.5, 6]]
    assert found["7"].classes.tolist() == [1]
    assert found["x"].scores.tolist() == [1]
    assert found["8"].boxes.shape == (0, 4)
    with caplog.at_level("INFO", "kerassl"):
        load_coco_results(path, {18: 1, 3: None}, ["7", "x"])
    assert "1 detections of categories that are not among the classes left out" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("[", "no whole json file"),
        ("{}", "is no list"),
        ([_entry(), 5], "entry 1 has no image_id"),
        ([{"image_id": 7, "category_id": 18, "bbox": [1, 2, 3, 4]}], "entry 0 has no score"),
        ([_entry(image_id=9)], "entry 0 is of image '9', which is not among the 1 that are scored"),
        ([_entry(), _entry(category_id=4)], "entry 1 has the category 4; the annotations have 18"),
        ([_entry(category_id=[18])], "entry 0 has the category"),
        ([_entry(bbox=[1, 2, 3])], r"entry 0 has the box \[1, 2, 3\]"),
        ([_entry(bbox=[1, 2, 3, "4"])], "entry 0 has the box"),
        ([_entry(bbox=[1, 2, -3, 4])], r"entry 0 .*negative"),
        ([_entry(score=float("nan"))], "the score nan"),
        ([_entry(score=True)], "the score True"),
        ([_entry(bbox=[1, 2, 3, True])], r"entry 0 has the box \[1, 2, 3, True\]"),
        ([_entry(bbox=[1, 2, 3, 10**400])], r"entry 0 has the box \[1, 2, 3, 1000"),
        ('[{"image_id": 7, "category_id": 18, "bbox": [1, 2, 1e999, 4], "score": 1}]', "the box .*inf"),
        ([_entry(bbox={"x": 1})], "entry 0 has the box {'x': 1}"),
        ([_entry(bbox=[[1, 2, 3, 4]])], r"entry 0 has the box \[\[1"),
        ([_entry(category_id=True)], "entry 0 has the category True"),
        ([_entry(image_id=None)], "entry 0 has the image None"),
        ([_entry(image_id=[7])], r"entry 0 has the image \[7\]"),
        ('[{"score": 1, "score": 2}]', "the key 'score' is there twice"),
        ("[" * 100_000, "nested too deeply"),
        (b"\xff\xfe\x00[\xff", "no UTF-16"),
        (b'["\xe9"]', "is no UTF-8"),
    ],
)
def test_coco_results_are_refused_in_one_line_when_an_entry_does_not_fit(tmp_path, content, message):
    path = tmp_path / "results.json"
    if content is not None:
        text = content if isinstance(content, (str, bytes)) else json.dumps(content)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message) as caught:
        load_coco_results(path, {18: 0}, ["7"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("classes", [["a%2Fb", "a/b"], ["%41", "A", "a"], ["../x", "x" * 300, "car/van"]])
def test_classes_that_no_file_can_have_are_read_back_as_themselves(tmp_path, classes):
    found = Detections([[0, 0, 9, 9]] * len(classes), [0.5] * len(classes), np.arange(len(classes)))
    written = save_voc_results(tmp_path / "out", {"a": found}, classes)
    assert {path.parent for path in written} == {tmp_path / "out"}
    read = load_voc_results(tmp_path / "out", classes, ["a"])
    assert sorted(read["a"].classes.tolist()) == list(range(len(classes)))
    again = save_voc_results(tmp_path / "again", {"a": dataclasses.replace(found, classes=read["a"].classes)}, classes)
    assert [path.read_text() for path in again] == [path.read_text() for path in written]
    for label, path in enumerate(written):  # each class has its own file
        (tmp_path / "one").mkdir(exist_ok=True)
        copy = tmp_path / "one" / path.name
        copy.write_text(path.read_text())
        assert load_voc_results(copy, classes, ["a"])["a"].classes.tolist() == [label]
