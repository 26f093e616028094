"""What the agents of Stable-Baselines3 share: one environment per run, stopped by the clock.

Source: Stable-Baselines3 (Raffin et al., JMLR 2021).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from nats_gym.checks import mapping, word
from nats_gym.envs import SB3VecEnv
from nats_gym.errors import InvalidInput, said, shown
from nats_gym.simulation.clock import SimulatedClock

from .threads import one_thread

#: Parameters of SB3's algorithms that the agents set themselves.
OURS = {"policy", "env", "seed", "device", "_init_setup_model"}
#: What an algorithm calls with the share of its training that is left, where it has it.
SCHEDULES = ("lr_schedule", "clip_range", "clip_range_vf", "exploration_schedule")
#: Steps that no search takes: the clock ends it.
ENDLESS = 1 << 40


class BudgetCallback(BaseCallback):
    """Charges every evaluation to a simulated clock and stops learning when it is spent.

    Args:
        clock: the clock to charge.

    Attributes:
        infos: the terminal infos of the evaluations charged, in order.
    """

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__()
        self.clock = clock
        self.infos: list[dict[str, Any]] = []

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "seconds" in info and not self.clock.spent:
                self.clock.charge(info["seconds"])
                self.infos.append(info)
        return not self.clock.spent


class SB3Agent:
    """One of SB3's algorithms, trained anew on the environment of every run.

    In several copies of the environment an update takes as many steps in all as in one.

    Args:
        settings: the algorithm's keyword arguments that are not those of :attr:`budget_settings`.
            Schedules (of the learning rate, of exploration) go from the start to the end of the
            simulated budget, not of a number of steps, which no agent knows beforehand.

    Raises:
        InvalidInput: for a setting that the algorithm does not have. Wrong values are SB3's to
            refuse.
    """

    algorithm: ClassVar[type[BaseAlgorithm]]
    #: Settings for a budget of about a hundred evaluations.
    budget_settings: ClassVar[dict[str, Any]]
    learns_in_copies: ClassVar[bool] = True

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        settings = mapping(
            {} if settings is None else settings,
            f"settings are the keyword arguments of {self.algorithm.__name__}, a dictionary",
        )
        allowed = [
            name for name in inspect.signature(self.algorithm).parameters if name not in OURS
        ]
        for name in settings:
            word(name, f"setting of {self.algorithm.__name__}", allowed)
        self.settings = {**self.budget_settings, **settings}

    def learn(
        self,
        env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any],
        budget: float,
        seed: int,
        evaluations: int | None = None,
    ) -> list[dict[str, Any]]:
        """Learn until the clock is spent; see :class:`~nats_gym.agents.EnvironmentAgent`."""
        clock = SimulatedClock(budget, evaluations=evaluations)
        taken: gym.Env[Any, Any] | SB3VecEnv
        if isinstance(env, gym.vector.VectorEnv):
            settings, taken = _among_copies(self.settings, env.num_envs), SB3VecEnv(env)
        else:
            settings, taken = self.settings, env
        callback = BudgetCallback(clock)
        with one_thread():
            try:
                model = self.algorithm(
                    "MlpPolicy", taken, device="cpu", seed=seed & 0xFFFFFFFF, **settings
                )
            except Exception as error:
                raise InvalidInput(
                    f"{self.algorithm.__name__} refuses settings {shown(self.settings)}: "
                    f"{said(error)}"
                ) from error
            _follow(clock, model)
            model.get_env().seed(seed)  # type: ignore[union-attr] # it was made with one
            model.learn(total_timesteps=ENDLESS, callback=callback)
        return callback.infos


def _among_copies(settings: Mapping[str, Any], copies: int) -> dict[str, Any]:
    """Settings with which an update takes as many steps in all as in one environment.

    SB3 counts a rollout's steps, and the gradient steps that follow a step, in each copy.
    """
    shared = dict(settings)
    if type(steps := shared.get("n_steps")) is int:
        shared["n_steps"] = max(steps // copies, 1)
    if type(steps := shared.get("gradient_steps")) is int and steps > 0:
        shared["gradient_steps"] = steps * copies
    return shared


def _follow(clock: SimulatedClock, model: BaseAlgorithm) -> None:
    """Make the schedules of ``model`` those of the clock."""
    for name in SCHEDULES:
        if (schedule := getattr(model, name, None)) is not None:
            setattr(model, name, lambda _, schedule=schedule: schedule(clock.fraction_left))
