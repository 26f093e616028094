"""Fronts and hypervolumes against plain definitions, closed forms and each other."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nats_gym.envs.pareto import hypervolume, non_dominated
from nats_gym.errors import InvalidInput

Points = NDArray[np.float64]


def plainly_non_dominated(points: Points) -> NDArray[np.bool_]:
    """The definition: no other point at least as good everywhere and better somewhere."""
    return np.array(
        [
            not any((other >= point).all() and (other > point).any() for other in points)
            for point in points
        ],
        dtype=bool,
    )


def by_inclusion_and_exclusion(points: Points, reference: Points) -> float:
    """Volume of a union of boxes: the boxes, less what two share, and so on."""
    boxes = np.maximum(points - reference, 0.0)
    volume = 0.0
    for size in range(1, len(boxes) + 1):
        for some in itertools.combinations(boxes, size):
            volume -= (-1.0) ** size * np.min(some, axis=0).prod()
    return volume


def sphere(n: int, objectives: int, seed: int = 0) -> Points:
    """Points of the unit sphere's positive part, all of them on the front."""
    points = np.abs(np.random.default_rng(seed).normal(size=(n, objectives)))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


# Coordinates from few values make ties and equal points; a seed is quicker to draw than a list.
sets_of_points = st.builds(
    lambda n, m, high, seed: (
        np.random.default_rng(seed).integers(0, high, (n, m)).astype(np.float64)
    ),
    st.integers(1, 300),
    st.integers(1, 6),
    st.sampled_from([2, 4, 20, 10**6]),
    st.integers(0, 2**32),
)
small_sets = st.builds(
    lambda n, m, high, seed: (
        np.random.default_rng(seed).integers(-2, high, (n, m)).astype(np.float64)
    ),
    st.integers(1, 8),
    st.integers(1, 6),
    st.sampled_from([3, 6, 1000]),
    st.integers(0, 2**32),
)


@given(sets_of_points)
@settings(max_examples=60, deadline=None)
def test_the_front_is_that_of_the_definition(points: Points) -> None:
    assert np.array_equal(non_dominated(points), plainly_non_dominated(points))


@pytest.mark.parametrize("objectives", range(1, 7))
def test_the_front_of_many_points(objectives: int) -> None:
    # Large enough for every way that the divide and conquer takes; ties in half of the columns,
    # and then nothing but ties in the last.
    rng = np.random.default_rng(objectives)
    rounded = sphere(1500, objectives)
    rounded[:, ::2] = np.round(rounded[:, ::2], 2)
    nearly_constant = sphere(1500, objectives)
    nearly_constant[:, -1] = rng.random(1500) < 0.1
    for points in (rng.random((1500, objectives)), rounded, nearly_constant):
        at_least = np.logical_and.reduce([np.greater_equal.outer(one, one) for one in points.T])
        better = np.logical_or.reduce([np.greater.outer(one, one) for one in points.T])
        assert np.array_equal(non_dominated(points), ~(at_least & better).any(axis=0))


def test_fronts_by_hand() -> None:
    assert non_dominated([[1, 5], [3, 3], [5, 1], [2, 2], [3, 1]]).tolist() == [1, 1, 1, 0, 0]
    assert non_dominated([[3], [1], [3]]).tolist() == [True, False, True]
    # All copies of a point of the front stay, and all of one behind it go.
    assert non_dominated([[1, 1], [2, 2], [1, 1], [2, 2]]).tolist() == [0, 1, 0, 1]
    assert non_dominated([[0.0, -0.0], [-0.0, 0.0]]).tolist() == [True, True]
    assert non_dominated([[np.inf, 0], [0, np.inf], [-np.inf, np.inf]]).tolist() == [1, 1, 0]
    assert non_dominated(np.zeros((0, 3))).shape == (0,)


@pytest.mark.slow
def test_the_front_of_a_whole_space_is_quick() -> None:
    seconds = []
    for points in (np.random.default_rng(0).random((32_768, 4)), sphere(32_768, 4)):
        start = time.process_time()
        front = non_dominated(points)
        seconds.append(time.process_time() - start)
    assert front.all()
    assert max(seconds) < 1.0  # 0.03 and 0.15 on an idle core


@given(small_sets)
@settings(max_examples=80, deadline=None)
def test_hypervolume_is_that_of_the_union_of_boxes(points: Points) -> None:
    reference = np.full(points.shape[1], -0.5)
    expected = by_inclusion_and_exclusion(points, reference)
    assert hypervolume(points, reference) == pytest.approx(expected, rel=1e-9)


