"""The result of an audit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Audit:
    """The result of `audit_model`.

    Attributes:
        classes: tuple of str.
        rows: list of dicts, an image and class each, the worst first: `image`, `path`, `class`, `right` (bool),
            `score` (of the class, in [0, 1]), `best` (the class with the highest score), `energy`, `pointing` (as
            `saliency_metrics` has them, None where the heatmap is 0 everywhere), `area` (the objects' share of the
            image), `wrong_reason` and `off_object` (bool), `mark` (bool: the image shows a region of `findings`).
        findings: list of dicts, the regions that recur in images of a class, attract its saliency and raise its score:
            `class`, `region` (xyxy in shares of width and height), `images` (ids), `share` of the class's images,
            `saliency`, `saliency_elsewhere`, `area`, `agreement`, as of `RecurringRegion`, `fall` and `fall_elsewhere`
            (of the class's score when the region is painted over, in these images and of other classes in theirs)
            and `p_value`, the largest of the three tests'.
        unused: list of dicts, the same of the other regions that recur.
    """

    classes: tuple
    rows: list
    findings: list
    unused: list

    def by_class(self) -> dict[str, dict[str, Any]]:
        """Return a dict from class to its averages, as `figures`; most wrong reasons first."""
        names = {row["class"] for row in self.rows}
        found = {name: _averages([row for row in self.rows if row["class"] == name]) for name in names}
        return dict(
            sorted(found.items(), key=lambda item: (-item[1]["wrong_reason"], item[1]["energy"] or 0.0, item[0]))
        )

    def figures(self) -> dict[str, Any]:
        """Return `images` (the number), the means of `right`, `energy`, `area` and `pointing`, and how many rows have
        `wrong_reason` and `off_object`."""
        return _averages(self.rows)

    def regions(self) -> dict[str, list]:
        """Return the regions of `findings` by class, as `erase` of `datasets.single_object_batches` takes them."""
        found: dict[str, list] = {}
        for finding in self.findings:
            found.setdefault(finding["class"], []).append(finding["region"])
        return found


def _averages(rows):
    known = {name: [row[name] for row in rows if row[name] is not None] for name in ("energy", "pointing")}
    right = [row for row in rows if row["right"]]
    return {
        "images": len(rows),
        "right": len(right) / len(rows),
        "energy": float(np.mean(known["energy"])) if known["energy"] else None,
        "area": float(np.mean([row["area"] for row in rows])),
        "pointing": float(np.mean(known["pointing"])) if known["pointing"] else None,
        "wrong_reason": sum(row["wrong_reason"] for row in rows),
        "off_object": sum(row["off_object"] for row in rows),
    }
