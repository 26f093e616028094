"""What stands under an evaluator's accuracies: percent, or scores brought to 0…100."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown

# Where an accuracy is 75, as the inverse hyperbolic sine of a score: near those of most.
_MIDDLE = 8.0


def as_accuracy(score: float) -> float:
    """A score brought to 0…100 by a strictly increasing function; 0 for minus infinity.

    Its inverse hyperbolic sine x, which is near linear about zero and logarithmic far from it, as
    ``50 + 50 · x / (8 + |x|)``.

    Raises:
        InvalidInput: for what is no number.
    """
    plain = checks.as_number(score)
    if plain is None:
        raise InvalidInput(f"a score is a number, got {shown(score)}")
    if math.isinf(plain):
        return 0.0 if plain < 0 else 100.0
    bent = math.asinh(plain)
    return 50 + 50 * bent / (_MIDDLE + abs(bent))


@dataclass(frozen=True)
class Observed:
    """What an evaluator observes and calls accuracy.

    Attributes:
        name: of a score that :func:`as_accuracy` has brought to 0…100, ``"naswot"``; of several,
            ``"vote(naswot, snip)"``, 100 times a share; empty for an accuracy.
    """

    name: str = ""

    def __post_init__(self) -> None:
        checks.line(self.name, "the name of what is observed", 1_000)

    @classmethod
    def common(cls, several: Iterable[Observed]) -> Observed:
        """What all of several are; ``InvalidInput`` where they differ."""
        found = dict.fromkeys(several, 0)
        if len(found) > 1:
            raise InvalidInput(
                f"{' and '.join(one.title for one in found)} are not compared: show each alone"
            )
        return next(iter(found), cls())

    @property
    def title(self) -> str:
        """What it is, in words."""
        return self.name or "validation accuracy"

    @property
    def unit(self) -> str:
        """What an axis says behind that."""
        return "" if self.name else " [%]"

    def figures(self, accuracy: ArrayLike) -> NDArray[np.float64]:
        """Accuracies in percent ``(...)``, or the scores that they were made of."""
        percent = checks.numbers(accuracy, "accuracies are numbers").astype(np.float64)
        if not self.name:
            return percent
        if "(" in self.name:
            return percent / 100
        with np.errstate(divide="ignore", over="ignore"):  # of 0 and 100: infinite ones
            part = (percent - 50) / 50
            return np.sinh(_MIDDLE * part / (1 - np.abs(part)))

    def said(self, accuracy: float) -> str:
        """One as a line tells it: ``"93.21 %"``, ``"naswot 1593.2"``."""
        return f"{self.name} {self.cell(accuracy)}" if self.name else f"{self.cell(accuracy)} %"

    def cell(self, accuracy: float) -> str:
        """The same without name and unit."""
        return f"{float(self.figures(accuracy)):{'.6g' if self.name else '.2f'}}"
