"""The measures against planted heatmaps, known values and loops."""

import math

import numpy as np
import pytest

from kerassl import UserError
from kerassl.boxes import box_iou
from kerassl.detectors.pseudo_boxes.heatmaps import component_boxes
from kerassl.explain import baseline_maps, saliency_metrics
from kerassl.explain.localization.saliency_metrics import THRESHOLDS

pytestmark = pytest.mark.current_stack


def square(x0, y0, x1, y1, size=(64, 64)):
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_perfect_heatmaps_score_one_on_every_measure():
    draw = np.random.default_rng(0)
    masks = np.zeros([6, 48, 64], bool)
    for mask in masks:
        y0, x0 = draw.integers(0, 20, 2)
        mask[y0 : y0 + draw.integers(5, 25), x0 : x0 + draw.integers(5, 40)] = True
        mask[y0, x0] = False  # no rectangle
    masks[0] = square(10, 10, 20, 20, (48, 64))
    found = saliency_metrics(masks.astype("float32"), masks=masks, others=[True] * 6).figures()
    assert set(found) == {
        *("energy", "coverage", "pointing", "pointing_difficult", "pxap"),
        *("box_acc", "max_box_acc", "max_box_acc_v2"),
    }
    assert all(value == pytest.approx(1.0) for value in found.values())


def test_one_pixel_has_all_its_energy_and_next_to_no_coverage():
    mask = square(10, 10, 50, 40)
    heatmaps = np.zeros([1, 64, 64], "float32")
    heatmaps[0, 20, 20] = 1
    found = saliency_metrics(heatmaps, masks=[mask]).figures()
    assert (found["energy"], found["pointing"]) == (1, 1)
    assert found["coverage"] == pytest.approx(1 / 1200)
    assert found["max_box_acc_v2"] == 0


def test_baselines_have_their_known_values():
    boxes = [np.array([[16.0, 16, 48, 48]]), np.array([[0.0, 0, 16, 64]])]
    looks = baseline_maps((64, 64), 2)
    whole = saliency_metrics(looks["whole image"], boxes, tolerance=0)
    np.testing.assert_allclose(whole.energy, [0.25, 0.25])
    np.testing.assert_allclose(whole.pointing, [0.25, 0.25])  # of pixels that are all the highest, the share that hits
    np.testing.assert_allclose(whole.coverage, [1, 1])
    np.testing.assert_allclose(whole.at_threshold, [0.25, 0.25])
    gaussian = saliency_metrics(looks["centered Gaussian"], boxes, tolerance=15)
    # A standard deviation is a quarter of a side: the first box reaches one to each side, the second from two to one.
    inside = math.erf(1 / math.sqrt(2))
    all_of_it = math.erf(2 / math.sqrt(2))
    assert gaussian.energy[0] == pytest.approx((inside / all_of_it) ** 2, abs=2e-3)
    assert gaussian.energy[1] == pytest.approx((all_of_it - inside) / 2 / all_of_it, abs=2e-3)
    # Of four highest pixels in the middle the left two are 15.5 pixels from the second box.
    np.testing.assert_allclose(gaussian.pointing, [1, 0])
    assert saliency_metrics(looks["centered Gaussian"], boxes, tolerance=15.5).pointing[1] == 0.5
    # Where it is one e-th: a circle of radius 16 roots of 2, whose box is 46 pixels wide.
    assert len(component_boxes(looks["centered Gaussian"][0], np.exp(-1))) == 1
    assert np.ptp(component_boxes(looks["centered Gaussian"][0], np.exp(-1))[0][[0, 2]]) == 46


def test_pixel_precision_of_the_whole_image_is_the_share_of_the_object():
    masks = [square(0, 0, 16, 64), square(8, 8, 40, 24)]
    found = saliency_metrics(np.ones([2, 64, 64]), masks=masks)
    assert found.figures()["pxap"] == pytest.approx((16 * 64 + 32 * 16) / (2 * 64 * 64))


