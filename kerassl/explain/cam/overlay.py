"""Class activation maps drawn over their images."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from kerassl._display import fitting_dpi, plotted, shortened
from kerassl._errors import UserError
from kerassl._io.files import whole
from kerassl.types import Detections

_TRUTH, _FOUND = "lime", "deepskyblue"


def overlay(image: np.ndarray, heatmap: np.ndarray, *, strength: float = 0.5) -> np.ndarray:
    """Draw a map over its image.

    Args:
        image: `[H, W, 3]` array in [0, 255].
        heatmap: `[H, W]` array in [0, 1].
        strength: float in [0, 1]. Share of the heatmap's color where it is 1; lower values show more of the image.

    Returns:
        `[H, W, 3]` uint8 array.

    Raises:
        UserError: if the two differ in size.

    Example:
        >>> shown = kerassl.explain.overlay(image, kerassl.explain.GradCAM(detector)(image)[0])
    """
    image, heatmap = np.asarray(image, np.float32), np.asarray(heatmap, np.float32)
    if image.shape[:2] != heatmap.shape or image.shape[2:] != (3,):
        raise UserError(f"the image is {image.shape} and its heatmap {heatmap.shape}; give [H, W, 3] and [H, W]")
    heatmap = np.clip(heatmap, 0.0, 1.0)
    colors = colormaps["inferno"](heatmap)[..., :3] * 255.0
    share = strength * np.sqrt(heatmap)[..., None]  # the root keeps weak evidence visible
    return np.clip(np.rint((1.0 - share) * image + share * colors), 0, 255).astype(np.uint8)


def side_by_side(
    images: np.ndarray,
    heatmaps_by_model: Mapping[str, np.ndarray],
    path: str | os.PathLike,
    boxes: Sequence[np.ndarray] | None = None,
    *,
    names: Sequence[str] | None = None,
    found: Mapping[str, Sequence[Detections]] | None = None,
    overwrite: bool = False,
) -> None:
    """Draw a grid, a row an image: the image, then the map of every model over it, with a scale of its colors.

    Args:
        images: `[N, H, W, 3]` array in [0, 255].
        heatmaps_by_model: dict from the model's name to `[N, H, W]` array in [0, 1], as `GradCAM` gives it. Explain the
            same class in all models.
        path: str or `pathlib.Path` of the image; the suffix gives the format (`.png`, `.jpg`, `.pdf`, `.svg`).
        boxes: None, or for each image an `[n, 4]` array of objects to be outlined, xyxy in pixels of `images`.
        names: None, or a name for each image, as that of its file, which is written below it.
        found: None, or dict from the model's name to a `Detections` for each image, in pixels of `images`, of which the
            one with the highest score is drawn and written below the map.
        overwrite: bool. Replace a file that is there already.

    Raises:
        UserError: if there is no image or model, numbers or sizes do not fit, the suffix is not an image's, or there is
            a file already and `overwrite` is false.

    Example:
        >>> heatmaps = {"self-supervised": GradCAM(ours)(images, 7), "random start": GradCAM(other)(images, 7)}
        >>> kerassl.explain.side_by_side(images, heatmaps, "gradcam.png")
    """
    images = np.asarray(images)
    if images.ndim != 4 or not len(images) or not heatmaps_by_model:
        raise UserError(f"images are {images.shape} and models {list(heatmaps_by_model)}; give one of both at least")
    for model, heatmaps in heatmaps_by_model.items():
        if np.shape(heatmaps) != images.shape[:3]:
            raise UserError(f"heatmaps of {model!r} are {np.shape(heatmaps)}; the images ask for {images.shape[:3]}")
    lists = {
        "boxes": boxes,
        "names": names,
        **{f"detections of {name!r}": each for name, each in (found or {}).items()},
    }
    for name, each in lists.items():
        if each is not None and len(each) != len(images):
            what = f"lists of {name}" if name == "boxes" else name
            raise UserError(f"there are {len(each)} {what} for {len(images)} images; give one an image")
    rows, columns = len(images), 1 + len(heatmaps_by_model)
    figure = Figure(figsize=(2.4 * columns + 0.7, 2.4 * rows + 0.6), layout="constrained")
    canvas = FigureCanvasAgg(figure)  # not pyplot, which keeps every figure until it is closed
    axes = figure.subplots(rows, columns, squeeze=False)
    for row, image in enumerate(images):
        panels = {"": np.clip(image, 0, 255).astype(np.uint8)}
        panels |= {name: overlay(image, heatmaps[row]) for name, heatmaps in heatmaps_by_model.items()}
        for axis, (name, panel) in zip(axes[row], panels.items()):
            axis.imshow(panel)
            axis.set_axis_off()
            if row == 0:
                lines = textwrap.wrap(shortened(name or "image", 78), 26)
                axis.set_title("\n".join(map(plotted, lines)), fontsize=10)
            for box in [] if boxes is None else np.asarray(boxes[row], float).reshape(-1, 4):
                axis.add_patch(_frame(box, _TRUTH, "--"))
            text = "" if names is None else plotted(names[row], 30)
            if name:
                text = _best(axis, found[name][row]) if found and name in found else ""
            axis.text(0.5, -0.02, text, ha="center", va="top", transform=axis.transAxes, fontsize=8)
    scale = ScalarMappable(Normalize(0, 1), "inferno")
    figure.colorbar(scale, ax=axes, shrink=max(0.3, 0.8 / rows), label="relative saliency", ticks=[0, 0.5, 1])
    handles = [] if boxes is None else [Line2D([], [], color=_TRUTH, ls="--", label="ground truth")]
    handles += [Line2D([], [], color=_FOUND, label="detection")] if found else []
    if handles:
        figure.legend(handles=handles, loc="outside lower left", ncols=2, frameon=False, fontsize=9)
    if str(path).rsplit(".", 1)[-1].lower() not in canvas.get_supported_filetypes():
        raise UserError(f"{path} does not end like an image; end it in .png, .jpg, .pdf or .svg")
    with whole(path, overwrite=overwrite) as part:
        canvas.print_figure(part, dpi=fitting_dpi(figure, 100))


def _best(axis, found):
    """Draw the detection with the highest score, and return its class and score."""
    if not len(found):
        return "not detected"
    best = int(np.argmax(found.scores))
    axis.add_patch(_frame(found.boxes[best], _FOUND, "-"))
    label = int(found.classes[best])
    name = f"class {label}" if found.class_names is None else found.class_names[label]
    return f"{plotted(name, 24)} {found.scores[best]:.2f}"


def _frame(box, color, style):
    # Pixel centers are at whole numbers in an image, edges half a pixel before them.
    x0, y0, x1, y1 = (float(side) - 0.5 for side in box)
    rim = [withStroke(linewidth=3.2, foreground="black", alpha=0.6)]  # visible on any background
    return Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=color, ls=style, lw=1.6, path_effects=rim)
