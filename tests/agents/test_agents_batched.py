"""The batched agents: each against a slow plain reference, one run at a time, same draws."""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from plain_agents import Draws, Plain, streams

import nats_gym
from nats_gym.agents import get_agent
from nats_gym.agents.bananas import Bananas, encode
from nats_gym.agents.bandit import RULES, Bandit
from nats_gym.agents.guide import Guide
from nats_gym.agents.largest import Largest
from nats_gym.agents.local_search import IMPROVEMENTS, LocalSearch
from nats_gym.agents.regularized_evolution import RegularizedEvolution
from nats_gym.errors import InvalidInput
from nats_gym.evaluators import Outcome, TableEvaluator
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.streams import RunStreams, combine, run_keys, run_seeds

PROPOSALS = 4


def guided(agent: Callable[..., Any]) -> Callable[..., Any]:
    """The agent, guided by FLOPs: the most of all come first, of four candidates the most."""

    def make(space: ArchitectureSpace, streams: RunStreams) -> Any:
        flops = space.figure("flops", "cifar10")
        guide = Guide(flops, "high", warmup=space.size, proposals=PROPOSALS)
        return agent(space, streams, guide=guide)

    return make


AGENTS: dict[str, Callable[..., Any]] = {
    "rea": RegularizedEvolution,
    **{f"local-search {kind}": functools.partial(LocalSearch, improvement=kind)
       for kind in IMPROVEMENTS},
    **{f"bandit {rule}": functools.partial(Bandit, rule=rule) for rule in RULES},
    "largest": Largest,
    "bananas": Bananas,
    "rea guided": guided(RegularizedEvolution),
    "local-search guided": guided(LocalSearch),
    "bananas guided": guided(Bananas),
}  # fmt: skip
RUNS, EVALUATIONS = 4, 120

# A search yields plain architectures and is sent what they scored.
Search = Iterator[Plain]


def flops_of(space: ArchitectureSpace) -> Callable[[Plain], float]:
    values = space.figure("flops", "cifar10").values
    return lambda architecture: float(values[space.index_of(architecture)])


def plain_starts(space: ArchitectureSpace, draws: Draws) -> list[Plain]:
    """The ten with most FLOPs of all; each takes a draw."""
    for _ in range(10):
        draws.uniform()
    everything = [tuple(row) for row in space.all_choices().tolist()]
    return sorted(everything, key=flops_of(space), reverse=True)[:10]


def plain_rea(space: ArchitectureSpace, draws: Draws, guided: bool = False) -> Any:
    population: deque[tuple[Plain, float]] = deque()
    starts = plain_starts(space, draws) if guided else []
    candidates = PROPOSALS if guided else 1
    while len(population) < 10:
        architecture = starts.pop(0) if starts else draws.architecture(space)
        population.append((architecture, (yield architecture)))
    while True:
        sample = [population[draws.below(10)] for _ in range(3)]
        parent = max(sample, key=lambda member: member[1])[0]
        every = range(candidates)
        if space.name == "tss":
            nodes = [1 + draws.below(3) for _ in every]
            places = [{1: 0, 2: 1, 3: 3}[node] + draws.below(node) for node in nodes]
            taken = [(parent[place] + 1 + draws.below(4)) % 5 for place in places]
        else:
            places = [draws.below(5) for _ in every]
            taken = [draws.below(8) for _ in every]
        children = [
            (*parent[:place], choice, *parent[place + 1 :])
            for place, choice in zip(places, taken, strict=True)
        ]
        child = max(children, key=flops_of(space))
        population.append((child, (yield child)))
        population.popleft()


