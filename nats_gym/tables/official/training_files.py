"""Reads NAS-Bench-101's TFRecord files, a block at a time, into shards of rows.

A shard holds the rows of one block's records, a schedule's together, and the first drawing of each
cell in it. Its name says where the block begins, so that an import that was interrupted finds it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import InvalidInput
from nats_gym.files.untrusted import open_arrays, open_file
from nats_gym.files.writing import replacing
from nats_gym.spaces import get_space
from nats_gym.spaces.cell_graphs import module_hash
from nats_gym.tables.official.model_metrics import MalformedRecord
from nats_gym.tables.official.tfrecord import check_data, read_blocks, split_frames
from nats_gym.tables.official.training_records import SCHEDULES, Trainings, cell_of, read_trainings
from nats_gym.tables.official.unpickling import UnreadableFile

#: What the files are of.
SPACE, DATASET = "nb101", "cifar10"
#: Trainings of a cell on a schedule.
TRIALS = 3


@dataclass(frozen=True)
class BlockJob:
    """Records to read: some whole frames of a file.

    Attributes:
        path: the file.
        offset, size: where the frames lie in it, in bytes.
        first: number of the first record.
        count: how many there are.
        shard: where to write their rows.
    """

    path: str
    offset: int
    size: int
    first: int
    count: int
    shard: str

    @property
    def question(self) -> dict[str, Any]:
        """What a reading process is asked."""
        return {"block": asdict(self)}

    def run(self) -> None:
        """Read the records and write the shard.

        Raises:
            UnreadableFile: with the number of the first record that cannot be read.
        """
        rows = self.rows()
        arrays: dict[str, NDArray[Any]] = {}
        for epochs in SCHEDULES:
            some = np.flatnonzero(rows.epochs == epochs)
            if len(some):
                arrays[f"{epochs}#index"] = rows.index[some].astype(np.int32)
                arrays[f"{epochs}#record"] = (self.first + some).astype(np.int32)
                arrays[f"{epochs}#figures"] = rows.figures[some]
        index, first = np.unique(rows.index, return_index=True)
        arrays["index"] = index.astype(np.int32)
        arrays["record"] = (self.first + first).astype(np.int32)
        arrays["drawings"] = rows.drawings[first].astype(np.int32)
        arrays["labels"], arrays["hashes"] = rows.labels[first], rows.hashes[first]
        with replacing(Path(self.shard)) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type,unused-ignore]

    def rows(self) -> Trainings:
        """The records' rows, checked; see :meth:`run`."""
        with open_file(self.path) as file:
            file.seek(self.offset)
            data = file.read(self.size)
        block, bad = split_frames(data, self.offset, self.first)
        if bad or len(block.starts) != self.count:
            raise UnreadableFile(f"{self.path}: {bad or 'it changes while it is read'}")
        check_data(block, self.path)
        ends = (block.starts + block.lengths).tolist()
        records = [data[start:end] for start, end in zip(block.starts.tolist(), ends, strict=True)]
        try:
            rows = read_trainings(records)
            _check_cells(rows)
        except MalformedRecord as error:
            raise UnreadableFile(
                f"{self.path}: record {self.first + error.position:,}: {error.reason}"
            ) from error
        return rows


def find_blocks(path: Path, work: Path, digest: hashlib._Hash) -> Iterator[BlockJob]:
    """The blocks of a file in its order; the lengths of all frames are checked.

    Args:
        path: of the file.
        work: where shards lie.
        digest: told all bytes of the file.

    Raises:
        UnreadableFile: for a damaged or truncated file, with the record's number.
        InvalidInput: for one without a record, or with more than the space has trainings.
    """
    most, count = get_space(SPACE).size * len(SCHEDULES) * TRIALS, 0
    for block in read_blocks(path, digest):
        count += len(block.starts)
        if count > most:
            raise InvalidInput(f"{path}: more than {most:,} records; its space has no more")
        shard = work / f"shard-{block.first:09d}.npz"
        where = block.offset, block.end, block.first, len(block.starts)
        yield BlockJob(str(path), *where, str(shard))
    if not count:
        raise InvalidInput(f"{path}: no record in it")


@dataclass(frozen=True)
class TrainingShard:
    """What a :class:`BlockJob` wrote."""

    path: Path

    def schedules(self) -> tuple[int, ...]:
        """Schedules that it has trainings of."""
        with open_arrays(self.path) as arrays:
            return tuple(epochs for epochs in SCHEDULES if f"{epochs}#index" in arrays)

    def trainings(self, epochs: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Index, number of the record and figures of each training, ``(n,)``, ``(n, 8)``."""
        with open_arrays(self.path) as arrays:
            return tuple(arrays[f"{epochs}#{name}"] for name in ("index", "record", "figures"))  # type: ignore[return-value]

    def cells(self) -> dict[str, NDArray[Any]]:
        """Index, record, drawings, labels and hashes of the cells in it, each once."""
        with open_arrays(self.path) as arrays:
            names = "index", "record", "drawings", "labels", "hashes"
            return {name: arrays[name] for name in names}


@cache
def parameters() -> NDArray[np.int64]:
    """Trainable parameters of every cell's network in closed form, ``(arch,)``."""
    millions = get_space(SPACE).figure("params", DATASET).values
    return np.rint(millions * 1e6).astype(np.int64)


def _check_cells(rows: Trainings) -> None:
    """Raise ``MalformedRecord`` for other parameters than the cell's network has, or two hashes."""
    expected = parameters()[rows.index]
    for one in np.flatnonzero(rows.parameters != expected)[:1].tolist():
        raise MalformedRecord(
            one,
            f"{int(rows.parameters[one]):,} parameters of a cell whose network has "
            f"{int(expected[one]):,}",
        )
    _, first, place = np.unique(rows.index, return_index=True, return_inverse=True)
    differs = (rows.hashes != rows.hashes[first[place]]).any(axis=1)
    for one in np.flatnonzero(differs)[:1].tolist():
        own = hash_of(rows.drawings[one], rows.labels[one])
        alike = np.flatnonzero(rows.index == rows.index[one])
        wrong = alike[(rows.hashes[alike] != own).any(axis=1)][0]
        raise MalformedRecord(int(wrong), wrong_hash(rows.hashes[wrong], own))


def hash_of(drawing: Any, labels: NDArray[np.int8]) -> NDArray[np.uint8]:
    """The module hash of a cell as a record draws it, ``(16,)``."""
    digest = module_hash(*cell_of(int(drawing), labels))
    return np.frombuffer(bytes.fromhex(digest), np.uint8)


def wrong_hash(given: NDArray[np.uint8], own: NDArray[np.uint8]) -> str:
    """What is wrong with a record of another hash than its cell has."""
    return f"the hash {given.tobytes().hex()} of a cell whose hash is {own.tobytes().hex()}"
