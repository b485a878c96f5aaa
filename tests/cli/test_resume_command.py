"""Runs that are resumed by their folder alone: what is repeated, what may change, and what is refused."""

import json

import pytest

from kerassl import backbones
from kerassl.cli.main import main
from kerassl.comparison import execute as compare

pytestmark = pytest.mark.current_stack

CONFIG = """
backbone: MobileNet
data: {scenes: {train: 8, val: 4, unlabeled: 8, single_object: true}}
pretrain: {image_size: 32, batch_size: 8, epochs: 1, optimizer: adamw, hidden_dim: 8, projection_dim: 8}
localizer: {image_size: 64, batch_size: 8, epochs: 1, freeze: true}
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, tiny_backbone, eagerly):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backbones, "build", lambda name, **_: tiny_backbone())
    monkeypatch.setattr(compare, "variant_images", lambda *_: [])
    monkeypatch.setattr(compare, "_servable", lambda plan: plan.folder / "servables")
    (tmp_path / "run.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def refused(capsys):
    def refused(*arguments):
        capsys.readouterr()
        assert main(list(arguments)) == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    return refused


def epochs(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [line["epoch"] for line in map(json.loads, lines) if "images_per_second" in line or "loss" in line]


def test_pretraining_is_resumed_by_its_folder_alone_and_may_grow(place, refused):
    assert main(["pretrain", "--config", "run.yaml", "--out", "out"]) == 0
    before = (place / "out" / "backbone.keras").stat().st_mtime_ns
    assert main(["pretrain", "--out", "out", "--resume"]) == 0
    assert (place / "out" / "backbone.keras").stat().st_mtime_ns == before
    assert "'pretrain.batch_size' (8, now 4)" in refused("pretrain", "--out", "out", "--resume", "--batch-size", "4")
    assert main(["pretrain", "--out", "out", "--resume", "--epochs", "2"]) == 0
    figures = json.loads((place / "out" / "pretrain.json").read_text())
    assert (figures["epochs"], figures["steps"]) == (2, 4)
    assert "'pretrain.epochs' (2, now 1)" in refused("pretrain", "--out", "out", "--resume", "--epochs", "1")
    found = epochs(place / "out")
    assert max(found) - min(found) == 1
    assert "new holds no run to resume; leave --resume out" in refused("pretrain", "--out", "new", "--resume")


def test_finetuning_has_its_task_and_start_when_its_folder_is_resumed(place, refused, tiny_backbone):
    backbones.save(tiny_backbone(), "start.keras")
    assert (
        main(["finetune", "--config", "run.yaml", "--task", "localizer", "--backbone", "start.keras", "--out", "out"])
        == 0
    )
    before = (place / "out" / "localizer.keras").stat().st_mtime_ns
    assert main(["finetune", "--out", "out", "--resume"]) == 0
    assert (place / "out" / "localizer.keras").stat().st_mtime_ns == before
    again = ["finetune", "--out", "out", "--resume"]
    assert "is finished after 1 epochs" in refused(*again, "--epochs", "3")
    assert "'weights' (start.keras, now random)" in refused(*again, "--weights", "random")
    assert "--task is detector, but out trains a localizer; leave --task out" in refused(*again, "--task", "detector")


def test_comparison_continues_without_a_variant_when_it_is_skipped(place, refused):
    (place / "bad.keras").write_text("no network")
    frozen = "frozen: {image_size: 64, batch_size: 4, epochs: 1, num_filters: 8}\n"
    variants = "variants: {bad one: bad.keras, first: random}\n"
    (place / "run.yaml").write_text(CONFIG[: CONFIG.index("localizer")] + frozen + variants)
    expected = refused("compare", "--config", "run.yaml", "--out", "out")
    assert "variant 'bad one': bad.keras" in expected
    assert expected.endswith("--resume --skip 'bad one'")
    again = ["compare", "--out", "out", "--resume", "--skip"]
    assert "compare.skip (--skip) is 'nope'; the variants are bad one, first" in refused(*again, "nope")
    assert "names all variants" in refused(*again, "bad one", "first")
    assert main([*again, "bad one"]) == 0
    assert list(json.loads((place / "out" / "results.json").read_text())["variants"]) == ["first"]
    assert "skip:\n  - bad one\n" in (place / "out" / "config.yaml").read_text()  # it stays left out
    assert "variant 'bad one'" in refused(*again)
