"""MaskablePPO from sb3-contrib, trained on the environment within a simulated budget.

Source: Huang & Ontañón, FLAIRS 2022 (arXiv 2006.14171). Its policy gives no probability to
decisions that the environment's ``action_masks()`` rules out: under ``max_params``, ``max_flops``
or ``max_latency`` it never completes an architecture beyond the limits. Without limits every mask
is full and the algorithm is PPO, whose figures it repeats.
"""

from __future__ import annotations

from nats_gym.extras import require

from .sb3_agent import SB3Agent
from .settings import MASKABLE_PPO_BUDGET_SETTINGS

require("sb3_contrib", "the agent maskable-ppo")
from sb3_contrib import MaskablePPO  # noqa: E402


class MaskablePPOAgent(SB3Agent):
    """MaskablePPO on one environment per run.

    Args:
        settings: MaskablePPO's keyword arguments that are not those of
            ``MASKABLE_PPO_BUDGET_SETTINGS``.
    """

    algorithm = MaskablePPO
    budget_settings = MASKABLE_PPO_BUDGET_SETTINGS
