"""Importing NAS-Bench-101's files: against a plain reading; killed, damaged, contradictory."""

from __future__ import annotations

import filecmp
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import synthetic_tfrecord as plain
from nasbench101_files import CELLS, SCHEDULES, cells_of, made_up, shuffled

from nats_gym.errors import InvalidInput, NatsGymError, NotInTable
from nats_gym.evaluators import TableEvaluator
from nats_gym.spaces import get_space
from nats_gym.tables import MEASURED, load_table, official
from nats_gym.tables.official import origin, tfrecord, training_columns
from nats_gym.tables.official.reading import Reader
from nats_gym.tables.official.store import newest_archive
from nats_gym.tables.official.unpickling import UnreadableFile

#: What of the tests here is a fixture.
__all__ = ["made_up"]


def test_every_figure_is_the_files(made_up: official.OfficialArchive) -> None:
    _, computed = plain.read_plainly(Path(made_up.source))
    table = load_table("nb101", "cifar10", made_up.source)
    assert np.flatnonzero(made_up.held).tolist() == sorted(CELLS)
    indices = list(CELLS)
    trainings = [computed[get_space("nb101").hash_of(index)] for index in indices]
    for epochs in SCHEDULES:
        for when, named in (("final", epochs), ("halfway", f"{epochs // 2}/{epochs}")):

            def told(name: str, epochs: int = epochs, when: str = when) -> np.ndarray:
                return np.array(
                    [[one[f"{when}_{name}"] for one in cell[epochs]] for cell in trainings]
                )

            for split, name in (("valid", "validation"), ("test", "test")):
                hits = np.rint(told(f"{name}_accuracy") * 9_984)
                assert (table.accuracy(split, named)[indices] == 100 * hits / 9_984).all()
                mean = 100 * hits.sum(axis=1) / (9_984 * 3)
                assert (table.mean_accuracy(split, named)[indices] == mean).all()
            seconds = told("training_time").mean(axis=1)
            found = table.train_seconds(named)[indices]
            np.testing.assert_allclose(found, seconds, rtol=1e-14)


def test_the_published_record(made_up: official.OfficialArchive) -> None:
    table = load_table("nb101", "cifar10", made_up.folder)
    for split, epochs, expected in (
        ("valid", 108, [92.41787, 92.45793, 93.04888]),
        ("test", 108, [91.90705, 92.11739, 92.15745]),
        ("valid", 54, [77.76442, 81.15985, 82.91266]),
        ("test", "54/108", [77.40384, 80.58894, 82.04126]),
    ):
        assert sorted(table.accuracy(split, epochs)[0]) == pytest.approx(expected, abs=1e-5)
    assert float(table.train_seconds(108)[0]) == pytest.approx(1768.785, abs=5e-4)
    assert float(table.train_seconds("54/108")[0]) == pytest.approx(883.458, abs=5e-4)


def test_the_table_says_what_it_holds(made_up: official.OfficialArchive) -> None:
    table = load_table("nb101", "cifar10", made_up.source)
    assert table.epochs("valid") == table.epochs("test") == SCHEDULES
    assert {column.provenance for column in table.columns} == {MEASURED}
    assert table.accuracy_column("valid", "2/4").name == "accuracy-valid-2of4"
    assert np.isnan(table.accuracy("valid")[1]).all()
    for epochs in ("1/4", "36/108", 200):
        with pytest.raises(NotInTable, match=r"the .* table of nb101 cifar10 has no"):
            table.accuracy("valid", epochs)
    assert "not NAS-Bench-101's, though in its format: its SHA-256 begins" in made_up.origin
    assert newest_archive("nb101") is None  # auto takes whole, public files only


def test_evaluators_answer_from_it(made_up: official.OfficialArchive) -> None:
    table = load_table("nb101", "cifar10", made_up.source)
    evaluator = TableEvaluator(table)
    for epochs in (108, "54/108", "2/4"):
        drawn = {evaluator.evaluate_one(167, epochs, key) for key in range(50)}
        seconds = float(table.train_seconds(epochs)[167])
        assert drawn == {(float(one), seconds) for one in table.accuracy("valid", epochs)[167]}
    with pytest.raises(NotInTable, match="architecture 1 of nb101 cifar10 is not in the partial"):
        evaluator.evaluate_one(1, 108, 0)


