"""The check that a servable answers as its model did."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
import signal
import subprocess
import sys

import kerassl
from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._io.manifest import checksum
from kerassl.types import Figures

TOLERANCE = 1e-5


@dataclasses.dataclass(frozen=True)
class CheckedRequest(Figures):
    """A recorded request, sent again.

    Attributes:
        signature: str.
        batch: int, its images.
        apart: dict from output to its largest difference from what was recorded, or None where it failed.
        failed: str, why it has no answer, or None.
        detections: int of a detector, or None.
        latency_ms: float, the median, or None where it failed.
        runs: int, how often it was timed.
    """

    signature: str
    batch: int
    apart: dict[str, float] | None = None
    failed: str | None = None
    detections: int | None = None
    latency_ms: float | None = None
    runs: int = 0


@dataclasses.dataclass(frozen=True)
class CheckedServable(Figures):
    """The findings of `check` on a servable.

    Attributes:
        faults: list of str, in what it differs from what was recorded; empty where it conforms.
        megabytes: float, the folder's size.
        signatures: dict from name to what it takes and gives: dicts from tensor to its type and shape.
        requests: list of `CheckedRequest`.
        tensorflow: str, the version of the C library, or None where the process ended before.
        python_tensorflow: bool, whether Python's TensorFlow was loaded.
        xla_functions: list of str, the functions that only XLA can run.
        library_seconds, load_seconds, first_answer_seconds: float, or None where it was not reached.
        memory_mib: float, the largest, or None where the system does not tell.
        crash: str, how the process ended that ran the servable, or None.
    """

    faults: list[str]
    megabytes: float
    signatures: dict[str, list]
    requests: list[CheckedRequest]
    tensorflow: str | None = None
    python_tensorflow: bool | None = None
    xla_functions: list[str] = dataclasses.field(default_factory=list)
    library_seconds: float | None = None
    load_seconds: float | None = None
    first_answer_seconds: float | None = None
    memory_mib: float | None = None
    crash: str | None = None

    @property
    def conform(self) -> bool:
        """Whether there are no faults."""
        return not self.faults

    @property
    def cold_start_seconds(self) -> float:
        """Seconds to the first answer, from before the library is loaded."""
        return sum(each or 0.0 for each in (self.library_seconds, self.load_seconds, self.first_answer_seconds))


def check(
    path: str | os.PathLike,
    *,
    tolerance: float = TOLERANCE,
    library: str | os.PathLike | None = None,
    seconds: float = 1.0,
) -> CheckedServable:
    """Replay a servable's recorded requests in a process without Python TensorFlow, and compare the answers.

    The process loads the SavedModel by TensorFlow's C library, as a server does: what only Python can run fails
    there. Latencies are medians of the recorded requests, whose images are small; read them as the machine's at
    that moment.

    Args:
        path: str or `pathlib.Path` of a version's folder, as `export` wrote it.
        tolerance: float. Accepted difference of scores, probabilities and embeddings (in their largest value), and of
            boxes (in sides of their image).
        library: str or `pathlib.Path` of the `libtensorflow_cc` of another TensorFlow, or None for the installed one.
        seconds: float, for the latency of each recorded request.

    Returns:
        `CheckedServable`.

    Raises:
        UserError: if there is no such folder, no SavedModel that opens in it, or nothing was recorded.

    Example:
        >>> kerassl.serving.check("servables/voc/1").conform
        True
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        raise UserError(f"there is no folder {path}; give a version's folder that kerassl export wrote")
    if not (path / "saved_model.pb").is_file():
        raise UserError(f"{path} holds no saved_model.pb; give a version's folder, as servables/voc/1")
    report = _replayed(path, library, seconds)
    if "refused" in report:
        raise UserError(report["refused"])
    files = [file for file in path.rglob("*") if file.is_file()]
    requests = [CheckedRequest(**each) for each in report.pop("requests")]
    faults = [*_damaged(path), *_faults(report, requests, tolerance)]
    size = sum(file.stat().st_size for file in files) / 1e6
    return CheckedServable(faults, size, requests=requests, **report)


def _replayed(path, library, seconds):
    command = [sys.executable, "-m", "kerassl.serving.c_check", str(path.resolve()), "--seconds", str(seconds)]
    command += ["--library", str(library)] if library else []
    here = str(pathlib.Path(kerassl.__file__).parents[1])
    paths = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        why = (
            signal.strsignal(-done.returncode) if done.returncode < 0 else (done.stderr.strip() or "?").splitlines()[-1]
        )
        return {"signatures": {}, "requests": [], "crash": f"the process that ran the servable ended: {why}"}
    return json.loads(done.stdout.splitlines()[-1])


def _damaged(path):
    try:
        card = json.loads((path / "assets.extra" / "model_card.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return ["its model_card.json is missing or damaged"]
    files = card.get("files", {}) if isinstance(card, dict) else None
    if not isinstance(files, dict):
        return ["its model_card.json is damaged: it lists no files"]
    faults = []
    for name, wanted in files.items():
        place = pathlib.PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or "\\" in name or "\0" in name:
            faults.append(f"its model_card.json names {printable(name)}, which is not in the folder")
        elif not (path / place).is_file():
            faults.append(f"{printable(name)} is missing")
        elif checksum(path / place) != wanted:
            faults.append(f"{printable(name)} does not have the checksum of the card")
    return faults


def _faults(report, requests, tolerance):
    faults = [report["crash"]] if "crash" in report else []
    if report.get("xla_functions"):
        faults.append(f"only XLA can run its functions {', '.join(report['xla_functions'])}")
    for request in requests:
        about = f"{request.signature}, batch {request.batch}"
        if request.failed is not None:
            faults.append(f"{about}: {request.failed}")
        for name, apart in (request.apart or {}).items():
            if not apart <= tolerance:
                how = f"are apart by {apart:.1e}" if math.isfinite(apart) else "are not the same"
                faults.append(f"{about}: {name} {how}")
    return faults
