"""The Gymnasium environments of nats-gym; ``import nats_gym`` registers them."""

from typing import TYPE_CHECKING, Any

from .budgeted import BudgetedEnv, BudgetedVectorEnv
from .construction import ConstructionEnv, ConstructionVectorEnv
from .edit import EditEnv, EditVectorEnv
from .multi_objective import MultiObjectiveEnv, MultiObjectiveVectorEnv
from .observation_wrappers import (
    DictObservation,
    DictVectorObservation,
    GraphObservation,
    MultiDiscreteObservation,
    MultiDiscreteVectorObservation,
)
from .one_shot import OneShotEnv, OneShotVectorEnv
from .tasks import TasksBudgetedEnv, TasksBudgetedVectorEnv, TasksEnv, TasksVectorEnv

if TYPE_CHECKING:
    from .sb3 import SB3VecEnv, make_sb3

_SB3 = ("SB3VecEnv", "make_sb3")

__all__ = [
    "BudgetedEnv",
    "BudgetedVectorEnv",
    "ConstructionEnv",
    "ConstructionVectorEnv",
    "DictObservation",
    "DictVectorObservation",
    "EditEnv",
    "EditVectorEnv",
    "GraphObservation",
    "MultiDiscreteObservation",
    "MultiDiscreteVectorObservation",
    "MultiObjectiveEnv",
    "MultiObjectiveVectorEnv",
    "OneShotEnv",
    "OneShotVectorEnv",
    "SB3VecEnv",
    "TasksBudgetedEnv",
    "TasksBudgetedVectorEnv",
    "TasksEnv",
    "TasksVectorEnv",
    "make_sb3",
]


def __getattr__(name: str) -> Any:
    # Stable-Baselines3 brings torch, which nobody pays for who does not ask.
    if name in _SB3:
        from . import sb3

        return getattr(sb3, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
