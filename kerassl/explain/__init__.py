"""Explanations: where a network looks, as heatmaps, as pictures and as numbers."""

from kerassl.explain.audit import audit
from kerassl.explain.audit_result import Audit
from kerassl.explain.baselines import baselines
from kerassl.explain.gradcam import GradCAM
from kerassl.explain.gradcam_plus_plus import GradCAMPlusPlus
from kerassl.explain.insertion_deletion import insertion_deletion
from kerassl.explain.layercam import LayerCAM
from kerassl.explain.paired_bootstrap import paired_bootstrap
from kerassl.explain.pictures import overlay, side_by_side
from kerassl.explain.randomise import randomisation_check
from kerassl.explain.recurring_regions import RecurringRegion, recurring_regions
from kerassl.explain.scorecam import ScoreCAM
from kerassl.explain.similarity_map import SimilarityMap
from kerassl.explain.whole_object import WholeObject, whole_object

__all__ = [
    "Audit",
    "GradCAM",
    "GradCAMPlusPlus",
    "LayerCAM",
    "RecurringRegion",
    "ScoreCAM",
    "SimilarityMap",
    "WholeObject",
    "audit",
    "baselines",
    "insertion_deletion",
    "overlay",
    "paired_bootstrap",
    "randomisation_check",
    "recurring_regions",
    "side_by_side",
    "whole_object",
]
