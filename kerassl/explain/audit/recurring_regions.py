"""Regions that recur at one place in images of a class and attract its saliency."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tqdm

from kerassl.explain.audit.matching import SIDE, agreement, crops, normed, shifts_to
from kerassl.explain.audit.off_object import saliency_in
from kerassl.explain.audit.windows import all_windows

MATCH = 0.5
"""Two images show the same in a window where they correlate by this much."""

_MARGIN = SIDE // 5  # pixels around a window in which the whole of what recurs is looked for
_HALO = 3  # pixels that outlines and blurring add to it on each side
_MOST = 1000  # images that are compared with each other


@dataclasses.dataclass(frozen=True, eq=False)
class RecurringRegion:
    """Something that recurs at one place in images of a class.

    Attributes:
        class_id: int.
        region: `[4]` float array, xyxy in shares of the image's width and height. It holds the thing in four fifths
            of its images on each side.
        images: `[n]` int array, the images that show it, best first.
        share: float in (0, 1], how many of the class's images these are.
        agreement: float, the mean correlation of two of them, of their outlines, laid over each other.
        saliency: float, the mean share of these images' saliency in the region, widened by the blur of heatmaps, and on
            no object.
        saliency_elsewhere: float, the same in images of other classes.
        area: float, the mean share of the region, as widened, in the area of these images.
        p_recurs, p_saliency: float, how often chance alone would do as much; see `recurring_regions`.
        drawn: bool. Whether it attracts the saliency.
    """

    class_id: int
    region: np.ndarray
    images: np.ndarray
    share: float
    agreement: float
    saliency: float
    saliency_elsewhere: float
    area: float
    p_recurs: float
    p_saliency: float
    drawn: bool

    @property
    def p_value(self) -> float:
        """Return the larger of both p-values."""
        return max(self.p_recurs, self.p_saliency)


def recurring_regions(
    edge_maps: np.ndarray,
    sizes: np.ndarray,
    present: np.ndarray,
    saliency: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    blur: float = 0.0,
    level: float = 0.01,
    least: int = 4,
    permutations: int = 999,
    seed: int = 0,
    verbose: int = 0,
) -> list[RecurringRegion]:
    """Find regions that recur at one place in images of one class, and test whether they attract its saliency.

    **It recurs.** In each of some 240 windows (`windows.all_windows`) two images match where their outlines
    correlate by `MATCH` or more, up to small shifts (`matching`); images that match in half of the windows are
    doubles of one another and their matches are not counted. With `k` matches among the class's own images and `e`
    expected if all matches were spread evenly over all pairs, the excess is `2 (sqrt(k) - sqrt(e))`. The labels of the
    images are permuted; from the excess its mean over the permutations is taken, and it is divided by its deviation,
    or by 1 if that is larger: 1 is that of independent matches. `p_recurs` is how often the largest of *any* window and
    *any* class is at least as high (Westfall and Young's maximum, which corrects for all windows and classes). It is at
    most `level`, and the thing is in `least` images or more that match one another.

    **It attracts saliency.** For each that recurs, the share of saliency in its region, widened by `blur`, and on no
    object: of the class in the images that show it, against that of other classes in images without this one.
    `p_saliency` is how often a permutation of these shares gives as high a difference of the means, times the number of
    regions that recur (Bonferroni). It is at most `level`; and the mean share is at least that of the region in the
    image's area, and one and a half times that of the other classes.

    So `level` bounds the chance that a data set in which nothing recurs gives any region at all. What has no outlines
    (a tint, a plain backdrop) or no fixed place, or is common to all classes, is not found.

    Args:
        edge_maps: `[N, SIDE, SIDE]` float32 array of `matching.edges`.
        sizes: `[N, 2]` array, the images' (height, width) in units of their long side.
        present: `[N, C]` bool array, the classes of each image.
        saliency: (owners, labels, grids): `[E]` int, the image of each heatmap; `[E]` int, its class;
            `[E, GRID, GRID]` float, as `off_object.off_object_saliency` gives it.
        blur: float, in units of the long side: the blur of heatmaps, half a location of their feature map.
        level: float in (0, 1).
        least: int, the fewest images that something recurs in, 3 or more.
        permutations: int.
        seed: int.
        verbose: 0 or 1. Whether to show a progress bar.

    Returns:
        List of `RecurringRegion`, those that attract saliency first, by their saliency.

    Reference:
        Westfall and Young, "Resampling-Based Multiple Testing", 1993. Lapuschkin et al., "Unmasking Clever Hans
        Predictors and Assessing What Machines Really Learn", 2019.
    """
    windows = all_windows()
    random = np.random.default_rng(seed)
    some = np.sort(random.permutation(len(edge_maps))[:_MOST])
    sizes, present = np.asarray(sizes, float)[some], np.asarray(present, bool)[some]
    edge_maps = edge_maps[some]
    if not (present.sum(axis=0) >= least).any():
        return []
    matches = _matches(edge_maps, sizes, windows, verbose)
    orders = np.stack([np.arange(len(some)), *(random.permutation(len(some)) for _ in range(permutations))])
    excess = np.stack([_excess(pairs, present, orders, least) for pairs, _ in matches], axis=1)  # [1 + P, W, C]
    excess = (excess - excess.mean(axis=0)) / np.maximum(excess.std(axis=0), 1.0)
    highest = excess.max(axis=(1, 2))
    chance = (highest[None, None] >= excess[0][..., None]).mean(axis=-1)  # [W, C]
    marks: list[dict[str, Any]] = []
    for class_id in np.flatnonzero((chance <= level).any(axis=0)):
        order = [window for window in np.argsort(-excess[0, :, class_id]) if chance[window, class_id] <= level]
        for window in order:
            mark = _mark(edge_maps, sizes, present[:, class_id], windows[window], matches[window], least)
            if mark and not any(_same(mark, other) for other in marks if other["class_id"] == class_id):
                marks.append({**mark, "class_id": class_id, "chance": chance[window, class_id]})
    return _with_saliency(marks, some, sizes, present, saliency, blur, level, permutations, random)


def _matches(edge_maps, sizes, windows, verbose):
    """For each window the pairs `[n, 2]` of images that match, and how well, `[n]`."""
    found, times = [], np.zeros([len(edge_maps)] * 2, np.uint16)
    for window in tqdm.tqdm(windows, desc="what recurs", unit="window", disable=not verbose):
        agreed = agreement(edge_maps, _corners(window, sizes), *_pixels(window))
        pairs = np.argwhere(np.triu(agreed >= MATCH, 1))
        times[tuple(pairs.T)] += 1
        found.append((pairs.astype(np.int32), agreed[tuple(pairs.T)]))
    doubles = times > len(windows) / 2
    kept = [~doubles[tuple(pairs.T)] for pairs, _ in found]
    return [(pairs[keep], values[keep]) for keep, (pairs, values) in zip(kept, found)]


def _excess(pairs, present, orders, least):
    """Return how many more matches than expected each order of the labels gives: `[orders, C]`."""
    count, classes = present.shape
    found = np.zeros([len(orders), classes])
    if not len(pairs):
        return found
    nodes, places = np.unique(pairs, return_inverse=True)
    matrix = np.zeros([len(nodes)] * 2, np.float32)
    matrix[tuple(places.reshape(pairs.shape).T)] = 1
    for class_id, own in enumerate(present.sum(axis=0)):
        if own >= least:
            labels = present[orders[:, nodes], class_id].astype(np.float32)  # [orders, nodes]
            within = np.einsum("on,on->o", labels @ matrix, labels)
            expected = len(pairs) * own * (own - 1) / (count * (count - 1))
            found[:, class_id] = 2 * (np.sqrt(within) - np.sqrt(expected))
    return found


def _mark(edge_maps, sizes, members, window, matches, least):
    """The images of a class that show one thing in a window, and where; None if they are too few."""
    (pairs, values), rows = matches, np.flatnonzero(members)
    agreed = np.zeros([len(edge_maps)] * 2, np.float32)
    agreed[tuple(pairs.T)] = values
    agreed = np.maximum(agreed, agreed.T)[np.ix_(rows, rows)]
    matched = agreed > 0
    center = np.argmax(matched.sum(axis=1) + agreed.sum(axis=1) / len(rows))
    around = matched[center].copy()
    around[center] = True
    # Chance matches with the center alone go, what another spelling of it matches comes.
    around = matched[:, around].sum(axis=1) >= max(2, around.sum() / 4)
    around[center] = True
    if around.sum() < least:
        return None
    around[center] = False
    shown = np.array([rows[center], *rows[around]])
    shown, corners = _like(shown, rows, edge_maps, sizes, window)
    if len(shown) < least:
        return None
    region = _region(edge_maps[shown], sizes[shown], corners, window)
    unit = normed(crops(edge_maps[shown], corners, *_pixels(window)))
    alike = (np.square(unit.sum(axis=0)).sum() - len(unit)) / (len(unit) * (len(unit) - 1))
    return {"shown": shown, "share": len(shown) / len(rows), "agreement": alike, "region": region}


def _like(shown, rows, edge_maps, sizes, window):
    """Those of `rows` that match the mean of the images `shown`, laid over the first of them.

    The mean shows what recurs without what is behind it, so that more is found than by pairs.

    Returns:
        The images, the best first, and the corners `[n, 2]` at which they match the mean.
    """
    corners = _corners(window, sizes)
    first = crops(edge_maps[shown[:1]], corners[shown[:1]], *_pixels(window))[0]
    shifts, _ = shifts_to(first, edge_maps[shown], corners[shown])
    mean = crops(edge_maps[shown], corners[shown] + shifts, *_pixels(window)).mean(axis=0)
    shifts, values = shifts_to(mean, edge_maps[rows], corners[rows])
    order = np.argsort(-values, kind="stable")
    order = order[values[order] >= MATCH]
    return rows[order], (corners[rows] + shifts)[order]


def _region(edge_maps, sizes, corners, window):
    """Return the region of what images show in a window, each from its corner on, as xyxy shares."""
    from scipy import ndimage

    corners = corners - _MARGIN
    height, width = (side + 2 * _MARGIN for side in _pixels(window))
    layers = crops(edge_maps, corners, height, width)
    inside = crops(_inside(sizes), corners, height, width)
    number = inside.sum(axis=0)
    squares = (layers**2).sum(axis=0)
    # The mean product of two images over the mean square: 1 where all agree, 0 where they are strangers.
    product = (layers.sum(axis=0) ** 2 - squares) / np.maximum(number * (number - 1), 1)
    blurred = [ndimage.gaussian_filter(part, 2.0) for part in (product, squares / np.maximum(number, 1))]
    alike = blurred[0] / np.maximum(blurred[1], 0.02)
    core = alike[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    solid = ndimage.binary_closing(np.pad(alike >= max(core.max() / 2, 0.2), 6), np.ones([3, 3]), 3)[6:-6, 6:-6]
    labels, _ = ndimage.label(solid, np.ones([3, 3]))
    weights = ndimage.sum_labels(
        np.maximum(core, 0), labels[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN], range(labels.max() + 1)
    )
    weights[0] = 0
    rows, columns = ndimage.find_objects(labels)[int(np.argmax(weights)) - 1] if weights.any() else (None, None)
    if rows is None:
        box = np.array([_MARGIN, _MARGIN, width - _MARGIN, height - _MARGIN])
    else:
        box = np.array([columns.start, rows.start, columns.stop, rows.stop])
        halo = np.minimum(_HALO, (box[2:] - box[:2] - 1) // 2)
        box = box + [*halo, *-halo]
    boxes = (np.tile(corners[:, ::-1], 2) + box) / np.tile(sizes[:, ::-1] * SIDE, 2)
    low, high = np.quantile(boxes[:, :2], 0.1, axis=0), np.quantile(boxes[:, 2:], 0.9, axis=0)
    return np.clip(np.concatenate([low, high]), 0.0, 1.0)


def _same(mark, other):
    """Whether two marks are one: they touch, and half of the one's images are the other's."""
    (left, top), (right, bottom) = (
        np.maximum(mark["region"][:2], other["region"][:2]),
        np.minimum(mark["region"][2:], other["region"][2:]),
    )
    both = len(np.intersect1d(mark["shown"], other["shown"]))
    return left < right and top < bottom and both >= min(len(mark["shown"]), len(other["shown"])) / 2


def _with_saliency(marks, some, sizes, present, saliency, blur, level, permutations, random):
    owners, labels, grids = saliency
    shapes = np.zeros([max(owners.max(initial=0), some.max()) + 1, 2])
    shapes[some] = sizes
    places = {image: place for place, image in enumerate(some)}
    found = []
    for mark in marks:
        class_id, shown = mark["class_id"], some[mark["shown"]]
        own = np.isin(owners, shown) & (labels == class_id)
        lacking = [owner in places and not present[places[owner], class_id] for owner in owners]
        other = np.array(lacking, bool) & (labels != class_id)
        shares = [
            saliency_in(grids[rows], _widened(mark["region"], shapes[owners[rows]], blur)) for rows in (own, other)
        ]
        inside, elsewhere = (float(each.mean()) if len(each) else 0.0 for each in shares)
        box = _widened(mark["region"], sizes[mark["shown"]], blur)
        area = float(np.mean(np.prod(box[:, 2:] - box[:, :2], axis=1) / np.prod(sizes[mark["shown"]], axis=1)))
        p_saliency = min(1.0, len(marks) * chance_of_difference(*shares, permutations, random))
        found.append(
            RecurringRegion(
                class_id=int(class_id),
                region=mark["region"],
                images=shown,
                share=float(mark["share"]),
                agreement=float(mark["agreement"]),
                saliency=inside,
                saliency_elsewhere=elsewhere,
                area=area,
                p_recurs=float(mark["chance"]),
                p_saliency=p_saliency,
                drawn=bool(p_saliency <= level and inside >= area and inside >= 1.5 * elsewhere),
            )
        )
    return sorted(found, key=lambda each: (-each.drawn, -each.saliency))


def _widened(region, sizes, blur):
    """A region in each image, `[N, 4]` in units of the letterbox's side, wider by `blur` within the image."""
    ends = np.tile(sizes[:, ::-1], 2)
    return np.clip(region * ends + [-blur, -blur, blur, blur], 0.0, ends)


def chance_of_difference(own: np.ndarray, other: np.ndarray, permutations: int, random: np.random.Generator) -> float:
    """Compute a one-sided p-value by permutation: how often values drawn from both have as high a mean as `own`."""
    if not len(own) or not len(other):
        return 1.0
    both = np.concatenate([own, other])
    drawn = [random.permutation(both)[: len(own)].mean() for _ in range(permutations)]
    return float((1 + np.sum(np.array(drawn) >= own.mean() - 1e-12)) / (1 + permutations))


def _inside(sizes):
    """`[N, SIDE, SIDE]`: 1 within each image, 0 in its margin."""
    ends = np.rint(np.asarray(sizes) * SIDE)
    steps = np.arange(SIDE)
    return ((steps[None, :, None] < ends[:, :1, None]) & (steps < ends[:, 1:, None])).astype(np.float32)


def _corners(window, sizes):
    return np.rint(window.corners(sizes) * SIDE).astype(int)


def _pixels(window):
    return round(window.height * SIDE), round(window.width * SIDE)
