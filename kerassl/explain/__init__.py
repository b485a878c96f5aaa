"""Explanations: class activation maps, how well they localize objects, and audits for shortcuts."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "audit.audit": ["audit"],
        "audit.audit_result": ["Audit"],
        "audit.recurring_regions": ["RecurringRegion", "recurring_regions"],
        "cam.gradcam": ["GradCAM"],
        "cam.gradcam_plus_plus": ["GradCAMPlusPlus"],
        "cam.layercam": ["LayerCAM"],
        "cam.overlay": ["overlay", "side_by_side"],
        "cam.scorecam": ["ScoreCAM"],
        "cam.similarity_map": ["SimilarityMap"],
        "localization.baselines": ["baselines"],
        "localization.compare_models": ["ArmsTable", "compare_arms"],
        "localization.insertion_deletion": ["insertion_deletion"],
        "localization.paired_bootstrap": ["paired_bootstrap"],
        "localization.saliency_metrics": ["WholeObject", "whole_object"],
        "localization.sanity_check": ["randomisation_check"],
        "localization.targets": ["Questions", "questions"],
    },
)
