"""Metrics: detections and single-object predictions scored by named protocols, their errors sorted, all in NumPy."""

from kerassl.metrics import plots
from kerassl.metrics.coco import coco_ap
from kerassl.metrics.coco_results import load_coco_results
from kerassl.metrics.error_kinds import error_kinds
from kerassl.metrics.evaluate import answers_for_largest, evaluate_detections
from kerassl.metrics.iou import box_iou
from kerassl.metrics.localization import localization
from kerassl.metrics.prediction_files import load_predictions, save_predictions
from kerassl.metrics.topk import label_ranks, topk
from kerassl.metrics.voc import voc_ap
from kerassl.metrics.voc_results import load_voc_results, save_voc_results

__all__ = [
    "answers_for_largest",
    "box_iou",
    "coco_ap",
    "error_kinds",
    "evaluate_detections",
    "label_ranks",
    "load_coco_results",
    "load_predictions",
    "load_voc_results",
    "localization",
    "plots",
    "save_predictions",
    "save_voc_results",
    "topk",
    "voc_ap",
]
