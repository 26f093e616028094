"""Build architecture after architecture until the simulated clock has spent its budget."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from nats_gym.checks import as_integer, switch
from nats_gym.errors import InvalidInput, shown
from nats_gym.evaluators import TableEvaluator
from nats_gym.simulation.clock import (
    MOST_IDLE,
    SimulatedClock,
    check_evaluations,
    count_idle,
    default_budget,
)
from nats_gym.simulation.schedule import Epochs, check_epochs, trained_epochs
from nats_gym.simulation.workers import SimulatedWorkers, check_workers
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.spaces.decisions import Indices

from .architecture import Step
from .construction import ConstructionEnv, ConstructionVectorEnv
from .sources import choose_dataset, prepare
from .vector import GymnasiumVectorEnv, Played
from .vector_infos import Bools, Columns, Metrics


class BudgetedEnv(ConstructionEnv):
    """
    ## Description
    A whole search is one episode. Architectures are built one decision a step, as in
    `NATS-{TSS,SSS}-*-v0`, `NASBench101-*-v0` and `NAS-v0`; each is evaluated when complete, its
    seconds (training and one validation pass) are charged to a simulated clock, and the next one
    begins, until the budget is spent. This is the paper's search protocol as an episode.

    With `workers=k` evaluations run beside each other. A complete architecture goes to a free
    worker and the next one begins at once; when no worker is free the clock goes on to the first
    that finishes, and its result arrives: so from the k-th architecture on, each completed one
    brings one result, not always its own.

    With `fidelity_action=True` one more decision follows those of the architecture: how long it is
    trained.

    ## Action Space
    As in the unbudgeted environment: `Discrete(5)` for topology, `Discrete(8)` for size,
    `Discrete(3)` for NAS-Bench-101, with the same masks. The decision on the schedule has the same
    actions: of `m` schedules, cheap to dear, action `a` takes number `a·m // k` from 0 (of 12 and
    200 epochs in the topology space, actions 0, 1 and 2 take 12).

    ## Observation Space
    `Box(0, 1, (n·k + n + 2,), float32)`: decisions and position of the architecture in progress as
    in the unbudgeted environment, then the fraction of the budget left and the incumbent's accuracy
    / 100 (0 before the first evaluation). 38 figures for topology, 47 for size, 106 for
    NAS-Bench-101; one more position with `fidelity_action=True`.

    ## Rewards
    `improvement` (default): at each result, what it adds to the incumbent's accuracy, / 100; an
    episode's return is the best accuracy observed, / 100. `accuracy`: each result's accuracy
    / 100. `final`: the best accuracy observed / 100, at the end. 0 at every other step. What
    violates a limit is never the incumbent and improves nothing; `penalty` × cost is taken off.

    ## Starting State
    Nothing decided, the clock at 0, no incumbent. Trials are numbered from `reset(seed=...)` on;
    a `reset()` without a seed goes on counting. `reset(options={"trial": ..., "start": ...})` as
    in the unbudgeted environment; `start` is of the first architecture.

    ## Episode End
    Terminated when the clock has spent the budget; the evaluation that overshoots counts, and
    those still in flight are dropped. With `max_evaluations` also when so many results have
    arrived; the fraction of the budget left is then the lesser of both. Rows of choices that are no
    architecture take no time: where seconds alone would end the episode, 10,000 results in a row
    without any do. Never truncated. With the
    default budget a random policy takes about 1,070 steps in the topology space (180 architectures
    of six decisions) and 900 in the size space (180 of five). At every result `info` holds what the
    unbudgeted environment's last step does (`clock` counts from the episode's start),
    `incumbent_index` and `incumbent_accuracy`, the best observed so far (-1 and 0 while limits
    are violated), and with `fidelity_action=True` its `epochs`.

    ## Arguments
    Those of the unbudgeted environment, and
    - `time_budget`: seconds; default the paper's × `epochs`/12 (topology 20,000 / 40,000 /
      120,000 on CIFAR-10 / CIFAR-100 / ImageNet16-120, size 20,000 / 40,000 / 60,000), or beside
      `max_evaluations` no bound.
    - `max_evaluations`: results after which the episode ends, however little they cost; default
      no bound.
    - `workers`: simulated evaluations at a time, from 1 (default).
    - `fidelity_action`: whether the last decision picks the schedule. `epochs` is then a list of
      schedules; default all that the table holds. The default budget is for the dearest.
    - `report_test`: judges the incumbent, at the end.

    ## Version History
    - v0: first version.
    """

    own_figures: ClassVar[tuple[str, ...]] = ("budget_left", "incumbent")
    default_reward: ClassVar[str] = "improvement"

    def __init__(
        self,
        space: str | ArchitectureSpace | None = None,
        dataset: str | None = None,
        *,
        time_budget: float | None = None,
        max_evaluations: int | None = None,
        workers: int = 1,
        fidelity_action: bool = False,
        epochs: Epochs | Sequence[Epochs] | None = None,
        **options: Any,
    ) -> None:
        self.workers = check_workers(workers)
        self.fidelity_action = switch(fidelity_action, "fidelity_action")
        self.further_decisions = int(self.fidelity_action)
        chosen: Any = epochs
        if self.fidelity_action and epochs is not None and space is not None:
            space, given = (
                get_space(space),
                (options.get("source", "auto"), options.get("evaluator")),
            )
            chosen = _ascending(epochs, space, choose_dataset(space, dataset, *given))[-1]
        super().__init__(space, dataset, epochs=chosen, **options)
        if self.fidelity_action:
            self._schedules = self._choose_schedules(epochs)
        bound = check_evaluations(max_evaluations, "max_evaluations")
        if time_budget is None and bound is None:
            time_budget = default_budget(self.architecture_space, self.dataset, self.epochs)
        seconds = SimulatedClock(math.inf if time_budget is None else time_budget).budget
        self.clock = SimulatedClock(seconds, None, bound)
        # In flight: when it is done, the number of its submission, and what it will have found.
        self._in_flight: list[tuple[float, int, dict[str, Any]]] = []

    def _choose_schedules(self, epochs: Any) -> tuple[Epochs, ...]:
        evaluator = self.evaluator
        if epochs is None and isinstance(evaluator, TableEvaluator):
            epochs = evaluator.table.epochs("valid")
        found = _ascending(
            [self.epochs] if epochs is None else epochs, self.architecture_space, self.dataset
        )
        if not 2 <= len(found) <= self._num_choices:
            raise InvalidInput(
                f"fidelity_action picks among 2 to {self._num_choices} schedules, got "
                f"{', '.join(map(str, found))}; name them as epochs=[…]"
            )
        if isinstance(evaluator, TableEvaluator):
            for schedule in found:
                prepare(evaluator, schedule)
        return found

    @property
    def schedules(self) -> tuple[Epochs, ...]:
        """Training schedules that evaluations may use, cheap to dear."""
        return self._schedules if self.fidelity_action else (self.epochs,)

    @property
    def schedule_names(self) -> tuple[Epochs, ...]:
        """The schedules as `info` names them: all integers, or all text."""
        if all(isinstance(schedule, int) for schedule in self.schedules):
            return self.schedules
        return tuple(map(str, self.schedules))

    @property
    def _first_figures(self) -> tuple[float, ...]:
        return (1.0, 0.0)

    def _begin_episode(self, start: list[int]) -> None:
        self.clock.reset()
        self._in_flight.clear()
        self._view.set_figures(*self._first_figures)
        super()._begin_episode(start)

    def _complete(self) -> Step:
        """Hand the architecture to a worker; take in the result that arrives, if one does."""
        self._ended = True
        info = self._arrival()
        if info is None:
            self._ended = False
            self._begin_architecture()
            return self._result(0.0, {})
        self._ended = bool(self.clock.spent)
        if self._observed:
            self._observe(info["index"])
        reward = self._reward_of(info, self._incumbent, self._ended)
        self._keep_best(info)
        self._view.set_figures(float(self.clock.fraction_left), self._incumbent / 100.0)
        if self._ended and self._incumbent_index >= 0:
            self._add_judgement(info, self._incumbent_index)
        if not self._ended:
            self._begin_architecture()
        return self._result(reward, info)

    def _arrival(self) -> dict[str, Any] | None:
        index = self.architecture_space.index_of(self._choices[: self._num_decisions])
        schedule = 0
        if self.fidelity_action:
            schedule = self._choices[-1] * len(self.schedules) // self._num_choices
        epochs = self.schedules[schedule]
        number = self._evaluations
        if self.workers == 1:
            info = self._evaluate(index, epochs)
        else:
            info = self._ask(index, epochs)
            finish = float(self.clock.used) + info["seconds"]
            heapq.heappush(self._in_flight, (finish, number, info))
        if self.fidelity_action:
            info["epochs"] = self.schedule_names[schedule]
        if self.workers > 1:
            if len(self._in_flight) < self.workers:
                return None
            finish, _, info = heapq.heappop(self._in_flight)
            self.clock.advance(finish)
            info["clock"] = self.clock.used
            self._last = info
        return info

    def _scene_extras(self) -> dict[str, Any]:
        return {"incumbent": self._best}


def _ascending(epochs: Any, space: str | ArchitectureSpace, dataset: str) -> tuple[Epochs, ...]:
    """Schedules, each once, cheap to dear."""
    if isinstance(epochs, np.ndarray):
        epochs = [*np.atleast_1d(epochs)]
    if isinstance(epochs, str) or as_integer(epochs) is not None:
        epochs = [epochs]
    full = get_space(space).full_epochs_on(dataset)
    if not isinstance(epochs, (list, tuple, set)) or not epochs:
        raise InvalidInput(
            f"epochs beside fidelity_action is a list of schedules, got {shown(epochs)}"
        )
    checked = {check_epochs(one, full) for one in epochs}
    return tuple(sorted(checked, key=trained_epochs))


class BudgetedVectorEnv(ConstructionVectorEnv, GymnasiumVectorEnv):
    """
    ## Description
    Many copies of :class:`~nats_gym.envs.BudgetedEnv`, stepped together, each with a clock, an
    incumbent and workers of its own. `gym.make_vec("NATS-…-Budgeted-v0", num_envs=1024)` makes
    one. See :class:`ConstructionVectorEnv` for what the copies have in common: actions, seeds,
    options, infos and autoreset modes.

    ## Version History
    - v0: first version.
    """

    scalar: ClassVar[type[ConstructionEnv]] = BudgetedEnv
    shared: BudgetedEnv

    def __init__(self, num_envs: int = 1, **options: Any) -> None:
        super().__init__(num_envs, **options)
        self._budget, self._bound = self.shared.clock.budget, self.shared.clock.evaluations
        self._results = np.zeros(self.num_envs, np.int64)
        self._idle = np.zeros(self.num_envs, np.int64)
        self._previous = np.zeros(self.num_envs)
        self._schedule = np.zeros(self.num_envs, np.int64)
        names = self.shared.schedule_names
        self._epochs = np.array(names, object if isinstance(names[0], str) else None)
        workers = self.shared.workers
        self._workers = SimulatedWorkers(self.num_envs, workers) if workers > 1 else None

    def _begin_episodes(self, mask: Bools, start: Any) -> Metrics | None:
        self._clock[mask] = 0.0
        self._results[mask] = 0
        self._idle[mask] = 0
        self._incumbent[mask] = 0.0
        self._incumbent_index[mask] = -1
        self._previous[mask] = 0.0
        self._observations[mask, self._own_figures] = self.shared._first_figures
        if self._workers:
            self._workers.clear(mask)
        return super()._begin_episodes(mask, start)

    def _decide(self, actions: Indices) -> None:
        if self.shared.fidelity_action:
            last = np.flatnonzero(self._position == self._n)
            count = len(self.shared.schedules)
            self._schedule[last] = actions[last] * count // self._k
        super()._decide(actions)

    def _answers(self, ended: Indices) -> Indices:
        return self._incumbent_index[ended]

    def _complete(self, done: Indices, step: Played) -> Metrics | None:
        fidelity = self.shared.fidelity_action
        schedule = self._schedule[done] if fidelity else None
        metrics = self._evaluate(self._architectures(done), done, schedule)
        if schedule is not None:
            metrics["epochs"] = self._epochs[schedule]
        if self._workers is None:
            metrics["clock"] = self._clock[done] + metrics["seconds"]
            return self._take_in(done, metrics, step)
        self._workers.submit(done, self._clock[done] + metrics["seconds"], **metrics)
        waiting = self._workers.busy(done) == self.shared.workers
        self._begin_architectures(done[~waiting])
        arrived = done[waiting]
        if not len(arrived):
            return None
        time, metrics = self._workers.collect(arrived)
        metrics["clock"] = time
        return self._take_in(arrived, metrics, step)

    def _budget_of(self, which: Indices) -> Any:
        """Seconds that copies have: one number for all, or one for each."""
        return self._budget

    def _take_in(self, which: Indices, metrics: Columns, step: Played) -> Metrics:
        """Results arrive: rewards, incumbents, ends, and the next architectures."""
        used, incumbent = metrics["clock"], self._incumbent[which]
        budget = self._budget_of(which)
        spent, left = used >= budget, 1.0 - np.minimum(used, budget) / budget
        if self._bound is None and self._budget < math.inf:
            self._idle[which] = idle = count_idle(self._idle[which], used > self._clock[which])
            spent |= idle >= MOST_IDLE
        self._clock[which] = used
        if self._bound is not None:
            self._results[which] += 1
            spent |= self._results[which] >= self._bound
            left = np.minimum(left, 1.0 - self._results[which] / self._bound)
        earned = self._reward_of(which, metrics, incumbent, self._previous[which], spent)
        step.rewards[which] = earned
        self._previous[which] = metrics["accuracy"]
        self._keep_best(which, metrics)
        incumbent = metrics["incumbent_accuracy"]
        self._observations[which, self._own_figures] = np.stack([left, incumbent / 100.0], -1)
        self._observe(which, metrics["index"])
        ended = which[spent]
        step.terminated[ended] = True
        self._ended[ended] = True
        self._begin_architectures(which[~spent])
        return which, metrics

    def _scene_extras(self, i: int) -> dict[str, Any]:
        return {"incumbent": self._best_of(i)}
