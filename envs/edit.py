"""Change one decision of an architecture at a time; the reward is what that changes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from nats_gym.checks import integer
from nats_gym.errors import InvalidInput, shown
from nats_gym.simulation.clock import SimulatedClock, default_budget
from nats_gym.spaces import ArchitectureSpace
from nats_gym.spaces.decisions import Indices
from nats_gym.streams import combine, combine_int, uniform_below

from .architecture import ArchitectureEnv, Step
from .scene import Scene
from .vector import ArchitectureVectorEnv, GymnasiumVectorEnv, Played
from .vector_infos import Bools, Columns, Metrics

#: Tells the draw of a start from the draw of the trial of the same evaluation.
START_DRAW = int.from_bytes(b"start", "little")


class EditEnv(ArchitectureEnv):
    """
    ## Description
    Local search as an episode. It starts from a random architecture, which is evaluated; a step
    changes one decision and evaluates the result, until the simulated clock has spent its budget or
    the horizon is reached.

    ## Action Space
    `Discrete(m)` of the `m` choices of all decisions together, numbered by decision, then choice:
    `n·k` where each of `n` decisions has `k`, and action `d·k + c` gives decision `d` the choice
    `c`. 30 actions for topology, 40 for size, 57 for NAS-Bench-101, in the order of decisions and
    choices of `NATS-{TSS,SSS}-*-v0`, `NASBench101-*-v0` and, for any space, `NAS-v0`;
    `env.unwrapped.edits` lists the pairs.

    Every `info` holds `action_mask`, int8 `(m,)`, for `action_space.sample(mask)`: the actions
    that change the architecture and, under limits, after which it meets them. Where no change
    does, those that lower the violation; where none does either, those that change nothing, so
    that a mask is never empty. `action_masks()` is the same as a bool array.

    An action that changes nothing may be taken: nothing is evaluated, the reward is 0, and it
    counts towards the horizon. If the episode ends with it, the reward sees the architecture as it
    is, so that `final` is paid.

    ## Observation Space
    `Box(0, 1, (n·k + 4,), float32)`: the architecture as `n` one-hot rows of `k`, then the
    fraction of the budget left, the fraction of the horizon left, the accuracy / 100 of the
    architecture and that of the incumbent, the best observed. 34 figures for topology, 44 for
    size, 82 for NAS-Bench-101; `k` is that of the decision with the most choices.

    ## Rewards
    `change` (default): accuracy minus that of the architecture before, / 100, in [-1, 1]; an
    episode's return is what it gained over its start. `improvement`, `accuracy`, `final` and the
    others of `nats_gym.rewards` work too. `penalty` × cost is taken off.

    ## Starting State
    A uniform architecture among those that meet the limits, or the one of
    `reset(options={"start": index, string or choices})`, evaluated and charged. `info` holds what
    its evaluation found. Starts and trials are drawn from the seed and numbered from
    `reset(seed=...)` on; a `reset()` without a seed goes on counting. `reset(options={"trial":
    ...})` sets the trial of this episode.

    ## Episode End
    Terminated when the clock has spent the budget; the evaluation that overshoots counts.
    Truncated when `horizon` steps are taken before that. Every `info` of an evaluation holds what
    the last step of `NATS-{TSS,SSS}-*-v0` does (`clock` counts from the episode's start) and
    `incumbent_index` and `incumbent_accuracy` (-1 and 0 while limits are violated).

    ## Arguments
    Those of :class:`~nats_gym.envs.ConstructionEnv`, and
    - `horizon`: steps of an episode, default 50.
    - `time_budget`: seconds; default the paper's × `epochs`/12, about 100 evaluations.
    - `report_test`: judges the incumbent, at the end.

    ## Version History
    - v0: first version.
    """

    own_figures: ClassVar[tuple[str, ...]] = (
        "budget_left",
        "horizon_left",
        "accuracy",
        "incumbent",
    )
    default_reward: ClassVar[str] = "change"

    def __init__(
        self,
        space: str | ArchitectureSpace | None = None,
        dataset: str | None = None,
        *,
        horizon: int = 50,
        time_budget: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(space, dataset, **options)
        self.horizon = integer(horizon, "horizon")
        if time_budget is None:
            time_budget = default_budget(self.architecture_space, self.dataset, self.epochs)
        self.clock = SimulatedClock(time_budget, idle=None)  # its horizon ends it
        self._view = self._make_view(0)
        self.observation_space = self._view.box
        counts = self.architecture_space.choice_counts
        self.action_space = Discrete(int(counts.sum()))
        #: Decision and choice of every action.
        self.edits = [(i, choice) for i, count in enumerate(counts) for choice in range(count)]
        self._choices: list[int] = []
        self._index = -1
        self._steps = 0

    def check_start(self, start: Any) -> int | None:
        """Official index of the start; None for a random one."""
        if start is None:
            return None
        index = self.architecture_space.resolve(start)
        if self._limited and self._cost[index] > 0:
            raise InvalidInput(f"start {shown(start)} violates the limits {self.limits.maxima}")
        return index

    @property
    def _first_figures(self) -> tuple[float, ...]:
        return (1.0, 1.0, 0.0, 0.0)

    def _begin_episode(self, start: int | None) -> None:
        self.clock.reset()
        self._steps = 0
        if start is None:
            assert self._stream is not None
            draw = combine_int(combine_int(self._stream, self._evaluations), START_DRAW)
            start = self.limits.draw_feasible(draw)
        self._choices = self.architecture_space.choices(start).tolist()
        self._view.begin(self._choices)
        self._index = start
        info = self._evaluate(start, self.epochs)
        if self._observed:
            self._observe(start)
        self._previous = info["accuracy"]
        self._keep_best(info)
        self._show_figures()

    def _begin_info(self) -> dict[str, Any]:
        return {**self._last, "action_mask": self._mask()}

    def step(self, action: np.int64 | int) -> Step:
        """Change one decision; `InvalidInput` for an action outside the action space."""
        edit = self._choice(action, len(self.edits))
        self._need_episode()
        decision, choice = self.edits[edit]
        self._steps += 1
        info: dict[str, Any] = {}
        reward = 0.0
        if choice != self._choices[decision]:
            self._view.change(decision, self._choices[decision], choice)
            self._choices[decision] = choice
            self._index = self.architecture_space.index_of(self._choices)
            self._ended = True
            info = self._evaluate(self._index, self.epochs)
            if self._observed:
                self._observe(self._index)
        terminated = bool(self.clock.spent)
        truncated = not terminated and self._steps >= self.horizon
        self._ended = terminated or truncated
        if info:
            reward = self._reward_of(info, self._incumbent, self._ended)
            self._keep_best(info)
        elif self._ended:  # a reward that comes at the end comes at any end
            reward = self._reward_of(self._standing(), self._incumbent, True)
        self._show_figures()
        if self._ended and self._incumbent_index >= 0:
            self._add_judgement(info, self._incumbent_index)
        info["action_mask"] = self._mask()
        if self.render_mode == "human":
            self.render()
        return self._view.read(), reward, terminated, truncated, info

    def _standing(self) -> dict[str, Any]:
        """What a reward sees of the architecture as it is."""
        cost = self._cost.item(self._index) if self._limited and self._index >= 0 else 0.0
        return {"index": self._index, "accuracy": self._previous, "cost": cost}

    def _show_figures(self) -> None:
        self._view.set_figures(
            float(self.clock.fraction_left),
            1.0 - self._steps / self.horizon,
            self._previous / 100.0,
            self._incumbent / 100.0,
        )

    def _mask(self) -> NDArray[np.int8]:
        return self.limits.edits_of(self.architecture_space.rank_of(self._choices))

    def _scene(self) -> Scene:
        return Scene(
            self.architecture_space,
            self.dataset,
            self._choices,
            accuracy=self._last.get("accuracy"),
            provenance=self._last.get("provenance"),
            clock=float(self.clock.used),
            budget=self.clock.budget,
            evaluations=self._evaluations,
            incumbent=self._best,
            horizon=(self._steps, self.horizon),
        )


class EditVectorEnv(ArchitectureVectorEnv, GymnasiumVectorEnv):
    """
    ## Description
    Many copies of :class:`~nats_gym.envs.EditEnv`, stepped together.
    `gym.make_vec("NATS-…-Edit-v0", num_envs=1024)` makes one. See :class:`ConstructionVectorEnv`
    for what the copies have in common: actions, seeds, options, infos and autoreset modes.

    ## Version History
    - v0: first version.
    """

    scalar: ClassVar[type[ArchitectureEnv]] = EditEnv
    always_masked: ClassVar[bool] = True
    shared: EditEnv

    def __init__(self, num_envs: int = 1, **options: Any) -> None:
        super().__init__(num_envs, **options)
        space = self.shared.architecture_space
        self._budget, self._horizon = self.shared.clock.budget, self.shared.horizon
        self._places = space.place_values
        if not space.equal_choices:
            self._decision_of = np.repeat(np.arange(self._n), space.choice_counts)
            self._first_edits = np.cumsum(space.choice_counts) - space.choice_counts
        self._choices = np.zeros((self.num_envs, self._n), np.int64)
        self._flat_choices = self._choices.reshape(-1)  # a view
        self._own_choices = np.arange(self.num_envs) * self._n
        self._rank = np.zeros(self.num_envs, np.int64)
        self._steps = np.zeros(self.num_envs, np.int64)
        self._previous = np.zeros(self.num_envs)

    @property
    def _actions_below(self) -> int:
        return len(self.shared.edits)

    def _begin_episodes(self, mask: Bools, start: int | None) -> Metrics | None:
        super()._begin_episodes(mask, start)
        which = np.flatnonzero(mask)
        self._set_up(which, start)
        metrics = self._charge(which, self._evaluate(self._architectures(which), which))
        self._show_figures()
        return which, metrics

    def _architectures(self, which: Indices) -> Indices:
        return self.shared.architecture_space.index_at(self._rank[which])

    def _set_up(self, which: Indices, start: int | None) -> None:
        """Put the start of an episode in place, not yet evaluated."""
        self._clock[which] = 0.0
        self._steps[which] = 0
        self._incumbent[which] = 0.0
        self._incumbent_index[which] = -1
        keys = combine(combine(self._streams[which], self._evaluations[which]), START_DRAW)
        limits = self.shared.limits
        index = limits.feasible_at(uniform_below(keys, limits.num_feasible))
        if start is not None:
            index = np.full(len(which), start)
        space = self.shared.architecture_space
        self._rank[which] = space.rank_at(index)
        self._choices[which] = choices = space.choices(index)
        one_hot = choices[:, :, None] == np.arange(self._k)
        self._observations[which, : self._n * self._k] = one_hot.reshape(len(which), -1)

    def _charge(self, which: Indices, metrics: Columns) -> Columns:
        """Charge evaluations to the clocks, and keep the best and the last of each copy."""
        self._clock[which] += metrics["seconds"]
        metrics["clock"] = self._clock[which]
        self._observe(which, metrics["index"])
        self._previous[which] = metrics["accuracy"]
        self._keep_best(which, metrics)
        return metrics

    def _show_figures(self) -> None:
        figures = self._observations[:, self._own_figures]
        figures[:, 0] = np.maximum(1.0 - self._clock / self._budget, 0.0)
        figures[:, 1] = 1.0 - self._steps / self._horizon
        figures[:, 2] = self._previous / 100.0
        figures[:, 3] = self._incumbent / 100.0

    def _play(self, actions: Indices, step: Played) -> Metrics | None:
        resetting, rewards, terminated, truncated = step
        stepping = self._edit(actions, resetting)
        which = np.flatnonzero(stepping)
        if resetting is not None:  # starts are evaluated together with edits
            again = np.flatnonzero(resetting)
            self._answering[again] = 0
            super()._begin_episodes(resetting, None)
            self._set_up(again, None)
            which = np.flatnonzero(stepping | resetting)
        metrics: Columns = {}
        if len(which):
            metrics = self._evaluate(self._architectures(which), which)
            incumbent, previous = self._incumbent[which], self._previous[which]
            metrics = self._charge(which, metrics)
        self._show_figures()
        np.greater_equal(self._clock, self._budget, out=terminated)
        np.greater_equal(self._steps, self._horizon, out=truncated)
        truncated &= ~terminated
        if resetting is not None:
            terminated[resetting] = truncated[resetting] = False
        np.logical_or(terminated, truncated, out=self._ended)
        if len(which):
            earned = self._reward_of(which, metrics, incumbent, previous, self._ended[which])
            if resetting is not None:
                earned = np.where(resetting[which], 0.0, earned)
            rewards[which] = earned
        standing = self._ended & ~stepping
        if standing.any():  # ended by a step that changed nothing
            still = np.flatnonzero(standing)
            rewards[still] = self._reward_of(still, *self._standing(still))
        return (which, metrics) if len(which) else None

    def _standing(self, which: Indices) -> tuple[Columns, Any, Any, bool]:
        """What a reward sees of architectures as they are."""
        index = self._architectures(which)
        cost = np.zeros(len(index))
        if self._limited:
            cost = np.where(index < 0, 0.0, self.shared.limits.cost[index])
        seen = {"index": index, "accuracy": self._previous[which], "cost": cost}
        return seen, self._incumbent[which], self._previous[which], True

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._flat_choices = self._choices.reshape(-1)

    def _edit(self, actions: Indices, resetting: Bools | None) -> Bools:
        """Make the changes; which copies they change."""
        if self.shared.architecture_space.equal_choices:
            decision = actions // self._k
            choice = actions - decision * self._k
        else:
            decision = self._decision_of[actions]
            choice = actions - self._first_edits[decision]
        here = self._own_choices + decision
        old = self._flat_choices.take(here)
        self._steps += 1
        self._flat_choices[here] = choice
        first = self._row + decision * self._k
        self._flat[first + old] = 0.0
        self._flat[first + choice] = 1.0
        self._rank += (choice - old) * self._places.take(decision)
        changed = choice != old
        if resetting is not None:  # what these changed is undone by their start
            changed &= ~resetting
        return np.asarray(changed)

    def _answers(self, ended: Indices) -> Indices:
        return self._incumbent_index[ended]

    def _masks(self) -> NDArray[np.int8]:
        return self.shared.limits.edits(self._rank)

    def _scene(self, i: int) -> Scene:
        shared = self.shared
        return Scene(
            shared.architecture_space,
            shared.dataset,
            self._choices[i].tolist(),
            **self._scene_of_last(i),
            clock=float(self._clock[i]),
            budget=self._budget,
            evaluations=int(self._evaluations[i]),
            incumbent=self._best_of(i),
            horizon=(int(self._steps[i]), self._horizon),
        )
