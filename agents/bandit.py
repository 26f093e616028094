"""A bandit per decision: every decision learns its own choices' worth from the shared reward.

Source: Thompson sampling with Gaussian posteriors (Thompson, Biometrika 1933; Agrawal & Goyal,
AISTATS 2013) and UCB1 (Auer et al., Machine Learning 2002), one bandit per decision as in factored
bandits (Zimmert & Seldin, NeurIPS 2018). Reward = validation accuracy; its scale is the standard
deviation of the run's own rewards, so that neither rule needs to know its range.

UCB is the weaker by far in a budget of a hundred evaluations: its decisions see the same rewards
and draw nothing, so they move together and propose few joint choices. Thompson sampling's draws
keep them apart.

Where several architectures are evaluated beside each other, the rounds of the start go on until as
many answers have come as they ask for; then a decision chooses by the answers there are, and one
of its choices that is in none of them comes first.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nats_gym.checks import word
from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams

from .pending import Pending

#: How a decision picks its choice.
RULES = ("thompson", "ucb")
RULE = "thompson"
EXPLORATION = 2.0  # UCB1's, inside the root
#: With one round all decisions would have seen the same rewards, and UCB would keep them in step.
ROUNDS = 3


class Bandit:
    """Independent bandits over the decisions, over all runs at once.

    It starts with :data:`ROUNDS` rounds of ``k`` evaluations; in each every decision takes each of
    its choices once, in a random order of its own; one that has fewer goes through them again.

    Args:
        space: what to search.
        streams: one random stream per run.
        rule: one of :data:`RULES`.

    Attributes:
        counts: how often each choice was taken, ``(runs, n, k)``.
        totals: sum of the accuracies with each choice, percent, ``(runs, n, k)``.

    Raises:
        InvalidInput: for an unknown ``rule``.
    """

    def __init__(self, space: ArchitectureSpace, streams: RunStreams, rule: str = RULE) -> None:
        self.rule = word(rule, "rule", RULES)
        self.space = space
        self.streams = streams
        shape = (streams.runs, space.num_decisions, space.num_choices)
        self.counts = np.zeros(shape)
        self.totals = np.zeros(shape)
        counts = space.choice_counts[:, None]
        places = np.arange(space.num_choices)
        self._exists = places < counts  # (n, k)
        drawn = streams.random((streams.runs, ROUNDS, *shape[1:]))
        orders = np.where(self._exists, drawn, np.inf).argsort(axis=-1)
        again = np.broadcast_to(places % counts, orders.shape)
        orders = np.take_along_axis(orders, again, axis=-1)
        # (runs, n, ROUNDS · k)
        self._first = np.concatenate(np.moveaxis(orders, 1, 0), axis=-1)
        self._evaluations = 0  # answered
        self._pending = Pending(streams.runs)
        self._mean = np.zeros(streams.runs)  # of a run's rewards
        self._squares = np.zeros(streams.runs)  # their summed squares about it

    def ask(self) -> NDArray[np.int64]:
        """The choice that every decision of a run likes best now: choices ``(runs, n)``."""
        if self._evaluations < self._first.shape[-1]:
            return self._pending.add(self._first[..., self._pending.asked % self._first.shape[-1]])
        if self.rule == "thompson":
            width = self.streams.normal(self.counts.shape)
        else:
            width = np.full(self.counts.shape, math.sqrt(EXPLORATION * math.log(self._evaluations)))
        scale = np.sqrt(self._squares / self._evaluations)[:, None, None]
        with np.errstate(divide="ignore", invalid="ignore"):  # of choices that there are not
            worth = self.totals / self.counts + scale * width / np.sqrt(self.counts)
        worth[self.counts == 0] = np.inf
        return self._pending.add(np.where(self._exists, worth, -np.inf).argmax(axis=-1))

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64] | None = None) -> None:
        """Every choice taken learns the accuracy of the whole.

        Args:
            outcome: arrays ``(runs,)``.
            evaluation: the number of each run's evaluation; None for the last.
        """
        (asked,) = self._pending.take(evaluation)
        self._evaluations += 1
        deviation = outcome.accuracy - self._mean
        self._mean += deviation / self._evaluations
        self._squares += deviation * (outcome.accuracy - self._mean)  # Welford's update

        taken = np.arange(self.space.num_choices) == asked[..., None]  # (runs, n, k)
        self.counts += taken
        self.totals += np.where(taken, outcome.accuracy[:, None, None], 0.0)
