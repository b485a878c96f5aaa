"""Single files that kerassl wrote, known by a mark in themselves."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.signature import is_signed, sign

pytestmark = pytest.mark.current_stack


def png(path):
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(path, "PNG")


def npz(path):
    with path.open("wb") as file:
        np.savez(file, a=np.arange(5))


WRITERS = {"a.png": png, "a.npz": npz}


@pytest.mark.parametrize("name", WRITERS)
def test_own_file_is_replaced_and_not_when_any_byte_was_changed(name, tmp_path):
    path = tmp_path / name
    for _ in range(2):
        _files.check_replaceable(path)
        with _files.whole(path, overwrite=True) as part:
            WRITERS[name](part)
    whole = path.read_bytes()
    assert is_signed(path)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert not is_signed(path)
    for other in (whole[:-1], whole + b"\0", whole[:40], b""):
        path.write_bytes(other)
        assert not is_signed(path)
    with pytest.raises(UserError, match=f"{name} already exists; choose another path"):
        _files.check_replaceable(path)


@pytest.mark.parametrize("name", WRITERS)
def test_mark_changes_nothing_that_is_read(name, tmp_path):
    WRITERS[name](tmp_path / name)
    assert not is_signed(tmp_path / name)
    sign(tmp_path / name)
    if name == "a.png":
        assert np.asarray(Image.open(tmp_path / name)).ravel().tolist() == list(range(192))
    else:
        assert np.load(tmp_path / name)["a"].tolist() == list(range(5))
        assert zipfile.ZipFile(tmp_path / name).testzip() is None


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x89PNG\r\n\x1a\n", b"PK\3\4" + b"\0" * 100, b"text"])
def test_file_of_another_kind_is_left_as_it_is(content, tmp_path):
    (tmp_path / "a").write_bytes(content)
    sign(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == content
    assert not is_signed(tmp_path / "a")
