"""The public API of NAS-Bench-101 against a plain reading of a made-up file."""

from __future__ import annotations

import math
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic_tfrecord as plain
from nasbench101_files import CELLS, cells_of, made_up

from nats_gym.errors import InvalidInput, MissingTable, NotInTable, SurrogateWarning
from nats_gym.nasbench import api
from nats_gym.spaces import get_space
from nats_gym.tables import load_table, official

#: What of the tests here is a fixture.
__all__ = ["made_up"]

FIRST = "00005c142e6f48ac74fdcf73e3439874"
OPS = ["conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"]


@pytest.fixture(scope="module")
def read(made_up: official.OfficialArchive) -> tuple[dict[str, Any], dict[str, Any]]:
    return plain.read_plainly(Path(made_up.source))


@pytest.fixture
def bench(made_up: official.OfficialArchive) -> api.NASBench:
    return api.NASBench(made_up.folder, seed=3)


def spec_of(index: int) -> api.ModelSpec:
    ((_, matrix, operations, _),) = cells_of([index])
    return api.ModelSpec(matrix, operations)


def test_everything_is_the_files_to_the_last_digit(
    bench: api.NASBench, read: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    fixed, computed = read
    assert list(bench.hash_iterator()) == sorted(fixed)
    assert list(bench.fixed_statistics) == list(bench.computed_statistics) == sorted(fixed)
    assert len(bench.fixed_statistics) == len(CELLS)
    for digest in fixed:
        mine, figures = bench.get_metrics_from_hash(digest)
        assert mine.keys() == fixed[digest].keys()
        matrix = mine.pop("module_adjacency")
        assert matrix.dtype == np.int8
        np.testing.assert_array_equal(matrix, fixed[digest]["module_adjacency"])
        assert mine == {k: v for k, v in fixed[digest].items() if k in mine}
        assert figures == computed[digest]
        assert bench.computed_statistics[digest] == computed[digest]
        spec = api.ModelSpec(matrix, mine["module_operations"])
        assert bench.get_metrics_from_spec(spec)[1] == computed[digest]
        assert spec.hash_spec(bench.config["available_ops"]) == digest
    assert bench.get_budget_counters() == (0.0, 0)


def test_the_published_record_to_the_last_digit(bench: api.NASBench) -> None:
    fixed, computed = bench.get_metrics_from_hash(FIRST)
    assert fixed["trainable_parameters"] == 8_555_530
    trainings = sorted(computed[108], key=lambda one: one["final_validation_accuracy"])
    assert [one["final_validation_accuracy"] for one in trainings] == [
        0.9241786599159241,
        0.9245793223381042,
        0.9304887652397156,
    ]
    assert [round(one["final_test_accuracy"], 7) for one in trainings] == [
        0.9211739,
        0.9190705,
        0.9215745,
    ]
    assert [round(one["final_training_time"], 3) for one in trainings] == [
        1769.128,
        1768.251,
        1768.976,
    ]
    assert round(trainings[0]["halfway_training_time"], 3) == 883.458


def test_queries_draw_as_the_public_package_does(
    made_up: official.OfficialArchive, read: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    bench = api.NASBench(made_up.source, seed=11)
    asked = [(CELLS[n % len(CELLS)], (4, 108)[n % 2], n % 3 == 0) for n in range(60)]
    got = [bench.query(spec_of(index), epochs, half) for index, epochs, half in asked]
    random.seed(11)
    seconds, trained = 0.0, 0
    for (index, epochs, half), data in zip(asked, got, strict=True):
        digest = get_space("nb101").hash_of(index)
        training = read[1][digest][epochs][random.randint(0, 2)]
        when = "halfway" if half else "final"
        for name in plain.NUMBERS:
            assert data[name] == training[f"{when}_{name}"]
        seconds += data["training_time"]
        trained += epochs // 2 if half else epochs
        for name, value in read[0][digest].items():
            np.testing.assert_array_equal(data[name], value)
    assert bench.get_budget_counters() == (seconds, trained)
    assert (bench.training_time_spent, bench.total_epochs_spent) == (seconds, trained)
    bench.reset_budget_counters()
    assert bench.get_budget_counters() == (0.0, 0)


def test_another_drawing_of_a_cell_is_the_cell(bench: api.NASBench) -> None:
    """Its vertices in another order, and two that lead nowhere."""
    matrix = np.zeros((6, 6), int)
    for source, target in ((0, 2), (0, 3), (2, 3), (3, 5), (0, 1), (4, 5)):
        matrix[source, target] = 1
    ops = ["input", OPS[0], OPS[2], OPS[2], OPS[1], "output"]
    spec = api.ModelSpec(matrix.tolist(), ops)
    assert spec.valid_spec
    assert spec.ops == ["input", OPS[2], OPS[2], "output"]
    assert spec.original_ops == ops
    assert spec.hash_spec(OPS) == "001a6fcc8b38cbc515be788a86bdc804"
    assert bench.is_valid(spec)
    data = bench.query(spec)
    assert data["trainable_parameters"] == 1_756_298
    data["module_adjacency"][:] = 5  # what is handed out is nobody else's
    data["module_operations"].clear()
    assert bench.query(spec)["module_operations"] == ["input", OPS[2], OPS[2], "output"]


def test_what_is_no_cell_of_the_space(bench: api.NASBench) -> None:
    full = np.triu(np.ones((7, 7), int), 1)
    chain = np.eye(8, k=1, dtype=int)
    names = ["input", *[OPS[0]] * 6, "output"]
    for spec, reason in (
        (api.ModelSpec(np.zeros((3, 3), int), names[:2] + names[-1:]), "disconnected"),
        (api.ModelSpec(chain, names), "too many vertices, got 8"),
        (api.ModelSpec(full, names[:6] + names[-1:]), "too many edges, got 21"),
        (api.ModelSpec([[0, 1], [0, 0]], ["start", "output"]), "should be 'input'"),
        (api.ModelSpec([[0, 1], [0, 0]], ["input", "end"]), "should be 'output'"),
        (api.ModelSpec(chain[:3, :3], ["input", "conv5x5", "output"]), "unsupported op 'conv5x5'"),
    ):
        assert not bench.is_valid(spec)
        for ask in (bench.query, bench.get_metrics_from_spec):
            with pytest.raises(api.OutOfDomainError, match=reason):
                ask(spec)
    for epochs in (54, 107, "108x", None, [108], 0):
        with pytest.raises(api.OutOfDomainError, match="invalid number of epochs"):
            bench.query(spec_of(0), epochs)
    assert bench.get_budget_counters() == (0.0, 0)


def test_bad_input_is_refused(bench: api.NASBench, tmp_path: Path) -> None:
    for matrix, ops in (
        ([[0, 1]], ["input", "output"]),
        ([[0, 1], [1, 0]], ["input", "output"]),
        ([[0, 2], [0, 0]], ["input", "output"]),
        ([[0, 1], [0, 0]], ["input"]),
        ([[0, 1], [0, 0]], ["input", 3]),
        ([[0, 1], [0, 0]], None),
        (None, ["input", "output"]),
        ([], []),
        ([[0, float("nan")], [0, 0]], ["input", "output"]),
    ):
        with pytest.raises(InvalidInput):
            api.ModelSpec(matrix, ops)
    for given in (None, "x", [[0, 1], [0, 0]]):
        with pytest.raises(InvalidInput, match="model_spec"):
            bench.query(given)
    with pytest.raises(InvalidInput, match="no cell here has the module hash 'abc'"):
        bench.get_metrics_from_hash("abc")
    with pytest.raises(KeyError):
        bench.fixed_statistics["abc"]
    with pytest.raises(NotInTable, match="cell 1 is not in this partial file"):
        bench.query(spec_of(1))
    with pytest.raises(InvalidInput, match="a seed"):
        api.NASBench(bench._figures.archive.folder, seed="x")
    with pytest.raises(MissingTable, match="nats-gym data download nb101"):
        api.NASBench(tmp_path / "nowhere.tfrecord")
    with pytest.raises(InvalidInput):
        spec_of(0).hash_spec(["conv1x1-bn-relu"])


def test_it_is_loaded_when_it_is_asked_for() -> None:
    code = (
        "import sys, nats_gym, nats_gym.nasbench as n\n"
        "assert 'nats_gym.nasbench.api' not in sys.modules\n"
        "n.api.NASBench\n"
        "assert not {'torch', 'tensorflow', 'nats_gym.tables.official.importing'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


USERS = Path(__file__).parents[2] / "docs" / "nasbench-users.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", USERS.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_the_page_for_users_runs(
    block: int,
    made_up: official.OfficialArchive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With a made-up file in place of the public one."""
    if "embedded" in BLOCKS[block] and "Needs" not in BLOCKS[block]:
        _embedded()
    (tmp_path / "nasbench_full.tfrecord").symlink_to(made_up.source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NATS_GYM_HOME", str(made_up.folder.parents[1]))
    monkeypatch.setattr(official, "newest_archive", lambda space: made_up)
    exec(compile(BLOCKS[block], str(USERS), "exec"), {})
    assert "print" not in BLOCKS[block] or "108" in capsys.readouterr().out


def _embedded() -> None:
    try:
        load_table("nb101", "cifar10", "embedded")
    except MissingTable:
        pytest.skip("no embedded table of nb101")


@pytest.fixture(scope="module")
def estimates() -> api.NASBench:
    _embedded()
    with pytest.warns(SurrogateWarning, match="estimates"):
        return api.NASBench("embedded", seed=0)


def test_estimates_answer_and_say_so(estimates: api.NASBench) -> None:
    table = load_table("nb101", "cifar10", "embedded")
    assert estimates.valid_epochs == {4, 12, 36, 108}
    assert len(estimates.fixed_statistics) == 423_624
    spec = spec_of(4789)
    data = [estimates.query(spec) for _ in range(30)]
    assert {one["trainable_parameters"] for one in data} == {32_426_634}
    assert len({one["validation_accuracy"] for one in data}) == 3  # always the same three
    assert all(0 < one["test_accuracy"] < 1 for one in data)
    assert data[0]["training_time"] == table.train_seconds(108)[4789]
    assert math.isnan(estimates.query(spec, 12)["test_accuracy"])
    assert math.isnan(data[0]["train_accuracy"])
    drawn = np.array(
        [estimates._figures.training(i, 108, t, False)[2] for i in range(4000) for t in range(3)]
    )
    assert 100 * drawn.mean() == pytest.approx(table.mean_accuracy("valid")[:4000].mean(), abs=0.2)
    with pytest.raises(NotInTable, match="half-way figures are not among the estimates"):
        estimates.query(spec, 108, stop_halfway=True)
    fixed, computed = estimates.get_metrics_from_hash(FIRST)
    assert fixed["trainable_parameters"] == 8_555_530
    assert set(computed) == {4, 12, 36, 108}
    with pytest.raises(NotInTable, match="half-way figures"):
        computed[108][0]["halfway_test_accuracy"]
    assert next(estimates.hash_iterator()) == FIRST
