"""The study of distillation: its commands, and what they score. Nothing is trained."""

import argparse
import json

import pytest

from kerassl.config import read_config
from kerassl.runs.plan.comparison import plan_comparison
from kerassl.runs.plan.stages import Distillation
from kerassl.runs.plan.training import plan_distillation, plan_pretraining
from studies import distillation
from studies.distillation import MINUTES, SEEDS, STUDENTS, Study, main


@pytest.fixture
def commands(tmp_path):
    """`commands(step, **options)`: the command, the folder and the configuration of each run."""

    def plan(step, **changed):
        found = {}

        class Recorded(Study):
            def _command(self, command, title, config):
                found[title] = (command, config)

        given = {"data": tmp_path, "out": tmp_path, "students": STUDENTS, "seeds": SEEDS, "plan": True}
        getattr(Recorded(argparse.Namespace(**{**given, "test": False, "small": False, **changed})), step)()
        return found

    return plan


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("step", ["choose", "run"])
def test_configurations_of_the_study_are_accepted_and_planned(step, small, commands, tmp_path):
    makers = {"distill": plan_distillation, "pretrain": plan_pretraining, "compare": plan_comparison}
    plans = {
        title: makers[command](read_config(None, config), tmp_path)
        for title, (command, config) in commands(step, small=small).items()
    }
    if step == "choose":
        (plan,) = plans.values()
        assert len({stage.settings.model_dump_json() for stage in plan.of(Distillation)}) == (2 if small else 11)
    elif not small:
        trained = [title for title in plans if "tuning" not in title and "pace" not in title]
        assert len(trained) == len(STUDENTS) * len(SEEDS) * len(MINUTES) * 2
        assert len(plans) - len(trained) == 2 * len(STUDENTS) + len(SEEDS) * (len(STUDENTS) + 1)


def test_test_images_are_scored_when_they_are_asked_for_alone(commands, tmp_path, capsys):
    splits = {
        (test, config["compare"]["split"])
        for test in (False, True)
        for command, config in commands("run", test=test).values()
        if command == "compare"
    }
    assert splits == {(False, "tuning"), (True, "report")}
    with pytest.raises(SystemExit):
        main(["choose", "--small", "--out", str(tmp_path), "--test"])
    assert "--test" in capsys.readouterr().err


def test_minutes_become_epochs_and_trials_become_files(commands, tmp_path, monkeypatch):
    monkeypatch.setattr(distillation, "RESULTS", tmp_path / "results")
    for name, way in distillation.WAYS.items():
        file = tmp_path / "pace" / f"EfficientNetB1-{name}" / f"{way}.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"minutes": 3.0, "epochs": 2}))
    trial = {"variant": "random", "protocol": "frozen", "figures": {"mean_iou": 0.5}, "per_image": {"iou": [0.5]}}
    folder = tmp_path / "EfficientNetB1-0-tuning" / "trials" / "random"
    folder.mkdir(parents=True)
    (folder / "frozen-100-0.json").write_text(json.dumps(trial))
    found = commands("run", plan=False, students=STUDENTS[:1], seeds=SEEDS[:1])
    epochs = {title: config["distill"]["epochs"] for title, (_, config) in found.items() if "distilled-" in title}
    assert epochs == {"EfficientNetB1-0-distilled-40": 27, "EfficientNetB1-0-distilled-80": 53}
    kept = json.loads((tmp_path / "results" / "EfficientNetB1-0-tuning" / "random" / "frozen-100-0.json").read_text())
    assert kept["figures"] == {"mean_iou": 0.5}
    assert "per_image" not in kept
