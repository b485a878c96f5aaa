"""Does a servable answer as its model does in memory, on real images and in batches?

    python -m studies.serving_agreement --images VOCdevkit/VOC2007/JPEGImages
    python -m studies.serving_agreement --images photos/ --kinds yolov8 --keep servables    # for kerassl check

Weights are random, for the network's arithmetic does not care; heads are noisy, so that there is something to compare.
The reference is prediction from the same files in the same batches. Images of one size are taken together, since pixels
of several sizes are no batch. Ends with status 1 where a score is apart by more than 1e-5, or a box by more than 1e-5
of its image's long side; between batch sizes, which a processor may sum up in another order, by more than 1e-4.
"""

import argparse
import collections
import os
import pathlib
import sys
import tempfile
import time

from benchmarks import machine
from benchmarks.measuring import say

KINDS = ("retinanet", "yolov8", "localizer")
BATCHES = (1, 8)
WITHIN, ACROSS = 1e-5, 1e-4
CLASSES = [f"class{number}" for number in range(20)]


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m studies.serving_agreement", description=__doc__.splitlines()[0])
    parser.add_argument("--images", required=True, metavar="FOLDER", help="images; the first ones are taken")
    parser.add_argument("--count", type=int, default=300, help="images; 8 and more")
    parser.add_argument("--network", default="MobileNet", help="name that backbones.build knows")
    parser.add_argument("--image-size", type=int, default=128, help="side in pixels, a multiple of 32")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--keep", metavar="FOLDER", help="keep the servables here, as FOLDER/retinanet/1")
    options = parser.parse_args(arguments)
    if options.count < BATCHES[-1]:
        parser.error(f"--count is {options.count}; give {BATCHES[-1]} or more")
    for kind in options.kinds:
        if options.keep and (pathlib.Path(options.keep) / kind / "1").exists():
            parser.error(f"{options.keep} holds {kind}/1 already; give another folder to --keep")
    return options


def main(arguments=None):
    options = parse(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import kerassl

    import keras  # isort: skip
    import tensorflow as tf  # isort: skip

    begun = time.perf_counter()
    paths = _grouped(kerassl.datasets.image_files([options.images]), options.count)
    photos = [kerassl.datasets.read_image(path) for path in paths]
    about = machine.about("studies.serving_agreement")
    print(
        f"{len(paths)} images, {options.network}, {options.image_size} px, Keras {keras.__version__}, TensorFlow "
        f"{tf.__version__}; {time.strftime('%Y-%m-%d')}, commit {about['commit']}\n"
    )
    print("| model | signature | batch | detections | scores apart | boxes apart |\n|---|---|---|---|---|---|")
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.kinds:
            path = pathlib.Path(options.keep or folder) / kind / "1"
            good &= _compared(kind, paths, photos, path, options)
    print(f"\n{'agree' if good else 'DIFFER'}, in {time.perf_counter() - begun:.0f} s")
    return 0 if good else 1


def _grouped(paths, count):
    """So many paths that each batch of the largest size holds images of one size alone."""
    from PIL import Image

    waiting, chosen = collections.defaultdict(list), []
    for path in paths:
        with Image.open(path) as image:
            same = waiting[image.size]
        same.append(path)
        if len(same) == BATCHES[-1]:
            chosen += same
            same.clear()
        if len(chosen) >= count:
            return chosen[:count]
    sys.exit(f"{len(paths)} images give {len(chosen)} in groups of {BATCHES[-1]} of one size; give a smaller --count")


def _compared(kind, paths, photos, path, options):
    import numpy as np
    import tensorflow as tf

    import kerassl
    from benchmarks import random_models

    squares = tf.stack([kerassl.resizing.letterbox(photo, options.image_size)[0] for photo in photos[:32]])
    model = random_models.build(kind, options.network, CLASSES, options.image_size, squares)
    say(f"exporting {kind}")
    kerassl.serving.export(model, path)
    signatures = tf.saved_model.load(str(path)).signatures
    files = [tf.io.read_file(str(path)) for path in paths]
    sides = [max(photo.shape[:2]) for photo in photos]
    good, served = True, {}
    for batch in BATCHES:
        expected = _in_memory(model, paths, batch)
        ask = {
            "serving_default": lambda rows: {"images": tf.cast(np.stack(photos[rows]), tf.float32)},
            "serving_uint8": lambda rows: {"images": tf.cast(np.stack(photos[rows]), tf.uint8)},
            "serve_bytes": lambda rows: {"image_bytes": tf.stack(files[rows])},
        }
        for name, inputs in ask.items():
            say(f"{kind}: {name}, batch {batch}")
            found = _joined(signatures[name], inputs, len(paths), batch)
            served[batch] = found
            good &= _row(kind, name, batch, found, expected, sides, WITHIN)
    one, many = (served[batch] for batch in BATCHES)  # of serve_bytes, the last
    return good & _row(kind, "serve_bytes", "1 beside 8", one, many, sides, ACROSS)


def _joined(function, inputs, count, batch):
    import numpy as np

    answers = []
    for first in range(0, count, batch):
        answer = function(**inputs(slice(first, min(first + batch, count))))
        answers.append({name: value.numpy() for name, value in answer.items()})
    joined = {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
    if not joined.pop("valid", np.array(True)).all():
        sys.exit("serve_bytes calls an image not valid that prediction reads")
    return joined


def _in_memory(model, paths, batch):
    """Return predictions from files in the form of a servable."""
    import numpy as np
    import tensorflow as tf

    import kerassl

    names = np.array([name.encode() for name in CLASSES], object)
    if isinstance(model, kerassl.detectors.Localizer):
        found = kerassl.detectors.predict(model, paths, batch_size=batch, verbose=0).values()
        boxes, logits = (np.concatenate(parts) for parts in zip(*((one.boxes, one.logits) for one in found)))
        labels = logits.argmax(-1).astype("int32")
        chances = tf.nn.softmax(logits).numpy()
        return {"box": boxes, "probabilities": chances, "class": labels, "class_name": names[labels]}
    found = list(kerassl.detectors.predict(model, paths, batch_size=batch, verbose=0).values())
    counts = np.array([len(one) for one in found], "int32")
    rows = {"num_detections": counts, "class_names": np.full((len(found), 100), b"", object)}
    for name, shape, kind in (
        ("boxes", (100, 4), "float32"),
        ("scores", (100,), "float32"),
        ("classes", (100,), "int32"),
    ):
        rows[name] = np.zeros((len(found), *shape), kind)
        for row, one in enumerate(found):
            rows[name][row, : counts[row]] = getattr(one, name)
    for row, count in enumerate(counts):
        rows["class_names"][row, :count] = names[rows["classes"][row, :count]]
    return rows


def _row(kind, name, batch, found, expected, sides, limit):
    from kerassl.serving.comparing import differences

    apart = differences(found, expected, sides, 0.01)
    scores, boxes = (apart.get(one, apart.get(other)) for one, other in (("scores", "probabilities"), ("boxes", "box")))
    count = int(found["num_detections"].sum()) if "num_detections" in found else len(found["box"])
    print(f"| {kind} | {name} | {batch} | {count} | {scores:.1e} | {boxes:.1e} |", flush=True)
    return all(value <= limit for value in apart.values())


if __name__ == "__main__":
    sys.exit(main())
