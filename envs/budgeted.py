"""Build architecture after architecture until the simulated clock has spent its budget."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from nats_gym.clock import SimulatedClock, default_budget

from .construction import ConstructionEnv, Observation, Step


class BudgetedEnv(ConstructionEnv):
    """
    ## Description
    A whole search is one episode. Architectures are built one decision a step, as in
    `NATS-{TSS,SSS}-*-v0`; each is evaluated when complete, its seconds (training and one
    validation pass) are charged to a simulated clock, and the next one begins, until the budget
    is spent. This is the paper's search protocol as an episode.

    ## Action Space
    As in the unbudgeted environment: `Discrete(5)` for topology, `Discrete(8)` for size.

    ## Observation Space
    `Box(0, 1, (n·k + n + 2,), float32)`: decisions and position of the architecture in progress
    as in the unbudgeted environment, then the fraction of the budget left and the incumbent's
    accuracy / 100 (0 before the first evaluation). 38 figures for topology, 47 for size.

    ## Rewards
    `improvement` (default): at each completed architecture, what it adds to the incumbent's
    accuracy, / 100; an episode's return is the best accuracy observed, / 100. `accuracy`: each
    completed architecture's accuracy / 100. 0 at every other step.

    ## Starting State
    Nothing decided, the clock at 0, no incumbent. Trials are numbered from `reset(seed=...)` on;
    a `reset()` without a seed goes on counting.

    ## Episode End
    Terminated when the clock has spent the budget; the evaluation that overshoots counts. Never
    truncated. At every completed architecture `info` holds what the unbudgeted environment's
    last step does (`clock` counts from the episode's start) and `incumbent_index` and
    `incumbent_accuracy`, the best observed so far.

    ## Arguments
    Those of the unbudgeted environment, and
    - `time_budget`: seconds; default the paper's × `epochs`/12 (topology 20,000 / 40,000 /
      120,000 on CIFAR-10 / CIFAR-100 / ImageNet16-120, size 20,000 / 40,000 / 60,000).
    - `reward`: `"improvement"`, `"accuracy"`, or a function of observed accuracy and incumbent.
    - `report_test`: judges the incumbent, at the end.

    ## Version History
    - v0: first version.
    """

    extras: ClassVar[int] = 2
    default_reward: ClassVar[str] = "improvement"

    def __init__(
        self, space: str, dataset: str, *, time_budget: float | None = None, **options: Any
    ) -> None:
        super().__init__(space, dataset, **options)
        if time_budget is None:
            time_budget = default_budget(space, dataset, self.epochs)
        self.clock = SimulatedClock(time_budget)
        self._incumbent_index = -1
        self._incumbent = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start a search; see the class for what the seed decides."""
        self.clock.reset()
        self._incumbent_index, self._incumbent = -1, 0.0
        self._view.set_extras(1.0, 0.0)
        return super().reset(seed=seed, options=options)

    def step(self, action: np.int64 | int) -> Step:
        """Take one decision; `InvalidInput` for an action outside the action space."""
        self._decide(action)
        if len(self._choices) < self._num_decisions:
            return self._view.read(), 0.0, False, False, {}
        info = self._evaluate()
        reward = self._reward(info["accuracy"], self._incumbent)
        self._keep_best(info)
        self._ended = bool(self.clock.spent)
        if self._ended and self._judge:
            info["evaluation"] = self._judge(self._incumbent_index)
        if not self._ended:
            self._begin_architecture()
        return self._view.read(), reward, self._ended, False, info

    def _keep_best(self, info: dict[str, Any]) -> None:
        if self._incumbent_index < 0 or info["accuracy"] > self._incumbent:
            self._incumbent_index, self._incumbent = info["index"], info["accuracy"]
        info["incumbent_index"] = self._incumbent_index
        info["incumbent_accuracy"] = self._incumbent
        self._view.set_extras(float(self.clock.fraction_left), self._incumbent / 100.0)

    def _status(self) -> str:
        return (
            f"clock {self.clock.used:,.0f} of {self.clock.budget:,.0f} s · "
            f"{self._evaluations} evaluated · incumbent {self._incumbent:.2f} %"
        )
