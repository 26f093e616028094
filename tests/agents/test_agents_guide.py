"""A score that guides an agent: what comes first, its moves, its direction, and what is refused."""

from __future__ import annotations

import copy
import hashlib
import inspect
import itertools
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from plain_agents import streams

import nats_gym
from nats_gym.agents import AGENTS, GUIDE_OPTIONS, get_agent, takes_guide
from nats_gym.agents.guide import STARTS, Guide, least_ranks
from nats_gym.agents.reinforce import Reinforce
from nats_gym.errors import InvalidInput, NotInTable, UnknownOption
from nats_gym.evaluators import Outcome
from nats_gym.results.result import SearchResult
from nats_gym.spaces import ArchitectureSpace, Quantity, get_space
from nats_gym.spaces.figure import Figure
from nats_gym.study import Study, load_study, run_study, validate
from nats_gym.study.tables import headline_tables
from nats_gym.tables import add_column, remove_column

GUIDED = ["rea", "reinforce", "local-search", "bananas"]
COST, WORTH = Quantity("u", "u"), Quantity("u", "u", lower_is_better=False)


class Six(ArchitectureSpace):
    """Depth, then activation."""

    name = "six"
    decisions: ClassVar[Any] = {"depth": ("1", "2"), "activation": ("relu", "tanh", "gelu")}


def six(quantity: Quantity = WORTH) -> Figure:
    return Figure("made up", quantity, np.array([3.0, 1.0, 2.0, 3.0, 0.0, 5.0]), "measured")


def told(accuracy: Any) -> Outcome:
    return Outcome(np.asarray(accuracy, float), np.ones(len(accuracy)))


def search(agent: str, **given: Any) -> SearchResult:
    given = {"epochs": 12, "evaluations": 40, "runs": 3, "source": "embedded", **given}
    return nats_gym.search("tss", "cifar10", agent, **given)


# ── warm-up ──────────────────────────────────────────────────────────────────────────────────


def test_agents_that_take_a_guide_have_its_options() -> None:
    assert [name for name in AGENTS if takes_guide(get_agent(name))] == sorted(
        GUIDED, key=AGENTS.index
    )
    assert tuple(inspect.signature(Guide).parameters) == GUIDE_OPTIONS


@pytest.mark.parametrize("agent", GUIDED)
def test_all_of_a_space_come_in_the_order_of_their_scores(agent: str) -> None:
    """By hand, equals by index; what is asked for does not depend on the answers."""
    orders = {
        (WORTH, None): [5, 0, 3, 2, 1, 4],
        (COST, None): [4, 1, 2, 0, 3, 5],
        (WORTH, "low"): [4, 1, 2, 0, 3, 5],
        (COST, "high"): [5, 0, 3, 2, 1, 4],
    }
    for (quantity, prefer), expected in orders.items():
        space = Six()
        guide = Guide(six(quantity), prefer, warmup=6)
        player = get_agent(agent)(space, streams(3), guide=guide)
        for index in expected:
            asked = space.index(player.ask())
            assert asked.tolist() == [index] * 3
            player.tell(told([50.0, index, -index + 9]))
        for _ in range(30):  # and it goes on
            player.tell(told(10.0 + space.index(player.ask())))


def test_the_least_of_drawn_ranks_are_those_of_a_uniform_subset() -> None:
    runs = 40_000
    found = least_ranks(streams(runs), 6, 3, 2)
    subsets = [*itertools.combinations(range(6), 3)]
    expected = Counter(subset[:2] for subset in subsets)
    counted = Counter(map(tuple, found.tolist()))
    assert counted.keys() == expected.keys()
    for pair, ways in expected.items():
        share = ways / len(subsets)
        error = np.sqrt(share * (1 - share) / runs)
        assert abs(counted[pair] / runs - share) < 5 * error, pair


