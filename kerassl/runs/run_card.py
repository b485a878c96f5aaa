"""What a run's folder says of a model in it, for the card of its servable."""

import logging
import pathlib

from kerassl._errors import UserError
from kerassl._io.yaml import read_yaml
from kerassl.runs.kept import read_kept

log = logging.getLogger("kerassl")


def run_card(path):
    """Data, settings and figures of the run that a model's file stands in.

    Args:
        path: str or `pathlib.Path` of a `detector.keras` or `localizer.keras`; in a comparison it stands two folders
            below `config.yaml`.

    Returns:
        Dict of those of `data`, `training`, `backbone` and `metrics` that are there; empty for a model without a run.
    """
    path = pathlib.Path(path).resolve()
    card = {}
    figures = path.with_suffix(".json")
    kept = read_kept(figures)
    if kept is not None:
        card["metrics"] = kept
    for folder in path.parents[:3]:
        if (folder / "config.yaml").is_file():
            config = _settings(folder / "config.yaml")
            card |= {"data": config.get("data"), "backbone": config.get("backbone"), "training": config.get(path.stem)}
            break
    return card


def _settings(path):
    remedy = "the card goes without data and settings"
    try:
        config = read_yaml(path, remedy)
    except UserError as error:
        log.warning("%s", error)
        return {}
    if not isinstance(config, dict):
        log.warning("%s holds no settings; %s", path, remedy)
        return {}
    return config
