"""Layer-CAM of classifiers, localizers and detectors."""

from kerassl.explain.cam.cam import CAM, by_gradient


class LayerCAM(CAM):
    """Compute Layer-CAM: each location weighted by its own positive gradient, which is sharp at levels P3 and P4.

    Args, call arguments, Returns, Raises: those of `GradCAM`.

    Example:
        >>> heatmaps = kerassl.explain.LayerCAM(detector, layer="P3")(images, class_id=7)

    Reference:
        Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", 2021.
    """

    def _maps(self, images, score):
        from tf_keras_vis.layercam import Layercam

        # Its defaults keep what is positive, of the gradient and of the sum.
        return by_gradient(Layercam, self._scorer, self.layer, images, score)
