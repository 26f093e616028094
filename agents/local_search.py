"""Local search: climb to a local optimum one decision at a time, then start again elsewhere.

Source: White, Nolen & Savani, UAI 2021 (arXiv 2005.02960), who show it strong on small NAS spaces.
*Best-improvement* looks at every neighbour and moves to the best; *first-improvement* looks at
them in random order and moves to the first that is better than where it stands.

Where several architectures are evaluated beside each other, a climb has several neighbours under
way. Those whose answers come after it has moved on count as neighbours of where it stands then, and
it ends once all answers are there. Who is free while a climb waits for its last answers evaluates
a uniform architecture, from which a later climb starts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.checks import word
from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams

from .guide import NO_GUIDE, Guide
from .pending import Pending
from .repeats import repeats

#: When to move.
IMPROVEMENTS = ("first", "best")
IMPROVEMENT = "first"


class LocalSearch:
    """Local search with random restarts over all runs at once.

    A neighbour that the run has asked for before is not asked for again, so a climb that meets an
    earlier one ends there; one that is no architecture is not asked for at all.

    Args:
        space: what to search.
        streams: one random stream per run.
        improvement: one of :data:`IMPROVEMENTS`.
        guide: what a score says to the starts, all of which it evaluates before it climbs from the
            most accurate, then the next; and to the order of neighbours.

    Attributes:
        current: where each run stands, ``(runs, n)``.
        current_accuracy: what that scored, percent, ``(runs,)``.

    Raises:
        InvalidInput: for an unknown ``improvement``.
    """

    def __init__(
        self,
        space: ArchitectureSpace,
        streams: RunStreams,
        improvement: str = IMPROVEMENT,
        guide: Guide = NO_GUIDE,
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
        self._queue = np.zeros((runs, self._num_neighbors, n), dtype=np.int64)
        self._left = np.zeros(runs, dtype=np.int64)  # the last so many of the queue are to come
        self._under_way = np.zeros(runs, dtype=np.int64)  # neighbours of this climb
        self._climb = np.zeros(runs, dtype=np.int64)  # its number in the run
        self._climbing = np.zeros(runs, dtype=bool)
        # Answered while another climb was on: choices and accuracies, the earliest first.
        self._starts: list[list[tuple[NDArray[np.int64], float]]] = [[] for _ in range(runs)]
        self._pending = Pending(runs)  # choices, and the climb that they are neighbours in, or -1
        self._asked: list[NDArray[np.int64]] = []  # index (runs,) of every evaluation
        self._guide = guide
        self._first = guide.first(space, streams)
        self._answers = 0

    def ask(self) -> NDArray[np.int64]:
        """The next neighbour of each run, or a uniform start: choices ``(runs, n)``."""
        if (number := self._pending.asked) < self._first.shape[1]:
            asked = self._first[:, number]
        else:
            asked = self.space.sample(self.streams, (self.streams.runs,))
        queued = self._left > 0
        if self._num_neighbors:
            neighbor = self._queue[np.arange(self.streams.runs), -self._left]
            asked = np.where(queued[:, None], neighbor, asked)
        self._left -= queued
        self._under_way += queued
        self._pending.add(asked, np.where(queued, self._climb, -1))
        self._asked.append(self.space.index(asked))
        return asked

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64] | None = None) -> None:
        """Move, look on or start again, run by run.

        Args:
            outcome: arrays ``(runs,)``.
            evaluation: the number of each run's evaluation; None for the last.
        """
        asked, climb = self._pending.take(evaluation)
        order = self.streams.random((self.streams.runs, self._num_neighbors)).argsort(axis=1)
        own = self._climbing & (climb == self._climb)
        self._under_way -= own
        better = own & (outcome.accuracy > self._best_accuracy)
        self._best[better] = asked[better]
        self._best_accuracy[better] = outcome.accuracy[better]

        decided = own & (self._left == 0) & (self._under_way == 0)
        if self.improvement == "first":
            decided |= better
        moving = decided & (self._best_accuracy > self.current_accuracy)
        self._answers += 1
        warm = self._first.shape[1]
        starting = (climb < 0) & ~self._climbing & (self._answers > warm)
        self._start(np.flatnonzero(starting), asked[starting], outcome.accuracy[starting])
        self._move(np.flatnonzero(moving | starting), order)
        for run in np.flatnonzero((climb < 0) & ~starting).tolist():
            self._starts[run].append((asked[run], float(outcome.accuracy[run])))
        if self._answers == warm:
            for starts in self._starts:
                starts.sort(key=lambda start: -start[1])
        ended = self._end() if self._answers >= warm else []
        while waiting := [run for run in ended if self._starts[run]]:
            for run in waiting:
                choices, accuracy = self._starts[run].pop(0)
                self._start(np.array([run]), choices, accuracy)
            self._move(np.array(waiting), order)
            ended = self._end()

    def _start(self, runs: NDArray[np.int64], choices: NDArray[np.int64], accuracy: Any) -> None:
        """Begin a climb at ``choices (batch, n)``."""
        self._best[runs], self._best_accuracy[runs] = choices, accuracy
        self._climb[runs] += 1
        self._climbing[runs] = True
        self._under_way[runs] = 0

    def _end(self) -> list[int]:
        """End the climbs that nothing is left of, or to come; the runs that climb no more."""
        self._climbing &= (self._left > 0) | (self._under_way > 0)
        return [int(run) for run in np.flatnonzero(~self._climbing)]

    def _move(self, runs: NDArray[np.int64], order: NDArray[np.int64]) -> None:
        """Stand on the best seen and queue its unseen neighbours, behind those to be skipped."""
        self.current[runs] = self._best[runs]
        self.current_accuracy[runs] = self._best_accuracy[runs]
        neighbors = self.space.neighbors(self.current[runs])  # (moving, m, n)
        neighbors = np.take_along_axis(neighbors, order[runs][..., None], axis=1)
        asked = np.stack(self._asked, axis=1)[runs]  # (moving, t)
        index = self.space.index(neighbors)  # (moving, m)
        unseen = ~(index[..., None] == asked[:, None]).any(axis=-1)
        unseen &= (index >= 0) & ~repeats(index)
        seen_first = unseen.argsort(axis=1, kind="stable")
        if self._guide.proposals > 1:
            queued = np.take_along_axis(index, seen_first, axis=1)
            ahead = ~np.take_along_axis(unseen, seen_first, axis=1)
            liked = self._guide.arrange(queued, ahead)
            seen_first = np.take_along_axis(seen_first, liked, axis=1)
        self._queue[runs] = np.take_along_axis(neighbors, seen_first[..., None], axis=1)
        self._left[runs] = unseen.sum(axis=1)
