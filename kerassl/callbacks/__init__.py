"""What a long run needs beside `fit`."""

from kerassl.callbacks.evaluation import Evaluation
from kerassl.callbacks.health import Health
from kerassl.callbacks.knn_probe import KNNProbe
from kerassl.callbacks.learning_rate import LearningRate
from kerassl.callbacks.linear_probe import LinearProbe
from kerassl.callbacks.metrics_file import MetricsFile
from kerassl.callbacks.reestimate_batch_norm import ReestimateBatchNorm
from kerassl.callbacks.resume import Resume
from kerassl.callbacks.stop_at_nan import StopAtNaN
from kerassl.callbacks.thaw import Thaw
from kerassl.callbacks.throughput import Throughput
from kerassl.callbacks.weight_average import WeightAverage

__all__ = [
    "Evaluation",
    "Health",
    "KNNProbe",
    "LearningRate",
    "LinearProbe",
    "MetricsFile",
    "ReestimateBatchNorm",
    "Resume",
    "StopAtNaN",
    "Thaw",
    "Throughput",
    "WeightAverage",
]
