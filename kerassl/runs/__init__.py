"""Runs: the plan of a configuration, run folders, and the stages of training."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.runs.plan.stages import Plan as Plan
    from kerassl.runs.progress import Progress as Progress
    from kerassl.runs.results import RunResult as RunResult
    from kerassl.runs.run_callbacks import Clock as Clock
    from kerassl.runs.run_callbacks import StopInTime as StopInTime

__all__ = lazy_package(__name__)
