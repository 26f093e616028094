"""Builds, fits and exports that must not destroy, mix or lose what is there."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nats_gym import cli
from nats_gym.agents.threads import one_thread
from nats_gym.building import (
    Built,
    Plan,
    TrainingsMissing,
    build,
    export_official,
    fit_table,
    open_build,
)
from nats_gym.building import building as building_module
from nats_gym.building.trainings import TrainingStore, UnreadableBuild
from nats_gym.building.worker import RecordingEvaluator, make_trainer
from nats_gym.errors import InvalidInput, MissingTable, NatsGymError
from nats_gym.evaluators.cluster import ClusterFailed
from nats_gym.processes.pool import WorkerDied
from nats_gym.spaces import get_space
from nats_gym.tables import MEASURED, Column, load_table, write_table
from nats_gym.training.data import load_data
from nats_gym.training.recipe import Recipe

pytest.importorskip("sklearn")
#: A training of a tenth of a second.
RECIPE = Recipe(batch_size=128, learning_rate=0.05, horizontal_flip=False)
PLAN = Plan.of("sss", "digits", 1, RECIPE)
CPU: dict[str, Any] = {"devices": ("cpu",)}


class Pool:
    """Trains in this process, for speed; tests/building/test_building.py has the real ones."""

    def __init__(self, factory: str, arguments: list[dict[str, Any]], workers: int) -> None:
        assert factory == "nats_gym.building.worker:make_trainer"
        self.trainer = make_trainer(**arguments[0])

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, task: dict[str, Any]) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(self.trainer(**task))
        except NatsGymError as error:
            future.set_exception(error)
        return future


@pytest.fixture(autouse=True, scope="module")
def one_process_of_one_thread() -> Iterator[None]:
    with one_thread(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(building_module, "Pool", Pool)
        yield


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of two architectures; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("builds") / "mine"
    build(folder, PLAN, np.array([0, 9]), **CPU)
    return folder


@pytest.fixture
def mine(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "mine")


def again(folder: Path, *architectures: int, **options: Any) -> Built:
    return build(folder, PLAN, np.array(architectures or (0, 9)), **{**CPU, **options})


def partial_table(folder: Path, rows: int = 40, constant: bool = False) -> Path:
    space = get_space("sss")
    held = np.random.default_rng(0).choice(space.size, rows, replace=False)
    accuracy = np.full((space.size, 1), np.nan)
    accuracy[held, 0] = 50.0 if constant else space.choices(held).mean(axis=1) * 10
    seconds = np.full(space.size, np.nan)
    seconds[held] = 1.0 if constant else space.choices(held).sum(axis=1) + 1
    shared = {"provenance": MEASURED, "source": "made up", "licence": "none"}
    accuracies = Column("accuracy", split="valid", epochs=4, trials=(0,), **shared)
    costs = Column("train_seconds_per_epoch", **shared)
    folder.parent.mkdir(exist_ok=True)
    write_table(folder, "sss", "digits", [(accuracies, accuracy), (costs, seconds)])
    return folder


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# ── what is in the way of a table ────────────────────────────────────────────────────────────


def test_a_fit_deletes_nothing_but_a_table(tmp_path: Path) -> None:
    table = partial_table(tmp_path / "build" / "table")
    (tmp_path / "build" / "trainings.sqlite").write_bytes(b"hours")
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "thesis.tex").write_text("years")
    before = content(tmp_path)
    for out, words in (
        (thesis, "holds thesis.tex"),
        (table.parent, "a folder of its own"),
        (table, "a folder of its own"),
        (table / "inside", "a folder of its own"),
        (tmp_path, "a folder of its own"),
        (thesis / "thesis.tex", "cannot be a folder"),
    ):
        with pytest.raises(InvalidInput, match=words):
            fit_table(table, out)
    assert content(tmp_path) == before
    empty = tmp_path / "empty"
    empty.mkdir()
    link = tmp_path / "link"
    link.symlink_to(empty)
    for out in (empty, empty, link):  # an empty folder, a table, a table by another name
        assert fit_table(table, out).folder == out
        load_table("sss", "digits", empty).accuracy("valid", 4)
    assert link.is_symlink()


def test_only_a_whole_table_is_replaced(tmp_path: Path) -> None:
    table = partial_table(tmp_path / "table")
    latency = Column("latency", MEASURED, "made up", "none"), np.ones(32768)
    (table / "notes.txt").write_text("mine")
    (table / "nested").mkdir()
    with pytest.raises(InvalidInput, match=r"holds nested, notes\.txt"):
        write_table(table, "sss", "digits", [latency])
    (table / "nested").rmdir()
    (table / "notes.txt").unlink()
    (table / "manifest.json").write_text('{"name": "a browser extension"}')
    with pytest.raises(InvalidInput, match="no table that may be replaced"):
        write_table(table, "sss", "digits", [latency])
    assert sorted(path.name for path in table.iterdir()) == [
        "accuracy-valid-4.npy",
        "manifest.json",
        "train_seconds_per_epoch.npy",
    ]


def test_a_table_that_cannot_be_described_replaces_nothing(tmp_path: Path) -> None:
    table = partial_table(tmp_path / "table")
    before = content(tmp_path)
    nobodys: Any = Column("latency", MEASURED, "made up", 5)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"table/manifest\.json.*licence of a column is 5"):
        write_table(table, "sss", "digits", [(nobodys, np.ones(32768))])
    assert content(tmp_path) == before


def test_a_build_refuses_before_training_what_is_in_the_table_s_way(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building_module, "load_data", None)  # nothing may be trained
    (mine / "table" / "figure.pdf").write_text("mine")
    before = content(mine / "table")
    with pytest.raises(InvalidInput, match=r"holds figure\.pdf"):
        again(mine, 0, 9, 10)
    assert content(mine / "table") == before
    shutil.rmtree(mine / "table")
    (mine / "table").write_text("a file")
    with pytest.raises(InvalidInput, match="cannot be a folder"):
        again(mine, 0, 9, 10)


def test_a_wrong_licence_costs_no_table(mine: Path) -> None:
    before = content(mine)
    wrong: Any = 5
    with pytest.raises(InvalidInput, match="licence is text of at most 1,000 characters, got 5"):
        again(mine, licence=wrong)
    assert content(mine) == before


# ── what a build loses ───────────────────────────────────────────────────────────────────────


def test_a_failed_training_keeps_its_checkpoint(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = mine / "checkpoints"

    class DyingPool(Pool):
        """Leaves a checkpoint of each training, then loses its worker."""

        def submit(self, task: dict[str, Any]) -> Future[Any]:
            checkpoints.mkdir(exist_ok=True)
            Path(task["checkpoint"]).write_bytes(b"an hour")
            future: Future[Any] = Future()
            future.set_exception(WorkerDied("the worker died"))
            return future

    with monkeypatch.context() as patch:
        patch.setattr(building_module, "Pool", DyingPool)
        with pytest.raises(TrainingsMissing, match="2 of 2 trainings failed"):
            again(mine, 20, 21)
    assert sorted(path.name for path in checkpoints.iterdir()) == ["20-0.pt", "21-0.pt"]
    # These are damaged, and are begun anew; another's stays, and so does the folder.
    (checkpoints / "300-0.pt").write_bytes(b"of a training not asked for now")
    assert again(mine, 20, 21).trained == 2
    assert [path.name for path in checkpoints.iterdir()] == ["300-0.pt"]
    (checkpoints / "300-0.pt").unlink()
    assert again(mine, 22).trained == 1
    assert not checkpoints.exists()


def test_a_training_that_cannot_be_kept_keeps_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise UnreadableBuild("disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStore, "add", full)
        with pytest.raises(UnreadableBuild):
            again(tmp_path / "b", 9)
    assert [path.name for path in (tmp_path / "b" / "checkpoints").iterdir()] == ["9-0.pt"]
    # A checkpoint is as good as a training: the folder is this plan's.
    with pytest.raises(InvalidInput, match="holds another build"):
        build(tmp_path / "b", Plan.of("sss", "digits", 2, RECIPE), np.array([9]), **CPU)
    assert again(tmp_path / "b", 9).trained == 1


def test_a_build_that_came_to_nothing_claims_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "b"
    cifar = Plan.of("tss", "cifar100", 12)
    with monkeypatch.context() as patch:
        patch.setattr(building_module, "load_data", lambda *_: _no_data())
        with pytest.raises(MissingTable, match="no data"):
            build(folder, cifar, np.array([0]), **CPU)
    assert again(folder, 9).trained == 1
    with pytest.raises(InvalidInput, match="holds another build"):
        build(folder, cifar, np.array([0]), **CPU)


def _no_data() -> None:
    raise MissingTable("no data")


# ── damaged trainings ────────────────────────────────────────────────────────────────────────


def change(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / "trainings.sqlite")
    with connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE plan SET content = '{}'", "its plan is damaged"),
        ("UPDATE plan SET content = '{'", "its plan is damaged"),
        ("UPDATE plan SET content = '[]'", "its plan is damaged"),
        ("UPDATE plan SET content = replace(content, 'digits', 'dogits')", "its plan is damaged"),
        ("UPDATE plan SET content = replace(content, 'batch', 'bitch')", "its plan is damaged"),
        ("UPDATE plan SET format = 1", "has format 1"),
        ("DELETE FROM plan", "no plan"),
        ("UPDATE trainings SET record = '{' WHERE architecture = 9", "architecture 9, trial 0"),
        ("UPDATE trainings SET record = '{}' WHERE architecture = 9", "architecture 9, trial 0"),
        ("UPDATE trainings SET record = '7'", "architecture 0, trial 0"),
        (
            "UPDATE trainings SET record = replace(record, '\"accuracy\": [', '\"accuracy\": [1,')",
            "architecture 0, trial 0",
        ),
        (
            "UPDATE trainings SET record = replace(record, 'seconds\": [', 'seconds\": [\"x\",')",
            "architecture 0, trial 0",
        ),
        ("UPDATE trainings SET latency = 'fast'", "architecture 0, trial 0"),
        ("UPDATE trainings SET architecture = 40000 WHERE architecture = 9", "architecture 40000"),
    ],
)
def test_a_damaged_row_is_one_clear_error(mine: Path, statement: str, words: str) -> None:
    change(mine, statement)
    before = content(mine / "table")
    with pytest.raises(UnreadableBuild, match=words):
        again(mine)
    assert content(mine / "table") == before
    with pytest.raises(UnreadableBuild, match=words), open_build(mine) as store:
        list(store)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER taken AFTER INSERT ON trainings BEGIN DELETE FROM plan; END",
        "CREATE VIEW more AS SELECT * FROM trainings",
    ],
)
def test_a_store_with_more_in_it_than_ours_is_refused(mine: Path, statement: str) -> None:
    change(mine, statement)
    with pytest.raises(UnreadableBuild, match="is not the trainings of a build: it holds"):
        again(mine, 0, 9, 17)


def test_a_store_that_is_deleted_while_a_build_runs_loses_no_training_of_it(mine: Path) -> None:
    with open_build(mine) as held:
        known = next(iter(held))
    answer = {
        "record": known.record.to_content(),
        **{name: getattr(known, name) for name in ("latency", "params", "machine")},
        "splits": held.plan.splits,
    }
    with TrainingStore(mine, held.plan) as store:
        store.add(17, 0, answer)
        for path in mine.glob("trainings.sqlite*"):
            path.unlink()
        with pytest.warns(RuntimeWarning, match="deleted or replaced while it was in use"):
            store.add(18, 0, answer)
        assert store.finished() == {(17, 0), (18, 0)}
    with open_build(mine) as store:
        assert store.plan == held.plan
        assert [training.architecture for training in store] == [17, 18]


def test_a_build_that_cannot_begin_holds_its_folder_no_longer(mine: Path) -> None:
    change(mine, "CREATE VIEW more AS SELECT * FROM trainings")
    with pytest.raises(UnreadableBuild) as caught:  # keeps the frames, and what is in them, alive
        again(mine)
    change(mine, "DROP VIEW more")
    assert again(mine).trained == 0, caught


# ── arguments ────────────────────────────────────────────────────────────────────────────────


def test_a_plan_takes_mappings_and_checks_them() -> None:
    plan = Plan.of("sss", "digits", recipe={"batch_size": 3})
    own = Plan.of("sss", "digits")
    assert plan.recipe == dataclasses.replace(own.recipe, batch_size=3)
    assert Plan.of("sss", "digits", network={"cells_per_stage": np.int64(2)}).to_json()[
        "network"
    ] == {"cells_per_stage": 2}
    anything: Any = Plan.of
    for arguments, words in (
        ({"recipe": {"batchsize": 3}}, "Did you mean 'batch_size'"),
        ({"recipe": {"batch_size": 0}}, "batch_size is an integer from 1"),
        ({"recipe": {"epochs": 3}}, "epochs is an argument of its own"),
        ({"recipe": 3}, "got 3"),
        ({"network": {"foo": 1}}, "unknown argument of a network 'foo'"),
        ({"network": {"cells_per_stage": 0}}, "cells_per_stage is an integer from 1"),
        ({"network": {"stem_width": 8}}, "stem_width"),
        ({"network": 3}, "got 3"),
    ):
        with pytest.raises(InvalidInput, match=words):
            anything("sss", "digits", **arguments)


def test_wrong_arguments_are_refused_even_with_nothing_to_train(mine: Path) -> None:
    for options, words in (
        ({"cluster": {"gpus": 1}}, "Did you mean 'num_gpus'"),
        ({"cluster": {"num_gpus": 1.5}}, "num_gpus is a fraction of one"),
        ({"cluster": True}, "cluster is a dict with any of num_cpus, num_gpus"),
        ({"cluster": {}, "workers": 2}, "workers and several devices are for this machine"),
        ({"cluster": {}, "devices": ("cpu", "cpu")}, "are for this machine"),
        ({"workers": 0}, "workers is an integer from 1"),
        ({"devices": "cpu"}, "devices is a list"),
        ({"devices": ()}, "devices is a list"),
        ({"devices": ("cup",)}, "no device 'cup'"),
    ):
        with pytest.raises(InvalidInput, match=words):
            again(mine, **options)
    with pytest.raises(InvalidInput, match="at least one architecture"):
        build(mine, PLAN, np.array([], np.int64), **CPU)
    assert build(mine, PLAN, np.array([9, 0, 9]), **CPU).trained == 0


# ── on a cluster ─────────────────────────────────────────────────────────────────────────────


class Cluster:
    """Stands for a RayEvaluator: runs the tasks here, and loses what it is told to."""

    lost: int | None = None

    def __init__(self, evaluator: Any, *, num_gpus: float = 0) -> None:
        self.evaluator = evaluator

    def stream(self, index: Any, epochs: Any, trials: Any) -> Iterator[Any]:
        for position, (one, trial) in enumerate(zip(index, trials, strict=True)):
            if position == self.lost:
                raise ClusterFailed(f"architecture {one} did not come back")
            ((_, answer),) = self.evaluator.stream(np.array([one]), epochs, np.array([trial]))
            yield position, answer


@pytest.mark.slow
def test_on_a_cluster_a_failed_training_ends_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building_module, "RayEvaluator", Cluster)
    from nats_gym.building import worker

    real = worker.train_once

    def failing(plan: Plan, data: Any, index: int, *others: Any) -> Any:
        if index == 9:
            raise ValueError("out of memory")
        return real(plan, data, index, *others)

    monkeypatch.setattr(worker, "train_once", failing)
    with pytest.raises(TrainingsMissing, match=r"1 of 3 trainings failed.*9.*out of memory"):
        again(tmp_path / "b", 0, 9, 10, cluster={})
    accuracy = load_table("sss", "digits", tmp_path / "b" / "table").accuracy("valid", 1)
    assert np.flatnonzero(~np.isnan(accuracy[:, 0])).tolist() == [0, 10]
    monkeypatch.setattr(worker, "train_once", real)
    assert again(tmp_path / "b", 0, 9, 10, cluster={}).trained == 1


def test_what_came_back_from_a_lost_cluster_is_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building_module, "RayEvaluator", Cluster)
    monkeypatch.setattr(Cluster, "lost", 1)
    with pytest.raises(TrainingsMissing, match=r"2 of 3 trainings failed.*did not come back"):
        again(tmp_path / "b", 0, 9, 10, cluster={})
    assert load_table("sss", "digits", tmp_path / "b" / "table").accuracy("valid", 1)[0, 0] > 0
    monkeypatch.setattr(Cluster, "lost", 0)
    with pytest.raises(ClusterFailed):
        again(tmp_path / "c", 0, cluster={})


@pytest.mark.slow
def test_on_ray_a_failed_training_ends_no_other(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    recipe = dataclasses.replace(RECIPE, learning_rate=1e9, on_failure="raise")
    plan = Plan.of("sss", "digits", 2, recipe)
    try:
        with pytest.raises(TrainingsMissing, match=r"2 of 2 trainings failed.*diverged"):
            build(tmp_path / "b", plan, np.array([0, 9]), **CPU, cluster={})
    finally:
        ray.shutdown()


# ── which images ─────────────────────────────────────────────────────────────────────────────


def test_a_build_keeps_to_its_splits(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_data("digits")
    splits = PLAN.splits_of(data)
    with open_build(mine) as store:
        assert store.plan.splits == splits
        assert splits.startswith("seeded ")
    table = load_table("sss", "digits", mine / "table")
    assert f"splits {splits}" in table.column("accuracy", "valid", 1).note
    halves = {**data.splits, "x-valid": data.splits["x-test"], "x-test": data.splits["x-valid"]}
    other = dataclasses.replace(data, splits=halves, official_splits=True)
    assert PLAN.splits_of(other).startswith("official ")
    monkeypatch.setattr(building_module, "load_data", lambda *_: other)
    with pytest.raises(InvalidInput, match=f"on the {splits} splits of digits"):
        again(mine, 10)
    # And on a cluster, some of whose machines have other lists.
    monkeypatch.setattr(building_module, "RayEvaluator", Cluster)
    monkeypatch.setattr("nats_gym.building.worker._images", lambda *_: other)
    with pytest.raises(TrainingsMissing, match=f"on the {splits} splits of digits"):
        again(mine, 10, cluster={})
    answer = RecordingEvaluator(PLAN, None, "cpu").stream(np.array([9]), 1, np.array([0]))
    ((_, found),) = answer
    with open_build(mine) as store, pytest.raises(InvalidInput, match="does not belong"):
        store.add(11, 0, found.metrics["training"])


# ── official files ───────────────────────────────────────────────────────────────────────────


def test_an_export_is_added_to_and_never_mixed(mine: Path, tmp_path: Path) -> None:
    files = tmp_path / "files"
    with open_build(mine) as store:
        assert export_official(store, files) == 2
    again(mine, 10)
    with open_build(mine) as store:
        assert export_official(store, files) == 3
    before = content(files)
    for plan, name, words in (
        (Plan.of("tss", "digits", 1, RECIPE), None, 'space "sss", not "tss"'),
        (Plan.of("sss", "digits", 2, RECIPE), None, "epochs 1, not 2"),
        (PLAN, "cifar100", "filed under digits, not cifar100"),
    ):
        folder = tmp_path / f"{plan.space}-{plan.epochs}"
        with (
            TrainingStore(_make(folder), plan) as store,
            pytest.raises(InvalidInput, match="of another build") as caught,
        ):
            export_official(store, files, name)
        assert words in str(caught.value)
    assert content(files) == before
    stranger = _make(tmp_path / "archive")
    (stranger / "000000.pickle.pbz2").write_bytes(b"NATS-Bench's own")
    with open_build(mine) as store, pytest.raises(InvalidInput, match="no build has written"):
        export_official(store, stranger)


def _make(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


# ── fits ─────────────────────────────────────────────────────────────────────────────────────


def test_constant_figures_have_no_r2(tmp_path: Path) -> None:
    fitted = fit_table(partial_table(tmp_path / "table", constant=True))  # warnings are errors
    accuracy = fitted.column("accuracy", "valid", 4)
    assert accuracy.held_out == {"rows": 40, "rmse": 0.0}
    seconds = fitted.column("train_seconds_per_epoch")
    assert seconds.held_out == {"rows": 40, "mean_relative_error": 0.0}
    assert fitted.mean_accuracy("valid", 4) == pytest.approx(50.0)


# ── the command line ─────────────────────────────────────────────────────────────────────────


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--address 10.0.0.1:6379", "--address is an option of --ray"),
        ("--gpus 0", "--gpus is an option of --ray"),
        ("--as cifar100", "--as names the data set of --export-official"),
        ("--ray --workers 1", "--workers is for this machine"),
        ("--ray --device cuda:0,cuda:1", "one --device"),
        ("--ray --gpus 1.5", "num_gpus is a fraction of one"),
        ("--export-official {tmp} --as foo", "unknown data set 'foo'"),
        ("--export-official {tmp}/file/x", "cannot be a folder"),
        ("--export-official {tmp}/mine/table/official", "is where the table goes"),
        ("--workers 0", "workers is an integer from 1"),
    ],
)
def test_options_that_would_be_passed_over_are_refused(
    options: str, words: str, mine: Path, monkeypatch: Any, capsys: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    before = content(tmp_path)
    monkeypatch.setattr(building_module, "load_data", None)  # nothing may be trained
    line = f"build --space sss --dataset digits --epochs 1 --out {mine} --archs 0 "
    arguments = (line + options.replace("{tmp}", str(tmp_path))).split()
    monkeypatch.setattr(sys, "argv", ["nats-gym", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    error = capsys.readouterr().err
    assert (caught.value.code, error.count("\n")) == (2, 1)
    assert words in error
    assert content(tmp_path) == before


def test_the_public_find_best_needs_the_whole_space(mine: Path, tmp_path: Path) -> None:
    nats_bench = pytest.importorskip("nats_bench")
    with open_build(mine) as store:
        export_official(store, tmp_path / "files", "cifar100")
    api = nats_bench.create(str(tmp_path / "files"), "sss", True, False)
    assert api.simulate_train_eval(9, "cifar100", hp="01")[0] > 0
    with pytest.raises(AssertionError):
        api.find_best("cifar100", "valid", hp="01")
