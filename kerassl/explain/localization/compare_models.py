"""Several networks asked about the same images: who looks at the whole object?"""

import dataclasses
import typing

import numpy as np

from kerassl._errors import UserError
from kerassl._numbers import check
from kerassl.datasets.class_names import check_numbering
from kerassl.explain.cam.cam import levels_of
from kerassl.explain.cam.gradcam import GradCAM
from kerassl.explain.cam.similarity_map import SimilarityMap
from kerassl.explain.localization.baselines import baselines
from kerassl.explain.localization.insertion_deletion import insertion_deletion
from kerassl.explain.localization.sanity_check import randomisation_check
from kerassl.statistics import paired_bootstrap
from kerassl.types import LEVELS

_CHECKED = 16  # images of the check by randomised weights


@dataclasses.dataclass(frozen=True, eq=False)
class ArmsTable:
    """What `compare_arms` found.

    Attributes:
        level: str, the level that was explained in all arms.
        thresholds: dict from the arm or baseline to the threshold of its `coverage` and `box_acc`.
        chosen_on: int, the images that level and thresholds were chosen on.
        scored: `Questions`, the images of the table.
        heatmaps: dict from the arm or baseline to `[N, S, S]` array.
        table: dict, what `statistics.paired_bootstrap` gives; differences are from the first arm.
        randomised: dict from the arm to what `randomisation_check` gives.
    """

    level: str
    thresholds: dict
    chosen_on: int
    scored: typing.Any
    heatmaps: dict
    table: dict
    randomised: dict


def compare_arms(arms, asked, *, choose=None, level=None, method=GradCAM, steps=0, resamples=1000, seed=0, verbose=0):
    """Heatmaps of several arms on the same images, scored by `whole_object` beside two baselines.

    The level, one for all arms, and each arm's threshold are chosen on images that are not scored: the level with the
    best mean of `max_box_acc` over arms, the threshold with the best `box_acc`. The baselines' thresholds likewise.

    Args:
        arms: dict from the arm's name to a localiser, detector or classifier, or to a backbone, whose heatmap is the
            `SimilarityMap` of an image and its mirror image, centred on the images to choose on.
        asked: `Questions`.
        choose: int or None, how many of the images are there to choose on, drawn with `seed`. None is a quarter.
        level: `"P3"`, `"P4"`, `"P5"` or None to choose.
        method: `GradCAM`, `GradCAMPlusPlus`, `LayerCAM` or `ScoreCAM`, for arms with a head.
        steps: int. Steps of `insertion_deletion` for arms with a head; 0 leaves it out, as it takes longest. Told are
            `insertion` and `deletion`, and each minus what the centred Gaussian reaches on the same arm (`…_gain`).
        resamples, seed: those of `paired_bootstrap`.
        verbose: 0 or 1. Whether to show progress bars.

    Returns:
        `ArmsTable`.

    Raises:
        UserError: if there is no arm, a name is taken, or `choose` leaves nothing to choose on or to score.

    Example:
        >>> asked = kerassl.explain.questions(records, image_size=128)
        >>> found = kerassl.explain.compare_arms({"ours": ours, "random start": other}, asked)
        >>> found.table["arms"]["ours"]["energy"]
        [0.55, 0.52, 0.58]
    """
    check(steps=steps, resamples=resamples, seed=seed)
    choose = len(asked) // 4 if choose is None else choose
    if not arms or not 1 <= choose < len(asked):
        raise UserError(
            f"{len(arms)} arms and {len(asked)} images, {choose} of them to choose level and threshold on; give an arm "
            "or more, and an image or more to choose on and to score"
        )
    for model in arms.values():
        if getattr(model, "class_names", None) is not None:
            check_numbering(asked.records, model.class_names)
    order = np.random.default_rng(seed).permutation(len(asked))
    first, scored = asked.take(order[:choose]), asked.take(np.sort(order[choose:]))
    common = [
        each for each in LEVELS if all(_is_backbone(model) or each in levels_of(model) for model in arms.values())
    ]
    levels = common if level is None else (level,)
    looks = {each: _looks(arms, each, method, first.images) for each in levels}
    chosen = {each: _scores(looks[each], first, verbose) for each in levels}
    means = {each: np.mean([score.figures()["max_box_acc"] for score in chosen[each].values()]) for each in levels}
    level = max(levels, key=means.get)
    for name in (plain := _baselines(first)):
        if name in arms:
            raise UserError(f"an arm is called {name!r}, as a baseline is; give it another name")
    thresholds = {name: score.best_threshold() for name, score in chosen[level].items()}
    thresholds |= {name: first.score(heat).best_threshold() for name, heat in plain.items()}
    heatmaps = {name: look(scored, verbose) for name, look in looks[level].items()} | _baselines(scored)
    figures, randomised = {}, {}
    for name, heat in heatmaps.items():
        score = scored.score(heat, thresholds[name])
        extra = {}
        if name in arms and steps and not _is_backbone(arms[name]):
            extra = _perturbed(arms[name], scored, heat, heatmaps["centred Gaussian"], steps, verbose)
        figures[name] = _figures(score, extra)
    few = scored.take(range(min(_CHECKED, len(scored))))
    for name, look in looks[level].items():
        model = arms[name]
        randomised[name] = randomisation_check(model, lambda look=look: look(few, 0), steps=min(4, _layers(model)))
    intervals = paired_bootstrap(figures, len(scored), resamples=resamples, seed=seed)
    table = {"arms": intervals.values, "differences": intervals.differences}
    return ArmsTable(level, thresholds, choose, scored, heatmaps, table, randomised)


def _looks(arms, level, method, images):
    """For each arm a function from questions to heatmaps."""
    looks = {}
    for name, model in arms.items():
        if _is_backbone(model):
            centre = SimilarityMap(model, layer=level).mean_embedding(images)
            look = SimilarityMap(model, layer=level, centre=centre)
            looks[name] = lambda asked, verbose, look=look: look(asked.images, verbose=verbose)
        else:
            look = method(model, layer=level)
            looks[name] = lambda asked, verbose, look=look: look(asked.images, asked.class_ids, verbose=verbose)
    return looks


def _scores(looks, asked, verbose):
    return {name: asked.score(look(asked, verbose)) for name, look in looks.items()}


def _is_backbone(model):
    """Whether the last output is a feature map, `[B, h, w, C]`."""
    return not isinstance(model.output, dict) and len(model.output.shape) == 4


def _layers(model):
    return sum(bool(layer.weights) for layer in model.layers)


def _baselines(asked):
    """Those of the pictures, without the letterbox's black."""
    size = asked.images.shape[1:3]
    found = {}
    for row, (height, width) in enumerate(asked.pictures):
        for name, heat in baselines((height, width)).items():
            found.setdefault(name, np.zeros([len(asked), *size], np.float32))[row, :height, :width] = heat[0]
    return found


def _perturbed(model, asked, heatmaps, gaussian, steps, verbose):
    own, plain = (
        insertion_deletion(model, asked.images, heat, asked.class_ids, steps=steps, verbose=verbose)
        for heat in (heatmaps, gaussian)
    )
    return own | {f"{name}_gain": own[name] - plain[name] for name in own}


def _figures(score, extra):
    return lambda rows: score.figures(rows) | {name: float(values[rows].mean()) for name, values in extra.items()}
