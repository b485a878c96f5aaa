"""What a long run needs beside `fit`."""

from kerassl.callbacks.metrics_file import MetricsFile
from kerassl.callbacks.resume import Resume

__all__ = ["MetricsFile", "Resume"]
