"""`kerassl.load`: any file that kerassl wrote."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

import numpy as np

from kerassl._errors import UserError
from kerassl._io.arrays import DamagedError, read_arrays
from kerassl._io.keras_file import open_model
from kerassl._io.parts import part_outputs
from kerassl._lazy import tf

_ACCEPTED = (
    "give a .keras model, an .npz of weights or features, a .json, metrics.jsonl or config.yaml of a run, a servable's "
    "folder, or a run's folder"
)
_MODELS = ("detector.keras", "localizer.keras", "frozen.keras", "backbone.keras")
_OTHERS = {
    ".h5": "kerassl.backbones.build(name, weights=path) reads weights of keras.applications",
    ".tflite": "open it with an interpreter of LiteRT",
    ".tfrecord": "give the folder of its shards to kerassl.datasets.image_folder",
}


def load(path: str | os.PathLike) -> Any:
    """Load a file that kerassl wrote: a model, or what a run left beside it.

    Models are opened in safe mode, arrays without pickles: no code in a file is run, except that the graph of a
    servable is TensorFlow's to run when it is called.

    Args:
        path: str or `pathlib.Path` of one of:

            - a `.keras` file: a backbone (with the fast layers), a `SimCLR`, `DenseSimCLR`,
              `FeatureDistillation` (without its teacher) or `ViewClassifier`, a detector or a localizer, compiled as it
              was saved; or another Keras model.
            - an `.npz` file of weights by name, of features (`kerassl embed`), or a checkpoint.
            - `predictions.json`, or another `.json` of a run.
            - `metrics.jsonl`, or `config.yaml`.
            - the folder of a servable, of `kerassl predict`, or of all parts of `predict` or `embed`.
            - the folder of a run with one model in it, or several: then its detector, else its localizer, else its
              backbone.

    Returns:
        `keras.Model`; dict from name to array; predictions as `metrics.load_predictions` returns them, or the content
        of the JSON; list of dicts, one for each line; `config.Config`; or what `tf.saved_model.load` returns.

    Raises:
        UserError: if there is no such file, it is damaged, or of another kind.

    Example:
        >>> detector = kerassl.load("runs/voc/detector.keras")
        >>> kerassl.detectors.predict(detector, "photos/")
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise UserError(f"there is no file {path}; {_ACCEPTED}")
    if path.is_dir():
        return _folder(path)
    readers = {".keras": _model, ".npz": _npz, ".json": _json, ".jsonl": _lines, ".yaml": _config, ".yml": _config}
    if path.suffix.lower() not in readers:
        raise UserError(f"{path} is no file that kerassl.load opens; {_OTHERS.get(path.suffix.lower(), _ACCEPTED)}")
    return readers[path.suffix.lower()](path)


def _folder(path):
    if (path / "saved_model.pb").is_file():
        try:
            return tf.saved_model.load(str(path))
        except Exception as error:  # of a damaged one, of any kind
            raise UserError(f"{path} holds no SavedModel that TensorFlow loads; export the model again") from error
    for name in _MODELS:
        if (path / name).is_file():
            return _model(path / name)
    from kerassl.metrics.prediction_files import holds_predictions, load_predictions

    parts = part_outputs(path)
    if parts and all(part.suffix == ".npz" for part in parts):
        arrays = [_npz(part) for part in parts]
        return {name: np.concatenate([each[name] for each in arrays]) for name in arrays[0]}
    if holds_predictions(path):
        return load_predictions(path)
    raise UserError(f"{path} is a folder without a servable and without a model of a run; {_ACCEPTED}")


def _model(path):
    from kerassl import backbones
    from kerassl.backbones.description import read_description

    if read_description(path, _ACCEPTED) is not None:
        return backbones.load(path)
    return open_model(path, _ACCEPTED)


def _npz(path):
    try:
        return read_arrays(path)
    except DamagedError as error:
        raise UserError(f"{path} is damaged or no .npz file ({error}); write it again") from error


def _json(path):
    from kerassl import metrics
    from kerassl.metrics.prediction_files import DESCRIPTION

    content = _parsed(path)
    if not isinstance(content, dict):
        return content
    info = content.get("info")
    found = isinstance(info, dict) and info.get("description") == DESCRIPTION
    if found or str(content.get("format", "")).startswith("kerassl predictions"):
        return metrics.load_predictions(path)
    return content


def _parsed(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise UserError(f"{path} is damaged or no JSON ({type(error).__name__}); write it again") from error


def _lines(path):
    from kerassl.callbacks.metrics_lines import read_metrics

    return read_metrics(path)


def _config(path):
    from kerassl.config import read_config

    return read_config(path)
