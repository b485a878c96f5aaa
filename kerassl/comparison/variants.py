"""What the variants of a comparison are: how each begins, what it learns from, and what it has seen."""

import logging
import pathlib

from kerassl.comparison import grid
from kerassl.runs import config as configuration
from kerassl.runs import pretrain as pretraining
from kerassl.runs import pretrain_neck as neck
from kerassl.runs import supervised
from kerassl.runs.config import changed_section
from kerassl.runs.start import check_start

log = logging.getLogger("kerassl")

_SEEN = {
    "random": "no image before its fine-tuning.",
    "imagenet": "ImageNet, with labels, by the weights that Keras publishes.",
}


def check_starts(config):
    """Refuses files of weights that are not there, before anything is made."""
    for name, variant in config.variants.items():
        if configuration.parent(config, name) is None:
            check_start(variant.start, f"variants.{name}.start")


def check_necks(config, folder):
    """Refuses necks that nothing could be trained after, before anything is trained."""
    for protocol in configuration.protocols(config):
        for name in configuration.axes(config, protocol)[0]:
            neck.check(grid.section(config, protocol, name), protocol, weights(config, name, folder))


def check_images(config, images):
    """Refuses images that a variant cannot be pre-trained on, before anything is trained."""
    for name, variant in config.variants.items():
        if variant.supervised:
            supervised.labeled_images(images, _classes(variant))
        elif variant.pretrain is not None:
            pretraining.check(section(config, name), images)


def places(config, folder):
    """Where each variant's pre-training stands.

    The one from a random start by the section `pretrain` as it is lies in the run's folder, every other in the folder
    of its variant. Variants that begin alike and learn alike share one.

    Args:
        config: `Config`.
        folder: `pathlib.Path` of the run.

    Returns:
        Dict from variant to `pathlib.Path`, or to None where the variant has no pre-training.
    """
    return {name: place for name, (_, place) in _roads(config, folder).items()}


def _roads(config, folder):
    """For each variant what its first training begins with, and where its pre-training stands or None."""
    found, known = {}, [(("random", False, config.pretrain.model_dump()), folder)]
    for name, variant in config.variants.items():
        parent = configuration.parent(config, name)
        begin = variant.start if parent is None else _learned(*found[parent])
        if variant.pretrain is None:
            found[name] = begin, None
            continue
        settings = (begin, variant.supervised, section(config, name).model_dump())
        same = [place for other, place in known if other == settings]
        found[name] = begin, same[0] if same else folder / "variants" / configuration.slug(name)
        if not same:
            known.append((settings, found[name][1]))
    return found


def _learned(begin, place):
    return begin if place is None else str(place / "backbone.keras")


def section(config, name):
    """The section `pretrain` as a variant changes it."""
    return changed_section(config.pretrain, config.variants[name].pretrain, f"variants.{name}.pretrain")


def pretrain_variants(config, images, folder, limit):
    """Pre-trains what the variants ask for; what stands is left alone.

    Args:
        config: `Config`.
        images: list of folders and files.
        folder: `pathlib.Path` of the run.
        limit: `TimeLimit`.

    Returns:
        Dict from variant to the figures of its pre-training, or to None.

    Raises:
        OutOfTimeError: if the limit is over and something is left to do.
    """
    found = {}
    for name, (begin, place) in _roads(config, folder).items():
        found[name] = None
        if place is None:
            continue
        if not (place / "pretrain.json").exists():
            limit.check()
            log.info("the pre-training of %s", name)
        variant, plan = config.variants[name], config.model_copy(update={"pretrain": section(config, name)})
        with grid.of_variant(name):
            if variant.supervised:
                found[name] = supervised.pretrain_by_labels(plan, images, place, begin, _classes(variant), limit)
            else:
                found[name] = pretraining.pretrain(plan, images, place, begin, limit)
    return found


def _classes(variant):
    return None if variant.supervised is True else variant.supervised


def weights(config, name, folder):
    """What a variant's backbone begins with when labels come, as `start.start` takes it."""
    return _learned(*_roads(config, folder)[name])


def measured_anew(config, name):
    """Whether the batch normalisation of a variant's frozen features is measured anew. That of a random start stays.

    Random weights make features that fade from layer to layer: beside the variances they were built with there is
    nothing left of them, and with their own they box worse.
    """
    asked = grid.section(config, "frozen", name).batch_norm == "re-estimated"
    return asked and weights(config, name, pathlib.Path()) != "random"


def seen(start):
    """What a network has seen that begins with these weights, in words."""
    return _SEEN.get(start, f"whatever {start} was made from; kerassl cannot tell.")


def seen_by(config, name, figures, generated):
    """What a variant has seen before it is trained on labels of objects, in words.

    Args:
        config: `Config`.
        name: str, the variant's.
        figures: dict of its pre-training, or None.
        generated: bool. Whether the images are toy scenes.

    Returns:
        str.
    """
    variant = config.variants[name]
    known = (
        seen(variant.start)
        if configuration.parent(config, name) is None
        else f"what {variant.start} saw before its labels."
    )
    measured = [
        protocol for protocol in configuration.protocols(config) if name in configuration.axes(config, protocol)[0]
    ]
    after = neck.seen({protocol: grid.section(config, protocol, name) for protocol in measured})
    if "frozen" in measured and measured_anew(config, name):
        after += " For frozen features its batch normalisation was measured on images without labels."
    if figures is None:
        return known + after
    kind = "generated images" if generated else "photographs"
    if variant.supervised:
        how = f"with the labels of {len(figures['classes'])} classes, by their folders or names"
        times = figures["epochs"]
    else:
        how, times = "without labels", section(config, name).epochs
    before = "weights random before that." if variant.start == "random" else f"before that {known}"
    return f"about {figures['images']} {kind} {how}, {times} times each; {before}{after}"
