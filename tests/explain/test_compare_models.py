"""Models side by side, from labeled images to table, images and page."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from kerassl import UserError, backbones, datasets, explain
from kerassl.cli.main import main
from kerassl.detectors import Localizer

pytestmark = pytest.mark.current_stack
CLASSES = datasets.SCENE_CLASSES


@pytest.fixture(scope="module")
def devkit(tmp_path_factory):
    return datasets.write_scenes(tmp_path_factory.mktemp("models") / "scenes", train=1, val=10, image_size=(80, 100))


@pytest.fixture(scope="module")
def records(devkit):
    return datasets.DetectionDataset.from_voc(devkit, 2007, "val", class_names=CLASSES)


def localizer(tiny_backbone, seed, classes=CLASSES):
    keras.utils.set_random_seed(seed)
    return Localizer(tiny_backbone(), classes, 64, num_filters=8)


def test_targets_are_all_objects_of_the_class_of_the_largest(records):
    asked = explain.localization_targets(records, 64)
    for row, record in enumerate(asked.records):
        wanted = record.classes[record.largest()]
        assert asked.class_ids[row] == wanted
        scale = 64 / max(record.height, record.width)
        same = record.classes == wanted
        np.testing.assert_allclose(asked.boxes[row], record.boxes[same & ~record.difficult] * scale, rtol=1e-5)
        np.testing.assert_allclose(asked.ignored[row], record.boxes[same & record.difficult] * scale, rtol=1e-5)
        assert asked.others[row] == (len(set(record.classes)) > 1)
        assert asked.tolerances[row] == pytest.approx(15 * scale)
        assert list(asked.sizes[row]) == [51, 64]
        rows, columns = np.nonzero(asked.masks[row])
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        around = [*asked.boxes[row][:, :2].min(0), *asked.boxes[row][:, 2:].max(0)]
        np.testing.assert_allclose(box, around, atol=1)
    assert asked.score(np.stack(asked.masks)).figures()["pxap"] == 1


def test_targets_are_left_out_when_there_is_no_object_and_lack_masks_when_there_is_none(records):
    bare = [dataclasses.replace(record, mask_path=None) for record in records[:2]]
    asked = explain.localization_targets(bare, 64)
    assert asked.masks == [None, None]
    assert "pxap" not in asked.score(np.ones([2, 64, 64])).figures()
    empty = dataclasses.replace(records[0], difficult=np.ones(len(records[0].boxes), bool))
    with pytest.raises(UserError, match="no image has an object"):
        explain.localization_targets([empty], 64)


def test_models_and_baselines_are_scored_on_images_outside_the_tuning_split(tiny_backbone, records):
    asked = explain.localization_targets(records, 64)
    twin = localizer(tiny_backbone, 0, CLASSES[::-1])  # the same network with the classes in another order
    layer = next(layer for layer in twin.layers if getattr(layer, "units", None) == len(CLASSES))
    layer.set_weights([each[..., ::-1] for each in layer.get_weights()])
    models = {"a": localizer(tiny_backbone, 0), "twin": twin, "bare": tiny_backbone()}
    found = explain.compare_models(models, asked, choose=4, steps=2, resamples=20)
    assert found.level in ("P3", "P4", "P5")
    assert len(found.scored) == len(asked) - 4
    table = found.table["models"]
    assert list(table) == ["a", "twin", "bare", "centered Gaussian", "whole image"]
    for values in (table["a"], found.table["differences"]["twin"]):
        assert all(low <= value <= high or np.isnan(value) for value, low, high in values.values())
    assert all(value == pytest.approx(0, abs=1e-6) for value, *_ in found.table["differences"]["twin"].values())
    heatmaps = explain.GradCAM(models["a"], layer=found.level)(found.scored.images, found.scored.class_ids)
    figures = found.scored.score(heatmaps, found.thresholds["a"]).figures()
    for name, value in figures.items():
        np.testing.assert_allclose(table["a"][name][0], value, atol=1e-5)
    perturbed = explain.insertion_deletion(models["a"], found.scored.images, heatmaps, found.scored.class_ids, steps=2)
    assert table["a"]["insertion"][0] == pytest.approx(perturbed["insertion"].mean(), abs=1e-5)
    assert "insertion" not in table["bare"]
    # The whole image, not the letterbox's black: its energy is the share of the image that objects take.
    share = [mask.sum() / (h * w) for mask, (h, w) in zip(found.scored.masks, found.scored.sizes)]
    assert table["whole image"]["energy"][0] == pytest.approx(np.mean(share), abs=1e-4)
    assert [len(found.randomized[name]) for name in models] == [4, 4, 4]
    with pytest.raises(UserError, match="0 models and"):
        explain.compare_models({}, asked)
    with pytest.raises(UserError, match="called 'whole image'"):
        explain.compare_models({"whole image": models["a"]}, asked, choose=2, level="P5")


def test_level_is_chosen_among_those_that_all_models_use(tiny_backbone, records):
    models = {
        "whole": localizer(tiny_backbone, 0),
        "fine": Localizer(tiny_backbone(), CLASSES, 64, num_filters=8, levels=["P3"]),
    }
    found = explain.compare_models(models, explain.localization_targets(records[:4], 64), resamples=10)
    assert found.level == "P3"


def test_command_writes_table_grid_and_page(tiny_backbone, devkit, tmp_path, capsys):
    localizer(tiny_backbone, 0).save(tmp_path / "a.keras")
    backbones.save(tiny_backbone(), tmp_path / "b.keras")
    models = ["--models", f"ours={tmp_path / 'a.keras'}", f"<bare>={tmp_path / 'b.keras'}"]
    data = ["--data", str(devkit), "--split", "val", "--count", "8"]
    assert main(["explain", *models, *data, "--insertion", "2", "--level", "P4", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "centered Gaussian" in printed
    figures = json.loads((tmp_path / "out" / "table.json").read_text())
    assert (figures["images"], figures["chosen_on"], figures["level"]) == (6, 2, "P4")
    assert set(figures["models"]) == {"ours", "<bare>", "centered Gaussian", "whole image"}
    assert f"{100 * figures['models']['ours']['energy'][0]:.1f} (" in printed
    assert (tmp_path / "out" / "report.html").read_text().count("data:image/png;base64,") == 1
    assert (tmp_path / "out" / "heatmaps.png").read_bytes().startswith(b"\x89PNG")

    bare = ["--models", str(tmp_path / "b.keras")]
    for arguments, message in (
        ([*models, *data, "--out", str(tmp_path / "out")], "already exists"),
        ([*models, "--out", str(tmp_path / "no")], "give either --images to draw, or --data"),
        ([*models, *data, "--class", "car", "--out", str(tmp_path / "no")], "--class is for --images"),
        ([*bare, *data, "--classes", *CLASSES, "--out", str(tmp_path / "no")], "give --image-size"),
        ([*bare, *bare[1:], *data, "--out", str(tmp_path / "no")], "two models are called 'b'"),
        ([*models, *data, "--image-size", "96", "--out", str(tmp_path / "no")], "the models take 64"),
        (["--models", str(tmp_path / "table.json"), *data, "--out", str(tmp_path / "no")], "there is no model"),
    ):
        assert main(["explain", *arguments]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "no").exists()
