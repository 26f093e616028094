"""Shards of NAS-Bench-101's trainings → columns, the cells as the file draws them, and a table.

Besides what every archive has, the folder holds ``cells/``: the drawing that the file's first
record of each cell has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import CorruptTable, InvalidInput
from nats_gym.files.writing import make_folder
from nats_gym.spaces import get_space
from nats_gym.spaces.cell_list import EDGE_VALUES
from nats_gym.tables.column import MEASURED, Column
from nats_gym.tables.folder import sha256_of, write_table
from nats_gym.tables.official.archive import ARCHIVE_FILE, FORMAT, OfficialArchive, write_facts
from nats_gym.tables.official.origin import NASBENCH_101
from nats_gym.tables.official.training_files import (
    DATASET,
    SPACE,
    TRIALS,
    BlockJob,
    TrainingShard,
    hash_of,
    parameters,
    wrong_hash,
)
from nats_gym.tables.official.training_records import FIGURES, IMAGES, NO_VERTEX, SCHEDULES

#: Columns of a schedule, in the order of ``FIGURES``: half-way, then at the end. Seconds are of an
#: epoch, accuracies in percent.
COLUMNS = tuple(
    f"{when}{what}"
    for when in ("halfway-", "")
    for what in ("train-seconds", "train-accuracy", "x-valid-accuracy", "x-test-accuracy")
)
#: SHA-256 of all module hashes in official order, a line each.
_ALL_HASHES = "a7f10bf770c1b5b8a221e37824e42b3b1a237a5d21ccf545bbe8e23abd933403"


def assemble_trainings(
    folder: Path, shards: Sequence[TrainingShard], facts: dict[str, Any]
) -> OfficialArchive:
    """Join shards in ``folder``, which must be empty; memory follows the space, not the file.

    Args:
        folder: where to write.
        shards: in the file's order.
        facts: what ``archive.json`` is to say besides what is held.

    Raises:
        InvalidInput: for a cell under another's hash or with other than three trainings on each
            schedule of the file, or a training that is there twice.
    """
    source = facts["source"]["path"]
    held = _write_cells(folder, shards, source)
    given = {epochs for shard in shards for epochs in shard.schedules()}
    schedules = [epochs for epochs in SCHEDULES if epochs in given]
    for epochs in schedules:
        _write_columns(folder, shards, epochs, held, source)
    np.save(folder / "held.npy", held, allow_pickle=False)
    runs = [
        {
            "key": DATASET,
            "hp": str(epochs),
            "epochs": epochs,
            "seeds": [*range(TRIALS)],
            "sets": ["x-valid", "x-test"],
            "curve_sets": [],
            "arch_config": {},
            "columns": COLUMNS,
        }
        for epochs in schedules
    ]
    record = {
        "format": FORMAT,
        "space": SPACE,
        **facts,
        "weights": None,
        "architectures": int(held.sum()),
        "without_all_trials": {},
        "uneven_times": 0,
        "runs": runs,
        "origin": NASBENCH_101.origin,
        "differences": NASBENCH_101.differences(facts["content"]),
    }
    write_facts(folder / ARCHIVE_FILE, record)
    archive = OfficialArchive(folder)
    tables = folder / "tables"
    tables.mkdir()
    columns = [*_table_columns(archive, schedules)]
    free = Column(
        "evaluation_seconds",
        MEASURED,
        archive.origin,
        columns[0].licence,
        split="valid",
        note="the benchmark charges the training alone",
    )
    write_table(tables / DATASET, SPACE, DATASET, [(free, np.zeros(len(held), "f4"))], columns)
    return archive


def _write_cells(folder: Path, shards: Sequence[TrainingShard], source: str) -> NDArray[np.bool_]:
    """Write the drawing of every cell that the file has; which these are, ``(arch,)``."""
    size = get_space(SPACE).size
    records = np.full(size, -1, np.int32)  # the first of each cell
    drawings = np.zeros(size, np.int32)
    labels = np.full((size, 7), NO_VERTEX, np.int8)
    hashes = np.zeros((size, 16), np.uint8)
    for shard in shards:
        found = shard.cells()
        known = records[found["index"]] >= 0
        differs = known & (hashes[found["index"]] != found["hashes"]).any(axis=1)
        for one in np.flatnonzero(differs)[:1]:
            index = found["index"][one]
            own = hash_of(drawings[index], labels[index])
            _check_hash(source, records[index], hashes[index], own)
            _check_hash(source, found["record"][one], found["hashes"][one], own)
        new = found["index"][~known]
        records[new], drawings[new] = found["record"][~known], found["drawings"][~known]
        labels[new], hashes[new] = found["labels"][~known], found["hashes"][~known]
    held = records >= 0
    if not held.all() or _digest_of(hashes) != _ALL_HASHES:
        for index in np.flatnonzero(held):
            own = hash_of(drawings[index], labels[index])
            _check_hash(source, records[index], hashes[index], own)
    target = folder / "cells"
    make_folder(target)
    for name, column in (
        ("matrices", _matrices(drawings, labels)),
        ("labels", labels),
        ("hashes", hashes),
        ("parameters", np.where(held, parameters(), 0)),
    ):
        np.save(target / f"{name}.npy", column, allow_pickle=False)
    return held


def _check_hash(source: str, record: Any, given: NDArray[np.uint8], own: NDArray[np.uint8]) -> None:
    if (given != own).any():
        raise InvalidInput(f"{source}: record {int(record):,}: {wrong_hash(given, own)}")


def _digest_of(hashes: NDArray[np.uint8]) -> str:
    digest = hashlib.sha256()
    text = hashes.tobytes().hex()
    lines = (text[start : start + 32] for start in range(0, len(text), 32))
    digest.update("\n".join(lines).encode())
    return digest.hexdigest()


def _matrices(drawings: NDArray[np.int32], labels: NDArray[np.int8]) -> NDArray[np.int8]:
    """Matrices ``(arch, 49)``: the first entries row by row, of as many vertices as there are."""
    most = labels.shape[1]
    vertices = (labels != NO_VERTEX).sum(axis=1)
    matrices = np.zeros((len(drawings), most**2), np.int8)
    for size in range(2, most + 1):
        some = np.flatnonzero(vertices == size)
        for x, y in zip(*np.triu_indices(size, 1), strict=True):
            target = y if y < size - 1 else most - 1
            value = EDGE_VALUES[x + target * (target - 1) // 2]
            matrices[some, x * size + y] = (drawings[some] & value) != 0
    return matrices


def _write_columns(
    folder: Path, shards: Sequence[TrainingShard], epochs: int, held: NDArray[np.bool_], source: str
) -> None:
    """Write the figures of one schedule, ``(arch, trial)`` each, in the file's order."""
    figures = np.full((len(held), TRIALS, len(FIGURES)), np.nan)
    counts = np.zeros(len(held), np.int64)
    for shard in shards:
        if epochs not in shard.schedules():
            continue
        index, records, rows = shard.trainings(epochs)
        order = np.argsort(index, kind="stable")
        index, records, rows = index[order], records[order], rows[order]
        starts = np.flatnonzero(np.diff(index, prepend=-1))
        lengths = np.diff(starts, append=len(index))
        trial = counts[index] + np.arange(len(index)) - np.repeat(starts, lengths)
        for one in np.flatnonzero(trial >= TRIALS)[:1]:
            raise InvalidInput(
                f"{source}: record {int(records[one]):,}: more than {TRIALS} trainings of cell "
                f"{int(index[one]):,} at {epochs} epochs"
            )
        for place in range(TRIALS):
            mine = trial == place
            for other in range(place):
                same = (figures[index[mine], other] == rows[mine]).all(axis=1)
                for one in np.flatnonzero(same)[:1]:
                    raise InvalidInput(
                        f"{source}: record {int(records[mine][one]):,}: a training of cell "
                        f"{int(index[mine][one]):,} at {epochs} epochs that is there before"
                    )
            figures[index[mine], place] = rows[mine]
        counts[index[starts]] += lengths
    for one in np.flatnonzero(held & (counts != TRIALS))[:1]:
        raise InvalidInput(
            f"{source}: {counts[one]} trainings of cell {one:,} at {epochs} epochs, all of its "
            f"schedules have {TRIALS}"
        )
    target = folder / "columns" / f"{DATASET}@{epochs}"
    make_folder(target)
    figures = _converted(figures, epochs)
    for place, name in enumerate(COLUMNS):
        column = np.ascontiguousarray(figures[:, :, place])
        np.save(target / f"{name}.npy", column, allow_pickle=False)


