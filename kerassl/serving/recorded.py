"""Requests and the answers that the model in memory gave to them, in a file that is read without TensorFlow."""

import json
import zipfile

import numpy as np

from kerassl._errors import UserError

NAME = "recorded.npz"  # in assets.extra/


def write_requests(path, requests):
    """Writes requests with their answers.

    Args:
        path: str or `pathlib.Path` of the `.npz` file.
        requests: list of dicts: `signature` str; `inputs` and `outputs`, dicts from name to array, whose strings are
            arrays of bytes objects; `sides` `[B]`, the long side of each image in pixels, which boxes are measured by.
    """
    arrays, names = {}, []
    for number, request in enumerate(requests):
        names.append(request["signature"])
        arrays[f"{number}/sides"] = np.asarray(request["sides"], np.float32)
        for part in ("inputs", "outputs"):
            for name, value in request[part].items():
                _put(arrays, f"{number}/{part}/{name}", np.asarray(value))
    np.savez_compressed(path, signatures=np.frombuffer(json.dumps(names).encode(), np.uint8), **arrays)


def read_requests(path):
    """Reads what `write_requests` wrote.

    Args:
        path: `pathlib.Path`.

    Returns:
        List of dicts, as `write_requests` takes it.

    Raises:
        UserError: if the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        names = json.loads(arrays.pop("signatures").tobytes())
    except FileNotFoundError:
        raise UserError(
            f"there is no {path}; the servable was not written by this kerassl's export, which records requests"
        ) from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged ({str(error).splitlines()[0][:160]}); export the model anew") from None
    requests = [{"signature": name, "inputs": {}, "outputs": {}} for name in names]
    for key in arrays:
        number, part, *name = key.split("/")
        if part == "sides":
            requests[int(number)]["sides"] = arrays[key]
        elif not name[0].endswith("#lengths"):
            requests[int(number)][part][name[0]] = _taken(arrays, key)
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
    strings = np.empty(lengths.size, object)
    strings[:] = [whole[end - length : end] for end, length in zip(ends, lengths.ravel())]
    return strings.reshape(lengths.shape)
