import logging

import pytest

from kerassl import UserError, _files
from kerassl.experiment import read_config
from kerassl.experiment.folder import run_folder


def test_folder_holds_resolved_settings_and_log(tmp_path):
    out = tmp_path / "deep" / "run"
    with run_folder(out, read_config(None, {"seed": 5})):
        logging.getLogger("kerassl").warning("a broken file")
    assert "seed: 5" in (out / "config.yaml").read_text()
    assert "a broken file" in (out / "log.txt").read_text()


def test_run_is_not_overwritten_unless_told_to(tmp_path):
    config = read_config()
    with run_folder(tmp_path / "run", config) as folder:
        (folder / "backbone.keras").write_text("precious")
    with pytest.raises(UserError, match="--resume"), run_folder(tmp_path / "run", config):
        pass
    with run_folder(tmp_path / "run", config, resume=True) as folder:
        assert (folder / "backbone.keras").exists()
    with run_folder(tmp_path / "run", config, replace=True) as folder:
        assert not (folder / "backbone.keras").exists()


def test_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    for again in ({"replace": True}, {"resume": True}):
        with pytest.raises(UserError, match="no run"), run_folder(tmp_path, read_config(), **again):
            pass
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_resume_is_refused_when_settings_differ(tmp_path):
    with run_folder(tmp_path / "run", read_config()):
        pass
    with (
        pytest.raises(UserError, match="other settings of 'seed'"),
        run_folder(tmp_path / "run", read_config(None, {"seed": 1}), resume=True),
    ):
        pass


def test_run_is_resumed_when_it_was_begun_before_a_setting_existed(tmp_path):
    config = read_config(None, {"detector.epochs": 3})
    with run_folder(tmp_path / "run", config) as folder:
        settings = (folder / "config.yaml").read_text()
    assert "  kind: retinanet\n" in settings
    (tmp_path / "run" / "config.yaml").write_text(settings.replace("  kind: retinanet\n", ""))
    with run_folder(tmp_path / "run", config, resume=True):
        pass
    other = read_config(None, {"detector.epochs": 3, "detector.kind": "yolov8"})
    with (
        pytest.raises(UserError, match=r"other settings of 'detector\.kind' \(retinanet, now yolov8\); resume"),
        run_folder(tmp_path / "run", other, resume=True),
    ):
        pass


def test_arm_or_way_of_measuring_may_be_added_to_a_run_but_none_changed_or_taken_away(tmp_path):
    def config(arms, measured=None, **ways):
        return read_config(None, {"arms": arms, "frozen": {"arms": measured}, **ways})

    both = {"one": "random", "two": "imagenet"}
    with run_folder(tmp_path / "run", config({"one": "random"}, ["one"])):
        pass
    changed = ({"one": "imagenet", "two": "imagenet"}, r"'arms\.one\.start' \(random, now imagenet\)")
    for arms, told in (changed, ({"two": "imagenet"}, r"'arms\.one' \(given, now left out\)")):
        with (
            pytest.raises(UserError, match="other settings of " + told),
            run_folder(tmp_path / "run", config(arms), resume=True),
        ):
            pass
    for arms, measured in ((both, ["one", "two"]), ({**both, "three": "random"}, None)):
        with run_folder(tmp_path / "run", config(arms, measured), resume=True) as folder:
            pass
        assert "  two:\n" in (folder / "config.yaml").read_text()
    all_arms = {**both, "three": "random"}
    with run_folder(tmp_path / "run", config(all_arms, localizer={"epochs": 3}), resume=True):
        pass
    for ways, told in (({"localizer": {"epochs": 4}}, r"'localizer\.epochs' \(3, now 4\)"), ({}, "'localizer'")):
        with (
            pytest.raises(UserError, match="other settings of " + told),
            run_folder(tmp_path / "run", config(all_arms, **ways), resume=True),
        ):
            pass


def test_folder_in_use_is_refused(tmp_path):
    config = read_config()
    with (
        run_folder(tmp_path / "run", config),
        pytest.raises(UserError, match="another run"),
        run_folder(tmp_path / "run", config, resume=True),
    ):
        pass


@pytest.mark.parametrize("old", [None, "old"])
def test_file_appears_whole_or_not_at_all(tmp_path, old):
    path = tmp_path / "figures.json"
    if old:
        path.write_text(old)

    def interrupted():
        with _files.whole(path) as part:
            part.write_text("ha")
            raise OSError("disk full")

    with pytest.raises(OSError, match="full"):
        interrupted()
    assert (path.read_text() if path.exists() else None) == old
    with _files.whole(path) as part:
        part.write_text("new")
    assert path.read_text() == "new"
    assert [item.name for item in tmp_path.iterdir()] == ["figures.json"]


def test_whole_folder_replaces_folder_and_refuses_when_told(tmp_path):
    path = tmp_path / "model"
    for content in ("one", "two"):
        with _files.whole(path) as part:
            part.mkdir()
            (part / content).touch()
    assert [item.name for item in path.iterdir()] == ["two"]
    with pytest.raises(UserError, match="already exists"), _files.whole(path, replace=False):
        pass
