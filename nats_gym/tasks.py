"""Distributions of tasks, for agents that learn to search: some to train on, others to test on.

A task is what one environment is made with: a space, a data set and who answers for it, a
schedule, limits, a reward. A distribution has two sides that share none; an environment draws from
one of them (``NATS-TSS-Tasks-v0``). Every task of a side comes once in as many draws as there are
tasks, in an order that follows from the seed.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.datasets import DATASETS, get_dataset
from nats_gym.errors import InvalidInput, shown, unknown_option
from nats_gym.evaluators import Evaluator, evaluator_options
from nats_gym.files.writing import check_source
from nats_gym.rewards import find_reward
from nats_gym.simulation.schedule import Epochs, check_epochs
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.streams import Keys, combine, run_keys
from nats_gym.tables import load_table
from nats_gym.tables.devices import PREFIX
from nats_gym.tables.figure_names import check_cost
from nats_gym.tables.named_columns import known_figures
from nats_gym.tables.table import named_figure

__all__ = ["SIDES", "Task", "TaskDistribution", "TaskSampler", "find_tasks", "make_tasks"]

SIDES = ("train", "test")
#: Stands for a limit on each device that latencies are known of.
DEVICES = "devices"
#: Tasks of a side.
MOST_TASKS = 256
# Draws of tasks must not coincide with those of trials.
_TAG = int.from_bytes(b"tasks", "little")


@dataclass(frozen=True)
class Task:
    """What is searched, by which figures, and what counts: what an environment is made with.

    Attributes:
        space: a space's name.
        dataset: a data set's name.
        epochs: training schedule; None for the environment's own.
        limits: figures by name, and the most that each may be: ``{"latency/raspi4": 5}``.
        reward: as an environment takes it; None for the environment's own.
        source: of the table that answers, as an environment takes it.
        evaluator: who answers in place of a table, as an environment takes it.

    Raises:
        InvalidInput: for what an environment cannot be made with, as far as can be told without
            its figures.
    """

    space: str
    dataset: str
    epochs: Epochs | None = None
    limits: Mapping[str, float] = field(default_factory=dict, hash=False)
    reward: Any = field(default=None, hash=False, compare=False)
    source: str | os.PathLike[str] = "auto"
    evaluator: Any = field(default=None, hash=False)
    #: What ``reward`` names: by that tasks are the same.
    _rewarded: Any = field(init=False, repr=False, hash=False)

    def __post_init__(self) -> None:
        """Check what was given; names of spaces and data sets become their own."""
        space, dataset = get_space(self.space), get_dataset(self.dataset).name
        given = checks.mapping(self.limits, "limits are numbers by figure")
        limits = {
            name: checks.number(most, f"the limit on {name}", above=0)
            for name, most in given.items()
        }
        set_ = object.__setattr__
        set_(self, "space", space.name)
        set_(self, "dataset", dataset)
        set_(self, "limits", limits)
        set_(self, "source", str(check_source(self.source)))
        if self.epochs is not None:
            set_(self, "epochs", check_epochs(self.epochs, space.full_epochs_on(dataset)))
        set_(self, "_rewarded", None if self.reward is None else find_reward(self.reward))
        answers = self.evaluator
        if isinstance(answers, (str, Mapping)):
            evaluator_options(answers)
        elif answers is not None and not checks.follows(answers, Evaluator):
            raise InvalidInput(
                f"an evaluator is an object with evaluate(), or a name, got {shown(answers)}"
            )

    def _may_be(self, other: Task) -> bool:
        """Whether another task may be the same, where one leaves schedule or table open."""
        epochs, source = {self.epochs, other.epochs}, {self.source, other.source}
        if len(epochs - {None}) > 1 or len(source - {"auto"}) > 1:
            return False
        told = ("space", "dataset", "limits", "evaluator", "_rewarded")
        return all(getattr(self, name) == getattr(other, name) for name in told)

    @property
    def name(self) -> str:
        """The task in words: ``"cifar10, latency/raspi4 ≤ 5"``."""
        limits = (f"{figure} ≤ {most:.6g}" for figure, most in sorted(self.limits.items()))
        epochs = () if self.epochs is None else (f"{self.epochs} epochs",)
        reward = () if self.reward is None else (f"reward {shown(self.reward, 50)}",)
        source = () if self.source == "auto" else (str(self.source),)
        evaluator = () if self.evaluator is None else (f"evaluator {_name_of(self.evaluator)}",)
        return ", ".join((self.dataset, *limits, *epochs, *reward, *source, *evaluator))

    @property
    def options(self) -> dict[str, Any]:
        """What the task says to an environment: keyword arguments, but the space."""
        said: dict[str, Any] = {"dataset": self.dataset}
        for name in ("epochs", "reward", "evaluator"):
            if getattr(self, name) is not None:
                said[name] = getattr(self, name)
        if self.source != "auto":
            said["source"] = self.source
        return said


@dataclass(frozen=True)
class TaskDistribution:
    """Tasks of one space: those to train on, and those to test on.

    Attributes:
        train, test: the tasks of each side, up to 256; ``test`` may be empty.

    Raises:
        InvalidInput: for a task that is there twice, on one side or on both, for two that may be
            the same since one leaves its schedule or table open, and for several spaces.
    """

    train: tuple[Task, ...]
    test: tuple[Task, ...] = ()

    def __post_init__(self) -> None:
        """Check what was given."""
        for side, least in zip(SIDES, (1, 0), strict=True):
            tasks = checks.instances(getattr(self, side), Task, f"tasks to {side} on", least)
            if len(tasks) > MOST_TASKS:
                raise InvalidInput(f"up to {MOST_TASKS} tasks to {side} on, got {len(tasks):,}")
            object.__setattr__(self, side, tuple(tasks))
        every = (*self.train, *self.test)
        for place, task in enumerate(every):
            if task.space != every[0].space:
                raise InvalidInput(f"tasks are of one space, got {every[0].space} and {task.space}")
            alike = [one for one in every[:place] if task._may_be(one)]
            if alike:
                both = place >= len(self.train) and any(one in self.train for one in alike)
                where = "to train on and to test on" if both else "twice on one side"
                if alike[0] != task:
                    where += f", as far as {shown(alike[0].name)} says: name epochs= and source="
                raise InvalidInput(f"the task {shown(task.name)} is there {where}")

    @property
    def space(self) -> str:
        """The space's name."""
        return self.train[0].space

    def side(self, name: str) -> tuple[Task, ...]:
        """The tasks of a side; ``InvalidInput`` if it has none."""
        tasks: tuple[Task, ...] = getattr(self, checks.word(name, "side", SIDES))
        if not tasks:
            raise InvalidInput("no task is left out to test on: name some data sets or figures")
        return tasks

    def sample(self, count: int, seed: int, side: str = "train") -> list[Task]:
        """The tasks that an environment seeded so draws at its first ``count`` resets."""
        tasks = self.side(side)
        count = checks.integer(count, "a number of tasks", high=1_000_000)
        sampler, first = TaskSampler(len(tasks)), np.zeros(1, np.int64)
        sampler.restart(first, run_keys([checks.seed(seed)]))
        return [tasks[sampler.draw(first).item()] for _ in range(count)]


