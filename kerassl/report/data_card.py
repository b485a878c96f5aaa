"""The card of a data set, as text and as an image."""

from __future__ import annotations

import os

import numpy as np

from kerassl._display import plotted, printable
from kerassl._io import files as _files
from kerassl.datasets.card import QUANTILES, ImageCard, LabelCard, quantiles
from kerassl.datasets.duplicates import Duplicates
from kerassl.report import plots
from kerassl.report.render import Table

_CLASSES = 40  # in the plot


def card_text(images: ImageCard, labels: LabelCard | None = None, duplicates: Duplicates | None = None) -> str:
    """Return the card of a data set as lines of text."""
    lines = [
        f"images: {images.count:,} ({images.bytes / 2**20:,.1f} MiB)",
        "formats: " + ", ".join(f"{name} {count:,}" for name, count in images.formats.most_common()),
        f"rotated by EXIF: {images.rotated:,}",
        *_duplicate_lines(duplicates),
        f"broken: {len(images.broken):,}",
        *_first(10, [f"  {path} {reason}" for path, reason in images.broken]),
    ]
    sizes = [(name, values, ",.0f") for name, values in _sides(images).items() if len(values)]
    classes = []
    if labels is not None:
        total, difficult = int(labels.boxes.sum()), int(labels.difficult.sum())
        empty = int((labels.per_image == 0).sum())
        lines.append(f"annotated: {len(labels.per_image):,} images, {empty:,} of them without a box")
        lines.append(f"boxes: {total:,}, {difficult:,} of them difficult; {labels.crowds:,} crowd regions not counted")
        lines += [f"{kind}: {len(places):,}, as {places[0]}" for kind, places in labels.faults.items()]
        # The side of a square of the box's area, over that of its image's.
        sizes += [("boxes per image", labels.per_image, ".0f"), ("relative size", labels.sizes, ".3f")] if total else []
        for place in np.argsort(-labels.boxes, kind="stable"):
            boxes, own, hard = (each[place] for each in (labels.boxes, labels.images, labels.difficult))
            row = [f"{boxes:,}", f"{boxes / max(total, 1):.1%}", f"{own:,}", f"{hard:,}"]
            classes.append([labels.classes[place], *row])
    rows = [[name, *(format(each, form) for each in quantiles(values).values())] for name, values, form in sizes]
    tables = {("", *QUANTILES): rows, ("class", "boxes", "share", "images", "difficult"): classes}
    texts = [Table(dict.fromkeys(columns, ""), rows).to_text() for columns, rows in tables.items() if rows]
    return "\n\n".join(["\n".join(map(printable, lines)), *texts])


def _sides(images):
    short = np.minimum(images.heights, images.widths)
    return {"height, px": images.heights, "width, px": images.widths, "short side, px": short}


def _duplicate_lines(duplicates):
    """Return the number of copies in all, and those of each pair of splits with the first names."""
    if duplicates is None:
        return ["duplicates: not searched"]
    several = len(duplicates.images) > 1
    compared = f" (of {', '.join(duplicates.images)})" if several else ""
    lines = [f"duplicates{compared}: {_counted(duplicates.found)}"]
    for number, split in enumerate(duplicates.images, 1):
        for earlier in list(duplicates.images)[:number]:
            found = duplicates.between(earlier, split)
            if found and several:
                where = f"within {split}" if earlier == split else f"in {split} of {earlier}"
                lines.append(f"  copies {where}: {_counted(found)}")
            lines += _first(
                3, [f"  {each.path} {'=' if each.kind == 'exact' else '~'} {each.original}" for each in found]
            )
    return lines


def _counted(found):
    near = sum(each.kind == "near" for each in found)
    return f"{len(found):,}" + (f", {near:,} of them resized, re-encoded or turned" if near else "")


def _first(most, lines):
    return [*lines[:most], f"  and {len(lines) - most:,} more"] if len(lines) > most else lines


def draw_card(
    images: ImageCard,
    labels: LabelCard | None,
    path: str | os.PathLike,
    title: str,
    *,
    duplicates: Duplicates | None = None,
    overwrite: bool = False,
) -> None:
    """Draw the card of one readable image or more into an image file, whose suffix selects the format."""
    shown, height = _sides(images), 3.2
    counts = {"images": images.count, "broken": len(images.broken)}
    if duplicates is not None:
        across = sum(each.split != each.original_split for each in duplicates.found)
        counts["duplicates"] = len(duplicates.found) - across
        counts |= {"duplicates across splits": across} if len(duplicates.images) > 1 else {}
    if labels is not None:
        shown |= {"boxes per image": labels.per_image, "box: side relative to image": labels.sizes}
        height = 1.6 + max(1.6, 0.1 * min(len(labels.classes), _CLASSES))
        faults = sum(map(len, labels.faults.values()))
        counts |= {"boxes": labels.boxes.sum(), "faults in labels": faults, "classes": len(labels.classes)}
    figure, panels = plots.subplots(len(shown) + (labels is not None), size=(3.8, height))
    figure.suptitle(f"{plotted(title)}: {', '.join(f'{count:,} {name}' for name, count in counts.items())}")
    for axes, (name, values) in zip(panels, shown.items()):
        axes.hist(values, np.arange(np.max(values, initial=0) + 2) - 0.5 if name == "boxes per image" else 40)
        median = f"median {np.median(values):.3g}" if len(values) else "none"
        axes.set_title(f"{name} ({median})", fontsize=10)
        axes.set_ylabel("boxes" if name.startswith("box:") else "images", fontsize=9)
    if labels is not None:
        _classes(panels[-1], labels)
    with _files.whole(path, overwrite=overwrite) as part:
        figure.savefig(part, dpi=130)


def _classes(axes, labels):
    order = np.argsort(-labels.boxes, kind="stable")[:_CLASSES]
    places = np.arange(len(order))
    axes.barh(places - 0.2, labels.boxes[order], 0.4, color=plots.COLORS[0], label="boxes")
    axes.barh(places + 0.2, labels.images[order], 0.4, color=plots.COLORS[4], label="images")
    axes.set_yticks(places, [plotted(labels.classes[place], 40) for place in order], fontsize=8)
    axes.set_ylim(len(order) - 0.4, -0.6)
    if labels.boxes.max(initial=0) > 50 * max(1, np.median(labels.boxes)):
        axes.set_xscale("log")
    more = len(labels.classes) - len(order)
    axes.set_title(f"the {len(order)} most frequent classes; {more} more" if more else "classes", fontsize=10)
    axes.legend(fontsize=8, frameon=False, loc="lower right")
