"""Audits of models: predictions with off-object evidence, and regions that recur."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tqdm

from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl._numbers import check
from kerassl.datasets import Record
from kerassl.datasets.class_names import check_numbering
from kerassl.datasets.pipeline.letterboxed import letterboxed_batches
from kerassl.explain.audit import matching
from kerassl.explain.audit.audit_result import Audit
from kerassl.explain.audit.off_object import off_object_saliency
from kerassl.explain.audit.recurring_regions import chance_of_difference, recurring_regions
from kerassl.explain.audit.score_drops import score_falls
from kerassl.explain.cam.cam import CAM, class_output, class_probabilities
from kerassl.explain.cam.gradcam import GradCAM
from kerassl.explain.localization.saliency_metrics import filled, saliency_metrics
from kerassl.metrics.checks import class_places

_COMPARED = 200  # images of other classes that a region is painted over in


def audit_model(
    model: keras.Model,
    records: Sequence[Record],
    *,
    method: type[CAM] = GradCAM,
    layer: str | None = None,
    classes: Sequence[str] | None = None,
    image_size: int | None = None,
    energy: float = 0.5,
    score_threshold: float = 0.3,
    fall: float = 0.2,
    level: float = 0.01,
    least: int = 4,
    batch_size: int = 16,
    seed: int = 0,
    verbose: int = 0,
) -> Audit:
    """Find where a model relies on the wrong evidence.

    Each image's heatmap is made for the class of its largest object, and of a detector for each class that it holds.

    - **Right for the wrong reason**: the class is right, but less than `energy` of the saliency is in the objects'
      boxes, and less than the boxes' share of the image. A localizer or classifier is right if the class scores
      highest, a detector if it detects the class anywhere with a score of `score_threshold`.
    - **Off the object**: the highest pixel is more than 15 pixels of the original image from every object.
    - **Recurring regions**: a watermark, a caption, a frame: the same outlines at the same place in images of one
      class, significantly more often than by chance (corrected for all places and classes), that attract more saliency,
      off the object, than the place does in images of other classes (see `explain.recurring_regions`), and that raise
      the class's score: painted over with the image's mean color, they reduce it by `fall` or more, and its log-odds
      more than painting over that place does for other classes (permutation test with Bonferroni correction). The
      chance of a finding in data in which nothing recurs is at most `level`.

    Saliency alone is not enough: outlines attract it also in a caption that a model never learned from. Recurring
    regions without saliency or without an effect on the score are listed as `unused`.

    Args:
        model: `detectors.Localizer`, a detector of `detectors`, or a flat functional classifier as `GradCAM` takes it.
        records: list of `datasets.Record` with classes in the model's order. Images without an object that is not
            difficult are left out. Give held-out images, a hundred or more of two or more classes for
            recurring regions.
        method: class of heatmaps: `GradCAM`, `GradCAMPlusPlus`, `LayerCAM` or `ScoreCAM`.
        layer: str or None, as of `method`: `"P4"` shows smaller things than `"P5"`, the default.
        classes: sequence of str, the names of the classes; those of the model if left out.
        image_size: int, the side of the letterboxed images; that of the model if left out.
        energy: float in [0, 1]; see above.
        score_threshold: float in [0, 1]; see above.
        fall: float in [0, 1]; see above. A fifth of a probability is what may well change the answer.
        level: float in (0, 1); see above.
        least: int, the fewest images that a region recurs in, 3 or more.
        batch_size: int, the images that are explained at once.
        seed: int, of the permutations.
        verbose: 0 or 1. Whether to show progress bars.

    Returns:
        `Audit`.

    Raises:
        UserError: if there are no such records, a class is not the model's, classes or image size of a classifier are
            not given, or a number is out of range.

    Example:
        >>> found = kerassl.explain.audit_model(localizer, records, layer="P4")  # VOC 2007 val
        >>> [(each["class"], each["region"], round(each["fall"], 2)) for each in found.findings + found.unused]
        [('horse', [0.075, 0.8566, 0.3812, 0.9883], -0.0)]
    """
    check(seed=seed, batch_size=batch_size, score_threshold=score_threshold)
    classes, image_size = _check(model, classes, image_size, energy, score_threshold, fall, level, least)
    check_numbering(records, classes)
    records = _usable(records, len(classes))
    cam = method(model, layer=layer)
    scorer = class_probabilities(model)
    rows: list[dict[str, Any]] = []
    owners: list[int] = []
    labels: list[int] = []
    grids = []
    with tqdm.tqdm(total=len(records), desc="heatmaps", unit="image", disable=not verbose) as bar:
        for places, images, scales, sizes in letterboxed_batches(
            [record.path for record in records], image_size, batch_size
        ):
            batch = [records[place] for place in places]
            asked = _asked(model, batch)
            which = np.array([number for number, _ in asked])
            wanted = np.array([label for _, label in asked])
            scales, sizes = scales.numpy()[which], sizes.numpy()[which]
            scores = scorer(images).numpy()[which]
            heatmaps = cam(images.numpy()[which], wanted, batch_size=batch_size)
            extents = sizes / sizes.max(axis=1, keepdims=True)
            found, objects, scored = _measures(heatmaps, [batch[number] for number in which], wanted, scales)
            for row, (number, label) in enumerate(asked):
                area = scored[row].sum() / (extents[row].prod() * image_size**2)
                record, values = batch[number], {name: value[row] for name, value in found.items()}
                right = _right(model, scores[row], label, score_threshold)
                rows.append(_row(record, classes, label, right, scores[row], values, min(float(area), 1.0), energy))
            grids.append(off_object_saliency(heatmaps, objects, extents))
            owners.extend(places[which])
            labels.extend(wanted)
            bar.update(len(places))
    maps = (np.array(owners), np.array(labels), np.concatenate(grids))
    blur = 0.5 / _side_of_maps(cam, model, image_size)
    settings = {"blur": blur, "level": level, "least": least, "seed": seed, "verbose": verbose}
    marks = _marks(records, maps, len(classes), **settings)
    falls = _Falls(scorer, records, maps, image_size, batch_size, seed)
    findings: list[dict[str, Any]] = []
    unused: list[dict[str, Any]] = []
    for mark in tqdm.tqdm(marks, desc="painted over", unit="region", disable=not verbose):
        lost, elsewhere, chance = falls.of(mark)
        p_value = max(mark.p_value, min(1.0, len(marks) * chance))
        finding = {**_finding(mark, records, classes), "fall": lost, "fall_elsewhere": elsewhere, "p_value": p_value}
        (findings if mark.drawn and lost >= fall and p_value <= level else unused).append(finding)
    marked = {(image, each["class"]) for each in findings for image in each["images"]}
    rows = [{**row, "mark": (row["image"], row["class"]) in marked} for row in rows]
    rows.sort(key=lambda row: (-row["wrong_reason"], -row["off_object"], (row["energy"] or 0.0) - row["area"]))
    return Audit(tuple(classes), rows, findings, unused)


def _check(model, classes, image_size, energy, score_threshold, fall, level, least):
    own = getattr(model, "class_names", None)
    if own is not None and classes is not None and list(own) != list(classes):
        class_places(own, classes, "the model", "the names given as classes")
        raise UserError(
            f"classes is {list(classes)}, the model's in another order; leave it out, and read the records with "
            f"classes={list(own)}"
        )
    classes = own if classes is None else classes
    image_size = getattr(model, "image_size", None) if image_size is None else image_size
    if classes is None or image_size is None:
        raise UserError(f"{model.name!r} has neither class names nor an image size; give classes= and image_size=")
    known = class_output(model).shape[-1]
    if len(classes) != known:
        raise UserError(f"{len(classes)} classes are named, but {model.name!r} has {known}; give the name of each")
    for name, value in (("energy", energy), ("score_threshold", score_threshold), ("fall", fall)):
        if not 0 <= value <= 1:
            raise UserError(f"{name} is {value}; give a share from 0 to 1")
    if not 0 < level < 1 or least < 3:
        raise UserError(
            f"level is {level} and least {least}; give a level between 0 and 1, as 0.01, and 3 images or more"
        )
    return list(classes), image_size


def _usable(records, classes):
    kept = [record for record in records if record.largest() is not None]
    if not kept:
        raise UserError(f"none of {len(records)} images has an object that is not difficult; give images with one")
    beyond = [record for record in kept if record.classes.max() >= classes]
    if beyond:
        raise UserError(
            f"{beyond[0].path} has class {beyond[0].classes.max()}, but the model has {classes} classes; read the "
            "records with the model's list of classes"
        )
    return kept


def _side_of_maps(cam, model, image_size):
    """Return the number of locations a side of the explained feature map."""
    maps = keras.Model(model.inputs[0], model.get_layer(cam.layer).output)
    return maps(tf.zeros([1, image_size, image_size, 3]), training=False).shape[1]


def _one_object(model):
    return len(class_output(model).shape) == 2


def _asked(model, batch):
    """The heatmaps to make: (place in the batch, class)."""
    if _one_object(model):
        return [(number, int(record.classes[record.largest()])) for number, record in enumerate(batch)]
    return [
        (number, int(label))
        for number, record in enumerate(batch)
        for label in np.unique(record.classes[~record.ignored])
    ]


def _right(model, scores, label, threshold):
    return bool(scores.argmax() == label if _one_object(model) else scores[label] >= threshold)


def _measures(heatmaps, records, labels, scales):
    """Energy and pointing of each heatmap, the pixels of its class's objects, and of those that are not ignored."""
    of_class = [record.classes == label for record, label in zip(records, labels)]
    easy, hard = (
        [
            record.boxes[members & (record.ignored == ignored)] * scale
            for record, members, scale in zip(records, of_class, scales)
        ]
        for ignored in (False, True)
    )
    found = saliency_metrics(heatmaps, easy, ignored=hard, tolerance=15.0 * scales)
    blank = heatmaps.max(axis=(1, 2)) == 0
    values = {
        name: np.where(blank, np.nan, each) for name, each in (("energy", found.energy), ("pointing", found.pointing))
    }
    scored, beside = (np.stack([filled(boxes, heatmaps.shape[1:]) for boxes in each]) for each in (easy, hard))
    return values, scored | beside, scored


