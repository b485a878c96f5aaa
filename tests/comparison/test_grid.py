"""A comparison's grid on a few scenes with the smallest network: what is done, shared, repeated and refused."""

import itertools
import json

import keras
import numpy as np
import pytest
from PIL import Image

from kerassl import backbones, datasets, detectors, models
from kerassl._errors import UserError
from kerassl._io.manifest import Manifest
from kerassl.backbones.batch_norm import batch_norms
from kerassl.cli.main import main
from kerassl.comparison import execute as compare
from kerassl.comparison import grid, trials, variants
from kerassl.comparison.feature_weights import feature_weights
from kerassl.comparison.variant_images import variant_pictures
from kerassl.detectors.localizer import frozen_features
from kerassl.resizing import letterbox
from kerassl.runs import config as configuration
from kerassl.runs import finetune as finetuning
from kerassl.runs import pretrain as pretraining
from kerassl.runs import read_config, running, supervised
from kerassl.runs.folder import run_folder
from kerassl.runs.sources import sources
from kerassl.runs.time_limit import TimeLimit

SCENES = "data: {scenes: {train: 12, val: 6, unlabeled: 16, single_object: true}}\n"
PRETRAIN = "pretrain: {image_size: 32, batch_size: 8, epochs: 2, optimizer: adamw, hidden_dim: 8, projection_dim: 8}\n"
FROZEN = "frozen: {image_size: 64, batch_size: 4, epochs: 1, width: 8}\n"
GRID = SCENES + PRETRAIN + FROZEN + "compare: {labels: [4, 8], seeds: 2}\n"


@pytest.fixture
def tiny(tiny_backbone, monkeypatch):
    """The smallest network under every name, and neither pictures nor a servable of it."""
    monkeypatch.setattr(backbones, "build", lambda name, **_: tiny_backbone())
    monkeypatch.setattr(compare, "variant_pictures", lambda *_: [])
    monkeypatch.setattr(compare, "_servable", lambda config, folder: folder / "servables")


@pytest.fixture
def run(tiny, tmp_path):
    """`run(out, text, *flags)`: the command's exit status."""

    def run(out, text, *flags):
        (tmp_path / "run.yaml").write_text(text)
        return main(["compare", "--config", str(tmp_path / "run.yaml"), "--out", str(tmp_path / out), *flags])

    return run


@pytest.fixture
def read(monkeypatch):
    """How many images each pass for features read, as they are read."""
    counts, letterboxed = [], frozen_features.letterboxed_batches
    monkeypatch.setattr(
        frozen_features,
        "letterboxed_batches",
        lambda paths, *args, **own: counts.append(len(paths)) or letterboxed(paths, *args, **own),
    )
    return counts


def contents(folder):
    """What the trials of a run say, without the minutes."""
    found = {}
    for path in sorted((folder / "trials").rglob("*.json")):
        trial = json.loads(path.read_text())
        assert trial.pop("minutes") > 0
        found[str(path.relative_to(folder))] = trial
    return found


def config_of(tmp_path, text):
    (tmp_path / "run.yaml").write_text(text)
    return read_config(tmp_path / "run.yaml")


def test_grid_has_every_variant_number_of_labels_and_seed_unless_a_protocol_says_otherwise(tmp_path):
    text = GRID + "seed: 5\nlocalizer: {labels: [null], seeds: 1, variants: [random start]}\n"
    found = grid.trials(config_of(tmp_path, text))
    frozen = [trial[:1] + trial[2:] for trial in found if trial.protocol == "frozen"]
    assert frozen == [
        (variant, count, seed) for variant in ("self-supervised", "random start") for count in (4, 8) for seed in (5, 6)
    ]
    assert found[len(frozen) :] == [grid.Trial("random start", "localizer", None, 5)]
    assert found[-1].name == "localizer-all-5"


