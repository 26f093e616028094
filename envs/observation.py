"""The flat observation: what is decided, what comes next and the figures of the episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput
from nats_gym.spaces import ArchitectureSpace

Observation = NDArray[np.float32]
#: A decision that is not taken yet, among choices.
OPEN = -1


class FlatObservation:
    """Writes the flat observation in place, one decision at a time.

    Layout, all in [0, 1]: ``n·k`` one-hot decisions (zeros while open), the one-hot position of
    the next decision (zeros once complete), then the figures of the episode, those known of
    the architecture evaluated last, and what else an environment shows.

    Args:
        space: the architecture space.
        positions: decisions taken one after another; 0 where they are not.
        figures: what the figures of the episode are called.
        known: likewise those of the architecture.
        further: what else is shown, by name: how many numbers, and the least that each can be.

    Attributes:
        box: the observation space.
        decisions, choices: n and k.
        choice_counts: choices of each decision, ``(n,)``.
        decided, positions, figures: slices of the three parts.
        known: slice of ``figures``: what is known of the architecture.
        further: slice of what else is shown; ``parts``: by name, a slice for each.
    """

    def __init__(
        self,
        space: ArchitectureSpace,
        positions: int,
        figures: Sequence[str] = (),
        known: Sequence[str] = (),
        further: Mapping[str, tuple[int, float]] = MappingProxyType({}),
    ) -> None:
        self._n, self._k = space.num_decisions, space.num_choices
        self.decisions, self.choices = self._n, self._k
        self.choice_counts = space.choice_counts
        self._positions = space.num_decisions * space.num_choices
        self._end = self._positions + positions
        self.names = (*figures, *known)
        width = first = self._end + len(self.names)
        self.parts: dict[str, slice] = {}
        for name, (numbers, _) in further.items():
            self.parts[name] = slice(width, width + numbers)
            width += numbers
        self.decided = slice(0, self._positions)
        self.positions = slice(self._positions, self._end)
        self.figures = slice(self._end, first)
        self.known = slice(self._end + len(figures), first)
        self.further = slice(first, width)
        low = np.zeros(width, np.float32)
        for name, (_, least) in further.items():
            low[self.parts[name]] = least
        self.box = Box(low, np.ones(width, np.float32))
        self._values = np.zeros(width, np.float32)

    def begin(self, choices: Sequence[int] = ()) -> None:
        """Show ``choices`` as taken; the next decision comes next. Figures stay."""
        values = self._values
        values[: self._end] = 0.0
        for position, choice in enumerate(choices):
            values[position * self._k + choice] = 1.0
        if self._positions + len(choices) < self._end:
            values[self._positions + len(choices)] = 1.0

    def decide(self, position: int, choice: int) -> None:
        """Record the choice at ``position`` and move on to the next."""
        values, here = self._values, self._positions + position
        if position < self._n:
            values[position * self._k + choice] = 1.0
        values[here] = 0.0
        if here + 1 < self._end:
            values[here + 1] = 1.0

    def change(self, decision: int, old: int, new: int) -> None:
        """Record another choice for a decision that was taken."""
        self._values[decision * self._k + old] = 0.0
        self._values[decision * self._k + new] = 1.0

    def set_figures(self, *figures: float) -> None:
        """Set the figures of the episode."""
        self._values[self._end : self.known.start] = figures

    def set_known(self, shares: ArrayLike) -> None:
        """Set what is known of the architecture."""
        self._values[self.known] = shares

    def set_part(self, name: str, numbers: ArrayLike) -> None:
        """Set one of the further parts."""
        self._values[self.parts[name]] = numbers

    def read(self) -> Observation:
        """The observation, a fresh array."""
        return self._values.copy()

    # ── between observation and architecture ─────────────────────────────────────────────────

    def encode(self, choices: ArrayLike, figures: Sequence[float]) -> Observation:
        """Observations ``(..., width)`` of ``choices (..., n)``, where -1 is an open decision.

        Args:
            choices: choices; the first open decision comes next.
            figures: those of the episode and what comes after them, for all.

        Raises:
            InvalidInput: for anything but n choices of 0…k-1 or -1.
        """
        array = checks.array(choices, "choices are integers")
        if array.ndim == 0 or array.shape[-1] != self._n or array.dtype.kind not in "iu":
            raise InvalidInput(
                f"choices need a last axis of {self._n} integers, got {array.dtype} {array.shape}"
            )
        if np.any((array < OPEN) | (array >= self._k)):
            raise InvalidInput(f"a choice is in 0…{self._k - 1}, or {OPEN} while it is open")
        values = np.zeros((*array.shape[:-1], self._values.size), np.float32)
        one_hot = array[..., None] == np.arange(self._k)  # (..., n, k)
        values[..., self.decided] = one_hot.reshape(*array.shape[:-1], self._n * self._k)
        if self._end > self._positions:
            following = np.where((array == OPEN).any(-1), (array == OPEN).argmax(-1), self._n)
            places = np.arange(self._end - self._positions)
            values[..., self.positions] = following[..., None] == places
        values[..., self._end :] = figures
        return values

    def decode(self, observation: ArrayLike) -> NDArray[np.int64]:
        """Choices ``(..., n)`` of observations ``(..., width)``; -1 where a decision is open.

        Raises:
            InvalidInput: for another width.
        """
        values = checks.array(observation, "an observation is numbers")
        if (
            values.dtype.kind not in "biuf"
            or values.ndim == 0
            or values.shape[-1] != self._values.size
        ):
            raise InvalidInput(
                f"an observation has a last axis of {self._values.size} numbers, "
                f"got {values.dtype} {values.shape}"
            )
        one_hot = values[..., self.decided].reshape(*values.shape[:-1], self._n, self._k)
        return np.where(one_hot.any(-1), one_hot.argmax(-1), OPEN)

    def split(self, observation: Observation) -> dict[str, Any]:
        """The parts of observations ``(..., width)``.

        ``decided (..., n·k)``, ``position (..., positions)``, by name each figure ``(..., 1)``
        and each further part ``(..., numbers)``.
        """
        parts = {
            "decided": observation[..., self.decided],
            "position": observation[..., self.positions],
        }
        figures = observation[..., self.figures]
        parts |= {name: figures[..., i : i + 1] for i, name in enumerate(self.names)}
        return parts | {name: observation[..., part] for name, part in self.parts.items()}
