"""Requests that TensorFlow Serving asks itself before it serves a version, so that no client waits for its start."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from kerassl._compat import tf
from kerassl.serving.requests import drawn

NAME = "tf_serving_warmup_requests"  # in assets.extra/
_MOST = 1000  # more TensorFlow Serving refuses
_SIDES = (48, 64)  # of pixels; the letterbox makes the network's work the same for every size


def protos() -> ModuleType | None:
    """Return the module of `PredictionLog`, or None where tensorflow-serving-api is not installed."""
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError:
        return None
    return prediction_log_pb2


def write_warmup(path: str | os.PathLike, name: str, signatures: Mapping[str, Any], batch_sizes: Sequence[int]) -> int:
    """Write one request for every signature (a concrete function by name) and every batch size; return their number.

    Without tensorflow-serving-api, nothing is written and the number is 0. The server calls the model `name`.
    """
    module = protos()
    if module is None:
        return 0
    wanted = [(signature, count) for count in batch_sizes for signature in signatures][:_MOST]
    with tf.io.TFRecordWriter(str(path)) as file:
        for signature, count in wanted:
            (spec,) = tf.nest.flatten(signatures[signature].structured_input_signature)
            value, _ = drawn(spec, count, _SIDES)
            log = module.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            request.inputs[spec.name].CopyFrom(tf.make_tensor_proto(value, spec.dtype))
            file.write(log.SerializeToString())
    return len(wanted)