@pytest.mark.parametrize(("size", "drawn"), [(15_625, 3_000), (423_624, 3_000), (1 << 24, 50)])
def test_the_best_of_many_drawn_have_the_ranks_that_they_should(size: int, drawn: int) -> None:
    found = least_ranks(streams(4_000), size, drawn, STARTS)
    assert (np.diff(found, axis=1) > 0).all()
    assert found.min() >= 0
    assert found.max() < size
    for place in range(STARTS):  # the mean of an order statistic without replacement
        mean = (place + 1) * (size + 1) / (drawn + 1) - 1
        error = found[:, place].std() / np.sqrt(4_000)
        assert abs(found[:, place].mean() - mean) < 5 * error


def test_as_many_as_are_drawn_or_an_agent_begins_with_come_first() -> None:
    space = get_space("tss")
    flops = space.figure("flops", "cifar10")
    all_of_it = np.argsort(-flops.values, kind="stable")
    for warmup, count, least in ((15_625, 10, 10), (4, 10, 4), (15_625, 30, 30), (3_000, 3, 3)):
        first = Guide(flops, "high", warmup).first(space, streams(5), count)
        assert first.shape == (5, least, 6)
        index = space.index(first)
        assert (np.diff(flops.values[index], axis=1) <= 0).all()
        if warmup == space.size:
            assert (index == all_of_it[:count]).all()
        else:
            assert len(np.unique(index, axis=0)) == 5  # every run draws its own
    agent = get_agent("rea")(space, streams(2), population=20, guide=Guide(flops, "high", 15_625))
    asked = []
    for _ in range(20):
        asked.append(space.index(agent.ask()))
        agent.tell(told([50.0, 60.0]))
    assert (np.stack(asked, axis=1) == all_of_it[:20]).all()


def test_local_search_climbs_from_the_most_accurate_start_then_from_the_next() -> None:
    class OfThree(Guide):
        def first(self, space: Any, streams: Any, count: int = STARTS) -> Any:
            return super().first(space, streams, 3)

    space = Six()
    guide = OfThree(six(), warmup=6)  # 5, 0 and 3
    agent = get_agent("local-search")(space, streams(1), improvement="best", guide=guide)
    accuracy = {5: 20.0, 0: 60.0, 3: 40.0}
    stood: list[int] = []
    for _ in range(6):
        index = int(space.index(agent.ask())[0])
        agent.tell(told([accuracy.get(index, 0.0)]))
        stood.append(int(space.index(agent.current)[0]))
    # Of 0 the neighbours 1 and 2 are left, then of 3 there is 4, of 5 none.
    assert stood[2:] == [0, 0, 3, 5]


# ── proposals ────────────────────────────────────────────────────────────────────────────────


def test_the_favourite_is_that_of_a_plain_loop() -> None:
    space, random = get_space("nb101"), np.random.default_rng(0)
    score = Figure("made up", COST, random.integers(0, 9, space.size).astype(float), "measured")
    guide = Guide(score, proposals=8)
    rows = random.integers(0, space.choice_counts, (40, 8, space.num_decisions))
    index = space.index(rows)
    assert (index < 0).any()
    for candidates, known, best in zip(rows, index, guide.best(space, rows), strict=True):
        valid = [place for place in range(8) if known[place] >= 0] or [0]
        expected = min(valid, key=lambda place: score.values[known[place]])
        assert np.array_equal(best, candidates[expected])


@pytest.mark.parametrize("proposals", [1, 2, 5, 100])
def test_a_queue_in_the_order_of_a_plain_loop(proposals: int) -> None:
    random = np.random.default_rng(1)
    score = Figure("made up", WORTH, random.integers(0, 6, 30).astype(float), "measured")
    index = random.integers(-1, 30, (50, 12))
    ahead = np.arange(12) < random.integers(0, 12, (50, 1))
    found = Guide(score, warmup=1, proposals=proposals).arrange(index, ahead)
    for row, (numbers, front) in enumerate(zip(index, ahead, strict=True)):
        expected = np.flatnonzero(front).tolist()
        left = np.flatnonzero(~front).tolist()
        while left:
            best = max(
                left[:proposals],
                key=lambda p: score.values[numbers[p]] if numbers[p] >= 0 else -np.inf,
            )
            left.remove(best)
            expected.append(best)
        assert found[row].tolist() == expected


