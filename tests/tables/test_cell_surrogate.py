"""NAS-Bench-101's surrogate: what it reads of cells, its estimates, their cache, its trials."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kendalltau

from nats_gym.evaluators import TableEvaluator
from nats_gym.spaces import get_space
from nats_gym.spaces.cell_graphs import OPERATIONS
from nats_gym.streams import NORMAL_STRATA, combine
from nats_gym.tables import cell_figures, load_table
from nats_gym.tables.cell_features import CELL_FEATURES, cell_features
from nats_gym.tables.cell_surrogate import ACCURACIES, FILE, CellSurrogate, skewed_quantiles
from nats_gym.tables.scatter import Scatter
from nats_gym.tables.surrogates import FOLDER, held_out

FIGURES = Path(__file__).resolve().parents[3] / "shared" / "figures"
SPACE: Any = get_space("nb101")
#: Kendall's τ that is asked for on rows that were not seen.
BARS = {"test-108": 0.80, "valid-108": 0.82, "valid-36": 0.74, "valid-12": 0.72, "valid-4": 0.65}


def features_of(index: NDArray[np.int64]) -> NDArray[np.float64]:
    choices = SPACE.choices(index)
    costs = (SPACE.compute(name, choices, "cifar10") for name in ("params", "flops"))
    return cell_features(choices, *costs)


def plain_features(index: int) -> list[float]:
    """By walking every path of one cell, but for what is raw or a cost."""
    matrix, operations = SPACE.cell(SPACE.choices(index))
    last = len(matrix) - 1
    does = [OPERATIONS.index(name) if name in OPERATIONS else None for name in operations]
    inner = range(1, last)

    def walk(vertex: int) -> list[list[int]]:
        if vertex == last:
            return [[]]
        onward = [u for u in range(vertex + 1, last + 1) if matrix[vertex, u]]
        own = [] if does[vertex] is None else [vertex]
        return [own + rest for u in onward for rest in walk(u)]

    paths = walk(0)
    kinds: list[list[int]] = [[v for v in inner if does[v] == kind] for kind in range(3)]
    groups = [*kinds, [*inner]]
    found: list[float] = []
    for group in groups:
        passed = [sum(v in group for v in path) for path in paths]
        found += [math.log(1 + passed.count(n)) for n in range(6)]
    for group in groups:
        passed = [sum(v in group for v in path) for path in paths]
        found += [max(passed), min(passed)]
    found += [*map(len, kinds), len(inner), matrix.sum()]
    found += [matrix[0].sum(), matrix[:, last].sum(), matrix[0, last]]
    for ends in (matrix[0], matrix[:, last], matrix[0] * matrix[:, last]):
        found += [sum(ends[v] for v in group) for group in kinds]
    for a, b in itertools.product(kinds, kinds):
        found.append(sum(matrix[u, v] for u in a for v in b))
    for a, m, b in itertools.product(kinds, kinds, kinds):
        found.append(sum(matrix[u, v] * matrix[v, w] for u in a for v in m for w in b))
    for m, b in itertools.product(kinds, kinds):
        found.append(sum(matrix[0, v] * matrix[v, w] for v in m for w in b))
    for a, m in itertools.product(kinds, kinds):
        found.append(sum(matrix[u, v] * matrix[v, last] for u in a for v in m))
    found.append(1 / max(matrix[1:, last].sum(), 1))
    for power, axis in ((1, 0), (1, 1), (2, 0)):
        degrees = matrix.sum(axis=axis)
        found += [sum(degrees[v] ** power for v in group) for group in kinds]
    return found


def test_features_are_those_of_walking_every_path() -> None:
    index = np.random.default_rng(0).integers(SPACE.size, size=200)
    found = features_of(index)
    assert found.shape == (CELL_FEATURES, 200)
    wanted = np.array([plain_features(int(one)) for one in index]).T
    assert np.allclose(found[: len(wanted)], wanted, atol=1e-6)
    choices = SPACE.choices(index)
    assert np.array_equal(found[len(wanted) : len(wanted) + 21], choices[:, :21].T)
    params = SPACE.params(choices, "cifar10")
    assert np.allclose(found[-2], np.log(params))


def test_estimates_do_not_depend_on_blocks() -> None:
    model, index = CellSurrogate.load(), np.random.default_rng(1).integers(SPACE.size, size=300)
    features = features_of(index)
    whole = model.estimate(features)
    parts = [model.estimate(features[:, part]) for part in np.array_split(np.arange(300), 7)]
    assert np.array_equal(np.concatenate(parts, axis=1), whole)
    table = {name: cell_figures.cell_figures(SPACE, name) for name in cell_figures.ESTIMATES}
    for name, values in zip(cell_figures.ESTIMATES, whole, strict=True):
        assert np.array_equal(table[name][index], values)
    assert (FOLDER / FILE).stat().st_size < 500_000


def test_errors_on_unseen_rows_are_within_the_bars() -> None:
    errors = held_out("held_out_nb101")["estimates"]
    for name, bar in BARS.items():
        assert errors[name]["tau"] >= bar
    assert errors["seconds"]["r2"] >= 0.995
    test = errors["test-108"]
    assert test["mean_of_top_1_percent_by_prediction"] >= test["mean_of_top_5_percent"]


@pytest.mark.skipif(not FIGURES.exists(), reason="the public figures are absent")
def test_the_table_ranks_the_public_figures() -> None:
    table = load_table("nb101", "cifar10", "embedded")
    rng = np.random.default_rng(0)
    with np.load(FIGURES / "nb101_test.npz") as test:
        at = rng.integers(len(test["index"]), size=5_000)
        estimates = table.mean_accuracy("test", 108)[test["index"][at]]
        assert kendalltau(estimates, test["mean3"][at])[0] > 0.85
    with np.load(FIGURES / "nb101_schedules.npz") as schedules:
        at = schedules["index"]
        for epochs, bar in ((4, 0.65), (12, 0.72), (36, 0.8), (108, 0.85)):
            estimates = table.mean_accuracy("valid", epochs)[at]
            assert kendalltau(estimates, schedules[f"valid_{epochs}"])[0] > bar
        seconds = table.query_seconds(108)[at]
        residual = ((seconds - schedules["seconds"]) ** 2).mean()
        assert 1 - residual / schedules["seconds"].var() > 0.995


def test_quantiles_are_a_skewed_distributions() -> None:
    quantiles = skewed_quantiles(-0.8)
    assert np.all(np.diff(quantiles) > 0)
    assert np.allclose([quantiles.mean(), quantiles.std()], [0, 1])
    assert (quantiles**3).mean() == pytest.approx(-0.8, abs=0.02)


def test_trials_of_one_and_of_a_batch_are_the_same_bits() -> None:
    evaluator = TableEvaluator(load_table("nb101", "cifar10", "embedded"))
    rng = np.random.default_rng(0)
    index = rng.integers(SPACE.size, size=2_000)
    keys = rng.integers(2**63, size=2_000).astype(np.uint64)
    for epochs in (4, 108):
        batch = evaluator.evaluate(index, epochs, keys).accuracy
        pairs = zip(index.tolist(), keys.tolist(), strict=True)
        each = [evaluator.evaluate_one(one, epochs, key)[0] for one, key in pairs]
        assert batch.tolist() == each


def test_trials_scatter_as_they_say() -> None:
    count = 200_000
    scatter = Scatter(
        np.array([90.0]), np.array([0.5]), skewed_quantiles(-0.8), np.array([41]), chance=10.0
    )
    draws = combine(np.uint64(1), np.arange(count))
    trials = scatter.draw(np.zeros(count, np.int64), draws)
    failed = trials == 10.0
    assert failed.mean() == pytest.approx(41 / NORMAL_STRATA, rel=0.1)
    working = trials[~failed]
    assert working.mean() == pytest.approx(90.0, abs=0.01)
    assert working.std() == pytest.approx(0.5, rel=0.01)
    assert (((working - 90) / 0.5) ** 3).mean() == pytest.approx(-0.8, abs=0.05)


def test_the_mean_of_a_cells_trials_is_its_column() -> None:
    table = load_table("nb101", "cifar10", "embedded")
    scatter = table.scatter("valid", 108)
    assert scatter is not None
    assert scatter.failures is not None
    likeliest = np.argsort(-scatter.failures)[[0, 2_000, 300_000]]
    mean = table.mean_accuracy("valid", 108)
    for index in likeliest.tolist():
        draws = combine(np.uint64(index), np.arange(100_000))
        trials = scatter.draw(np.full(len(draws), index), draws)
        assert trials.mean() == pytest.approx(mean[index], abs=0.4)


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A home with nothing in it, and cells whose estimates take no time."""
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    made = []

    def estimate_all(self: Any, space: Any) -> NDArray[np.float64]:
        made.append(space.name)
        return np.arange(7.0 * space.size).reshape(7, -1)

    monkeypatch.setattr(CellSurrogate, "estimate_all", estimate_all)
    cell_figures._figures.cache_clear()
    cell_figures._computed.cache_clear()
    yield made
    cell_figures._figures.cache_clear()
    cell_figures._computed.cache_clear()


