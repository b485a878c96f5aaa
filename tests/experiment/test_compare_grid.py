"""A comparison's grid on a few scenes with the smallest network: what is done, shared, repeated and refused."""

import json

import numpy as np
import pytest

from kerassl import backbones, models
from kerassl.experiment import arms, cells, compare, finetuning, grid, pretraining, read_config
from kerassl.experiment.cli import main
from kerassl.experiment.sources import sources
from kerassl.experiment.time_limit import TimeLimit

SCENES = "data: {scenes: {train: 12, val: 6, unlabelled: 16, single_object: true}}\n"
PRETRAIN = "pretrain: {image_size: 32, batch_size: 8, epochs: 2, optimizer: adamw, hidden_dim: 8, projection_dim: 8}\n"
FROZEN = "frozen: {image_size: 64, batch_size: 4, epochs: 1, width: 8}\n"
GRID = SCENES + PRETRAIN + FROZEN + "compare: {labels: [4, 8], seeds: 2}\n"


@pytest.fixture
def tiny(tiny_backbone, monkeypatch):
    """The smallest network under every name, and neither pictures nor a servable of it."""
    monkeypatch.setattr(backbones, "build", lambda name, **_: tiny_backbone())
    monkeypatch.setattr(compare, "arm_pictures", lambda *_: [])
    monkeypatch.setattr(compare, "_servable", lambda config, folder: folder / "servables")


@pytest.fixture
def run(tiny, tmp_path):
    """`run(out, text, *flags)`: the command's exit status."""

    def run(out, text, *flags):
        (tmp_path / "run.yaml").write_text(text)
        return main(["compare", "--config", str(tmp_path / "run.yaml"), "--out", str(tmp_path / out), *flags])

    return run


def contents(folder):
    """What the cells of a run say, without the minutes."""
    found = {}
    for path in sorted((folder / "cells").rglob("*.json")):
        cell = json.loads(path.read_text())
        assert cell.pop("minutes") > 0
        found[str(path.relative_to(folder))] = cell
    return found


def config_of(tmp_path, text):
    (tmp_path / "run.yaml").write_text(text)
    return read_config(tmp_path / "run.yaml")


def test_grid_has_every_arm_number_of_labels_and_seed_unless_a_protocol_says_otherwise(tmp_path):
    text = GRID + "seed: 5\nlocalizer: {labels: [null], seeds: 1, arms: [random start]}\n"
    found = grid.cells(config_of(tmp_path, text))
    frozen = [cell[:1] + cell[2:] for cell in found if cell.protocol == "frozen"]
    assert frozen == [
        (arm, count, seed) for arm in ("self-supervised", "random start") for count in (4, 8) for seed in (5, 6)
    ]
    assert found[len(frozen) :] == [grid.Cell("random start", "localizer", None, 5)]
    assert found[-1].name == "localizer-all-5"


def test_subsets_are_nested_in_a_seed_the_same_for_all_arms_and_others_in_another_seed(tmp_path):
    config = config_of(tmp_path, GRID)
    data = sources(config, tmp_path)
    work = cells.Cells(config, data, tmp_path, TimeLimit())
    ids = {cell: {record.image_id for record in work.records(cell)} for cell in grid.cells(config)}
    assert all(len(ids[cell]) == cell.labels for cell in ids)
    for cell, own in ids.items():
        assert own <= ids[cell._replace(labels=8)]
        assert own == ids[cell._replace(arm="random start")]
    first, second = (ids[grid.Cell("random start", "frozen", 4, seed)] for seed in (0, 1))
    assert first != second


