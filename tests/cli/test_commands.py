"""The commands, one after the other, on a few scenes with the smallest network."""

import json
import re

import numpy as np
import pytest
from said import quiet

from kerassl import _compat, backbones
from kerassl.cli.main import main
from kerassl.comparison import execute
from kerassl.datasets import SCENE_CLASSES

# Where there is tensorflow-addons, its optimizers are used.
PRETRAINING, LOCALIZER = ("lars", "adamw") if _compat.KERAS_3 else ("tfa/LAMB", "tfa/LazyAdam")

CONFIG = f"""
backbone: MobileNet
data:
  scenes: {{train: 24, val: 10, unlabeled: 16, single_object: true}}
pretrain: {{image_size: 32, batch_size: 16, epochs: 2, optimizer: {PRETRAINING}}}
localizer: {{image_size: 64, batch_size: 8, epochs: 1, optimizer: {LOCALIZER}}}
explain: {{images: 2, level: P4}}
"""
ALONE = "variants: {self-supervised: {pretrain: {}}}\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_backbone):
    """The folder of a finished comparison of one variant, whose MobileNet is the smallest network.

    Neither images nor a servable are made of it: they have tests of their own, and take as long as the training.
    """
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.yaml").write_text(CONFIG + ALONE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbones, "build", lambda name, **_: tiny_backbone())
        patch.setattr(execute, "variant_images", lambda *_: [])
        patch.setattr(execute, "_servable", lambda plan: plan.folder / "servables")
        assert quiet(["compare", "--config", str(folder / "tiny.yaml"), "--out", str(folder / "out")]) == 0
        yield folder


