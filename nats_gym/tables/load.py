"""Where tables lie on this machine, and how one is opened."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, MissingTable, did_you_mean
from nats_gym.spaces import get_space
from nats_gym.tables.folder import MANIFEST
from nats_gym.tables.table import Table

SOURCES = ("auto", "embedded")


def home() -> Path:
    """Folder of everything that nats-gym stores: ``NATS_GYM_HOME``, else the user's data folder."""
    if given := os.environ.get("NATS_GYM_HOME"):
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("nats-gym", appauthor=False))


def embedded_folder(space: str, dataset: str) -> Path:
    """Folder of the table that ships inside the package."""
    return Path(__file__).parent.parent / "data" / f"{space}-{dataset}"


@cache
def _embedded(space: str, dataset: str) -> Table:
    return Table(embedded_folder(space, dataset), source="embedded")


def load_table(space: str, dataset: str, source: str | os.PathLike[str] = "auto") -> Table:
    """Open the table of one space and data set.

    Args:
        space: ``"tss"`` or ``"sss"``.
        dataset: ``"cifar10"``, ``"cifar100"`` or ``"ImageNet16-120"``.
        source: ``"embedded"`` for the figures inside the package, ``"auto"`` for the best table
            on this machine (today that is the embedded one), or the folder of a table.

    Raises:
        InvalidInput: for an unknown space or data set, or a table of another one.
        MissingTable: if ``source`` is neither of the words nor a table's folder.
        CorruptTable: if the folder is damaged.
    """
    get_space(space)
    get_dataset(dataset)
    if source in SOURCES:
        return _embedded(space, dataset)
    folder = Path(source)
    if not (folder / MANIFEST).is_file():
        words = ", ".join(SOURCES)
        raise MissingTable(
            f"no table at {str(source)!r}; allowed: {words}, or a folder that holds a {MANIFEST}."
            + did_you_mean(source, SOURCES)
        )
    table = Table(folder, source=str(folder))
    if (table.space.name, table.dataset) != (space, dataset):
        raise InvalidInput(
            f"{str(source)!r} is the table of {table.space.name} {table.dataset}, "
            f"asked for was {space} {dataset}"
        )
    return table
