"""Bayesian linear regression of all runs at once, on features that they share.

Weights are normal with covariance 1 beforehand, and answers lie around what they say by noise of
one variance (Bishop, *Pattern Recognition and Machine Learning*, 2006, section 3.3). Which
architectures were answered settles the covariance, whatever the answers were; so it takes one
update of rank one an answer, and answers may be put on another scale at any time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Share of what an answer lies off the line that is the architecture's own, not chance.
KEPT = 0.3
#: Runs whose scores of all architectures are in memory at once.
TOGETHER = 64
#: Features and weights are multiples of this where all architectures are scored: then products and
#: their sums are exact, in whatever order they are added, and a run does not depend on its
#: neighbours.
GRAIN = 2.0**-20
#: More than scores ever differ by.
FAR = 1e6


class LinearPosterior:
    """What answers say of the weights of a line, in every run.

    Args:
        features: of the architectures that a run may ask for, ``(arch, f)``.
        noise: variance of an answer around the line.
        runs: independent runs.
        mean: of the weights beforehand, ``(f,)``; None for 0.

    Attributes:
        covariance: of the weights, ``(runs, f, f)``.
        answers: how many there are in each run.
    """

    def __init__(
        self,
        features: NDArray[np.float64],
        noise: float,
        runs: int,
        mean: NDArray[np.float64] | None = None,
    ) -> None:
        self._features = features
        self._scored = np.ascontiguousarray(_rounded(features).T)  # (f, arch)
        self._noise = noise
        self._mean = np.zeros(features.shape[1]) if mean is None else mean
        self.covariance = np.tile(np.eye(features.shape[1]), (runs, 1, 1))
        self.answers = 0
        self._place = np.zeros((runs, 0), np.int64)
        self._number = np.zeros((runs, 0), np.int64)
        self._accuracy = np.zeros((runs, 0))

    def observe(
        self, place: NDArray[np.int64], accuracy: NDArray[np.float64], number: NDArray[np.int64]
    ) -> None:
        """Take in an answer of every run.

        Args:
            place: of the architectures among the features, ``(runs,)``.
            accuracy: that they scored, ``(runs,)``.
            number: of the evaluations, ``(runs,)``.
        """
        row = self._features[place]  # (runs, f)
        along = (self.covariance @ row[..., None])[..., 0]
        spread = self._noise + (row[:, None] @ along[..., None])[:, 0]
        self.covariance -= along[:, :, None] * (along / spread)[:, None, :]
        self.answers += 1
        self._place = np.column_stack([self._place, place])
        self._number = np.column_stack([self._number, number])
        self._accuracy = np.column_stack([self._accuracy, accuracy])

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """What was scored, ``(runs, t)``, as the answers came."""
        return self._accuracy

    def weights(self, target: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean of the weights after all answers, ``(runs, f)``.

        Args:
            target: :attr:`accuracy` on any scale, ``(runs, t)``.
        """
        rows = self._features[self._place]  # (runs, t, f)
        off = target - rows @ self._mean
        gained = rows.swapaxes(1, 2) @ off[..., None] / self._noise
        return np.asarray(self._mean + (self.covariance @ gained)[..., 0])

    def sample(
        self, weights: NDArray[np.float64], normal: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Weights drawn around ``weights (runs, f)`` by standard ``normal (runs, f)`` numbers."""
        factor = np.linalg.cholesky(self.covariance)
        return np.asarray(weights + (factor @ normal[..., None])[..., 0])

    def recommend(
        self, weights: NDArray[np.float64], target: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Number of the answer whose architecture scores most in truth, ``(runs,)``.

        As far as the line of ``weights (runs, f)`` and the answers on the scale of ``target
        (runs, t)`` tell; the earliest of equals.
        """
        line = (self._features[self._place] @ weights[..., None])[..., 0]
        mean = line + KEPT * (target - line)
        best = mean.argmax(axis=1)[:, None]
        return np.take_along_axis(self._number, best, axis=1)[:, 0]

    def best(self, weights: NDArray[np.float64], asked: NDArray[np.int64]) -> NDArray[np.int64]:
        """Place where the line of ``weights (runs, f)`` is highest, ``(runs,)``.

        Args:
            weights: of the line.
            asked: places that are chosen only where there are no others, ``(runs, t)``.
        """
        chosen = np.empty(len(weights), dtype=np.int64)
        weights = _rounded(weights)
        for first in range(0, len(weights), TOGETHER):
            runs = slice(first, first + TOGETHER)
            scores = weights[runs] @ self._scored
            lowered = np.take_along_axis(scores, asked[runs], axis=1) - FAR
            np.put_along_axis(scores, asked[runs], lowered, axis=1)
            chosen[runs] = scores.argmax(axis=1)
        return chosen


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.rint(values / GRAIN) * GRAIN)
