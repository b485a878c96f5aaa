"""Score-CAM of classifiers and localizers."""

from __future__ import annotations

import numpy as np

from kerassl._errors import UserError
from kerassl._lazy import keras
from kerassl.explain.cam.cam import CAM


class ScoreCAM(CAM):
    """Compute Score-CAM, without gradients: each channel masks the image, and weighs as much as the class then
    scores (its share after softmax).

    As many forward passes an image as the feature map has channels: slow, 1,280 at P5 of an EfficientNetB1.

    Args:
        model, layer: those of `GradCAM`; no detector, whose anchors have no softmax over classes.
        channels: int or None. Use only this many channels, those that vary most ("Faster Score-CAM").

    Call arguments, Returns, Raises: those of `GradCAM`, without `boxes`.

    Example:
        >>> heatmaps = kerassl.explain.ScoreCAM(localizer, channels=64)(images, class_id=7, verbose=1)

    Reference:
        Wang et al., "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks", 2020.
    """

    def __init__(self, model: keras.Model, *, layer: str | None = None, channels: int | None = None) -> None:
        super().__init__(model, layer=layer)
        if len(self._scorer.output.shape) != 2:
            raise UserError(f"{model.name!r} is a detector; Score-CAM explains classifiers and localizers")
        width = self._scorer.get_layer(self.layer).output.shape[-1]
        if channels is not None and not 1 <= channels <= width:
            raise UserError(f"channels is {channels}; {self.layer!r} has 1 to {width}")
        self._channels = channels
        # Called with a list of one and without a word about its bar, which it would draw for each image.
        predict = self._scorer.predict
        self._scorer.predict = lambda images, batch_size: predict(images[0], batch_size=batch_size, verbose=0)

    def _maps(self, images, score):
        from tf_keras_vis.scorecam import Scorecam

        maps = []
        for row, image in enumerate(images):  # as many copies of each as there are channels
            one = Scorecam(self._scorer)(
                lambda output, row=row: score.of(row, output),
                image[None],
                penultimate_layer=self.layer,
                seek_penultimate_conv_layer=False,
                max_N=self._channels,
                expand_cam=False,
                normalize_cam=False,
            )
            maps.append(one[0])
        return np.stack(maps)
