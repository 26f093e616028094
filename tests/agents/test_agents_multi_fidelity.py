"""Multi-fidelity agents: each against a slow plain reference, one run at a time, same draws."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from plain_agents import Draws, Plain

import nats_gym
from nats_gym.agents import bohb, hyperband
from nats_gym.agents.asha import Asha
from nats_gym.agents.bohb import Bohb, Density, choose_candidate, good_and_bad
from nats_gym.agents.hyperband import Hyperband
from nats_gym.agents.interface import Question
from nats_gym.agents.successive_halving import SuccessiveHalving
from nats_gym.errors import InvalidInput
from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.streams import RunStreams, run_keys, run_seeds

AGENTS: dict[str, Callable[..., Any]] = {
    "successive-halving": SuccessiveHalving,
    "hyperband": Hyperband,
    "bohb": Bohb,
    "bohb half random": functools.partial(Bohb, samples=3, random_fraction=0.5),
    "bohb normalised": functools.partial(Bohb, density="normalised"),
    "asha": Asha,
}
SYNCHRONOUS = [name for name in AGENTS if name != "asha"]
RUNS, EVALUATIONS, RUNGS = 2, 120, 3


# ── driving an agent ─────────────────────────────────────────────────────────────────────────


class Asked(NamedTuple):
    """One evaluation of one run."""

    choices: Plain
    rung: int
    continues: int


class Play(NamedTuple):
    """What happened in every run.

    Attributes:
        asked: per run, its evaluations in order.
        answered: per run, the numbers of its evaluations in the order of their answers.
        events: what every run went through: "ask" or "tell".
    """

    asked: list[list[Asked]]
    answered: list[list[int]]
    events: list[str]


def scores(name: str) -> np.ndarray:
    """Accuracies ``(rungs, size)`` with equals among them; no rung orders them as another does."""
    full = nats_gym.load_table(name, "cifar10").mean_accuracy("valid")
    noise = np.random.default_rng(0).normal(size=(4, len(full)))
    return np.stack([(full - 9 + 3 * rung + (3 - rung) * noise[rung]).round() for rung in range(4)])


def play(
    agent: Any,
    space: ArchitectureSpace,
    seeds: list[int],
    figures: np.ndarray,
    workers: int = 1,
    evaluations: int = EVALUATIONS,
) -> Play:
    """Fill the workers, let one in each run answer, and again."""
    runs = range(len(seeds))
    finishers = [np.random.default_rng(seed) for seed in seeds]  # who answers first
    played = Play([[] for _ in runs], [[] for _ in runs], [])
    busy: list[list[int]] = [[] for _ in runs]
    while len(played.asked[0]) < evaluations:
        question: Question | None = None
        if len(busy[0]) < workers and (question := agent.ask()) is not None:
            assert question.choices.shape == (len(seeds), space.num_decisions)
            for run in runs:
                busy[run].append(len(played.asked[run]))
                choices = tuple(question.choices[run].tolist())
                asked = Asked(choices, int(question.rung[run]), int(question.continues[run]))
                played.asked[run].append(asked)
            played.events.append("ask")
            continue
        assert busy[0], "nothing to ask and nothing to wait for"
        numbers = [busy[run].pop(int(finishers[run].integers(len(busy[run])))) for run in runs]
        told = [played.asked[run][number] for run, number in enumerate(numbers)]
        accuracy = [figures[one.rung, space.index_of(one.choices)] for one in told]
        for run, number in enumerate(numbers):
            played.answered[run].append(number)
        agent.tell(Outcome(np.array(accuracy), np.ones(len(seeds))), np.array(numbers))
        played.events.append("tell")
    return played


def make(name: str, space: ArchitectureSpace, seeds: list[int], rungs: int = RUNGS) -> Any:
    return AGENTS[name](space, RunStreams(run_keys(seeds)), rungs)


# ── plain references: one run, lists ─────────────────────────────────────────────────────────


class PlainHalving:
    """Successive Halving with brackets given as lists of (rung, how many)."""

    def __init__(self, space: ArchitectureSpace, draws: Draws, brackets: list[Any]) -> None:
        self.space, self.draws = space, draws
        self.brackets = itertools.cycle(brackets)
        self.stages: list[tuple[int, int]] = []  # of this bracket, to come
        self.asked: list[Asked] = []
        self.result: dict[int, float] = {}
        self.order: list[int] = []  # numbers in the order of their answers
        self.queue: list[Asked | int] = []  # promotions, or the rung of a new one
        self.stage: list[int] = []  # numbers of the stage under way

    def new(self) -> Plain:
        return self.draws.architecture(self.space)

    def ask(self) -> Asked | None:
        if not self.queue:
            if any(number not in self.result for number in self.stage):
                return None
            if self.stages:
                rung, size = self.stages.pop(0)
                ranking = sorted(self.stage, key=lambda number: (-self.result[number], number))
                self.queue = [Asked(self.asked[n].choices, rung, n) for n in ranking[:size]]
            else:
                self.stages = list(next(self.brackets))
                rung, size = self.stages.pop(0)
                self.queue = [rung] * size
            self.stage = []
        entry = self.queue.pop(0)
        asked = entry if isinstance(entry, Asked) else Asked(self.new(), entry, -1)
        self.stage.append(len(self.asked))
        self.asked.append(asked)
        return asked

    def tell(self, number: int, accuracy: float) -> None:
        self.result[number] = accuracy
        self.order.append(number)


class PlainBohb(PlainHalving):
    """TPE over the results of the highest rung that has enough of them."""

    samples, random_fraction, normalised = 4, 0.0, False

    def new(self) -> Plain:
        n, k = self.space.num_decisions, self.space.num_choices
        uniform = self.draws.architecture(self.space)
        for rung in (2, 1, 0):
            numbers = [number for number in self.order if self.asked[number].rung == rung]
            good = max(n + 1, 15 * len(numbers) // 100)
            bad = max(n + 1, 85 * len(numbers) // 100)
            if len(numbers) - good >= n + 1:
                break
        else:
            return uniform
        numbers.sort(key=lambda number: (-self.result[number], number))
        points = [self.asked[number].choices for number in numbers]
        best_points, worse_points = points[:good], points[good : good + bad]
        width = bandwidths(best_points, (k - 1) / k if self.normalised else math.inf)
        places = [self.draws.below(good) for _ in range(self.samples)]
        kept = [[self.draws.uniform() for _ in range(n)] for _ in range(self.samples)]
        choices = [[self.draws.below(k) for _ in range(n)] for _ in range(self.samples)]
        best, best_ratio = uniform, math.inf
        for sample, place in enumerate(places):
            candidate = tuple(
                best_points[place][d] if kept[sample][d] < 1 - width[d] else choices[sample][d]
                for d in range(n)
            )
            among_best = self.density(best_points, candidate, k)
            # HpBandSter's own two maxima, whose order says what becomes of NaN.
            ratio = max(1e-32, self.density(worse_points, candidate, k)) / max(among_best, 1e-32)
            if not math.isfinite(ratio) and math.isfinite(among_best):
                best = candidate
                break
            if ratio < best_ratio:
                best, best_ratio = candidate, ratio
        return uniform if self.draws.uniform() < self.random_fraction else best

    def density(self, points: list[Plain], at: Plain, k: int) -> float:
        widths = bandwidths(points, (k - 1) / k if self.normalised else math.inf)
        total = 0.0
        for point in points:
            kernel = 1.0
            for d, width in enumerate(widths):
                levels = k if self.normalised else len({one[d] for one in points})
                other = width / (levels - 1) if levels > 1 else math.inf
                kernel *= 1 - width if at[d] == point[d] else other
            total += kernel
        return total / len(points)


class PlainBohbHalfRandom(PlainBohb):
    samples, random_fraction = 3, 0.5


class PlainBohbNormalised(PlainBohb):
    normalised = True


def bandwidths(points: list[Plain], most: float) -> list[float]:
    n, count = len(points[0]), len(points)
    widths = []
    for d in range(n):
        values = [point[d] for point in points]
        total, squares = sum(values), sum(value * value for value in values)
        std = math.sqrt(count * squares - total * total) / count
        widths.append(min(max(0.3, 1.06 * std * count ** (-1 / (4 + n))), most))
    return widths


class PlainAsha:
    """The paper's algorithm 2: get_job() looks at every rung anew."""

    def __init__(self, space: ArchitectureSpace, draws: Draws) -> None:
        self.space, self.draws = space, draws
        self.asked: list[Asked] = []
        self.result: dict[int, float] = {}
        self.promoted: set[int] = set()

    def ask(self) -> Asked:
        uniform = self.draws.architecture(self.space)
        self.asked.append(self.promotable() or Asked(uniform, 0, -1))
        return self.asked[-1]

    def promotable(self) -> Asked | None:
        for rung in (1, 0):
            done = [number for number in self.result if self.asked[number].rung == rung]
            done.sort(key=lambda number: (-self.result[number], number))
            for number in done[: len(done) // 3]:
                if number not in self.promoted:
                    self.promoted.add(number)
                    return Asked(self.asked[number].choices, rung + 1, number)
        return None

    def tell(self, number: int, accuracy: float) -> None:
        self.result[number] = accuracy


SUCCESSIVE_HALVING = [[(0, 9), (1, 3), (2, 1)]]
HYPERBAND = [[(0, 9), (1, 3), (2, 1)], [(1, 5), (2, 1)], [(2, 3)]]
BOHB = [[(0, 9), (1, 3), (2, 1)], [(1, 3), (2, 1)], [(2, 3)]]
PLAIN: dict[str, Callable[[ArchitectureSpace, Draws], Any]] = {
    "successive-halving": functools.partial(PlainHalving, brackets=SUCCESSIVE_HALVING),
    "hyperband": functools.partial(PlainHalving, brackets=HYPERBAND),
    "bohb": functools.partial(PlainBohb, brackets=BOHB),
    "bohb half random": functools.partial(PlainBohbHalfRandom, brackets=BOHB),
    "bohb normalised": functools.partial(PlainBohbNormalised, brackets=BOHB),
    "asha": PlainAsha,
}


# ── every agent ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.one_in(5)
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("name", ["tss", "sss"])
@pytest.mark.parametrize("agent", AGENTS)
def test_every_run_equals_the_plain_reference(agent: str, name: str, workers: int) -> None:
    space, figures, seeds = get_space(name), scores(name), run_seeds(0, RUNS)
    played = play(make(agent, space, seeds), space, seeds, figures, workers)
    if workers > 1:
        assert len({tuple(order) for order in played.answered}) == RUNS
        assert any(order != sorted(order) for order in played.answered)
    for run, seed in enumerate(seeds):
        plain = PLAIN[agent](space, Draws(seed))
        answers = iter(played.answered[run])
        number = 0
        for event in played.events:
            if event == "ask":
                assert plain.ask() == played.asked[run][number], (run, number)
                number += 1
            else:
                answer = next(answers)
                choices, rung, _ = played.asked[run][answer]
                plain.tell(answer, float(figures[rung, space.index_of(choices)]))
        assert number == EVALUATIONS


@pytest.mark.one_in(4)
@pytest.mark.parametrize("agent", AGENTS)
def test_run_17_alone_equals_run_17_of_40(agent: str) -> None:
    space, figures, seeds = get_space("tss"), scores("tss"), run_seeds(3, 40)
    together = play(make(agent, space, seeds), space, seeds, figures, workers=3)
    alone = play(make(agent, space, seeds[17:18]), space, seeds[17:18], figures, workers=3)
    assert alone.asked[0] == together.asked[17]
    assert alone.events == together.events


@pytest.mark.one_in(5)
@pytest.mark.parametrize("workers", [1, 5])
@pytest.mark.parametrize("rungs", [2, 3, 4])
@pytest.mark.parametrize("agent", AGENTS)
def test_only_answered_evaluations_go_on_one_rung_up_and_once(
    agent: str, rungs: int, workers: int
) -> None:
    space, figures, seeds = get_space("sss"), scores("sss"), run_seeds(1, 3)
    played = play(make(agent, space, seeds, rungs), space, seeds, figures, workers)
    for run in range(len(seeds)):
        asked, answers = iter(enumerate(played.asked[run])), iter(played.answered[run])
        answered, promoted = set(), []
        for event in played.events:
            if event == "tell":
                answered.add(next(answers))
                continue
            number, (choices, rung, continues) = next(asked)
            assert 0 <= rung < rungs
            if continues >= 0:
                before = played.asked[run][continues]
                assert continues in answered
                assert continues < number
                assert (before.choices, before.rung) == (choices, rung - 1)
                promoted.append(continues)
        assert promoted
        assert len(set(promoted)) == len(promoted)
        assert {one.rung for one in played.asked[run]} == set(range(rungs))


@pytest.mark.parametrize("agent", SYNCHRONOUS)
def test_a_rung_waits_for_its_last_result(agent: str) -> None:
    space, seeds = get_space("tss"), run_seeds(0, 2)
    player = make(agent, space, seeds)
    for _ in range(9):
        assert player.ask() is not None
    for number in range(9):
        assert player.ask() is None
        player.tell(Outcome(np.zeros(2), np.ones(2)), np.full(2, number))
    assert player.ask().rung.tolist() == [1, 1]


@pytest.mark.parametrize("agent", AGENTS)
def test_what_the_agents_say_of_themselves(agent: str) -> None:
    player = make(agent, get_space("tss"), [1])
    assert player.continuing == ("scratch" if isinstance(player, Bohb) else "difference")


@pytest.mark.parametrize("wrong", [1, 0, -3, 2.0, True, "3", None])
@pytest.mark.parametrize("option", ["rungs", "eta"])
@pytest.mark.parametrize("agent", [SuccessiveHalving, Hyperband, Bohb, Asha])
def test_bad_rungs_and_eta_are_refused(agent: Any, option: str, wrong: Any) -> None:
    arguments = {"rungs": 3, "eta": 3, option: wrong}
    with pytest.raises(
        InvalidInput, match=f"^{option} is an integer from 2 to 1,000[,0]*, got {wrong!r}$"
    ):
        agent(get_space("tss"), RunStreams(run_keys([1])), **arguments)


@pytest.mark.parametrize("name", ["tss", "sss"])
def test_a_model_comes_with_the_results_that_it_takes(name: str) -> None:
    space, seeds = get_space(name), [3]
    player = make("bohb", space, seeds)
    least = Bohb.results_for_model(space)
    assert good_and_bad(least, space.num_decisions)[1]
    assert not good_and_bad(least - 1, space.num_decisions)[1]
    for number in itertools.count():
        player.ask()
        assert player._model is None
        player.tell(Outcome(np.array([float(number)]), np.ones(1)), np.array([number]))
        if player._model is not None:
            break
    assert max(map(len, player._numbers)) == least


def test_bad_options_of_bohb_are_refused() -> None:
    space, streams = get_space("tss"), RunStreams(run_keys([1]))
    with pytest.raises(InvalidInput, match="samples is an integer from 1 to 1,000,000, got 0"):
        Bohb(space, streams, 3, samples=0)
    for wrong in (-0.1, 1.5, math.nan, True, "1/3", None):
        with pytest.raises(InvalidInput, match="random_fraction is a number from 0 to 1"):
            Bohb(space, streams, 3, random_fraction=wrong)  # type: ignore[arg-type]


# ── brackets ─────────────────────────────────────────────────────────────────────────────────


def test_brackets_by_hand() -> None:
    assert hyperband.brackets(3, 3) == [(0, (9, 3, 1)), (1, (5, 1)), (2, (3,))]
    assert bohb.brackets(3, 3) == [(0, (9, 3, 1)), (1, (3, 1)), (2, (3,))]
    # The table of Li et al. for R = 81, η = 3.
    assert [tuple(bracket.sizes) for bracket in hyperband.brackets(5, 3)] == [
        (81, 27, 9, 3, 1),
        (34, 11, 3, 1),
        (15, 5, 1),
        (8, 2),
        (5,),
    ]
    assert bohb.brackets(2, 3) == [(0, (3, 1)), (1, (2,))]
    assert bohb.brackets(4, 2) == [(0, (8, 4, 2, 1)), (1, (4, 2, 1)), (2, (4, 2)), (3, (4,))]


def test_successive_halving_by_hand() -> None:
    space, seeds = get_space("sss"), [5]
    figures = np.stack([space.all_choices().sum(axis=1).astype(float)] * 2)
    played = play(SuccessiveHalving(space, RunStreams(run_keys(seeds)), 2, eta=4), space, seeds,
                  figures)  # fmt: skip
    for start in range(0, 120, 5):
        *first, last = played.asked[0][start : start + 5]
        assert [one.rung for one in first] == [0] * 4
        assert last.rung == 1
        sums = [sum(one.choices) for one in first]
        assert last.continues == start + sums.index(max(sums))


def test_asha_promotes_when_a_third_is_in() -> None:
    space, seeds = get_space("tss"), [5]
    player = make("asha", space, seeds)
    figures = iter([50.0, 70.0, 60.0, 80.0, 10.0, 20.0, 30.0, 90.0])
    asked = []
    for number in range(8):
        question = player.ask()
        asked.append((int(question.rung[0]), int(question.continues[0])))
        player.tell(Outcome(np.array([next(figures)]), np.ones(1)), np.array([number]))
    # Of three results the best is promoted, number 1; of six the second best too, number 2.
    assert asked == [(0, -1)] * 3 + [(1, 1)] + [(0, -1)] * 3 + [(1, 2)]


# ── the model of BOHB ────────────────────────────────────────────────────────────────────────


def test_a_normalised_density_equals_the_formula_and_sums_to_one() -> None:
    rng = np.random.default_rng(0)
    space = get_space("tss")
    points = rng.integers(5, size=(9, 2, 6)).astype(np.int8)
    points[:, 0, 2] = 3  # std 0: the least bandwidth
    model = Density(points, 5, normalised=True)
    everything = np.stack([space.all_choices()] * 2)
    found = model(everything)
    assert found.shape == (2, space.size)
    assert found.sum(axis=1) == pytest.approx([1, 1], abs=1e-9)
    assert model.bandwidth[0, 2] == 0.3
    for run in range(2):
        std = points[:, run].std(axis=0)
        width = np.minimum(np.maximum(1.06 * std * 9 ** (-1 / 10), 0.3), 0.8)
        assert model.bandwidth[run] == pytest.approx(width)
        for index in range(0, space.size, 311):
            same = points[:, run] == space.choices(index)
            kernels = np.where(same, 1 - width, width / 4).prod(axis=1)
            assert found[run, index] == pytest.approx(kernels.mean())


@pytest.mark.filterwarnings("ignore:After 0.17:FutureWarning")  # of its own random numbers
@pytest.mark.parametrize(("choices", "n", "count"), [(5, 6, 7), (5, 6, 40), (8, 5, 6), (8, 5, 60)])
def test_the_default_density_is_statsmodels(choices: int, n: int, count: int) -> None:
    kernel_density = pytest.importorskip("statsmodels.nonparametric.kernel_density")
    rng = np.random.default_rng([choices, count])
    points = rng.integers(choices, size=(count, 3, n)).astype(np.int8)
    points[:, 0, 2] = 3  # one level alone: anything else is infinitely dense
    points[:, 1, 1] %= 2
    at = rng.integers(choices, size=(3, 50, n))
    at[0, ::2, 2] = 3
    found = Density(points, choices)(at)
    for run in range(3):
        theirs = kernel_density.KDEMultivariate(points[:, run], "u" * n, bw="normal_reference")
        theirs.bw = np.maximum(theirs.bw, 0.3)
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = [theirs.pdf(one) for one in at[run]]
        np.testing.assert_allclose(found[run], expected, rtol=1e-9)
    assert not np.isfinite(found[0]).all()
    assert np.isfinite(found[2]).all()


def test_which_candidate_is_taken_by_hand() -> None:
    inf, nan = math.inf, math.nan
    good = [[0.1, 0.4, 0.2], [0.1, inf, 0.2], [0.1, nan, 0.2], [-0.5, 0.2, 0.1], [inf, nan, nan]]
    bad = [[0.2, 0.2, 0.1], [0.1, 0.1, 0.1], [0.3, 0.3, inf], [0.1, -0.2, 0.4], [inf, 1.0, inf]]
    # By the least ratio; infinitely good; unknown to the bad ones alone; below nothing; none.
    assert choose_candidate(np.array(good), np.array(bad)).tolist() == [1, 1, 2, 1, -1]


def test_spread_points_of_the_size_space_give_the_uniform_density() -> None:
    points = np.stack([np.arange(8, dtype=np.int8)] * 5, axis=1)[:, None]  # (8, 1, 5)
    model = Density(points, 8, normalised=True)
    assert model.bandwidth.tolist() == [[7 / 8] * 5]
    assert model(np.zeros((1, 1, 5), np.int64)) == pytest.approx(8**-5.0)


def test_candidates_keep_a_decision_as_often_as_its_bandwidth_says() -> None:
    point = np.full((1, 4, 6), 2, np.int8)
    drawn = Density(point, 5).sample(RunStreams(run_keys(run_seeds(0, 4))), 4000)
    assert drawn.shape == (4, 4000, 6)
    kept = (drawn == 2).mean()
    assert kept == pytest.approx(0.7 + 0.3 / 5, abs=0.005)  # 96,000 draws: σ = 0.0014
    others = (np.bincount(drawn.ravel()) / drawn.size)[[0, 1, 3, 4]]
    assert others == pytest.approx([0.3 / 5] * 4, abs=0.004)


def test_good_and_bad_points_of_hpbandster() -> None:
    # n + 1 each at least; beyond, 15 and 85 percent, each rounded down.
    assert good_and_bad(13, 6)[1] == 0
    assert good_and_bad(14, 6) == (7, 7)
    assert good_and_bad(20, 6) == (7, 13)
    assert good_and_bad(53, 6) == (7, 45)
    assert good_and_bad(100, 6) == (15, 85)
    assert good_and_bad(12, 5) == (6, 6)


@pytest.mark.parametrize(("name", "gain"), [("bohb", 0.1), ("bohb normalised", 1.0)])
def test_bohb_learns_what_is_good(name: str, gain: float) -> None:
    space, seeds = get_space("tss"), run_seeds(0, 30)
    worth = np.random.default_rng(1).random((6, 5))
    additive = worth[np.arange(6), space.all_choices()].sum(axis=1)
    figures = np.stack([additive] * 3)
    played = play(make(name, space, seeds), space, seeds, figures, evaluations=200)
    new = [
        [additive[space.index_of(one.choices)] for one in run if one.continues < 0]
        for run in played.asked
    ]
    early, late = np.mean([run[:14] for run in new]), np.mean([run[-40:] for run in new])
    assert early == pytest.approx(additive.mean(), abs=0.1)
    assert late > early + gain * additive.std()
