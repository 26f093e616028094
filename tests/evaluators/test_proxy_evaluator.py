"""Zero-cost scores as the evaluator of environments and searches."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hostile import EVERYTHING, attack
from torch import nn

import nats_gym
from nats_gym.errors import InvalidInput
from nats_gym.evaluators import (
    CachedEvaluator,
    ProxyEvaluator,
    checked,
    evaluator_names,
    evaluator_options,
    make_evaluator,
)
from nats_gym.evaluators.proxy import as_accuracy
from nats_gym.proxies import Score, rank_mean, score_architectures, vote
from nats_gym.proxies.registry import version_of
from nats_gym.testing import check_evaluator

QUICK = {"score": "params", "batch": 2}


def parameters(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_it_answers_with_the_score_and_real_seconds() -> None:
    evaluator = ProxyEvaluator("sss", "digits", score="synflow", batch=4)
    index = np.array([3, 32_767, 100])
    outcome = evaluator.evaluate(index, 4, np.arange(3, dtype=np.uint64))
    expected = score_architectures("sss", index, ["synflow"], dataset="digits", batch=4)["synflow"]
    assert outcome.metrics["score"].tolist() == expected.tolist()
    assert outcome.accuracy.tolist() == [as_accuracy(value) for value in expected]
    assert (outcome.seconds > 0).all()
    assert (outcome.provenance, outcome.seconds_provenance) == ("proxy", "measured")
    assert checked(outcome, 3).accuracy.tolist() == outcome.accuracy.tolist()
    copy = pickle.loads(pickle.dumps(evaluator))
    again = copy.evaluate(index, 4, np.arange(3, dtype=np.uint64))
    assert again.accuracy.tolist() == outcome.accuracy.tolist()
    assert copy.identity == evaluator.identity
    check_evaluator(evaluator, "sss", "digits", index=[0, 32_767])


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("combine", "combined"), [("vote", vote), ("rank_mean", rank_mean)])
def test_several_scores_rank_among_a_sample(combine: str, combined: Callable[..., Any]) -> None:
    names = ["l2_norm", "flops", "params"]
    evaluator = ProxyEvaluator("sss", "digits", score=names, combine=combine, reference=3, batch=2)
    index = np.array([3, 32_767, 0])
    outcome = evaluator.evaluate(index, 4, np.arange(3, dtype=np.uint64))
    space = nats_gym.get_space("sss")
    others = space.index(space.sample(np.random.default_rng(0), (3,))).tolist()
    scores = score_architectures("sss", [*others, *index], names, dataset="digits", batch=2)
    for place in range(len(index)):
        asked = [0, 1, 2, 3 + place]
        share = combined({name: values[asked] for name, values in scores.items()})[-1]
        assert outcome.metrics["score"][place] == share
        assert outcome.accuracy[place] == 100 * share
    assert outcome.accuracy[1] == 100  # the largest
    copy = pickle.loads(pickle.dumps(evaluator))
    assert copy.identity == evaluator.identity
    assert (
        copy.evaluate(index, 4, np.arange(3, dtype=np.uint64)).accuracy.tolist()
        == outcome.accuracy.tolist()
    )
    check_evaluator(evaluator, "sss", "digits", index=[0, 32_767])
    with pytest.raises(InvalidInput, match="Did you mean 'vote'"):
        ProxyEvaluator("sss", "digits", score=names, combine="votes")
    for wrong in (["synflow", "synflow"], [], ["synflo", "flops"]):
        with pytest.raises(InvalidInput):
            ProxyEvaluator("sss", "digits", score=wrong)


def test_accuracies_rank_as_scores() -> None:
    scores = [-math.inf, -1e300, -1e5, -64.01, -64.0, -1.0, -1e-9, 0.0, 1e-9, 1.0, 1500.0, 1500.01]
    scores += [1e40, 1e300, math.inf]
    accuracies = [as_accuracy(score) for score in scores]
    assert (np.diff(accuracies) > 0).all()
    assert (accuracies[0], accuracies[7], accuracies[-1]) == (0.0, 50.0, 100.0)
    assert as_accuracy(math.sinh(8.0)) == pytest.approx(75.0)
    attack(as_accuracy)


def test_trials_have_weights_of_their_own() -> None:
    evaluator = ProxyEvaluator("sss", "digits", score="l2_norm", batch=2, trials=None)
    same = np.array([3, 3]), 4
    fresh = evaluator.evaluate(*same, np.array([1, 2], np.uint64)).accuracy
    assert fresh[0] != fresh[1]
    fixed = ProxyEvaluator("sss", "digits", score="l2_norm", batch=2)
    one = fixed.evaluate(*same, np.array([1, 2], np.uint64)).accuracy
    assert one[0] == one[1]


def test_it_is_made_by_name_with_a_cache(tmp_path: Path) -> None:
    assert "proxy" in evaluator_names()
    assert {"score", "images", "batch", "cache"} <= set(evaluator_options("proxy"))
    path = tmp_path / "cache.sqlite"
    made = make_evaluator("proxy", "sss", "digits", cache=path, **QUICK)
    assert isinstance(made, CachedEvaluator)
    question = np.array([3, 4]), 4, np.array([1, 2], np.uint64)
    first = made.evaluate(*question)
    assert len(made) == 2
    again = make_evaluator({"name": "proxy", **QUICK, "cache": str(path)}, "sss", "digits")
    assert again.evaluate(*question).seconds.tolist() == first.seconds.tolist()
    other = make_evaluator("proxy", "sss", "digits", cache=path, score="params", batch=3)
    assert other.identity != made.identity  # type: ignore[attr-defined]
    own = make_evaluator("proxy", "sss", "digits", cache=path, score=parameters, batch=2)
    assert isinstance(own, CachedEvaluator) == (parameters.__module__ != "__main__")
    unnamed = make_evaluator("proxy", "sss", "digits", score=lambda *_: 1.0, batch=2)
    assert isinstance(unnamed, ProxyEvaluator)  # nothing tells it from another lambda
    named = make_evaluator("proxy", "sss", "digits", score=Score("mine", lambda *_: 1.0), batch=2)
    assert isinstance(named, ProxyEvaluator)  # by whatever name
    with pytest.raises(InvalidInput, match="Did you mean 'synflow'"):
        make_evaluator("proxy", "sss", "digits", score="synflo")
    with pytest.raises(InvalidInput, match="Did you mean 'score'"):
        make_evaluator("proxy", "sss", "digits", scores="synflow")
    with pytest.raises(InvalidInput, match="asked for once, got 'synflow, snip, synflow'"):
        make_evaluator("proxy", "sss", "digits", score=["synflow", "snip", "synflow"])


def test_what_a_score_was_is_no_answer_of_what_it_is(tmp_path: Path) -> None:
    told = []
    for text in ("1.0", "2.0", "2.0", "2.0 + ('b' in {'a', 'b'})"):
        names: dict[str, Any] = {"__name__": "a_module"}
        exec(f"def score(network, images, labels):\n    return {text}", names)
        score = Score("mine", names["score"])
        made = make_evaluator("proxy", "sss", "digits", cache=tmp_path / "c", score=score, batch=2)
        outcome = made.evaluate(np.array([3]), 4, np.array([1], np.uint64))
        told.append((float(outcome.metrics["score"][0]), len(made)))  # type: ignore[arg-type]
    assert told == [(1.0, 1), (2.0, 2), (2.0, 2), (3.0, 3)]


@torch.no_grad()
def decorated(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    return 1.0


WEIGHTS = torch.zeros(5_000)  # of which not all are printed


def weighed(n: nn.Module, i: torch.Tensor, k: torch.Tensor, w: Any = WEIGHTS) -> float:
    return float(w.sum())


def doubled(n: nn.Module, i: torch.Tensor, k: torch.Tensor, /, by: float = 2.0, *, of=("a",)):
    return by


@pytest.mark.parametrize(("score", "kept"), [(decorated, False), (weighed, False), (doubled, True)])
def test_what_is_not_told_by_its_code_and_constants_is_not_kept(score: Any, kept: bool) -> None:
    assert (version_of(Score("mine", score)) is not None) == kept
    made = make_evaluator("proxy", "sss", "digits", score=Score("mine", score), batch=2)
    assert isinstance(made, CachedEvaluator) == kept


def test_a_search_by_a_function_is_told_how_to_name_it() -> None:
    for score in (parameters, ["synflow", parameters]):
        evaluator = {"name": "proxy", "score": score}
        with pytest.raises(InvalidInput, match=r"option score is a function.*register_score\(NAME"):
            nats_gym.search("sss", "digits", "random", evaluator=evaluator, evaluations=2)


def test_an_environment_is_rewarded_by_a_score() -> None:
    options = {"evaluator": "proxy", "cache": False, **QUICK}
    env = gym.make("NATS-SSS-digits-v0", **options)
    env.reset(seed=0)
    for _ in range(5):
        *_, terminated, _, info = env.step(7)
    assert terminated
    millions = nats_gym.get_space("sss").figure("params", "digits").values[info["index"]]
    assert info["score"] == pytest.approx(millions)
    assert info["provenance"] == "proxy"
    assert info["accuracy"] == as_accuracy(info["score"])
    envs = gym.make_vec("NATS-SSS-digits-OneShot-v0", num_envs=2, **options)
    envs.reset(seed=0)
    *_, infos = envs.step(envs.action_space.sample())
    assert len(infos["score"]) == 2


def test_a_search_is_rewarded_by_a_score() -> None:
    evaluator = {"name": "proxy", "cache": False, **QUICK}
    result = nats_gym.search(
        "sss", "digits", "rea", evaluator=evaluator, budget=60.0, evaluations=12
    )
    millions = nats_gym.get_space("sss").figure("params", "digits").values
    found = [
        pair
        for pair in zip(result.index.ravel(), result.accuracy.ravel(), strict=True)
        if pair[0] >= 0
    ]
    assert len(found) == 12
    for index, accuracy in found:
        assert accuracy == pytest.approx(as_accuracy(millions[index]))


def test_nonsense_is_refused() -> None:
    for name in ("images", "batch", "network", "trials", "threads", "download", "device"):
        attack(
            lambda value, name=name: make_evaluator(  # type: ignore[misc]
                "proxy", "sss", "digits", **{"cache": False, **QUICK, name: value}
            )
        )
    attack(
        lambda value: make_evaluator("proxy", "sss", "digits", score=value, cache=False),
        [value for value in EVERYTHING if not callable(value)],
    )
    evaluator = ProxyEvaluator("sss", "digits", **QUICK)  # type: ignore[arg-type]
    attack(lambda value: [*evaluator.stream(value, 1, np.zeros(1, np.uint64))])
    attack(lambda value: [*evaluator.stream(np.zeros(1, int), value, np.zeros(1, np.uint64))])
    with pytest.raises(InvalidInput, match="0…32767"):
        evaluator.evaluate(np.array([32_768]), 1, np.array([0], np.uint64))
