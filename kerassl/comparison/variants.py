"""Training data of the variants of a comparison."""

from __future__ import annotations

from kerassl._display import counted
from kerassl.runs import pretrain_neck as neck
from kerassl.runs.plan.stages import Distillation, Variant
from kerassl.runs.start import seen


def seen_by(variant: Variant, figures: dict | None, generated: bool) -> str:
    """Return in words what a variant has seen before it is trained on labels of objects.

    Args:
        variant: `plan.Variant`.
        figures: Dict of its pre-training, or None.
        generated: Bool. Whether the images are toy scenes.
    """
    known = seen(variant.start) if variant.parent is None else f"what {variant.start} saw before its labels."
    after = neck.seen(variant.sections)
    if "frozen" in variant.sections and variant.features != variant.weights:
        after += " For frozen features its batch normalization was re-estimated on images without labels."
    if variant.self_train is not None:
        after += " The detector also learns from images that its teacher labeled."
    if variant.control_of is not None:
        after += f" The detector sees as many labeled images as {variant.control_of} and its teacher see in all."
    if figures is None or variant.pretraining is None:
        return known + after
    kind = "generated images" if generated else "images"
    if isinstance(variant.pretraining, Distillation):
        how, times = "without labels", figures["epochs"]
        after = f" Its teacher, {figures['teacher']}, has seen {figures['teacher_seen']}{after}"
    elif variant.pretraining.supervised:
        how = f"with the labels of {len(figures['classes'])} classes, by their folders or names"
        times = figures["epochs"]
    else:
        how, times = "without labels", variant.pretraining.settings.epochs
    before = "weights random before that." if variant.start == "random" else f"before that {known}"
    return f"{counted(times, 'epoch')} of {figures['images']} {kind} {how}; {before}{after}"