def _converted(figures: NDArray[np.float64], epochs: int) -> NDArray[np.float64]:
    """``FIGURES (..., 8)`` of a schedule as its :data:`COLUMNS`."""
    # A hundred times a figure of single precision is exact, so that it can be had back.
    figures = figures * np.tile([1.0, 100.0, 100.0, 100.0], 2)
    figures[..., [0, 4]] /= [epochs // 2, epochs]
    return figures


def _table_columns(archive: OfficialArchive, schedules: Sequence[int]) -> Iterator[Column]:
    licence = NASBENCH_101.licence if archive.official else "unstated"
    for epochs in schedules:
        for when, trained in (("", 0), ("halfway-", epochs // 2)):
            for quantity, name, split in (
                ("train_seconds_per_epoch", "train-seconds", ""),
                ("accuracy", "x-valid-accuracy", "valid"),
                ("accuracy", "x-test-accuracy", "test"),
            ):
                path = Path("columns", f"{DATASET}@{epochs}", f"{when}{name}.npy")
                yield Column(
                    quantity,
                    MEASURED,
                    archive.origin,
                    licence,
                    file=Path("..", "..", path).as_posix(),
                    sha256=sha256_of(archive.folder / path),
                    split=split,
                    epochs=epochs,
                    trained=trained,
                    images=IMAGES if quantity == "accuracy" else 0,
                    trials=tuple(range(TRIALS)),
                )


def verify_trainings(archive: OfficialArchive, jobs: Sequence[BlockJob]) -> None:
    """Read some blocks again and compare; ``CorruptTable`` where the columns say otherwise."""
    for job in jobs:
        rows = job.rows()
        for epochs in np.unique(rows.epochs).tolist():
            some = rows.epochs == epochs
            runs = archive.runs(DATASET, str(epochs))
            expected = _converted(rows.figures[some], epochs)
            alike = np.ones((len(expected), TRIALS), bool)
            for place, name in enumerate(COLUMNS):
                alike &= runs.column(name)[rows.index[some]] == expected[:, place, None]
            for one in np.flatnonzero(~alike.any(axis=1))[:1]:
                raise CorruptTable(
                    f"{archive.folder}: no training of cell {rows.index[some][one]:,} at {epochs} "
                    "epochs is what the file says"
                )
