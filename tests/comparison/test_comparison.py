"""Comparisons on a few scenes with the smallest network: what is done, shared, repeated and refused."""

import itertools
import json

import keras
import numpy as np
import pytest
from PIL import Image
from training_fixtures import eager_steps

from kerassl import backbones, datasets, detectors, models
from kerassl._io.manifest import Manifest
from kerassl._io.state import write_json
from kerassl.backbones.batch_norm import batch_norms
from kerassl.cli.main import main
from kerassl.comparison import execute as compare
from kerassl.comparison.frozen import reestimate
from kerassl.comparison.variant_images import variant_images
from kerassl.comparison.variants import seen_by
from kerassl.config import read_config
from kerassl.config.sources import some_labels, sources
from kerassl.detectors.localizer import frozen_features
from kerassl.resizing import letterbox
from kerassl.runs import distill as distillation
from kerassl.runs import finetune as finetuning
from kerassl.runs import pretrain as pretraining
from kerassl.runs import supervised
from kerassl.runs.folder import run_folder
from kerassl.runs.plan.comparison import plan_comparison
from kerassl.runs.plan.stages import Pretraining, Reestimation, Training
from kerassl.runs.running import TimeLimit

pytestmark = pytest.mark.current_stack

SCENES = "data: {scenes: {train: 12, val: 6, unlabeled: 16, single_object: true}}\n"
PRETRAIN = "pretrain: {image_size: 32, batch_size: 8, epochs: 2, optimizer: adamw, hidden_dim: 8, projection_dim: 8}\n"
FROZEN = "frozen: {image_size: 64, batch_size: 4, epochs: 1, num_filters: 8}\n"
GRID = SCENES + PRETRAIN + FROZEN + "compare: {labels: [4, 8], seeds: 2}\n"


@pytest.fixture(scope="module")
def patched(tiny_backbone):
    """The smallest network under every name, and neither images nor a servable of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbones, "build", lambda name, **_: tiny_backbone())
        patch.setattr(compare, "variant_images", lambda *_: [])
        patch.setattr(compare, "_servable", lambda plan: plan.folder / "servables")
        yield patch


def commands(folder):
    """`run(out, text, *flags)`: the command's exit status."""

    def run(out, text, *flags):
        (folder / "run.yaml").write_text(text)
        return main(["compare", "--config", str(folder / "run.yaml"), "--out", str(folder / out), *flags])

    return run


@pytest.fixture
def run(patched, tmp_path):
    return commands(tmp_path)


def contents(folder):
    """The records of a run, without the minutes."""
    found = {}
    for path in sorted((folder / "trials").rglob("*.json")):
        trial = json.loads(path.read_text())
        assert trial.pop("minutes") > 0
        found[str(path.relative_to(folder / "trials"))] = trial
    return found


def planned(tmp_path, text):
    (tmp_path / "run.yaml").write_text(text)
    return plan_comparison(read_config(tmp_path / "run.yaml"), tmp_path)


def pretrained(plan):
    """Executes the pre-trainings of a plan; the figures by variant."""
    images = sources(plan.config, plan.folder).images
    found = {}
    for stage in plan.of(Pretraining):
        found[stage.name] = (supervised.run if stage.supervised else pretraining.run)(stage, images, TimeLimit())
    return {name: variant.pretraining and found[variant.pretraining.name] for name, variant in plan.variants.items()}


def test_labels_of_a_seed_are_nested_and_the_same_for_all_variants(tmp_path):
    plan = planned(tmp_path, GRID)
    data = sources(plan.config, tmp_path)
    ids = {}
    for stage in plan.of(Training):
        key = (stage.labels, stage.seed)
        own = {record.image_id for record in some_labels(data, *key)}
        assert len(own) == stage.labels
        assert ids.setdefault(key, own) == own
    assert ids[4, 0] <= ids[8, 0]
    assert ids[4, 0] != ids[4, 1]


@pytest.fixture
def trained(patched, monkeypatch):
    """The models that pre-trainings would train, which they do not: a weight is raised by 1."""
    found = []

    def fit(model, *rest):
        weight = model.backbone.trainable_weights[0]
        found.append((model, np.array(weight)))
        weight.assign(weight + 1.0)
        return {"loss": [1.0]}, 0.5

    for module in (pretraining, supervised, distillation):
        monkeypatch.setattr(module, "fit_watched", fit)
    return found


