"""Pre-train a backbone on a folder of images without labels.

    python examples/pretrain.py photos/ --out backbone.keras --epochs 50

Without a folder it uses toy scenes, generated in the temporary folder.
"""

import argparse
import math
import os
import tempfile

import kerassl


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
    views = kerassl.augment.SimCLRViews(options.image_size, scale=(0.2, 1.0), strength=0.5)
    model = kerassl.SimCLR(options.backbone, options.image_size, temperature=0.1, augmentation=views)
    peak = kerassl.optimizers.scaled_learning_rate(options.batch_size)
    model.compile(kerassl.optimizers.LARS(kerassl.optimizers.WarmupCosine(peak, steps, warmup_steps=steps // 10)))

    print(f"a loss of {math.log(2 * options.batch_size - 1):.2f} is chance; lower is better")
    model.fit(images, epochs=options.epochs)
    kerassl.backbones.save(model.backbone, options.out)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