def refused(capsys, *arguments):
    """The one line that a mistake gets."""
    assert main([str(argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("kerassl: ")
    assert not any("Traceback" in line for line in lines)
    return lines[-1]


def test_comparison_has_figures_of_its_variant(run):
    out = run / "out"
    results = json.loads((out / "results.json").read_text())
    assert list(results["variants"]) == ["self-supervised"]
    figures = results["variants"]["self-supervised"]["localizer"]
    assert all(0 <= figures[key] <= 1 for key in ("mean_iou", "top3"))
    assert figures["minutes"] > 0
    assert results["generated"]
    stages = {json.loads(line)["stage"] for line in (out / "metrics.jsonl").read_text().splitlines()}
    assert stages == {"pretrain", *(f"localizer:{variant}" for variant in results["variants"])}
    assert "chance" in (out / "log.txt").read_text()


def test_report_refers_to_no_other_file(run):
    page = (run / "out" / "report.html").read_text()
    assert page.count('src="data:image/png;base64,') == 2  # curves and monitors
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "generated scenes" in page


def test_comparison_repeats_nothing_when_it_is_resumed(run, capsys):
    out = run / "out"
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.keras")}
    assert refused(capsys, "compare", "--config", run / "tiny.yaml", "--out", out).count("--resume")
    assert quiet(["compare", "--config", str(run / "tiny.yaml"), "--out", str(out), "--resume"]) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.keras")} == before
    assert len(before) == 2


def test_comparison_is_resumed_when_its_state_files_are_damaged(run, caplog):
    out = run / "out"
    before = (out / "metrics.jsonl").read_text()
    trial = out / "trials" / "self-supervised" / "localizer-all-0.json"
    figures = json.loads(trial.read_text())["figures"]
    for name, content in {
        "metrics.jsonl": (before + '{"kind": "ep').encode(),
        "checkpoints/minutes.json": b'{"minu',
        "trials/self-supervised/localizer-all-0.json": trial.read_bytes()[:200],
    }.items():
        (out / name).write_bytes(content)
    assert main(["compare", "--config", str(run / "tiny.yaml"), "--out", str(out), "--resume"]) == 0
    assert json.loads(trial.read_text())["figures"] == figures
    assert any("localizer-all-0.json is damaged" in record.message for record in caplog.records)
    assert any("1 of 4 lines" in record.message for record in caplog.records)


@pytest.mark.slow
@pytest.mark.current_stack  # beside Keras 2.15 a detector's graphs take minutes to build
def test_comparison_trains_both_tasks(tmp_path):
    both, folder = tmp_path / "both.yaml", tmp_path / "out"
    both.write_text(CONFIG + "detector: {image_size: 64, batch_size: 8, epochs: 1}\n")
    assert quiet(["compare", "--config", str(both), "--out", str(folder)]) == 0
    for variant in json.loads((folder / "results.json").read_text())["variants"].values():
        assert set(variant) >= {"localizer", "detector"}
        assert all(0 <= variant["detector"][key] <= 1 for key in ("voc07_ap50", "coco_ap75"))
    page = (folder / "report.html").read_text()
    assert page.count('src="data:image/png;base64,') == 6


def test_predictions_are_written_drawn_and_scored_as_the_model_is(run, tmp_path, capsys):
    out = run / "out"
    model, voc = out / "variants" / "self-supervised" / "localizer.keras", out / "scenes"
    images = sorted((voc / "VOC2007" / "JPEGImages").glob("*.jpg"))[:3]
    given = ["--model", str(model), "--images", *map(str, images)]
    assert quiet(["predict", *given, "--draw", "--out", str(tmp_path / "p")]) == 0
    assert {path.name for path in (tmp_path / "p" / "drawings").iterdir()} == {path.name for path in images}
    capsys.readouterr()
    by_model = [
        "evaluate",
        "--model",
        str(model),
        "--data",
        str(voc),
        "--split",
        "val",
        "--out",
        str(tmp_path / "m.json"),
    ]
    assert quiet(by_model) == 0
    predictions = model.with_name("localizer_predictions.json")
    by_file = ["evaluate", "--predictions", str(predictions), "--data", str(voc), "--split", "val"]
    assert quiet([*by_file, "--out", str(tmp_path / "f.json")]) == 0
    figures = [json.loads((tmp_path / name).read_text()) for name in ("m.json", "f.json")]
    assert figures[0]["mean_iou"] == pytest.approx(figures[1]["mean_iou"], abs=1e-6)
    recorded = json.loads(model.with_suffix(".json").read_text())
    assert figures[0]["mean_iou"] == pytest.approx(recorded["mean_iou"], abs=1e-5)


def test_embeddings_are_named_and_follow_the_backbone(run, tmp_path):
    out = run / "out"
    images = sorted((out / "scenes" / "unlabeled").glob("*.jpg"))[:4]
    arguments = ["--backbone", str(out / "backbone.keras"), "--image-size", "64", "--out", str(tmp_path / "e.npz")]
    assert quiet(["embed", "--images", *map(str, images), *arguments]) == 0
    with np.load(tmp_path / "e.npz") as file:
        assert list(file["names"]) == [str(image) for image in images]
        assert file["features"].shape == (4, 16)
        assert np.ptp(file["features"], axis=0).max() > 0


@pytest.mark.current_stack
def test_heatmaps_of_variants_are_drawn_and_servable_is_exported(run, tmp_path, capsys):
    out = run / "out"
    model = out / "variants" / "self-supervised" / "localizer.keras"
    images = str(out / "scenes" / "unlabeled")
    drawn = tmp_path / "heatmaps.png"
    arguments = ["--models", f"one={model}", f"same={model}", "--images", images, "--count", "2", "--out", str(drawn)]
    assert quiet(["explain", *arguments, "--class", "car"]) == 0
    assert drawn.read_bytes().startswith(b"\x89PNG")
    arguments[-1] = str(tmp_path / "other.png")
    assert "'unicorn'" in refused(capsys, "explain", *arguments, "--class", "unicorn")
    assert quiet(["export", "--model", str(model), "--out", str(tmp_path / "servable" / "1")]) == 0
    assert (tmp_path / "servable" / "1" / "saved_model.pb").exists()
    card = json.loads((tmp_path / "servable" / "1" / "assets.extra" / "model_card.json").read_text())
    assert card["metrics"] == json.loads(model.with_suffix(".json").read_text())
    assert card["data"]["scenes"]["train"] == 24
    assert "exists" in refused(capsys, "export", "--model", model, "--out", tmp_path / "servable" / "1")


@pytest.mark.current_stack
def test_pretrain_on_shards_scores_its_features_on_labeled_images(run, eagerly, tmp_path, monkeypatch, tiny_backbone):
    monkeypatch.setattr(backbones, "build", lambda name, **_: tiny_backbone())
    photos, shards = run / "out" / "scenes" / "unlabeled", tmp_path / "shards"
    assert quiet(["shards", "--images", str(photos), "--out", str(shards), "--image-size", "64"]) == 0
    for number, photo in enumerate(sorted(photos.glob("*.jpg"))[:8]):
        (tmp_path / "labeled" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "labeled" / "ab"[number % 2] / photo.name).symlink_to(photo)
    (tmp_path / "probe.yaml").write_text(f"pretrain: {{probe: {{train: {tmp_path / 'labeled'}}}}}")
    sizes = ["--image-size", "32", "--batch-size", "8", "--epochs", "2", "--config", str(tmp_path / "probe.yaml")]
    arguments = ["pretrain", "--images", str(shards), "--backbone", "MobileNet", *sizes, "--out", str(tmp_path / "a")]
    assert quiet(arguments) == 0
    assert (tmp_path / "a" / "backbone.keras").exists()
    last = json.loads((tmp_path / "a" / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0 <= last["knn_top1"] <= 1
    assert 0 <= last["linear_top1"] <= 1
    assert (tmp_path / "a" / "report.html").read_text().count('src="data:image/png;base64,') == 2


@pytest.mark.current_stack
def test_finetune_by_flags_keeps_the_best_epoch(run, eagerly, tmp_path):
    labels = ["--data", str(run / "out" / "scenes"), "--classes", *SCENE_CLASSES, "--count", "8"]
    sizes = ["--image-size", "64", "--batch-size", "8", "--epochs", "2"]
    backbone = ["--backbone", str(run / "out" / "backbone.keras")]
    arguments = ["finetune", "--task", "localizer", *labels, *sizes, *backbone, "--out", str(tmp_path / "b")]
    assert quiet(arguments) == 0
    assert (tmp_path / "b" / "localizer.keras").exists()
    figures = json.loads((tmp_path / "b" / "localizer.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "b" / "metrics.jsonl").read_text().splitlines()]
    # The val images of the scenes, which have no others: the best epoch is chosen on them, and they are scored.
    assert (figures["best"]["epochs"], figures["best"]["chosen_by"]) == (2, "mean_iou")
    for key in ("mean_iou", "loc_acc_50", "top1", "top3"):
        assert figures[key] == pytest.approx(figures["best"][key], abs=1e-6)
        assert figures["best"][key] == lines[figures["best"]["epoch"] - 1][f"val_{key}"]
    assert figures["mean_iou"] == max(line["val_mean_iou"] for line in lines) > 0
    assert 'alt="Detections: localizer"' in (tmp_path / "b" / "report.html").read_text()
