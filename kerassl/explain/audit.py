"""Where a model looks at the wrong thing: images, classes, and regions that recur."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
import tqdm

from kerassl._errors import UserError
from kerassl.datasets.letterboxed import letterboxed_batches
from kerassl.explain import matching
from kerassl.explain.cam import class_output
from kerassl.explain.gradcam import GradCAM
from kerassl.explain.recurring_regions import recurring_regions
from kerassl.explain.whole_object import filled, whole_object
from kerassl.explain.windows import all_windows, heat_shares


@dataclasses.dataclass(frozen=True, eq=False)
class Audit:
    """What `audit` found.

    Attributes:
        classes: tuple of str.
        rows: list of dicts, an image and class each, the worst first: `image`, `path`, `class`, `right` (bool),
            `score` (of the class, in [0, 1]), `best` (the class with the highest score), `energy`, `pointing` (as
            `whole_object` has them, None where the heatmap is 0 everywhere), `area` (the objects' share of the
            picture), `wrong_reason` and `off_object` (bool), `mark` (bool: the image shows a region of `findings`).
        findings: list of dicts, the regions that recur in images of a class and draw its heat: `class`, `region` (xyxy
            in shares of width and height), `images` (ids), `share` of the class's images, `heat`, `heat_elsewhere`,
            `area`, `agreement`, `p_value`, as `RecurringRegion` has them.
        unused: list of dicts, the same of what recurs and draws no heat.
    """

    classes: tuple
    rows: list
    findings: list
    unused: list

    def by_class(self):
        """Dict from each class that was seen to its averages, as `figures`; most wrong reasons first."""
        names = {row["class"] for row in self.rows}
        found = {name: _averages([row for row in self.rows if row["class"] == name]) for name in names}
        return dict(
            sorted(found.items(), key=lambda item: (-item[1]["wrong_reason"], item[1]["energy"] or 0.0, item[0]))
        )

    def figures(self):
        """Dict of `images` (how many), the means of `right`, `energy`, `area` and `pointing`, and how many rows have
        `wrong_reason` and `off_object`."""
        return _averages(self.rows)

    def regions(self):
        """What `erase` of `datasets.single_object_batches` takes: a dict from class to the regions of `findings`."""
        found = {}
        for finding in self.findings:
            found.setdefault(finding["class"], []).append(finding["region"])
        return found


def audit(
    model,
    records,
    *,
    method=GradCAM,
    layer=None,
    classes=None,
    image_size=None,
    energy=0.5,
    score_threshold=0.3,
    level=0.01,
    least=4,
    batch_size=16,
    seed=0,
    verbose=0,
):
    """Finds where a model looks at the wrong thing.

    Each image's heatmap is made for the class of its largest object, and of a detector for each class that it holds.

    - **Right for the wrong reason**: the class is right, but less than `energy` of the heat is in the objects' boxes,
      and less than the boxes' share of the picture, which is what heat spread evenly would have there. Right is for a
      localiser or classifier that the class scores highest, for a detector that it finds the class anywhere with a
      score of `score_threshold`.
    - **Off the object**: the hottest pixel lies more than 15 pixels of the original image from every object.
    - **Regions that recur**: a watermark, a caption, a frame: the same outlines at the same place in images of one
      class, more often than chance has it over all places and classes that were tried, and drawing more heat, off the
      object, than that place does in images of other classes. Both have to be told at `level`: the chance that data
      without such a thing give any finding is at most `level`. `explain.recurring_regions` states the rule.

    What is seen is what the class activation map sees: where a model's evidence is, not that the model would fail
    without it. Train again with the regions painted over to know.

    Args:
        model: `models.Localizer`, a detector of `detectors`, or a flat functional classifier as `GradCAM` takes it.
        records: list of `datasets.Record` with classes in the model's order. Images without an object that is not
            difficult are left out. Give images that the model was not trained on, a hundred or more for recurring
            regions, of two classes at least.
        method: class of heatmaps: `GradCAM`, `GradCAMPlusPlus`, `LayerCAM` or `ScoreCAM`.
        layer: str or None, as `method` takes it: `"P4"` shows smaller things than `"P5"`, which None is.
        classes: sequence of str, the names of the classes; those of the model if left out.
        image_size: int, the side of the letterboxed images; that of the model if left out.
        energy: float in [0, 1]; see above.
        score_threshold: float in [0, 1]; see above.
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
        >>> found = kerassl.explain.audit(localizer, records, layer="P4")
        >>> found.findings[0]["class"], found.findings[0]["region"]
        ('horse', [0.056, 0.838, 0.4, 1.0])
    """
    classes, image_size = _check(model, classes, image_size, energy, score_threshold, level, least)
    records = _usable(records, len(classes))
    cam = method(model, layer=layer)
    scorer = _scorer(model)
    windows = all_windows()
    rows, owners, labels, shares = [], [], [], []
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
            heat = cam(images.numpy()[which], wanted, batch_size=batch_size)
            extents = sizes / sizes.max(axis=1, keepdims=True)
            found, objects, scored = _measures(heat, [batch[number] for number in which], wanted, scales)
            for row, (number, label) in enumerate(asked):
                area = scored[row].sum() / (extents[row].prod() * image_size**2)
                record, values = batch[number], {name: value[row] for name, value in found.items()}
                told = _right(model, scores[row], label, score_threshold)
                rows.append(_row(record, classes, label, told, scores[row], values, min(float(area), 1.0), energy))
            shares.append(heat_shares(heat, objects, extents, windows))
            owners.extend(places[which])
            labels.extend(wanted)
            bar.update(len(places))
    marks = _marks(records, np.array(owners), np.array(labels), np.concatenate(shares), windows, len(classes),
                   level=level, least=least, seed=seed, verbose=verbose)  # fmt: skip
    findings = [_told(mark, records, classes) for mark in marks]
    drawn = [told for told, mark in zip(findings, marks) if mark.drawn]
    marked = {(image, told["class"]) for told in drawn for image in told["images"]}
    rows = [{**row, "mark": (row["image"], row["class"]) in marked} for row in rows]
    rows.sort(key=lambda row: (-row["wrong_reason"], -row["off_object"], (row["energy"] or 0.0) - row["area"]))
    unused = [told for told, mark in zip(findings, marks) if not mark.drawn]
    return Audit(tuple(classes), rows, drawn, unused)


def _check(model, classes, image_size, energy, score_threshold, level, least):
    classes = getattr(model, "classes", None) if classes is None else classes
    image_size = getattr(model, "image_size", None) if image_size is None else image_size
    if classes is None or image_size is None:
        raise UserError(f"{model.name!r} tells neither its classes nor its image size; give classes= and image_size=")
    known = class_output(model).shape[-1]
    if len(classes) != known:
        raise UserError(f"{len(classes)} classes are named, but {model.name!r} has {known}; give the name of each")
    for name, value in (("energy", energy), ("score_threshold", score_threshold)):
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


def _scorer(model):
    """A function from images to class scores `[B, C]` in [0, 1]: of a detector each class's highest."""
    output = class_output(model)
    graph = keras.Model(model.inputs[0], output)

    @tf.function(reduce_retracing=True)
    def score(images):
        found = tf.cast(graph(images, training=False), tf.float32)
        return tf.nn.softmax(found) if len(output.shape) == 2 else tf.reduce_max(tf.sigmoid(found), axis=1)

    return score


