"""CSV tables of boxes: one box a row, in absolute pixels."""

import csv
import io
import math
import os

from kerassl._errors import UserError
from kerassl._io.text import read_text
from kerassl.datasets.class_names import names_beside
from kerassl.datasets.formats.listed import Row, listed_images, read_listed

_MOST = 1_000_000_000  # bytes
_COLUMNS = {
    "path": ("path", "filename", "file_name", "file", "filepath", "image", "image_path", "image_name", "img"),
    "x1": ("x1", "xmin", "x_min", "left"),
    "y1": ("y1", "ymin", "y_min", "top"),
    "x2": ("x2", "xmax", "x_max", "right"),
    "y2": ("y2", "ymax", "y_max", "bottom"),
    "class": ("class", "class_name", "label", "name", "category"),
    "width": ("width", "image_width"),
    "height": ("height", "image_height"),
    "score": ("score", "confidence", "conf"),
}
_CORNERS = ("x1", "y1", "x2", "y2")
_NEEDED = ("path", *_CORNERS, "class")
_ACCEPTED = (
    "give rows of path,x1,y1,x2,y2,class without a header, or a header that names them (as filename, xmin, ymin, xmax, "
    "ymax, class), in pixels"
)


def is_box_table(start):
    """Return whether the beginning of a text is one of a table of boxes: str."""
    rows = _rows(start.rpartition("\n")[0] or start)
    try:
        return _columns([row for _, row in zip(range(5), rows)]) is not None
    except csv.Error:
        return False


def read_box_table(files, *given):
    """Read tables of boxes; see `read_listed` for the other arguments."""
    return read_listed(files, _table_rows, names_beside(os.path.dirname(files[0])), _ACCEPTED, *given)


def listed_in_table(file, numbers, findings):
    """Return the images of one table of detections; see `listed_images`."""
    return listed_images(file, map(_scored, _table_rows(file, findings)), _ACCEPTED, numbers, findings)


def _scored(row):
    """A row with what is wrong with its score, if it has a box."""
    if row.score and not _are_corners([row.score]) and (row.label or any(row.corners)):
        return row._replace(problem=f"has the score {row.score[:20]}")
    return row


def _table_rows(file, findings):
    rows = list(_numbered(file))
    columns = _columns([row for _, row in rows[:5]])
    if columns is None:
        shown = ",".join(rows[0][1])[:100] if rows else "nothing"
        raise UserError(f"{file} is no table of boxes (it begins with {shown!r}); {_ACCEPTED}")
    for line, row in rows[1:] if columns.pop("header") else rows:
        cells = {key: row[place].strip() if place < len(row) else "" for key, place in columns.items()}
        corners, size = [cells[key] for key in _CORNERS], None
        if cells.get("width") and cells.get("height"):
            size = tuple(cells[key].removesuffix(".0") for key in ("width", "height"))
        place, score = f"{file}, line {line}", cells.get("score", "")
        yield Row(place, ",".join(row), cells["path"], cells["class"], corners, size, score=score)


def _numbered(file):
    """The rows of a file that are not empty, each with the number of its last line."""
    text = read_text(file, _ACCEPTED, _MOST)
    rows = _rows(text)
    try:
        yield from ((rows.line_num, row) for row in rows if any(map(str.strip, row)))
    except csv.Error as error:
        raise UserError(f"{file}, line {rows.line_num} is no CSV ({error}); {_ACCEPTED}") from None


def _rows(text):
    first = text.partition("\n")[0]
    return csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count), skipinitialspace=True)


def _columns(rows):
    """The place of each column, and whether the first row names them; or None if these are no rows of boxes."""
    if not rows:
        return None
    words = [cell.strip().lower() for cell in rows[0]]
    found = {key: next((words.index(word) for word in known if word in words), None) for key, known in _COLUMNS.items()}
    if all(found[key] is not None for key in _NEEDED):
        return {"header": True, **{key: place for key, place in found.items() if place is not None}}
    if any(len(row) == len(_NEEDED) and row[0] and _are_corners(row[1:5]) for row in rows):
        return {"header": False, **{key: place for place, key in enumerate(_NEEDED)}}
    return None


def _are_corners(cells):
    try:
        return all(math.isfinite(float(cell)) for cell in cells) if any(cells) else True
    except ValueError:
        return False
