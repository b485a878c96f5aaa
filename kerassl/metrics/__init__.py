"""Metrics: detections and single-object predictions scored by named protocols, their errors sorted, all in NumPy."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "coco": ["coco_ap"],
        "coco_results": ["load_coco_results"],
        "error_kinds": ["error_kinds"],
        "evaluate": ["answers_for_largest", "evaluate_detections"],
        "iou": ["box_iou"],
        "localization": ["localization"],
        "prediction_files": ["Predictions", "load_predictions", "save_predictions"],
        "topk": ["label_ranks", "topk"],
        "voc": ["voc_ap"],
        "voc_results": ["load_voc_results", "save_voc_results"],
    },
    modules=["plots"],
    light=True,
)
