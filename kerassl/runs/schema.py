"""The sections of a configuration, and what is accepted in each."""

from typing import Annotated, Literal

import pydantic

from kerassl import _numbers, optimizers
from kerassl.callbacks.unfreezing_schedule import check_thaw
from kerassl.datasets.class_names import class_names
from kerassl.detectors.localizer.levels import check_neck_levels
from kerassl.models.levels import check_dense_levels
from kerassl.optimizers.part_rates import check_learning_rates
from kerassl.resizing import check_image_size


def _known_optimizer(name):
    return optimizers.check_name(name)


def _known_levels(levels):
    return list(check_dense_levels(levels))


def _known_neck(levels):
    return list(check_neck_levels(levels))


def _known_rates(rates):
    return check_learning_rates(rates)


def _known_stages(schedule):
    check_thaw(schedule)
    return schedule


def _number(kind, type_=int):
    return Annotated[type_, pydantic.BeforeValidator(kind)]


Count, CountOrNone = _number(_numbers.COUNT), _number(_numbers.COUNT_OR_NONE)
Seed, Year, ImageSize = _number(_numbers.SEED), _number(_numbers.YEAR), _number(check_image_size)
Above0, From0, From1 = (_number(kind, float) for kind in (_numbers.ABOVE_0, _numbers.FROM_0, _numbers.FROM_1))
Share, ShareAbove0, ShareBelow1 = (
    _number(kind, float) for kind in (_numbers.SHARE, _numbers.SHARE_ABOVE_0, _numbers.SHARE_BELOW_1)
)
Optimizer = Annotated[str, pydantic.AfterValidator(_known_optimizer)]
Levels = Annotated[list[str], pydantic.AfterValidator(_known_levels)]
NeckLevels = Annotated[list[str], pydantic.AfterValidator(_known_neck)]
LearningRates = Annotated[dict[str, Above0], pydantic.AfterValidator(_known_rates)]
Thaw = Annotated[dict[str, CountOrNone | None], pydantic.AfterValidator(_known_stages)]


PROTOCOLS = ("frozen", "localizer", "detector")
"""The sections that measure a variant, from the quickest to the slowest."""


class Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")


class Scenes(Section):
    """Generated scenes to work on, where no images of one's own are named."""

    train: Count = 600
    val: Count = 200
    unlabelled: CountOrNone = 1000
    single_object: bool = True


class Voc(Section):
    """A VOCdevkit: labels to fine-tune on and to score on."""

    # The VOCdevkit, or a folder that holds JPEGImages and Annotations itself; year is then left out.
    root: str
    # None is the only year that there is.
    year: Year | None = None
    train: str = "train"
    test: str = "val"
    # Names, or a file of them: a text file with one a line, or a data.yaml.
    classes: list[str] | None = None
    count: Count | None = None
    fraction: ShareAbove0 | None = None

    @pydantic.field_validator("classes", mode="before")
    @classmethod
    def _names(cls, value):
        return value if value is None else class_names(value)

    def title(self, split):
        """What a page calls a split."""
        return split if self.year is None else f"{self.year} {split}"


class Data(Section):
    images: list[str] = []
    voc: Voc | None = None
    scenes: Scenes | None = None
    # Pre-train on the images of the training split too, without their labels.
    use_training_images: bool = True
    # Leave out unreadable labels even if they are more than a tenth.
    allow_broken_labels: bool = False


class LabeledFolder(Section):
    """Labeled images, a sub-folder for each class, by which features are judged."""

    train: str
    test: str | None = None


class Probe(LabeledFolder):
    """The same while the features are learned."""

    every: Count = 1


class Dense(Section):
    """Contrast of the places of images beside that of whole images, for detectors: `models.DenseSimCLR`."""

    levels: Levels = ["P4", "P5"]
    # The share of the dense loss; 0.5 weighs both alike.
    weight: Share = 0.5
    # None is the temperature of the whole images.
    temperature: Above0 | None = None
    # How many cells of a view are drawn at each level and step, at most.
    cells_per_image: Count = 16
    # Cells of the same image that lie further apart than so many cells are negatives, too; null takes none of it.
    apart: From1 | None = None


