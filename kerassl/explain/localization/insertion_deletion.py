"""Insertion and deletion of pixels by falling saliency."""

from __future__ import annotations

import numpy as np
import tqdm

from kerassl._compat import tf
from kerassl._errors import UserError
from kerassl._lazy import keras
from kerassl._numbers import check
from kerassl.explain.cam.cam import class_ids, class_output, class_probabilities, image_batch


def insertion_deletion(
    model: keras.Model,
    images: np.ndarray,
    heatmaps: np.ndarray,
    class_id: int | np.ndarray,
    *,
    steps: int = 20,
    batch_size: int = 32,
    verbose: int = 0,
) -> dict[str, np.ndarray]:
    """Compute how fast the class probability rises as salient pixels are inserted, and falls as they are deleted.

    Insertion starts from the image blurred to 16 x 16 and puts the image's pixels back, deletion replaces them
    by the image's mean color; both by falling saliency, `steps` equal shares of the pixels one after the other. A
    figure is the mean probability over the steps, beginning and end included: a heatmap that the model agrees with
    has a high insertion and a low deletion.

    The probability is the softmax of the class; a detector's is the highest score of the class.

    Args:
        model: what `GradCAM` takes.
        images: `[N, H, W, 3]` array in [0, 255].
        heatmaps: `[N, H, W]` array. Of equal values the upper left pixels come first.
        class_id: int or `[N]` array of int.
        steps: int.
        batch_size: int, the images that go through the model at once.
        verbose: 0 or 1. Whether to show a progress bar.

    Returns:
        Dict `{"insertion": [N], "deletion": [N]}` of float64 arrays in [0, 1].

    Raises:
        UserError: if images, heatmaps or classes do not fit.

    Example:
        >>> kerassl.explain.insertion_deletion(localizer, images, heatmaps, classes)["deletion"].mean()
        0.18

    Reference:
        Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models", 2018.
    """
    check(steps=steps, batch_size=batch_size)
    images = image_batch(images, model)
    heatmaps = np.asarray(heatmaps)
    if heatmaps.shape != images.shape[:3]:
        raise UserError(f"heatmaps are {heatmaps.shape}; the images ask for {images.shape[:3]}")
    if class_id is None:
        raise UserError("class_id is None; say whose probability, a whole number or one for each image")
    classes = class_ids(class_id, len(images), class_output(model).shape[-1])
    scorer = class_probabilities(model)
    found: dict[str, list] = {"insertion": [], "deletion": []}
    for row in tqdm.trange(len(images), desc="insertion, deletion", unit="image", disable=not verbose):
        stages = _stages(images[row], heatmaps[row], steps)  # [2, steps + 1, H, W, 3]
        flat = stages.reshape([-1, *images.shape[1:]])
        parts = [scorer(flat[at : at + batch_size])[:, classes[row]].numpy() for at in range(0, len(flat), batch_size)]
        means = np.concatenate(parts).astype(float).reshape(2, -1).mean(axis=1)
        for name, mean in zip(found, means):
            found[name].append(mean)
    return {name: np.array(values) for name, values in found.items()}


def _stages(image, heatmap, steps):
    """Return the image while its pixels are inserted, and while they are deleted: `[2, steps + 1, H, W, 3]`."""
    order = np.argsort(-heatmap, axis=None, kind="stable")
    rank = np.empty(order.size, int)
    rank[order] = np.arange(order.size)
    within = rank.reshape(heatmap.shape) < np.linspace(0, order.size, steps + 1)[:, None, None]  # [steps + 1, H, W]
    blurred = tf.image.resize(tf.image.resize(image, [16, 16], method="area"), image.shape[:2]).numpy()
    mean = image.mean(axis=(0, 1))
    return np.stack([np.where(within[..., None], image, blurred), np.where(within[..., None], mean, image)])
