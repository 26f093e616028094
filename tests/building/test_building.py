"""A benchmark of one's own: builds, their tables, official files, fits, the command line."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import call

from nats_gym import load_table
from nats_gym.building import (
    Built,
    Plan,
    build,
    export_official,
    fit_table,
    open_build,
    parse_architectures,
)
from nats_gym.building.trainings import TrainingStore
from nats_gym.envs import ConstructionEnv, OneShotEnv, OneShotVectorEnv
from nats_gym.errors import CorruptTable, InvalidInput, MissingTable, NotInTable
from nats_gym.evaluators import Outcome
from nats_gym.networks import build as build_network
from nats_gym.spaces import get_space
from nats_gym.tables import MEASURED, SURROGATE, Column, embedded_folder, write_table
from nats_gym.tables.ridge import architecture_features, count_finer
from nats_gym.training.data import load_data
from nats_gym.training.recipe import Recipe
from nats_gym.training.trainer import seeded, train

pytest.importorskip("sklearn")
#: Larger batches than the own recipe's, and a training takes a tenth of a second.
RECIPE = Recipe(batch_size=128, learning_rate=0.05, horizontal_flip=False)
PLAN = Plan.of("sss", "digits", 1, RECIPE)
ARCHS = np.array([0, 1, 9])


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("builds") / "mine"
    return build(folder, PLAN, ARCHS, 2, devices=("cpu",), licence="mine")


@cache
def trained(index: int, seed: int, recipe: Recipe = PLAN.recipe) -> Any:
    """The same training, by the trainer alone."""
    network = seeded(lambda: build_network("sss", index, 10, cells_per_stage=1), seed)
    splits = ("x-valid", "x-test")
    options: dict[str, Any] = {"device": "cpu", "evaluate_on": splits, "evaluate": "every"}
    return train(network, load_data("digits"), recipe, seed=seed, **options)


# ── which architectures ──────────────────────────────────────────────────────────────────────


def test_architectures_are_named_by_ranges_lists_and_samples() -> None:
    space = get_space("sss")
    assert parse_architectures("0-3,300, 2", space).tolist() == [0, 1, 2, 3, 300]
    assert len(parse_architectures("all", space)) == space.size
    small, large = (parse_architectures(f"random:{n}:seed5", space) for n in (30, 300))
    assert len(large) == 300
    assert set(small) < set(large)  # so that a build can be added to
    assert set(small) != set(parse_architectures("random:30", space))
    choices = space.choices(parse_architectures("random:3000", space))
    counts = np.apply_along_axis(np.bincount, 0, choices, minlength=8)  # (8, 5): 375 each
    assert ((counts > 300) & (counts < 450)).all()


@pytest.mark.parametrize(
    "text",
    ["", "5-2", "0-32768", "-1", "random:0", "random:40000", "random:3:5", "first", "1.5"],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_architectures(text, get_space("sss"))


# ── the table ────────────────────────────────────────────────────────────────────────────────


def test_a_build_is_a_table_of_the_trainer_s_figures(built: Built) -> None:
    assert (built.architectures, built.trainings, built.trained) == (3, 6, 6)
    table = load_table("sss", "digits", built.table.folder)
    for split in ("valid", "test"):
        found = table.accuracy(split, 1)
        assert found.shape == (32768, 2)
        assert np.isfinite(found[ARCHS]).all()
        for index, seed in ((0, 1), (9, 0), (9, 1)):
            assert found[index, seed] == trained(index, seed).accuracy(f"x-{split}")
        assert np.isnan(np.delete(found, ARCHS, axis=0)).all()
    assert (table.query_seconds(1)[ARCHS] > 0).all()
    assert (table.latency(1)[ARCHS] > 0).all()
    assert np.isnan(table.query_seconds(1)).sum() == 32765
    assert table.seconds_provenance == table.provenance("accuracy", "valid", 1) == MEASURED
    column = table.column("accuracy", "test", 1)
    assert f"torch {torch.__version__}" in column.source
    assert column.licence == "mine"
    assert PLAN.recipe.to_json() in column.note
    assert '"cells_per_stage": 1' in column.note
    assert column.trials == (0, 1)


@pytest.mark.slow
def test_learning_curves_are_kept(tmp_path: Path) -> None:
    plan = Plan.of("sss", "digits", 3, RECIPE)
    table = build(tmp_path / "b", plan, ARCHS[:1], devices=("cpu",)).table
    record = trained(0, 0, plan.recipe)
    for epoch in (1, 2):
        accuracy = table.accuracy("test", f"{epoch}/3")[0, 0]
        assert accuracy == record.evaluated["x-test"].accuracy[epoch - 1]
    assert table.accuracy("test", 3)[0, 0] == record.accuracy("x-test")


@pytest.mark.slow
def test_a_training_that_diverges_counts_as_its_recipe_says(tmp_path: Path) -> None:
    recipe = Recipe(batch_size=128, learning_rate=1e9, horizontal_flip=False)
    plan = Plan.of("sss", "digits", 2, recipe)
    table = build(tmp_path / "b", plan, ARCHS[:1], devices=("cpu",)).table
    assert table.accuracy("valid", 2)[0, 0] == 10.0
    assert table.query_seconds(2)[0] > 0
    assert "1 trainings that failed" in table.column("accuracy", "valid", 2).note
    with open_build(tmp_path / "b") as store:
        assert export_official(store, tmp_path / "official") == 1


def test_another_plan_is_refused_in_a_build_s_folder(built: Built) -> None:
    folder = built.table.folder.parent
    for other, words in (
        (Plan.of("tss", "digits", 1), 'space "sss", not "tss"'),
        (Plan.of("sss", "digits", 2, RECIPE), "epochs 1, not 2"),
        (Plan.of("sss", "digits", 1), "batch_size 128, not 24"),
        (Plan.of("sss", "digits", 1, RECIPE, network={}), "cells_per_stage 1, not null"),
    ):
        with pytest.raises(InvalidInput, match="holds another build") as caught:
            build(folder, other, ARCHS)
        assert words in str(caught.value)


def test_wrong_arguments_are_refused(built: Built, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="trials is an integer"):
        build(tmp_path / "b", PLAN, ARCHS, 0)
    with pytest.raises(InvalidInput):
        build(tmp_path / "b", PLAN, np.array([32768]))
    with pytest.raises(InvalidInput, match="epochs"):
        Plan.of("sss", "digits", 0)
    with pytest.raises(MissingTable, match="no build"):
        open_build(tmp_path)
    (tmp_path / "trainings.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(OSError, match="cannot be the trainings of a build"):
        build(tmp_path, PLAN, ARCHS)


# ── environments on it ───────────────────────────────────────────────────────────────────────


def test_environments_answer_from_a_build_and_miss_what_it_lacks(built: Built) -> None:
    env = ConstructionEnv("sss", "digits", epochs=1, source=built.table.folder, trial=1)
    env.reset(seed=0)
    for choice in get_space("sss").choices(9).tolist():
        *_, info = env.step(choice)
    assert info["accuracy"] == pytest.approx(built.table.accuracy("valid", 1)[9, 1])
    assert info["provenance"] == MEASURED
    env.reset(seed=0)
    for _ in range(4):
        env.step(7)
    with pytest.raises(NotInTable, match="not in the partial table"):
        env.step(7)


def test_shipped_names_are_known(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is a table of digits"):
        load_table("sss", "cifar10", "digits-300")
    with pytest.raises(MissingTable, match="Did you mean 'digits-300'"):
        load_table("sss", "digits", "digits-30")


@pytest.mark.parametrize("name", ["sss", "tss"])
def test_digits_300_is_a_build_of_300(name: str) -> None:
    folder = embedded_folder(name, "digits")
    assert folder.name == f"{name}-digits-300"
    table = load_table(name, "digits", "digits-300")
    assert load_table(name, "digits").checksum == table.checksum
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000
    accuracy = table.accuracy("valid")
    held = np.flatnonzero(~np.isnan(accuracy).any(axis=1))
    assert accuracy.shape[1] == 2
    assert len(held) >= 300
    assert set(held) == set(parse_architectures("random:300:seed0", get_space(name)))
    assert np.array_equal(np.isnan(accuracy), np.isnan(table.accuracy("test")))
    assert np.isfinite(table.query_seconds(4)[held] + table.latency()[held]).all()
    env = ConstructionEnv(name, "digits", source="digits-300")
    env.reset(seed=0)
    for choice in get_space(name).choices(held[0]).tolist():
        *_, info = env.step(choice)
    assert info["accuracy"] in accuracy[held[0]]


class Constant:
    """Scores everything alike."""

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Outcome:
        return Outcome(np.full(len(index), 50.0), np.ones(len(index)))


def test_a_judge_says_nothing_of_what_a_partial_table_lacks() -> None:
    space, table = get_space("sss"), load_table("sss", "digits")
    test = table.mean_accuracy("test")
    held, lacking = int(np.flatnonzero(~np.isnan(test))[0]), int(np.flatnonzero(np.isnan(test))[0])
    env = OneShotEnv("sss", "digits", evaluator=Constant(), report_test=True)
    for index, judged in ((held, True), (lacking, False)):
        env.reset(seed=0)
        *_, info = env.step(space.choices(index))
        assert ("evaluation" in info) == judged
        if judged:
            assert info["evaluation"]["test_accuracy"] == pytest.approx(test[index])
    both = OneShotVectorEnv(
        2, space="sss", dataset="digits", evaluator=Constant(), report_test=True
    )
    both.reset(seed=0)
    *_, infos = both.step(space.choices(np.array([lacking, held])))
    assert infos["_evaluation"].tolist() == [False, True]
    assert infos["evaluation"]["test_accuracy"][1] == pytest.approx(test[held])


# ── killed ───────────────────────────────────────────────────────────────────────────────────

KILLED = """
import sys
from nats_gym.building import Plan, build, parse_architectures
from nats_gym.training.recipe import Recipe
recipe = Recipe(batch_size=128, learning_rate=0.05, horizontal_flip=False)
plan = Plan.of("sss", "digits", 1, recipe)
build(sys.argv[1], plan, parse_architectures("0-39", plan.architectures), 1,
      workers=2, devices=("cpu",))
