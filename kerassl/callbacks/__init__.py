"""Callbacks for long training runs."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "ema": ["WeightAverage"],
        "gradual_unfreezing": ["Thaw"],
        "health": ["Health"],
        "knn_probe": ["KNNProbe"],
        "learning_rate": ["LearningRate"],
        "linear_probe": ["LinearProbe"],
        "metrics_file": ["MetricsFile"],
        "reestimate_batch_norm": ["ReestimateBatchNorm"],
        "resume": ["Resume"],
        "stop_at_nan": ["StopAtNaN"],
        "throughput": ["Throughput"],
    },
)
