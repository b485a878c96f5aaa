"""One module a command (with `_` for `-`): `add_parser` and `run`."""
