"""Agents that learn a line: against a dense reference, and what they may not know."""

from __future__ import annotations

import numpy as np
import pytest
from plain_agents import streams

import nats_gym
from nats_gym.agents import get_agent, recommends
from nats_gym.agents.few_shot import COMPONENTS, FewShot, components, normal_scores
from nats_gym.agents.largest import Largest
from nats_gym.agents.linear_posterior import KEPT, LinearPosterior
from nats_gym.agents.prior_scores import on_scale, prior_scores
from nats_gym.agents.transfer import Transfer
from nats_gym.errors import InvalidInput
from nats_gym.evaluators import Outcome
from nats_gym.spaces import get_space
from nats_gym.streams import RunStreams, run_keys, run_seeds

TSS = get_space("tss")


def told(accuracy) -> Outcome:
    accuracy = np.asarray(accuracy, float)
    return Outcome(accuracy, np.ones(len(accuracy)))


# ── the line ─────────────────────────────────────────────────────────────────────────────────


def gaussian_process(features, noise, mean, rows, target):
    """Mean and covariance of all scores in one run: functions, not weights, and one dense solve."""
    kernel = features @ features.T
    seen = kernel[np.ix_(rows, rows)] + noise * np.eye(len(rows))
    gain = np.linalg.solve(seen, kernel[rows]).T
    prior = features @ mean
    return prior + gain @ (target - prior[rows]), kernel - gain @ kernel[rows]


def test_the_posterior_is_that_of_a_dense_gaussian_process() -> None:
    rng = np.random.default_rng(0)
    features, mean = rng.standard_normal((60, 12)) * 2.0, rng.standard_normal(12)
    posterior = LinearPosterior(features, 0.3, 3, mean)
    rows = rng.integers(0, 60, (3, 40))  # some of them twice
    target = rng.standard_normal((3, 40)) * 5.0
    for t in range(40):
        posterior.observe(rows[:, t], target[:, t], np.full(3, t))
        weights = posterior.weights(target[:, : t + 1])
        for run in range(3):
            expected, covariance = gaussian_process(
                features, 0.3, mean, rows[run, : t + 1], target[run, : t + 1]
            )
            found = features @ posterior.covariance[run] @ features.T
            assert np.abs(features @ weights[run] - expected).max() < 1e-8
            assert np.abs(found - covariance).max() < 1e-8
            line = expected[rows[run, : t + 1]]
            truth = line + KEPT * (target[run, : t + 1] - line)
            assert posterior.recommend(weights, target[:, : t + 1])[run] == truth.argmax()


def test_a_drawn_line_has_the_posteriors_mean_and_covariance() -> None:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((20, 4))
    posterior = LinearPosterior(features, 0.5, 1)
    for t, row in enumerate((3, 5, 7)):
        posterior.observe(np.array([row]), np.array([float(t)]), np.array([t]))
    weights = posterior.weights(posterior.accuracy)
    drawn = np.stack(
        [posterior.sample(weights, rng.standard_normal((1, 4)))[0] for _ in range(20_000)]
    )
    assert drawn.mean(axis=0) == pytest.approx(weights[0], abs=0.03)
    assert np.cov(drawn.T) == pytest.approx(posterior.covariance[0], abs=0.03)


def test_the_best_of_a_line_in_all_of_the_space() -> None:
    rng = np.random.default_rng(2)
    features, weights = rng.standard_normal((999, 30)), rng.standard_normal((150, 30))
    posterior = LinearPosterior(features, 0.1, 150)
    scores = weights @ features.T
    none = np.zeros((150, 0), int)
    assert posterior.best(weights, none).tolist() == scores.argmax(axis=1).tolist()
    order = np.argsort(-scores, axis=1)
    assert posterior.best(weights, order[:, :5]).tolist() == order[:, 5].tolist()
    everything = np.tile(np.arange(999), (150, 1))
    assert posterior.best(weights, everything).tolist() == order[:, 0].tolist()
    alone = LinearPosterior(features, 0.1, 1)
    for run in (0, 17, 149):
        one = slice(run, run + 1)
        assert alone.best(weights[one], none[one])[0] == order[run, 0]


def test_ranks_as_quantiles() -> None:
    found = normal_scores(np.array([[10.0, 80.0, 10.0, 90.0], [4.0, 3.0, 2.0, 1.0]]))
    assert found[0, 0] == found[0, 2]
    assert found[1] == pytest.approx([1.1503, 0.3186, -0.3186, -1.1503], abs=1e-4)
    assert found[0, 3] == pytest.approx(1.1503, abs=1e-4)


@pytest.mark.parametrize("name", ["tss", "sss"])
def test_features_are_principal_components_of_unit_variance(name: str) -> None:
    space = get_space(name)
    found = components(space, space.all_choices())
    assert found.shape[1] <= COMPONENTS
    assert (found**2).sum(axis=1).mean() == pytest.approx(1.0)
    products = found.T @ found
    assert np.abs(products - np.diag(np.diag(products))).max() < 1e-6 * products.max()


# ── what is asked for, and answered ──────────────────────────────────────────────────────────


def prior() -> np.ndarray:
    tables = [nats_gym.load_table("tss", name, "embedded") for name in ("cifar100", "cifar10")]
    return np.stack([table.mean_accuracy("valid") for table in tables])


