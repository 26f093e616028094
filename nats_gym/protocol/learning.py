"""Runs an agent that learns in a Gymnasium environment, one independent run after the other.

With several workers the environment is a native vector one of as many copies, whose architectures
are evaluated at once: the agent goes on when the last of them is.

The account is kept here, not by the agent: what its environment evaluated, until the budget was
spent.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from nats_gym.agents import learns_in_copies
from nats_gym.errors import InvalidInput
from nats_gym.results.arguments import SearchArguments
from nats_gym.simulation.clock import SimulatedClock

from .answers import Columns, OfRun
from .kind import Kind, Runs, in_columns

#: What an environment says of every evaluation, and is kept.
KEPT = ("evaluation", "index", "accuracy", "seconds", "clock")


class Environment(Kind):
    """An agent that learns in an environment of its own for every run."""

    own = (*Kind.own, "workers")
    methods = ("learn",)

    def complete(self, *given: Any, workers: int, **named: Any) -> SearchArguments:
        """See :meth:`Kind.complete`; several workers take an agent that learns in copies."""
        arguments = super().complete(*given, workers=workers, **named)
        if arguments.workers > 1 and not learns_in_copies(self.factory):
            raise InvalidInput(
                f"{self.name} learns in one environment, an evaluation at a time; "
                f"{arguments.workers} workers take an agent that says learns_in_copies = True, see "
                "nats_gym.agents"
            )
        return arguments

    def play(self, runs: Runs) -> Columns:
        """Let an agent learn for every seed; see :meth:`Kind.play`.

        Raises:
            InvalidInput: if an agent stops before its budget is spent, or cannot be told how many
                evaluations it has, and has no budget of seconds to stop at.
        """
        arguments, seeds, budget = runs.arguments, runs.seeds, runs.arguments.budget
        most = arguments.evaluations
        answers = runs.answers
        env_id = "mo-NAS-v0" if self.objectives else "NAS-v0"
        played = []
        for run, seed in enumerate(seeds):

            def tell(clock: float, count: int, run: int = run) -> None:
                share = max(clock / budget, count / most if most else 0.0)
                runs.progress((run + min(share, 1.0)) / len(seeds))

            with answers.evaluator_of(arguments, seed) as evaluator:
                account = _Account(tell)
                asked: dict[str, Any] = {
                    "space": answers.space,
                    "dataset": answers.dataset,
                    "epochs": arguments.epochs,
                    "evaluator": evaluator,
                }
                if self.objectives:
                    asked["objectives"] = self.objectives
                env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any]
                if arguments.workers == 1:
                    env = _Watched(gym.make(env_id, **asked), seed, account)
                else:
                    again = AutoresetMode.SAME_STEP
                    copies = gym.make_vec(env_id, arguments.workers, autoreset_mode=again, **asked)
                    env = _WatchedCopies(copies, seed, account, cast(OfRun, evaluator))
                try:
                    self._learn(env, arguments, seed)
                finally:
                    env.close()
                counted = _until_spent(account.evaluations, arguments, self.name)
                played.append(dict(zip(KEPT, zip(*counted, strict=True), strict=True)))
            runs.progress((run + 1) / len(seeds))
        return in_columns(played)

    def _learn(self, env: Any, arguments: SearchArguments, seed: int) -> None:
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


class _Account:
    """What was evaluated.

    Attributes:
        evaluations: number, index, accuracy, seconds and clock of each, in order.
    """

    def __init__(self, tell: Callable[[float, int], None]) -> None:
        self._tell = tell
        self.evaluations: list[tuple[Any, ...]] = []

    def note(self, *figures: Any) -> None:
        """Add an evaluation."""
        self.evaluations.append(figures)
        self._tell(figures[-1], len(self.evaluations))


class _Watched(gym.Wrapper[Any, Any, Any, Any]):
    """Keeps account of what an environment evaluates, and gives it the seed of its run, once."""

    def __init__(self, env: gym.Env[Any, Any], seed: int, account: _Account) -> None:
        super().__init__(env)
        self._seed: int | None = seed
        self._account = account

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        seed, self._seed = self._seed, None
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        if "clock" in info:
            number = len(self._account.evaluations)
            self._account.note(number, *(info[name] for name in KEPT[1:]))
        return observation, reward, terminated, truncated, info


class _WatchedCopies(gym.vector.VectorWrapper):  # Gymnasium 1.1 knows it as no generic class
    """The same of several copies, of whose evaluations it notes the first to be answered first."""

    def __init__(
        self,
        env: gym.vector.VectorEnv[Any, Any, Any],
        seed: int,
        account: _Account,
        evaluator: OfRun,
    ) -> None:
        super().__init__(env)
        self._seed: int | None = seed
        self._account, self._evaluator, self._clock = account, evaluator, 0.0

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        seed, self._seed = self._seed, None
        return self.env.reset(seed=seed, options=options)

    def step(
        self, actions: Any
    ) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        if "final_info" in infos:
            self._note(infos["final_info"]["index"][terminated | truncated])
        return observations, rewards, terminated, truncated, infos

    def _note(self, index: NDArray[np.int64]) -> None:
        """Add what has just been evaluated, by official index; -1 of what takes no evaluating."""
        begun = len(self._account.evaluations)
        for number in np.flatnonzero(index < 0).tolist():
            self._account.note(begun + number, -1, 0.0, 0.0, self._clock)
        numbers = begun + np.flatnonzero(index >= 0)
        for place, *figures in self._evaluator.answered:
            self._account.note(int(numbers[place]), *figures)
            self._clock = figures[-1]
        self._evaluator.answered = []  # the next step may evaluate nothing


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
