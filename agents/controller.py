"""Controllers: policies that learned to search over tasks, kept in a folder, deployed by its name.

It is trained on ``NATS-…-Tasks-Budgeted-v0`` by Stable-Baselines3's PPO, or by sb3-contrib's
RecurrentPPO, whose memory lasts for an episode and so for a search (RL²: Duan et al., arXiv
1611.02779). The folder holds the policy's weights as ``safetensors`` and a JSON card, which is
written last and names them by their digest; nothing in it is run.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy

from nats_gym import checks
from nats_gym.datasets import DATASETS, get_dataset
from nats_gym.envs import TasksBudgetedEnv, TasksBudgetedVectorEnv
from nats_gym.errors import SHOWN, InvalidInput, NatsGymError, NotInTable, said, shown
from nats_gym.evaluators import Outcome
from nats_gym.extras import require
from nats_gym.files.untrusted import read_json
from nats_gym.files.writing import check_folder
from nats_gym.machine import describe, versions
from nats_gym.networks.card import seal, unseal
from nats_gym.networks.trained import WEIGHTS, read_weights, weights_as_bytes, write_folder
from nats_gym.networks.weights import check_fit
from nats_gym.simulation.clock import SimulatedClock
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.tables import Table
from nats_gym.tables.named_columns import SHIPPED
from nats_gym.tables.prior import is_searched
from nats_gym.tasks import Task

from .threads import one_thread

__all__ = [
    "Controller",
    "ControllerAgent",
    "ControllerCard",
    "ShippedController",
    "UnreadableController",
    "load_controller",
    "save_controller",
]

CARD = "controller.json"
#: Folders of those that ship (scripts/train_controllers.py).
CONTROLLERS = SHIPPED / "controllers"
LARGEST_CARD = 1 << 20
#: Policies by name: those of two algorithms.
POLICIES = ("ppo", "recurrent-ppo")
#: Settings of a policy, and the most that each may be.
SETTINGS: dict[str, Any] = {
    "net_arch": 1024,
    "ortho_init": bool,
    "lstm_hidden_size": 1024,
    "n_lstm_layers": 4,
    "shared_lstm": bool,
    "enable_critic_lstm": bool,
}
MOST_LAYERS = 8


class UnreadableController(NatsGymError, OSError):
    """A controller's folder is incomplete or damaged, or its card and weights disagree."""