def test_pretraining_continues_from_that_of_another_variant(trained, tiny_backbone, tmp_path):
    keras.utils.set_random_seed(1)
    given, file = tiny_backbone(), tmp_path / "given.keras"
    backbones.save(given, file)
    variants = (
        f"variants:\n  warm: {{start: {file}, pretrain: {{}}}}\n"
        "  larger: {start: warm, pretrain: {image_size: 64}}\n  same: warm\n"
        "  largest: {start: larger, pretrain: {}}\n  cold: self-supervised\n"
    )
    plan = planned(tmp_path, SCENES + PRETRAIN + FROZEN + variants)
    figures = pretrained(plan)
    assert [model.image_size for model, _ in trained] == [32, 64, 32, 32]
    begun = [weight for _, weight in trained]
    np.testing.assert_array_equal(begun[0], given.get_weights()[0])
    for before, after in itertools.pairwise(begun[:3]):
        np.testing.assert_allclose(after, before + 1.0, rtol=1e-6)
    assert np.any(begun[3] != begun[0])
    kept = backbones.load(plan.variants["same"].weights)
    np.testing.assert_allclose(kept.get_weights()[0], given.get_weights()[0] + 1.0, rtol=1e-6)
    seen = {name: seen_by(variant, figures[name], True) for name, variant in plan.variants.items()}
    assert "2 epochs of 24 generated images without labels; before that whatever" in seen["warm"]
    assert "before that what larger saw" in seen["largest"]
    assert seen["same"].startswith("what warm saw")
    assert "weights random before that" in seen["cold"]
    pretrained(plan)
    assert len(trained) == 4  # what is there is not done again


def test_class_labels_are_read_by_the_supervised_variant_alone(trained, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    for number in range(20):
        name = f"{('cat', 'dog', 'ILSVRC')[number % 3]}_{number}.png"
        Image.fromarray(np.full((40, 40, 3), number, np.uint8)).save(tmp_path / "photos" / name)
    asked, names = [], datasets.named_classes
    monkeypatch.setattr(datasets, "named_classes", lambda paths: asked.append(paths) or names(paths))
    text = GRID.replace(SCENES, f"data: {{unlabeled: [{tmp_path / 'photos'}]}}\n") + (
        "variants:\n  plain: self-supervised\n  named: {supervised: [cat, dog], pretrain: {batch_size: 4}}\n"
    )
    plan, images = planned(tmp_path, text), [str(tmp_path / "photos")]
    plain, named = plan.of(Pretraining)
    pretraining.run(plain, images)
    figures = supervised.run(named, images)
    assert asked == [images]
    assert [type(model) for model, _ in trained] == [models.SimCLR, models.ViewClassifier]
    assert (figures["classes"], figures["without_label"]) == (["cat", "dog"], 6)
    # 20 images twice are 10 steps of 4 images; of the 14 with a label an epoch has 3.
    assert (figures["epochs"], figures["steps"]) == (3, 9)
    assert "with the labels of 2 classes" in seen_by(plan.variants["named"], figures, False)


def test_tuning_images_are_left_out_of_what_is_reported(tmp_path):
    text = SCENES + FROZEN + "variants: {random: random}\ncompare: {tuning_images: 2}\n"
    ids = {}
    for split in ("report", "tuning"):
        plan = planned(tmp_path, text.replace("images: 2}", f"images: 2, split: {split}}}"))
        data, _ = compare._split(plan.config, sources(plan.config, tmp_path))
        ids[split] = {record.image_id for record in data.test}
    assert (len(ids["report"]), len(ids["tuning"])) == (4, 2)
    assert not ids["report"] & ids["tuning"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("compare: {labels: [4, 400]}", "count is 400, but 12 images are there"),
        ("compare: {tuning_images: 6}", "leaves no image to report on"),
        ("compare: {probe: {train: /nowhere}}", "/nowhere"),
        ("variants: {mine: /nowhere/weights.npz}", "there is no such file; give random, imagenet, the name of a"),
        ("variants: {named: {supervised: [cat, dog]}}", "no image is of the class 'cat'"),
    ],
)
def test_what_is_missing_is_refused_in_one_line_before_anything_is_trained(run, tmp_path, capsys, text, message):
    lines = [line for line in GRID.splitlines() if not line.startswith(text.split(":")[0])]
    assert run("out", "\n".join([*lines, text])) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert message in error[-1]
    assert not any("Traceback" in line for line in error)
    assert not (tmp_path / "out" / "trials").exists()
    assert not (tmp_path / "out" / "checkpoints").exists()


