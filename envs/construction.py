"""Build one architecture, decision by decision; its accuracy is the reward at the end."""

from __future__ import annotations

import inspect
import os
from operator import index as as_int
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Discrete
from numpy.typing import ArrayLike, NDArray

from nats_gym.clock import SimulatedClock
from nats_gym.errors import InvalidInput, shown, unknown_name
from nats_gym.evaluators import Evaluator, TableEvaluator
from nats_gym.rewards import RewardFunction, get_reward
from nats_gym.schedule import Epochs, check_epochs
from nats_gym.spaces import get_space
from nats_gym.streams import combine_int, seed_key
from nats_gym.tables import SURROGATE_VERSION

from .ground_truth import GroundTruth
from .observation import FlatObservation
from .rendering import ansi, picture
from .sources import choose_evaluator, choose_judge, judging_table

Observation = NDArray[np.float32]
Step = tuple[Observation, float, bool, bool, dict[str, Any]]


class ConstructionEnv(gym.Env[Observation, np.int64]):
    """
    ## Description
    Builds one architecture of NATS-Bench from nothing: a decision a step. In the topology space
    (`NATS-TSS-*`) the six decisions are the operations on the edges 1←0, 2←0, 2←1, 3←0, 3←1, 3←2
    of a cell; in the size space (`NATS-SSS-*`) the five decisions are the channel widths of
    cell 1, reduction 1, cell 2, reduction 2 and cell 3. Once complete, the architecture is
    evaluated: looked up in a table of real trainings, or handed to the evaluator of your choice.

    Source: Dong, Liu, Musial, Gabrys, "NATS-Bench", TPAMI 2021, arXiv 2009.00437.

    ## Action Space
    Topology: `Discrete(5)`: 0 `none`, 1 `skip_connect`, 2 `nor_conv_1x1`, 3 `nor_conv_3x3`,
    4 `avg_pool_3x3`. Size: `Discrete(8)`: choice `d` is the width `8·(d+1)`.

    ## Observation Space
    `Box(0, 1, (n·k + n,), float32)`: the decisions taken as `n` one-hot rows of `k` (zeros while
    open), then the position of the next decision, one-hot (zeros once complete). 36 figures for
    topology (n=6, k=5), 45 for size (n=5, k=8).

    ## Rewards
    0 until the last decision, then validation accuracy / 100, in [0, 1].

    ## Starting State
    Nothing decided. The seed decides the trials that will be drawn and nothing else. Trials are
    numbered from `reset(seed=...)` on; a `reset()` without a seed goes on counting.

    ## Episode End
    Terminated after the last decision. Never truncated. The last step's `info` holds `index`
    (official), `arch` (official string), `accuracy` (percent), `seconds` (what the evaluation
    cost), `clock` (seconds since the last `reset(seed=...)`), `provenance` (what the accuracy
    rests on: `measured` or `surrogate`) and `seconds_provenance` (likewise for the seconds).

    ## Arguments
    - `epochs`: training schedule to search on. Embedded: topology 12 (surrogate) and 200
      (measured, the default); size 90 (surrogate). An imported official archive has every
      schedule, and the states within one: `"4/12"` is 4 epochs into the 12-epoch schedule, and
      a number that is no schedule so many epochs into the full one.
    - `trial`: `"random"` (default), `"mean"`, a training seed (777) or its position (0, 1, …).
    - `source`: `"auto"` (an imported official archive if there is one), `"embedded"`, the folder
      of a table, or the path of an official archive.
    - `reward`: `"accuracy"`, or a function of observed accuracy and incumbent (both percent).
    - `evaluator`: an object with `evaluate(index, epochs, trial_keys)` to ask instead of a table
      (`nats_gym.evaluators.Evaluator`); `trial` and `source` are refused beside it.
    - `report_test`: put the full-schedule test accuracy, mean over trials, under
      `info["evaluation"]` at the end. Never part of a reward or an observation. Needs a table
      with test accuracies: embedded, that is the size space alone. A table that evaluates also
      judges; another evaluator's answers are judged by the table of `source="auto"`.
    - `render_mode`: `"ansi"` (text) or `"rgb_array"` (a picture, 480×640×3 uint8).

    For judging an agent, `env.unwrapped.optimum()`, `regret(index)` and `rank(index)` look at the
    full-schedule accuracies of the table, mean over trials, of either split.

    A bad argument raises one of `nats_gym.errors` when the environment is made.

    ## Version History
    - v0: first version.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium declares it so
        "render_modes": ["ansi", "rgb_array"],
        "render_fps": 4,
        "surrogate_version": SURROGATE_VERSION,
    }
    #: Figures of the episode at the end of the observation.
    extras: ClassVar[int] = 0
    default_reward: ClassVar[str] = "accuracy"

    def __init__(
        self,
        space: str,
        dataset: str,
        *,
        epochs: Epochs | None = None,
        trial: str | int = "random",
        source: str | os.PathLike[str] = "auto",
        reward: str | RewardFunction | None = None,
        evaluator: Evaluator | None = None,
        report_test: bool = False,
        render_mode: str | None = None,
        **unknown: Any,
    ) -> None:
        self._refuse(unknown, space, dataset)
        self.architecture_space = get_space(space)
        self.dataset = dataset
        self.epochs = check_epochs(epochs, self.architecture_space.full_epochs)
        self.evaluator, self._provenance = choose_evaluator(
            space, dataset, self.epochs, trial, source, evaluator
        )
        self._judge = choose_judge(space, dataset, self.evaluator) if report_test else None
        self._reward = get_reward(self.default_reward if reward is None else reward)
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise unknown_name("render_mode", render_mode, self.metadata["render_modes"])
        self.render_mode = render_mode

        self._view = FlatObservation(self.architecture_space, self.extras)
        self.observation_space = self._view.box
        self.action_space = Discrete(self.architecture_space.num_choices)
        self.clock = SimulatedClock()
        self._num_decisions = self.architecture_space.num_decisions
        self._num_choices = self.architecture_space.num_choices
        self._evaluate_one = (
            self.evaluator.evaluate_one if isinstance(self.evaluator, TableEvaluator) else None
        )
        self._ground_truths: dict[str, GroundTruth] = {}
        self._stream: int | None = None
        self._evaluations = 0
        self._choices: list[int] = []
        self._ended = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; see the class for what the seed decides."""
        super().reset(seed=seed)
        if seed is not None or self._stream is None:
            seed = self.np_random_seed
            if seed < 0:  # Gymnasium's answer where np_random was set and its seed is not known
                seed = int(self.np_random.integers(2**63))
            self._stream = seed_key(seed)
            self._evaluations = 0
            self.clock.reset()
        self._ended = False
        self._begin_architecture()
        return self._view.read(), {}

    def step(self, action: np.int64 | int) -> Step:
        """Take one decision; `InvalidInput` for an action outside the action space."""
        self._decide(action)
        if len(self._choices) < self._num_decisions:
            return self._view.read(), 0.0, False, False, {}
        info = self._evaluate()
        self._ended = True
        if self._judge:
            info["evaluation"] = self._judge(info["index"])
        return self._view.read(), self._reward(info["accuracy"], 0.0), True, False, info

    def render(self) -> str | NDArray[np.uint8] | None:
        """The architecture so far: as text (`"ansi"`) or as a picture (`"rgb_array"`)."""
        if self.render_mode is None:
            return None
        draw = ansi if self.render_mode == "ansi" else picture
        return draw(self.architecture_space, self.dataset, self._choices, self._status())

    # ── what an agent is judged by ───────────────────────────────────────────────────────────

    def optimum(self, split: str = "valid") -> int:
        """Official index of the best architecture by full-schedule accuracy, mean over trials."""
        return self._ground_truth(split).optimum()

    def regret(self, index: ArrayLike, split: str = "valid") -> NDArray[np.float64]:
        """Points between the optimum's full-schedule accuracy and that of ``index (...)``."""
        return self._ground_truth(split).regret(index)

    def rank(self, index: ArrayLike, split: str = "valid") -> NDArray[np.int64]:
        """Place of ``index (...)`` by full-schedule accuracy, from 1 for the best."""
        return self._ground_truth(split).rank(index)

    def _ground_truth(self, split: str) -> GroundTruth:
        if split not in self._ground_truths:
            space = self.architecture_space.name
            table = judging_table(space, self.dataset, self.evaluator)
            self._ground_truths[split] = GroundTruth(table, split)
        return self._ground_truths[split]

    @classmethod
    def _refuse(cls, unknown: dict[str, Any], space: str, dataset: str) -> None:
        for option in unknown:
            if option == "time_budget":
                budgeted = f"NATS-{space.upper()}-{dataset}-Budgeted-v0"
                raise InvalidInput(f"time_budget is an option of {budgeted}; this episode has none")
            own = inspect.signature(cls).parameters.values()
            base = inspect.signature(ConstructionEnv).parameters.values()
            known = {p.name for p in (*own, *base) if p.kind == p.KEYWORD_ONLY}
            raise unknown_name("option", option, sorted(known))

    # ── the parts of a step ──────────────────────────────────────────────────────────────────

    def _begin_architecture(self) -> None:
        self._choices = []
        self._view.begin()

    def _decide(self, action: np.int64 | int) -> None:
        try:
            choice = -1 if isinstance(action, bool) else as_int(action)
        except TypeError:
            choice = -1
        if not 0 <= choice < self._num_choices:
            raise InvalidInput(
                f"an action is an integer in 0…{self._num_choices - 1}, got {shown(action)}"
            )
        if self._ended:
            raise ResetNeeded("the episode has ended: call reset() before step()")
        self._view.decide(len(self._choices), choice)
        self._choices.append(choice)

    def _evaluate(self) -> dict[str, Any]:
        """Evaluate the complete architecture and charge the clock; the metrics for `info`."""
        assert self._stream is not None
        index = self.architecture_space.index_of(self._choices)
        key = combine_int(self._stream, self._evaluations)
        self._evaluations += 1
        accuracy, seconds = self._ask(index, key)
        self.clock.charge(seconds)
        return {
            "index": index,
            "arch": self.architecture_space.name_of(index),
            "accuracy": accuracy,
            "seconds": seconds,
            "clock": self.clock.used,
            "provenance": self._provenance[0],
            "seconds_provenance": self._provenance[1],
        }

    def _ask(self, index: int, key: int) -> tuple[float, float]:
        if self._evaluate_one:
            accuracy, seconds = self._evaluate_one(index, self.epochs, key)
            return accuracy, seconds
        outcome = self.evaluator.evaluate(
            np.array([index]), self.epochs, np.array([key], dtype=np.uint64)
        )
        self._provenance = outcome.provenance, outcome.seconds_provenance
        return float(outcome.accuracy[0]), float(outcome.seconds[0])

    def _status(self) -> str:
        return f"clock {self.clock.used:,.0f} s · {self._evaluations} evaluated"
