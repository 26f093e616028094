"""The flat observation: what is decided, what comes next and, against a budget, what is left."""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from nats_gym.spaces import ArchitectureSpace


class FlatObservation:
    """Writes the flat observation in place, one decision at a time.

    Layout, all in [0, 1]: ``n·k`` one-hot decisions (zeros while open), ``n`` one-hot position of
    the next decision (zeros once complete), then ``extras`` figures of the episode.

    Args:
        space: the architecture space.
        extras: number of further figures at the end.
    """

    def __init__(self, space: ArchitectureSpace, extras: int = 0) -> None:
        self._choices = space.num_choices
        self._positions = space.num_decisions * space.num_choices
        self._end = self._positions + space.num_decisions
        self.box = Box(0.0, 1.0, (self._end + extras,), np.float32)
        self._values = np.zeros(self._end + extras, np.float32)

    def begin(self) -> None:
        """Forget the decisions; the first one comes next. Extras stay."""
        self._values[: self._end] = 0.0
        self._values[self._positions] = 1.0

    def decide(self, position: int, choice: int) -> None:
        """Record the choice at ``position`` and move on to the next."""
        values, here = self._values, self._positions + position
        values[position * self._choices + choice] = 1.0
        values[here] = 0.0
        if here + 1 < self._end:
            values[here + 1] = 1.0

    def set_extras(self, *figures: float) -> None:
        """Set the figures at the end."""
        self._values[self._end :] = figures

    def read(self) -> NDArray[np.float32]:
        """The observation, a fresh array."""
        return self._values.copy()
