"""The table evaluator: trials, noise, costs, and its two paths to the same bits."""

from __future__ import annotations

import numpy as np
import pytest

from nats_gym.errors import InvalidInput, NotInTable
from nats_gym.evaluators import Evaluator, TableEvaluator
from nats_gym.streams import combine
from nats_gym.tables import load_table

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
