"""A run of one stage, from its plan to its report."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kerassl.config.sources import Sources, sources
from kerassl.runs.folder import run_folder
from kerassl.runs.plan.stages import Plan
from kerassl.runs.results import RunResult, write_results
from kerassl.runs.running import prepare
from kerassl.runs.start import fetch_weights


def run_stage(
    plan: Plan,
    check: Callable[[Any, Sources], object],
    do: Callable[[Any, Sources], tuple[str, str, dict[str, Any]]],
    *,
    grows: str,
    done: str | None = None,
    labels: bool = True,
    resume: bool = False,
    replace: bool = False,
) -> RunResult:
    """Claim the folder of a run, do its one stage and report it.

    Args:
        plan: `Plan` of one stage, whose first output is the model of the run.
        check: Function of the stage and its `Sources` that refuses what cannot be used, before anything is trained.
        do: Function of the same that returns title and summary of the page, and a dict of the results.
        grows, done, resume, replace: See `run_folder`.
        labels: Bool. Whether labels are needed.

    Raises:
        UserError: if the folder or what the configuration names cannot be used.
    """
    begun, (stage,) = time.time(), plan.stages
    with run_folder(plan.folder, plan.config, resume, replace, grows, done) as folder:
        data = sources(plan.config, folder, labels)
        check(stage, data)
        fetch_weights(plan.left())
        prepare(plan.config)
        title, summary, results = do(stage, data)
        return write_results(folder, title, summary, begun, stage.outputs[0], generated=data.generated, **results)
