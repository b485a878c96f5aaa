"""The figures of `features.geometry` in words: as a page and as a table in plain letters."""

import numpy as np

from kerassl._display import marked_up, printable
from kerassl.report import features_plots as geometry_plots
from kerassl.report import render as report

# What stands in the table of levels: key, heading, digits, what it means in words.
LEVEL_FIGURES = {
    "width": ("channels", "d", "how many numbers the level gives for an image"),
    "effective_rank_centred": (
        "directions used", ".1f",
        "how many directions the images spread over once what they all share is taken off (effective rank, RankMe). "
        "Higher: a richer description. Near 1: all images differ in one way only",
    ),
    "effective_rank": (
        "shared part left in", ".1f",
        "the directions used, by the very definition that pre-training logs for its embeddings",
    ),
    "spectrum_exponent": (
        "decay", ".2f",
        "how fast the variance falls from one direction to the next (exponent of a power law). About 1 is a good "
        "balance; far above 1 a few directions hold nearly everything",
    ),
    "intrinsic_dimension": (
        "dimension", ".1f",
        "how many numbers would be needed to say where an image lies among the others (TwoNN); it sees curved "
        "surfaces, which the directions used do not",
    ),
    "knn_accuracy": (
        "neighbour tells class", ".1%",
        "how often an image's nearest other images tell its class; nothing is trained",
    ),
    "scatter_ratio": (
        "classes apart", ".2f",
        "variance between classes over that within them, each by its degrees of freedom; about 1 is chance",
    ),
}  # fmt: skip
_OPERATIONS = {
    "crop": "cut to a part and enlarged",
    "flip": "mirrored left to right",
    "brightness": "made lighter or darker",
    "contrast": "contrast changed",
    "saturation": "colours made stronger or weaker",
    "hue": "colours turned",
    "grey": "colours taken out",
    "blur": "blurred",
}
_TARGETS = {"x": "left to right", "y": "top to bottom", "log_size": "size"}


def page(figures):
    """The page of what `features.geometry` found.

    Args:
        figures: its dict, with `source`, `seen`, `minutes` and `machine`.

    Returns:
        str, HTML that needs no other file.
    """
    title = "Feature spaces compared"
    parts = [
        f"<h1>{title}</h1>",
        "<p>A network turns an image into a list of numbers, its features: a point in a space. Images that it takes "
        f"for alike lie near each other there. This page describes these spaces for {len(figures['arms'])} networks "
        f"(arms) on the same {figures['images']} images of {marked_up(figures['source'])}, at "
        f"{figures['image_size']} pixels. Nothing was trained for it.</p>",
        "<p class='note'>The figures tell of these images and are for comparing arms on one page: other images, "
        "another number of them or another image size give other figures. No single one says which network is "
        "better.</p>",
        _arms(figures),
        _levels(figures),
        *_drawn(figures),
        _spread(figures),
        _overlap(figures),
        _position(figures),
        _homology(figures),
        "<h2>Settings and machine</h2>"
        f"<p>{marked_up(figures['machine'])}; {figures['minutes']:.1f} minutes. Views: SimCLR's, each operation by "
        "itself in its full strength, on the middle square of each image. Features: the mean of a level's map over "
        "the letterboxed image. Everything is in the json beside this page, and defined in docs/geometry.md.</p>",
    ]
    return report.page(title, [part for part in parts if part])


def table_text(figures):
    """The figures of the embedding, arm by arm, in plain letters."""
    level, arms = figures["embedding"], figures["arms"]
    rows = {
        f"{level}: {heading}": [_number(arm["layers"][level].get(key), form) for arm in arms.values()]
        for key, (heading, form, _) in LEVEL_FIGURES.items()
    }
    for name in ("alignment", "uniformity"):
        rows[name] = [_number(arm[name], ".2f") for arm in arms.values()]
    for name in _OPERATIONS:
        rows[f"invariance to {name}"] = [_number(arm["invariance"][name], ".2f") for arm in arms.values()]
    if "position_by_shape" in figures:
        for source in ("pooled", "map"):
            for target in _TARGETS:
                values = [arm["position"][source][target] for arm in arms.values()]
                rows[f"R² of {target}, {source}"] = [_number(value, ".2f") for value in values]
    width = max(map(len, rows)) + 2
    names = list(map(printable, arms))
    columns = [max(10, len(name) + 2) for name in names]
    lines = [("", names), *((head, row) for head, row in rows.items() if set(row) != {"–"})]
    return "\n".join(
        head.ljust(width) + "".join(value.rjust(column) for value, column in zip(row, columns)) for head, row in lines
    )


def _number(value, form):
    return "–" if value is None else format(value, form)


def _arms(figures):
    items = "".join(
        f"<li><b>{marked_up(name)}</b>: {marked_up(figures['seen'][name])} ({marked_up(arm['network'])})</li>"
        for name, arm in figures["arms"].items()
    )
    return f"<ul>{items}</ul>"


def _levels(figures):
    keys = [
        key
        for key in LEVEL_FIGURES
        if any(key in level for arm in figures["arms"].values() for level in arm["layers"].values())
    ]
    heads = "".join(f"<th title='{marked_up(LEVEL_FIGURES[key][2])}'>{LEVEL_FIGURES[key][0]}</th>" for key in keys)
    body = ""
    for name, arm in figures["arms"].items():
        for layer, level in arm["layers"].items():
            cells = "".join(f"<td>{_number(level.get(key), LEVEL_FIGURES[key][1])}</td>" for key in keys)
            body += f"<tr><th>{marked_up(name)}, {layer}</th>{cells}</tr>"
    chance = ""
    if "labels" in figures:
        labels = figures["labels"]
        chance = (
            f" The class is that of the largest object ({labels['images']} images of {labels['classes']} classes); "
            f"always saying the most frequent one is right in {labels['most_frequent']:.1%}."
        )
    legend = "".join(f"<li><b>{LEVEL_FIGURES[key][0]}</b>: {LEVEL_FIGURES[key][2]}.</li>" for key in keys)
    return (
        "<h2>Level by level</h2><p>P3 is early and fine (a cell for 8 pixels), P5 late and coarse (32); "
        f"{figures['embedding']} is taken for the embedding below.{chance}</p><table><thead><tr><th></th>{heads}</tr>"
        f"</thead><tbody>{body}</tbody></table><ul>{legend}</ul>"
    )


