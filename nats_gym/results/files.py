"""A search in files: ``runs.npz`` holds its arrays, ``run.json`` says what they are of."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.files.untrusted import Arrays, open_arrays, read_json
from nats_gym.files.writing import make_folder, replacing, write_file
from nats_gym.simulation.workers import MAX_WORKERS
from nats_gym.tables.folder import sha256_of

RUNS_FILE, RUN_FILE = "runs.npz", "run.json"
#: Bytes of ``run.json``; and of arrays, how many times the bytes that they are packed in, and more.
LARGEST_RECORD = 16 << 20
#: Of ``runs.npz``: a search holds 100 million evaluations at most, of 56 bytes each.
LARGEST_RUNS = 6 << 30
PACKED_TO, BESIDES = 100, 64 << 20
#: What a result keeps of every evaluation, and what stands behind a run's last.
RECORDED: dict[str, int | float] = {
    "index": -1,
    "accuracy": np.nan,
    "seconds": np.nan,
    "clock": np.nan,
    "rung": -1,
    "evaluation": -1,
    "continues": -1,
}
#: And of agents that say themselves what they answer.
RECOMMENDED = {"recommends": -1}


def write_search(
    folder: Path, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]
) -> None:
    """Write both files, each under a temporary name first.

    ``run.json`` has the digest of ``runs.npz``, so that the files of two searches are never taken
    for one.
    """
    make_folder(folder)
    with replacing(folder / RUNS_FILE) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    record = {**record, "runs_sha256": sha256_of(folder / RUNS_FILE)}
    write_file(folder / RUN_FILE, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read_search(folder: Path) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """What ``run.json`` says, the arrays by name, and the alphas or None.

    Raises:
        OSError, ValueError, KeyError: if a file is missing or damaged, or the two are not of one
            search.
    """
    record = read_run(folder)
    with open_runs(folder) as arrays:
        columns, alphas = _columns(arrays)
    if sha256_of(folder / RUNS_FILE) != record["runs_sha256"]:
        raise ValueError(f"{RUNS_FILE} is not the one that {RUN_FILE} was written for")
    return record, columns, alphas


def read_run(folder: Path) -> dict[str, Any]:
    """What ``run.json`` says; ``ValueError`` or ``OSError`` if it is not there or too large."""
    record = read_json(folder / RUN_FILE, LARGEST_RECORD, nan=True)  # of runs that none can judge
    if not isinstance(record, dict):
        raise ValueError(f"{RUN_FILE} is no record of a search")
    return record


@contextmanager
def open_runs(folder: Path) -> Iterator[Arrays]:
    """The arrays of ``runs.npz``; ``ValueError`` or ``OSError`` if they are not there or whole."""
    path = folder / RUNS_FILE
    unpacked = PACKED_TO * os.path.getsize(path) + BESIDES
    with open_arrays(path, ("<i8", "<f8"), LARGEST_RUNS, unpacked) as arrays:
        yield arrays


def _columns(arrays: Arrays) -> tuple[dict[str, Any], Any]:
    """The arrays of a result by name, and its alphas; ``ValueError`` if no search wrote them."""
    shape = arrays.shape("index")
    columns: dict[str, Any] = {}
    recommended = {name: one for name, one in RECOMMENDED.items() if name in arrays}
    for name, padding in {**RECORDED, **recommended}.items():
        wanted = np.dtype(type(padding))
        if len(shape) != 2 or 0 in shape or arrays.shape(name) != shape:
            raise ValueError(f"{name} of {arrays.shape(name)}, index of {shape}")
        columns[name] = arrays[name]
        if columns[name].dtype != wanted:
            raise ValueError(f"{name} are {columns[name].dtype}, not {wanted}")
        if columns[name].dtype.kind == "f" and np.isinf(columns[name]).any():
            raise ValueError(f"{name} are infinite in places")
    there = columns["evaluation"] >= 0
    most = int(columns["evaluation"].max())
    for name in recommended:
        if most >= shape[1] + MAX_WORKERS or not (columns[name] <= most).all():
            raise ValueError(f"a run {name} what it has not asked for")
        if ((columns[name] < 0) == there).any():
            raise ValueError(f"a run {name} nothing, or something behind its last")
    if not there[:, 0].all() or (there[:, 1:] > there[:, :-1]).any():
        raise ValueError("a run has no evaluations, or some behind its last")
    if "alphas" not in arrays:
        return columns, None
    if len(arrays.shape("alphas")) != 4 or arrays.shape("alphas")[:2] != shape:
        raise ValueError(f"alphas of {arrays.shape('alphas')}, index of {shape}")
    return columns, arrays["alphas"]
