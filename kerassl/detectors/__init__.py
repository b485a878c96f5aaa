"""Object detectors over a kerassl backbone: training, decoding, prediction and drawing."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "decoding": ["decode"],
        "detector": ["Detector"],
        "draw": ["draw"],
        "neck_weights": ["load_neck", "save_neck"],
        "predict": ["predict"],
        "pretrain_localizer": ["pretrain_localizer"],
        "pretrain_neck": ["pretrain_neck"],
        "pseudo_boxes": ["pseudo_records"],
        "retinanet": ["RetinaNet", "retinanet"],
        "weights": ["load_weights", "save_weights"],
        "yolov8": ["YOLOV8", "yolov8"],
    },
)
