"""DQN from Stable-Baselines3, trained on the environment within a simulated budget.

Source: Mnih et al., Nature 518, 2015. SB3's defaults fill a buffer of a million steps and copy
the target network every 10,000; a budget has about 600 steps in all, so here every step is
learnt from at once and exploration ends within the budget.
"""

from __future__ import annotations

from stable_baselines3 import DQN

from .sb3_agent import SB3Agent
from .settings import DQN_BUDGET_SETTINGS


class DQNAgent(SB3Agent):
    """DQN on one environment per run.

    Args:
        settings: DQN's keyword arguments, in place of ``DQN_BUDGET_SETTINGS``.
            ``exploration_fraction`` is one of the simulated budget.
    """

    algorithm = DQN
    budget_settings = DQN_BUDGET_SETTINGS
