"""Files and folders that appear whole, and what killed processes leave of them."""

import os

import pytest

from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.manifest import Manifest

pytestmark = pytest.mark.current_stack


def names(folder):
    return sorted(os.listdir(folder))


def write(path, content, **settings):
    with _files.whole(path, **settings) as part:
        part.write_text(content)


@pytest.mark.parametrize("old", [None, "old"])
def test_file_appears_whole_or_not_at_all(tmp_path, old):
    path = tmp_path / "figures.json"
    if old:
        path.write_text(old)

    def interrupted():
        with _files.whole(path, overwrite=True) as part:
            part.write_text("ha")
            raise OSError("disk full")

    with pytest.raises(OSError, match="full"):
        interrupted()
    assert (path.read_text() if path.exists() else None) == old
    write(path, "new", overwrite=True)
    assert path.read_text() == "new"
    assert names(tmp_path) == ["figures.json"]


def test_a_folder_appears_when_it_is_whole_and_not_at_all_when_it_fails(tmp_path):
    with _files.whole_folder(tmp_path / "1") as part:
        (part / "a").write_text("a")
        assert not (tmp_path / "1").exists()
    assert names(tmp_path) == ["1"]
    assert names(tmp_path / "1") == ["a"]
    with pytest.raises(IsADirectoryError), _files.whole_folder(tmp_path / "2") as part:
        part.write_text("no file")
    assert names(tmp_path) == ["1"]
    with pytest.raises(UserError, match="already exists"), _files.whole_folder(tmp_path / "1"):
        pass
    assert names(tmp_path / "1") == ["a"]


def test_killed_folders_are_swept_when_nobody_writes_them_and_only_of_that_name(tmp_path):
    with _files.whole_folder(tmp_path / "1") as part:
        living = part.parent.name
        mark = (part.parent / "temporary.json").read_text()
        for name, content in ((".kerassl-00000001.part", mark), (".kerassl-00000002.part", mark.replace("1", "2"))):
            (tmp_path / name).mkdir()
            (tmp_path / name / "temporary.json").write_text(content)
        for name in (".kerassl-00000003.part", ".1-01234567.part"):  # the user's
            (tmp_path / name).mkdir()
            (tmp_path / name / "half").write_text("half")
        with _files.whole_folder(tmp_path / "1") as faster:
            keep = [".1-01234567.part", ".kerassl-00000002.part", ".kerassl-00000003.part"]
            assert names(tmp_path) == sorted([*keep, living, faster.parent.name])
        (tmp_path / "1").rename(tmp_path / "3")
    assert names(tmp_path) == sorted([*keep, "1", "3"])


def test_own_file_is_replaced_unless_it_was_changed(tmp_path):
    Manifest.create(tmp_path, "run")
    path = tmp_path / "deep" / "report.html"
    write(path, "one")
    write(path, "two")
    path.write_text("mine")
    with pytest.raises(UserError, match=r"report.html was changed since kerassl wrote it; choose another path"):
        write(path, "three")
    assert path.read_text() == "mine"
    write(path, "three", state=True)
    assert path.read_text() == "three"
    assert (path.parent / "report.html.changed").read_text() == "mine"
    with pytest.raises(UserError, match="already exists"):
        write(path, "four", replace=False)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["file", "folder", "link", "link to nothing", "pipe"])
def test_nothing_of_the_users_is_replaced_by_a_file(tmp_path, kind, overwrite):
    mine, path = tmp_path / "mine", tmp_path / "out.png"
    if kind == "folder":
        path.mkdir()
        (path / "thesis").write_text("precious")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to nothing":
        path.symlink_to(tmp_path / "nothing")
    else:
        mine.write_text("precious")
        path.symlink_to(mine) if kind == "link" else mine.rename(path)
    before = os.lstat(path)
    if (kind, overwrite) == ("file", True):
        write(path, "new", overwrite=True)
        assert path.read_text() == "new"
        return
    with pytest.raises(UserError, match=r"out\.png .*choose another path"):
        write(path, "new", overwrite=overwrite)
    assert os.lstat(path).st_ino == before.st_ino
    assert kind != "folder" or (path / "thesis").read_text() == "precious"
    assert len(names(tmp_path)) == 1 + (kind == "link")


def test_output_is_refused_in_one_line_when_it_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "card.png", "/proc/nope/card.png"):
        with pytest.raises(UserError, match=r"card\.png cannot be written \(.+\); choose a path that can be"):
            write(path, "new")
    with pytest.raises(UserError, match="cannot be written"), _files.whole_folder(tmp_path / "file" / "1"):
        pass
    assert names(tmp_path) == ["file"]


def test_output_within_a_folder_that_is_read_is_refused(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    for path in ("photos", "photos/out", "link/out/deeper"):
        with pytest.raises(UserError, match=r"is in .*photos, which is read; choose a folder outside of it"):
            _files.check_outside(tmp_path / path, ["nothing", tmp_path / "photos"])
    _files.check_outside(tmp_path / "photos2", [tmp_path / "photos"])
