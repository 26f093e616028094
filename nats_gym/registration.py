"""The environment ids."""

from __future__ import annotations

import gymnasium as gym

from nats_gym.datasets import DATASETS

# Of each family: the environment, and its native vector environment.
_ENTRY_POINTS = {
    "": ("nats_gym.envs:ConstructionEnv", "nats_gym.envs:ConstructionVectorEnv"),
    "-Budgeted": ("nats_gym.envs:BudgetedEnv", "nats_gym.envs:BudgetedVectorEnv"),
}

#: Every registered id, with the space and data set it is made with.
ENVIRONMENTS: dict[str, dict[str, str]] = {
    f"NATS-{space.upper()}-{dataset}{family}-v0": {"space": space, "dataset": dataset}
    for space in ("tss", "sss")
    for dataset in DATASETS
    for family in _ENTRY_POINTS
}


def register_environments() -> None:
    """Register every id with Gymnasium; a second call changes nothing."""
    for env_id, kwargs in ENVIRONMENTS.items():
        if env_id not in gym.registry:
            scalar, vector = _ENTRY_POINTS["-Budgeted" if "-Budgeted-" in env_id else ""]
            gym.register(env_id, entry_point=scalar, vector_entry_point=vector, kwargs=dict(kwargs))
