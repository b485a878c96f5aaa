"""CSV tables of boxes: one box a row, in absolute pixels."""

import csv
import io
import math
import os
import pathlib

from kerassl._errors import UserError
from kerassl._io.file_names import nfc
from kerassl._io.text import read_text
from kerassl.datasets.class_names import names_beside, read_class_names
from kerassl.datasets.formats.annotation import AnnotatedObject, ClassNumbers, box_text, make_record, read_size
from kerassl.datasets.formats.findings import Findings
from kerassl.datasets.formats.places import check_sizes, folder_of_names, locate, name_endings
from kerassl.datasets.images.files import by_file_name

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


def read_box_table(files, images, class_names, strict, allow_broken, others=()):
    """Read tables of boxes.

    Args:
        files: list of paths.
        images: folder of the images, or None to look for it beside each file.
        class_names, strict, allow_broken: see `DetectionDataset.from_voc`.
        others: list of paths of tables that are not read, but name classes too.

    Returns:
        List of `Record`, and list of class names.

    Raises:
        UserError: if a file is no such table, no image of it is found, or too little can be read.
    """
    wanted = None if class_names is None else read_class_names(class_names)
    findings, numbers, rows, named, records = Findings(strict, allow_broken), ClassNumbers(wanted), 0, 0, []
    for file in map(pathlib.Path, files):
        table = _read(file, numbers, findings)
        rows += sum(len(entry.objects) for entry in table.values())
        named += len(table)
        prefix = f"{file.stem}/" if len(files) > 1 else ""
        records += _records(file, table, images, findings, tuple(numbers), prefix)
    if not records:
        first = findings.files[0] if findings.files else next((places[0] for places in findings.found.values()), "")
        raise UserError(f"none of the images of {files[0]} can be opened; the first: {first}")
    findings.report(images=named, objects=rows + len(findings.found.get(_UNREAD, ())))
    for file in others if wanted is None else ():
        _read(pathlib.Path(file), numbers, Findings())
    records, names = numbers.finish(records, files[0], names_beside(os.path.dirname(files[0])))
    return by_file_name(records), names


_UNREAD = "rows that cannot be read left out"


class _Image:
    """Rows of a table for one image."""

    def __init__(self, line):
        self.line, self.objects, self.size = line, [], None


def _read(file, numbers, findings):
    """The images of a file: dict of name to `_Image`."""
    rows = list(_numbered(file))
    columns = _columns([row for _, row in rows[:5]])
    if columns is None:
        shown = ",".join(rows[0][1])[:100] if rows else "nothing"
        raise UserError(f"{file} is no table of boxes (it begins with {shown!r}); {_ACCEPTED}")
    if columns.pop("header"):
        rows = rows[1:]
    found, largest = {}, 0
    for line, row in rows:
        cells = {key: row[place].strip() if place < len(row) else "" for key, place in columns.items()}
        where = f"{file}, line {line}: {','.join(row)[:100]!r}"
        name = cells["path"]
        corners, label = [cells[key] for key in _CORNERS], nfc(cells["class"])
        if not name or "\0" in name:
            findings.add(_UNREAD, f"{where} names no image", unread=True)
            continue
        image = found.setdefault(name, _Image(line))
        if cells.get("width") and cells.get("height"):
            image.size = tuple(cells[key].removesuffix(".0") for key in ("width", "height"))
        if not any(corners) and not label:
            continue
        try:
            box = tuple(map(float, corners))
        except ValueError:
            box = (math.nan,)
        if not all(math.isfinite(each) and abs(each) < 1e9 for each in box):
            findings.add(_UNREAD, f"{where} has no four numbers as its box", unread=True)
            continue
        if not label:
            findings.add(_UNREAD, f"{where} names no class", unread=True)
            continue
        largest = max(largest, *box)
        number = numbers.number(label)
        if number is not None:
            area = box[2] > box[0] and box[3] > box[1]
            where = f"{file}, line {line}, {label[:100]} {box_text(box)}"
            image.objects.append(AnnotatedObject(number, box if area else None, False, where))
    if not found:
        raise UserError(f"{file} holds no row that can be read; {_ACCEPTED}")
    if 0 < largest <= 1:
        raise UserError(f"{file} has boxes in shares of the image, from 0 to {largest:g}; {_ACCEPTED}")
    return found


def _records(file, table, images, findings, names, prefix):
    endings = name_endings(table)
    folder = folder_of_names(file, list(table), endings) if images is None else pathlib.Path(images)
    if not os.path.isdir(folder):
        raise UserError(f"there is no folder {folder}; give the folder of the images that {file} names")
    records, before = [], len(findings.sizes)
    for name, image in table.items():
        where = f"{file}, line {image.line}"
        path, problem = locate(folder, name, endings)
        if path is None:
            findings.missing(problem, f"{where}: {name}")
            continue
        size = read_size(path, findings)
        if size is not None:
            records.append(make_record(prefix + name, path, size, image.objects, image.size, findings, where, names))
    if images is None:
        check_sizes(file, folder, findings.sizes[before:], len(records))
    return records


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