def test_reinforce_asks_for_the_favourite_of_its_samples() -> None:
    space = get_space("tss")
    params = space.figure("params", "cifar10")
    agent = Reinforce(space, streams(4), guide=Guide(params, "high", proposals=6))
    for _ in range(20):
        samples = copy.deepcopy(agent)._sample(6)
        asked = agent.ask()
        for run in range(4):
            liked = max(samples[run], key=lambda one: params.values[space.index(one)])
            assert np.array_equal(asked[run], liked)
        agent.tell(told(params.values[space.index(asked)] * 50))


@pytest.mark.parametrize("agent", GUIDED)
def test_what_is_asked_for_is_what_the_score_likes(agent: str) -> None:
    score = get_space("tss").figure("flops", "cifar10").values
    alone = search(agent, runs=20)
    options = {"score": "flops", "proposals": 10}
    low, high = (search(agent, runs=20, options={**options, **given}) for given in (
        {}, {"prefer": "high"},
    ))  # fmt: skip
    means = [score[found.index[:, 12:]].mean() for found in (low, alone, high)]
    assert means == sorted(means)
    assert means[2] > means[0] + 20


# ── searches ─────────────────────────────────────────────────────────────────────────────────

OPTIONS = {"score": "flops", "prefer": "high", "warmup": 3_000, "proposals": 4}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("agent", GUIDED)
def test_a_guided_run_is_that_run_alone(agent: str) -> None:
    for workers in (1, 5):
        given = {"options": OPTIONS, "workers": workers}
        together = search(agent, runs=20, **given)
        alone = search(agent, runs=1, first_run=17, **given)
        for column in ("index", "accuracy", "clock", "evaluation"):
            assert (getattr(together, column)[17] == getattr(alone, column)[0]).all()


#: What they asked for before there were guides.
BEFORE = {
    "rea": "cabbe9a7f5592ee3",
    "reinforce": "81ae594cc4e25a36",
    "local-search": "6d37f9f4048d933b",
    "bananas": "70c3885a8a1881d4",
}


@pytest.mark.parametrize("agent", GUIDED)
def test_without_a_guide_nothing_changes(agent: str) -> None:
    digest = hashlib.sha256()
    for name in ("tss", "sss", "nb101"):
        space = get_space(name)
        accuracy = np.random.default_rng(3).integers(0, 10_000, space.size) / 100
        player = get_agent(agent)(space, streams(3))
        for _ in range(60):
            asked = space.index(player.ask())
            player.tell(told(np.where(asked < 0, 0.0, accuracy[asked])))
            digest.update(asked.astype("<i8").tobytes())
    assert digest.hexdigest()[:16] == BEFORE[agent]


@pytest.fixture
def score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """A score of every topology and a cost, its opposite, added on this machine."""
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    values = np.random.default_rng(5).permutation(get_space("tss").size).astype(float)
    add_column("tss", "cifar10", "proxy/own", values, unit="score", lower_is_better=False)
    add_column("tss", "cifar10", "energy/own", values, unit="mJ")
    return values


def test_a_column_of_ones_own_guides_in_its_direction(score: np.ndarray, tmp_path: Path) -> None:
    size = len(score)
    for name, sign in (("proxy/own", 1), ("energy/own", -1)):
        found = search("rea", options={"score": name, "warmup": size})
        assert (found.index[:, :10] == np.argsort(-sign * score)[:10]).all()
        assert found.provenance["score"].startswith(f"{name}: measured, ")
    back = SearchResult.load(found.save(tmp_path / "kept"))
    assert back.provenance == found.provenance
    (verdict,) = validate(tmp_path / "kept")
    assert verdict.holds, verdict.reasons
    silent = {name: said for name, said in found.provenance.items() if name != "score"}
    object.__setattr__(found, "provenance", silent)
    (verdict,) = validate(found.save(tmp_path / "silent"))
    assert "does not say what its score rests on" in verdict.reasons[-1]
    add_column("tss", "cifar10", "energy/own", score[::-1], unit="mJ", replace=True)
    with pytest.raises(nats_gym.errors.UnreadableResult, match=r"energy/own of .* is not the col"):
        SearchResult.load(tmp_path / "kept")
    remove_column("tss", "cifar10", "energy/own")
    with pytest.raises(nats_gym.errors.UnreadableResult, match=r"energy/own of .*; here is none"):
        SearchResult.load(tmp_path / "kept")


