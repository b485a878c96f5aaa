"""How good are the boxes that a backbone draws without labels?

    python -m studies.pseudo_boxes                # on generated scenes, by a backbone that has seen nothing
    python -m studies.pseudo_boxes --voc VOCdevkit --weights imagenet.npz --cut-at conv_pw_12_relu

Pseudo-boxes of each kind of heatmap, level and threshold beside boxes that stand in the middle of every image; the
labels are read to score them alone. "Above the middle" is the difference in IoU from the best of those, image by image,
with its standard error. `docs/results/pseudo_boxes.md` says what was measured.
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np

from kerassl import backbones, datasets, explain
from kerassl.boxes import box_iou
from kerassl.datasets.subset import subset
from kerassl.detectors.pseudo_boxes.foreground import KINDS, Foreground
from kerassl.detectors.pseudo_boxes.pseudo_records import boxes_of
from kerassl.resizing import letterbox

from benchmarks import tables  # isort: skip
import keras  # isort: skip

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
SIDES = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of the image's height and width that a box in its middle takes."""


def score(boxes, records):
    """Figures of boxes against the objects that are not difficult.

    Args:
        boxes: list of `[n, 4]` arrays, an image each, xyxy in pixels of the original.
        records: list of `datasets.Record`, each with an object.

    Returns:
        Dict of floats: the share of images with a box, the boxes' mean IoU with the nearest object, the share of the
        boxes that overlap one by 0.5, and the share of the objects that a box overlaps by 0.5.
    """
    best, found = [], []
    for each, record in zip(boxes, records):
        overlaps = box_iou(np.reshape(each, [-1, 4]), record.boxes[~record.ignored])
        best.extend(overlaps.max(axis=1))
        found.extend(overlaps.max(axis=0, initial=0) >= 0.5)
    return {
        "images": float(np.mean([len(each) > 0 for each in boxes])),
        "iou": float(np.mean(best)) if best else 0.0,
        "right": float(np.mean(np.array(best) >= 0.5)) if best else 0.0,
        "recall": float(np.mean(found)),
    }


def above(boxes, others, records):
    """By how much an image's box overlaps the nearest object better than another one does, where there is one.

    Args:
        boxes: list of `[n, 4]` arrays, an image each, xyxy in pixels of the original; n may be 0.
        others: list of `[4]` arrays, an image each.
        records: list of `datasets.Record`, each with an object.

    Returns:
        The mean difference and its standard error over the images with a box, floats; nan where that is none, or one.
    """
    gains = []
    for each, other, record in zip(boxes, others, records):
        if len(each):
            overlaps = box_iou(np.vstack([each[:1], other]), record.boxes[~record.ignored]).max(axis=1)
            gains.append(overlaps[0] - overlaps[1])
    if len(gains) < 2:
        return float("nan"), float("nan")
    return float(np.mean(gains)), float(np.std(gains, ddof=1) / len(gains) ** 0.5)


def middle(records, share):
    """Boxes in the middle of the images."""
    half = np.array([-1, -1, 1, 1]) * share / 2
    return [(0.5 + half) * np.tile([record.width, record.height], 2) for record in records]


def heatmaps(backbone, records, image_size, kind, level):
    """Heatmaps and their scales, an image each."""
    paths = [record.path for record in records]
    look = Foreground(backbone, paths, image_size, kind=kind, level=level)
    return [(heatmap, scale) for _, heatmap, scale, _ in look.heatmaps(paths)]


def boxes(found, threshold, min_size=0.01, max_size=0.9):
    """The box around the largest piece of each heatmap, in pixels of the original."""
    return [boxes_of(heatmap, threshold, 1, min_size, max_size)[0] / scale for heatmap, scale in found]


def save_images(records, found, threshold, image_size, path):
    """Draws images, heatmaps and boxes."""
    images, padded, drawn = [], [], boxes(found, threshold)
    for record, (heatmap, scale), box in zip(records, found, drawn):
        images.append(letterbox(datasets.read_image(record.path), image_size)[0].numpy())
        padded.append(np.pad(heatmap, [(0, image_size - side) for side in heatmap.shape]))
        box *= scale
    explain.side_by_side(np.stack(images), {f"cut at {threshold:g}": np.stack(padded)}, path, drawn)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m studies.pseudo_boxes", description=__doc__.splitlines()[0])
    parser.add_argument("--voc", help="VOCdevkit, whose train split is used; generated scenes if left out")
    parser.add_argument("--year", type=int, default=2007)
    parser.add_argument("--count", type=int, default=100, help="images; 100 tell about 5 points of recall")
    parser.add_argument("--backbone", default="MobileNet", help="a family, or a .keras file")
    parser.add_argument("--weights", help="file of weights; a random start if left out")
    parser.add_argument("--cut-at", help="layer to cut the network after, as the file asks for")
    parser.add_argument("--image-size", type=int, nargs="+", default=[224, 320])
    parser.add_argument("--levels", nargs="+", default=["P4", "P5"])
    parser.add_argument("--save-images", help="folder for 12 images with their boxes for each row's best threshold")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        root, classes = options.voc, datasets.VOC_CLASSES
        if root is None:
            root, classes = (
                datasets.write_scenes(f"{folder}/scenes", train=options.count, val=0),
                datasets.SCENE_CLASSES,
            )
        records = datasets.DetectionDataset.from_voc(root, options.year, "train", class_names=classes)
        records = {record.image_id: record for record in records if record.largest() is not None}
        records = [records[name] for name in subset(list(records), count=min(options.count, len(records)))]
        keras.utils.set_random_seed(0)
        if options.backbone.endswith(".keras"):
            backbone = backbones.load(options.backbone)
        else:
            backbone = backbones.build(options.backbone, weights=options.weights, cut_at=options.cut_at)
        plain = {share: score(middle(records, share), records) for share in SIDES}
        rows = [(f"middle, {share:g} of each side", "", "", plain[share], "") for share in SIDES]
        others = middle(records, max(SIDES, key=lambda share: plain[share]["iou"]))
        for image_size in options.image_size:
            for level in options.levels:
                for kind in KINDS:
                    found = heatmaps(backbone, records, image_size, kind, level)
                    scored = {}
                    for cut in THRESHOLDS:
                        drawn = boxes(found, cut)
                        scored[cut] = score(drawn, records)
                        gain, error = (100 * value for value in above(drawn, others, records))
                        gain = "" if np.isnan(gain) else f"{gain:+.1f} ± {error:.1f}"
                        rows.append((kind, f"{level}, {image_size} px", f"{cut:g}", scored[cut], gain))
                    if options.save_images:
                        best = max(scored, key=lambda cut: scored[cut]["iou"])
                        path = pathlib.Path(options.save_images) / f"{kind}_{level}_{image_size}.png"
                        save_images(records[:12], found[:12], best, image_size, path)
    print(f"{len(records)} images, a box an image at most, %\n")
    heads = (
        "boxes",
        "map",
        "threshold",
        "images with a box",
        "mean IoU",
        "IoU 0.5",
        "recall at 0.5",
        "above the middle",
    )
    shown = [(*names, *(f"{100 * value:.1f}" for value in made.values()), gain) for *names, made, gain in rows]
    print(tables.table(heads, shown))


if __name__ == "__main__":
    sys.exit(main())