def plain_local_search(
    space: ArchitectureSpace, draws: Draws, improvement: str, guided: bool = False
) -> Any:
    n, k = space.num_decisions, space.num_choices
    starts = plain_starts(space, draws) if guided else []
    waiting: list[tuple[Plain, float]] = []
    seen = set()

    def neighbors(choices: Plain, order: list[int]) -> list[Plain]:
        every = [
            (*choices[:place], choice, *choices[place + 1 :])
            for place in range(n)
            for choice in range(k)
            if choice != choices[place]
        ]
        left = [every[place] for place in order if every[place] not in seen]
        queue = []
        while left:
            queue.append(max(left[: PROPOSALS if guided else 1], key=flops_of(space)))
            left.remove(queue[-1])
        return queue

    queue: list[Plain] = []
    while True:
        # Every evaluation takes as many draws: a start, and an order of the neighbours.
        starting = not queue
        start = starts.pop(0) if (warm := bool(starts)) else draws.architecture(space)
        asked = start if starting else queue.pop(0)
        accuracy = yield asked
        seen.add(asked)
        order = draws.shuffled(n * (k - 1))
        if warm:
            waiting.append((asked, accuracy))
            if starts:
                continue
            waiting.sort(key=lambda one: -one[1])
        elif starting:
            current = best = asked, accuracy
        elif accuracy > best[1]:
            best = asked, accuracy
        if not warm and (starting or (best != current and (improvement == "first" or not queue))):
            current = best
            queue = neighbors(current[0], order)
        while not queue and waiting:
            current = best = waiting.pop(0)
            queue = neighbors(current[0], order)


def plain_bandit(space: ArchitectureSpace, draws: Draws, rule: str) -> Any:
    n, k = space.num_decisions, space.num_choices
    orders = [[draws.shuffled(k) for _ in range(n)] for _ in range(3)]
    rewards: list[list[list[float]]] = [[[] for _ in range(k)] for _ in range(n)]
    told: list[float] = []
    while True:
        if len(told) < 3 * k:
            turn, place = divmod(len(told), k)
            asked = tuple(order[place] for order in orders[turn])
        else:
            scale = float(np.std(told))
            asked = ()
            for arms in rewards:
                values = []
                for arm in arms:
                    width = math.sqrt(2 * math.log(len(told)))
                    if rule == "thompson":
                        width = draws.normal()
                    # Added up as floats in order: arms that are equal must be equal here too.
                    mean = functools.reduce(float.__add__, arm) / len(arm)
                    values.append(mean + scale * width / math.sqrt(len(arm)))
                asked = (*asked, values.index(max(values)))
        accuracy = yield asked
        told.append(accuracy)
        for arms, choice in zip(rewards, asked, strict=True):
            arms[choice].append(accuracy)


PLAIN: dict[str, Callable[[ArchitectureSpace, Draws], Any]] = {
    "rea": plain_rea,
    **{f"local-search {kind}": functools.partial(plain_local_search, improvement=kind)
       for kind in IMPROVEMENTS},
    **{f"bandit {rule}": functools.partial(plain_bandit, rule=rule) for rule in RULES},
    "rea guided": functools.partial(plain_rea, guided=True),
    "local-search guided": functools.partial(
        plain_local_search, improvement="first", guided=True
    ),
}  # fmt: skip


def accuracies(name: str) -> np.ndarray:
    """Figures with equals among them where they matter, ``(size,)``."""
    return nats_gym.load_table(name, "cifar10").mean_accuracy("valid").round(1)


def play(agent: Any, accuracy: np.ndarray, evaluations: int = EVALUATIONS) -> np.ndarray:
    """What an ask/tell agent asks for, ``(runs, evaluations)``."""
    asked = []
    for _ in range(evaluations):
        asked.append(agent.space.index(agent.ask()))
        agent.tell(Outcome(accuracy[asked[-1]], np.ones(len(asked[-1]))))
    return np.stack(asked, axis=1)


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", ["tss", "sss"])
@pytest.mark.parametrize("agent", PLAIN)
def test_every_run_equals_the_plain_reference(agent: str, name: str) -> None:
    space, accuracy = get_space(name), accuracies(name)
    found = play(AGENTS[agent](space, streams(RUNS)), accuracy)
    for run, seed in enumerate(run_seeds(0, RUNS)):
        search = PLAIN[agent](space, Draws(seed))
        architecture = next(search)
        for evaluation in range(EVALUATIONS):
            index = space.index_of(architecture)
            assert index == found[run, evaluation], (run, evaluation)
            architecture = search.send(float(accuracy[index]))


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", ["tss", "sss"])
@pytest.mark.parametrize("agent", AGENTS)
def test_run_17_alone_equals_run_17_of_40(agent: str, name: str) -> None:
    make = AGENTS[agent]
    epochs = get_space(name).full_epochs
    table = nats_gym.load_table(name, "cifar10")
    budget = 60 * float(np.nanmean(table.query_seconds(epochs)))
    together = nats_gym.search(name, "cifar10", make, epochs=epochs, runs=40, budget=budget)
    keys = run_keys([run_seeds(0, 40)[17]])
    evaluator, player = TableEvaluator(table), make(table.space, RunStreams(keys))
    for number in range(together.evaluations[17]):
        index = table.space.index(player.ask())
        player.tell(evaluator.evaluate(index, epochs, combine(keys, number)))
        assert index[0] == together.index[17, number]
    assert number > 30


