"""Weights by name: a table from `layer/weight` to array, assigned whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pathlib
import re
import zipfile
from collections.abc import Iterable

import h5py
import numpy as np

from kerassl._errors import UserError
from kerassl._io.arrays import read_arrays, reason
from kerassl._io.keras_file import read_keras_file
from kerassl._lazy import compat as _compat
from kerassl._lazy import keras
from kerassl.backbones.description import read_description


def snake_case(name: str) -> str:
    """The name of a class as Keras writes it into files, as `"batch_normalization"`."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _variables(model):
    named, seen = {}, set()
    for layer in model.layers:
        for name, variable in _named(layer, layer.name):
            if id(variable) not in seen:  # what is an attribute of the model too comes twice
                seen.add(id(variable))
                named[name] = variable
    return named


def _named(layer, path):
    """Variables of a layer and of the layers in it, which go by the attribute that holds them.

    Their own names would not do: Keras numbers unnamed layers through the whole process.
    """
    inner = list(_inner_layers(layer))
    if not inner:
        return [(f"{path}/{_compat.variable_name(layer, variable)}", variable) for variable in layer.weights]
    return [pair for name, item in inner for pair in _named(item, f"{path}/{name}")]


def _inner_layers(layer):
    if isinstance(layer, keras.Model):
        yield from ((item.name, item) for item in layer.layers)
        return
    for attribute, value in vars(layer).items():
        if attribute.startswith("_"):
            continue
        items = value if isinstance(value, (list, tuple)) else [value]
        for number, item in enumerate(items):
            if isinstance(item, keras.layers.Layer):
                yield (attribute if item is value else f"{attribute}/{number}"), item


def table(model: keras.Model) -> dict[str, np.ndarray]:
    """Return the weights of a model by names that both Keras versions share.

    Args:
        model: `keras.Model`.

    Returns:
        Dict from `"<layer>/<weight>"`, as `"stem_conv/kernel"` or `"box_head/conv_layers/0/kernel"`, to `np.ndarray`.
    """
    return {name: np.asarray(variable) for name, variable in _variables(model).items()}


