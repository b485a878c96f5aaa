"""Pre-train on several hosts: run the same command on each, with TF_CONFIG set.

    export TF_CONFIG='{"cluster": {"worker": ["host-a:12345", "host-b:12345"]}, "task": {"type": "worker", "index": 0}}'
    python examples/pretrain_multiworker.py photos/ --out backbone.keras

Each host has its own `index`. The batch size is global; every host reads all images and keeps its share. Negatives and
batch normalization statistics are those of all hosts.
"""

import argparse
import json
import os

import tensorflow as tf

import kerassl


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", help="folder of images, searched recursively; the same files on every host")
    parser.add_argument("--out", default="backbone.keras")
    parser.add_argument("--backbone", default="EfficientNetB1")
    parser.add_argument("--image-size", type=int, default=96, help="side of the views; a multiple of 32")
    parser.add_argument("--batch-size", type=int, default=64, help="images per step, over all hosts")
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    if os.path.lexists(options.out):
        parser.error(f"{options.out} already exists; choose another --out")

    # First, because the strategy waits for the other hosts.
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {"index": 0})

    images = kerassl.datasets.image_folder(options.images, options.image_size + 32, options.batch_size)
    steps = options.epochs * images.steps
    with strategy.scope():
        model = kerassl.SimCLR(
            options.backbone,
            options.image_size,
            augmentation=kerassl.augment.SimCLRViews.mild(options.image_size),
        )
        peak = kerassl.optimizers.scaled_learning_rate(options.batch_size)
        model.compile(kerassl.optimizers.LARS(kerassl.optimizers.WarmupCosine(peak, steps, warmup_steps=steps // 10)))
    model.fit(images, epochs=options.epochs, verbose=2 if task["index"] == 0 else 0)
    if task["index"] == 0:
        kerassl.backbones.save(model.backbone, options.out)
        print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
