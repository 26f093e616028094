"""How trials of a surrogate scatter around their mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nats_gym.streams import NORMAL_STRATA, normal_quantiles

_U = np.uint64
#: Bits of a draw that choose among the quantiles, and those that say whether a training fails.
_STRATUM, _LUCK = 52, 40
_MASK = NORMAL_STRATA - 1


@dataclass(frozen=True)
class Scatter:
    """A trial is ``expected + sd · quantile``, within 0 … 100 percent; or it fails.

    Attributes:
        expected: accuracy of a training that works, percent, ``(arch,)``.
        sd: its standard deviation, in points, ``(arch,)``.
        quantiles: of mean 0 and variance 1, equally likely, ``(NORMAL_STRATA,)``.
        failures: how many of so many trainings fail, ``(arch,)``; None if none ever does.
        chance: accuracy of those that fail, percent.
    """

    expected: NDArray[np.float64]
    sd: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    failures: NDArray[np.int64] | None = None
    chance: float = 0.0

    @classmethod
    def normal(cls, expected: NDArray[np.float64], sd: NDArray[np.float64]) -> Scatter:
        """Of normal trials, none of which fails."""
        return cls(expected, sd, normal_quantiles())

    def draw(self, index: NDArray[np.int64], draws: NDArray[np.uint64]) -> NDArray[np.float64]:
        """A trial of each of ``index (batch,)``, percent, by 64 random bits of it."""
        noise = self.sd.take(index) * self.quantiles[draws >> _U(_STRATUM)]
        trials = np.minimum(np.maximum(self.expected.take(index) + noise, 0.0), 100.0)
        if self.failures is not None:
            luck = (draws >> _U(_LUCK)).astype(np.int64) & _MASK
            trials[luck < self.failures.take(index)] = self.chance
        return trials

    def draw_one(self, index: int, draw: int) -> float:
        """:meth:`draw` of one, without arrays: the same bits."""
        if self.failures is not None and (draw >> _LUCK) & _MASK < self.failures.item(index):
            return self.chance
        noisy = self.expected.item(index) + self.sd.item(index) * self.quantiles.item(
            draw >> _STRATUM
        )
        return min(max(noisy, 0.0), 100.0)
