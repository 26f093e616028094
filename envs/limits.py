"""Limits on figures of an architecture: exact masks, and the cost of a violation.

A partial architecture is admitted if and only if some completion is valid and meets all limits at
once; so a mask is never empty and never leads into a dead end.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from nats_gym.checks import number
from nats_gym.errors import InvalidInput
from nats_gym.spaces import ArchitectureSpace, Figure, Prefixes

Mask = NDArray[np.int8]
#: No network costs less, and a cost relative to less would overflow.
LEAST = 1e-9
#: Masks of edits that are kept ready, one an action of every row.
MOST_KEPT = 1 << 22


def option_of(figure: str) -> str:
    """What a limit on a figure is called."""
    return f"max_{figure}" if figure.isidentifier() else f"limits[{figure}]"


class Limits:
    """What an architecture may cost, and which decisions still keep to that.

    Args:
        space: the architecture space.
        maxima: figures, and the most that each may be. One that is unknown violates a limit: by as
            much as the largest that is known, and at least by as much again as the limit.

    Attributes:
        maxima: the limits by :func:`option_of` their figures.

    Raises:
        InvalidInput: for a limit that is no positive number, and for limits that no architecture
            meets; it says how low each can go.
    """

    def __init__(
        self, space: ArchitectureSpace, maxima: Iterable[tuple[Figure, float]] = ()
    ) -> None:
        self._space = space
        self.maxima: dict[str, float] = {}
        exceeded: NDArray[np.float64] | None = None
        lowest = []
        for figure, most in maxima:
            values, unit = figure.values, figure.quantity.unit
            limit = number(most, f"the limit on {figure.name}", LEAST, unit=unit)
            self.maxima[option_of(figure.name)] = limit
            lowest.append(f"{figure.name} ≤ {limit:g} (the lowest is {np.nanmin(values):g} {unit})")
            excess = np.maximum(values / limit - 1.0, 0.0)
            # Finite, so that a reward stays so.
            excess = np.where(np.isnan(values), max(np.nanmax(excess), 1.0), excess)
            exceeded = excess if exceeded is None else exceeded + excess
        if exceeded is not None:
            self.cost = exceeded
            if not self._meets.any():
                raise InvalidInput(f"no architecture of {space.name} meets {' and '.join(lowest)}")

    def __bool__(self) -> bool:
        return bool(self.maxima)

    @cached_property
    def cost(self) -> NDArray[np.float64]:
        """By official index, ``(arch,)``: how far an architecture exceeds its limits.

        Each as a fraction of the limit, summed; 0 where it meets them.
        """
        return np.zeros(self._space.size)

    @cached_property
    def _meets(self) -> NDArray[np.bool_]:
        return np.asarray(self.cost == 0.0)

    @cached_property
    def feasible(self) -> NDArray[np.int64]:
        """Official indices of the architectures that meet all limits, in order of choices."""
        met = np.flatnonzero(self._meets)
        return np.asarray(met[np.argsort(self._space.rank_at(met), kind="stable")])

    @cached_property
    def num_feasible(self) -> int:
        """How many architectures meet all limits."""
        return len(self.feasible) if self._listed else self._space.size

    def feasible_at(self, place: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those at places ``(batch,)`` among :attr:`feasible`."""
        return self.feasible[place] if self._listed else self._space.index_at(place)

    def draw_feasible(self, key: int) -> int:
        """The one of them that a key of 64 bits draws, as ``uniform_below`` does."""
        bits = 32 if self.num_feasible <= 1 << 32 else 64
        place = (key >> (64 - bits)) * self.num_feasible >> bits
        if self._listed:
            return self.feasible.item(place)
        return int(self._space.index_at(place))

    @cached_property
    def _listed(self) -> bool:
        """Whether the feasible ones are listed: rows of a large plain space are in order as is."""
        space = self._space
        plain = not self and space.every_row_valid and space.size == space.num_rows
        return not plain or space.size <= MOST_KEPT

    # ── building: one decision after another ─────────────────────────────────────────────────

    @cached_property
    def prefixes(self) -> Prefixes:
        """Which choices may follow the first ones."""
        return self._space.prefixes(self._meets if self.maxima else None)

    # ── editing: one decision changed ────────────────────────────────────────────────────────

    @cached_property
    def _edits(self) -> Mask | None:
        """Masks of the edits of every row by rank, ``(rows, edits)``; None of too many."""
        rows = self._space.num_rows
        if rows * int(self._space.choice_counts.sum()) > MOST_KEPT:
            return None
        return self._find_edits(np.arange(rows))

    def edits(self, rank: NDArray[np.int64]) -> Mask:
        """Which edits of rows of a ``rank (batch,)`` change them and keep to the limits.

        An edit gives one decision one of its choices; they are numbered by decision, then choice.
        Where none keeps to the limits, those that lower the cost of a violation; where none does
        either, those that leave the row as it is.

        Returns:
            ``(batch, edits)``, a fresh array.
        """
        kept = self._edits
        return self._find_edits(rank) if kept is None else kept.take(rank, axis=0)

    def edits_of(self, rank: int) -> Mask:
        """:meth:`edits` of one row, ``(edits,)``."""
        kept = self._edits
        return self._find_edits(np.array([rank]))[0] if kept is None else kept[rank].copy()

    def _find_edits(self, rank: NDArray[np.int64]) -> Mask:
        space, counts = self._space, self._space.choice_counts
        decision = np.repeat(np.arange(len(counts)), counts)  # (edits,)
        choice = np.concatenate([np.arange(count) for count in counts])
        places = space.place_values[decision]
        taken = (rank[:, None] // places) % counts[decision]  # (batch, edits)
        same = taken == choice
        target = space.index_at(rank[:, None] + (choice - taken) * places)
        valid = target >= 0
        admitted = valid & ~same
        if self:
            admitted &= self._meets[target]
        stuck = ~admitted.any(axis=1)
        if stuck.any() and self:
            own = space.index_at(rank)
            before = np.where(own < 0, np.inf, self.cost[own])
            lower = valid & (self.cost[target] < before[:, None])
            admitted[stuck] = lower[stuck]
            stuck = ~admitted.any(axis=1)
        admitted[stuck] = same[stuck]
        return admitted.astype(np.int8)


_without: WeakKeyDictionary[ArchitectureSpace, Limits] = WeakKeyDictionary()


def no_limits(space: ArchitectureSpace) -> Limits:
    """What environments of a space without limits have: shared, for it is the same for all."""
    if space not in _without:
        _without[space] = Limits(space)
    return _without[space]
