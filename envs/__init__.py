"""The Gymnasium environments of nats-gym; ``import nats_gym`` registers them."""

from .budgeted import BudgetedEnv
from .construction import ConstructionEnv

__all__ = ["BudgetedEnv", "ConstructionEnv"]
