"""How far are kerassl's fused colors from SimCLR's operations one after the other?

    python -m studies.colors                     # on generated scenes
    python -m studies.colors --images photos/

The colors of the same crops are changed by the same factors in the form of `SimCLRViews(128)` and in others, and
compared value by value, before any blur. `docs/results/views.md` says what was measured.
"""

import argparse
import pathlib
import sys
import tempfile

import numpy as np

import kerassl
from benchmarks import tables
from kerassl.augment import color as color
from kerassl.datasets.subset import subset

import tensorflow as tf  # isort: skip


FORMS = {
    "tf.image": "tf.image's operations, clipped after each (fused=False)",
    "clipping": "kerassl's own operations, clipped after each",
}


def differences(images, strength, seed=0):
    """Compares the fused form with two others, on two views of each image.

    Args:
        images: `[B, H, W, 3]` in [0, 255].
        strength: float, of the jitter.
        seed: int.

    Returns:
        Dict from the names in `FORMS` to `[2B, S, S, 3]` array of absolute differences, in gray levels.
    """
    seed = tf.constant([0, seed])
    views = kerassl.augment.SimCLRViews(128, strength=strength, blur=0.0)
    plain = kerassl.augment.SimCLRViews(
        128, blur=0.0, jitter=0.0, grayscale=0.0
    )  # the same draws, hence the same crops
    crops = tf.concat(plain(images, seed)[:2], axis=0)
    jitter = views._jitter(views._draws(seed, 0, len(images), None))
    fused = color.recolor(crops, jitter)
    others = {"tf.image": color.recolor_in_turn(crops, jitter), "clipping": _clipped_after_each(crops, jitter)}
    return {name: np.abs(other - fused) for name, other in others.items()}


def _clipped_after_each(images, jitter):
    same = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}
    for slot in range(4):
        one = {
            name: tf.where(jitter.order[:, slot] == place, getattr(jitter, name), neutral)
            for place, (name, neutral) in enumerate(same.items())
        }
        last = tf.logical_and(jitter.grayscale, slot == 3)
        images = color.recolor(images, jitter._replace(**one, grayscale=last))
    return images


def summary(found):
    """Figures of differences `[N, …]`: over all values, and of each view's mean."""
    means = found.reshape(len(found), -1).mean(1)
    return {
        "mean": float(found.mean()),
        "99th percentile": float(np.percentile(found, 99)),
        "median view's mean": float(np.median(means)),
        "share of views with a mean above 10": float(np.mean(means > 10)),
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m studies.colors", description=__doc__.splitlines()[0])
    parser.add_argument("--images", help="folder of images; generated scenes if left out")
    parser.add_argument("--count", type=int, default=200, help="images; 200 tell a tenth of a gray level")
    options = parser.parse_args(arguments)
    if options.images and not pathlib.Path(options.images).is_dir():
        parser.error(f"there is no folder {options.images}; give a folder of images")
    with tempfile.TemporaryDirectory() as folder:
        images = options.images
        if not images:
            images = (
                kerassl.datasets.write_scenes(f"{folder}/scenes", train=0, val=0, unlabeled=options.count) / "unlabeled"
            )
        files = kerassl.datasets.image_files(images)
        files = subset(files, count=min(options.count, len(files)))
        batch = next(iter(kerassl.datasets.image_folder(files, 160, len(files), shuffle=False)))
    rows = []
    for strength in (0.5, 1.0):
        for name, found in differences(batch, strength).items():
            figures = summary(found)
            rows.append((FORMS[name], f"{strength:g}", *(f"{value:.2f}" for value in figures.values())))
    print(f"Gray levels of [0, 255] from the fused form, on two views of each of {len(files)} images\n")
    print(tables.table(("beside the fused form", "strength", *figures), rows))


if __name__ == "__main__":
    sys.exit(main())