def _one_object(model):
    return len(class_output(model).shape) == 2


def _asked(model, batch):
    """The heatmaps to make: (place in the batch, class)."""
    if _one_object(model):
        return [(number, int(record.classes[record.largest()])) for number, record in enumerate(batch)]
    return [
        (number, int(label))
        for number, record in enumerate(batch)
        for label in np.unique(record.classes[~record.difficult])
    ]


def _right(model, scores, label, threshold):
    return bool(scores.argmax() == label if _one_object(model) else scores[label] >= threshold)


def _measures(heat, records, labels, scales):
    """Energy and pointing of each heatmap, the pixels of its class's objects, and of those that are not difficult."""
    of_class = [record.classes == label for record, label in zip(records, labels)]
    easy, hard = (
        [
            record.boxes[members & (record.difficult == difficult)] * scale
            for record, members, scale in zip(records, of_class, scales)
        ]
        for difficult in (False, True)
    )
    found = whole_object(heat, easy, ignored=hard, tolerance=15.0 * scales)
    blank = heat.max(axis=(1, 2)) == 0
    values = {
        name: np.where(blank, np.nan, each) for name, each in (("energy", found.energy), ("pointing", found.pointing))
    }
    scored, beside = (np.stack([filled(boxes, heat.shape[1:]) for boxes in each]) for each in (easy, hard))
    return values, scored | beside, scored


def _row(record, classes, label, right, scores, values, area, energy):
    # Nan where there is no heat, and of pointing where difficult objects are hottest: neither on an object nor off it.
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


def _marks(records, owners, labels, shares, windows, classes, **settings):
    pictures, sizes, read = [], [], []
    paths = [record.path for record in records]
    for places, images, _, original in letterboxed_batches(paths, matching.SIDE, 32):
        sides = original.numpy() / original.numpy().max(axis=1, keepdims=True)
        ends = np.clip(np.rint(sides * matching.SIDE).astype(int), 1, matching.SIDE)
        pictures += [matching.edges(image, *end) for image, end in zip(images.numpy(), ends)]
        sizes.append(sides)
        read.append(places)
    read = np.concatenate(read)
    renumbered = np.full(len(records), -1)
    renumbered[read] = np.arange(len(read))
    present = np.zeros([len(read), classes], bool)
    present[renumbered[owners], labels] = True
    heat = (renumbered[owners], labels, shares)
    marks = recurring_regions(np.stack(pictures), np.concatenate(sizes), present, heat, windows, **settings)
    return [dataclasses.replace(mark, images=read[mark.images]) for mark in marks]


def _told(mark, records, classes):
    return {
        "class": classes[mark.class_id],
        "region": [round(float(side), 4) for side in mark.region],
        "images": [records[place].image_id for place in mark.images],
        "share": mark.share,
        "heat": mark.heat,
        "heat_elsewhere": mark.heat_elsewhere,
        "area": mark.area,
        "agreement": mark.agreement,
        "p_value": mark.p_value,
    }


def _averages(rows):
    known = {name: [row[name] for row in rows if row[name] is not None] for name in ("energy", "pointing")}
    right = [row for row in rows if row["right"]]
    return {
        "images": len(rows),
        "right": len(right) / len(rows),
        "energy": float(np.mean(known["energy"])) if known["energy"] else None,
        "area": float(np.mean([row["area"] for row in rows])),
        "pointing": float(np.mean(known["pointing"])) if known["pointing"] else None,
        "wrong_reason": sum(row["wrong_reason"] for row in rows),
        "off_object": sum(row["off_object"] for row in rows),
    }
