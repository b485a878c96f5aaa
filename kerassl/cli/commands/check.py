"""`kerassl check`, which needs no TensorFlow in this process."""

from __future__ import annotations

import argparse

from kerassl import _numbers, serving
from kerassl.cli import flags


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = flags.command(
        subparsers, "check", "repeat the requests recorded at a servable's export, without Python's TensorFlow",
        config=False,
    )  # fmt: skip
    parser.add_argument("path", metavar="FOLDER", help="a version's folder, as servables/voc/1")
    parser.add_argument(
        "--library", metavar="FILE", help="libtensorflow_cc of another TensorFlow (default: the installed one's)"
    )
    parser.add_argument(
        "--seconds",
        type=flags.number(_numbers.FROM_0),
        default=1.0,
        help="for the latency of each recorded request; 0 repeats it 3 times (default 1)",
    )


def run(arguments: argparse.Namespace) -> int:
    report = serving.check(**flags.given(arguments))
    print(_table(report))
    return 0 if report.conform else 1


def _table(report):
    lines = []
    if report.load_seconds is not None:
        memory = f"; {report.memory_mib:.0f} MiB of memory" if report.memory_mib else ""
        lines.append(
            f"{report.megabytes:.1f} MB; TensorFlow {report.tensorflow}; {report.load_seconds:.2f} s to load, "
            f"{report.cold_start_seconds:.2f} s to the first answer from a cold start{memory}"
        )
    for name, (takes, _) in report.signatures.items():
        wants = ", ".join(f"{key} {kind} {_shape(shape)}" for key, (kind, shape) in takes.items())
        lines.append(f"{name}: {wants}")
    if report.requests:
        lines.append(f"{'signature':20}{'batch':>6}{'ms':>9}  furthest from what was recorded")
    for request in report.requests:
        apart = ", ".join(f"{name} {value:.0e}" for name, value in (request.apart or {}).items() if value)
        outcome = request.failed or apart or "equal"
        if request.detections is not None:
            outcome += f" ({request.detections} detections)"
        lines.append(f"{request.signature:20}{request.batch:6}{request.latency_ms or 0:9.1f}  {outcome}")
    lines += [f"differs: {fault}" for fault in report.faults] or ["conform"]
    return "\n".join(lines)


def _shape(shape):
    return "of any shape" if shape is None else f"[{', '.join('?' if side is None else str(side) for side in shape)}]"
