"""NSGA-II: evolution of several objectives, by dominance and not by a sum of them.

A generation's children come from tournaments of two: the better front wins, within one the less
crowded. Of parents and children together the best fronts survive, of the last that still has room
those with most room around them. Children are mutants as those of regularized evolution: what two
parents would make together need not be an architecture. Evaluations beside each other: whoever is
free gets a child of the living, and a generation ends when it has as many answers as parents.

Source: Deb, Pratap, Agarwal & Meyarivan, IEEE Transactions on Evolutionary Computation 6(2), 2002;
for architectures, Lu et al., GECCO 2019 (arXiv 1810.03522).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nats_gym.checks import integer
from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams, uniform_integers

from .pending import Pending

POPULATION = 20
#: A generation compares twice as many, each with each, in every run.
LARGEST = 500

Vectors = NDArray[np.float64]  # (..., n, m), each objective to be maximised


class Nsga2:
    """NSGA-II over all runs at once.

    Args:
        space: what to search.
        streams: one random stream per run.
        objectives: names of what ``outcome.objectives`` holds; None for the space's default.
        population: how many survive a generation, ``P``, and how many children it has.

    Attributes:
        population: the survivors, ``(runs, P, n)``, the best first; None in the first generation.

    Raises:
        InvalidInput: for a population that is no number from 2 to :data:`LARGEST`.
    """

    def __init__(
        self,
        space: ArchitectureSpace,
        streams: RunStreams,
        objectives: Sequence[str] | None = None,
        population: int = POPULATION,
    ) -> None:
        self.space = space
        self.streams = streams
        self._size = integer(population, "population", 2, LARGEST)
        self.population: NDArray[np.int64] | None = None
        self._vectors: Vectors
        self._children: list[tuple[NDArray[np.int64], Vectors]] = []  # (runs, n), (runs, m)
        self._pending = Pending(streams.runs)

    def ask(self) -> NDArray[np.int64]:
        """A uniform architecture per run in the first generation, then a child: ``(runs, n)``."""
        runs = self.streams.runs
        if self.population is None:
            choices = self.space.sample(self.streams, (runs,))
        else:
            # Survivors stand in the order that a tournament goes by.
            winners = uniform_integers(self.streams, self._size, (runs, 2)).min(axis=1)
            choices = self.space.mutate(self.population[np.arange(runs), winners], self.streams)
        self._pending.add(choices)
        return choices

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64] | None = None) -> None:
        """Take a child in; the last of a generation ends it.

        Args:
            outcome: arrays ``(runs,)``, its ``objectives`` ``(runs, m)``.
            evaluation: the number of each run's evaluation; None for the last.
        """
        (choices,) = self._pending.take(evaluation)
        self._children.append((choices, outcome.weighed()))
        if len(self._children) < self._size:
            return
        among, vectors = (np.stack(each, axis=1) for each in zip(*self._children, strict=True))
        if self.population is not None:
            among = np.concatenate([self.population, among], axis=1)
            vectors = np.concatenate([self._vectors, vectors], axis=1)
        best = order(vectors)[:, : self._size, None]
        self.population = np.take_along_axis(among, best, axis=1)
        self._vectors = np.take_along_axis(vectors, best, axis=1)
        self._children = []


def order(vectors: Vectors) -> NDArray[np.int64]:
    """Places of points ``(..., n, m)``, the best first: ``(..., n)``.

    By front, within one the least crowded first, equals as they stand.
    """
    rank = fronts(vectors)
    return np.lexsort((-crowding(vectors, rank), rank))


def fronts(vectors: Vectors) -> NDArray[np.int64]:
    """Which front each point of ``(..., n, m)`` is on, ``(..., n)``; 0 where none dominates it."""
    count = vectors.shape[-2]
    at_least = np.ones((*vectors.shape[:-1], count), bool)  # (..., one, other)
    better = np.zeros_like(at_least)
    for values in np.moveaxis(vectors, -1, 0):
        at_least &= values[..., :, None] >= values[..., None, :]
        better |= values[..., :, None] > values[..., None, :]
    dominates = at_least & better
    rank = np.full(vectors.shape[:-1], -1)
    front = 0
    while (left := rank < 0).any():
        dominated = (dominates & left[..., None]).any(axis=-2)
        rank[left & ~dominated] = front
        front += 1
    return rank


def crowding(vectors: Vectors, rank: NDArray[np.int64]) -> NDArray[np.float64]:
    """Room around each point on its front, ``(..., n)``; infinite at the ends of an objective.

    Per objective the distance between the neighbours on either side, as a share of the front's
    range.
    """
    room, place = np.zeros(rank.shape), np.arange(rank.shape[-1])
    ordered_rank = np.sort(rank, axis=-1)
    first = (ordered_rank[..., None] > ordered_rank[..., None, :]).sum(axis=-1)
    last = (ordered_rank[..., None] >= ordered_rank[..., None, :]).sum(axis=-1) - 1
    ends = (place == first) | (place == last)
    for values in np.moveaxis(vectors, -1, 0):
        placed = np.lexsort((values, rank))  # front by front, ascending
        ordered = np.take_along_axis(values, placed, axis=-1)
        least, most = (np.take_along_axis(ordered, end, axis=-1) for end in (first, last))
        span = np.where(most > least, most - least, 1.0)
        gap = np.full(rank.shape, np.inf)
        gap[..., 1:-1] = ordered[..., 2:] - ordered[..., :-2]
        share = np.empty_like(gap)
        np.put_along_axis(share, placed, np.where(ends, np.inf, gap / span), axis=-1)
        room += share
    return room
