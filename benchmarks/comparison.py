"""Rows of `benchmarks.step`: kerassl, the usual example, lightly, the bare encoder, kerassl's parts; and detectors."""

import sys

from benchmarks.measuring import Row
from benchmarks.protocol import ROOT

LIGHTLY_PYTHON = ROOT / ".venv-lightly/bin/python"

LABELS = {
    "whole": "kerassl, from the folder through model.fit",
    "usual": "usual Keras example (two passes, cross-view loss)",
    "lightly": "lightly on PyTorch",
    "bare": "bare fast encoder (no reading, views or loss)",
}
STAGES = {
    "reading": "reading and decoding alone",
    "views": "two views alone",
    "loss": "loss alone, with its gradient",
}
DETECTORS = ("YOLOV8", "RetinaNet")


def rows(settings, without=(), stages=False):
    """The rows of the comparison, in the order in which they take turns.

    Args:
        settings: dict of `network`, `image_size`, `batch_size` and `images`.
        without: names among `LABELS` to leave out.
        stages: bool. Measure kerassl's parts one by one too.

    Returns:
        List of `Row`; kerassl itself is the first.
    """
    found = []
    for name, label in LABELS.items():
        if name in without:
            continue
        if name != "lightly":
            found.append(Row(label, name, settings))
            continue
        python, note = str(LIGHTLY_PYTHON), ""
        if not LIGHTLY_PYTHON.exists():
            python, note = sys.executable, "not installed: make bench-lightly"
        found.append(Row(label, name, settings, python, "benchmarks.lightly_worker", note=note))
    if stages:
        found.extend(Row(label, name, settings) for name, label in STAGES.items())
    return found


def detector_rows(settings):
    """The rows of the detectors: each by its own training step, and its network alone.

    Args:
        settings: dict as of `rows`. A step takes a quarter of the images that there are pairs in one of pre-training.

    Returns:
        List of `Row`.
    """
    found = []
    for kind in DETECTORS:
        own = {**settings, "batch_size": max(1, settings["batch_size"] // 4), "kind": kind}
        found.append(Row(f"{kind}, model.fit", "detector", own))
        found.append(Row(f"bare network of {kind} (no targets or loss)", "bare detector", own))
    return found


def add_bare_ratios(results):
    """Writes into each result of `detector_rows` its images a second over those of the bare network of its kind."""
    bare = {result["settings"]["kind"]: result for result in results if result["contender"] == "bare detector"}
    for result in results:
        own = bare[result["settings"]["kind"]]
        if "ms" in result and "ms" in own:
            result["ratio_to_bare"] = own["ms"] / result["ms"]


def add_ratios(results):
    """Writes into each result its pairs a second over kerassl's, and its share of kerassl's time for a step."""
    whole = next(result for result in results if result["contender"] == "whole")
    for result in results:
        if "ms" in result and "ms" in whole:
            result["ratio_to_kerassl"] = result["pairs_per_second"] / whole["pairs_per_second"]
            result["share_of_step"] = result["ms"] / whole["ms"]