def test_each_cell_is_done_once_and_the_same_to_the_bit_when_it_is_repeated(run, tmp_path, monkeypatch):
    fitted = []
    fit = models.fit_frozen
    monkeypatch.setattr(models, "fit_frozen", lambda *args, **own: fitted.append(own["seed"]) or fit(*args, **own))
    assert run("out", GRID) == 0
    out = tmp_path / "out"
    before = contents(out)
    assert len(before) == len(fitted) == 8
    kept = {path.relative_to(out / "arms").as_posix() for path in (out / "arms").rglob("*.keras")}
    assert kept == {"self-supervised/frozen.keras", "random-start/frozen.keras"}
    assert not (out / "features").exists()
    cell = before["cells/random-start/frozen-4-1.json"]
    assert (cell["arm"], cell["protocol"], cell["labels"], cell["seed"]) == ("random start", "frozen", 4, 1)
    assert (cell["images"], cell["steps"]) == (4, 1)
    assert len(cell["per_image"]["ids"]) == 6
    for figure, values in (("mean_iou", "iou"), ("top1", "top1"), ("top3", "top3")):
        assert cell["figures"][figure] == pytest.approx(np.mean(cell["per_image"][values]))
    # What is gone is done again, to the same bits; what stands is not touched.
    for name in ("cells/random-start/frozen-4-1.json", "cells/self-supervised/frozen-8-0.json"):
        (out / name).unlink()
    assert run("out", GRID, "--resume") == 0
    assert fitted[8:] == [0, 1]
    assert contents(out) == before
    results = json.loads((out / "results.json").read_text())
    own = [each["figures"]["mean_iou"] for name, each in before.items() if "random-start/frozen-8" in name]
    assert results["arms"]["random start"]["frozen"]["mean_iou"] == pytest.approx(np.mean(own))
    assert "mean of 2 seeds" in (out / "report.html").read_text()


@pytest.mark.current_stack
def test_arms_that_begin_and_learn_alike_share_one_pretraining(run, tmp_path, monkeypatch):
    ran = []
    pretrain = pretraining.fit_watched
    monkeypatch.setattr(
        pretraining,
        "fit_watched",
        lambda model, *rest: ran.append(model.objective.temperature) or pretrain(model, *rest),
    )
    text = GRID + (
        "arms:\n  plain: self-supervised\n  again: {pretrain: {temperature: 0.1}}\n"
        "  sharp: {pretrain: {temperature: 0.05}}\n  sharper: {pretrain: {temperature: 0.05}}\n"
    )
    text = text.replace("labels: [4, 8], seeds: 2", "labels: [4], seeds: 1")
    assert run("out", text) == 0
    assert ran == [0.1, 0.05]
    out = tmp_path / "out"
    assert sorted(str(path.relative_to(out)) for path in out.rglob("pretrain.json")) == [
        "arms/sharp/pretrain.json",
        "pretrain.json",
    ]
    found = contents(out)
    per_arm = {cell["arm"]: cell["figures"] for cell in found.values()}
    assert per_arm["plain"] == per_arm["again"]
    assert per_arm["sharp"] == per_arm["sharper"]
    seen = json.loads((out / "results.json").read_text())["arms"]["sharp"]["seen"]
    assert "without labels" in seen


