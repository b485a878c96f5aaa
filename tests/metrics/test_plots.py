"""Contents of the plots, read from the figures before they are saved."""

import dataclasses

import matplotlib.figure
import numpy as np
import pytest

from kerassl import UserError
from kerassl.metrics import error_kinds, plots, voc_ap

pytestmark = pytest.mark.current_stack  # matplotlib alone: both stacks would find out the same

NAMES = ["cat", "dog", "cow"]


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were written."""
    figures = []
    write = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(
        matplotlib.figure.Figure, "savefig", lambda self, *a, **k: (figures.append(self), write(self, *a, **k))
    )
    return figures


def _texts(figure):
    return [text.get_text().strip() for axes in figure.axes for text in (*axes.texts, axes.title, axes._left_title)]


def test_curves_and_figures_are_those_of_the_protocols_when_drawn(tmp_path, case, drawn):
    predictions, records = case(3, images=20)
    plots.precision_recall(predictions, records, NAMES, tmp_path / "new" / "curves.png")
    assert (tmp_path / "new" / "curves.png").read_bytes().startswith(b"\x89PNG")
    aps = [voc_ap(predictions, records, NAMES, protocol=name).per_class for name in ("voc07", "voc10")]
    for name, axes in zip(NAMES, drawn[0].axes):
        assert axes.get_title(loc="left").strip() == name
        assert axes.texts[0].get_text().startswith(f"AP07 {100 * aps[0][name]:.1f}   AP10 {100 * aps[1][name]:.1f}   ")
        recall, precision = axes.lines[0].get_data()
        falling = np.maximum.accumulate(precision[::-1])[::-1]
        assert np.sum(np.diff(recall, prepend=0) * falling) == pytest.approx(aps[1][name])


def test_dot_is_at_the_score_when_the_curve_is_drawn(tmp_path, record, prediction, drawn):
    places = [[0, 0, 10, 10], [20, 0, 30, 10]]
    found = {"a": prediction([places[0], [50, 50, 60, 60], places[1]], [0.9, 0.6, 0.4], [0, 0, 0])}
    records = [record("a", places, [0, 0])]
    for score, dot in ((0.5, (0.5, 0.5)), (0.1, (1, 2 / 3)), (0.95, None), (None, None)):
        plots.precision_recall(found, records, ["cat"], tmp_path / f"{score}.png", shown_score=score)
        dots = [line.get_data() for line in drawn[-1].axes[0].lines if line.get_marker() == "o"]
        np.testing.assert_allclose(np.ravel(dots), np.ravel(dot) if dot else [])


def test_class_has_no_panel_without_objects_and_says_so_without_detections(tmp_path, record, prediction, drawn):
    records = [record("a", [[0, 0, 10, 10]] * 2, [0, 2])]
    plots.precision_recall({"a": prediction([[0, 0, 10, 10]], [0.5], [0])}, records, NAMES, tmp_path / "c.png")
    texts = _texts(drawn[0])
    assert "cat" in texts
    assert "dog" not in texts
    assert texts.count("nothing detected") == 1


def test_curves_are_refused_when_there_is_nothing_to_find(tmp_path, record, prediction):
    with pytest.raises(UserError, match="no curve to draw"):
        plots.precision_recall({"a": prediction([], [], [])}, [record("a", [], [])], NAMES, tmp_path / "c.png")
    assert not list(tmp_path.iterdir())


def test_bars_are_as_long_as_the_counts_and_gains_when_drawn(tmp_path, case, drawn):
    kinds = error_kinds(*case(3, images=20), NAMES)
    plots.error_bars(kinds, tmp_path / "errors.png")
    left, right = drawn[0].axes
    assert [bar.get_width() for bar in left.patches] == list(kinds.counts.values())
    assert [bar.get_width() for bar in right.patches] == pytest.approx([100 * g for g in kinds.ap50_gain.values()])
    gain = {**kinds.ap50_gain, "missed": float("nan")}
    plots.error_bars(dataclasses.replace(kinds, ap50_gain=gain), tmp_path / "nan.png")
    assert "–" in _texts(drawn[1])
