"""Search algorithms: each in one readable file, importable by name.

Two kinds. An *ask/tell agent* needs no gradient through an environment and is batched over
independent runs::

    class MyAgent:
        def __init__(self, space, streams): ...      # streams.runs runs, one random stream each
        def ask(self): ...                           # digits (runs, n)
        def tell(self, outcome): ...                 # what they scored, arrays of (runs,)

An *environment agent* learns in a Gymnasium environment, one run at a time::

    class MyAgent:
        def learn(self, env, budget, seed): ...      # -> list of the env's terminal infos
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nats_gym.errors import unknown_name

from .interface import AskTellAgent, EnvironmentAgent

_HOMES = {
    "random": ".random_search:RandomSearch",
    "reinforce": ".reinforce:Reinforce",
    "ppo": ".ppo:PPOAgent",
}

#: Names of the agents.
AGENTS: tuple[str, ...] = tuple(_HOMES)


def get_agent(name: str) -> Any:
    """Return the class of the agent called ``name``.

    Raises:
        InvalidInput: for an unknown name; it lists the known ones.
    """
    if name not in _HOMES:
        raise unknown_name("agent", name, _HOMES)
    module, cls = _HOMES[name].split(":")
    return getattr(import_module(module, __name__), cls)


__all__ = ["AGENTS", "AskTellAgent", "EnvironmentAgent", "get_agent"]
