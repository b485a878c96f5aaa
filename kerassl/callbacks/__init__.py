"""Callbacks for long training runs."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.callbacks.collapse_monitor import CollapseMonitor as CollapseMonitor
    from kerassl.callbacks.ema import EMA as EMA
    from kerassl.callbacks.gradual_unfreezing import GradualUnfreezing as GradualUnfreezing
    from kerassl.callbacks.knn_probe import KNNProbe as KNNProbe
    from kerassl.callbacks.learning_rate import LearningRate as LearningRate
    from kerassl.callbacks.linear_probe import LinearProbe as LinearProbe
    from kerassl.callbacks.metrics_file import MetricsFile as MetricsFile
    from kerassl.callbacks.reestimate_batch_norm import ReestimateBatchNorm as ReestimateBatchNorm
    from kerassl.callbacks.resume import Resume as Resume
    from kerassl.callbacks.stop_at_nan import StopAtNaN as StopAtNaN
    from kerassl.callbacks.throughput import Throughput as Throughput

__all__ = lazy_package(__name__)
