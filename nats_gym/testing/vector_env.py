"""Plays a native vector environment and looped scalar ones with one policy, and compares them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, NatsGymError, shown
from nats_gym.testing.differences import find_difference, is_array, told

Bools = NDArray[np.bool_]
AnyVectorEnv = VectorEnv[Any, Any, Any]


class VectorEnvError(NatsGymError, AssertionError):
    """A native vector environment does not do what looped scalar environments do."""


def check_vector_env(
    native: AnyVectorEnv, looped: AnyVectorEnv, *, steps: int = 200, seed: int = 0
) -> None:
    """Check that a native vector environment does what looped scalar environments do.

    Both are seeded alike (``seed``, then a list of seeds, then none) and take the same random
    actions, those that ``infos["action_mask"]`` admits where there is one. In DISABLED mode ended
    environments and others are reset by ``options={"reset_mask": …}``. Everything returned has to
    be equal, NaN to NaN: observations with their types and shapes, rewards in the looped ones'
    precision, ends, and infos where their masks (``"_name"``) say so, ``final_obs`` and
    ``final_info`` included. ``final_obs`` may be an array of observations or batched like them.
    What was returned, and the actions given, must not change afterwards.

    Args:
        native: the vector environment to check.
        looped: its scalar environments in Gymnasium's ``SyncVectorEnv`` (of vector rewards: in
            ``mo_gymnasium.wrappers.vector.MOSyncVectorEnv``), in the same autoreset mode.
        steps: how long each of the three rollouts is.
        seed: of the environments and the actions.

    Raises:
        VectorEnvError: at the first difference; it names the step, the environment and what
            differs. An exception of the native environment's is its cause.
        InvalidInput: for other arguments, and if ``looped`` itself fails.

    Warns:
        UserWarning: if no episode ended, so that autoreset was not checked.
    """
    for name, env in (("native", native), ("looped", looped)):
        if not isinstance(env, VectorEnv):
            raise InvalidInput(f"{name} is a gymnasium.vector.VectorEnv, got {shown(env)}")
    steps, seed = checks.integer(steps, "steps"), checks.seed(seed, "seed")
    if native is looped:
        raise InvalidInput("native and looped are one environment; compare two")
    n = looped.num_envs
    if getattr(native, "num_envs", None) != n:
        raise InvalidInput(f"native has num_envs={getattr(native, 'num_envs', None)}, looped {n}")
    mode = _check_declarations(native, looped)

    pair = _Pair(native, looped)
    policy = _RandomPolicy(looped.single_action_space, n, seed)
    rng = np.random.default_rng(seed)
    ended_once = False
    seeds = [seed + 11 + 3 * i for i in reversed(range(n))]
    for start, label, note in (
        (seed, f"reset(seed={seed})", f" (seeds {seed}…{seed + n - 1})"),
        (seeds, f"reset(seed={shown(seeds)})", ""),
        (None, "reset() without a seed", ""),
    ):
        policy.look(pair.reset(label + note, start)[1], np.ones(n, bool))
        for step in range(1, steps + 1):
            *_, terminated, truncated, infos = pair.step(f"step {step} after {label}", policy.act())
            policy.look(infos, np.ones(n, bool))
            ended = terminated | truncated
            ended_once |= bool(ended.any())
            if mode is AutoresetMode.DISABLED and ended.any():
                mask = ended | (rng.random(n) < 0.2)
                again = None if rng.random() < 0.5 else int(rng.integers(2**31))
                where = f"reset(seed={again}, options={{'reset_mask': {mask.tolist()}}})"
                where = f"{where} after step {step} after {label}"
                policy.look(pair.reset(where, again, mask)[1], mask)
    if not ended_once:
        warnings.warn(
            f"no episode ended in 3 × {steps} steps, so autoreset was not checked: raise steps",
            stacklevel=2,
        )


def _check_declarations(native: AnyVectorEnv, looped: AnyVectorEnv) -> AutoresetMode:
    """Spaces and autoreset mode are declared, and are those of the looped; returns the mode."""
    mode = looped.metadata.get("autoreset_mode")
    if not isinstance(mode, AutoresetMode):
        raise InvalidInput(
            f"looped.metadata['autoreset_mode'] is an AutoresetMode, got {shown(mode)}"
        )
    declared = native.metadata.get("autoreset_mode")
    if declared != mode:
        raise VectorEnvError(
            f"native.metadata['autoreset_mode'] is {shown(declared)}, looped's {mode}"
        )
    for name in ("single_observation_space", "single_action_space"):
        mine, theirs = getattr(native, name, None), getattr(looped, name)
        if mine != theirs:
            raise VectorEnvError(f"{name} is {shown(mine)}, looped's {shown(theirs)}")
    for kind in ("observation_space", "action_space"):
        batched = batch_space(getattr(looped, f"single_{kind}"), looped.num_envs)
        mine = getattr(native, kind, None)
        if mine != batched:
            raise VectorEnvError(
                f"{kind} is {shown(mine)}; batch_space(single_{kind}, {looped.num_envs}) is "
                f"{shown(batched)}"
            )
    return mode


class _RandomPolicy:
    """Random actions for all environments, those that the last infos admit."""

    def __init__(self, single: spaces.Space[Any], num_envs: int, seed: int) -> None:
        self._single = deepcopy(single)  # whoever owns it keeps its random state
        self._single.seed(seed)
        self._masks: list[Any] = [None] * num_envs

    def look(self, infos: dict[str, Any], which: Bools) -> None:
        """Note the masks of some environments."""
        masks = infos.get("action_mask")
        present = infos.get("_action_mask", which)
        for i in np.flatnonzero(which):
            self._masks[i] = masks[i] if masks is not None and present[i] else None

    def act(self) -> Any:
        """A batch of actions, a fresh one."""
        try:
            actions = [self._single.sample(self._as_sampled(mask)) for mask in self._masks]
        except (AssertionError, TypeError, ValueError) as error:
            raise InvalidInput(
                f"infos['action_mask'] of looped is no mask for {self._single}: {told(error)}"
            ) from error
        batch: Any = create_empty_array(self._single, len(actions))
        return concatenate(self._single, actions, batch)

    def _as_sampled(self, mask: Any) -> Any:
        """A mask as the space's ``sample`` takes it: for MultiDiscrete one for each component."""
        if mask is None or not isinstance(self._single, spaces.MultiDiscrete):
            return mask
        if isinstance(mask, np.ndarray) and mask.ndim == 1 and mask.dtype != object:
            ends = np.cumsum(self._single.nvec)
            mask = [mask[end - n : end] for n, end in zip(self._single.nvec, ends, strict=True)]
        # A mask (n, k) has room for the decision with the most choices.
        sizes = self._single.nvec.tolist()
        return tuple(np.asarray(part, np.int8)[:n] for part, n in zip(mask, sizes, strict=True))


