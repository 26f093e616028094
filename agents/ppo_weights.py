"""PPO of several objectives: one training after another, each by another weighted sum of them.

A run's evaluations, and its seconds, are parted among the weights; every training begins anew.

Source: Schulman et al., arXiv 1707.06347; the sweep over linear weights is the outer loop of
Roijers et al., Journal of Artificial Intelligence Research 48, 2013, without reuse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import wrappers
from numpy.typing import NDArray

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
        self,
        env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any],
        budget: float,
        seed: int,
        evaluations: int | None = None,
    ) -> list[dict[str, Any]]:
        """Learn for every weight in turn; see :class:`~nats_gym.agents.EnvironmentAgent`."""
        in_copies = isinstance(env, gym.vector.VectorEnv)
        transform: Any = (wrappers.vector if in_copies else wrappers).TransformReward
        parts = len(self._weights)
        infos: list[dict[str, Any]] = []
        for part, weight in enumerate(self._weights):
            most = None
            if evaluations is not None:
                most = evaluations * (part + 1) // parts - evaluations * part // parts
            if most != 0:
                weighing = transform(
                    env, lambda rewards, weight=weight: _weighted_sum(rewards, weight)
                )
                own_seed = combine_int(seed, part)
                infos += super().learn(weighing, budget / parts, own_seed, most)
        return infos


def _weighted_sum(rewards: NDArray[Any], weight: float) -> NDArray[np.float64]:
    """``(...)`` of vectors ``(..., m)``, every objective after the first counting ``weight``."""
    others = rewards[..., 1:].sum(axis=-1, dtype=np.float64)
    return np.asarray(rewards[..., 0] + weight * others, np.float64)
