"""What a run is told: a YAML file, checked key by key, with flags over it."""

import difflib
import os
import pathlib
import re
from typing import Annotated, Literal

import pydantic
import yaml

from kerassl._errors import UserError


def _known_optimizer(name):
    from kerassl import optimizers  # here: it loads TensorFlow, which `--help` can do without

    return optimizers.check_name(name)


def _known_levels(levels):
    from kerassl.models import dense_simclr

    return list(dense_simclr.check_levels(levels))


def _known_rates(rates):
    from kerassl.models import part_rates

    return part_rates.check_learning_rates(rates)


def _known_stages(schedule):
    from kerassl.callbacks import thaw

    thaw.check_thaw(schedule)
    return schedule


Optimizer = Annotated[str, pydantic.AfterValidator(_known_optimizer)]
Levels = Annotated[list[str], pydantic.AfterValidator(_known_levels)]
LearningRates = Annotated[dict[str, float], pydantic.AfterValidator(_known_rates)]
Thaw = Annotated[dict[str, pydantic.NonNegativeInt | None], pydantic.AfterValidator(_known_stages)]


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")


class Scenes(_Section):
    """Generated scenes to work on, where no images of one's own are named."""

    train: pydantic.PositiveInt = 600
    val: pydantic.PositiveInt = 200
    unlabelled: pydantic.NonNegativeInt = 1000
    single_object: bool = True


class Voc(_Section):
    """A VOCdevkit: labels to fine-tune on and to score on."""

    root: str
    year: int = 2007
    train: str = "train"
    test: str = "val"
    classes: list[str] | None = None
    count: pydantic.PositiveInt | None = None
    fraction: float | None = pydantic.Field(None, gt=0, le=1)


class Data(_Section):
    images: list[str] = []
    voc: Voc | None = None
    scenes: Scenes | None = None
    # Pre-train on the images of the training split too, without their labels.
    use_training_images: bool = True


class Probe(_Section):
    """Labelled photographs, a sub-folder a class, by which the features are judged while they are learned."""

    train: str
    test: str | None = None
    every: pydantic.PositiveInt = 1


class Dense(_Section):
    """Contrast of the places of images beside that of whole images, for detectors: `models.DenseSimCLR`."""

    levels: Levels = ["P4", "P5"]
    # The share of the dense loss; 0.5 weighs both alike.
    weight: float = pydantic.Field(0.5, ge=0, le=1)
    # None is the temperature of the whole images.
    temperature: pydantic.PositiveFloat | None = None
    # How many cells of a view are drawn at each level and step, at most.
    cells_per_image: pydantic.PositiveInt = 16


class Pretrain(_Section):
    image_size: int = 96
    load_size: int | None = None
    # "memory" or a folder: decode each photograph once and keep it at its load size.
    cache: str | None = None
    batch_size: pydantic.PositiveInt = 64
    epochs: pydantic.PositiveInt = 10
    optimizer: Optimizer = "lars"
    learning_rate: pydantic.PositiveFloat | None = None
    weight_decay: pydantic.NonNegativeFloat | None = None
    warmup: float = pydantic.Field(0.1, ge=0, lt=1)
    temperature: pydantic.PositiveFloat = 0.1
    decoupled: bool = False
    projection_dim: pydantic.PositiveInt = 128
    hidden_dim: pydantic.PositiveInt | None = None
    smallest_crop: float = pydantic.Field(0.08, gt=0, le=1)
    strength: pydantic.NonNegativeFloat = 1.0
    # Without the section: SimCLR's contrast of whole images alone.
    dense: Dense | None = None
    probe: Probe | None = None


_Share = Annotated[float, pydantic.Field(ge=0, le=1)]
_Range = tuple[pydantic.PositiveFloat, pydantic.PositiveFloat]


class ObjectAugmentation(_Section):
    """What `augment.BoxAugmentation` does to training images, for a localiser; without the section: flips alone."""

    flip: _Share = 0.5
    zoom: _Share = 0.5
    zoom_range: _Range = (0.5, 1.5)
    crop: _Share = 0.5
    crop_area: _Range = (0.3, 1.0)
    aspect: _Range = (0.5, 2.0)
    jitter: _Share = 0.8
    strength: pydantic.NonNegativeFloat = 0.25
    # The one object that is asked for stays nearly whole.
    visible: _Share = 0.7
    smallest: pydantic.NonNegativeFloat = 2.0


class BoxAugmentation(ObjectAugmentation):
    """The same for a detector."""

    mosaic: _Share = 0.0
    visible: _Share = 0.3


