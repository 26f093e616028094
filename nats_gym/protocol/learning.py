"""Runs an agent that learns in a Gymnasium environment, one independent run after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from nats_gym.errors import InvalidInput, shown
from nats_gym.evaluators import TableEvaluator
from nats_gym.result import RECORDED
from nats_gym.schedule import Epochs

from .asking import Columns

#: What an agent's ``learn`` returns of every evaluation, at least.
REPORTED = ("index", "accuracy", "seconds", "clock")


def run_learning(
    make: Callable[[], Any],
    evaluator: TableEvaluator,
    epochs: Epochs,
    budget: float,
    seeds: list[int],
    progress: Callable[[float], None],
) -> Columns:
    """Let an agent learn in an environment of its own for every run; the columns of a result."""
    table = evaluator.table
    env_id = f"NATS-{table.space.name.upper()}-{table.dataset}-v0"
    histories = []
    for run, seed in enumerate(seeds):

        def tell(clock: float, run: int = run) -> None:
            progress((run + min(clock / budget, 1.0)) / len(seeds))

        with _Watched(gym.make(env_id, epochs=epochs, evaluator=evaluator), tell) as env:
            histories.append(_checked_infos(make().learn(env, budget, seed)))
        tell(budget)
    shape = len(seeds), max(map(len, histories))
    columns: Columns = {name: np.full(shape, padding) for name, padding in RECORDED.items()}
    for run, infos in enumerate(histories):
        count = len(infos)
        for name in REPORTED:
            columns[name][run, :count] = [info[name] for info in infos]
        columns["rung"][run, :count] = 0
        columns["evaluation"][run, :count] = np.arange(count)
    return columns


class _Watched(gym.Wrapper[Any, Any, Any, Any]):
    """Tells the clock of an environment after every evaluation."""

    def __init__(self, env: gym.Env[Any, Any], tell: Callable[[float], None]) -> None:
        super().__init__(env)
        self._tell = tell

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        if "clock" in info:
            self._tell(info["clock"])
        return observation, reward, terminated, truncated, info


def _checked_infos(infos: Any) -> list[dict[str, Any]]:
    """What an agent's ``learn`` returned, if it is what it should be."""
    if (
        not isinstance(infos, list)
        or not infos
        or not all(isinstance(info, dict) and info.keys() >= set(REPORTED) for info in infos)
    ):
        raise InvalidInput(
            "learn() returns the terminal info of every evaluation, one at least, each with "
            f"{', '.join(REPORTED)}; got {shown(infos)}"
        )
    return infos
