"""The Gymnasium environments of nats-gym; ``import nats_gym`` registers them."""

from typing import TYPE_CHECKING, Any

from .budgeted import BudgetedEnv
from .construction import ConstructionEnv
from .vector import BudgetedVectorEnv, ConstructionVectorEnv

if TYPE_CHECKING:
    from .sb3 import PPO_VECTOR_SETTINGS, SB3VecEnv, make_sb3

_SB3 = ("PPO_VECTOR_SETTINGS", "SB3VecEnv", "make_sb3")

__all__ = [
    "PPO_VECTOR_SETTINGS",
    "BudgetedEnv",
    "BudgetedVectorEnv",
    "ConstructionEnv",
    "ConstructionVectorEnv",
    "SB3VecEnv",
    "make_sb3",
]


def __getattr__(name: str) -> Any:
    # Stable-Baselines3 brings torch, which nobody pays for who does not ask.
    if name in _SB3:
        from . import sb3

        return getattr(sb3, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
