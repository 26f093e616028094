"""Statistics of a study, against SciPy, scikit-posthocs, rliable, closed forms and plain loops."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

import nats_gym
from nats_gym.errors import InvalidInput
from nats_gym.results.files import RECORDED
from nats_gym.results.plots import values_at
from nats_gym.results.result import SearchResult
from nats_gym.study.comparison import common_labels, final_regrets, regret_blocks, tasks_of
from nats_gym.study.curves import (
    anytime_regret,
    common_start,
    regret_at,
    regret_curve,
    relative_regret,
)
from nats_gym.study.statistics import (
    area_under_curve,
    average_ranks,
    friedman_nemenyi,
    improvement_interval,
    iqm,
    iqm_interval,
    mean_interval,
    nemenyi_p_values,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    profile_interval,
    sample_efficiency,
)


def scores(seed: int, runs: int = 60, tasks: int = 3) -> np.ndarray:
    """Scores with ties, as a table of 15,625 architectures gives them."""
    random = np.random.default_rng(seed)
    return np.round(random.normal(0.6 + 0.02 * seed, 0.2, size=(runs, tasks)), 1)


@pytest.fixture(scope="module")
def result() -> SearchResult:
    return nats_gym.search("tss", "cifar10", "random", epochs=12, budget=4000, runs=20, seed=3)


# ── aggregates ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("runs", [1, 2, 3, 4, 5, 17, 60])
def test_the_iqm_is_scipys_trimmed_mean(runs: int) -> None:
    for seed in range(4):
        given = scores(seed, runs)
        assert iqm(given) == pytest.approx(stats.trim_mean(given, 0.25, axis=None))
        assert iqm(given[:, 0]) == pytest.approx(stats.trim_mean(given[:, 0], 0.25))


@pytest.mark.parametrize(("runs_x", "runs_y"), [(60, 60), (1, 7), (23, 5)])
def test_the_probability_of_improvement_is_scipys_u(runs_x: int, runs_y: int) -> None:
    x, y = scores(0, runs_x), scores(3, runs_y)
    expected = [
        stats.mannwhitneyu(x[:, task], y[:, task]).statistic / (runs_x * runs_y)
        for task in range(3)
    ]
    assert probability_of_improvement(x, y) == pytest.approx(np.mean(expected))
    assert probability_of_improvement(x[:, 0], y[:, 0]) == pytest.approx(expected[0])
    reverse = probability_of_improvement(y, x)
    assert probability_of_improvement(x, y) + reverse == pytest.approx(1)
    assert probability_of_improvement(x, x) == pytest.approx(0.5)


def test_aggregates_are_rliables() -> None:
    metrics = pytest.importorskip("rliable.metrics", exc_type=ImportError)
    for seed in range(5):
        x, y = scores(seed), scores(seed + 1, runs=40)
        assert iqm(x) == pytest.approx(metrics.aggregate_iqm(x))
        assert optimality_gap(x) == pytest.approx(metrics.aggregate_optimality_gap(x))
        gap = metrics.aggregate_optimality_gap(x, 0.5)
        assert optimality_gap(x, target=0.5) == pytest.approx(gap)
        expected = metrics.probability_of_improvement(x, y)
        assert probability_of_improvement(x, y) == pytest.approx(expected)


def test_profiles_are_rliables() -> None:
    library = pytest.importorskip("rliable.library", exc_type=ImportError)
    thresholds = np.array([-0.1, 0.2, 0.5, 0.6, 0.95, 1.4])
    for seed in range(5):
        expected = library.score_distributions(scores(seed), thresholds)
        assert performance_profile(scores(seed), thresholds) == pytest.approx(expected)


@pytest.mark.slow
def test_intervals_are_rliables_but_for_the_draws() -> None:
    """Both draw at random: their ends agree to a fraction of the interval's width."""
    metrics = pytest.importorskip("rliable.metrics", exc_type=ImportError)
    library = pytest.importorskip("rliable.library", exc_type=ImportError)
    x, y = scores(0, runs=25), scores(2, runs=25)
    np.random.seed(1)  # noqa: NPY002 - rliable draws from numpy's global generator
    for ours, theirs in (
        (iqm_interval(x), lambda s: np.array([metrics.aggregate_iqm(s)])),
        (profile_interval(x, [0.7]), lambda s: library.score_distributions(s, np.array([0.7]))),
    ):
        _, intervals = library.get_interval_estimates({"x": x}, theirs, reps=2000)
        low, high = np.ravel(intervals["x"])
        assert np.ravel(ours.low)[0] == pytest.approx(low, abs=0.08 * (high - low))
        assert np.ravel(ours.high)[0] == pytest.approx(high, abs=0.08 * (high - low))
    _, intervals = library.get_interval_estimates(
        {"x,y": (x, y)},
        lambda a, b: np.array([metrics.probability_of_improvement(a, b)]),
        reps=1000,
    )
    low, high = np.ravel(intervals["x,y"])
    interval = improvement_interval(x, y)
    assert interval.low == pytest.approx(low, abs=0.1 * (high - low))
    assert interval.high == pytest.approx(high, abs=0.1 * (high - low))


