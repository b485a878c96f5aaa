"""How the measuring program talks to its workers: one JSON object a line, down standard input and up standard output.

Nothing but the standard library is imported here: workers of two environments use this file.
"""

import contextlib
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


class WorkerError(Exception):
    """An error of a worker, in one line."""


class Worker:
    """A process that measures one thing, and is idle until it is asked.

    Args:
        python: str or `pathlib.Path` of the interpreter.
        module: str, as `"benchmarks.tensorflow_worker"`.
        cores: int. The process is held to so many cores before it loads anything.
    """

    def __init__(self, python, module, cores):
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [str(python), "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            cwd=ROOT,
            # So that `machine.session_seconds` can add up the time of all its processes.
            start_new_session=True,
            env={**os.environ, "KERASSL_BENCH_CORES": str(cores)},
        )

    def ask(self, command, **arguments):
        """Sends one command and waits for its answer.

        Args:
            command: str, a name that the worker knows.
            **arguments: what goes into JSON.

        Returns:
            The worker's answer.

        Raises:
            WorkerError: if the worker could not do it, or died.
        """
        try:
            self.process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"the process ended with status {self.process.wait()}: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer["answer"]

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _last_words(self):
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it left no message"


def hold_cores():
    """Holds this process to as many cores as the measuring program said. Call it before loading a framework.

    TensorFlow and PyTorch both make as many threads as the process may use cores. Where the system knows no such
    bound (macOS) all cores are used.
    """
    if hasattr(os, "sched_setaffinity"):
        wanted = int(os.environ.get("KERASSL_BENCH_CORES", os.cpu_count()))
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:wanted])


def serve(commands):
    """Answers commands until standard input ends.

    Args:
        commands: dict from name to function of the command's arguments, which gives what JSON can hold.
    """
    answers = os.fdopen(os.dup(1), "w")
    # What a framework prints must not come between the answers.
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"answer": commands[request.pop("command")](**request)}
        except Exception as error:
            text = str(error).strip().splitlines()
            answer = {"error": f"{type(error).__name__}: {text[0] if text else ''}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def serve_contenders(contenders, versions):
    """Answers `measuring.measure` until standard input ends: builds one thing, and measures it round after round.

    Args:
        contenders: dict from name to function of the settings, which gives a function of (steps, warmup) to a list of
            seconds, one for each step that counts.
        versions: function without arguments to a dict of versions.
    """
    built = []

    def build(contender, **settings):
        built[:] = [contenders[contender](**settings)]
        return versions()

    def measured(steps, warmup):
        return {"seconds": built[0](steps, warmup), "memory_mib": peak_memory()}

    serve({"build": build, "round": measured})


def peak_memory():
    """The most memory that this process has held at once, in MiB (resident set)."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    # Less good: on Linux it counts what the parent held when it started this process.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024
