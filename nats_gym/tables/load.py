"""Where tables lie on this machine, and how one is opened."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from nats_gym import checks
from nats_gym.datasets import DATASETS, get_dataset
from nats_gym.errors import InvalidInput, MissingTable, NotInTable, did_you_mean, shown
from nats_gym.files.writing import check_source
from nats_gym.spaces import get_space
from nats_gym.tables import official
from nats_gym.tables.column import MEASURED, SURROGATE
from nats_gym.tables.folder import MANIFEST, read_manifest
from nats_gym.tables.official.archive import ARCHIVE_FILE
from nats_gym.tables.table import EMBEDDED, SHIPPED, Table, open_embedded

SOURCES = ("auto", EMBEDDED, *SHIPPED)
#: Whose a table is, if not the package's: an import's of this machine, or anybody's.
IMPORTED, OWN = "imported", "own"
#: Share of a column's figures that agree with an estimate to this by being copied from it.
_COPIED, _AGREES = 0.01, 1e-5


def load_table(space: str, dataset: str, source: str | os.PathLike[str] = "auto") -> Table:
    """Open the table of one space and data set.

    Args:
        space: a space's name, such as ``"tss"``.
        dataset: a data set's name, such as ``"cifar10"``.
        source: ``"embedded"`` for the figures inside the package; ``"auto"`` for an imported
            archive of NATS-Bench if there is one, else these; ``"digits-300"`` for the 300
            trainings of each space on digits; a table's folder; or the path of an archive in the
            official format, which is imported on first use. One of own trainings is a table of
            what these were trained on, whatever data set they are filed under.

    Raises:
        InvalidInput: for an unknown space or data set, or a table of another one.
        MissingTable: if ``source`` is neither of the words nor a path to a table or an archive.
        CorruptTable: if a table is damaged.
        NatsGymError: if an archive cannot be imported; see ``nats_gym.tables.official``.
    """
    space, source = get_space(space).name, check_source(source)
    if source not in SOURCES and (Path(source) / MANIFEST).is_file():
        read_manifest(Path(source))  # which may say what images of somebody's are
    dataset = get_dataset(dataset).name
    if source in SHIPPED and dataset != SHIPPED[str(source)]:
        raise InvalidInput(
            f"{shown(source)} is a table of {SHIPPED[str(source)]}, asked for was {dataset}"
        )
    if source == EMBEDDED or source in SHIPPED:
        return open_embedded(space, dataset)
    if source == "auto" and dataset in get_space(space).tables:
        source = check_source(get_space(space).tables[dataset])
    elif source == "auto":
        imported = get_dataset(dataset).in_nats_bench and official.archives_folder().is_dir()
        archive = official.newest_archive(space) if imported else None
        if archive is None:
            return open_embedded(space, dataset)
        return _of_archive(archive, dataset)
    folder = Path(source)
    if not folder.exists():
        words = ", ".join(SOURCES)
        raise MissingTable(
            f"no table at {shown(str(source))}; allowed: {words}, a folder that holds a "
            f"{MANIFEST}, or an official archive.{did_you_mean(str(source), SOURCES)}"
        )
    if (folder / MANIFEST).is_file():
        table = Table(folder, source=str(folder))
    elif (folder / ARCHIVE_FILE).is_file():
        table = _of_archive(official.OfficialArchive(folder), dataset)
    elif not is_archive(folder):
        inside = next((path.parent for path in folder.glob(f"*/{MANIFEST}")), None)
        hint = f"; did you mean {shown(str(inside))}?" if inside else ""
        raise MissingTable(
            f"no table at {shown(str(source))}: neither {MANIFEST} nor official files{hint}"
        )
    else:
        archive = official.find_archive(folder) or official.import_archive(folder, space)
        if archive.space.name != space:
            raise InvalidInput(
                f"{shown(str(source))} is an archive of {archive.space.name}, asked for was {space}"
            )
        table = _of_archive(archive, dataset)
    if (table.space.name, table.dataset) != (space, dataset):
        raise InvalidInput(
            f"{shown(str(source))} is the table of {table.space.name} {table.dataset}, "
            f"asked for was {space} {dataset}"
        )
    return table


def datasets_of(source: str | os.PathLike[str]) -> tuple[str, ...]:
    """The data sets that a ``source`` may have tables of: a table's own, else NATS-Bench's.

    Raises:
        CorruptTable: for a folder whose manifest is none.
    """
    if source in SHIPPED:
        return (SHIPPED[str(source)],)
    if (Path(source) / MANIFEST).is_file():
        return (read_manifest(Path(source))["dataset"],)
    return tuple(DATASETS)


def is_archive(source: str | os.PathLike[str]) -> bool:
    """Whether ``source`` is a path that looks like an official archive, a file or a directory."""
    path = checks.path(source, "a source")
    return path.is_file() or any(path.glob("*.pickle.pbz2"))


def _of_archive(archive: official.OfficialArchive, dataset: str) -> Table:
    if archive.trained_on not in ("", dataset):
        raise InvalidInput(
            f"the archive imported from {shown(archive.source)} is own training on "
            f"{archive.trained_on}, asked for was {dataset}"
        )
    if archive.mistaken:
        raise InvalidInput(
            f"{shown(str(archive.folder))} was imported by a version that took it for "
            f"NATS-Bench's; import it again: nats-gym data import {archive.source}"
        )
    folder = archive.folder / "tables" / dataset
    if not folder.is_dir():
        raise NotInTable(f"the archive imported from {shown(archive.source)} has no {dataset}")
    return _imported(folder, archive.source, (folder / MANIFEST).stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _imported(folder: Path, source: str, changed: int) -> Table:
    """One object per table, however many environments ask: each maps its columns once."""
    return Table(folder, source=source)


def origin_of(table: Table) -> str:
    """Whose word a table's provenance is: one of the three origins above.

    A table is an embedded one by its checksum, wherever it lies, and an imported one by where it
    lies. What any other says of itself is said by whoever made it.
    """
    embedded = _embedded_beside(table)
    if embedded is not None and table.checksum == embedded.checksum:
        return EMBEDDED
    imported = table.folder.resolve().is_relative_to(official.archives_folder().resolve())
    return IMPORTED if imported else OWN


def _embedded_beside(table: Table) -> Table | None:
    """What the package holds of a table's space and data set, if anything."""
    try:
        return open_embedded(table.space.name, table.dataset)
    except MissingTable:
        return None


def copied_estimates(table: Table) -> list[str]:
    """Names of a table's columns that are said to be measured and hold an embedded estimate."""
    embedded = _embedded_beside(table)
    if embedded is None:
        return []
    estimates = [column for column in embedded.columns if column.provenance == SURROGATE]
    copied = []
    for column in table.columns:
        if column.provenance != MEASURED:
            continue
        found = table.means(column)
        known = ~np.isnan(found)
        for estimate in estimates:  # whatever split and schedule it is filed under
            if column.quantity == estimate.quantity:
                expected = embedded.means(estimate)[known]
                near = np.abs(found[known] - expected) <= _AGREES * np.maximum(1.0, expected)
                if near.mean() > _COPIED:
                    copied.append(column.name)
                    break
    return copied
