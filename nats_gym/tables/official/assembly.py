"""Shards → the columns and curves of an archive, and a check of them against the files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.datasets import DATASETS
from nats_gym.errors import CorruptTable, InvalidInput
from nats_gym.files.writing import make_folder
from nats_gym.spaces import ArchitectureSpace
from nats_gym.tables.column import MEASURED, Column
from nats_gym.tables.folder import sha256_of, write_table
from nats_gym.tables.official.archive import ARCHIVE_FILE, FORMAT, OfficialArchive, write_facts
from nats_gym.tables.official.extraction import Record, RunKey, RunShape
from nats_gym.tables.official.shards import Shard, column_names, merge_shapes

#: Of NATS-Bench's figures, and of those that do not say.
LICENCE, UNSTATED = "MIT", "unstated"
#: Seeds in all of an archive's trials of a key on a schedule.
MAX_SEEDS = 32
# What a shape says of the archive rather than of its runs.
_OF_THE_ARCHIVE = ("uneven_times", "weights")


def assemble(
    folder: Path, space: ArchitectureSpace, shards: Sequence[Shard], facts: dict[str, Any]
) -> OfficialArchive:
    """Join shards in ``folder``, which must be empty; memory stays small whatever they hold.

    Args:
        folder: where to write.
        space: the architecture space.
        shards: by ascending index.
        facts: what ``archive.json`` is to say besides what is held.
    """
    shapes = merge_shapes((shard.shapes, shard.path.name) for shard in shards)
    for (key, hp), shape in shapes.items():
        if len(shape.seeds) > MAX_SEEDS:
            raise InvalidInput(
                f"{facts['source']['path']}: {len(shape.seeds):,} different seeds of {key} at hp "
                f"{hp}; an archive has at most {MAX_SEEDS}"
            )
    held = np.zeros(space.size, bool)
    short: dict[str, int] = {}
    for run, shape in shapes.items():
        exists = _write_columns(folder, space, shards, run, shape)
        held |= exists.any(axis=1)
        short["@".join(run)] = int((exists.any(axis=1) & ~exists.all(axis=1)).sum())
        for name in shape.curve_sets:
            _write_curve(folder, space, shards, run, shape, name)
    np.save(folder / "held.npy", held, allow_pickle=False)
    runs = [
        {
            "key": key,
            "hp": hp,
            **{name: value for name, value in vars(shape).items() if name not in _OF_THE_ARCHIVE},
        }
        for (key, hp), shape in sorted(shapes.items())
    ]
    record = {
        "format": FORMAT,
        "space": space.name,
        **facts,
        "weights": facts["source"]["path"] if any(s.weights for s in shapes.values()) else None,
        "architectures": int(held.sum()),
        "without_all_trials": short,
        "uneven_times": sum(shape.uneven_times for shape in shapes.values()),
        "runs": runs,
    }
    write_facts(folder / ARCHIVE_FILE, record)
    record["differences"] = OfficialArchive(folder).differences
    write_facts(folder / ARCHIVE_FILE, record)
    _write_tables(OfficialArchive(folder), shapes)
    return OfficialArchive(folder)  # anew each time, for one keeps what it has mapped


def _write_columns(
    folder: Path, space: ArchitectureSpace, shards: Sequence[Shard], run: RunKey, shape: RunShape
) -> NDArray[np.bool_]:
    """Write the final figures of one run key; which trials exist, ``(arch, trial)``."""
    names = column_names(shape.sets)
    figures = np.full((space.size, len(shape.seeds), len(names)), np.nan)
    for shard in shards:
        if run in shard.shapes:
            trials, rows = shard.figures(run)
            positions = np.searchsorted(shape.seeds, trials[:, 1])
            mine = [names.index(name) for name in column_names(shard.shapes[run].sets)]
            figures[trials[:, :1], positions[:, None], mine] = rows
    target = folder / "columns" / "@".join(run)
    target.mkdir(parents=True)
    for position, name in enumerate(names):
        column = np.ascontiguousarray(figures[:, :, position])
        np.save(target / f"{name}.npy", column, allow_pickle=False)
    return ~np.isnan(figures[:, :, names.index("params")])  # an accuracy may really be NaN


def _write_curve(
    folder: Path,
    space: ArchitectureSpace,
    shards: Sequence[Shard],
    run: RunKey,
    shape: RunShape,
    name: str,
) -> None:
    """Write the learning curves of one run key on one set, row after row."""
    target = folder / "curves" / "@".join(run)
    make_folder(target)
    row_shape = (len(shape.seeds), shape.epochs, 2)
    with (target / f"{name}.npy").open("wb") as file:
        start, row_bytes = _begin_array(file, (space.size, *row_shape))
        for shard in shards:
            if run not in shard.shapes:
                continue
            has_curve = name in shard.shapes[run].curve_sets
            trials, found = shard.figures(run, name if has_curve else "")
            index, row = np.unique(trials[:, 0], return_inverse=True)
            rows = np.zeros((len(index), *row_shape), np.float32)
            positions = np.searchsorted(shape.seeds, trials[:, 1])
            rows[row, positions] = found if has_curve else np.nan
            # Gaps between indices stay holes in the file.
            for block in np.split(np.arange(len(index)), np.flatnonzero(np.diff(index) != 1) + 1):
                file.seek(start + int(index[block[0]]) * row_bytes)
                file.write(rows[block].tobytes())


def _begin_array(file: IO[bytes], shape: tuple[int, ...]) -> tuple[int, int]:
    """Write the header of a float32 ``.npy`` of zeros; where its rows begin, bytes of each."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    start, row_bytes = file.tell(), 4 * int(np.prod(shape[1:]))
    file.truncate(start + shape[0] * row_bytes)
    return start, row_bytes


