"""Native vector environments: all copies step together in numpy, no loop over environments.

Environment i of a vector does to the bit what the scalar environment seeded ``seed + i`` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from nats_gym.errors import InvalidInput, unknown_name
from nats_gym.streams import combine, seed_key

from .budgeted import BudgetedEnv
from .construction import ConstructionEnv
from .rendering import ansi, picture

Bools = NDArray[np.bool_]
VectorStep = tuple[NDArray[np.float32], NDArray[np.float64], Bools, Bools, dict[str, Any]]


class ConstructionVectorEnv(VectorEnv[NDArray[np.float32], NDArray[np.int64], NDArray[Any]]):
    """
    ## Description
    Many copies of :class:`~nats_gym.envs.ConstructionEnv`, stepped together.
    `gym.make_vec("NATS-…-v0", num_envs=1024)` makes one.

    ## Arguments
    Those of the scalar environment, and
    - `num_envs`: number of copies.
    - `autoreset_mode`: `AutoresetMode.NEXT_STEP` (default; the step after an episode's end resets
      and ignores the action), `SAME_STEP` (the last step returns the next episode's first
      observation, and `infos["final_obs"]` and `infos["final_info"]` the last one's), or
      `DISABLED` (reset with `options={"reset_mask": mask}`); also by value, `"NextStep"`.

    `infos` hold an array per figure of the scalar environment's `info` and, under the same name
    with `_` before it, which environments it is of. Gymnasium refuses `vector_kwargs` and
    `wrappers` beside a native vector environment: pass options themselves, wrap what comes back.

    ## Version History
    - v0: first version.
    """

    metadata: dict[str, Any] = dict(ConstructionEnv.metadata)  # noqa: RUF012
    scalar: ClassVar[type[ConstructionEnv]] = ConstructionEnv

    def __init__(
        self,
        num_envs: int = 1,
        *,
        space: str,
        dataset: str,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **options: Any,
    ) -> None:
        if (
            isinstance(num_envs, bool)
            or not isinstance(num_envs, (int, np.integer))
            or num_envs < 1
        ):
            raise InvalidInput(f"num_envs is a positive integer, got {num_envs!r}")
        # One scalar environment checks the options and holds what all copies share.
        self.shared = self.scalar(space, dataset, **options)
        self.num_envs = int(num_envs)
        self.autoreset_mode = _mode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = self.shared.render_mode
        self.single_observation_space = self.shared.observation_space
        self.single_action_space = self.shared.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

        architectures = self.shared.architecture_space
        self._n, self._k = architectures.num_decisions, architectures.num_choices
        self._names = np.array(
            [architectures.name_of(index) for index in range(architectures.size)], dtype=object
        )
        width = self.single_observation_space.shape[0]  # type: ignore[index]
        self._row = np.arange(self.num_envs) * width
        self._observations = np.zeros((self.num_envs, width), np.float32)
        self._flat = self._observations.reshape(-1)  # a view
        self._position = np.zeros(self.num_envs, np.int64)
        self._rank = np.zeros(self.num_envs, np.int64)
        self._streams = np.zeros(self.num_envs, np.uint64)
        self._has_stream = np.zeros(self.num_envs, bool)
        self._evaluations = np.zeros(self.num_envs, np.uint64)
        self._clock = np.zeros(self.num_envs)
        self._ended = np.ones(self.num_envs, bool)

    # ── reset ────────────────────────────────────────────────────────────────────────────────

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start episodes, in all environments or in those of ``options["reset_mask"]``.

        An integer seed gives environment i the seed ``seed + i``; a list gives each its own.
        """
        seeds = self._seeds(seed)
        mask = self._reset_mask(options)
        for i in np.flatnonzero(mask & ~self._has_stream).tolist():
            if seeds[i] is None:
                seeds[i] = int(self.np_random.integers(2**63))
        for i in np.flatnonzero(mask).tolist():
            if (given := seeds[i]) is not None:
                self._streams[i] = seed_key(given)
                self._has_stream[i] = True
                self._evaluations[i] = 0
                self._clock[i] = 0.0
        self._begin_episodes(mask)
        return self._observations.copy(), {}

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, (int, np.integer)):
            return [int(seed) + i for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise InvalidInput(
                f"{self.num_envs} seeds expected, one an environment, got {len(seed)}"
            )
        return list(seed)

    def _reset_mask(self, options: dict[str, Any] | None) -> Bools:
        mask = (options or {}).get("reset_mask")
        if mask is None:
            return np.ones(self.num_envs, bool)
        if (
            not isinstance(mask, np.ndarray)
            or mask.shape != (self.num_envs,)
            or mask.dtype != np.bool_
            or not mask.any()
        ):
            raise InvalidInput(
                f"reset_mask is a bool array of shape ({self.num_envs},) with a True, got {mask!r}"
            )
        return mask

    def _begin_episodes(self, mask: Bools) -> None:
        self._ended[mask] = False
        self._begin_architectures(mask)

    def _begin_architectures(self, which: Bools | NDArray[np.int64]) -> None:
        decided = self._n * self._k
        self._observations[which, : decided + self._n] = 0.0
        self._observations[which, decided] = 1.0
        self._position[which] = 0
        self._rank[which] = 0

    def action_masks(self) -> Bools:
        """Which actions each environment may take next, ``(num_envs, k)``, a fresh array: all."""
        return np.ones((self.num_envs, self._k), bool)

    def render(self) -> tuple[Any, ...] | None:
        """What the scalar environment renders, for each environment."""
        if self.render_mode is None:
            return None
        return tuple(self._picture(i) for i in range(self.num_envs))

    def _picture(self, i: int) -> str | NDArray[np.uint8]:
        places = self._k ** np.arange(self._position[i] - 1, -1, -1)
        choices = (self._rank[i] // places % self._k).tolist()
        draw = ansi if self.render_mode == "ansi" else picture
        shared = self.shared
        return draw(shared.architecture_space, shared.dataset, choices, self._status(i))

    def _status(self, i: int) -> str:
        return f"clock {self._clock[i]:,.0f} s · {self._evaluations[i]} evaluated"

    # ── step ─────────────────────────────────────────────────────────────────────────────────

    def step(self, actions: NDArray[np.int64]) -> VectorStep:
        """Take one decision in every environment; actions ``(num_envs,)``."""
        actions = self._check(actions)
        rewards = np.zeros(self.num_envs)
        ended = np.zeros(self.num_envs, bool)
        infos: dict[str, Any] = {}
        resetting = None
        if self._ended.any():
            if self.autoreset_mode is not AutoresetMode.NEXT_STEP or not self._has_stream.all():
                raise ResetNeeded("some episodes have ended: reset() these environments")
            resetting = self._ended.copy()
            self._position[resetting] = 0  # what they decide is undone below
        self._decide(actions)
        if resetting is not None:
            self._begin_episodes(resetting)
        done = np.flatnonzero(self._position == self._n)
        if len(done):
            metrics = self._evaluate(done)
            rewards[done] = self._finish(done, metrics)
            ended[done] = self._ended[done]
            infos = self._infos(done, metrics)
            if self.shared._judge and ended.any():
                which = np.flatnonzero(ended)
                judged = [self.shared._judge(i) for i in self._answers(which).tolist()]
                columns = {name: _column([one[name] for one in judged]) for name in judged[0]}
                infos["evaluation"], infos["_evaluation"] = (
                    self._infos(which, columns),
                    ended.copy(),
                )
            if self.autoreset_mode is AutoresetMode.SAME_STEP and ended.any():
                infos = self._reset_same_step(ended, infos)
        return (
            self._observations.copy(),
            rewards,
            ended,
            np.zeros(self.num_envs, bool),
            infos,
        )

    def _check(self, actions: NDArray[np.int64]) -> NDArray[np.int64]:
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise InvalidInput(
                f"actions are {self.num_envs} integers, got {actions.dtype} of {actions.shape}"
            )
        actions = actions.astype(np.int64, copy=False)
        if actions.view(np.uint64).max() >= self._k:  # a negative one is huge as unsigned
            bad = int(np.flatnonzero((actions < 0) | (actions >= self._k))[0])
            raise InvalidInput(
                f"an action is an integer in 0…{self._k - 1}, got {actions[bad]} "
                f"for environment {bad}"
            )
        return actions

    def _decide(self, actions: NDArray[np.int64]) -> None:
        here = self._row + self._position
        decided = self._n * self._k
        self._flat[self._row + self._position * self._k + actions] = 1.0
        self._flat[here + decided] = 0.0
        self._position += 1
        open_ = self._position < self._n
        if open_.all():
            self._flat[here + (decided + 1)] = 1.0
        else:
            self._flat[(here + (decided + 1))[open_]] = 1.0
        self._rank *= self._k
        self._rank += actions

    def _evaluate(self, done: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Evaluate complete architectures and charge their clocks; what `info` says of each."""
        shared = self.shared
        index = shared.architecture_space.rank_to_index[self._rank[done]]
        keys = combine(self._streams[done], self._evaluations[done])
        self._evaluations[done] += np.uint64(1)
        outcome = shared.evaluator.evaluate(index, shared.epochs, keys)
        self._clock[done] += outcome.seconds
        return {
            "index": index,
            "arch": self._names[index],
            "accuracy": outcome.accuracy,
            "seconds": outcome.seconds,
            "clock": self._clock[done],
            "provenance": np.full(len(done), outcome.provenance, object),
            "seconds_provenance": np.full(len(done), outcome.seconds_provenance, object),
        }

    def _finish(
        self, done: NDArray[np.int64], metrics: dict[str, NDArray[Any]]
    ) -> NDArray[np.float64]:
        """End the episodes of complete architectures; their rewards."""
        self._ended[done] = True
        return np.asarray(self.shared._reward(metrics["accuracy"], 0.0))

    def _answers(self, ended: NDArray[np.int64]) -> NDArray[np.int64]:
        """Official indices by which ended episodes are judged."""
        return self.shared.architecture_space.rank_to_index[self._rank[ended]]

    def _infos(self, which: NDArray[np.int64], metrics: dict[str, NDArray[Any]]) -> dict[str, Any]:
        """Spread figures of some environments over arrays of all, with their masks."""
        mask = np.zeros(self.num_envs, bool)
        mask[which] = True
        infos: dict[str, Any] = {}
        for name, values in metrics.items():
            spread = np.full(self.num_envs, None if values.dtype == object else 0, values.dtype)
            spread[which] = values
            infos[name], infos[f"_{name}"] = spread, mask.copy()
        return infos

    def _reset_same_step(self, ended: Bools, infos: dict[str, Any]) -> dict[str, Any]:
        """Begin the next episodes within the step; infos of the ended ones move to final_info."""
        last = self._observations.copy()
        last[~ended] = 0.0
        final = {name: value for name, value in infos.items() if not name.startswith("_")}
        going_on: dict[str, Any] = {}
        final_info: dict[str, Any] = {}
        for name, value in final.items():
            mask = infos[f"_{name}"]
            for target, kept in ((final_info, mask & ended), (going_on, mask & ~ended)):
                if kept.any():
                    # A nested dictionary is the judgement of ended episodes, all of it.
                    target[name] = value if isinstance(value, dict) else _blanked(value, kept)
                    target[f"_{name}"] = kept
        self._begin_episodes(ended)
        return {
            **going_on,
            "final_obs": last,
            "_final_obs": ended.copy(),
            "final_info": final_info,
            "_final_info": ended.copy(),
        }


class BudgetedVectorEnv(ConstructionVectorEnv):
    """
    ## Description
    Many copies of :class:`~nats_gym.envs.BudgetedEnv`, stepped together, each with a clock and
    an incumbent of its own. `gym.make_vec("NATS-…-Budgeted-v0", num_envs=1024)` makes one; see
    :class:`ConstructionVectorEnv` for arguments and infos.

    ## Version History
    - v0: first version.
    """

    scalar: ClassVar[type[ConstructionEnv]] = BudgetedEnv

    def __init__(self, num_envs: int = 1, **options: Any) -> None:
        super().__init__(num_envs, **options)
        self._budget = self.shared.clock.budget
        self._incumbent = np.zeros(self.num_envs)
        self._incumbent_index = np.full(self.num_envs, -1)

    def _begin_episodes(self, mask: Bools) -> None:
        self._clock[mask] = 0.0
        self._incumbent[mask] = 0.0
        self._incumbent_index[mask] = -1
        self._observations[mask, -2:] = (1.0, 0.0)
        super()._begin_episodes(mask)

    def _answers(self, ended: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._incumbent_index[ended]

    def _status(self, i: int) -> str:
        return (
            f"clock {self._clock[i]:,.0f} of {self._budget:,.0f} s · "
            f"{self._evaluations[i]} evaluated · incumbent {self._incumbent[i]:.2f} %"
        )

    def _finish(
        self, done: NDArray[np.int64], metrics: dict[str, NDArray[Any]]
    ) -> NDArray[np.float64]:
        accuracy = metrics["accuracy"]
        rewards = np.asarray(self.shared._reward(accuracy, self._incumbent[done]))
        better = (self._incumbent_index[done] < 0) | (accuracy > self._incumbent[done])
        self._incumbent[done[better]] = accuracy[better]
        self._incumbent_index[done[better]] = metrics["index"][better]
        metrics["incumbent_index"] = self._incumbent_index[done]
        metrics["incumbent_accuracy"] = self._incumbent[done]
        used = self._clock[done]
        self._observations[done, -2] = np.maximum(1.0 - used / self._budget, 0.0)
        self._observations[done, -1] = self._incumbent[done] / 100.0
        spent = used >= self._budget
        self._ended[done[spent]] = True
        self._begin_architectures(done[~spent])
        return rewards


def _column(values: list[Any]) -> NDArray[Any]:
    array = np.array(values)
    return array.astype(object) if array.dtype.kind == "U" else array


def _blanked(values: NDArray[Any], kept: Bools) -> NDArray[Any]:
    blank: Any = None if values.dtype == object else values.dtype.type(0)
    return np.where(kept, values, blank)


def _mode(given: AutoresetMode | str) -> AutoresetMode:
    for mode in AutoresetMode:
        if given in (mode, mode.value, mode.name):
            return mode
    raise unknown_name("autoreset_mode", given, [mode.name for mode in AutoresetMode])