def test_aggregates_by_hand() -> None:
    given = [[0.2, 0.4], [0.6, 1.5]]
    assert iqm(given) == pytest.approx(0.5)  # of 0.2 0.4 0.6 1.5 the middle two
    assert optimality_gap(given) == pytest.approx(1 - (0.2 + 0.4 + 0.6 + 1.0) / 4)
    assert performance_profile(given, [0.1, 0.2, 0.5, 1.5]).tolist() == [1, 0.75, 0.5, 0]
    # 3 beats 1 and 2 and ties with 3; 2 beats 1 and ties with 2.
    assert probability_of_improvement([3, 2], [1, 2, 3]) == pytest.approx((2.5 + 1.5) / 6)


# ── bootstrap ────────────────────────────────────────────────────────────────────────────────


def test_the_interval_of_a_mean_is_the_normal_ones_and_the_seeds() -> None:
    values = np.random.default_rng(0).normal(3, 2, size=(400, 5))
    interval = mean_interval(values, resamples=8000)
    half = 1.96 * values.std(axis=0) / np.sqrt(400)
    assert interval.estimate == pytest.approx(values.mean(axis=0))
    assert interval.low == pytest.approx(values.mean(axis=0) - half, abs=0.1 * half.max())
    assert interval.high == pytest.approx(values.mean(axis=0) + half, abs=0.1 * half.max())
    again, other = mean_interval(values, resamples=8000), mean_interval(values, seed=1)
    assert (again.low == interval.low).all()
    assert (other.low != interval.low).all()
    narrow = mean_interval(values, confidence=0.5)
    assert (narrow.low > interval.low).all()
    assert (narrow.high < interval.high).all()
    alone = mean_interval(values[:, 2], resamples=8000)
    assert alone == pytest.approx((interval.estimate[2], interval.low[2], interval.high[2]))


def test_intervals_equal_a_plain_loop_over_the_same_draws() -> None:
    x, y = scores(0, runs=9), scores(1, runs=6)
    random = np.random.default_rng(5)
    drawn = random.integers(9, size=(300, 9, 3))
    resampled = np.stack([[x[r[:, t], t] for t in range(3)] for r in drawn]).transpose(0, 2, 1)
    found = iqm_interval(x, resamples=300, seed=5)
    expected = np.quantile([iqm(sample) for sample in resampled], (0.025, 0.975))
    assert (found.estimate, found.low, found.high) == pytest.approx((iqm(x), *expected))
    thresholds = np.linspace(0, 1.2, 30)
    profile = profile_interval(x, thresholds, resamples=300, seed=5)
    profiles = [performance_profile(sample, thresholds) for sample in resampled]
    assert profile.low == pytest.approx(np.quantile(profiles, 0.025, axis=0))
    assert profile.high == pytest.approx(np.quantile(profiles, 0.975, axis=0))

    shares = np.zeros(300)
    for task, seeds in enumerate(np.random.SeedSequence(5).spawn(3)):
        own, others = (np.random.default_rng(child) for child in seeds.spawn(2))
        pairs = zip(
            own.integers(9, size=(300, 9, 1))[..., 0],
            others.integers(6, size=(300, 6, 1))[..., 0],
            strict=True,
        )
        first, second = x[:, task], np.sort(y[:, task])
        shares += [probability_of_improvement(first[a], second[b]) / 3 for a, b in pairs]
    found = improvement_interval(x, y, resamples=300, seed=5)
    expected = np.quantile(shares, (0.025, 0.975))
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert found.estimate == probability_of_improvement(x, y)


