import json

import numpy as np
import pytest
from PIL import Image

from kerassl import metrics
from kerassl._errors import UserError
from kerassl.types import ClassMetrics, DetectionErrors, DetectionMetrics, Detections, LocalizationMetrics

pytestmark = pytest.mark.current_stack

BOXES = np.array([[100, 100, 300, 260], [350, 40, 460, 200]], "float32")
FOUND = Detections(BOXES, np.array([0.9, 0.4], "float32"), np.array([0, 1], "int32"), ["car", "dog"])
NOTHING = Detections([], [], [], ["car", "dog"])
NAN = float("nan")


def changed(image):
    """Columns and rows in which an image of nothing but 128 has been drawn on."""
    drawn = np.abs(image.astype(int) - 128).max(-1) > 20
    return np.flatnonzero(drawn.any(0)), np.flatnonzero(drawn.any(1))


def test_empty_lists_are_no_detections():
    assert len(NOTHING) == 0
    assert NOTHING.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    "arguments",
    [
        ([[0, 0, 1, 1]], [0.5, 0.5], [0]),
        ([[0, 0, 1]], [0.5], [0]),
        ([[0, 0, 1, 1]], [0.5], [[0]]),
        ([[0, 0, 1, 1], [0, 0, 1]], [0.5, 0.5], [0, 0]),
        ([[0, 0, 1, 1]], ["0.5"], [0]),
        ([[0, 0, 1, 1]], [True], [0]),
        ([[0, 0, 1, 10**400]], [0.5], [0]),
        (None, [0.5], [0]),
    ],
)
def test_detections_are_refused_when_shapes_or_values_do_not_fit(arguments):
    with pytest.raises(UserError, match="detections have"):
        Detections(*arguments)


def test_filter_keeps_all_arrays_of_the_detections_from_a_score_on():
    logits = np.array([[1.0, 2.0], [3.0, 4.0]])
    kept = Detections(BOXES, FOUND.scores, FOUND.classes, FOUND.class_names, logits).filter(0.5)
    assert len(kept) == 1
    np.testing.assert_array_equal(kept.boxes, BOXES[:1])
    np.testing.assert_array_equal(kept.logits, logits[:1])
    assert kept.class_names == ("car", "dog")
    with pytest.raises(UserError, match="score_threshold is 2"):
        FOUND.filter(2)


def test_coco_entries_are_read_back_as_the_same_detections(tmp_path):
    categories = {7: 0, 9: None, 3: 1}
    entries = FOUND.to_coco(12, categories)
    assert entries[1] == {
        "image_id": 12, "category_id": 3, "bbox": [350.0, 40.0, 110.0, 160.0], "score": FOUND.scores[1].item()
    }  # fmt: skip
    (tmp_path / "results.json").write_text(json.dumps(entries))
    read = metrics.load_coco_results(tmp_path / "results.json", categories, ["12"])["12"]
    with pytest.raises(UserError, match="class 1 has no category"):
        FOUND.to_coco(12, {7: 0})
    read = read if isinstance(read, dict) else vars(read)
    np.testing.assert_array_equal(read["boxes"], BOXES)


def test_frames_are_at_the_boxes():
    image = np.full((300, 500, 3), 128, "uint8")
    drawn = FOUND.plot(image, score_threshold=0.5)
    assert drawn.shape == (300, 500, 3)
    assert drawn.dtype == np.uint8
    columns, rows = changed(drawn)
    assert abs(columns[0] - 100) <= 3
    assert abs(columns[-1] - 300) <= 3
    assert abs(rows[-1] - 260) <= 3
    assert rows[0] < 100  # the label is above
    assert np.abs(drawn[150:200, 150:250].astype(int) - 128).max() <= 2  # the inside is visible
    assert changed(FOUND.plot(image, score_threshold=0.3))[0][-1] > 450


def test_small_images_are_enlarged():
    drawn = Detections(BOXES / 10, FOUND.scores, FOUND.classes).plot(np.full((30, 50, 3), 128, "uint8"))
    assert drawn.shape == (288, 480, 3)
    assert abs(changed(drawn)[0][0] - 96) <= 4


