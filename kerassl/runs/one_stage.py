"""A run of one stage, from its plan to its report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kerassl.config.config import Config, as_flags
from kerassl.config.sources import Sources, check_paths, sources
from kerassl.runs.folder import run_config, run_folder
from kerassl.runs.plan.stages import Plan
from kerassl.runs.results import RunResult, write_results
from kerassl.runs.running import prepare
from kerassl.runs.start import check_network, check_start, fetch_weights


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
    only_plan: bool = False,
) -> RunResult | Plan:
    """Claim the folder of a run, do its one stage and report it.

    Args:
        plan: `Plan` of one stage, whose first output is the model of the run.
        check: Function of the stage and its `Sources` that refuses what cannot be used, before anything is trained.
        do: Function of the same that returns title and summary of the page, and a dict of the results.
        grows, done, resume, replace: See `run_folder`.
        labels: Bool. Whether labels are needed.
        only_plan: Bool. Return the plan, and do nothing.

    Raises:
        UserError: if the folder or what the configuration names cannot be used.
    """
    if only_plan:
        check_paths(plan.config.data)
        return plan
    begun, (stage,) = time.time(), plan.stages
    with run_folder(plan.folder, plan.config, resume, replace, grows, done) as folder:
        data = sources(plan.config, folder, labels)
        check(stage, data)
        fetch_weights(plan.left())
        prepare(plan.config)
        title, summary, results = do(stage, data)
        return write_results(folder, title, summary, begun, stage.outputs[0], generated=data.generated, **results)


def run_on_views(
    planner: Callable[[Config, Any], Plan],
    images: str | os.PathLike | Sequence[str] | None,
    arguments: Mapping[str, object],
    check: Callable[[Any, Sources], object],
    do: Callable[[Any, Sources], tuple[str, str, dict[str, Any]]],
    *,
    out: str | os.PathLike,
    config: str | os.PathLike | None,
    settings: Mapping[str, object] | None,
    grows: str,
    resume: bool,
    replace: bool,
    plan: bool,
) -> RunResult | Plan:
    """Plan a run of one stage that learns a backbone from images without labels, and do it.

    Args:
        planner: Function of a configuration and the folder that returns a `Plan`.
        images, out, config, settings, resume, replace, plan: As of `kerassl.pretrain`.
        arguments: Dict from setting to value, None for those that were not given.
        check, do, grows: As of `run_stage`.

    Raises:
        UserError: if a setting or an image cannot be used.
    """
    unlabeled = [os.fspath(images)] if isinstance(images, (str, os.PathLike)) else images
    flags = as_flags({"data.unlabeled": unlabeled, **arguments})
    read = run_config(out, config, {**(settings or {}), **flags}, resume)
    check_network(read)
    check_start(read.weights or "random", "weights")
    planned = planner(read, out)
    return run_stage(planned, check, do, grows=grows, labels=False, resume=resume, replace=replace, only_plan=plan)
