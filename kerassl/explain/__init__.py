"""Explanations: where a network looks, as heatmaps, as pictures and as numbers."""

from kerassl.explain.alignment_uniformity import alignment, uniformity
from kerassl.explain.arms import ArmsTable, compare_arms
from kerassl.explain.audit import audit
from kerassl.explain.audit_result import Audit
from kerassl.explain.baselines import baselines
from kerassl.explain.cka import cka_matrix, linear_cka
from kerassl.explain.geometry import geometry
from kerassl.explain.gradcam import GradCAM
from kerassl.explain.gradcam_plus_plus import GradCAMPlusPlus
from kerassl.explain.insertion_deletion import insertion_deletion
from kerassl.explain.intrinsic_dimension import intrinsic_dimension
from kerassl.explain.layercam import LayerCAM
from kerassl.explain.linear_readout import linear_readout
from kerassl.explain.neighbour_overlap import neighbour_overlap
from kerassl.explain.paired_bootstrap import paired_bootstrap
from kerassl.explain.persistent_homology import persistent_homology
from kerassl.explain.pictures import overlay, side_by_side
from kerassl.explain.questions import Questions, questions
from kerassl.explain.randomise import randomisation_check
from kerassl.explain.recurring_regions import RecurringRegion, recurring_regions
from kerassl.explain.scorecam import ScoreCAM
from kerassl.explain.separability import knn_accuracy, scatter_ratio
from kerassl.explain.similarity_map import SimilarityMap
from kerassl.explain.spectrum import covariance_spectrum, effective_rank, power_law_exponent
from kerassl.explain.view_invariance import view_invariance
from kerassl.explain.whole_object import WholeObject, whole_object

__all__ = [
    "ArmsTable",
    "Audit",
    "GradCAM",
    "GradCAMPlusPlus",
    "LayerCAM",
    "Questions",
    "RecurringRegion",
    "ScoreCAM",
    "SimilarityMap",
    "WholeObject",
    "alignment",
    "audit",
    "baselines",
    "cka_matrix",
    "compare_arms",
    "covariance_spectrum",
    "effective_rank",
    "geometry",
    "insertion_deletion",
    "intrinsic_dimension",
    "knn_accuracy",
    "linear_cka",
    "linear_readout",
    "neighbour_overlap",
    "overlay",
    "paired_bootstrap",
    "persistent_homology",
    "power_law_exponent",
    "questions",
    "randomisation_check",
    "recurring_regions",
    "scatter_ratio",
    "side_by_side",
    "uniformity",
    "view_invariance",
    "whole_object",
]
