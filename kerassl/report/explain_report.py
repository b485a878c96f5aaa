"""`kerassl explain --arms … --voc …`: where arms look, as one grid and one table with intervals."""

import json
import pathlib
import time

import numpy as np

from kerassl import backbones, datasets, explain
from kerassl._display import marked_up, printable
from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl.comparison import execute as compare
from kerassl.datasets.subset import subset
from kerassl.metrics.checks import class_places
from kerassl.report import page as report
from kerassl.resizing import check_image_size
from kerassl.runs import outputs, running
from kerassl.runs.model_files import describe, load
from kerassl.runs.sources import labelled_split

METHODS = {"gradcam": "GradCAM", "gradcam++": "GradCAMPlusPlus", "layercam": "LayerCAM", "scorecam": "ScoreCAM"}
"""Classes of `explain` by what `--method` calls them."""

_COUNT = 400  # images, a quarter of which level and thresholds are chosen on
_SHOWN = 8  # rows of the grid

# The figures of the table: key, heading, what it means.
MEASURES = {
    "energy": ("energy", "share of the heat that lies in the objects"),
    "coverage": ("coverage", "share of the objects that is hot (from the arm's threshold on)"),
    "pointing": ("pointing game", "how often the hottest place lies within 15 pixels of an object"),
    "pointing_difficult": ("pointing, difficult", "the same where the objects are small and others lie about"),
    "box_acc": ("BoxAcc", "how often the box around the largest hot piece overlaps an object by 0.5 or more"),
    "max_box_acc": ("MaxBoxAcc", "the same at the threshold that is best for these images"),
    "max_box_acc_v2": ("MaxBoxAccV2", "any hot piece, mean over overlaps of 0.3, 0.5 and 0.7"),
    "pxap": ("PxAP", "average precision of pixels, where there are masks"),
    "insertion": ("insertion", "mean probability of the class as the hottest pixels come in; higher is better"),
    "insertion_gain": ("insertion gain", "insertion, minus that with a centred Gaussian as heatmap"),
    "deletion": ("deletion", "mean probability of the class as the hottest pixels go; lower is better"),
    "deletion_gain": ("deletion gain", "deletion, minus that with a centred Gaussian; below 0 is better"),
}


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
            "machine": compare.machine(),
        }
        (part / "table.json").write_text(json.dumps(_finite(figures), indent=1) + "\n", encoding="utf-8")
        _write_page(part, figures)
    print(table_text(found.table))
    print(
        f"{len(found.scored)} images in {minutes:.1f} minutes; {found.level} and thresholds chosen on "
        f"{found.chosen_on} others: {options.out}"
    )


def table_text(table):
    """The table in plain letters, a line a measure: value and interval in %."""
    columns = _columns(table)
    names = list(map(printable, columns))
    widths = [max(26, len(name) + 2) for name in names]
    lines = [" " * 20 + "".join(f"{name:>{width}}" for name, width in zip(names, widths))]
    for key in _measures(table):
        cells = [_cell(row.get(key)) for row, _ in columns.values()]
        lines.append(f"{MEASURES[key][0]:20}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths)))
    return "\n".join(lines)


def _measures(table):
    return [key for key in MEASURES if any(key in row for row in table["arms"].values())]


def _columns(table):
    """For each column its figures by measure, and whether they are differences."""
    first = next(iter(table["arms"]))
    columns = {name: (row, False) for name, row in table["arms"].items()}
    return columns | {f"{name} minus {first}": (row, True) for name, row in table["differences"].items()}


def _cell(interval):
    if interval is None or np.isnan(interval[0]):
        return "–"
    value, low, high = (100 * each for each in interval)
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


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


def _write_page(folder, figures):
    parts = [
        "<h1>Where the arms look</h1>",
        f"<p>{figures['images']} images, each asked about the class of its largest object; "
        f"{marked_up(figures['method'])} at {figures['level']}, {figures['image_size']} pixels. Level and thresholds "
        f"were chosen on {figures['chosen_on']} other images. In %, with the interval that holds 95 % of 1,000 "
        "draws of the images.</p>",
        _table({name: column for name, column in _columns(figures).items() if not column[1]}, _measures(figures)),
        "<h2>Differences, image by image</h2><p>Bold: the interval does not hold 0. It tells what these images show of "
        "these networks; another training of the same arm may differ.</p>",
        _table({name: column for name, column in _columns(figures).items() if column[1]}, _measures(figures)),
        "<h2>Is it what the networks learned?</h2><p>How alike (SSIM) the heatmaps of a few images stay when the "
        "weights are shuffled from the outputs down to the layer that is named. What was learned falls apart.</p>",
        _randomised(figures["randomised"]),
        report.picture("Heatmaps", "Green: the objects of the class.", (folder / "heatmaps.png").read_bytes()),
        f"<h2>Machine</h2><p>{marked_up(figures['machine'])}; {figures['minutes']:.1f} minutes</p>",
    ]
    (folder / "report.html").write_text(report.page("Where the arms look", parts), encoding="utf-8")


def _table(columns, keys):
    """A measure a row, with what it means below its name."""
    heads = "".join(f"<th>{marked_up(name)}</th>" for name in columns)
    body = []
    for key in keys:
        title, says = (marked_up(text) for text in MEASURES[key])
        cells = []
        for row, difference in columns.values():
            value, _, interval = _cell(row.get(key)).partition(" ")
            sure = difference and interval and (row[key][1] > 0 or row[key][2] < 0)
            value = f"<b>{value}</b>" if sure else value
            cells.append(f"<td style='white-space:nowrap'>{value}<br><small>{interval.strip('()')}</small></td>")
        body.append(f"<tr><th>{title}<br><small style='font-weight:400'>{says}</small></th>{''.join(cells)}</tr>")
    return f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _randomised(checks):
    rows = "".join(
        f"<tr><th>{marked_up(name)}</th>"
        + "".join(f"<td>{alike:.2f}<br><small>{marked_up(layer)}</small></td>" for layer, alike in steps)
        + "</tr>"
        for name, steps in checks.items()
    )
    return f"<table><tbody>{rows}</tbody></table>"
