import pathlib

import pytest

from kerassl.datasets.images.junk import is_junk


@pytest.mark.parametrize(
    "path",
    ["._a.jpg", ".DS_Store", "Thumbs.db", "thumbs.DB", "Desktop.ini", "__MACOSX/a.jpg", "a/.ipynb_checkpoints/b.jpg",
     "@eaDir/a.jpg", "$RECYCLE.BIN/a.jpg", "Icon\r", pathlib.Path("a/.hidden/b.xml")],
)  # fmt: skip
def test_junk_when_left_by_a_program(path):
    assert is_junk(path)


@pytest.mark.parametrize(
    "path", ["a.jpg", "a.b.jpg", "../a.jpg", "./a.jpg", "MACOSX/a.jpg", "thumbs.db.jpg", pathlib.Path("a/_b.xml"), "/"]
)
def test_junk_when_it_is_data(path):
    assert not is_junk(path)
