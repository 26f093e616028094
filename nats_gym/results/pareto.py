"""Several objectives: what the fronts that runs have observed are worth, by the table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym.envs.pareto import hypervolume
from nats_gym.errors import InvalidInput, shown
from nats_gym.tables import Table
from nats_gym.tables.objectives import Objectives, name_objectives

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
    worst: Any = [-1.0 if quantity.lower_is_better else 0.0 for quantity in named.values()]
    reference = worst if reference is None else reference
    judged = of.vector(np.arange(table.space.size), table.mean_accuracy("valid"))
    known = ~np.isnan(judged).any(axis=1)
    whole = hypervolume(judged[known], reference)
    if not whole:
        raise InvalidInput(
            f"nothing in the table is better than the reference point {shown(reference)}"
        )
    judged[~known] = reference  # where it counts for nothing
    observed = of.vector(index, accuracy)
    curves = [_curve(*run, judged, reference) for run in zip(observed, index, strict=True)]
    return np.array(curves) / whole


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