def test_subsets_are_nested_in_a_seed_the_same_for_all_variants_and_others_in_another_seed(tmp_path):
    config = config_of(tmp_path, GRID)
    data = sources(config, tmp_path)
    work = trials.Trials(config, data, tmp_path, TimeLimit())
    ids = {trial: {record.image_id for record in work.records(trial)} for trial in grid.trials(config)}
    assert all(len(ids[trial]) == trial.labels for trial in ids)
    for trial, own in ids.items():
        assert own <= ids[trial._replace(labels=8)]
        assert own == ids[trial._replace(variant="random start")]
    first, second = (ids[grid.Trial("random start", "frozen", 4, seed)] for seed in (0, 1))
    assert first != second


@pytest.fixture
def trained(tiny, monkeypatch):
    """The models that pre-trainings would train, which they do not: their weights stay as they began."""
    models_given = []

    def fit(model, *rest):
        models_given.append(model)
        return {"loss": [1.0]}, 0.5

    for module in (pretraining, supervised):
        monkeypatch.setattr(module, "fit_watched", fit)
    return models_given


def test_variants_that_begin_and_learn_alike_share_one_pretraining(trained, tmp_path):
    text = GRID + (
        "variants:\n  plain: self-supervised\n  again: {pretrain: {temperature: 0.1}}\n"
        "  sharp: {pretrain: {temperature: 0.05}}\n  sharper: {pretrain: {temperature: 0.05}}\n  random: random\n"
    )
    config = config_of(tmp_path, text)
    Manifest.create(tmp_path, "run")
    data = sources(config, tmp_path)
    figures = variants.pretrain_variants(config, data.images, tmp_path, TimeLimit())
    assert [model.objective.temperature for model in trained] == [0.1, 0.05]
    assert figures["plain"] == figures["again"]
    assert figures["random"] is None
    names = ("plain", "again", "sharp", "sharper")
    own, variant = str(tmp_path / "backbone.keras"), str(tmp_path / "variants" / "sharp" / "backbone.keras")
    assert [variants.weights(config, name, tmp_path) for name in names] == [own, own, variant, variant]
    assert variants.weights(config, "random", tmp_path) == "random"
    assert "28 generated images" not in variants.seen_by(config, "sharp", figures["sharp"], True)  # three batches of 8
    assert "24 generated images without labels, 2 times" in variants.seen_by(config, "sharp", figures["sharp"], True)
    variants.pretrain_variants(config, data.images, tmp_path, TimeLimit())
    assert len(trained) == 2  # what stands is not done again


def test_warm_start_begins_from_the_weights_that_are_given(trained, tiny_backbone, tmp_path):
    keras.utils.set_random_seed(1)  # a cold start sets 0, as tests before this one may have
    given = tiny_backbone()
    backbones.save(given, tmp_path / "given.keras")
    text = GRID + f"variants: {{warm: {{start: {tmp_path / 'given.keras'}, pretrain: {{}}}}, cold: self-supervised}}\n"
    config = config_of(tmp_path, text)
    figures = variants.pretrain_variants(config, sources(config, tmp_path).images, tmp_path, TimeLimit())
    warm, cold = ([np.array(weight) for weight in model.backbone.get_weights()] for model in trained)
    for weight, value in zip(given.get_weights(), warm):
        np.testing.assert_array_equal(value, weight)
    assert any(np.any(one != other) for one, other in zip(warm, cold))
    kept = backbones.load(variants.weights(config, "warm", tmp_path))
    np.testing.assert_array_equal(kept.get_weights()[0], given.get_weights()[0])
    assert "before that whatever" in variants.seen_by(config, "warm", figures["warm"], True)


