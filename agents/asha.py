"""ASHA: Successive Halving without waiting. What is among the best of its rung so far goes on.

Source: Li et al., MLSys 2020 (arXiv 1810.05934), algorithm 2, with minimum early-stopping rate 0.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams

from .interface import Question
from .successive_halving import ETA, halving

ROOM = 64  # evaluations that there is room for at first


class Asha:
    """Asynchronous Successive Halving over all runs at once.

    A worker that is free takes the best architecture that is among the top ``1/eta`` of the
    results of its rung and was not promoted before, from the highest such rung; if there is none,
    a uniform one at the cheapest rung. The best of equals is the one asked for first.

    Args:
        space: what to search.
        streams: one random stream per run.
        rungs: training schedules, from 2.
        eta: one in so many goes on to the next rung, from 2.

    Raises:
        InvalidInput: for a bad ``rungs`` or ``eta``.
    """

    continuing = "difference"

    def __init__(
        self, space: ArchitectureSpace, streams: RunStreams, rungs: int, eta: int = ETA
    ) -> None:
        rungs, self.eta = halving(rungs, eta)
        self.space = space
        self.streams = streams
        self._rungs = [Rung(streams.runs, space) for _ in range(rungs)]
        self._asked = 0
        # Rung of each evaluation and its place there, (runs, evaluations).
        self._rung = np.zeros((streams.runs, ROOM), np.int64)
        self._place = self._rung.copy()

    def ask(self) -> Question:
        """A promotion in each run that has one, else a uniform architecture at rung 0."""
        choices = self.space.sample(self.streams, (self.streams.runs,))
        rung = np.zeros(self.streams.runs, np.int64)
        continues = np.full(self.streams.runs, -1)
        for below in reversed(range(len(self._rungs) - 1)):
            runs = np.flatnonzero(self._rungs[below].promotable(self.eta) & (continues < 0))
            continues[runs], choices[runs] = self._rungs[below].promote(runs)
            rung[runs] = below + 1

        if self._asked == self._rung.shape[1]:
            self._rung, self._place = widen(self._rung, 0), widen(self._place, 0)
        self._rung[:, self._asked] = rung
        for number, results in enumerate(self._rungs):
            runs = np.flatnonzero(rung == number)
            self._place[runs, self._asked] = results.add(runs, self._asked, choices[runs])
        self._asked += 1
        return Question(choices, rung, continues)

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64]) -> None:
        """What evaluation number ``evaluation (runs,)`` scored; arrays are ``(runs,)``."""
        every = np.arange(self.streams.runs)
        rung, place = self._rung[every, evaluation], self._place[every, evaluation]
        for number, results in enumerate(self._rungs):
            runs = np.flatnonzero(rung == number)
            results.tell(runs, place[runs], outcome.accuracy[runs])


class Rung:
    """The evaluations of one rung in every run, in the order in which they were asked for.

    Args:
        runs: independent runs.
        space: of its architectures.

    Attributes:
        asked: evaluations, ``(runs,)``.
        results: how many of them are answered, ``(runs,)``.
        best: place of the best result that was not promoted, ``(runs,)``.
        rank: its rank among all results, from 0, ``(runs,)``; beyond all if there is none.
    """

    def __init__(self, runs: int, space: ArchitectureSpace) -> None:
        self.asked, self.results, self.best = np.zeros((3, runs), np.int64)
        self.rank = np.full(runs, np.iinfo(np.int64).max)
        # By place, (runs, places) and (runs, places, n).
        self._number = np.zeros((runs, ROOM), np.int64)
        self._choices = np.zeros((runs, ROOM, space.num_decisions), smallest_type(space))
        self._accuracy = np.full((runs, ROOM), -np.inf)  # until it is answered
        self._waiting = self._accuracy.copy()  # and once it is promoted

    def add(
        self, runs: NDArray[np.int64], number: int, choices: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Begin evaluation ``number`` of ``choices (batch, n)`` in ``runs``; its places."""
        if self.asked.max() == self._number.shape[1]:
            self._number, self._choices = widen(self._number, 0), widen(self._choices, 0)
            self._accuracy = widen(self._accuracy, -np.inf)
            self._waiting = widen(self._waiting, -np.inf)
        places = self.asked[runs]
        self._number[runs, places] = number
        self._choices[runs, places] = choices
        self.asked[runs] += 1
        return places

    def tell(
        self, runs: NDArray[np.int64], places: NDArray[np.int64], accuracy: NDArray[np.float64]
    ) -> None:
        """Record results ``(batch,)`` of ``runs``."""
        # One that is behind the best that waits changes neither it nor its rank.
        ahead = accuracy >= self._waiting[runs, self.best[runs]]
        self._accuracy[runs, places] = self._waiting[runs, places] = accuracy
        self.results[runs] += 1
        self._find_best(runs[ahead])

    def promotable(self, eta: int) -> NDArray[np.bool_]:
        """In which runs the best that waits is among the top ``1/eta`` of results, ``(runs,)``."""
        return np.asarray(self.rank < self.results // eta)

    def promote(self, runs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Promote the best that waits in ``runs``: numbers ``(batch,)``, choices ``(batch, n)``."""
        best = self.best[runs]
        self._waiting[runs, best] = -np.inf
        self._find_best(runs)
        return self._number[runs, best], self._choices[runs, best]

    def _find_best(self, runs: NDArray[np.int64]) -> None:
        """Look for the best result that waits in ``runs``."""
        if not len(runs):
            return
        used = int(self.asked.max())
        waiting, accuracy = self._waiting[runs, :used], self._accuracy[runs, :used]
        best = waiting.argmax(axis=1)[:, None]
        value = np.take_along_axis(waiting, best, axis=1)
        equal_before = (accuracy == value) & (np.arange(used) < best)
        rank = (accuracy > value).sum(axis=1) + equal_before.sum(axis=1)
        self.best[runs] = best[:, 0]
        self.rank[runs] = np.where(np.isinf(value[:, 0]), np.iinfo(np.int64).max, rank)


Scalar = TypeVar("Scalar", bound=np.generic)


def widen(column: NDArray[Scalar], fill: float) -> NDArray[Scalar]:
    """A column ``(runs, places, …)`` with room for as many places again."""
    return np.concatenate([column, np.full_like(column, fill)], axis=1)


def smallest_type(space: ArchitectureSpace) -> np.dtype[np.signedinteger]:
    """The smallest integers that choices of a space fit in, int8 nearly always."""
    return np.min_scalar_type(-space.num_choices)
