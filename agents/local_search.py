"""Local search: climb to a local optimum one decision at a time, then start again elsewhere.

Source: White, Nolen & Savani, UAI 2021 (arXiv 2005.02960), who show it strong on small NAS spaces.
*Best-improvement* looks at every neighbour and moves to the best; *first-improvement* looks at
them in random order and moves to the first that is better than where it stands.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nats_gym.checks import word
from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams

from .repeats import repeats

#: When to move.
IMPROVEMENTS = ("first", "best")
IMPROVEMENT = "first"


class LocalSearch:
    """Local search with random restarts over all runs at once.

    A neighbour that the run has evaluated before is not asked for again, so a climb that meets an
    earlier one ends there; one that is no architecture is not asked for at all.

    Args:
        space: what to search.
        streams: one random stream per run.
        improvement: one of :data:`IMPROVEMENTS`.

    Attributes:
        current: where each run stands, ``(runs, n)``.
        current_accuracy: what that scored, percent, ``(runs,)``.

    Raises:
        InvalidInput: for an unknown ``improvement``.
    """

    def __init__(
        self, space: ArchitectureSpace, streams: RunStreams, improvement: str = IMPROVEMENT
    ) -> None:
        self.improvement = word(improvement, "improvement", IMPROVEMENTS)
        self.space = space
        self.streams = streams
        runs, n = streams.runs, space.num_decisions
        self._num_neighbors = space.num_neighbors
        self.current = np.zeros((runs, n), dtype=np.int64)
        self.current_accuracy = np.zeros(runs)
        self._best = self.current.copy()  # of where the run stands and the neighbours seen
        self._best_accuracy = np.zeros(runs)
        self._starting = np.ones(runs, dtype=bool)
        self._queue = np.zeros((runs, self._num_neighbors, n), dtype=np.int64)
        self._left = np.zeros(runs, dtype=np.int64)  # the last so many of the queue are to come
        self._evaluated: list[NDArray[np.int64]] = []  # index (runs,) of every evaluation

    def ask(self) -> NDArray[np.int64]:
        """The next neighbour of each run, or a uniform start: choices ``(runs, n)``."""
        start = self.space.sample(self.streams, (self.streams.runs,))
        self._asked = start
        if self._num_neighbors:
            neighbor = self._queue[np.arange(self.streams.runs), -self._left]
            self._asked = np.where(self._starting[:, None], start, neighbor)
        return self._asked

    def tell(self, outcome: Outcome) -> None:
        """Move, look on or start again, run by run."""
        self._evaluated.append(self.space.index(self._asked))
        order = self.streams.random((self.streams.runs, self._num_neighbors)).argsort(axis=1)
        self._left -= ~self._starting
        better = self._starting | (outcome.accuracy > self._best_accuracy)
        self._best[better] = self._asked[better]
        self._best_accuracy[better] = outcome.accuracy[better]

        decided = self._starting | (self._left == 0)
        if self.improvement == "first":
            decided |= better
        moving = decided & (self._starting | (self._best_accuracy > self.current_accuracy))
        self._move(np.flatnonzero(moving), order)
        self._starting = self._left == 0

    def _move(self, runs: NDArray[np.int64], order: NDArray[np.int64]) -> None:
        """Stand on the best seen and queue its unseen neighbours, behind those to be skipped."""
        self.current[runs] = self._best[runs]
        self.current_accuracy[runs] = self._best_accuracy[runs]
        neighbors = self.space.neighbors(self.current[runs])  # (moving, m, n)
        neighbors = np.take_along_axis(neighbors, order[runs][..., None], axis=1)
        evaluated = np.stack(self._evaluated, axis=1)[runs]  # (moving, t)
        index = self.space.index(neighbors)  # (moving, m)
        unseen = ~(index[..., None] == evaluated[:, None]).any(axis=-1)
        unseen &= (index >= 0) & ~repeats(index)
        seen_first = unseen.argsort(axis=1, kind="stable")
        self._queue[runs] = np.take_along_axis(neighbors, seen_first[..., None], axis=1)
        self._left[runs] = unseen.sum(axis=1)
