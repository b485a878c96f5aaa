"""Weights whose frozen features are measured: those of a variant, with batch normalization re-estimated if asked."""

import logging

import numpy as np

from kerassl import backbones
from kerassl.backbones.batch_norm import batch_norms
from kerassl.comparison import variants
from kerassl.datasets.pipeline.letterboxed import letterboxed_batches
from kerassl.runs import config as configuration
from kerassl.runs.pretrain import is_whole
from kerassl.runs.sources import without_labels
from kerassl.runs.start import start

log = logging.getLogger("kerassl")

_IMAGES, _BATCH = 2000, 32


def feature_weights(config, name, folder, data):
    """What a variant's frozen features are computed by.

    Pre-training leaves the moving statistics of small, cropped and recolored views. `batch_norm` of the section
    `frozen` or of the variant says whether they stay, or are measured anew on images without labels as the features see
    them: whole, at the size of that section. This is done once for all variants with the same weights.

    A variance never falls below the one that training left. Whole images alone vary less in some channels, by up to
    ten times; the few that do not would come out a hundred times as large as others, and ruin what learns of them.

    Args:
        config: `Config`.
        name: str, the variant's.
        folder: `pathlib.Path` of the run.
        data: `Sources`.

    Returns:
        Weights, as `start.start` takes them.
    """
    weights, size = variants.weights(config, name, folder), config.frozen.image_size
    if not variants.measured_anew(config, name):
        return weights
    first = next(variant for variant in config.variants if variants.weights(config, variant, folder) == weights)
    file = folder / "variants" / configuration.slug(first) / "frozen_backbone.keras"
    if not is_whole(file):
        backbone, paths = start(config, weights), without_labels(data, _IMAGES, config.seed)
        log.info("measuring the batch normalisation of %s on %d images at %d px", first, len(paths), size)
        batches = (images for _, images, _, _ in letterboxed_batches(paths, size, _BATCH))
        layers = batch_norms(backbone)
        before = [layer.moving_variance.numpy() for layer in layers]
        backbones.reestimate_batch_norm(backbone, batches)
        for layer, least in zip(layers, before):
            layer.moving_variance.assign(np.maximum(layer.moving_variance.numpy(), least))
        backbones.save(backbone, file)
    return str(file)
