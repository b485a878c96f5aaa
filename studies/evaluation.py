"""Seconds and memory of scoring detections.

    python -m studies.evaluation
    python -m studies.evaluation --images 500 --detections 20

Ground truth and detections are random: 20 classes, 2.5 objects an image on average, a third of the detections near an
object. The peak is that of the whole process (VmHWM), TensorFlow and the detections included.
"""

import argparse
import pathlib
import time

import numpy as np

from kerassl import metrics
from kerassl.datasets import VOC_CLASSES, Record
from kerassl.types import Detections


def random_set(images, detections, classes=20, seed=0):
    """Records of random objects in 500 x 500 pixels, and predictions of which a third lies near one.

    Args:
        images, detections: int. How many, and how many in each.
        classes: int.
        seed: int.

    Returns:
        Predictions by image id, and a list of `Record`.
    """
    rng, records, predictions = np.random.default_rng(seed), [], {}
    for number in range(images):
        count = 1 + rng.poisson(1.5)
        truth, labels = _boxes(rng, count), rng.integers(0, classes, count).astype(np.int32)
        records.append(Record(str(number), "", 500, 500, truth, labels, rng.uniform(size=count) < 0.1))
        boxes, names = _boxes(rng, detections), rng.integers(0, classes, detections).astype(np.int32)
        near, owner = rng.uniform(size=detections) < 1 / 3, rng.integers(0, count, detections)
        moved = truth[owner] + rng.normal(0, 10, (detections, 4)).astype(np.float32)
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2])
        boxes[near] = moved[near]
        named = near & (rng.uniform(size=detections) < 0.8)
        names[named] = labels[owner][named]
        scores = rng.uniform(size=detections).astype(np.float32)
        predictions[str(number)] = Detections(boxes, scores, names)
    return predictions, records


def _boxes(rng, count):
    corner = rng.uniform(0, 350, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(20, 150, (count, 2))], axis=1).astype(np.float32)


def peak():
    """The most memory that this process has held, in MiB."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100, help="in each image")
    options = parser.parse_args()
    predictions, records = random_set(options.images, options.detections)
    objects = sum(len(record.boxes) for record in records)
    print(f"{options.images:,} images, {options.detections} detections each, {objects:,} objects, 20 classes")
    print(f"before: peak {peak():,.0f} MiB")
    for score in (metrics.voc_ap, metrics.error_kinds, metrics.coco_ap, metrics.evaluate_detections):
        begun = time.perf_counter()
        score(predictions, records, VOC_CLASSES)
        print(f"{score.__name__:20} {time.perf_counter() - begun:7.2f} s   peak {peak():,.0f} MiB")


if __name__ == "__main__":
    main()
