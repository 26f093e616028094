"""ASHA: Successive Halving without waiting. What is among the best of its rung so far goes on.

Source: Li et al., MLSys 2020 (arXiv 1810.05934), algorithm 2, with minimum early-stopping rate 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams

from .interface import Question
from .successive_halving import ETA, integer_from

_NONE = np.iinfo(np.int64).max  # a rank that no promotion reaches


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

    asynchronous = True
    continuing = "difference"

    def __init__(
        self, space: ArchitectureSpace, streams: RunStreams, rungs: int, eta: int = ETA
    ) -> None:
        self.rungs = integer_from(2, "rungs", rungs)
        self.eta = integer_from(2, "eta", eta)
        self.space = space
        self.streams = streams
        runs = streams.runs
        self._runs = np.arange(runs)
        self._asked = 0
        # Of every evaluation, (runs, room): its number is its place.
        self._digits = np.zeros((runs, 64, space.num_decisions), np.int8)
        self._rung = np.zeros((runs, 64), np.int16)
        self._accuracy = np.full((runs, 64), -np.inf)  # until it is answered
        self._promoted = np.zeros((runs, 64), bool)
        # Of every rung, (rungs, runs). Only what changes these is worth a look at the others.
        self._results = np.zeros((self.rungs, runs), np.int64)
        self._best = np.zeros((self.rungs, runs), np.int64)  # number of the best not promoted
        self._rank = np.full((self.rungs, runs), _NONE)  # its rank among all results, from 0

    def ask(self) -> Question:
        """A promotion in each run that has one, else a uniform architecture at rung 0."""
        digits = self.space.sample(self.streams, (self.streams.runs,))
        rung = np.zeros(self.streams.runs, np.int64)
        continues = np.full(self.streams.runs, -1)
        for below in reversed(range(self.rungs - 1)):
            in_top = self._rank[below] < self._results[below] // self.eta
            runs = np.flatnonzero(in_top & (continues < 0))
            continues[runs] = best = self._best[below, runs]
            digits[runs] = self._digits[runs, best]
            rung[runs] = below + 1
            self._promoted[runs, best] = True
            self._look(runs, np.full(len(runs), below))

        if self._asked == self._accuracy.shape[1]:
            self._make_room()
        self._digits[:, self._asked] = digits
        self._rung[:, self._asked] = rung
        self._asked += 1
        return Question(digits, rung, continues)

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64]) -> None:
        """What evaluation number ``evaluation (runs,)`` scored; arrays are ``(runs,)``."""
        runs = self._runs
        rung = self._rung[runs, evaluation].astype(np.int64)
        self._accuracy[runs, evaluation] = outcome.accuracy
        self._results[rung, runs] += 1
        # A result behind the best one that waits changes neither it nor its rank.
        ahead = outcome.accuracy >= self._accuracy[runs, self._best[rung, runs]]
        which = np.flatnonzero(ahead | (self._rank[rung, runs] == _NONE))
        self._look(which, rung[which])

    def _look(self, runs: NDArray[np.int64], rung: NDArray[np.int64]) -> None:
        """Find the best result not promoted of a rung in each of ``runs``, and its rank."""
        if not len(runs):
            return
        accuracy = self._accuracy[runs, : self._asked]
        accuracy[self._rung[runs, : self._asked] != rung[:, None]] = -np.inf
        waiting = np.where(self._promoted[runs, : self._asked], -np.inf, accuracy)
        best = waiting.argmax(axis=1)[:, None]
        value = np.take_along_axis(waiting, best, axis=1)
        equal_before = (accuracy == value) & (np.arange(self._asked) < best)
        rank = ((accuracy > value) | equal_before).sum(axis=1)
        self._best[rung, runs] = best[:, 0]
        self._rank[rung, runs] = np.where(np.isinf(value[:, 0]), _NONE, rank)

    def _make_room(self) -> None:
        """Room for as many evaluations again."""
        for name in ("_digits", "_rung", "_accuracy", "_promoted"):
            column = getattr(self, name)
            empty = np.full_like(column, -np.inf if name == "_accuracy" else 0)
            setattr(self, name, np.concatenate([column, empty], axis=1))