class Finetune(_Section):
    image_size: int = 128
    batch_size: pydantic.PositiveInt = 16
    epochs: pydantic.PositiveInt = 10
    optimizer: Optimizer = "adamw"
    learning_rate: pydantic.PositiveFloat = 1e-3
    # Factors by part, as {backbone: 0.1}: backbone, or its stages stem, P3, P4 and P5, neck, head.
    learning_rates: LearningRates = {}
    # The share of the steps in which the learning rate rises.
    warmup: float = pydantic.Field(0.05, ge=0, lt=1)
    # None is 1e-4.
    weight_decay: pydantic.NonNegativeFloat | None = None
    # The global norm that gradients are clipped to; null does not clip.
    clip_norm: pydantic.PositiveFloat | None = 10.0
    # Train neck and head alone.
    freeze: bool = False
    # Score the test records after every so many epochs, too, into metrics.jsonl; nothing is chosen by it.
    evaluate_every: pydantic.PositiveInt | None = None
    augmentation: ObjectAugmentation | None = None
    # A file of regions that are painted over in every training image, as `kerassl audit` writes regions.json.
    erase: str | None = None
    # For how many epochs stages of the backbone are frozen, as {P5: 1, P4: 2, P3: 3, stem: null}; null is to the end.
    thaw: Thaw = {}
    # "frozen" holds that of the backbone; "re-estimated" measures all moving statistics anew before scoring.
    batch_norm: Literal["trained", "frozen", "re-estimated"] = "trained"
    # The decay of a moving average of the weights, which is scored and saved, as 0.999.
    average: float | None = pydantic.Field(None, ge=0, lt=1)

    @pydantic.model_validator(mode="after")
    def _one_way_to_freeze(self):
        if self.freeze and self.thaw:
            raise ValueError("freeze trains neck and head alone and thaw later more; give one of them")
        return self


class Neck(_Section):
    """Train neck and box head first, on boxes that the backbone draws without labels: `detectors.pretrain_neck`."""

    epochs: pydantic.PositiveInt = 3
    learning_rate: pydantic.PositiveFloat = 1e-3
    # At most so many of the images that pre-training may use.
    images: pydantic.PositiveInt = 2000


class Detector(Finetune):
    kind: Literal["retinanet", "yolov8"] = "retinanet"
    # Channels of RetinaNet's heads or of YOLOV8's neck; null is 256 or 128. Less is quicker.
    width: pydantic.PositiveInt | None = None
    image_size: int = 160
    augmentation: BoxAugmentation | None = None
    # Without the section: the neck begins at random.
    neck: Neck | None = None


class Explain(_Section):
    images: pydantic.PositiveInt = 4
    level: Literal["P3", "P4", "P5"] = "P5"


class Config(_Section):
    """All settings of a run. Every command uses the sections that it needs."""

    backbone: str = "EfficientNetB1"
    seed: int = 0
    strategy: Literal["none", "mirrored"] = "none"
    devices: list[str] | None = None
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    data: Data = pydantic.Field(default_factory=Data)
    pretrain: Pretrain = pydantic.Field(default_factory=Pretrain)
    localizer: Finetune | None = None
    detector: Detector | None = None
    explain: Explain = pydantic.Field(default_factory=Explain)
    # How each arm's backbone starts: "self-supervised", "random", "imagenet" or the path of a file of weights.
    arms: dict[str, str] = {"self-supervised": "self-supervised", "random start": "random"}


def read_config(path=None, flags=None):
    """Reads a configuration, puts flags over it and checks every key.

    Args:
        path: str or `pathlib.Path` of a YAML file, or None for the defaults. Environment variables in its values, as
            `${KERASSL_REAL_DATA}`, are expanded.
        flags: dict from dotted key to value, as `{"pretrain.epochs": 3}`; None values are passed over.

    Returns:
        `Config`.

    Raises:
        UserError: if the file is missing or no YAML, a variable is unset, or a key or value is not accepted.
    """
    values = {}
    if path is not None:
        path = pathlib.Path(path)
        if not path.is_file():
            raise UserError(f"there is no configuration {path}; see the files in configs/")
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            where = getattr(error, "problem_mark", None)
            line = f" at line {where.line + 1}" if where else ""
            raise UserError(f"{path} is no YAML{line}: {getattr(error, 'problem', None) or error}") from error
        if not isinstance(values, dict):
            raise UserError(f"{path} must hold sections with keys, as 'pretrain: {{epochs: 10}}'")
        values = _expand(values, path)
    for key, value in (flags or {}).items():
        if value is not None:
            _put(values, key.split("."), value)
    try:
        return Config.model_validate(values)
    except pydantic.ValidationError as error:
        raise UserError(_one_line(error.errors()[0], path or "the flags")) from error


def _put(values, keys, value):
    for key in keys[:-1]:
        if not isinstance(values.get(key), dict):
            values[key] = {}
        values = values[key]
    values[keys[-1]] = value


def _expand(value, path):
    if isinstance(value, dict):
        return {key: _expand(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, path) for item in value]
    if not isinstance(value, str):
        return value
    expanded = os.path.expanduser(os.path.expandvars(value))
    unset = re.search(r"\$\{?(\w+)", expanded)
    if unset:
        raise UserError(f"{path} uses the environment variable {unset[1]}, which is not set; set it or give a path")
    return expanded


def _one_line(problem, path):
    keys = [str(key) for key in problem["loc"]]
    name = ".".join(keys)
    if isinstance(problem["input"], dict) and problem["type"] == "value_error":  # a whole section would be no line
        return f"{path}: {name}: {problem['msg'].removeprefix('Value error, ')}"
    if problem["type"] != "extra_forbidden":
        message = problem["msg"].removeprefix("Value error, ")
        return f"{path}: {name} is {problem['input']!r}: {message[0].lower()}{message[1:]}"
    section = Config
    for key in keys[:-1]:
        section = _section_of(section.model_fields[key].annotation)
    accepted = list(section.model_fields)
    close = difflib.get_close_matches(keys[-1], accepted, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"accepted are {', '.join(accepted)}"
    return f"{path}: there is no setting {name!r}; {hint}"


def _section_of(annotation):
    for option in getattr(annotation, "__args__", (annotation,)):
        if isinstance(option, type) and issubclass(option, _Section):
            return option
    raise TypeError(f"{annotation} is no section")