_RESET = ("observation", "infos")
_STEP = ("observation", "reward", "terminated", "truncated", "infos")


class _Pair:
    """Two vector environments that take the same calls; their answers are compared."""

    def __init__(self, native: AnyVectorEnv, looped: AnyVectorEnv) -> None:
        self._native, self._looped = native, looped
        self._single = looped.single_observation_space
        self._everyone = np.ones(looped.num_envs, bool)
        self._last: tuple[str, tuple[Any, ...], tuple[Any, ...]] | None = None

    def reset(self, where: str, seed: int | list[int] | None, mask: Bools | None = None) -> Any:
        """Reset both, all environments or those of ``mask``; what looped answered."""

        def call(env: AnyVectorEnv, mask: Bools | None) -> Any:
            options = None if mask is None else {"reset_mask": mask}
            return env.reset(seed=deepcopy(seed), options=options)  # type: ignore[arg-type]

        return self._both(where, call, mask, "reset_mask", _RESET)

    def step(self, where: str, actions: Any) -> Any:
        """Step both; what looped answered."""
        return self._both(where, lambda env, taken: env.step(taken), actions, "actions", _STEP)

    def _both(
        self,
        where: str,
        call: Callable[[AnyVectorEnv, Any], Any],
        argument: Any,
        name: str,
        parts: tuple[str, ...],
    ) -> Any:
        given = deepcopy(argument)
        try:
            mine = call(self._native, given)
        except Exception as error:
            raise VectorEnvError(f"{where} failed: {told(error)}") from error
        if find_difference(given, argument):
            raise VectorEnvError(f"{where} wrote into the {name} that it was given")
        try:
            theirs = call(self._looped, argument)
        except Exception as error:
            raise InvalidInput(f"{where} of looped failed: {told(error)}") from error
        if not isinstance(mine, tuple) or len(mine) != len(parts):
            raise VectorEnvError(
                f"{where} returned a {type(mine).__name__}"
                f"{f' of {len(mine)}' if isinstance(mine, tuple) else ''}; "
                f"it returns a tuple of {', '.join(parts)}"
            )
        self._check_fresh(where, mine)
        for part, one, two in zip(parts, mine, theirs, strict=True):
            if part == "observation":
                self._compare_observations(where, part, one, two)
            elif part == "infos":
                self._compare_infos(where, part, one, two)
            else:
                self._compare_figures(where, part, one, two)
        return theirs

    def _check_fresh(self, where: str, mine: tuple[Any, ...]) -> None:
        """Nothing that was returned before has changed since."""
        if self._last:
            before, returned, copies = self._last
            names = _RESET if len(copies) == len(_RESET) else _STEP
            for name, value, copy in zip(names, returned, copies, strict=True):
                if find_difference(value, copy):
                    raise VectorEnvError(
                        f"{where} changed the {name} that {before} had returned: "
                        "return fresh arrays"
                    )
        self._last = where, mine, deepcopy(mine)

    def _compare_observations(self, where: str, part: str, mine: Any, theirs: Any) -> None:
        if not _are_alike(mine, theirs):
            raise VectorEnvError(
                f"{where}: {part}s are {_layout(mine)}, looped's {_layout(theirs)}"
            )
        if find_difference(mine, theirs):
            for i in range(self._looped.num_envs):
                one, two = _of(self._single, mine, i), _of(self._single, theirs, i)
                _expect_equal(f"{where}, environment {i}: {part}", one, two)

    def _compare_figures(self, where: str, part: str, mine: Any, theirs: Any) -> None:
        if (
            not isinstance(mine, np.ndarray)
            or mine.shape != theirs.shape
            or mine.dtype.kind != theirs.dtype.kind  # float32 may stand for float64
        ):
            raise VectorEnvError(f"{where}: {part} is {_layout(mine)}, looped's {_layout(theirs)}")
        mine = mine.astype(theirs.dtype, copy=False)
        if find_difference(mine, theirs):
            for i, (one, two) in enumerate(zip(mine, theirs, strict=True)):
                _expect_equal(f"{where}, environment {i}: {part}", one, two)

    def _compare_infos(
        self, where: str, path: str, mine: Any, theirs: dict[str, Any], whose: Bools | None = None
    ) -> None:
        """Compare infos, and those within them, of the environments that have them."""
        if not isinstance(mine, dict):
            raise VectorEnvError(
                f"{where}: {path} is a {type(mine).__name__}; it is a dictionary, as looped's"
            )
        for name in theirs:
            if name not in mine:
                raise VectorEnvError(f"{where}: {path} lacks {shown(name)}, which looped's has")
        for name in mine:
            if name not in theirs:
                raise VectorEnvError(f"{where}: {path} has {shown(name)}, which looped's lacks")
        masks = [f"_{name}" for name in theirs if f"_{name}" in theirs]
        for name in masks:
            here = f"{path}[{shown(name)}]"
            if not _are_alike(mine[name], theirs[name]):
                raise VectorEnvError(
                    f"{where}: {here} is {_layout(mine[name])}, looped's {_layout(theirs[name])}"
                )
            _expect_equal(f"{where}: {here}", mine[name], theirs[name])
        for name in theirs:
            if name in masks:
                continue
            mask = theirs.get(f"_{name}", self._everyone if whose is None else whose)
            if name != "final_obs" and _are_equal_where(mask, mine[name], theirs[name]):
                continue
            here = f"{path}[{shown(name)}]"
            if isinstance(theirs[name], dict) and name != "final_obs":
                self._compare_infos(where, here, mine[name], theirs[name], mask)
                continue
            for i in np.flatnonzero(mask).tolist():
                one, two = (self._entry(where, here, of[name], i) for of in (mine, theirs))
                _expect_equal(f"{where}, environment {i}: {here}", one, two)
                if name == "final_obs" and not _are_alike(one, two):
                    raise VectorEnvError(
                        f"{where}, environment {i}: {here} is {_layout(one)}, "
                        f"looped's {_layout(two)}"
                    )

    def _entry(self, where: str, path: str, values: Any, i: int) -> Any:
        """What ``values`` hold of environment ``i``."""
        try:
            if not path.endswith("['final_obs']") or (is_array(values) and values.dtype == object):
                return values[i]
            return _of(self._single, values, i)  # batched as observations are
        except (IndexError, KeyError, TypeError):
            raise VectorEnvError(
                f"{where}: {path} has nothing for environment {i}: {shown(values)}"
            ) from None


