"""Are two arms different? Intervals over images."""

import numpy as np

from kerassl._errors import UserError
from kerassl._numbers import check


def paired_bootstrap(arms, count, *, resamples=1000, confidence=0.95, seed=0):
    """Averages of several arms with intervals, and of their differences from the first arm, image by image.

    Images are drawn with replacement, the same ones for all arms. An interval lies between the quantiles of the
    resamples. A difference whose interval does not hold 0 is one that these images show; it says nothing about
    another training of the same arm.

    Args:
        arms: dict from the arm's name to a function from `[n]` int rows to a dict of floats, as `WholeObject.figures`.
        count: int, the images.
        resamples: int.
        confidence: float in (0, 1).
        seed: int.

    Returns:
        Dict `{"arms": {arm: {measure: [value, low, high]}}, "differences": {arm: {measure: [value, low, high]}}}`,
        the latter for all arms but the first.

    Raises:
        UserError: if there is no arm or image, or the confidence is no share.

    Example:
        >>> scores = {"ours": whole_object(ours, boxes), "other": whole_object(other, boxes)}
        >>> table = kerassl.explain.paired_bootstrap({name: each.figures for name, each in scores.items()}, len(boxes))
        >>> table["differences"]["other"]["energy"]
        [-0.08, -0.11, -0.05]

    Reference:
        Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile intervals).
    """
    check(seed=seed, resamples=resamples)
    if not arms or count < 1 or not 0 < confidence < 1:
        raise UserError(
            f"{len(arms)} arms, {count} images, confidence {confidence}; give one of both at least, and a share below 1"
        )
    draw = np.random.default_rng(seed)
    samples = [np.arange(count), *(draw.integers(0, count, count) for _ in range(resamples))]
    found = {}
    for name, figures in arms.items():
        rows = [figures(sample) for sample in samples]
        found[name] = {measure: np.array([row.get(measure, np.nan) for row in rows]) for measure in rows[0]}
    first = next(iter(found.values()))
    differences = {
        name: {measure: _interval(values[measure] - first[measure], confidence) for measure in values}
        for name, values in list(found.items())[1:]
    }
    whole = {name: {m: _interval(v, confidence) for m, v in values.items()} for name, values in found.items()}
    return {"arms": whole, "differences": differences}


def _interval(values, confidence):
    """[value, low, high] of the figure of all images and those of the resamples after it."""
    known = values[1:][~np.isnan(values[1:])]
    if not len(known):
        return [float(values[0]), float("nan"), float("nan")]
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return [float(values[0]), float(low), float(high)]
