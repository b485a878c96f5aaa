"""How large, how near and how fast are TFLite files of localizers and detectors, on one core?

    python -m studies.tflite --images VOCdevkit/VOC2007/JPEGImages
    python -m studies.tflite --images photos/ --network EfficientNetB1 --image-size 160 --count 8

Weights are random, with noisy heads. Boxes are compared in sides of the letterboxed square, each with the nearest of
its class (as `kerassl check` does): scores that are nearly equal may change places. A detection that the other lacks
counts in scores, by how far it is above the lowest. Both take one letterboxed image at a time, with the network,
decoding and non-maximum suppression; the model in memory as a compiled function.
"""

import argparse
import os
import pathlib
import statistics
import sys
import tempfile
import time

from benchmarks import machine
from benchmarks.measuring import say

KINDS = ("localizer", "retinanet", "yolov8")
CLASSES = [f"class{number}" for number in range(20)]


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m studies.tflite", description=__doc__.splitlines()[0])
    parser.add_argument("--images", required=True, metavar="FOLDER", help="images; the first ones are taken")
    parser.add_argument("--count", type=int, default=16, help="images; 8 to 50")
    parser.add_argument("--network", default="MobileNet", help="name that backbones.build knows")
    parser.add_argument("--image-size", type=int, default=128, help="side in pixels, a multiple of 32")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    options = parser.parse_args(arguments)
    if options.count < 2:
        parser.error(f"--count is {options.count}; give 2 or more")
    return options


def main(arguments=None):
    options = parse(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    import kerassl

    import keras  # isort: skip
    import tensorflow as tf  # isort: skip

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    paths = kerassl.datasets.image_files([options.images])[: options.count]
    squares = [kerassl.resizing.letterbox(kerassl.datasets.read_image(path), options.image_size)[0] for path in paths]
    commit = machine.about("studies.tflite")["commit"]
    print(
        f"{options.network}, {options.image_size} px, {len(squares)} images, one core, Keras {keras.__version__}, "
        f"TensorFlow {tf.__version__}; {time.strftime('%Y-%m-%d')}, commit {commit}\n"
    )
    print(
        "| model | precision | MB | score apart | box apart | ms an image | in memory |\n|---|---|---|---|---|---|---|"
    )
    for kind in options.kinds:
        _measure(kind, squares, options)
    return 0


def _measure(kind, squares, options):
    import tensorflow as tf

    from benchmarks import random_models
    from kerassl.serving.tflite import PRECISIONS, export_tflite

    say(f"building {kind}")
    model = random_models.build(kind, options.network, CLASSES, options.image_size, tf.stack(squares))
    ask = tf.function(_in_memory(model))
    expected, memory = _answers(ask, squares)
    for precision in PRECISIONS:
        say(f"converting {kind} to {precision}")
        with tempfile.TemporaryDirectory() as folder:
            path = export_tflite(model, pathlib.Path(folder) / "model.tflite", precision=precision)
            size = path.stat().st_size / 1e6
            run = tf.lite.Interpreter(str(path), num_threads=1).get_signature_runner()
        found, ms = _answers(lambda image, run=run: run(images=image.numpy()), squares)
        scores, boxes = _apart(found, expected, options.image_size)
        print(
            f"| {kind} | {precision} | {size:.1f} | {scores:.1e} | {boxes:.1e} | {ms:.1f} | {memory:.1f} |", flush=True
        )


def _in_memory(model):
    import tensorflow as tf

    import kerassl
    from kerassl.detectors.localizer.predictions import locate

    def locator(image):
        side = float(model.image_size)
        box, logits = locate(model, image, tf.ones([1]), tf.fill([1, 2], side))
        return {"box": box, "probabilities": tf.nn.softmax(logits)}

    def detector(image):
        names = ("boxes", "scores", "classes", "num_detections")
        return dict(zip(names, kerassl.detectors.decode(model, image)))

    return locator if isinstance(model, kerassl.detectors.Localizer) else detector


def _answers(ask, squares):
    """Joined over the images, and the median time in ms."""
    import numpy as np

    ask(squares[0][None])
    found, times = [], []
    for square in squares:
        begun = time.perf_counter()
        answer = {name: np.asarray(value) for name, value in ask(square[None]).items()}
        times.append(1000 * (time.perf_counter() - begun))
        found.append(answer)
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}, statistics.median(times)


def _apart(found, expected, side):
    import numpy as np

    from kerassl.serving.comparing import differences

    for answer in (found, expected):
        if "classes" in answer:
            answer["class_names"] = np.full(answer["classes"].shape, b"", object)
    apart = differences(found, expected, [side] * len(next(iter(expected.values()))), 0.01)
    return apart.get("scores", apart.get("probabilities")), apart.get("boxes", apart.get("box"))


if __name__ == "__main__":
    sys.exit(main())
