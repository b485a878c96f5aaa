"""Plans: stages, what they share and need, and what is left of them. Nothing is trained."""

import json
import subprocess
import sys

import pytest

from kerassl._errors import UserError
from kerassl._io.manifest import Manifest
from kerassl._io.state import write_json
from kerassl.config.config import read_config
from kerassl.runs.finetune import finetune
from kerassl.runs.plan.comparison import plan_comparison
from kerassl.runs.plan.stages import Distillation, Pretraining, Probing, Reestimation, Training
from kerassl.runs.plan.training import plan_finetuning, plan_pretraining

pytestmark = pytest.mark.current_stack

SCENES = {"train": 12, "val": 6, "unlabeled": 16}
PRETRAIN = {"image_size": 32, "batch_size": 8, "epochs": 2}


@pytest.fixture
def compared(tmp_path):
    """`compared(**sections)`: the plan of a comparison on frozen features, with further sections."""

    def plan(**sections):
        given = {"data.scenes": SCENES, "pretrain": PRETRAIN, "frozen": {"epochs": 3}, "compare.labels": [4, 8]}
        return plan_comparison(read_config(None, {**given, **sections}), tmp_path)

    return plan


def short(folder, paths):
    return [str(path).removeprefix(f"{folder}/") for path in paths]


def test_grid_has_every_variant_labels_and_seed_unless_a_protocol_has_its_own(compared):
    localizer = {"labels": [None], "seeds": 1, "variants": ["random start"]}
    plan = compared(seed=5, **{"compare.seeds": 2, "localizer": localizer})
    trials = [(stage.variant, stage.labels, stage.seed) for stage in plan.of(Training)]
    assert trials == [
        *((name, count, seed) for name in plan.variants for count in (4, 8) for seed in (5, 6)),
        ("random start", None, 5),
    ]
    last = plan.stages[-1]
    assert (last.name, last.record.name, last.stage) == (
        "localizer-all-5 random start", "localizer-all-5.json", "localizer:random start",
    )  # fmt: skip
    assert plan.protocols == ["frozen", "localizer"]
    assert [stage.keeps for stage in plan.of(Training)] == [False, False, True, False] * 2 + [True]


def test_variants_take_turns_when_each_trial_trains_a_network(compared):
    plan = compared(frozen=None, localizer={}, **{"compare.seeds": 2, "variants": {"a": "random", "b": "random"}})
    found = [(stage.seed, stage.labels, stage.variant) for stage in plan.stages]
    assert found == [(seed, count, name) for seed in (0, 1) for count in (4, 8) for name in "ab"]
    logs = {stage.logs.name for stage in plan.stages if not stage.keeps}
    assert logs == {"trials"}


def test_pretraining_is_shared_when_variants_start_and_learn_alike(compared, tmp_path):
    sharp = {"pretrain": {"temperature": 0.05}}
    large = {"start": "plain", "pretrain": {"image_size": 64}}
    plan = compared(
        variants={
            "plain": "self-supervised", "again": {"pretrain": {"temperature": 0.1}}, "sharp": sharp, "sharper": sharp,
            "large": large, "larger": large, "same": "plain", "random": "random", "named": {"supervised": ["a", "b"]},
        }
    )  # fmt: skip
    stages = plan.of(Pretraining)
    assert [stage.variant for stage in stages] == ["plain", "sharp", "large", "named"]
    weights = short(tmp_path, [variant.weights for variant in plan.variants.values()])
    own, large = "backbone.keras", "variants/large/backbone.keras"
    assert weights == [
        own, own, *["variants/sharp/backbone.keras"] * 2, large, large, own, "random", "variants/named/backbone.keras",
    ]  # fmt: skip
    assert short(tmp_path, [stages[2].weights]) == [own]
    assert (stages[2].settings.image_size, stages[2].after) == (64, ("pretrain plain",))
    assert stages[3].supervised == ["a", "b"]
    assert plan.variants["large"].parent == "plain"
    assert plan.variants["larger"].pretraining is stages[2]
    assert stages[0].images == 28 // 8 * 8 * 2


