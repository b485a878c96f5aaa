"""What does a servable cost over the network in it, and what takes the time?

    python -m benchmarks.serving                                # RetinaNet on EfficientNetB1, 160 px, batches of 8
    python -m benchmarks.serving --network MobileNet --kind yolov8 --out serving.json
    python -m benchmarks.serving --model runs/detector/detector.keras

Images are noise over smooth colors, encoded as JPEG; their size matters, for decoding takes time by their pixels. An
untrained detector is unsure of everything, so that non-maximum suppression gets as many boxes as it ever can.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

from benchmarks import machine
from benchmarks.measuring import say


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="EfficientNetB1", help="name that backbones.build knows")
    parser.add_argument("--kind", default="retinanet", choices=("retinanet", "yolov8"))
    parser.add_argument("--model", metavar="FILE", help="a trained detector.keras, in place of those two")
    parser.add_argument("--image-size", type=int, default=160, help="side in pixels, a multiple of 32")
    parser.add_argument("--batch-size", type=int, default=8, help="images a request")
    parser.add_argument("--photo", type=int, nargs=2, default=(375, 500), metavar=("H", "W"), help="of what is sent")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each; 5 to 9, more on a busy machine")
    parser.add_argument("--steps", type=int, default=5, help="requests a turn that count, after one that does not")
    parser.add_argument("--out", help="a JSON file for all figures, versions and the machine")
    options = parser.parse_args(arguments)
    for name in ("rounds", "steps", "batch_size"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} is {getattr(options, name)}; give 1 or more")
    return options


def main(arguments=None):
    options = parse(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import kerassl
    import kerassl.detectors

    import keras  # isort: skip
    import tensorflow as tf  # isort: skip

    if options.model:
        model = keras.saving.load_model(options.model)
    else:
        backbone = kerassl.backbones.build(options.network)
        make = {"retinanet": kerassl.detectors.RetinaNet, "yolov8": kerassl.detectors.YOLOV8}[options.kind]
        model = make(backbone, kerassl.datasets.VOC_CLASSES, image_size=options.image_size)
    with tempfile.TemporaryDirectory() as folder:
        say("exporting")
        begun = time.perf_counter()
        path = kerassl.serving.export(model, pathlib.Path(folder) / "1")
        export_seconds = time.perf_counter() - begun
        say("checking in a process of its own")
        report = kerassl.serving.check(path)
        parts = _parts(model, tf.saved_model.load(str(path)).signatures, options)
        results = _measured(parts, options)
    results |= {
        "export_seconds": export_seconds,
        "megabytes": report.megabytes,
        "cold_start_seconds": report.cold_start_seconds,
        "load_seconds": report.load_seconds,
        "conform": report.conform,
        "c_memory_mib": report.memory_mib,
    }
    about = {"date": time.strftime("%Y-%m-%d"), **machine.about("benchmarks.serving"), "settings": vars(options)}
    about["versions"] = {"kerassl": kerassl.__version__, "keras": keras.__version__, "tensorflow": tf.__version__}
    _tell(results, about, options, model)
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps({**about, "results": results}, indent=2) + "\n", "utf-8")
        say(f"figures written to {options.out}")
    return 0


def _parts(model, served, options):
    """Return the timed parts by name: functions without arguments that end when the answer is there."""
    import numpy as np
    import tensorflow as tf

    from kerassl.detectors.decoding import select
    from kerassl.serving.encoded import read_encoded

    rng, count, side = np.random.default_rng(0), options.batch_size, model.image_size
    height, width = options.photo
    y, x = np.mgrid[:height, :width][..., None]
    smooth = 128 + 80 * np.sin(x / 40 + [0, 1, 2]) * np.cos(y / 30)
    photos = [np.clip(smooth + rng.normal(0, 12, smooth.shape), 0, 255).astype("uint8") for _ in range(count)]
    files = tf.stack([tf.io.encode_jpeg(photo, quality=90) for photo in photos])
    pixels, boxed = tf.constant(np.stack(photos)), read_encoded(files, side)[0]
    network = tf.function(lambda images: model(images, training=False))
    boxes, scores = model.boxes_and_scores(network(boxed))
    areas = tf.fill([count, 2], float(side))
    suppress = tf.function(lambda boxes, scores: select(boxes, scores, areas))
    read = tf.function(lambda files: read_encoded(files, side)[0])
    return {
        "the network alone, letterboxed images": lambda: tf.nest.map_structure(np.asarray, network(boxed)),
        "serve_bytes": lambda: served["serve_bytes"](image_bytes=files)["boxes"].numpy(),
        "serving_uint8": lambda: served["serving_uint8"](images=pixels)["boxes"].numpy(),
        "of it: decoding and letterboxing": lambda: read(files).numpy(),
        "of it: non-maximum suppression": lambda: suppress(boxes, scores)[0].numpy(),
    }


def _measured(parts, options):
    rounds = {name: [] for name in parts}
    for number in range(1, options.rounds + 1):
        for name, ask in parts.items():
            ask()
            begun = time.perf_counter()
            for _ in range(options.steps):
                ask()
            rounds[name].append(1000 * (time.perf_counter() - begun) / options.steps)
            say(f"round {number} of {options.rounds}: {name}: {rounds[name][-1]:.4g} ms")
    ms = {name: statistics.median(values) for name, values in rounds.items()}
    network, whole, _, _, suppression = ms.values()
    return {
        "rounds_ms": rounds,
        "ms": ms,
        "throughput_over_network": network / whole,
        "suppression_share": suppression / whole,
    }


def _tell(results, about, options, model):
    what = options.model or f"{options.kind} on {options.network}"
    print(
        f"{what}, {model.image_size} px, batch {options.batch_size}, JPEGs of {options.photo[0]} x {options.photo[1]}; "
        f"{about['date']}, commit {about['commit']}; medians of {options.rounds} rounds, {options.steps} requests "
        "each\n"
    )
    print("| | ms a batch | images/s |\n|---|---|---|")
    for name, ms in results["ms"].items():
        print(f"| {name} | {ms:.1f} | {1000 * options.batch_size / ms:.1f} |")
    print(
        f"\nserve_bytes has {results['throughput_over_network']:.2f} of the network's rate; non-maximum suppression "
        f"takes {results['suppression_share']:.1%} of it. From a cold start {results['cold_start_seconds']:.1f} s to "
        f"the first answer ({results['load_seconds']:.1f} s of them to load {results['megabytes']:.0f} MB), without "
        f"Python TensorFlow. Exporting took {results['export_seconds']:.1f} s; conform: {results['conform']}."
    )


if __name__ == "__main__":
    sys.exit(main())
