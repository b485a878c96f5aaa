"""Yes or no, as annotations write it."""

_WORDS = {
    False: ("0", "false", "no", "f", "n", "unspecified", "none", "null", ""),
    True: ("1", "true", "yes", "t", "y"),
}


def read_flag(value):
    """Read a flag of an annotation for what it means.

    Args:
        value: anything that an annotation holds: a bool, 0 or 1 as a number, a word of any case (`"false"`, `"0.0"`,
            `"yes"`, `"Unspecified"`), or None for a flag that is not there.

    Returns:
        Bool, or None where the value means neither yes nor no.

    Example:
        >>> read_flag("False"), read_flag(1.0), read_flag("maybe")
        (False, True, None)
    """
    if value is None:
        return False
    if isinstance(value, str):
        word = value.strip().lower()
        for meaning, words in _WORDS.items():
            if word in words:
                return meaning
        try:
            value = float(word)
        except ValueError:
            return None
    if isinstance(value, (bool, int, float)) and value in (0, 1):
        return bool(value)
    return None