def test_distillation_is_shared_when_variants_start_and_learn_alike(compared, tmp_path):
    plan = compared(
        distill={"batch_size": 8, "epochs": 3},
        variants={
            "one": {"distill": {"teacher": "MobileNet"}}, "again": {"distill": {"teacher": "MobileNet"}},
            "other": {"distill": {"teacher": "ResNet50"}}, "contrasted": {"start": "one", "pretrain": {}},
            "warm": {"start": "w.npz", "distill": {"teacher": "MobileNet"}}, "cold": "self-supervised",
        },
    )  # fmt: skip
    stages = plan.of(Distillation)
    assert [(stage.variant, stage.teacher, stage.weights, stage.images) for stage in stages] == [
        ("one", "MobileNet", "random", 72), ("other", "ResNet50", "random", 72), ("warm", "MobileNet", "w.npz", 72),
    ]  # fmt: skip
    folders = [f"variants/{name}" for name in ("one", "one", "other", "contrasted", "warm")]
    weights = short(tmp_path, [variant.weights for variant in plan.variants.values()])
    assert weights == [*(f"{folder}/backbone.keras" for folder in folders), "backbone.keras"]
    assert plan.variants["contrasted"].pretraining.after == ("distill one",)


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"distill": {}}, "variants.one.distill names no teacher"),
        ({"distill": {"teacher": "MobileNet", "epoch": 1}}, "variants.one.distill.epoch"),
        ({"distill": {"teacher": "MobileNet"}, "pretrain": {}}, "both given"),
        ({"distill": {"teacher": "MobileNet"}, "supervised": True}, "both given"),
    ],
)
def test_distilled_variant_is_refused_when_its_settings_are_invalid(variant, message, compared):
    with pytest.raises(UserError, match=message) as error:
        compared(variants={"one": variant})
    assert "\n" not in str(error.value)


def test_batch_norm_is_reestimated_once_for_features_of_the_same_weights(compared, tmp_path):
    variants = {
        "one": "w.npz",
        "other": "w.npz",
        "kept": {"start": "w.npz", "batch_norm": "frozen"},
        "random": "random",
    }
    probe = {"train": str(tmp_path)}
    plan = compared(variants=variants, **{"frozen.batch_norm": "re-estimated", "compare.probe": probe})
    file = "variants/one/frozen_backbone.keras"
    assert [stage.name for stage in plan.of(Reestimation)] == ["batch norm one"]
    assert short(tmp_path, [variant.features for variant in plan.variants.values()]) == [file, file, "w.npz", "random"]
    assert [stage.kind for stage in plan.stages[:5]] == ["batch norm", *["probe"] * 4]
    assert [stage.same for stage in plan.of(Probing)] == [None, "probe one", None, None]
    assert {stage.features.name for stage in plan.of(Training)} == {"one", "random"}


def test_plan_lists_what_is_done_and_what_is_left(compared, tmp_path):
    Manifest.create(tmp_path, "run")
    plan = compared(variants={"plain": "self-supervised", "random": "random"})
    assert [stage.name for stage in plan.left()] == [stage.name for stage in plan.stages]
    (tmp_path / "backbone.keras").touch()
    write_json(tmp_path / "pretrain.json", {"minutes": 1, "checksum": "", "epochs": 2})
    record = {"variant": "plain", "protocol": "frozen", "labels": 4, "seed": 0, "images": 4, "figures": {}}
    write_json(plan.stages[1].record, {**record, "per_image": {}, "minutes": 1, "steps": 1})
    lines = plan.describe().splitlines()
    assert [line.split()[0] for line in lines] == ["done", "done", "left", "left", "left", "5"]
    assert lines[0].split() == [
        "done",
        "pretrain",
        "plain",
        "48",
        "images",
        *["seed", "0", "from", "random", "to", "pretrain.json"],
    ]
    assert lines[-1].startswith("5 stages, 2 done, 3 left")
    plan.stages[1].record.write_text("{")
    write_json(tmp_path / "pretrain.json", {"minutes": 1, "checksum": "", "epochs": 1})  # more epochs are asked for
    assert len(plan.left()) == 5


