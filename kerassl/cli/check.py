"""What `kerassl check` does; apart from the other commands, for it needs no TensorFlow here."""

from kerassl import serving


def check(options):
    """Replays a servable's recorded requests and compares the answers; the exit status is 1 where they differ."""
    report = serving.check(options.servable, library=options.library, seconds=options.seconds)
    print(_table(report))
    return 0 if report["conform"] else 1


def _table(report):
    lines = []
    if "load_seconds" in report:
        cold = report["library_seconds"] + report["load_seconds"] + report.get("first_answer_seconds", 0.0)
        lines.append(
            f"{report['megabytes']:.1f} MB; TensorFlow {report['tensorflow']}; {report['load_seconds']:.2f} s to load, "
            f"{cold:.2f} s to the first answer from a cold start; {report['memory_mib']:.0f} MiB of memory"
        )
    for name, (takes, _) in report["signatures"].items():
        wants = ", ".join(f"{key} {kind} {_shape(shape)}" for key, (kind, shape) in takes.items())
        lines.append(f"{name}: {wants}")
    if report["requests"]:
        lines.append(f"{'signature':20}{'batch':>6}{'ms':>9}  furthest from what was recorded")
    for request in report["requests"]:
        apart = ", ".join(f"{name} {value:.0e}" for name, value in request.get("apart", {}).items() if value)
        told = request.get("failed") or apart or "equal"
        if "detections" in request:
            told += f" ({request['detections']} detections)"
        lines.append(f"{request['signature']:20}{request['batch']:6}{request.get('latency_ms', 0):9.1f}  {told}")
    lines += [f"differs: {fault}" for fault in report["faults"]] or ["conform"]
    return "\n".join(lines)


def _shape(shape):
    return "of any shape" if shape is None else f"[{', '.join('?' if side is None else str(side) for side in shape)}]"
