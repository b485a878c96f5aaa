import json
import typing

import pytest

from kerassl import UserError
from kerassl.config import read_config
from kerassl.config.config import Config, as_flags, changed_section
from kerassl.config.schema import Section

pytestmark = pytest.mark.current_stack


def written(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return path


def test_flags_override_the_file_and_the_file_the_defaults(tmp_path):
    path = written(
        tmp_path,
        "pretrain: {epochs: 7, batch_size: 32, learning_rate: 0.2}\nseed: 4\ndata: {train: a.json, val: 0.2}\n",
    )
    arguments = {"pretrain.epochs": 9, "seed": None, "data.train.images": "photos"}
    config = read_config(path, {"pretrain.warmup": 0.2, "pretrain.learning_rate": None, **as_flags(arguments)})
    assert (config.pretrain.warmup, config.pretrain.learning_rate) == (0.2, None)
    assert (config.pretrain.epochs, config.pretrain.batch_size, config.seed) == (9, 32, 4)
    assert config.pretrain.temperature == 0.1
    labels = config.data.train
    assert (labels.path, labels.images, labels.split) == ("a.json", "photos", None)
    assert (config.data.val.share, config.data.val.path, config.data.test) == (0.2, None, None)


def test_environment_variables_in_paths_are_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("PHOTOS", "/somewhere")
    path = written(tmp_path, "data: {unlabeled: ['${PHOTOS}/all']}")
    assert read_config(path).data.unlabeled == ["/somewhere/all"]
    monkeypatch.delenv("PHOTOS")
    with pytest.raises(UserError, match="PHOTOS"):
        read_config(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pretrain: {epoch: 3}", r"'pretrain.epoch'; did you mean 'epochs'\?"),
        ("hue: red", "no setting 'hue'; accepted are backbone"),
        ("data: {train: {path: x, splitt: val}}", r"'data.train.splitt'; did you mean 'split'\?"),
        ("pretrain: {optimizer: lambs}", "there is no optimizer 'lambs'; there are lars, lamb, adamw"),
        ("pretrain: {epochs: many}", "pretrain.epochs is 'many'"),
        ("pretrain: {epochs: 0}", "pretrain.epochs is 0"),
        ("precision: float8", "precision is 'float8'"),
        ("detector: {kind: yolo}", "detector.kind is 'yolo': input should be 'retinanet' or 'yolov8'"),
        ("data: {train: {split: val}}", "data.train.path"),
        ("data: {val: 1}", "data.val.share is 1: give a number above 0 and at most 0.9"),
        ("data: {test: {split: val}}", "data.test: images and split belong to a path"),
        ("data: {test: {path: x, share: 0.2}}", "data.test: path and share are both given"),
        ("data: {group_by: '('}", "data.group_by is '\\(': it is no regular expression"),
        ("pretrain: [1, 2", "no YAML at line"),
        ("just words", "sections"),
        ("data: {fraction: 1.5}", "data.fraction is 1.5"),
        ("detector: {augmentation: {flip: 2}}", "detector.augmentation.flip is 2"),
        ("detector: {augmentation: {mozaic: 1}}", r"'detector.augmentation.mozaic'; did you mean 'mosaic'\?"),
        ("localizer: {augmentation: {mosaic: 1}}", "there is no setting 'localizer.augmentation.mosaic'"),
        ("detector: {augmentation: {zoom_range: [1]}}", "detector.augmentation.zoom_range"),
        (
            "localizer: {unfreeze: {P6: 1}}",
            "localizer.unfreeze: there is no part 'P6' here; the parts are backbone, stem",
        ),
        ("localizer: {unfreeze: {P5: -1}}", "localizer.unfreeze.P5 is -1"),
        ("localizer: {unfreeze: {P5: 1}, freeze: true}", "localizer: freeze trains neck and head alone"),
        ("detector: {lr_multipliers: {body: 1}}", "detector.lr_multipliers: there is no part 'body'"),
        ("detector: {lr_multipliers: {neck: 0}}", "detector.lr_multipliers.neck is 0: give a number above 0"),
        ("detector: {batch_norm: fixed}", "detector.batch_norm is 'fixed'"),
        ("detector: {ema: 1}", "detector.ema is 1"),
        ("detector: {clip_norm: 0}", "detector.clip_norm is 0"),
        ("variants: {a b: random, a-b: imagenet}", "'a b' and 'a-b' would share the folder 'a-b'"),
        ("variants: {a: {pretain: {}}}", r"'variants.a.pretain'; did you mean 'pretrain'\?"),
        ("variants: {a: {pretrain: {temperature: 0}}}", "variants.a.pretrain.temperature is 0"),
        (
            "variants: {a: {pretrain: {dense: {level: P3}}}}",
            r"'variants.a.pretrain.dense.level'; did you mean 'levels'\?",
        ),
        ("variants: {a: {supervised: []}}", "variants.a.supervised names no class"),
        ("frozen: {levels: [P3, P5]}", r"levels are \[P3, P5\]; a localizer's neck takes"),
        ("localizer: {levels: [P6]}", r"levels are \[P6\]; a localizer's neck takes"),
        ("frozen: {variants: [x]}", "frozen.variants is 'x'; the variants are self-supervised, random start"),
        ("frozen: {variants: [random start]}", "'self-supervised' is measured by nothing"),
        ("compare: {baseline: x}", "compare.baseline is 'x'; the variants are"),
        ("compare: {labels: [3, 3]}", r"compare.labels are \[3, 3\]; give each once"),
        ("compare: {labels: [0]}", "compare.labels.0 is 0"),
        ("compare: {seeds: 0}", "compare.seeds is 0"),
        ("compare: {split: tuning}", "there are no images for it; give compare.tuning_images"),
        ("compare: {sanity_check: {good: x, poor: random start}}", "compare.sanity_check.good is 'x'"),
        ("compare: {sanity_check: {good: self-supervised, poor: random start}}", "add a section 'frozen:'"),
        ("data: {train: x, count: 3}\nlocalizer: {labels: [2]}", "both choose labels"),
    ],
)
def test_configuration_is_refused_when_key_or_value_is_wrong(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_config(written(tmp_path, text))


def test_all_problems_are_reported_at_once_when_there_are_several(tmp_path, monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    path = written(
        tmp_path,
        "data: {unlabeled: [$NOWHERE]}\npretrain: {epochs: 0, epoch: 3}\ndetector: {kind: yolo}\n"
        "variants: {a: {supervised: 3}}\n",
    )
    with pytest.raises(UserError) as caught:
        read_config(path)
    first, *problems = caught.value.shell.splitlines()
    assert first == f"{path}: 5 problems"
    names = ["NOWHERE", "pretrain.epochs is 0", "'pretrain.epoch'", "detector.kind", "variants.a.supervised is 3"]
    assert all(name in problem for name, problem in zip(names, problems, strict=True))
    grid = (
        "variants: {a: {start: b, pretrain: {dense: {level: P3}}}, b: random}\ncompare: {baseline: x, split: tuning}\n"
    )
    with pytest.raises(UserError) as caught:
        read_config(written(tmp_path, grid))
    names = ["'variants.a.pretrain.dense.level'", "variants.a.start is 'b'", "compare.baseline is 'x'", "compare.split"]
    assert all(name in problem for name, problem in zip(names, str(caught.value).splitlines()[1:], strict=True))


def test_configuration_is_refused_when_file_is_missing(tmp_path):
    with pytest.raises(UserError, match="there is no configuration"):
        read_config(tmp_path / "none.yaml")


def test_variant_is_a_word_or_a_start_with_changes_of_the_pretraining(tmp_path):
    variants = "{a: self-supervised, b: random, c: w.npz, d: {start: w.npz, pretrain: {dense: {}}}}"
    text = f"pretrain: {{epochs: 7}}\nvariants: {variants}\n"
    config = read_config(written(tmp_path, text))
    assert [(variant.start, variant.pretrain) for variant in config.variants.values()] == [
        ("random", {}),
        ("random", None),
        ("w.npz", None),
        ("w.npz", {"dense": {}}),
    ]
    changed = changed_section(config.pretrain, config.variants["d"].pretrain, "d")
    assert (changed.epochs, changed.dense.levels) == (7, ["P4", "P5"])
    assert config.pretrain.dense is None
    again = read_config(written(tmp_path, json.dumps(config.model_dump(mode="json"))))
    assert again == config  # as a run's config.yaml is read


def test_augmentation_is_that_of_box_augmentation_and_off_for_a_localizer_without_its_section(tmp_path):
    from kerassl.augment import BoxAugmentation

    assert read_config(None, {"localizer": {}}).localizer.augmentation is None
    config = read_config(written(tmp_path, "detector: {}\nlocalizer: {augmentation: {zoom: 0.1}}"))
    own = BoxAugmentation(**config.detector.augmentation.model_dump()).get_config()
    assert own == BoxAugmentation().get_config()
    one = BoxAugmentation(**config.localizer.augmentation.model_dump()).get_config()
    assert one == BoxAugmentation(zoom=0.1, min_visibility=0.7).get_config()


def numbers(section, place=()):
    """The dotted names of all settings that take a number, in all sections."""
    for name, field in section.model_fields.items():
        options = [field.annotation]
        while any(typing.get_args(each) for each in options):
            options = [part for each in options for part in (typing.get_args(each) or (each,))]
        inner = [each for each in options if isinstance(each, type) and issubclass(each, Section)]
        if inner and typing.get_origin(field.annotation) is not dict:
            yield from numbers(inner[0], (*place, name))
        elif int in options or float in options:
            yield ".".join((*place, name)), field.annotation


NEEDED = {
    "data.train": {"path": "x"}, "pretrain.probe": {"train": "x"},
    "compare.probe": {"train": "x"},
    "compare.sanity_check": {"good": "self-supervised", "poor": "random start"},
}  # fmt: skip


def test_number_is_refused_by_its_name_when_it_is_out_of_range():
    found = list(numbers(Config))
    assert len(found) > 80
    for name, annotation in found:
        for value in (float("nan"), float("inf"), True, 10**30, -3):
            given = [value, value] if "tuple" in str(annotation) else value
            given = [given] if "list" in str(annotation) else {"P5": given} if "dict" in str(annotation) else given
            around = name.rpartition(".")[0]
            flags = {f"{around}.{key}": each for key, each in NEEDED.get(around, {}).items()}
            if value == 10**30 and "float" in str(annotation):
                continue  # a learning rate that large is no use, but a number
            with pytest.raises(UserError, match=name):
                read_config(None, {**flags, name: given})


def test_variants_without_a_start_have_the_weights_of_the_run():
    read = read_config(None, {"weights": "imagenet"})
    assert [variant.start for variant in read.variants.values()] == ["imagenet", "random"]
    again = read_config(None, {"weights": "imagenet", "variants": {"a": "random", "b": {"pretrain": {}}}})
    assert [variant.start for variant in again.variants.values()] == ["random", "imagenet"]