def test_a_whole_public_file_is_what_auto_takes(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = plain.write_file(tmp_path / "one.tfrecord", shuffled(schedules=[4]))
    start = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    public = origin.NASBench101(files={"one.tfrecord": start})
    monkeypatch.setattr(training_columns, "NASBENCH_101", public)
    monkeypatch.setattr(official.OfficialArchive, "complete", True)
    archive = official.import_archive(path)
    assert (archive.official, archive.origin) == (True, public.origin)
    table = load_table("nb101", "cifar10")
    assert table.source == str(path)
    assert {column.licence for column in table.columns} == {"Apache-2.0"}


# ── interruptions ────────────────────────────────────────────────────────────────────────────


def in_this_process(workers: int, retries: int = 0) -> Reader:
    """What reads, without starting interpreters, which takes seconds."""
    return Reader(0)


IMPORT = """
import sys
from pathlib import Path
from nats_gym.tables import official
from nats_gym.tables.official import tfrecord
tfrecord.BLOCK_BYTES = 8_000
print(official.import_archive(Path(sys.argv[1])).folder)
"""


def assert_same_files(one: Path, other: Path) -> None:
    ours, theirs = (
        {f.relative_to(folder): f for f in folder.rglob("*") if f.is_file()}
        for folder in (one, other)
    )
    assert ours.keys() == theirs.keys()
    assert len(ours) > 20
    for name, file in ours.items():
        assert filecmp.cmp(file, theirs[name], shallow=False), name


def test_interrupted_and_resumed_it_is_the_same_byte_for_byte(
    made_up: official.OfficialArchive, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfrecord, "BLOCK_BYTES", 8_000)
    monkeypatch.setattr("nats_gym.tables.official.importing.Reader", in_this_process)

    def interrupt(done: int, total: int) -> None:
        assert total == 6 * len(CELLS)
        if done > 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        official.import_archive(made_up.source, progress=interrupt)
    (work,) = (home / "archives").glob(".importing-*")
    stamps = {shard: shard.stat().st_mtime_ns for shard in work.glob("shard-*.npz")}
    assert len(stamps) == 2
    seen: list[int] = []

    def look(done: int, total: int) -> None:
        seen.append(done)
        assert all(shard.stat().st_mtime_ns == stamp for shard, stamp in stamps.items())

    resumed = official.import_archive(made_up.source, progress=look)
    assert seen[0] > 30  # these were not read again
    assert seen[-1] == 6 * len(CELLS)
    assert not [*(home / "archives").glob(".importing-*")]
    assert_same_files(made_up.folder, resumed.folder)


@pytest.mark.slow
def test_killed_and_resumed_it_is_the_same_byte_for_byte(
    made_up: official.OfficialArchive, tmp_path: Path
) -> None:
    environment = {**os.environ, "NATS_GYM_HOME": str(tmp_path)}
    command = [sys.executable, "-c", IMPORT, made_up.source]
    with subprocess.Popen(command, env=environment) as killed:
        until = time.monotonic() + 60
        while not (shards := [*tmp_path.glob("archives/.importing-*/shard-*.npz")]):
            assert killed.poll() is None
            assert time.monotonic() < until
            time.sleep(0.005)
        killed.send_signal(signal.SIGKILL)
    assert not [*tmp_path.glob("archives/[!.]*")]
    assert all(shard.is_file() for shard in shards)
    output = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    assert not [*tmp_path.glob("archives/.importing-*")]
    assert_same_files(made_up.folder, Path(output.strip()))


def test_what_is_imported_is_not_imported_again(made_up: official.OfficialArchive) -> None:
    assert official.find_archive(made_up.source) is not None


# ── files that contradict themselves, or the space ───────────────────────────────────────────


@pytest.fixture(scope="module")
def some() -> list[bytes]:
    """Records of three cells at 4 epochs, in order."""
    return list(plain.records(cells_of([0, 167, 9]), [4]))


def refused(tmp_path: Path, records: list[bytes]) -> str:
    path = plain.write_file(tmp_path / "some.tfrecord", records)
    with pytest.raises(NatsGymError) as caught:
        official.import_archive(path)
    assert not [*(tmp_path / "home" / "archives").glob("[!.]*")]
    assert not [*(tmp_path / "home" / "archives").glob(".[!l]*")]
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    return message


def _other(record: bytes, **changed: str) -> bytes:
    for old, new in changed.items():
        record = record.replace(old.encode(), new.encode())
    return record


FIRST, SECOND = "00005c142e6f48ac74fdcf73e3439874", "001a6fcc8b38cbc515be788a86bdc804"


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: [*r, r[3]], "record 9: more than 3 trainings of cell 167 at 4 epochs"),
        (lambda r: r[:-1], "2 trainings of cell 9 at 4 epochs"),
        (lambda r: [*r[:5], r[4], *r[6:]], "record 5: a training of cell 167 at 4 epochs that is"),
        (lambda r: [*r, *plain.records(cells_of([9]), [12])], "0 trainings of cell 0 at 12 epochs"),
        (
            lambda r: [*r[:4], _other(r[4], **{SECOND: FIRST}), *r[5:]],
            f"record 4: the hash {FIRST} of a cell whose hash is {SECOND}",
        ),
        (
            lambda r: [_other(one, **{SECOND: "f" * 32}) for one in r],
            f"record 3: the hash {'f' * 32} of a cell whose hash is {SECOND}",
        ),
        (
            lambda r: [*r[:8], next(_with_parameters(8_555_531))],
            "record 8: 8,555,531 parameters of a cell whose network has 8,555,530",
        ),
        (lambda r: [*r[:2], b"[]", *r[2:]], "record 2: "),
        (lambda r: [], "no record in it"),
    ],
)
def test_contradictions_are_refused(
    change: Callable[[list[bytes]], list[bytes]],
    reason: str,
    some: list[bytes],
    tmp_path: Path,
    home: Path,
) -> None:
    assert reason in refused(tmp_path, change(some))