class Pretrain(Section):
    image_size: ImageSize = 96
    load_size: ImageSize | None = None
    # "memory" or a folder: decode each photograph once and keep it at its load size.
    cache: str | None = None
    batch_size: Count = 64
    epochs: Count = 10
    optimizer: Optimizer = "lars"
    learning_rate: Above0 | None = None
    weight_decay: From0 | None = None
    warmup: ShareBelow1 = 0.1
    temperature: Above0 = 0.1
    decoupled: bool = False
    projection_dim: Count = 128
    hidden_dim: Count | None = None
    smallest_crop: ShareAbove0 = 0.08
    strength: From0 = 1.0
    # For how many epochs stages of the backbone are frozen, as {stem: null, P3: 5}; null is to the end.
    thaw: Thaw = {}
    # "frozen" holds that of the weights that it starts from.
    batch_norm: Literal["trained", "frozen"] = "trained"
    # Without the section: SimCLR's contrast of whole images alone.
    dense: Dense | None = None
    probe: Probe | None = None


_Range = tuple[Above0, Above0]


class ObjectAugmentation(Section):
    """What `augment.BoxAugmentation` does to training images, for a localiser; without the section: flips alone."""

    flip: Share = 0.5
    zoom: Share = 0.5
    zoom_range: _Range = (0.5, 1.5)
    crop: Share = 0.5
    crop_area: _Range = (0.3, 1.0)
    aspect: _Range = (0.5, 2.0)
    jitter: Share = 0.8
    strength: From0 = 0.25
    # The one object that is asked for stays nearly whole.
    visible: Share = 0.7
    smallest: From0 = 2.0


class BoxAugmentation(ObjectAugmentation):
    """The same for a detector."""

    mosaic: Share = 0.0
    visible: Share = 0.3


class Neck(Section):
    """Train neck and box head first, on boxes that the backbone draws without labels.

    `detectors.pretrain_neck` of a detector, `detectors.pretrain_localizer` of a localiser.
    """

    epochs: Count = 3
    learning_rate: Above0 = 1e-3
    # At most so many of the images that pre-training may use.
    images: Count = 2000


class Protocol(Section):
    """What of a comparison's grid a way of measuring takes: null is what the section `compare` says."""

    # How many images' labels are used; null in the list is all.
    labels: list[Count | None] | None = pydantic.Field(None, min_length=1)
    seeds: Count | None = None
    # Names of variants; null is all.
    variants: list[str] | None = pydantic.Field(None, min_length=1)
    # Without the section: neck and head begin at random. A variant's own goes before.
    neck: Neck | None = None


class Frozen(Protocol):
    """A localiser's neck and head on features that are computed once for each variant: `detectors.fit_frozen`."""

    image_size: ImageSize = 224
    batch_size: Count = 32
    epochs: Count = 12
    learning_rate: Above0 = 1e-3
    width: Count = 128
    # What the neck takes of the backbone: one of P3, P4 and P5, or neighbours, as [P3, P4].
    levels: NeckLevels = ["P4", "P5"]
    # "re-estimated" measures the backbone's moving statistics anew, on images without labels at `image_size`.
    # A variant's own goes before.
    batch_norm: Literal["frozen", "re-estimated"] = "frozen"