def test_truth_is_drawn_without_crowds_when_the_image_is_a_path(tmp_path):
    class Labels:
        boxes = BOXES
        crowd = np.array([True, False])

    image = np.full((300, 500, 3), 128, "uint8")
    Image.fromarray(image).save(tmp_path / "a.png")
    drawn = NOTHING.plot(image, truth=Labels)
    columns, rows = changed(drawn)
    assert abs(columns[0] - 350) <= 3
    assert abs(rows[0] - 40) <= 3
    np.testing.assert_array_equal(NOTHING.plot(tmp_path / "a.png", truth=Labels), drawn)
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="cannot be read as an image"):
        NOTHING.plot(tmp_path / "a.png")


def test_image_of_a_path_is_turned_by_exif_and_white_where_transparent(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    pixels = np.zeros((500, 1000, 4), "uint8")
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    drawn = NOTHING.plot(tmp_path / "a.png")
    assert drawn.shape == (1000, 500, 3)
    assert drawn.min() == 255


def test_plot_is_refused_when_a_class_has_no_name():
    with pytest.raises(UserError, match="class 1, but there are 1"):
        Detections(BOXES, FOUND.scores, FOUND.classes, ["car"]).plot(np.zeros((300, 500, 3)))


@pytest.mark.parametrize(("height", "width"), [(3000, 1), (600, 8), (1, 3000), (1, 1), (5000, 400)])
def test_drawing_has_a_bounded_size_when_the_image_is_thin_or_large(height, width):
    found = Detections([[0, 0, width, height]], [1.0], [0], ["car"])
    for wanted in (None, 300):
        drawn = found.plot(np.full((height, width, 3), 120, np.uint8), width=wanted).shape
        assert max(drawn) <= 4096
        assert min(drawn[:2]) >= 1
        if max(height, width) == 600:
            assert drawn[:2] == (4096, 55)  # the aspect ratio is kept


def test_class_name_is_drawn_on_one_line_of_bounded_length():
    image = np.full((300, 500, 3), 128, np.uint8)

    def top(name):
        return changed(Detections([[100, 150, 300, 260]], [1.0], [0], [name]).plot(image))[1][0]

    assert all(abs(top(name) - top("abcd")) <= 4 for name in ("a\nb", "\udce9", "$_$", "x" * 10_000))


def test_boxes_far_outside_the_image_are_clipped():
    image = np.full((30, 50, 3), 128, np.uint8)
    far = Detections([[-1e12, -1e9, 1e12, np.inf], [np.nan] * 4], [1.0, 1.0], [0, 0], ["car"])
    assert far.plot(image).shape == (288, 480, 3)


def test_metrics_of_boxes_alone_have_no_top1():
    boxes = LocalizationMetrics(0.5, 0.75, 0.25)
    assert boxes.to_dict() == {"mean_iou": 0.5, "loc_acc_50": 0.75, "loc_acc_70": 0.25}
    assert str(boxes) == "mean IoU 50.0  LocAcc@0.5 75.0  LocAcc@0.7 25.0"


def metrics_of(**values):
    errors = DetectionErrors({}, {}, {}, 0, 0, 0, 0, NAN)
    shares = dict.fromkeys(("voc07_ap50", "voc10_ap50", "coco_ap", "coco_ap50", "coco_ap75", "coco_ar100"), 0.5)
    images = dict.fromkeys(("mean_iou", "loc_acc_50", "loc_acc_70", "top1", "top3"), 0.25)
    per_class = {"cat": ClassMetrics(3, *[0.125] * 8), "dog": ClassMetrics(0, *[NAN] * 8)}
    return DetectionMetrics(**shares, **images, per_class=per_class, errors=errors, **values)


def test_json_of_metrics_has_flat_names_and_null_for_nan():
    read = json.loads(metrics_of(coco_ar1=0.75).to_json())
    assert read["voc07_ap50"] == 0.5
    assert read["per_class_objects"] == {"cat": 3, "dog": 0}
    assert read["per_class_voc07"] == read["per_class_mean_iou"] == {"cat": 0.125, "dog": None}
    assert read["errors"]["ap50"] is None
    assert read["coco_ar1"] == 0.75
    assert "coco_ar10" not in read


def test_scalars_are_the_metrics_that_are_one_number():
    assert set(metrics_of().scalars().values()) == {0.5, 0.25}
    assert len(metrics_of().scalars()) == 11
