"""Explanations: where a network looks, as heatmaps and as pictures."""

from kerassl.explain.gradcam import GradCAM
from kerassl.explain.pictures import overlay, side_by_side

__all__ = ["GradCAM", "overlay", "side_by_side"]
