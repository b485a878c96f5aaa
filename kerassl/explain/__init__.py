"""Explanations: class activation maps, how well they localize objects, and audits for shortcuts."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.explain.audit.audit import audit_model as audit_model
    from kerassl.explain.audit.audit_result import Audit as Audit
    from kerassl.explain.audit.recurring_regions import RecurringRegion as RecurringRegion
    from kerassl.explain.audit.recurring_regions import recurring_regions as recurring_regions
    from kerassl.explain.cam.gradcam import GradCAM as GradCAM
    from kerassl.explain.cam.gradcam import GradCAMPlusPlus as GradCAMPlusPlus
    from kerassl.explain.cam.gradcam import LayerCAM as LayerCAM
    from kerassl.explain.cam.overlay import overlay as overlay
    from kerassl.explain.cam.overlay import side_by_side as side_by_side
    from kerassl.explain.cam.scorecam import ScoreCAM as ScoreCAM
    from kerassl.explain.cam.similarity_map import SimilarityMap as SimilarityMap
    from kerassl.explain.localization.baseline_maps import baseline_maps as baseline_maps
    from kerassl.explain.localization.compare_models import ModelComparison as ModelComparison
    from kerassl.explain.localization.compare_models import compare_models as compare_models
    from kerassl.explain.localization.insertion_deletion import insertion_deletion as insertion_deletion
    from kerassl.explain.localization.saliency_metrics import SaliencyMetrics as SaliencyMetrics
    from kerassl.explain.localization.saliency_metrics import saliency_metrics as saliency_metrics
    from kerassl.explain.localization.sanity_check import sanity_check as sanity_check
    from kerassl.explain.localization.targets import LocalizationTargets as LocalizationTargets
    from kerassl.explain.localization.targets import localization_targets as localization_targets

__all__ = lazy_package(__name__)
