"""What an agent has asked for and was not told yet, for answers that come in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import InvalidInput


class Pending:
    """What was asked for in every run, by the number of the evaluation.

    Args:
        runs: independent runs.

    Attributes:
        asked: how many evaluations were asked for in each run.
    """

    def __init__(self, runs: int) -> None:
        self.asked = 0
        self._runs = runs
        self._open: dict[int, tuple[NDArray[Any], ...]] = {}
        self._left: dict[int, int] = {}  # runs in which a number is not answered

    def add(self, *asked: NDArray[Any]) -> NDArray[Any]:
        """Remember the next evaluation, arrays ``(runs, …)``; the first of them, as it is."""
        self._open[self.asked], self._left[self.asked] = asked, self._runs
        self.asked += 1
        return asked[0]

    def take(self, evaluation: NDArray[np.int64] | None) -> tuple[NDArray[Any], ...]:
        """What evaluation number ``evaluation (runs,)`` was, arrays ``(runs, …)``.

        Args:
            evaluation: None for what was asked for last, in all runs.

        Raises:
            InvalidInput: for a number that was not asked for, or is answered in all runs.
        """
        if evaluation is None:
            evaluation = np.full(self._runs, self.asked - 1)
        first = int(evaluation[0])
        if first in self._open and (evaluation == first).all():  # in step, as with one worker
            self._left[first] -= self._runs
            if self._left[first] <= 0:
                del self._left[first]
                return self._open.pop(first)
            return self._open[first]
        numbers, counts = np.unique(evaluation, return_counts=True)
        unknown = [number for number in numbers.tolist() if number not in self._open]
        if unknown:
            raise InvalidInput(f"evaluation {unknown[0]} is not one that waits for its answer")
        found = self._open[int(numbers[0])]
        if len(numbers) > 1:
            found = tuple(np.array(column) for column in found)
            for number in numbers[1:].tolist():
                here = evaluation == number
                for column, of_number in zip(found, self._open[number], strict=True):
                    column[here] = of_number[here]
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            self._left[number] -= count
            if self._left[number] <= 0:
                del self._open[number], self._left[number]
        return found
