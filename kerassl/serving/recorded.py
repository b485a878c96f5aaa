"""Requests and the answers that the model in memory gave to them, in a file that is read without TensorFlow."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerassl._errors import UserError
from kerassl._io.arrays import read_arrays, reason

NAME = "recorded.npz"  # in assets.extra/


def write_requests(path: str | os.PathLike, requests: Sequence[Mapping[str, Any]]) -> None:
    """Write requests with their answers to an `.npz` file.

    Args:
        path: Path of the file.
        requests: Dicts: `signature` str; `inputs` and `outputs`, dicts from name to array, whose strings are arrays of
            bytes objects; `sides` `[B]`, the long side of each image in pixels, which boxes are measured by.
    """
    arrays: dict[str, Any] = {}
    names = []
    for number, request in enumerate(requests):
        names.append(request["signature"])
        arrays[f"{number}/sides"] = np.asarray(request["sides"], np.float32)
        for part in ("inputs", "outputs"):
            for name, value in request[part].items():
                _put(arrays, f"{number}/{part}/{name}", np.asarray(value))
    np.savez_compressed(path, signatures=np.frombuffer(json.dumps(names).encode(), np.uint8), **arrays)


def read_requests(path: pathlib.Path) -> list[dict[str, Any]]:
    """Read requests that `write_requests` wrote, in the form that it takes."""
    if not path.is_file():
        raise UserError(
            f"there is no {path}; the servable was not written by this kerassl's export, which records requests"
        )
    try:
        arrays = read_arrays(path)
        return _requests(json.loads(arrays.pop("signatures").tobytes()), arrays)
    except Exception as error:  # of what somebody made up: anything
        raise UserError(f"{path} is damaged ({reason(error)}); export the model again") from error


def _requests(names, arrays):
    """The requests that the arrays hold; refuses arrays that do not fit each other, with any exception."""
    requests = [{"signature": str(name), "inputs": {}, "outputs": {}} for name in names]
    for key in arrays:
        number, part, *name = key.split("/", 2)
        if not number.isdecimal():
            raise ValueError(f"it holds {key!r}")
        if part == "sides":
            requests[int(number)]["sides"] = arrays[key]
        elif not name[0].endswith("#lengths"):
            requests[int(number)][part][name[0]] = _taken(arrays, key)
    for request in requests:
        sides = request["sides"]
        if sides.ndim != 1 or sides.dtype.kind != "f" or not (np.isfinite(sides) & (sides > 0)).all():
            raise ValueError("sides of images are no numbers above 0")
        if any(value.shape[:1] != sides.shape for part in ("inputs", "outputs") for value in request[part].values()):
            raise ValueError("a request has more images than answers, or fewer")
    return requests


def _put(arrays, key, value):
    """Strings as their bytes in a row and the length of each: numpy's own lose zeros at the end, or are pickled."""
    if value.dtype == object:
        arrays[key] = np.frombuffer(b"".join(value.ravel()), np.uint8)
        arrays[f"{key}#lengths"] = np.array([len(each) for each in value.ravel()], np.int64).reshape(value.shape)
    else:
        arrays[key] = value


def _taken(arrays, key):
    lengths = arrays.get(f"{key}#lengths")
    if lengths is None:
        return arrays[key]
    ends = lengths.ravel().cumsum()
    whole = arrays[key].tobytes()
    if (lengths < 0).any() or lengths.sum() != len(whole):
        raise ValueError("its strings have other lengths than were written")
    strings = np.empty(lengths.size, object)
    strings[:] = [whole[end - length : end] for end, length in zip(ends, lengths.ravel())]
    return strings.reshape(lengths.shape)
