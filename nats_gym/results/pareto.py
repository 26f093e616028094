"""Several objectives: what the fronts that runs have observed are worth, by the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym.envs.pareto import hypervolume, non_dominated
from nats_gym.errors import InvalidInput, shown
from nats_gym.spaces import Figure
from nats_gym.tables import Table
from nats_gym.tables.objectives import Objectives, name_objectives

#: As Ishibuchi, Imada, Setoguchi & Nojima, "How to Specify a Reference Point in Hypervolume
#: Calculation for Fair Performance Comparison", Evolutionary Computation 26(3), 2018, advise: a
#: little beyond the worst, or the ends of a front count for nothing, or for too much.
MARGIN = 0.1

Vectors = NDArray[np.float64]  # (..., m), each objective to be maximised


def find_objectives(
    table: Table, objectives: Any, find: Callable[[str], Figure] | None = None
) -> Objectives:
    """Objectives by their names, as a table's figures are; errors as :func:`name_objectives`.

    ``find`` looks figures up in its place.
    """
    return Objectives(name_objectives(objectives, table.known_figures), find or table.figure)


def table_front(
    table: Table, objectives: Any, among: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Official indices of a front, by full-schedule means over trials, closed forms, columns.

    What lacks a figure is not on it.

    Args:
        table: what says so.
        objectives: names of two figures or more.
        among: official indices ``(n,)``; None for all.
    """
    judged = _judged(table, find_objectives(table, objectives))
    given = np.arange(len(judged)) if among is None else among
    known = given[~np.isnan(judged[given]).any(axis=1)]
    return known[non_dominated(judged[known])]


def _judged(table: Table, of: Objectives) -> Vectors:
    return of.vector(np.arange(table.space.size), table.mean_accuracy("valid"))


def hypervolume_shares(
    table: Table,
    of: Objectives,
    reference: ArrayLike | None,
    index: NDArray[np.int64],
    accuracy: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What runs observed, ``index`` and ``accuracy (runs, evaluation)``, as a share of all.

    See :meth:`nats_gym.results.SearchResult.hypervolume`.
    """
    judged = _judged(table, of)
    known = ~np.isnan(judged).any(axis=1)
    if reference is None:
        reference = _beyond(judged[known])
    whole = hypervolume(judged[known], reference)
    if not whole:
        raise InvalidInput(
            f"nothing in the table is better than the reference point {shown(reference)}"
        )
    judged[~known] = reference  # where it counts for nothing
    observed = of.vector(index, accuracy)
    curves = [_curve(*run, judged, reference) for run in zip(observed, index, strict=True)]
    return np.array(curves) / whole


def _beyond(points: Vectors) -> NDArray[np.float64]:
    """The worst on the points' front in each objective, and :data:`MARGIN` of its range beyond."""
    front = points[non_dominated(points)]
    span = np.ptp(front, axis=0)
    return np.asarray(front.min(axis=0) - MARGIN * np.where(span > 0, span, 1.0))


def _curve(
    observed: Vectors, index: NDArray[np.int64], judged: Vectors, reference: ArrayLike
) -> NDArray[np.float64]:
    """Hypervolume that the judged figures of the observed front have after each evaluation."""
    curve, volume, before = np.zeros(len(index)), 0.0, np.zeros(0, np.int64)
    for evaluation, front in enumerate(observed_fronts(observed, index)):
        if front is not before:
            volume, before = hypervolume(judged[index[front]], reference), front
        curve[evaluation] = volume
    return curve


def observed_fronts(observed: Vectors, index: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """After each evaluation of a run, which evaluations make its front: the same while it stands.

    Of equal ones the first; none that is no architecture, index -1, or lacks a figure.
    """
    front = np.zeros(0, np.int64)
    possible = (index >= 0) & ~np.isnan(observed).any(axis=1)
    for evaluation, vector in enumerate(observed):
        if possible[evaluation] and not (observed[front] >= vector).all(axis=1).any():
            beaten = (vector >= observed[front]).all(axis=1)
            front = np.append(front[~beaten], evaluation)
        yield front