def test_reestimation_is_left_only_when_something_needs_it(compared, tmp_path):
    Manifest.create(tmp_path, "run")
    plan = compared(variants={"one": "w.npz"}, **{"frozen.batch_norm": "re-estimated", "compare.labels": [4]})
    assert [stage.kind for stage in plan.left()] == ["batch norm", "frozen"]
    record = {"variant": "one", "protocol": "frozen", "labels": 4, "seed": 0, "images": 4, "figures": {}}
    write_json(plan.stages[1].record, {**record, "per_image": {}, "minutes": 1, "steps": 1})
    assert plan.left() == []


def test_settings_hold_when_an_argument_is_left_out_and_may_be_null(tmp_path):
    settings = {"data.scenes": SCENES, "detector.epochs": 5, "detector.batch_size": 4, "detector.clip_norm": None}
    plan = finetune(out=tmp_path, weights="random", batch_size=8, settings=settings, plan=True)
    (section,) = (stage.settings for stage in plan.stages)
    assert (section.epochs, section.batch_size, section.clip_norm) == (5, 8, None)


@pytest.mark.parametrize(
    ("weights", "settings", "multipliers"),
    [("random", {}, {}), (None, {}, {"backbone": 0.1}), ("random", {"head": 0.5}, {"head": 0.5})],
)
def test_backbone_learns_at_the_full_rate_when_it_starts_at_random(tmp_path, weights, settings, multipliers):
    given = {"data.scenes": SCENES} | ({"detector.lr_multipliers": settings} if settings else {})
    (stage,) = finetune(out=tmp_path, weights=weights, settings=given, plan=True).stages
    assert stage.settings.lr_multipliers == multipliers


def test_pretraining_and_finetuning_are_plans_of_one_stage(tmp_path):
    config = read_config(None, {"data.scenes": SCENES, "pretrain": PRETRAIN, "seed": 3})
    (stage,) = plan_pretraining(config, tmp_path).stages
    assert (stage.kind, stage.seed, stage.weights, stage.folder, stage.images) == (
        "pretrain",
        3,
        "random",
        tmp_path,
        48,
    )
    config = read_config(None, {"data.scenes": SCENES, "detector": {"epochs": 2}, "variants": {"finetuned": "w.npz"}})
    (stage,) = plan_finetuning(config, tmp_path).stages
    assert (stage.kind, stage.inputs, stage.images, stage.record) == ("detector", ("w.npz",), 24, None)
    assert short(tmp_path, stage.outputs) == ["detector.keras", "detector.json"]


def test_comparison_without_a_protocol_is_refused(compared):
    with pytest.raises(UserError, match="nothing to compare; add a section"):
        compared(frozen=None)


def test_plan_is_printed_without_tensorflow_and_leaves_nothing(tmp_path):
    (tmp_path / "run.yaml").write_text("frozen: {}\ndata: {scenes: {train: 8}}\n")
    code = (
        "import json, sys; from kerassl.cli.main import main; "
        "status = main(['compare', '--config', 'run.yaml', '--out', 'out', '--plan']); "
        "print(json.dumps([status, 'tensorflow' in sys.modules, 'keras' in sys.modules]))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    *lines, last = found.stdout.splitlines()
    assert json.loads(last) == [0, False, False]
    assert [line.split()[:2] for line in lines[:-1]] == [["left", "pretrain"], *[["left", "frozen-all-0"]] * 2]
    assert not (tmp_path / "out").exists()
