"""Environments of spaces made here: unequal choices, rows that are no architecture, rows alike."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from nats_gym.envs import GraphObservation, MultiDiscreteObservation
from nats_gym.errors import EvaluatorError, InvalidInput, MissingTable
from nats_gym.evaluators import Outcome, checked
from nats_gym.registration import OPEN_ENVIRONMENTS
from nats_gym.simulation.clock import MOST_IDLE
from nats_gym.spaces import ArchitectureSpace, Quantity, known, register_space
from nats_gym.tables import MEASURED, Column, write_table
from nats_gym.testing import check_vector_env


class Unequal(ArchitectureSpace):
    name = "unequal"
    decisions: ClassVar = {"depth": tuple("123"), "activation": tuple("rt"), "width": tuple("abcd")}

    def params(self, choices: Any, dataset: str) -> Any:
        return 1.0 + self.check_choices(choices).sum(-1)


class Invalid(Unequal):
    name = "invalid"

    def is_valid(self, choices: Any) -> Any:
        return choices.sum(-1) % 3 == 0


class Alike(Invalid):
    name = "alike"

    def canonical(self, choices: Any) -> Any:
        alike = choices.copy()
        alike[..., 0] = np.where(choices[..., 2] == 0, choices[..., 0] % 2, choices[..., 0])
        return np.where(self.is_valid(alike)[..., None], alike, choices)


SPACES = [Unequal(), Invalid(), Alike()]
EVALUATOR = SimpleNamespace(
    evaluate=lambda index, epochs, keys: Outcome(
        accuracy=3.0 * index + 1, seconds=1.0 + index % 4, provenance="toy"
    )
)


def options(env_id: str) -> dict[str, Any]:
    given: dict[str, Any] = {"evaluator": EVALUATOR}
    if env_id.startswith("mo-"):
        return {**given, "objectives": ("params", "params2")}
    return {**given, "time_budget": 40} if "Budgeted" in env_id or "Edit" in env_id else given


@pytest.fixture(params=SPACES, ids=lambda space: space.name)
def space(request: pytest.FixtureRequest) -> Any:
    return request.param


IDS = [env_id for env_id in OPEN_ENVIRONMENTS if not env_id.startswith("mo-")]


def test_official_indices_by_hand() -> None:
    for one in SPACES:
        rows = np.array(list(itertools.product(range(3), range(2), range(4))))
        index = one.index(rows)
        expected: dict[tuple[int, ...], int] = {}
        for row in rows:
            if one.is_valid(row):
                expected.setdefault(tuple(one.canonical(row).tolist()), 0)
        order = {row: place for place, row in enumerate(sorted(expected))}
        for row, found in zip(rows, index.tolist(), strict=True):
            valid = bool(one.is_valid(row))
            assert found == (order[tuple(one.canonical(row).tolist())] if valid else -1)
        assert one.size == len(order)
        assert one.all_choices().tolist() == [list(row) for row in sorted(expected)]


@pytest.mark.parametrize("env_id", IDS)
def test_gymnasiums_checker_finds_nothing(env_id: str, space: ArchitectureSpace) -> None:
    check_env(gym.make(env_id, space=space, **options(env_id)).unwrapped, skip_render_check=True)


@pytest.mark.one_in(23)
@pytest.mark.parametrize("limits", [{}, {"max_params": 4.0}], ids=["free", "limited"])
@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("env_id", IDS)
def test_native_copies_do_what_scalar_environments_do(
    env_id: str, mode: AutoresetMode, limits: dict[str, float], space: ArchitectureSpace
) -> None:
    given = {"space": space, **options(env_id), **limits}
    native = gym.make_vec(env_id, num_envs=3, autoreset_mode=mode, **given)
    looped = gym.make_vec(
        env_id,
        num_envs=3,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        **given,
    )
    check_vector_env(native, looped, steps=60)


@pytest.mark.parametrize("env_id", ["NAS-v0", "NAS-Budgeted-v0"])
def test_masks_are_those_of_brute_force(env_id: str, space: ArchitectureSpace) -> None:
    most = {"max_params": 4.0}
    env = gym.make(env_id, space=space, **options(env_id), **most).unwrapped
    rows = np.array(list(itertools.product(*map(range, space.choice_counts))))
    index = space.index(rows)
    good = (index >= 0) & (space.params(space.choices(np.maximum(index, 0)), "cifar10") <= 4.0)
    for length in range(space.num_decisions):
        for prefix in {tuple(row[:length].tolist()) for row in rows[good]}:
            _, info = env.reset(seed=0, options={"start": list(prefix)})
            following = rows[good & (rows[:, :length] == prefix).all(axis=1)][:, length]
            assert np.flatnonzero(info["action_mask"]).tolist() == sorted({*following.tolist()})


def test_masked_play_is_valid_and_any_other_may_fail(space: ArchitectureSpace) -> None:
    env = gym.make("NAS-v0", space=space, evaluator=EVALUATOR)
    env.action_space.seed(0)
    found = set()
    for masked in (True, False):
        for _ in range(40):
            _, info = env.reset(seed=0)
            for _ in range(space.num_decisions):
                mask = info["action_mask"] if masked else None
                _, reward, _, _, info = env.step(env.action_space.sample(mask))
            valid = info.get("valid", True)  # where nothing else can be, nothing is said
            assert valid or not masked
            found.add(valid)
            if not valid:
                assert (info["index"], info["accuracy"], info["seconds"], reward) == (-1, 0, 0, 0)
    assert found == ({True, False} if not space.every_row_valid else {True})


@pytest.mark.parametrize(("bound", "results"), [({"max_evaluations": 5}, 5), ({}, MOST_IDLE)])
def test_an_episode_of_nothing_but_invalid_rows_ends(bound: dict[str, int], results: int) -> None:
    env = gym.make("NAS-Budgeted-v0", space=SPACES[1], evaluator=EVALUATOR, time_budget=10, **bound)
    env.reset(seed=0)
    ended = [env.step(action)[2] for action in [0, 0, 1] * results]
    assert ended == [False] * (3 * results - 1) + [True]


def test_a_space_is_known_by_its_name_once_it_was_given() -> None:
    gym.make("NAS-v0", space=Unequal, evaluator=EVALUATOR)
    assert gym.make("NAS-v0", space="unequal", evaluator=EVALUATOR).unwrapped.dataset == "cifar10"
    with pytest.raises(InvalidInput, match=r"unknown space 'unequl'.*Did you mean 'unequal'"):
        gym.make("NAS-v0", space="unequl", evaluator=EVALUATOR)
    with pytest.raises(MissingTable, match="no table of unequal on cifar10"):
        gym.make("NAS-v0", space="unequal")


def test_wrappers_show_each_decision_as_it_is(space: ArchitectureSpace) -> None:
    env = MultiDiscreteObservation(gym.make("NAS-v0", space=space, evaluator=EVALUATOR))
    assert env.observation_space.nvec.tolist() == [4, 3, 5]
    observation, info = env.reset(seed=0)
    assert observation.tolist() == [3, 2, 4]  # all open
    for _ in range(3):
        observation, *_, info = env.step(env.action_space.sample(info["action_mask"]))
        assert env.observation_space.contains(observation)
    assert (observation < [3, 2, 4]).all()
    graph = GraphObservation(gym.make("NAS-v0", space=space, evaluator=EVALUATOR)).reset(seed=0)[0]
    assert graph.nodes.shape == (3, 5)  # four choices at most, and the mark
    assert graph.edge_links.tolist() == [[0, 1], [1, 2]]


class Ring(ArchitectureSpace):
    """Decisions on the edges of a triangle."""

    name = "ring"
    decisions: ClassVar = dict.fromkeys(("1←0", "2←0", "2←1"), ("none", "copy"))
    edges = ((1, 0), (2, 0), (2, 1))


def test_a_space_on_edges_is_seen_as_its_graph() -> None:
    env = GraphObservation(gym.make("NAS-v0", space=Ring, evaluator=EVALUATOR))
    env.reset(seed=0)
    graph = env.step(1)[0]
    assert graph.nodes.tolist() == np.eye(3).tolist()
    assert graph.edge_links.tolist() == [[0, 1], [0, 2], [1, 2]]
    assert graph.edges.tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]


def test_what_is_known_of_a_part_of_a_space_without_costs_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(known, "_registered", {})

    class Bare(ArchitectureSpace):
        name = "bare"
        decisions: ClassVar = {"depth": tuple("12"), "width": tuple("abc")}

    told: dict[str, Any] = {"provenance": MEASURED, "source": "a test", "licence": "none"}
    columns = [
        (Column("accuracy", **told, split="valid", epochs=200), np.arange(6.0)),
        (Column("train_seconds_per_epoch", **told), np.ones(6)),
        (Column("evaluation_seconds", **told, split="valid"), np.ones(6)),
        (Column("latency", **told), np.array([np.nan, 2, 3, 4, 5, 6])),
    ]
    register_space(Bare)
    write_table(tmp_path / "bare", "bare", "cifar10", columns)
    with pytest.raises(InvalidInput, match=r"the table of bare cifar10 has that of 5 of 6$"):
        gym.make("NAS-v0", space="bare", source=tmp_path / "bare", max_latency=9.0)


def test_figures_of_a_registered_space_are_no_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_registered", {})

    class Weighed(Unequal):
        name = "weighed"
        closed_forms: ClassVar = {"weight": Quantity("kilograms", "weight [kg]")}

        def weight(self, choices: Any, dataset: str) -> Any:
            return 1.0 + self.check_choices(choices).sum(-1)

    outcome = Outcome(np.ones(1), np.ones(1), metrics={"weight": np.ones(1)})
    assert "weight" in checked(outcome, 1).metrics
    register_space(Weighed)
    for name in ("weight", "weight_provenance"):
        with pytest.raises(EvaluatorError, match=f"metric cannot be called '{name}'"):
            checked(Outcome(np.ones(1), np.ones(1), metrics={name: np.ones(1)}), 1)


def test_actions_beyond_a_decisions_choices_stand_for_one_of_them() -> None:
    env = gym.make("NAS-v0", space=SPACES[0], evaluator=EVALUATOR).unwrapped
    env.reset(seed=0)
    for action in (3, 3, 2):  # of 3, 2 and 4 choices
        info = env.step(action)[4]
    assert info["index"] == SPACES[0].index([0, 1, 2])