def fill(folder, text, level):
    """Write the records of all trials, whose IoU begins at the level of their variant; those above 0.5 are right."""
    (folder / "run.yaml").write_text(text)
    config = read_config(folder / "run.yaml")
    with run_folder(folder / "out", config):
        for stage in plan_comparison(config, folder / "out").of(Training):
            iou = [level[stage.variant] + 0.01 * number for number in range(6)]
            right = int(level[stage.variant] > 0.5)
            figures = {"mean_iou": np.mean(iou), "loc_acc_50": right, "loc_acc_70": right, "top1": right, "top3": 1}
            each = {"ids": [str(number) for number in range(6)], "iou": iou, "top1": [right] * 6, "top3": [1] * 6}
            own = {name: getattr(stage, name) for name in ("variant", "protocol", "labels", "seed")}
            rest = {"images": stage.labels, "figures": figures, "per_image": each, "minutes": 1, "steps": 2}
            write_json(stage.record, {**own, **rest})


def test_results_summarize_the_records_of_all_trials(trained, run, tmp_path, monkeypatch):
    monkeypatch.setattr(detectors, "fit_frozen", None)  # nothing is left to train
    text = GRID.replace("seeds: 2}", "seeds: 2, sanity_check: {good: self-supervised, poor: random start}}")
    fill(tmp_path, text, {"self-supervised": 0.8, "random start": 0.3})
    assert run("out", text, "--resume") == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["significance"]["baseline"] == "random start"
    assert results["significance"]["sanity_check"]["passed"] is True
    own = results["variants"]["self-supervised"]
    assert own["frozen"]["mean_iou"] == pytest.approx(0.825)
    assert (own["frozen"]["labels"], own["frozen"]["seeds"]) == (8, 2)
    assert "without labels" in own["seen"]


def test_variant_is_distilled_once_and_its_teacher_is_reported(trained, run, tmp_path, tiny_backbone, monkeypatch):
    monkeypatch.setattr(models.FeatureDistillation, "adapt", lambda *_: 24)
    backbones.save(tiny_backbone(6, name="large"), tmp_path / "teacher.keras")
    text = SCENES + FROZEN + "compare: {labels: [4]}\ndistill: {image_size: 32, batch_size: 8, epochs: 2}\nvariants:\n"
    text += f"  one: {{distill: {{teacher: {tmp_path}/teacher.keras}}}}\n  same: one\n  random: random\n"
    fill(tmp_path, text, {"one": 0.8, "same": 0.8, "random": 0.3})
    assert run("out", text, "--resume") == 0
    ((model, _),) = trained
    assert model.levels == ("P4", "P5")
    found = json.loads((tmp_path / "out" / "results.json").read_text())["variants"]
    assert found["one"]["distill"]["images"] == 24
    assert found["one"]["seen"].startswith("2 epochs of 24 generated images without labels; weights random")
    assert f"Its teacher, {tmp_path}/teacher.keras, has seen whatever" in found["one"]["seen"]
    assert "distill" not in found["same"]
    np.testing.assert_array_equal(
        backbones.load(tmp_path / "out" / "variants" / "one" / "backbone.keras").get_weights()[0],
        model.backbone.get_weights()[0],
    )
    (tmp_path / "teacher.keras").unlink()  # it is not needed again
    assert run("out", text, "--resume") == 0