@dataclass(frozen=True)
class ControllerCard:
    """What a controller is, and what it was trained on.

    Attributes:
        space: name of the space that it searches.
        policy: ``"ppo"``, or ``"recurrent-ppo"`` for one with a memory.
        settings: of these keyword arguments of Stable-Baselines3's policy class some: ``net_arch``
            (widths, or those of ``pi`` and ``vf``), ``ortho_init``; with a memory also
            ``lstm_hidden_size``, ``n_lstm_layers``, ``shared_lstm``, ``enable_critic_lstm``.
        evaluations: of a search that it was trained on; after so many it begins anew.
        observe_task, observe_history: what it sees, as the environment's options.
        tasks: names of those that it was trained on.
        seed: of the training.
        steps: of the training.
        figures: what was measured of it, by name.
        versions, machine: what it was trained with and on.
        weights: hexadecimal SHA-256 of the weights' file; filled in when that is written.

    Raises:
        InvalidInput: for a field that is not as said here.
    """

    space: str
    policy: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    evaluations: int = 30
    observe_task: bool = False
    observe_history: bool = False
    tasks: tuple[str, ...] = ()
    seed: int = 0
    steps: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""
    weights: str = ""

    def __post_init__(self) -> None:
        """Check every field."""
        tasks = checks.as_list(self.tasks)
        if tasks is None:
            raise InvalidInput(f"a card's tasks are names, got {shown(self.tasks)}")
        plain: dict[str, Any] = {
            "policy": checks.word(self.policy, "policy", POLICIES),
            "evaluations": checks.integer(self.evaluations, "a card's evaluations", 1, 10**6),
            "observe_task": checks.switch(self.observe_task, "a card's observe_task"),
            "observe_history": checks.switch(self.observe_history, "a card's observe_history"),
            "tasks": tuple(checks.text(one, "a task's name") for one in tasks),
            "seed": checks.seed(self.seed, "a card's seed"),
            "steps": checks.integer(self.steps, "a card's steps", 0),
        }
        for name in ("space", "machine", "weights"):
            plain[name] = checks.text(getattr(self, name), f"a card's {name}")
        plain["settings"] = _check_settings(self.settings)
        for name in ("figures", "versions"):
            what = f"a card's {name} are a dictionary by name"
            plain[name] = checks.plain(checks.mapping(getattr(self, name), what), what)
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values, with a checksum over all of it."""
        return seal(self, tasks=list(self.tasks))

    @classmethod
    def from_json(cls, content: Any) -> ControllerCard:
        """Inverse of :meth:`to_json`; ``InvalidInput`` for anything else."""
        return cls(**unseal(cls, content))


def _check_settings(given: object) -> dict[str, Any]:
    """Settings of a policy, which says by them how much memory it takes."""
    plain = checks.mapping(given, "settings of a policy are keyword arguments by name")
    for name, value in plain.items():
        what = f"{checks.word(name, 'setting of a policy', SETTINGS)} of a policy"
        if SETTINGS[name] is bool:
            plain[name] = checks.switch(value, what)
        elif name != "net_arch":
            plain[name] = checks.integer(value, what, 1, SETTINGS[name])
        elif isinstance(value, Mapping):
            parts = checks.mapping(value, what)
            plain[name] = {
                checks.word(part, what, ("pi", "vf")): _widths(parts[part], what) for part in parts
            }
        else:
            plain[name] = _widths(value, what)
    return plain


def _widths(given: object, what: str) -> list[int]:
    widths = checks.as_list(given)
    if widths is None or len(widths) > MOST_LAYERS:
        raise InvalidInput(f"{what} is a list of up to {MOST_LAYERS} widths, got {shown(given)}")
    return [checks.integer(one, f"a width in {what}", 1, SETTINGS["net_arch"]) for one in widths]


@dataclass(frozen=True)
class Controller:
    """A policy, and what is known of it.

    Attributes:
        policy: Stable-Baselines3's, on the CPU.
        card: what is known of it.
    """

    policy: ActorCriticPolicy
    card: ControllerCard

    def make_env(self, task: Task) -> TasksBudgetedEnv:
        """The environment that it searches a task in."""
        return _make_env(self.card, tasks=[task])


def save_controller(
    folder: str | os.PathLike[str], model: BaseAlgorithm, figures: Mapping[str, float] | None = None
) -> ControllerCard:
    """Write a trained policy into a folder, which :func:`load_controller` reads.

    Args:
        folder: made if it is not there; it must hold no controller.
        model: PPO or RecurrentPPO, trained on ``make_sb3("…-Tasks-Budgeted-v0", …)`` with
            ``max_evaluations=``.
        figures: what was measured of it, by name.

    Returns:
        The card as it was written.

    Raises:
        InvalidInput: for another model or environment, and for a folder that holds a controller.
        CannotWrite: for what the operating system refuses.
    """
    path = checks.path(folder, "folder", expand=True)
    model = checks.instance(model, BaseAlgorithm, "a model")
    check_folder(path)
    if os.path.lexists(path / CARD):
        raise InvalidInput(f"{shown(str(path))} holds a controller; give another folder")
    env = getattr(model.get_env(), "venv", None)
    most = env.shared.clock.evaluations if isinstance(env, TasksBudgetedVectorEnv) else None
    if not isinstance(env, TasksBudgetedVectorEnv) or most is None:
        raise InvalidInput(
            "a controller is trained on make_sb3('…-Tasks-Budgeted-v0', max_evaluations=…), "
            f"this model on {shown(env)}"
        )
    card = ControllerCard(
        space=env.shared.architecture_space.name,
        policy="recurrent-ppo" if "lstm_actor" in dict(model.policy.named_modules()) else "ppo",
        settings=dict(getattr(model, "policy_kwargs", None) or {}),
        evaluations=most,
        observe_task=env.shared.observes_task,
        observe_history=env.shared.observes_history,
        tasks=tuple(task.name for task in env.tasks),
        seed=model.seed or 0,
        steps=model.num_timesteps,
        figures={} if figures is None else figures,
        versions=versions(),
        machine=describe(),
    )
    check_fit(_make_policy(card).state_dict(), model.policy.state_dict())
    return write_folder(path, CARD, card, weights_as_bytes(model.policy), LARGEST_CARD)


def load_controller(folder: str | os.PathLike[str]) -> Controller:
    """Read a controller from its folder.

    Raises:
        InvalidInput: for what is no path.
        UnreadableController: where there is none, or a damaged one.
        MissingPackage: for one with a memory, where sb3-contrib is not installed.
    """
    path = checks.path(folder, "folder", expand=True)
    card = _read_card(path)
    with _reading(path):
        policy = _make_policy(card)
        policy.load_state_dict(read_weights(path / WEIGHTS, card.weights, policy.state_dict()))
        if not all(torch.isfinite(one).all() for one in policy.parameters()):
            raise ValueError("weights that are not finite")
    policy.set_training_mode(False)
    return Controller(policy, card)


def _read_card(path: Path) -> ControllerCard:
    with _reading(path):
        return ControllerCard.from_json(read_json(path / CARD, LARGEST_CARD))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise
    except Exception as error:  # settings of others raise what they like
        file = getattr(error, "filename", None)
        which = f"{Path(file).name}: " if isinstance(file, (str, os.PathLike)) else ""
        raise UnreadableController(
            f"no controller in {shown(str(path))}: {which}{said(error, 2 * SHOWN)}"
        ) from error


def _make_env(card: ControllerCard, **options: Any) -> TasksBudgetedEnv:
    return TasksBudgetedEnv(
        card.space,
        max_evaluations=card.evaluations,
        observe_task=card.observe_task,
        observe_history=card.observe_history,
        **options,
    )


def _make_policy(card: ControllerCard) -> ActorCriticPolicy:
    """A policy of a card, its weights drawn."""
    kind: Any = ActorCriticPolicy
    if card.policy == "recurrent-ppo":
        require("sb3_contrib", "a controller with a memory")
        from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy as kind
    first = next(iter(get_space(card.space).budgets or DATASETS))
    # What it sees is the same on all, whoever answers.
    env = _make_env(card, tasks=[Task(card.space, first, evaluator=_Unasked())])
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        made: ActorCriticPolicy = kind(
            env.observation_space, env.action_space, lambda _: 0.0, **card.settings
        )
    return made


class ControllerAgent:
    """Searches as a controller does: on the tasks that it learned on, or on another.

    Args:
        folder: the controller's.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.controller = load_controller(folder)

    @staticmethod
    def learned_on(folder: str | os.PathLike[str]) -> tuple[str, ...]:
        """Names of the tasks that the controller of a folder was trained on."""
        return _read_card(checks.path(folder, "folder", expand=True)).tasks

    def learn(
        self, env: gym.Env[Any, Any], budget: float, seed: int, evaluations: int | None = None
    ) -> None:
        """Search until the clock is spent; see :class:`~nats_gym.agents.EnvironmentAgent`."""
        clock = SimulatedClock(budget, evaluations=evaluations)
        inner: Any = env.unwrapped
        space, policy = inner.architecture_space, self.controller.policy
        if space.name != self.controller.card.space:
            raise InvalidInput(
                f"this controller searches {self.controller.card.space}, not {space.name}"
            )
        task = Task(space.name, inner.dataset, evaluator=_Through(env, space, clock))
        search = self.controller.make_env(task)
        with one_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed & 0xFFFFFFFF)
            while not clock.spent:
                observation, _ = search.reset(seed=0)
                state: Any = None
                ended = True  # which clears the memory
                while not clock.spent:
                    action, state = policy.predict(
                        observation, state=state, episode_start=np.array([ended])
                    )
                    observation, _, ended, _, _ = search.step(action.item())
                    if ended:
                        break


