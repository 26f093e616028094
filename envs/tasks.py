"""A task of a distribution each episode: another data set, other limits, another reward.

An environment of tasks holds a plain one for each, which lends it at a reset what its task decides.
Copies of a native vector play a task each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, shown, unknown_name
from nats_gym.evaluators import Evaluator
from nats_gym.rewards import check_reward
from nats_gym.simulation.schedule import Epochs
from nats_gym.spaces import ArchitectureSpace
from nats_gym.spaces.decisions import Indices
from nats_gym.streams import Keys
from nats_gym.tasks import Task, TaskSampler, find_tasks

from .architecture import RESET_OPTIONS, TRIAL, ArchitectureEnv, _options
from .budgeted import BudgetedEnv, BudgetedVectorEnv
from .construction import ConstructionEnv, ConstructionVectorEnv
from .observation import FlatObservation
from .sources import warned_together
from .vector import GymnasiumVectorEnv, Played
from .vector_infos import METRICS, Bools, Columns, Metrics, make_dictionaries

#: Key of `reset(options=...)`.
TASK = "task"
#: Architectures by whose figures a limit is described.
PROBES = 8
#: Places of the tasks asked for, and the trial; None where none was.
Wanted = tuple[Any, Any]


class _OfTasks(ArchitectureEnv):
    """What the scalar environments of tasks share."""

    #: The environment of one task.
    plain: ClassVar[type[ConstructionEnv]]
    #: What of it counts in an episode.
    lent: ClassVar[tuple[str, ...]] = (
        *("dataset", "evaluator", "epochs", "_provenance", "reward_function", "limits"),
        *("_maxima", "_figures", "_told", "_table_evaluators", "judge"),
    )
    own_reset_options: ClassVar[tuple[str, ...]] = (TASK,)

    def __init__(
        self,
        space: str | ArchitectureSpace | None = None,
        dataset: str | None = None,
        *,
        tasks: Any = None,
        side: str = "train",
        observe_task: bool = False,
        observe_history: bool = False,
        **options: Any,
    ) -> None:
        self.observes_task = checks.switch(observe_task, "observe_task")
        self.observes_history = checks.switch(observe_history, "observe_history")
        if space is None:
            super().__init__(None, dataset, **options)  # which says what is missing
        assert space is not None
        if dataset is not None:
            if tasks is not None:
                raise InvalidInput("dataset= and tasks= both say what is searched")
            tasks = {"datasets": [dataset]}
        #: The tasks of both sides.
        self.distribution = find_tasks(space, tasks)
        #: Those that episodes are of.
        self.tasks = self.distribution.side(side)
        self._members: list[ConstructionEnv] = []
        with warned_together():
            super().__init__(space, **self._made_with(self.tasks[0], options))
            for task in self.tasks:
                self._members.append(self._make_member(task, options))
        self._place = 0
        self._wanted: Wanted = (None, None)
        self._sampler = TaskSampler(len(self.tasks))
        self._action: Any = 0
        # While each has looked its figures up.
        self._descriptors = np.stack([_describe(one) for one in self._members])
        self._share()
        #: Whether `info` speaks of limits: if any task has some.
        self._any_limited = any(one._limited for one in self._members)
        self._masked = any(one._masked for one in self._members)
        classes = [get_dataset(one.dataset).num_classes for one in self._members]
        #: Accuracy of guessing, percent, ``(tasks,)``.
        self._chance = 100.0 / np.array(classes)
        if getattr(self, "fidelity_action", False):
            for one, task in zip(self._members, self.tasks, strict=True):
                if one.schedules != self.schedules:
                    raise InvalidInput(
                        f"fidelity_action needs the same schedules in all tasks, and of "
                        f"{shown(task.name)} they are {shown(list(one.schedules))}, not "
                        f"{shown(list(self.schedules))}: name them as epochs=[…]"
                    )
        self._take(0)

    def _made_with(self, task: Task, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options of the environment of a task: its own, then those of all."""
        made = {**options, **task.options}
        given = options.get("limits")
        common = {} if given is None else checks.mapping(given, "limits are numbers by figure")
        if both := [name for name in task.limits if name in common]:
            raise InvalidInput(f"limits= and the task {shown(task.name)} both limit {both[0]}")
        for name, own in task.options.items():
            if options.get(name) is not None and options[name] != own:
                raise InvalidInput(
                    f"{name}= of all tasks is {shown(options[name], 80)}, and the task "
                    f"{shown(task.name)} has another"
                )
        if task.limits:
            made["limits"] = {**common, **task.limits}
        limited = made.get("limits") or any(
            options.get(name) is not None for name in ("max_params", "max_flops", "max_latency")
        )
        if not limited and any(one.limits for one in self.tasks):
            made.pop("penalty", None)  # there is no cost here, and is in other tasks
        return made

    def _make_member(self, task: Task, options: Mapping[str, Any]) -> ConstructionEnv:
        """The environment of one task; its evaluator is that of one before which had the same."""
        made = self._made_with(task, options)
        made.pop("render_mode", None)
        answers = task.dataset, task.source, task.evaluator
        for other, one in zip((self.tasks[0], *self.tasks), (self, *self._members), strict=False):
            if answers == (other.dataset, other.source, other.evaluator):
                kept = {"dataset", *_options(self.plain)} - {"trial", "source"}
                made = {name: given for name, given in made.items() if name in kept}
                made["evaluator"] = one.evaluator
                break
        return self.plain(self.architecture_space, **made)

    def _share(self) -> None:
        """Let the environments of tasks that lend the same lend one object."""
        for place, (task, one) in enumerate(zip(self.tasks, self._members, strict=True)):
            for other, first in zip(self.tasks[:place], self._members, strict=False):
                known = first.limits is one.limits or first._maxima != one._maxima
                if not known and np.array_equal(first.limits.cost, one.limits.cost):
                    one.limits = first.limits
                if first.evaluator is not one.evaluator or first.dataset != one.dataset:
                    continue
                same = ["_table_evaluators", "judge"]
                if first.epochs == one.epochs:
                    same += ["_figures", "_told"]
                    if (other.reward, first._limited) == (task.reward, one._limited):
                        same.append("reward_function")
                one.__dict__.update((name, first.__dict__[name]) for name in same)

    def _take(self, place: int) -> None:
        """Have what a task lends."""
        member = self._members[place]
        self._place = place
        self.__dict__.update((name, member.__dict__[name]) for name in self.lent)
        self._limited = self._any_limited
        self._cost = self.limits.cost if self._limited else np.zeros(0)

    @property
    def task(self) -> Task:
        """The task of the episode."""
        return self.tasks[self._place]

    def place_of(self, task: Any) -> int:
        """Place of a task among :attr:`tasks`.

        Args:
            task: its place, its name, or the task itself.

        Raises:
            InvalidInput: for what is none of them.
        """
        place = checks.as_integer(task)
        if place is not None and 0 <= place < len(self.tasks):
            return place
        names = [one.name for one in self.tasks]
        if issubclass(type(task), Task):
            if task in self.tasks:
                return self.tasks.index(task)
            if task.space != self.architecture_space.name or task.name in names:
                raise InvalidInput(
                    f"the task {shown(task.name)} of {task.space} is none of this environment's, "
                    f"which are of {self.architecture_space.name}: name one by its place, 0…"
                    f"{len(names) - 1}, or take one of its tasks"
                )
            task = task.name
        elif issubclass(type(task), str) and (name := str.__str__(task)) in names:
            if names.count(name) > 1:
                raise InvalidInput(f"several tasks are called {shown(name)}: name one by its place")
            return names.index(name)
        raise unknown_name(f"task (a name, a Task or a place of 0…{len(names) - 1})", task, names)

    def find_wanted(self, tasks: Sequence[Any] | None, trial: Any) -> list[int] | None:
        """Places of the tasks that a reset asks for; None for those that are drawn.

        Raises:
            InvalidInput: for an unknown task, and a trial that one of them, or of those that may
                be drawn, does not have.
        """
        places = None if tasks is None else [self.place_of(task) for task in tasks]
        for place in range(len(self.tasks)) if places is None else {*places}:
            self._members[place].evaluator_of(trial)
        return places

    # ── episodes ─────────────────────────────────────────────────────────────────────────────

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode of the task drawn, or of that of ``options``; see the class.

        Raises:
            InvalidInput: for an unknown option, a task, a trial or a start that cannot be.
        """
        chosen = {**self.check_options(options)}
        task, trial = chosen.pop(TASK, None), chosen.pop(TRIAL, None)
        places = self.find_wanted(None if task is None else [task], trial)
        self._wanted = None if places is None else places[0], trial
        return super().reset(seed=seed, options=chosen)

    def _begin_stream(self, key: int) -> None:
        super()._begin_stream(key)
        self._sampler.restart(np.zeros(1, np.int64), np.array([key], np.uint64))

    def _begin_episode(self, start: Any) -> None:
        place, trial = self._wanted
        if place is None:
            place = self._sampler.draw(np.zeros(1, np.int64)).item()
        self._take(place)
        self._answering: Evaluator = self.evaluator_of(trial)
        if self.observes_task:
            self._view.set_part("task", self._descriptors[place])
        if self.observes_history:
            for name in self._history:
                self._view.set_part(name, 0.0)
        super()._begin_episode(start)

    def step(self, action: Any) -> Any:
        """As in the environment of one task."""
        self._action = action
        return super().step(action)

    def _result(self, reward: Any, info: dict[str, Any]) -> Any:
        if self.observes_history:
            taken = np.zeros(self._num_choices)
            taken[self._action] = 1.0
            self._view.set_part("last_action", taken)
            self._view.set_part("last_reward", np.clip(reward, -1.0, 1.0))
            arrived = "accuracy" in info
            share = _above_chance(info["accuracy"], self._chance[self._place]) if arrived else 0.0
            self._view.set_part("last_accuracy", share)
            self._view.set_part("last_ended", float(arrived))
        return super()._result(reward, info)  # type: ignore[misc]

    def _ask(self, index: int, epochs: Epochs) -> dict[str, Any]:
        return {**super()._ask(index, epochs), TASK: self._place}

    # ── observations ─────────────────────────────────────────────────────────────────────────

    @property
    def _history(self) -> dict[str, tuple[int, float]]:
        """What is shown of the last step: how many numbers, and the least each can be."""
        return {
            "last_action": (self._num_choices, 0.0),
            "last_reward": (1, -1.0),
            "last_accuracy": (1, 0.0),
            "last_ended": (1, 0.0),
        }

    def _make_view(self, positions: int) -> FlatObservation:
        further = {"task": (4 + PROBES, 0.0)} if self.observes_task else {}
        if self.observes_history:
            further |= self._history
        names = self.own_figures, self._observed
        return FlatObservation(self.architecture_space, positions, *names, further)

    @property
    def _first_further(self) -> tuple[float, ...]:
        shown = self._descriptors[self._place].tolist() if self.observes_task else []
        width = self._view.further.stop - self._view.further.start
        return (*shown, *[0.0] * (width - len(shown)))

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._share()
        self._take(self._place)


def _describe(env: ArchitectureEnv) -> NDArray[np.float32]:
    """What an observation says of a task, ``(4 + PROBES,)`` in [0, 1].

    Logarithms of classes, resolution and training images, the share of architectures that meet
    the limits, and what part of twice the tightest limit each of some architectures takes: as
    HELP (arXiv 2106.08630) describes a device by latencies of reference networks. None of it is an
    accuracy.
    """
    facts, size = get_dataset(env.dataset), env.architecture_space.size
    probes = (2 * np.arange(PROBES) + 1) * size // (2 * PROBES)
    taken = np.zeros(PROBES)
    for name, most in env._maxima.items():
        share = env._figures.values(name)[probes] / (2.0 * most)
        taken = np.maximum(taken, np.nan_to_num(share, nan=1.0))
    told = [
        np.log10(facts.num_classes) / 3.0,
        np.log2(facts.resolution) / 8.0,
        np.log10(facts.train_images) / 7.0,
        env.limits.num_feasible / size,
    ]
    return np.clip([*told, *taken], 0.0, 1.0).astype(np.float32)


def _above_chance(accuracy: Any, chance: Any) -> Any:
    """Accuracies in percent as shares of the way from guessing to all right, 0 below."""
    return np.maximum(accuracy - chance, 0.0) / (100.0 - chance)


class TasksEnv(_OfTasks, ConstructionEnv):
    """
    ## Description
    A task each episode: a data set, a schedule, limits and a reward, drawn from a distribution; an
    architecture is built for it as :class:`~nats_gym.envs.ConstructionEnv` does. Tasks to train on
    and tasks to test on are two sides that share none (`nats_gym.tasks`), so that an agent shows
    what it learned to search, not what it learned of one table.

    ## Action Space
    As in the environment of one task, with the same masks, of the episode's limits. If any task
    has limits, every `info` holds a mask.

    ## Observation Space
    As in the environment of one task. `observe_task=True` adds 12 figures that say what the task
    is, in [0, 1]: logarithms of its classes (1 at 1,000), resolution (1 at 256 pixels) and training
    images (1 at ten million), the share of architectures that meet its limits, and of eight
    architectures the part of twice the limit that each takes, which tells devices apart.
    `observe_history=True` adds what RL² (Duan et al., arXiv 1611.02779) gives to an agent with a
    memory: the last action, one-hot; the last reward, cut to [-1, 1]; the accuracy that arrived
    with it, as a share of the way from guessing to 100 % (0 below, and where none arrived), so that
    nothing of the task's optimum is told; and 1 where an evaluation ended with it. All are 0 at an
    episode's start. `DictObservation` names the parts.

    ## Rewards
    As in the environment of one task, of the task's figures and limits.

    ## Starting State
    Nothing decided. Every task of a side comes once in as many episodes as there are tasks, in an
    order that the seed decides; a `reset()` without a seed goes on drawing.
    `reset(options={"task": ...})` sets the episode's, by its place, its name or as a
    `nats_gym.tasks.Task`, and is not counted as drawn; `trial` and `start` as in the environment of
    one task. The first episode of a seed does what that environment does with the same seed.

    ## Episode End
    As in the environment of one task; `info` says by `task` which it was, its place in
    `env.unwrapped.tasks`. `clock` counts the seconds of all tasks since the last
    `reset(seed=...)`.

    ## Arguments
    Those of the environment of one task, for what the tasks leave open, and
    - `tasks`: a `nats_gym.tasks.TaskDistribution`; a list of `Task`, all to train on; or the
      arguments of `nats_gym.tasks.make_tasks` as a dictionary: `{"datasets": ["cifar10",
      "cifar100"], "limits": "devices", "leave_out": ["cifar100"]}`. Default: the data sets that
      searches of the space have a budget on, without limits.
    - `side`: `"train"` (default) or `"test"`.
    - `observe_task`, `observe_history`: see above; default False.
    - `dataset`: its tasks alone, in place of `tasks`.

    ## Version History
    - v0: first version.
    """

    plain: ClassVar[type[ConstructionEnv]] = ConstructionEnv


class TasksBudgetedEnv(_OfTasks, BudgetedEnv):
    """
    ## Description
    A whole search of one task is one episode, as in :class:`~nats_gym.envs.BudgetedEnv`; the next
    episode is of the next task. An agent with a memory that is cleared between episodes
    (sb3-contrib's RecurrentPPO) learns to search within one: an episode here is what RL² calls a
    trial, an architecture what it calls an episode.

    ## Action Space
    As in the environment of one task, see :class:`~nats_gym.envs.TasksEnv`.

    ## Observation Space
    As in the environment of one task; `observe_task` and `observe_history` as in
    :class:`~nats_gym.envs.TasksEnv`. The last figure of the history is 1 where the last action
    brought a result.

    ## Rewards
    As in the environment of one task.

    ## Starting State
    As in :class:`~nats_gym.envs.TasksEnv`, the clock at 0, no incumbent.

    ## Episode End
    As in the environment of one task; the default budget is that of the task's data set. Every
    `info` of a result says by `task` which task it is of.

    ## Arguments
    Those of :class:`~nats_gym.envs.BudgetedEnv` and :class:`~nats_gym.envs.TasksEnv`. With
    `fidelity_action=True` all tasks need the same schedules.

    ## Version History
    - v0: first version.
    """

    plain: ClassVar[type[ConstructionEnv]] = BudgetedEnv
    lent: ClassVar[tuple[str, ...]] = (*_OfTasks.lent, "clock")


#: What is asked of each copy's own task.
_OWN = (
    *("optimum", "regret", "rank", "figure", "dataset", "evaluator", "epochs"),
    *("limits", "judge", "reward_function"),
)


class _VectorOfTasks(ConstructionVectorEnv):
    """What the native vector environments of tasks share."""

    shared: Any

    def __init__(self, num_envs: int = 1, **options: Any) -> None:
        super().__init__(num_envs, **options)
        members = self._members = self.shared._members
        for one in members:
            check_reward(one.reward_function, arrays=True, figures=one._figures.of_reward)
        self._task = np.zeros(self.num_envs, np.int64)
        self._sampler = TaskSampler(len(members), self.num_envs)
        self._wanted: Wanted = (None, None)
        self._alike: dict[tuple[str, ...], NDArray[np.int64]] = {}
        # Of each task: places of its evaluator and schedule in the lists of all.
        self._evaluators = list({id(one.evaluator): one.evaluator for one in members}.values())
        self._kept = len(self._evaluators)
        self._evaluator_of = np.array([self._place_of(one.evaluator) for one in members])
        self._schedule_of = np.zeros(len(members), np.int64)
        if not getattr(self.shared, "fidelity_action", False):
            self._schedules = list(dict.fromkeys(one.epochs for one in members))
            self._schedule_of[:] = [self._schedules.index(one.epochs) for one in members]
        self._budgets = np.array([one.clock.budget for one in members])

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """As :meth:`ArchitectureVectorEnv.reset`; the option ``task`` may be a list of one a copy.

        Raises:
            InvalidInput: as the scalar environment's, and for another number of tasks.
        """
        given = {} if options is None else checks.mapping(options, RESET_OPTIONS)
        passed = {name: given.pop(name) for name in ("reset_mask",) if name in given}
        chosen = {**self.shared.check_options(given)}
        task, trial = chosen.pop(TASK, None), chosen.pop(TRIAL, None)
        each = None if task is None else [task]
        if (listed := checks.as_list(task)) is not None:
            if len(listed) != self.num_envs:
                raise InvalidInput(f"{len(listed):,} tasks for {self.num_envs:,} copies")
            each = listed
        places = self.shared.find_wanted(each, trial)
        if places is not None:
            places = np.broadcast_to(np.array(places, np.int64), (self.num_envs,))
        self._wanted = places, trial
        try:
            return super().reset(seed=seed, options={**chosen, **passed})
        finally:
            self._wanted = None, None

    def _begin_streams(self, which: Indices, keys: Keys) -> None:
        super()._begin_streams(which, keys)
        self._sampler.restart(which, keys)

    def _begin_episodes(self, mask: Bools, start: Any) -> Metrics | None:
        which, (place, trial) = np.flatnonzero(mask), self._wanted
        task = self._sampler.draw(which) if place is None else place[which]
        self._task[which] = task
        answering = self._evaluator_of
        if trial is not None:
            answering = answering.copy()
            for one in np.unique(task).tolist():
                answering[one] = self._place_of(self._members[one].evaluator_of(trial))
        self._answering[which] = answering[task]
        self._own_schedule[which] = self._schedule_of[task]
        view = self.shared.view
        if self.shared.observes_task:
            self._observations[which, view.parts["task"]] = self.shared._descriptors[task]
        if self.shared.observes_history:
            self._observations[which, view.parts["last_action"].start :] = 0.0
        return super()._begin_episodes(mask, start)

    def _play(self, actions: Indices, step: Played) -> Metrics | None:
        evaluated = super()._play(actions, step)
        if self.shared.observes_history:
            again = step.resetting
            going = np.arange(self.num_envs) if again is None else np.flatnonzero(~again)
            parts, seen = self.shared.view.parts, self._observations
            first = parts["last_action"].start
            seen[going, first:] = 0.0
            seen[going, first + actions[going]] = 1.0
            seen[going, parts["last_reward"].start] = np.clip(step.rewards[going], -1.0, 1.0)
            if evaluated:
                which, metrics = evaluated
                chance = self.shared._chance[self._task[which]]
                share = _above_chance(metrics["accuracy"], chance)
                seen[which, parts["last_accuracy"].start] = share
                seen[which, parts["last_ended"].start] = 1.0
        return evaluated

    def _evaluate(self, index: Indices, which: Indices, schedule: Indices | None = None) -> Columns:
        return {**super()._evaluate(index, which, schedule), TASK: self._task[which]}

    def _budget_of(self, which: Indices) -> Any:
        return self._budgets[self._task[which]]

    # ── whose figures count ──────────────────────────────────────────────────────────────────

    def _lender(self, i: int) -> ArchitectureEnv:
        lender: ArchitectureEnv = self._members[self._task[i]]
        return lender

    def _by_lender(
        self, lent: tuple[str, ...], ask: Callable[..., Any], which: Any, *arrays: Any
    ) -> Any:
        if lent not in self._alike:  # the first task that lends the same, of each task
            known: dict[tuple[int, ...], int] = {}
            keys = [tuple(id(getattr(one, name)) for name in lent) for one in self._members]
            firsts = [known.setdefault(key, place) for place, key in enumerate(keys)]
            self._alike[lent] = np.array(firsts, np.int16)  # which numpy sorts by radix
        if not self._alike[lent].any():
            return ask(self._members[0], *arrays)
        group = self._alike[lent][self._task[which]]
        order = np.argsort(group, kind="stable")
        group = group[order]
        begins = [*np.flatnonzero(np.diff(group, prepend=-1)).tolist(), len(group)]
        if len(begins) < 3:
            return ask(self._members[group[0] if len(group) else 0], *arrays)
        given = [each[order] if isinstance(each, np.ndarray) else each for each in arrays]
        parts = []
        for begin, end in pairwise(begins):
            own = (each[begin:end] if isinstance(each, np.ndarray) else each for each in given)
            parts.append(ask(self._members[group[begin]], *own))
        back = np.argsort(order)
        if not isinstance(parts[0], dict):
            return np.concatenate(parts)[back]
        if any(part.keys() != parts[0].keys() for part in parts):
            counts = (end - begin for begin, end in pairwise(begins))
            told = [make_dictionaries(*one) for one in zip(parts, counts, strict=True)]
            return {METRICS: np.concatenate(told)[back]}
        return {name: np.concatenate([part[name] for part in parts])[back] for name in parts[0]}

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """As :meth:`ArchitectureVectorEnv.call`; what a task decides is each copy's own."""
        if name == TASK:
            return tuple(self.shared.tasks[place] for place in self._task)
        if name not in _OWN:
            return super().call(name, *args, **kwargs)
        found = (getattr(self._lender(i), name) for i in range(self.num_envs))
        return tuple(
            one(*args, **kwargs) if callable(one) and name in _OWN[:4] else one for one in found
        )

    def set_attr(self, name: str, values: Any) -> None:
        """Refused: tasks decide what the copies have.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(f"{name}: the copies have what their tasks decide; make another one")

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that episodes are of."""
        tasks: tuple[Task, ...] = self.shared.tasks
        return tasks

    def optimum(self, split: str = "valid") -> Any:
        """Official index of the best architecture of each copy's task, ``(num_envs,)``."""
        return np.array(self.call("optimum", split))

    def regret(self, index: ArrayLike, split: str = "valid") -> Any:
        """As in the scalar environment, of one architecture a copy, ``(num_envs,)``."""
        return self._judged("regret", index, split)

    def rank(self, index: ArrayLike, split: str = "valid") -> Any:
        """As in the scalar environment, of one architecture a copy, ``(num_envs,)``."""
        return self._judged("rank", index, split)

    def _judged(self, name: str, index: ArrayLike, split: str) -> NDArray[Any]:
        given = checks.as_integers(index)
        if given is None or len(given) != self.num_envs:
            raise InvalidInput(
                f"an official index for each of {self.num_envs:,} copies, got {shown(index)}"
            )
        each = (getattr(self._lender(i), name) for i in range(self.num_envs))
        return np.array([ask(one, split) for ask, one in zip(each, given, strict=True)])


class TasksVectorEnv(_VectorOfTasks, GymnasiumVectorEnv):
    """
    ## Description
    Many copies of :class:`~nats_gym.envs.TasksEnv`, stepped together, a task each.
    `gym.make_vec("NATS-TSS-Tasks-v0", num_envs=1024)` makes one. See
    :class:`ConstructionVectorEnv` for what the copies have in common: actions, seeds, options,
    infos and autoreset modes.

    ## Starting State
    As in the scalar environment, for each copy; `reset(options={"task": ...})` sets one task for
    all copies that are reset, or a list of one a copy. `call("task")` says which each has;
    `optimum`, `regret` and `rank` are of each copy's own.

    ## Version History
    - v0: first version.
    """

    scalar: ClassVar[type[ArchitectureEnv]] = TasksEnv


class TasksBudgetedVectorEnv(_VectorOfTasks, BudgetedVectorEnv, GymnasiumVectorEnv):
    """
    ## Description
    Many copies of :class:`~nats_gym.envs.TasksBudgetedEnv`, stepped together, each with a task, a
    budget and a clock of its own. See :class:`TasksVectorEnv`.

    ## Version History
    - v0: first version.
    """

    scalar: ClassVar[type[ConstructionEnv]] = TasksBudgetedEnv
