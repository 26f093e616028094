"""Agents of several objectives: against slow plain references, and traces by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_agents import streams

import nats_gym
from nats_gym.agents import get_agent, objectives_of
from nats_gym.agents.nsga2 import Nsga2, crowding, fronts, order
from nats_gym.agents.regularized_evolution import POPULATION, SAMPLE
from nats_gym.agents.scalarised_evolution import ScalarisedEvolution
from nats_gym.errors import InvalidInput
from nats_gym.evaluators import Outcome
from nats_gym.protocol import search_arguments
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.streams import RunStreams, run_keys, run_seeds, uniform_integers

OBJECTIVES = ["accuracy", "latency/raspi4"]
BATCHED = ("scalarised-rea", "nsga2")
Point = tuple[float, ...]
points = st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=25)


def told(vectors: Any) -> Outcome:
    vectors = np.asarray(vectors, float)
    return Outcome(100 * vectors[:, 0], np.ones(len(vectors)), objectives=vectors)


# ── sorting ──────────────────────────────────────────────────────────────────────────────────


def dominates(one: Point, other: Point) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def plain_fronts(given: list[Point]) -> list[int]:
    rank: dict[int, int] = {}
    front = 0
    while len(rank) < len(given):
        left = [i for i in range(len(given)) if i not in rank]
        rank |= {i: front for i in left if not any(dominates(given[j], given[i]) for j in left)}
        front += 1
    return [rank[i] for i in range(len(given))]


def plain_crowding(given: list[Point], rank: list[int]) -> list[float]:
    room = [0.0] * len(given)
    for front in set(rank):
        members = [i for i in range(len(given)) if rank[i] == front]
        for objective in range(len(given[0])):
            members.sort(key=lambda i: (given[i][objective], i))
            least, most = given[members[0]][objective], given[members[-1]][objective]
            room[members[0]] = room[members[-1]] = float("inf")
            for before, i, behind in zip(members, members[1:], members[2:], strict=False):
                gap = given[behind][objective] - given[before][objective]
                room[i] += gap / ((most - least) or 1)
    return room


@given(points)
def test_fronts_and_crowding_are_those_of_plain_loops(given: list[Point]) -> None:
    vectors = np.array(given, float)
    rank = fronts(vectors)
    assert rank.tolist() == plain_fronts(given)
    room = crowding(vectors, rank)
    assert room.tolist() == pytest.approx(plain_crowding(given, rank.tolist()))
    # Several runs at once are each of them alone.
    runs = np.stack([vectors, vectors[::-1]])
    assert np.array_equal(fronts(runs), [rank, rank[::-1]])
    assert np.array_equal(order(runs)[0], order(vectors))


def test_fronts_crowding_and_order_by_hand() -> None:
    # First front (1, 9) (3, 8) (4, 4) (9, 1), second (3, 4) (2, 5), third (1, 4).
    vectors = np.array([[3, 4], [1, 9], [3, 8], [9, 1], [4, 4], [2, 5], [1, 4]], float)
    assert fronts(vectors).tolist() == [1, 0, 0, 0, 0, 1, 2]
    room = crowding(vectors, fronts(vectors))
    # Of (3, 8): (4 - 1) / 8 and (9 - 4) / 8; of (4, 4): (9 - 3) / 8 and (8 - 1) / 8.
    assert room.tolist() == [*[np.inf] * 2, 1.0, np.inf, 1.625, *[np.inf] * 2]
    assert order(vectors).tolist() == [1, 3, 4, 2, 0, 5, 6]


# ── whole searches ───────────────────────────────────────────────────────────────────────────

Plain = Callable[[ArchitectureSpace, int, Any, int], list[int]]


def plain_nsga2(space: ArchitectureSpace, seed: int, vector: Any, count: int) -> list[int]:
    draws, size = RunStreams(run_keys([seed])), 20
    survivors: list[Any] = []  # choices, point, rank, room
    children: list[Any] = []
    asked: list[int] = []
    while len(asked) < count:
        if not survivors:
            choices = space.sample(draws, (1,))
        else:
            one, other = sorted(uniform_integers(draws, size, (1, 2))[0])
            first, second = survivors[one], survivors[other]
            wins = (second[2], -second[3]) < (first[2], -first[3])
            choices = space.mutate((second if wins else first)[0], draws)
        asked.append(int(space.index(choices)[0]))
        children.append((choices, tuple(vector[asked[-1]])))
        if len(children) == size:
            among = [each[:2] for each in [*survivors, *children]]
            rank = plain_fronts([each[1] for each in among])
            room = plain_crowding([each[1] for each in among], rank)
            joined = [(*each, r, c) for each, r, c in zip(among, rank, room, strict=True)]
            survivors = sorted(joined, key=lambda each: (each[2], -each[3]))[:size]
            children = []
    return asked


def plain_scalarised(space: ArchitectureSpace, seed: int, vector: Any, count: int) -> list[int]:
    draws = RunStreams(run_keys([seed]))
    alive: list[Any] = []
    asked: list[int] = []
    while len(asked) < count:
        if len(alive) < POPULATION:
            choices = space.sample(draws, (1,))
        else:
            ages = uniform_integers(draws, POPULATION, (1, SAMPLE))[0]
            cut = float(draws.random((1, 1))[0, 0])
            low, high = (f([each[1] for each in alive], axis=0) for f in (np.min, np.max))
            best = max(
                (alive[age] for age in ages),
                key=lambda each: float(((each[1] - low) / (high - low)) @ [cut, 1 - cut]),
            )
            choices = space.mutate(best[0], draws)
        asked.append(int(space.index(choices)[0]))
        alive = [*alive, (choices, vector[asked[-1]])][-POPULATION:]
    return asked


@pytest.mark.parametrize("name", ["tss", "sss"])
@pytest.mark.parametrize(
    ("agent", "plain"), [(Nsga2, plain_nsga2), (ScalarisedEvolution, plain_scalarised)]
)
def test_choices_are_those_of_a_plain_loop(agent: Any, plain: Plain, name: str) -> None:
    space, count = get_space(name), 130
    vector = np.random.default_rng(0).random((space.size, 2))
    player = agent(space, streams(3))
    asked = []
    for _ in range(count):
        asked.append(space.index(player.ask()))
        player.tell(told(vector[asked[-1]]))
    for run, seed in enumerate(run_seeds(0, 3)):
        assert np.stack(asked)[:, run].tolist() == plain(space, seed, vector, count)


def test_survivors_by_hand() -> None:
    space = get_space("tss")
    agent = Nsga2(space, streams(1), population=3)
    asked = []
    for vector in [(1, 1), (2, 2), (0, 3), (3, 0), (2, 1), (2.5, 1.5)]:
        asked.append(agent.ask()[0].tolist())
        agent.tell(told([vector]))
    # (1, 1) and (2, 1) are dominated; of the front's four the ends stay, and of the other two
    # (2, 2), whose neighbours are further apart: 2.5 / 3 + 1.5 / 3 against 1 / 3 + 2 / 3.
    assert agent.population is not None
    assert agent.population[0].tolist() == [asked[2], asked[3], asked[1]]


@pytest.mark.parametrize("name", BATCHED)
@pytest.mark.parametrize("workers", [1, 5])
def test_a_run_alone_is_that_run_among_others(name: str, workers: int) -> None:
    given = {"epochs": 12, "evaluations": 90, "workers": workers, "seed": 3}
    given |= {"options": {"objectives": OBJECTIVES}}
    together = nats_gym.search("tss", "cifar10", name, runs=3, **given)
    alone = nats_gym.search("tss", "cifar10", name, runs=1, first_run=2, **given)
    for column in ("index", "accuracy", "clock", "evaluation"):
        assert (getattr(together, column)[2:] == getattr(alone, column)).all()
    assert together.arguments.options == {"objectives": OBJECTIVES}
    assert (together.hypervolume()[:, -1] > together.hypervolume()[:, 19]).all()


# ── what a search tells ──────────────────────────────────────────────────────────────────────


def test_agents_that_take_objectives_are_told_their_figures() -> None:
    heard = []

    class Listening(ScalarisedEvolution):
        def tell(self, outcome: Outcome, evaluation: Any = None) -> None:
            heard.append(outcome.weighed())
            super().tell(outcome, evaluation)

    made = partial(Listening, objectives=("latency/raspi4", "accuracy", "flops"))
    assert objectives_of(made) == (True, ("latency/raspi4", "accuracy", "flops"))
    found = nats_gym.search("tss", "cifar10", made, evaluations=30, runs=2)
    table = found.table
    latency, flops = (table.figure(name).values for name in ("latency/raspi4", "flops"))
    expected = [-latency[found.index] / latency.max(), found.accuracy / 100]
    expected.append(-flops[found.index] / flops.max())
    assert np.array_equal(np.stack(heard, axis=1), np.stack(expected, axis=-1))
    other = nats_gym.search(
        *("tss", "cifar10", made), evaluations=5, options={"objectives": OBJECTIVES}
    )
    assert other.arguments.options["objectives"] == OBJECTIVES


def test_the_default_is_accuracy_and_flops_or_the_first_cost() -> None:
    for name in (*BATCHED, "ppo-weights"):
        arguments = search_arguments("sss", "cifar10", name)
        assert arguments.options == {"objectives": ["accuracy", "flops"]}
    assert objectives_of(get_agent("rea")) == (False, None)


@pytest.mark.parametrize(
    ("objectives", "said"),
    [
        (["accuracy"], "two or more"),
        (["accuracy", "accuracy"], "each once"),
        (["accuracy", "latency/raspi"], "latency/raspi4"),
        ("accuracy", "two or more"),
        (3, "objective"),
    ],
)
@pytest.mark.parametrize("name", [*BATCHED, "ppo-weights"])
def test_other_objectives_are_refused(name: str, objectives: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        nats_gym.search("tss", "cifar10", name, options={"objectives": objectives})


def test_an_agent_that_is_told_no_objectives_says_so() -> None:
    for agent in (Nsga2, ScalarisedEvolution):
        player = agent(get_space("tss"), streams(1))
        player.ask()
        with pytest.raises(InvalidInput, match="weighs several objectives"):
            player.tell(Outcome(np.ones(1), np.ones(1)))


@pytest.mark.slow
def test_ppo_learns_for_each_weight_in_turn() -> None:
    options = {"objectives": OBJECTIVES, "weights": [0.0, 100.0]}
    found = nats_gym.search(
        *("tss", "cifar10", "ppo-weights"), evaluations=301, options=options, seed=1
    )
    assert found.evaluations.tolist() == [301]
    latency = found.table.figure("latency/raspi4").values[found.index[0]]
    # With accuracy alone it ends slower than it began; with latency alone faster.
    assert latency[100:150].mean() > latency[150:200].mean()
    assert latency[-50:].mean() < 0.7 * latency[150:200].mean()
    few = nats_gym.search("tss", "cifar10", "ppo-weights", evaluations=4, options={})
    assert few.evaluations.tolist() == [4]


@pytest.mark.parametrize("weights", [[], [-1.0], ["a"], None, [float("nan")]])
def test_ppo_refuses_other_weights(weights: Any) -> None:
    with pytest.raises(InvalidInput, match="weight"):
        nats_gym.search("tss", "cifar10", "ppo-weights", options={"weights": weights})