class ShippedController(ControllerAgent):
    """Searches as a controller that ships does, one that never learned on what is searched.

    Args:
        trained: its name; a search finds it by :meth:`trained_for`.

    Raises:
        InvalidInput: for a name that none has.
    """

    def __init__(self, trained: str = "") -> None:
        super().__init__(_shipped_folder(trained))

    @staticmethod
    def learned_on(trained: Any) -> tuple[str, ...]:
        """Names of the data sets that the controller of a name was trained on."""
        return ControllerAgent.learned_on(_shipped_folder(trained))

    @staticmethod
    def trained_for(
        space: str, dataset: str, own: Table | None = None, trained: object = None
    ) -> str:
        """Name of the controller that serves a search: what learned on most, and not on this.

        Args:
            space, dataset: what is searched.
            own: the table searched, which must not be one that it learned on under another name.
            trained: its name, where one is asked for; None for that of the rule.

        Raises:
            InvalidInput: where there is none for the space, and for one that learned on what is
                searched.
        """
        space, dataset = get_space(space).name, get_dataset(dataset).name
        most_first = sorted(_shipped().items(), key=lambda one: -len(one[1].tasks))
        tasks = {name: card.tasks for name, card in most_first if card.space == space}
        searched = {
            task
            for task in dict.fromkeys(itertools.chain(*tasks.values()))
            if is_searched(space, dataset, task, own)
        }
        fit = [name for name in tasks if searched.isdisjoint(tasks[name])]
        if not fit:
            spaces = ", ".join(sorted({card.space for card in _shipped().values()}))
            why = ": all of them learned on this table's figures" if tasks else ""
            raise InvalidInput(
                f"the controllers that ship search {spaces}, none of them {space} on {dataset}"
                f"{why}; train one, and give its folder as the agent"
            )
        if type(trained) is str and trained in tasks and trained not in fit:
            raise InvalidInput(
                f"controller {shown(trained)} learned on "
                f"{', '.join(sorted(searched.intersection(tasks[trained])))}, which is searched; "
                f"allowed for {dataset}: {', '.join(fit)}"
            )
        return fit[0] if trained is None else checks.word(trained, f"controller for {dataset}", fit)


