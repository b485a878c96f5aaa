"""Maps of what makes two embeddings similar, without head or label."""

from __future__ import annotations

import numpy as np
import tqdm

from kerassl._compat import keras, tf
from kerassl._errors import UserError
from kerassl.detectors.pseudo_boxes import heatmaps
from kerassl.explain.cam.cam import image_batch, layer_name


class SimilarityMap:
    """Map the locations of an image that make its embedding similar to another, for a backbone without a head.

    An embedding is the mean of a feature map over its locations, so the cosine similarity of two embeddings is the
    mean of what the locations of one image contribute to it. The map shows that contribution; negative values are 0.
    Nothing is trained, and no label is needed: it can be drawn right after pre-training.

    Args:
        model: backbone, or a model that has one: `SimCLR`, `detectors.Localizer`, a detector.
        layer: str or None. The feature map, as in `GradCAM`; None is P5.
        center: `[C]` array or None. The mean embedding of many images (`mean_embedding`), taken off both embeddings
            and all locations, since what all images share hides what distinguishes them.

    Call arguments:
        images: `[B, H, W, 3]` or `[H, W, 3]` in [0, 255].
        reference: None, images of the same form, or `[B, C]` embeddings. What each image is compared with; None is
            its own mirror image.
        batch_size, verbose: those of `GradCAM`.

    Returns:
        `[B, H, W]` float32 array in [0, 1]. All 0 where no location contributes.

    Raises:
        UserError: if there is no such layer, or images, reference or center do not fit.

    Example:
        >>> look = kerassl.explain.SimilarityMap(backbone)
        >>> look = kerassl.explain.SimilarityMap(backbone, center=look.mean_embedding(images))
        >>> heatmaps = look(images)

    Reference:
        Stylianou et al., "Visualizing Deep Similarity Networks", 2019.
    """

    def __init__(self, model: keras.Model, *, layer: str | None = None, center: np.ndarray | None = None) -> None:
        self.model = model
        backbone = getattr(model, "backbone", model)
        self.layer = layer_name(model, backbone, layer)
        self._features = keras.Model(backbone.inputs[0], backbone.get_layer(self.layer).output)
        width = self._features.output.shape[-1]
        center = np.zeros(width, np.float32) if center is None else np.asarray(center, np.float32)
        if center.shape != (width,):
            raise UserError(f"the center is {center.shape}; {self.layer!r} has {width} channels, so give [{width}]")
        self.center = center

    def __call__(
        self, images: np.ndarray, reference: np.ndarray | None = None, *, batch_size: int = 16, verbose: int = 0
    ) -> np.ndarray:
        images = image_batch(images, self.model)
        parts = self.contributions(images, reference, batch_size=batch_size, verbose=verbose)
        return heatmaps.enlarge(tf.nn.relu(parts), images.shape[1:3])

    def contributions(
        self, images: np.ndarray, reference: np.ndarray | None = None, *, batch_size: int = 16, verbose: int = 0
    ) -> np.ndarray:
        """Return the contribution of each location; their mean is the cosine similarity of the embeddings.

        Args:
            images, reference, batch_size, verbose: those of the call.

        Returns:
            `[B, h, w]` float32 array.
        """
        images = image_batch(images, self.model)
        reference = self._reference(images, reference)
        parts = []
        with tqdm.tqdm(total=len(images), desc="heatmaps", unit="image", disable=not verbose) as bar:
            for start in range(0, len(images), batch_size):
                rows = slice(start, start + batch_size)
                maps = self._maps(images[rows]) - self.center  # [b, h, w, C]
                other = reference[rows]
                if other.ndim == 4:
                    other = heatmaps.embedding(self._maps(other))
                parts.append(heatmaps.contributions(maps, other - self.center).numpy())
                bar.update(len(parts[-1]))
        return np.concatenate(parts)

    def mean_embedding(self, images: np.ndarray, *, batch_size: int = 16) -> np.ndarray:
        """Return the mean embedding `[C]` of images `[B, H, W, 3]`, for `center`."""
        images = image_batch(images, self.model)
        parts = [
            np.mean(self._maps(images[start : start + batch_size]), axis=(1, 2))
            for start in range(0, len(images), batch_size)
        ]
        return np.concatenate(parts).mean(axis=0)

    def _maps(self, images):
        return tf.cast(self._features(images, training=False), tf.float32)

    def _reference(self, images, reference):
        """Images or embeddings, one for each image."""
        if reference is None:
            return images[:, :, ::-1]
        reference = np.asarray(reference, np.float32)
        width = len(self.center)
        if reference.shape in ((width,), (len(images), width)):
            return np.broadcast_to(reference, [len(images), width])
        reference = image_batch(reference, self.model)
        if len(reference) not in (1, len(images)):
            raise UserError(
                f"there are {len(reference)} references for {len(images)} images; give one, or one for each"
            )
        return np.broadcast_to(reference, [len(images), *reference.shape[1:]])
