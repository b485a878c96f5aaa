"""A YOLOV8 by the commands, over the smallest backbone."""

import json
import pathlib

import pytest

import kerassl
from kerassl import backbones
from kerassl.cli.main import main
from kerassl.datasets import SCENE_CLASSES, write_scenes


@pytest.mark.slow
@pytest.mark.current_stack
def test_yolov8_is_trained_scored_explained_and_exported(tiny_backbone, tmp_path, capsys):
    devkit = write_scenes(tmp_path / "scenes", train=8, val=4, single_object=True)
    backbones.save(tiny_backbone(), tmp_path / "backbone.keras")
    sizes = ["--image-size", "64", "--batch-size", "4", "--epochs", "1", "--backbone", str(tmp_path / "backbone.keras")]
    arguments = ["finetune", "--data", str(devkit), "--classes", *SCENE_CLASSES, *sizes, "--detector", "yolov8"]
    assert main([*arguments, "--task", "localizer", "--out", str(tmp_path / "no")]) == 2
    assert "--detector is yolov8, but --task is localizer" in capsys.readouterr().err
    assert main([*arguments, "--out", str(tmp_path / "run")]) == 0
    figures = json.loads((tmp_path / "run" / "detector.json").read_text())
    assert figures["kind"] == "yolov8"
    assert "Detector (YOLOV8)" in (tmp_path / "run" / "report.html").read_text()

    model = str(tmp_path / "run" / "detector.keras")
    images = [str(path) for path in sorted((devkit / "VOC2007" / "JPEGImages").glob("*.jpg"))[:2]]
    assert (
        main(["evaluate", "--model", model, "--data", str(devkit), "--split", "val", "--out", str(tmp_path / "m.json")])
        == 0
    )
    scored = json.loads((tmp_path / "m.json").read_text())
    assert scored["voc10_ap50"] == pytest.approx(figures["voc10_ap50"], abs=1e-5)
    assert main(["predict", "--model", model, "--images", *images, "--out", str(tmp_path / "p")]) == 0
    assert set(kerassl.load(tmp_path / "p" / "predictions.json")) == {pathlib.Path(image).name for image in images}
    assert (
        main(["explain", "--models", f"a={model}", "--images", *images, "--out", str(tmp_path / "heatmaps.png")]) == 0
    )
    assert (tmp_path / "heatmaps.png").read_bytes().startswith(b"\x89PNG")
    assert main(["export", "--model", model, "--out", str(tmp_path / "servable" / "1")]) == 0
    card = json.loads((tmp_path / "servable" / "1" / "assets.extra" / "model_card.json").read_text())
    assert (card["kind"], card["classes"]) == ("detector", list(SCENE_CLASSES))
