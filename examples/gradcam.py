"""Draw the class activation maps of detectors or localizers, side by side.

    python examples/gradcam.py --models ours=a/detector.keras random=b/detector.keras --images photos/ --out gradcam.png

All maps are those of the class that the first model predicts.
"""

import argparse
import os
import pathlib

import numpy as np
import tensorflow as tf

import kerassl


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME=FILE")
    parser.add_argument("--images", nargs="+", required=True, help="images or folders")
    parser.add_argument("--level", default="P5", help="P3, P4 or P5")
    parser.add_argument("--out", default="gradcam.png")
    options = parser.parse_args()
    if os.path.lexists(options.out):
        parser.error(f"{options.out} already exists; choose another --out")

    models = {}
    for item in options.models:
        name, _, path = item.rpartition("=")
        models[name or pathlib.Path(path).parent.name] = kerassl.load(path)
    first = next(iter(models.values()))

    files = kerassl.datasets.image_files(options.images)[:8]
    squares = [kerassl.resizing.letterbox(kerassl.datasets.read_image(file), first.image_size)[0] for file in files]
    images = tf.stack(squares)  # [N, S, S, 3]
    logits = first(images, training=False)
    scores = logits["class"] if "class" in logits else tf.reduce_max(logits["classification"], axis=1)  # [N, classes]
    predicted = np.argmax(scores, axis=1)

    heatmaps = {
        name: kerassl.explain.GradCAM(model, layer=options.level)(images, predicted) for name, model in models.items()
    }
    kerassl.explain.side_by_side(images, heatmaps, options.out)
    for file, number in zip(files, predicted):
        print(f"{pathlib.Path(file).name}: {first.class_names[number]}")
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
