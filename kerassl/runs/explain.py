"""`kerassl explain --arms … --voc …`: where arms look, as one grid and one table with intervals."""

import json
import pathlib
import time

import numpy as np

from kerassl import backbones, datasets, explain
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl.datasets.subset import subset
from kerassl.metrics.checks import class_places
from kerassl.report.explain_page import table_text, write_page
from kerassl.resizing import check_image_size
from kerassl.runs import outputs, running
from kerassl.runs.model_files import describe, load
from kerassl.runs.results import machine
from kerassl.runs.sources import labelled_split

METHODS = {"gradcam": "GradCAM", "gradcam++": "GradCAMPlusPlus", "layercam": "LayerCAM", "scorecam": "ScoreCAM"}
"""Classes of `explain` by what `--method` calls them."""

_COUNT = 400  # images, a quarter of which level and thresholds are chosen on
_SHOWN = 8  # rows of the grid


def named(items):
    """Arms as a person gives them, `NAME=FILE` or `FILE`.

    Returns:
        Dict from name to path.

    Raises:
        UserError: if two have one name.
    """
    arms = {}
    for item in items:
        name, _, path = item.rpartition("=")
        name = name or pathlib.Path(path).stem
        if name in arms:
            raise UserError(f"two arms are called {name!r}; give each a name of its own, as ours={path}")
        arms[name] = path
    return arms


def one_size(arms, image_size=None):
    """The side of the images that all arms take, in pixels.

    Args:
        arms: dict from name to `model_files.Described`.
        image_size: int, or None.

    Raises:
        UserError: if they take different sizes, or none is known.
    """
    sizes = {name: model.image_size for name, model in arms.items() if model.image_size}
    if len(set(sizes.values())) > 1:
        raise UserError(f"the models take images of different sizes ({sizes}); compare models of one size")
    size = next(iter(sizes.values()), image_size)
    if size is None:
        raise UserError("the arms are backbones, which take any size; give --image-size, as 128")
    if image_size is not None and image_size != size:
        raise UserError(f"--image-size is {image_size}, but the models take {size}; leave it out")
    return check_image_size(size)


def explain_arms(options, config):
    """Writes `heatmaps.png`, `table.json` and `report.html` into a new folder.

    Args:
        options: those of the command.
        config: the resolved configuration, for `data.voc`.
    """
    begun = time.time()
    voc = config.data.voc
    if voc is None:
        raise UserError("no labelled images are named; give --voc a VOCdevkit, or data.voc.root in the configuration")
    if options.class_name is not None:
        raise UserError("--class is for --images; of --voc each image is asked about the class of its largest object")
    outputs.check_folder(options.out)
    paths = named(options.models)
    described = {name: describe(path) for name, path in paths.items()}
    size = one_size(described, options.image_size)
    classes = _classes(described, voc.classes)
    seed, verbose = options.seed or 0, int(running.verbosity() != 2)
    records = labelled_split(config, voc.test, classes)
    records = [record for record in records if record.largest() is not None]
    if len(records) < 2:
        raise UserError(f"{len(records)} images of {voc.test} have an object; give 2 or more, and 200 for figures")
    labels = {record.image_id: set(record.classes[~record.crowd].tolist()) for record in records}
    chosen = set(subset(list(labels), count=min(options.count or _COUNT, len(records)), seed=seed, labels=labels))
    arms = {name: load_arm(path) for name, path in paths.items()}
    asked = explain.questions([record for record in records if record.image_id in chosen], size)
    found = explain.compare_arms(
        arms,
        asked,
        level=options.level,
        method=getattr(explain, METHODS[options.method]),
        steps=options.insertion,
        seed=seed,
        verbose=verbose,
    )
    with _files.whole(options.out, replace=False) as part:
        part.mkdir(parents=True)
        shown = found.scored.take(range(min(_SHOWN, len(found.scored))))
        heat = {name: found.heatmaps[name][: len(shown)] for name in arms}
        explain.side_by_side(shown.images, heat, part / "heatmaps.png", boxes=shown.boxes)
        minutes = (time.time() - begun) / 60
        figures = {
            "measure": "whole objects, by the class of the largest object of each image",
            "method": options.method,
            "level": found.level,
            "image_size": size,
            "images": len(found.scored),
            "chosen_on": found.chosen_on,
            "thresholds": found.thresholds,
            **found.table,
            "randomised": found.randomised,
            "minutes": minutes,
            "machine": machine(),
        }
        (part / "table.json").write_text(json.dumps(_finite(figures), indent=1) + "\n", encoding="utf-8")
        write_page(part, figures)
    print(table_text(found.table))
    print(
        f"{len(found.scored)} images in {minutes:.1f} minutes; {found.level} and thresholds chosen on "
        f"{found.chosen_on} others: {options.out}"
    )


def load_arm(path):
    """A localiser, a detector, or a backbone."""
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


def _classes(arms, named_classes):
    """The classes of the arms that have some, which must be the same."""
    lists = {name: tuple(model.classes) for name, model in arms.items() if model.classes}
    if not lists:
        return tuple(named_classes or datasets.VOC_CLASSES)
    first, known = next(iter(lists.items()))
    for name, own in lists.items():
        class_places(own, known, f"the model {name}", f"the model {first}")
        if own != known:
            raise UserError(
                f"the models {name} and {first} have the same classes in different orders ({', '.join(own)} and "
                f"{', '.join(known)}); explain each in a command of its own"
            )
    if named_classes:
        class_places(known, named_classes, f"the model {first}")  # of another order they are read in the model's
    return known


def _finite(value):
    """The same with null for nan, which is no JSON."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
