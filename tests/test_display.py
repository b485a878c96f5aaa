"""Names of users: as one line of text, drawn by matplotlib, and in HTML."""

import os

import matplotlib.figure
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from kerassl._display import counted, fitting_dpi, plotted, printable, shortened
from kerassl._errors import UserError

pytestmark = pytest.mark.current_stack


def test_noun_is_singular_when_there_is_one():
    assert [counted(number, "epoch") for number in (0, 1, 2)] == ["0 epochs", "1 epoch", "2 epochs"]


PRINTED = {
    "plain": "plain",
    "Katze, 猫, é": "Katze, 猫, é",
    os.fsdecode(b"caf\xe9.jpg"): r"caf\xe9.jpg",
    "two\nlines\r\t\0": r"two\nlines\r\t\x00",
    "\x1b[31mred": r"\x1b[31mred",
    "\ud800": r"\ud800",
    "a\u2028b\u202ec": r"a\u2028b\u202ec",
    r"C:\new": r"C:\new",
    "{0} %s $x$ <b>": "{0} %s $x$ <b>",
}


@pytest.mark.parametrize("name", PRINTED)
def test_name_is_one_line_that_can_be_encoded(name):
    assert printable(name) == PRINTED[name]
    assert printable(printable(name)) == PRINTED[name]
    assert str(UserError(f"there is no {name}")) == f"there is no {PRINTED[name]}"
    assert UserError("x", shell=f"--images {name}").shell == f"--images {PRINTED[name]}"


def test_long_name_loses_its_middle():
    assert shortened("a" * 30 + "b" * 30, 11) == "aaaaa…bbbbb"
    assert shortened("short", 5) == "short"


def _pixels(text, **settings):
    figure = matplotlib.figure.Figure((4, 1))
    canvas = FigureCanvasAgg(figure)
    figure.text(0.1, 0.5, text, **settings)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


@pytest.mark.parametrize("name", ["a$_$b", "$", "$x^2$ and $y", r"\$5", r"a$\frac$b", "{x}", "a_b^c"])
def test_matplotlib_draws_a_name_as_it_is(name):
    np.testing.assert_array_equal(_pixels(plotted(name)), _pixels(name, parse_math=False))


def test_figure_has_fewer_dots_when_it_would_be_too_large():
    assert fitting_dpi(matplotlib.figure.Figure((10, 4)), 130) == 130
    assert fitting_dpi(matplotlib.figure.Figure((10, 1000)), 130) == 20
