"""Several objectives at once: the reward is a vector."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import ArrayLike, NDArray

from nats_gym.checks import array, number
from nats_gym.errors import InvalidInput
from nats_gym.spaces import ArchitectureSpace
from nats_gym.spaces.decisions import Indices
from nats_gym.tables.column import core_figures
from nats_gym.tables.objectives import Objectives, name_objectives

from .construction import ConstructionEnv, ConstructionVectorEnv
from .pareto import hypervolume, non_dominated
from .vector import GymnasiumVectorEnv
from .vector_infos import Columns

Vector = NDArray[np.float32]


class MultiObjectiveEnv(ConstructionEnv):
    """
    ## Description
    Builds one architecture as `NATS-{TSS,SSS}-*-v0`, `NASBench101-*-v0` and `NAS-v0` do, and is
    rewarded with a vector: accuracy against what the network costs. It keeps MO-Gymnasium's
    conventions: `reward_space`, `reward_dim`, vector rewards from `step`, `pareto_front(gamma)`;
    its wrappers work, e.g. `mo_gymnasium.wrappers.LinearReward`.

    Source: Felten et al., "A Toolkit for Reliable Benchmarking and Research in Multi-Objective
    Reinforcement Learning", NeurIPS 2023 (MO-Gymnasium).

    ## Action Space
    As in `NATS-{TSS,SSS}-*-v0`, masks under limits included.

    ## Observation Space
    As in `NATS-{TSS,SSS}-*-v0`.

    ## Rewards
    `reward_space` is `Box` of the `m` objectives, float32, all to be maximised: `accuracy` is
    validation accuracy / 100, in [0, 1]; `latency`, `flops` and `params` are minus the figure, as
    a fraction of the largest in the space, in [-1, 0], so that weights mean the same everywhere;
    `paths`, better the more, likewise in [0, 1], and named columns by their direction (one with
    figures below 0 by its range). Zeros until the last decision.

    ## Starting State
    As in `NATS-{TSS,SSS}-*-v0`.

    ## Episode End
    As in `NATS-{TSS,SSS}-*-v0`. The last `info` holds the figure of each objective in its own
    unit too: `latency` (seconds of a batch of 256), `flops` and `params` (millions), a named
    column; and `<name>_provenance` but of closed forms.

    ## Arguments
    Those of :class:`~nats_gym.envs.ConstructionEnv` but `reward` and `penalty`, and
    - `objectives`: two or more of `accuracy`, `latency`, `flops`, `params`, `paths` and named
      columns (`latency/raspi4`); default accuracy and flops, or in a space without FLOPs its first
      cost. Latency comes from the table; `flops`, `params` and `paths` are closed forms of the
      space.

    ## Version History
    - v0: first version.
    """

    def __init__(
        self,
        space: str | ArchitectureSpace | None = None,
        dataset: str | None = None,
        *,
        objectives: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        for refused in ("reward", "penalty"):
            if refused in options:
                raise InvalidInput(f"{refused} is of one objective; objectives= names several")
        super().__init__(space, dataset, **options)
        core = core_figures(self.architecture_space)  # of which the default is: none is opened
        named = name_objectives(objectives, core if objectives is None else self._figures.known)
        self.objectives = tuple(named)
        self.reward_dim = len(named)
        is_cost = np.array([of.lower_is_better for of in named.values()])
        self.reward_space = Box(
            np.where(is_cost, -1.0, 0.0).astype(np.float32),
            np.where(is_cost, 0.0, 1.0).astype(np.float32),
        )
        costs = [name for name in self.objectives if name != "accuracy"]
        for name in costs:
            self._figures.find_complete(name, f"objective {name}")
        self._warn_of(costs)
        self._told_names = tuple(dict.fromkeys((*costs, *self._told_names)))
        self._told = self._figures.tell(self._told_names)

    @cached_property
    def costs(self) -> dict[str, NDArray[np.float64]]:
        """By objective but accuracy, its figure of every architecture, ``(arch,)``."""
        names = (name for name in self.objectives if name != "accuracy")
        return {name: self._figures.values_or_worst(name) for name in names}

    @cached_property
    def _weighed(self) -> Objectives:
        return Objectives(self.objectives, self._figures.find)

    def __getstate__(self) -> dict[str, Any]:
        remade = ("costs", "_weighed")
        return {name: of for name, of in super().__getstate__().items() if name not in remade}

    def _reward_of(self, info: dict[str, Any], incumbent: float, last: bool) -> Vector:
        return self.vector(info["index"], info["accuracy"])

    def _result(self, reward: Any, info: dict[str, Any]) -> Any:
        if not self._ended:
            reward = np.zeros(self.reward_dim, np.float32)
        return super()._result(reward, info)

    def vector(self, index: int | NDArray[np.int64], accuracy: ArrayLike) -> Vector:
        """Reward vectors ``(..., m)`` of official indices and their accuracies (percent)."""
        return self._weighed.vector(index, accuracy).astype(np.float32)

    # ── what is best ─────────────────────────────────────────────────────────────────────────

    def pareto_indices(self) -> NDArray[np.int64]:
        """Official indices of the architectures that no other dominates in all objectives.

        Exact, from the table: by expected accuracy at the environment's schedule (the mean over
        trials), among the architectures that meet the limits.
        """
        among = self.limits.feasible
        points = self.vector(among, self._expected(among)).astype(np.float64)
        known = ~np.isnan(points).any(axis=1)
        among, points = among[known], points[known]
        return np.sort(among[non_dominated(points)])

    def pareto_front(self, gamma: float = 1.0) -> list[NDArray[np.float32]]:
        """Expected discounted returns of :meth:`pareto_indices`, one vector ``(m,)`` each."""
        gamma = number(gamma, "gamma", 0, 1)
        index = self.pareto_indices()
        discount = np.float32(gamma ** (self._num_decisions - 1))
        return list(self.vector(index, self._expected(index)) * discount)

    def hypervolume(
        self, points: ArrayLike | None = None, reference: ArrayLike | None = None
    ) -> float:
        """Volume that ``points`` dominate, above a reference point.

        Args:
            points: reward vectors ``(points, m)``; the Pareto front by default.
            reference: ``(m,)``; the lower corner of ``reward_space`` by default.
        """
        if points is None:
            points = np.array(self.pareto_front())
        if not array(points, "points are numbers").size:
            return 0.0
        return hypervolume(points, self.reward_space.low if reference is None else reference)

    def _expected(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        if "accuracy" not in self.objectives:
            return np.zeros(len(index))
        return self._figures.values("accuracy")[index]


class MultiObjectiveVectorEnv(ConstructionVectorEnv, GymnasiumVectorEnv):
    """
    ## Description
    Many copies of :class:`~nats_gym.envs.MultiObjectiveEnv`, stepped together.
    `gym.make_vec("mo-NATS-…-v0", num_envs=1024)` makes one. See :class:`ConstructionVectorEnv`
    for what the copies have in common: actions, seeds, options, infos and autoreset modes.

    ## Rewards
    The scalar environment's, float32 `(num_envs, m)`; `reward_space` is that of one copy, as in
    MO-Gymnasium's vector environments.

    ## Version History
    - v0: first version.
    """

    scalar: ClassVar[type[ConstructionEnv]] = MultiObjectiveEnv
    shared: MultiObjectiveEnv

    def __init__(self, num_envs: int = 1, **options: Any) -> None:
        super().__init__(num_envs, **options)
        self.reward_space = self.shared.reward_space
        self.reward_dim = self.shared.reward_dim

    def pareto_indices(self) -> NDArray[np.int64]:
        """As in the scalar environment."""
        return self.shared.pareto_indices()

    def pareto_front(self, gamma: float = 1.0) -> list[NDArray[np.float32]]:
        """As in the scalar environment."""
        return self.shared.pareto_front(gamma)

    def hypervolume(
        self, points: ArrayLike | None = None, reference: ArrayLike | None = None
    ) -> float:
        """As in the scalar environment."""
        return self.shared.hypervolume(points, reference)

    def _no_rewards(self) -> NDArray[Any]:
        return np.zeros((self.num_envs, self.reward_dim), np.float32)

    def _reward_of(
        self, which: Indices, metrics: Columns, incumbent: Any, previous: Any, last: Any
    ) -> NDArray[Any]:
        return self.shared.vector(metrics["index"], metrics["accuracy"])
