"""The two shapes of an agent."""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from nats_gym.evaluators import Outcome


class AskTellAgent(Protocol):
    """A search algorithm, batched over independent runs.

    It is made with the architecture space and the runs' random streams, and must draw from these
    alone, so that run 17 alone equals run 17 of 500. Runs whose budget is spent are still asked
    and told while others go on; what they do then is not recorded.
    """

    def ask(self) -> NDArray[np.int64]:
        """The next architecture of every run: digits ``(runs, n)``."""

    def tell(self, outcome: Outcome) -> None:
        """What the architectures asked for last scored; outcome arrays are ``(runs,)``."""


class EnvironmentAgent(Protocol):
    """An RL agent that learns in a Gymnasium environment, one run at a time."""

    def learn(self, env: gym.Env[Any, Any], budget: float, seed: int) -> list[dict[str, Any]]:
        """Learn until the simulated clock has spent ``budget`` seconds.

        Args:
            env: a ``NATS-…-v0`` environment, not yet reset.
            budget: simulated seconds.
            seed: of this run: of the environment's trials and the agent's own draws.

        Returns:
            The terminal ``info`` of every evaluation, in order, the overshooting one included.
        """
