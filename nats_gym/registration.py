"""The environment ids."""

from __future__ import annotations

import gymnasium as gym

from nats_gym.datasets import EVERY_DATASET

#: Of each family, by how its ids read: the environment, and its native vector environment.
FAMILIES: dict[str, tuple[str, str]] = {
    "{}-v0": ("ConstructionEnv", "ConstructionVectorEnv"),
    "{}-Budgeted-v0": ("BudgetedEnv", "BudgetedVectorEnv"),
    "{}-OneShot-v0": ("OneShotEnv", "OneShotVectorEnv"),
    "{}-Edit-v0": ("EditEnv", "EditVectorEnv"),
    "mo-{}-v0": ("MultiObjectiveEnv", "MultiObjectiveVectorEnv"),
}

#: Likewise of those that play tasks of one space, which ``tasks=`` are: see ``nats_gym.tasks``.
TASK_FAMILIES: dict[str, tuple[str, str]] = {
    "{}-Tasks-v0": ("TasksEnv", "TasksVectorEnv"),
    "{}-Tasks-Budgeted-v0": ("TasksBudgetedEnv", "TasksBudgetedVectorEnv"),
}

#: What each family's ids call a benchmark: the space and data set that they are made with.
BENCHMARKS: dict[str, tuple[str, str]] = {
    **{
        f"NATS-{space.upper()}-{dataset}": (space, dataset)
        for space in ("tss", "sss")
        for dataset, row in EVERY_DATASET.items()
        if row.embedded
    },
    "NASBench101-cifar10": ("nb101", "cifar10"),
}
#: Every registered id, with the space and data set it is made with. Digits are trained on for
#: real, unless ``source=`` names a table of them; the exact front of ``mo-`` needs one.
ENVIRONMENTS: dict[str, dict[str, str]] = {
    family.format(benchmark): {"space": space, "dataset": dataset}
    for family in FAMILIES
    for benchmark, (space, dataset) in BENCHMARKS.items()
}
#: Of any space, which is given as ``space=``: the object, its class, or the name it is known by.
OPEN_ENVIRONMENTS: tuple[str, ...] = tuple(
    family.format("NAS") for family in (*FAMILIES, *TASK_FAMILIES)
)
#: Of any data set, which is given as ``dataset=``: its name, or images of one's own.
OPEN_DATASETS: dict[str, dict[str, str]] = {
    family.format(f"NATS-{space.upper()}"): {"space": space}
    for family in FAMILIES
    for space in ("tss", "sss")
}
#: Of tasks, which are drawn.
TASK_ENVIRONMENTS: dict[str, dict[str, str]] = {
    family.format(f"NATS-{space.upper()}"): {"space": space}
    for family in TASK_FAMILIES
    for space in ("tss", "sss")
}
#: Every id that ``gym.make`` takes, with what it is made with.
EVERY_ID: dict[str, dict[str, str]] = {
    **ENVIRONMENTS,
    **OPEN_DATASETS,
    **TASK_ENVIRONMENTS,
    **{env_id: {} for env_id in OPEN_ENVIRONMENTS},
}
#: Those that answer from a table without further ado.
TABULAR = tuple(
    env_id for env_id, made in ENVIRONMENTS.items() if not EVERY_DATASET[made["dataset"]].evaluator
)


def family_of(env_id: str) -> str:
    """The key of :data:`FAMILIES` or :data:`TASK_FAMILIES` that an id belongs to."""
    if env_id in OPEN_ENVIRONMENTS:
        return env_id.replace("NAS", "{}")
    of_space = {**OPEN_DATASETS, **TASK_ENVIRONMENTS}
    if env_id in of_space:
        return env_id.replace(f"NATS-{of_space[env_id]['space'].upper()}", "{}")
    made = ENVIRONMENTS[env_id]
    return env_id.replace(benchmark_of(made["space"], made["dataset"]), "{}")


def benchmark_of(space: str, dataset: str) -> str:
    """What ids call a space and data set; those of any data set, or any space, where none does."""
    made = space, dataset
    named = next((name for name, benchmark in BENCHMARKS.items() if benchmark == made), "NAS")
    of_any_dataset = f"NATS-{space.upper()}"
    return of_any_dataset if named == "NAS" and f"{of_any_dataset}-v0" in OPEN_DATASETS else named


def register_environments() -> None:
    """Register every id with Gymnasium; a second call changes nothing."""
    classes = {**FAMILIES, **TASK_FAMILIES}
    for env_id, kwargs in EVERY_ID.items():
        if env_id not in gym.registry:
            scalar, vector = classes[family_of(env_id)]
            gym.register(
                env_id,
                entry_point=f"nats_gym.envs:{scalar}",
                vector_entry_point=f"nats_gym.envs:{vector}",
                # Gymnasium's checker knows scalar rewards alone.
                disable_env_checker=env_id.startswith("mo-"),
                kwargs=dict(kwargs),
            )
