"""What the native vector environments share: all copies step together, no loop over them.

Copy i of a vector does to the bit what the scalar environment seeded ``seed + i`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, UnknownOption, shown
from nats_gym.evaluators import Evaluator, TableEvaluator, checked
from nats_gym.rewards import Evaluation, RewardFunction, check_reward
from nats_gym.simulation.schedule import Epochs
from nats_gym.spaces import ArchitectureSpace
from nats_gym.spaces.decisions import Indices
from nats_gym.streams import Keys, combine, seed_key

from .architecture import INVALID, RESET_OPTIONS, START, TRIAL, ArchitectureEnv
from .rendering import draw, text
from .scene import Scene
from .vector_infos import (
    METRICS,
    Bools,
    Columns,
    Metrics,
    make_dictionaries,
    merge_metrics,
    select,
    spread,
)

#: Copies that still fit into memory, about a kilobyte each.
MAX_ENVS = 1_000_000
#: What no copy has or does alone, and how it is instead.
_TOGETHER = {
    **dict.fromkeys(("reset", "step", "close"), "do that all together"),
    "clock": "have their clocks in one array; info says how much each has used",
    **dict.fromkeys(("np_random", "np_random_seed"), "draw from streams of their own seeds"),
}
#: Named among the bases of every family, too: libraries (skrl) tell a vector by its direct bases.
GymnasiumVectorEnv = VectorEnv[NDArray[np.float32], NDArray[np.int64], NDArray[Any]]
VectorStep = tuple[NDArray[np.float32], NDArray[Any], Bools, Bools, dict[str, Any]]


class Played(NamedTuple):
    """A step of all copies, which fills in what they get, in place.

    Attributes:
        resetting: those that begin their next episode instead; None for nobody.
        rewards, terminated, truncated: of every copy.
    """

    resetting: Bools | None
    rewards: NDArray[Any]
    terminated: Bools
    truncated: Bools


class Asked(NamedTuple):
    """An evaluation in each of some copies.

    Attributes:
        architecture: by official index.
        which: copies.
        keys: of the trials.
        schedule: places in the scalar environment's schedules, where they differ.
    """

    architecture: Indices
    which: Indices
    keys: Keys
    schedule: Indices | None

    def select(self, some: Bools) -> Asked:
        """Some of them."""
        return Asked(*(None if each is None else each[some] for each in self))  # type: ignore[arg-type]


class ArchitectureVectorEnv(GymnasiumVectorEnv):
    """Base of the native vector environments.

    It holds one scalar environment, which checks the options and lends all copies its evaluator,
    reward, limits and judge; the state of the copies is arrays. Subclasses play the step.
    """

    scalar: ClassVar[type[ArchitectureEnv]]
    #: Whether every `info` holds a mask, limits or not.
    always_masked: ClassVar[bool] = False
    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium declares it so
        **ArchitectureEnv.metadata,
        "render_modes": ["ansi", "rgb_array"],  # a thousand windows help nobody
    }

    def __init__(
        self,
        num_envs: int = 1,
        *,
        space: str | ArchitectureSpace | None = None,
        dataset: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **options: Any,
    ) -> None:
        self.num_envs = checks.integer(num_envs, "num_envs", 1, MAX_ENVS)
        if "max_episode_steps" in options:
            raise UnknownOption(
                "native vector environments end their episodes themselves (got an unexpected "
                "keyword argument 'max_episode_steps'); for copies that are cut short give "
                "make_vec vectorization_mode='sync' too, for an Edit environment horizon="
            )
        if options.get("render_mode") is not None:
            checks.word(options["render_mode"], "render_mode", self.metadata["render_modes"])
        self.autoreset_mode = _mode(autoreset_mode)
        self.shared = self.scalar(space, dataset, **options)
        check_reward(
            self.shared.reward_function, arrays=True, figures=self.shared._figures.of_reward
        )
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = self.shared.render_mode
        self.single_observation_space = self.shared.observation_space
        self.single_action_space = self.shared.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

        architectures = self.shared.architecture_space
        self._n, self._k = architectures.num_decisions, architectures.num_choices
        self._limited = self.shared._limited
        self._may_be_invalid = self.shared._may_be_invalid
        self._masked = self.shared._masked or self.always_masked
        width = self.single_observation_space.shape[0]  # type: ignore[index]
        self._row = np.arange(self.num_envs) * width
        self._observations = np.zeros((self.num_envs, width), np.float32)
        view = self.shared.view
        self._own_figures = slice(view.figures.start, view.known.start)
        self._known = view.known
        self._observes = bool(self.shared._observed)
        self._flat = self._observations.reshape(-1)  # a view
        self._streams = np.zeros(self.num_envs, np.uint64)
        self._has_stream = np.zeros(self.num_envs, bool)
        self._evaluations = np.zeros(self.num_envs, np.uint64)
        self._clock = np.zeros(self.num_envs)
        self._ended = np.ones(self.num_envs, bool)
        self._words: dict[str, NDArray[Any]] = {}
        self._everyone = np.ones(self.num_envs, bool)
        # Who answers in each copy's episode, and the schedule where actions choose none: places in
        # the lists. The first evaluators are kept, whoever answers.
        self._evaluators: list[Evaluator] = [self.shared.evaluator]
        self._kept = 1
        self._answering = np.zeros(self.num_envs, np.int64)
        self._schedules: Sequence[Epochs] = self.shared.schedules
        self._own_schedule = np.zeros(self.num_envs, np.int64)
        # Of the evaluation that arrived last in a copy's episode, for pictures.
        self._last_index = np.full(self.num_envs, -1)
        self._last_accuracy = np.zeros(self.num_envs)
        self._last_provenance = np.full(self.num_envs, None, object)
        # Of families whose episodes have many evaluations.
        self._incumbent = np.zeros(self.num_envs)
        self._incumbent_index = np.full(self.num_envs, -1)

    # ── reset ────────────────────────────────────────────────────────────────────────────────

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start episodes, in all copies or in those of ``options["reset_mask"]``.

        An integer seed gives copy i the seed ``seed + i``; a list gives each its own. Options
        ``trial`` and ``start`` are for all copies that are reset.
        """
        given = {} if options is None else checks.mapping(options, RESET_OPTIONS)
        mask = self._reset_mask(given.pop("reset_mask", None))
        own = self.shared.check_options(given)
        answering = self._place_of(self.shared.evaluator_of(own.get(TRIAL)))
        start = self.shared.check_start(own.get(START))
        seeds = self._seeds(seed)
        if checks.as_integer(seed) is not None:
            super().reset(seed=seeds[0])
        for i in np.flatnonzero(mask & ~self._has_stream).tolist():
            if seeds[i] is None:
                seeds[i] = int(self.np_random.integers(2**63))
        keys = [None if one is None else seed_key(one) for one in seeds]
        fresh = [i for i in np.flatnonzero(mask).tolist() if keys[i] is not None]
        if fresh:
            self._begin_streams(np.array(fresh), np.array([keys[i] for i in fresh], np.uint64))
        self._answering[mask] = answering
        self._forget_evaluators()
        begun = self._begin_episodes(mask, start)
        if begun and self.render_mode:
            self._note_last(*begun)
        return self._observations.copy(), self._infos(begun, mask)

    def _begin_streams(self, which: Indices, keys: Keys) -> None:
        """Begin what the seeds of ``which`` copies decide."""
        self._streams[which] = keys
        self._has_stream[which] = True
        self._evaluations[which] = 0
        self._clock[which] = 0.0

    def _place_of(self, evaluator: Evaluator) -> int:
        for place, known in enumerate(self._evaluators):
            if known is evaluator:
                return place
        self._evaluators.append(evaluator)
        return len(self._evaluators) - 1

    def _forget_evaluators(self) -> None:
        """Drop those of trials that no copy's episode is of any more."""
        used = sorted({*range(self._kept), *self._answering.tolist()})
        if len(used) < len(self._evaluators):
            self._evaluators = [self._evaluators[place] for place in used]
            self._answering = np.searchsorted(used, self._answering)

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if checks.as_integer(seed) is not None:
            first = checks.seed(seed)
            return [first + i for i in range(self.num_envs)]
        each = checks.as_list(seed)
        if each is None or not all(
            one is None or checks.as_integer(one) is not None for one in each
        ):
            raise InvalidInput(f"a seed is an integer, or a list of one a copy, got {shown(seed)}")
        if len(each) != self.num_envs:
            raise InvalidInput(
                f"{self.num_envs} seeds expected, one an environment, got {len(each)}"
            )
        return [None if one is None else checks.seed(one) for one in each]

    def _reset_mask(self, mask: Any) -> Bools:
        if mask is None:
            return np.ones(self.num_envs, bool)
        if (
            not isinstance(mask, np.ndarray)
            or mask.shape != (self.num_envs,)
            or mask.dtype != np.bool_
            or not mask.any()
        ):
            raise InvalidInput(
                f"reset_mask is a bool array of shape ({self.num_envs},) with a True, "
                f"got {shown(mask)}"
            )
        return mask

    def _begin_episodes(self, mask: Bools, start: Any) -> Metrics | None:
        """Begin the episodes of ``mask``; what it evaluates of them, if anything."""
        self._ended[mask] = False
        self._last_index[mask] = -1
        if self._observes:
            self._observations[mask, self._known] = 0.0
        return None

    def _begin_again(self, mask: Bools) -> Metrics | None:
        """Begin episodes as a plain ``reset()`` does."""
        if len(self._evaluators) > 1:
            self._answering[mask] = 0
        return self._begin_episodes(mask, self.shared.check_start(None))

    # ── step ─────────────────────────────────────────────────────────────────────────────────

    def step(self, actions: NDArray[np.int64]) -> VectorStep:
        """Step every copy; actions ``(num_envs, …)`` of the action space."""
        actions = self._check(actions)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        resetting = None
        if self._ended.any():
            if not self._has_stream.all():
                raise ResetNeeded("no episode has begun: call reset() before step()")
            if self.autoreset_mode is not AutoresetMode.NEXT_STEP:
                raise ResetNeeded("some episodes have ended: reset() these environments")
            resetting = self._ended.copy()
        rewards = self._no_rewards()
        evaluated = self._play(actions, Played(resetting, rewards, terminated, truncated))
        if evaluated and self.render_mode:
            self._note_last(*evaluated)
        ended = terminated | truncated
        if self.autoreset_mode is AutoresetMode.SAME_STEP and ended.any():
            infos = self._reset_same_step(ended, evaluated)
        else:
            infos = self._infos(evaluated, self._everyone, ended)
        return self._observations.copy(), rewards, terminated, truncated, infos

    def _play(self, actions: Indices, step: Played) -> Metrics | None:
        """Move every copy on, or begin its next episode; what was evaluated."""
        raise NotImplementedError

    def _no_rewards(self) -> NDArray[Any]:
        return np.zeros(self.num_envs)

    def _check(self, actions: Indices) -> Indices:
        actions = checks.array(actions, "actions are an array of integers")
        shape = self.action_space.shape
        if actions.shape != shape or actions.dtype.kind not in "iu":
            wanted = f"{self.num_envs} integers" + (f" × {shape[1]}" if len(shape) > 1 else "")  # type: ignore[arg-type,index]
            raise InvalidInput(f"actions are {wanted}, got {actions.dtype} of {actions.shape}")
        given, actions = actions, actions.astype(np.int64, copy=False)
        below = self._actions_below
        if actions.size and actions.view(np.uint64).max() >= below:  # a negative one is huge
            place = np.argwhere((actions < 0) | (actions >= below))[0]
            raise InvalidInput(
                f"an action is an integer in 0…{below - 1}, got {given[tuple(place)]} "
                f"for environment {place[0]}"
            )
        return actions

    @property
    def _actions_below(self) -> int:
        return self._k

    def _evaluate(self, index: Indices, which: Indices, schedule: Indices | None = None) -> Columns:
        """Evaluate an architecture of each of ``which`` copies; what `info` says of each.

        ``schedule`` as in :class:`Asked`. The clocks are the caller's to charge.
        """
        asked = Asked(
            index, which, combine(self._streams[which], self._evaluations[which]), schedule
        )
        self._evaluations[which] += np.uint64(1)
        self._ended[which] = True  # while an evaluation is under way, which may fail
        if self._may_be_invalid and (valid := index >= 0).sum() < len(index):
            found = self._ask_valid(asked, valid)
        else:
            found = self._ask_all(asked)
        self._ended[which] = False
        names = self.shared.architecture_space.names_of(index)
        metrics = {"index": index, "arch": names, **found}
        metrics["clock"] = metrics["seconds"]
        if self._may_be_invalid:
            metrics["valid"] = index >= 0
        if self._limited or self.shared._told_names:
            metrics |= self._by_lender(("limits", "_told"), self._known_of, which, index)
        return metrics

    def _by_lender(
        self, lent: tuple[str, ...], ask: Callable[..., Any], which: Any, *arrays: Any
    ) -> Any:
        """What ``ask`` answers of copies ``which``: of whose figures count there, and ``arrays``.

        Those of the shared environment, by default. Where there are several lenders, ``lent`` are
        the attributes that tell who lends the same, and each is asked for its own rows.
        """
        return ask(self.shared, *arrays)

    def _known_of(self, lender: ArchitectureEnv, index: Indices) -> Columns:
        """What `info` says of evaluated architectures besides what was found."""
        known: Columns = {}
        if self._limited:
            known["cost"] = np.where(index < 0, 0.0, lender.limits.cost[index])
        for name, values in lender._told.values.items():
            known[name] = values[index]
        for name, provenance in lender._told.provenances.items():
            known[name] = self._objects(provenance, len(index))
        return known

    def _observe(self, which: Indices, index: Indices) -> None:
        """Show what is known of the architectures of ``which`` copies, which were evaluated."""
        if self._observes:
            names, lent = self.shared._observed, ("_figures",)
            shares = self._by_lender(
                lent, lambda one, i: one._figures.tell(names).shares[i], which, index
            )
            self._observations[which, self._known] = shares

    def _ask_all(self, asked: Asked) -> Columns:
        if asked.schedule is None and len(self._evaluators) == 1 == len(self._schedules):
            return self._ask(
                self.shared.evaluator, asked.architecture, self.shared.epochs, asked.keys
            )
        return self._ask_several(asked)

    def _ask_valid(self, asked: Asked, valid: Bools) -> Columns:
        """:meth:`_ask_all` of those that are architectures; the others fail, at no cost."""
        count = len(valid)
        found: Columns = {"accuracy": np.zeros(count), "seconds": np.zeros(count)}
        for name in ("provenance", "seconds_provenance"):
            found[name] = self._objects(INVALID, count)
        if not isinstance(self.shared.evaluator, TableEvaluator):
            found[METRICS] = make_dictionaries({}, count)
        if valid.any():
            for name, values in self._ask_all(asked.select(valid)).items():
                found[name][valid] = values
        return found

    def _ask(self, evaluator: Evaluator, index: Indices, epochs: Epochs, keys: Keys) -> Columns:
        """What an evaluator finds, an array for each figure; its own metrics are one of objects."""
        outcome = evaluator.evaluate(index, epochs, keys)
        count = len(index)
        found: Columns = {}
        if not isinstance(evaluator, TableEvaluator):
            outcome = checked(outcome, count)
            found[METRICS] = make_dictionaries(outcome.metrics, count)
        found["accuracy"], found["seconds"] = outcome.accuracy, outcome.seconds
        found["provenance"] = self._objects(outcome.provenance, count)
        found["seconds_provenance"] = self._objects(outcome.seconds_provenance, count)
        return found

    def _objects(self, word: str, count: int) -> NDArray[Any]:
        """A word for each, as an array of objects."""
        if word not in self._words:  # a copy is several times as fast as filling an array
            self._words[word] = np.array([word] * self.num_envs, object)
        return self._words[word][:count].copy()

    def _ask_several(self, asked: Asked) -> Columns:
        """:meth:`_ask` of several evaluators and schedules, each for its own copies."""
        (index, which, keys, schedule), schedules = asked, self._schedules
        place = self._own_schedule[which] if schedule is None else schedule
        group = self._answering[which] * len(schedules) + place
        found: Columns = {}
        for one in np.unique(group).tolist():
            of_it = group == one
            evaluator = self._evaluators[one // len(schedules)]
            part = self._ask(evaluator, index[of_it], schedules[one % len(schedules)], keys[of_it])
            for name, values in part.items():
                found.setdefault(name, np.empty(len(which), values.dtype))[of_it] = values
        return found

    def _reward_of(
        self, which: Indices, metrics: Columns, incumbent: Any, previous: Any, last: Any
    ) -> NDArray[Any]:
        cost = metrics["cost"] if self._limited else 0.0
        seen = metrics["accuracy"], incumbent, previous, cost, last, metrics["index"]
        lent = "reward_function", "_figures"
        return np.asarray(self._by_lender(lent, self._ask_reward, which, *seen))

    def _end(self, which: Indices, step: Played) -> Metrics:
        """Evaluate an architecture of each, with which its episode ends; see :meth:`_answers`."""
        metrics = self._evaluate(self._answers(which), which)
        self._clock[which] += metrics["seconds"]
        metrics["clock"] = self._clock[which]
        self._observe(which, metrics["index"])
        step.rewards[which] = self._reward_of(which, metrics, 0.0, 0.0, True)
        step.terminated[which] = True
        self._ended[which] = True
        return which, metrics

    def _keep_best(self, which: Indices, metrics: Columns) -> None:
        """Keep the best accuracy of what is valid and meets the limits, and say it."""
        accuracy = metrics["accuracy"]
        better = (self._incumbent_index[which] < 0) | (accuracy > self._incumbent[which])
        if self._may_be_invalid:
            better &= metrics["valid"]
        if self._limited:
            better &= metrics["cost"] <= 0
        self._incumbent[which[better]] = accuracy[better]
        self._incumbent_index[which[better]] = metrics["index"][better]
        metrics["incumbent_index"] = self._incumbent_index[which]
        metrics["incumbent_accuracy"] = self._incumbent[which]

    @staticmethod
    def _ask_reward(
        lender: ArchitectureEnv, accuracy: Any, incumbent: Any, previous: Any, *rest: Any
    ) -> Any:
        cost, last, index = rest
        figures = lender._figures.of_reward
        reward = lender.reward_function(
            Evaluation(accuracy, incumbent, previous, cost, last, index, figures)
        )
        return reward if np.ndim(reward) else np.broadcast_to(reward, accuracy.shape)

    # ── infos ────────────────────────────────────────────────────────────────────────────────

    def _infos(
        self, evaluated: Metrics | None, masked: Bools, ended: Bools | None = None
    ) -> dict[str, Any]:
        """What there is to say: metrics, masks of the copies ``masked``, judgements of the ended.

        An array of all copies for every figure and, under its name with ``_`` before it, which
        copies it is of.
        """
        infos = spread(*evaluated, self.num_envs) if evaluated else {}
        if self._masked:
            masks = self._masks()
            if masked is not self._everyone:
                masks[~masked] = 0
            infos["action_mask"], infos["_action_mask"] = masks, masked.copy()
        if self.shared.judge and ended is not None and ended.any():
            self._judge(ended, infos)
        return infos

    def _judge(self, ended: Bools, infos: dict[str, Any]) -> None:
        """Add the judgement of ended episodes, of those that have an answer."""
        which = np.flatnonzero(ended)
        answers = self._answers(which)
        known = answers >= 0
        lent, ended_known = ("judge",), which[known]
        known[known] = self._by_lender(
            lent, lambda one, index: one.judge.known(index), ended_known, answers[known]
        )
        which, answers = which[known], answers[known]
        if len(which):
            columns = self._by_lender(
                lent, lambda one, index: one.judge.columns(index), which, answers
            )
            infos["evaluation"] = spread(which, columns, self.num_envs)
            infos["_evaluation"] = np.isin(np.arange(self.num_envs), which)

    def _answers(self, ended: Indices) -> Indices:
        """Official indices by which ended episodes are judged; -1 for none."""
        raise NotImplementedError

    def _reset_same_step(self, ended: Bools, evaluated: Metrics | None) -> dict[str, Any]:
        """Begin the next episodes within the step; what the ended ones say goes to final_info."""
        last = self._observations.copy()
        last[~ended] = 0.0
        final = self._infos(select(evaluated, ended), ended, ended)
        begun = self._begin_again(ended)
        if begun and self.render_mode:
            self._note_last(*begun)
        infos = self._infos(merge_metrics(select(evaluated, ~ended), begun), self._everyone)
        infos["final_obs"], infos["_final_obs"] = last, ended.copy()
        infos["final_info"], infos["_final_info"] = final, ended.copy()
        return infos

    # ── what the copies share ────────────────────────────────────────────────────────────────

    @property
    def reward_function(self) -> RewardFunction:
        """The reward of all copies."""
        return self.shared.reward_function

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """What each copy answers, one for each, as Gymnasium's `SyncVectorEnv` does.

        `render` and `action_masks` are each copy's own; every other method is asked once, of what
        they share, and an attribute that is no method is its value.

        Raises:
            AttributeError: for what the copies do together (`reset`, `step`, `close`), for the
                state of one of them, and for an unknown name.
        """
        _refuse_together(name)
        if name in ("render", "action_masks"):
            each = getattr(self, name)(*args, **kwargs)
            return (None,) * self.num_envs if each is None else tuple(each)
        found = getattr(self.shared, name)
        answer = found(*args, **kwargs) if callable(found) else found
        return (answer,) * self.num_envs

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute of each copy, see :meth:`call`."""
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute of what the copies share.

        Args:
            name: the attribute's.
            values: a value, or a list or tuple of as many equal ones as there are copies.

        Raises:
            ValueError: for another number of values, or values that differ.
            AttributeError: as :meth:`call`.
        """
        _refuse_together(name)
        if isinstance(values, (list, tuple)):
            if len(values) != self.num_envs:
                raise InvalidInput(f"{len(values):,} values for {self.num_envs:,} copies")
            if any(value is not values[0] and value != values[0] for value in values):
                raise InvalidInput(f"the copies share {shown(name)}: its values may not differ")
            values = values[0]
        setattr(self.shared, name, values)

    def optimum(self, split: str = "valid") -> int:
        """As in the scalar environment."""
        return self.shared.optimum(split)

    def regret(self, index: ArrayLike, split: str = "valid") -> NDArray[np.float64] | float:
        """As in the scalar environment."""
        return self.shared.regret(index, split)

    def rank(
        self, index: ArrayLike, split: str = "valid"
    ) -> NDArray[np.int64] | NDArray[np.float64] | float:
        """As in the scalar environment."""
        return self.shared.rank(index, split)

    def encode(self, architecture: int | str | ArrayLike) -> NDArray[np.float32]:
        """As in the scalar environment."""
        return self.shared.encode(architecture)

    def decode(self, observation: ArrayLike) -> NDArray[np.int64]:
        """As in the scalar environment."""
        return self.shared.decode(observation)

    # Views into arrays would be arrays of their own in a copy.

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._flat = self._observations.reshape(-1)

    # ── masks ────────────────────────────────────────────────────────────────────────────────

    def _masks(self) -> NDArray[np.int8]:
        """Which actions each copy may take next: a fresh int8 array, ``(num_envs, …)``."""
        raise NotImplementedError

    def action_masks(self) -> Bools:
        """Which actions each copy may take next, ``(num_envs, actions)``, a fresh array."""
        return self._masks().astype(bool).reshape(self.num_envs, -1)

    # ── pictures ─────────────────────────────────────────────────────────────────────────────

    def render(self) -> tuple[Any, ...] | None:
        """What the scalar environment renders, for each copy."""
        if self.render_mode is None:
            return None
        show = text if self.render_mode == "ansi" else draw
        return tuple(show(self._scene(i)) for i in range(self.num_envs))

    def _scene(self, i: int) -> Scene:
        raise NotImplementedError

    def _lender(self, i: int) -> ArchitectureEnv:
        """Whose figures count in copy ``i``."""
        return self.shared

    def _note_last(self, which: Indices, metrics: Columns) -> None:
        self._last_index[which] = metrics["index"]
        self._last_accuracy[which] = metrics["accuracy"]
        self._last_provenance[which] = metrics["provenance"]

    def _scene_of_last(self, i: int) -> dict[str, Any]:
        if self._last_index[i] < 0:
            return {}
        accuracy, provenance = float(self._last_accuracy[i]), self._last_provenance[i]
        return {"accuracy": accuracy, "provenance": provenance}

    def _best_of(self, i: int) -> tuple[int, float] | None:
        best = int(self._incumbent_index[i])
        return None if best < 0 else (best, float(self._incumbent[i]))

    def _last_name(self, i: int) -> str:
        return self.shared.architecture_space.name_of(int(self._last_index[i]))


def _refuse_together(name: str) -> None:
    if name in _TOGETHER:
        raise AttributeError(f"{name}: the copies of a native vector environment {_TOGETHER[name]}")


def _mode(given: AutoresetMode | str) -> AutoresetMode:
    if isinstance(given, AutoresetMode):
        return given
    known = {said: mode for mode in AutoresetMode for said in (mode.name, mode.value)}
    return known[checks.word(given, "autoreset_mode", known)]
