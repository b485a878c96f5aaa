"""Object detectors over a kerassl backbone: training, decoding, prediction and drawing."""

from kerassl.detectors.decoding import decode
from kerassl.detectors.draw import draw
from kerassl.detectors.predict import predict
from kerassl.detectors.retinanet import RetinaNet, retinanet
from kerassl.detectors.weights import load_weights, save_weights

__all__ = ["RetinaNet", "decode", "draw", "load_weights", "predict", "retinanet", "save_weights"]
