"""Explanations: where a network looks, as heatmaps, as pictures and as numbers."""

from kerassl.explain.arms import ArmsTable, compare_arms
from kerassl.explain.baselines import baselines
from kerassl.explain.gradcam import GradCAM
from kerassl.explain.gradcam_plus_plus import GradCAMPlusPlus
from kerassl.explain.insertion_deletion import insertion_deletion
from kerassl.explain.layercam import LayerCAM
from kerassl.explain.paired_bootstrap import paired_bootstrap
from kerassl.explain.pictures import overlay, side_by_side
from kerassl.explain.questions import Questions, questions
from kerassl.explain.randomise import randomisation_check
from kerassl.explain.scorecam import ScoreCAM
from kerassl.explain.similarity_map import SimilarityMap
from kerassl.explain.whole_object import WholeObject, whole_object

__all__ = [
    "ArmsTable",
    "GradCAM",
    "GradCAMPlusPlus",
    "LayerCAM",
    "Questions",
    "ScoreCAM",
    "SimilarityMap",
    "WholeObject",
    "baselines",
    "compare_arms",
    "insertion_deletion",
    "overlay",
    "paired_bootstrap",
    "questions",
    "randomisation_check",
    "side_by_side",
    "whole_object",
]
