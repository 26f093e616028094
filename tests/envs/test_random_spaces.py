"""Native environments do what scalar ones do in random small spaces, invalid rows included."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.testing import check_vector_env

EVALUATOR = SimpleNamespace(
    evaluate=lambda index, epochs, keys: Outcome(
        accuracy=10.0 + 7.0 * index % 83, seconds=1.0 + index % 3, provenance="toy"
    )
)
OPTIONS: dict[str, dict[str, Any]] = {
    "NAS-v0": {},
    "NAS-Budgeted-v0": {"time_budget": 5},
    "NAS-OneShot-v0": {},
    "NAS-Edit-v0": {"time_budget": 30, "horizon": 6},
}


def space_of(counts: list[int], salt: int, share: int, alike: bool) -> ArchitectureSpace:
    """A space of so many choices: of ten rows, so many are architectures; some of them alike."""

    class Random(ArchitectureSpace):
        name = "random-small"
        decisions = {  # noqa: RUF012
            f"d{i}": tuple(map(str, range(count))) for i, count in enumerate(counts)
        }

        def is_valid(self, choices: Any) -> Any:
            ranks = choices @ self.place_values
            return (ranks * 2_654_435_761 + salt) % 1_009 % 10 < share

        def canonical(self, choices: Any) -> Any:
            first = choices.copy()
            first[..., -1] = 0
            kept = alike & self.is_valid(first)
            return np.where(kept[..., None], first, choices)

        def params(self, choices: Any, dataset: str) -> Any:
            return 1.0 + np.asarray(choices, float).sum(-1)

    return Random()


def has_any(space: ArchitectureSpace) -> bool:
    rows = np.arange(space.num_rows)[:, None] // space.place_values % space.choice_counts
    return bool(space.is_valid(rows).any())


in_random_spaces = given(
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    salt=st.integers(0, 1_008),
    share=st.integers(2, 10),
    alike=st.booleans(),
    limited=st.booleans(),
    mode=st.sampled_from(list(AutoresetMode)),
)


def check_native_copies(
    env_id: str,
    counts: list[int],
    salt: int,
    share: int,
    alike: bool,
    limited: bool,
    mode: AutoresetMode,
) -> None:
    space = space_of(counts, salt, share, alike)
    if not has_any(space):
        return
    figures = space.params(space.all_choices(), "cifar10")
    options = {**OPTIONS[env_id], "evaluator": EVALUATOR, "space": space}
    if limited:
        options["max_params"] = float(np.median(figures))
    copies = [lambda: gym.make(env_id, disable_env_checker=True, **options)] * 3
    native = gym.make_vec(env_id, num_envs=3, autoreset_mode=mode, **options)
    steps = 4 * max(len(counts), 6)
    check_vector_env(native, SyncVectorEnv(copies, autoreset_mode=mode), steps=steps)


of_each = pytest.mark.parametrize("env_id", OPTIONS)
some, many = (
    settings(max_examples=examples, deadline=None, suppress_health_check=[*HealthCheck])
    for examples in (3, 60)
)
test_native_copies_do_what_scalar_ones_do = of_each(some(in_random_spaces(check_native_copies)))
test_native_copies_in_many_spaces = pytest.mark.slow(
    of_each(many(in_random_spaces(check_native_copies)))
)


@settings(max_examples=30, deadline=None)
@given(
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    salt=st.integers(0, 1_008),
    share=st.integers(2, 10),
    alike=st.booleans(),
)
def test_masks_are_those_of_brute_force(
    counts: list[int], salt: int, share: int, alike: bool
) -> None:
    space = space_of(counts, salt, share, alike)
    if not has_any(space):
        return
    rows = np.arange(math.prod(counts))[:, None] // space.place_values % space.choice_counts
    valid = rows[space.index(rows) >= 0]
    prefixes = space.prefixes()
    for length in range(len(counts)):
        for prefix in {tuple(row[:length]) for row in valid.tolist()}:
            following = valid[(valid[:, :length] == prefix).all(axis=1)][:, length]
            mask = prefixes.mask(length, space.rank_of(prefix))
            assert np.flatnonzero(mask).tolist() == sorted({*following.tolist()})
