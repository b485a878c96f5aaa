"""The page of `audit`."""

from __future__ import annotations

from collections.abc import Mapping

from kerassl.report.render import Cell, Table, number, render

EXAMPLES = 4
"""Images that are shown of each recurring region."""
_COLUMNS = {
    "class": ("class", "the class that is explained"),
    "right": ("right", "whether the model predicts the class (a detector: finds it)"),
    "score": ("score", "of the class, 0 to 1"),
    "best": ("best", "the class with the highest score"),
    "energy": ("energy", "share of the saliency in the objects' boxes"),
    "area": ("area", "share of the image in the objects' boxes: the energy of a uniform map"),
    "pointing": ("pointing", "1 if the most salient pixel is within 15 pixels of an object"),
    "wrong_reason": ("wrong reason", "right, with an energy below the area and below a half"),
    "off_object": ("off object", "the most salient pixel is off every object"),
    "mark": ("region", "the image shows a recurring region that the model uses"),
}
_OF_CLASS = ("images", "right", "energy", "area", "pointing", "wrong_reason", "off_object")


def audit_page(content: Mapping, drawn: Mapping, patches: Mapping) -> str:
    """Return the page as HTML.

    Args:
        content: what `audit.json` holds, and `images`, the number of images.
        drawn: dict from (image, class) to the data URI of the image with its map.
        patches: dict from (class, region) to the data URI of the mean of the region.
    """
    by_class = dict(_COLUMNS[key] for key in _OF_CLASS[1:])
    by_image = {name: "" if key in _OF_CLASS else text for key, (name, text) in _COLUMNS.items()}
    classes = [[name, *(_cell(row[key]) for key in _OF_CLASS)] for name, row in content["classes"].items()]
    images = [Cell(row["image"], image=drawn.get((row["image"], row["class"]), "")) for row in content["rows"]]
    rows = [[image, *(_cell(row[key]) for key in _COLUMNS)] for image, row in zip(images, content["rows"])]
    return render(
        "audit",
        title="Audit of class activation maps",
        content=content,
        patches=patches,
        drawn=drawn,
        examples=EXAMPLES,
        by_class=Table({"class": "", "images": "", **by_class}, classes),
        rows=Table({"image": "", **by_image}, rows),
    )


def _cell(value):
    if isinstance(value, bool):
        return Cell("yes" if value else "", value=int(value))
    if value is None or isinstance(value, float):
        return Cell(number(value), value="" if value is None else value)
    return str(value)
