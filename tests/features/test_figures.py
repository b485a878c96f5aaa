"""Figures of point clouds whose geometry is known."""

import math

import numpy as np
import pytest
from scipy.stats import ortho_group, special_ortho_group

from kerassl import UserError
from kerassl import features as spaces
from kerassl.features.persistent_homology import check_ripser
from kerassl.features.point_cloud import nearest
from kerassl.features.spectrum import fitted_ranks

pytestmark = pytest.mark.current_stack  # NumPy alone: both stacks would find out the same

TINY = 1e-18  # of the size of a random MobileNet's features


@pytest.fixture
def draw():
    return np.random.default_rng(0)


def test_nearest_neighbors_are_those_of_plain_loops(draw):
    points = 1e5 + draw.normal(size=[60, 3])
    points[7] = points[3]
    distances, places = nearest(points, 4)
    for row, point in enumerate(points):
        all_distances = [(math.dist(point, other), place) for place, other in enumerate(points) if place != row]
        assert places[row].tolist() == [place for _, place in sorted(all_distances)[:4]]
    # Distances are in a unit of their own.
    first = np.array([math.dist(points[0], points[place]) for place in places[0]])
    np.testing.assert_allclose(distances[0] / distances[0, 0], first / first[0], rtol=1e-9)
    assert distances[3, 0] == 0


def test_alignment_and_uniformity_are_those_of_plain_loops(draw):
    first, second = draw.normal(size=[2, 9, 4])
    unit = [[row / math.sqrt(sum(x * x for x in row)) for row in rows] for rows in (first, second)]
    mean = sum(sum((a - b) ** 2 for a, b in zip(one, other)) for one, other in zip(*unit)) / 9
    assert spaces.alignment(first, second) == pytest.approx(mean)
    total = sum(
        math.exp(-2 * sum((a - b) ** 2 for a, b in zip(unit[0][i], unit[0][j])))
        for i in range(9)
        for j in range(9)
        if i != j
    )
    assert spaces.uniformity(first) == pytest.approx(math.log(total / 72))


def test_effective_rank_is_that_of_pretraining(draw):
    from kerassl.models.embedding_statistics import embedding_statistics

    views = draw.normal(size=[40, 16]) * np.linspace(1, 3, 16)
    views = (views / np.linalg.norm(views, axis=1, keepdims=True)).astype(np.float32)
    logged = {name: float(value) for name, value in embedding_statistics(views).items()}
    assert spaces.effective_rank(views) == pytest.approx(logged["effective_rank"], rel=1e-4)


@pytest.mark.parametrize("scale", [1.0, TINY])
def test_effective_rank_is_the_number_of_equal_directions(draw, scale):
    for rank in (1, 4, 12):
        left, right = (np.linalg.qr(draw.normal(size=[size, rank]))[0] for size in (50, 30))
        assert spaces.effective_rank(scale * left @ right.T) == pytest.approx(rank)
    assert spaces.effective_rank(np.zeros([5, 3])) == 0


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_power_law_exponent_is_recovered(draw, exponent):
    eigenvalues = 1 / np.arange(1, 101) ** exponent
    assert spaces.power_law_exponent(eigenvalues, (1, 100)) == pytest.approx(exponent)
    assert spaces.power_law_exponent(7 * eigenvalues, (3, 40)) == pytest.approx(exponent)
    drawn = 1e-9 * draw.normal(size=[4000, 100]) * np.sqrt(eigenvalues) @ ortho_group.rvs(100, random_state=0)
    found = spaces.covariance_spectrum(drawn)
    assert found.sum() == pytest.approx(1)
    assert spaces.power_law_exponent(found, fitted_ranks(found, 400)) == pytest.approx(exponent, abs=0.05)