class Finetune(Protocol):
    image_size: ImageSize = 128
    batch_size: Count = 16
    epochs: Count = 10
    optimizer: Optimizer = "adamw"
    learning_rate: Above0 = 1e-3
    # Factors by part, as {backbone: 0.1}: backbone, or its stages stem, P3, P4 and P5, neck, head.
    learning_rates: LearningRates = {}
    # The share of the steps in which the learning rate rises.
    warmup: ShareBelow1 = 0.05
    # None is 1e-4.
    weight_decay: From0 | None = None
    # The global norm that gradients are clipped to; null does not clip.
    clip_norm: Above0 | None = 10.0
    # Train neck and head alone.
    freeze: bool = False
    # Score the test records after every so many epochs, too, into metrics.jsonl; nothing is chosen by it.
    evaluate_every: Count | None = None
    augmentation: ObjectAugmentation | None = None
    # A file of regions that are painted over in every training image, as `kerassl audit` writes regions.json.
    erase: str | None = None
    # For how many epochs stages of the backbone are frozen, as {P5: 1, P4: 2, P3: 3, stem: null}; null is to the end.
    thaw: Thaw = {}
    # "frozen" holds that of the backbone; "re-estimated" measures all moving statistics anew before scoring.
    batch_norm: Literal["trained", "frozen", "re-estimated"] = "trained"
    # The decay of a moving average of the weights, which is scored and saved, as 0.999.
    average: ShareBelow1 | None = None

    @pydantic.model_validator(mode="after")
    def _one_way_to_freeze(self):
        if self.freeze and self.thaw:
            raise ValueError("freeze trains neck and head alone and thaw later more; give one of them")
        return self


class Localizer(Finetune):
    # What the neck takes of the backbone: one of P3, P4 and P5, or neighbours, as [P3, P4].
    levels: NeckLevels = ["P4", "P5"]


class Detector(Finetune):
    kind: Literal["retinanet", "yolov8"] = "retinanet"
    # Channels of RetinaNet's heads or of YOLOV8's neck; null is 256 or 128. Less is quicker.
    width: Count | None = None
    image_size: ImageSize = 160
    augmentation: BoxAugmentation | None = None


class Explain(Section):
    images: Count = 4
    level: Literal["P3", "P4", "P5"] = "P5"


class Variant(Section):
    """One of the networks that are compared: how its backbone begins, and what it learns before it sees labels."""

    # "random", "imagenet", the path of a file of weights, or the name of a variant above, whose training goes on.
    start: str = "random"
    # Changes over the section `pretrain`; {} is the section as it is, null no pre-training.
    pretrain: dict | None = None
    # Pre-train by the photographs' own labels in place of contrast; a list names the classes that are read.
    supervised: bool | list[str] = False
    # Train neck and box head of its localisers and detectors on boxes without labels; null is what their sections say.
    neck: Neck | None = None
    # That of its frozen features; null is what their section says.
    batch_norm: Literal["frozen", "re-estimated"] | None = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_a_word(cls, value):
        if isinstance(value, str):
            return {"pretrain": {}} if value == "self-supervised" else {"start": value}
        return value

    @pydantic.model_validator(mode="after")
    def _labels_need_views(self):
        if self.supervised and self.pretrain is None:
            self.pretrain = {}
        return self


class SanityCheck(Section):
    """Two variants that a measure must tell apart before it is believed, and by how many points."""

    good: str
    poor: str
    mean_iou: From0 = 8
    loc_acc_70: From0 = 12


class Compare(Section):
    """The grid of a comparison: variants, numbers of labels and seeds."""

    # Null in the list is all of them.
    labels: list[Count | None] = pydantic.Field([None], min_length=1)
    # How many, from the run's seed on.
    seeds: Count = 1
    # The variant that the others are held against; null is the last.
    baseline: str | None = None
    # Variants that are left out of a comparison, as one that failed; what was done of them is kept.
    skip: list[str] = []
    # How many images of the test split form the tuning split, to choose settings on; null is none.
    tuning_images: CountOrNone | None = None
    # Score on the images that no setting was chosen on, or on the tuning split.
    split: Literal["report", "tuning"] = "report"
    # Labelled photographs of another kind for Top-1 and Top-3 of the features, once a variant.
    probe: LabeledFolder | None = None
    sanity_check: SanityCheck | None = None

    @pydantic.field_validator("labels", mode="before")
    @classmethod
    def _all_labels(cls, value):
        return [None] if value is None else value
