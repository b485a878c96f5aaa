"""What a finished comparison shows: which arm is really better than the baseline, where, and by how much."""

import math
import statistics

import numpy as np

from kerassl import statistics as pigeonhole
from kerassl._errors import UserError
from kerassl.report.comparison_text import AP, MEASURES, PROTOCOLS


def verdict(cells, *, baseline, gate=None, pairs=(), resamples=2000, confidence=0.95, seed=0):
    """Means of every arm and its differences from the baseline, with intervals over images and seeds.

    A difference is paired: an arm's score on an image with a seed, minus the other arm's on that image with that
    seed (one seed means one set of labelled images). It is real if its interval does not hold 0. Of average
    precision there are means, spreads and differences by seed only. A comparison that is not finished is
    judged by the seeds that both arms of a pair have.

    Args:
        cells: list of dicts, one for each arm, protocol, number of labels and seed: `arm` (str), `protocol`
            ("frozen", "localizer" or "detector"), `labels` (int, or None for all), `seed` (int), `figures` (dict of
            shares), `per_image` (dict of lists of one length: `ids`, `iou`, and 0 or 1 in `top1` and `top3`).
        baseline: str, the arm that the others are held against.
        gate: dict or None. Does the measure tell good features from random ones? `good` and `poor` name arms, the
            other keys are of `mean_iou`, `loc_acc_50`, `loc_acc_70`, `top1` and `top3`: by how many points the good
            one has to be above, with frozen features and the largest number of labels.
        pairs: list of (arm, other arm), to be held against each other as well.
        resamples: int. 2,000 steady the ends of an interval to about a twentieth of its width.
        confidence: float in (0, 1).
        seed: int, of the draws.

    Returns:
        Dict that JSON can hold, in shares: `arms`, `baseline`, `confidence`, `resamples`, `seeds` (all that occur),
        `gate` (None, or with `passed`: None as long as its arms have no result) and `protocols`: for each its
        `images` and a list `counts`, by rising number of labels, of `labels`, `arms` (for each its `seeds` and
        `figures`, each with `mean`, `spread` (largest minus smallest), `deviation` (of the sample; None with one
        seed) and `by_seed`) and `differences` (each `arm`, `other`, the `seeds` of both, `measures` with `value`,
        `low`, `high`, `real` and `by_seed`, and `ap` with `mean` and `by_seed`).

    Raises:
        UserError: if an arm that is named has no cell, a cell is there twice, arms were scored on other images, or
            the gate cannot be understood.

    Example:
        >>> found = verdict(cells, baseline="ImageNet", gate={"good": "ImageNet", "poor": "random", "mean_iou": 8})
        >>> print(table_text(found))
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise UserError(f"confidence is {confidence} and resamples {resamples}; give a share below 1, and 1 or more")
    by_protocol = _by_protocol(cells)
    arms = list(dict.fromkeys(cell["arm"] for cell in cells))
    against = _against(arms, baseline, pairs)
    _check_gate(gate)
    found = {
        "arms": arms,
        "baseline": baseline,
        "confidence": confidence,
        "resamples": resamples,
        "seeds": sorted({cell["seed"] for cell in cells}),
        "gate": None,
        "protocols": {},
    }
    for protocol, counts in by_protocol.items():
        ids = _ids(protocol, counts)
        draws = _draws(len(ids), resamples, seed)
        found["protocols"][protocol] = {
            "images": len(ids),
            "counts": [
                {
                    "labels": labels,
                    "arms": {arm: _figures(table[arm]) for arm in arms if arm in table},
                    "differences": [
                        _difference(table, arm, other, ids, draws, confidence)
                        for arm, other in against
                        if arm in table and other in table
                    ],
                }
                for labels, table in counts.items()
            ],
        }
        if gate is not None and protocol == "frozen":
            largest = list(counts)[-1]
            difference = _difference(counts[largest], gate["good"], gate["poor"], ids, draws, confidence)
            found["gate"] = _asked(gate, largest, difference)
    if gate is not None and found["gate"] is None:
        found["gate"] = _asked(gate, None, {"seeds": [], "measures": {}})
    return found


def _by_protocol(cells):
    """The cells as protocol → labels → arm → seed, by rising number of labels, all last."""
    tables = {protocol: {} for protocol in PROTOCOLS}
    for cell in cells:
        if cell["protocol"] not in tables:
            raise UserError(f"{cell['protocol']!r} is no protocol; {', '.join(tables)} are")
        seeds = tables[cell["protocol"]].setdefault(cell["labels"], {}).setdefault(cell["arm"], {})
        if cell["seed"] in seeds:
            raise UserError(f"{_name(cell)} is there twice; leave one of them out")
        seeds[cell["seed"]] = cell
    return {
        protocol: dict(sorted(counts.items(), key=lambda item: math.inf if item[0] is None else item[0]))
        for protocol, counts in tables.items()
        if counts
    }


def _against(arms, baseline, pairs):
    named = [baseline, *(arm for pair in pairs for arm in pair)]
    unknown = [arm for arm in named if arm not in arms]
    if unknown:
        raise UserError(f"there is no result of an arm {unknown[0]!r}; there are {', '.join(arms) or 'none'}")
    same = [arm for arm, other in pairs if arm == other]
    if same:
        raise UserError(f"the pair holds {same[0]!r} against itself; name two arms")
    return list(dict.fromkeys([*((arm, baseline) for arm in arms if arm != baseline), *map(tuple, pairs)]))


def _check_gate(gate):
    if gate is None:
        return
    least = set(gate) - {"good", "poor"}
    if not {"good", "poor"} <= set(gate) or not least or not least <= set(MEASURES):
        raise UserError(f"the gate is {gate}; give good and poor, and points for one or more of {', '.join(MEASURES)}")


def _ids(protocol, counts):
    """The images of a protocol, which must be the same in all of its cells; their order may differ."""
    cells = [cell for table in counts.values() for seeds in table.values() for cell in seeds.values()]
    ids = sorted(cells[0]["per_image"]["ids"])
    if len(ids) < 2:
        raise UserError(f"{_name(cells[0])} has {len(ids)} images; give 2 or more, and hundreds for narrow intervals")
    for cell in cells:
        scored = cell["per_image"]
        if sorted(scored["ids"]) != ids:
            raise UserError(
                f"{_name(cell)} and {_name(cells[0])} were scored on other images; score all arms of {protocol} on "
                "the same ones"
            )
        if len(set(scored["ids"])) < len(ids) or {len(scored[key]) for key in ("iou", "top1", "top3")} != {len(ids)}:
            raise UserError(f"{_name(cell)} does not have one score for each image; score it again")
    return ids


def _name(cell):
    labels = "all labels" if cell["labels"] is None else f"{cell['labels']} labels"
    return f"{cell['arm']} ({cell['protocol']}, {labels}, seed {cell['seed']})"


def _draws(images, resamples, seed):
    """The same draws of images for whatever is compared, and of seeds for all pairs that share as many."""
    drawn, of_seeds = pigeonhole.image_counts(images, resamples, seed), {}

    def draws(seeds):
        if seeds not in of_seeds:
            of_seeds[seeds] = pigeonhole.seed_counts(seeds, resamples, seed)
        return drawn, of_seeds[seeds]

    return draws


def _figures(seeds):
    order = sorted(seeds)
    by_key = {}
    for key in (*MEASURES, *AP):
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


def _difference(table, arm, other, ids, draws, confidence):
    """The arm minus the other, over the seeds that both have."""
    ours, theirs = table.get(arm, {}), table.get(other, {})
    seeds = sorted(set(ours) & set(theirs))
    found = {"arm": arm, "other": other, "seeds": seeds, "measures": {}, "ap": {}}
    if not seeds:
        return found
    # [K, S, N]
    scores = np.stack([_scores(ours[seed], ids) - _scores(theirs[seed], ids) for seed in seeds], axis=1)
    by_seed = scores.mean(axis=2)
    for measure, value, low, high, single in zip(
        MEASURES, *pigeonhole.interval(scores, *draws(len(seeds)), confidence), by_seed
    ):
        found["measures"][measure] = {
            "value": float(value),
            "low": float(low),
            "high": float(high),
            "real": bool(low > 0 or high < 0),
            "by_seed": single.tolist(),
        }
    for key in AP:
        both = [[_finite(one[seed]["figures"].get(key)) for one in (ours, theirs)] for seed in seeds]
        if not any(None in pair for pair in both):
            single = [ours - theirs for ours, theirs in both]
            found["ap"][key] = {"mean": statistics.fmean(single), "by_seed": single}
    return found


def _scores(cell, ids):
    """`[5, N]` in the order of `MEASURES`, its images in the order of `ids`."""
    scored = cell["per_image"]
    place = {each: row for row, each in enumerate(scored["ids"])}
    order = [place[each] for each in ids]
    iou, top1, top3 = (np.asarray(scored[key], np.float64)[order] for key in ("iou", "top1", "top3"))
    if not np.isfinite(iou).all():
        raise UserError(f"{_name(cell)} has an IoU that is no number; score it again")
    # In the order of MEASURES; from a threshold on, it itself included, as metrics.localization counts.
    return np.stack([iou, iou >= 0.5, iou >= 0.7, top1, top3])


def _asked(gate, labels, difference):
    """Whether the good arm is as far above the poor one as it has to be."""
    measures = {
        key: {**{part: each[part] for part in ("value", "low", "high")}, "least": gate[key] / 100}
        for key, each in difference["measures"].items()
        if key in gate
    }
    # A value of exactly as many points as asked may fall short in its last bit.
    passed = all(each["value"] >= each["least"] - 1e-12 for each in measures.values()) if measures else None
    return {
        "good": gate["good"],
        "poor": gate["poor"],
        "labels": labels,
        "seeds": difference["seeds"],
        "passed": passed,
        "measures": measures,
    }
