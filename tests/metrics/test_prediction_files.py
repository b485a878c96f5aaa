"""Files of predictions: contents, class names, and refusals."""

import dataclasses
import json

import numpy as np
import pytest

from kerassl import UserError
from kerassl.datasets.record import Named
from kerassl.metrics import (
    coco_ap,
    error_kinds,
    evaluate_detections,
    load_predictions,
    load_voc_results,
    save_predictions,
    save_voc_results,
    voc_ap,
)
from kerassl.metrics.prediction_files import predictions_at
from kerassl.types import Detections

pytestmark = pytest.mark.current_stack  # NumPy alone: both stacks would find out the same

NAMES = ["cat", "dog", "cow"]
WHOLE = {"boxes": [[5, 6, 25, 16]], "scores": [0.9], "classes": [0]}
FOUND = Detections(**WHOLE)


def named(predictions, names):
    return {image_id: dataclasses.replace(one, class_names=names) for image_id, one in predictions.items()}


def test_predictions_and_names_are_the_same_to_the_bit_when_read_again(tmp_path):
    given = {"boxes": np.array([[0.1, 0.2, 0.1 + 1e-9, 7]]), "scores": np.array([1 / 3]), "classes": np.array([1])}
    save_predictions(tmp_path / "p.json", {"a": Detections(**given), 7: FOUND}, NAMES)
    found = load_predictions(tmp_path / "p.json")
    assert found["a"].class_names == tuple(NAMES)
    assert list(found) == ["a", "7"]
    for key, value in given.items():
        np.testing.assert_array_equal(getattr(found["a"], key), value)
    assert [getattr(found["a"], key).dtype for key in given] == [np.float64, np.float64, np.int32]


def test_figures_are_the_same_when_predictions_have_another_order_of_the_names(case, tmp_path):
    predictions, records = case(3, images=6)
    order = ["cow", "cat", "dog"]
    places = np.array([order.index(name) for name in NAMES])
    turned = {name: dataclasses.replace(one, classes=places[one.classes]) for name, one in predictions.items()}
    expected = evaluate_detections(predictions, records, NAMES).to_dict()
    assert expected["top1"] > 0
    save_predictions(tmp_path / "file.json", turned, order)
    save_predictions(tmp_path / "names.json", named(turned, order), NAMES)
    save_voc_results(tmp_path / "voc", named(turned, order), NAMES)
    for given in (
        named(predictions, NAMES),
        named(turned, order),
        load_predictions(tmp_path / "file.json"),
        load_predictions(tmp_path / "names.json"),
    ):
        np.testing.assert_equal(evaluate_detections(given, records, NAMES).to_dict(), expected)
    np.testing.assert_equal(*(voc_ap(one, records, NAMES).to_dict() for one in (named(turned, order), predictions)))
    from_files = load_voc_results(tmp_path / "voc", order, list(predictions))
    assert all(one.class_names == tuple(order) for one in from_files.values())
    assert voc_ap(from_files, records, NAMES).per_class.keys() == set(NAMES)
    for name, one in predictions.items():
        labels = np.array(order)[from_files[name].classes]
        assert sorted(labels) == sorted(np.array(NAMES)[one.classes])


@pytest.mark.parametrize("score", [evaluate_detections, voc_ap, coco_ap, error_kinds])
def test_other_names_are_refused_with_those_that_differ_when_scored(case, score):
    predictions, records = case(3)
    with pytest.raises(UserError, match=r"\('horse' in the predictions alone; 'cow' in the labels alone\)") as error:
        score(named(predictions, ["dog", "horse", "cat"]), records, NAMES)
    assert "class_names=['dog', 'horse', 'cat']" in str(error.value)
    assert error.value.shell.endswith("--classes dog horse cat")


