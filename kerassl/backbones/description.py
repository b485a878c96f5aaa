"""Description in a `backbone.keras`."""

from __future__ import annotations

import json
import os
import zipfile

from kerassl._errors import UserError
from kerassl._io.keras_file import read_keras_file

DESCRIPTION = "kerassl/backbone.json"
"""Where a `.keras` file that kerassl wrote has it."""

_KEYS = ("network", "cut_at", "known_network", "input_scale", "checksum", "keras")


_WANTED = "give a backbone.keras that kerassl.backbones.save wrote"


def read_description(path: str | os.PathLike, wanted: str = _WANTED) -> dict | None:
    """Read the description of a backbone; None of a `.keras` file that `backbones.save` did not write.

    It takes neither Keras nor TensorFlow. `wanted` is the advice at the end of a message.

    Raises:
        UserError: if there is no such file, or it is damaged.
    """
    found = read_keras_file(path, wanted)
    if DESCRIPTION not in found.names:
        return None
    with zipfile.ZipFile(path) as archive:
        description = json.loads(archive.read(DESCRIPTION))
    missing = [key for key in _KEYS if key not in description]
    if missing:
        raise UserError(f"{path} is damaged: its description lacks {missing[0]!r}; save the backbone again")
    return description
