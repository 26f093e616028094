"""The table format: a folder of ``.npy`` columns and a ``manifest.json``.

The manifest names space, dataset and, for every column, file, unit, provenance, source, licence
and SHA-256; its checksum is over all that it says, so that two tables have the same one only if
they say the same of the same files. A folder is written under a temporary name and renamed, so it
is whole or absent.

A checksum is no signature: whoever forges a table makes one for it, which is then another one
than the checksum of the table that it pretends to be.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.datasets import find_dataset, get_dataset, known_datasets
from nats_gym.datasets.known import learn
from nats_gym.datasets.own import facts_of
from nats_gym.errors import (
    SHOWN,
    CorruptTable,
    InvalidInput,
    MissingTable,
    said,
    shown,
    unknown_name,
)
from nats_gym.files.untrusted import FLOATS, checksum_of, map_array, open_file, read_json
from nats_gym.files.writing import check_folder, exchange, unfinished_folder
from nats_gym.spaces import get_space
from nats_gym.tables.column import Column, check_stored

MANIFEST = "manifest.json"
#: What is written; format 1, whose checksum was over the columns' names and digests alone, is read.
FORMAT = 2
LARGEST_MANIFEST = 4 << 20
# Up to this size a file's digest is checked whenever it is opened; beyond it that would cost
# more than the memory map saves, and only shape and type are.
DIGEST_ON_OPEN_BYTES = 32 << 20


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a regular file."""
    with open_file(path) as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def check_table_folder(folder: Path) -> None:
    """Raise ``InvalidInput`` if :func:`write_table` may not write here.

    It replaces a whole folder, so whatever is there must be a table and nothing else: a manifest
    and the files that it names. An empty folder will do, and so will none.
    """
    check_folder(folder)
    if not folder.is_dir():
        return
    held = {path.name for path in folder.iterdir()}
    own = set()
    if MANIFEST in held:
        try:
            own = {MANIFEST, *(column.file for column in read_manifest(folder)["columns"])}
        except CorruptTable as error:
            raise InvalidInput(
                f"{shown(str(folder))} is no table that may be replaced; move it away: {error}"
            ) from error
    if strangers := sorted(held - own):
        more = f" and {len(strangers) - 3:,} more" if len(strangers) > 3 else ""
        raise InvalidInput(
            f"a table takes a folder of its own, {shown(str(folder))} holds "
            f"{', '.join(strangers[:3])}{more}"
        )


def write_table(
    folder: Path,
    space: str,
    dataset: str,
    stored: Sequence[tuple[Column, NDArray[Any]]],
    referred: Sequence[Column] = (),
) -> None:
    """Write a table's folder, replacing a table that is there.

    Args:
        folder: where; its parent must exist. See :func:`check_table_folder`.
        space: a space's name, such as ``"tss"``.
        dataset: official data set key.
        stored: columns with their figures; ``file`` and ``sha256`` are filled in here.
        referred: columns whose file lies elsewhere, a surrogate's coefficients or an archive's
            column; complete with ``file``, relative to ``folder``, and ``sha256``.

    Raises:
        InvalidInput: for a folder that holds anything but a table, and for columns that nobody
            could read again: that no manifest can describe, of another shape than they say, of
            seconds below 0; nothing is replaced then.
    """
    # Where a link leads: a link cannot be renamed over.
    folder = checks.path(folder, "a table's folder").resolve()
    space, dataset = get_space(space).name, get_dataset(dataset).name
    referred = checks.instances(referred, Column, "columns that lie elsewhere", least=0)
    pairs = checks.instances(stored, tuple, "columns with their figures", least=0)
    stored = [
        (checks.instance(column, Column, "a column"), checks.array(figures, "a column's figures"))
        for column, figures in pairs
    ]
    check_table_folder(folder)
    # Where the table that is replaced lies between two renamings, if it takes two.
    before = folder.with_name(f".{folder.name}-before")
    if before.is_dir() and not folder.exists():
        os.replace(before, folder)  # a kill came between them
    with unfinished_folder(folder.parent) as temporary:
        columns = []
        for column, figures in stored:
            if column.counts:
                check_stored(column.quantity, get_space(space))
            name = f"{column.name.replace('/', '+')}.npy"
            if not column.model:  # whose file holds coefficients
                checks.word(figures.dtype.str, f"type of the figures of {column.name}", FLOATS)
            np.save(temporary / name, figures, allow_pickle=False)
            entry = {**column.to_json(), "file": name, "sha256": sha256_of(temporary / name)}
            columns.append(entry)
        columns += [column.to_json() for column in referred]
        manifest = {"format": FORMAT, "space": space, "dataset": dataset, "columns": columns}
        if definition := get_space(space).digest:
            manifest["definition"] = definition
        if facts := facts_of(dataset):  # for machines that have not its images
            manifest["images"] = facts
        manifest["checksum"] = checksum_of(manifest)
        text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
        (temporary / MANIFEST).write_text(text, encoding="utf-8")
        try:
            for column in read_manifest(temporary)["columns"][: len(stored)]:
                if not column.model:
                    figures = open_column(temporary, column, get_space(space).size)
                    if column.quantity != "accuracy_curve":  # which is looked at as it is used
                        check_figures(temporary, column, figures)
        except CorruptTable as error:
            told = str(error).replace(str(temporary), str(folder))
            raise InvalidInput(f"no table is written to {told}") from None
        temporary.chmod(0o755)
        shutil.rmtree(before, ignore_errors=True)
        if not folder.exists():
            os.replace(temporary, folder)
        elif not exchange(temporary, folder):
            os.replace(folder, before)
            try:
                os.replace(temporary, folder)
            except BaseException:
                os.replace(before, folder)
                raise
    shutil.rmtree(before, ignore_errors=True)