def test_covariance_spectrum_is_that_of_the_covariance(draw):
    for shape in ((50, 8), (8, 50)):
        features = draw.normal(size=shape) + 3
        expected = np.sort(np.linalg.eigvalsh(np.cov(features.T)))[::-1][: min(shape[0] - 1, shape[1])]
        np.testing.assert_allclose(spaces.covariance_spectrum(features), expected / expected.sum(), atol=1e-12)


@pytest.mark.parametrize(("dimension", "count"), [(2, 2000), (5, 3000), (10, 6000)])
def test_twonn_finds_the_dimension_of_a_gaussian(draw, dimension, count):
    points = draw.normal(size=[count, dimension]) @ ortho_group.rvs(20, random_state=0)[:dimension]
    assert spaces.intrinsic_dimension(TINY * points) == pytest.approx(dimension, rel=0.1)


def test_twonn_counts_equal_points_once(draw):
    points = draw.uniform(size=[1500, 2])
    once = spaces.intrinsic_dimension(points)
    assert spaces.intrinsic_dimension(np.concatenate([points, points[:100]])) == pytest.approx(once, rel=1e-9)
    with pytest.raises(UserError, match="9 of 18 points are different"):
        spaces.intrinsic_dimension(np.concatenate([points[:9], points[:9]]))


def test_cka_is_one_under_rotation_and_isotropic_scale(draw):
    features = draw.normal(size=[40, 6]) * np.arange(1, 7)
    turned = 5 - 3 * features @ special_ortho_group.rvs(6, random_state=0)
    assert spaces.linear_cka(features, turned) == pytest.approx(1)
    assert spaces.linear_cka(features, turned, debiased=True) == pytest.approx(1)
    assert spaces.linear_cka(features, TINY * features) == pytest.approx(1)
    assert spaces.linear_cka(features, features * np.arange(6, 0, -1)) < 0.9
    assert math.isnan(spaces.linear_cka(features, np.ones([40, 2])))


def test_both_formulas_of_cka_agree(draw):
    narrow, wide = draw.normal(size=[30, 8]), draw.normal(size=[30, 9])
    wide[:, :4] += narrow[:, :4]
    # Dimensions of zeros change nothing but the formula: more dimensions than images go by inner products.
    padded = np.concatenate([narrow, np.zeros([30, 40])], axis=1)
    assert spaces.linear_cka(padded, wide) == pytest.approx(spaces.linear_cka(narrow, wide), rel=1e-9)
    x, y = narrow - narrow.mean(0), wide - wide.mean(0)
    norm = np.linalg.norm
    expected = norm(y.T @ x) ** 2 / norm(x.T @ x) / norm(y.T @ y)  # Kornblith et al., section 3
    assert spaces.linear_cka(narrow, wide) == pytest.approx(expected)
    linear, debiased = spaces.cka_matrix([narrow, wide])
    assert linear[0, 1] == pytest.approx(expected)
    assert debiased[1, 0] == pytest.approx(spaces.linear_cka(narrow, wide, debiased=True))


def test_debiased_cka_of_independent_features_is_zero_in_the_mean(draw):
    pairs = [draw.normal(size=[2, 30, 30]) for _ in range(60)]
    assert np.mean([spaces.linear_cka(*pair) for pair in pairs]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([spaces.linear_cka(*pair, debiased=True) for pair in pairs]) == pytest.approx(0, abs=0.02)


def test_unbiased_estimate_is_the_mean_over_all_quadruples(draw):
    """Song et al. average over all different i, j, q, r; here in plain loops."""
    import itertools

    from kerassl.features.cka import _unbiased

    first, second = (each @ each.T for each in draw.normal(size=[2, 6, 3]))
    terms = [
        first[i, j] * (second[i, j] + second[q, r] - 2 * second[i, q])
        for i, j, q, r in itertools.permutations(range(6), 4)
    ]
    assert _unbiased(first, second) == pytest.approx(np.mean(terms))


def test_neighbor_overlap_of_itself_and_of_unrelated_features(draw):
    first, second = draw.normal(size=[2, 400, 5])
    assert spaces.neighbor_overlap(first, 4 + 2 * first, 10) == 1
    assert spaces.neighbor_overlap(first, second, 20) == pytest.approx(20 / 399, abs=0.006)
    planted = first + 0.05 * second
    assert 0.5 < spaces.neighbor_overlap(first, planted, 10) < 1


def test_separability_of_planted_classes_and_of_none(draw):
    labels = np.repeat(np.arange(4), 50)
    none = draw.normal(size=[200, 20])
    assert spaces.knn_accuracy(none, labels) == pytest.approx(0.25, abs=0.1)
    ratios = [spaces.scatter_ratio(draw.normal(size=[200, 20]), labels) for _ in range(20)]
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)
    apart = TINY * (none + 10 * np.eye(20)[labels])
    assert spaces.knn_accuracy(apart, labels) == 1
    assert spaces.scatter_ratio(apart, labels) > 50


