"""Other forms of the flat observation: a dictionary, one integer a decision, a graph."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Graph, GraphInstance, MultiDiscrete
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorObservationWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from nats_gym.errors import InvalidInput, shown

from .architecture import ArchitectureEnv
from .observation import OPEN, FlatObservation, Observation
from .vector import ArchitectureVectorEnv


class DictObservation(
    gym.ObservationWrapper[dict[str, Any], Any, Observation], RecordConstructorArgs
):
    """The observation as a `Dict`, for policies with an input of their own for each part.

    - `decided`: `Box(0, 1, (n·k,))`, a one-hot row per decision, zeros while it is open.
    - `position`: `Box(0, 1, (n,))`, the next decision, one-hot, zeros once complete; absent where
      decisions have no order (`OneShot`, `Edit`).
    - each figure of the episode by name, `Box(0, 1, (1,))`: `budget_left`, `incumbent`, …, and what
      a task's environment shows besides (`task`, `last_action`, …).

    >>> env = DictObservation(gym.make("NATS-TSS-cifar10-Budgeted-v0"))
    >>> list(env.observation_space)
    ['budget_left', 'decided', 'incumbent', 'position']
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        self._view = _view(env)
        super().__init__(env)
        self.observation_space = _dict_space(self._view)

    def observation(self, observation: Observation) -> dict[str, Any]:
        """The parts of a flat observation."""
        return _as_dict(self._view, observation)


class MultiDiscreteObservation(
    gym.ObservationWrapper[NDArray[np.int64], Any, Observation], RecordConstructorArgs
):
    """The observation as integers, for tabular agents and embeddings.

    `MultiDiscrete([k₁ + 1, …])`: per decision its choice, or how many it has while it is open.
    Figures of an episode are no integers and are left out, so a budgeted search is only partly
    observed.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        self._view = _view(env)
        super().__init__(env)
        self.observation_space = _discrete_space(self._view)

    def observation(self, observation: Observation) -> NDArray[np.int64]:
        """Choices of a flat observation."""
        return _as_discrete(self._view, observation)


class GraphObservation(
    gym.ObservationWrapper[GraphInstance, Any, Observation], RecordConstructorArgs
):
    """The observation as a `Graph` (`GraphInstance`), for graph networks.

    Where decisions are the edges of a graph (the topology space): its nodes, each told by its
    one-hot number; the edges, source to target, with `k` one-hot operations (zeros while open) and
    a mark on the decision that comes next. Elsewhere a node per decision with `k` one-hot choices
    and the mark, in a chain of edges that hold a 1. Figures of the episode are repeated on every
    node.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        self._view = _view(env)
        super().__init__(env)
        space = env.unwrapped.architecture_space  # type: ignore[attr-defined]
        self._n, self._k = space.num_decisions, space.num_choices
        self._nodes = 1 + max((max(edge) for edge in space.edges), default=-1)
        self._figures = slice(self._view.figures.start, None)
        repeated = self._view.box.low[self._figures]
        chain = [(i + 1, i) for i in range(self._n - 1)]
        links = [(source, target) for target, source in space.edges or chain]
        self._links = np.array(links, np.int32).reshape(-1, 2)
        low = np.append(np.zeros(self._nodes or self._k + 1, np.float32), repeated)
        self.observation_space = Graph(
            node_space=Box(low, np.ones_like(low)),
            edge_space=Box(0.0, 1.0, (self._k + 1 if self._nodes else 1,), np.float32),
        )

    def observation(self, observation: Observation) -> GraphInstance:
        """The graph of a flat observation."""
        observation = _flat(self._view, observation)
        parts = self._view.split(observation)
        marks = np.zeros(self._n, np.float32)
        marks[: parts["position"].size] = parts["position"][: self._n]
        one_hot = parts["decided"].reshape(self._n, self._k)
        decided = np.concatenate([one_hot, marks[:, None]], axis=1)
        figures = observation[self._figures]
        nodes = np.eye(self._nodes, dtype=np.float32) if self._nodes else decided
        repeated = np.broadcast_to(figures, (len(nodes), len(figures)))
        return GraphInstance(
            nodes=np.concatenate([nodes, repeated], axis=1),
            edges=decided if self._nodes else np.ones((self._n - 1, 1), np.float32),
            edge_links=self._links.copy(),
        )


# Generic only from Gymnasium 1.4 on.
class DictVectorObservation(VectorObservationWrapper):  # type: ignore[type-arg, unused-ignore]
    """:class:`DictObservation` of a native vector environment: each part `(num_envs, …)`.

    As Gymnasium's other vector observation wrappers, for NEXT_STEP and DISABLED autoreset.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        self._view = _vector_view(env)
        super().__init__(env)
        self.single_observation_space = _dict_space(self._view)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)

    def observations(self, observations: Observation) -> dict[str, Any]:
        """The parts of flat observations ``(num_envs, width)``."""
        return _as_dict(self._view, observations)


class MultiDiscreteVectorObservation(VectorObservationWrapper):  # type: ignore[type-arg, unused-ignore]
    """:class:`MultiDiscreteObservation` of a native vector environment: `(num_envs, n)`.

    As Gymnasium's other vector observation wrappers, for NEXT_STEP and DISABLED autoreset.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        self._view = _vector_view(env)
        super().__init__(env)
        self.single_observation_space = _discrete_space(self._view)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)

    def observations(self, observations: Observation) -> NDArray[np.int64]:
        """Choices of flat observations ``(num_envs, width)``."""
        return _as_discrete(self._view, observations)


def _view(env: gym.Env[Any, Any]) -> FlatObservation:
    inner = env.unwrapped if isinstance(env, gym.Env) else env
    if not isinstance(inner, ArchitectureEnv):
        raise InvalidInput(f"this wrapper is for environments of nats-gym, got {shown(inner)}")
    if env.observation_space != inner.observation_space:
        raise InvalidInput(f"this wrapper needs the flat observation, got {env.observation_space}")
    return inner.view


def _vector_view(env: VectorEnv[Any, Any, Any]) -> FlatObservation:
    inner = env.unwrapped if isinstance(env, VectorEnv) else env
    if not isinstance(inner, ArchitectureVectorEnv):
        raise InvalidInput(f"this wrapper is for native vector environments, got {shown(inner)}")
    return inner.shared.view


def _dict_space(view: FlatObservation) -> Dict:
    lows, highs = _as_dict(view, view.box.low), _as_dict(view, view.box.high)
    return Dict({name: Box(low, highs[name]) for name, low in lows.items()})


def _flat(view: FlatObservation, observation: Observation) -> Observation:
    """Observations ``(..., width)``, or ``InvalidInput``."""
    kind = type(observation)
    if kind is not np.ndarray or observation.shape[-1:] != view.box.shape:
        width = view.box.shape[0]
        raise InvalidInput(f"observations are arrays (…, {width}), got {shown(observation)}")
    return observation


def _as_dict(view: FlatObservation, observation: Observation) -> dict[str, Any]:
    observation = _flat(view, observation)
    return {name: part for name, part in view.split(observation).items() if part.shape[-1]}


def _discrete_space(view: FlatObservation) -> MultiDiscrete:
    return MultiDiscrete(view.choice_counts + 1)


def _as_discrete(view: FlatObservation, observation: Observation) -> NDArray[np.int64]:
    choices = view.decode(observation)
    return np.where(choices == OPEN, view.choice_counts, choices)