def test_file_without_names_is_read_with_a_line_in_the_log(tmp_path, caplog):
    save_predictions(tmp_path / "p.json", {"a": FOUND})
    assert "classes" not in json.loads((tmp_path / "p.json").read_text())
    assert load_predictions(tmp_path / "p.json")["a"].class_names is None
    assert "p.json has no class names" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ["cat"]}, "'cat' among their classes; give whole numbers"),
        ({"classes": [None]}, "None among their classes"),
        ({"classes": [True]}, "True among their classes"),
        ({"classes": [10**30]}, "1000000000000000000000000000000 among their classes"),
        ({"classes": [2**40]}, "the class 1099511627776, which is not a whole number"),
        ({"classes": [0.5]}, "the class 0.5, which is not a whole number"),
        ({"classes": [float("nan")]}, "the class nan, which is not a whole number"),
        ({"classes": [-1]}, r"class -1, but there are 3 class names \(0 to 2\)"),
        ({"classes": [3]}, "class 3, but there are 3 class names"),
        ({"classes": [[0]]}, r"classes \(1, 1\); give"),
        ({"classes": 0}, r"classes \(\); give"),
        ({"classes": {"0": 1}}, "among their classes"),
        ({"classes": []}, r"classes \(0,\); give"),
        ({"scores": [False]}, "False among their scores"),
        ({"scores": ["0.9"]}, "'0.9' among their scores"),
        ({"scores": "0.9"}, "'0.9' among their scores"),
        ({"scores": 0.9}, r"scores \(\)"),
        ({"scores": [float("inf")]}, "not a finite number"),
        ({"scores": [0.9, [0.8]]}, "scores in lists of different lengths"),
        ({"boxes": [[5, 6, True, 16]]}, "True among their boxes"),
        ({"boxes": [[5, 6, None, 16]]}, "None among their boxes"),
        ({"boxes": [[5, 6, "25", 16]]}, "'25' among their boxes"),
        ({"boxes": [[5, 6, 10**400, 16]]}, "10000000.* among their boxes"),
        ({"boxes": [[5, 6, 1e300, 16]]}, r"the box \[5.0, 6.0, 1e\+300, 16.0\], which is on no image"),
        ({"boxes": [[5, 6, float("nan"), 16]]}, "not a finite number"),
        ({"boxes": [[5, 6, 25]]}, r"boxes \(1, 3\)"),
        ({"boxes": [5, 6, 25, 16]}, r"boxes \(4,\)"),
        ({"boxes": [[[5, 6, 25, 16]]]}, r"boxes \(1, 1, 4\)"),
        ({"boxes": [[5, 6, 25, 16], [5]]}, "boxes in lists of different lengths"),
        ({"boxes": [[5, 6, 4, 16]]}, r"the inverted box \[5.0, 6.0, 4.0, 16.0\]"),
        ({"boxes": None}, "None among their boxes"),
    ],
)
def test_image_is_refused_with_its_name_and_the_value_when_it_is_malformed(tmp_path, changes, message):
    one = {**WHOLE, **changes}
    content = {"format": "kerassl predictions 1", "classes": NAMES, "images": {"a": WHOLE, "b": one}}
    (tmp_path / "p.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"image 'b' in .*p.json.*{message}") as error:
        load_predictions(tmp_path / "p.json")
    assert "\n" not in str(error.value)


def _file(images='{"a": {}}', more=""):
    return f'{{"format": "kerassl predictions 1"{more}, "images": {images}}}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no file of predictions"),
        ('{"format":' * 100_000, "nested too deeply"),
        (b'{"format": "\xe9"}', "is no UTF-8"),
        (b"", "no whole json file"),
        ("[1, 2]", "does not contain predictions"),
        ("null", "does not contain predictions"),
        (_file("[]"), "does not contain predictions"),
        (_file('{"a": null}'), "image 'a' in .* has no detections"),
        (_file('{"a": []}'), "image 'a' in .* has no detections"),
        (_file('{"a": {"boxes": []}}'), "image 'a' in .* has no detections"),
        (_file('{"a": {}, "a": {}}'), "the key 'a' is there twice"),
        (_file("{}", ', "classes": "cat"'), "has the classes 'cat', which are not a list"),
        (_file("{}", ', "classes": ["cat", 5]'), "class_names holds 5"),
        (_file("{}", ', "classes": ["cat", "cat"]'), "'cat' more than once"),
        (_file("{}", ', "classes": []'), r"class_names is \[\]"),
    ],
)
def test_file_is_refused_in_one_line_when_it_holds_no_predictions(tmp_path, text, message):
    if text is not None:
        (tmp_path / "p.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message) as error:
        load_predictions(tmp_path / "p.json")
    assert "p.json" in str(error.value)
    assert "\n" not in str(error.value)


COCO = {
    "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 5, "file_name": "b.jpg"}],
    "categories": [{"id": 3, "name": "cat"}, {"id": 1, "name": "dog"}],
    "annotations": [{"image_id": 5, "category_id": 3, "bbox": [5, 6, 20, 10], "score": 0.9}],
}


def test_coco_json_with_scores_is_read_with_its_names(tmp_path):
    (tmp_path / "predictions.json").write_text(json.dumps(COCO))
    for path in (tmp_path, tmp_path / "predictions.json"):
        found = load_predictions(path)
        assert {name: len(one) for name, one in found.items()} == {"a.jpg": 0, "b.jpg": 1}
        one = found["b.jpg"]
        assert (one.class_names, one.classes.tolist(), one.scores.tolist()) == (("cat", "dog"), [0], [0.9])
        assert one.boxes.tolist() == WHOLE["boxes"]


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("annotations", {"score": None}, "None among their scores"),
        ("annotations", {"score": ...}, "annotation 0 of .* has no score"),
        ("annotations", {"image_id": 7}, "annotation 0 of .* of an image or a category that is not there"),
        ("annotations", {"category_id": [1]}, "annotation 0 of .* of an image or a category that is not there"),
        ("annotations", {"bbox": [1, 2, 3]}, "image 'b.jpg' in .* None among their boxes"),
        ("annotations", {"bbox": [1, 2, -3, 4]}, "image 'b.jpg' in .* inverted box"),
        ("annotations", {"bbox": "1234"}, "image 'b.jpg' in .* None among their boxes"),
        ("images", {"id": 5}, "no images, each with an id of its own"),
        ("images", {"file_name": "b.jpg"}, "images of the same file_name"),
        ("categories", {"name": 5}, "no categories, each with an id of its own and a name"),
        ("categories", {"name": "dog"}, "categories of the same name"),
    ],
)
def test_coco_json_is_refused_in_one_line_when_it_is_malformed(tmp_path, part, changes, message):
    first, *others = COCO[part]
    first = {key: value for key, value in {**first, **changes}.items() if value is not ...}
    (tmp_path / "p.json").write_text(json.dumps({**COCO, part: [first, *others]}))
    with pytest.raises(UserError, match=message) as error:
        load_predictions(tmp_path / "p.json")
    assert "p.json" in str(error.value)
    assert "\n" not in str(error.value)