def again() -> dict[str, NDArray[np.float64]]:
    """As a fresh process finds them."""
    cell_figures._figures.cache_clear()
    cell_figures._computed.cache_clear()
    return {name: cell_figures.cell_figures(SPACE, name) for name in cell_figures.ESTIMATES}


def test_estimates_are_kept_and_found_again(fresh: list[str], tmp_path: Path) -> None:
    first = again()
    found = again()
    assert fresh == ["nb101"]
    assert isinstance(found["seconds"], np.memmap)
    assert all(np.array_equal(first[name], found[name]) for name in cell_figures.ESTIMATES)
    assert not found["seconds"].flags.writeable


@pytest.mark.one_in(5)
@pytest.mark.parametrize("harm", ["cut", "flip", "sums", "other", "pickle", "folder"])
def test_what_is_damaged_is_computed_again(fresh: list[str], tmp_path: Path, harm: str) -> None:
    again()
    (folder,) = (tmp_path / "home" / "estimates").iterdir()
    path = folder / "valid-36.npy"
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-8])
    elif harm == "flip":
        content = bytearray(path.read_bytes())
        content[5_000] ^= 1
        path.write_bytes(content)
    elif harm == "sums":
        (folder / "sums.json").write_text(json.dumps({"valid-36": None}))
    elif harm == "other":
        np.save(path, np.zeros(3))
    elif harm == "pickle":
        np.save(path, np.array([{}], object), allow_pickle=True)
    else:
        path.unlink()
        path.mkdir()
    found = again()
    assert len(fresh) == 2
    assert found["valid-36"][0] == 2 * SPACE.size
    again()
    assert len(fresh) == (3 if harm == "folder" else 2)  # what cannot be written is not kept


def test_a_home_that_cannot_be_written_does_no_harm(
    fresh: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "file"))
    assert again()["failures"][0] == 6 * SPACE.size
    assert again()["failures"][0] == 6 * SPACE.size
    assert len(fresh) == 2


def test_the_table_says_what_it_is() -> None:
    table = load_table("nb101", "cifar10")
    assert table.source == "embedded"
    assert table.epochs("valid") == (4, 12, 36, 108)
    assert {column.provenance for column in table.columns} == {"surrogate"}
    assert len(ACCURACIES) + 2 == len(table.columns)
    assert not table.test_is_validation
