"""All decisions at once: an episode of one step."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from gymnasium.spaces import MultiDiscrete
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown
from nats_gym.spaces import ArchitectureSpace
from nats_gym.spaces.decisions import Indices

from .architecture import ArchitectureEnv, Step
from .observation import OPEN
from .scene import Scene
from .vector import ArchitectureVectorEnv, GymnasiumVectorEnv, Played
from .vector_infos import Bools, Metrics


class OneShotEnv(ArchitectureEnv):
    """
    ## Description
    A whole architecture is one action, and an episode is one step: the contextless
    bandit form of the search, for evolution strategies, CMA-like optimisers and policies that
    factorise over decisions.

    ## Action Space
    `MultiDiscrete` of the choices of each decision, `(n,)`: topology six operations of five, size
    five widths of eight, NAS-Bench-101 21 edges of two and five operations of three, in the order
    of `NATS-{TSS,SSS}-*-v0`, `NASBench101-*-v0` and, for any space, `NAS-v0`.

    Under limits every `info` holds `action_mask`, int8 `(n, k)`, for
    `action_space.sample(tuple(mask))` (of a space of unequal decisions each row cut to what the
    decision has): the choices that occur in some architecture that meets all
    limits. Choices that each are admitted may together violate a limit; `cost` then says so.

    ## Observation Space
    `Box(0, 1, (n·k,), float32)`: the decisions as `n` one-hot rows of `k`: zeros at the start, the
    architecture after the step. 30 figures for topology, 40 for size, 78 for NAS-Bench-101.

    ## Rewards
    Validation accuracy / 100, in [0, 1]; or what `reward=` makes of it, less `penalty` × cost.

    ## Starting State
    Nothing decided. Seeds and trials as in `NATS-{TSS,SSS}-*-v0`;
    `reset(options={"trial": ...})` sets the trial of the episode.

    ## Episode End
    Terminated after the step. Never truncated. `info` holds what the last step of
    `NATS-{TSS,SSS}-*-v0` does.

    ## Arguments
    Those of :class:`~nats_gym.envs.ConstructionEnv`.

    ## Version History
    - v0: first version.
    """

    takes_start: ClassVar[bool] = False

    def __init__(
        self,
        space: str | ArchitectureSpace | None = None,
        dataset: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(space, dataset, **options)
        self._view = self._make_view(0)
        self.observation_space = self._view.box
        self.action_space = MultiDiscrete(self.architecture_space.choice_counts)
        self._choices: list[int] = []

    def _begin_episode(self, start: Any) -> None:
        self._choices = []
        self._view.begin()

    def step(self, action: NDArray[np.int64]) -> Step:
        """Evaluate an architecture, n choices; `InvalidInput` for what is none."""
        ordered = not isinstance(action, (set, frozenset))
        each = checks.as_list(action) if ordered else None
        counts = self.architecture_space.names_of_choices
        choices = [
            self._choice(one, len(names)) for one, names in zip(each or (), counts, strict=False)
        ]
        if len(each or ()) != self._num_decisions:
            raise InvalidInput(
                f"an action is {self._num_decisions} integers in 0…{self._num_choices - 1}, "
                f"got {shown(action)}"
            )
        self._need_episode()
        self._choices = choices
        self._view.begin(choices)
        self._ended = True
        info = self._evaluate(self.architecture_space.index_of(choices), self.epochs)
        if self._observed:
            self._observe(info["index"])
        self._add_judgement(info, info["index"])
        reward = self._reward_of(info, 0.0, True)
        if self._masked:
            info["action_mask"] = self._mask()
        if self.render_mode == "human":
            self.render()
        return self._view.read(), reward, True, False, info

    def _mask(self) -> NDArray[np.int8]:
        return self.limits.prefixes.marginal.copy()

    def action_masks(self) -> NDArray[np.bool_]:
        """Which choices may be taken, one after another of each decision, ``(choices,)``."""
        mask = self._mask()  # a subclass may have actions, and a mask, of one dimension
        return (mask[self._exists] if mask.ndim > 1 else mask).astype(bool)

    @property
    def _exists(self) -> NDArray[np.bool_]:
        """Which of ``(n, k)`` choices there are."""
        counts = self.architecture_space.choice_counts
        return np.asarray(np.arange(self._num_choices) < counts[:, None])

    def _scene(self) -> Scene:
        return Scene(
            self.architecture_space,
            self.dataset,
            self._choices or [OPEN] * self._num_decisions,
            accuracy=self._last.get("accuracy"),
            provenance=self._last.get("provenance"),
            clock=float(self.clock.used),
            evaluations=self._evaluations,
            caption=self._last.get("arch", ""),
        )


class OneShotVectorEnv(ArchitectureVectorEnv, GymnasiumVectorEnv):
    """
    ## Description
    Many copies of :class:`~nats_gym.envs.OneShotEnv`, stepped together: a batch of architectures
    is one step. `gym.make_vec("NATS-…-OneShot-v0", num_envs=1024)` makes one. See
    :class:`ConstructionVectorEnv` for what the copies have in common: seeds, options, infos and
    autoreset modes.

    ## Action Space
    The scalar environment's, batched: integers `(num_envs, n)`.

    ## Version History
    - v0: first version.
    """

    scalar: ClassVar[type[ArchitectureEnv]] = OneShotEnv
    shared: OneShotEnv

    def __init__(self, num_envs: int = 1, **options: Any) -> None:
        super().__init__(num_envs, **options)
        self._choices = np.zeros((self.num_envs, self._n), np.int64)

    def _begin_episodes(self, mask: Bools, start: Any) -> Metrics | None:
        self._observations[mask] = 0.0
        return super()._begin_episodes(mask, start)

    def _play(self, actions: Indices, step: Played) -> Metrics | None:
        which = np.arange(self.num_envs)
        if step.resetting is not None:
            self._begin_again(step.resetting)
            which = np.flatnonzero(~step.resetting)
            if not len(which):
                return None
        self._choices[which] = actions[which]
        places = self._row[which, None] + np.arange(self._n) * self._k + actions[which]
        self._flat[places] = 1.0
        return self._end(which, step)

    def _answers(self, ended: Indices) -> Indices:
        space = self.shared.architecture_space
        return space.index_at(self._choices[ended] @ space.place_values)

    def action_masks(self) -> Bools:
        """The scalar environment's, one for each copy, ``(num_envs, choices)``."""
        return np.repeat(self.shared.action_masks()[None], self.num_envs, axis=0)

    def _masks(self) -> NDArray[np.int8]:
        return np.repeat(self.shared.limits.prefixes.marginal[None], self.num_envs, axis=0)

    def _scene(self, i: int) -> Scene:
        shared = self.shared
        known = self._last_index[i] >= 0
        return Scene(
            shared.architecture_space,
            shared.dataset,
            self._choices[i].tolist() if known else [OPEN] * self._n,
            **self._scene_of_last(i),
            clock=float(self._clock[i]),
            evaluations=int(self._evaluations[i]),
            caption=self._last_name(i),
        )
