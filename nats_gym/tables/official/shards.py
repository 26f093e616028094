"""Rows of many records → a shard, a file which an import that was interrupted finds again.

A shard holds some architectures' trials and knows its own shape. Shards are joined only when all
are there, so an archive may vary.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.files.untrusted import open_arrays
from nats_gym.files.writing import replacing
from nats_gym.tables.official.extraction import Record, RunKey, RunShape
from nats_gym.tables.official.runs import COSTS, TRAIN


def write_shard(
    path: Path, records: list[Record], unreadable: list[str], digests: dict[str, str]
) -> None:
    """Write some architectures' rows as one ``.npz``, whole or not at all.

    Args:
        path: the file.
        records: the rows.
        unreadable: what could not be read, in words.
        digests: SHA-256 of each record's bytes by official index, for the archive's content digest.
    """
    shapes = merge_shapes((record.shapes, f"record {record.index}") for record in records)
    arrays: dict[str, NDArray[Any]] = {}
    for (key, hp), shape in shapes.items():
        found = [
            (record.index, seed, trial)
            for record in records
            for seed in shape.seeds
            if (trial := record.trials.get((key, hp, seed)))
        ]
        names, run = column_names(shape.sets), f"{key}@{hp}"
        arrays[f"{run}#trials"] = np.array([(index, seed) for index, seed, _ in found], np.int64)
        rows = [[trial.final.get(name, np.nan) for name in names] for *_, trial in found]
        arrays[run] = np.array(rows)
        for name in shape.curve_sets:
            curves = np.full((len(found), shape.epochs, 2), np.nan, np.float32)
            for row, (*_, trial) in enumerate(found):
                if name in trial.curves:
                    curves[row] = trial.curves[name]
            arrays[f"{run}/{name}"] = curves
    facts = {
        "shapes": [[*run, vars(shape)] for run, shape in shapes.items()],
        "unreadable": unreadable,
        "digests": digests,
        "count": len(records),
    }
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type,unused-ignore]


@dataclass
class Shard:
    """What :func:`write_shard` wrote; figures are read when asked for."""

    path: Path
    shapes: dict[RunKey, RunShape]
    unreadable: list[str]
    digests: dict[str, str]
    count: int

    @classmethod
    def read(cls, path: Path) -> Shard:
        """Read a shard's facts."""
        with open_arrays(path) as arrays:
            facts = json.loads(arrays["facts"].tobytes())
        shapes = {(key, hp): RunShape(**shape) for key, hp, shape in facts["shapes"]}
        return cls(path, shapes, facts["unreadable"], facts["digests"], facts["count"])

    def figures(self, run: RunKey, curve: str = "") -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Index and seed of each trial of a run key, ``(trial, 2)``, and a row for each.

        A row has the final figures, in the order of :func:`column_names`, or, of a curve,
        ``(epoch, 2)``.
        """
        name = "@".join(run)
        with open_arrays(self.path) as arrays:
            return arrays[f"{name}#trials"], arrays[f"{name}/{curve}" if curve else name]


def column_names(sets: Iterable[str]) -> list[str]:
    """Names of the final figures of a trial evaluated on ``sets``."""
    figures = ("accuracy", "loss", "seconds")
    return [f"{name}-{figure}" for name in (TRAIN, *sets) for figure in figures] + list(COSTS)


def merge_shapes(shapes: Iterable[tuple[dict[RunKey, RunShape], str]]) -> dict[RunKey, RunShape]:
    """One shape per data set key and schedule that holds all of ``shapes``."""
    merged: dict[RunKey, RunShape] = {}
    for some, where in shapes:
        for run, shape in some.items():
            if run not in merged:
                merged[run] = RunShape(shape.epochs)
            merged[run].merge(shape, where)
    return merged
