"""Lists of class names, given or read from a file."""

from __future__ import annotations

import difflib
import logging
import os
import pathlib
import shlex
from collections.abc import Sequence

import numpy as np

from kerassl._display import printable, shortened
from kerassl._errors import UserError
from kerassl._io.file_names import nfc
from kerassl._io.text import read_text
from kerassl._io.yaml import read_yaml

log = logging.getLogger("kerassl")

FILES = ("data.yaml", "data.yml", "classes.txt")  # where a folder of a data set keeps its names
_SUFFIXES = (".yaml", ".yml", ".txt", ".names", ".json", ".xml", ".csv")
_MOST = 1_000_000  # bytes of a file of names


def read_class_names(classes: str | os.PathLike | Sequence[str]) -> list[str]:
    """Return class names, which are given as they are or by a file.

    Args:
        classes: sequence of str; or str or `pathlib.Path` of a YAML whose `names` is a list, or a dictionary from
            numbers to names, or of a text file with one name a line, or of a folder that holds data.yaml or
            classes.txt. A sequence of one file is read as the file.

    Returns:
        List of str, in Unicode's composed form (NFC).

    Raises:
        UserError: if there is no such file, or it holds no list of different names.
    """
    file = names_file(classes)
    return check_class_names(classes) if file is None else _read(file)


def names_file(classes):
    """Return the file of names that `classes` is the path of.

    Args:
        classes: see `read_class_names`.

    Returns:
        `pathlib.Path`, or None where `classes` are the names themselves.

    Raises:
        UserError: if it looks like a file and there is none, or is given beside names.
    """
    if isinstance(classes, (str, os.PathLike)):
        path = pathlib.Path(classes)
        if os.path.isdir(path):
            found = [path / name for name in FILES if os.path.isfile(path / name)]
            if not found:
                raise UserError(
                    f"the folder {path} holds no {', '.join(FILES)}; name the file, or give a list of names"
                )
            path = found[0]
        if not os.path.lexists(path):
            raise UserError(
                f"{path} cannot be read (No such file or directory); give the list of the class names, or a "
                "file of them"
            )
        return path
    if not isinstance(classes, (list, tuple)):
        return None
    files = [each for each in classes if isinstance(each, str) and each.lower().endswith(_SUFFIXES)]
    if len(classes) == 1 and isinstance(classes[0], str) and _is_there(classes[0]):
        files = classes
    if not files:
        return None
    if len(classes) > 1:
        raise UserError(f"{files[0]} is a file, and other class names are beside it; give names, or one file of names")
    return names_file(files[0])


def _is_there(name):
    return os.path.isfile(name) or (os.sep in name and os.path.isdir(name))


def names_beside(folder):
    """Return the names in a folder's `classes.txt`, or an empty list where there is none that can be read."""
    path = os.path.join(folder, "classes.txt")
    try:
        return read_class_names(path) if os.path.isfile(path) else []
    except UserError as error:
        log.warning("%s", error)
        return []


def check_class_names(classes, source="class_names"):
    """Refuse what is no list of different names.

    Args:
        classes: sequence of str.
        source: str or `pathlib.Path`. What has them, for the message.

    Returns:
        List of str, in Unicode's composed form (NFC).

    Raises:
        UserError: if there is no name, one is not a string, or one is there twice.
    """
    if isinstance(classes, (str, int)) or not classes:
        raise UserError(f"{source} is {classes!r}; give the list of the class names, as [cat, dog]")
    classes = list(classes)
    wrong = [name for name in classes if not isinstance(name, str)]
    if wrong:
        raise UserError(f"{source} holds {wrong[0]!r}, which is no string; give the list of the class names")
    classes = [nfc(name) for name in classes]
    doubled = sorted({name for name in classes if classes.count(name) > 1})
    if doubled:
        raise UserError(f"{source} has {doubled[0]!r} more than once; each class needs a name of its own")
    return classes


def check_there(wanted, there, source, what="class"):
    """Refuse a class that a data set does not have.

    Args:
        wanted: list of str.
        there: list of str, the names that it has.
        source: str. What has them, for the message.
        what: str. What it calls a class.

    Raises:
        UserError: with the first such name, and the closest or all that there are.
    """
    missing = [name for name in wanted if name not in set(there)]
    if not missing:
        return
    close = difflib.get_close_matches(missing[0], there, 1)
    hint = f"did you mean {close[0]!r}? It" if close else "it"
    raise UserError(f"{source} has no {what} {missing[0]!r}; {hint} has {len(there)}: {_listed(there)}")


def check_found(wanted, found, source):
    """Refuse class names of which no object has any, or that are written as objects' other names nearly are.

    Args:
        wanted: list of str.
        found: collection of str, the names that objects have.
        source: see `check_there`.

    Raises:
        UserError: with the closest name, or all that there are.
    """
    missing, others = [name for name in wanted if name not in found], sorted(set(found) - set(wanted))
    close = [name for name in missing if difflib.get_close_matches(name, others, 1, 0.75)]
    if others and (close or len(missing) == len(wanted)):
        check_there(close or wanted, sorted(found), source)
    if missing and others:
        line = f"{source}: no object has the class {_listed(missing)}; there are also {_listed(others)}"
        log.warning("%s", printable(line))