# ── the same columns as tables ───────────────────────────────────────────────────────────────


def _write_tables(archive: OfficialArchive, shapes: dict[RunKey, RunShape]) -> None:
    """Write a manifest per data set that refers to the columns of the archive."""
    tables = archive.folder / "tables"
    tables.mkdir()
    for dataset, keys in _filed(archive, {key for key, _ in shapes}).items():
        columns = list(_table_columns(archive, shapes, *keys))
        if columns:
            write_table(tables / dataset, archive.space.name, dataset, [], columns)


def _filed(archive: OfficialArchive, held: set[str]) -> dict[str, tuple[str, str, str]]:
    """Data sets of an archive: the keys that a search and a test read, and the test's set."""
    # During search CIFAR-10 means the half-and-half split; its test accuracy is judged after
    # training on all training images (the paper's protocol).
    keys = {
        "cifar10": ("cifar10-valid", "cifar10", "ori-test"),
        **{name: (name, name, "x-test") for name in DATASETS if name != "cifar10"},
    }
    if not archive.trained_on:
        return keys
    # A build's trainings are filed under one data set's keys, and tested as they are.
    filed = [(name, each) for name, each in keys.items() if held.intersection(each[:2])]
    if len(filed) > 1:
        raise InvalidInput(
            f"{archive.source}: trainings on {archive.trained_on} filed under "
            f"{' and '.join(name for name, _ in filed)}; an archive has them under one"
        )
    ((_, (searched, tested, test_set)),) = filed
    return {archive.trained_on: (searched, tested if tested in held else searched, test_set)}


def _table_columns(
    archive: OfficialArchive,
    shapes: dict[RunKey, RunShape],
    searched: str,
    tested: str,
    test_set: str,
) -> Iterable[Column]:
    licence = LICENCE if archive.official else UNSTATED
    for (key, hp), shape in sorted(shapes.items()):

        def column(
            quantity: str, name: str, split: str = "", key: str = key, hp: str = hp
        ) -> Column:
            kind = "curves" if quantity == "accuracy_curve" else "columns"
            path = Path(kind, f"{key}@{hp}", f"{name}.npy")
            return Column(
                quantity,
                MEASURED,
                archive.origin,
                licence,
                file=Path("..", "..", path).as_posix(),
                sha256=sha256_of(archive.folder / path),
                split=split,
                epochs=shapes[key, hp].epochs,
                trials=tuple(shapes[key, hp].seeds),
                note=f"filed under {key}" if archive.trained_on else "",
            )

        if key == searched:
            yield column("train_seconds_per_epoch", "train-seconds")
            yield column("latency", "latency")
            if "x-valid" in shape.sets:
                yield column("accuracy", "x-valid-accuracy", "valid")
                yield column("evaluation_seconds", "x-valid-seconds", "valid")
            if "x-valid" in shape.curve_sets:
                yield column("accuracy_curve", "x-valid", "valid")
        if key == tested and test_set in shape.sets:
            yield column("accuracy", f"{test_set}-accuracy", "test")
            if test_set in shape.curve_sets:
                yield column("accuracy_curve", test_set, "test")


# ── verification ─────────────────────────────────────────────────────────────────────────────


def verify(archive: OfficialArchive, fresh: Iterable[Record], expected: int) -> None:
    """Compare an archive with freshly read records; ``CorruptTable`` if they differ.

    Args:
        archive: what was assembled.
        fresh: records to spot-check.
        expected: how many architectures were read.
    """
    if int(archive.held.sum()) != expected:
        raise CorruptTable(
            f"{archive.folder}: {int(archive.held.sum()):,} architectures, {expected:,} were read"
        )
    for record in fresh:
        for (key, hp, seed), trial in record.trials.items():
            runs = archive.runs(key, hp)
            position = runs.seeds.index(seed)
            where = f"architecture {record.index}, {key}, hp {hp}, seed {seed}"
            for name, value in trial.final.items():
                found = runs.column(name)[record.index, position]
                if not (found == value or (np.isnan(found) and np.isnan(value))):
                    raise CorruptTable(
                        f"{archive.folder}: {name} of {where} is {found}, the file says {value}"
                    )
            for name, curve in trial.curves.items():
                written = runs.curve(name)
                if written is None or not np.array_equal(
                    written[record.index, position], curve, equal_nan=True
                ):
                    raise CorruptTable(
                        f"{archive.folder}: the {name} curve of {where} is not the file's"
                    )