def test_a_guided_result_of_before_columns_said_for_whom_they_are_loads(tmp_path: Path) -> None:
    options = {"score": "proxy/naswot", "warmup": 3_000}
    found = nats_gym.search("tss", "cifar100", "rea", evaluations=12, options=options)
    said = found.provenance["score"]
    assert said.startswith("proxy/naswot: measured for cifar10, ")
    earlier = {**found.provenance, "score": said.replace(" for cifar10", "")}
    object.__setattr__(found, "provenance", earlier)
    assert SearchResult.load(found.save(tmp_path)).provenance == earlier


def test_a_closed_form_guides_on_a_clock_that_it_takes_nothing_of() -> None:
    found = search("bananas", options=OPTIONS)
    assert found.provenance["score"] == "flops: closed form"
    assert found.arguments.options == OPTIONS
    assert np.allclose(found.seconds.cumsum(axis=1), found.clock)


def test_a_study_says_who_was_guided(tmp_path: Path) -> None:
    study = Study.of(
        {
            "runs": 2,
            "source": "embedded",
            "searches": [{"space": "tss", "datasets": ["cifar10"], "epochs": 12, "evaluations": 4}],
            "agents": {"rea": {}, "rea, flops": {"agent": "rea", "options": OPTIONS}},
        }
    )
    (table,) = headline_tables(load_study(run_study(study, tmp_path, jobs=1)))
    told = [note for note in table.notes if "guided" in note]
    assert told == [
        "rea, flops is guided by a figure that is known beforehand: score=flops, prefer=high, "
        "warmup=3000, proposals=4."
    ]


# ── what is refused ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "flosp", "warmup": 5}, "Did you mean 'flops'"),
        ({"score": "latency/raspi5", "warmup": 5}, "Did you mean 'latency/raspi4'"),
        ({"score": 3, "warmup": 5}, "score"),
        ({"score": "accuracy", "warmup": 5}, "is what is searched for"),
        ({"score": "flops", "prefer": "hihg", "warmup": 5}, "Did you mean 'high'"),
        ({"score": "flops", "warmup": 15_626}, "warmup .*15,?625"),
        ({"score": "flops", "warmup": -1}, "warmup"),
        ({"score": "flops", "warmup": 2.5}, "warmup"),
        ({"score": "flops", "proposals": 0}, "proposals"),
        ({"score": "flops", "proposals": 101}, "proposals"),
        ({"score": "flops"}, "has no say without warmup= or proposals="),
        ({"warmup": 5}, "go by a score: name one"),
        ({"prefer": "low"}, "go by a score: name one"),
    ],
)
def test_bad_options_are_one_clear_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        search("rea", options=options)


def test_unknown_options_and_agents_without_a_guide() -> None:
    with pytest.raises(UnknownOption, match="Did you mean 'warmup'"):
        search("reinforce", options={"score": "flops", "warmpu": 5})
    with pytest.raises(UnknownOption, match="'warmup': it goes by no score; allowed: device"):
        search("gdas", options={"warmup": 5})
    with pytest.raises(UnknownOption, match="random takes no options"):
        search("random", options=OPTIONS)
    with pytest.raises(InvalidInput, match="guide is what the search tells an agent"):
        search("rea", options={"guide": 3})


def test_scores_that_are_none_of_the_space() -> None:
    with pytest.raises(InvalidInput, match="6 architectures is none of tss"):
        get_agent("rea")(get_space("tss"), streams(1), guide=Guide(six(), proposals=2))
    part = Figure("made up", WORTH, np.array([1.0, np.nan]), "measured")
    with pytest.raises(InvalidInput, match="of some architectures only"):
        Guide(part, warmup=1)
    with pytest.raises((InvalidInput, NotInTable), match="latency"):
        nats_gym.search(
            *("sss", "digits", "rea"),
            evaluator={"name": "train"},
            evaluations=1,
            options={"score": "latency", "warmup": 5},
        )