def test_variant_that_begins_with_another_variant_goes_on_from_what_that_one_learned(tiny, tmp_path, monkeypatch):
    trained = []

    def learn(model, *rest):
        weight = model.backbone.trainable_weights[0]
        trained.append((model.image_size, np.array(weight)))
        weight.assign(weight + 1.0)
        return {"loss": [1.0]}, 0.5

    monkeypatch.setattr(pretraining, "fit_watched", learn)
    text = GRID + (
        "variants:\n  plain: self-supervised\n  larger: {start: plain, pretrain: {image_size: 64}}\n"
        "  again: {start: plain, pretrain: {image_size: 64}}\n  same: plain\n  largest: {start: larger, pretrain: {}}\n"
    )
    config = config_of(tmp_path, text)
    images = sources(config, tmp_path).images
    figures = variants.pretrain_variants(config, images, tmp_path, TimeLimit())
    assert [size for size, _ in trained] == [32, 64, 32]  # again is larger's
    begun = [weight for _, weight in trained]
    for before, after in itertools.pairwise(begun):
        np.testing.assert_allclose(after, before + 1.0, rtol=1e-6)
    assert variants.weights(config, "same", tmp_path) == variants.weights(config, "plain", tmp_path)
    assert variants.weights(config, "again", tmp_path) == str(tmp_path / "variants" / "larger" / "backbone.keras")
    assert "before that what larger saw" in variants.seen_by(config, "largest", figures["largest"], True)
    assert variants.seen_by(config, "same", None, True).startswith("what plain saw")
    with pytest.raises(UserError, match=r"variants\.first\.start is 'second', a variant that does not stand above it"):
        config_of(tmp_path, GRID + "variants: {first: {start: second}, second: random}\n")


def test_labels_are_read_by_the_supervised_variant_alone(trained, tmp_path, monkeypatch):
    for number in range(20):
        name = f"{('cat', 'dog', 'ILSVRC')[number % 3]}_{number}.png"
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(np.full((40, 40, 3), number, np.uint8)).save(tmp_path / "photos" / name)
    asked = []
    names = datasets.named_classes
    monkeypatch.setattr(datasets, "named_classes", lambda paths: asked.append(paths) or names(paths))
    text = GRID + (
        "variants:\n  plain: self-supervised\n  random: random\n"
        "  told: {supervised: [cat, dog], pretrain: {batch_size: 4}}\n"
    )
    config = config_of(tmp_path, text)
    images = [str(tmp_path / "photos")]
    figures = variants.pretrain_variants(config, images, tmp_path, TimeLimit())
    assert asked == [images]
    plain, told = trained
    assert isinstance(plain, models.SimCLR)
    assert isinstance(told, models.ViewClassifier)
    assert figures["told"]["classes"] == ["cat", "dog"]
    assert figures["told"]["without_label"] == 6
    # 20 photographs twice are 10 steps of 4 images; of the 14 with a label an epoch has 3.
    assert (figures["told"]["epochs"], figures["told"]["steps"]) == (3, 9)
    assert "with the labels of 2 classes" in variants.seen_by(config, "told", figures["told"], False)
    assert "without labels" in variants.seen_by(config, "plain", figures["plain"], False)


