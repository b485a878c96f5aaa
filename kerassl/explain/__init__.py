"""Explanations: where a network looks, as heatmaps, as pictures and as numbers."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "alignment_uniformity": ["alignment", "uniformity"],
        "arms": ["ArmsTable", "compare_arms"],
        "audit": ["audit"],
        "audit_result": ["Audit"],
        "baselines": ["baselines"],
        "cka": ["cka_matrix", "linear_cka"],
        "geometry": ["geometry"],
        "gradcam": ["GradCAM"],
        "gradcam_plus_plus": ["GradCAMPlusPlus"],
        "insertion_deletion": ["insertion_deletion"],
        "intrinsic_dimension": ["intrinsic_dimension"],
        "layercam": ["LayerCAM"],
        "linear_readout": ["linear_readout"],
        "neighbour_overlap": ["neighbour_overlap"],
        "paired_bootstrap": ["paired_bootstrap"],
        "persistent_homology": ["persistent_homology"],
        "pictures": ["overlay", "side_by_side"],
        "questions": ["Questions", "questions"],
        "randomise": ["randomisation_check"],
        "recurring_regions": ["RecurringRegion", "recurring_regions"],
        "scorecam": ["ScoreCAM"],
        "separability": ["knn_accuracy", "scatter_ratio"],
        "similarity_map": ["SimilarityMap"],
        "spectrum": ["covariance_spectrum", "effective_rank", "power_law_exponent"],
        "view_invariance": ["view_invariance"],
        "whole_object": ["WholeObject", "whole_object"],
    },
)
