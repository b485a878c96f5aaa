"""Metrics of detections and single-object predictions by named protocols, in NumPy."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "coco": ["coco_ap"],
        "coco_results": ["load_coco_results"],
        "error_kinds": ["error_kinds"],
        "evaluate": ["answers_for_largest", "evaluate_detections"],
        "localization": ["localization"],
        "prediction_files": ["Predictions", "load_predictions", "save_predictions"],
        "topk": ["label_ranks", "topk"],
        "voc": ["voc_ap"],
        "voc_results": ["load_voc_results", "save_voc_results"],
    },
    modules=["plots"],
    light=True,
)
