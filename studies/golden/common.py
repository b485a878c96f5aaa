"""Common to both sides: inputs and weights drawn by NumPy, and the loop that runs the cases and saves their results.

Nothing here imports kerassl, whose interface differs between the sides.
"""

import argparse
import collections
import contextlib
import gc
import json
import os
import pathlib
import sys
import tempfile
import time
import traceback

import numpy as np
from PIL import Image

CLASSES = ("red", "green", "blue")


def image(height, width, *seed):
    """A smooth image with a rectangle of one color and a little noise: `[height, width, 3]` uint8."""
    draw = np.random.default_rng([height, width, *seed])
    coarse = draw.uniform(40, 200, (-(-height // 8), -(-width // 8), 3))
    pixels = np.kron(coarse, np.ones((8, 8, 1)))[:height, :width] + draw.uniform(-15, 15, (height, width, 3))
    (x0, y0, x1, y1), label = box(height, width, *seed)
    pixels[y0:y1, x0:x1] = 30
    pixels[y0:y1, x0:x1, label] = 240
    return np.clip(pixels, 0, 255).astype(np.uint8)


def box(height, width, *seed):
    """The rectangle in that image, (x0, y0, x1, y1) in whole pixels, and its class."""
    draw = np.random.default_rng([height, width, *seed, 1])
    y0, x0 = (int(draw.integers(0, side // 2)) for side in (height, width))
    y1, x1 = y0 + int(draw.integers(height // 4, height // 2)), x0 + int(draw.integers(width // 4, width // 2))
    return (x0, y0, x1, y1), int(draw.integers(0, 3))


def images(count, size):
    """`[count, size, size, 3]` uint8."""
    return np.stack([image(size, size, number) for number in range(count)])


def image_files(folder, count, first=0):
    """Writes PNGs of several shapes; their paths as str."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    numbers = range(first, first + count)
    for number in numbers:
        Image.fromarray(image(*shape(number), number)).save(folder / f"{number:02}.png")
    return [str(folder / f"{number:02}.png") for number in numbers]


def shape(number):
    """Height and width of image file `number`."""
    return ((48, 72), (80, 56), (64, 64), (40, 100))[number % 4]


def targets(count, size):
    """Boxes `[count, 2, 4]` in pixels, with a second one in every other image, and classes `[count, 2]`; float32."""
    boxes, classes = np.full((count, 2, 4), -1, np.float32), np.full((count, 2), -1, np.float32)
    for number in range(count):
        boxes[number, 0], classes[number, 0] = box(size, size, number)
        if number % 2:
            boxes[number, 1], classes[number, 1] = box(size, size, number, 7)
    return boxes, classes


def detections(records, classes, seed=0):
    """Predictions near and beside the objects of `(id, boxes [n, 4], classes [n])` in images of 100 pixels a side."""
    draw, found = np.random.default_rng(seed), {}
    for image_id, boxes, labels in records:
        near = np.repeat(np.asarray(boxes, np.float64).reshape(-1, 4), 2, axis=0)
        near = near + np.rint(draw.uniform(-8, 8, near.shape))
        corner = np.rint(draw.uniform(0, 60, (4, 2)))
        around = np.concatenate([near, np.concatenate([corner, corner + np.rint(draw.uniform(5, 40, (4, 2)))], axis=1)])
        around[:, 2:] = np.maximum(around[:, 2:], around[:, :2] + 1)
        named = np.concatenate([np.repeat(np.asarray(labels, int), 2), draw.integers(0, classes, 4)])
        named = np.where(draw.uniform(size=len(named)) < 0.2, draw.integers(0, classes, len(named)), named)
        scores = np.rint(draw.uniform(0.05, 1, len(named)) * 50) / 50  # so that some tie
        found[image_id] = {
            "boxes": around.astype(np.float32),
            "scores": scores.astype(np.float32),
            "classes": named.astype(np.int32),
        }
    return found


def truth(count=12, classes=3, seed=0):
    """Ground truth on a coarse grid in images of 100 pixels a side: `(id, boxes, classes, difficult, crowd)` each."""
    draw, found = np.random.default_rng([seed, 5]), []
    for number in range(count):
        objects = int(draw.integers(0, 5))
        corner = draw.integers(0, 6, (objects, 2)) * 10.0
        boxes = np.concatenate([corner, corner + draw.integers(1, 5, (objects, 2)) * 10.0], axis=1)
        labels = draw.integers(0, classes, objects)
        difficult, crowd = draw.uniform(size=objects) < 0.2, draw.uniform(size=objects) < 0.1
        found.append((f"image{number}", boxes, labels, difficult, crowd))
    return found


def heatmaps(count, height, width):
    """Smooth heatmaps in [0, 1], the last one empty."""
    draw, rows, columns = np.random.default_rng(3), np.arange(height)[:, None], np.arange(width)
    found = np.zeros((count, height, width), np.float32)
    for heatmap in found[:-1]:
        for _ in range(3):
            y, x, spread = draw.uniform(0, height), draw.uniform(0, width), draw.uniform(3, 12)
            heatmap += np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * spread**2))
        heatmap /= heatmap.max()
    return found


# These begin near 0; gains, variances and deviations near 1.
_NEAR_0 = ("bias", "beta", "mean", "moving_mean")


def set_weights(model):
    """Draws every weight by NumPy from its shape and how many of that shape came before it.

    So neither the names of layers nor the order in which layers of different shapes are built changes a number.
    """
    counts = collections.Counter()
    for weight in model.weights:
        size = tuple(weight.shape)
        if not size or "float" not in str(weight.dtype):
            continue
        near_0 = weight.name.split("/")[-1].split(":")[0] in _NEAR_0
        draw = np.random.default_rng([*size, near_0, counts[size, near_0]])
        counts[size, near_0] += 1
        if len(size) > 1:
            depthwise = size[-1] == 1 and size[0] > 1
            fan_in = np.prod(size[:2] if depthwise else size[:-1])
            value = draw.normal(0, np.sqrt(2 / fan_in), size)
        else:
            value = draw.normal(0, 0.1, size) if near_0 else draw.uniform(0.5, 1.5, size)
        weight.assign(value.astype(np.float32))
    return model


def weights(model):
    """The weights of a model by shape, in its order."""
    found = collections.defaultdict(list)
    for weight in model.weights:
        if tuple(weight.shape):
            found[str(tuple(weight.shape))].append(np.array(weight))
    return {name: dict(enumerate(values)) for name, values in found.items()}


def step_logger(keras, logs_of_steps):
    """A callback that appends the logs of each step to a list."""
    return keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: logs_of_steps.append({name: float(logs[name]) for name in logs})
    )


def by_name(logs_of_steps):
    """Dict from a log's name to its values by step."""
    return {name: [logs[name] for logs in logs_of_steps] for name in logs_of_steps[0]}


def flatten(value, name=""):
    """Flatten the result of a case to a dict from name to array."""
    if isinstance(value, dict):
        found = {}
        for key, item in value.items():
            found.update(flatten(item, f"{name}/{key}" if name else str(key)))
        return found
    if isinstance(value, (list, tuple)) and not _numeric(value):
        return flatten(dict(enumerate(value)), name)
    if value is None or isinstance(value, pathlib.Path):
        value = str(value)
    array = np.asarray(value)
    if array.dtype == object:
        array = np.array([str(item) for item in array.ravel()]).reshape(array.shape)
    return {name: array}


def _numeric(values):
    try:
        return len(values) > 0 and np.asarray(values).dtype.kind in "biuf"
    except ValueError:  # ragged
        return False


def run(cases):
    """The command of one side: `python cases.py ROOT OUT [CASE ...]` runs cases and writes `OUT/CASE.npz` of each.

    ROOT is the folder that kerassl has to come from. The exit status is 1 if a case failed; the others are written.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    cases = {case.__name__: case for case in cases}

    import kerassl

    found = pathlib.Path(kerassl.__file__).resolve().parent.parent
    if found != pathlib.Path(options.root).resolve():
        print(f"kerassl comes from {found}, not from {options.root}")
        sys.exit(1)
    from kerassl import _compat  # noqa: F401  # isort: skip
    import keras
    import tensorflow as tf

    # One thread: sums of several threads may be added in any order.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    failed = []
    for name in options.names or cases:
        begun = time.perf_counter()
        keras.backend.clear_session()
        keras.utils.set_random_seed(0)
        here = os.getcwd()
        try:
            with tempfile.TemporaryDirectory() as folder:
                os.chdir(folder)  # so that no path of the machine gets into a result
                with contextlib.redirect_stdout(sys.stderr):
                    result = flatten(cases[name]())
                save(options.out / f"{name}.npz", result)
        except Exception:
            traceback.print_exc(file=sys.stdout)
            failed.append(name)
        finally:
            os.chdir(here)
        gc.collect()
        result = "failed after" if name in failed else "took"
        print(f"    {name} {result} {time.perf_counter() - begun:.1f} s", flush=True)
    sys.exit(bool(failed))


def save(path, arrays):
    """Writes arrays whole or not at all."""
    part = path.with_name(f".{os.getpid()}.{path.name}")
    with part.open("wb") as file:
        np.savez_compressed(file, **{name.replace("/", "|"): value for name, value in arrays.items()})
    part.replace(path)


def load(path):
    """Load the results that `save` wrote."""
    with np.load(path) as file:
        return {name.replace("|", "/"): file[name] for name in file.files}


def json_of(path):
    """The content of a JSON file."""
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