def _listed(names):
    return ", ".join(shortened(name, 100) for name in names[:20]) + (", …" if len(names) > 20 else "")


def check_known(names, known, whose="the model", those="the labels have"):
    """Refuse class names that a model lacks.

    Args:
        names: sequence of str.
        known: sequence of str, the names of the model.
        whose, those: str. What has the latter and the former, for the message.

    Raises:
        UserError: with all such names.
    """
    known = list(map(nfc, known))
    unknown = [name for name in names if nfc(name) not in known]
    if not unknown:
        return
    listed = ", ".join(map(repr, unknown[:5])) + (", …" if len(unknown) > 5 else "")
    fact = f"{those} {listed}, which {whose} lacks; it has {_listed(known)}: give labels of these names"
    shared = [name for name in names if name not in unknown][:20]
    if not shared:
        raise UserError(fact)
    fact += ", or leave the others out by"
    raise UserError(f"{fact} class_names={shared}", f"{fact} --classes {printable(shlex.join(shared))}")


def check_order(names: Sequence[str], own: Sequence[str], source: str) -> None:
    """Refuse the same classes in another order, by which a model would give each the name of another.

    Args:
        names: those of `source`.
        own: those of the labels.
        source: str, what the names are of, for the message.

    Raises:
        UserError: in one line.
    """
    if list(names) != list(own) and sorted(names) == sorted(own):
        raise UserError(
            f"{source} has the classes {', '.join(names)}, and the labels have them in another order "
            f"({', '.join(own)}); give --classes {shlex.join(names)}"
        )


def class_places(own, wanted, whose="the predictions", theirs="the labels"):
    """Find the classes of one list in another of the same names.

    Args:
        own, wanted: sequences of str.
        whose, theirs: str. What has the one and the other, for the message.

    Returns:
        `[len(own)]` int64 array: `own[i]` is `wanted[places[i]]`.

    Raises:
        UserError: with the names that one list alone has.
    """
    first, second = (list(map(nfc, names)) for names in (own, wanted))
    if sorted(first) == sorted(second):
        place = {name: number for number, name in enumerate(second)}
        return np.array([place[name] for name in first], np.int64)
    differing = []
    for who, names, others in ((whose, first, second), (theirs, second, first)):
        alone = [repr(name) for name in names if name not in others]
        if alone:
            differing.append(f"{', '.join(alone[:5])}{', …' if len(alone) > 5 else ''} in {who} alone")
    fact = f"{whose} and {theirs} have different classes ({'; '.join(differing) or 'a name is there twice'})"
    shown = [*first[:20], *(["…"] if len(first) > 20 else [])]
    raise UserError(
        f"{fact}; give labels of the same names in any order, class_names={shown}",
        f"{fact}; give labels of the same names in any order, --classes {printable(shlex.join(shown))}",
    )


def check_numbering(records, classes):
    """Refuse records whose classes were numbered by other names than these, or by another order of them.

    Args:
        records: list of `Record`. Those that do not know their names pass.
        classes: sequence of str. May have further names at its end, or lack some there.

    Raises:
        UserError: in one line.
    """
    given = list(map(nfc, classes))
    for names in dict.fromkeys(record.named.names for record in records if record.named is not None):
        own = list(map(nfc, names))
        shared = min(len(given), len(own))
        if given[:shared] == own[:shared]:
            continue
        class_places(own, given, "the records", "class_names")
        raise UserError(
            f"the records number their classes as {own[:20]}, and class_names has the same names in another order "
            f"({given[:20]}); give the names by which the records were read"
        )


def report_left_out(counts, source):
    """Log how many objects were left out because of their class.

    Args:
        counts: `collections.Counter` of class names.
        source: str, for the message.
    """
    if counts:
        each = ", ".join(f"{shortened(name, 100)} {count:,}" for name, count in counts.most_common(20))
        more = ", …" if len(counts) > 20 else ""
        log.warning(
            "%s: %s objects of %d classes that were not asked for left out: %s",
            source,
            f"{counts.total():,}",
            len(counts),
            each + more,
        )


def _read(path):
    suffix, remedy = path.suffix.lower(), "give the list of the class names, or a data.yaml or text file of them"
    if suffix in (".yaml", ".yml"):
        names = _of_yaml(path, remedy)
    elif suffix in (".json", ".xml", ".csv"):
        raise UserError(f"{path} is no file of class names; {remedy}")
    else:
        names = _of_lines(read_text(path, remedy, _MOST))
    if not names:
        raise UserError(f"{path} names no class; give one name a line, or names: […] in a YAML")
    return check_class_names(names, path)


def _of_lines(text):
    return [line.strip() for line in text.split("\n") if line.strip()]


def _of_yaml(path, remedy):
    content = read_yaml(path, remedy, texts=True)  # a class may be called no, 1 or 1.10
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict):
        numbers = sorted(map(str, names))
        if numbers != sorted(map(str, range(len(names)))):
            raise UserError(f"{path} numbers its names {', '.join(numbers)[:100]}; count from 0 without a gap")
        names = [name for _, name in sorted(names.items(), key=lambda pair: int(pair[0]))]
    if not isinstance(names, list):
        raise UserError(f"{path} has no list of names; write names: [first, second]")
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise UserError(f"{path} has a {type(wrong[0]).__name__} among its names; write names: [first, second]")
    return names