def _drawn(figures):
    yield report.picture(
        "What each network ignores",
        "1: the embedding does not notice what was done to the image. 0: the image has moved as far as to any other "
        "image. Contrastive pre-training asks for high bars. Low ones are no fault in themselves: a detector that has "
        "to tell left from right, or red from green, needs what was not ignored.",
        geometry_plots.invariance(figures),
    ) + (
        "<details><summary>the operations</summary><ul>"
        + "".join(f"<li><b>{name}</b>: {says}</li>" for name, says in _OPERATIONS.items())
        + "</ul></details>"
    )
    yield report.picture(
        "How the variance is spread",
        "Share of the variance in each direction, the largest first; both axes are logarithmic. A line that falls "
        "slowly belongs to a network that tells images apart in many ways. The thick part was fitted for the decay.",
        geometry_plots.spectra(figures),
    )
    yield report.picture(
        "Which layers see alike",
        "Each layer of each arm against each other one: 1 (dark) if both arrange the images in the same way, whatever "
        "the directions and the scale; 0 if they have nothing to do with each other (linear CKA, debiased: without "
        "it few images make all layers look alike).",
        geometry_plots.cka(figures),
    )


def _spread(figures):
    rows = "".join(
        f"<tr><th>{marked_up(name)}</th><td>{_number(arm['alignment'], '.2f')}</td>"
        f"<td>{_number(arm['uniformity'], '.2f')}</td></tr>"
        for name, arm in figures["arms"].items()
    )
    return (
        "<h2>Views together, images apart</h2>"
        "<table><thead><tr><th></th><th>alignment</th><th>uniformity</th></tr></thead>"
        f"<tbody>{rows}</tbody></table><ul><li><b>alignment</b>: how far apart two views of one image lie (mean "
        "squared distance at length 1): 0 on one point, 2 no nearer than chance.</li><li><b>uniformity</b>: how evenly "
        "the images fill the sphere: 0 all on one point, about −4 evenly spread. Good features have both low.</li></ul>"
    )


def _overlap(figures):
    overlap = figures["overlap"]
    if len(overlap["names"]) < 2:
        return ""
    heads = "".join(f"<th>{marked_up(name)}</th>" for name in overlap["names"])
    rows = "".join(
        f"<tr><th>{marked_up(name)}</th>" + "".join(f"<td>{_number(value, '.1%')}</td>" for value in row) + "</tr>"
        for name, row in zip(overlap["names"], overlap["matrix"])
    )
    return (
        "<h2>Do they find the same images alike?</h2>"
        f"<p>The share of an image's {figures['neighbours']} nearest images that two arms have in common; arms that "
        f"have nothing to do with each other share {overlap['chance']:.1%}.</p>"
        f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _position(figures):
    if "position_by_shape" not in figures:
        return ""
    heads = "".join(f"<th>{says}</th>" for says in _TARGETS.values())
    sources = {"pooled": "the mean over the cells", "map": f"all cells of {figures['embedding']}"}
    lines = [
        (f"{marked_up(name)}: {sources[source]}", arm["position"][source])
        for name, arm in figures["arms"].items()
        for source in sources
    ]
    lines.append(("the picture's shape alone", figures["position_by_shape"]))
    rows = "".join(
        f"<tr><th>{name}</th>" + "".join(f"<td>{_number(values[target], '.2f')}</td>" for target in _TARGETS) + "</tr>"
        for name, values in lines
    )
    return (
        "<h2>Do the features still know where the object is?</h2>"
        "<p>How much of the place of the largest object's centre, and of its size, a linear map reads from the "
        "features of images that it was not fitted to (R²): 1 all of it, 0 nothing beyond the mean, below 0 worse than "
        "that. A detector needs the cells to know it. The last row knows only how wide and high the picture is.</p>"
        f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _homology(figures):
    arms = {name: arm["homology"] for name, arm in figures["arms"].items() if "homology" in arm}
    if not arms:
        return ""
    rows = "".join(
        f"<tr><th>{marked_up(name)}</th><td>{one['points']}</td><td>{one['loops']}</td>"
        f"<td>{one['longest_loop']:.2f}</td><td>{np.max(one['pieces'], initial=0.0):.2f}</td></tr>"
        for name, one in arms.items()
    )
    return (
        "<h2>Does the cloud have holes?</h2>"
        "<table><thead><tr><th></th><th>images</th><th>loops</th><th>longest loop</th><th>last join</th></tr></thead>"
        f"<tbody>{rows}</tbody></table><ul><li><b>loops</b>: rings of images with nothing inside that are no accident "
        "of the sample (they close at one scale and fill at three times that or more). One "
        "appears where images differ by something that goes round, as an angle.</li><li><b>longest loop</b>: how many "
        "times the scale of its birth the most lasting ring lives to.</li><li><b>last join</b>: the scale at which the "
        "last piece joins the others, in units of the median distance of two images; near 1 the cloud is one piece "
        "whose members are all about as far apart.</li></ul>"
    )
