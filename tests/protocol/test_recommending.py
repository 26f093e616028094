"""Agents that say themselves what they answer: the result, its file, its replay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nats_gym
from nats_gym.errors import InvalidInput
from nats_gym.results.result import SearchResult
from nats_gym.streams import uniform_integers
from nats_gym.study import validate
from nats_gym.study.curves import regret_curve


class Median:
    """Random architectures; the answer is the median of what was observed."""

    def __init__(self, space, streams) -> None:
        self.space, self.streams, self.number, self.accuracy = space, streams, [], []

    def ask(self):
        index = uniform_integers(self.streams, self.space.size, (self.streams.runs,))
        return self.space.choices(index)

    def tell(self, outcome, evaluation) -> None:
        self.number.append(evaluation)
        self.accuracy.append(outcome.accuracy)

    def recommend(self):
        accuracy = np.stack(self.accuracy, axis=1)
        place = np.argsort(accuracy, axis=1)[:, (accuracy.shape[1] - 1) // 2]
        return np.stack(self.number, axis=1)[np.arange(len(place)), place]


GIVEN = {"epochs": 12, "source": "embedded"}


@pytest.mark.one_in(2)
@pytest.mark.parametrize("workers", [1, 4])
def test_what_is_recommended_is_the_answer(workers: int) -> None:
    found = nats_gym.search(
        "tss", "cifar10", Median, budget=9_000, runs=5, workers=workers, **GIVEN
    )
    full = found.table.mean_accuracy("valid")
    for run in range(5):
        count = found.evaluations[run]
        for done in range(1, count + 1):
            seen = found.accuracy[run, :done]
            place = np.argsort(seen)[(done - 1) // 2]
            assert found.incumbent_index[run, done - 1] == found.index[run, place]
            assert found.incumbent[run, done - 1] == seen[place]
            assert found.recommends[run, done - 1] == found.evaluation[run, place]
            regret = full.max() - full[found.index[run, place]]
            assert regret_curve(found)[run, done - 1] == pytest.approx(regret)
        assert (found.recommends[run, count:] == -1).all()
        assert (found.incumbent_index[run, count:] == -1).all()
        assert found.recommended[run] == found.incumbent_index[run, count - 1]


def test_a_result_keeps_it_and_a_replay_checks_it(tmp_path: Path) -> None:
    given = {"evaluations": 15, "seed": 2, **GIVEN}
    found = nats_gym.search("tss", "cifar10", "few-shot", runs=4, **given)
    again = SearchResult.load(found.save(tmp_path / "whole"))
    assert np.array_equal(again.recommends, found.recommends)
    assert np.array_equal(again.recommended, found.recommended)
    (verdict,) = validate(tmp_path / "whole")
    assert verdict.holds, verdict.reasons
    parts = [
        nats_gym.search("tss", "cifar10", "few-shot", runs=2, first_run=first, **given)
        for first in (0, 2)
    ]
    joined = SearchResult.joined(parts)
    assert np.array_equal(joined.recommends, found.recommends)
    early = found.recommends.copy()
    early[1, 3] = 9  # answered, but later
    object.__setattr__(found, "recommends", early)
    (verdict,) = validate(found.save(tmp_path / "early"))
    assert verdict.reasons == {1: "it answers with what it had not observed by then"}


def test_who_answers_the_best_observed_cannot_claim_another(tmp_path: Path) -> None:
    found = nats_gym.search("tss", "cifar10", "random", runs=2, evaluations=5, **GIVEN)
    object.__setattr__(found, "recommends", found.evaluation.copy())
    (verdict,) = validate(found.save(tmp_path))
    assert not verdict.holds
    assert "random answers its best observed" in verdict.reasons[-1]


@pytest.mark.parametrize("number", [-1, 20, 3, 1.5, None, [0]])
def test_what_was_not_answered_is_not_recommended(number) -> None:
    class Wrong(Median):
        def recommend(self):
            if len(self.number) < 3:
                return self.number[0]
            return np.array(number) if number in (None, [0]) else np.full(2, number)

    with pytest.raises(InvalidInput, match=r"recommend\(\) of .*Wrong returns numbers"):
        nats_gym.search("tss", "cifar10", Wrong, runs=2, evaluations=9, **GIVEN)
