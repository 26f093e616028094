"""Importing official archives: every form, interruptions, damage, hostility."""

from __future__ import annotations

import bz2
import errno
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import warnings
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import filelock
import gymnasium as gym
import numpy as np
import pytest
from synthetic_archive import SHORT, record, seeds_of, write_archive, write_record

import nats_gym
from nats_gym.errors import InvalidInput, MissingTable, NatsGymError, NotInTable
from nats_gym.tables import MEASURED, load_table, official
from nats_gym.tables.official import archive, importing, reading, unpickling
from nats_gym.tables.official.importing import ImportRunning
from nats_gym.tables.official.reading import DiskFull
from nats_gym.tables.official.runs import KEYS, TRAIN
from nats_gym.tables.official.store import ArchiveChanged
from nats_gym.tables.official.unpickling import ForbiddenPickle, UnreadableFile

INDICES = {"tss": (0, 11, 12, 500, 9930, 15624), "sss": (0, 11, 284, 32767)}


pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A topology archive of six architectures with short schedules."""
    return write_archive(tmp_path / "small", "tss", INDICES["tss"], schedules=SHORT["tss"])


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> official.OfficialArchive:
    """An import of the same, which tests only read."""
    folder = tmp_path_factory.mktemp("imported")
    path = write_archive(folder, "tss", INDICES["tss"], schedules=SHORT["tss"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NATS_GYM_HOME", str(folder / "home"))
        return official.import_archive(path)


@pytest.fixture
def in_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read small archives as large ones are read: in other processes, shard by shard."""
    monkeypatch.setattr(importing, "WORTH_A_WORKER", 10)
    monkeypatch.setattr(importing, "SHARD_RECORDS", 8)


def assert_holds(archive: official.OfficialArchive, index: int, content: Any) -> None:
    """Compare what an archive says of an architecture with its official record."""
    for hp, results in content.items():
        for key in KEYS:
            runs = archive.runs(key, hp)
            seeds = [runs.seeds[position] for position in runs.trials(index)]
            assert seeds == results["dataset_seed"][key]
            for seed in seeds:
                assert_trial(runs, index, runs.seeds.index(seed), results["all_results"][key, seed])


def assert_trial(runs: official.Runs, index: int, position: int, result: Any) -> None:
    last = result["epochs"] - 1

    def found(name: str) -> float:
        return float(runs.column(name)[index, position])

    assert runs.epochs == result["epochs"]
    assert found("train-accuracy") == result["train_acc1es"][last]
    assert found("train-loss") == result["train_losses"][last]
    assert found("train-seconds") == result["train_times"][last]
    assert found("flops") == result["flop"]
    assert found("params") == result["params"]
    assert found("latency") == np.mean(result["latency"])
    curve = runs.curve(TRAIN)
    assert curve is not None
    accuracies = np.array(list(result["train_acc1es"].values()), np.float32)
    assert np.array_equal(curve[index, position, :, 0], accuracies)
    for name in result["eval_names"]:
        at_last = f"{name}@{last}"
        assert found(f"{name}-accuracy") == result["eval_acc1es"][at_last]
        assert found(f"{name}-loss") == result["eval_losses"][at_last]
        assert found(f"{name}-seconds") == result["eval_times"][at_last]
        curve = runs.curve(name)
        assert (curve is not None) == (f"{name}@0" in result["eval_acc1es"])
        if curve is not None:
            losses = [result["eval_losses"][f"{name}@{epoch}"] for epoch in range(last + 1)]
            assert np.array_equal(curve[index, position, :, 1], np.array(losses, np.float32))


@pytest.mark.one_in(5)
@pytest.mark.parametrize("space", ["tss", "sss"])
@pytest.mark.parametrize("kind", ["simple", "tar", "single", "full"])
def test_every_form_of_an_archive_holds_what_its_records_say(space, kind, tmp_path) -> None:
    indices = INDICES[space][:2]
    if kind == "full":
        pytest.importorskip("torch")
    # At full length in one form: the others differ in where records lie.
    schedules = None if kind == "simple" else SHORT[space]
    path = write_archive(tmp_path / "archive", space, indices, kind=kind, schedules=schedules)
    archive = official.import_archive(path)
    assert archive.space.name == space
    assert np.flatnonzero(archive.held).tolist() == list(indices)
    assert archive.weights == (path if kind == "full" else None)
    for index in indices:
        assert_holds(archive, index, record(space, index, schedules=schedules))
    assert archive.facts["unreadable"] == []


