"""Which choices may come next in a cell of NAS-Bench-101: exact, over all 423,624 of them.

A tree over all beginnings of a drawing says which edges can still become a cell. Once all edges are
decided, at most 243 labellings are left, which are looked through.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nats_gym.spaces.cell_graphs import OPERATIONS
from nats_gym.spaces.cell_list import INTERIOR, NUM_DRAWINGS, NUM_EDGES, NUM_LABELS, CellList
from nats_gym.spaces.prefixes import Mask

_EDGE = np.array([1, 1, 0], np.int8)  # an edge is there or not
_LABEL = np.ones(len(OPERATIONS), np.int8)


class CellPrefixes:
    """Answers as :class:`~nats_gym.spaces.prefixes.Prefixes` does, of 21 edges and 5 operations.

    Args:
        cells: all of them.
        admitted: which count, by official index ``(size,)``; None for all.
    """

    def __init__(self, cells: CellList, admitted: NDArray[np.bool_] | None = None) -> None:
        self._cells = cells
        self._admitted = None if admitted is None else np.append(admitted, False)  # -1: no cell
        self._drawings = cells.is_cell() if admitted is None else cells.holds(admitted)

    @cached_property
    def _edge_masks(self) -> Mask:
        """Masks of a decision on an edge, ``(2²¹, 3)``: row ``2^position + rank``.

        Row 0 is for what is the beginning of no row at all.
        """
        masks = np.zeros((NUM_DRAWINGS, len(_EDGE)), np.int8)
        masks[0] = _EDGE
        can_come = self._drawings
        for position in range(NUM_EDGES - 1, -1, -1):
            rows = masks[1 << position : 2 << position]
            rows[:, 0], rows[:, 1] = without, with_edge = can_come[::2], can_come[1::2]
            can_come = without | with_edge
            rows[~can_come] = _EDGE
        return masks

    def mask(self, position: int, rank: int) -> Mask:
        """See :meth:`Prefixes.mask`."""
        if position < NUM_EDGES:
            return self._edge_masks[(1 << position) + rank if rank >= 0 else 0].copy()
        if self._admitted is None or rank < 0:
            return _LABEL.copy()
        return self._label_masks(position - NUM_EDGES, np.array([rank]))[0]

    def masks(self, position: NDArray[np.int64], rank: NDArray[np.int64]) -> Mask:
        """See :meth:`Prefixes.masks`."""
        position, rank = np.broadcast_arrays(position, rank)
        on_edges = position < NUM_EDGES
        row = np.where(on_edges & (rank >= 0), (1 << np.minimum(position, NUM_EDGES)) + rank, 0)
        masks = self._edge_masks.take(row, axis=0)
        if on_edges.all():
            return masks
        masks[~on_edges] = _LABEL
        if self._admitted is not None:
            labelled = np.where(rank >= 0, position - NUM_EDGES, -1)
            for decided in range(INTERIOR):
                here = labelled == decided
                if here.any():
                    masks[here] = self._label_masks(decided, rank[here])
        return masks

    def _label_masks(self, decided: int, rank: NDArray[np.int64]) -> Mask:
        """Masks of the operation after so many ``decided`` ones, ``(batch, 3)``."""
        drawing, begun = np.divmod(rank, len(OPERATIONS) ** decided)
        ways_on = NUM_LABELS // len(OPERATIONS) ** decided
        labels = begun[:, None] * ways_on + np.arange(ways_on)
        index = self._cells.index(drawing[:, None], labels)
        assert self._admitted is not None
        admitted = self._admitted[index].reshape(len(rank), len(OPERATIONS), -1)
        masks: Mask = admitted.max(axis=2).astype(np.int8)
        masks[masks.max(axis=1) == 0] = _LABEL
        return masks

    @cached_property
    def marginal(self) -> Mask:
        """See :attr:`Prefixes.marginal`."""
        marginal = np.zeros((NUM_EDGES + INTERIOR, len(OPERATIONS)), np.int8)
        for edge in range(NUM_EDGES):
            marginal[edge, :2] = self._drawings.reshape(1 << edge, 2, -1).any((0, 2))
        labels = np.ones(NUM_LABELS, np.bool_)
        if self._admitted is not None:
            labels = self._cells.labels_of(self._drawings, self._admitted[:-1])
        for vertex in range(INTERIOR):
            before = len(OPERATIONS) ** vertex
            marginal[NUM_EDGES + vertex] = labels.reshape(before, len(OPERATIONS), -1).any((0, 2))
        return marginal
