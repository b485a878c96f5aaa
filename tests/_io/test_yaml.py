"""YAML of any kind: what is read, and what is refused in one short line before it is expanded."""

import time

import pytest

from kerassl._errors import UserError
from kerassl._io.yaml import read_yaml

pytestmark = pytest.mark.current_stack

BOMB = "\n".join(
    ["a: &a [x, x]", *(f"{now}: &{now} [{', '.join(['*' + old] * 9)}]" for old, now in zip("abcdefgh", "bcdefghi"))]
)

DEEP, PEED = "[" * 15, "]" * 15


def written(folder, text):
    path = folder / "a.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("a: 1\nb: [x, 2.5, true, null]", {"a": 1, "b": ["x", 2.5, True, None]}),
        ("", None),
        ("\ufeffa: é", {"a": "é"}),
        ("base: &b {x: 1}\none: {<<: *b, y: 2}\ntwo: *b", {"base": {"x": 1}, "one": {"x": 1, "y": 2}, "two": {"x": 1}}),
        ("base: &b {x: 1}\none: {<<: *b, x: 2}", {"base": {"x": 1}, "one": {"x": 2}}),
        ("[" * 39 + "]" * 39, None),
        ("names: [" + ", ".join(f"n{i}" for i in range(20_000)) + "]", None),
    ],
)
def test_file_is_read_as_yaml_has_it(tmp_path, text, content):
    found = read_yaml(written(tmp_path, text), "write YAML")
    assert content is None or found == content


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [*a]", "line 1: *a refers to what contains it"),
        ("a: &a {b: {c: [*a]}}", "line 1: *a refers to what contains it"),
        ("x: " + "[" * 3000, "nested more than 40 deep"),
        ("x: " + "{a: " * 3000, "nested more than 40 deep"),
        ("\n".join(" " * i + "a:" for i in range(60)), "nested more than 40 deep"),
        (f"a: &a {DEEP}x{PEED}\nb: &b {DEEP}*a{PEED}\nc: {DEEP}*b{PEED}", "nested more than 40 deep"),
        (BOMB, "more than 100,000 values once its aliases are followed"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is there twice"),
        ("x: {a: 1, a: 1}", "line 1: the key 'a' is there twice"),
        ("a: *b", "line 1: found undefined alias"),
        ("a: [1,", "is no YAML at line"),
        ("a: 2020-13-45", "is no YAML"),
        ("a: " + "9" * 5000, "is no YAML"),
        ("a: " + ":".join(["1"] * 100_000), "a text of 199,999 characters"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: could not determine a constructor"),
        ("a: {[1]: 2}", "line 1: found unhashable key"),
        (b"a: \xff", "is no UTF-8"),
        (b"a: \x00", "NUL"),
        ("a: \x07", "characters are not allowed"),
        (b"a: 1\n" * 500_000, "MB"),
    ],
)  # fmt: skip
def test_file_is_refused_in_one_short_line_at_once_when_it_is_hostile(tmp_path, text, message):
    path, began = written(tmp_path, text), time.process_time()
    with pytest.raises(UserError) as caught:
        read_yaml(path, "give a file of settings")
    assert time.process_time() - began < 1
    line = str(caught.value)
    assert message in line
    assert line.startswith(str(path))
    assert line.endswith("give a file of settings")
    assert "\n" not in line
    assert len(line) < 400 + len(str(path))
