"""Names whose characters have several forms in Unicode: macOS writes an é as two characters, others as one."""

import os
import unicodedata


def nfc(name):
    """The composed form of a name, in which equal names are equal."""
    return unicodedata.normalize("NFC", name)


def by_name(paths):
    """Files by their names in composed form.

    Args:
        paths: dict of name to path. Where two names are the same but for their form, each keeps its own.

    Returns:
        Dict of name to path.
    """
    found = {name: path for name, path in paths.items() if nfc(name) == name}
    for name, path in paths.items():
        found[name if nfc(name) in found else nfc(name)] = path
    return found


def find_file(folder, name):
    """The file of a name in any of its forms.

    Args:
        folder: str or `pathlib.Path`.
        name: str, relative to it.

    Returns:
        Str, the path of the file, or None where there is none.
    """
    for each in dict.fromkeys((name, nfc(name), unicodedata.normalize("NFD", name))):
        path = os.path.join(folder, each)
        if os.path.isfile(path):
            return path
    return None
