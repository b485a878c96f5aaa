"""Rows of `benchmarks.input`: kerassl, lightly's transform, the usual Keras layers and albumentations."""

import sys

from benchmarks import comparison
from benchmarks.measuring import Row

LABELS = {
    "kerassl": "kerassl",
    "lightly": "lightly's SimCLRTransform",
    "albumentations": "the same policy in albumentations",
    "keras": "usual Keras layers (no hue, grayscale or blur)",
}
STAGES = {"jpeg": "from JPEG files", "memory": "from decoded squares"}


def rows(settings, stage, without=()):
    """The contenders at one size and stage, in the order in which they take turns; kerassl is the first.

    Args:
        settings: dict of `image_size`, `batch_size` and `images`.
        stage: str, of `STAGES`.
        without: names among `LABELS` to leave out.

    Returns:
        List of `Row`.
    """
    found = []
    for name, label in LABELS.items():
        if name in without:
            continue
        settings = {**settings, "stage": stage}
        if name in ("kerassl", "keras"):
            found.append(Row(label, name, settings, sys.executable, "benchmarks.input_tensorflow"))
            continue
        python, note = str(comparison.LIGHTLY_PYTHON), ""
        if not comparison.LIGHTLY_PYTHON.exists():
            python, note = sys.executable, "not installed: make bench-lightly"
        found.append(Row(label, name, settings, python, "benchmarks.input_torch", note=note))
    return found


def add_ratios(results):
    """Writes into each result of one size and stage how many times its pairs a second kerassl makes."""
    kerassl = next((result for result in results if result["contender"] == "kerassl"), {})
    for result in results:
        result["place"] = [result["settings"]["image_size"], result["settings"]["stage"]]
        if "ms" in result and "ms" in kerassl:
            result["kerassl_over_it"] = kerassl["pairs_per_second"] / result["pairs_per_second"]


def read_size(image_size):
    """A quarter larger than the views, in a multiple of 32: at what size kerassl reads, and all squares in memory."""
    return -(-image_size * 5 // 4 // 32) * 32