@pytest.mark.parametrize("told_prior", [False, True])
def test_nothing_is_asked_for_twice(told_prior: bool) -> None:
    agent = FewShot(TSS, streams(5), prior=prior() if told_prior else None)
    score = np.random.default_rng(3).random(TSS.size) * 90
    asked = []
    for number in range(60):
        asked.append(TSS.index(agent.ask()))
        if number >= 7:  # eight workers, the last first
            agent.tell(told(score[asked[-1]]), np.full(5, number))
    assert all(len(set(run)) == 60 for run in np.stack(asked, axis=1).tolist())


def test_all_of_a_partial_table_is_asked_for_before_anything_is_again() -> None:
    among = TSS.choices(np.arange(100, 130))
    for agent in (
        FewShot(TSS, streams(2), among=among),
        FewShot(TSS, streams(2), among=among, prior=prior()),
        Transfer(TSS, streams(2), among=among, prior=prior()),
        Largest(TSS, streams(2), among=among),
    ):
        asked = []
        for _ in range(33):
            asked.append(TSS.index(agent.ask()))
            agent.tell(told(asked[-1] % 7))
        for run in np.stack(asked, axis=1):
            assert sorted(run[:30]) == list(range(100, 130))
            assert set(run) == set(range(100, 130))


def test_the_first_architectures_without_a_prior_are_uniform() -> None:
    agent = FewShot(TSS, streams(2000))
    asked = []
    for _ in range(10):
        asked.append(TSS.index(agent.ask()))
        agent.tell(told(np.zeros(2000)))
    counts = np.bincount(np.concatenate(asked) // 3125, minlength=5) / 20_000
    assert np.abs(counts - 0.2).max() < 0.01


def test_transfer_goes_down_the_mean_of_standardised_accuracies() -> None:
    figures = prior()
    expected = np.zeros(TSS.size)
    for row in figures:
        median = np.median(row)
        better = [value for value in row if value >= median]
        expected += np.maximum((row - median) / np.std(better), -3) / 2
    assert prior_scores(figures)[0] == pytest.approx(expected)
    agent = Transfer(TSS, streams(3), prior=figures)
    asked = []
    for _ in range(20):
        asked.append(TSS.index(agent.ask()))
        agent.tell(told(np.zeros(3)))
    assert np.stack(asked)[:, 1].tolist() == np.argsort(-expected, kind="stable")[:20].tolist()


def test_an_answer_far_below_the_best_counts_as_failed() -> None:
    found = on_scale(np.array([[90.0, 89.0, 10.0]]), 2.0)
    assert found[0, 0] - found[0, 1] == pytest.approx(0.5)
    assert found[0, 0] - found[0, 2] == pytest.approx(6.0)
    assert found.sum() == pytest.approx(0.0)


def test_the_answer_is_not_the_luckiest_observation() -> None:
    figures = prior()
    agent = Transfer(TSS, streams(1), prior=figures)
    for accuracy in [84.0, 83.8, 83.9, 84.1, *[83.5] * 30, 84.2]:  # the 35th by chance
        agent.ask()
        agent.tell(told([accuracy]))
    assert agent.recommend()[0] < 4


@pytest.mark.parametrize(("name", "told_prior"), [("few-shot", False), ("few-shot", True)])
def test_run_17_alone_equals_run_17_of_many(name: str, told_prior: bool) -> None:
    given = {"prior": prior()} if told_prior else {}
    score = np.random.default_rng(5).random(TSS.size) * 90

    def play(seeds):
        agent = get_agent(name)(TSS, RunStreams(run_keys(seeds)), **given)
        asked, answers = [], []
        for _ in range(40):
            asked.append(TSS.index(agent.ask()))
            agent.tell(told(score[asked[-1]]))
            answers.append(agent.recommend())
        return np.stack(asked, axis=1), np.stack(answers, axis=1)

    seeds = run_seeds(0, 100)
    together, alone = play(seeds), play(seeds[17:18])
    for found, expected in zip(alone, together, strict=True):
        assert np.array_equal(found[0], expected[17])


@pytest.mark.slow
def test_run_17_alone_equals_run_17_of_500() -> None:
    given = {"epochs": 12, "evaluations": 100}
    together = nats_gym.search("tss", "cifar10", "few-shot", runs=500, **given)
    alone = nats_gym.search("tss", "cifar10", "few-shot", first_run=17, runs=1, **given)
    for name in ("index", "accuracy", "clock", "recommends"):
        assert np.array_equal(getattr(alone, name)[0], getattr(together, name)[17])


def test_what_is_no_prior_is_refused() -> None:
    for given in (
        *("cifar100", 3.0, np.zeros(TSS.size), np.zeros((1, 5)), np.zeros((0, TSS.size))),
        *(np.full((1, TSS.size), np.nan), np.full((2, TSS.size), 101.0)),
    ):
        for agent in (FewShot, Transfer):
            with pytest.raises(InvalidInput, match="a prior is"):
                agent(TSS, streams(1), prior=given)
    with pytest.raises(InvalidInput, match="goes by the tables of other data sets"):
        Transfer(TSS, streams(1))


def test_who_recommends() -> None:
    assert recommends(get_agent("few-shot"))
    assert recommends(get_agent("transfer"))
    assert not recommends(get_agent("rea"))
