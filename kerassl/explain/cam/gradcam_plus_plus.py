"""Grad-CAM++ of classifiers, localizers and detectors."""

from kerassl.explain.cam.cam import CAM, by_gradient


class GradCAMPlusPlus(CAM):
    """Compute Grad-CAM++: as `GradCAM`, with weights by locations that raise the score, not by the mean over all.

    Shows several things of one class where Grad-CAM shows the strongest. The exponential of the score is what is
    explained, as in the paper.

    Args, call arguments, Returns, Raises: those of `GradCAM`.

    Example:
        >>> heatmaps = kerassl.explain.GradCAMPlusPlus(localizer, layer="P4")(images, class_id=7)

    Reference:
        Chattopadhay et al., "Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks", 2018.
    """

    def _maps(self, images, score):
        from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus

        return by_gradient(GradcamPlusPlus, self._scorer, self.layer, images, score)
