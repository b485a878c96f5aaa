import logging
import os

import pytest

from kerassl import UserError
from kerassl._io import files as _files
from kerassl._io.state import write_json
from kerassl.config import read_config
from kerassl.runs.folder import run_folder

pytestmark = pytest.mark.current_stack


def test_folder_holds_resolved_settings_and_log(tmp_path):
    out = tmp_path / "deep" / "run"
    with run_folder(out, read_config(None, {"seed": 5})):
        logging.getLogger("kerassl").warning("a broken file")
    assert "seed: 5" in (out / "config.yaml").read_text()
    assert "a broken file" in (out / "log.txt").read_text()


def test_run_is_kept_when_neither_resume_nor_replace_is_asked_for(tmp_path):
    config = read_config()
    with run_folder(tmp_path / "run", config) as folder:
        write_json(folder / "pretrain.json", {})
    with pytest.raises(UserError, match="--resume to continue it, --replace"), run_folder(tmp_path / "run", config):
        pass
    with run_folder(tmp_path / "run", config, resume=True) as folder:
        assert (folder / "pretrain.json").exists()
    with run_folder(tmp_path / "run", config, replace=True) as folder:
        assert not (folder / "pretrain.json").exists()


@pytest.mark.parametrize("again", [{}, {"replace": True}, {"resume": True}])
def test_folder_is_refused_when_it_holds_something_else(tmp_path, again):
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    (tmp_path / "photos").mkdir()
    with (
        pytest.raises(UserError, match=r"already holds config.yaml"),
        run_folder(tmp_path, read_config(), **again),
    ):
        pass
    assert sorted(os.listdir(tmp_path)) == ["config.yaml", "photos"]


def test_run_is_neither_replaced_nor_resumed_when_the_user_changed_a_file(tmp_path):
    with run_folder(tmp_path / "run", read_config()) as folder, _files.whole(folder / "report.html") as part:
        part.write_text("whole")
    (folder / "notes.md").write_text("mine")
    with (
        pytest.raises(UserError, match=r"notes\.md is not as kerassl wrote it"),
        run_folder(folder, read_config(), replace=True),
    ):
        pass
    with run_folder(folder, read_config(), resume=True):  # beside the run's files it may be
        pass
    (folder / "notes.md").unlink()
    (folder / "report.html").write_text("mine")
    for again in ({"replace": True}, {"resume": True}):
        with (
            pytest.raises(UserError, match=r"report\.html .*kerassl wrote it; move it"),
            run_folder(folder, read_config(), **again),
        ):
            pass
    assert (folder / "report.html").read_text() == "mine"


def test_settings_file_is_kept_beside_the_run_when_it_was_changed(tmp_path):
    with run_folder(tmp_path / "run", read_config()) as folder:
        pass
    (folder / "config.yaml").write_text("# mine\n" + (folder / "config.yaml").read_text())
    with run_folder(folder, read_config(), resume=True):
        pass
    assert (folder / "config.yaml.changed").read_text().startswith("# mine\n")


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
    assert "  kind: yolov8\n" in settings
    (tmp_path / "run" / "config.yaml").write_text(settings.replace("  kind: yolov8\n", ""))
    with run_folder(tmp_path / "run", config, resume=True):
        pass
    other = read_config(None, {"detector.epochs": 3, "detector.kind": "retinanet"})
    with (
        pytest.raises(UserError, match=r"other settings of 'detector\.kind' \(yolov8, now retinanet\); resume"),
        run_folder(tmp_path / "run", other, resume=True),
    ):
        pass


def test_resume_accepts_new_variants_and_protocols_and_refuses_changed_ones(tmp_path):
    def config(variants, measured=None, **ways):
        return read_config(None, {"variants": variants, "frozen": {"variants": measured}, **ways})

    both = {"one": "random", "two": "imagenet"}
    with run_folder(tmp_path / "run", config({"one": "random"}, ["one"])):
        pass
    changed = ({"one": "imagenet", "two": "imagenet"}, r"'variants\.one\.start' \(random, now imagenet\)")
    for variants, message in (changed, ({"two": "imagenet"}, r"'variants\.one' \(given, now left out\)")):
        with (
            pytest.raises(UserError, match="other settings of " + message),
            run_folder(tmp_path / "run", config(variants), resume=True),
        ):
            pass
    for variants, measured in ((both, ["one", "two"]), ({**both, "three": "random"}, None)):
        with run_folder(tmp_path / "run", config(variants, measured), resume=True) as folder:
            pass
        assert "  two:\n" in (folder / "config.yaml").read_text()
    all_variants = {**both, "three": "random"}
    with run_folder(tmp_path / "run", config(all_variants, localizer={"epochs": 3}), resume=True):
        pass
    for ways, message in (({"localizer": {"epochs": 4}}, r"'localizer\.epochs' \(3, now 4\)"), ({}, "'localizer'")):
        with (
            pytest.raises(UserError, match="other settings of " + message),
            run_folder(tmp_path / "run", config(all_variants, **ways), resume=True),
        ):
            pass


def test_folder_is_refused_when_another_run_uses_it(tmp_path):
    config = read_config()
    with (
        run_folder(tmp_path / "run", config),
        pytest.raises(UserError, match="another process is writing"),
        run_folder(tmp_path / "run", config, resume=True),
    ):
        pass
