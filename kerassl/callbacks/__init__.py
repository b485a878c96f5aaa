"""What a long run needs beside `fit`."""

from kerassl.callbacks.evaluation import Evaluation
from kerassl.callbacks.health import Health
from kerassl.callbacks.knn_probe import KNNProbe
from kerassl.callbacks.learning_rate import LearningRate
from kerassl.callbacks.linear_probe import LinearProbe
from kerassl.callbacks.metrics_file import MetricsFile
from kerassl.callbacks.resume import Resume
from kerassl.callbacks.throughput import Throughput

__all__ = ["Evaluation", "Health", "KNNProbe", "LearningRate", "LinearProbe", "MetricsFile", "Resume", "Throughput"]
