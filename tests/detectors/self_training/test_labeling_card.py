"""Figures of what a teacher labeled, and its alarms."""

import numpy as np
import pytest

from kerassl.datasets import Record
from kerassl.detectors.self_training.labeling_card import CardCounts
from kerassl.detectors.self_training.thresholds import count_matched, fixed

pytestmark = pytest.mark.current_stack

NAMES = ("cat", "dog", "owl")


def labeled_by_people(*classes):
    return [
        Record("a", "a", 9, 9, np.ones([len(each), 4]), np.array(each), np.zeros(len(each), bool)) for each in classes
    ]


def card_of(teacher, people, thresholds=None):
    counts = CardCounts(people, thresholds or fixed(0.3, NAMES))
    for classes in teacher:
        counts.add(np.array(classes, int), np.zeros(len(classes), bool))
    return counts.card({"foreign": 2})


def test_card_counts_labels_and_ignored_regions_when_images_are_added():
    people = labeled_by_people([0, 0, 1], [1])
    counts = CardCounts(people, fixed(0.3, NAMES))
    counts.add(np.array([0, 1, 1]), np.array([False, False, True]))
    counts.add(np.array([0, 1]), np.array([True, True]))
    counts.add(np.array([], int), np.array([], bool))
    card = counts.card({"foreign": 2})
    assert (card.images, card.empty, card.labeled_images) == (3, 2, 2)
    assert (card.boxes, card.ignored, card.labeled_boxes) == ((1, 1, 0), (1, 2, 0), (2, 2, 0))
    content = card.to_dict()
    assert content["empty_share"] == pytest.approx(2 / 3)
    assert content["left_out"] == {"foreign": 2}
    assert content["classes"]["cat"]["labeled_boxes_per_image"] == 1
    expected = 2 * 0.5 * np.log(0.5 / (1.5 / 3.5))  # half a box more of each class
    assert content["kl_divergence"] == pytest.approx(expected)


def test_alarm_is_one_line_when_the_teacher_collapsed():
    people = labeled_by_people([0, 1, 2], [0, 1, 2])
    assert card_of([[0, 1, 2]] * 100, people).alarms() == []
    cases = {
        "nothing in 9 images": card_of([[]] * 9, people),
        "one class of 3 alone, dog": card_of([[1, 1]] * 100, people),
        "little to do with": card_of([[0, 0, 1]] * 300, labeled_by_people([2, 2, 2, 1, 0])),
        "classes are others": card_of([[0] * 8 + [1, 2]] * 100, people),
        "no image was labeled": card_of([], people),
    }
    for words, card in cases.items():
        assert words in card.alarms()[0]
    assert "hardly any owl" in cases["little to do with"].alarms()[1]
    assert len(cases["one class of 3 alone, dog"].alarms()) == 1
    single = count_matched([0.9] * 9, [1] * 9, 9, labeled_by_people([1]), NAMES)
    assert card_of([[1]] * 9, labeled_by_people([1]), single).alarms() == ["no labels of cat, owl: people gave none"]
