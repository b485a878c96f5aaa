"""Metrics: detections and single-object predictions scored by named protocols, in NumPy."""

from kerassl.metrics.coco import coco_ap
from kerassl.metrics.error_kinds import error_kinds
from kerassl.metrics.evaluate import evaluate_detections
from kerassl.metrics.iou import box_iou
from kerassl.metrics.localization import localization
from kerassl.metrics.prediction_files import load_predictions, save_predictions
from kerassl.metrics.topk import topk
from kerassl.metrics.voc import voc_ap

__all__ = [
    "box_iou",
    "coco_ap",
    "error_kinds",
    "evaluate_detections",
    "load_predictions",
    "localization",
    "save_predictions",
    "topk",
    "voc_ap",
]
