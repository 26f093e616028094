"""BOHB: Hyperband whose new architectures are drawn from a model of the good ones.

Source: Falkner, Klein & Hutter, ICML 2018 (arXiv 1807.01774); settings as run in NATS-Bench (Dong
et al., arXiv 2009.00437).

As in the authors' HpBandSter, which that benchmark ran: the brackets, which points are good and
bad, from how many on there is a model, which rung's, the kernel and its normal-reference bandwidth,
how a candidate is drawn and which is taken. (NATS-Bench's bandwidth factor of 3 widens continuous
decisions alone, and these spaces have none.) With ``density="normalised"`` a kernel knows all the
choices of a decision, not just those among its points, and a bandwidth goes up to that of a uniform
kernel, where HpBandSter's goes on to negative weights: a density, which finds better architectures.

Ours: the best of equals is the one asked for first; a bracket ends before the next begins.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from nats_gym.checks import integer, number, word
from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams, uniform_integers

from .asha import smallest_type
from .interface import Question
from .successive_halving import ETA, Bracket, Brackets, bracket, halving

SAMPLES = 4  # candidates, of which the best is taken
RANDOM_FRACTION = 0.0  # of new architectures, drawn uniformly though there is a model
MIN_BANDWIDTH = 0.3
GOOD_PERCENT = 15  # of the points
DENSITIES = ("hpbandster", "normalised")
LEAST_DENSITY = 1e-32  # HpBandSter's: what is less counts as this


class Bohb:
    """BOHB over all runs at once.

    Args:
        space: what to search.
        streams: one random stream per run.
        rungs: training schedules, from 2.
        eta: one in so many goes on to the next rung, from 2.
        samples: candidates of which the best is taken, from 1.
        random_fraction: of new architectures drawn uniformly once there is a model, in [0, 1].
        density: one of ``DENSITIES``, see :class:`Density`.

    Raises:
        InvalidInput: for a bad ``rungs`` or option.
    """

    continuing = "scratch"

    def __init__(
        self,
        space: ArchitectureSpace,
        streams: RunStreams,
        rungs: int,
        eta: int = ETA,
        samples: int = SAMPLES,
        random_fraction: float = RANDOM_FRACTION,
        density: str = "hpbandster",
    ) -> None:
        rungs, eta = halving(rungs, eta)
        self.samples = integer(samples, "samples", 1, 1_000_000)
        self.random_fraction = number(random_fraction, "random_fraction", 0, 1)
        self._normalised = word(density, "density", DENSITIES) == "normalised"
        self.space = space
        self.streams = streams
        self._brackets = Brackets(itertools.cycle(brackets(rungs, eta)), self._draw)
        # Results of every rung as they came: number and accuracy (runs,), choices (runs, n).
        self._numbers: list[list[NDArray[np.int64]]] = [[] for _ in range(rungs)]
        self._accuracy: list[list[NDArray[np.float64]]] = [[] for _ in range(rungs)]
        self._choices: list[list[NDArray[np.signedinteger]]] = [[] for _ in range(rungs)]
        self._model: tuple[Density, Density] | None = None  # of the good and of the bad
        self._model_rung = 0

    @staticmethod
    def results_for_model(space: ArchitectureSpace) -> int:
        """Results of one rung that a model of its good and its bad ones takes."""
        return 2 * (space.num_decisions + 1)

    def ask(self) -> Question | None:
        """The next architecture of the rung; None while it waits for results."""
        return self._brackets.ask()

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64]) -> None:
        """What evaluation number ``evaluation (runs,)`` scored; arrays are ``(runs,)``."""
        rung = self._brackets.rung
        self._numbers[rung].append(evaluation)
        self._accuracy[rung].append(outcome.accuracy)
        answered = self._brackets.answered(evaluation)
        self._choices[rung].append(answered.astype(smallest_type(self.space)))
        self._brackets.tell(outcome.accuracy, evaluation)
        if rung >= self._model_rung:  # the highest rung that has enough points has the model
            self._fit(rung)

    def _fit(self, rung: int) -> None:
        """Model a rung's good and bad points, if there are enough."""
        good, bad = good_and_bad(len(self._numbers[rung]), self.space.num_decisions)
        if not bad:
            return
        numbers, accuracy = np.stack(self._numbers[rung]), np.stack(self._accuracy[rung])
        order = np.lexsort((numbers, -accuracy), axis=0)[: good + bad, :, None]
        points = np.take_along_axis(np.stack(self._choices[rung]), order, axis=0)
        choices, normalised = self.space.choice_counts, self._normalised
        self._model = (
            Density(points[:good], choices, normalised),
            Density(points[good:], choices, normalised),
        )
        self._model_rung = rung

    def _draw(self) -> NDArray[np.int64]:
        """New architectures ``(runs, n)``: the best candidates, uniform ones without a model."""
        runs = self.streams.runs
        uniform = self.space.sample(self.streams, (runs,))
        if self._model is None:
            return uniform
        good, bad = self._model
        candidates = good.sample(self.streams, self.samples)
        best = choose_candidate(good(candidates), bad(candidates))
        random = self.streams.random((runs, 1)) < self.random_fraction
        drawn = np.where((best < 0)[:, None], uniform, candidates[np.arange(runs), best])
        return np.where(random, uniform, drawn)


