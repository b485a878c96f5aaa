"""The sections of a configuration: what is accepted, with its default and advice on it."""

import re
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from kerassl import _numbers
from kerassl.callbacks.unfreezing_schedule import check_unfreezing
from kerassl.datasets.class_names import read_class_names
from kerassl.detectors.localizer.levels import check_neck_levels
from kerassl.models.levels import check_levels
from kerassl.optimizers.lr_multipliers import check_lr_multipliers
from kerassl.optimizers.names import check_name
from kerassl.resizing import check_image_size


def _known_stages(schedule):
    check_unfreezing(schedule)
    return schedule


def _number(kind, type_=int):
    return Annotated[type_, pydantic.BeforeValidator(kind)]


Count, CountOrNone = _number(_numbers.COUNT), _number(_numbers.COUNT_OR_NONE)
Seed, ImageSize = _number(_numbers.SEED), _number(check_image_size)
Above0, From0, From1 = (_number(kind, float) for kind in (_numbers.ABOVE_0, _numbers.FROM_0, _numbers.FROM_1))
Share, ShareAbove0, ShareBelow1, ShareHeldOut = (
    _number(kind, float)
    for kind in (_numbers.SHARE, _numbers.SHARE_ABOVE_0, _numbers.SHARE_BELOW_1, _numbers.SHARE_HELD_OUT)
)


def score_or_count(value):
    """Return a share, or "count"."""
    try:
        return value if value == "count" else _numbers.SHARE(value)
    except ValueError:
        raise ValueError("give a number from 0 to 1, or count") from None


Threshold = Annotated[float | Literal["count"], pydantic.BeforeValidator(score_or_count)]
Optimizer = Annotated[str, pydantic.AfterValidator(check_name)]
Levels = Annotated[list[str], pydantic.AfterValidator(lambda levels: list(check_levels(levels)))]
NeckLevels = Annotated[list[str], pydantic.AfterValidator(lambda levels: list(check_neck_levels(levels)))]
LRMultipliers = Annotated[dict[str, Above0], pydantic.AfterValidator(check_lr_multipliers)]
Unfreeze = Annotated[dict[str, CountOrNone | None], pydantic.AfterValidator(_known_stages)]


class Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")


class Scenes(Section):
    """Generated scenes to train and score on, where no images of one's own are named."""

    train: Count = Field(600, description="Labeled images to train on; 600 train a small localizer.")
    val: Count = Field(
        200, description="Labeled images to validate on, and to score on where test is 0; below 200 metrics are noisy."
    )
    test: CountOrNone = Field(0, description="Labeled images to score on.")
    unlabeled: CountOrNone = Field(1000, description="Images without labels; 500 to 5,000.")
    image_size: tuple[Count, Count] = Field((160, 200), description="Height and width in pixels, 64 or more.")
    single_object: bool = Field(True, description="One object an image, which is what a localizer learns from.")
    classes: list[str] | None = Field(None, min_length=1, description="Classes of the objects; null is all eight.")