@pytest.fixture(scope="module")
def story(patched, tmp_path_factory):
    """A comparison that is stopped, resumed, repaired and extended: what was done at each turn."""
    folder = tmp_path_factory.mktemp("story")
    run, out = commands(folder), folder / "out"
    fitted, read, necks, asked, turns = [], [], [], [], {}
    fit, boxes, batches = detectors.fit_frozen, detectors.pseudo_records, frozen_features.letterboxed_batches
    plain = SCENES + FROZEN.replace("num_filters: 8", "num_filters: 8, levels: [P3, P4]")
    plain += "compare: {labels: [4], seeds: 2, baseline: plain}\nvariants: {plain: random"
    both = plain + ", boxes: {neck: {epochs: 1, images: 6}}}\n"

    def turn(name, text, *flags):
        for each in (fitted, read, necks):
            each.clear()
        status = run("out", text, *flags)
        turns[name] = {"status": status, "fitted": [*fitted], "read": [*read], "necks": [*necks], **contents(out)}

    def learn(model, records, **own):
        necks.append(own)
        weights = model.get_layer("sides").weights[0]
        weights.assign(weights + 0.1)

    with eager_steps(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(detectors, "fit_frozen", lambda *args, **own: fitted.append(own["seed"]) or fit(*args, **own))
        patch.setattr(
            frozen_features,
            "letterboxed_batches",
            lambda paths, *args, **own: read.append(len(paths)) or batches(paths, *args, **own),
        )
        # Of a random network a box may be the whole image.
        patch.setattr(detectors, "pseudo_records", lambda *args, **own: boxes(*args, max_size=1.0, **own))
        patch.setattr(detectors, "pretrain_localizer", learn)
        with pytest.MonkeyPatch.context() as limit:
            limit.setattr(TimeLimit, "over", lambda self: asked.append(0) or len(asked) == 3)
            turn("stopped", plain + "}\n", "--minutes", "60")
        turn("extended", both, "--resume")
        damaged = out / "trials" / "boxes" / "frozen-4-1.json"
        damaged.write_text(damaged.read_text()[:-100])
        turn("repaired", both, "--resume")
    return out, turns


def test_each_trial_is_trained_once_when_a_run_is_stopped_and_resumed(story):
    out, turns = story
    assert (turns["stopped"]["status"], turns["stopped"]["fitted"]) == (3, [0])
    assert turns["stopped"]["read"] == [5, 6]  # the images of both seeds, and those to score on
    # Features are kept over the stop.
    assert (turns["extended"]["status"], turns["extended"]["fitted"]) == (0, [1, 0, 1])
    assert turns["extended"]["read"] == []
    trial = turns["extended"]["plain/frozen-4-1.json"]
    assert (trial["variant"], trial["protocol"], trial["labels"], trial["seed"]) == ("plain", "frozen", 4, 1)
    assert (trial["images"], trial["steps"], len(trial["per_image"]["ids"])) == (4, 1, 6)
    for figure, values in (("mean_iou", "iou"), ("top1", "top1"), ("top3", "top3")):
        assert trial["figures"][figure] == pytest.approx(np.mean(trial["per_image"][values]))
    assert not (out / "features").exists()
    results = json.loads((out / "results.json").read_text())["variants"]["plain"]["frozen"]
    own = [turns["extended"][f"plain/frozen-4-{seed}.json"]["figures"]["mean_iou"] for seed in (0, 1)]
    assert (results["mean_iou"], results["seeds"]) == (pytest.approx(np.mean(own)), 2)


def test_damaged_trial_is_repeated_to_the_same_bits_and_others_are_kept(story):
    out, turns = story
    assert turns["repaired"]["fitted"] == [1]
    assert (out / "log.txt").read_text().count("frozen-4-1.json is damaged") == 1
    for name in ("plain/frozen-4-0.json", "plain/frozen-4-1.json", "boxes/frozen-4-1.json"):
        assert turns["repaired"][name] == turns["extended"][name]


def test_neck_is_pretrained_once_for_all_heads_of_a_variant(story):
    out, turns = story
    assert [(own["batch_size"], own["epochs"]) for own in turns["extended"]["necks"]] == [(4, 1)]
    heads = [turns["extended"][f"{name}.json"]["per_image"]["iou"] for name in ("boxes/frozen-4-0", "boxes/frozen-4-1")]
    assert heads[0] != heads[1]
    assert heads[0] != turns["extended"]["plain/frozen-4-0.json"]["per_image"]["iou"]
    assert turns["repaired"]["necks"] == []
    assert len(list((out / "variants" / "boxes" / "pseudo_boxes").glob("*.png"))) > 1
    seen = json.loads((out / "results.json").read_text())["variants"]["boxes"]["seen"]
    assert "saw up to 6 of the images" in seen


def test_heads_and_images_use_the_levels_that_the_configuration_names(story):
    out, _ = story
    for name in ("plain", "boxes"):
        assert keras.saving.load_model(out / "variants" / name / "frozen.keras").levels == ("P3", "P4")
    plan = plan_comparison(read_config(out / "config.yaml"), out)
    images = variant_images(plan, sources(plan.config, out))
    assert "Grad-CAM at P4" in images[-1]["text"]  # the deepest level of these heads


def test_batch_norm_of_frozen_features_is_reestimated(patched, tiny_backbone, tmp_path):
    Manifest.create(tmp_path, "run")
    given, file = tiny_backbone(), str(tmp_path / "given.keras")
    least = np.array([0.0] * 4 + [1e4] * 4, np.float32)
    batch_norms(given)[0].moving_variance.assign(least)
    backbones.save(given, file)
    plan = planned(tmp_path, f"{SCENES}{FROZEN}variants: {{one: {{start: {file}, batch_norm: re-estimated}}}}\n")
    data = sources(plan.config, tmp_path)
    (stage,) = plan.of(Reestimation)
    reestimate(stage, data)
    after = backbones.load(plan.variants["one"].features)
    changed = {
        weight.name.split("/")[-1].removesuffix(":0")
        for old, layer in zip(given.layers[1:], after.layers[1:])
        for before, weight in zip(old.weights, layer.weights)
        if not np.array_equal(np.array(before), np.array(weight))
    }
    assert changed == {"moving_mean", "moving_variance"}
    first = batch_norms(after)[0]
    images = [letterbox(datasets.read_image(path), 64)[0] for path in datasets.image_files(data.images)]
    assert len(images) == 28  # 16 without labels and the 12 to train on
    seen = keras.Model(after.input, first.input)(np.stack(images))
    np.testing.assert_allclose(first.moving_mean, np.mean(seen, (0, 1, 2)), rtol=1e-3, atol=1e-4)
    # Never below what it began with.
    np.testing.assert_allclose(first.moving_variance, np.maximum(np.var(seen, (0, 1, 2)), least), rtol=1e-3)
    written = stage.file.stat().st_mtime_ns
    reestimate(stage, data)
    assert stage.file.stat().st_mtime_ns == written
    assert seen_by(plan.variants["one"], None, True).endswith("was re-estimated on images without labels.")


@pytest.mark.slow
def test_comparison_in_pieces_gives_the_same_figures_when_a_limit_stops_it(run, tmp_path, monkeypatch, capsys):
    text = GRID.replace("labels: [4, 8], seeds: 2", "labels: [4], seeds: 1") + (
        "localizer: {image_size: 64, batch_size: 4, epochs: 2, labels: [8]}\n"
    )
    assert run("whole", text) == 0
    asked = []

    def over(self):  # every seventh time
        asked.append(0)
        return len(asked) % 7 == 0

    monkeypatch.setattr(TimeLimit, "over", over)
    assert run("pieces", text, "--minutes", "60") == 3
    pieces = 1
    assert "--resume" in capsys.readouterr().out.splitlines()[-1]
    while run("pieces", text, "--minutes", "60", "--resume") == 3:
        pieces += 1
        assert pieces < 30
    assert pieces >= 3  # in pre-training, on features, and in fine-tuning
    assert contents(tmp_path / "pieces") == contents(tmp_path / "whole")
    sums = [json.loads((tmp_path / each / "pretrain.json").read_text())["checksum"] for each in ("whole", "pieces")]
    assert sums[0] == sums[1]
    leavings = {path.name for path in (tmp_path / "pieces" / "trials").rglob("*") if path.is_dir()}
    assert leavings == {"self-supervised", "random-start"}


@pytest.mark.slow
def test_killed_fine_tuning_in_a_grid_repeats_nothing(run, tmp_path, monkeypatch):
    text = SCENES + "variants: {random: random}\nlocalizer: {image_size: 64, batch_size: 4, epochs: 1}\n"
    text += "compare: {labels: [4], seeds: 3}\n"
    assert run("whole", text) == 0
    begun = []
    train = finetuning._tuned

    def killed(stage, *rest):
        begun.append(stage.seed)
        if begun == [0, 1]:
            raise KeyboardInterrupt
        return train(stage, *rest)

    monkeypatch.setattr(finetuning, "_tuned", killed)
    assert run("killed", text) == 130
    assert run("killed", text, "--resume") == 0
    assert begun == [0, 1, 1, 2]
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert [path.name for path in (tmp_path / "killed" / "variants" / "random").glob("*.keras")] == ["localizer.keras"]
    assert not list((tmp_path / "killed" / "trials").rglob("*.keras"))
