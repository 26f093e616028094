"""A2C from Stable-Baselines3, trained on the environment within a simulated budget.

Source: Mnih et al., ICML 2016 (arXiv 1602.01783), without its asynchronous workers. An update
uses a rollout once, so rollouts are an architecture or two long.
"""

from __future__ import annotations

from stable_baselines3 import A2C

from .sb3_agent import SB3Agent
from .settings import A2C_BUDGET_SETTINGS


class A2CAgent(SB3Agent):
    """A2C on one environment per run.

    Args:
        settings: A2C's keyword arguments, in place of ``A2C_BUDGET_SETTINGS``.
    """

    algorithm = A2C
    budget_settings = A2C_BUDGET_SETTINGS