def test_images_that_settings_are_chosen_on_are_left_out_of_what_is_reported(tmp_path):
    text = SCENES + FROZEN + "variants: {random: random}\ncompare: {tuning_images: 2}\n"
    ids = {}
    for split in ("report", "tuning"):
        config = config_of(tmp_path, text.replace("tuning_images: 2", f"tuning_images: 2, split: {split}"))
        data, told = compare._split(config, tmp_path)
        ids[split] = {record.image_id for record in data.test}
        assert "2 that settings are chosen on" in told
    assert (len(ids["report"]), len(ids["tuning"])) == (4, 2)
    assert not ids["report"] & ids["tuning"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("compare: {labels: [4, 400]}", "count is 400, but 12 images are there"),
        ("compare: {tuning_images: 6}", "leaves no image to report on"),
        ("compare: {probe: {train: /nowhere}}", "/nowhere"),
        (
            "variants: {mine: /nowhere/weights.npz}",
            "there is no such file; give random, imagenet, the name of a variant above or",
        ),
        ("variants: {told: {supervised: [cat, dog]}}", "no photograph is of the class 'cat'"),
    ],
)
def test_what_is_not_there_is_told_in_one_line_before_anything_is_trained(run, tmp_path, capsys, text, told):
    lines = [line for line in GRID.splitlines() if not line.startswith(text.split(":")[0])]
    assert run("out", "\n".join([*lines, text])) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert told in error[-1]
    assert not any("Traceback" in line for line in error)
    assert not (tmp_path / "out" / "trials").exists()
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_summary_of_the_cells_that_stand_is_told_in_figures_on_the_page_and_in_the_terminal(
    trained, run, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(detectors, "fit_frozen", None)  # nothing is left to train
    figures = {"self-supervised": 0.8, "random start": 0.3}
    text = GRID + "  sanity_check: {good: self-supervised, poor: random start}\n"
    text = text.replace("compare: {labels: [4, 8], seeds: 2}", "compare:\n  labels: [4, 8]\n  seeds: 2")
    config = config_of(tmp_path, text)
    with run_folder(tmp_path / "out", config):
        for trial in grid.trials(config):
            iou = [figures[trial.variant] + 0.01 * number for number in range(6)]
            right = [int(trial.variant == "self-supervised")] * 6
            figure = {
                "mean_iou": np.mean(iou),
                "loc_acc_50": right[0],
                "loc_acc_70": right[0],
                "top1": right[0],
                "top3": 1,
            }
            each = {"ids": [f"val_{number}" for number in range(6)], "iou": iou, "top1": right, "top3": [1] * 6}
            content = {
                **trial._asdict(),
                "images": trial.labels,
                "figures": figure,
                "per_image": each,
                "minutes": 1,
                "steps": 2,
            }
            running.write_json(
                tmp_path / "out" / "trials" / configuration.slug(trial.variant) / f"{trial.name}.json", content
            )
    assert run("out", text, "--resume") == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["significance"]["baseline"] == "random start"
    assert results["significance"]["sanity_check"]["passed"] is True
    assert capsys.readouterr().out.startswith("Sanity check passed")
    assert results["variants"]["self-supervised"]["frozen"]["mean_iou"] == pytest.approx(0.825)
    assert "without labels" in results["variants"]["self-supervised"]["seen"]


def test_limit_is_refused_when_it_is_none(run, capsys):
    assert run("out", GRID, "--minutes", "0") == 2
    assert "--minutes is 0" in capsys.readouterr().err


def test_each_trial_is_done_once_over_stops_and_the_same_to_the_bit_when_it_is_repeated(
    run, tmp_path, monkeypatch, capsys
):
    text = SCENES + FROZEN + "compare: {labels: [4], seeds: 2}\nvariants: {random start: random}\n"
    fitted, asked = [], []
    fit = detectors.fit_frozen
    monkeypatch.setattr(detectors, "fit_frozen", lambda *args, **own: fitted.append(own["seed"]) or fit(*args, **own))
    monkeypatch.setattr(TimeLimit, "over", lambda self: asked.append(0) or len(asked) == 3)
    assert run("out", text, "--minutes", "60") == 3
    assert fitted == [0]
    assert "60 minutes are over; the same command with --resume goes on" in capsys.readouterr().out
    assert run("out", text, "--minutes", "60", "--resume") == 0
    assert fitted == [0, 1]
    out = tmp_path / "out"
    before = contents(out)
    assert sorted(before) == [f"trials/random-start/frozen-4-{seed}.json" for seed in (0, 1)]
    assert [path.relative_to(out).as_posix() for path in out.rglob("*.keras")] == ["variants/random-start/frozen.keras"]
    assert not (out / "features").exists()
    trial = before["trials/random-start/frozen-4-1.json"]
    assert (trial["variant"], trial["protocol"], trial["labels"], trial["seed"]) == ("random start", "frozen", 4, 1)
    assert (trial["images"], trial["steps"]) == (4, 1)
    assert len(trial["per_image"]["ids"]) == 6
    for figure, values in (("mean_iou", "iou"), ("top1", "top1"), ("top3", "top3")):
        assert trial["figures"][figure] == pytest.approx(np.mean(trial["per_image"][values]))
    # What is damaged is done again, to the same bits; what stands is not touched.
    damaged = out / "trials" / "random-start" / "frozen-4-1.json"
    damaged.write_text(damaged.read_text()[:-100])
    assert run("out", text, "--resume") == 0
    assert fitted == [0, 1, 1]
    assert "frozen-4-1.json is damaged" in (out / "log.txt").read_text()
    assert contents(out) == before
    results = json.loads((out / "results.json").read_text())
    own = [before[f"trials/random-start/frozen-4-{seed}.json"]["figures"]["mean_iou"] for seed in (0, 1)]
    assert results["variants"]["random start"]["frozen"]["mean_iou"] == pytest.approx(np.mean(own))


@pytest.mark.current_stack
def test_run_that_goes_on_takes_up_the_features_that_its_variants_share(run, read, tmp_path, monkeypatch):
    text = SCENES + FROZEN + "compare: {labels: [4], seeds: 1}\nvariants: {one: random, other: random}\n"
    first = tmp_path / "out" / "trials" / "one" / "frozen-4-0.json"
    monkeypatch.setattr(TimeLimit, "over", lambda self: first.exists())
    assert run("out", text, "--minutes", "60") == 3
    assert first.exists()
    assert len(read) == 2  # to learn from and to score on
    monkeypatch.setattr(TimeLimit, "over", lambda self: False)
    assert run("out", text, "--resume") == 0
    assert len(read) == 2
    one, other = (trial["per_image"] for trial in contents(tmp_path / "out").values())
    assert one == other


@pytest.mark.current_stack
def test_heads_learn_on_the_levels_that_the_configuration_names(run, tmp_path):
    levels = FROZEN.replace("width: 8", "width: 8, levels: [P3, P4]")
    neck = "variants: {one: random, boxes: {neck: {epochs: 1}}}\n"
    assert run("out", SCENES + levels + "compare: {labels: [4], seeds: 1}\n" + neck) == 0
    for variant in ("one", "boxes"):
        model = keras.saving.load_model(tmp_path / "out" / "variants" / variant / "frozen.keras")
        assert model.levels == ("P3", "P4")
    config = read_config(tmp_path / "run.yaml")
    pictures = variant_pictures(config, sources(config, tmp_path / "out"), tmp_path / "out")
    assert "Grad-CAM at P4" in pictures[-1]["text"]  # the deepest that these heads look at


def test_batch_norm_of_frozen_features_is_measured_once_for_variants_that_share_weights(tiny, tmp_path, monkeypatch):
    given, file = backbones.build("tiny"), str(tmp_path / "given.keras")
    least = np.array([0.0] * 4 + [1e4] * 4, np.float32)
    batch_norms(given)[0].moving_variance.assign(least)
    backbones.save(given, file)
    as_it_is = f"as it is: {{start: {file}, batch_norm: frozen}}"
    text = f"{SCENES}{FROZEN}variants: {{one: {file}, other: {file}, {as_it_is}, random: random}}\n"
    config = config_of(tmp_path, text.replace("width: 8", "width: 8, batch_norm: re-estimated"))
    data, measured = sources(config, tmp_path), []
    measure = backbones.reestimate_batch_norm
    monkeypatch.setattr(backbones, "reestimate_batch_norm", lambda *given: measured.append(measure(*given)))
    files = [feature_weights(config, name, tmp_path, data) for name in ("one", "other", "as it is", "random")]
    assert files == [str(tmp_path / "variants" / "one" / "frozen_backbone.keras")] * 2 + [file, "random"]
    assert measured == [28]  # 16 without labels and the 12 to train on
    after = backbones.load(files[0])
    changed = {
        weight.name.split("/")[-1].removesuffix(":0")
        for old, layer in zip(given.layers[1:], after.layers[1:])
        for before, weight in zip(old.weights, layer.weights)
        if not np.array_equal(np.array(before), np.array(weight))
    }
    assert changed == {"moving_mean", "moving_variance"}
    first = batch_norms(after)[0]
    images = [letterbox(datasets.read_image(path), 64)[0] for path in datasets.image_files(data.images)]
    seen = keras.Model(after.input, first.input)(np.stack(images))
    np.testing.assert_allclose(first.moving_mean, np.mean(seen, (0, 1, 2)), rtol=1e-3, atol=1e-4)
    # Never below what it began with.
    np.testing.assert_allclose(first.moving_variance, np.maximum(np.var(seen, (0, 1, 2)), least), rtol=1e-3)
    told = variants.seen_by(config, "one", None, True)
    assert told.endswith("For frozen features its batch normalisation was measured on images without labels.")
    assert variants.seen_by(config, "random", None, True) == "no image before its fine-tuning."


@pytest.mark.current_stack
def test_variant_with_a_neck_trains_it_once_for_all_heads_and_may_be_added_to_a_run(run, read, tmp_path, monkeypatch):
    text = SCENES + FROZEN + "compare: {labels: [4], seeds: 2, baseline: plain}\nvariants: {plain: random"
    assert run("out", text + "}\n") == 0
    trained, out = [], tmp_path / "out"
    pretrain, boxes = detectors.pretrain_localizer, detectors.pseudo_records
    # Of a random network a box may be the whole image.
    monkeypatch.setattr(detectors, "pseudo_records", lambda *args, **own: boxes(*args, largest=1.0, **own))
    monkeypatch.setattr(
        detectors, "pretrain_localizer", lambda *args, **own: trained.append(own) or pretrain(*args, **own)
    )
    with_boxes = text + ", boxes: {neck: {epochs: 1, images: 12}}}\n"
    plain = contents(out)
    (out / "trials" / "plain" / "frozen-4-1.json").unlink()
    read.clear()
    assert run("out", with_boxes, "--resume") == 0
    assert len(read) == 3  # to learn from and to score on, which serve both variants, and the neck's
    before = contents(out)
    assert len(trained) == 1
    assert (trained[0]["batch_size"], trained[0]["epochs"]) == (4, 1)
    assert {name: before[name] for name in plain} == plain
    heads = [before[f"trials/boxes/frozen-4-{seed}.json"]["per_image"]["iou"] for seed in (0, 1)]
    assert heads[0] != heads[1]
    assert heads[0] != before["trials/plain/frozen-4-0.json"]["per_image"]["iou"]
    (out / "trials" / "boxes" / "frozen-4-1.json").unlink()
    assert run("out", with_boxes, "--resume") == 0
    assert len(trained) == 1  # the neck stands
    assert contents(out) == before
    assert not (out / "features").exists()
    assert len(list((out / "variants" / "boxes" / "pseudo_boxes").glob("*.png"))) > 1


@pytest.mark.slow
@pytest.mark.current_stack
def test_comparison_with_a_time_limit_goes_on_to_the_same_figures(run, tmp_path, monkeypatch, capsys):
    text = GRID.replace("labels: [4, 8], seeds: 2", "labels: [4], seeds: 1") + (
        "localizer: {image_size: 64, batch_size: 4, epochs: 2, labels: [8]}\n"
    )
    assert run("whole", text) == 0
    asked = []

    def over(self):  # every seventh time that somebody asks
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
@pytest.mark.current_stack
def test_killed_fine_tuning_in_a_grid_repeats_nothing(run, tmp_path, monkeypatch):
    text = SCENES + "variants: {random: random}\nlocalizer: {image_size: 64, batch_size: 4, epochs: 1}\n"
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
    assert [path.name for path in (tmp_path / "killed" / "variants" / "random").glob("*.keras")] == ["localizer.keras"]
    assert not list((tmp_path / "killed" / "trials").rglob("*.keras"))
