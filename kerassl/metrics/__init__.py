"""Metrics of detections and single-object predictions by named protocols, in NumPy."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.metrics import plots as plots
    from kerassl.metrics.coco import CocoMatches as CocoMatches
    from kerassl.metrics.coco import coco_ap as coco_ap
    from kerassl.metrics.coco import coco_ap_of_images as coco_ap_of_images
    from kerassl.metrics.coco_results import load_coco_results as load_coco_results
    from kerassl.metrics.error_kinds import error_kinds as error_kinds
    from kerassl.metrics.evaluate import evaluate_detections as evaluate_detections
    from kerassl.metrics.evaluate import evaluate_localization as evaluate_localization
    from kerassl.metrics.localization import localization as localization
    from kerassl.metrics.prediction_files import load_predictions as load_predictions
    from kerassl.metrics.prediction_files import save_predictions as save_predictions
    from kerassl.metrics.topk import label_ranks as label_ranks
    from kerassl.metrics.topk import topk as topk
    from kerassl.metrics.voc import voc_ap as voc_ap
    from kerassl.metrics.voc_results import load_voc_results as load_voc_results
    from kerassl.metrics.voc_results import save_voc_results as save_voc_results

__all__ = lazy_package(__name__)
