"""A2C from Stable-Baselines3, trained on the environment within a simulated budget.

Source: Mnih et al., ICML 2016 (arXiv 1602.01783), without its asynchronous workers. An update
uses a rollout once, so rollouts are two architectures long.

Within the paper's budget (about 160 architectures, topology space, CIFAR-10, embedded figures) it
learns little: the last 30 average 75.5 %, where random search has 69 % and PPO 81 %. Its answers
come to 91.18 ± 0.03 % full-schedule validation accuracy (mean of 40 runs and its standard
error); random search's to 91.05 ± 0.01 % (500 runs).
"""

from __future__ import annotations

from stable_baselines3 import A2C

from .sb3_agent import SB3Agent
from .settings import A2C_BUDGET_SETTINGS


class A2CAgent(SB3Agent):
    """A2C on one environment per run.

    Args:
        settings: A2C's keyword arguments that are not those of ``A2C_BUDGET_SETTINGS``.
    """

    algorithm = A2C
    budget_settings = A2C_BUDGET_SETTINGS
