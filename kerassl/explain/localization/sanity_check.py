"""The sanity check of saliency maps by randomized weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kerassl._compat import tf
from kerassl._errors import UserError
from kerassl._lazy import keras
from kerassl._numbers import check


def sanity_check(
    model: keras.Model, heatmaps_of: Callable[[], np.ndarray], *, steps: int = 4, seed: int = 0
) -> list[tuple[str, float]]:
    """Compute how similar maps stay when weights are randomized layer by layer, beginning at the outputs.

    The values within each weight are shuffled, so that their size and spread stay as they are. A method whose
    heatmaps stay similar (SSIM near 1) shows edges of the image, not the learned features. The weights are restored
    at the end.

    Args:
        model: `keras.Model`.
        heatmaps_of: function without arguments that gives heatmaps `[N, H, W]` in [0, 1] of the model as it is;
            name the class in it, or the best class will change with the weights.
        steps: int. Into how many shares the layers with weights are cut.
        seed: int.

    Returns:
        List of `(layer, ssim)`: the mean structural similarity to the heatmaps before, once all layers from the
        outputs down to this one are shuffled.

    Raises:
        UserError: if `steps` is not between 1 and the number of layers with weights, or the heatmaps are smaller than
            the 11 pixels of the SSIM's window.

    Example:
        >>> cam = kerassl.explain.GradCAM(localizer)
        >>> kerassl.explain.sanity_check(localizer, lambda: cam(images, classes))[-1]
        ('stem_conv', 0.08)

    Reference:
        Adebayo et al., "Sanity Checks for Saliency Maps", 2018.
    """
    layers = [layer for layer in reversed(model.layers) if layer.weights]
    if not 1 <= steps <= len(layers):
        raise UserError(f"steps is {steps}; {model.name!r} has {len(layers)} layers with weights, give 1 to that many")
    before = np.asarray(heatmaps_of(), np.float32)
    if min(before.shape[1:]) < 11:
        raise UserError(f"heatmaps are {before.shape}; the SSIM's window asks for 11 pixels a side or more")
    check(seed=seed)
    kept, draw = model.get_weights(), np.random.default_rng(seed)
    found = []
    try:
        for share in np.array_split(np.arange(len(layers)), steps):
            for place in share:
                layer = layers[place]
                layer.set_weights(
                    [draw.permuted(weight.ravel()).reshape(weight.shape) for weight in layer.get_weights()]
                )
            now = np.asarray(heatmaps_of(), np.float32)
            similarity = tf.image.ssim(before[..., None], now[..., None], max_val=1.0)
            found.append((layers[share[-1]].name, float(tf.reduce_mean(similarity))))
    finally:
        model.set_weights(kept)
    return found
