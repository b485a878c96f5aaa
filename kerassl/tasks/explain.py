"""Class activation maps of several models."""

from __future__ import annotations

import json
import os
import pathlib
import time
from collections.abc import Mapping, Sequence

import numpy as np

from kerassl import backbones, datasets, detectors
from kerassl import explain as explaining
from kerassl._display import verbosity
from kerassl._environment import machine
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io import outputs
from kerassl._lazy import keras
from kerassl.config.config import read_config
from kerassl.config.sources import open_labels
from kerassl.datasets.pipeline.letterboxed import letterboxed_batches
from kerassl.detectors.model_files import Described, check_model, describe, load
from kerassl.metrics.checks import class_places
from kerassl.report.explain import explain_page
from kerassl.resizing import check_image_size
from kerassl.types import Detections, finite

METHODS = {"gradcam": "GradCAM", "gradcam++": "GradCAMPlusPlus", "layercam": "LayerCAM", "scorecam": "ScoreCAM"}
"""Classes of `explain` by what `--method` calls them."""

_COUNT = 400  # images, a quarter of which level and thresholds are chosen on
_LEAST = 4  # of which one is that quarter
_SHOWN = 8  # rows of the grid


def named(models: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Return a dict from name to path, of `"NAME=FILE"` or `"FILE"`.

    Raises:
        UserError: if two have one name.
    """
    if isinstance(models, Mapping):
        return dict(models)
    paths: dict[str, str] = {}
    for item in models:
        name, _, path = item.rpartition("=")
        name = name or pathlib.Path(path).stem
        if name in paths:
            raise UserError(f"two models are called {name!r}; give each a name of its own, as ours={path}")
        paths[name] = path
    return paths


def one_size(models: Mapping[str, Described], image_size: int | None = None) -> int:
    """Return the side of the images that all models take, in pixels.

    Args:
        models: Dict from name to `model_files.Described`.
        image_size: Int, or None.

    Raises:
        UserError: if they take different sizes, or none is known.
    """
    sizes = {name: model.image_size for name, model in models.items() if model.image_size}
    if len(set(sizes.values())) > 1:
        raise UserError(f"the models take images of different sizes ({sizes}); compare models of one size")
    size = next(iter(sizes.values()), image_size)
    if size is None:
        raise UserError("the models are backbones, which take any size; give --image-size, as 128")
    if image_size is not None and image_size != size:
        raise UserError(f"--image-size is {image_size}, but the models take {size}; leave it out")
    return check_image_size(size)


def explain_models(
    models: Sequence[str] | Mapping[str, str],
    *,
    out: str | os.PathLike,
    images: Sequence[str] | None = None,
    config: str | os.PathLike | None = None,
    data: datasets.DetectionDataset | str | os.PathLike | None = None,
    data_images: str | os.PathLike | None = None,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    allow_broken_labels: bool | None = None,
    class_name: str | None = None,
    method: str = "gradcam",
    level: str | None = None,
    count: int | None = None,
    insertion: int = 0,
    image_size: int | None = None,
    seed: int | None = None,
) -> explaining.ModelComparison | dict[str, np.ndarray]:
    """Draw class activation maps (CAMs) of several models side by side, and score them on labeled images.

    Args:
        models: Dict from name to path, or sequence of `"NAME=FILE"`: a `detector.keras` or `localizer.keras` each, and
            on labeled images backbones, too.
        out: Str or path: the `.png` file to write; on labeled images a new folder for `heatmaps.png`, `table.json` and
            `report.html`.
        images: Sequence of folders or files to draw, or None for labeled images.
        config: Str or path of a YAML file.
        data, data_images, split, classes, allow_broken_labels: The labels of any format, see `DetectionDataset.open`;
            None takes those of `data.test` in the configuration.
        class_name: Str, of `images` alone: whose evidence to draw. None is the best-scoring class of each image.
        method: `"gradcam"`, `"gradcam++"`, `"layercam"` or `"scorecam"`, which takes minutes an image.
        level: `"P3"`, `"P4"` or `"P5"`, the feature map. None is the deepest; on labeled images the best of those that
            are not scored.
        count: Int. At most so many images. None is 8; 400 labeled images, a quarter of them for tuning.
        insertion: Int. The steps in which pixels are inserted and deleted by falling saliency; 0 does not.
        image_size: Int, side in pixels, for models that are backbones.
        seed: Int, which draws the labeled images, those for tuning, and the bootstrap.

    Returns:
        Dict from name to `[images, height, width]` CAMs; of labeled images `explain.ModelComparison`.

    Raises:
        UserError: if images or models cannot be read or do not fit each other, or `out` cannot be written.
    """
    if (images is None) == (data is None and not config):
        raise UserError("give either --images to draw, or --data to draw and score")
    paths = named(models)
    if images is not None:
        return _draw(paths, images, out, class_name, method, level, count or 8, image_size)
    if class_name is not None:
        raise UserError("--class is for --images; of --data each image is asked about the class of its largest object")
    if count is not None and count < _LEAST:
        fact = f"is {count}; give {_LEAST} or more, a quarter of which level and threshold are chosen on"
        raise UserError(f"count {fact}", f"--count {fact}")
    read = read_config(config)
    outputs.check_folder(out)
    described = {name: describe(path) for name, path in paths.items()}
    size = one_size(described, image_size)
    known, whose = _classes(described)
    labels = open_labels(
        data, data_images, split, classes, allow_broken_labels, config=read, known=known, whose=f"the model {whose}"
    )
    return _score(paths, labels, out, method, level, count or _COUNT, insertion, size, seed or 0)


def _draw(paths, images, out, class_name, method, level, count, image_size):
    outputs.check_file(out, (".png",), "an image")
    _files.check_outside(out, images)
    described = {name: check_model(path) for name, path in paths.items()}
    size = one_size(described, image_size)
    for each in described.values():
        _class_id(each, class_name)
    files = datasets.image_files(images)[:count]
    networks = {name: load(path) for name, path in paths.items()}
    batches = [(places, boxed.numpy()) for places, boxed, _, _ in letterboxed_batches(files, size, 8)]
    places, pixels = (np.concatenate(parts) for parts in zip(*batches))
    cams, found = {}, {}
    for name, network in networks.items():
        cam, label = getattr(explaining, METHODS[method])(network, layer=level), _class_id(network, class_name)
        cams[name] = cam(pixels, label, verbose=int(verbosity() != 2))
        found[name] = _detections(network, pixels, None if label is None else [label] * len(pixels))
    names = [os.path.basename(files[place]) for place in places]
    explaining.side_by_side(pixels, cams, out, names=names, found=found, overwrite=True)
    return cams


def _detections(network, pixels, labels):
    """Return what a detector or localizer finds in letterboxed images, of one class each where `labels` are given."""
    found = list(detectors.predict(network, pixels, verbose=0).values())
    if labels is None:
        return found
    kept = (each.classes == label for each, label in zip(found, labels))
    return [
        Detections(each.boxes[own], each.scores[own], each.classes[own], each.class_names)
        for each, own in zip(found, kept)
    ]


def _class_id(model, class_name):
    if class_name is None:
        return None
    if class_name not in model.class_names:
        raise UserError(f"the model knows no class {class_name!r}; it knows {', '.join(model.class_names)}")
    return list(model.class_names).index(class_name)


def _score(paths, labels, out, method, level, count, insertion, size, seed):
    begun = time.time()
    records = labels.with_records([record for record in labels if record.largest() is not None])
    if len(records) < _LEAST:
        raise UserError(
            f"{len(records)} of {len(labels)} images have an object to be found; give {_LEAST} or more, and 200 for "
            "figures"
        )
    networks = {name: load_network(path) for name, path in paths.items()}
    found = explaining.compare_models(
        networks,
        explaining.localization_targets(records.subset(min(count, len(records)), seed=seed), size),
        level=level,
        method=getattr(explaining, METHODS[method]),
        steps=insertion,
        seed=seed,
        verbose=int(verbosity() != 2),
    )
    with _files.whole(out, replace=False) as part:
        part.mkdir(parents=True)
        shown = found.scored.take(range(min(_SHOWN, len(found.scored))))
        cams = {name: found.heatmaps[name][: len(shown)] for name in networks}
        found_boxes = {
            name: _detections(network, shown.images, shown.class_ids)
            for name, network in networks.items()
            if hasattr(network, "class_names")  # not of a backbone
        }
        names = [os.path.basename(record.path) for record in shown.records]
        explaining.side_by_side(
            shown.images, cams, part / "heatmaps.png", boxes=shown.boxes, names=names, found=found_boxes
        )
        figures = {
            "measure": "whole objects, by the class of the largest object of each image",
            "method": method,
            "level": found.level,
            "image_size": size,
            "images": len(found.scored),
            "chosen_on": found.chosen_on,
            "thresholds": found.thresholds,
            **found.table,
            "randomized": found.randomized,
            "minutes": (time.time() - begun) / 60,
            "machine": machine(),
        }
        (part / "table.json").write_text(json.dumps(finite(figures), indent=1) + "\n", encoding="utf-8")
        page = explain_page(figures, (part / "heatmaps.png").read_bytes())
        (part / "report.html").write_text(page, encoding="utf-8")
    return found


def load_network(path: str | os.PathLike) -> keras.Model:
    """Return a localizer, a detector, or a backbone."""
    if not pathlib.Path(path).is_file():
        raise UserError(
            f"there is no model {path}; give a localizer.keras, a detector.keras or a backbone.keras of a run"
        )
    try:
        return load(path)
    except UserError as error:
        try:
            return backbones.load(path)
        except UserError:
            raise error from None


def _classes(models):
    """Return the classes of the models that have some, which must be the same in any order, and the first of these."""
    lists = {name: tuple(model.class_names) for name, model in models.items() if model.class_names}
    first, known = next(iter(lists.items()), ("", ()))
    for name, own in lists.items():
        class_places(own, known, f"the model {name}", f"the model {first}")
    return known, first
