"""TensorFlow Serving's file of batching parameters."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence

from kerassl._errors import UserError

NAME = "batching.config"  # in assets.extra/
_TEXT = """\
# For tensorflow_model_server --enable_batching --batching_parameters_file=<this file>
max_batch_size {{ value: {largest} }}
# How long the first request waits for others: more fills batches better, and costs every request that comes alone.
batch_timeout_micros {{ value: 2000 }}
# Requests beyond are refused, so that none waits for long.
max_enqueued_batches {{ value: 64 }}
# Batches that run side by side; at most the machine's cores.
num_batch_threads {{ value: 2 }}
{allowed}
# Padded images would be other images. Of serving_default, serving_uint8 and embed this joins only requests of one
# image size, and a server refuses those of others that come together with them; serve_bytes takes any.
pad_variable_length_inputs: false
"""


def check_sizes(batch_sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes that batches are padded to, rising from 1 up, as a tuple; refuse others."""
    try:
        sizes = tuple(operator.index(size) for size in batch_sizes)
    except TypeError:
        sizes = ()
    if not sizes or sizes[0] < 1 or any(one >= other for one, other in itertools.pairwise(sizes)):
        given = " ".join(map(str, batch_sizes)) if isinstance(batch_sizes, (list, tuple)) else batch_sizes
        raise UserError(
            f"batch_sizes is {batch_sizes!r}; give whole numbers from 1 up, rising, as (1, 2, 4, 8)",
            f"--batch-sizes is {given}; give whole numbers from 1 up, rising, as 1 2 4 8",
        )
    return sizes


def parameters(batch_sizes: Sequence[int]) -> str:
    """Return `tensorflow.serving.BatchingParameters` as text: a batch is filled up to the next of `batch_sizes`."""
    allowed = "\n".join(f"allowed_batch_sizes: {size}" for size in batch_sizes)
    return _TEXT.format(largest=batch_sizes[-1], allowed=allowed)
