"""What a table knows to be best: for judging an agent, never for its reward or observation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym.tables import Table


class GroundTruth:
    """Full-schedule accuracies, mean over trials, of every architecture of a table.

    Architectures that a partial table lacks take no part: they are never the optimum, their
    regret and rank are NaN, and no one ranks behind them.

    Args:
        table: where they come from.
        split: ``"valid"`` or ``"test"``.

    Raises:
        NotInTable: if the table lacks that split's full schedule.
    """

    def __init__(self, table: Table, split: str = "valid") -> None:
        self._space = table.space
        self._accuracy = table.mean_accuracy(split)
        self._ascending = np.sort(self._accuracy[~np.isnan(self._accuracy)])

    def optimum(self) -> int:
        """Official index of the best architecture; the lowest of equals."""
        return int(np.nanargmax(self._accuracy))

    def regret(self, index: ArrayLike) -> NDArray[np.float64] | float:
        """Points between the best accuracy and that of ``index (...)``; a number for a number."""
        regret = np.asarray(self._ascending[-1] - self._accuracy[self._space.check_index(index)])
        return regret if regret.ndim else float(regret)

    def rank(self, index: ArrayLike) -> NDArray[np.int64] | NDArray[np.float64] | float:
        """Place of ``index (...)`` by accuracy, from 1 for the best; equals share a place.

        A number for a number. Whole numbers; floats where an architecture is not in the table,
        whose place is NaN.
        """
        accuracy = self._accuracy[self._space.check_index(index)]
        better = len(self._ascending) - np.searchsorted(self._ascending, accuracy, side="right")
        unknown = np.isnan(accuracy)
        rank = np.where(unknown, np.nan, better + 1) if unknown.any() else np.asarray(better + 1)
        return rank if rank.ndim else rank.item()
