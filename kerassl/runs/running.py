"""What all stages of a run have in common."""

import contextlib
import json
import math
import sys

from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._lazy import keras, tf

EVERY = 100
"""Steps between checkpoints."""


def prepare(config):
    """Sets seed and precision of the process, as the configuration says."""
    keras.utils.set_random_seed(config.seed)
    keras.mixed_precision.set_global_policy(config.precision)


def scope(config):
    """The scope of the distribution strategy that the configuration names."""
    if config.strategy == "none":
        return contextlib.nullcontext()
    return tf.distribute.MirroredStrategy(config.devices).scope()


def check_finite(history, stage):
    if not all(math.isfinite(loss) for loss in history.get("loss", [])):
        raise UserError(f"the loss of {stage} became NaN or infinite; lower its learning_rate in the configuration")


def verbosity():
    """1, a progress bar, on a terminal; 2, a line an epoch, in a file."""
    return 1 if sys.stdout.isatty() else 2


def write_json(path, content):
    """Write JSON of a run's own, whole."""
    with _files.whole(path, state=True) as part:
        part.write_text(json.dumps(content, indent=1, default=float) + "\n", encoding="utf-8")
