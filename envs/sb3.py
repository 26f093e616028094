"""A native vector environment as Stable-Baselines3 wants it, which has no such adapter."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown
from nats_gym.registration import EVERY_ID

from .multi_objective import MultiObjectiveVectorEnv
from .vector import ArchitectureVectorEnv


class SB3VecEnv(VecEnv):
    """Adapts a native vector environment to Stable-Baselines3.

    Infos hold ``terminal_observation``, ``TimeLimit.truncated`` and ``episode`` (return, length
    and wall-clock seconds, as SB3's ``Monitor`` reports them, so none is needed) at the end of
    an episode.

    Args:
        venv: a native vector environment with ``autoreset_mode`` SAME_STEP, or wrappers of one.

    Raises:
        InvalidInput: for another autoreset mode, or a vector environment that is not native, or
            whose rewards are vectors.
    """

    def __init__(self, venv: VectorEnv[Any, Any, Any]) -> None:
        native = venv.unwrapped if isinstance(venv, VectorEnv) else venv
        if not isinstance(native, ArchitectureVectorEnv):
            raise InvalidInput(f"SB3VecEnv adapts a native vector environment, got {shown(venv)}")
        if isinstance(native, MultiObjectiveVectorEnv):
            raise InvalidInput(
                "Stable-Baselines3 knows scalar rewards alone: take an id without mo-, or "
                "mo_gymnasium.wrappers.LinearReward over the scalar environment"
            )
        if native.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise InvalidInput(f"SB3 needs autoreset_mode SAME_STEP, got {native.autoreset_mode}")
        self.venv: Any = venv  # whose resets take a seed for each copy
        self._native = native
        super().__init__(venv.num_envs, venv.single_observation_space, venv.single_action_space)
        self._actions: NDArray[np.int64] | None = None
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, np.int64)
        self._started = time.time()

    def reset(self) -> NDArray[np.float32]:
        """Start all episodes, with the last seeds and options set; their observations."""
        seeds = self._seeds if any(seed is not None for seed in self._seeds) else None
        options = self._options[0]
        if any(one != options for one in self._options):
            raise InvalidInput("native vector environments share the options of a reset")
        observations, infos = self.venv.reset(seed=seeds, options=options or None)
        self.reset_infos = [{} for _ in range(self.num_envs)]
        self._spread(infos, self.reset_infos)
        self._returns[:] = 0.0
        self._lengths[:] = 0
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Note the actions of the next step."""
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Step all environments with the actions noted."""
        assert self._actions is not None
        observations, rewards, terminated, truncated, infos = self.venv.step(self._actions)
        dones = terminated | truncated
        self._returns += rewards
        self._lengths += 1
        split: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if not dones.any():
            self._spread(infos, split)
        else:  # what the next episode's reset says is no part of the step's info
            again = [{} if done else split[i] for i, done in enumerate(dones.tolist())]
            self._spread(infos, again)
            self._spread(infos["final_info"], split)
            seconds = round(time.time() - self._started, 6)
            for i in np.flatnonzero(dones).tolist():
                self.reset_infos[i] = again[i]
                split[i]["terminal_observation"] = infos["final_obs"][i]
                split[i]["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
                episode = {"r": float(self._returns[i]), "l": int(self._lengths[i]), "t": seconds}
                split[i]["episode"] = episode
            self._returns[dones] = 0.0
            self._lengths[dones] = 0
        return observations, rewards.astype(np.float32), dones, split

    @staticmethod
    def _spread(infos: dict[str, Any], split: list[dict[str, Any]]) -> None:
        """Deal arrays of figures out to the environments that they are of."""
        for name, values in infos.items():
            mask = infos.get(f"_{name}")
            if mask is None or name.startswith("final_"):
                continue
            which = np.flatnonzero(mask).tolist()
            if isinstance(values, dict):
                for i in which:
                    split[i][name] = {}
                SB3VecEnv._spread(values, [one.get(name, {}) for one in split])
            else:
                of_each = values[which]
                rows = of_each if values.ndim > 1 else of_each.tolist()
                for i, value in zip(which, rows, strict=True):
                    split[i][name] = value

    def close(self) -> None:
        """Close the vector environment."""
        self.venv.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute, which all environments share, once for each of ``indices``."""
        if hasattr(self._native.shared, attr_name):
            found: Sequence[Any] = self._native.get_attr(attr_name)
        else:
            found = [getattr(self._native, attr_name)] * self.num_envs
        return [found[i] for i in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refused: the environments share their attributes."""
        raise AttributeError(
            f"{attr_name}: native vector environments share their attributes; make another one"
        )

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method; ``action_masks`` gives each environment its own row."""
        answers = self._native.call(method_name, *method_args, **method_kwargs)
        return [answers[i] for i in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """True for ``Monitor``, whose work this adapter does itself."""
        wrapped = issubclass(Monitor, wrapper_class)
        return [wrapped for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """A picture of every environment, or None without ``render_mode="rgb_array"``."""
        return list(self._native.render() or [None] * self.num_envs)


def make_sb3(
    env_id: str, num_envs: int = 1024, seed: int | None = None, **options: Any
) -> SB3VecEnv:
    """Make a native vector environment for Stable-Baselines3.

    Args:
        env_id: e.g. ``"NATS-TSS-cifar10-v0"``, or your own with a native vector environment.
        num_envs: copies that step together.
        seed: of the first; copy i takes ``seed + i`` at the next reset.
        options: those of ``gym.make``.

    Raises:
        InvalidInput: for an id that is unknown or has no native vector environment, or vector
            rewards.

    >>> env = make_sb3("NATS-TSS-cifar10-v0", num_envs=4)
    >>> env.reset().shape
    (4, 36)
    """
    spec = gym.registry.get(env_id) if type(env_id) is str else None
    if spec is None:
        spec = gym.registry[checks.word(env_id, "environment", EVERY_ID)]
    entry = spec.vector_entry_point
    vector = checks.imported(entry, "environment") if isinstance(entry, str) else entry
    if not isinstance(vector, type) or not issubclass(vector, ArchitectureVectorEnv):
        raise InvalidInput(
            f"{shown(env_id)} has no native vector environment of nats-gym to adapt: take "
            "stable_baselines3.common.env_util.make_vec_env, which makes scalar copies"
        )
    if "autoreset_mode" in options:
        raise InvalidInput("SB3 needs autoreset_mode SAME_STEP; make_sb3 sees to that")
    venv = gym.make_vec(spec, num_envs=num_envs, autoreset_mode=AutoresetMode.SAME_STEP, **options)
    env = SB3VecEnv(venv.unwrapped)
    if seed is not None:
        env.seed(checks.seed(seed))
    return env