HEADER = "path,x1,y1,x2,y2,class,score\n"


def _voc(score="<score>0.9</score>", name="cat", xmax="25"):
    box = f"<bndbox><xmin>5</xmin><ymin>6</ymin><xmax>{xmax}</xmax><ymax>16</ymax></bndbox>"
    return f"<annotation><object><name>{name}</name>{box}{score}</object></annotation>"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "predictions.csv",
            "b.jpg,5,6,4,16,cat,0.9",
            r"line 2, cat \(5, 6, 4, 16\) has the inverted box \(5, 6, 4, 16\)",
        ),
        (
            "predictions.csv",
            "b.jpg,5,6,x,16,cat,0.9",
            "line 2: 'b.jpg,5,6,x,16,cat,0.9' has no four numbers as its box",
        ),
        ("predictions.csv", "b.jpg,5,6,nan,16,cat,0.9", "line 2: .* has no four numbers as its box"),
        ("predictions.csv", "b.jpg,5,6,25,inf,cat,0.9", "line 2: .* has no four numbers as its box"),
        ("predictions.csv", "b.jpg,5,6,25,16,cat,nan", "line 2: .* has the score nan"),
        ("predictions.csv", "b.jpg,5,6,25,16,cat,x", "line 2: .* has the score x"),
        ("predictions.csv", "b.jpg,5,6,25,16,cat,", "line 2, cat .* has no score"),
        ("predictions.csv", "b.jpg,5,6,25,16,cta,0.9", "line 2, cta .* is of a class that is not in classes.txt"),
        ("predictions.csv", "b.jpg,5,6,25,16,,0.9", "line 2: .* names no class"),
        ("predictions.csv", ",5,6,25,16,cat,0.9", "line 2: .* names no image"),
        ("Annotations/b.xml", _voc(xmax="4"), r"cat \(5, 6, 4, 16\) has the inverted box"),
        ("Annotations/b.xml", _voc(xmax="x"), "has an object whose box is .'5', '6', 'x'"),
        ("Annotations/b.xml", _voc(xmax="nan"), "has an object whose box is .'5', '6', 'nan'"),
        ("Annotations/b.xml", _voc(""), "cat .* has no score"),
        ("Annotations/b.xml", _voc("<score>inf</score>"), "cat .* has the score inf"),
        ("Annotations/b.xml", _voc(name="cta"), "cta .* is of a class that is not in classes.txt"),
        ("Annotations/b.xml", "<annotation>", "is no whole XML file"),
        ("labels/b.txt", "0 0.5 0.5 -0.2 0.2 0.9", r"line 2: .* has the inverted box \(0.6, 0.4, 0.4, 0.6\)"),
        ("labels/b.txt", "0 0.5 x 0.2 0.2 0.9", "line 2: .* does not hold numbers alone"),
        ("labels/b.txt", "0 0.5 nan 0.2 0.2 0.9", "line 2: .* holds a number that is not finite"),
        ("labels/b.txt", "0 0.5 0.5 0.2 0.2 inf", "line 2: .* holds a number that is not finite"),
        ("labels/b.txt", "7 0.5 0.5 0.2 0.2 0.9", "line 2: .* names the class 7, but the classes are 0 to 2"),
        ("labels/b.txt", "0 0.5 0.5 0.2 0.2", "line 2: .* has no score"),
        ("labels/b.txt", "0 25 16 20 10 0.9", "line 2: .* is in pixels; YOLO holds shares of the image"),
    ],
)
def test_one_bad_detection_is_refused_with_its_place_in_every_format(tmp_path, file, text, message):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    whole = {".csv": HEADER, ".xml": "", ".txt": "0 0.5 0.5 0.2 0.2 0.9\n"}[path.suffix]
    more = "" if path.suffix == ".xml" else 40 * f"\n{'c.jpg,5,6,25,16,cat,0.9' if whole == HEADER else whole}"
    path.write_text(whole + text + more)
    with pytest.raises(UserError, match=f"{path.name}.*{message}") as error:
        load_predictions(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("predictions.csv", HEADER + "b.jpg,5,6,5,16,cat,0.9"),
        ("Annotations/b.xml", _voc(xmax="5")),
        ("labels/b.txt", "0 0.5 0.5 0 0.2 0.9"),
    ],
)
def test_detection_is_kept_when_its_box_has_no_area(tmp_path, file, text):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    ((one,), _) = (list(found.values()) if isinstance(found, dict) else found for found in predictions_at(tmp_path))
    assert one.scores.tolist() == [0.9]
    assert one.boxes[0, 0] == one.boxes[0, 2]


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ({"a": dataclasses.replace(FOUND, classes=[3])}, "image 'a' has class 3, but there are 3 class names"),
        ({"1": FOUND, 1: FOUND}, "image 1 is there twice"),
    ],
)
def test_nothing_is_written_when_predictions_make_no_sense(tmp_path, predictions, message):
    with pytest.raises(UserError, match=message):
        save_predictions(tmp_path / "p.json", predictions, NAMES)
    assert not list(tmp_path.iterdir())


