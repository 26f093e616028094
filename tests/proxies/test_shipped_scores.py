"""The scores that ship, against scoring anew, isomorphism, others' scores and accuracies."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from nats_gym import load_table
from nats_gym.proxies import find_score, shipped
from nats_gym.proxies.scoring import Scorer
from nats_gym.spaces import get_space
from nats_gym.tables.named_columns import SHIPPED

SCORES = (
    *("synflow", "logsynflow", "naswot", "jacob_cov", "zen"),
    *("grad_norm", "snip", "plain", "fisher"),
)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("space", ["tss", "sss"])
def test_what_ships_says_what_it_is(space: str, score: str) -> None:
    values, column = shipped(space, score)
    of = get_space(space)
    assert values.shape == (of.size,)
    assert (column.provenance, column.licence) == ("measured", "MIT")
    assert re.search(r"(16|64) images of pink noise, random labels, seed 0", column.note)
    assert column.source.endswith(find_score(score).paper)
    named = load_table(space, "cifar100").figure(f"proxy/{score}")
    assert np.array_equal(named.values, values, equal_nan=True)
    assert not named.quantity.lower_is_better
    known = np.isfinite(values)
    assert known.sum() == (4_000 if space == "sss" else of.size)
    assert not np.isinf(values).any()
    if space == "tss":
        assert np.array_equal(values, values[of.isomorphism_class(of.all_choices())])
    assert spearmanr(values[known], load_table(space, "cifar10").mean_accuracy("valid")[known])[0]


def test_they_are_small() -> None:
    for folder in SHIPPED.glob("*-columns-proxies"):
        assert sum(path.stat().st_size for path in folder.iterdir()) < 1_300_000


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("space", "cheap"), [("tss", 3), ("sss", 2)])
def test_scoring_anew_gives_them(space: str, cheap: int) -> None:
    """Of a few networks with few operations, in which other processors round otherwise."""
    of = get_space(space)
    batches: dict[str, list[str]] = {}
    for score in SCORES:
        count = shipped(space, score).provenance.note.split()[0]
        batches.setdefault(count, []).append(score)
    known = np.flatnonzero(np.isfinite(shipped(space, "zen").values))
    if space == "tss":
        known = np.unique(of.isomorphism_class(of.all_choices()))
    computes = load_table(space, "cifar10").figure("flops").values[known]
    chosen = known[np.argsort(computes, kind="stable")][1 : 10 * cheap : 10].tolist()
    for count, scores in batches.items():
        scorer = Scorer(space, "cifar10", scores, images="pink", batch=int(count))
        for index in chosen:
            for score, value in scorer.score(index, 0).values.items():
                ships = shipped(space, score).values
                least = ships[np.isfinite(ships)].min()
                assert max(value, least) == pytest.approx(ships[index], rel=1e-3, abs=1e-4), score


def test_they_rank_as_published_scores_do(shared_figures: Path) -> None:
    with np.load(shared_figures / "tss_proxies.npz") as theirs:
        index = theirs["index"]
        for score, named, least in (
            ("naswot", "naswot", 0.92),
            ("logsynflow", "logsynflow", 0.98),
            ("synflow", "log10_synflow", 0.98),
        ):
            own = shipped("tss", score).values[index]
            assert spearmanr(own, theirs[f"cifar10_{named}"])[0] > least, score


def test_they_rank_accuracies() -> None:
    """Coarsely as in NAS-Bench-Suite-Zero (Krishnakumar et al., NeurIPS 2022) on this space."""
    accuracy = load_table("tss", "cifar10").mean_accuracy("valid")
    found = {score: spearmanr(shipped("tss", score).values, accuracy)[0] for score in SCORES}
    assert found["naswot"] > 0.7
    assert found["synflow"] > 0.65
    assert found["grad_norm"] > 0.4
    assert abs(found["plain"]) < 0.5
