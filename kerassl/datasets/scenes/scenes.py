"""Generated toy scenes in PASCAL VOC's format."""

from __future__ import annotations

import concurrent.futures
import io
import json
import logging
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
from tqdm import tqdm

from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._numbers import COUNT_OR_NONE, SEED, short
from kerassl.datasets.scenes.drawing import SCENE_CLASSES, draw_scene

log = logging.getLogger("kerassl")

_DRAWING = 1  # to be raised with every change that draws other pixels
_SPLITS = ("train", "val", "test", "unlabeled")


def write_scenes(
    path: str | os.PathLike,
    *,
    train: int = 600,
    val: int = 200,
    test: int = 0,
    unlabeled: int = 0,
    image_size: tuple[int, int] = (160, 200),
    single_object: bool = False,
    classes: Sequence[str] | None = None,
    seed: int = 0,
) -> pathlib.Path:
    """Generate a VOCdevkit of toy scenes with exact boxes and masks.

    Things of eight classes (`SCENE_CLASSES`), each of several distinct parts, are rotated, stretched, lit and partly
    hidden on textured ground, among clutter of single parts. Colors say nothing about the class. Boxes and masks are
    those of the pixels that can be seen; a thing of which less than two fifths can be seen is difficult.

    An image depends on the seed, its split and its number alone: a larger data set begins with the images of a smaller
    one, and the files are the same bytes each time. A folder that holds scenes of the same settings is taken as it is.

    Args:
        path: str or `pathlib.Path`. The folder to write; `VOC2007/` is made in it, and `unlabeled/` if wanted.
        train, val, test: int. Annotated images of each split. About 600 train a small localizer.
        unlabeled: int. Images without annotation.
        image_size: (height, width) in pixels, 64 or more.
        single_object: bool. One thing in each image instead of one to five.
        classes: sequence of str, those of `SCENE_CLASSES` that are drawn, or None for all.
        seed: int, 0 or more.

    Returns:
        `pathlib.Path` of the folder, a `root` for `DetectionDataset.from_voc`.

    Raises:
        UserError: if something else is at `path`, or a number is out of range.

    Example:
        >>> root = kerassl.datasets.write_scenes("scenes", train=600, val=200)
        >>> train = kerassl.datasets.DetectionDataset.from_voc(root, 2007, "train")
    """
    path = pathlib.Path(path)
    settings: dict[str, Any] = {
        "drawing": _DRAWING,
        "train": train,
        "val": val,
        "test": test,
        "unlabeled": unlabeled,
        "image_size": list(image_size),
        "single_object": bool(single_object),
        "classes": list(SCENE_CLASSES if classes is None else classes),
        "seed": seed,
    }
    _check(settings)
    if path.exists():
        _check_same(path, settings)
        log.info("the scenes in %s are taken as they are", path)
        return path
    with _files.whole(path, replace=False) as part:
        devkit = part / "VOC2007"
        for name in ("JPEGImages", "Annotations", "SegmentationObject", "ImageSets/Main"):
            (devkit / name).mkdir(parents=True)
        if unlabeled:
            (part / "unlabeled").mkdir()
        jobs = [(split, number) for split in _SPLITS for number in range(settings[split])]

        def write(job):
            return _write_scene(part, *job, settings)

        with concurrent.futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            done = tqdm(pool.map(write, jobs), desc="drawing scenes", total=len(jobs), unit="image", disable=None)
            names = dict(zip(jobs, done))
        _write_sets(devkit / "ImageSets" / "Main", names, settings["classes"])
        (part / "scenes.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return path


def _check(settings):
    for name in (*_SPLITS, "seed"):
        value = settings[name]
        kind = SEED if name == "seed" else COUNT_OR_NONE
        if not kind.fits(value):
            raise UserError(f"{name} is {short(value)}; {kind.accepted}")
        settings[name] = int(value)
    if not any(settings[split] for split in _SPLITS):
        raise UserError("no scenes are asked for; give a number above 0 for train, val, test or unlabeled")
    sides = settings["image_size"]
    if len(sides) != 2 or any(int(side) != side or side < 64 for side in sides):
        raise UserError(f"image_size is {tuple(sides)}; give (height, width) in pixels, both 64 or more")
    settings["image_size"] = [int(side) for side in sides]
    names = settings["classes"]
    if not names or len(set(names)) < len(names) or not set(names) <= set(SCENE_CLASSES):
        raise UserError(f"classes are {names}; give some of {', '.join(SCENE_CLASSES)}, each once")


def _check_same(path, settings):
    try:
        found = json.loads((path / "scenes.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{path} exists and holds no scenes; choose another path or remove it first") from None
    other = [name for name, value in settings.items() if found.get(name) != value]
    if other:
        raise UserError(
            f"{path} holds scenes of other settings ({other[0]} is {found.get(other[0])}, not {settings[other[0]]}); "
            "choose another path or remove it first"
        )


def _write_scene(part, split, number, settings):
    """Write one scene; return whether each class in it is difficult only."""
    rng = np.random.default_rng([settings["seed"], _SPLITS.index(split), number])
    scene = draw_scene(rng, tuple(settings["image_size"]), settings["single_object"], settings["classes"])
    encoded = io.BytesIO()
    PIL.Image.fromarray(scene.image).save(encoded, "JPEG", quality=92)
    image_id = _image_id(split, number)
    if split == "unlabeled":
        (part / "unlabeled" / f"{image_id}.jpg").write_bytes(encoded.getvalue())
        return None
    devkit = part / "VOC2007"
    (devkit / "JPEGImages" / f"{image_id}.jpg").write_bytes(encoded.getvalue())
    (devkit / "Annotations" / f"{image_id}.xml").write_text(_xml(image_id, scene), encoding="utf-8")
    mask = PIL.Image.fromarray(scene.owners)
    mask.putpalette(_palette())
    mask.save(devkit / "SegmentationObject" / f"{image_id}.png")
    easy = {name for name, difficult in zip(scene.names, scene.difficult) if not difficult}
    return {name: name not in easy for name in scene.names}


def _image_id(split, number):
    return f"{split}_{number:06d}"


def _xml(image_id, scene):
    height, width = scene.image.shape[:2]
    things = "".join(
        f"  <object>\n    <name>{name}</name>\n    <pose>Unspecified</pose>\n    <truncated>{truncated:d}</truncated>\n"
        f"    <occluded>{occluded:d}</occluded>\n    <difficult>{difficult:d}</difficult>\n    <bndbox>\n"
        f"      <xmin>{x0}</xmin>\n      <ymin>{y0}</ymin>\n      <xmax>{x1}</xmax>\n      <ymax>{y1}</ymax>\n"
        "    </bndbox>\n  </object>\n"
        for name, truncated, occluded, difficult, (x0, y0, x1, y1) in zip(
            scene.names, scene.truncated, scene.occluded, scene.difficult, scene.boxes
        )
    )
    return (
        f"<annotation>\n  <folder>VOC2007</folder>\n  <filename>{image_id}.jpg</filename>\n"
        "  <source>\n    <database>kerassl scenes</database>\n  </source>\n"
        f"  <size>\n    <width>{width}</width>\n    <height>{height}</height>\n    <depth>3</depth>\n  </size>\n"
        f"  <segmented>1</segmented>\n{things}</annotation>\n"
    )


def _palette():
    """VOC's colors: the bits of a number, spread over red, green and blue."""
    numbers = np.arange(256)
    colors = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= (((numbers >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return colors.ravel().tolist()


def _write_sets(folder, names, classes):
    splits = {split: [job for job in names if job[0] == split] for split in ("train", "val", "test")}
    splits["trainval"] = splits["train"] + splits["val"] if splits["train"] and splits["val"] else []
    for split, jobs in splits.items():
        if not jobs:
            continue
        ids = [_image_id(*job) for job in jobs]
        (folder / f"{split}.txt").write_text("\n".join(ids) + "\n", encoding="utf-8")
        for name in classes:
            # VOC: 1 is there, 0 only as a difficult object, -1 not there.
            marks = [0 if names[job].get(name) else 1 if name in names[job] else -1 for job in jobs]
            lines = [f"{image_id} {mark:2d}" for image_id, mark in zip(ids, marks)]
            (folder / f"{name}_{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
