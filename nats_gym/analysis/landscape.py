"""The accuracies of a space as a landscape: neighbours are one decision apart.

Sources: fitness–distance correlation (Jones & Forrest, ICGA 1995), random-walk autocorrelation
(Weinberger, Biological Cybernetics 1990), local optima and basins of architectures as in White et
al. (UAI 2021, arXiv 2005.02960). Nothing here is sampled: a space is small enough to be walked
whole.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import InvalidInput
from nats_gym.spaces import ArchitectureSpace
from nats_gym.spaces.decisions import Indices

Values = NDArray[np.float64]
#: Most neighbours of all architectures together, eight bytes each.
MOST_NEIGHBORS = 1 << 26
_AT_ONCE = 1 << 14  # architectures whose neighbours are rows of choices together


def neighbor_indices(space: ArchitectureSpace) -> Indices:
    """Official indices of every architecture's neighbours, ``(arch, num_neighbors)``.

    In place of one that is no architecture stands the architecture itself: a walk stays there.

    Raises:
        InvalidInput: where there are more than :data:`MOST_NEIGHBORS`.
    """
    if space.size * space.num_neighbors > MOST_NEIGHBORS:
        raise InvalidInput(
            f"{space.size:,} architectures of {space.name} have {space.num_neighbors} neighbours "
            f"each; up to {MOST_NEIGHBORS:,} are looked at"
        )
    found = np.empty((space.size, space.num_neighbors), np.int64)
    for start in range(0, space.size, _AT_ONCE):
        here = np.arange(start, min(start + _AT_ONCE, space.size))
        around = space.index(space.neighbors(space.choices(here)))
        found[here] = np.where(around < 0, here[:, None], around)
    return found


def distance_to(targets: NDArray[np.bool_], neighbors: Indices) -> Indices:
    """Decisions in which each architecture differs from its nearest target, ``(arch,)``.

    Where not all rows are architectures: moves to it, -1 where none lead there.

    Args:
        targets: which architectures are targets, ``(arch,)``, at least one.
        neighbors: of :func:`neighbor_indices`.
    """
    reached = targets
    distance = np.zeros(len(targets), dtype=np.int64)
    while not reached.all():
        distance += ~reached
        further = reached | reached[neighbors].any(axis=1)
        if np.array_equal(further, reached):
            distance[~reached] = -1
            break
        reached = further
    return distance


def autocorrelation(accuracy: Values, neighbors: Indices, steps: int) -> Values:
    """Autocorrelation of accuracy along a random walk, ``(steps + 1,)`` from lag 0.

    The walk goes to a uniform neighbour at every step. This is its exact expectation over all
    walks: entry s correlates an architecture's accuracy with the mean of those s steps away.
    Entry 1 is the correlation of one neighbour with another. NaN if the accuracy is constant.

    Args:
        accuracy: percent, ``(arch,)``, without NaN.
        neighbors: of :func:`neighbor_indices`.
        steps: the greatest lag.
    """
    if not np.ptp(accuracy):
        return np.full(steps + 1, np.nan)
    centred = accuracy - accuracy.mean()
    ahead = centred
    covariance = [centred @ ahead]
    for _ in range(steps):
        ahead = ahead[neighbors].mean(axis=1)
        covariance.append(centred @ ahead)
    return np.array(covariance) / covariance[0]


def additive_autocorrelation(space: ArchitectureSpace) -> float:
    """Autocorrelation at lag 1 if every decision added its share, whatever the others are.

    The most that a space allows: 1 − k/(n(k−1)), an eigenvalue of its Hamming graph; of unequal
    decisions 1 − k/Σ(kᵢ−1) of the fewest choices k. NaN where not every row is an architecture of
    its own.
    """
    counts = space.choice_counts[space.choice_counts > 1]
    if space.size < space.num_rows or not len(counts):
        return math.nan
    return 1 - int(counts.min()) / space.num_neighbors


def correlation_length(first: float) -> float:
    """Steps after which autocorrelation has fallen to 1/e, from that at lag 1: −1/ln ρ(1).

    NaN unless ρ(1) lies between 0 and 1.
    """
    return -1 / math.log(first) if 0 < first < 1 else math.nan


class Climbs(NamedTuple):
    """Where best-improvement ends from each architecture.

    Attributes:
        end: official index of the local optimum, ``(arch,)``.
        steps: moves to it, ``(arch,)``.
        plateau: whether a neighbour is just as good, ``(arch,)``; of interest at an end.
    """

    end: Indices
    steps: Indices
    plateau: NDArray[np.bool_]


def climb(accuracy: Values, neighbors: Indices) -> Climbs:
    """Climb from every architecture to its best neighbour, until none is strictly better.

    Of equally good neighbours the first is taken, in the order of ``space.neighbors``.

    Args:
        accuracy: percent, ``(arch,)``, without NaN.
        neighbors: of :func:`neighbor_indices`.
    """
    here = np.arange(len(accuracy))
    around = accuracy[neighbors]  # (arch, neighbor)
    best = neighbors[here, around.argmax(axis=1)]
    ahead = np.where(accuracy[best] > accuracy, best, here)
    end, steps = here, np.zeros_like(here)
    while np.any(moves := ahead[end] != end):
        end, steps = ahead[end], steps + moves
    others = neighbors != here[:, None]
    return Climbs(end, steps, ((around == accuracy[:, None]) & others).any(axis=1))
