"""Outcome → reward. Accuracies come in percent, rewards go out as fractions.

A fraction trains PPO about three times faster than percent, so rewards lie in [0, 1]. A reward
function takes the accuracy just observed and the incumbent (the best accuracy observed before it
in the episode, 0 at its start), and returns the reward; floats or arrays alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nats_gym.errors import unknown_name

RewardFunction = Callable[[Any, Any], Any]


def accuracy(observed: Any, incumbent: Any) -> Any:
    """Observed accuracy / 100, in [0, 1]."""
    return observed / 100.0


def improvement(observed: Any, incumbent: Any) -> Any:
    """What the observation adds to the incumbent, / 100, in [0, 1].

    An episode's rewards add up to the best accuracy that it observed.
    """
    gain = (observed - incumbent) / 100.0
    return gain * (gain > 0) + 0.0  # the sum turns -0.0 into 0.0


REWARDS: dict[str, RewardFunction] = {"accuracy": accuracy, "improvement": improvement}


def get_reward(reward: str | RewardFunction) -> RewardFunction:
    """Return the reward called ``reward``, or ``reward`` itself if it is a function.

    Raises:
        InvalidInput: for an unknown name; it lists the known ones.
    """
    if callable(reward):
        return reward
    if not isinstance(reward, str) or reward not in REWARDS:
        raise unknown_name("reward", reward, REWARDS)
    return REWARDS[reward]