def test_the_official_files(shared_figures: Path) -> None:
    for folder in (shared_figures / "official").iterdir():
        archive = official.import_archive(folder)
        assert np.flatnonzero(archive.held).tolist() == [0, 11]
        for index in (0, 11):
            with bz2.open(folder / f"{index:06d}.pickle.pbz2") as file:
                assert_holds(archive, index, pickle.load(file))


def test_third_trials_that_do_not_exist_are_counted(tmp_path: Path) -> None:
    indices = range(12)
    path = write_archive(tmp_path, "tss", indices, schedules=SHORT["tss"])
    archive = official.import_archive(path)
    expected = sum(len(seeds_of("tss", "200", "cifar10", index)) < 3 for index in indices)
    assert 0 < expected < 12
    assert archive.facts["without_all_trials"]["cifar10@200"] == expected
    assert archive.facts["without_all_trials"]["cifar10@12"] == 0


def test_without_curves(small: Path) -> None:
    archive = official.import_archive(small, curves=False)
    assert archive.runs("cifar10", "200").curve(TRAIN) is None
    assert not (archive.folder / "curves").exists()
    with pytest.raises(NotInTable, match="accuracy_curve"):
        load_table("tss", "cifar10", small).accuracy("valid", "1/12")
    again = official.import_archive(small)  # asks for curves, which that import lacks
    assert again.runs("cifar10", "200").curve(TRAIN) is not None
    assert official.import_archive(small, curves=False).facts["curves"]


# ── known again, changed, moved ──────────────────────────────────────────────────────────────


def test_an_archive_is_imported_once(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = official.import_archive(small)
    monkeypatch.setattr(importing, "_import", lambda *_: pytest.fail("imported again"))
    assert official.import_archive(small).folder == first.folder
    assert official.find_archive(small).folder == first.folder
    moved = small.rename(small.parent / "elsewhere")
    assert official.find_archive(moved).folder == first.folder
    for file in moved.iterdir():
        os.utime(file, (1, 1))
    assert official.find_archive(moved).folder == first.folder  # by content


def test_a_tar_of_an_imported_directory_is_known(small: Path) -> None:
    first = official.import_archive(small)
    path = small.parent / "packed.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(small, "any-name")
    assert official.find_archive(path).folder == first.folder


def test_an_archive_that_changed_is_refused_until_it_is_imported_again(small: Path) -> None:
    first = official.import_archive(small)
    write_record(small / "000000.pickle.pbz2", record("tss", 0, seed=9, schedules=SHORT["tss"]))
    with pytest.raises(ArchiveChanged, match=r"changed since .* nats-gym data import"):
        load_table("tss", "cifar10", small)
    second = official.import_archive(small)
    assert second.folder != first.folder
    assert_holds(second, 0, record("tss", 0, seed=9, schedules=SHORT["tss"]))
    load_table("tss", "cifar10", small)


# ── interruptions ────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.usefixtures("in_processes")
def test_an_interrupted_import_goes_on_where_it_stopped(tmp_path: Path, home: Path) -> None:
    path = write_archive(tmp_path, "tss", range(40), schedules=SHORT["tss"])
    seen: list[tuple[int, int]] = []

    def interrupt(done: int, total: int) -> None:
        seen.append((done, total))
        if done >= 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        official.import_archive(path, progress=interrupt)
    assert official.archives() == []
    assert [entry.name[:11] for entry in (home / "archives").iterdir() if entry.is_dir()] == [
        ".importing-"
    ]
    resumed: list[int] = []
    archive = official.import_archive(path, progress=lambda done, total: resumed.append(done))
    assert resumed[0] >= 16
    assert resumed[-1] == 40
    assert archive.facts["architectures"] == 40
    assert_holds(archive, 39, record("tss", 39, schedules=SHORT["tss"]))
    names = [e.name for e in (home / "archives").iterdir() if e.name != ".lock"]
    assert names == [archive.folder.name]


@pytest.mark.one_in(7)
@pytest.mark.parametrize("where", ["shard", "assembly"])
def test_a_full_disk_leaves_nothing_half_written(small, home, monkeypatch, where) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    module, name = (reading, "write_shard") if where == "shard" else (importing, "assemble")
    with monkeypatch.context() as patch:
        patch.setattr(module, name, full)
        with pytest.raises(DiskFull, match="no space left"):
            official.import_archive(small)
    assert official.archives() == []
    assert not list((home / "archives").glob(".building-*"))
    assert not list((home / "archives").rglob("*.tmp*"))
    assert official.import_archive(small).facts["architectures"] == 6


def test_two_imports_at_once(small: Path, home: Path) -> None:
    (home / "archives").mkdir(parents=True)
    with (
        filelock.FileLock(home / "archives" / ".lock"),
        pytest.raises(ImportRunning, match="another process"),
    ):
        official.import_archive(small)
    official.import_archive(small)


@pytest.mark.usefixtures("in_processes")
def test_a_reading_process_that_dies_is_told_of(tmp_path, monkeypatch) -> None:
    path = write_archive(tmp_path, "tss", range(20), schedules=SHORT["tss"])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UnreadableFile, match="reading process died"):
        official.import_archive(path)
    monkeypatch.undo()


