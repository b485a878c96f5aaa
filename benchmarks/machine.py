"""The machine that measures: what it is, what else it is doing, and what is free."""

import contextlib
import os
import pathlib
import platform
import subprocess
import sys

from benchmarks import protocol


def about(program="benchmarks.step"):
    """The machine, the command (of which `program` is the module) and the commit."""
    return {
        "machine": {
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "processor": _processor(),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
        },
        "command": " ".join([f"python -m {program}", *sys.argv[1:]]),
        "commit": _commit(),
    }


def free_memory():
    """Memory that is left, in MiB, or None where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) / 1024
    return None


def others_seconds(session, cores):
    """Core seconds that went to anything but one session, since the machine started: take two and subtract.

    Args:
        session: int, the process id of a `protocol.Worker`.
        cores: int. How many cores the worker is held to.

    Returns:
        float, or None where the system does not tell.
    """
    try:
        lines = pathlib.Path("/proc/stat").read_text().splitlines()
    except OSError:
        return None
    held = {f"cpu{number}" for number in sorted(os.sched_getaffinity(0))[:cores]}
    # user, nice, system, (idle, iowait,) irq, softirq, steal
    busy = sum(int(line.split()[place]) for line in lines if line.split()[0] in held for place in (1, 2, 3, 6, 7, 8))
    own = 0
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # processes end while they are looked at
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                own += sum(map(int, fields[11:15]))  # with those of children that have ended
    return (busy - own) / os.sysconf("SC_CLK_TCK")


def _processor():
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _commit():
    """The commit, with a plus where the package differs from it; None outside a repository."""
    try:
        commands = (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "kerassl", "benchmarks"])
        commit, changes = (
            subprocess.run(["git", *command], cwd=protocol.ROOT, capture_output=True, text=True, check=True).stdout
            for command in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.strip() + ("+" if changes.strip() else "")
