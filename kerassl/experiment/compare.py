"""Several arms down the whole road, into one report."""

import logging
import os
import platform
import re
import sys
import time

import numpy as np
from PIL import Image

from kerassl import _files, backbones, detectors, explain, models, serving
from kerassl._errors import UserError
from kerassl._version import __version__
from kerassl.experiment import training
from kerassl.experiment.report import write_report
from kerassl.experiment.sources import sources

log = logging.getLogger("kerassl")

_SEEN = {
    "random": "no image before its fine-tuning.",
    "imagenet": "ImageNet, with labels, by the weights that Keras publishes.",
}


def compare(config, folder):
    """Pre-trains where an arm asks for it, fine-tunes and scores every arm, draws, exports and reports.

    Each stage leaves whole files; a comparison that is started again does what is missing.

    Args:
        config: `Config`.
        folder: `pathlib.Path` of the run, claimed by `run_folder`.

    Returns:
        `pathlib.Path` of `report.html`.

    Raises:
        UserError: if the configuration names neither localiser nor detector, or what it names cannot be used.
    """
    tasks = [task for task in ("localizer", "detector") if getattr(config, task) is not None]
    if not tasks:
        raise UserError("there is nothing to compare; add a section 'localizer:' or 'detector:' to the configuration")
    for task in tasks:
        backbones.check_image_size(getattr(config, task).image_size)
    begun = time.time()
    training.prepare(config)
    data = sources(config, folder)
    pretrained = None
    if "self-supervised" in config.arms.values():
        pretrained = training.pretrain(config, data.images, folder)
    arms = {}
    for name, weights in config.arms.items():
        out = folder / "arms" / slug(name)
        arms[name] = {"start": weights, "seen": _seen(weights, config, data, pretrained)}
        for task in tasks:
            arms[name][task] = training.finetune(config, task, weights, data, folder, out, f"{task}:{name}")
    pictures = _pictures(config, tasks, data, folder)
    servable = _servable(config, tasks, folder)
    results = {
        "title": "kerassl: arms compared",
        "summary": f"{len(data.train)} labelled images to fine-tune on, {len(data.test)} to score on, which no arm has "
        f"seen. Network: {config.backbone}. Servable: {servable.relative_to(folder)}.",
        "generated": data.generated,
        "machine": machine(),
        "minutes": (time.time() - begun) / 60,
        "pretrain": pretrained,
        "arms": arms,
        "pictures": pictures,
    }
    training.write_json(folder / "results.json", results)
    page = write_report(folder)
    print(_table(arms, tasks))
    print(f"report: {page}")
    return page


def slug(name):
    """A name as a folder's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def machine():
    """What the figures were measured on."""
    import keras
    import tensorflow as tf

    return (
        f"{os.cpu_count()} CPU cores ({platform.machine()}), {len(tf.config.list_physical_devices('GPU'))} GPUs; "
        f"kerassl {__version__}, TensorFlow {tf.__version__}, Keras {keras.__version__}, "
        f"Python {platform.python_version()}; {time.strftime('%Y-%m-%d')}; {' '.join(sys.argv[1:])}"
    )


def _seen(weights, config, data, pretrained):
    if weights == "self-supervised":
        kind = "generated images" if data.generated else "photographs"
        return (
            f"about {pretrained['images']} {kind} without labels, {config.pretrain.epochs} times each; weights random "
            "before that."
        )
    return _SEEN.get(weights, f"whatever {weights} was made from; kerassl cannot tell.")


def load(path):
    """A detector or localiser from its file."""
    import keras

    if not os.path.isfile(path):
        raise UserError(f"there is no model {path}; give a detector.keras or localizer.keras of a run")
    try:
        model = keras.saving.load_model(path)
    except (ValueError, OSError, TypeError) as error:
        reason = str(error).splitlines()[0][:160]
        raise UserError(f"{path} does not open as a detector or localiser of this Keras version ({reason})") from error
    if not isinstance(model, (detectors.RetinaNet, models.Localizer)):
        raise UserError(f"{path} is a {type(model).__name__}; give a detector.keras or localizer.keras of a run")
    return model


def _pictures(config, tasks, data, folder):
    """Detections and heatmaps of the same test images for every arm."""
    shown = [record for record in data.test if record.largest() is not None][: config.explain.images]
    pictures = []
    for task in tasks:
        drawn, heatmaps, images = {}, {}, None
        for name in config.arms:
            model = load(folder / "arms" / slug(name) / f"{task}.keras")
            drawn[name] = _drawn(model, shown, data.classes)
            wanted = [int(record.classes[record.largest()]) for record in shown]
            images = np.stack([training.letterboxed(record.path, model.image_size) for record in shown])
            heatmaps[name] = explain.GradCAM(model, layer=config.explain.level)(images, np.array(wanted))
        file = f"pictures/{task}s.png"
        _grid(drawn, folder / file)
        says = "Green: the truth. Each row is an arm: " + ", ".join(config.arms) + "."
        pictures.append({"file": file, "title": f"What each {task} finds", "says": says})
        file = f"pictures/{task}_heatmaps.png"
        explain.side_by_side(images, heatmaps, folder / file, boxes=training.letterboxed_boxes(shown, model.image_size))
        says = f"Grad-CAM at {config.explain.level} for the class of the largest object, whose box is drawn."
        pictures.append({"file": file, "title": f"Where each {task} looks", "says": says})
    return pictures


def _drawn(model, records, classes):
    found = training.detections(model, records, score_threshold=0.3 if isinstance(model, detectors.RetinaNet) else 0.0)
    return [
        detectors.draw(
            np.asarray(Image.open(record.path).convert("RGB")), found[record.image_id], classes, truth=record
        )
        for record in records
    ]


def _grid(drawn, path, height=200):
    """Images of one height, an arm a row, onto one sheet."""
    rows = []
    for images in drawn.values():
        scaled = [Image.fromarray(np.asarray(image)) for image in images]
        rows.append([image.resize((round(image.width * height / image.height), height)) for image in scaled])
    width = max(sum(image.width + 6 for image in row) for row in rows)
    sheet = Image.new("RGB", (width, len(rows) * (height + 6)), "white")
    for index, row in enumerate(rows):
        left = 0
        for image in row:
            sheet.paste(image, (left, index * (height + 6)))
            left += image.width + 6
    with _files.whole(path) as part:
        sheet.save(part)


def _servable(config, tasks, folder):
    """The last task's model of the first arm, exported."""
    task, name = tasks[-1], next(iter(config.arms))
    out = folder / "servables" / task / "1"
    if not out.exists():
        serving.export(load(folder / "arms" / slug(name) / f"{task}.keras"), out)
    return out


def _table(arms, tasks):
    lines = []
    for task in tasks:
        keys = [key for key in ("mean_iou", "loc_acc_50", "loc_acc_70", "top1", "voc07_ap50", "voc10_ap50", "coco_ap")]
        keys = [key for key in keys if all(key in arm[task] for arm in arms.values())]
        lines.append(f"{task:24}" + "".join(f"{key:>12}" for key in keys))
        for name, arm in arms.items():
            lines.append(f"{name:24}" + "".join(f"{100 * arm[task][key]:12.1f}" for key in keys))
    return "\n".join(lines)