def test_portions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = scores(0), scores(1, runs=31)
    whole = mean_interval(x), iqm_interval(x), improvement_interval(x, y)
    monkeypatch.setattr("nats_gym.study.statistics.MAX_DRAWN", 12_345)
    parts = mean_interval(x), iqm_interval(x), improvement_interval(x, y)
    for one, other in zip(whole, parts, strict=True):
        assert np.array(one) == pytest.approx(np.array(other))


def test_a_point_without_a_value_in_some_run_has_no_mean() -> None:
    values = np.array([[np.nan, 1.0, 3.0], [2.0, 2.0, 3.0]])
    for part in mean_interval(values):
        assert np.isnan(part).tolist() == [True, False, False]
        assert part[2] == 3
    assert np.isnan(mean_interval([np.nan, 1.0])).all()


def test_runs_that_agree_have_intervals_of_no_width() -> None:
    assert iqm_interval([0.5] * 8) == (0.5, 0.5, 0.5)
    assert improvement_interval([1.0] * 4, [0.0] * 5) == (1, 1, 1)
    assert mean_interval([2.0]) == (2, 2, 2)


# ── ranks ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("agents", [3, 5, 12])
def test_friedmans_test_is_scipys_and_nemenyis_is_scikit_posthocs(agents: int) -> None:
    table = np.round(np.random.default_rng(agents).normal(size=(30, agents)), 1)
    table[:, 0] += 1.0
    given = {f"agent {number}": column for number, column in enumerate(table.T)}
    found = friedman_nemenyi(given)
    expected = stats.friedmanchisquare(*table.T)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)
    ranks = stats.rankdata(-table, axis=1).mean(axis=0)
    assert list(found.average_ranks.values()) == pytest.approx(ranks)
    assert found.average_ranks == average_ranks(given)

    pytest.importorskip("scikit_posthocs")
    import scikit_posthocs

    p_values = nemenyi_p_values(given)
    assert p_values == pytest.approx(scikit_posthocs.posthoc_nemenyi_friedman(table).to_numpy())
    apart = np.abs(ranks[:, None] - ranks) > found.critical_difference
    assert (apart == (p_values < 0.05)).all()


def test_critical_differences_are_demsars() -> None:
    """Table 5(a) of the paper and its worked example: k = 4, N = 14, CD = 1.25."""
    quantiles = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 10: 3.164}
    for agents, quantile in quantiles.items():
        table = np.random.default_rng(0).normal(size=(14, agents))
        found = friedman_nemenyi(dict(zip("abcdefghij", table.T, strict=False)))
        expected = quantile * np.sqrt(agents * (agents + 1) / (6 * 14))
        assert found.critical_difference == pytest.approx(expected, abs=1e-3)
        if agents == 4:
            assert found.critical_difference == pytest.approx(1.25, abs=0.005)


def test_groups_are_the_largest_that_do_not_differ() -> None:
    blocks = np.arange(40)
    noise = np.random.default_rng(1).normal(size=(40, 4)) * (1.0, 1.0, 1.0, 0.01)
    agents = dict(
        zip(("b", "c", "a", "last"), noise.T + np.array([[0.3], [0.0], [0.6], [-9.0]]), strict=True)
    )
    found = friedman_nemenyi(agents)
    ranks, difference = found.average_ranks, found.critical_difference
    assert ranks["last"] == 4
    labels = sorted(ranks, key=ranks.get)
    runs = [tuple(labels[i:j]) for i in range(4) for j in range(i + 2, 5)]
    alike = [g for g in runs if ranks[g[-1]] - ranks[g[0]] <= difference]
    largest = [g for g in alike if not any(set(g) < set(other) for other in alike)]
    assert found.groups == largest
    assert not any("last" in group for group in found.groups)
    same = friedman_nemenyi(dict.fromkeys("xyz", blocks))
    assert (same.statistic, same.p_value, same.groups) == (0, 1, [("x", "y", "z")])


def test_ranks_by_hand() -> None:
    ranks = average_ranks({"a": [3, 2, 2], "b": [1, 2, 5], "c": [2, 2, 1]})
    assert ranks == pytest.approx({"a": 5 / 3, "b": 2, "c": 7 / 3})


# ── any-time ─────────────────────────────────────────────────────────────────────────────────


