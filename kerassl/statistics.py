"""Confidence intervals of means and of paired differences: over images, and over images and seeds."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping

import numpy as np
import scipy

from kerassl._errors import UserError
from kerassl._numbers import check

_AT_ONCE = 256  # resamples whose counts are floats at one time, which bounds the memory


class Interval(typing.NamedTuple):
    """A value with its confidence interval."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class PairedIntervals:
    """The result of `paired_bootstrap`.

    Attributes:
        values: dict from name to dict from metric to `Interval`.
        differences: the same for the differences from the first, of all others.
    """

    values: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Interval]]


def paired_bootstrap(
    models: Mapping[str, Callable[[np.ndarray], Mapping[str, float]]],
    count: int,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> PairedIntervals:
    """Compute metrics of several models, and their differences from the first, with intervals over images.

    Images are drawn with replacement, the same ones for all models. An interval is between quantiles of the resamples.
    A difference whose interval excludes 0 is significant on these images; another training of the same model may
    differ.

    Args:
        models: dict from name to a function from `[n]` int indices of images to a dict of floats.
        count: int, the number of images.
        resamples: int.
        confidence: float in (0, 1).
        seed: int.

    Returns:
        `PairedIntervals`.

    Raises:
        UserError: if there is no model or image, or the confidence is not in (0, 1).

    Example:
        >>> correct = {"ours": np.array([1, 1, 0, 1]), "other": np.array([0, 1, 0, 1])}
        >>> models = {name: lambda rows, own=own: {"top1": own[rows].mean()} for name, own in correct.items()}
        >>> kerassl.statistics.paired_bootstrap(models, 4).differences["other"]["top1"].value
        -0.25

    References:
        Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile intervals).
    """
    check(seed=seed, resamples=resamples)
    if not models or count < 1 or not 0 < confidence < 1:
        raise UserError(
            f"{len(models)} models, {count} images, confidence {confidence}; give one of both at least, and a share "
            "below 1"
        )
    draw = np.random.default_rng(seed)
    samples = [np.arange(count), *(draw.integers(0, count, count) for _ in range(resamples))]
    found = {}
    for name, metrics in models.items():
        rows = [metrics(sample) for sample in samples]
        found[name] = {metric: np.array([row.get(metric, np.nan) for row in rows]) for metric in rows[0]}
    first = next(iter(found.values()))
    differences = {
        name: {metric: _percentiles(values[metric] - first[metric], confidence) for metric in values}
        for name, values in list(found.items())[1:]
    }
    whole = {name: {m: _percentiles(v, confidence) for m, v in values.items()} for name, values in found.items()}
    return PairedIntervals(whole, differences)


def _percentiles(values, confidence):
    """The interval of the value of all images, which comes first, and those of the resamples after it."""
    known = values[1:][~np.isnan(values[1:])]
    if not len(known):
        return Interval(float(values[0]), float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(values[0]), float(low), float(high))


def image_counts(images: int, resamples: int, seed: int) -> np.ndarray:
    """Draw images with replacement, and count how often each resample has each image.

    Returns:
        `[resamples, images]` uint16 array; each row adds up to `images`.
    """
    return _counts(np.random.default_rng(seed), images, resamples)


def seed_counts(seeds: int, resamples: int, seed: int) -> np.ndarray:
    """Draw seeds as `image_counts` draws images: `[resamples, seeds]`, the same for an equal number of seeds."""
    return _counts(np.random.default_rng([seed, seeds]), seeds, resamples)


def _counts(draw, items, resamples):
    drawn = (np.bincount(draw.integers(0, items, items), minlength=items) for _ in range(resamples))
    return np.array(list(drawn), np.uint16)


def pigeonhole_interval(
    scores: np.ndarray, images: np.ndarray, seeds: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the mean of scores by seed and image, with an interval over seeds and images.

    A resample draws seeds and images with replacement, each independently of the other (Owen's pigeonhole bootstrap:
    the interaction of a seed and an image counts up to three times in its variance, so the interval is conservative).
    Two corrections matter if seeds are few, and vanish if they are many. Draws from S seeds vary by S - 1 parts in S of
    what they should: the weights of the seeds are stretched by the root of S / (S - 1). And a spread estimated from a
    few seeds is itself uncertain: the interval is stretched by Student's t over the normal quantile, at the degrees of
    freedom of Welch and Satterthwaite. Without them, where seeds are most of the noise, one in four null differences
    would be called significant with three seeds. With two seeds it may still be one in ten; use three.

    Args:
        scores: `[K, S, N]` array: K metrics, S seeds, N images. To compare two models: the differences of their scores.
        images: `[R, N]` int array, as `image_counts` returns.
        seeds: `[R, S]` int array, as `seed_counts` returns. With one seed the interval is over images alone.
        confidence: float in (0, 1).

    Returns:
        Three `[K]` float64 arrays: value, low, high.

    References:
        Owen, "The pigeonhole bootstrap", 2007. Satterthwaite, "An approximate distribution of estimates of variance
        components", 1946.
    """
    scores = np.asarray(scores, np.float64)
    measures, count, tested = scores.shape
    weights = _weights(seeds)
    flat = scores.reshape(-1, tested).T
    drawn = np.empty((len(images), measures))
    for start in range(0, len(images), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        by_seed = (images[part].astype(np.float64) @ flat).reshape(-1, measures, count)
        drawn[part] = np.einsum("rks,rs->rk", by_seed, weights[part]) / (count * tested)
    by_image = scores.mean(axis=1).var(axis=1, ddof=1) / tested
    return _stretched(scores.mean(axis=(1, 2)), drawn, by_image, scores.mean(axis=2), tested, confidence)


def pigeonhole_interval_of(
    values: np.ndarray, resampled: np.ndarray, seeds: np.ndarray, images: int, confidence: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute what `pigeonhole_interval` does for metrics that are no means over images, as average precision.

    Args:
        values: `[K, S]` array: K metrics of all images, S seeds.
        resampled: `[R, K, S]` array, the same on draws of images with replacement, one for all metrics and seeds.
        seeds: `[R, S]` int array, as `seed_counts` returns.
        images: int, how many there are.
        confidence: float in (0, 1).

    Returns:
        Three `[K]` float64 arrays: value, low, high.
    """
    drawn = np.einsum("rks,rs->rk", resampled, _weights(seeds)) / values.shape[1]
    by_image = resampled.mean(axis=2).var(axis=0, ddof=1)
    return _stretched(values.mean(axis=1), drawn, by_image, values, images, confidence)


def _weights(seeds):
    """The weights of seeds, stretched by what draws of a few vary too little."""
    count = seeds.shape[1]
    return 1 + (seeds - 1.0) * np.sqrt(count / max(count - 1, 1))


def _stretched(value, drawn, by_image, of_seeds, images, confidence):
    """The intervals between quantiles of `drawn`, stretched by Student's t over the normal quantile."""
    seeds = of_seeds.shape[1]
    by_seed = of_seeds.var(axis=1, ddof=1) / seeds if seeds > 1 else np.zeros(len(value))
    known = by_image**2 / (images - 1) + by_seed**2 / max(seeds - 1, 1)
    total = (by_image + by_seed) ** 2
    freedom = np.divide(total, known, out=np.full(len(value), images - 1.0), where=known > 0)
    level = (1 + confidence) / 2
    stretch = scipy.stats.t.ppf(level, freedom) / scipy.stats.norm.ppf(level)
    low, high = np.quantile(drawn - value, [(1 - confidence) / 2, level], axis=0)
    return value, value + stretch * low, value + stretch * high