class TaskSampler:
    """Draws tasks for several environments, each by a key of its own.

    Args:
        tasks: how many there are.
        copies: how many environments.
    """

    def __init__(self, tasks: int, copies: int = 1) -> None:
        self._tasks = checks.integer(tasks, "tasks", high=MOST_TASKS)
        copies = checks.integer(copies, "copies", high=1_000_000)
        self._keys = np.zeros(copies, np.uint64)
        self._drawn = np.zeros(copies, np.int64)
        self._order = np.zeros((copies, self._tasks), np.int16)  # of the round under way

    def restart(self, which: NDArray[np.int64], keys: Keys) -> None:
        """Begin anew in copies ``which`` with ``keys``, one for each."""
        self._keys[which] = combine(keys, _TAG)
        self._drawn[which] = 0

    def draw(self, which: NDArray[np.int64]) -> NDArray[np.int64]:
        """The next task of copies ``which``: its place, for each."""
        round_, place = np.divmod(self._drawn[which], self._tasks)
        begins = place == 0
        if begins.any():
            keys = combine(self._keys[which[begins]], round_[begins])
            drawn = combine(keys[:, None], np.arange(self._tasks))
            self._order[which[begins]] = np.argsort(drawn, axis=1, kind="stable")
        self._drawn[which] += 1
        return self._order[which, place].astype(np.int64)


