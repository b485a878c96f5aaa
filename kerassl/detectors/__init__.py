"""Object detectors: training, decoding, prediction, evaluation and pseudo-boxes."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "decoding": ["decode"],
        "detector": ["Detector"],
        "draw": ["draw"],
        "evaluation": ["Evaluation"],
        "localizer.fit_frozen": ["fit_frozen"],
        "localizer.frozen_features": ["FrozenFeatures"],
        "localizer.localizer": ["Localizer"],
        "localizer.predictions": ["localizer_predictions"],
        "localizer.pretrain_localizer": ["pretrain_localizer"],
        "neck_weights": ["load_neck", "save_neck"],
        "predict": ["predict"],
        "pseudo_boxes.foreground": ["Foreground"],
        "pseudo_boxes.pretrain_neck": ["pretrain_neck"],
        "pseudo_boxes.pseudo_records": ["pseudo_records"],
        "retinanet.retinanet": ["RetinaNet", "retinanet"],
        "weights": ["load_weights", "save_weights"],
        "yolov8.yolov8": ["YOLOV8", "yolov8"],
    },
)