def choose_candidate(good: NDArray[np.float64], bad: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which of the candidates a run takes, ``(runs,)``; -1 for none, as HpBandSter chooses.

    The first of the least ratio of densities, the bad points' to the good ones'. But a candidate
    that the good points know and the bad ones cannot judge ends the search, and is taken.

    Args:
        good: densities of the candidates among the good points, ``(runs, m)``; they may be
            negative, infinite or NaN.
        bad: among the bad ones.
    """
    with np.errstate(invalid="ignore"):
        # A density that is NaN counts as the least among the bad points, and stays among the good.
        below = np.where(bad > LEAST_DENSITY, bad, LEAST_DENSITY)
        ratio = below / np.where(good < LEAST_DENSITY, LEAST_DENSITY, good)
        taken = ~np.isfinite(ratio) & np.isfinite(good)
    ratio[~np.isfinite(ratio)] = np.inf
    best = np.where(np.isinf(ratio).all(axis=1), -1, ratio.argmin(axis=1))
    return np.where(taken.any(axis=1), taken.argmax(axis=1), best)


class Density:
    """Kernel density of categorical points in every run: Aitchison & Aitken's, a product of them.

    Under the kernel of a point a decision keeps its choice with weight ``1 - bandwidth``; each of
    the other choices has ``bandwidth / (levels - 1)``. HpBandSter's levels, which are statsmodels',
    are the choices that occur among the points: where only one does, another has infinite density.

    Args:
        points: ``(points, runs, n)``.
        choices: how many each decision has, ``(n,)``, or one number for all.
        normalised: count all choices as levels, and let no bandwidth exceed a uniform kernel's
            ``(choices - 1) / choices``: densities are positive and sum to one over the space.

    Attributes:
        bandwidth: ``1.06 · std · points^(-1 / (4 + n))`` of the choices' numbers, and at least
            ``MIN_BANDWIDTH``, ``(runs, n)``.
    """

    def __init__(
        self,
        points: NDArray[np.signedinteger],
        choices: NDArray[np.int64] | int,
        normalised: bool = False,
    ) -> None:
        self.points = points
        self.choices = np.asarray(choices)
        count, runs, n = points.shape
        # Sums of integers: exact, so the same for one run and for many.
        total = points.sum(axis=0, dtype=np.int64)
        squares = np.square(points, dtype=np.int64).sum(axis=0)
        std = np.sqrt(count * squares - total**2) / count
        reference = 1.06 * std * count ** (-1 / (4 + n))
        most = (self.choices - 1) / self.choices if normalised else np.inf
        self.bandwidth = np.minimum(np.maximum(reference, MIN_BANDWIDTH), most)
        self._levels = np.full((runs, n), self.choices)
        if not normalised:
            self._levels = sum(
                (points == choice).any(axis=0).astype(int) for choice in range(self.choices.max())
            )

    def __call__(self, choices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Density ``(runs, m)`` of architectures ``(runs, m, n)``."""
        # The runs come last in memory: they are many.
        points = np.ascontiguousarray(self.points.transpose(2, 0, 1))[:, :, None]
        at = np.ascontiguousarray(choices.transpose(2, 1, 0).astype(points.dtype))
        kernel = np.ones((len(self.points), *at.shape[1:]))  # (points, m, runs)
        with np.errstate(divide="ignore", invalid="ignore"):
            others = (self.bandwidth / (self._levels - 1)).T.copy()
            for decision, width in enumerate(self.bandwidth.T.copy()):
                same = points[decision] == at[decision]
                kernel *= np.where(same, 1 - width, others[decision])
            return np.asarray(kernel.sum(axis=0).T / len(self.points))

    def sample(self, streams: RunStreams, count: int) -> NDArray[np.int64]:
        """Draw ``(runs, count, n)``: random points, each decision kept or else uniform.

        A uniform choice may be the point's own, so a little more is kept than the density has.
        """
        runs, n = self.bandwidth.shape
        place = uniform_integers(streams, len(self.points), (runs, count))
        point = self.points[place, np.arange(runs)[:, None]].astype(np.int64)
        keep = streams.random((runs, count, n)) < 1 - self.bandwidth[:, None]
        return np.where(keep, point, uniform_integers(streams, self.choices, (runs, count, n)))


def good_and_bad(points: int, decisions: int) -> tuple[int, int]:
    """How many of ``points`` count as good, and how many of the next best as bad.

    Either takes ``decisions + 1`` at least; ``(…, 0)`` if that leaves too few bad ones.
    """
    least = decisions + 1
    good = max(least, GOOD_PERCENT * points // 100)
    bad = min(max(least, (100 - GOOD_PERCENT) * points // 100), points - good)
    return good, bad if bad >= least else 0


def brackets(rungs: int, eta: int) -> list[Bracket]:
    """HpBandSter's brackets, from the one that begins at the cheapest rung.

    With ``s`` promotions to the last rung a bracket begins with ``⌊rungs / (s + 1)⌋ · eta^s``
    architectures, where Hyperband's rounds up the product.

    >>> [bracket.sizes for bracket in brackets(3, 3)]
    [(9, 3, 1), (3, 1), (3,)]
    """
    return [
        bracket(rungs // (s + 1) * eta**s, rungs - 1 - s, rungs, eta)
        for s in reversed(range(rungs))
    ]