def checksum(weights: dict[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and bytes of a table of weights, in the order of the names.

    Args:
        weights: dict from name to `np.ndarray`.

    Returns:
        str of 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def assign(
    model: keras.Model,
    weights: dict[str, np.ndarray],
    source: str | os.PathLike | None,
    may_be_left: Iterable[str] = (),
) -> None:
    """Put a table of weights into a model: every weight of the model, and none left over.

    Args:
        model: `keras.Model`.
        weights: dict from `"<layer>/<weight>"` to array.
        source: str or path. Where the table is from, for messages.
        may_be_left: collection of layer names whose weights the table may hold though the model does not.

    Raises:
        UserError: if a weight is missing, is of another shape, or belongs to nothing. The model is unchanged then.
    """
    variables = _variables(model)
    missing = [name for name in variables if name not in weights]
    left = [name for name in weights if name not in variables and name.rpartition("/")[0] not in may_be_left]
    wrong = [name for name in variables if name in weights and weights[name].shape != tuple(variables[name].shape)]
    problems = []
    for what, names in (("missing", missing), ("of another shape", wrong), ("unknown to the network", left)):
        if names:
            problems.append(f"{len(names)} {what} ({', '.join(sorted(names)[:3])}{', …' if len(names) > 3 else ''})")
    if problems:
        raise UserError(
            f"{source} does not fit {model.name} ({len(variables)} weights): {'; '.join(problems)}. "
            "Weights are taken whole or not at all; name the network they were made for, or cut it with `cut_at`"
        )
    for name, variable in variables.items():
        variable.assign(weights[name])


def read(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict | None]:
    """Read a table of weights from `.npz`, Keras's `.h5` and `.weights.h5`, or a `.keras` file.

    Args:
        path: str or `pathlib.Path`.

    Returns:
        Dict from `"<layer>/<weight>"` to `np.ndarray`, as the file names them, and the description that a kerassl file
        carries (else None); of a detector's or localizer's `.npz` file `{"classes": names}`.

    Raises:
        UserError: if the file is missing, of another kind, or damaged.
    """
    path = pathlib.Path(path)
    if path.suffix != ".keras" and not path.is_file():
        raise UserError(f"there is no weights file {path}" if not path.exists() else f"{path} is no file of weights")
    if path.suffix not in _READERS:
        raise UserError(f"{path} is not a weights file that kerassl reads; it reads {', '.join(_READERS)}")
    try:
        return _READERS[path.suffix](path)
    except UserError:
        raise
    except Exception as error:  # a damaged HDF5 file or archive raises almost anything
        raise UserError(f"{path} is damaged or not a {path.suffix} file of weights ({reason(error)})") from error


CLASSES = "kerassl/classes"
"""Where a `.npz` file of weights has the names of the classes, as JSON."""


def _read_npz(path):
    table = read_arrays(path)
    names = table.pop(CLASSES, None)
    return table, None if names is None else {"classes": json.loads(str(names))}


def _read_h5(path):
    with h5py.File(path) as file:
        weights = _legacy(file) if "layers" not in file else _numbered(file)
    if not weights:
        raise UserError(f"{path} holds no weights")
    return weights, None


def _legacy(file):
    """Weights of an `.h5` file of a model or of its weights, as the files of keras.applications: a group a layer."""
    group, weights = file.get("model_weights", file), {}
    for layer in map(_text, group.attrs.get("layer_names", ())):
        names = [_text(name) for name in group[layer].attrs["weight_names"]]
        owners = [name.removeprefix(f"{layer}/").rpartition("/")[0] for name in names]
        for name, owner in zip(names, owners):
            # A model in the model has the weights of several layers.
            holder = owner.rpartition("/")[2] if len(set(owners)) > 1 else layer
            weights[f"{holder}/{name.rpartition('/')[2].partition(':')[0]}"] = _values(group[layer][name], file)

    def collect(name, item):
        if isinstance(item, h5py.Dataset):
            parts = [part for part in name.split("/") if part != "model_weights"]
            weights[f"{parts[0]}/{parts[-1].split(':')[0]}"] = _values(item, file)

    if not weights:  # <layer>/<layer>/<weight>:0, at any depth, without a list of them
        file.visititems(collect)
    return weights


def _numbered(file):
    """Weights of a `.weights.h5` file: `layers/<class>_<number>/vars/<number>`."""
    weights = {}

    def collect(name, item):
        layer, _, place = name.partition("/vars/")
        own = layer.startswith("layers/") and not layer.endswith("/seed_generator")
        if isinstance(item, h5py.Dataset) and own:
            weights[f"{layer}/{place}"] = _values(item, file)

    file.visititems(collect)
    return weights


def _values(dataset, file):
    """The array of a dataset; refused where it is in another file, or would be far larger than this one."""
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiub":
        raise ValueError(f"its weight {dataset.name} is no array of numbers")
    if dataset.file.filename != file.filename or dataset.external or dataset.is_virtual:
        raise ValueError(f"its weight {dataset.name} is in another file")
    if dataset.nbytes > 200 * file.id.get_filesize() + 2**20:
        raise ValueError(f"its weight {dataset.name} would unpack to {dataset.nbytes / 2**30:.1f} GiB")
    return dataset[()]


def _text(name):
    return name.decode() if isinstance(name, bytes) else str(name)


WEIGHTS = "kerassl/weights.npz"
"""Where a `.keras` file that kerassl wrote has the weights by name."""


def _read_keras(path):
    description = read_description(path)
    if description is None:
        return _read_foreign(path), None
    with zipfile.ZipFile(path) as archive:
        weights = read_arrays(io.BytesIO(archive.read(WEIGHTS)))
    if checksum(weights) != description["checksum"]:
        raise UserError(f"{path} is damaged: its weights do not have the checksum that was written with them")
    return weights, description


def _read_foreign(path):
    """Weights of a `.keras` file that `model.save` wrote, under the names that its configuration has."""
    found = read_keras_file(path, "save the model again by model.save")
    with zipfile.ZipFile(path) as archive:
        if _STATE not in found.names:
            raise UserError(f"{path} holds a {found.kind} without {_STATE}; save the model again by model.save")
        with h5py.File(io.BytesIO(archive.read(_STATE))) as file:
            weights = _numbered(file)
    names = dict(_layer_names(found.config, ""))
    unknown = [key for key in weights if key.rpartition("/")[0] not in names]
    if not weights or unknown:
        raise UserError(
            f"{path} holds a {found.kind}, whose layers cannot be found by name"
            f"{f' ({unknown[0]})' if unknown else ''}; save the backbone alone, or give a .weights.h5 file"
        )
    order = {layer: number for number, layer in enumerate(names)}
    keys = sorted((key.rpartition("/")[::2] for key in weights), key=lambda key: (order[key[0]], int(key[1])))
    return {f"{names[layer]}/{place}": weights[f"{layer}/{place}"] for layer, place in keys}


def _layer_names(config, before):
    """Yield the place of each layer in a file and its name, by the configuration of a model."""
    counts: dict[str, int] = {}
    for layer in config["config"].get("layers", ()):
        kind = snake_case(layer["class_name"])
        counts[kind] = counts.get(kind, -1) + 1
        place = f"{before}layers/{kind}_{counts[kind]}" if counts[kind] else f"{before}layers/{kind}"
        yield place, str(layer["config"]["name"])
        yield from _layer_names(layer, f"{place}/")


_STATE = "model.weights.h5"
_READERS = {".keras": _read_keras, ".h5": _read_h5, ".npz": _read_npz}
