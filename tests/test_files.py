"""Folders that appear whole, and what killed processes leave of them."""

import os

import pytest

from kerassl import _files
from kerassl._errors import UserError

pytestmark = pytest.mark.current_stack


def names(folder):
    return sorted(os.listdir(folder))


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


def test_only_folders_that_nobody_writes_are_swept_and_only_of_that_name(tmp_path):
    keep = [".10-01234567.part", ".1-0123456.part", ".1-01234567.part.old", "1-01234567.part", ".2-01234567.part"]
    for name in (".1-01234567.part", ".1-89abcdef.part", *keep):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("half")
    with _files.whole_folder(tmp_path / "1") as living:
        assert names(tmp_path) == sorted([*keep, living.name])
        (living / "a").write_text("living")
        with _files.whole_folder(tmp_path / "1") as faster:
            assert names(tmp_path) == sorted([*keep, living.name, faster.name])
            (faster / "a").write_text("faster")
        assert names(tmp_path) == sorted([*keep, living.name, "1"])
        (tmp_path / "1").rename(tmp_path / "3")
    assert names(tmp_path) == sorted([*keep, "1", "3"])
    assert (tmp_path / "1" / "a").read_text() == "living"