def _with_parameters(count: int) -> Iterator[bytes]:
    ((digest, matrix, operations, _),) = cells_of([0])
    return plain.records([(digest, matrix, operations, count)], [4])


def test_contradictions_between_blocks_are_refused(
    some: list[bytes], tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each record in a block of its own; in this process, which is quicker."""
    monkeypatch.setattr(tfrecord, "BLOCK_BYTES", 450)
    monkeypatch.setattr("nats_gym.tables.official.importing.Reader", in_this_process)
    other = [*some[:4], _other(some[4], **{SECOND: FIRST}), *some[5:]]
    assert f"record 4: the hash {FIRST} of a cell" in refused(tmp_path, other)
    assert "record 9: more than 3 trainings" in refused(tmp_path, [*some, some[3]])
    assert "record 5: a training" in refused(tmp_path, [*some[:5], some[4], *some[6:]])


def test_a_file_of_another_space_than_asked_for(tmp_path: Path, home: Path) -> None:
    path = plain.write_file(tmp_path / "some.tfrecord", [b"x"])
    with pytest.raises(InvalidInput, match="is an archive of nb101, asked for was tss"):
        official.import_archive(path, "tss")


def test_files_are_known_by_what_they_begin_with(tmp_path: Path, home: Path) -> None:
    path = plain.write_file(tmp_path / "renamed", [b"x"])
    with pytest.raises(UnreadableFile, match="record 0: no JSON"):
        official.import_archive(path)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Four times the cells, no more memory: what is held follows the space."""
    script = IMPORT.replace("8_000", "1 << 20") + (
        "import resource\n"
        "own, others = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, "
        "resource.RUSAGE_CHILDREN))\n"
        "print(own, others)\n"
    )
    taken = []
    for count in (1_000, 4_000):
        indices = np.random.default_rng(0).choice(get_space("nb101").size, count, replace=False)
        records = plain.records(cells_of(indices.tolist()))
        path = plain.write_file(tmp_path / f"{count}.tfrecord", records)
        environment = {**os.environ, "NATS_GYM_HOME": str(tmp_path / f"home-{count}")}
        command = [sys.executable, "-c", script, str(path)]
        output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        taken.append([int(kb) for kb in output.stdout.split()[-2:]])
        path.unlink()
    small, large = taken
    assert all(more < less * 1.1 for less, more in zip(small, large, strict=True)), taken