@pytest.mark.parametrize("seed", range(3))
def test_pixel_precision_equals_that_of_sorted_pixels(seed):
    draw = np.random.default_rng(seed)
    heatmaps = np.round(draw.uniform(size=[3, 20, 30]), 2 + seed % 2).astype("float32")
    masks = draw.uniform(size=heatmaps.shape) < 0.2 + 0.5 * heatmaps
    values, inside = heatmaps.ravel().astype(float), masks.ravel()
    precision = 0.0
    for value in np.unique(values):
        above = values >= value
        precision += (inside & (values == value)).sum() / inside.sum() * inside[above].mean()
    assert saliency_metrics(heatmaps, masks=masks).figures()["pxap"] == pytest.approx(precision, abs=1e-9)


def pieces_in_loops(heatmaps, threshold):
    """Flood fill over the eight neighbors: [(pixels, box)] in the order in which they are met."""
    left = {(y, x) for y, row in enumerate(heatmaps) for x, value in enumerate(row) if value >= threshold}
    found = []
    for y in range(heatmaps.shape[0]):
        for x in range(heatmaps.shape[1]):
            if (y, x) not in left:
                continue
            left.remove((y, x))
            piece, edge = [], [(y, x)]
            while edge:
                place = edge.pop()
                piece.append(place)
                for dy in (-1, 0, 1):
                    for dx in (-1, 0, 1):
                        near = (place[0] + dy, place[1] + dx)
                        if near in left:
                            left.remove(near)
                            edge.append(near)
            rows, columns = [p[0] for p in piece], [p[1] for p in piece]
            found.append((len(piece), [min(columns), min(rows), max(columns) + 1, max(rows) + 1]))
    return found


def overlap(first, second):
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return common / (sum(areas) - common)


def test_box_accuracy_and_pointing_equal_loops_on_a_thousand_cases():
    draw = np.random.default_rng(5)
    count, size = 1000, (9, 11)
    heatmaps = draw.choice(np.linspace(0, 1, 6), [count, *size], p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.1]).astype("float32")
    heatmaps *= draw.uniform(size=heatmaps.shape) < 0.2
    boxes = []
    for row in range(count):
        corners = draw.integers(0, 6, [draw.integers(1, 3), 2])
        boxes.append(np.concatenate([corners, corners + draw.integers(2, 6, corners.shape)], axis=1).astype(float))
        x0, y0, x1, y1 = boxes[-1][0].astype(int) + draw.integers(-1, 2, 4)
        heatmaps[row, max(y0, 0) : y1, max(x0, 0) : x1] += 0.6
    heatmaps = np.clip(heatmaps, 0, 1)
    found = saliency_metrics(heatmaps, boxes, threshold=0.5, tolerance=1.5)
    at_half = list(THRESHOLDS).index(0.5)
    # The largest piece wins; of pieces of one size the one that is met first.
    largest, anyone, hits = np.zeros([count, 2]), np.zeros([count, 2]), np.zeros(count)
    for row in range(count):
        for place, threshold in enumerate((0.5, 0.25)):
            pieces = pieces_in_loops(heatmaps[row], threshold)
            best = [max(overlap(box, truth) for truth in boxes[row]) for _, box in pieces]
            sizes = [pixels for pixels, _ in pieces]
            largest[row, place] = best[sizes.index(max(sizes))] if best else 0
            anyone[row, place] = max(best, default=0)
        highest = [tuple(place) for place in np.argwhere(heatmaps[row] == heatmaps[row].max())]
        near = 0
        for y, x in highest:
            away = []
            for x0, y0, x1, y1 in boxes[row]:
                dx, dy = max(x0 - x - 0.5, 0, x + 0.5 - x1), max(y0 - y - 0.5, 0, y + 0.5 - y1)
                away.append(math.sqrt(dx**2 + dy**2))
            near += min(away) <= 1.5
        hits[row] = near / len(highest)
    np.testing.assert_allclose(found.at_threshold, largest[:, 0])
    np.testing.assert_allclose(found.largest[:, at_half], largest[:, 0])
    np.testing.assert_allclose(found.largest[:, list(THRESHOLDS).index(0.25)], largest[:, 1])
    np.testing.assert_allclose(found.any_piece[:, at_half], anyone[:, 0])
    np.testing.assert_allclose(found.pointing, hits)
    figures = found.figures()
    assert figures["box_acc"] == pytest.approx((largest[:, 0] >= 0.5).mean())
    assert figures["max_box_acc"] == pytest.approx(max((found.largest[:, t] >= 0.5).mean() for t in range(19)))
    expected = np.mean([max((found.any_piece[:, t] >= o).mean() for t in range(19)) for o in (0.3, 0.5, 0.7)])
    assert figures["max_box_acc_v2"] == pytest.approx(expected)
    assert 0.05 < figures["box_acc"] < figures["max_box_acc_v2"] < 0.95


