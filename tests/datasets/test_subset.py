import collections
import itertools
import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest

from kerassl.datasets import DetectionDataset
from kerassl.datasets.subset import stratified_order, subset

pytestmark = pytest.mark.current_stack

COUNTS = (20, 50, 100, 300, 1000)


@pytest.fixture(scope="module")
def labels():
    """2,000 images of 20 classes with a long tail, from 60 to 1 in a hundred; some have none, many have several."""
    rng = np.random.default_rng(3)
    shares = 0.6 / np.arange(1, 21) ** 1.3
    drawn = rng.random((2000, 20)) < shares
    return {f"{number:06d}": {f"class{c}" for c in np.flatnonzero(row)} for number, row in enumerate(drawn)}


def distance(chosen, labels):
    """Chi-square between the classes of some images and those of all."""
    everything = collections.Counter(name for each in labels.values() for name in each)
    found = collections.Counter(name for each in chosen for name in labels[each])
    share = len(chosen) / len(labels)
    return sum((found[name] - count * share) ** 2 / (count * share) for name, count in everything.items())


def test_takes_images_by_hand_worked_turns():
    # Two of three images are of a, one is of b: a goes first, then b is the one that is missing, then a.
    assert stratified_order([{"a"}, {"a"}, {"b"}], 3) == [0, 2, 1]
    assert stratified_order([{"b"}, {"a"}, {"a"}, {"a"}], 2) == [1, 0]
    # Without classes the order stays.
    assert stratified_order([(), (), ()], 3) == [0, 1, 2]
    # An image of both brings them at once.
    assert stratified_order([{"a"}, {"a"}, {"b"}, {"b"}, {"a", "b"}], 1) == [4]


def test_smaller_subsets_are_in_larger_ones(labels):
    chosen = [subset(labels, count=count, seed=1, labels=labels) for count in (1, 2, *COUNTS, 2000)]
    for smaller, larger in itertools.pairwise(chosen):
        assert set(smaller) < set(larger)
    assert chosen[-1] == sorted(labels)
    fractions = [set(subset(labels, fraction=fraction, labels=labels)) for fraction in (0.01, 0.1, 0.5)]
    assert fractions[0] < fractions[1] < fractions[2]
    assert len(fractions[1]) == 200


def test_subset_depends_on_the_seed_and_not_on_the_order_of_names(labels):
    shuffled = list(labels)
    random.Random(0).shuffle(shuffled)
    again = {each: sorted(labels[each], reverse=True) for each in shuffled}
    chosen = subset(labels, count=100, labels=labels)
    assert subset(shuffled, count=100, labels=again.get) == chosen
    assert subset(labels, count=100, labels=labels, seed=1) != chosen


def test_subset_is_the_same_in_a_process_with_another_order_of_sets(labels):
    code = (  # by its path: all of kerassl takes seconds to import
        "import json, runpy, sys; order = runpy.run_path(sys.argv[1])['stratified_order']; "
        "print(order([set(each) for each in json.load(sys.stdin)], 300))"
    )
    given = json.dumps([sorted(each) for each in labels.values()])
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code, stratified_order.__code__.co_filename],
            input=given,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout) == stratified_order(labels.values(), 300)


@pytest.mark.parametrize("count", COUNTS)
def test_subset_is_nearer_to_the_shares_of_classes_than_one_without_labels(labels, count):
    blind = [distance(subset(labels, count=count, seed=seed), labels) for seed in range(10)]
    ours = [distance(subset(labels, count=count, seed=seed, labels=labels), labels) for seed in range(10)]
    assert np.mean(ours) < np.mean(blind) / (1.5 if count == 20 else 10)  # 20 images must hold each of 20 classes
    if count > 20:
        assert max(ours) < min(blind)


def test_as_many_images_as_classes_hold_every_class(labels):
    names = set().union(*labels.values())
    for seed in range(5):
        for count in (len(names), len(names) + 1, 50):
            chosen = subset(labels, count=count, seed=seed, labels=labels)
            assert set().union(*(labels[each] for each in chosen)) == names
    alone = {f"{number}": {number % 10} if number < 20 else {0} for number in range(1000)}
    assert {min(alone[each]) for each in subset(alone, count=10, labels=alone)} == set(range(10))


def test_labels_are_asked_only_when_some_are_left_out(labels):
    def asked(each):
        raise AssertionError(each)

    assert subset(labels, labels=asked) == subset(labels, count=2000, labels=asked) == sorted(labels)


@pytest.mark.realdata
def test_voc_subsets_have_the_shares_of_real_voc(real_data):
    root = real_data / "VOCdevkit"
    train = DetectionDataset.from_voc(root, 2007, "train")
    labels = {record.image_id: set(record.classes.tolist()) for record in train}
    for count in (20, 100, 300):
        chosen = [record.image_id for record in train.subset(count)]
        blind = [record.image_id for record in train.subset(count, stratified=False)]
        assert len(set().union(*(labels[each] for each in chosen))) == 20
        assert distance(chosen, labels) < distance(blind, labels) / 5
