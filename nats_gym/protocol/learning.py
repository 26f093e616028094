"""Runs an agent that learns in a Gymnasium environment, one independent run after the other.

The account is kept here, not by the agent: what its environment evaluated, until the budget was
spent.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym

from nats_gym.errors import InvalidInput
from nats_gym.results.result import SearchArguments
from nats_gym.simulation.clock import SimulatedClock

from .answers import Columns
from .kind import Kind, Runs, in_columns

#: What an environment says of every evaluation, and is kept.
KEPT = ("index", "accuracy", "seconds", "clock")


class Environment(Kind):
    """An agent that learns in an environment of its own for every run."""

    methods = ("learn",)

    def play(self, runs: Runs) -> Columns:
        """Let an agent learn for every seed; see :meth:`Kind.play`.

        Raises:
            InvalidInput: if an agent stops before its budget is spent, or cannot be told how many
                evaluations it has, and has no budget of seconds to stop at.
        """
        arguments, seeds, budget = runs.arguments, runs.seeds, runs.arguments.budget
        most = arguments.evaluations
        answers = runs.answers
        played = []
        for run, seed in enumerate(seeds):

            def tell(clock: float, count: int, run: int = run) -> None:
                share = max(clock / budget, count / most if most else 0.0)
                runs.progress((run + min(share, 1.0)) / len(seeds))

            with answers.evaluator_of(arguments, seed) as evaluator:
                made = gym.make(
                    "NAS-v0",
                    space=answers.space,
                    dataset=answers.dataset,
                    epochs=arguments.epochs,
                    evaluator=evaluator,
                )
                with _Watched(made, seed, tell) as env:
                    self._learn(env, arguments, seed)
                    counted = _until_spent(env.evaluations, arguments, self.name)
                    played.append(dict(zip(KEPT, zip(*counted, strict=True), strict=True)))
            runs.progress((run + 1) / len(seeds))
        return in_columns(played)

    def _learn(self, env: gym.Env[Any, Any], arguments: SearchArguments, seed: int) -> None:
        agent, most = self.make(), arguments.evaluations
        if most is None:
            agent.learn(env, arguments.budget, seed)
        elif "evaluations" in inspect.signature(agent.learn).parameters:
            agent.learn(env, arguments.budget, seed, evaluations=most)
        elif math.isfinite(arguments.budget):
            agent.learn(env, arguments.budget, seed)  # what it evaluates beyond does not count
        else:
            raise InvalidInput(
                f"learn() of {self.name} takes no evaluations=, so that nothing ends it; give a "
                "finite budget= beside evaluations="
            )


class _Watched(gym.Wrapper[Any, Any, Any, Any]):
    """Keeps what an environment evaluated, and gives it the seed of its run, once.

    Attributes:
        evaluations: index, accuracy, seconds and clock of each, in order.
    """

    def __init__(
        self, env: gym.Env[Any, Any], seed: int, tell: Callable[[float, int], None]
    ) -> None:
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
            self._tell(info["clock"], len(self.evaluations))
        return observation, reward, terminated, truncated, info


def _until_spent(
    evaluations: list[tuple[Any, ...]], arguments: SearchArguments, name: str
) -> list[tuple[Any, ...]]:
    """The evaluations up to the one that overshoots, or the last that is given."""
    clock = SimulatedClock(arguments.budget, None, arguments.evaluations)
    for count, (*_, time) in enumerate(evaluations, start=1):
        clock.advance(time)
        if clock.spent:
            return evaluations[:count]
    spent = evaluations[-1][-1] if evaluations else 0.0
    raise InvalidInput(
        f"learn() of {name} goes on until its budget is spent; it stopped after "
        f"{len(evaluations)} evaluations at {spent:,.0f} s of {arguments.bound}"
    )
