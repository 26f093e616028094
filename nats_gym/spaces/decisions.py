"""What is decided of an architecture, and the rows of choices that it can be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown

Choices = NDArray[np.int64]
Indices = NDArray[np.int64]
#: Most rows that can be counted.
MOST_ROWS = 1 << 62


class Decisions:
    """Decisions by name, each with choices of its own, in order.

    Attributes:
        name: what they are of.
        decisions: what is decided, in order, and the names of the choices of each.
    """

    name: str
    decisions: Mapping[str, Sequence[str]]

    @cached_property
    def decision_names(self) -> tuple[str, ...]:
        """What is decided, in order, ``n`` names."""
        return tuple(self._decisions)

    @cached_property
    def names_of_choices(self) -> tuple[tuple[str, ...], ...]:
        """Names of the choices of each decision, in order."""
        return tuple(self._decisions.values())

    @cached_property
    def choice_counts(self) -> Choices:
        """How many choices each decision has, ``(n,)``, read-only."""
        counts = np.array([len(names) for names in self._decisions.values()], np.int64)
        counts.flags.writeable = False
        return counts

    @cached_property
    def num_decisions(self) -> int:
        """``n``: how many decisions an architecture is."""
        return len(self._decisions)

    @cached_property
    def num_choices(self) -> int:
        """``k``: how many choices the decision with the most of them has."""
        return int(self.choice_counts.max())

    @cached_property
    def equal_choices(self) -> bool:
        """Whether all decisions have as many choices."""
        return bool((self.choice_counts == self.num_choices).all())

    @cached_property
    def _decisions(self) -> dict[str, tuple[str, ...]]:
        what = f"decisions of {shown(getattr(self, 'name', type(self)))}"
        given = checks.mapping(
            getattr(self, "decisions", None), f"{what} are names, and the choices of each"
        )
        decisions = {}
        for decision, choices in given.items():
            in_order = not isinstance(choices, (set, frozenset))
            names = (checks.as_list(choices) or []) if in_order else []
            if not names or not all(isinstance(name, str) for name in names):
                raise InvalidInput(
                    f"{what}: {shown(decision)} has a list of names for choices, one at least, in "
                    f"an order, got {shown(choices)}"
                )
            if len(set(names)) < len(names):
                raise InvalidInput(f"{what}: two choices of {shown(decision)} have the same name")
            decisions[decision] = tuple(names)
        if not decisions:
            raise InvalidInput(f"{what}: there is none")
        return decisions

    @cached_property
    def num_rows(self) -> int:
        """How many rows of choices there are, architectures or not."""
        rows = math.prod(self.choice_counts.tolist())
        if rows > MOST_ROWS:
            raise InvalidInput(
                f"{self.name} has {shown(rows)} rows of choices; up to 2**62 are counted"
            )
        return rows

    @cached_property
    def place_values(self) -> Indices:
        """What a choice of each decision counts in the rank of a row, ``(n,)``, the first most."""
        following = np.append(self.choice_counts[1:], 1)
        return np.asarray(np.cumprod(following[::-1])[::-1], dtype=np.int64)

    @cached_property
    def num_neighbors(self) -> int:
        """How many rows differ from one in a single decision."""
        return int((self.choice_counts - 1).sum())

    def _row_at(self, rank: Indices) -> Choices:
        """The row ``(..., n)`` of a ``rank (...)``."""
        return np.asarray(rank[..., None] // self.place_values % self.choice_counts)
