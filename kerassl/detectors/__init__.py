"""Object detectors over a kerassl backbone: training, decoding, prediction and drawing."""

from kerassl.detectors.decoding import decode
from kerassl.detectors.detector import Detector
from kerassl.detectors.draw import draw
from kerassl.detectors.neck_weights import load_neck, save_neck
from kerassl.detectors.predict import predict
from kerassl.detectors.pretrain_localizer import pretrain_localizer
from kerassl.detectors.pretrain_neck import pretrain_neck
from kerassl.detectors.pseudo_boxes import pseudo_records
from kerassl.detectors.retinanet import RetinaNet, retinanet
from kerassl.detectors.weights import load_weights, save_weights
from kerassl.detectors.yolov8 import YOLOV8, yolov8

__all__ = [
    "YOLOV8",
    "Detector",
    "RetinaNet",
    "decode",
    "draw",
    "load_neck",
    "load_weights",
    "predict",
    "pretrain_localizer",
    "pretrain_neck",
    "pseudo_records",
    "retinanet",
    "save_neck",
    "save_weights",
    "yolov8",
]
