"""What a long run needs beside `fit`."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "evaluation": ["Evaluation"],
        "health": ["Health"],
        "knn_probe": ["KNNProbe"],
        "learning_rate": ["LearningRate"],
        "linear_probe": ["LinearProbe"],
        "metrics_file": ["MetricsFile"],
        "reestimate_batch_norm": ["ReestimateBatchNorm"],
        "resume": ["Resume"],
        "stop_at_nan": ["StopAtNaN"],
        "thaw": ["Thaw"],
        "throughput": ["Throughput"],
        "weight_average": ["WeightAverage"],
    },
)