def test_areas_in_closed_form() -> None:
    values = [[8.0, 4.0, 2.0], [6.0, np.nan, np.nan], [1.0, 3.0, 9.0]]
    clock = [[1.0, 10.0, 100.0], [10.0, np.nan, np.nan], [0.5, 1.0, 5000.0]]
    log = area_under_curve(values, clock, 1, 1000)
    assert log == pytest.approx([14 / 3, np.nan, 3.0], nan_ok=True)
    linear = area_under_curve(values, clock, 1, 1000, scale="linear")
    expected = (8 * 9 + 4 * 90 + 2 * 900) / 999
    assert linear == pytest.approx([expected, np.nan, 3.0], nan_ok=True)
    assert area_under_curve(values, clock, 10, 1000) == pytest.approx([3.0, 6.0, 3.0])
    for start, end in ((0, 10), (10, 10), (10, 5), (1, np.inf), (np.nan, 3)):
        with pytest.raises(InvalidInput, match=r"above 0 to a later one|positive|finite"):
            area_under_curve(values, clock, start, end)
    with pytest.raises(InvalidInput, match=r"'lin'; allowed: log, linear\..*mean 'linear'"):
        area_under_curve(values, clock, 1, 10, scale="lin")


def test_sample_efficiency_by_hand() -> None:
    regret = [[3.0, 1.0, 2.0, 0.5], [3.0, 2.5, np.nan, np.nan], [1.0, 4.0, np.nan, np.nan]]
    clock = [[10.0, 20.0, 30.0, 40.0], [11.0, 21.0, np.nan, np.nan], [12.0, 22.0, np.nan, np.nan]]
    spent = sample_efficiency(regret, clock, 1.0)
    assert spent.evaluations.tolist() == [2, np.inf, 1]
    assert spent.seconds.tolist() == [20, np.inf, 12]
    assert spent.share == pytest.approx(2 / 3)


# ── curves ───────────────────────────────────────────────────────────────────────────────────


def test_regret_at_any_time_is_what_a_plain_loop_finds(result: SearchResult) -> None:
    mean = result.table.mean_accuracy("valid")
    ended = result.clock[4, 3]
    times = [900.0, 10.0, ended, np.nextafter(ended, 0), 1e9, 4000.0, ended]  # in no order
    found = regret_at(result, times)
    for run in range(result.runs):
        for column, time in enumerate(times):
            best, answer = -np.inf, None
            for number in range(result.evaluations[run]):
                if result.clock[run, number] <= time and result.accuracy[run, number] > best:
                    best, answer = result.accuracy[run, number], result.index[run, number]
            expected = np.nan if answer is None else mean.max() - mean[answer]
            assert found[run, column] == pytest.approx(expected, nan_ok=True)
    assert np.isnan(found[:, 1]).all()
    assert found[:, 4] == pytest.approx(result.regret())


def test_the_regret_curve_by_hand(result: SearchResult) -> None:
    """Observations choose; what they choose is judged by the table's means."""
    mean = result.table.mean_accuracy("valid")
    ascending = np.argsort(mean)
    best, good, bad = ascending[-1], ascending[-500], ascending[10]
    columns = {name: np.full((2, 4), padding) for name, padding in RECORDED.items()}
    columns["index"] = np.array([[bad, good, best, bad], [good, best, -1, -1]])
    columns["accuracy"] = np.array([[50.0, 60.0, 55.0, 61.0], [70.0, 71.0, np.nan, np.nan]])
    columns["clock"] = np.array([[10.0, 20.0, 30.0, 40.0], [15.0, 25.0, np.nan, np.nan]])
    made = dataclasses.replace(result, **columns)
    far, near = mean[best] - mean[bad], mean[best] - mean[good]
    expected = [[far, near, near, far], [near, 0, np.nan, np.nan]]
    assert regret_curve(made) == pytest.approx(np.array(expected), nan_ok=True)
    at = regret_at(made, [12, 25, 100])
    assert at == pytest.approx(np.array([[far, near, far], [np.nan, 0, 0]]), nan_ok=True)
    assert common_start([made]) == 15
    assert anytime_regret(made, 20, 40, "linear") == pytest.approx([near, near / 4])
    unit = mean[best] - np.median(mean)
    assert relative_regret(made) == pytest.approx([far / unit, 0])


def test_the_mean_regret_over_time_is_that_of_a_fine_grid(result: SearchResult) -> None:
    start, budget = common_start([result]), result.arguments["budget"]
    times = np.geomspace(start, budget, 40_001)[:-1]
    assert anytime_regret(result, start) == pytest.approx(
        regret_at(result, times).mean(axis=1), abs=2e-3
    )


def test_no_times_and_times_before_all_answers() -> None:
    clock = np.array([[1.0, 2.0]])
    assert values_at(clock, clock, np.array([])).shape == (1, 0)
    assert np.isnan(values_at(clock, clock, np.array([0.5]))).all()


