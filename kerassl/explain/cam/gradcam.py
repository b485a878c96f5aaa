"""Class activation maps from gradients, of classifiers, localizers and detectors."""

import importlib

from kerassl.explain.cam.cam import CAM


class GradCAM(CAM):
    """Compute Grad-CAM: maps of the image regions that raise the score of a class, by tf-keras-vis.

    The channels of a feature map are summed with the mean gradient of the class score as weights; what is negative
    counts as 0. The map is resized bilinearly with the centers of its locations on the centers of the image regions
    that they cover, and divided by its highest value.

    The score of a class is its logit. A detector has one for each anchor (YOLOV8's anchors are locations). Without
    `boxes` the highest counts, so that the heatmap explains the detector's best find of the class, not the many
    anchors that see background. With `boxes` it is the logit of the anchor whose decoded box overlaps the given one
    most: for a box that the detector found, the anchor that found it.

    Args:
        model: `detectors.Localizer`, a detector of `detectors`, or a flat functional `keras.Model` from images
            `[B, H, W, 3]` to logits `[B, C]`. Give logits: a softmax that is sure has no gradient left.
        layer: str or None. The feature map: `"P3"`, `"P4"`, `"P5"` of the backbone or the name of a layer. None takes
            the last feature map of the backbone that the model uses (P5). Finer levels show more detail and are
            noisier. Compare models at one stride.

    Call arguments:
        images: `[B, H, W, 3]` or `[H, W, 3]` in [0, 255], letterboxed as the model was trained. uint8 or float.
        class_id: int, `[B]` array of int, or None for each image's (with `boxes`: each box's) best-scoring class.
        boxes: None, or `[B, 4]` xyxy in pixels of `images`: one box an image, for a detector. For several boxes of an
            image give it several times.
        batch_size: int, the images that are explained at once.
        verbose: 0 or 1. Whether to show a progress bar.

    Returns:
        `[B, H, W]` float32 array in [0, 1] (B is 1 for a single image). All 0 without evidence for the class.

    Raises:
        UserError: if the model has no class scores, the layer is not in its graph or does not lead to the scores, the
            images or boxes do not fit, or `class_id` is no class.

    Example:
        >>> heatmaps = kerassl.explain.GradCAM(detector)(image, class_id=7)
        >>> heatmaps.shape
        (1, 256, 256)

    Reference:
        Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2017.
    """

    _kind = "gradcam", "Gradcam"  # of tf-keras-vis

    def _maps(self, images, score):
        module, name = self._kind
        kind = getattr(importlib.import_module(f"tf_keras_vis.{module}"), name)  # slow to import, and scipy with it
        # Its own resizing puts the centers of the outer locations onto the image's border, half a location too far out.
        return kind(self._scorer)(
            score,
            images,
            penultimate_layer=self.layer,
            seek_penultimate_conv_layer=False,
            expand_cam=False,
            normalize_cam=False,
        )


class GradCAMPlusPlus(GradCAM):
    """Compute Grad-CAM++: as `GradCAM`, with weights by locations that raise the score, not by the mean over all.

    Shows several things of one class where Grad-CAM shows the strongest. The exponential of the score is what is
    explained, as in the paper.

    Args, call arguments, Returns, Raises: those of `GradCAM`.

    Example:
        >>> heatmaps = kerassl.explain.GradCAMPlusPlus(localizer, layer="P4")(images, class_id=7)

    Reference:
        Chattopadhay et al., "Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks", 2018.
    """

    _kind = "gradcam_plus_plus", "GradcamPlusPlus"


class LayerCAM(GradCAM):
    """Compute Layer-CAM: each location weighted by its own positive gradient, which is sharp at levels P3 and P4.

    Args, call arguments, Returns, Raises: those of `GradCAM`.

    Example:
        >>> heatmaps = kerassl.explain.LayerCAM(detector, layer="P3")(images, class_id=7)

    Reference:
        Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", 2021.
    """

    _kind = "layercam", "Layercam"  # whose defaults keep positive values, of the gradient and of the sum
