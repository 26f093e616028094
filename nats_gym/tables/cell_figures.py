"""The surrogate's estimates of all cells of NAS-Bench-101, computed once a machine.

They take a second or two, so they are kept under nats-gym's home, in a folder named after the
coefficients that they follow from: an array a file, mapped into memory, and the digest of each.
What is damaged, or cannot be written, is computed again.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import NatsGymError
from nats_gym.files.home import home
from nats_gym.files.untrusted import map_array, read_json
from nats_gym.files.writing import make_folder, replacing, write_file
from nats_gym.spaces.nasbench101 import NASBench101Space
from nats_gym.tables.cell_surrogate import ACCURACIES, FILE, CellSurrogate
from nats_gym.tables.folder import sha256_of
from nats_gym.tables.surrogates import FOLDER

#: Rises whenever the estimates of the same coefficients change.
VERSION = 1
SUMS = "sums.json"
#: What is estimated, in the order of :meth:`CellSurrogate.estimate`.
ESTIMATES = (*(f"{split}-{epochs}" for split, epochs in ACCURACIES), "seconds", "failures")
LARGEST_SUMS = 1 << 16


def cell_figures(space: NASBench101Space, name: str, folder: Path = FOLDER) -> NDArray[np.float64]:
    """An estimate of every cell, ``(size,)`` and read-only.

    Args:
        space: NAS-Bench-101's.
        name: one of :data:`ESTIMATES`.
        folder: of the coefficients.
    """
    return _figures(space, name, folder, sha256_of(folder / FILE))


@lru_cache(maxsize=2 * len(ESTIMATES))
def _figures(space: NASBench101Space, name: str, folder: Path, digest: str) -> NDArray[np.float64]:
    kept = _place(digest)
    figures = None if kept is None else _read(kept, name, space.size)
    return _computed(space, folder, digest)[name] if figures is None else figures


@lru_cache(maxsize=2)
def _computed(space: NASBench101Space, folder: Path, digest: str) -> dict[str, NDArray[np.float64]]:
    """All estimates, computed, and kept for the next process."""
    estimates = CellSurrogate.load(folder).estimate_all(space)
    figures = dict(zip(ESTIMATES, estimates, strict=True))
    for values in figures.values():
        values.flags.writeable = False
    if (kept := _place(digest)) is not None:
        with suppress(OSError, NatsGymError):  # a full or read-only disk
            _write(kept, figures)
    return figures


def _place(digest: str) -> Path | None:
    try:
        return home() / "estimates" / f"nb101-{digest[:16]}-{VERSION}"
    except NatsGymError:  # nobody's home
        return None


def _read(folder: Path, name: str, rows: int) -> NDArray[np.float64] | None:
    """What is kept of an estimate; None if it is not there, or not whole."""
    try:
        values = map_array(folder / f"{name}.npy", ("<f8",))
        whole = values.shape == (rows,)
        sums = read_json(folder / SUMS, LARGEST_SUMS)
        return values if whole and _sum_of(values) == sums[name] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(folder: Path, figures: dict[str, NDArray[np.float64]]) -> None:
    """Keep estimates, the digests last; another process may do the same."""
    make_folder(folder)
    for name, values in figures.items():
        with replacing(folder / f"{name}.npy") as temporary, temporary.open("wb") as file:
            np.save(file, values, allow_pickle=False)
    sums = {name: _sum_of(values) for name, values in figures.items()}
    write_file(folder / SUMS, json.dumps(sums, indent=1) + "\n")


def _sum_of(values: NDArray[np.float64]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(values).data, digest_size=16).hexdigest()
