"""Tables and templates: pages that need no network and no other file."""

from __future__ import annotations

import base64
import dataclasses
import math
import typing
from collections.abc import Iterable, Mapping, Sequence

import jinja2

from kerassl._display import printable, shortened
from kerassl.report import plots
from kerassl.types import PROTOCOLS, MetricName


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell: text, a note below it, whether it is bold, what sorting compares, and an image below it (a data URI)."""

    text: str
    note: str = ""
    strong: bool = False
    value: float | str | None = None
    image: str = ""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table for a page and for the terminal: headings with their descriptions, rows whose first cell names them.

    A first cell that is strong begins a group of rows.
    """

    columns: Mapping[str, str]
    rows: Sequence[Sequence[Cell | str]]

    def cells(self) -> list[list[Cell]]:
        """Return all rows as `Cell`."""
        return [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in self.rows]

    def to_text(self, notes: bool = True) -> str:
        """Return aligned lines of plain text, with or without the notes of cells."""
        rows = [list(self.columns)]
        for name, *cells in self.cells():
            rows.append([name.text, *(f"{one.text} ({one.note})" if notes and one.note else one.text for one in cells)])
        rows = [[shortened(text) for text in row] for row in rows]
        first, *others = [max(map(len, column)) for column in zip(*rows)]
        lines = ([row[0].ljust(first), *(text.rjust(width) for text, width in zip(row[1:], others))] for row in rows)
        return "\n".join("  ".join(line).rstrip() for line in lines)


class Column(typing.NamedTuple):
    """Display of a metric in `figures_table`: heading, description, format, factor, and whether the best is bold."""

    name: str
    description: str = ""
    form: str = ".2f"
    factor: float = 1
    best: bool = False


def headings(columns: Iterable[Column | MetricName]) -> dict[str, str]:
    """Return the columns of a `Table` whose rows have one of these each behind their name."""
    return {"": "", **{column.name: column.description for column in columns}}


def figures_table(rows: Mapping[str, Mapping], columns: Mapping[str, Column]) -> Table:
    """Return the figures that any row has, as a row for each name and a column for each key."""
    known = {key: [row[key] for row in rows.values() if row.get(key) is not None] for key in columns}
    columns = {key: column for key, column in columns.items() if known[key]}

    def cell(row, key, column):
        value = row.get(key)
        best = column.best and value == max(known[key]) > min(known[key])
        return Cell(number(None if value is None else column.factor * value, column.form), strong=best)

    cells = [[name, *(cell(row, *each) for each in columns.items())] for name, row in rows.items()]
    return Table(headings(columns.values()), cells)


def data_uri(image: bytes) -> str:
    """Return a PNG or JPEG as a data URI."""
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def number(value: float | None, form: str = ".2f") -> str:
    """Return a number with a typographic minus and no negative zero, and `–` for None and NaN."""
    if value is None or math.isnan(value):
        return "–"
    text = format(value, form)
    return text.replace("-", "−") if text.strip("+-0.,%") else text.lstrip("+-")


def percent(share: float | None, form: str = ".1f") -> str:
    """Return a share in percent or points, without the unit."""
    return number(None if share is None else 100 * share, form)


def interval(ends: Iterable[float], form: str = ".1f") -> str:
    """Return the ends of an interval of shares in percent or points: `1.1 to 5.4`."""
    return " to ".join(percent(end, form) for end in ends)


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("kerassl.report"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    finalize=lambda value: printable(value) if type(value) is str else value,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.globals |= {"plots": plots, "protocols": PROTOCOLS}
_ENVIRONMENT.filters |= {"data_uri": data_uri, "number": number, "percent": percent}


def render(template: str, **values: object) -> str:
    """Return the page of a template (its name without suffixes) as HTML; text in `values` is escaped."""
    return _ENVIRONMENT.get_template(f"{template}.html.j2").render(**values)
