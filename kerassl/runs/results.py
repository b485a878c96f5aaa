"""What every run leaves: `results.json` and `report.html`."""

import os
import platform
import sys
import time

from kerassl._lazy import compat as _compat
from kerassl._version import __version__
from kerassl.report.page import write_report
from kerassl.runs.running import write_json


def write_results(folder, title, summary, begun, **results):
    """Writes `results.json` and `report.html` of a run.

    Args:
        folder: `pathlib.Path` of the run.
        title, summary: str, what the page begins with.
        begun: float, the time at which the command began, in seconds.
        **results: `generated` (bool), and of `pretrain`, `variants`, `significance` and `pictures` those that the run
        has.

    Returns:
        `pathlib.Path` of the page.
    """
    minutes = (time.time() - begun) / 60
    results = {"title": title, "summary": summary, "machine": machine(), "minutes": minutes, **results}
    write_json(folder / "results.json", results)
    return write_report(folder)


def machine():
    """What the figures were measured on."""
    import tensorflow as tf

    return (
        f"{os.cpu_count()} CPU cores ({platform.machine()}), {len(tf.config.list_physical_devices('GPU'))} GPUs; "
        f"kerassl {__version__}, TensorFlow {tf.__version__}, Keras {_compat.KERAS_VERSION}, "
        f"Python {platform.python_version()}; {time.strftime('%Y-%m-%d')}; {' '.join(sys.argv[1:])}"
    )
