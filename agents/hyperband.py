"""Hyperband: Successive Halving with many short trainings, with few long ones, and in between.

Source: Li et al., JMLR 2018 (arXiv 1603.06560), algorithm 1, whose R and η are here the number of
rungs and ``eta``.
"""

from __future__ import annotations

from .successive_halving import Bracket, SuccessiveHalving, bracket


class Hyperband(SuccessiveHalving):
    """Hyperband over all runs at once: its brackets, and then again.

    Arguments as of :class:`SuccessiveHalving`.
    """

    @staticmethod
    def _plan(rungs: int, eta: int) -> list[Bracket]:
        return brackets(rungs, eta)


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