class Labels(Section):
    """Labeled images. A path alone is short for them."""

    path: str = Field(
        examples=["annotations.json"],
        description="A COCO json, a YOLO data.yaml or folder, a folder of VOC's XML, a CSV of boxes, shards, or "
        "tfds:NAME.",
    )
    images: str | None = Field(None, description="Folder of the images that the labels name; null finds it beside.")
    split: str | None = Field(
        None,
        description="The data's own split, as train, val or test; null is all images, or train where data.val or "
        "data.test are the data's own splits.",
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_a_path(cls, value):
        return {"path": value} if isinstance(value, str) else value


class HeldOut(Section):
    """Labeled images beside those to train on, or a share of these. A path or a share alone is short for them."""

    path: str | None = Field(None, description="As data.train.path.")
    images: str | None = Field(None, description="As data.train.images.")
    split: str | None = Field(None, description="As data.train.split.")
    share: ShareHeldOut | None = Field(
        None,
        description="Share of data.train to hold out, in place of a path; 0.1 to 0.2. It is stratified, and no seed "
        "changes it.",
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_a_path_or_share(cls, value):
        if isinstance(value, str):
            return {"path": value}
        return {"share": value} if isinstance(value, (int, float)) else value

    @pydantic.model_validator(mode="after")
    def _one_of_them(self):
        if self.share is not None and self.path is not None:
            raise ValueError("path and share are both given; give one of them")
        if self.path is None and (self.images is not None or self.split is not None):
            raise ValueError("images and split belong to a path; give path, too")
        return self


class Data(Section):
    """Images and labels."""

    train: Labels | None = Field(None, description="Labeled images to train on.")
    val: HeldOut | None = Field(
        None,
        description="Labeled images that the best epoch is chosen on. Null is the data's own split val; where "
        "there are neither these nor data.test, 0.1 of data.train.",
    )
    test: HeldOut | None = Field(
        None,
        description="Labeled images to score on. Null is the data's own split test; where there are neither these nor "
        "data.val, 0.2 of data.train; and else the images of data.val.",
    )
    unlabeled: list[str] = Field(
        [], description="Folders or files of images without labels; a few thousand at least, best like yours."
    )
    classes: list[str] | None = Field(
        None,
        description="Class names to read, in your order, or a file of them (one a line, or a data.yaml); null is all.",
    )
    count: Count | None = Field(None, description="Training images whose labels are used, a stratified subset by seed.")
    fraction: ShareAbove0 | None = Field(
        None, description="Share of the training images whose labels are used, above 0 to 1; instead of count."
    )
    group_by: str | None = Field(
        None,
        description="Regular expression on file names; shares of train keep together the images for which it matches "
        "the same text, as the frames of a video by '^[a-z]+[0-9]+'.",
    )
    scenes: Scenes | None = Field(None, description="Generated scenes, where there are no images of your own.")
    use_training_images: bool = Field(
        True, description="Pre-train on the images of data.train, too, without their labels."
    )
    allow_broken_labels: bool = Field(
        False, description="Leave out labels that cannot be read even if they are more than a tenth."
    )

    @pydantic.field_validator("classes", mode="before")
    @classmethod
    def _names(cls, value):
        return value if value is None else read_class_names(value)

    @pydantic.field_validator("group_by")
    @classmethod
    def _expression(cls, value):
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"it is no regular expression ({error})") from None
        return value

    @pydantic.model_validator(mode="after")
    def _parts(self):
        for name in ("val", "test"):
            part = getattr(self, name)
            if part is not None and part.path is None and part.share is None:
                setattr(self, name, None)
        return self


class LabeledFolder(Section):
    """Labeled images in a folder, by which features are scored."""

    train: str = Field(examples=["labeled/train"], description="A folder with a sub-folder for each class.")
    test: str | None = Field(None, description="Such a folder to score on; null holds out a part of train.")


class Probe(LabeledFolder):
    """Scores of the features while they are learned."""

    every: Count = Field(1, description="Epochs between scores; 1 to 10.")


class Dense(Section):
    """Contrast of locations beside that of whole images, for detectors: `models.DenseSimCLR`."""

    levels: Levels = Field(["P4", "P5"], description="Feature maps that are contrasted, of P3, P4 and P5.")
    weight: Share = Field(0.5, description="Share of the dense loss, 0 to 1; 0.5 weighs both alike.")
    temperature: Above0 | None = Field(None, description="0.1 to 0.2; null is that of whole images.")
    locations_per_image: Count = Field(
        16, description="Locations of a view that are drawn at each level and step, at most; 8 to 32."
    )
    min_negative_distance: From1 | None = Field(
        None,
        description="Locations of an image further apart than so many strides are negatives, too; null takes none.",
    )


class ViewTraining(Section):
    """Training of a backbone on random views of images without labels."""

    image_size: ImageSize = Field(
        96, description="Side of the views in pixels, a multiple of 32; 96 to 128 on a CPU, 224 on a GPU."
    )
    load_size: ImageSize | None = Field(
        None, description="Side to which images are read before views are cut; null is image_size + 32."
    )
    cache: str | None = Field(
        None, description="memory or a folder: decode each image once and keep it at its load size; null does not."
    )
    batch_size: Count = Field(
        64, description="Images a step; 64 fits 24 GiB of memory on a CPU, more gives more negatives."
    )
    epochs: Count = Field(
        10,
        description="Passes over the images; contrastive learning wants many. If left out, kerassl pretrain takes as "
        "many as see 100,000 images, 10 to 200.",
    )
    optimizer: Optimizer = Field(
        "lars", description="lars, lamb, adamw or, with tensorflow-addons, tfa/NAME; adamw for small batches."
    )
    learning_rate: Above0 | None = Field(
        None, description="Peak of the schedule; null is LARS's 0.075 * sqrt(batch_size), or 0.001 of other optimizers."
    )
    weight_decay: From0 | None = Field(None, description="0 to 0.05; null is the optimizer's own.")
    warmup: ShareBelow1 = Field(0.1, description="Share of the steps in which the learning rate rises; 0.01 to 0.1.")
    smallest_crop: ShareAbove0 = Field(
        0.08, description="Smallest share of the image in a view; 0.08 as in SimCLR, 0.2 to 0.5 for small networks."
    )
    strength: From0 = Field(1.0, description="Strength of the color jitter; 1 as in SimCLR, 0.5 for small networks.")
    unfreeze: Unfreeze = Field(
        {},
        description="Epochs for which stages of the backbone are frozen, as {stem: null, P3: 5}; null is to the end.",
    )
    batch_norm: Literal["trained", "frozen"] = Field(
        "trained", description="frozen keeps the batch normalization of the weights that training starts from."
    )
    probe: Probe | None = Field(None, description="Score the features on labeled images while they are learned.")


class Pretrain(ViewTraining):
    """Self-supervised pre-training of a backbone (SimCLR)."""

    temperature: Above0 = Field(0.1, description="0.1 to 0.2; lower weights near negatives more and is less stable.")
    decoupled: bool = Field(
        False, description="Leave the positive out of the denominator, which helps with small batches."
    )
    projection_dim: Count = Field(128, description="Channels of the embeddings that are contrasted; 128 to 256.")
    hidden_dim: Count | None = Field(
        None,
        description="Hidden channels of the projection head; null is the backbone's channels, 2048 helps small ones.",
    )
    dense: Dense | None = Field(None, description="Contrast of locations, too; null is SimCLR on whole images alone.")


class Distill(ViewTraining):
    """Distillation of a teacher's feature maps into a backbone: `models.FeatureDistillation`."""

    teacher: str | None = Field(
        None,
        description="Network whose features are learned: a name, as MobileNet; a .keras file of a network from images "
        "in [0, 255] to feature maps; or a preset of KerasHub, as kerashub:dinov2_small, which saw no labels.",
    )
    teacher_weights: str | None = Field(
        None,
        description="Weights of a teacher that is a name: imagenet (Keras's own, which saw labels), random, or a "
        ".keras, .weights.h5, .h5 or .npz file; null is imagenet.",
    )
    teacher_cut_at: str | None = Field(
        None, description="Layer after which such a teacher is cut, as conv_pw_12_relu; null is its last feature map."
    )
    teacher_image_size: Count | None = Field(
        None, description="Side in pixels of the images of a preset of KerasHub; null is 224 for DINOv2, else its own."
    )
    levels: Levels = Field(["P4", "P5"], description="Feature maps that are learned, of P3, P4 and P5.")
    contrast: Literal["global", "dense"] | None = Field(
        None, description="Contrast of whole images, or of locations, beside distillation; null is none."
    )
    contrast_weight: Share = Field(
        0.1, description="Share of the contrast in the loss, 0 to 1; 0.05 to 0.2, as its loss is larger."
    )
    temperature: Above0 = Field(0.1, description="Temperature of the contrast; 0.1 to 0.2.")
    measured_images: Count = Field(
        2000, description="At most so many images on which the teacher's features are measured before; 1,000 to 5,000."
    )
    batch_size: Count = Field(64, description="Images a step; 32 to 128.")
    epochs: Count = Field(25, description="Passes over the images; 25 to 200.")
    optimizer: Optimizer = Field("adamw", description="adamw, lamb, lars or, with tensorflow-addons, tfa/NAME.")
    learning_rate: Above0 | None = Field(
        2e-3, description="Peak of the schedule; null is LARS's 0.075 * sqrt(batch_size), or 0.001 of other optimizers."
    )
    smallest_crop: ShareAbove0 = Field(0.2, description="Smallest share of the image in a view; 0.2 to 0.5.")
    strength: From0 = Field(0.5, description="Strength of the color jitter; 0 to 1.")


_Range = tuple[Above0, Above0]


class ObjectAugmentation(Section):
    """Box augmentation of training images for a localizer: `augment.BoxAugmentation`."""

    flip: Share = Field(0.5, description="Probability of a horizontal flip.")
    zoom: Share = Field(0.5, description="Probability of a zoom.")
    zoom_range: _Range = Field((0.5, 1.5), description="Least and largest factor of a zoom; below 1 pads the image.")
    crop: Share = Field(0.5, description="Probability of a crop.")
    scale: _Range = Field((0.3, 1.0), description="Least and largest share of the image in a crop.")
    ratio: _Range = Field((0.5, 2.0), description="Least and largest aspect ratio of a crop.")
    jitter: Share = Field(0.8, description="Probability of color jitter.")
    strength: From0 = Field(0.25, description="Strength of the color jitter; 0 to 1.")
    min_visibility: Share = Field(
        0.7, description="Share of a box that a crop must keep; the one object of a localizer stays nearly whole."
    )
    min_size: From0 = Field(2.0, description="Least side in pixels of a box that is kept.")


class BoxAugmentation(ObjectAugmentation):
    """Box augmentation of training images for a detector."""

    mosaic: Share = Field(0.0, description="Probability of putting four images into one; 0 to 0.5.")
    min_visibility: Share = Field(0.3, description="Share of a box that a crop must keep.")


class Neck(Section):
    """Training of neck and box head on pseudo-boxes, before labels.

    `detectors.pretrain_neck` of a detector, `detectors.pretrain_localizer` of a localizer.
    """

    epochs: Count = Field(3, description="Passes over the images; 2 to 5.")
    learning_rate: Above0 = Field(1e-3, description="Peak of the schedule.")
    images: Count = Field(2000, description="At most so many of the images of pre-training; 2,000 to 5,000.")


class Protocol(Section):
    """A protocol of a comparison; null is what the section `compare` says."""

    labels: list[Count | None] | None = Field(
        None, min_length=1, description="Numbers of labeled images, as [100, 1000]; null in the list is all."
    )
    seeds: Count | None = Field(None, description="Number of seeds; 3 and more for an interval.")
    variants: list[str] | None = Field(None, min_length=1, description="Names of variants; null is all.")
    neck: Neck | None = Field(
        None,
        description="Train neck and box head on pseudo-boxes first; null does not. A variant's own setting wins.",
    )


class Frozen(Protocol):
    """A localizer's neck and head on features that are computed once for each variant: `detectors.fit_frozen`."""

    image_size: ImageSize = Field(224, description="Side in pixels, a multiple of 32; 160 to 320.")
    batch_size: Count = Field(32, description="Images a step; 16 to 64.")
    epochs: Count = Field(12, description="Passes over the labeled images; 10 to 50, more for fewer.")
    learning_rate: Above0 = Field(1e-3, description="Peak of the schedule.")
    num_filters: Count = Field(128, description="Channels of neck and head; 64 to 256.")
    levels: NeckLevels = Field(
        ["P4", "P5"],
        description="What the neck takes of the backbone: one of P3, P4 and P5, or neighbors, as [P3, P4].",
    )
    batch_norm: Literal["frozen", "re-estimated"] = Field(
        "frozen",
        description="re-estimated computes the backbone's moving statistics again, on images without labels at "
        "image_size. A variant's own setting wins.",
    )


class Finetune(Protocol):
    """Training of a whole network on labels."""

    image_size: ImageSize = Field(
        128, description="Side in pixels, a multiple of 32; 128 to 160 on a CPU, 512 on a GPU."
    )
    batch_size: Count = Field(16, description="Images a step; 8 to 32.")
    epochs: Count = Field(10, description="Passes over the labeled images; 10 to 100, more for fewer.")
    optimizer: Optimizer = Field("adamw", description="adamw, lamb, lars or, with tensorflow-addons, tfa/NAME.")
    learning_rate: Above0 = Field(1e-3, description="Peak of the schedule; 0.0003 to 0.002 with adamw.")
    lr_multipliers: LRMultipliers = Field(
        {},
        description="Multipliers of learning_rate by part, as {backbone: 0.1}: backbone, or its stages stem, P3, P4, "
        "P5, neck, head. 0.1 to 0.3 for a pre-trained backbone.",
    )
    warmup: ShareBelow1 = Field(0.05, description="Share of the steps in which the learning rate rises; 0.01 to 0.1.")
    weight_decay: From0 | None = Field(None, description="0 to 0.05; null is 0.0001.")
    clip_norm: Above0 | None = Field(10.0, description="Global norm that gradients are clipped to; null does not clip.")
    freeze: bool = Field(False, description="Train neck and head alone.")
    evaluate_every: Count | None = Field(
        None,
        description="Epochs between scores of the images of data.val, by which the best epoch is kept; null is a tenth "
        "of the epochs.",
    )
    augmentation: ObjectAugmentation | None = Field(
        None, description="Box augmentation, {} for its defaults; null flips alone. kerassl views --data draws it."
    )
    erase: str | None = Field(
        None,
        description="A file of regions to paint over in every training image, as regions.json of kerassl audit.",
    )
    unfreeze: Unfreeze = Field(
        {},
        description="Epochs for which stages of the backbone are frozen, as {P5: 1, P4: 2, P3: 3, stem: null}; null is "
        "to the end.",
    )
    batch_norm: Literal["trained", "frozen", "re-estimated"] = Field(
        "trained",
        description="frozen keeps that of the backbone; re-estimated computes moving statistics again before scoring.",
    )
    ema: ShareBelow1 | None = Field(
        None,
        description="Decay of a moving average of the weights, which is scored and saved; 0.99 to 0.999.",
    )

    @pydantic.model_validator(mode="after")
    def _one_way_to_freeze(self):
        if self.freeze and self.unfreeze:
            raise ValueError("freeze trains neck and head alone and unfreeze trains it later; give one of them")
        return self


class Localizer(Finetune):
    """A localizer: the box and the class of the largest object."""

    levels: NeckLevels = Field(
        ["P4", "P5"],
        description="What the neck takes of the backbone: one of P3, P4 and P5, or neighbors, as [P3, P4].",
    )


class Detector(Finetune):
    """A detector: boxes and classes of all objects. The defaults were chosen with 300 labeled images."""

    kind: Literal["retinanet", "yolov8"] = Field("yolov8", description="yolov8 learns faster from few labels.")
    num_filters: Count | None = Field(
        64,
        description="Channels of YOLOV8's neck or of RetinaNet's heads; 64 to 128 are faster, null is 128 or 256.",
    )
    image_size: ImageSize = Field(160, description="Side in pixels, a multiple of 32; 160 on a CPU, 512 on a GPU.")
    epochs: Count = Field(
        32, description="Passes over the labeled images; as many as make 10,000 to 30,000 images, the more the better."
    )
    learning_rate: Above0 = Field(2e-3, description="Peak of the schedule; 0.001 to 0.002 with adamw.")
    lr_multipliers: LRMultipliers = Field(
        {"backbone": 0.1},
        description="Multipliers of learning_rate by part: backbone, or its stages stem, P3, P4, P5, neck, head. 0.1 "
        "to 0.3 for a pre-trained backbone, {} for a random one, as which finetune --weights random has it.",
    )
    augmentation: BoxAugmentation | None = Field(
        default_factory=BoxAugmentation,
        description="Box augmentation; null flips alone. kerassl views --data draws it.",
    )
    ema: ShareBelow1 | None = Field(
        0.998,
        description="Decay of a moving average of the weights, which is scored and saved; 0.99 to 0.999. It averages "
        "over the last tenth of a short run.",
    )


class Teacher(Section):
    """The detector that labels images: one that is trained on the labels first, or a file."""

    detector: str | None = Field(None, description="A detector.keras that labels; null is one that is trained first.")
    image_size: ImageSize | None = Field(
        None, description="Side in pixels, a multiple of 32; null is about 1.4 times that of the section detector."
    )
    backbone: str | None = Field(None, description="Network, which may be larger; null is the student's.")
    weights: str | None = Field(
        None, description="What backbone starts with; null is imagenet, or the student's start where backbone is null."
    )
    merged: Literal[1, 2] = Field(
        1, description="2 trains a second teacher by another seed, and merges the detections of both: twice the time."
    )

    @pydantic.model_validator(mode="after")
    def _trained_or_a_file(self):
        if self.detector is not None and any((self.image_size, self.backbone, self.weights, self.merged > 1)):
            raise ValueError("detector is trained already; leave image_size, backbone, weights and merged out")
        return self


class SelfTrain(Section):
    """Training of a student on labeled images and on those that a teacher labels; both by the section detector."""

    threshold: Threshold = Field(
        "count",
        description="count expects as many boxes of each class per image as in the labeled images: the best quarter of "
        "them are labels, the others ignored; or the lowest score of a label, as 0.3.",
    )
    mirror: bool = Field(False, description="Also detect in the mirror images, and merge: twice the time of labeling.")
    weight_by_score: bool = Field(False, description="Let a box count in training as much as it scores.")
    least_agreement: Share | None = Field(
        None,
        description="With mirror, or two teachers: boxes on which these agree less (IoU) train their class alone; 0.8 "
        "is usual.",
    )
    background: From0 = Field(1.0, description="Weight of the background in images that the teacher labels; 0.5 to 1.")
    keep_empty: bool = Field(False, description="Also train on images in which the teacher finds nothing.")
    empty_background: From0 = Field(1.0, description="With keep_empty: weight of the background of these; 0.05 to 1.")
    keep_foreign: bool = Field(
        True, description="Keep images that are unlike the labeled ones, by the teacher's features."
    )
    rounds: Literal[1, 2] = Field(1, description="2 labels the images again with the student, for a second student.")
    second_threshold: Threshold | None = Field(
        None, description="With rounds 2: threshold of the second labels, whose scores are higher; null is the first."
    )
    repeat: Count | None = Field(
        None,
        description="How often a labeled image is seen while one that the teacher labels is seen once; null makes them "
        "half of a batch in the mean.",
    )
    student_start: Literal["start", "teacher"] = Field(
        "start", description="Begin a student as its teacher began, or teacher to continue the training of that."
    )
    length: Above0 = Field(
        2.5, description="Images that a student sees, as a multiple of those that detector.epochs are; 1 to 4."
    )
    control: bool = Field(
        False,
        description="Also train on the labels alone, for as many images as teacher, labeling and students together.",
    )
    teacher: Teacher = Field(default_factory=Teacher, description="The detector that labels images.")

    @pydantic.model_validator(mode="after")
    def _agreement_needs_mirrors(self):
        if self.least_agreement is not None and not self.mirror and (self.teacher.merged == 1 or self.rounds > 1):
            raise ValueError("least_agreement is for images that are also mirrored; give mirror, or leave it out")
        if self.second_threshold is not None and self.rounds == 1:
            raise ValueError("second_threshold is for a second round; give rounds 2, or leave it out")
        return self


class Explain(Section):
    """Images that the report of a comparison draws."""

    images: Count = Field(4, description="Test images with boxes and class activation maps; 4 to 8.")
    level: Literal["P3", "P4", "P5"] = Field("P5", description="Feature map of the class activation maps.")


class Variant(Section):
    """One network of a comparison: how its backbone begins, and what it learns before it sees labels."""

    start: str = Field(
        "random",
        description="random, imagenet, a file of weights, or the name of a variant above, whose training continues; "
        "left out, it is weights.",
    )
    pretrain: dict | None = Field(
        None, description="Changes over the section pretrain; {} is the section as it is, null no pre-training."
    )
    distill: dict | None = Field(
        None,
        description="In place of pretrain: changes over the section distill, as {teacher: MobileNet}; null distills "
        "nothing.",
    )
    supervised: bool | list[str] = Field(
        False, description="Pre-train by the labels of the images instead of contrast; a list names the classes."
    )
    neck: Neck | None = Field(
        None, description="Train neck and box head on pseudo-boxes first; null is what the protocols' sections say."
    )
    batch_norm: Literal["frozen", "re-estimated"] | None = Field(
        None, description="That of its frozen features; null is what the section frozen says."
    )
    self_train: dict | None = Field(
        None,
        description="Self-train its detector: changes over the section self_train, {} is the section as it is; null "
        "trains on labels alone.",
    )
    control_of: str | None = Field(
        None,
        description="A self-trained variant above: train a detector on labels alone, for as many images as that one "
        "and its teacher see.",
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_a_word(cls, value):
        if isinstance(value, str):
            return {"pretrain": {}} if value == "self-supervised" else {"start": value}
        return value

    @pydantic.model_validator(mode="after")
    def _one_way_to_learn(self):
        if self.distill is not None and (self.pretrain is not None or self.supervised):
            raise ValueError("distill and pretrain are both given; give one to a variant that starts from this one")
        if self.supervised and self.pretrain is None:
            self.pretrain = {}
        return self


class SanityCheck(Section):
    """Two variants that a metric must tell apart before it is believed, and by how many points."""

    good: str = Field(examples=["self-supervised"], description="The variant that must be better.")
    poor: str = Field(examples=["random start"], description="The variant that must be worse, as a random start.")
    mean_iou: From0 = Field(8, description="Points of mean IoU between them.")
    loc_acc_70: From0 = Field(12, description="Points of LocAcc@0.7 between them.")


class Compare(Section):
    """The grid of a comparison: variants, numbers of labels and seeds."""

    labels: list[Count | None] = Field(
        [None], min_length=1, description="Numbers of labeled images, as [100, 1000]; null in the list is all."
    )
    seeds: Count = Field(1, description="Number of seeds, from the run's seed on; 3 and more for an interval.")
    baseline: str | None = Field(None, description="The variant that the others are compared with; null is the last.")
    skip: list[str] = Field([], description="Variants to leave out, as one that failed; what was done of them is kept.")
    tuning_images: CountOrNone | None = Field(
        None, description="Images of the test split for tuning, of which no figure is reported; 200, null is none."
    )
    split: Literal["report", "tuning"] = Field(
        "report", description="report scores the images that no setting was chosen on, tuning those of tuning_images."
    )
    probe: LabeledFolder | None = Field(
        None, description="Labeled images of another kind for Top-1 and Top-3 of the features, once a variant."
    )
    sanity_check: SanityCheck | None = Field(
        None, description="Two variants that a metric must tell apart before it is believed."
    )

    @pydantic.field_validator("labels", mode="before")
    @classmethod
    def _all_labels(cls, value):
        return [None] if value is None else value
