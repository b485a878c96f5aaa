"""A comparison of several models' class activation maps on the same images."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from kerassl._errors import UserError
from kerassl._lazy import keras
from kerassl._numbers import check
from kerassl.explain.cam.cam import CAM, levels_of
from kerassl.explain.cam.gradcam import GradCAM
from kerassl.explain.cam.similarity_map import SimilarityMap
from kerassl.explain.localization.baseline_maps import baseline_maps
from kerassl.explain.localization.insertion_deletion import insertion_deletion
from kerassl.explain.localization.sanity_check import sanity_check
from kerassl.explain.localization.targets import LocalizationTargets
from kerassl.statistics import paired_bootstrap
from kerassl.types import LEVELS

_CHECKED = 16  # images of the check by randomized weights


@dataclasses.dataclass(frozen=True, eq=False)
class ModelComparison:
    """The result of `compare_models`.

    Attributes:
        level: str, the level that was explained in all models.
        thresholds: dict from the model or baseline to the threshold of its `coverage` and `box_acc`.
        chosen_on: int, the images that level and thresholds were chosen on.
        scored: `LocalizationTargets`, the images of the table.
        heatmaps: dict from the model or baseline to `[N, S, S]` array.
        table: dict, what `statistics.paired_bootstrap` gives; differences are from the first model.
        randomized: dict from the model to what `sanity_check` gives.
    """

    level: str
    thresholds: dict
    chosen_on: int
    scored: LocalizationTargets
    heatmaps: dict
    table: dict
    randomized: dict


def compare_models(
    models: Mapping[str, keras.Model],
    asked: LocalizationTargets,
    *,
    choose: int | None = None,
    level: str | None = None,
    method: type[CAM] = GradCAM,
    steps: int = 0,
    resamples: int = 1000,
    seed: int = 0,
    verbose: int = 0,
) -> ModelComparison:
    """Score class activation maps (CAMs) of several models on the same images, beside two baseline maps.

    The level, one for all models, and the threshold of each model are chosen on tuning images that are not scored: the
    level with the best mean of `max_box_acc` over models, the threshold with the best `box_acc`. Thresholds of the
    baseline maps are chosen in the same way.

    Args:
        models: Dict from name to a localizer, detector or classifier, or to a backbone, whose map is the
            `SimilarityMap` of an image and its mirror image, centered on the tuning images. Classes are matched by
            name, in any order.
        asked: `LocalizationTargets`.
        choose: Int or None. The number of tuning images, drawn with `seed`; None is a quarter.
        level: `"P3"`, `"P4"`, `"P5"` or None to choose.
        method: `GradCAM`, `GradCAMPlusPlus`, `LayerCAM` or `ScoreCAM`, for models with a head.
        steps: Int. Steps of `insertion_deletion` for models with a head, which takes longest; 0 leaves it out. The
            table has `insertion` and `deletion`, and each minus what the centered Gaussian reaches on the same model
            (`…_gain`).
        resamples, seed: As in `statistics.paired_bootstrap`.
        verbose: 0 or 1. Whether to show progress bars.

    Returns:
        `ModelComparison`.

    Raises:
        UserError: if there is no model, a name is taken, or `choose` leaves no tuning images or none to score.

    Example:
        >>> asked = kerassl.explain.localization_targets(records, image_size=128)
        >>> found = kerassl.explain.compare_models({"ours": ours, "random": other}, asked)
        >>> found.table["models"]["ours"]["energy"]
        [0.55, 0.52, 0.58]
    """
    check(steps=steps, resamples=resamples, seed=seed)
    choose = len(asked) // 4 if choose is None else choose
    if not models or not 1 <= choose < len(asked):
        raise UserError(
            f"{len(models)} models and {len(asked)} images, {choose} of them to choose level and threshold on; give a "
            "model or more, and an image or more to choose on and to score"
        )
    for model in models.values():
        _class_ids(model, asked)  # refused before minutes of work
    order = np.random.default_rng(seed).permutation(len(asked))
    first, scored = asked.take(order[:choose]), asked.take(np.sort(order[choose:]))
    common = [
        each for each in LEVELS if all(_is_backbone(model) or each in levels_of(model) for model in models.values())
    ]
    levels = common if level is None else (level,)
    looks = {each: _looks(models, each, method, first.images) for each in levels}
    chosen = {each: _scores(looks[each], first, verbose) for each in levels}
    means = {each: np.mean([score.figures()["max_box_acc"] for score in chosen[each].values()]) for each in levels}
    level = max(levels, key=means.__getitem__)
    for name in (plain := _baselines(first)):
        if name in models:
            raise UserError(f"a model is called {name!r}, as a baseline is; give it another name")
    thresholds = {name: score.best_threshold() for name, score in chosen[level].items()}
    thresholds |= {name: first.score(maps).best_threshold() for name, maps in plain.items()}
    heatmaps = {name: look(scored, verbose) for name, look in looks[level].items()} | _baselines(scored)
    figures, randomized = {}, {}
    for name, maps in heatmaps.items():
        score = scored.score(maps, thresholds[name])
        extra: dict[str, np.ndarray] = {}
        if name in models and steps and not _is_backbone(models[name]):
            extra = _perturbed(models[name], scored, maps, heatmaps["centered Gaussian"], steps, verbose)
        figures[name] = _figures(score, extra)
    few = scored.take(range(min(_CHECKED, len(scored))))
    for name, look in looks[level].items():
        model = models[name]
        randomized[name] = sanity_check(model, functools.partial(look, few, 0), steps=min(4, _layers(model)))
    intervals = paired_bootstrap(figures, len(scored), resamples=resamples, seed=seed)
    table = {"models": intervals.values, "differences": intervals.differences}
    return ModelComparison(level, thresholds, choose, scored, heatmaps, table, randomized)


def _looks(models, level, method, images):
    """Return for each model a function from targets to maps."""
    looks = {}
    for name, model in models.items():
        if _is_backbone(model):
            center = SimilarityMap(model, layer=level).mean_embedding(images)
            look = SimilarityMap(model, layer=level, center=center)
            looks[name] = lambda asked, verbose, look=look: look(asked.images, verbose=verbose)
        else:
            look = method(model, layer=level)
            looks[name] = lambda asked, verbose, look=look, model=model: look(
                asked.images, _class_ids(model, asked), verbose=verbose
            )
    return looks


def _class_ids(model, asked):
    return asked.class_ids_of(getattr(model, "class_names", None))


def _scores(looks, asked, verbose):
    return {name: asked.score(look(asked, verbose)) for name, look in looks.items()}


def _is_backbone(model):
    """Whether the last output is a feature map, `[B, h, w, C]`."""
    return not isinstance(model.output, dict) and len(model.output.shape) == 4


def _layers(model):
    return sum(bool(layer.weights) for layer in model.layers)


def _baselines(asked):
    """Those of the images, without the letterbox's black."""
    size = asked.images.shape[1:3]
    found = {}
    for row, (height, width) in enumerate(asked.sizes):
        for name, maps in baseline_maps((height, width)).items():
            found.setdefault(name, np.zeros([len(asked), *size], np.float32))[row, :height, :width] = maps[0]
    return found


def _perturbed(model, asked, heatmaps, gaussian, steps, verbose):
    own, plain = (
        insertion_deletion(model, asked.images, maps, _class_ids(model, asked), steps=steps, verbose=verbose)
        for maps in (heatmaps, gaussian)
    )
    return own | {f"{name}_gain": own[name] - plain[name] for name in own}


def _figures(score, extra):
    return lambda rows: score.figures(rows) | {name: float(values[rows].mean()) for name, values in extra.items()}
