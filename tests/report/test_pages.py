"""One page of each kind, from made-up values with markup in every name."""

import html.parser
import io
import itertools
import re

import numpy as np
import PIL.Image
import pytest

from kerassl.report import audit, explain, features, plots, run
from kerassl.report.comparison import comparison_text
from kerassl.report.render import data_uri
from kerassl.types import LOCALIZATION_METRICS

pytestmark = pytest.mark.current_stack

NAMES = ("plain", "<b>{{0}}&\"'", "two\nlines", "caf\udce9$x$")
SHOWN = ("plain", "<b>{{0}}&\"'", r"two\nlines", r"caf\xe9$x$")  # once markup is read and what cannot be shown escaped
VOID = ("img", "br", "meta")


def test_training_plot_shows_what_there_is_when_it_is_short(monkeypatch):
    monkeypatch.setattr(plots, "png", lambda figure, *named: figure.axes[0].lines[0].get_markersize())
    line = {"kind": "epoch", "stage": "distill", "epoch": 1, "loss": 0.5}
    (one,), (two,) = (plots.training(lines, None) for lines in ([line], [line, {**line, "epoch": 2}]))
    assert one.text == "Loss by epoch."
    assert one.png >= 2 * two.png


class Page(html.parser.HTMLParser):
    """Text, images and table cells of a page; fails at a tag that is not closed in its turn."""

    def __init__(self, page):
        super().__init__()
        self.open, self.text, self.cells, self.values, self.images = [], [], [], [], []
        self.feed(page)
        assert not self.open
        assert not re.search(r"(src|href)=.(?!data:)|https?://|<link|<script src", page)
        page.encode()

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")
            self.values.append(dict(attrs).get("data-value"))
        if tag == "img":
            self.images.append(dict(attrs)["alt"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data


@pytest.fixture(scope="module")
def png():
    file = io.BytesIO()
    PIL.Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch, png):
    """Plots take a second each and have tests of their own."""
    monkeypatch.setattr(plots, "png", lambda figure, *named: png)


PRETRAIN = {
    "images": 448, "steps": 70, "loss": 4.842, "chance": 4.844, "batch_size": 64, "decoupled": False, "minutes": 1.25,
    "learned": False,
    "alarms": [
        {"step": 30, "kind": "flat", "message": "recovered", "at_end": False},
        {"step": 70, "kind": "collapsed", "message": "4.5 directions", "at_end": True},
    ],
}  # fmt: skip


def significance(protocols=("frozen", "detector"), labels=(100, None)):
    """Of variants whose first is the baseline; the second is better in LocAcc@0.7, the third worse in Top-1."""
    changes = {NAMES[1]: {"loc_acc_70": (0.03, 0.01, 0.05)}, NAMES[2]: {"top1": (-0.02, -0.03, -0.0001)}, NAMES[3]: {}}
    figure = {"mean": 0.5125, "spread": 0.1, "deviation": 0.05, "by_seed": [0.45, None, 0.55]}
    differences = []
    for variant, other in changes.items():
        measures = {key: other.get(key, (0.0, -0.01, 0.01)) for key in LOCALIZATION_METRICS}
        measures = {
            key: {"value": value, "low": low, "high": high, "significant": low > 0 or high < 0}
            for key, (value, low, high) in measures.items()
        }
        differences.append({"variant": variant, "other": NAMES[0], "seeds": [0, 1], "measures": measures, "ap": {}})
    variants = {name: {"seeds": [0, 1], "figures": dict.fromkeys(LOCALIZATION_METRICS, figure)} for name in NAMES}
    counts = [{"labels": each, "variants": variants, "differences": differences} for each in labels]
    return {
        "variants": list(NAMES), "baseline": NAMES[0], "confidence": 0.95, "resamples": 2000, "seeds": [0, 1],
        "sanity_check": None, "protocols": {name: {"images": 60, "counts": counts} for name in protocols},
        "probe": {NAMES[1]: {"linear_top1": 0.4375, "linear_top3": None, "knn_top1": 0.25}},
    }  # fmt: skip


def test_page_of_a_comparison_has_every_mean_and_difference(png):
    results = {
        "title": NAMES[1], "summary": NAMES[1], "machine": "m", "generated": True, "significance": significance(),
        "variants": {name: {"seen": NAMES[1], "pretrain": PRETRAIN if name == NAMES[1] else None} for name in NAMES},
    }  # fmt: skip
    lines = [{"kind": "epoch", "stage": f"frozen:{name}", "epoch": 1, "loss": 1.0} for name in NAMES]
    page = Page(run.run_page(results, lines, "key: <i>\nother: 1", [plots.Plot(NAMES[1], "", png)]))
    text = "".join(page.text)
    for name, count in itertools.product(SHOWN, ("100", "all")):
        assert page.cells.count(f"{name}, {count} labels") == 2  # one for each protocol
    assert page.cells.count("51.2 ± 5.0 ▲+3.0 (1.0 to 5.0)") == 4
    assert page.cells.count("51.2 ± 5.0 ▼−2.00 (−3.00 to −0.01)") == 4
    assert page.cells.count("51.2 ± 5.00.0 (−1.0 to 1.0)") == 2 * 2 * 3 * 5 - 8
    assert [cell for cell in page.cells if cell in ("43.8", "25.0")] == ["43.8", "25.0"]
    assert not re.search(r"\b(nan|None|inf)\b", text)
    assert "collapsed: 4.5 directions" in text
    assert "recovered" not in text
    assert "key: <i>\nother: 1" in text
    assert len(page.images) == 6  # two of label counts, two of differences, the losses, the given one


def test_page_of_a_pretraining_has_its_figures():
    lines = [
        {"kind": "epoch", "stage": "pretrain", "epoch": each, "loss": 4.0, "effective_rank": 9.0} for each in (1, 2)
    ]
    figures = {**PRETRAIN, "learned": True, "contrast_accuracy": None}
    results = {"title": "t", "summary": "s", "machine": "m", "pretrain": figures}
    page = Page(run.run_page(results, lines, "", []))
    assert page.cells[-5:] == ["448", "70", "4.84", "4.84", "1.2"]
    assert len(page.images) == 2
    assert "4.5 directions" not in "".join(page.text)


def test_page_of_a_fine_tuning_has_each_metric_and_the_best_in_bold():
    rows = {
        "a": {"detector": {"coco_ap": 0.25, "minutes": 2.0, "kind": "yolov8"}},
        "b": {"detector": {"coco_ap": 0.125}},
    }
    page = run.run_page({"title": "t", "summary": "s", "machine": "m", "variants": rows}, [], "", [])
    assert Page(page).cells[-6:] == ["a", "25.0", "2.0", "b", "12.5", "–"]
    assert re.findall("<b>([^<]*)</b>", page)[0] == "25.0"


def test_page_of_an_audit_sorts_by_values_and_shows_regions(png):
    name, uri = NAMES[1], data_uri(png)
    average = {
        "images": 2, "right": 0.5, "energy": 0.25, "area": 0.125, "pointing": None, "wrong_reason": 1, "off_object": 0,
    }  # fmt: skip
    row = {
        "image": name, "class": name, "right": True, "score": 0.5, "best": name, "energy": None, "area": 0.375,
        "pointing": 1.0, "wrong_reason": True, "off_object": False, "mark": False,
    }  # fmt: skip
    region = {
        "class": name, "region": [0.5, 0.25, 1.0, 0.75], "images": [name], "share": 1.0, "saliency": 0.5, "area": 0.25,
        "saliency_elsewhere": 0.125, "agreement": 0.75, "fall": 0.5, "fall_elsewhere": -0.001, "p_value": 0.002,
    }  # fmt: skip
    content = {
        "images": 1, "figures": average, "classes": {name: average}, "findings": [region], "unused": [],
        "rows": [row], "settings": {"model": name},
    }  # fmt: skip
    page = audit.audit_page(content, {(name, name): uri}, {(name, (0.5, 0.25, 1.0, 0.75)): uri})
    read = Page(page)
    assert read.cells[8:16] == [name, "2", "0.50", "0.25", "0.12", "–", "1", "0"]
    assert read.cells[-11:] == [name, name, "yes", "0.50", name, "–", "0.38", "1.00", "yes", "", ""]
    assert read.values[-9:] == ["1", "0.5", name, "", "0.375", "1.0", "1", "0", "0"]
    assert read.images == [f"mean of the region in images of {name}", name, name]
    assert "50–100 %" in page
    assert "0.00 for" in page  # no negative zero


def test_page_of_explanations_has_scores_differences_and_the_sanity_check(png):
    figures = {
        "images": 3, "method": "gradcam", "level": "P4", "image_size": 64, "chosen_on": 1,
        "machine": "m", "minutes": 1.0,
        "models": {name: {"energy": [0.5, 0.25, 0.75]} for name in NAMES[:2]},
        "differences": {NAMES[1]: {"energy": [0.125, 0.0625, 0.25]}},
        "randomized": {NAMES[0]: [["head", 0.5]], NAMES[1]: [["head", 0.5], ["conv", 0.25]]},
    }  # fmt: skip
    page = explain.explain_page(figures, png)
    cells = Page(page).cells
    assert cells[5:8] == ["50.025.0 to 75.0", "50.025.0 to 75.0", "+12.56.2 to 25.0"]
    assert "<b>+12.5</b>" in page
    text = explain.scores_table(figures).to_text().splitlines()
    assert re.split(r" {2,}", text[1]) == [
        "energy",
        "50.0 (25.0 to 75.0)",
        "50.0 (25.0 to 75.0)",
        "+12.5 (6.2 to 25.0)",
    ]


def test_page_of_feature_spaces_has_every_figure():
    layers = ["P4", "P5"]
    level = {
        "width": 8,
        "effective_rank": 1.5,
        "spectrum_exponent": None,
        "spectrum": [0.75, 0.25],
        "spectrum_ranks": None,
    }
    one = {
        "network": NAMES[1], "layers": dict.fromkeys(layers, level), "alignment": 0.25, "uniformity": -1.5,
        "invariance": {"flip": 0.75, "hue": None},
        "position": {key: {"x": 0.5, "y": None, "log_size": 0.25} for key in ("pooled", "map")},
        "homology": {"points": 20, "loops": 1, "longest_loop": 3.25, "pieces": []},
    }  # fmt: skip
    figures = {
        "images": 20, "image_size": 64, "layers": layers, "embedding": "P5", "neighbors": 10, "source": NAMES[1],
        "models": dict.fromkeys(NAMES, one), "seen": dict.fromkeys(NAMES, NAMES[1]), "machine": "m", "minutes": 1.0,
        "cka": {"names": [[name, layer] for name in NAMES for layer in layers], "debiased": np.eye(8).tolist()},
        "overlap": {"names": list(NAMES), "matrix": np.full([4, 4], 0.5).tolist(), "chance": 0.125},
        "position_by_shape": {"x": 0.125, "y": 0.0, "log_size": None},
    }  # fmt: skip
    page = Page(features.features_page(figures))

    def row(head):
        return next(place for place, cell in enumerate(page.cells, 1) if cell.startswith(head))

    for name in SHOWN:
        place = page.cells.index(f"{name}, P4")
        assert page.cells[place : place + 3] == [f"{name}, P4", "8", "1.5"]
        assert page.cells.count(name) == 1
        assert page.cells[row(f"neighbors shared with {name}")] == "50.0%"
    values = ("0.75", "–", "0.50", "–", "0.25", "1", "3.25", "0.00")
    heads = ("invariance to flip", "invariance to hue", "object's center x from all", "object's center y from mean")
    for head, value in zip((*heads, "object's size from all", "loops", "longest loop", "last join"), values):
        assert page.cells[row(head) : row(head) + 4] == [value] * 4
    assert len(page.images) == 3
    lines = features.features_text(figures).splitlines()
    flip = next(line for line in lines if line.startswith("invariance to flip"))
    assert flip.split()[3:] == ["0.75"] * 4


def test_terminal_shows_the_same_means_as_the_page():
    lines = comparison_text(significance(("frozen",), (100,))).splitlines()
    row = next(line for line in lines if line.startswith(r"two\nlines, 100 labels "))
    assert re.split(r" {2,}", row)[1:] == ["51.2 ± 5.0"] * 3 + ["51.2 ± 5.0 ▼", "51.2 ± 5.0", "2"]
