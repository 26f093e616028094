"""What every environment shares: options, evaluation, clock, limits, ground truth, pictures."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Mapping, Sequence
from operator import index as as_int
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, shown, unknown_option
from nats_gym.evaluators import Evaluator, TableEvaluator, check_trial, checked, evaluator_options
from nats_gym.evaluators.registry import option_of_another
from nats_gym.files.writing import check_source
from nats_gym.registration import (
    FAMILIES,
    TASK_ENVIRONMENTS,
    TASK_FAMILIES,
    benchmark_of,
    family_of,
)
from nats_gym.rewards import (
    Evaluation,
    Lagrangian,
    RewardFunction,
    bind_reward,
    check_reward,
    find_reward,
)
from nats_gym.simulation.clock import SimulatedClock
from nats_gym.simulation.schedule import Epochs
from nats_gym.spaces import ArchitectureSpace, get_space, known_spaces
from nats_gym.streams import combine_int, seed_key
from nats_gym.tables import SURROGATE_VERSION
from nats_gym.tables.figure_names import check_cost

from .figures import Figures
from .judge import Judge
from .limits import Limits, no_limits
from .observation import FlatObservation, Observation
from .rendering import Window, draw, text
from .scene import Scene
from .sources import (
    choose_dataset,
    choose_evaluator,
    choose_judge,
    table_evaluator,
    warn_of_columns,
)
from .viewer import require_pygame

Step = tuple[Observation, Any, bool, bool, dict[str, Any]]
Start = tuple[Observation, dict[str, Any]]

#: Other trials than its own that an environment keeps ready.
KEPT_TRIALS = 8
#: Keys of `reset(options=...)` that every environment knows.
TRIAL, START = "trial", "start"
RESET_OPTIONS = "options of a reset are a dictionary"
#: Provenance of the figures of what is no architecture.
INVALID = "invalid"
#: What an action mostly is.
_INTEGERS = (np.int64, int)


class ArchitectureEnv(gym.Env[Any, Any]):
    """Base of the environments: an architecture, an evaluator that answers for it, and a clock.

    Subclasses set the spaces and play the episode; options and their errors are those that
    :class:`~nats_gym.envs.ConstructionEnv` documents.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium declares it so
        "render_modes": ["ansi", "rgb_array", "human"],
        "render_fps": 4,
        "surrogate_version": SURROGATE_VERSION,
    }
    default_reward: ClassVar[str] = "accuracy"
    #: What the episode's figures in the observation are called.
    own_figures: ClassVar[tuple[str, ...]] = ()
    #: Whether ``reset(options={"start": ...})`` is known.
    takes_start: ClassVar[bool] = True
    #: Further options of a reset.
    own_reset_options: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        space: str | ArchitectureSpace | None = None,
        dataset: str | None = None,
        *,
        epochs: Epochs | None = None,
        trial: str | int = "random",
        source: str | os.PathLike[str] = "auto",
        reward: str | Mapping[str, Any] | RewardFunction | None = None,
        penalty: float = 0.0,
        limits: Mapping[str, float] | None = None,
        max_params: float | None = None,
        max_flops: float | None = None,
        max_latency: float | None = None,
        evaluator: Evaluator | str | Mapping[str, Any] | None = None,
        figures: Sequence[str] = (),
        observe_figures: bool = False,
        report_test: bool = False,
        render_mode: str | None = None,
        **unknown: Any,
    ) -> None:
        # Options that no environment has are those of an evaluator that is made by name.
        own = evaluator_options(evaluator) if isinstance(evaluator, (str, Mapping)) else ()
        if space is None:
            for option in sorted(unknown.keys() - {*own}):  # a slip of the pen, most likely
                raise unknown_option(option, ["space", "dataset", *sorted(_options(type(self)))])
            raise InvalidInput(
                f"space= says what is searched: {', '.join(known_spaces())}, or yours"
            )
        self.architecture_space = get_space(space)
        source, trial = check_source(source), check_trial(trial)
        dataset = choose_dataset(self.architecture_space, dataset, source, evaluator)
        space, facts = self.architecture_space.name, get_dataset(dataset)
        if evaluator is None and source == "auto" and facts.evaluator:
            if trial != "random":
                table = repr(facts.embedded) if facts.embedded else "its folder"
                raise InvalidInput(
                    f"trial={shown(trial)} chooses a training of a table, and {dataset} are "
                    f"trained: give a table by source={table}, or trials= for how many are drawn "
                    "from"
                )
            evaluator = facts.evaluator
            own = evaluator_options(evaluator)
        self._refuse(unknown.keys() - {*own}, space, dataset, own)
        self.dataset = dataset
        self.evaluator, self.epochs, self._provenance = choose_evaluator(
            space, dataset, epochs, trial, source, evaluator, unknown
        )
        judged = checks.switch(report_test, "report_test")
        self.judge = choose_judge(space, dataset, self.evaluator) if judged else None
        self._figures = Figures(
            self.architecture_space, dataset, self.evaluator, self.epochs, self._provenance[0]
        )
        #: Whether `info` says of an architecture that it is valid.
        self._may_be_invalid = not self.architecture_space.every_row_valid
        self._told_names = self._figures.check_told(figures)
        #: Those of them that the observation shows too.
        self._observed = (
            self._told_names if checks.switch(observe_figures, "observe_figures") else ()
        )
        if observe_figures and not self._observed:
            raise InvalidInput("observe_figures shows those that figures= names; it names none")
        self._told = self._figures.tell(self._told_names)
        self._maxima = self._join_limits(
            limits, params=max_params, flops=max_flops, latency=max_latency
        )
        self._set_limits()
        self.reward_function = self._choose_reward(reward, penalty)
        check_reward(self.reward_function, arrays=False, figures=self._figures.of_reward)
        self._warn_of({*self._maxima, *self._told_names, *self._figures.rewarded}, self.judge)
        if render_mode is not None:
            render_mode = checks.word(render_mode, "render_mode", self.metadata["render_modes"])
        if render_mode == "human":
            require_pygame()
        self.render_mode = render_mode
        self._window: Window | None = None

        self.clock = SimulatedClock()
        self._masked = (
            self._limited or self._may_be_invalid or not self.architecture_space.equal_choices
        )
        self._num_decisions = self.architecture_space.num_decisions
        self._num_choices = self.architecture_space.num_choices
        self._view: FlatObservation
        self._table_evaluators: dict[str | int, TableEvaluator] = {}  # those used last
        self._answering: Evaluator = self.evaluator
        self._stream: int | None = None
        self._evaluations = 0
        self._previous = 0.0
        self._last: dict[str, Any] = {}
        self._incumbent_index, self._incumbent = -1, 0.0
        self._ended = True  # and while an evaluation is under way, which may fail

    # ── episodes ─────────────────────────────────────────────────────────────────────────────

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode; see the class for what the seed decides and which options there are.

        Raises:
            InvalidInput: for an unknown option, a trial or a start that cannot be.
        """
        chosen = self.check_options(options)
        answering = self.evaluator_of(chosen.get(TRIAL))
        start = self.check_start(chosen.get(START))
        super().reset(seed=None if seed is None else checks.seed(seed))
        if seed is not None or self._stream is None:
            seed = self.np_random_seed
            if seed < 0:  # Gymnasium's answer where np_random was set and its seed is not known
                seed = int(self.np_random.integers(2**63))
            self._begin_stream(seed_key(seed))
        self._answering = answering
        self._ended = True
        self._previous = 0.0
        self._last = {}
        self._incumbent_index, self._incumbent = -1, 0.0
        if self._observed:
            self._view.set_known(0.0)
        self._begin_episode(start)
        self._ended = False
        info = self._begin_info()
        if self.render_mode == "human":
            self.render()
        return self._view.read(), info

    def _begin_stream(self, key: int) -> None:
        """Begin what a seed decides."""
        self._stream = key
        self._evaluations = 0
        self.clock.reset()

    def _begin_episode(self, start: Any) -> None:
        """Set the episode's state; ``start`` as :meth:`check_start` returned it."""
        raise NotImplementedError

    def _begin_info(self) -> dict[str, Any]:
        return {"action_mask": self._mask()} if self._masked else {}

    def check_options(self, options: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Return the options of a reset; ``InvalidInput`` for one that is not known."""
        if options is None:
            return {}
        given = checks.mapping(options, RESET_OPTIONS)
        known = (TRIAL, *((START,) if self.takes_start else ()), *self.own_reset_options)
        return {checks.word(name, "reset option", known): given[name] for name in given}

    def evaluator_of(self, trial: str | int | None) -> Evaluator:
        """Who answers in an episode of ``trial``; None for the environment's own."""
        if trial is None:
            return self.evaluator
        if not isinstance(self.evaluator, TableEvaluator):
            raise InvalidInput("reset option trial chooses among a table's; evaluator= has none")
        trial = check_trial(trial)
        if trial not in self._table_evaluators:
            if len(self._table_evaluators) >= KEPT_TRIALS:  # the one made first goes
                del self._table_evaluators[next(iter(self._table_evaluators))]
            self._table_evaluators[trial] = table_evaluator(
                self.evaluator.table, trial, self.schedules
            )
        return self._table_evaluators[trial]

    @property
    def schedules(self) -> tuple[Epochs, ...]:
        """Training schedules that evaluations may use."""
        return (self.epochs,)

    def check_start(self, start: Any) -> Any:
        """Where an episode starts, from the reset option ``start``; None for the usual place."""
        return start

    def _need_episode(self) -> None:
        if self._ended:
            state = "no episode has begun" if self._stream is None else "the episode has ended"
            raise ResetNeeded(f"{state}: call reset() before step()")

    # ── evaluation ───────────────────────────────────────────────────────────────────────────

    def _evaluate(self, index: int, epochs: Epochs) -> dict[str, Any]:
        """Evaluate an architecture and charge the clock; the metrics for `info`."""
        info = self._ask(index, epochs)
        self.clock.charge(info["seconds"])
        info["clock"] = self.clock.used
        self._last = info
        return info

    def _ask(self, index: int, epochs: Epochs) -> dict[str, Any]:
        """What an evaluation finds; the clock is the caller's to charge."""
        assert self._stream is not None
        key = combine_int(self._stream, self._evaluations)
        self._evaluations += 1
        if index < 0:
            return self._with_told(dict(self._failure), index)
        provenance = self._provenance
        metrics: dict[str, Any] = {}
        if isinstance(self._answering, TableEvaluator):
            accuracy, seconds = self._answering.evaluate_one(index, epochs, key)
            provenance = self._answering.prepare(epochs), provenance[1]
        else:
            asked = np.array([index]), epochs, np.array([key], dtype=np.uint64)
            outcome = checked(self._answering.evaluate(*asked), 1)
            provenance = outcome.provenance, outcome.seconds_provenance
            accuracy, seconds = outcome.accuracy.item(), outcome.seconds.item()
            metrics = {name: values.tolist()[0] for name, values in outcome.metrics.items()}
        info = {
            "index": index,
            "arch": self.architecture_space.name_of(index),
            "accuracy": accuracy,
            "seconds": seconds,
            "clock": 0.0,
            "provenance": provenance[0],
            "seconds_provenance": provenance[1],
            **metrics,
        }
        if self._limited:
            info["cost"] = self._cost.item(index)
        if self._may_be_invalid:
            info["valid"] = True
        return self._with_told(info, index) if self._told_names else info

    def _with_told(self, info: dict[str, Any], index: int) -> dict[str, Any]:
        """What `info` says besides, of figures that were asked for."""
        info.update((name, values.item(index)) for name, values in self._told.values.items())
        info.update(self._told.provenances)
        return info

    @property
    def _failure(self) -> dict[str, Any]:
        """What `info` says of a row of choices that is no architecture: it fails, at no cost."""
        failure = {
            "index": -1,
            "arch": "",
            "accuracy": 0.0,
            "seconds": 0.0,
            "clock": 0.0,
            "provenance": INVALID,
            "seconds_provenance": INVALID,
            "valid": False,
        }
        return {**failure, "cost": 0.0} if self._limited else failure

    def _reward_of(self, info: dict[str, Any], incumbent: float, last: bool) -> Any:
        accuracy, index, figures = info["accuracy"], info["index"], self._figures.of_reward
        cost = info["cost"] if self._limited else 0.0
        reward = self.reward_function(
            Evaluation(accuracy, incumbent, self._previous, cost, last, index, figures)
        )
        self._previous = accuracy
        return reward

    def _keep_best(self, info: dict[str, Any]) -> None:
        """Keep the best accuracy of what is valid and meets the limits, and say it."""
        better = self._incumbent_index < 0 or info["accuracy"] > self._incumbent
        if better and info["index"] >= 0 and not (self._limited and info["cost"] > 0):
            self._incumbent_index, self._incumbent = info["index"], info["accuracy"]
        info["incumbent_index"] = self._incumbent_index
        info["incumbent_accuracy"] = self._incumbent

    @property
    def _best(self) -> tuple[int, float] | None:
        best = self._incumbent_index
        return None if best < 0 else (best, self._incumbent)

    def _choice(self, action: Any, below: int) -> int:
        if type(action) in _INTEGERS:  # as spaces sample them
            choice = as_int(action)
        else:
            try:
                choice = -1 if isinstance(action, (bool, np.bool_)) else as_int(action)
            except Exception:  # what is given converts itself as it likes
                choice = -1
        if not 0 <= choice < below:
            raise InvalidInput(f"an action is an integer in 0…{below - 1}, got {shown(action)}")
        return choice

    # ── masks ────────────────────────────────────────────────────────────────────────────────

    def _mask(self) -> NDArray[np.int8]:
        """Which actions may come next: a fresh int8 array."""
        raise NotImplementedError

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions may come next, flat, as sb3-contrib's ``MaskablePPO`` asks for it."""
        return self._mask().astype(bool).ravel()

    # ── between observation and architecture ─────────────────────────────────────────────────

    def encode(self, architecture: int | str | ArrayLike) -> Observation:
        """The observation of an architecture at an episode's start, ``(width,)``.

        Args:
            architecture: official index, official string, or choices ``(..., n)`` with -1 for
                decisions that are open; leading dimensions lead in the result.

        Raises:
            InvalidInput: for what is no architecture of the space.
        """
        given = checks.array(architecture, "an architecture is an index, a string or choices")
        if given.dtype.kind == "U":
            choices = self.architecture_space.parse(given)
        else:
            choices = given if given.ndim else self.architecture_space.choices(given)
        unknown = (0.0,) * len(self._observed)
        return self._view.encode(choices, (*self._first_figures, *unknown, *self._first_further))

    def decode(self, observation: ArrayLike) -> NDArray[np.int64]:
        """Choices ``(..., n)`` of observations ``(..., width)``; -1 where a decision is open."""
        return self._view.decode(observation)

    @property
    def view(self) -> FlatObservation:
        """The layout of the flat observation."""
        return self._view

    @property
    def _first_figures(self) -> tuple[float, ...]:
        return ()

    @property
    def _first_further(self) -> tuple[float, ...]:
        return ()

    # ── pictures ─────────────────────────────────────────────────────────────────────────────

    def render(self) -> str | NDArray[np.uint8] | None:
        """The architecture as text (`"ansi"`), a picture (`"rgb_array"`) or in a window."""
        if self.render_mode is None:
            return None
        if self._stream is None:
            raise ResetNeeded("no episode has begun: call reset() before render()")
        if self.render_mode == "ansi":
            return text(self._scene())
        frame = draw(self._scene())
        if self.render_mode == "rgb_array":
            return frame
        if self._window is None:
            self._window = Window(self.metadata["render_fps"])
        self._window.show(frame)
        return None

    def _scene(self) -> Scene:
        """What there is to see of the episode."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None

    # ── what an agent is judged by ───────────────────────────────────────────────────────────

    def _add_judgement(self, info: dict[str, Any], index: int) -> None:
        """Add an answer's judgement, if one is asked for and the table has it."""
        if self.judge and self.judge.knows(index):
            info["evaluation"] = self.judge(index)

    def optimum(self, split: str = "valid") -> int:
        """Official index of the best architecture by full-schedule accuracy, mean over trials."""
        return self._figures.truth(split).optimum()

    def regret(self, index: ArrayLike, split: str = "valid") -> NDArray[np.float64] | float:
        """Points between the optimum's full-schedule accuracy and that of ``index (...)``.

        A number for a number, an array for an array.
        """
        return self._figures.truth(split).regret(index)

    def rank(
        self, index: ArrayLike, split: str = "valid"
    ) -> NDArray[np.int64] | NDArray[np.float64] | float:
        """Place of ``index (...)`` by full-schedule accuracy, from 1 for the best.

        A number for a number, an array for an array. NaN, as the regret is, for an architecture
        that a partial table lacks.
        """
        return self._figures.truth(split).rank(index)

    # ── figures of all architectures ─────────────────────────────────────────────────────────

    def figure(self, name: str) -> NDArray[np.float64]:
        """A figure of every architecture by official index, ``(arch,)``.

        Args:
            name: ``"accuracy"`` (percent, what an evaluation is expected to observe), ``"latency"``
                (seconds of a batch of 256, from the table), ``"flops"`` or ``"params"`` (millions)
                or another closed form of the space, or a named column, such as
                ``"latency/raspi4"``.

        Raises:
            InvalidInput: for another name, and for accuracies of live training.
        """
        return self._figures.values(name).copy()

    def _make_view(self, positions: int) -> FlatObservation:
        return FlatObservation(self.architecture_space, positions, self.own_figures, self._observed)

    def _observe(self, index: int) -> None:
        """Show what is known of an architecture that was evaluated, where that is asked for."""
        self._view.set_known(self._figures.tell(self._observed).shares[index])

    # A copy makes again what it can: it is small, and figures are opened where they lie.

    def __getstate__(self) -> dict[str, Any]:
        remade = ("limits", "_cost", "_told", "_window")
        return {name: value for name, value in self.__dict__.items() if name not in remade}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _window=None)
        self._told = self._figures.tell(self._told_names)
        self._set_limits()
        self.reward_function = self._bound(self.reward_function)

    # ── options ──────────────────────────────────────────────────────────────────────────────

    def _choose_reward(
        self, reward: str | Mapping[str, Any] | RewardFunction | None, penalty: float
    ) -> RewardFunction:
        chosen = find_reward(self.default_reward if reward is None else reward)
        if multiplier := checks.number(penalty, "penalty", 0):
            if not self.limits:
                raise InvalidInput("penalty weighs the cost of limits; give max_params, max_flops…")
            chosen = Lagrangian(multiplier, chosen)
        return self._bound(chosen)

    def _bound(self, reward: RewardFunction) -> RewardFunction:
        is_table = isinstance(self.evaluator, TableEvaluator)
        return bind_reward(reward, (lambda: self._figures.values("accuracy")) if is_table else None)

    def _join_limits(
        self, limits: Mapping[str, float] | None, **shorthands: float | None
    ) -> dict[str, float]:
        """The most that a figure may be, by its name, in the order of all figures."""
        given = {} if limits is None else checks.mapping(limits, "limits are numbers by figure")
        for name, limit in shorthands.items():
            if limit is not None:
                if name in given:
                    raise InvalidInput(f"limits= and max_{name}= both limit {name}")
                given[name] = limit
        computed = self.architecture_space.closed_forms
        known = {name: of for name, of in computed.items() if of.lower_is_better}
        if not given.keys() <= known.keys():
            known = self._figures.known
        for name in given:
            check_cost(name, known)
        return {name: given[name] for name in known if name in given}

    def _warn_of(self, names: Iterable[str], judge: Judge | None = None) -> None:
        """Warn of figures that are estimates, by name, and of test accuracies that are."""
        figures = (self._figures.find(name) for name in names)
        space = self.architecture_space.name
        warn_of_columns(space, self.dataset, self.evaluator, figures, judge)

    def _set_limits(self) -> None:
        space = self.architecture_space
        maxima = [
            (self._figures.find_complete(name, f"the limit on {name}"), most)
            for name, most in self._maxima.items()
        ]
        self.limits = Limits(space, maxima) if maxima else no_limits(space)
        self._limited = bool(self.limits)
        self._cost = self.limits.cost if self._limited else np.zeros(0)

    @classmethod
    def _refuse(
        cls, unknown: Iterable[str], space: str, dataset: str, others: Iterable[str]
    ) -> None:
        """Raise ``InvalidInput`` for options that no family, or another one, has."""
        for option in sorted(unknown):
            owners = {one.__name__ for one in _families(ArchitectureEnv) if option in _options(one)}
            named = benchmark_of(space, dataset)
            ids = [
                family.format(named) for family, (scalar, _) in FAMILIES.items() if scalar in owners
            ]
            of_space = [one for one, made in TASK_ENVIRONMENTS.items() if made["space"] == space]
            of_tasks = of_space or [family.format("NAS") for family in TASK_FAMILIES]
            for_tasks = [one for one in of_tasks if TASK_FAMILIES[family_of(one)][0] in owners]
            if not ids or "tasks" in _options(cls):
                ids = for_tasks or ids
            if ids:
                raise InvalidInput(
                    f"{option} is an option of {' and '.join(ids)}; this environment has none"
                )
            raise option_of_another(option, sorted({*_options(cls), *others, "space", "dataset"}))


def _options(cls: type) -> set[str]:
    """Names of the keyword arguments of an environment class, inherited ones included."""
    signatures = (
        inspect.signature(base) for base in cls.__mro__ if issubclass(base, ArchitectureEnv)
    )
    return {
        p.name for one in signatures for p in one.parameters.values() if p.kind == p.KEYWORD_ONLY
    }


def _families(cls: type[ArchitectureEnv]) -> list[type[ArchitectureEnv]]:
    found = []
    for sub in cls.__subclasses__():
        found += [sub, *_families(sub)]
    return found
