"""Object detectors: training, decoding, prediction, evaluation and pseudo-boxes."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.detectors.decoding import decode as decode
    from kerassl.detectors.detector import Detector as Detector
    from kerassl.detectors.evaluation import Evaluation as Evaluation
    from kerassl.detectors.localizer.fit_frozen import fit_frozen as fit_frozen
    from kerassl.detectors.localizer.frozen_features import FrozenFeatures as FrozenFeatures
    from kerassl.detectors.localizer.localizer import Localizer as Localizer
    from kerassl.detectors.localizer.pretrain_localizer import pretrain_localizer as pretrain_localizer
    from kerassl.detectors.predict import PredictedBatch as PredictedBatch
    from kerassl.detectors.predict import predict as predict
    from kerassl.detectors.predict import predict_batches as predict_batches
    from kerassl.detectors.pseudo_boxes.foreground import Foreground as Foreground
    from kerassl.detectors.pseudo_boxes.pretrain_neck import pretrain_neck as pretrain_neck
    from kerassl.detectors.pseudo_boxes.pseudo_records import pseudo_records as pseudo_records
    from kerassl.detectors.retinanet.retinanet import RetinaNet as RetinaNet
    from kerassl.detectors.weights import for_classes as for_classes
    from kerassl.detectors.weights import load_neck as load_neck
    from kerassl.detectors.weights import load_weights as load_weights
    from kerassl.detectors.weights import save_neck as save_neck
    from kerassl.detectors.weights import save_weights as save_weights
    from kerassl.detectors.yolov8.yolov8 import YOLOV8 as YOLOV8

__all__ = lazy_package(__name__)