def _row(record, classes, label, right, scores, values, area, energy):
    # nan where there is no saliency, and of pointing where the highest pixel is on a difficult object
    inside, pointing = (None if np.isnan(values[name]) else float(values[name]) for name in ("energy", "pointing"))
    return {
        "image": record.image_id,
        "path": str(record.path),
        "class": classes[label],
        "right": right,
        "score": float(scores[label]),
        "best": classes[int(scores.argmax())],
        "energy": inside,
        "pointing": pointing,
        "area": area,
        "wrong_reason": bool(right and inside is not None and inside < min(energy, area)),
        "off_object": pointing == 0,
    }


def _marks(records, saliency, classes, **settings):
    owners, labels, grids = saliency
    edge_maps, sizes, read = [], [], []
    paths = [record.path for record in records]
    for places, images, _, original in letterboxed_batches(paths, matching.SIDE, 32):
        sides = original.numpy() / original.numpy().max(axis=1, keepdims=True)
        ends = np.clip(np.rint(sides * matching.SIDE).astype(int), 1, matching.SIDE)
        edge_maps += [matching.edges(image, *end) for image, end in zip(images.numpy(), ends)]
        sizes.append(sides)
        read.append(places)
    read = np.concatenate(read)
    renumbered = np.full(len(records), -1)
    renumbered[read] = np.arange(len(read))
    present = np.zeros([len(read), classes], bool)
    present[renumbered[owners], labels] = True
    saliency = (renumbered[owners], labels, grids)
    marks = recurring_regions(np.stack(edge_maps), np.concatenate(sizes), present, saliency, **settings)
    return [dataclasses.replace(mark, images=read[mark.images]) for mark in marks]


