"""Several objectives: what the fronts that runs have observed are worth, by the table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym.envs.pareto import hypervolume, non_dominated
from nats_gym.errors import InvalidInput, shown
from nats_gym.tables import Table
from nats_gym.tables.objectives import Objectives, name_objectives

#: As Ishibuchi, Imada, Setoguchi & Nojima, "How to Specify a Reference Point in Hypervolume
#: Calculation for Fair Performance Comparison", Evolutionary Computation 26(3), 2018, advise: a
#: little beyond the worst, or the ends of a front count for nothing, or for too much.
MARGIN = 0.1

Vectors = NDArray[np.float64]  # (..., m), each objective to be maximised


def hypervolume_shares(
    table: Table,
    objectives: Any,
    reference: ArrayLike | None,
    index: NDArray[np.int64],
    accuracy: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What runs observed, ``index`` and ``accuracy (runs, evaluation)``, as a share of all.

    See :meth:`nats_gym.results.SearchResult.hypervolume`.
    """
    named = name_objectives(objectives, table.space, lambda: table.known_figures)
    of = Objectives(named, table.figure)
    judged = of.vector(np.arange(table.space.size), table.mean_accuracy("valid"))
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
    front = np.zeros(0, np.int64)  # evaluations
    curve, volume = np.zeros(len(index)), 0.0
    for evaluation, vector in enumerate(observed):
        if index[evaluation] >= 0 and not (observed[front] >= vector).all(axis=1).any():
            beaten = (vector >= observed[front]).all(axis=1)
            front = np.append(front[~beaten], evaluation)
            volume = hypervolume(judged[index[front]], reference)
        curve[evaluation] = volume
    return curve
