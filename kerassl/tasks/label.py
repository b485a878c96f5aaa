"""Images labeled by a detector, in the formats that training and other tools read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import pathlib
import time
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from PIL import Image

from kerassl import detectors
from kerassl._display import verbosity
from kerassl._errors import UserError
from kerassl._io import files, outputs
from kerassl._io.manifest import checksum
from kerassl._lazy import keras
from kerassl.config.sources import open_labels
from kerassl.datasets import DetectionDataset
from kerassl.datasets.duplicates import Duplicate, find_duplicates
from kerassl.datasets.images.reading import read_image
from kerassl.datasets.pipeline.letterboxed import arrays_of
from kerassl.datasets.record import Record
from kerassl.datasets.writing.files import ImageFiles
from kerassl.detectors.model_files import check_model, load
from kerassl.detectors.self_training.foreign import LabeledFeatures
from kerassl.detectors.self_training.labeling_card import CardCounts, LabelingCard
from kerassl.detectors.self_training.merging import merge
from kerassl.detectors.self_training.pseudo_labels import Chosen, PseudoWeights, choose
from kerassl.detectors.self_training.thresholds import Thresholds, count_matched, fixed
from kerassl.metrics.prediction_formats import FORMATS, Predicted, Written, text_stems
from kerassl.tasks.streamed import ImagesJob, Journal, batch_rows, named_images, predict_into, row_arrays
from kerassl.types import Detections

if typing.TYPE_CHECKING:
    from kerassl.detectors.predict import Images

log = logging.getLogger("kerassl")

_IMAGES = {"coco": "images", "yolo": "images", "voc": "JPEGImages"}  # Label Studio serves its own folder
_FLOOR = 0.05  # the lowest score of a label
_EARLY = 96  # images, or seconds, after which a teacher that finds nothing is reported
_SECONDS = 30.0
_COLUMNS, _ROWS, _CELL = 4, 3, (320, 240)  # of the contact sheet


@dataclasses.dataclass(frozen=True)
class WrittenLabels:
    """Labels that a detector gave.

    Attributes:
        folder: `pathlib.Path`; `DetectionDataset.open` and `--data` take it, except for Label Studio's.
        images: int, how many were read.
        broken: int, the images that cannot be read.
        objects: int, the labels.
        ignored: int, the ignored regions.
        empty: int, the images without a label.
        foreign: int, the images that were left out as unlike the labeled ones.
        labeled: int, the images that were left out as people have labeled them.
        alarms: tuple of str, what makes the labels unfit to train with.
    """

    folder: pathlib.Path
    images: int
    broken: int
    objects: int
    ignored: int
    empty: int
    foreign: int
    labeled: int
    alarms: tuple[str, ...]


def label(
    model: str | os.PathLike | keras.Model,
    images: Images,
    *,
    like: DetectionDataset | str | os.PathLike,
    out: str | os.PathLike | None = None,
    like_images: str | os.PathLike | None = None,
    split: str | None = None,
    allow_broken_labels: bool | None = None,
    format: str = "coco",
    threshold: float | str = 0.3,
    mirror: bool = False,
    also: str | os.PathLike | keras.Model | None = None,
    keep_foreign: bool = False,
    weight_by_score: bool = False,
    least_agreement: float | None = None,
    background: float = 1.0,
    empty_background: float = 1.0,
    resume: bool = False,
) -> WrittenLabels | DetectionDataset:
    """Label images with a detector, for training or for people to correct.

    Without `out` the labels are returned, and nothing is written. Images that people have labeled are left out, by
    their path or as copies, also resized or re-encoded; so are images unlike them. Results are kept on disk as they
    are made. The folder holds links to the images, except for `labelstudio`, and

    - `coco`: `annotations.json`, whose annotations have a `score`, and the weights that `finetune` reads.
    - `voc`: `Annotations/` of XML with a `<score>` for each object.
    - `yolo`: `labels/` and `data.yaml`.
    - `labelstudio`: `labelstudio.json` of tasks with pre-annotations, the surest first, and `labelstudio.xml`.

    It also holds `contact_sheet.png`, a sample from the surest to the least sure image, and `card.json`: boxes an image
    by class beside the labeled images, the KL divergence of their classes, thresholds, and what was left out. Images
    without a label are kept. Formats other than `coco` have no weights and no ignored regions.

    Args:
        model: Detector, or the path of its file.
        images: A file, a folder, or a list of those or of records; without `out` also `[H, W, 3]` arrays of values in
            [0, 255], of which none is left out as a copy.
        like: `DetectionDataset` of labeled images, or a path of labels as `DetectionDataset.open` takes it.
        out: Str or path of a new folder, or None.
        like_images: Str or path of the folder of the images that `like` names, or None to find it.
        split: Str, a split of `like`, or None for all of it.
        allow_broken_labels: Bool. Continue where more than a tenth of the labels of `like` cannot be read.
        format: Str, see above.
        threshold: Float, the lowest score of a label; or `"count"` for one of each class by which there are as many
            boxes an image as in `like`: a quarter of these become labels, the others ignored regions.
        mirror: Bool. Also detect in the mirror images, and merge: twice the time.
        also: Second detector of the same classes, or the path of its file, or None. The detections of both are merged.
        keep_foreign: Bool. Keep images that are unlike the labeled ones, by the detector's features.
        weight_by_score: Bool. Whether a box counts in training as much as it scores, and not as much as a label.
        least_agreement: Float, 0 to 1, or None for all: boxes on which an image and its mirror image agree less (their
            IoU; 0.8 is usual) train their class alone; with `also` those on which the detectors do. It needs one of
            both.
        background: Float, the weight of the background in training.
        empty_background: Float, the same in images without a label; 0.05 where the detector misses many objects.
        resume: Bool. Continue what was stopped in the folder, with the same settings.

    Returns:
        `WrittenLabels`; without `out` a `DetectionDataset` of all images that can be read, with `weights`. The records
        of arrays have their indices as `image_id`, and no path.

    Raises:
        UserError: if the detector, the images or the labels cannot be read, no image is left to label, or the folder
            exists or cannot be resumed.

    Example:
        >>> done = kerassl.label("runs/voc/detector.keras", "photos/", like="annotations.json", out="labels")
        >>> kerassl.finetune(data="labels", out="runs/student")
    """
    names = _class_names(model)
    if also is not None and _class_names(also) != names:
        raise UserError(f"the detectors have other classes: {', '.join(names)}; {', '.join(_class_names(also))}")
    if format not in (*_IMAGES, "labelstudio"):
        raise UserError(f"format is {format!r}; give one of {', '.join((*_IMAGES, 'labelstudio'))}")
    if threshold != "count":
        fixed(threshold, names)  # type: ignore[arg-type]  # refuses what is no score
    weights = PseudoWeights(weight_by_score, least_agreement, background, empty_background)
    if least_agreement is not None and not mirror and also is None:
        raise UserError("least_agreement is for images that are also mirrored; give mirror, or leave it out")
    if out is None:
        if format != "coco" or resume:
            raise UserError("format and resume are for files; give out, a folder to write")
    else:
        outputs.check_folder(out, new=False)
        files.check_outside(out, [each for each in (like, like_images) if isinstance(each, (str, os.PathLike))])
    labeled = open_labels(like, like_images, split, None, allow_broken_labels, known=names, whose="the model")
    arrays = arrays_of(images)
    if arrays is not None:
        if out is not None:
            raise UserError("arrays have no files that labels could name; leave out out, or give paths of images")
        paths: list = arrays
        shown, held = [str(place) for place in range(len(paths))], {}
    else:
        shown, paths = named_images(images, out)
        held = held_by({"labeled": [record.path for record in labeled]}, paths)
    left = [place for place in range(len(paths)) if not (held and paths[place] in held)]
    if held:
        log.info("%d of %d images left out that are among the labeled ones", len(held), len(paths))
    if not left:
        raise UserError(f"all of {len(paths)} images are labeled already; give others")
    job = LabelJob(
        model, names, [shown[each] for each in left], [paths[each] for each in left], None, tuple(labeled),
        format, threshold, mirror, also, keep_foreign, weights, len(held),
    )  # fmt: skip
    if out is None:
        return labeled.with_records(job.records())
    result = predict_into(pathlib.Path(out), job, resume)
    for line in result["alarms"]:
        log.warning("%s", line)
    return WrittenLabels(pathlib.Path(out), **{**result, "alarms": tuple(result["alarms"])})


def _class_names(model):
    described = check_model(model)
    if described.kind == "Localizer":
        raise UserError("a localizer gives every image one box; give a detector.keras")
    return described.class_names


def held_by(splits: Mapping[str, Sequence[str]], paths: Sequence[str]) -> dict[str, Duplicate]:
    """Find images that are among others, by their path or as copies of those, also resized or re-encoded.

    Args:
        splits: dict from name to paths, the others.
        paths: sequence of str.

    Returns:
        Dict from those of `paths` that are to what each is a copy of.
    """
    known = {os.path.realpath(path): (path, split) for split, each in splits.items() for path in each}
    same = {path: known[os.path.realpath(path)] for path in paths if os.path.realpath(path) in known}
    held = {path: Duplicate(path, "images", *found, "exact") for path, found in same.items()}
    others = [path for path in paths if path not in held]
    found = find_duplicates({**splits, "images": others}, within=False, progress=verbosity() == 1)
    return held | {each.path: each for split in splits for each in found.between(split, "images")}


@dataclasses.dataclass(frozen=True)
class LabelJob(ImagesJob):
    """Images to label.

    Attributes:
        labeled: tuple of `Record`, that people labeled.
        format, threshold, mirror, also, keep_foreign: see `label`.
        weights: `PseudoWeights`.
        held: int, the images that were left out as people have labeled them.
    """

    labeled: tuple[Record, ...]
    format: str
    threshold: float | str
    mirror: bool
    also: str | os.PathLike | keras.Model | None
    keep_foreign: bool
    weights: PseudoWeights
    held: int
    kind = "labels"

    def settings(self) -> dict:
        digest = hashlib.sha256()
        for record in self.labeled:
            digest.update(json.dumps([record.image_id, record.classes.tolist(), record.ignored.tolist()]).encode())
        return {
            **super().settings(),
            "labeled": digest.hexdigest(),
            "format": self.format,
            "threshold": self.threshold,
            "mirror": self.mirror,
            "also": checksum(self.also) if isinstance(self.also, (str, os.PathLike)) else None,
            "keep_foreign": self.keep_foreign,
            "weights": dataclasses.asdict(self.weights),
        }

    def rows(self, folder, network, names, paths, first):
        known = None if self.keep_foreign else _features(network, self.labeled)
        found = CardCounts(self.labeled, fixed(self._score, self.class_names))
        seen, start, checked = 0, time.monotonic(), False
        for batch in self._predicted(network, paths, first, known is not None):
            rows = batch_rows(batch, names)
            foreign = [False] * len(rows) if known is None else known.distances(batch.features) > known.limit
            agreements = [None] * len(rows) if batch.agreements is None else batch.agreements
            for row, agreement, unlike in zip(rows, agreements, foreign):
                row += [None if agreement is None else agreement.tolist(), bool(unlike)]
                classes = np.array(row[5], int)[np.array(row[4]) >= self._score]
                found.add(classes, np.zeros(len(classes), bool))
            yield rows, batch.end
            seen += len(rows)
            if not checked and (seen >= _EARLY or time.monotonic() - start > _SECONDS):
                checked, collapse = True, found.card().collapse()
                if collapse is not None:
                    log.warning("%s", collapse)

    def records(self) -> list[Record]:
        """Return the labels of all images, without a folder."""
        given = pathlib.Path(), load(self.model), self.names, self.paths, 0
        made = [row_arrays(row) for rows, _ in self.rows(*given) for row in rows]
        thresholds, _ = self._thresholds(lambda: iter(made))
        paths = dict(zip(self.names, self.paths))
        found = []
        for one, chosen in self._chosen(made, thresholds):
            boxes, classes = one.boxes[chosen.places].astype(np.float32), one.classes[chosen.places].astype(np.int32)
            path = paths[one.name] if isinstance(paths[one.name], str) else ""
            plain = np.zeros(len(boxes), bool)
            found.append(
                Record(path or one.name, path, one.height, one.width, boxes, classes, plain, weights=chosen.weights)
            )
        return found

    def _predicted(self, network, paths, first, features):
        """Yield the predictions of a batch after the other, merged where there are two detectors."""
        given = {"first": first, "mirror": self.mirror}
        batches = detectors.predict_batches(network, paths, features=features, **given)
        if self.also is None:
            yield from batches
            return
        for one, other in zip(batches, detectors.predict_batches(load(self.also), paths, **given)):
            both = [merge(*pair) for pair in zip(one.detections, other.detections)]
            merged, agreements = ([pair[place] for pair in both] for place in (0, 1))
            yield one._replace(detections=merged, agreements=agreements)

    @property
    def _score(self):
        return _FLOOR if self.threshold == "count" else float(self.threshold)

    def write(self, journal: Journal) -> dict:
        thresholds, foreign = self._thresholds(journal.rows)
        counts, ranks = CardCounts(self.labeled, thresholds), []
        for each, chosen in self._chosen(journal.rows(), thresholds):
            ignore = chosen.weights.ignore
            counts.add(each.classes[chosen.places], ignore)
            scores = each.scores[chosen.places[~ignore]]
            ranks.append(float(np.mean(scores)) if len(scores) else -1.0)
        card = counts.card({"labeled by people": self.held, "unlike the labeled images": foreign})
        kept = [place for place, row in enumerate(journal.rows()) if not row[-1]]
        order = [kept[place] for place in np.argsort(-np.array(ranks), kind="stable")]
        stems = text_stems(self.names)
        paths = dict(zip(self.names, self.paths))

        def entries():
            sure_first = self.format == "labelstudio"
            return self._labels(journal.chosen(order) if sure_first else journal.rows(), thresholds)

        placed = {}
        if self.format in _IMAGES:
            found = ImageFiles(self.paths)
            with files.whole(journal.folder / _IMAGES[self.format]) as part:
                part.mkdir()
                for row in journal.rows():
                    if not row[-1]:
                        placed[row[0]] = found.place(paths[row[0]], part, stems[row[0]])
        into = Written(journal.folder, self.class_names, entries, stems, 0.0, placed)
        FORMATS[self.format](into)
        if self.format != "coco" and sum(card.ignored) > 0:
            log.warning("%d ignored regions left out: only a COCO json keeps them", sum(card.ignored))
        sure = order[: len(order) - card.empty] or order
        some = sorted({int(place) for place in np.linspace(0, len(sure) - 1, min(len(sure), _COLUMNS * _ROWS))})
        _draw_sheet(
            self._labels(journal.chosen([sure[place] for place in some]), thresholds), paths, self.class_names,
            journal.folder / "contact_sheet.png",
        )  # fmt: skip
        _write_card(card, journal.folder / "card.json")
        log.info("%s", card.describe())
        return {
            "objects": sum(card.boxes),
            "ignored": sum(card.ignored),
            "empty": card.empty,
            "foreign": foreign,
            "labeled": self.held,
            "alarms": card.alarms(),
        }

    def _thresholds(self, rows: Callable[[], Iterable[list]]) -> tuple[Thresholds, int]:
        """The thresholds, and the number of images that are foreign."""
        foreign = images = 0
        scores, classes = [np.zeros(0)], [np.zeros(0, int)]
        for row in rows():
            foreign, images = foreign + row[-1], images + 1
            if not row[-1] and self.threshold == "count":
                likely = row[4] >= _FLOOR
                scores.append(row[4][likely])
                classes.append(row[5][likely])
        if foreign:
            log.info("%d of %d images left out that are unlike the labeled ones", foreign, images)
        if self.threshold != "count":
            return fixed(float(self.threshold), self.class_names), foreign
        found = np.concatenate(scores), np.concatenate(classes)
        thresholds = count_matched(*found, images - foreign, self.labeled, self.class_names, floor=_FLOOR)
        return thresholds, foreign

    def _labels(self, rows: Iterable[list], thresholds: Thresholds) -> Iterator[Predicted]:
        """Labels and ignored regions of each image that is not foreign."""
        for found, chosen in self._chosen(rows, thresholds):
            yield dataclasses.replace(found.of(chosen.places), weights=chosen.weights)

    def _chosen(self, rows: Iterable[list], thresholds: Thresholds) -> Iterator[tuple[Predicted, Chosen]]:
        for *row, agreement, foreign in rows:
            if not foreign:
                found = Predicted(*row)
                yield found, choose(found.scores, found.classes, thresholds, self.weights, agreement)


def _features(network, labeled):
    """The features of the labeled images; None where there are too few to compare with."""
    batches = detectors.predict_batches(network, [record.path for record in labeled], features=True)
    found = [batch.features for batch in batches if batch.features is not None]
    if sum(map(len, found)) < 2:
        log.warning("fewer than two labeled images can be read: no image is left out as unlike them")
        return None
    return LabeledFeatures(np.concatenate(found))


def _draw_sheet(entries: Iterable[Predicted], paths: dict, class_names: Sequence[str], path: pathlib.Path) -> None:
    width, height = _CELL
    sheet = Image.new("RGB", (_COLUMNS * width, _ROWS * height), "white")
    for number, found in enumerate(map(Predicted.plain, entries)):
        drawn = Detections(found.boxes, found.scores, found.classes, class_names)
        image = Image.fromarray(drawn.plot(read_image(paths[found.name]), score_threshold=0.0, width=2 * width))
        image.thumbnail((width - 4, height - 4))
        sheet.paste(image, (number % _COLUMNS * width, number // _COLUMNS * height))
    with files.whole(path) as part:
        sheet.save(part)


def _write_card(card: LabelingCard, path: pathlib.Path) -> None:
    with files.whole(path) as part:
        part.write_text(json.dumps(card.to_dict(), indent=1) + "\n", encoding="utf-8")
