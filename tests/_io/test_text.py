import os

import pytest

from kerassl import UserError
from kerassl._io.text import UnreadableError, read_text, text_of

pytestmark = pytest.mark.current_stack  # files alone: both stacks would find out the same

CHARACTERS = "café\nchó\n"


@pytest.mark.parametrize(
    "contents",
    [
        CHARACTERS.encode(),
        CHARACTERS.encode("utf-8-sig"),
        CHARACTERS.replace("\n", "\r\n").encode("utf-16"),  # as PowerShell's > writes it
        b"\xfe\xff" + CHARACTERS.encode("utf-16-be"),
        CHARACTERS.encode("utf-16-le"),
        CHARACTERS.encode("utf-32"),
        CHARACTERS.replace("\n", "\r").encode(),
    ],
)
def test_reads_the_same_text_when_it_has_any_unicode_encoding(tmp_path, contents):
    (tmp_path / "a.txt").write_bytes(contents)
    assert read_text(tmp_path / "a.txt", "write it again") == CHARACTERS


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "windows-1252", "utf-16"])
def test_reads_xml_in_the_encoding_that_it_declares(tmp_path, encoding):
    text = f'<?xml version="1.0" encoding="{encoding}"?>\n<a>café</a>'
    (tmp_path / "a.xml").write_bytes(text.encode(encoding))
    assert text_of(tmp_path / "a.xml", xml=True) == text


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        ("a\né\n".encode("latin-1"), r"is no UTF-8 \(byte 0xe9 in line 2; it may be Latin-1 .*save it as UTF-8"),
        (b"\xff\xfea\0\x00\xd8", "is no UTF-16"),
        (b"ab\0c", "holds NUL bytes"),
        (b'<?xml version="1.0" encoding="rot13"?><a/>', "declares the encoding 'rot13'"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "declares the encoding 'klingon'"),
        (b"a" * 2000, r"has 0 MB; at most 0 MB are read"),
    ],
)
def test_refuses_in_one_line_when_the_bytes_are_no_text(tmp_path, contents, words):
    (tmp_path / "a.xml").write_bytes(contents)
    with pytest.raises(UnreadableError, match=words) as error:
        text_of(tmp_path / "a.xml", most=1000, xml=True)
    assert "\n" not in str(error.value)


def test_refuses_in_one_line_when_it_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, words in (
        ("", "is a folder"),
        ("pipe", "is a pipe"),
        ("loop", "cannot be read"),
        ("none", r"cannot be read \(No such file"),
        ("a\0b", "null byte"),
    ):
        with pytest.raises(UserError, match=f"{words}.*; give a list") as error:
            read_text(f"{tmp_path}/{name}", "give a list")
        assert str(error.value).startswith(str(tmp_path))