def _finding(mark, records, classes):
    return {
        "class": classes[mark.class_id],
        "region": [round(float(side), 4) for side in mark.region],
        "images": [records[place].image_id for place in mark.images],
        "share": mark.share,
        "saliency": mark.saliency,
        "saliency_elsewhere": mark.saliency_elsewhere,
        "area": mark.area,
        "agreement": mark.agreement,
    }


class _Falls:
    """The drop of a class's score when a region is painted over, and that of other classes in their images."""

    def __init__(self, scorer, records, saliency, image_size, batch_size, seed):
        self._scorer, self._records, self._size, self._batch = scorer, records, image_size, batch_size
        self._owners, self._labels, _ = saliency
        self._random = np.random.default_rng(seed)

    def of(self, mark):
        """Return the mean fall of the score, that of other classes, and the p-value of the difference of log-odds."""
        own = np.isin(self._owners, mark.images) & (self._labels == mark.class_id)
        holding = self._owners[self._labels == mark.class_id]
        other = np.flatnonzero(~np.isin(self._owners, holding))
        other = self._random.permutation(other)[:_COMPARED]
        if not len(other):
            return self._falls(np.flatnonzero(own), mark)[:, 0].mean(), 0.0, 1.0
        falls = [self._falls(rows, mark) for rows in (np.flatnonzero(own), other)]
        chance = chance_of_difference(*(each[:, 1] for each in falls), 999, self._random)
        return *(float(each[:, 0].mean()) for each in falls), chance

    def _falls(self, rows, mark):
        paths = [self._records[place].path for place in self._owners[rows]]
        return score_falls(self._scorer, paths, self._labels[rows], mark.region, self._size, batch_size=self._batch)
