"""The environment ids."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

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
    import gymnasium as gym

    for env_id, kwargs in ENVIRONMENTS.items():
        if env_id not in gym.registry:
            scalar, vector = _ENTRY_POINTS["-Budgeted" if "-Budgeted-" in env_id else ""]
            gym.register(env_id, entry_point=scalar, vector_entry_point=vector, kwargs=dict(kwargs))


def register_with_gymnasium() -> None:
    """Register every id now, or as soon as Gymnasium is imported.

    Gymnasium is a quarter of the memory of a process that only queries figures, so nobody pays
    for it who does not import it; who does finds the ids there, whichever import came first.
    """
    if "gymnasium" in sys.modules:
        register_environments()
    else:
        sys.meta_path.insert(0, _AfterGymnasium())


class _AfterGymnasium(MetaPathFinder):
    """Lets the import of Gymnasium end in the registration of our ids, then is gone."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find Gymnasium as it would be found anyway; leave every other module alone."""
        if name != "gymnasium":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_register(module: ModuleType) -> None:
                run(module)
                register_environments()

            spec.loader.exec_module = run_and_register  # type: ignore[method-assign]
        return spec