def earlier_checksum(columns: Sequence[Column]) -> str:
    """What format 1 took for a table's checksum: a digest of its columns' names and digests."""
    lines = sorted(f"{column.name} {column.sha256}" for column in columns)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def former_checksums(space: str, dataset: str, columns: Sequence[Column]) -> frozenset[str]:
    """What a table's checksum was before columns were added to it (:attr:`Column.added`)."""
    stages = sorted({column.added for column in columns})[:-1]
    former = set()
    for stage in stages:
        held = [column.to_json() for column in columns if column.added <= stage]
        manifest = {"format": FORMAT, "space": space, "dataset": dataset, "columns": held}
        former.add(checksum_of(manifest))
    return frozenset(former)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read and check a table's manifest.

    One of format 1 is known by the checksum that it would have now, over all that it says.

    Raises:
        MissingTable: if there is no such folder, or no manifest in it.
        CorruptTable: if the manifest is not what :func:`write_table` writes.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise MissingTable(f"no table at {shown(str(folder))}: {MANIFEST} is not there")
    try:
        manifest = read_json(path, LARGEST_MANIFEST)
        if type(manifest["format"]) is not int or not 1 <= manifest["format"] <= FORMAT:
            raise ValueError(f"format {shown(manifest['format'])}, this version reads 1 … {FORMAT}")
        digest = get_space(manifest["space"]).digest
        if manifest.get("definition", digest) != digest:
            raise ValueError(
                f"it is of another space called {shown(manifest['space'])}: its decisions, its "
                "choices or what is valid differ from those of the one here"
            )
        # A name, and nothing that is read as a path: anyone may have written the file.
        dataset = checks.text(manifest["dataset"], "dataset")
        if "images" in manifest and learn(manifest["images"]).name != dataset:
            raise ValueError("what it says of images is of others")
        if find_dataset(dataset) is None:
            raise unknown_name("dataset", dataset, known_datasets())
        columns = [Column.from_json(entry) for entry in manifest["columns"]]
        if not columns:
            raise ValueError("no column")
        if len({column.name for column in columns}) < len(columns):
            raise ValueError("two columns of one name")
        checksum = checksum_of(manifest)
        expected = checksum if manifest["format"] == FORMAT else earlier_checksum(columns)
        if manifest["checksum"] != expected:
            raise ValueError("the checksum is not that of the manifest")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        # Room for what we quote of a column, and say of it.
        raise CorruptTable(f"{path}: not a table's manifest ({said(error, 2 * SHOWN)})") from error
    return {**manifest, "columns": columns, "checksum": checksum}


def check_file(folder: Path, column: Column) -> Path:
    """Path of a column's file, once it is there and, unless huge, has its digest."""
    path = folder / column.file
    if not path.is_file():
        reason = "is no regular file" if path.exists() else "is missing"
        raise CorruptTable(f"{folder}: the file {column.file} of column {column.name} {reason}")
    if path.stat().st_size <= DIGEST_ON_OPEN_BYTES and sha256_of(path) != column.sha256:
        raise CorruptTable(f"{path}: not the file that the manifest describes (SHA-256 differs)")
    return path


def open_column(folder: Path, column: Column, rows: int) -> NDArray[Any]:
    """Open a stored column read-only and memory-mapped; ``CorruptTable`` if it is not whole."""
    path = check_file(folder, column)
    try:
        figures = map_array(path, FLOATS)
    except (ValueError, OSError) as error:
        raise CorruptTable(f"{path}: no column of figures ({said(error)})") from error
    expected: tuple[int, ...] = (rows, len(column.trials)) if column.trials else (rows,)
    if column.quantity == "accuracy_curve":
        expected = (*expected, column.epochs, 2)
    if figures.shape != expected:
        raise CorruptTable(f"{path}: figures of shape {figures.shape}, not {expected}")
    return figures


def check_figures(folder: Path, column: Column, figures: NDArray[np.floating]) -> None:
    """Raise ``CorruptTable`` for what no accuracies, seconds or named figures can be."""
    missing = np.isnan(figures)
    if missing.all() or (column.model and missing.any()):
        raise CorruptTable(f"{folder}: {column.name} holds NaN for figures")
    if column.counts:
        if np.isinf(figures).any():
            raise CorruptTable(f"{folder}: {column.name} holds what is no finite number")
    elif column.unit.startswith("percent"):
        if np.any((figures < 0) | (figures > 100)):  # NaN is neither
            raise CorruptTable(f"{folder}: accuracies outside 0…100 percent in {column.name}")
    elif len(wrong := np.argwhere((figures < 0) | np.isinf(figures))):
        where = tuple(wrong[0])
        raise CorruptTable(
            f"{folder}: {column.name} of architecture {where[0]} is {figures[where]:g} s"
        )
