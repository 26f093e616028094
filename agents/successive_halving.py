"""Successive Halving: train many architectures a little, the best more, the best of those in full.

Sources: Karnin, Koren & Somekh, ICML 2013; for non-stochastic problems, as here, Jamieson &
Talwalkar, AISTATS 2016 (arXiv 1502.07943).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nats_gym.checks import integer
from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams

from .interface import Question

ETA = 3  # one in so many goes on to the next rung
MOST_RUNGS, MOST_ETA = 1_000, 1_000_000  # that still can be reckoned with


class SuccessiveHalving:
    """Successive Halving over all runs at once, one bracket after the other.

    Each bracket begins with ``eta ** (rungs - 1)`` uniform architectures at the cheapest rung, so
    that one of them reaches the last.

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
        plan = itertools.cycle(self._plan(*halving(rungs, eta)))
        self._brackets = Brackets(plan, lambda: space.sample(streams, (streams.runs,)))

    @staticmethod
    def _plan(rungs: int, eta: int) -> list[Bracket]:
        return [bracket(eta ** (rungs - 1), 0, rungs, eta)]

    def ask(self) -> Question | None:
        """The next architecture of the rung; None while it waits for results."""
        return self._brackets.ask()

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64]) -> None:
        """What evaluation number ``evaluation (runs,)`` scored; arrays are ``(runs,)``."""
        self._brackets.tell(outcome.accuracy, evaluation)


class Bracket(NamedTuple):
    """How many architectures each rung of a bracket trains.

    Attributes:
        lowest: the rung it begins at.
        sizes: architectures at this rung and those above it.
    """

    lowest: int
    sizes: tuple[int, ...]


def bracket(size: int, lowest: int, rungs: int, eta: int) -> Bracket:
    """The bracket of ``size`` architectures from rung ``lowest`` to the last of ``rungs``."""
    return Bracket(lowest, tuple(size // eta**step for step in range(rungs - lowest)))


class Brackets:
    """Brackets of successive halving, one after the other, in all runs at once.

    Nothing of a rung is asked for before every result of the rung below has arrived. The best of
    equals is the one asked for first.

    Args:
        plan: the brackets, without end.
        draw: draws a new architecture per run, choices ``(runs, n)``, when one is asked for.

    Attributes:
        rung: what was asked for last is trained to.
    """

    def __init__(self, plan: Iterator[Bracket], draw: Callable[[], NDArray[np.int64]]) -> None:
        self.rung = -1
        self._plan = plan
        self._draw = draw
        self._sizes: tuple[int, ...] = (0,)  # of this rung and those above it
        self._first = 0  # number of the rung's first evaluation
        # The rung's evaluations: choices (runs, n), and number and accuracy (runs,) as they came.
        self._asked: list[NDArray[np.int64]] = []
        self._told: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        # What was promoted to it: number (size, runs) and choices (size, runs, n).
        self._promoted: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def ask(self) -> Question | None:
        """The next architecture of the rung in every run; None while it waits for results."""
        if len(self._asked) == self._sizes[0]:
            if len(self._told) < len(self._asked):
                return None
            self._begin_rung()
        if self._promoted is None:
            choices = self._draw()
            continues = np.full(len(choices), -1)
        else:
            continues, choices = (column[len(self._asked)] for column in self._promoted)
        self._asked.append(choices)
        return Question(choices, np.full(len(choices), self.rung), continues)

    def tell(self, accuracy: NDArray[np.float64], evaluation: NDArray[np.int64]) -> None:
        """Remember what evaluation number ``evaluation (runs,)`` scored, ``(runs,)``."""
        self._told.append((evaluation, accuracy))

    def answered(self, evaluation: NDArray[np.int64]) -> NDArray[np.int64]:
        """Choices ``(runs, n)`` of this rung's evaluations ``(runs,)``."""
        choices = np.empty_like(self._asked[0])
        for number in np.unique(evaluation):
            which = evaluation == number
            choices[which] = self._asked[number - self._first][which]
        return choices

    def _begin_rung(self) -> None:
        """Promote the best, or begin the next bracket after the last rung."""
        self._sizes = self._sizes[1:]
        if self._sizes:
            numbers, accuracy = (np.stack(column) for column in zip(*self._told, strict=True))
            best = np.lexsort((numbers, -accuracy), axis=0)[: self._sizes[0]]  # (size, runs)
            numbers = np.take_along_axis(numbers, best, axis=0)
            places = (numbers - self._first)[..., None]
            self._promoted = numbers, np.take_along_axis(np.stack(self._asked), places, axis=0)
            self.rung += 1
        else:
            self._promoted = None
            self.rung, self._sizes = next(self._plan)
        self._first += len(self._asked)
        self._asked, self._told = [], []


def halving(rungs: object, eta: object) -> tuple[int, int]:
    """The two arguments of a schedule that halves, as plain integers."""
    return integer(rungs, "rungs", 2, MOST_RUNGS), integer(eta, "eta", 2, MOST_ETA)