def check_what_changes_nothing(points: Points, seed: int) -> None:
    points = points[:30]
    rng = np.random.default_rng(seed)
    objectives = points.shape[1]
    reference = rng.integers(-3, 2, objectives).astype(np.float64)
    volume = hypervolume(points, reference)

    def same(other: Any, worst: Points = reference) -> None:
        assert hypervolume(other, worst) == pytest.approx(volume, rel=1e-9)

    same(points[rng.permutation(len(points))])
    order = rng.permutation(objectives)
    same(points[:, order], reference[order])
    same(points[non_dominated(points)])
    same(np.vstack([points, points]))
    below = points - rng.integers(0, 3, points.shape)
    same(np.vstack([points, below]))
    not_above = points.copy()
    not_above[np.arange(len(points)), rng.integers(0, objectives, len(points))] = -3.0
    same(np.vstack([points, np.minimum(not_above, reference)]))
    same(points + 7.0, reference + 7.0)
    scale = rng.integers(1, 5, objectives).astype(np.float64)
    scaled = hypervolume(points * scale, reference * scale)
    assert scaled == pytest.approx(volume * scale.prod(), rel=1e-9)
    # One more point never takes any away.
    assert hypervolume(points[1:], reference) <= volume * (1 + 1e-12)
    # A further objective in which all are 2 better than the reference doubles it: the next
    # dimension, by another algorithm from four to five.
    deeper = np.hstack([points, np.full((len(points), 1), 2.0)])
    assert hypervolume(deeper, [*reference, 0.0]) == pytest.approx(2 * volume, rel=1e-9)


of_any = given(sets_of_points, st.integers(0, 2**32))
some, many = (settings(max_examples=examples, deadline=None) for examples in (15, 150))
test_what_changes_nothing_and_what_scales = some(of_any(check_what_changes_nothing))
test_what_changes_nothing_of_many = pytest.mark.slow(many(of_any(check_what_changes_nothing)))


def test_hypervolumes_by_hand() -> None:
    assert hypervolume([[3.0], [5.0]], [1.0]) == 4.0
    # Columns of heights 3, 2, 1 and width 1.
    assert hypervolume([[1, 3], [2, 2], [3, 1]], [0, 0]) == 6.0
    assert hypervolume([[1, 3], [2, 2], [3, 1]], [1, 1]) == 1.0
    # Two boxes of 2·2·1 that share 1, in three and four objectives.
    assert hypervolume([[2, 2, 1], [1, 2, 2]], [0, 0, 0]) == 6.0
    assert hypervolume([[2, 2, 1, 3], [1, 2, 2, 3]], [0, 0, 0, 0]) == 18.0
    # A plane's unit simplex of points (i, 9 - i): 1 + 2 + … + 9 unit squares, none at 0.
    assert hypervolume([[i, 9 - i] for i in range(10)], [0, 0]) == 36.0
    for objectives in range(1, 7):  # all boxes with one side of 2, the others 1
        points = np.ones((objectives, objectives)) + np.eye(objectives)
        assert hypervolume(points, np.zeros(objectives)) == objectives + 1.0
    # Nothing above the reference: not equal to it in one objective either.
    assert hypervolume([[1, 9], [9, 1], [0, 0]], [1, 1]) == 0.0
    assert hypervolume(np.zeros((0, 3)), [0, 0, 0]) == 0.0


@pytest.mark.parametrize("objectives", range(2, 7))
def test_hypervolume_is_what_darts_hit(objectives: int) -> None:
    points = sphere(40, objectives, seed=1)
    darts = np.random.default_rng(2).random((40_000, objectives))
    hit = np.zeros(len(darts), bool)
    for point in points:
        hit |= (darts <= point).all(axis=1)
    deviation = np.sqrt(hit.mean() * (1 - hit.mean()) / len(darts))
    assert abs(hypervolume(points, np.zeros(objectives)) - hit.mean()) < 4 * deviation


def test_a_fine_front_approaches_the_area_of_the_disc() -> None:
    angle = np.linspace(0, np.pi / 2, 20_001)
    disc = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert hypervolume(disc, [0, 0]) == pytest.approx(np.pi / 4, abs=1e-4)


@pytest.mark.slow
def test_hypervolume_of_300_points_is_quick() -> None:
    start = time.process_time()
    hypervolume(sphere(300, 4), np.zeros(4))
    assert time.process_time() - start < 0.5  # 0.01 on an idle core


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: non_dominated([1.0, 2.0]), ["points", "(n, m)", "[1.0, 2.0]"]),
        (lambda: non_dominated(np.zeros((3, 0))), ["m ≥ 1"]),
        (lambda: non_dominated([[1, 2], [3]]), ["(n, m)"]),
        (lambda: non_dominated([["a", "b"]]), ["numbers"]),
        (lambda: non_dominated([[None, 1.0]]), ["numbers"]),
        (lambda: non_dominated([[1j, 1.0]]), ["numbers"]),
        (lambda: non_dominated([[0, 1], [np.nan, 2]]), ["NaN", "point 1"]),
        (lambda: hypervolume([[1, 2]], [0, 0, 0]), ["2 objectives", "3"]),
        (lambda: hypervolume([[1, 2]], 0.0), ["reference", "(m,)"]),
        (lambda: hypervolume([1, 2], [0, 0]), ["points", "(n, m)"]),
        (lambda: hypervolume([[np.nan, 2]], [0, 0]), ["points", "NaN"]),
        (lambda: hypervolume([[np.inf, 2]], [0, 0]), ["points", "infinity"]),
        (lambda: hypervolume([[1, 2]], [0, -np.inf]), ["reference", "infinity"]),
    ],
)
def test_bad_input_is_refused(call: Any, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def test_the_arguments_stay_as_they_were() -> None:
    points = np.random.default_rng(0).random((50, 3))
    points.flags.writeable = False
    reference = np.zeros(3)
    reference.flags.writeable = False
    kept = points.copy()
    non_dominated(points), hypervolume(points, reference)
    assert np.array_equal(points, kept)
