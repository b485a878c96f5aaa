"""Detections and class activation maps of the variants of a comparison."""

from __future__ import annotations

from kerassl.config.sources import Sources
from kerassl.report.model_images import model_images
from kerassl.runs.plan.stages import Plan
from kerassl.types import LEVELS


def variant_images(plan: Plan, data: Sources) -> list[dict]:
    """Draw detections and class activation maps of the same test images for every variant, by the models that are kept.

    Args:
        plan: `Plan`, in whose folder `images/` is left.
        data: `Sources`.

    Returns:
        List of dicts of file, title and text, for the page.
    """
    found = []
    for task in plan.protocols:
        names = dict.fromkeys(stage.variant for stage in plan.trials if stage.protocol == task)
        found += model_images(
            {name: plan.variants[name].folder / f"{task}.keras" for name in names}, task, data.test,
            count=plan.config.explain.images, level=_level(plan.config, task), folder=plan.folder,
        )  # fmt: skip
    return found


def _level(config, task):
    """Return the level that is explained: that of `explain`, or the deepest level that the protocol uses."""
    used = getattr(getattr(config, task), "levels", list(LEVELS))
    return min(config.explain.level, used[-1])  # P3 < P4 < P5
