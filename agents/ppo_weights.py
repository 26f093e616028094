"""PPO of several objectives: one training after another, each by another weighted sum of them.

A run's evaluations, and its seconds, are parted among the weights; every training begins anew.

Source: Schulman et al., arXiv 1707.06347; the sweep over linear weights is the outer loop of
Roijers et al., Journal of Artificial Intelligence Research 48, 2013, without reuse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from gymnasium.wrappers import TransformReward

from nats_gym.checks import as_list, number
from nats_gym.errors import InvalidInput, shown
from nats_gym.streams import combine_int

from .ppo import PPOAgent

#: Of the other objectives, beside the first.
WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)


class PPOOverWeights(PPOAgent):
    """PPO on one multi-objective environment per run.

    Args:
        objectives: names of what the environment rewards; None for the space's default.
        weights: what every objective after the first counts, beside 1 for the first: numbers from
            0, a training each.
        settings: PPO's keyword arguments that are not those of ``PPO_BUDGET_SETTINGS``.

    Raises:
        InvalidInput: for no weight, and one that is no number from 0.
    """

    learns_in_copies: ClassVar[bool] = False  # whose rewards Stable-Baselines3 takes as numbers

    def __init__(
        self,
        objectives: Sequence[str] | None = None,
        weights: Sequence[float] = WEIGHTS,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(settings)
        if not (given := as_list(weights)):
            raise InvalidInput(f"weights are a list of numbers, one at least, got {shown(weights)}")
        self._weights = [number(weight, "a weight", 0) for weight in given]

    def learn(
        self, env: Any, budget: float, seed: int, evaluations: int | None = None
    ) -> list[dict[str, Any]]:
        """Learn for every weight in turn; see :class:`~nats_gym.agents.EnvironmentAgent`."""
        parts = len(self._weights)
        infos: list[dict[str, Any]] = []
        for part, weight in enumerate(self._weights):
            most = None
            if evaluations is not None:
                most = evaluations * (part + 1) // parts - evaluations * part // parts
            if most != 0:
                weighing = TransformReward(env, partial(_weighted_sum, weight))
                own_seed = combine_int(seed, part)
                infos += super().learn(weighing, budget / parts, own_seed, most)
        return infos


def _weighted_sum(weight: float, rewards: Any) -> float:
    return float(rewards[0] + weight * rewards[1:].sum())
