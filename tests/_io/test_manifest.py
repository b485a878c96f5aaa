"""Files that kerassl wrote."""

import hashlib
import json
import os

import pytest

from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.manifest import NAME, Manifest

pytestmark = pytest.mark.current_stack


BEGUN = "2026-01-02 03:04:05,678 INFO begun\n"


@pytest.fixture
def run(tmp_path):
    """A folder with a manifest, a report, a trial and a growing log."""
    with _files.claimed(tmp_path / "run", "run") as manifest:
        for name in ("report.html", "trials/a/1.json"):
            with _files.whole(tmp_path / "run" / name) as part:
                part.write_text(name)
        manifest.grows(tmp_path / "run" / "log.txt")
        (tmp_path / "run" / "log.txt").write_text(BEGUN)
    return manifest


def test_clears_what_it_wrote_and_folders_that_are_empty_then(run):
    assert run.foreign() is None
    run.clear(run.folder / "trials")
    assert sorted(os.listdir(run.folder)) == [NAME, "log.txt", "report.html"]
    run.clear()
    assert os.listdir(run.folder) == [NAME]


@pytest.mark.parametrize(
    "mine",
    ["notes.md", "trials/a/notes.md", "report.html", "log.txt", "trials/a/1.json", "photos/", "photos/a.jpg", "link"],
)
def test_knows_a_users_file_and_clears_all_but_that(run, tmp_path, mine):
    path = run.folder / mine
    path.parent.mkdir(exist_ok=True)
    if mine == "link":
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "precious").write_text("mine")
        path.symlink_to(tmp_path / "elsewhere")
    elif mine.endswith("/"):
        path.mkdir()
    else:
        path.write_text("mine")
    assert run.foreign() == (path.parent if mine == "photos/a.jpg" else path)
    run.clear()
    assert os.path.lexists(path)
    assert not path.is_file() or path.read_text() == "mine"
    assert mine != "link" or (tmp_path / "elsewhere" / "precious").read_text() == "mine"
    assert run.foreign() is not None


def test_growing_file_is_own_until_the_run_has_ended(run):
    log = run.folder / "log.txt"
    with _files.claimed(run.folder, "run"):
        _files.open_log(log)
        log.write_text(BEGUN * 2)
        assert run.owns(log)
    assert run.owns(log)
    log.write_text(BEGUN * 2 + "mine\n")
    assert not run.owns(log)
    _files.open_log(log)  # resumed: what it was is kept
    assert (run.folder / "log.txt.changed").read_text().endswith("mine\n")


def test_half_files_of_a_killed_process_are_swept_and_half_lines_passed_over(run):
    half = run.folder / ".kerassl-01234567.part.json"
    half.write_text("{")
    run.temporary(half)
    with (run.folder / NAME).open("a") as file:
        file.write('{"file": "repo')
    with _files.claimed(run.folder, "run") as manifest:
        assert not half.exists()
        with _files.whole(run.folder / "new.json") as part:
            part.write_text("new")
    assert manifest.owns(run.folder / "new.json")
    assert Manifest(run.folder).owns(run.folder / "new.json")


def test_nothing_outside_the_folder_is_removed_when_the_manifest_is_hostile(run, tmp_path):
    precious = tmp_path / ".kerassl-01234567.part"
    precious.write_text("mine")
    (run.folder / "notes.md").write_text("mine")
    size, digest = 4, hashlib.sha256(b"mine").hexdigest()
    lines = [
        {"temporary": "../.kerassl-01234567.part"},
        {"temporary": str(precious)},
        {"temporary": "notes.md"},
        {"file": "../.kerassl-01234567.part", "bytes": size, "sha256": digest},
        {"file": 3},
        {"grows": None},
        {"grows": "*"},
        {"temporary": "a\0b/.kerassl-01234567.part"},
        {"temporary": "\ud800/.kerassl-01234567.part"},
        {"temporary": "x" * 300 + "/.kerassl-01234567.part"},
        ["file"],
        None,
    ]
    with (run.folder / NAME).open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines) + "\xff{\n" + "[" * 100_000 + "\n")
    with _files.claimed(run.folder, "run") as manifest:
        manifest.clear()
        assert not manifest.owns(precious)
    assert precious.read_text() == (run.folder / "notes.md").read_text() == "mine"


def test_claims_no_folder_that_holds_other_things_or_is_in_use(run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / NAME).symlink_to(tmp_path / "file")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / NAME).write_text("mine")
    for name, says in (
        ("mine", r"mine already holds config.yaml, which is not kerassl's; give a new folder"),
        ("file", "file is a file; give a folder"),
        ("linked", "is a link; choose another folder"),
        ("other", "not the manifest of a run; choose another folder"),
    ):
        with pytest.raises(UserError, match=says), _files.claimed(tmp_path / name, "run"):
            pass
    assert (tmp_path / "file").read_text() == (tmp_path / "other" / NAME).read_text() == "mine"
    with (
        _files.claimed(run.folder, "run"),
        pytest.raises(UserError, match=r"another process is writing to .*run; wait for it"),
        _files.claimed(run.folder, "run"),
    ):
        pass


def test_leaves_no_trace_when_nothing_was_made(tmp_path):
    def refused():
        with _files.claimed(tmp_path / "new" / "run", "run", keep=("log.txt",)):
            _files.open_log(tmp_path / "new" / "run" / "log.txt")
            (tmp_path / "new" / "run" / "log.txt").write_text("refused")
            raise UserError("refused")

    with pytest.raises(UserError, match="refused"):
        refused()
    assert os.listdir(tmp_path) == []
