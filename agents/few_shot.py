"""Few-shot search: a line through the answers so far, what other data sets taught to begin with.

Bayesian linear regression (:mod:`.linear_posterior`) on the space's features, their principal
components, and on what other tables make one expect (:mod:`.prior_scores`), if any are given. Each
architecture is the best of a line drawn from the posterior, over the whole space: Thompson sampling
with a narrowed posterior. The answer is the highest posterior mean, not the luckiest observation.
Nothing is asked for twice while there is anything else.

With a prior the first question is its best. Without one the first :data:`INITIAL` are uniform, and
answers count by their rank in the run alone: a failed training must not bend the line.

Sources: Thompson sampling for linear models, Agrawal & Goyal, ICML 2013 (arXiv 1209.3352), whose
posterior is scaled too; transfer by a prior mean and the residual's model, Golovin et al., KDD 2017
("Google Vizier", section 3.3).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams, run_keys, uniform_integers

from .linear_posterior import LinearPosterior
from .pending import Pending
from .prior_scores import INTERCEPT, NOISE, check_prior, on_scale, prior_scores

INITIAL = 10  # uniform architectures before the first line, where there is no prior
LEAST = 5  # answers that a line takes then
COMPONENTS = 64  # principal components of the features that are kept
NARROWED = 0.3  # what the posterior's deviations are multiplied by where a line is drawn
RESIDUAL = 0.3  # deviation of the features' part where a prior has told the most
#: Architectures that a run chooses among, of a larger space so many drawn uniformly, by all alike.
CHOSEN_AMONG = 1 << 15


class FewShot:
    """Thompson sampling with a linear model of accuracy, over all runs at once.

    Args:
        space: what to search.
        streams: one random stream per run.
        among: choices of the architectures to draw from, ``(m, n)``; None for all of the space.
        prior: accuracies in percent that other tables have, ``(tables, arch)``; None for none.
    """

    prior_tables: ClassVar[str] = "none"

    def __init__(
        self,
        space: ArchitectureSpace,
        streams: RunStreams,
        among: NDArray[np.int64] | None = None,
        prior: NDArray[np.float64] | None = None,
    ) -> None:
        self.streams = streams
        figures = self._check(prior, space)
        self._choices = self._pool(space) if among is None else among  # (arch, n)
        features = self._describe(space)
        self._mean = np.zeros(features.shape[1])
        self._unit: float | None = None
        if figures is not None:
            scores, self._unit = prior_scores(figures[:, space.index(self._choices)])
            level = np.full(len(scores), INTERCEPT)
            features = np.column_stack([level, scores, RESIDUAL * features])
            self._mean = np.concatenate([[0.0, 1.0], self._mean])
            self._scores = scores
        self._posterior = LinearPosterior(features, NOISE, streams.runs, self._mean)
        self._pending = Pending(streams.runs)
        self._asked = np.zeros((streams.runs, 0), np.int64)  # places (runs, asked)
        self._fit: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    def _check(self, prior: object, space: ArchitectureSpace) -> NDArray[np.float64] | None:
        return None if prior is None else check_prior(prior, space)

    def _pool(self, space: ArchitectureSpace) -> NDArray[np.int64]:
        """Choices of what a run chooses among, ``(arch, n)``."""
        if space.size <= CHOSEN_AMONG:
            return space.all_choices()
        drawn = space.index(space.sample(RunStreams(run_keys([0])), (1, CHOSEN_AMONG)))[0]
        return space.choices(np.unique(drawn))

    def _describe(self, space: ArchitectureSpace) -> NDArray[np.float64]:
        """What the line reads of these besides the prior, ``(arch, f)``."""
        return components(space, self._choices)

    def ask(self) -> NDArray[np.int64]:
        """The best of a line drawn from what is known: choices ``(runs, n)``."""
        place = self._choose()
        self._pending.add(place)
        self._asked = np.column_stack([self._asked, place])
        return self._choices[place]

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64] | None = None) -> None:
        """Take an answer in; arguments as of :class:`~nats_gym.agents.AskTellAgent`."""
        (place,) = self._pending.take(evaluation)
        if evaluation is None:
            evaluation = np.full(self.streams.runs, self._pending.asked - 1)
        self._posterior.observe(place, outcome.accuracy, evaluation)
        self._fit = None

    def recommend(self) -> NDArray[np.int64]:
        """Number of the evaluation with the highest posterior mean, ``(runs,)``."""
        return self._posterior.recommend(*self._fitted())

    def _fitted(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights ``(runs, f)`` after all answers, and these on the model's scale ``(runs, t)``."""
        if self._fit is None:
            accuracy = self._posterior.accuracy
            unit = self._unit
            target = normal_scores(accuracy) if unit is None else on_scale(accuracy, unit)
            self._fit = self._posterior.weights(target), target
        return self._fit

    def _choose(self) -> NDArray[np.int64]:
        """Place of the next architecture in every run, ``(runs,)``."""
        runs, answers = self.streams.runs, self._posterior.answers
        if self._unit is None and (self._pending.asked < INITIAL or answers < LEAST):
            return self._draw()
        if not answers:  # what the prior likes best
            return self._posterior.best(np.tile(self._mean, (runs, 1)), self._asked)
        weights, _ = self._fitted()
        normal = NARROWED * self.streams.normal(weights.shape)
        return self._posterior.best(self._posterior.sample(weights, normal), self._asked)

    def _draw(self) -> NDArray[np.int64]:
        """A uniform place of those not asked for, any of them after all were, ``(runs,)``."""
        left = len(self._choices) - self._asked.shape[1]
        if left <= 0:
            return uniform_integers(self.streams, len(self._choices), (self.streams.runs,))
        place = uniform_integers(self.streams, left, (self.streams.runs,))
        for before in np.sort(self._asked, axis=1).T:  # skip what was asked for, from the lowest
            place += place >= before
        return place


def normal_scores(accuracy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks of each row ``(runs, t)`` as quantiles of the standard normal; equals share theirs."""
    ranks = rankdata(accuracy, axis=1)
    return np.asarray(ndtri((ranks - 0.5) / accuracy.shape[1]))


def components(space: ArchitectureSpace, choices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Principal components of architectures' features and of their choices, ``(arch, f)``.

    Scaled so that lines with standard normal weights score them with variance 1 on average.
    """
    one_hot = ArchitectureSpace.features(space, choices)
    read = np.concatenate([space.features(choices), one_hot], axis=-1)
    read = read - read.mean(axis=0)
    with threadpool_limits(1, "blas"):  # the same digits on any number of cores
        variance, axes = np.linalg.eigh(read.T @ read)
        kept = np.argsort(-variance, kind="stable")[:COMPONENTS]
        found = read @ axes[:, kept[variance[kept] > 1e-9 * max(variance.max(), 1.0)]]
    if not found.shape[1]:  # they are all alike
        return np.zeros((len(choices), 1))
    return np.asarray(found / np.sqrt((found**2).sum(axis=1).mean()))
