"""Replay a servable's recorded requests through TensorFlow's C library, and print the result as JSON.

python -m kerassl.serving.c_check FOLDER [--library FILE] [--seconds 1]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from kerassl._errors import UserError
from kerassl._io.arrays import reason
from kerassl.serving.c_api import CServable, load_library
from kerassl.serving.comparing import differences
from kerassl.serving.recorded import NAME, read_requests


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m kerassl.serving.c_check", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--library", help="libtensorflow_cc of another TensorFlow")
    parser.add_argument("--seconds", type=float, default=1.0, help="for the latency of each request")
    options = parser.parse_args(arguments)
    try:
        report = replay(options.folder, options.library, options.seconds)
    except UserError as error:
        report = {"refused": str(error)}
    print(json.dumps(report))


def replay(folder: pathlib.Path, library: str | os.PathLike | None = None, seconds: float = 1.0) -> dict[str, Any]:
    """Send a servable each recorded request, and compare and time its answers.

    Args:
        folder: Folder of a version.
        library: The C library; None for that of the installed TensorFlow.
        seconds: Time for the latency of each request, after its first answer.

    Returns:
        Dict: `tensorflow`, `python_tensorflow` (whether TensorFlow's Python was loaded), `library_seconds`,
        `load_seconds`, `first_answer_seconds`, `memory_mib` (the largest; None on Windows), `signatures`,
        `xla_functions`, and `requests`, dicts of `signature`, `batch`, `apart` (see `differences`), `detections` (of a
        detector), `latency_ms` (the median) and `runs`.
    """
    extra = folder / "assets.extra"
    requests = read_requests(extra / NAME)
    threshold = _threshold(extra / "model_card.json")
    begun = time.perf_counter()
    c = load_library(library)
    loaded = time.perf_counter()
    servable = CServable(folder, c)
    opened = time.perf_counter()
    report = {
        "tensorflow": c.TF_Version().decode(),
        "library_seconds": loaded - begun,
        "load_seconds": opened - loaded,
        "signatures": {name: _described(both) for name, both in servable.signatures.items()},
        "xla_functions": servable.xla_functions,
        "requests": [],
    }
    for request in requests:
        row = {"signature": request["signature"], "batch": len(request["sides"])}
        report["requests"].append(row)
        started = time.perf_counter()
        try:
            answer = servable.run(request["signature"], **request["inputs"])
            report.setdefault("first_answer_seconds", time.perf_counter() - started)
            row["apart"] = differences(answer, request["outputs"], request["sides"], threshold)
        except Exception as error:  # what was recorded may be anything
            row["failed"] = reason(error)
            continue
        if "num_detections" in answer:
            row["detections"] = int(answer["num_detections"].sum())
        row |= _timed(servable, request, seconds)
    servable.close()
    report["python_tensorflow"] = "tensorflow" in sys.modules
    report["memory_mib"] = _peak_memory()
    return report


def _peak_memory():
    try:
        import resource
    except ImportError:  # on Windows
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in KiB, but in bytes on macOS
    return largest / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _threshold(card):
    """Below which a detector keeps nothing; 0 where the card does not say. That it is damaged `checking` reports."""
    try:
        found = json.loads(card.read_text("utf-8")).get("score_threshold", 0.0)
        return float(found) if math.isfinite(found) else 0.0
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return 0.0


def _timed(servable, request, seconds):
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or (time.perf_counter() < end and len(times) < 50):
        started = time.perf_counter()
        servable.run(request["signature"], **request["inputs"])
        times.append(time.perf_counter() - started)
    return {"latency_ms": 1000 * statistics.median(times), "runs": len(times)}


def _described(both):
    kinds = {1: "float32", 3: "int32", 4: "uint8", 7: "string", 10: "bool"}
    return [
        {name: [kinds.get(value.dtype, value.dtype), value.shape] for name, value in values.items()} for values in both
    ]


if __name__ == "__main__":
    main()
