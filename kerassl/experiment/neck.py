"""A detector's neck before the labels. A whole file is left, and taken where it stands."""

import json
import logging
import pathlib
import time

import keras
from PIL import Image

from kerassl import _files, datasets, detectors
from kerassl.datasets.shard_index import is_shards
from kerassl.datasets.subset import subset
from kerassl.experiment.running import verbosity, write_json

log = logging.getLogger("kerassl")

_DRAWN = 16


def pretrain_neck(config, detector, data, out):
    """Trains a detector's neck and box head on pseudo-boxes, or takes what an earlier start of the run left of it.

    The images are those that pre-training may use. No label is read. `pseudo_boxes/` shows some of the boxes.

    Args:
        config: `Config`, whose `detector.neck` says how.
        detector: `detectors.Detector`, whose neck and box head are changed.
        data: `Sources`.
        out: `pathlib.Path`, the folder of the arm.
    """
    plan, file, begun = config.detector.neck, out / "detector_neck.npz", time.perf_counter()
    if file.exists():
        detectors.load_neck(detector, file)
    else:
        paths = _paths(data, plan.images, config.seed)
        records = detectors.pseudo_records(detector.backbone, paths, verbose=int(verbosity() == 1))
        _draw(records, out / "pseudo_boxes")
        log.info("training the neck on %d images without labels, %d epochs", len(records), plan.epochs)
        detectors.pretrain_neck(
            detector,
            records,
            epochs=plan.epochs,
            batch_size=config.detector.batch_size,
            learning_rate=plan.learning_rate,
            seed=config.seed,
            verbose=verbosity(),
        )
        write_json(_figures(out), {"images": len(records), "minutes": (time.perf_counter() - begun) / 60})
        detectors.save_neck(detector, file)
    keras.utils.set_random_seed(config.seed)  # what follows is the same, whether the neck was trained or taken


def minutes(out):
    """How long the neck of an arm was trained, boxes and all, or None where it was not."""
    file = _figures(out)
    return json.loads(file.read_text(encoding="utf-8"))["minutes"] if file.exists() else None


def seen(config):
    """What the neck of a configuration's detectors has seen before the labels, as a sentence that follows another."""
    plan = config.detector.neck
    if plan is None:
        return ""
    return f" The neck of its detector saw up to {plan.images} of the images without labels, in boxes it drew itself."


def _figures(out):
    return out / "detector_neck.json"


def _paths(data, count, seed):
    """Image files, chosen by the seed. Boxes cannot be drawn in shards: then those with labels stand for them."""
    sources = [source for source in data.images if not is_shards(source)]
    paths = datasets.image_files(sources or [record.path for record in data.train])
    return subset(paths, count=min(count, len(paths)), seed=seed)


def _draw(records, folder):
    with _files.whole(folder) as part:
        part.mkdir()
        for number, record in enumerate(records[:_DRAWN], 1):
            found = {"boxes": record.boxes, "classes": record.classes}
            picture = detectors.draw(record.path, found, ["object"])
            Image.fromarray(picture).save(part / f"{number:04d}_{pathlib.Path(record.path).stem}.png")
