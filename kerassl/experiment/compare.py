"""Several arms down the whole road, into one report."""

import logging
import os
import platform
import re
import sys
import time

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kerassl import _compat, _files, backbones, datasets, detectors, explain, models, serving
from kerassl._errors import UserError
from kerassl._version import __version__
from kerassl.experiment import finetuning, predicting, pretraining, running
from kerassl.experiment.report import write_report
from kerassl.experiment.run_card import run_card
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
    running.prepare(config)
    data = sources(config, folder)
    pretrained = None
    if "self-supervised" in config.arms.values():
        pretrained = pretraining.pretrain(config, data.images, folder)
    arms = {}
    for name, weights in config.arms.items():
        out = folder / "arms" / slug(name)
        arms[name] = {"start": weights, "seen": _seen(weights, config, data, pretrained)}
        for task in tasks:
            arms[name][task] = finetuning.finetune(config, task, weights, data, folder, out, f"{task}:{name}")
    pictures = _pictures(config, tasks, data, folder)
    servable = _servable(config, tasks, folder)
    page = report(
        folder,
        "kerassl: arms compared",
        f"{len(data.train)} labelled images to fine-tune on, {len(data.test)} to score on, which no arm has "
        f"seen. Network: {config.backbone}. Servable: {servable.relative_to(folder)}.",
        begun,
        generated=data.generated,
        pretrain=pretrained,
        arms=arms,
        pictures=pictures,
    )
    print(_table(arms, tasks))
    print(f"report: {page}")
    return page


def report(folder, title, summary, begun, **results):
    """Writes `results.json` and `report.html` of a run.

    Args:
        folder: `pathlib.Path` of the run.
        title, summary: str, what the page begins with.
        begun: float, the time at which the command began, in seconds.
        **results: `generated` (bool), and of `pretrain`, `arms` and `pictures` those that the run has.

    Returns:
        `pathlib.Path` of the page.
    """
    minutes = (time.time() - begun) / 60
    results = {"title": title, "summary": summary, "machine": machine(), "minutes": minutes, **results}
    running.write_json(folder / "results.json", results)
    return write_report(folder)


def slug(name):
    """A name as a folder's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def machine():
    """What the figures were measured on."""
    import tensorflow as tf

    return (
        f"{os.cpu_count()} CPU cores ({platform.machine()}), {len(tf.config.list_physical_devices('GPU'))} GPUs; "
        f"kerassl {__version__}, TensorFlow {tf.__version__}, Keras {_compat.KERAS_VERSION}, "
        f"Python {platform.python_version()}; {time.strftime('%Y-%m-%d')}; {' '.join(sys.argv[1:])}"
    )


def seen(weights):
    """What a network has seen that begins with these weights, in words."""
    return _SEEN.get(weights, f"whatever {weights} was made from; kerassl cannot tell.")


def _seen(weights, config, data, pretrained):
    if weights == "self-supervised":
        kind = "generated images" if data.generated else "photographs"
        return (
            f"about {pretrained['images']} {kind} without labels, {config.pretrain.epochs} times each; weights random "
            "before that."
        )
    return seen(weights)


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
    if not isinstance(model, (detectors.Detector, models.Localizer)):
        raise UserError(f"{path} is a {type(model).__name__}; give a detector.keras or localizer.keras of a run")
    return model


def _pictures(config, tasks, data, folder):
    """Detections and heatmaps of the same test images for every arm."""
    shown = [record for record in data.test if record.largest() is not None][: config.explain.images]
    wanted = np.array([record.classes[record.largest()] for record in shown])
    level = config.explain.level
    pictures = []
    for task in tasks:
        drawn, heatmaps = {}, {}
        for name in config.arms:
            model = load(folder / "arms" / slug(name) / f"{task}.keras")
            found = predicting.detections(model, shown)
            drawn[name] = [
                detectors.draw(
                    record.path, found[record.image_id], data.classes, truth=record, score_threshold=_shown(model)
                )
                for record in shown
            ]
            images, boxes = squares(shown, model.image_size)
            heatmaps[name] = explain.GradCAM(model, layer=level)(images, wanted)
        file = f"pictures/{task}s.png"
        draw_rows(drawn, folder / file)
        pictures.append({"file": file, "title": f"What each {task} finds", "says": "Thin green frames are the truth."})
        file = f"pictures/{task}_heatmaps.png"
        explain.side_by_side(images, heatmaps, folder / file, boxes=boxes)
        says = f"Grad-CAM at {level} for the class of the largest object, whose box is drawn."
        pictures.append({"file": file, "title": f"Where each {task} looks", "says": says})
    return pictures


def _shown(model):
    """The lowest score that is drawn: a localiser has but one answer."""
    return 0.0 if isinstance(model, models.Localizer) else 0.3


def squares(records, size):
    """Letterboxed images `[N, size, size, 3]` of records, and the box of each one's largest object in them."""
    images, boxes = [], []
    for record in records:
        image, scale = datasets.letterbox(datasets.read_image(record.path), size)
        images.append(image)
        boxes.append(record.boxes[record.largest()][None] * float(scale))
    return np.stack(images), boxes


def draw_rows(images_by_arm, path, height=220):
    """Pictures of one height, a row an arm with its name above it, on one sheet."""
    font = ImageFont.load_default(size=16)
    rows = {}
    for name, images in images_by_arm.items():
        pictures = [Image.fromarray(image) for image in images]
        rows[name] = [picture.resize((round(picture.width * height / picture.height), height)) for picture in pictures]
    width = max(sum(picture.width + 6 for picture in row) for row in rows.values())
    sheet = Image.new("RGB", (width, len(rows) * (height + 30)), "white")
    for number, (name, row) in enumerate(rows.items()):
        top, left = number * (height + 30), 0
        ImageDraw.Draw(sheet).text((2, top + 3), name, "black", font)
        for picture in row:
            sheet.paste(picture, (left, top + 24))
            left += picture.width + 6
    with _files.whole(path) as part:
        sheet.save(part)


def _servable(config, tasks, folder):
    """The last task's model of the first arm, exported."""
    task, name = tasks[-1], next(iter(config.arms))
    out = folder / "servables" / task / "1"
    if not out.exists():
        model = folder / "arms" / slug(name) / f"{task}.keras"
        serving.export(load(model), out, about=run_card(model))
    return out


def _table(arms, tasks):
    lines = []
    for task in tasks:
        keys = ("mean_iou", "loc_acc_50", "loc_acc_70", "top1", "voc07_ap50", "voc10_ap50", "coco_ap")
        keys = [key for key in keys if all(key in arm[task] for arm in arms.values())]
        lines.append(f"{task:24}" + "".join(f"{key:>12}" for key in keys))
        for name, arm in arms.items():
            lines.append(f"{name:24}" + "".join(f"{100 * arm[task][key]:12.1f}" for key in keys))
    return "\n".join(lines)