@pytest.mark.parametrize("name", ["rea", "local-search", "bandit", "largest", "bananas"])
def test_found_by_name_for_one_run_and_a_budget_of_one_evaluation(name: str) -> None:
    result = nats_gym.search("tss", "cifar10", name, epochs=12, budget=1, runs=1)
    assert result.index.shape == (1, 1)
    assert get_agent(name).__doc__


@pytest.mark.one_in(7)
@pytest.mark.parametrize("agent", AGENTS)
def test_equal_accuracies_and_long_searches_are_no_trouble(agent: str) -> None:
    space = get_space("tss")
    asked = play(AGENTS[agent](space, streams(2)), np.full(space.size, 10.0), 300)
    assert len(np.unique(asked)) > 4


def test_published_order_rea_beats_reinforce_beats_random() -> None:
    # NATS-Bench's table of the topology space: 94.02, 93.90, 93.86 on test.
    means = [
        nats_gym.search("tss", "cifar10", agent, epochs=12, runs=500)
        .full_schedule_accuracy()
        .mean()
        for agent in ("rea", "reinforce", "random")
    ]
    assert means == sorted(means, reverse=True)
    assert means[0] > means[2] + 0.1


# ── local search ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("improvement", IMPROVEMENTS)
def test_local_search_climbs_to_the_top_of_a_hill_and_starts_again(improvement: str) -> None:
    space = get_space("sss")
    hill = space.all_choices().sum(axis=1).astype(float)  # one optimum, 7 7 7 7 7
    agent = LocalSearch(space, streams(20), improvement)
    asked = play(agent, hill, 400)
    assert (asked == space.size - 1).any(axis=1).all()
    for run in asked:  # only the starts may be repeated, and they hardly are
        assert max(Counter(run.tolist()).values()) <= 2


def test_unknown_improvement_rule_and_proxy_are_refused() -> None:
    space = get_space("tss")
    with pytest.raises(InvalidInput, match="Did you mean 'best'"):
        LocalSearch(space, streams(1), improvement="bst")
    with pytest.raises(InvalidInput, match="Did you mean 'thompson'"):
        Bandit(space, streams(1), rule="tompson")
    with pytest.raises(InvalidInput, match="Did you mean 'flops'"):
        Largest(space, streams(1), proxies=["flop"])
    with pytest.raises(InvalidInput, match="Did you mean 'params'"):
        Largest(space, streams(1), limits={"parms": 1.0})
    with pytest.raises(InvalidInput, match="proxies are a list"):
        Largest(space, streams(1), proxies=[])
    with pytest.raises(InvalidInput, match="no tss architecture fits"):
        Largest(space, streams(1), limits={"params": 0.001})


# ── bandit ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("rule", RULES)
def test_bandits_find_the_best_choice_of_independent_decisions(rule: str) -> None:
    space = get_space("tss")
    worth = np.random.default_rng(0).random((6, 5)) * 10
    additive = worth[np.arange(6), space.all_choices()].sum(axis=1)
    asked = play(Bandit(space, streams(40), rule), additive, 1500)
    late, everywhere = additive[asked[:, -100:]].mean(), additive.mean()
    assert late > everywhere + 0.7 * (additive.max() - everywhere)


# ── the largest ──────────────────────────────────────────────────────────────────────────────


