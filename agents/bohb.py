"""BOHB: Hyperband whose new architectures are drawn from a model of the good ones.

Source: Falkner, Klein & Hutter, ICML 2018 (arXiv 1807.01774); settings as run in NATS-Bench (Dong
et al., arXiv 2009.00437).

As in the authors' HpBandSter, which that benchmark ran: the brackets, which points are good and
bad, from how many on there is a model, which rung's, the normal-reference bandwidth of the
choices' numbers, how a candidate is drawn and which is taken. (NATS-Bench's bandwidth factor of 3
widens continuous decisions alone, and these spaces have none.)

Ours: a kernel knows all the choices of a decision, not just those among its points; a bandwidth
goes up to that of a uniform kernel, where theirs goes on to negative weights; the best of equals
is the one asked for first; a bracket ends before the next begins.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import InvalidInput, shown
from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.spaces.architecture_space import uniform_integers
from nats_gym.streams import RunStreams

from .interface import Question
from .successive_halving import ETA, Bracket, Brackets, bracket, integer_from

SAMPLES = 4  # candidates, of which the best is taken
RANDOM_FRACTION = 0.0  # of new architectures, drawn uniformly though there is a model
MIN_BANDWIDTH = 0.3
GOOD_PERCENT = 15  # of the points


class Bohb:
    """BOHB over all runs at once.

    Args:
        space: what to search.
        streams: one random stream per run.
        rungs: training schedules, from 2.
        eta: one in so many goes on to the next rung, from 2.
        samples: candidates of which the best is taken, from 1.
        random_fraction: of new architectures drawn uniformly once there is a model, in [0, 1].

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
    ) -> None:
        rungs, eta = integer_from(2, "rungs", rungs), integer_from(2, "eta", eta)
        self.samples = integer_from(1, "samples", samples)
        if not _is_fraction(random_fraction):
            raise InvalidInput(
                f"random_fraction is a number from 0 to 1, got {shown(random_fraction)}"
            )
        self.random_fraction = random_fraction
        self.space = space
        self.streams = streams
        self._brackets = Brackets(itertools.cycle(brackets(rungs, eta)), self._draw)
        # Results of every rung as they came: number and accuracy (runs,), digits (runs, n).
        self._numbers: list[list[NDArray[np.int64]]] = [[] for _ in range(rungs)]
        self._accuracy: list[list[NDArray[np.float64]]] = [[] for _ in range(rungs)]
        self._digits: list[list[NDArray[np.int8]]] = [[] for _ in range(rungs)]
        self._model: tuple[Density, Density] | None = None  # of the good and of the bad
        self._model_rung = 0

    def ask(self) -> Question | None:
        """The next architecture of the rung; None while it waits for results."""
        return self._brackets.ask()

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64]) -> None:
        """What evaluation number ``evaluation (runs,)`` scored; arrays are ``(runs,)``."""
        rung = self._brackets.rung
        self._numbers[rung].append(evaluation)
        self._accuracy[rung].append(outcome.accuracy)
        self._digits[rung].append(self._brackets.answered(evaluation).astype(np.int8))
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
        points = np.take_along_axis(np.stack(self._digits[rung]), order, axis=0)
        choices = self.space.num_choices
        self._model = Density(points[:good], choices), Density(points[good:], choices)
        self._model_rung = rung

    def _draw(self) -> NDArray[np.int64]:
        """New architectures ``(runs, n)``: the best candidates, uniform ones without a model."""
        runs = self.streams.runs
        uniform = self.space.sample(self.streams, (runs,))
        if self._model is None:
            return uniform
        good, bad = self._model
        candidates = good.sample(self.streams, self.samples)
        best = (good(candidates) / bad(candidates)).argmax(axis=1)
        random = self.streams.random((runs, 1)) < self.random_fraction
        return np.where(random, uniform, candidates[np.arange(runs), best])


class Density:
    """Kernel density of categorical points in every run: Aitchison & Aitken's, a product of them.

    Under the kernel of a point a decision keeps its choice with probability ``1 - bandwidth``;
    the other choices share the rest.

    Args:
        points: ``(points, runs, n)``.
        choices: of every decision.

    Attributes:
        bandwidth: ``1.06 · std · points^(-1 / (4 + n))`` of the choices' numbers, from
            ``MIN_BANDWIDTH`` up to a uniform kernel's ``(choices - 1) / choices``, ``(runs, n)``.
    """

    def __init__(self, points: NDArray[np.int8], choices: int) -> None:
        self.points = points
        self.choices = choices
        count, _, n = points.shape
        # Sums of integers: exact, so the same for one run and for many.
        total = points.sum(axis=0, dtype=np.int64)
        squares = np.square(points, dtype=np.int64).sum(axis=0)
        std = np.sqrt(count * squares - total**2) / count
        reference = 1.06 * std * count ** (-1 / (4 + n))
        self.bandwidth = np.clip(reference, MIN_BANDWIDTH, (choices - 1) / choices)

    def __call__(self, digits: NDArray[np.int64]) -> NDArray[np.float64]:
        """Density ``(runs, m)`` of architectures ``(runs, m, n)``."""
        # The runs come last in memory: they are many.
        points = np.ascontiguousarray(self.points.transpose(2, 0, 1))[:, :, None]
        at = np.ascontiguousarray(digits.transpose(2, 1, 0).astype(np.int8))
        bandwidth = self.bandwidth.T.copy()
        kernel = np.ones((len(self.points), *at.shape[1:]))  # (points, m, runs)
        for decision, width in enumerate(bandwidth):
            same = points[decision] == at[decision]
            kernel *= np.where(same, 1 - width, width / (self.choices - 1))
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


def _is_fraction(value: object) -> bool:
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and 0 <= value <= 1  # type: ignore[arg-type, operator]
