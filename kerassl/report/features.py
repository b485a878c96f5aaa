"""The page and the tables of `features`: the feature spaces of several networks, compared.

The `figures` are what `features.feature_geometry` returns.
"""

from __future__ import annotations

from collections.abc import Mapping

from kerassl.report.render import Cell, Column, Table, figures_table, number, render

LEVEL_FIGURES = {
    "width": Column("channels", form="d"),
    "effective_rank_centered": Column(
        "effective rank", "directions that images spread over, after centering (RankMe)", ".1f"
    ),
    "effective_rank": Column("effective rank, uncentered", "the same before centering, as pre-training logs it", ".1f"),
    "spectrum_exponent": Column("decay", "power-law exponent of the variances; far above 1, few directions hold all"),
    "intrinsic_dimension": Column(
        "dimension", "numbers needed to place an image, on curved surfaces too (TwoNN)", ".1f"
    ),
    "knn_accuracy": Column("kNN accuracy", "how often the nearest neighbors have the class of the image", ".1%"),
    "scatter_ratio": Column("separation", "variance between classes over variance within; about 1 is chance"),
}
_EMBEDDING = {
    "alignment": "mean squared distance of two views of an image on the unit sphere: 0 is identical, 2 is chance",
    "uniformity": "how evenly the images cover the sphere: 0 all in one point, about −4 evenly",
}
_HOMOLOGY = {
    "loops": "rings of images that last over a threefold range of scales or more",
    "longest_loop": "scale at which the most persistent ring fills, over that of its birth",
    "last_join": "scale at which the last component joins the others, in median distances",
}
_TARGETS = {"x": "center x", "y": "center y", "log_size": "size"}
_SOURCES = {"pooled": "mean over locations", "map": "all locations"}


def levels_table(figures: Mapping) -> Table:
    """Return the figures of each level of each network."""
    networks = figures["models"].items()
    levels = {f"{name}, {layer}": one for name, each in networks for layer, one in each["layers"].items()}
    return figures_table(levels, LEVEL_FIGURES)


def embedding_table(figures: Mapping) -> Table:
    """Return what is known of each network's embedding: views, neighbors, position and size of objects, topology."""
    networks, overlap = list(figures["models"].values()), figures["overlap"]
    rows = [(key, text, [one[key] for one in networks], ".2f") for key, text in _EMBEDDING.items()]
    for key in networks[0]["invariance"]:
        rows.append((f"invariance to {key}", "", [one["invariance"][key] for one in networks], ".2f"))
    for name, shares in zip(overlap["names"], overlap["matrix"]) if len(networks) > 1 else ():
        chance = f"share of the {figures['neighbors']} nearest images in common; by chance {overlap['chance']:.1%}"
        rows.append((f"neighbors shared with {name}", chance, shares, ".1%"))
    for key, target in _TARGETS.items() if "position_by_shape" in figures else ():
        shape = f"R² on images not fitted to; from the image's shape alone {number(figures['position_by_shape'][key])}"
        for source, text in _SOURCES.items():
            known = [one["position"][source][key] for one in networks]
            rows.append((f"object's {target} from {text}", shape, known, ".2f"))
    found = [one["homology"] for one in networks if "homology" in one]
    found = [{**one, "last_join": max(one["pieces"], default=0.0)} for one in found]
    for key, text in _HOMOLOGY.items() if len(found) == len(networks) else ():
        rows.append((key.replace("_", " "), text, [one[key] for one in found], "d" if key == "loops" else ".2f"))
    columns = dict.fromkeys(["", *figures["models"]], "")
    return Table(columns, [[Cell(name, text), *(number(one, form) for one in own)] for name, text, own, form in rows])


def features_text(figures: Mapping) -> str:
    """Return the tables for the terminal."""
    return f"{levels_table(figures).to_text()}\n\n{embedding_table(figures).to_text()}"


def features_page(figures: Mapping) -> str:
    """Return the page of the figures with `source`, `seen`, `minutes` and `machine`, as HTML."""
    return render(
        "features",
        title="Feature spaces compared",
        figures={"labels": None, **figures},
        networks={name: f"{figures['seen'][name]} ({one['network']})" for name, one in figures["models"].items()},
        levels=levels_table(figures),
        embedding=embedding_table(figures),
    )
