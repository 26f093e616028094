"""Runs an agent that learns in a Gymnasium environment, one independent run after the other.

The account is kept here, not by the agent: what its environment evaluated, until the budget was
spent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from nats_gym.errors import InvalidInput
from nats_gym.evaluators import TableEvaluator
from nats_gym.result import RECORDED, SearchArguments

from .asking import Columns

#: What an environment says of every evaluation, and is kept.
KEPT = ("index", "accuracy", "seconds", "clock")


def run_learning(
    make: Callable[[], Any],
    evaluator: TableEvaluator,
    arguments: SearchArguments,
    seeds: list[int],
    progress: Callable[[float], None],
) -> Columns:
    """Let an agent learn in an environment of its own for every run; the columns of a result.

    Raises:
        InvalidInput: if an agent stops before its budget is spent.
    """
    table, budget = evaluator.table, arguments.budget
    env_id = f"NATS-{table.space.name.upper()}-{table.dataset}-v0"
    histories = []
    for run, seed in enumerate(seeds):

        def tell(clock: float, run: int = run) -> None:
            progress((run + min(clock / budget, 1.0)) / len(seeds))

        with _Watched(
            gym.make(env_id, epochs=arguments.epochs, evaluator=evaluator), seed, tell
        ) as env:
            make().learn(env, budget, seed)
            histories.append(_until_spent(env.evaluations, budget, arguments.agent))
        tell(budget)
    shape = len(seeds), max(map(len, histories))
    columns: Columns = {column: np.full(shape, padding) for column, padding in RECORDED.items()}
    for run, evaluations in enumerate(histories):
        count = len(evaluations)
        for place, column in enumerate(KEPT):
            columns[column][run, :count] = [evaluation[place] for evaluation in evaluations]
        columns["rung"][run, :count] = 0
        columns["evaluation"][run, :count] = np.arange(count)
    return columns


class _Watched(gym.Wrapper[Any, Any, Any, Any]):
    """Keeps what an environment evaluated, and gives it the seed of its run, once.

    Attributes:
        evaluations: index, accuracy, seconds and clock of each, in order.
    """

    def __init__(self, env: gym.Env[Any, Any], seed: int, tell: Callable[[float], None]) -> None:
        super().__init__(env)
        self._seed: int | None = seed
        self._tell = tell
        self.evaluations: list[tuple[Any, ...]] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        seed, self._seed = self._seed, None
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        if "clock" in info:
            self.evaluations.append(tuple(info[name] for name in KEPT))
            self._tell(info["clock"])
        return observation, reward, terminated, truncated, info


def _until_spent(
    evaluations: list[tuple[Any, ...]], budget: float, name: str
) -> list[tuple[Any, ...]]:
    """The evaluations up to the one that overshoots."""
    for count, (*_, clock) in enumerate(evaluations, start=1):
        if clock >= budget:
            return evaluations[:count]
    spent = evaluations[-1][-1] if evaluations else 0.0
    raise InvalidInput(
        f"learn() of {name} goes on until its budget is spent; it stopped after "
        f"{len(evaluations)} evaluations at {spent:,.0f} of {budget:,.0f} s"
    )
