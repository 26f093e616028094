"""Agents of every kind in spaces of other shapes: unequal choices, invalid rows, rows alike."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from plain_agents import ASKING, streams

from nats_gym.agents import get_agent, kind_of, prior_of
from nats_gym.agents.bananas import Bananas
from nats_gym.agents.largest import Largest
from nats_gym.errors import InvalidInput
from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams, run_keys, run_seeds

RUNGS = 3
Rows = NDArray[np.int64]


class Unequal(ArchitectureSpace):
    """Two, seven, one and three choices."""

    name = "unequal"
    decisions: ClassVar[Any] = {
        "depth": ("1", "2"),
        "width": tuple("abcdefg"),
        "head": ("linear",),
        "activation": ("relu", "tanh", "gelu"),
    }

    def params(self, choices: Rows, dataset: str) -> NDArray[np.float64]:
        return np.asarray(choices, np.float64).sum(-1)


class Gapped(Unequal):
    """A width of its own for each depth, and no tanh with the widest."""

    name = "gapped"

    def is_valid(self, choices: Rows) -> NDArray[np.bool_]:
        depth, width, _, activation = np.moveaxis(choices, -1, 0)
        return (width % 2 == depth) & ((width < 5) | (activation != 1))


class Alike(Unequal):
    """An activation says nothing at depth 1."""

    name = "alike"

    def canonical(self, choices: Rows) -> Rows:
        rows = choices.copy()
        rows[rows[..., 0] == 0, 3] = 0
        return rows


class Sparse(ArchitectureSpace):
    """Edges and operations, of which a tenth is a cell at all."""

    name = "sparse"
    decisions = {f"edge {i}": ("no", "yes") for i in range(8)} | {
        f"operation {i}": ("conv", "pool", "skip") for i in range(2)
    }

    def is_valid(self, choices: Rows) -> NDArray[np.bool_]:
        rows = choices @ self.place_values
        return (choices[..., :8].sum(-1) <= 5) & (rows * 2_654_435_761 % 1_000 < 130)

    def params(self, choices: Rows, dataset: str) -> NDArray[np.float64]:
        return np.asarray(choices, np.float64).sum(-1)


SPACES: list[type[ArchitectureSpace]] = [Unequal, Gapped, Alike, Sparse]
OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "local-search": ("improvement", ("first", "best")),
    "bandit": ("rule", ("thompson", "ucb")),
    "bohb": ("density", ("hpbandster", "normalised")),
}
#: Name, options: of all but those that cannot be without other data sets' tables.
AGENTS: list[tuple[str, dict[str, Any]]] = [
    (name, {option: value} if option else {})
    for name in ASKING
    if prior_of(get_agent(name)) != "others"
    for option, values in [OPTIONS.get(name, ("", ("",)))]
    for value in values
]
#: Those that take each choice for itself, so that a row may be none.
BLIND = ("reinforce", "bandit", "tpe", "bohb")


def play(
    agent: tuple[str, dict[str, Any]], space: ArchitectureSpace, drawn: RunStreams, count: int
) -> Rows:
    """Ask and tell: choices ``(count, runs, n)``. A row that is none scores 0."""
    name, options = agent
    factory = get_agent(name)
    if name == "tpe":
        pytest.importorskip("optuna")
    rungs = kind_of(factory) == "multi-fidelity"
    player = factory(space, drawn, **({"rungs": RUNGS} if rungs else {}), **options)
    score = np.append(np.random.default_rng(0).random(space.size) * 80 + 10, 0.0)
    asked = []
    for number in range(count):
        question = player.ask()
        choices = question.choices if rungs else question
        asked.append(np.array(choices))
        index = space.index(choices)
        vectors = np.stack([score[index], -index], axis=-1)
        outcome = Outcome(score[index], np.ones(drawn.runs), objectives=vectors)
        player.tell(*((outcome, np.full(drawn.runs, number)) if rungs else (outcome,)))
    return np.stack(asked)


@pytest.mark.one_in(7)
@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
@pytest.mark.parametrize(
    "agent", AGENTS, ids=lambda agent: "-".join([agent[0], *agent[1].values()])
)
def test_only_real_choices_and_each_run_for_itself(
    agent: tuple[str, dict[str, Any]], space: type[ArchitectureSpace]
) -> None:
    made, count = space(), 50
    asked = play(agent, made, streams(4), count)
    assert ((asked >= 0) & (asked < made.choice_counts)).all()
    if agent[0] not in BLIND:
        assert (made.index(asked) >= 0).all()
    assert np.array_equal(asked, play(agent, made, streams(4), count))
    alone = play(agent, made, RunStreams(run_keys(run_seeds(0, 1, 3))), count)
    assert np.array_equal(asked[:, 3:], alone)


@settings(max_examples=25, deadline=None)
@given(
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=4).filter(lambda c: max(c) > 1),
    share=st.floats(0.1, 1.0),
    agent=st.sampled_from([agent for agent in AGENTS if agent[0] not in ("tpe", "largest")]),
    seed=st.integers(0, 1000),
)
def test_random_spaces(
    counts: list[int], share: float, agent: tuple[str, dict[str, Any]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    valid = rng.random(np.prod(counts)) < share
    valid[rng.choice(len(valid), 2, replace=False)] = True

    class Drawn(ArchitectureSpace):
        name = "drawn"
        decisions: ClassVar[Any] = {
            f"d{i}": tuple(map(str, range(count))) for i, count in enumerate(counts)
        }

        def is_valid(self, choices: Rows) -> NDArray[np.bool_]:
            return valid[choices @ self.place_values]

    space = Drawn()
    asked = play(agent, space, streams(3, seed), 30)
    assert ((asked >= 0) & (asked < space.choice_counts)).all()
    if agent[0] not in BLIND:
        assert (space.index(asked) >= 0).all()


def test_local_search_asks_for_no_architecture_twice_in_a_climb() -> None:
    space = Alike()
    runs = 20
    index = space.index(play(("local-search", {}), space, streams(runs), 25))
    agent = get_agent("local-search")(space, streams(runs))
    starts = []
    score = np.random.default_rng(0).random(space.size) * 80 + 10
    for asked in index:
        starts.append(~agent._climbing)
        assert np.array_equal(space.index(agent.ask()), asked)
        agent.tell(Outcome(score[asked], np.ones(runs)))
    for run in range(runs):
        for turn in range(25):
            assert starts[turn][run] or index[turn, run] not in index[:turn, run]


def test_every_bandit_takes_each_of_its_choices_in_every_round() -> None:
    asked = play(("bandit", {}), Unequal(), streams(3), 3 * 7)
    for turn in range(3):
        for decision, count in enumerate(Unequal().choice_counts):
            for run in range(3):
                taken = asked[7 * turn : 7 * turn + 7, run, decision]
                assert set(taken.tolist()) == set(range(count))


def test_features_of_a_large_space_are_computed_when_needed(monkeypatch: Any) -> None:
    kept = play(("bananas", {}), Sparse(), streams(2), 40)
    monkeypatch.setattr("nats_gym.agents.bananas.MOST_KEPT", 0)
    assert Bananas(Sparse(), streams(1))._encoding is None
    assert np.array_equal(kept, play(("bananas", {}), Sparse(), streams(2), 40))


def test_largest_says_what_it_goes_by() -> None:
    class Plain(ArchitectureSpace):
        name = "plain"
        decisions: ClassVar[Any] = {"a": ("x", "y")}

    with pytest.raises(InvalidInput, match="goes by the closed forms of a space; 'plain' has none"):
        Largest(Plain(), streams(1))


def test_an_architecture_apart_from_all_others_has_children() -> None:
    class Apart(ArchitectureSpace):
        name = "apart"
        decisions = dict.fromkeys("abc", ("0", "1", "2"))

        def is_valid(self, choices: Rows) -> NDArray[np.bool_]:
            return (choices == choices[..., :1]).all(-1)

    space = Apart()
    assert space.size == 3
    parents = np.zeros((50, 3), np.int64)
    children = space.mutate(parents, streams(50))
    assert set(space.index(children).tolist()) == {1, 2}
