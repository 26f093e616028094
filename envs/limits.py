"""Limits on figures of an architecture: exact masks, and the cost of a violation.

A partial architecture is admitted if and only if some completion meets all limits at once, which a
table of every prefix answers; so a mask is never empty and never leads into a dead end.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from nats_gym.checks import number
from nats_gym.errors import InvalidInput
from nats_gym.spaces import ArchitectureSpace, Figure, get_space

Mask = NDArray[np.int8]
#: No network costs less, and a cost relative to less would overflow.
LEAST = 1e-9


class Limits:
    """What an architecture may cost, and which decisions still keep to that.

    Args:
        space: the architecture space.
        maxima: figures, and the most that each may be. One that is unknown violates a limit: by as
            much as the largest that is known, and at least by as much again as the limit.

    Attributes:
        cost: by official index, ``(arch,)``: how far an architecture exceeds its limits, each as
            a fraction of the limit, summed; 0 where it meets them.

    Raises:
        InvalidInput: for a limit that is no positive number, and for limits that no architecture
            meets; it says how low each can go.
    """

    def __init__(self, space: ArchitectureSpace, maxima: Iterable[tuple[Figure, float]]) -> None:
        self._space = space
        self._n, self._k = space.num_decisions, space.num_choices
        self.maxima: dict[str, float] = {}
        self.cost = np.zeros(space.size)
        lowest = []
        for figure, most in maxima:
            values, unit, option = figure.values, figure.quantity.unit, f"max_{figure.name}"
            limit = self.maxima[option] = number(most, option, LEAST, unit=unit)
            lowest.append(f"{option}={limit:g} (the lowest is {np.nanmin(values):g} {unit})")
            excess = np.maximum(values / limit - 1.0, 0.0)
            # Finite, so that a reward stays so.
            self.cost += np.where(np.isnan(values), max(np.nanmax(excess), 1.0), excess)
        self._meets = self.cost[space.rank_to_index] == 0.0  # (arch,), by rank
        if not self._meets.any():
            raise InvalidInput(f"no architecture of {space.name} meets {' and '.join(lowest)}")

    def __bool__(self) -> bool:
        return bool(self.maxima)

    @cached_property
    def feasible(self) -> NDArray[np.int64]:
        """Official indices of the architectures that meet all limits, in order of choices."""
        return np.asarray(self._space.rank_to_index[self._meets])

    # ── building: one decision after another ─────────────────────────────────────────────────

    @cached_property
    def _by_prefix(self) -> tuple[Mask, NDArray[np.int64]]:
        """A mask per prefix, ``(prefixes, k)``, and where those of each length begin."""
        masks, starts = [], [0]
        for length in range(self._n):
            completions = self._meets.reshape(self._k**length, self._k, -1)
            masks.append(completions.any(axis=2).astype(np.int8))
            starts.append(starts[-1] + self._k**length)
        return np.concatenate(masks), np.array(starts)

    def mask(self, position: int, rank: int) -> Mask:
        """Which choices come next after ``position`` decisions that read as ``rank``, ``(k,)``.

        If the decisions already exclude every completion that meets the limits, all are open.
        """
        masks, starts = self._by_prefix
        row = masks[starts[position] + rank]
        return row.copy() if row.any() else np.ones_like(row)

    def masks(self, position: NDArray[np.int64], rank: NDArray[np.int64]) -> Mask:
        """:meth:`mask` of a batch, ``(batch, k)``."""
        by_prefix, starts = self._by_prefix
        rows = by_prefix[starts[position] + rank]
        rows[~rows.any(axis=1)] = 1
        return rows

    # ── all decisions at once ────────────────────────────────────────────────────────────────

    @cached_property
    def marginal(self) -> Mask:
        """Which choices of each decision occur in an architecture that meets the limits, (n, k)."""
        choices = self._space.choices(self.feasible)  # (feasible, n)
        occurs = (choices[:, :, None] == np.arange(self._k)).any(axis=0)
        return np.asarray(occurs.astype(np.int8))

    # ── editing: one decision changed ────────────────────────────────────────────────────────

    @cached_property
    def edits(self) -> Mask:
        """Which edits of each architecture by official index change it and keep to the limits.

        ``(arch, n·k)``. Where no edit does, those that lower the cost of a violation; where none
        does either, those that leave the architecture as it is.
        """
        choices = self._space.all_choices()  # (arch, n)
        ranks = self._space.index_to_rank
        places = self._space.place_values
        choice = np.arange(self._k)
        kept = choices[:, :, None] == choice  # (arch, n, k)
        target = ranks[:, None, None] + (choice - choices[:, :, None]) * places[:, None]
        cost = self.cost[self._space.rank_to_index]
        admitted = self._meets[target] & ~kept
        for way_out in (cost[target] < cost[ranks][:, None, None], kept):
            stuck = ~admitted.any(axis=(1, 2))
            admitted[stuck] = way_out[stuck]
        return np.asarray(admitted.reshape(len(choices), -1).astype(np.int8))


@cache
def no_limits(space: str) -> Limits:
    """What an environment without limits has: shared, for it is the same for all."""
    return Limits(get_space(space), ())
