"""Runs an agent that learns in a Gymnasium environment, one independent run after the other.

The account is kept here, not by the agent: what its environment evaluated, until the budget was
spent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym

from nats_gym.errors import InvalidInput

from .kind import Columns, Kind, Runs, in_columns

#: What an environment says of every evaluation, and is kept.
KEPT = ("index", "accuracy", "seconds", "clock")


class Environment(Kind):
    """An agent that learns in an environment of its own for every run."""

    methods = ("learn",)

    def play(self, runs: Runs) -> Columns:
        """Let an agent learn for every seed; see :meth:`Kind.play`.

        Raises:
            InvalidInput: if an agent stops before its budget is spent.
        """
        arguments, seeds, budget = runs.arguments, runs.seeds, runs.arguments.budget
        env_id = f"NATS-{arguments.space.upper()}-{arguments.dataset}-v0"
        played = []
        for run, seed in enumerate(seeds):

            def tell(clock: float, run: int = run) -> None:
                runs.progress((run + min(clock / budget, 1.0)) / len(seeds))

            made = gym.make(env_id, epochs=arguments.epochs, evaluator=runs.evaluator)
            with _Watched(made, seed, tell) as env:
                self.make().learn(env, budget, seed)
                counted = _until_spent(env.evaluations, budget, self.name)
                played.append(dict(zip(KEPT, zip(*counted, strict=True), strict=True)))
            tell(budget)
        return in_columns(played)


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
