"""Names of classes and images as names of files."""

import urllib.parse

import pytest

from kerassl._io.file_names import file_name, file_names

pytestmark = pytest.mark.current_stack

HOSTILE = [
    "car/van", "../x", "..", "", "x" * 300, "x" * 301, "é" * 200, "A", "a", "Cat", "cat", "CAT", "con", "NUL.txt",
    ".hidden",    "end.", "end ", "%41", "~", "é", "e\u0301", "ß", "ss", "SS", "a\nb", "a\0b", "a\\b", "a:b",
    "a*b", "\udce9", "\ud800", "車",
]  # fmt: skip


def test_names_are_valid_short_and_different_without_regard_to_case():
    names = file_names(HOSTILE)
    assert len({name.casefold() for name in names}) == len(HOSTILE)
    for name in names:
        assert 0 < len(name.encode()) <= 100
        assert not set(name) & set('/\\:*?"<>|\0\n')
        assert name.strip(" .") == name


def test_ordinary_names_stay_as_they_are_and_others_can_be_decoded():
    for name in ("aeroplane", "dining table", "Motorrad_2", "車", "Bär"):
        assert file_name(name) == name
    for name in ("car/van", "../x", "con", "a\nb", "%41", "end."):
        assert urllib.parse.unquote(file_name(name)) == name
