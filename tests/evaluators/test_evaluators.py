"""The table evaluator: trials, noise, costs, and its two paths to the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nats_gym.errors import CorruptTable, InvalidInput, NotInTable
from nats_gym.evaluators import Evaluator, TableEvaluator
from nats_gym.streams import combine
from nats_gym.tables import MEASURED, Column, load_table, write_table
from nats_gym.tables import folder as folders

CASES = [("tss", "cifar10", 200), ("tss", "ImageNet16-120", 12), ("sss", "cifar100", 90)]


def keys(count: int) -> np.ndarray:
    return combine(np.arange(count, dtype=np.uint64), 99)


@pytest.mark.parametrize(("space", "dataset", "epochs"), CASES)
@pytest.mark.parametrize("trial", ["random", "mean", 0, 1])
def test_one_and_many_agree_to_the_bit(space, dataset, epochs, trial) -> None:
    evaluator = TableEvaluator(load_table(space, dataset), trial)
    index = np.random.default_rng(0).integers(0, 15625, 500)
    outcome = evaluator.evaluate(index, epochs, keys(500))
    ones = [
        evaluator.evaluate_one(i, epochs, k)
        for i, k in zip(index.tolist(), keys(500).tolist(), strict=True)
    ]
    assert outcome.accuracy.tolist() == [accuracy for accuracy, _ in ones]
    assert outcome.seconds.tolist() == [seconds for _, seconds in ones]


def test_it_is_an_evaluator() -> None:
    assert isinstance(TableEvaluator(load_table("tss", "cifar10")), Evaluator)


def test_random_takes_each_existing_trial_equally_often() -> None:
    table = load_table("tss", "cifar10")
    evaluator = TableEvaluator(table, "random")
    trials = table.accuracy("valid", 200)
    two = int(np.flatnonzero(np.isnan(trials[:, 2]))[0])
    three = int(np.flatnonzero(~np.isnan(trials).any(axis=1))[0])
    for arch, count in ((two, 2), (three, 3)):
        drawn = evaluator.evaluate(np.full(30_000, arch), 200, keys(30_000)).accuracy
        for value in trials[arch, :count]:
            assert abs((drawn == value).mean() - 1 / count) < 0.015


def test_mean_and_positions_of_measured_trials() -> None:
    table = load_table("tss", "cifar100")
    index = np.arange(100)
    trials = table.accuracy("valid", 200)[:100].astype(float)
    for trial, expected in (("mean", np.nanmean(trials, axis=1)), (1, trials[:, 1])):
        found = TableEvaluator(table, trial).evaluate(index, 200, keys(100)).accuracy
        assert found == pytest.approx(expected, abs=1e-9)


def test_a_surrogates_trials_scatter_as_its_table_says() -> None:
    table = load_table("tss", "cifar10")
    mean, std = table.mean_accuracy("valid", 12), table.noise_std("valid", 12)
    arch = 6111
    drawn = TableEvaluator(table).evaluate(np.full(50_000, arch), 12, keys(50_000)).accuracy
    assert drawn.mean() == pytest.approx(mean[arch], abs=0.02)
    assert drawn.std() == pytest.approx(std[arch], rel=0.02)
    assert TableEvaluator(table, "mean").evaluate_one(arch, 12, 5)[0] == mean[arch]


def test_a_surrogates_numbered_trial_is_fixed() -> None:
    table = load_table("sss", "cifar10")
    index = np.arange(5000)
    zero, again, one = (
        TableEvaluator(table, trial).evaluate(index, 90, keys(5000) + np.uint64(shift)).accuracy
        for trial, shift in ((0, 0), (0, 1), (1, 0))
    )
    assert np.array_equal(zero, again)
    assert not np.array_equal(zero, one)
    scaled = (zero - table.mean_accuracy()[:5000]) / table.noise_std()[:5000]
    assert abs(scaled.mean()) < 0.05
    assert scaled.std() == pytest.approx(1, abs=0.05)


def test_noise_never_leaves_the_scale() -> None:
    table = load_table("tss", "ImageNet16-120")
    everything = np.arange(15625)
    drawn = TableEvaluator(table).evaluate(everything, 12, keys(15625)).accuracy
    assert drawn.min() >= 0
    assert drawn.max() <= 100


def test_an_evaluation_costs_its_training_and_one_validation_pass() -> None:
    table = load_table("tss", "cifar10")
    outcome = TableEvaluator(table).evaluate(np.arange(50), 12, keys(50))
    expected = 12 * table.train_seconds(1) + table.evaluation_seconds("valid")
    assert outcome.seconds == pytest.approx(expected[:50])
    assert (outcome.provenance, outcome.seconds_provenance) == ("surrogate", "surrogate")


@pytest.mark.parametrize("trial", ["rnd", "Random", -1, 1.5, True, None])
def test_unknown_trials_are_refused(trial) -> None:
    with pytest.raises(InvalidInput, match="'random', 'mean'"):
        TableEvaluator(load_table("tss", "cifar10"), trial)


def test_missing_trials_are_refused_with_their_number() -> None:
    with pytest.raises(NotInTable, match="trial 2 does not exist for 7,456 of 15,625"):
        TableEvaluator(load_table("tss", "cifar10"), 2).prepare(200)
    with pytest.raises(NotInTable, match="trial 9"):
        TableEvaluator(load_table("tss", "cifar10"), 9).prepare(200)


@pytest.mark.parametrize(
    "index", [[-1], [15625], [2**63 + 5], [2**70], [1.0], [True], ["1"], [], np.zeros(0, int)]
)
def test_indices_are_checked_in_a_batch(index) -> None:
    evaluator = TableEvaluator(load_table("tss", "cifar10"))
    with pytest.raises(InvalidInput):
        evaluator.evaluate(np.asarray(index), 200, keys(max(len(index), 1)))


@pytest.mark.parametrize("index", [-1, 15625, 2**63 + 5, 2**70, 1.0, True, "1", None, [], [3]])
def test_one_index_is_checked(index) -> None:
    table = load_table("tss", "cifar10")
    with pytest.raises(InvalidInput):
        TableEvaluator(table).evaluate_one(index, 200, 0)
    with pytest.raises(InvalidInput):
        table.row(table.column("latency"), index)


def test_numpys_integers_are_indices_too() -> None:
    evaluator = TableEvaluator(load_table("tss", "cifar10"))
    assert evaluator.evaluate_one(np.int64(5), 200, 3) == evaluator.evaluate_one(5, 200, 3)
    few = np.array([5], dtype=np.uint8)
    assert evaluator.evaluate(few, 200, keys(1)).seconds[0] == evaluator.evaluate_one(5, 200, 3)[1]


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf])
def test_a_table_of_impossible_seconds_is_refused(tmp_path, wrong, monkeypatch) -> None:
    monkeypatch.setattr(folders, "check_figures", lambda *_: None)  # as somebody else may write
    folder = made_up_table(tmp_path, seconds=wrong)
    with pytest.raises(CorruptTable, match=r"architecture 7 (is|takes)"):
        TableEvaluator(load_table("sss", "cifar10", folder)).prepare(90)


@pytest.mark.parametrize("wrong", [-0.1, 100.1, np.inf])
def test_a_table_of_impossible_accuracies_is_refused(tmp_path, wrong, monkeypatch) -> None:
    monkeypatch.setattr(folders, "check_figures", lambda *_: None)
    folder = made_up_table(tmp_path, accuracy=wrong)
    with pytest.raises(CorruptTable, match="outside 0…100 percent in accuracy-valid-90"):
        TableEvaluator(load_table("sss", "cifar10", folder)).prepare(90)


def test_seconds_of_architectures_that_are_not_there_are_not_asked_for(tmp_path) -> None:
    folder = made_up_table(tmp_path, accuracy=np.nan, seconds=np.nan)
    evaluator = TableEvaluator(load_table("sss", "cifar10", folder))
    assert evaluator.evaluate_one(6, 90, 0) == (50.0, pytest.approx(91.0))
    with pytest.raises(NotInTable):
        evaluator.evaluate_one(7, 90, 0)


def made_up_table(folder: Path, accuracy: float = 50.0, seconds: float = 1.0) -> Path:
    """A size table of 50 % and a second an epoch, but for architecture 7."""
    figures = {name: np.full(32768, value) for name, value in (("a", 50.0), ("s", 1.0))}
    figures["a"][7], figures["s"][7] = accuracy, seconds
    made_up = (MEASURED, "made up", "MIT")
    write_table(
        folder / "own",
        *("sss", "cifar10"),
        [
            (Column("accuracy", *made_up, split="valid", epochs=90), figures["a"]),
            (Column("train_seconds_per_epoch", *made_up), figures["s"]),
            (Column("evaluation_seconds", *made_up, split="valid"), figures["s"]),
        ],
    )
    return folder / "own"


def test_all_that_an_evaluation_needs_is_named_at_once(tmp_path) -> None:
    def table_of(*columns: Column) -> TableEvaluator:
        write_table(tmp_path / "t", "sss", "cifar10", [(c, np.ones(32768)) for c in columns])
        return TableEvaluator(load_table("sss", "cifar10", tmp_path / "t"))

    accuracy = Column("accuracy", MEASURED, "made up", "MIT", split="valid", epochs=90)
    train = Column("train_seconds_per_epoch", MEASURED, "made up", "MIT")
    passes = Column("evaluation_seconds", MEASURED, "made up", "MIT", split="valid")
    told = r"has no train_seconds_per_epoch and no evaluation_seconds-valid, which an evaluation"
    with pytest.raises(NotInTable, match=told):
        table_of(accuracy).prepare(90)
    told = r"has no accuracy-valid-90, train_seconds_per_epoch and no evaluation_seconds-valid"
    with pytest.raises(NotInTable, match=told):
        table_of(Column("latency", MEASURED, "made up", "MIT")).prepare(90)
    with pytest.raises(NotInTable, match=r"has no evaluation_seconds-valid; "):
        table_of(accuracy, train).prepare(90)
    assert table_of(accuracy, train, passes).table.query_columns(90)[0].name == "accuracy-valid-90"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"seconds": -1.0}, "of architecture 7 is -1 s"),
        ({"seconds": np.inf}, "of architecture 7 is inf s"),
        ({"accuracy": 100.1}, "outside 0…100 percent in accuracy-valid-90"),
    ],
)
def test_what_nobody_would_read_is_not_written(tmp_path, given, told) -> None:
    with pytest.raises(InvalidInput, match=f"^no table is written to {tmp_path}.*{told}$"):
        made_up_table(tmp_path, **given)
    assert not [*tmp_path.iterdir()]