def test_paths_equal_counting_them_one_by_one() -> None:
    space = get_space("tss")
    edges = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    routes = [(0, 3), (0, 1, 3), (0, 2, 3), (0, 1, 2, 3)]
    choices = space.all_choices()[::37]
    for cell, found in zip(choices.tolist(), space.paths(choices, "cifar10"), strict=True):
        live = {edge for edge, digit in zip(edges, cell, strict=True) if digit}
        assert found == sum(live.issuperset(itertools.pairwise(route)) for route in routes)


@pytest.mark.parametrize("name", ["tss", "sss"])
def test_the_largest_come_first_and_equals_in_random_order(name: str) -> None:
    space = get_space(name)
    asked = play(Largest(space, streams(20), proxies=["flops"]), np.zeros(space.size), 200)
    flops = space.flops(space.all_choices(), "cifar10")
    assert (asked[:, 0] == flops.argmax()).all()  # all 3×3 convolutions; all widths 64
    expected = np.sort(flops)[::-1][:200]
    assert np.allclose(flops[asked], expected)
    assert all(len(set(run)) == 200 for run in asked.tolist())
    if name == "tss":  # six cells have one 1×1 convolution and five 3×3
        assert len(np.unique(asked[:, 1])) == 6


def test_the_largest_within_limits_and_from_the_start_again_at_the_end() -> None:
    space = get_space("tss")
    limits = {"params": 0.12, "paths": 1}
    agent = Largest(space, streams(3), limits=limits)
    choices = space.all_choices()
    fitting = (space.params(choices, "cifar10") <= 0.12) & (space.paths(choices, "cifar10") <= 1)
    count = int(fitting.sum())
    asked = play(agent, np.zeros(space.size), count + 5)
    for run in asked:
        assert sorted(run[:count]) == np.flatnonzero(fitting).tolist()
        assert fitting[run[count:]].all()


# ── predictor search ─────────────────────────────────────────────────────────────────────────


def test_path_encoding_of_a_cell_by_hand() -> None:
    space = get_space("tss")
    cell = space.parse(
        "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|skip_connect~1|nor_conv_1x1~2|"
    )
    code = encode(space, cell)
    assert code.shape == (5 + 25 + 125 + 1,)
    # skip; conv3 then skip; conv3 then pool then conv1. The path over the none is none.
    assert np.flatnonzero(code).tolist() == [1, 5 + 3 * 5 + 1, 30 + 3 * 25 + 4 * 5 + 2, 155]


def test_a_cell_has_paths_where_it_is_live() -> None:
    space = get_space("tss")
    codes = encode(space, space.all_choices())
    assert (codes[:, :-1].any(axis=1) == space.is_live(space.all_choices())).all()


def test_size_encoding_counts_the_steps_of_a_width() -> None:
    space = get_space("sss")
    code = encode(space, np.array([0, 1, 7, 3, 2]))
    assert code.shape == (5 * 7 + 1,)
    assert code[:-1].reshape(5, 7).sum(axis=1).tolist() == [0, 1, 7, 3, 2]


def test_predictor_search_never_repeats_itself_and_learns() -> None:
    space, accuracy = get_space("tss"), accuracies("tss")
    agent = Bananas(space, streams(8))
    asked = play(agent, accuracy)
    for run in asked.tolist():
        assert len(set(run[10:])) == EVALUATIONS - 10
    assert accuracy[asked[:, -50:]].mean() > accuracy[asked[:, :10]].mean() + 5
    assert accuracy[asked].max(axis=1).mean() > np.quantile(accuracy, 0.995)


def test_ensemble_ranks_architectures_it_has_not_seen() -> None:
    space, accuracy = get_space("sss"), accuracies("sss")
    agent = Bananas(space, streams(1))
    rng = np.random.default_rng(0)
    seen, unseen = rng.choice(space.size, (2, 1, 150), replace=False)
    guess = agent._predict(space.index_to_rank[seen], accuracy[seen], space.index_to_rank[unseen])
    assert np.corrcoef(guess.mean(axis=1)[0], accuracy[unseen[0]])[0, 1] > 0.7