def test_scatter_ratio_is_that_of_plain_loops(draw):
    features, labels = draw.normal(size=[12, 3]), np.array([0, 0, 0, 2, 2, 2, 2, 5, 5, 5, 5, 5])
    between = within = 0.0
    for label in (0, 2, 5):
        own = features[labels == label]
        between += len(own) * np.sum((own.mean(0) - features.mean(0)) ** 2)
        within += np.sum((own - own.mean(0)) ** 2)
    assert spaces.scatter_ratio(features, labels) == pytest.approx((between / 2) / (within / 9))


def test_knn_accuracy_leaves_each_image_out_of_its_own_vote(draw):
    """Pairs of twins of different classes: whoever counts himself is always right, others never."""
    features = np.repeat(draw.normal(size=[30, 8]), 2, axis=0)
    assert spaces.knn_accuracy(features, np.tile([0, 1], 30), k=1) == 0


def test_invariance_is_one_for_what_does_not_change_and_none_for_other_images(draw):
    features = 3 + draw.normal(size=[300, 40])
    assert spaces.view_invariance(features, features) == pytest.approx(1)
    assert spaces.view_invariance(TINY * features, TINY * features) == pytest.approx(1)
    assert spaces.view_invariance(features, features[::-1]) == pytest.approx(0, abs=0.02)
    assert spaces.view_invariance(features, 6 - features) < -0.9
    between = spaces.view_invariance(features, features + draw.normal(size=features.shape))
    assert between == pytest.approx(math.sqrt(0.5), abs=0.03)
    assert math.isnan(spaces.view_invariance(np.ones([5, 3]), np.ones([5, 3])))


@pytest.mark.parametrize("scale", [1.0, TINY])
def test_position_is_read_where_it_is_planted_and_not_where_it_is_not(draw, scale):
    centers = draw.uniform(size=[200, 2])
    noise = draw.normal(size=[200, 300])
    planted = noise + 4 * centers @ draw.normal(size=[2, 300])
    found = spaces.linear_readout((scale * planted).astype(np.float32), centers)
    assert (found > 0.9).all()
    unrelated = spaces.linear_readout(noise, centers)
    assert unrelated.max() < 0.1
    assert unrelated.min() > -0.3
    # Only the one that is planted.
    half = spaces.linear_readout(noise + 4 * centers[:, :1] @ draw.normal(size=[1, 300]), centers)
    assert half[0] > 0.9
    assert half[1] < 0.1


def test_penalty_is_chosen_by_leaving_out_each_image(draw):
    """The short way of leaving one out is that of fitting again without it."""
    from kerassl.features.linear_readout import _PENALTIES, _fit

    features, target = draw.normal(size=[12, 30]), draw.normal(size=[12, 1])
    features -= features.mean(0)
    target -= target.mean(0)
    gram = features @ features.T
    errors = []
    for penalty in _PENALTIES * np.linalg.eigvalsh(gram).mean():
        missed = 0.0
        for left in range(12):
            rest = np.arange(12) != left
            mean_x, mean_y = features[rest].mean(0), target[rest].mean(0)
            x, y = features[rest] - mean_x, target[rest] - mean_y
            weights = np.linalg.solve(x.T @ x + penalty * np.eye(30), x.T @ y)
            missed += float((target[left] - mean_y - (features[left] - mean_x) @ weights)[0]) ** 2
        errors.append(missed)
    best = _PENALTIES[int(np.argmin(errors))] * np.linalg.eigvalsh(gram).mean()
    np.testing.assert_allclose(_fit(gram, target), np.linalg.solve(gram + best * np.eye(12), target), atol=1e-9)


