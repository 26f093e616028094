"""Build one architecture, decision by decision; its accuracy is the reward at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from nats_gym.checks import as_integers
from nats_gym.errors import InvalidInput, shown
from nats_gym.spaces import ArchitectureSpace
from nats_gym.spaces.decisions import Indices

from .architecture import ArchitectureEnv, Step
from .observation import OPEN
from .scene import Scene
from .vector import ArchitectureVectorEnv, GymnasiumVectorEnv, Played
from .vector_infos import Bools, Metrics


class ConstructionEnv(ArchitectureEnv):
    """
    ## Description
    Builds one architecture from nothing: a decision a step. In NATS-Bench's topology space
    (`NATS-TSS-*`) the six decisions are the operations on the edges 1←0, 2←0, 2←1, 3←0, 3←1, 3←2
    of a cell; in its size space (`NATS-SSS-*`) the five decisions are the channel widths of
    cell 1, reduction 1, cell 2, reduction 2 and cell 3. In `NASBench101-*` the 26 decisions are
    whether each of 21 edges is there, and the operations of five vertices. `NAS-*` takes any space,
    as `space=`: the object, its class, or a name that it is registered under. Once complete, the
    architecture is evaluated: looked up in a table of real trainings, or handed to the evaluator
    of your choice.

    Sources: Dong, Liu, Musial, Gabrys, "NATS-Bench", TPAMI 2021, arXiv 2009.00437; Ying et al.,
    "NAS-Bench-101", ICML 2019, arXiv 1902.09635.

    ## Action Space
    Topology: `Discrete(5)`: 0 `none`, 1 `skip_connect`, 2 `nor_conv_1x1`, 3 `nor_conv_3x3`,
    4 `avg_pool_3x3`. Size: `Discrete(8)`: choice `d` is the width `8·(d+1)`. NAS-Bench-101:
    `Discrete(3)`: 0 no edge, 1 an edge, then 0 `conv3x3-bn-relu`, 1 `conv1x1-bn-relu`,
    2 `maxpool3x3`. Any space: `Discrete(k)` with `k` the most choices that a decision has; of one
    that has `c`, action `a` takes choice `a % c`.

    Under limits (`max_params`, `max_flops`, `max_latency`), and in a space where some rows of
    choices are no architecture or decisions have fewer than `k`, every `info` holds `action_mask`,
    int8 `(k,)`, for `action_space.sample(mask)`: the choices after which some valid architecture
    still meets all limits. A choice outside the mask may be taken; the architecture then violates a
    limit, or is none. `action_masks()` is the same as a bool array, as sb3-contrib's MaskablePPO
    asks for it.

    ## Observation Space
    `Box(0, 1, (n·k + n,), float32)`: the decisions taken as `n` one-hot rows of `k` (zeros while
    open), then the position of the next decision, one-hot (zeros once complete). 36 figures for
    topology (n=6, k=5), 45 for size (n=5, k=8), 104 for NAS-Bench-101 (n=26, k=3).
    `env.unwrapped.encode(architecture)` and `decode(observation)` go between the two; wrappers of
    `nats_gym.envs` make a `Dict`, a `MultiDiscrete` or a `Graph` of it.

    ## Rewards
    0 until the last decision, then validation accuracy / 100, in [0, 1]; or what `reward=` makes
    of it, less `penalty` × cost. What is no architecture has accuracy 0.

    ## Starting State
    Nothing decided. The seed decides the trials that will be drawn and nothing else. Trials are
    numbered from `reset(seed=...)` on; a `reset()` without a seed goes on counting.
    `reset(options={"trial": ..., "start": ...})` sets the trial of this episode, as the argument
    does for all, and the first decisions, which count as taken.

    ## Episode End
    Terminated after the last decision. Never truncated. The last step's `info` holds `index`
    (official), `arch` (official string), `accuracy` (percent), `seconds` (what the evaluation
    cost), `clock` (seconds since the last `reset(seed=...)`), `provenance` (what the accuracy
    rests on: `measured` or `surrogate`), `seconds_provenance` (likewise for the seconds) and,
    under limits, `cost`: by how much they are exceeded, as fractions of them, summed. In a space
    where that is a question, `valid` says whether it is an architecture: if not, `index` is -1,
    `accuracy` and `seconds` are 0, and nothing is evaluated.

    ## Arguments
    - `epochs`: training schedule to search on. Embedded: topology 12 (surrogate) and 200 (measured,
      the default); size 90 (surrogate); NAS-Bench-101 4, 12, 36 and 108 (surrogate). An imported
      official archive has every schedule, and the states within one: `"4/12"` is 4 epochs into the
      12-epoch schedule, and a number that is no schedule so many epochs into the full one.
    - `trial`: `"random"` (default), `"mean"`, a training seed (777) or its position (0, 1, …). A
      surrogate has no trainings: there any number from 0 is a fixed draw of its noise.
    - `source`: `"auto"` (an imported official archive if there is one), `"embedded"`, the folder
      of a table, or the path of an official archive.
    - `reward`: `"accuracy"` (default) or another of `nats_gym.rewards`, by name (`"rank"`), as a
      dictionary (`{"name": "threshold-bonus", "threshold": 94}`), as an object, or a function of
      one `nats_gym.rewards.Evaluation`, whose fields are numbers here and arrays in native vector
      environments; `evaluation.figure("latency")` looks a figure of the architecture up.
    - `max_params` (millions), `max_flops` (millions), `max_latency` (seconds of a batch of 256,
      from the table): limits; masks and `cost` as above. `limits={"latency": 0.02, "flops": 60}`
      is the same, for any figure that is better the lower, named columns too
      (`limits={"latency/raspi4": 20}`: see the page on columns). One on latency is refused where
      training answers and the table lacks architectures, as that of digits does.
    - `figures`: names of further figures that `info` says of every architecture evaluated, in
      their own units, with `<name>_provenance` (`measured for cifar10` of what ships, elsewhere);
      closed forms and named columns. One of that name that an evaluator answers gives way.
      `observe_figures=True` adds them to the observation, at its end: of the architecture
      evaluated last in the episode, as shares of the way from the least to the most that is known
      in the space; 0 before the first.
    - `penalty`: reward lost per unit of `cost`; default 0, and refused without limits.
      `reward=Lagrangian(...)` is the same with a multiplier that may change.
    - `evaluator`: who answers instead of a table: an object with `evaluate(index, epochs,
      trial_keys)` (`nats_gym.evaluators.Evaluator`), a name (`"train"`, `"ray"`, `"proxy"`) whose
      options go beside it, or a dictionary of both. `trial` and `source` are refused beside it.
      Its metrics appear in `info`. If it raises, the episode has ended and needs a reset.
    - `report_test`: put the full-schedule test accuracy, mean over trials, under
      `info["evaluation"]` at the end. Never part of a reward or an observation. Needs a table
      with test accuracies; `provenance` says whether they are measured. Embedded, they are
      estimates; of the size space on CIFAR-100 and ImageNet16-120 one estimate is of validation
      and test, so it is called `valid_accuracy`, and `test` says that there is none. A table
      that evaluates also judges; another evaluator's answers are judged by the table of
      `source="auto"`.
    - `render_mode`: `"ansi"` (text), `"rgb_array"` (a picture, 480×640×3 uint8) or `"human"`.

    For judging an agent, `env.unwrapped.optimum()`, `regret(index)` and `rank(index)` look at the
    full-schedule accuracies of the table, mean over trials, of either split.

    A bad argument raises one of `nats_gym.errors` when the environment is made.

    ## Version History
    - v0: first version.
    """

    #: Decisions taken beside the architecture's, after them.
    further_decisions = 0

    def __init__(
        self,
        space: str | ArchitectureSpace | None = None,
        dataset: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(space, dataset, **options)
        self.decisions = self._num_decisions + self.further_decisions
        self._view = self._make_view(self.decisions)
        self.observation_space = self._view.box
        self.action_space = Discrete(self._num_choices)
        space = self.architecture_space
        #: Choices of each decision, where these are not equally many.
        self._counts = None if space.equal_choices else space.choice_counts.tolist()
        self._choices: list[int] = []

    def check_start(self, start: Any) -> list[int]:
        """The decisions that count as taken: fewer than n choices; none by default."""
        if start is None:
            return []
        prefix = as_integers(start)
        if (
            prefix is None
            or len(prefix) >= self._num_decisions
            or min(prefix, default=0) < 0
            or self.architecture_space.rank_of(prefix) < 0
            or not all(choice < self._num_choices for choice in prefix)
        ):
            raise InvalidInput(
                f"a start is a list of fewer than {self._num_decisions} choices of "
                f"0…{self._num_choices - 1}, got {shown(start)}"
            )
        return prefix

    def _begin_episode(self, start: list[int]) -> None:
        self._begin_architecture(start)

    def _begin_architecture(self, start: Sequence[int] = ()) -> None:
        self._choices = list(start)
        self._view.begin(start)

    def step(self, action: np.int64 | int) -> Step:
        """Take one decision; `InvalidInput` for an action outside the action space."""
        choice = self._choice(action, self._num_choices)
        self._need_episode()
        if self._counts is not None and len(self._choices) < self._num_decisions:
            choice %= self._counts[len(self._choices)]
        self._view.decide(len(self._choices), choice)
        self._choices.append(choice)
        if len(self._choices) < self.decisions:
            return self._result(0.0, {})
        return self._complete()

    def _complete(self) -> Step:
        """Evaluate the complete architecture and end the episode."""
        self._ended = True
        info = self._evaluate(self.architecture_space.index_of(self._choices), self.epochs)
        if self._observed:
            self._observe(info["index"])
        self._add_judgement(info, info["index"])
        return self._result(self._reward_of(info, 0.0, True), info)

    def _result(self, reward: Any, info: dict[str, Any]) -> Step:
        if self._masked:
            info["action_mask"] = self._mask()
        if self.render_mode == "human":
            self.render()
        return self._view.read(), reward, self._ended, False, info

    def _mask(self) -> NDArray[np.int8]:
        position = len(self._choices)
        if position == self._num_decisions < self.decisions:
            return np.ones(self._num_choices, np.int8)
        if position >= self._num_decisions:  # complete: those of a first decision
            return self.limits.prefixes.mask(0, 0)
        return self.limits.prefixes.mask(position, self.architecture_space.rank_of(self._choices))

    def _scene(self) -> Scene:
        position = len(self._choices)
        open_ = [OPEN] * (self._num_decisions - position)
        return Scene(
            self.architecture_space,
            self.dataset,
            [*self._choices[: self._num_decisions], *open_],
            position if open_ else None,
            self._last.get("accuracy"),
            self._last.get("provenance"),
            float(self.clock.used),
            self.clock.budget,
            self._evaluations,
            **self._scene_extras(),
        )

    def _scene_extras(self) -> dict[str, Any]:
        return {"caption": self._last.get("arch", "")}


class ConstructionVectorEnv(ArchitectureVectorEnv, GymnasiumVectorEnv):
    """
    ## Description
    Many copies of :class:`~nats_gym.envs.ConstructionEnv`, stepped together in numpy: copy `i`
    does to the bit what the scalar environment seeded `seed + i` does.
    `gym.make_vec("NATS-TSS-cifar10-v0", num_envs=1024)` makes one.

    ## Action Space
    `MultiDiscrete` of the scalar environment's, one for each copy, `(num_envs,)`. Under limits
    `infos["action_mask"]` is int8 `(num_envs, k)`; `action_masks()` is the same as bool.

    ## Observation Space
    The scalar environment's, batched: `(num_envs, n·k + n)`.

    ## Rewards
    The scalar environment's, float64 `(num_envs,)`.

    ## Starting State
    `reset(seed=s)` gives copy `i` the seed `s + i`, as Gymnasium's own vector environments do; a
    list gives each its own. `options={"reset_mask": mask}` resets some copies only; `trial` and
    `start` are options as in the scalar environment.

    ## Episode End
    As in the scalar environment, for each copy. `infos` hold an array per figure of the scalar
    `info` and, under the same name with `_` before it, which copies it is of.

    ## Arguments
    Those of the scalar environment, and
    - `num_envs`: number of copies.
    - `autoreset_mode`: `AutoresetMode.NEXT_STEP` (default; the step after an episode's end resets
      and ignores the action), `SAME_STEP` (the last step returns the next episode's first
      observation, and `infos["final_obs"]`, dense, and `infos["final_info"]` the last one's), or
      `DISABLED` (reset with `options={"reset_mask": mask}`); also by value, `"NextStep"`.

    Gymnasium refuses `vector_kwargs` and `wrappers` beside a native vector environment: pass
    options themselves, wrap what comes back.

    ## Version History
    - v0: first version.
    """

    scalar: ClassVar[type[ArchitectureEnv]] = ConstructionEnv
    shared: ConstructionEnv

    def __init__(self, num_envs: int = 1, **options: Any) -> None:
        super().__init__(num_envs, **options)
        self._position = np.zeros(self.num_envs, np.int64)
        self._rank = np.zeros(self.num_envs, np.int64)
        self._decisions = self.shared.decisions
        counts = self.shared.architecture_space.choice_counts
        equal = self.shared.architecture_space.equal_choices
        # What follows the architecture's decisions has as many choices as there are actions.
        self._counts = None if equal else np.append(counts, self._k)

    def _begin_episodes(self, mask: Bools, start: Any) -> Metrics | None:
        self._begin_architectures(mask, start)
        return super()._begin_episodes(mask, start)

    def _begin_architectures(self, which: Bools | Indices, start: Sequence[int] = ()) -> None:
        decided = self._n * self._k
        self._observations[which, : decided + self._decisions] = 0.0
        self._observations[which, decided + len(start)] = 1.0
        self._position[which] = len(start)
        self._rank[which] = self.shared.architecture_space.rank_of(start)
        for position, choice in enumerate(start):
            self._observations[which, position * self._k + choice] = 1.0

    def _play(self, actions: Indices, step: Played) -> Metrics | None:
        if step.resetting is not None:
            self._position[step.resetting] = 0  # what they decide is undone below
        self._decide(actions)
        if step.resetting is not None:
            self._begin_again(step.resetting)
        done = np.flatnonzero(self._position == self._decisions)
        return self._complete(done, step) if len(done) else None

    def _decide(self, actions: Indices) -> None:
        position, decided = self._position, self._n * self._k
        if self._counts is not None:
            actions = actions % self._counts[np.minimum(position, self._n)]
        here = self._row + position
        self._flat[here + decided] = 0.0
        if self._decisions == self._n:
            self._flat[self._row + position * self._k + actions] = 1.0
            if self._counts is None:
                self._rank *= self._k
                self._rank += actions
            else:
                self._rank = self._next_rank(self._rank, position, actions)
        else:  # the last decision is not the architecture's
            own = np.flatnonzero(position < self._n)
            self._flat[self._row[own] + position[own] * self._k + actions[own]] = 1.0
            self._rank[own] = self._next_rank(self._rank[own], position[own], actions[own])
        position += 1
        open_ = position < self._decisions
        if open_.all():
            self._flat[here + (decided + 1)] = 1.0
        else:
            self._flat[(here + (decided + 1))[open_]] = 1.0

    def _next_rank(self, rank: Indices, position: Indices, choice: Indices) -> Indices:
        if self._counts is None:
            return rank * self._k + choice
        return rank * self._counts[position] + choice

    def _complete(self, done: Indices, step: Played) -> Metrics | None:
        """Evaluate complete architectures; their rewards and ends."""
        return self._end(done, step)

    def _architectures(self, which: Indices) -> Indices:
        return self.shared.architecture_space.index_at(self._rank[which])

    def _answers(self, ended: Indices) -> Indices:
        return self._architectures(ended)

    def _masks(self) -> NDArray[np.int8]:
        # A complete architecture's are those of a first decision.
        here = self._position < self._n
        masks: NDArray[np.int8] = self._by_lender(
            ("limits",),
            lambda lender, position, rank: lender.limits.prefixes.masks(position, rank),
            self._everyone,
            np.where(here, self._position, 0),
            np.where(here, self._rank, 0),
        )
        if self._decisions > self._n:
            masks[self._position == self._n] = 1
        return masks

    def _scene(self, i: int) -> Scene:
        position = int(self._position[i])
        lender = self._lender(i)
        return Scene(
            lender.architecture_space,
            lender.dataset,
            self.shared.decode(self._observations[i]).tolist(),
            position if position < self._n else None,
            **self._scene_of_last(i),
            clock=float(self._clock[i]),
            budget=lender.clock.budget,
            evaluations=int(self._evaluations[i]),
            **self._scene_extras(i),
        )

    def _scene_extras(self, i: int) -> dict[str, Any]:
        return {"caption": self._last_name(i)}
