"""What operating systems and other programs leave in folders."""

import pathlib

# Compared in lower case. Names that begin with a dot (.DS_Store, ._photo.jpg, .ipynb_checkpoints) need no list.
_NAMES = {
    "__macosx",  # a folder of a zip that macOS made
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "@eadir",  # a folder of thumbnails of a Synology disk
}


def is_junk(path):
    """Return whether a path is a file that an operating system or another program left there, and no data.

    Args:
        path: str or `pathlib.Path`, relative to the folder that the user named. A folder that is itself hidden, or lies
            in a hidden one, is the user's choice: never pass its own parts.

    Returns:
        Bool. True where the name, or the name of a folder in the path, begins with a dot or is one of the known
        left-overs, as `Thumbs.db` or `__MACOSX`.

    Example:
        >>> is_junk("train/._a.jpg"), is_junk("__MACOSX/a.jpg"), is_junk("train/a.jpg")
        (True, True, False)
    """
    parts = pathlib.PurePath(path).parts
    return any((part.startswith(".") and part not in (".", "..")) or part.lower() in _NAMES for part in parts)
