"""REINFORCE: a categorical per decision, trained by policy gradient with a moving baseline.

Source: Williams, Machine Learning 1992; as run in NATS-Bench (Dong et al., arXiv 2009.00437).
One architecture per update; reward = validation accuracy in percent; no entropy term. Gradients
are written out (they are one line), so that all runs update together in numpy.

Where several architectures are evaluated beside each other, an answer is a step of the policy as
it is when the answer comes: on ``-log p`` of the architecture under that policy, not under the one
that drew it, without importance weights. With one worker the two are the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams

from .guide import NO_GUIDE, Guide
from .pending import Pending

LEARNING_RATE = 0.01  # Adam's
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # Adam's, as torch has them by default
BASELINE_MOMENTUM = 0.9
INITIAL_STD = 1e-3


class Reinforce:
    """REINFORCE over all runs at once.

    Args:
        space: what to search.
        streams: one random stream per run.
        guide: what a score says to what comes first, and to the samples. An answer is a step on
            what was asked for, whoever chose it.

    Attributes:
        logits: one row per decision, ``(runs, n, k)``; ``-inf`` where it has no such choice.
        baseline: bias-corrected moving average of the rewards, ``(runs,)``.
    """

    def __init__(
        self, space: ArchitectureSpace, streams: RunStreams, guide: Guide = NO_GUIDE
    ) -> None:
        shape = (streams.runs, space.num_decisions, space.num_choices)
        self.space = space
        self.streams = streams
        self._last = space.choice_counts - 1  # choice of each decision
        exists = np.arange(space.num_choices) <= self._last[:, None]
        self.logits = np.where(exists, INITIAL_STD * streams.normal(shape), -np.inf)
        self.baseline = np.zeros(streams.runs)
        self._first_moment = np.zeros(shape)
        self._second_moment = np.zeros(shape)
        self._updates = 0
        self._pending = Pending(streams.runs)
        self._policy: NDArray[np.float64] | None = None  # of the logits as they are
        self._guide = guide
        self._first = guide.first(space, streams)

    def ask(self) -> NDArray[np.int64]:
        """Sample an architecture per run from its policy: choices ``(runs, n)``."""
        if (asked := self._pending.asked) < self._first.shape[1]:
            return self._pending.add(self._first[:, asked])
        samples = self._sample(self._guide.proposals)
        return self._pending.add(self._guide.best(self.space, samples))

    def _sample(self, count: int) -> NDArray[np.int64]:
        """So many architectures per run from its policy, ``(runs, count, n)``."""
        # Without the last, which is 1, up to rounding.
        thresholds = self._current_policy().cumsum(axis=-1)[:, None, :, :-1]
        runs, n, _ = self.logits.shape
        uniform = self.streams.random((runs, count, n))
        # What is rounded off below 1 is the last choice's.
        passed = (uniform[..., None] >= thresholds).sum(axis=-1)
        return np.minimum(passed, self._last)

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64] | None = None) -> None:
        """One policy-gradient step per run on ``-log p(choices) · (reward - baseline)``.

        Args:
            outcome: arrays ``(runs,)``.
            evaluation: the number of each run's evaluation; None for the last.
        """
        (choices,) = self._pending.take(evaluation)
        self._updates += 1
        # The baseline takes the reward in before the advantage is taken, as in the reference; so
        # the first advantage is 0. In this form the bias-corrected average is exact there.
        weight = (1 - BASELINE_MOMENTUM) / (1 - BASELINE_MOMENTUM**self._updates)
        self.baseline = self.baseline + weight * (outcome.accuracy - self.baseline)
        advantage = outcome.accuracy - self.baseline  # (runs,)

        taken = np.arange(self.logits.shape[-1]) == choices[..., None]  # (runs, n, k)
        self._adam_step((self._current_policy() - taken) * advantage[:, None, None])

    def _current_policy(self) -> NDArray[np.float64]:
        """Probabilities of the choices, ``(runs, n, k)``."""
        if self._policy is None:
            exponentials = np.exp(self.logits - self.logits.max(axis=-1, keepdims=True))
            self._policy = exponentials / exponentials.sum(axis=-1, keepdims=True)
        return self._policy

    def _adam_step(self, gradient: NDArray[np.float64]) -> None:
        """Adam (Kingma & Ba, ICLR 2015)."""
        self._first_moment += (1 - BETA_1) * (gradient - self._first_moment)
        self._second_moment += (1 - BETA_2) * (gradient**2 - self._second_moment)
        first = self._first_moment / (1 - BETA_1**self._updates)
        second = self._second_moment / (1 - BETA_2**self._updates)
        self._policy = None
        self.logits -= LEARNING_RATE * first / (np.sqrt(second) + EPSILON)
