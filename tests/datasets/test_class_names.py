import unicodedata

import pytest

from kerassl import UserError
from kerassl.datasets.class_names import check_there, read_class_names

pytestmark = pytest.mark.current_stack  # files alone: both stacks would find out the same

DECOMPOSED = unicodedata.normalize("NFD", "chó")


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("a.txt", "dog\nno\n1.10\n".encode("utf-16")),
        ("a.names", b"\xef\xbb\xbfdog\r\n\r\n no \r\n1.10"),
        ("data.yaml", b"train: images\nnames: [dog, no, 1.10]\n"),
        ("data.yml", b"names:\n  1: no\n  0: dog\n  2: 1.10\n"),
    ],
)
def test_a_file_is_read_however_it_is_given(tmp_path, monkeypatch, name, contents):
    (tmp_path / name).write_bytes(contents)
    monkeypatch.chdir(tmp_path)
    for given in (tmp_path / name, str(tmp_path / name), name, [name]):
        assert read_class_names(given) == ["dog", "no", "1.10"]


def test_names_are_the_same_in_every_form_of_unicode(tmp_path):
    (tmp_path / "a.txt").write_text(DECOMPOSED, encoding="utf-8")
    assert read_class_names([DECOMPOSED]) == read_class_names(tmp_path / "a.txt") == ["chó"] != [DECOMPOSED]
    with pytest.raises(UserError, match="'chó' more than once"):
        read_class_names([DECOMPOSED, "chó"])


def test_names_are_no_files_when_folders_are_called_like_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "dog").write_text("owl")
    assert read_class_names(["cat"]) == ["cat"]
    assert read_class_names(["dog", "cat"]) == ["dog", "cat"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["config.yaml"], r"config\.yaml cannot be read \(No such file.*list of the class names, or a file"),
        (["there.txt", "cat"], r"there\.txt is a file, and other class names are beside it"),
        (["boxes.json"], r"boxes\.json is no file of class names; give the list of the class names, or a data.yaml"),
        (["latin.txt"], r"latin\.txt is no UTF-8 \(byte 0xe9 in line 1"),
        ("cat", r"cat cannot be read .*give the list"),
        (["run.yaml"], r"run\.yaml has no list of names; write names: "),
    ],
)
def test_what_is_no_list_of_names_is_refused(tmp_path, monkeypatch, given, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.txt").write_text("dog")
    (tmp_path / "boxes.json").write_text('{"images": []}')
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    (tmp_path / "run.yaml").write_text("data: {voc: {root: a}}")
    with pytest.raises(UserError, match=words) as error:
        read_class_names(given)
    assert "\n" not in str(error.value)


def test_a_class_that_is_not_there_is_named_with_the_closest():
    check_there(["dog"], ["cat", "dog"], "boxes.json")
    with pytest.raises(UserError, match=r"boxes.json has no class 'dogg'.*did you mean 'dog'. It has 2: cat, dog"):
        check_there(["cat", "dogg"], ["cat", "dog"], "boxes.json")
    with pytest.raises(UserError, match=r"no class 'zebra'.*it has 2: cat, dog"):
        check_there(["zebra"], ["cat", "dog"], "boxes.json")