# ── damage and hostility ─────────────────────────────────────────────────────────────────────


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "not bz2":
        path.write_bytes(b"no archive at all")
    elif how == "not a pickle":
        path.write_bytes(bz2.compress(b"no pickle"))
    elif how == "cut pickle":
        path.write_bytes(bz2.compress(bz2.decompress(content)[:-500]))
    elif how == "another architecture":
        path.write_bytes((path.parent / "000012.pickle.pbz2").read_bytes())
    elif how == "not a record":
        write_record(path, {"12": {"arch_str": "?"}})
    elif how == "empty":
        path.write_bytes(b"")


DAMAGES = (
    "truncated",
    "not bz2",
    "not a pickle",
    "cut pickle",
    "another architecture",
    "not a record",
    "empty",
)


def test_an_unreadable_record_is_left_out_and_named(small: Path) -> None:
    path = small / "000011.pickle.pbz2"
    whole = path.read_bytes()
    for number, how in enumerate(DAMAGES, 100):
        damage(path, how)
        with pytest.raises(NatsGymError, match=r"000011\.pickle\.pbz2"):
            official.import_archive(small, strict=True)
        assert official.archives() == []
        path.rename(small / f"{number:06d}.pickle.pbz2.damaged")
        path.write_bytes(whole)
    for damaged in small.glob("*.damaged"):
        damaged.rename(damaged.with_suffix(""))
    archive = official.import_archive(small)
    assert np.flatnonzero(archive.held).tolist() == list(INDICES["tss"])
    assert len(archive.facts["unreadable"]) == len(DAMAGES)
    for number, line in enumerate(archive.facts["unreadable"], 100):
        assert f"{number:06d}.pickle.pbz2" in line


