"""Are two arms different? Intervals over images and seeds at once, for scores of every seed on every image."""

import numpy as np
import scipy

_AT_ONCE = 256  # resamples whose counts are floats at one time, which bounds the memory


def image_counts(images, resamples, seed):
    """How often each resample draws each image.

    Args:
        images, resamples, seed: int.

    Returns:
        `[resamples, images]` uint16 array; each row adds up to `images`.
    """
    return _counts(np.random.default_rng(seed), images, resamples)


def seed_counts(seeds, resamples, seed):
    """The same for the seeds, of a stream of its own: arms with as many seeds share these draws."""
    return _counts(np.random.default_rng([seed, seeds]), seeds, resamples)


def _counts(draw, items, resamples):
    drawn = (np.bincount(draw.integers(0, items, items), minlength=items) for _ in range(resamples))
    return np.array(list(drawn), np.uint16)


def interval(scores, images, seeds, confidence):
    """The mean of scores by seed and image, with an interval for other seeds and other images.

    A resample draws seeds and images with replacement, each independently of the other (Owen's pigeonhole bootstrap:
    what is particular to one seed on one image counts up to three times in its variance, so it errs to the wide side).
    Two corrections matter where seeds are few, and vanish where they are many. Draws from S seeds vary by S - 1 parts
    in S of what they should: the weights of the seeds are stretched by the root of S / (S - 1). And a spread known
    from a few seeds is itself uncertain: the interval is stretched by Student's t over the normal quantile, at the
    degrees of freedom of Welch and Satterthwaite. Without them, where seeds are most of the noise, every fourth
    difference of nothing would be called real with three seeds. With two it may still be one in ten; have three.

    Args:
        scores: `[K, S, N]` array: K measures, S seeds, N images. For two arms: one's minus the other's.
        images: `[R, N]` int array, as `image_counts` gives.
        seeds: `[R, S]` int array, as `seed_counts` gives. With one seed the interval is over images alone.
        confidence: float in (0, 1).

    Returns:
        Three `[K]` float64 arrays: value, low, high.

    References:
        Owen, "The pigeonhole bootstrap", 2007. Satterthwaite, "An approximate distribution of estimates of variance
        components", 1946.
    """
    scores = np.asarray(scores, np.float64)
    measures, count, tested = scores.shape
    weights = 1 + (seeds - 1.0) * np.sqrt(count / max(count - 1, 1))
    flat = scores.reshape(-1, tested).T
    drawn = np.empty((len(images), measures))
    for start in range(0, len(images), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        by_seed = (images[part].astype(np.float64) @ flat).reshape(-1, measures, count)
        drawn[part] = np.einsum("rks,rs->rk", by_seed, weights[part]) / (count * tested)
    value = scores.mean(axis=(1, 2))
    stretch = _stretch(scores, confidence)
    low, high = np.quantile(drawn - value, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return value, value + stretch * low, value + stretch * high


def _stretch(scores, confidence):
    """`[K]`: Student's t over the normal quantile."""
    _, seeds, images = scores.shape
    by_image = scores.mean(axis=1).var(axis=1, ddof=1) / images
    by_seed = scores.mean(axis=2).var(axis=1, ddof=1) / seeds if seeds > 1 else np.zeros(len(scores))
    known = by_image**2 / (images - 1) + by_seed**2 / max(seeds - 1, 1)
    total = (by_image + by_seed) ** 2
    freedom = np.divide(total, known, out=np.full(len(scores), images - 1.0), where=known > 0)
    level = (1 + confidence) / 2
    return scipy.stats.t.ppf(level, freedom) / scipy.stats.norm.ppf(level)
