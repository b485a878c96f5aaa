"""`.keras` files: what is wrong with one is found before Keras opens it, and opened in safe mode alone."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import zipfile

from kerassl._errors import UserError
from kerassl._io.arrays import check_archive, reason
from kerassl._lazy import compat, keras
from kerassl._version import __version__

_CONFIG, _METADATA = "config.json", "metadata.json"
_PACKAGES = ("keras", "keras_cv", "keras_hub", "keras_nlp", "tensorflow_addons", "builtins")


@dataclasses.dataclass(frozen=True)
class KerasFile:
    """The description of a model in a `.keras` file.

    Attributes:
        kind: str, the name of the model's class.
        config: dict, the configuration of the model, with those of all objects in it.
        keras: str, the version of Keras that wrote the file.
        names: tuple of str, the parts of the archive.
    """

    kind: str
    config: dict
    keras: str
    names: tuple


def read_keras_file(path: str | os.PathLike, wanted: str) -> KerasFile:
    """Read the description in a `.keras` file, and check that the file is whole. It takes neither Keras nor TensorFlow.

    Args:
        wanted: str. The advice at the end of a message, as `"give a detector.keras of a run"`.
    """
    path = pathlib.Path(path)
    problem = _no_archive(path)
    if problem:
        raise UserError(f"{problem}; {wanted}")
    try:
        with zipfile.ZipFile(path) as archive:
            names = tuple(archive.namelist())
            if _CONFIG not in names:
                raise UserError(f"{path} is a zip archive, but no Keras model: it holds no {_CONFIG}; {wanted}")
            check_archive(archive)
            damaged = archive.testzip()
            if damaged:
                raise ValueError(f"the checksum of its part {damaged} is wrong")
            content = json.loads(archive.read(_CONFIG))
            about = json.loads(archive.read(_METADATA)) if _METADATA in names else {}
        kind, config = content["class_name"], content["config"]
        if not isinstance(kind, str) or not isinstance(config, dict):
            raise ValueError("its config.json describes no model")
        return KerasFile(kind, content, str(about.get("keras_version", "of unknown version")), names)
    except UserError:
        raise
    except Exception as error:  # a single wrong byte makes zipfile raise more than it documents
        raise UserError(f"{path} is damaged ({reason(error)}); copy or save it again, or {wanted}") from error


def open_model(path: str | os.PathLike, wanted: str, compile: bool = True) -> keras.Model:
    """Open a `.keras` file in safe mode; `path` and `wanted` are those of `read_keras_file`."""
    found = read_keras_file(path, wanted)
    _check_code(path, found.config, keras.saving.get_custom_objects())
    try:
        return keras.saving.load_model(path, compile=compile, safe_mode=True)
    except Exception as error:  # whatever another version's configuration makes this one raise
        if found.keras.split(".")[0] != compat.KERAS_VERSION.split(".")[0]:
            raise UserError(
                f"{path} was saved by Keras {found.keras} and does not open on Keras {compat.KERAS_VERSION} (a "
                f"{found.kind}); carry its weights over by kerassl.detectors.save_weights, or use the other Keras"
            ) from error
        raise UserError(f"{path} does not open as a {found.kind} ({reason(error)}); {wanted}") from error


def _no_archive(path):
    """Return why a path is no zip archive, or None."""
    if path.is_dir():
        what = "a SavedModel" if (path / "saved_model.pb").exists() else "a folder"
        return f"{path} is {what}, no .keras file"
    if not path.is_file():
        return f"{path} is no file" if path.exists() else f"there is no model {path}"
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    if not start:
        return f"{path} is empty"
    if start == b"\x89HDF\r\n\x1a\n":
        return f"{path} is an HDF5 file, no .keras file, though it may hold weights"
    if zipfile.is_zipfile(path):
        return None
    return f"{path} is cut off or damaged" if start.startswith(b"PK\x03\x04") else f"{path} is no .keras file"


def _check_code(path, config, known):
    """Refuse Python code in a configuration, and classes that nobody registered, before anything is imported for it."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        if not isinstance(value, dict):
            continue
        waiting += value.values()
        kind, module, name = (value.get(key) for key in ("class_name", "module", "registered_name"))
        if kind == "__lambda__":
            raise UserError(f"{path} holds a Lambda layer, whose Python code is not run; write it as a layer class")
        if not isinstance(module, str) or name in known or (kind == "function" and value.get("config") in known):
            continue
        if module.split(".")[0] == "kerassl":
            raise UserError(
                f"{path} holds a {name or kind}, which kerassl {__version__} does not know; use a newer one"
            )
        if module.split(".")[0] not in _PACKAGES:
            raise UserError(
                f"{path} holds a {kind} of {module}, which is not registered with Keras; import the code that "
                "registers it first"
            )
