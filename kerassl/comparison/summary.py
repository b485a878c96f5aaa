"""The summary of a comparison: means of all variants and significant differences from the baseline."""

from __future__ import annotations

import functools
import math
import statistics
import typing
from collections.abc import Mapping, Sequence

import numpy as np

from kerassl import statistics as pigeonhole
from kerassl._errors import UserError
from kerassl.types import AP_METRICS, COCO_METRICS, LOCALIZATION_METRICS, PROTOCOLS


def summarize(
    trials: Sequence[Mapping],
    *,
    baseline: str,
    sanity_check: Mapping | None = None,
    pairs: Sequence[tuple[str, str]] = (),
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict:
    """Compute the means of all variants and their differences from the baseline, with intervals over images and seeds.

    A difference is paired: the score of a variant on an image with a seed, minus that of the other variant on the same
    image with the same seed (one seed means one set of labeled images). It is significant if its interval excludes 0.
    Average precision has an interval where trials hold matches, and else differences by seed only. An unfinished
    comparison is summarized over the seeds that both variants of a pair have.

    Args:
        trials: dicts, one for each variant, protocol, number of labels and seed, of `variant` (str), `protocol`
            ("frozen", "localizer" or "detector"), `labels` (int, or None for all), `seed` (int), `figures` (dict of
            shares), `per_image` (lists of one length: `ids`, `iou`, and 0 or 1 in `top1` and `top3`) and, of a
            detector, `matches` (`metrics.CocoMatches`, or None).
        baseline: the variant that the others are compared with.
        sanity_check: whether frozen features separate good features from random ones, or None for no check. `good` and
            `poor` name variants; other keys are of `LOCALIZATION_METRICS`, with the number of points by which the good
            variant must exceed the poor one at the largest number of labels.
        pairs: further pairs of variants to compare.
        resamples: number of bootstrap samples. With 2,000, the ends of an interval vary by about a twentieth of its
            width. Average precision, which takes longer, has the first quarter of them.
        confidence: level of the intervals, in (0, 1).
        seed: seed of the bootstrap.

    Returns:
        Dict for JSON, in shares: `variants`, `baseline`, `confidence`, `resamples`, `seeds` (all that occur),
        `sanity_check` (None, or with `passed`, which is None until its variants have a result) and `protocols`: for
        each its `images` and a list `counts`, by ascending number of labels, of `labels`, `variants` (for each its
        `seeds` and `figures`, each with `mean`, `spread` (largest minus smallest), `deviation` (of the sample; None
        with one seed) and `by_seed`) and `differences` (each `variant`, `other`, the `seeds` of both, `measures` with
        `value`, `low`, `high`, `significant` and `by_seed`, and `ap` with `mean` and `by_seed`).

    Raises:
        UserError: if a named variant has no trial, a trial occurs twice, variants were scored on different images, or
            the sanity check is not understood.

    Example:
        >>> check = {"good": "ImageNet", "poor": "random", "mean_iou": 8}
        >>> summary = summarize(trials, baseline="ImageNet", sanity_check=check)
        >>> print(kerassl.report.comparison.comparison_text(summary))
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise UserError(f"confidence is {confidence} and resamples {resamples}; give a share below 1, and 1 or more")
    by_protocol = _by_protocol(trials)
    variants = list(dict.fromkeys(trial["variant"] for trial in trials))
    against = _against(variants, baseline, pairs)
    _check_sanity(sanity_check)
    found: dict[str, typing.Any] = {
        "variants": variants,
        "baseline": baseline,
        "confidence": confidence,
        "resamples": resamples,
        "seeds": sorted({trial["seed"] for trial in trials}),
        "sanity_check": None,
        "protocols": {},
    }
    for protocol, counts in by_protocol.items():
        ids = _ids(protocol, counts)
        draws = _draws(len(ids), resamples, seed)
        precision = _Precision(counts, max(1, resamples // 4), confidence, seed)
        found["protocols"][protocol] = {
            "images": len(ids),
            "counts": [
                {
                    "labels": labels,
                    "variants": {variant: _figures(table[variant]) for variant in variants if variant in table},
                    "differences": [
                        _difference(table, variant, other, ids, draws, confidence, precision)
                        for variant, other in against
                        if variant in table and other in table
                    ],
                }
                for labels, table in counts.items()
            ],
        }
        if sanity_check is not None and protocol == "frozen":
            largest = list(counts)[-1]
            difference = _difference(
                counts[largest], sanity_check["good"], sanity_check["poor"], ids, draws, confidence
            )
            found["sanity_check"] = _checked(sanity_check, largest, difference)
    if sanity_check is not None and found["sanity_check"] is None:
        found["sanity_check"] = _checked(sanity_check, None, {"seeds": [], "measures": {}})
    return found


def _by_protocol(trials):
    """Trials as protocol → labels → variant → seed, by ascending number of labels, all last."""
    tables = {protocol: {} for protocol in PROTOCOLS}
    for trial in trials:
        if trial["protocol"] not in tables:
            raise UserError(f"{trial['protocol']!r} is no protocol; {', '.join(tables)} are")
        seeds = tables[trial["protocol"]].setdefault(trial["labels"], {}).setdefault(trial["variant"], {})
        if trial["seed"] in seeds:
            raise UserError(f"{_name(trial)} occurs twice; leave one of them out")
        seeds[trial["seed"]] = trial
    return {
        protocol: dict(sorted(counts.items(), key=lambda item: math.inf if item[0] is None else item[0]))
        for protocol, counts in tables.items()
        if counts
    }


def _against(variants, baseline, pairs):
    named = [baseline, *(variant for pair in pairs for variant in pair)]
    unknown = [variant for variant in named if variant not in variants]
    if unknown:
        raise UserError(f"there is no result of a variant {unknown[0]!r}; there are {', '.join(variants) or 'none'}")
    same = [variant for variant, other in pairs if variant == other]
    if same:
        raise UserError(f"the pair holds {same[0]!r} against itself; name two variants")
    return list(
        dict.fromkeys([*((variant, baseline) for variant in variants if variant != baseline), *map(tuple, pairs)])
    )


def _check_sanity(sanity_check):
    if sanity_check is None:
        return
    least = set(sanity_check) - {"good", "poor"}
    if not {"good", "poor"} <= set(sanity_check) or not least or not least <= set(LOCALIZATION_METRICS):
        raise UserError(
            f"the sanity check is {sanity_check}; give good and poor, and points for one or more of "
            f"{', '.join(LOCALIZATION_METRICS)}"
        )


def _ids(protocol, counts):
    """Return the images of a protocol, which must be the same in all of its trials, in any order."""
    trials = [trial for table in counts.values() for seeds in table.values() for trial in seeds.values()]
    ids = sorted(trials[0]["per_image"]["ids"])
    if len(ids) < 2:
        raise UserError(f"{_name(trials[0])} has {len(ids)} images; give 2 or more, and hundreds for narrow intervals")
    for trial in trials:
        scored = trial["per_image"]
        if sorted(scored["ids"]) != ids:
            raise UserError(
                f"{_name(trial)} and {_name(trials[0])} were scored on other images; score all variants of {protocol} "
                "on the same ones"
            )
        if len(set(scored["ids"])) < len(ids) or {len(scored[key]) for key in ("iou", "top1", "top3")} != {len(ids)}:
            raise UserError(f"{_name(trial)} does not have one score for each image; score it again")
    return ids


def _name(trial):
    labels = "all labels" if trial["labels"] is None else f"{trial['labels']} labels"
    return f"{trial['variant']} ({trial['protocol']}, {labels}, seed {trial['seed']})"


def _draws(images, resamples, seed):
    """Draw images the same for all pairs, and seeds the same for all pairs that share as many."""
    drawn, of_seeds = pigeonhole.image_counts(images, resamples, seed), {}

    def draws(seeds):
        if seeds not in of_seeds:
            of_seeds[seeds] = pigeonhole.seed_counts(seeds, resamples, seed)
        return drawn, of_seeds[seeds]

    return draws


def _figures(seeds):
    order = sorted(seeds)
    by_key = {}
    for key in (*LOCALIZATION_METRICS, *AP_METRICS):
        values = [_finite(seeds[each]["figures"].get(key)) for each in order]
        known = [value for value in values if value is not None]
        if known:
            by_key[key] = {
                "mean": statistics.fmean(known),
                "spread": max(known) - min(known),
                "deviation": statistics.stdev(known) if len(known) > 1 else None,
                "by_seed": values,
            }
    return {"seeds": order, "figures": by_key}


def _finite(value):
    return None if value is None or not math.isfinite(value) else float(value)


class _Precision:
    """Differences in average precision, with intervals: each trial is scored once on every draw of images."""

    def __init__(self, counts, resamples, confidence, seed):
        matches = [
            trial.get("matches") for table in counts.values() for seeds in table.values() for trial in seeds.values()
        ]
        self.ids = sorted(matches[0].ids) if matches[0] is not None else []
        if any(each is None or sorted(each.ids) != self.ids for each in matches):
            self.ids = []
        self.resamples, self.confidence, self.seed, self._scored = resamples, confidence, seed, {}

    def difference(self, ours, theirs):
        """Return `measures` of trials by the same seeds; nothing where matches are missing."""
        if len(self.ids) < 2:
            return {}
        # [1 + R, K, S]
        scores = np.stack([self._scores(one) - self._scores(other) for one, other in zip(ours, theirs)], axis=2)
        seeds = pigeonhole.seed_counts(len(ours), self.resamples, self.seed)
        known = ~np.isnan(scores).any(axis=(1, 2))
        if not known[0] or known.sum() < 2:
            return {}
        intervals = pigeonhole.pigeonhole_interval_of(
            scores[0], scores[1:][known[1:]], seeds[known[1:]], len(self.ids), self.confidence
        )
        return {key: _measure(*each) for key, *each in zip(COCO_METRICS, *intervals, scores[0])}

    def _scores(self, trial):
        """`[1 + R, K]`: of all images, and of each draw."""
        key = id(trial)
        if key not in self._scored:
            place = {each: row for row, each in enumerate(self.ids)}
            order = [place[each] for each in trial["matches"].ids]
            found = [trial["matches"].of_counts(counts[order]) for counts in self._counts]
            self._scored[key] = np.array([[one[name] for name in COCO_METRICS] for one in found])
        return self._scored[key]

    @functools.cached_property
    def _counts(self):
        drawn = pigeonhole.image_counts(len(self.ids), self.resamples, self.seed)
        return np.concatenate([np.ones([1, len(self.ids)], drawn.dtype), drawn])


def _measure(value, low, high, by_seed):
    return {
        "value": float(value),
        "low": float(low),
        "high": float(high),
        "significant": bool(low > 0 or high < 0),
        "by_seed": by_seed.tolist(),
    }


def _difference(table, variant, other, ids, draws, confidence, precision=None):
    """Return the variant minus the other, over the seeds that both have."""
    ours, theirs = table.get(variant, {}), table.get(other, {})
    seeds = sorted(set(ours) & set(theirs))
    found = {"variant": variant, "other": other, "seeds": seeds, "measures": {}, "ap": {}}
    if not seeds:
        return found
    # [K, S, N]
    scores = np.stack([_scores(ours[seed], ids) - _scores(theirs[seed], ids) for seed in seeds], axis=1)
    by_seed = scores.mean(axis=2)
    intervals = pigeonhole.pigeonhole_interval(scores, *draws(len(seeds)), confidence)
    found["measures"] = {key: _measure(*each) for key, *each in zip(LOCALIZATION_METRICS, *intervals, by_seed)}
    if precision is not None:
        found["measures"] |= precision.difference([ours[seed] for seed in seeds], [theirs[seed] for seed in seeds])
    for key in (key for key in AP_METRICS if key not in found["measures"]):
        both = [[_finite(one[seed]["figures"].get(key)) for one in (ours, theirs)] for seed in seeds]
        if not any(None in pair for pair in both):
            single = [ours - theirs for ours, theirs in both]
            found["ap"][key] = {"mean": statistics.fmean(single), "by_seed": single}
    return found


def _scores(trial, ids):
    """`[5, N]` in the order of `LOCALIZATION_METRICS`, its images in the order of `ids`."""
    scored = trial["per_image"]
    place = {each: row for row, each in enumerate(scored["ids"])}
    order = [place[each] for each in ids]
    iou, top1, top3 = (np.asarray(scored[key], np.float64)[order] for key in ("iou", "top1", "top3"))
    if not np.isfinite(iou).all():
        raise UserError(f"{_name(trial)} has an IoU that is no number; score it again")
    # In the order of LOCALIZATION_METRICS. Thresholds are inclusive, as in metrics.localization.
    return np.stack([iou, iou >= 0.5, iou >= 0.7, top1, top3])


def _checked(sanity_check, labels, difference):
    """Return whether the good variant exceeds the poor one by the required points."""
    measures = {
        key: {**{part: each[part] for part in ("value", "low", "high")}, "least": sanity_check[key] / 100}
        for key, each in difference["measures"].items()
        if key in sanity_check
    }
    # A value of exactly as many points as required may fall short in its last bit.
    passed = all(each["value"] >= each["least"] - 1e-12 for each in measures.values()) if measures else None
    return {
        "good": sanity_check["good"],
        "poor": sanity_check["poor"],
        "labels": labels,
        "seeds": difference["seeds"],
        "passed": passed,
        "measures": measures,
    }
