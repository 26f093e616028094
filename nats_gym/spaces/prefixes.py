"""Which choices may come next: exact masks over the first choices of a row.

A choice is open if and only if some row that begins so is admitted; a table of every prefix
answers, so a mask is never empty and never leads into a dead end.
"""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.int8]


class Prefixes(Protocol):
    """Answers for the first choices of a row, given as how many they are and as their rank."""

    def mask(self, position: int, rank: int) -> Mask:
        """Which choices come next after ``position`` decisions that read as ``rank``, ``(k,)``.

        If these already exclude every row that is admitted, all that the decision has are open.
        """

    def masks(self, position: NDArray[np.int64], rank: NDArray[np.int64]) -> Mask:
        """:meth:`mask` of a batch, ``(batch, k)``."""

    @property
    def marginal(self) -> Mask:
        """Which choices of each decision occur in an admitted row, ``(n, k)``."""


class AllPrefixes:
    """Where every row is admitted: what each decision has.

    Args:
        counts: choices of each decision, ``(n,)``.
    """

    def __init__(self, counts: NDArray[np.int64]) -> None:
        self.marginal: Mask = (np.arange(counts.max()) < counts[:, None]).astype(np.int8)

    def mask(self, position: int, rank: int) -> Mask:
        """See :meth:`Prefixes.mask`."""
        return self.marginal[position].copy()

    def masks(self, position: NDArray[np.int64], rank: NDArray[np.int64]) -> Mask:
        """See :meth:`Prefixes.masks`."""
        return self.marginal[position]


class ListedPrefixes:
    """Where it is known of every row whether it is admitted.

    Args:
        counts: choices of each decision, ``(n,)``.
        admitted: by rank, ``(rows,)``.
    """

    def __init__(self, counts: NDArray[np.int64], admitted: NDArray[np.bool_]) -> None:
        self._counts, self._admitted = counts, admitted
        self._all = AllPrefixes(counts)

    @cached_property
    def _by_prefix(self) -> tuple[Mask, NDArray[np.int64]]:
        """A mask per prefix, ``(prefixes, k)``, and where those of each length begin."""
        most, masks, starts, prefixes = int(self._counts.max()), [], [0], 1
        for count in self._counts.tolist():
            open_ = np.asarray(self._admitted.reshape(prefixes, count, -1).any(axis=2))
            open_[~open_.any(axis=1)] = True  # where every row is excluded, all that there are
            masks.append(np.zeros((prefixes, most), np.int8))
            masks[-1][:, :count] = open_
            starts.append(starts[-1] + prefixes)
            prefixes *= count
        return np.concatenate(masks), np.array(starts)

    @cached_property
    def marginal(self) -> Mask:
        """See :attr:`Prefixes.marginal`."""
        marginal, before = np.zeros_like(self._all.marginal), 1
        for decision, count in enumerate(self._counts.tolist()):
            found = self._admitted.reshape(before, count, -1).any(axis=(0, 2))
            marginal[decision, :count] = found
            before *= count
        return marginal

    def mask(self, position: int, rank: int) -> Mask:
        """See :meth:`Prefixes.mask`."""
        masks, starts = self._by_prefix
        if rank < 0:
            return self._all.mask(position, rank)
        row: Mask = masks[starts[position] + rank]
        return row.copy()

    def masks(self, position: NDArray[np.int64], rank: NDArray[np.int64]) -> Mask:
        """See :meth:`Prefixes.masks`."""
        by_prefix, starts = self._by_prefix
        rows = by_prefix.take(starts[position] + np.maximum(rank, 0), axis=0)
        lost = rank < 0
        if lost.any():
            rows[lost] = self._all.marginal[position[lost]]
        return rows
