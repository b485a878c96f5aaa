"""Measures several things in turns, each in a process of its own."""

import contextlib
import dataclasses
import statistics
import sys
import time
import typing

from benchmarks import machine, protocol

QUIET = 0.1
"""Share of the cores that others may take in a round that counts."""


@dataclasses.dataclass
class Row:
    """One thing to measure.

    Attributes:
        label: str, for people.
        contender: str, the worker's name for it.
        settings: dict, what the worker builds it from.
        python: str of the interpreter.
        module: str of the worker.
        needs: function of the results so far to the memory that it may take, in MiB, or None if nothing is known.
        note: str. Why it cannot be measured; such a row is only shown.
    """

    label: str
    contender: str
    settings: dict
    python: str = sys.executable
    module: str = "benchmarks.tensorflow_worker"
    needs: typing.Callable | None = None
    note: str = ""


def measure(rows, *, rounds, steps, warmup, cores):
    """Measures rows in interleaved rounds: A B C A B C …, so that what disturbs the machine hits all alike.

    All processes are alive at the same time, but only one of them works. Every round of a row starts afresh (reads
    its folder from the start) and makes `warmup` steps that do not count, which fill what reads ahead. Rounds in which
    other processes took more than `QUIET` of the cores do not count, as long as two are left that do.

    Args:
        rows: list of `Row`.
        rounds: int.
        steps: int. Steps of a round that count.
        warmup: int, 1 or more. Steps of a round before those.
        cores: int. Cores that each process may use.

    Returns:
        List of dicts, one for each row: `label`, `contender`, `settings`, and `ms` (a step, the median of the rounds'
        means), `rounds_ms`, `rounds_others` (share of the cores), `disturbed` (too few quiet rounds, so all count),
        `pairs_per_second`, `memory_mib`, `versions`; from workers that tell it `rounds_processor_ms`, what the cores
        were busy with a step, warm-up included; or `note` if it could not be measured.
    """
    results = [{"label": row.label, "contender": row.contender, "settings": row.settings} for row in rows]
    with contextlib.ExitStack() as stack:
        live = []
        for row, result in zip(rows, results):
            worker = _start(stack, row, result, results, cores)
            if worker is not None:
                live.append((row, result, worker))
        for number in range(1, rounds + 1):
            for row, result, worker in list(live):
                try:
                    answer, others = _watched(worker, steps, warmup, cores)
                except protocol.WorkerError as error:
                    result["note"] = str(error)
                    live.remove((row, result, worker))
                    continue
                ms = 1000 * statistics.mean(answer["seconds"])
                result.setdefault("rounds_ms", []).append(ms)
                result.setdefault("rounds_others", []).append(others)
                result["memory_mib"] = answer["memory_mib"]
                if "processor_seconds" in answer:
                    result.setdefault("rounds_processor_ms", []).append(1000 * answer["processor_seconds"])
                beside = "" if others is None else f", {others:.0%} of the cores busy with other processes"
                say(f"round {number} of {rounds}: {row.label}: {ms:.4g} ms a step{beside}")
    for result in results:
        if "note" not in result:
            both = zip(result["rounds_ms"], result["rounds_others"])
            quiet = [ms for ms, others in both if others is None or others <= QUIET]
            result["disturbed"] = len(quiet) < min(2, rounds)
            result["ms"] = statistics.median(result["rounds_ms"] if result["disturbed"] else quiet)
            result["pairs_per_second"] = 1000 * result["settings"]["batch_size"] / result["ms"]
    return results


def _watched(worker, steps, warmup, cores):
    """One round, and the share of the cores that other processes took meanwhile; None where that is not known.

    The system counts in hundredths of a second, so nothing is known of a round of less than a second.
    """
    before, begun = machine.others_seconds(worker.process.pid, cores), time.perf_counter()
    answer = worker.ask("round", steps=steps, warmup=warmup)
    after, passed = machine.others_seconds(worker.process.pid, cores), time.perf_counter() - begun
    if before is None or passed < 1:
        return answer, None
    return answer, max(0.0, after - before) / (cores * passed)


def _start(stack, row, result, results, cores):
    """A worker that has made its first steps, or None, with the reason in the result's note."""
    if row.note:
        result["note"] = row.note
        return None
    needs, free = row.needs(results) if row.needs else None, machine.free_memory()
    if needs and free and needs > 0.9 * free:
        result["note"] = f"left out: may need {needs:.0f} MiB, {free:.0f} are free"
        say(f"{row.label}: {result['note']}")
        return None
    say(f"building: {row.label}")
    begun = time.perf_counter()
    try:
        worker = stack.enter_context(protocol.Worker(row.python, row.module, cores))
        result["versions"] = worker.ask("build", contender=row.contender, **row.settings)
        worker.ask("round", steps=1, warmup=1)
    except (protocol.WorkerError, OSError) as error:
        result["note"] = str(error)
        say(f"{row.label}: {error}")
        return None
    result["build_seconds"] = time.perf_counter() - begun
    return worker


def say(message):
    """Tells how far the measurement is, beside the tables, which alone go to standard output."""
    print(f"[{time.strftime('%H:%M:%S')}] {message}", file=sys.stderr, flush=True)
