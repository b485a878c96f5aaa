"""The environment: checks before TensorFlow is loaded, and its description for reports."""

from __future__ import annotations

import json
import os
import pathlib
import platform
import sys
import time

from kerassl._errors import UserError
from kerassl._lazy import compat as _compat
from kerassl._version import __version__


def check_environment() -> None:
    """Refuse a backend, a switch or a setting of Keras that would fail late, in the middle of a graph."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise UserError(
            f"kerassl runs on TensorFlow, but KERAS_BACKEND is {backend!r}; unset it or set it to 'tensorflow'"
        )
    # With this switch tf.keras and keras are two libraries whose layers do not mix.
    if os.environ.get("TF_USE_LEGACY_KERAS", "0").lower() in ("1", "true"):
        raise UserError(
            "kerassl does not run with TF_USE_LEGACY_KERAS=1; unset it, or use the addons stack for Keras 2.15"
        )
    path = pathlib.Path(os.environ.get("KERAS_HOME") or pathlib.Path("~").expanduser() / ".keras") / "keras.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        layout = settings.get("image_data_format", "channels_last")
        chosen = settings.get("backend", "tensorflow")
    except (OSError, ValueError, AttributeError):
        return  # as Keras does
    if layout != "channels_last":
        raise UserError(
            f"{path} sets image_data_format to {layout!r}, but kerassl's images have their channels last; set it to "
            "'channels_last', or name another folder in KERAS_HOME"
        )
    if chosen != "tensorflow" and "KERAS_BACKEND" not in os.environ:
        raise UserError(
            f"kerassl runs on TensorFlow, but {path} sets backend to {chosen!r}; set KERAS_BACKEND=tensorflow"
        )


def machine() -> str:
    """Return the machine, the versions and the command, for reports."""
    import tensorflow as tf

    return (
        f"{os.cpu_count()} CPU cores ({platform.machine()}), {len(tf.config.list_physical_devices('GPU'))} GPUs; "
        f"kerassl {__version__}, TensorFlow {tf.__version__}, Keras {_compat.KERAS_VERSION}, "
        f"Python {platform.python_version()}; {time.strftime('%Y-%m-%d')}; {' '.join(sys.argv[1:])}"
    )