def test_difficult_objects_are_neither_hit_nor_missed():
    heatmaps = np.zeros([3, 32, 32], "float32")
    heatmaps[0, 5, 5] = heatmaps[1, 25, 25] = heatmaps[2, 5, 5] = 1
    easy, hard = np.array([[0.0, 0, 10, 10]]), np.array([[20.0, 20, 30, 30]])
    none = np.zeros([0, 4])
    found = saliency_metrics(heatmaps, [easy, easy, none], ignored=[hard, hard, easy], tolerance=0)
    np.testing.assert_array_equal(found.pointing, [1, np.nan, np.nan])
    np.testing.assert_array_equal(found.energy, [1, 0, np.nan])
    np.testing.assert_array_equal(found.at_threshold[2], np.nan)
    assert found.figures()["energy"] == 0.5
    assert saliency_metrics(heatmaps[2:], [none]).figures()["pointing"] != 0  # nan: no image counts


def test_difficult_images_are_small_objects_beside_another_class():
    heatmaps = np.ones([3, 32, 32], "float32") * 0.5
    heatmaps[:, 4, 4] = 1
    small, large = np.array([[0.0, 0, 10, 10]]), np.array([[0.0, 0, 20, 20]])
    found = saliency_metrics(heatmaps, [small, large, small], others=[True, True, False])
    np.testing.assert_array_equal(found.hard, [True, False, False])
    assert "pointing_difficult" not in saliency_metrics(heatmaps, [small, large, small]).figures()


def test_scores_are_zero_when_heatmaps_are_empty():
    found = saliency_metrics(np.zeros([1, 32, 32]), masks=[square(0, 0, 8, 8, (32, 32))]).figures()
    assert found["energy"] == found["coverage"] == found["pointing"] == found["max_box_acc"] == 0


def test_best_threshold_is_where_most_boxes_fit():
    heatmaps = np.full([2, 32, 32], 0.2, "float32")
    heatmaps[:, 8:24, 8:24] = 0.6
    heatmaps[:, 10, 10] = 1
    found = saliency_metrics(heatmaps, [np.array([[8.0, 8, 24, 24]])] * 2)
    assert found.best_threshold() == 0.45  # in the middle of 0.25 to 0.6
    assert box_iou(component_boxes(heatmaps[0], 0.4), [[8, 8, 24, 24]])[0, 0] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones([2, 8]), []), r"heatmaps are \(2, 8\)"),
        ((np.full([1, 8, 8], 2.0), [[]]), r"go from 2 to 2"),
        ((np.ones([1, 8, 8]),), "neither boxes nor a mask"),
        ((np.ones([2, 8, 8]), [[]]), "boxes are 1 for 2 heatmaps"),
        ((np.ones([1, 8, 8]), None, [np.ones([4, 4], bool)]), r"a mask is \(4, 4\)"),
    ],
)
def test_input_is_refused_in_one_line_when_invalid(arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        saliency_metrics(*arguments)
    assert "\n" not in str(caught.value)