def _of(single: spaces.Space[Any], batch: Any, i: int) -> Any:
    """Observation of environment ``i`` in a batch of them."""
    if isinstance(single, spaces.Dict):
        return {name: _of(space, batch[name], i) for name, space in single.items()}
    if isinstance(single, spaces.Tuple):
        return tuple(_of(space, part, i) for space, part in zip(single, batch, strict=True))
    return batch[i]


def _expect_equal(what: str, mine: Any, theirs: Any) -> None:
    different = find_difference(mine, theirs)
    if different:
        raise VectorEnvError(
            f"{what}{different.place} is {shown(different.mine)}, "
            f"looped's is {shown(different.theirs)}"
        )


def _are_equal_where(mask: Bools, mine: Any, theirs: Any) -> bool:
    """Whether two arrays, an entry an environment, are equal where the mask says."""
    if not all(is_array(values) and len(values) == len(mask) for values in (mine, theirs)):
        return False
    return find_difference(mine[mask], theirs[mask]) is None


def _are_alike(mine: Any, theirs: Any) -> bool:
    """Whether two values have the same layout."""
    if type(mine) is type(theirs) is np.ndarray:
        return bool(mine.dtype == theirs.dtype and mine.shape == theirs.shape)
    return _layout(mine) == _layout(theirs)


def _layout(value: Any) -> str:
    """Types and shapes of a batch of observations, in words."""
    if isinstance(value, Mapping):
        parts = ", ".join(f"{shown(name)}: {_layout(part)}" for name, part in sorted(value.items()))
        return f"{{{parts}}}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_layout, value))})"
    if isinstance(value, (np.ndarray, np.generic, int, float)):
        array = np.asarray(value)
        return f"{array.dtype} {array.shape}"
    return type(value).__name__
