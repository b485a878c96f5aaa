"""Class, variant and file names of any kind in everything that is drawn or printed."""

import contextlib

import matplotlib.figure
import matplotlib.text
import numpy as np
import PIL.Image
import pytest

from kerassl import augment, explain, metrics
from kerassl.cli.commands import compare
from kerassl.datasets import card
from kerassl.datasets.record import Record
from kerassl.explain.cam import overlay
from kerassl.report import plots
from kerassl.report.data_card import card_text, draw_card
from kerassl.types import LOCALIZATION_METRICS, Detections

pytestmark = pytest.mark.current_stack

NAMES = ("a$_$b", "<b>{0}&", "two\nlines", "_hidden$x^$", "x" * 3000)


@pytest.fixture
def drawn(monkeypatch):
    """The texts of all figures that are saved."""
    texts = []

    def remember(figure, *args, **settings):
        figure.canvas.draw()
        texts.extend(text.get_text() for text in figure.findobj(matplotlib.text.Text))

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", remember)
    return texts


def _records(tmp_path):
    PIL.Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(tmp_path / "a.png")
    boxes = np.array([[1, 1, 20, 20]] * len(NAMES), np.float32)
    labels = np.arange(len(NAMES), dtype=np.int32)
    return [Record("a", str(tmp_path / "a.png"), 40, 60, boxes, labels, np.zeros(len(NAMES), bool))]


def _all_drawn(texts):
    joined = "\n".join(texts)
    assert r"a\$_\$b" in joined
    assert "<b>{0}&" in joined
    assert r"two\nlines" in joined
    assert r" _hidden\$x^\$" in joined
    assert max(map(len, texts)) < 400


def test_card_and_curves_draw_class_names_as_they_are(tmp_path, drawn, monkeypatch):
    monkeypatch.setattr("kerassl._io.files.whole", _nowhere)
    records = _records(tmp_path)
    images = card.image_card([records[0].path], progress=False)
    labels = card.label_card(records, NAMES)
    draw_card(images, labels, tmp_path / "card.png", "title $_$")
    assert any(text.startswith(r"title \$_\$: 1 images") for text in drawn)
    _all_drawn(drawn)
    drawn.clear()
    found = Detections(records[0].boxes, np.ones(len(NAMES), np.float32), records[0].classes)
    metrics.plots.precision_recall({"a": found}, records, NAMES, tmp_path / "curves.png")
    _all_drawn(drawn)
    for text in (card_text(images, labels), str(metrics.evaluate_detections({"a": found}, records, NAMES))):
        assert "\na$_$b  " in text
        assert "\ntwo\\nlines  " in text
        assert max(len(line) for line in text.splitlines() if "x" * 3000 not in line) < 200


def _nowhere(path, **settings):
    return contextlib.nullcontext(path)


def test_plots_of_variants_draw_their_names_as_they_are(drawn):
    one = {"invariance": {"flip": 0.5}, "layers": {"P5": {"spectrum": [0.5, 0.25], "spectrum_ranks": None}}}
    networks = dict.fromkeys(NAMES, one)
    figures = {key: {"by_seed": [0.5]} for key in LOCALIZATION_METRICS}
    counts = [{"labels": each, "variants": {name: {"figures": figures} for name in NAMES}} for each in (100, None)]
    summary = {"variants": NAMES, "baseline": NAMES[0], "protocols": {"frozen": {"counts": counts}}}
    lines = [{"kind": "epoch", "stage": f"detector:{name}", "epoch": 1, "loss": 1.0} for name in NAMES]
    for draw in (
        lambda: plots.invariance(networks),
        lambda: plots.spectra(networks, ["P5"]),
        lambda: plots.cka(NAMES, np.eye(len(NAMES))),
        lambda: plots.label_curves(summary, "frozen"),
        lambda: plots.training(lines, None),
    ):
        drawn.clear()
        draw()
        _all_drawn(drawn)


def test_grids_draw_names_of_files_and_variants_as_they_are(tmp_path, drawn, monkeypatch, eagerly):
    monkeypatch.setattr(overlay.FigureCanvasAgg, "print_figure", lambda canvas, *a, **k: canvas.figure.savefig())
    monkeypatch.setattr("kerassl.explain.cam.overlay.whole", _nowhere)
    images = np.full((1, 32, 32, 3), 90.0)
    explain.side_by_side(images, {name: np.zeros((1, 32, 32)) for name in NAMES}, tmp_path / "a.png")
    _all_drawn(drawn)
    views = augment.SimCLRViews(32)(np.full((len(NAMES), 64, 64, 3), 90, np.float32), np.array([0, 0], np.int32))
    sheet = augment.plot_views(np.full((len(NAMES), 64, 64, 3), 90.0), views, names=NAMES, title="$_$")
    assert max(sheet.shape) < 3000


def test_table_of_the_terminal_has_names_on_one_line():
    text = compare._table({name: {"localizer": {"mean_iou": 0.5}} for name in (*NAMES, "caf\udce9")})
    assert "\ntwo\\nlines " in text
    text.encode()