class Hostile:
    """Pickles into a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def hostile(marker: Path) -> list[Any]:
    return [
        Hostile(os.system, f"touch {marker}"),
        Hostile(eval, f"open({str(marker)!r}, 'w')"),
        Hostile(open, str(marker), "w"),
        Hostile(shutil.rmtree, str(marker.parent)),
        Hostile(np.load, str(marker)),
        Hostile(getattr, "text", "upper"),
    ]


@pytest.mark.one_in(2)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_hostile_record_is_refused_and_not_run(small: Path, tmp_path: Path, protocol) -> None:
    marker = tmp_path / "was-run"
    for number, one in enumerate(hostile(marker), 100):
        content = record("tss", number, schedules=SHORT["tss"])
        content["12"]["extra"] = one
        path = small / f"{number:06d}.pickle.pbz2"
        path.write_bytes(bz2.compress(pickle.dumps(content, protocol=protocol)))
        with pytest.raises(ForbiddenPickle, match="was not run") as caught:
            official.import_archive(small, strict=True)
        assert path.name in str(caught.value)
        assert not marker.exists()
        path.rename(path.with_suffix(".hostile"))
    for path in small.glob("*.hostile"):
        path.rename(path.with_suffix(".pbz2"))
    archive = official.import_archive(small)
    assert len(archive.facts["unreadable"]) == 6
    assert np.flatnonzero(archive.held).tolist() == list(INDICES["tss"])
    assert not marker.exists()
    assert tmp_path.exists()


def test_a_hostile_single_archive_is_refused_and_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "was-run"
    content = {"meta_archs": [], "arch2infos": {0: record("tss", 0, schedules=SHORT["tss"])}}
    path = tmp_path / "NATS-tss.pickle.pbz2"
    for one in hostile(marker):
        content["evaluated_indexes"] = one
        for protocol in (2, 4):
            path.write_bytes(bz2.compress(pickle.dumps(content, protocol=protocol)))
            with pytest.raises(ForbiddenPickle, match="was not run") as caught:
                official.import_archive(path)
            assert path.name in str(caught.value)
            assert not marker.exists()
    assert official.archives() == []


def test_a_truncated_single_archive_is_refused(tmp_path: Path) -> None:
    path = write_archive(tmp_path, "sss", range(5), kind="single", schedules=SHORT["sss"])
    content = path.read_bytes()
    for keep in (0.1, 0.5, 0.999):
        path.write_bytes(content[: int(len(content) * keep)])
        with pytest.raises(UnreadableFile, match="truncated"):
            official.import_archive(path)
    assert official.archives() == []


def test_a_single_archive_in_an_older_protocol(tmp_path: Path) -> None:
    infos = {index: record("tss", index, schedules=SHORT["tss"]) for index in (0, 3, 77)}
    path = tmp_path / "NATS-tss.pickle.pbz2"
    path.write_bytes(bz2.compress(pickle.dumps({"arch2infos": infos}, protocol=3)))
    archive = official.import_archive(path)
    for index, content in infos.items():
        assert_holds(archive, index, content)


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("../000003.pickle.pbz2", tarfile.REGTYPE, "outside"),
        ("/tmp/000003.pickle.pbz2", tarfile.REGTYPE, "outside"),
        ("000003.pickle.pbz2", tarfile.SYMTYPE, "link"),
        ("000003.pickle.pbz2", tarfile.LNKTYPE, "link"),
        ("000003.pickle.pbz2", tarfile.FIFOTYPE, "special"),
    ],
)
def test_a_tar_with_members_that_point_elsewhere(tmp_path, name, kind, words) -> None:
    path = write_archive(tmp_path, "tss", (0, 11), kind="tar", schedules=SHORT["tss"])
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    with tarfile.open(path, "a") as archive:
        archive.addfile(member)
    with pytest.raises(InvalidInput, match=words):
        official.import_archive(path)
    assert official.archives() == []


def test_what_is_no_archive(tmp_path: Path, small: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tar").write_text("not a tar")
    with pytest.raises(MissingTable, match="no archive"):
        official.import_archive(tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match="no architecture"):
        official.import_archive(tmp_path / "empty")
    with pytest.raises(InvalidInput, match="neither a plain tar"):
        official.import_archive(tmp_path / "text.tar")
    with pytest.raises(InvalidInput, match="archive of tss, asked for was sss"):
        official.import_archive(small, space="sss")
    with pytest.raises(InvalidInput, match="archive of tss, asked for was sss"):
        load_table("sss", "cifar10", small)
    with pytest.raises(InvalidInput, match="Did you mean 'tss'"):
        official.import_archive(small, space="ts")


def test_an_archive_without_one_readable_record(small: Path) -> None:
    for path in small.glob("0*"):
        damage(path, "truncated")
    for path in small.glob("15*"):
        path.unlink()
    for path in small.glob("0*"):
        assert path.stat().st_size > 0
    with pytest.raises(UnreadableFile):
        official.import_archive(small)
    assert official.archives() == []


def test_a_record_cannot_name_files_or_change_schedules(small: Path, tmp_path: Path) -> None:
    def first(content: Any) -> Any:
        return content["12"]["all_results"]["cifar10", 111]

    changes: list[Callable[[Any], None]] = [
        lambda content: content.update({"../../x": content["12"]}),
        lambda content: content.update({"/tmp/x": content["12"]}),
        lambda content: first(content).update({"eval_names": ["../../../../evil"]}),
        lambda content: first(content).update({"epochs": 10}),
        lambda content: first(content).update({"epochs": 10**9}),
    ]
    paths = [small / f"{number:06d}.pickle.pbz2" for number in range(100, 105)]
    for number, (change, path) in enumerate(zip(changes, paths, strict=True), 100):
        content = record("tss", number, schedules=SHORT["tss"])
        change(content)
        write_record(path, content)
        with pytest.raises(UnreadableFile, match=path.name):
            official.import_archive(small, strict=True)
        path.rename(path.with_suffix(".changed"))
    for path in paths:
        path.with_suffix(".changed").rename(path)
    before = {path for path in tmp_path.rglob("*") if "home" not in path.parts}
    archive = official.import_archive(small)
    assert not archive.held[100:105].any()
    assert len(archive.facts["unreadable"]) == 5
    assert {path for path in tmp_path.rglob("*") if "home" not in path.parts} == before


def test_a_bomb_is_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpickling, "MAX_RECORD_BYTES", 1 << 20)
    content = record("tss", 11, schedules=SHORT["tss"]) | {
        "more": [bytes(600_000 + n) for n in range(3)]
    }
    write_record(small / "000011.pickle.pbz2", content)
    archive = official.import_archive(small)
    assert "more than 1 MB" in archive.facts["unreadable"][0]


def test_strict_does_not_settle_for_a_lenient_import(small: Path) -> None:
    damage(small / "000011.pickle.pbz2", "truncated")
    official.import_archive(small)
    with pytest.raises(UnreadableFile, match="000011"):
        official.import_archive(small, strict=True)


def test_a_figure_that_is_not_a_number_is_kept(small: Path) -> None:
    content = record("tss", 0, schedules=SHORT["tss"])
    trial = content["12"]["all_results"]["cifar10", 111]
    for epoch in range(2):
        trial["train_losses"][epoch] = trial["train_acc1es"][epoch] = float("nan")
    write_record(small / "000000.pickle.pbz2", content)
    runs = official.import_archive(small).runs("cifar10", "12")
    assert runs.trials(0) == [0]
    assert np.isnan(runs.column("train-loss")[0, 0])


def test_leftovers_go(small: Path, home: Path) -> None:
    for name in (".building-dead", ".removed-dead"):
        (home / "archives" / name).mkdir(parents=True)
    for path in small.glob("0*"):
        damage(path, "truncated")
    (small / "015624.pickle.pbz2").unlink()
    with pytest.raises(UnreadableFile, match=r"no record could be read.*000000"):
        official.import_archive(small)
    assert [path.name for path in (home / "archives").iterdir()] == [".lock"]


def test_a_moved_archive_with_weights_is_found_where_it_is(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    path = write_archive(tmp_path, "tss", (0,), kind="full", schedules=SHORT["tss"])
    named = path.rename(tmp_path / "any-name")
    assert official.import_archive(named).weights == named
    moved = named.rename(tmp_path / "elsewhere")
    archive = official.find_archive(moved)
    assert (archive.weights, archive.source) == (moved, str(moved))


def test_a_home_that_cannot_be_written_still_answers(small: Path, monkeypatch) -> None:
    first = official.import_archive(small)
    os.utime(small / "000000.pickle.pbz2", (1, 1))

    def refuse(*_: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(archive, "write_file", refuse)
    assert official.find_archive(small).folder == first.folder


def test_a_tar_cut_in_a_record(tmp_path: Path) -> None:
    path = write_archive(tmp_path, "tss", (0, 11), kind="tar", schedules=SHORT["tss"])
    content = path.read_bytes()
    with tarfile.open(path) as archive:
        last = archive.getmembers()[-1]
    path.write_bytes(content[: last.offset_data + 10])
    with pytest.raises(UnreadableFile, match="truncated tar"):
        official.import_archive(path)


# ── as a source ──────────────────────────────────────────────────────────────────────────────


def test_environments_offer_all_that_the_archive_has(imported) -> None:
    content = record("tss", 500, schedules=SHORT["tss"])
    choices = nats_gym.get_space("tss").choices(500)

    def accuracy(**options: Any) -> tuple[float, dict[str, Any]]:
        env = gym.make("NATS-TSS-cifar10-v0", source=imported.folder, **options)
        env.reset(seed=0)
        for digit in choices:
            info = env.step(digit)[4]
        return info["accuracy"], info

    def trial(hp: str, seed: int) -> Any:
        return content[hp]["all_results"]["cifar10-valid", seed]["eval_acc1es"]

    epochs = SHORT["tss"]
    assert accuracy(epochs=epochs["12"], trial=777)[0] == trial("12", 777)["x-valid@1"]
    assert accuracy(epochs=epochs["12"], trial=111)[0] == trial("12", 111)["x-valid@1"]
    assert accuracy(epochs="1/2", trial=777)[0] == np.float32(trial("12", 777)["x-valid@0"])
    assert accuracy(epochs="2/3", trial=888)[0] == np.float32(trial("200", 888)["x-valid@1"])
    found, info = accuracy(epochs=3, trial="mean")
    values = [trial("200", seed)["x-valid@2"] for seed in content["200"]["dataset_seed"]["cifar10"]]
    assert found == pytest.approx(np.mean(values))
    assert info["provenance"] == info["seconds_provenance"] == MEASURED


def test_costs_of_an_archive_are_its_own(imported) -> None:
    result = record("tss", 11, schedules=SHORT["tss"])["12"]["all_results"]["cifar100", 111]
    table = load_table("tss", "cifar100", imported.folder)
    expected = 2 * result["train_times"][0] + result["eval_times"]["x-valid@0"]
    assert table.query_seconds(2)[11] == pytest.approx(expected, rel=1e-12)
    assert table.latency(2)[11] == pytest.approx(np.mean(result["latency"]))
    assert np.isnan(table.query_seconds(2)[1])


def test_asking_a_partial_archive_for_what_it_lacks(imported) -> None:
    env = gym.make("NATS-TSS-cifar10-v0", source=imported.folder, epochs=2)
    env.reset(seed=0)
    for _ in range(5):
        env.step(1)
    with pytest.raises(NotInTable, match="not in the partial table"):
        env.step(1)
    with pytest.raises(NotInTable, match="not in the partial table"):
        env.unwrapped.evaluator.evaluate(np.array([1]), 2, np.zeros(1, np.uint64))


def test_auto_prefers_a_complete_archive(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_table("tss", "cifar10").source == "embedded"
    archive = official.import_archive(small)
    assert load_table("tss", "cifar10").source == "embedded"  # six architectures are no space
    assert load_table("tss", "cifar10", archive.folder).source == str(small)
    monkeypatch.setattr(official.OfficialArchive, "complete", True)
    assert load_table("tss", "cifar10").source == str(small)
    assert load_table("tss", "cifar10", "embedded").source == "embedded"
    assert load_table("sss", "cifar10").source == "embedded"
    official.remove_archive(archive)
    assert load_table("tss", "cifar10").source == "embedded"
    assert not archive.folder.exists()
    assert small.exists()


def test_many_environments_on_an_archive_map_it_once(small: Path) -> None:
    envs = [gym.make("NATS-TSS-cifar10-v0", source=small, epochs=2) for _ in range(3)]
    assert len({id(env.unwrapped.evaluator.table) for env in envs}) == 1
    assert official.find_archive(small) is official.find_archive(small)


def test_a_search_on_an_archive_reports_measured_test_accuracy(tmp_path: Path) -> None:
    path = write_archive(tmp_path, "sss", range(0, 32768, 4096), schedules={"90": 90})
    held = load_table("sss", "cifar10", path).space.choices(np.arange(0, 32768, 4096))

    class Held:
        def __init__(self, space, streams) -> None:
            self.streams = streams

        def ask(self):
            drawn = np.asarray(self.streams.random((self.streams.runs,))) * len(held)
            return held[drawn.astype(int)]

        def tell(self, outcome) -> None:
            assert outcome.provenance == MEASURED

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = nats_gym.search("sss", "cifar10", Held, source=path, runs=5, budget=2000)
    assert result.provenance["search_accuracy"] == MEASURED
    assert result.provenance["table"] == str(path)
    content = cache(partial(record, "sss", schedules={"90": 90}))
    tested = [
        [trial["eval_acc1es"]["ori-test@89"]]
        for index in result.recommended
        for (key, _), trial in content(int(index))["90"]["all_results"].items()
        if key == "cifar10"
    ]
    assert result.full_schedule_accuracy("test") == pytest.approx(np.mean(tested, axis=1))


# ── whole spaces ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize(("space", "kind"), [("tss", "simple"), ("sss", "tar"), ("tss", "single")])
def test_whole_spaces_in_constant_memory(space: str, kind: str, tmp_path: Path) -> None:
    path = write_archive(tmp_path, space, kind=kind, schedules=SHORT[space])
    # Of the memory map itself: ru_maxrss starts with what the parent had.
    code = (
        "import re, resource, sys; from nats_gym.tables import official\n"
        "official.import_archive(sys.argv[1])\n"
        "status = open('/proc/self/status').read()\n"
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) / 1e3)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3)"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    megabytes = [float(word) for word in done.stdout.split()]
    assert max(megabytes) < 1000, megabytes
    archive = official.find_archive(path)
    assert archive.held.all()
    for index in (0, 4321, archive.space.size - 1):
        assert_holds(archive, index, record(space, index, schedules=SHORT[space]))
    table = load_table(space, "cifar100", path)
    assert not np.isnan(table.mean_accuracy("valid", 2)).any()
    assert (table.query_seconds(2) > 0).all()
