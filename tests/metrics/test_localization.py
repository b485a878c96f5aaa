"""Scores of one box and one class an image, by hand."""

import numpy as np
import pytest

from kerassl import UserError
from kerassl.boxes import box_iou
from kerassl.metrics import localization, topk


@pytest.mark.current_stack
def test_thresholds_are_reached_when_the_overlap_equals_them():
    targets = np.tile([[0.0, 0.0, 10.0, 10.0]], [4, 1])
    boxes = [[0, 0, 10, 10], [0, 0, 10, 7], [0, 0, 10, 5], [20, 20, 30, 30]]  # IoU 1, 0.7, 0.5, 0
    assert localization(boxes, targets).to_dict() == pytest.approx(
        {"mean_iou": 0.55, "loc_acc_50": 0.75, "loc_acc_70": 0.5}
    )


@pytest.mark.current_stack
def test_overlap_is_zero_when_a_box_is_inverted_or_empty():
    out = localization([[10, 10, 0, 0], [5, 5, 5, 5]], [[0, 0, 10, 10], [5, 5, 5, 5]])
    assert out.to_dict() == {"mean_iou": 0.0, "loc_acc_50": 0.0, "loc_acc_70": 0.0}


@pytest.mark.current_stack
def test_mean_equals_the_diagonal_of_all_pairs_when_boxes_are_random():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 5, [2, 50, 2])
    boxes = np.concatenate([low, low + rng.uniform(1, 9, [2, 50, 2])], axis=-1)
    assert localization(*boxes).mean_iou == pytest.approx(np.diag(box_iou(*boxes)).mean())


@pytest.mark.current_stack
def test_topk_counts_the_labels_rank_when_logits_tie():
    logits = [[0.9, 0.5, 0.1, 0.0], [0.5, 0.9, 0.1, 0.0], [0.3, 0.3, 0.3, 0.3], [0.3, 0.3, 0.3, 0.3]]
    assert topk(logits, [0, 3, 0, 3]) == {"top1": 0.5, "top3": 0.5}
    assert topk(logits, [0, 0, 2, 1], k=2) == {"top2": 0.75}


def test_topk_agrees_with_tensorflow_when_logits_are_random():
    import tensorflow as tf

    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=[200, 20]).astype(np.float32), rng.integers(0, 20, 200)
    for k, share in topk(logits, labels, k=(1, 3, 5)).items():
        assert share == pytest.approx(np.mean(tf.math.in_top_k(labels, logits, int(k[3:]))))


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: localization(np.zeros([2, 4]), np.zeros([3, 4])), r"\(2, 4\).*\(3, 4\)"),
        (lambda: localization(np.zeros([0, 4]), np.zeros([0, 4])), "one xyxy box"),
        (lambda: topk([[0.1, 0.2]], [2], k=1), "labels run from 2 to 2.*2 classes"),
        (lambda: topk([[0.1, 0.2]], [1]), "number of classes, 2"),
        (lambda: topk([[0.1, 0.2]], [1, 0]), "labels \\(2,\\)"),
        (lambda: topk([[0.1, np.nan]], [1], k=1), "finite"),
    ],
)
def test_arrays_are_refused_in_one_line_when_shapes_or_labels_do_not_fit(call, message):
    with pytest.raises(UserError, match=message):
        call()
