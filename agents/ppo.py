"""PPO from Stable-Baselines3, trained on the environment within a simulated budget.

Source: Schulman et al., arXiv 1707.06347; Stable-Baselines3 (Raffin et al., JMLR 2021). The
paper's budget buys about a hundred architectures, so rollouts are short and every one is used
many times; SB3's defaults (rollouts of 2,048 steps) would never update.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

from nats_gym.clock import SimulatedClock

from .settings import PPO_BUDGET_SETTINGS


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread: these networks are too small for two, which slow each other down."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class BudgetCallback(BaseCallback):
    """Charges every evaluation to a simulated clock and stops learning when it is spent.

    Args:
        clock: the clock to charge.

    Attributes:
        infos: the terminal infos of the evaluations charged, in order.
    """

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__()
        self.clock = clock
        self.infos: list[dict[str, Any]] = []

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "seconds" in info and not self.clock.spent:
                self.clock.charge(info["seconds"])
                self.infos.append(info)
        return not self.clock.spent


class PPOAgent:
    """PPO on one environment per run.

    Args:
        settings: PPO's keyword arguments; default :data:`~nats_gym.agents.PPO_BUDGET_SETTINGS`.
    """

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        self.settings = PPO_BUDGET_SETTINGS if settings is None else settings

    def learn(self, env: gym.Env[Any, Any], budget: float, seed: int) -> list[dict[str, Any]]:
        """Learn until the clock is spent; see :class:`~nats_gym.agents.EnvironmentAgent`."""
        callback = BudgetCallback(SimulatedClock(budget))
        with one_thread():
            model = PPO("MlpPolicy", env, device="cpu", seed=seed & 0xFFFFFFFF, **self.settings)
            model.get_env().seed(seed)  # type: ignore[union-attr] # it was made with one
            model.learn(total_timesteps=1 << 40, callback=callback)
        return callback.infos
