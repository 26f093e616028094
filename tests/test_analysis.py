"""The analysis of spaces: against scipy, closed forms and plain loops."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from nats_gym.analysis import Analysis, analyse, landscape
from nats_gym.analysis.correlations import correlate, kendall, pearson, spearman, top
from nats_gym.analysis.landscape import (
    additive_autocorrelation,
    autocorrelation,
    climb,
    correlation_length,
    distance_to,
    neighbor_indices,
)
from nats_gym.analysis.report import markdown
from nats_gym.errors import CorruptTable, InvalidInput, MissingTable, NatsGymError, NotInTable
from nats_gym.spaces import ArchitectureSpace, Quantity, SizeSpace, TopologySpace, get_space
from nats_gym.tables import MEASURED, Column, load_table, write_table

Values = NDArray[np.float64]

TSS, SSS = TopologySpace(), SizeSpace()


def separable(space: ArchitectureSpace, seed: int = 0) -> Values:
    """Accuracies to which every decision adds its share."""
    shares = np.random.default_rng(seed).uniform(0, 10, (space.num_decisions, space.num_choices))
    return shares[np.arange(space.num_decisions), space.all_choices()].sum(axis=1)


def table_of(
    folder: Path,
    accuracy: Values,
    *others: tuple[Column, Values],
    epochs: int = 200,
    trials: tuple[int, ...] = (),
) -> Path:
    """A measured topology table on CIFAR-10."""
    column = Column("accuracy", MEASURED, "a test", "none", split="valid", epochs=epochs)
    column = Column(**{**column.__dict__, "trials": trials})
    write_table(folder, "tss", "cifar10", [(column, accuracy), *others])
    return folder


# ── rank correlations ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [2, 3, 7, 64])
@pytest.mark.parametrize("levels", [2, 10, 10**6])
def test_rank_correlations_equal_a_count_of_all_pairs(size: int, levels: int) -> None:
    rng = np.random.default_rng([size, levels])
    for _ in range(5):
        x = rng.integers(0, levels, size).astype(float)
        y = np.round(x * rng.choice([-1, 1]) + rng.normal(0, levels / 3, size))
        if not (np.ptp(x) and np.ptp(y)):
            assert math.isnan(kendall(x, y))
            assert math.isnan(spearman(x, y))
            continue
        signs_x, signs_y = (np.sign(v[:, None] - v)[np.triu_indices(size, 1)] for v in (x, y))
        untied = np.abs(signs_x).sum() * np.abs(signs_y).sum()
        assert kendall(x, y) == pytest.approx((signs_x * signs_y).sum() / math.sqrt(untied))
        ranks = [[np.sum(v < one) + np.sum(v == one) / 2 for one in v] for v in (x, y)]
        assert spearman(x, y) == pytest.approx(np.corrcoef(ranks)[0, 1])


@pytest.mark.parametrize("correlation", [kendall, spearman, pearson])
def test_what_is_missing_or_alone_has_no_correlation(
    correlation: Callable[..., float],
) -> None:
    assert math.isnan(correlation([], []))
    assert math.isnan(correlation([1.0], [2.0]))
    assert math.isnan(correlation([1.0, 2.0, math.nan], [1.0, 2.0, 3.0]))
    assert math.isnan(correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]))
    with pytest.raises(InvalidInput, match=r"two samples .* got \(2,\) and \(3,\)"):
        correlation([1.0, 2.0], [1.0, 2.0, 3.0])


def test_the_top_does_not_depend_on_the_order() -> None:
    values = np.random.default_rng(3).integers(0, 8, 40).astype(float)
    least = sorted(values)[-4]
    order = np.random.default_rng(4).permutation(40)
    for some in (values, values[order]):
        assert sorted(some[top(some)]) == sorted(v for v in values if v >= least)
    assert top(np.empty(0)).tolist() == []


def test_rank_correlation_of_a_permutation_counted_by_hand() -> None:
    # 3 1 2 against 1 2 3: of three pairs one stands in the right order, (1, 2).
    assert kendall([1, 2, 3], [3, 1, 2]) == pytest.approx(-1 / 3)
    assert spearman([1, 2, 3], [3, 1, 2]) == pytest.approx(1 - 6 * 6 / (3 * 8))
    assert kendall([1, 2, 3, 4], [10, 20, 30, 40]) == 1
    assert kendall([1, 2, 3, 4], [4, 3, 2, 1]) == -1


def test_only_architectures_with_both_figures_count_and_the_best_are_the_firsts() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 200))
    x[:50], y[30:80] = np.nan, np.nan
    everyone, best = correlate(("x", "y"), x, y, MEASURED, ["a", "a"])
    assert (everyone.architectures, best.architectures) == (120, 12)
    assert everyone.kendall == pytest.approx(stats.kendalltau(x[80:], y[80:]).statistic)
    leaders = 80 + np.argsort(x[80:])[-12:]
    assert best.spearman == pytest.approx(stats.spearmanr(x[leaders], y[leaders]).statistic)
    assert everyone.checksums == ("a",)
    assert top(np.array([1.0, 3.0, 3.0, 2.0]), 0.5).tolist() == [1, 2]
    assert correlate(("x", "y"), x[:79], y[:79], MEASURED, ["a"]) == []


def test_noise_alone_puts_no_two_trials_at_odds() -> None:
    # Unrelated figures stay unrelated among the best by one of them, as they would not by the sum.
    x, y = np.random.default_rng(7).normal(size=(2, 20_000))
    _, best = correlate(("x", "y"), x, y, MEASURED, ["a"])
    assert (best.architectures, best.kendall) == (2000, pytest.approx(0, abs=0.05))


# ── landscapes ───────────────────────────────────────────────────────────────────────────────


def test_distance_counts_the_decisions_that_differ_from_the_nearest(
    space: ArchitectureSpace,
) -> None:
    choices = space.all_choices()
    chosen = np.random.default_rng(1).choice(space.size, 3, replace=False)
    targets = np.zeros(space.size, bool)
    targets[chosen] = True
    expected = np.min([(choices != choices[target]).sum(axis=1) for target in chosen], axis=0)
    assert np.array_equal(distance_to(targets, neighbor_indices(space)), expected)


def test_a_separable_landscape_has_one_peak_and_decays_as_its_graph_does(
    space: ArchitectureSpace,
) -> None:
    accuracy, neighbors = separable(space), neighbor_indices(space)
    climbs = climb(accuracy, neighbors)
    best = int(accuracy.argmax())
    assert set(climbs.end.tolist()) == {best}
    assert not climbs.plateau[best]
    # Every climb mends one decision a step: those in which it differs from the best.
    assert np.array_equal(climbs.steps, distance_to(accuracy == accuracy[best], neighbors))
    first = additive_autocorrelation(space)
    assert first == {"tss": 1 - 5 / 24, "sss": 1 - 8 / 35}[space.name]
    walk = autocorrelation(accuracy, neighbors, 6)
    assert walk == pytest.approx(first ** np.arange(7.0), abs=1e-9)
    assert correlation_length(first) == pytest.approx(-1 / math.log(first))


def test_accuracy_that_falls_with_distance_has_fitness_distance_correlation_minus_one(
    space: ArchitectureSpace,
) -> None:
    choices = space.all_choices()
    distance = (choices != choices[123]).sum(axis=1)
    accuracy = 90.0 - 5 * distance
    found = distance_to(accuracy == accuracy.max(), neighbor_indices(space))
    assert pearson(accuracy, found) == pytest.approx(-1)
    # A deceptive one: the best apart, everything else leads away from it.
    deceptive = np.where(distance == 0, 20.0, 10.0 + distance)
    found = distance_to(deceptive == 20, neighbor_indices(space))
    assert pearson(deceptive, found) > 0.9


def test_a_constant_landscape_is_all_plateau() -> None:
    neighbors = neighbor_indices(TSS)
    climbs = climb(np.full(TSS.size, 10.0), neighbors)
    assert np.array_equal(climbs.end, np.arange(TSS.size))
    assert climbs.plateau.all()
    assert not climbs.steps.any()
    assert np.isnan(autocorrelation(np.full(TSS.size, 10.0), neighbors, 3)).all()


def test_climbs_and_basins_equal_a_plain_loop() -> None:
    accuracy = np.round(np.random.default_rng(2).uniform(10, 90, TSS.size), 1)  # with ties
    value = dict(zip(map(tuple, TSS.all_choices().tolist()), accuracy.tolist(), strict=True))

    def step(cell: tuple[int, ...]) -> tuple[int, ...]:
        best = cell
        for edge in range(6):
            for operation in range(5):
                other = (*cell[:edge], operation, *cell[edge + 1 :])
                if value[other] > value[best]:
                    best = other
        return best

    climbs = climb(accuracy, neighbor_indices(TSS))
    for start in np.random.default_rng(3).choice(TSS.size, 200, replace=False):
        cell, steps = tuple(TSS.choices(start).tolist()), 0
        while (ahead := step(cell)) != cell:
            cell, steps = ahead, steps + 1
        assert (climbs.end[start], climbs.steps[start]) == (TSS.index(cell), steps)


def test_autocorrelation_equals_that_of_walks_taken() -> None:
    rng = np.random.default_rng(4)
    accuracy = separable(TSS) + rng.normal(0, 8, TSS.size)
    here = rng.integers(0, 5, (200_000, 6))
    seen = [accuracy[TSS.index(here)]]
    for _ in range(3):
        here[np.arange(len(here)), rng.integers(0, 6, len(here))] += rng.integers(1, 5, len(here))
        here %= 5
        seen.append(accuracy[TSS.index(here)])
    walked = [np.corrcoef(seen[0], later)[0, 1] for later in seen]
    assert autocorrelation(accuracy, neighbor_indices(TSS), 3) == pytest.approx(walked, abs=0.01)


def test_white_noise_is_as_rugged_as_can_be() -> None:
    accuracy = np.random.default_rng(5).uniform(0, 100, TSS.size)
    neighbors = neighbor_indices(TSS)
    assert autocorrelation(accuracy, neighbors, 1)[1] == pytest.approx(0, abs=0.01)
    # One of 25, the architecture and its neighbours, is the best of them.
    optima = len(np.unique(climb(accuracy, neighbors).end))
    assert optima == pytest.approx(TSS.size / 25, rel=0.1)


# ── whole analyses ───────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def topology() -> Analysis:
    return analyse("tss", "cifar10", "embedded")


def test_topology_as_its_columns_and_scipy_have_it(topology: Analysis) -> None:
    table = load_table("tss", "cifar10", "embedded")
    mean, trials = table.mean_accuracy(), table.accuracy().astype(float)
    assert (topology.provenance, topology.epochs) == (MEASURED, 200)
    first = topology.distributions[0]
    assert (first.name, first.architectures, first.best) == ("valid, 200 epochs", 15_625, 6111)
    assert first.quantiles[100] == pytest.approx(91.61, abs=0.005)  # as published
    assert first.quantiles[50] == pytest.approx(np.median(mean))
    assert sum(first.counts) == 15_625
    found = {(c.between, c.among): c for c in topology.costs + topology.datasets}
    flops = TSS.flops(TSS.all_choices(), "cifar10")
    costs = found[("accuracy", "FLOPs [M]"), "all"]
    assert costs.kendall == pytest.approx(stats.kendalltau(mean, flops).statistic)
    other = load_table("tss", "ImageNet16-120", "embedded")
    between = found[("cifar10 valid", "ImageNet16-120 valid"), "top 10 %"]
    best = mean >= np.sort(mean)[-1563]
    expected = stats.spearmanr(mean[best], other.mean_accuracy()[best]).statistic
    assert between.spearman == pytest.approx(expected)
    assert between.checksums == (table.checksum, other.checksum)
    assert [c.architectures for c in topology.trials[::2]] == [15_625, 8169, 8169]
    for leaders, least in zip(topology.trials[1::2], (1563, 817, 817), strict=True):
        assert least <= leaders.architectures < least + 20  # those that equal the last, too
    for c, (one, two) in zip(topology.trials[::2], combinations(range(3), 2), strict=True):
        both = ~np.isnan(trials[:, one] + trials[:, two])
        expected = stats.kendalltau(trials[both, one], trials[both, two]).statistic
        assert c.kendall == pytest.approx(expected)
    assert "7,456" in topology.left_out["neighbourhoods of trial 999"]
    everything = [*topology.costs, *topology.datasets, *topology.schedules, *topology.trials]
    others = ("cifar100 ", "ImageNet16-120 ")
    for c in everything:
        elsewhere = all(name.startswith(others) for name in c.between)
        assert elsewhere or table.checksum in c.checksums


def test_estimates_are_marked_as_such(topology: Analysis) -> None:
    # 200 epochs are measured, 12 are not: what takes both is not.
    assert {c.provenance for c in topology.schedules} == {"surrogate"}
    assert {c.provenance for c in topology.trials} == {"measured"}
    assert len(topology.notes) == 1
    short = analyse("tss", "cifar10", "embedded", epochs=12, samples=3)
    assert short.provenance == "surrogate"
    assert short.trials[0].between == ("draw 1", "draw 2")
    assert {c.provenance for c in short.trials + short.costs} == {"surrogate"}
    assert len(short.trials) == 3 * 2
    assert [n.of for n in short.neighborhoods] == ["mean", "draw 1", "draw 2", "draw 3"]
    assert len(short.notes) == 2


@pytest.mark.slow
def test_a_seed_gives_its_draws_again() -> None:
    first, again, other = (
        analyse("sss", "cifar100", "embedded", samples=2, seed=seed) for seed in (1, 1, 2)
    )
    assert first.to_json() == again.to_json()
    assert first.trials != other.trials
    assert first.costs == other.costs
    assert first.left_out["between data sets: cifar100 test"] == "one estimate serves both splits"
    assert first.left_out["between schedules"] == "the table holds 90 epochs only"


@pytest.mark.slow
def test_a_partial_table_is_analysed_as_far_as_it_goes(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    held = rng.choice(TSS.size, 300, replace=False)
    accuracy = np.full((TSS.size, 2), np.nan)
    accuracy[held] = separable(TSS)[held, None] + rng.normal(0, 3, (300, 2))
    found = analyse("tss", "cifar10", table_of(tmp_path / "table", accuracy, trials=(0, 1)))
    assert found.distributions[0].architectures == 300
    params = TSS.params(TSS.choices(held), "cifar10")
    mean = accuracy[held].mean(axis=1)
    assert found.costs[0].kendall == pytest.approx(stats.kendalltau(mean, params).statistic)
    assert [c.architectures for c in found.trials] == [300, 30]
    assert (found.datasets, found.schedules, found.neighborhoods) == ([], [], [])
    fitness = found.fitness_distance[0]
    distance = (TSS.choices(held) != TSS.choices(held[mean.argmax()])).sum(axis=1)
    assert fitness.pearson == pytest.approx(stats.pearsonr(mean, distance).statistic)
    assert sum(fitness.architectures) == 300
    assert "15,325 of 15,625" in found.left_out["neighbourhoods"]
    assert "300" in found.left_out["the optimum"]
    assert "latency" in found.left_out
    assert "of tss cifar10, asked for was" in found.left_out["between data sets: cifar100"]
    found.save(tmp_path / "out")
    files = {path.stem for path in (tmp_path / "out").glob("*.png")}
    assert files == {"cost", "distributions", "agreement", "fitness-distance"}
    page = (tmp_path / "out" / "analysis.md").read_text(encoding="utf-8")
    assert "300 of 15,625" in page
    assert "neighbourhoods: the table lacks" in page


@pytest.mark.parametrize("held", [1, 3])
def test_a_build_that_has_just_begun(held: int, tmp_path: Path) -> None:
    accuracy = np.full(SSS.size, np.nan)
    accuracy[:held] = 90 + np.arange(held)
    column = Column("accuracy", MEASURED, "a test", "none", split="valid", epochs=4)
    write_table(tmp_path / "table", "sss", "digits", [(column, accuracy)])
    out = tmp_path / "out" if held == 1 else None
    found = analyse("sss", "digits", tmp_path / "table", out)
    assert [d.architectures for d in found.distributions] == [held]
    # Widths 8:8:8:8:8, 8:8:8:8:16, …: more parameters, more accuracy.
    assert [c.kendall for c in found.costs] == ([] if held == 1 else [1.0, 1.0])
    assert found.fitness_distance[0].distances == ((0,) if held == 1 else (0, 1))
    assert (tmp_path / "out" / "cost.png").is_file() == (held == 1)


def test_cells_that_compute_the_same_as_the_best_are_as_near(tmp_path: Path) -> None:
    classes = TSS.isomorphism_class(TSS.all_choices())
    best = int(np.flatnonzero(classes == np.bincount(classes).argmax())[0])
    choices = TSS.all_choices()
    accuracy = 90.0 - (choices != choices[best]).sum(axis=1)
    found = analyse("tss", "cifar10", table_of(tmp_path / "table", accuracy))
    alone, with_same = found.fitness_distance
    assert (alone.targets, alone.pearson) == (1, pytest.approx(-1))
    assert with_same.targets == (classes == classes[best]).sum() > 1
    assert with_same.architectures[0] == with_same.targets
    assert found.left_out["between trials"] == "the table holds one trial"


@pytest.mark.slow
def test_a_table_without_any_variation_is_drawn_too(tmp_path: Path) -> None:
    found = analyse("tss", "cifar10", table_of(tmp_path / "table", np.full(TSS.size, 10.0)))
    assert math.isnan(found.costs[0].kendall)
    assert found.neighborhoods[0].plateaus == found.neighborhoods[0].local_optima == TSS.size
    assert found.neighborhoods[0].basin_of_best == 1
    found.save(tmp_path / "out")
    record = json.loads((tmp_path / "out" / "analysis.json").read_text(encoding="utf-8"))
    assert record["costs"][0]["kendall"] is None


def test_saved_files_are_whole_and_strict(topology: Analysis, tmp_path: Path) -> None:
    folder = topology.save(tmp_path / "a" / "b")
    names = ("agreement", "cost", "datasets", "distributions", "fitness-distance")
    figures = {f"{n}.{kind}" for n in (*names, "neighbourhoods") for kind in ("png", "svg")}
    assert {p.name for p in folder.iterdir()} == figures | {"analysis.json", "analysis.md"}

    def no_constant(name: str) -> None:
        raise AssertionError(name)

    text = (folder / "analysis.json").read_text(encoding="utf-8")
    record = json.loads(text, parse_constant=no_constant)
    assert record["table"]["checksum"] == topology.table.checksum
    assert record["provenance"] == "measured"
    for group in ("distributions", "fitness_distance", "neighborhoods"):
        assert {f["checksum"] for f in record[group]} == {topology.table.checksum}
        assert all(f["provenance"] in ("measured", "surrogate") for f in record[group])
    page = (folder / "analysis.md").read_text(encoding="utf-8")
    assert topology.table.checksum in page
    assert all((folder / f"{name}.png").is_file() and f"({name}.png)" in page for name in names)


@pytest.mark.slow
def test_equal_analyses_make_equal_files(topology: Analysis, tmp_path: Path) -> None:
    again = analyse("tss", "cifar10", "embedded", tmp_path / "again")
    assert again.to_json() == topology.to_json()
    for path in topology.save(tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_the_terminal_shows_every_sheet_with_its_units(topology: Analysis) -> None:
    from rich.console import Console

    console = Console(width=160, record=True, file=io.StringIO())
    for grid in topology.grids():
        console.print(grid)
    text = console.export_text()
    assert "accuracy and latency [s]" in text
    assert "two trials, mean of 3 pairs" in text
    assert text.count("measured") > 8


def test_out_saves_and_is_checked_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="cannot be a folder"):
        analyse("tss", "cifar10", "embedded", out=tmp_path / "file" / "x")


#: Kendall's tau of real figures and of the estimates for the same architectures: docs/analysis.md.
TRUST = {
    ("cifar10", "params"): (0.689, 0.716),
    ("cifar10", "FLOPs"): (0.440, 0.451),
    ("cifar10", "cifar100"): (0.547, 0.572),
    ("cifar10", "ImageNet16-120"): (0.705, 0.752),
    ("cifar100", "ImageNet16-120"): (0.707, 0.729),
}


def test_what_estimates_say_against_real_figures(shared_figures: Path) -> None:
    rows = np.genfromtxt(shared_figures / "sss.csv.gz", delimiter=",", names=True)
    index = rows["index"].astype(int)
    choices = SSS.choices(index)
    real = {"params": SSS.params(choices, "cifar10"), "FLOPs": SSS.flops(choices, "cifar10")}
    estimated = dict(real)
    for dataset in ("cifar10", "cifar100", "ImageNet16-120"):
        real[dataset] = rows[f"{dataset}_test_90".replace("-", "")]
        estimated[dataset] = load_table("sss", dataset, "embedded").mean_accuracy("test", 90)[index]
    for (one, other), expected in TRUST.items():
        found = kendall(real[one], real[other]), kendall(estimated[one], estimated[other])
        assert found == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("tsss", "cifar10"), InvalidInput, "unknown space 'tsss'.*Did you mean 'tss'"),
        (("tss", "cifar11"), InvalidInput, "unknown dataset 'cifar11'.*cifar10"),
        (("tss", "cifar10", "embeded"), MissingTable, "Did you mean 'embedded'"),
        (("nb101", "cifar100"), MissingTable, "of nb101 on cifar100: give .*build"),
        (("tss", "cifar10", 3), InvalidInput, "a source other than"),
        (("tss", "cifar10", "embedded", None, 90), NotInTable, "accuracy-valid-90.*valid-200"),
        (("sss", "cifar10", "embedded", None, 12), NotInTable, "accuracy-valid-90"),
        (("tss", "cifar10", "embedded", None, "4/12"), NotInTable, "accuracy_curve"),
        (("tss", "cifar10", "embedded", None, -1), InvalidInput, "epochs is an integer from 1"),
        (
            ("tss", "cifar10", "embedded", None, None, 1),
            InvalidInput,
            "samples .* from 2 to 10,000, got 1",
        ),
        (("tss", "cifar10", "embedded", None, None, "4"), InvalidInput, "samples"),
        (("tss", "cifar10", "embedded", None, None, 4, -1), InvalidInput, "seed"),
    ],
)
def test_bad_input_gets_one_clear_error(
    arguments: tuple[object, ...], error: type[NatsGymError], message: str
) -> None:
    with pytest.raises(error, match=message):
        analyse(*arguments)  # type: ignore[arg-type]


def test_an_empty_table_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nats_gym.tables.folder.check_figures", lambda *_: None)
    folder = table_of(tmp_path / "table", np.full(TSS.size, np.nan))
    with pytest.raises(CorruptTable, match="accuracy-valid-200 holds NaN for figures"):
        analyse("tss", "cifar10", folder)


@pytest.mark.slow
def test_an_analysis_needs_no_heavy_module() -> None:
    code = (
        "import sys; from nats_gym.analysis import analyse; analyse('tss', 'cifar10', 'embedded');"
        "print([m for m in ('matplotlib', 'torch', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_neighbors_are_the_spaces(space: ArchitectureSpace) -> None:
    neighbors = neighbor_indices(get_space(space.name))
    choices = space.all_choices()
    assert neighbors.shape == (space.size, space.num_decisions * (space.num_choices - 1))
    differing = (choices[neighbors[:50]] != choices[:50, None]).sum(axis=-1)
    assert (differing == 1).all()


# ── spaces of one's own ──────────────────────────────────────────────────────────────────────


class Uneven(ArchitectureSpace):
    """Unequal choices; in a second form not all rows are architectures."""

    name = "analysed"
    decisions: ClassVar = {"a": ("0", "1", "2"), "b": ("0", "1"), "c": ("0", "1", "2", "3")}


class Cut(Uneven):
    """Two parts that no single decision joins, and one that stands alone."""

    name = "analysed-cut"

    def is_valid(self, choices: Any) -> Any:
        a, b, c = np.moveaxis(choices, -1, 0)
        return ((a == 0) & (b == 0)) | ((a == 1) & (b == 1) & (c < 1))


def test_the_landscape_of_unequal_choices_against_the_walk_itself() -> None:
    space = Uneven()
    neighbors = neighbor_indices(space)
    assert neighbors.shape == (24, 6)
    # Σ of the decisions' shares: an eigenvalue each; that of the fewest choices is the greatest.
    rows = space.all_choices()
    for decision, count in enumerate(space.choice_counts.tolist()):
        share = (rows[:, decision] == 0) - 1 / count
        assert autocorrelation(share, neighbors, 1)[1] == pytest.approx(1 - count / 6)
    assert additive_autocorrelation(space) == 1 - 2 / 6


def test_neighbours_that_are_no_architectures() -> None:
    space = Cut()
    neighbors = neighbor_indices(space)
    assert space.all_choices().tolist() == [[0, 0, c] for c in range(4)] + [[1, 1, 0]]
    assert sorted(set(neighbors[4].tolist())) == [4]  # it has none
    assert sorted(neighbors[0].tolist()) == [0, 0, 0, 1, 2, 3]
    accuracy = np.array([10.0, 30.0, 20.0, 30.0, 5.0])
    assert distance_to(accuracy == 20.0, neighbors).tolist() == [1, 1, 0, 1, -1]
    climbs = climb(accuracy, neighbors)
    assert climbs.end.tolist() == [1, 1, 1, 3, 4]
    assert climbs.plateau.tolist() == [False, True, False, True, False]
    assert np.isnan(additive_autocorrelation(space))


def test_too_many_neighbours_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landscape, "MOST_NEIGHBORS", 100)
    with pytest.raises(InvalidInput, match="24 architectures of analysed have 6 neighbours"):
        neighbor_indices(Uneven())


# ── named columns ────────────────────────────────────────────────────────────────────────────


def test_named_columns_are_ranked_by_how_alike_they_rank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nats_gym.tables import add_column

    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    accuracy = separable(TSS)
    rng = np.random.default_rng(1)
    near, far = -accuracy + rng.normal(0, 1, TSS.size), accuracy + rng.normal(0, 30, TSS.size)
    add_column("tss", "cifar10", "far", far, unit="1", lower_is_better=False)
    add_column("tss", "cifar10", "near/by", near, unit="ms")
    alone = Column("alone", MEASURED, "a test", "none", counts=Quantity("1", "alone"))
    one = np.where(np.arange(TSS.size) == 7, 1.0, np.nan)
    found = analyse("tss", "cifar10", source=table_of(tmp_path / "t", accuracy, (alone, one)))
    assert "fewer than two architectures" in found.left_out["alone"]
    own = [c for c in found.columns if c.between[1] in ("near/by", "far")]
    assert [c.between[1] for c in own if c.among == "all"] == ["near/by", "far"]
    for one, values in zip(own[::2], (near, far), strict=True):
        assert one.kendall == pytest.approx(stats.kendalltau(accuracy, values).statistic)
        assert one.spearman == pytest.approx(stats.spearmanr(accuracy, values).statistic)
    assert "## Named columns and accuracy" in markdown(found)