def make_tasks(
    space: str | ArchitectureSpace,
    datasets: str | Sequence[str] | None = None,
    limits: str | Sequence[str | Mapping[str, float] | None] | None = None,
    *,
    share: float = 0.5,
    leave_out: str | Sequence[str] = (),
    epochs: Epochs | None = None,
    reward: Any = None,
    source: str | os.PathLike[str] = "auto",
) -> TaskDistribution:
    """The tasks of every data set under every limit.

    Args:
        space: a space's name.
        datasets: names; default those that searches of the space have a budget on.
        limits: what one task of each data set keeps to: figures and numbers
            (``{"latency/raspi4": 5}``), a figure's name, or None for no limit. ``"devices"`` is
            the name of every device's latency that is known on all of the data sets. Default: no
            limits.
        share: of architectures that meet a limit given by a figure's name alone, above 0 up to 1.
        leave_out: names of data sets and of figures in limits that are never trained on. Tasks to
            test on are of a data set that is left out and under a limit that is, where some of
            either are named; tasks that share only one of both with these are on neither side.
        epochs, reward, source: of all tasks, as :class:`Task` has them.

    Raises:
        InvalidInput: for unknown names, and where nothing is left to train on or to test on.

    >>> made = make_tasks("tss", limits=["latency/raspi4", "latency/fpga"],
    ...                   leave_out=["ImageNet16-120", "latency/fpga"])
    >>> [task.dataset for task in made.train], len(made.test)
    (['cifar10', 'cifar100'], 1)
    """
    of, share = get_space(space), checks.number(share, "share", above=0, high=1)
    if datasets is None:
        datasets = [*(of.budgets or DATASETS)]
    given = [datasets] if isinstance(datasets, str) else checks.as_list(datasets)
    if not given:
        raise InvalidInput(f"datasets are a list of names, got {shown(datasets)}")
    names = [get_dataset(one).name for one in given]
    source = str(check_source(source))
    alternatives = _alternatives(of, names, limits)
    left_out = [leave_out] if isinstance(leave_out, str) else checks.as_list(leave_out)
    known = {*names, *(figure for one in alternatives for figure in one)}
    if left_out is None:
        raise InvalidInput(f"leave_out is a list of names, got {shown(leave_out)}")
    called = {of: name for of, name in zip(given, names, strict=True) if type(of) is str}
    left_out = [called.get(one, one) if type(one) is str else one for one in left_out]
    for one in left_out:
        checks.word(one, "data set or limit to leave out", sorted(known))
    sides: dict[str, list[Task]] = {side: [] for side in SIDES}
    asked = {one in names for one in left_out}  # whether of data sets, of figures, or of both
    for dataset in names:
        for figures in alternatives:
            kept = {one in names for one in (dataset, *figures) if one in left_out}
            if kept and kept != asked:
                continue
            most = {
                figure: _least_for(of, dataset, figure, share, source) if limit is None else limit
                for figure, limit in figures.items()
            }
            task = Task(of.name, dataset, epochs, most, reward, source)
            sides["test" if kept else "train"].append(task)
    if not sides["train"]:
        raise InvalidInput(f"leave_out={shown(left_out)} leaves nothing to train on")
    return TaskDistribution(tuple(sides["train"]), tuple(sides["test"]))


def find_tasks(space: str | ArchitectureSpace, tasks: Any = None) -> TaskDistribution:
    """The distribution that an environment of a space was given.

    Args:
        space: a space's name.
        tasks: a distribution, a list of tasks, or the arguments of :func:`make_tasks` by name.

    Raises:
        InvalidInput: for anything else, and for tasks of another space.
    """
    name = get_space(space).name
    if issubclass(type(tasks), TaskDistribution):
        found: TaskDistribution = tasks
    elif tasks is None or issubclass(type(tasks), Mapping):
        given = {} if tasks is None else checks.mapping(tasks, "tasks are arguments by name")
        allowed = [*inspect.signature(make_tasks).parameters][1:]
        for option in given:
            if option not in allowed:
                raise unknown_option(option, allowed, "tasks")
        found = make_tasks(name, **given)
    else:
        what = "tasks (else {'datasets': [...]}, what make_tasks takes)"
        found = TaskDistribution(tuple(checks.instances(tasks, Task, what)))
    if found.space != name:
        raise InvalidInput(f"the tasks are of {found.space}, the environment of {name}")
    return found


def _alternatives(
    space: ArchitectureSpace, datasets: Sequence[str], limits: Any
) -> list[dict[str, float | None]]:
    """What a task of each data set keeps to: figures, and numbers where these are given."""
    if limits is None:
        return [{}]
    figures = [known_figures(space, dataset) for dataset in datasets]
    known = {name: of for name, of in figures[0].items() if all(name in of for of in figures)}
    if isinstance(limits, str):
        limits = [limits]
    each = checks.as_list(limits)
    if not each:
        raise InvalidInput(
            "limits are a list with one for each task, such as [{'flops': 60}], got "
            f"{shown(limits)}"
        )
    found: list[dict[str, float | None]] = []
    for one in each:
        if issubclass(type(one), str) and str.__str__(one) == DEVICES:
            devices = [
                name for name, of in known.items() if name.startswith(PREFIX) and of.lower_is_better
            ]
            if not devices:
                raise InvalidInput(f"no latencies of devices are known in {space.name}")
            found += [{name: None} for name in devices]
        elif one is None or issubclass(type(one), Mapping):
            given = {} if one is None else checks.mapping(one, "limits are numbers by figure")
            found.append({check_cost(name, known): given[name] for name in given})
        else:
            found.append({check_cost(one, known): None})
    return found


def _least_for(
    space: ArchitectureSpace, dataset: str, figure: str, share: float, source: str
) -> float:
    """The limit on a figure that a share of the architectures meet."""
    if figure in space.closed_forms:
        values = space.figure(figure, dataset).values
    elif get_dataset(dataset).evaluator and source == "auto":
        values = named_figure(space, dataset, figure).values
    else:
        values = load_table(space.name, dataset, source).figure(figure).values
    return float(np.nanquantile(values, share, method="higher"))


def _name_of(evaluator: Any) -> str:
    """What a task calls who answers: by its name and options, or by its class."""
    named = isinstance(evaluator, (str, Mapping))
    return shown(evaluator, 50) if named else type(evaluator).__name__
