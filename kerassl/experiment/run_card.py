"""What a run's folder says of a model in it, for the card of its servable."""

import json
import pathlib

from kerassl._yaml import read_yaml


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
    if figures.is_file():
        card["metrics"] = json.loads(figures.read_text("utf-8"))
    for folder in path.parents[:3]:
        if (folder / "config.yaml").is_file():
            config = read_yaml(folder / "config.yaml", "restore it, or move the model out of the folder")
            card |= {"data": config.get("data"), "backbone": config.get("backbone"), "training": config.get(path.stem)}
            break
    return card