# ── comparisons ──────────────────────────────────────────────────────────────────────────────


def test_tasks_and_the_agents_that_ran_on_all(result: SearchResult) -> None:
    class Study:
        def groups(self) -> dict[str, dict[str, SearchResult]]:
            return {"one": {"a": result, "b": result}, "two": {"b": result, "c": result}}

    assert tasks_of({"a": result}) == [{"a": result}]
    tasks = tasks_of(Study())
    assert tasks == tasks_of(Study().groups())
    assert common_labels(tasks) == ["b"]
    assert final_regrets(tasks)["b"].shape == (result.runs, 2)
    assert final_regrets(tasks)["b"][:, 1] == pytest.approx(relative_regret(result))
    assert final_regrets(tasks[:1])["a"][:, 0] == pytest.approx(result.regret())
    assert regret_blocks(tasks)["b"] == pytest.approx(np.tile(result.regret(), 2))
    for nothing in ({}, {"one": {}}):
        with pytest.raises(InvalidInput, match="one search at least"):
            tasks_of(nothing)
    with pytest.raises(InvalidInput, match="no agent ran on all of 2"):
        common_labels([{"a": result}, {"b": result}])
    with pytest.raises(InvalidInput, match="'a' is no SearchResult: 5"):
        tasks_of({"a": 5, "b": result})


def test_a_run_that_a_partial_table_cannot_judge_is_left_out(result: SearchResult) -> None:
    class Partial:
        """The table without what run 3 recommends."""

        def mean_accuracy(self, split: str) -> np.ndarray:
            mean = result.table.mean_accuracy(split).copy()
            mean[result.recommended[3]] = np.nan
            return mean

        def best(self, split: str) -> tuple[int, float]:
            return 0, float(np.nanmax(self.mean_accuracy(split)))

    partial = dataclasses.replace(result, table=Partial())
    judged = result.recommended != result.recommended[3]
    regrets = final_regrets([{"a": partial, "b": result}])
    assert len(regrets["a"]) == judged.sum()
    assert len(regrets["b"]) == result.runs
    assert regret_blocks([{"a": partial, "b": result}])["b"] == pytest.approx(
        result.regret()[judged]
    )


def test_numbers_of_runs_must_match_where_they_are_paired(result: SearchResult) -> None:
    half = {name: getattr(result, name)[:10] for name in RECORDED}
    fewer = dataclasses.replace(result, **half)
    with pytest.raises(InvalidInput, match="as many runs of every agent"):
        regret_blocks([{"a": result, "b": fewer}])
    with pytest.raises(InvalidInput, match=r"'a' has \[20, 10\] runs"):
        final_regrets([{"a": result}, {"a": fewer}])


# ── bad input ────────────────────────────────────────────────────────────────────────────────


def test_bad_scores_get_one_clear_error() -> None:
    for bad in ([], [[]], 3.0, [np.nan, 1.0], [[[1.0]]], [np.inf]):
        with pytest.raises(InvalidInput, match="finite numbers"):
            iqm(bad)
    with pytest.raises(InvalidInput, match="same tasks, got 2 and 1"):
        probability_of_improvement([[1.0, 2.0]], [1.0])
    for bad in ({"a": [1.0], "b": [1.0, 2.0]}, {"a": [[1.0]]}, {}, {"a": []}):
        with pytest.raises(InvalidInput, match="same blocks"):
            friedman_nemenyi(bad)
    with pytest.raises(InvalidInput, match="two agents at least"):
        friedman_nemenyi({"a": [1.0, 2.0]})
    with pytest.raises(InvalidInput, match="finite"):
        average_ranks({"a": [np.nan]})
    with pytest.raises(InvalidInput, match="alpha is a positive number below 1"):
        friedman_nemenyi({"a": [1.0], "b": [1.0]}, alpha=5)
    with pytest.raises(InvalidInput, match="confidence is a positive number below 1"):
        iqm_interval([1.0], confidence=95)
    with pytest.raises(InvalidInput, match="resamples is an integer from 1"):
        mean_interval([1.0], resamples=0)


def test_neither_scipy_nor_matplotlib_is_imported_with_the_module() -> None:
    code = (
        "import sys, nats_gym.study.statistics, nats_gym.study.curves;"
        "print([m for m in ('scipy', 'matplotlib', 'pandas', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