def circle(count, noise=0.0, draw=None, at=(0.0, 0.0)):
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) + at
    return points if draw is None else points + noise * draw.normal(size=points.shape)


def test_homology_counts_loops(draw):
    pytest.importorskip("ripser")
    turn = ortho_group.rvs(30, random_state=0)[:2]
    one = spaces.persistent_homology(TINY * circle(80, 0.03, draw) @ turn)
    assert one.loops == 1
    two = np.concatenate([circle(80, 0.03, draw), circle(80, 0.03, draw, at=(4, 0))])
    found = spaces.persistent_homology(two)
    assert found.loops == 2
    assert len(found.pieces) == found.points - 1 == 159
    assert found.pieces[-1] > 3 * found.pieces[-2]  # two pieces, far apart
    none = spaces.persistent_homology(draw.normal(size=[400, 10]), sample=100)
    assert none.loops == 0
    assert none.points == 100


def test_homology_of_a_circle_is_the_worked_one():
    """Of n points on a circle the loop is born at the side of the polygon and dies at that of a triangle (n = 3 m)."""
    pytest.importorskip("ripser")
    found = spaces.persistent_homology(circle(60))
    assert found.loops == 1
    assert found.longest_loop == pytest.approx(math.sqrt(3) / (2 * math.sin(math.pi / 60)), rel=1e-5)


def test_homology_is_refused_in_one_line_when_ripser_is_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ripser", None)
    with pytest.raises(UserError, match=r"pip install \"kerassl\[topology\]\"") as error:
        check_ripser()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: spaces.effective_rank(np.ones(3)), r"\(3,\); give \[images"),
        (lambda: spaces.effective_rank(np.full([3, 2], np.nan)), "nan"),
        (lambda: spaces.uniformity(np.ones([1, 2])), "of 1 images"),
        (lambda: spaces.alignment(np.ones([3, 2]), np.ones([4, 2])), r"\(3, 2\) and \(4, 2\)"),
        (lambda: spaces.power_law_exponent(np.ones(5), (3, 9)), "ranks 3 to 9"),
        (lambda: spaces.power_law_exponent(np.zeros(5), (1, 5)), "is 0"),
        (lambda: spaces.intrinsic_dimension(np.eye(20), discard=1), "discard is 1"),
        (lambda: spaces.intrinsic_dimension(np.eye(20)), "no dimension"),
        (lambda: spaces.neighbor_overlap(np.eye(5), np.eye(5), 5), "5 neighbors"),
        (lambda: spaces.neighbor_overlap(np.eye(5), np.eye(6)), "of 5 and of 6"),
        (lambda: spaces.linear_cka(np.eye(5), np.eye(6)), "of 5 and of 6"),
        (lambda: spaces.knn_accuracy(np.eye(5), [0, 1], 2), r"labels are \(2,\)"),
        (lambda: spaces.scatter_ratio(np.eye(5), [0] * 5), "1 classes"),
        (lambda: spaces.view_invariance(np.eye(5), np.eye(6)), r"\(5, 5\) and changed \(6, 6\)"),
        (lambda: spaces.linear_readout(np.eye(9), np.ones([8, 2])), "of 9 images and targets of 8"),
    ],
)
def test_input_is_refused_in_one_line_when_invalid(call, says):
    with pytest.raises(UserError, match=says) as error:
        call()
    assert "\n" not in str(error.value)
