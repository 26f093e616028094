"""A table at another schedule than its data set's own is searched, judged and shown by its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import nats_gym
from nats_gym import search
from nats_gym.errors import NotInTable
from nats_gym.study import Study, validate
from nats_gym.tables import MEASURED, Column, Table, write_table

HITS = np.random.default_rng(0).integers(50, 480, (32_768, 2))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A table of digits after 2 epochs, where the data set's own schedule has 4."""
    shared: dict[str, Any] = {"provenance": MEASURED, "source": "a test", "licence": "none"}
    of_trials = {**shared, "epochs": 2, "trials": (0, 1)}
    seconds = np.ones(32_768)
    folder = tmp_path_factory.mktemp("tables") / "own"
    columns = [
        (Column("accuracy", split="valid", **of_trials), HITS / 5),
        (Column("accuracy", split="test", **of_trials), HITS / 5),
        (Column("train_seconds_per_epoch", **shared), seconds),
        (Column("evaluation_seconds", split="valid", **shared), seconds / 10),
        (Column("latency", **shared), seconds / 100),
    ]
    # Test images are 400: other figures than validation's.
    columns[1] = (columns[1][0], np.minimum(HITS, 400) / 4)
    write_table(folder, "sss", "digits", columns)
    return str(folder)


def best() -> int:
    return int(HITS.sum(axis=1).argmax())


def test_the_longest_schedule_that_a_table_has_is_its_full_one(source: str) -> None:
    table = Table(source, source)
    assert table.full_epochs == 2
    assert table.best() == (best(), 100 * HITS[best()].sum() / 1000)
    assert table.accuracy_column().epochs == 2
    assert table.latency()[3] == 0.01
    assert nats_gym.load_table("tss", "cifar10", "embedded").full_epochs == 200
    assert nats_gym.load_table("sss", "cifar10", "embedded").full_epochs == 90
    assert nats_gym.load_table("sss", "digits", "digits-300").full_epochs == 4


def test_searches_go_by_the_table_s_own_schedule(source: str, tmp_path: Path) -> None:
    found = search("sss", "digits", "random", runs=3, source=source)
    named = search("sss", "digits", "random", epochs=2, runs=3, source=source)
    assert found.arguments == named.arguments
    assert np.array_equal(found.index, named.index)
    expected = HITS[best()].sum() / 10 - HITS[found.recommended].sum(axis=1) / 10
    assert found.regret() == pytest.approx(expected)
    assert found.summary()["full_schedule_test_accuracy"]["mean"] > 0
    (verdict,) = validate(found.save(tmp_path / "found"))
    assert verdict.holds, verdict.reasons


@pytest.mark.parametrize("options", [{}, {"epochs": 2}])
@pytest.mark.parametrize("family", ["", "Budgeted-", "OneShot-", "Edit-"])
def test_environments_go_by_it_too(source: str, family: str, options: dict[str, Any]) -> None:
    env = gym.make(f"NATS-SSS-digits-{family}v0", source=source, report_test=True, **options)
    plain = env.unwrapped
    assert plain.epochs == 2
    assert plain.optimum() == best()
    assert plain.regret(best()) == 0.0
    assert plain.rank(best()) == 1
    assert plain.judge(7)["epochs"] == 2
    assert plain.judge(7)["test_accuracy"] == np.minimum(HITS, 400)[7].sum() / 8
    env.close()


def test_a_study_s_cells_go_by_it(source: str) -> None:
    spec = {
        "runs": 2,
        "source": source,
        "searches": [{"space": "sss", "datasets": ["digits"]}],
        "agents": {"random": {}},
    }
    (cell,) = Study.of(spec).cells
    assert cell.arguments["epochs"] == 2


def test_what_is_advised_can_help(source: str) -> None:
    with pytest.raises(NotInTable) as caught:
        search("sss", "digits", "random", epochs=4, source=source)
    assert "nats-gym build --space sss --dataset digits --epochs 4" in str(caught.value)
    assert "archive" not in str(caught.value)
    with pytest.raises(NotInTable, match="nats-gym build") as caught:
        search("sss", "digits", "asha", source=source)
    assert "archive" not in str(caught.value)
    with pytest.raises(NotInTable, match="official archive"):
        nats_gym.load_table("tss", "cifar10", "embedded").accuracy("test", 12)


def test_an_estimate_of_both_splits_is_judged_as_no_test() -> None:
    def judged(dataset: str) -> dict[str, Any]:
        env = gym.make(f"NATS-SSS-{dataset}-OneShot-v0", source="embedded", report_test=True)
        env.reset(seed=0)
        *_, info = env.step(env.action_space.sample())
        return dict(info["evaluation"])

    for dataset in ("cifar100", "ImageNet16-120"):
        found = judged(dataset)
        assert "test_accuracy" not in found
        assert found["valid_accuracy"] > 0
        assert found["test"] == "none: validation and test are one estimate"
    assert set(judged("cifar10")) == {"test_accuracy", "epochs", "provenance"}
    envs = gym.make_vec("NATS-SSS-cifar100-OneShot-v0", 3, source="embedded", report_test=True)
    envs.reset(seed=0)
    *_, infos = envs.step(envs.action_space.sample())
    assert infos["evaluation"]["valid_accuracy"].shape == (3,)
    assert len(set(infos["evaluation"]["test"])) == 1
    envs.close()
