"""The card of a data set as text and as an image."""

import collections
import re

import numpy as np
import PIL.Image
import pytest

from kerassl.datasets.card import ImageCard, LabelCard
from kerassl.datasets.duplicates import Duplicate, Duplicates
from kerassl.report.data_card import card_text, draw_card

pytestmark = pytest.mark.current_stack

IMAGES = ImageCard(
    6, 2**20, np.array([40, 40, 20, 80]), np.array([60, 60, 30, 100]), collections.Counter({"JPEG RGB": 3, "PNG L": 1}),
    1, [("f.jpg", "is empty (0 bytes)"), ("e.jpg", "is cut off")],
)  # fmt: skip
LABELS = LabelCard(
    ("cat", "dog"), np.array([1, 3]), np.array([1, 2]), np.array([0, 2]), np.array([3, 1, 0]),
    np.array([0.5, 0.25, 1.0, 0.5]),
)  # fmt: skip


def test_text_has_quantiles_shares_and_faults():
    text = card_text(IMAGES, LABELS)
    assert "images: 6 (1.0 MiB)" in text
    assert "broken: 2\n" in text
    assert "boxes: 4, 2 of them" in text
    rows = {row[0]: row[1:] for row in (re.split(r" {2,}", line) for line in text.splitlines())}
    assert rows["height, px"] == ["20", "23", "35", "40", "50", "74", "80"]
    assert rows["relative size"] == ["0.250", "0.287", "0.438", "0.500", "0.625", "0.925", "1.000"]
    assert rows["dog"] == ["3", "75.0%", "2", "2"]


def test_text_counts_the_copies_of_each_pair_of_splits_and_names_the_first():
    copies = [Duplicate(f"{number}.jpg", "test", "a.jpg", "train", "near") for number in range(5)]
    copies.append(Duplicate("b.jpg", "train", "a.jpg", "train", "exact"))
    lines = card_text(IMAGES, None, Duplicates({"train": 3, "test": 9}, tuple(copies))).splitlines()
    numbers = [re.findall(r"\d+", line)[:2] for line in lines if re.match(r"duplicates|  copies", line)]
    assert numbers == [["6", "5"], ["1"], ["5", "5"]]
    assert [line.split() for line in lines if "a.jpg" in line] == [
        ["b.jpg", "=", "a.jpg"], *([f"{number}.jpg", "~", "a.jpg"] for number in range(3))
    ]  # fmt: skip


def test_text_lists_ten_broken_files_and_counts_the_others():
    none = np.zeros(0, int)
    broken = [(f"{number}.jpg", "is missing") for number in range(12)]
    text = card_text(ImageCard(12, 0, none, none, collections.Counter(), 0, broken))
    assert [f"{number}.jpg" in text for number in range(12)] == [True] * 10 + [False] * 2
    assert "nan" not in text


def test_image_is_taller_with_labels_even_without_a_box(tmp_path):
    heights = []
    for number, labels in enumerate((None, LabelCard(("cat",), *np.zeros([3, 1], int), np.zeros(0, int), np.zeros(0)))):
        draw_card(IMAGES, labels, tmp_path / f"{number}.png", "photos")
        with PIL.Image.open(tmp_path / f"{number}.png") as image:
            heights.append(image.height)
            assert len(image.convert("RGB").getcolors(image.width * image.height)) > 50
    assert heights[0] < heights[1]