@pytest.mark.current_stack
def test_warm_start_begins_from_the_weights_that_are_given(tiny, tiny_backbone, tmp_path):
    given = tiny_backbone()
    backbones.save(given, tmp_path / "given.keras")
    text = GRID.replace("optimizer: adamw", "optimizer: adamw, learning_rate: 1.0e-12, weight_decay: 0") + (
        f"arms: {{warm: {{start: {tmp_path / 'given.keras'}, pretrain: {{}}}}, random: random}}\n"
    )
    config = config_of(tmp_path, text)
    data = sources(config, tmp_path)
    figures = arms.pretrain_arms(config, data.images, tmp_path, TimeLimit())
    assert figures["random"] is None
    assert figures["warm"]["steps"] == 2 * (28 // 8)
    trained = backbones.load(arms.weights(config, "warm", tmp_path))
    for variable, value in zip(trained.trainable_variables, given.trainable_variables):
        np.testing.assert_allclose(np.array(variable), np.array(value), atol=1e-6)
    assert "before that whatever" in arms.seen_by(config, "warm", figures["warm"], True)


def test_comparison_with_a_time_limit_goes_on_to_the_same_figures(run, tmp_path, monkeypatch, capsys):
    text = GRID.replace("labels: [4, 8], seeds: 2", "labels: [4], seeds: 1") + (
        "localizer: {image_size: 64, batch_size: 4, epochs: 2, labels: [8]}\n"
    )
    assert run("whole", text) == 0
    asked = []

    def over(self):  # every fifth time that somebody asks
        asked.append(0)
        return len(asked) % 5 == 0

    monkeypatch.setattr(TimeLimit, "over", over)
    assert run("pieces", text, "--minutes", "60") == 3
    pieces = 1
    assert "--resume" in capsys.readouterr().out.splitlines()[-1]
    while run("pieces", text, "--minutes", "60", "--resume") == 3:
        pieces += 1
        assert pieces < 30
    assert pieces > 3
    assert contents(tmp_path / "pieces") == contents(tmp_path / "whole")
    sums = [json.loads((tmp_path / each / "pretrain.json").read_text())["checksum"] for each in ("whole", "pieces")]
    assert sums[0] == sums[1]
    leavings = {path.name for path in (tmp_path / "pieces" / "cells").rglob("*") if path.is_dir()}
    assert leavings == {"self-supervised", "random-start"}


@pytest.mark.current_stack
def test_killed_fine_tuning_in_a_grid_repeats_nothing(run, tmp_path, monkeypatch):
    text = SCENES + "arms: {random: random}\nlocalizer: {image_size: 64, batch_size: 4, epochs: 1}\n"
    text += "compare: {labels: [4], seeds: 3}\n"
    assert run("whole", text) == 0
    begun = []
    train = finetuning._tuned

    def killed(config, *rest):
        begun.append(config.seed)
        if begun == [0, 1]:
            raise KeyboardInterrupt
        return train(config, *rest)

    monkeypatch.setattr(finetuning, "_tuned", killed)
    assert run("killed", text) == 130
    assert run("killed", text, "--resume") == 0
    assert begun == [0, 1, 1, 2]
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert [path.name for path in (tmp_path / "killed" / "arms" / "random").glob("*.keras")] == ["localizer.keras"]
    assert not list((tmp_path / "killed" / "cells").rglob("*.keras"))


def test_images_that_settings_are_chosen_on_are_left_out_of_what_is_reported(tmp_path):
    text = SCENES + FROZEN + "arms: {random: random}\ncompare: {chosen: 2}\n"
    ids = {}
    for part in ("report", "choose"):
        config = config_of(tmp_path, text.replace("chosen: 2", f"chosen: 2, part: {part}"))
        data, told = compare._split(config, tmp_path)
        ids[part] = {record.image_id for record in data.test}
        assert "2 that settings are chosen on" in told
    assert (len(ids["report"]), len(ids["choose"])) == (4, 2)
    assert not ids["report"] & ids["choose"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("compare: {labels: [4, 400]}", "count is 400, but 12 images are there"),
        ("compare: {chosen: 6}", "leaves no image to report on"),
        ("compare: {probe: {train: /nowhere}}", "/nowhere"),
        ("arms: {mine: /nowhere/weights.npz}", "arms.mine.start is /nowhere/weights.npz"),
        ("arms: {named: {supervised: true}}", "two classes and more, but 0 was found"),
    ],
)
def test_what_is_not_there_is_told_in_one_line_before_anything_is_trained(run, tmp_path, capsys, text, told):
    lines = [line for line in GRID.splitlines() if not line.startswith(text.split(":")[0])]
    assert run("out", "\n".join([*lines, text])) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert told in error[-1]
    assert not any("Traceback" in line for line in error)
    assert not (tmp_path / "out" / "cells").exists()
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_limit_is_refused_when_it_is_none(run, capsys):
    assert run("out", GRID, "--minutes", "0") == 2
    assert "--minutes is 0" in capsys.readouterr().err
