"""Pre-train with tensorflow-addons: its LAMB as the optimizer, and views that its image operations rotate.

    python examples/pretrain_addons.py photos/ --out backbone.keras --epochs 50

It needs the addons stack: Python 3.11 and pip install 'kerassl[addons]'. Without a folder it uses toy scenes,
generated in the temporary folder.
"""

import argparse
import math
import os
import sys
import tempfile

try:
    import tensorflow_addons as tfa
except ImportError:
    sys.exit("this example needs tensorflow-addons: in a Python 3.11 environment, pip install 'kerassl[addons]'")

import keras
import tensorflow as tf

import kerassl


@keras.saving.register_keras_serializable(package="examples")
class TurnedViews:
    """Compute two SimCLR views with random rotations, for images without an upright orientation, such as aerial ones.

    Args:
        image_size: int. Side of the views in pixels, a multiple of 32.
        degrees: float. Maximum angle in both directions.
    """

    def __init__(self, image_size, degrees=30.0):
        self.image_size = image_size
        self.degrees = degrees
        self.views = kerassl.augment.SimCLRViews.mild(image_size)

    def __call__(self, images, seed, *, offset=0, total=None):
        views = self.views(images, seed, offset=offset, total=total)
        total = tf.shape(images)[0] if total is None else total
        # Drawn for the whole batch, so that replicas with a part of it rotate their images as one replica would.
        turns = tf.random.stateless_uniform([total, 2], seed + [1, 0], -1.0, 1.0, alg="philox")
        angles = turns[offset : offset + tf.shape(images)[0]] * (self.degrees * math.pi / 180)  # [B, 2]
        first, second = (
            tfa.image.rotate(view, angle, interpolation="bilinear", fill_mode="reflect")
            for view, angle in zip((views.first, views.second), tf.unstack(angles, axis=1))
        )
        return views._replace(first=first, second=second)

    def get_config(self):
        return {"image_size": self.image_size, "degrees": self.degrees}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="?", help="folder of images, searched recursively (default: toy scenes)")
    parser.add_argument("--out", default="backbone.keras")
    parser.add_argument("--backbone", default="EfficientNetB1")
    parser.add_argument("--image-size", type=int, default=96, help="side of the views; a multiple of 32")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    if os.path.lexists(options.out):
        parser.error(f"{options.out} already exists; choose another --out")

    folder = options.images
    if folder is None:
        folder = f"{tempfile.mkdtemp()}/scenes"
        kerassl.datasets.write_scenes(folder, train=256, val=0)

    images = kerassl.datasets.image_folder(folder, image_size=options.image_size + 32, batch_size=options.batch_size)
    steps = options.epochs * int(images.cardinality())
    model = kerassl.SimCLR(options.backbone, options.image_size, augmentation=TurnedViews(options.image_size))
    schedule = kerassl.optimizers.WarmupCosine(2e-3, steps, warmup_steps=steps // 10)
    model.compile(kerassl.optimizers.get("tfa/LAMB", schedule, variables=model.trainable_variables))
    model.fit(images, epochs=options.epochs)
    kerassl.backbones.save(model.backbone, options.out)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