def test_boxes_without_an_area_in_float32_are_wrong_detections_when_scored(record):
    boxes = [[10, 10, 30, 30], [50, 50, 50 + 1e-9, 50 + 1e-9], [70, 70, 70, 70]]
    predictions = {"a": Detections(boxes, [0.5, 0.9, 0.8], [0, 0, 0])}
    figures = evaluate_detections(predictions, [record("a", boxes[:1], [0])], ["cat"], sizes=True).to_dict()
    assert figures["voc10_ap50"] == pytest.approx(1 / 3)
    assert figures["coco_ap"] == pytest.approx(1 / 3)
    assert figures["errors"]["counts"]["background"] == 2


def test_records_are_refused_when_they_were_numbered_by_another_order_of_the_names(record):
    one = record("a", [[0, 0, 9, 9]], [0])
    numbered = dataclasses.replace(one, named=Named(("dog", "cat"), one.classes))
    found = {"a": Detections(one.boxes, [0.5], [0])}
    for classes in (["dog", "cat"], ["dog", "cat", "cow"], ["dog"]):
        assert evaluate_detections(found, [numbered], classes).top1 == 1
    with pytest.raises(UserError, match=r"number their classes as \['dog', 'cat'\], .*'cat', 'dog'"):
        evaluate_detections(found, [numbered], ["cat", "dog"])
    with pytest.raises(UserError, match=r"\('dog' in the records alone; 'cow' in class_names alone\)"):
        evaluate_detections(found, [numbered], ["cat", "cow"])
    changed = dataclasses.replace(numbered, classes=numbered.classes + 1)
    assert changed.named is None  # the meaning of the new numbers is not known


@pytest.mark.parametrize(("predictions", "message"), [([], "are a list"), (None, "are a NoneType")])
def test_predictions_are_refused_when_they_are_no_dict(record, predictions, message):
    with pytest.raises(UserError, match=message):
        evaluate_detections(predictions, [record("a", [], [])], ["cat"])