"""


def rows(folder: Path) -> list[Any]:
    with sqlite3.connect(folder / "trainings.sqlite") as connection:
        if not connection.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'trainings'"
        ).fetchall():
            return []  # the file is there a moment before its table
        return connection.execute(
            "SELECT architecture, trial, record, finished FROM trainings ORDER BY 1, 2"
        ).fetchall()


@pytest.mark.slow
def test_a_build_killed_in_the_middle_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    for wanted in (3, 12):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)])
        deadline = time.monotonic() + 120
        while not folder.joinpath("trainings.sqlite").exists() or len(rows(folder)) < wanted:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not (folder / "table").exists()
    before = rows(folder)
    assert wanted <= len(before) < 40
    again = build(folder, PLAN, np.arange(40), 1, workers=2, devices=("cpu",))
    assert again.trained == 40 - len(before)  # none twice
    assert [row for row in rows(folder) if row in before] == before  # none lost
    assert [row[0] for row in rows(folder)] == list(range(40))
    assert not list(folder.glob("checkpoints/*"))
    # What was begun before the kill came out as if it had not been.
    for index in (0, before[-1][0], 39):
        record = trained(index, 0, PLAN.recipe)
        assert again.table.accuracy("valid", 1)[index, 0] == record.accuracy("x-valid")


def test_two_builds_at_once_in_a_folder_are_refused(tmp_path: Path) -> None:
    import filelock

    with (
        filelock.FileLock(tmp_path / "building.lock"),
        pytest.raises(InvalidInput, match="another build is at work"),
    ):
        build(tmp_path, PLAN, ARCHS)


@pytest.mark.slow
def test_two_processes_and_a_ray_cluster_build_the_same(built: Built, tmp_path: Path) -> None:
    others = [build(tmp_path / "two", PLAN, ARCHS, 2, workers=2, devices=("cpu",))]
    ray = pytest.importorskip("ray")
    try:
        others.append(build(tmp_path / "b", PLAN, ARCHS, 2, devices=("cpu",), cluster={}))
    finally:
        ray.shutdown()
    for other, split in itertools.product(others, ("valid", "test")):
        one, two = other.table.accuracy(split, 1), built.table.accuracy(split, 1)
        assert np.array_equal(one, two, equal_nan=True)


# ── official files ───────────────────────────────────────────────────────────────────────────


def public_api(folder: Path, space: str = "sss") -> Any:
    return pytest.importorskip("nats_bench").create(str(folder), space, True, False)


def test_the_public_package_reads_them_under_the_data_s_own_name(
    built: Built, tmp_path: Path
) -> None:
    with open_build(built.table.folder.parent) as store:
        assert export_official(store, tmp_path / "files") == 3
    api = public_api(tmp_path / "files")
    space = get_space("sss")
    for index in (0, 9):
        record = trained(index, 1)
        info = api.get_more_info(index, "digits", hp="01", is_random=1)
        for name, split in (("valid", "x-valid"), ("test", "x-test")):
            assert info[f"{name}-accuracy"] == record.accuracy(split)
            assert info[f"{name}-loss"] == record.evaluated[split].loss[-1]
        assert info["train-accuracy"] == record.train.accuracy[-1]
        mean = api.get_more_info(index, "digits", hp="01", is_random=False)["test-accuracy"]
        assert mean == pytest.approx(built.table.mean_accuracy("test", 1)[index])
        cost = api.get_cost_info(index, "digits", hp="01")
        choices = space.choices(index)
        assert cost["params"] == pytest.approx(float(space.params(choices, "digits")))
        assert cost["flops"] == pytest.approx(float(space.flops(choices, "digits")))
        assert cost["latency"] == pytest.approx(built.table.latency(1)[index])
        assert api.arch(index) == space.name_of(index)
    results = api.query_by_index(9, "digits", hp="01")
    assert results[0].arch_config["trained_on"] == "digits"
    assert api.get_net_config(9, "digits")["channels"] == space.name_of(9)


def test_under_an_official_name_a_simulated_search_and_our_importer_read_them(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nats_gym.tables import official

    folder = tmp_path / "NATS-sss-v1_0-50262-simple"
    with open_build(built.table.folder.parent) as store:
        export_official(store, folder, "cifar10")
    api = public_api(folder)
    random.seed(0)
    table = built.table
    for index in ARCHS.tolist():
        info = api.get_more_info(index, "cifar10", hp="01", is_random=False)
        assert info["test-accuracy"] == pytest.approx(table.mean_accuracy("test", 1)[index])
        accuracy, latency, seconds, _ = api.simulate_train_eval(index, "cifar10", hp="01")
        assert accuracy in table.accuracy("valid", 1)[index]
        assert latency == pytest.approx(table.latency(1)[index])
        assert 0 < seconds / table.query_seconds(1)[index] < 5  # one trial, ours the mean
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    official.import_archive(folder, "sss")
    imported = load_table("sss", "digits", folder)
    for split in ("valid", "test"):
        found = imported.accuracy(split, 1)
        assert np.allclose(found[ARCHS], table.accuracy(split, 1)[ARCHS])
        assert np.isnan(np.delete(found, ARCHS, axis=0)).all()
    assert {column.source for column in imported.columns} == {"own training on digits"}
    with pytest.raises(InvalidInput, match="own training on digits, asked for was cifar10"):
        load_table("sss", "cifar10", folder)


def test_other_keys_and_networks_are_not_exported(built: Built, tmp_path: Path) -> None:
    with (
        open_build(built.table.folder.parent) as store,
        pytest.raises(InvalidInput, match="Did you mean 'cifar10-valid'"),
    ):
        export_official(store, tmp_path, "cifar10-vaild")
    other = Plan.of("sss", "digits", 1, RECIPE, network={"cells_per_stage": 2})
    with TrainingStore(tmp_path, other) as store, pytest.raises(InvalidInput, match="own network"):
        export_official(store, tmp_path / "files")


# ── fits ─────────────────────────────────────────────────────────────────────────────────────


def made_up(folder: Path, space_name: str, rows: int, noise: float = 1.0) -> Any:
    """A partial table whose accuracies follow the cost, and what they follow, everywhere."""
    space = get_space(space_name)
    choices = space.all_choices()
    level = np.log(space.params(choices, "digits"))
    level = (level - level.mean()) / level.std() + 0.3 * choices[:, 0]
    truth = 100 / (1 + np.exp(-0.6 * level))
    rng = np.random.default_rng(0)
    held = rng.choice(space.size, rows, replace=False)
    accuracy = np.full((space.size, 2), np.nan)
    accuracy[held] = truth[held, None] + noise * rng.normal(size=(rows, 2))
    accuracy[held[:5], 1] = np.nan
    seconds = np.full(space.size, np.nan)
    seconds[held] = space.flops(choices[held], "digits") ** 0.7
    shared = {"provenance": MEASURED, "source": "made up", "licence": "none"}
    write_table(
        folder,
        space_name,
        "digits",
        [
            (
                Column("accuracy", split="valid", epochs=4, trials=(0, 1), **shared),
                np.clip(accuracy, 0, 100),
            ),
            (Column("train_seconds_per_epoch", **shared), seconds),
            (Column("evaluation_seconds", split="valid", **shared), seconds / 10),
        ],
    )
    return truth, held, seconds


@pytest.mark.one_in(2)
@pytest.mark.parametrize("space_name", ["sss", "tss"])
def test_a_fit_finds_what_figures_follow(space_name: str, tmp_path: Path) -> None:
    truth, held, _ = made_up(tmp_path / "table", space_name, 300)
    fitted = fit_table(tmp_path / "table")
    assert fitted.folder == tmp_path / "table-fitted"
    mean = load_table(space_name, "digits", fitted.folder).mean_accuracy("valid", 4)
    unseen = np.delete(np.arange(len(truth)), held)
    error = mean[unseen] - truth[unseen]
    assert np.sqrt(np.mean(error**2)) < 1.5
    column = fitted.column("accuracy", "valid", 4)
    assert column.provenance == SURROGATE
    assert column.held_out["rows"] == 300
    assert 0.95 < column.held_out["r2"] < 1
    # What was held out tells the error elsewhere, which has no noise of its two trials.
    assert column.held_out["rmse"] ** 2 == pytest.approx(np.mean(error**2) + 1 / 2, rel=0.4)
    # A trial is drawn with the noise of a training, and the model's error.
    assert np.allclose(fitted.noise_std("valid", 4).mean(), np.hypot(1, error.std()), rtol=0.25)
    space = get_space(space_name)
    wanted = 1.1 * space.flops(space.all_choices(), "digits") ** 0.7 + 0.0
    found = fitted.train_seconds(1) + fitted.evaluation_seconds("valid", 4)
    assert np.median(np.abs(found / wanted - 1)) < 0.02
    assert fitted.seconds_provenance == SURROGATE


def test_an_environment_draws_trials_from_a_fit(tmp_path: Path) -> None:
    made_up(tmp_path / "table", "sss", 100)
    fitted = fit_table(tmp_path / "table", tmp_path / "elsewhere" / "fit")
    env = ConstructionEnv("sss", "digits", epochs=4, source=fitted.folder)
    seen = []
    env.reset(seed=0)
    for _ in range(200):
        for _ in range(5):
            *_, info = env.step(3)
        seen.append(info["accuracy"])
        env.reset()
    assert info["provenance"] == SURROGATE
    index = get_space("sss").index([3] * 5)
    assert np.std(seen) == pytest.approx(fitted.noise_std("valid", 4)[index], rel=0.2)
    assert np.mean(seen) == pytest.approx(fitted.mean_accuracy("valid", 4)[index], abs=0.5)


def test_a_fit_refuses_what_it_cannot_fit(tmp_path: Path) -> None:
    made_up(tmp_path / "few", "sss", 19)
    with pytest.raises(InvalidInput, match="at least 20"):
        fit_table(tmp_path / "few")
    made_up(tmp_path / "table", "sss", 40)
    with pytest.raises(InvalidInput, match="a folder of its own"):
        fit_table(tmp_path / "table", tmp_path / "table")
    fitted = fit_table(tmp_path / "table")
    with pytest.raises(InvalidInput, match="holds estimates"):
        fit_table(fitted.folder, tmp_path / "again")
    with pytest.raises(MissingTable):
        fit_table(tmp_path / "none")


def test_a_damaged_fit_is_a_corrupt_table(tmp_path: Path) -> None:
    made_up(tmp_path / "table", "sss", 40)
    fitted = fit_table(tmp_path / "table")
    np.save(fitted.folder / "accuracy-valid-4.npy", np.zeros(3))
    with pytest.raises(CorruptTable):
        load_table("sss", "digits", fitted.folder).accuracy("valid", 4)


def test_finer_features_come_last() -> None:
    space = get_space("tss")
    choices = space.choices(np.arange(50))
    assert count_finer(space) == 375
    pairs = architecture_features(space, choices, "digits")[:, -375:]
    assert set(np.unique(pairs)) == {0.0, 1.0}
    assert (pairs.sum(axis=1) == 15).all()  # each pair of six edges has one of 25
    space = get_space("sss")
    widest = architecture_features(space, np.array([[7] * 5, [0] * 5]), "digits")
    assert widest[:, -35:].tolist() == [[1.0] * 35, [-1.0] * 35]  # ±1 cubed


# ── the command line ─────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_the_command_line_adds_to_a_build(
    built: Built, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    monkeypatch.setattr("nats_gym.building.plan.preset", lambda *_: (RECIPE, PLAN.network))
    out = tmp_path / "mine"
    shutil.copytree(built.table.folder.parent, out)
    line = f"build --space sss --dataset digits --epochs 1 --device cpu --out {out}"
    official = f"--export-official {tmp_path / 'files'} --as cifar100"
    code, said, _ = call(
        monkeypatch, capsys, *f"{line} --archs 1,2 --trials 1 --no-curves {official}".split()
    )
    assert code == 0
    assert "1 trained now; 7 trainings" in said
    assert "official files of 4 architectures" in said
    table = load_table("sss", "digits", out / "table")
    before, after = built.table.accuracy("valid", 1), table.accuracy("valid", 1)
    assert np.array_equal(after[ARCHS], before[ARCHS])
    assert np.isnan(after[2]).tolist() == [False, True]
    assert table.row(table.column("accuracy", "valid", 1), 2).shape == (1,)
    assert not any(column.quantity == "accuracy_curve" for column in table.columns)
    api = public_api(tmp_path / "files")
    assert api.simulate_train_eval(2, "cifar100", hp="01")[0] == after[2, 0]
    code, said, _ = call(monkeypatch, capsys, *f"{line} --archs 0-2".split())
    assert (code, "0 trained now; 7 trainings" in said) == (0, True)
    again = load_table("sss", "digits", out / "table").column("accuracy", "test", 1)
    assert again.licence == "mine"  # what it said, unless something else is said
    for wrong, words in (
        (f"{line} --archs 0-x", "architectures are given as"),
        (line.replace("--epochs 1", "--epochs 2") + " --archs 0", "holds another build"),
        (f"{line} --archs 0 --data-dir {tmp_path}", "those of digits need none"),
        (f"search --space sss --dataset digits --source {out}", f"did you mean '{out}/table'"),
        (f"fit {out / 'table'}", "at least 20 trained"),
        (f"fit {tmp_path / 'nothing'}", "no table"),
    ):
        code, _, error = call(monkeypatch, capsys, *wrong.split())
        assert (code, error.count("\n")) == (2, 1)
        assert words in error


def test_the_command_line_fits(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    made_up(tmp_path / "table", "sss", 60)
    code, said, _ = call(monkeypatch, capsys, "fit", str(tmp_path / "table"))
    assert code == 0
    assert "accuracy-valid-4 (surrogate): held out rows 60, r2 " in said
