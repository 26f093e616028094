"""Hyperband: Successive Halving with many short trainings, with few long ones, and in between.

Source: Li et al., JMLR 2018 (arXiv 1603.06560), algorithm 1, whose R and η are here the number of
rungs and ``eta``.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams

from .interface import Question
from .successive_halving import ETA, Bracket, Brackets, bracket, halving


class Hyperband:
    """Hyperband over all runs at once: its brackets, and then again.

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
        rungs, eta = halving(rungs, eta)
        self._brackets = Brackets(
            itertools.cycle(brackets(rungs, eta)),
            lambda: space.sample(streams, (streams.runs,)),
        )

    def ask(self) -> Question | None:
        """The next architecture of the rung; None while it waits for results."""
        return self._brackets.ask()

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64]) -> None:
        """What evaluation number ``evaluation (runs,)`` scored; arrays are ``(runs,)``."""
        self._brackets.tell(outcome.accuracy, evaluation)


def brackets(rungs: int, eta: int) -> list[Bracket]:
    """The paper's brackets, from the one that begins at the cheapest rung.

    With ``s`` promotions to the last rung a bracket begins with ``⌈rungs / (s + 1) · eta^s⌉``
    architectures.

    >>> [bracket.sizes for bracket in brackets(3, 3)]
    [(9, 3, 1), (5, 1), (3,)]
    """
    return [
        bracket(-(-rungs * eta**s // (s + 1)), rungs - 1 - s, rungs, eta)
        for s in reversed(range(rungs))
    ]