@cache
def _shipped() -> dict[str, ControllerCard]:
    """Cards of the controllers that ship, by name."""
    folders = sorted(one.parent for one in CONTROLLERS.glob(f"*/{CARD}"))
    return {folder.name: _read_card(folder) for folder in folders}


def _shipped_folder(name: str) -> Path:
    return CONTROLLERS / checks.word(name, "trained controller", [*_shipped()])


class _Unasked:
    """An evaluator that nothing asks."""

    def evaluate(
        self, index: NDArray[np.int64], epochs: Any, trial_keys: NDArray[np.uint64]
    ) -> Outcome:
        raise NotImplementedError


class _Through:
    """An evaluator that builds what it is asked for in the environment of a run."""

    def __init__(
        self, env: gym.Env[Any, Any], space: ArchitectureSpace, clock: SimulatedClock
    ) -> None:
        self._env, self._space, self._clock = env, space, clock

    def evaluate(
        self, index: NDArray[np.int64], epochs: Any, trial_keys: NDArray[np.uint64]
    ) -> Outcome:
        """Evaluate one architecture."""
        self._env.reset()
        try:
            for choice in self._space.choices(index[0]).tolist():
                info = self._env.step(choice)[4]
        except NotInTable as error:
            raise NotInTable(
                f"a controller cannot search a part of a space alone: {error}"
            ) from error
        self._clock.charge(info["seconds"])
        return Outcome(np.array([info["accuracy"]]), np.array([info["seconds"]]))
