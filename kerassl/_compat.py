"""The one file that knows which Keras it runs on: what Keras 2.15 and Keras 3 do differently, each with its reason."""

import os

from kerassl._errors import UserError

# kerassl computes with TensorFlow; another backend would fail late, in the middle of a graph.
if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
    raise UserError(
        f"kerassl runs on TensorFlow, but KERAS_BACKEND is {os.environ['KERAS_BACKEND']!r}; unset it or set it to "
        "'tensorflow'"
    )
# With this switch tf.keras and keras are two libraries whose layers do not mix.
if os.environ.get("TF_USE_LEGACY_KERAS", "0").lower() in ("1", "true"):
    raise UserError("kerassl does not run with TF_USE_LEGACY_KERAS=1; unset it, or use the addons stack for Keras 2.15")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402

KERAS_3 = not keras.__version__.startswith("2.")
