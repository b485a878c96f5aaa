"""Export of a trained model."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from kerassl import serving
from kerassl._io import outputs
from kerassl._lazy import keras
from kerassl.detectors.model_files import check_model, load, run_card
from kerassl.serving import batching


def export(
    model: str | os.PathLike | keras.Model, out: str | os.PathLike, *, batch_sizes: Sequence[int] = (1, 2, 4, 8)
) -> pathlib.Path:
    """Write a SavedModel for TensorFlow Serving, whose model card has the data, settings and metrics of the run.

    Args:
        model: Detector or localizer, or the path of its file.
        out: Str or path. The folder of a new version, as `"servables/voc/1"`.
        batch_sizes: Sequence of int, rising. The images that a server works on at once; a batch is filled up to the
            next size.

    Returns:
        `pathlib.Path` of the folder.

    Raises:
        UserError: if the folder exists or cannot be written, or the model cannot be read.
    """
    outputs.check_folder(out)
    batching.check_sizes(batch_sizes)
    check_model(model)
    about = run_card(model) if isinstance(model, (str, os.PathLike)) else {}
    serving.export(load(model), out, batch_sizes=batch_sizes, about=about)
    return pathlib.Path(out)
