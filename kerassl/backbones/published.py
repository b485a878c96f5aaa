"""The ImageNet weights that Keras publishes: found where Keras keeps them, or downloaded there."""

from __future__ import annotations

import logging
import os
import pathlib
import shutil
import threading
import urllib.request

from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io.arrays import reason
from kerassl.backbones.families import find

log = logging.getLogger("kerassl")

_SECONDS = 10
"""After so long without an answer there is no connection."""


def imagenet_file(network: str, flag: str = "--weights") -> pathlib.Path:
    """Find Keras's file of a network's ImageNet weights, or download it. It takes neither Keras nor TensorFlow.

    Args:
        network: str, one of `list_backbones()`.
        flag: str, what a message calls the weights.

    Returns:
        `pathlib.Path` in Keras's own folder, `~/.keras/models` or `$KERAS_HOME/models`.

    Raises:
        UserError: if it is not there and cannot be downloaded.
    """
    family = find(network)
    home = pathlib.Path(os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras")
    path = home / "models" / family.file
    if path.is_file():
        return path
    try:
        _download(family.url, path)
    except Exception as error:  # a download fails in many ways
        raise UserError(
            f"the ImageNet weights of {family.name} are not in {path}, and {family.url} cannot be downloaded "
            f"({reason(error)}); put that file there, or give {flag} random or {flag} FILE"
        ) from error
    return path


def _download(url, path):
    with _open(url) as answer, _files.whole(path) as part:
        size = int(answer.headers.get("Content-Length") or 0)
        log.info("downloading %s (%.0f MB) to %s", url, size / 1e6, path)
        with part.open("wb") as file:
            shutil.copyfileobj(answer, file)
        if size and part.stat().st_size != size:
            raise OSError(f"the connection ended after {part.stat().st_size} of {size} bytes")


def _open(url):
    """Open a URL within seconds; looking up its address alone may take minutes, which no timeout covers."""
    found: list = []

    def answer():
        try:
            found.append(urllib.request.urlopen(url, timeout=_SECONDS))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    thread.join(2 * _SECONDS)
    if not found:
        raise TimeoutError(f"no answer in {2 * _SECONDS} seconds")
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]
