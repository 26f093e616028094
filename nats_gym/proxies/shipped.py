"""Scores that were measured of whole spaces, and ship with the package."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.errors import MissingTable
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.tables.column import Column
from nats_gym.tables.folder import MANIFEST, open_column, read_manifest
from nats_gym.tables.named_columns import SHIPPED

#: What a named column of a score begins with.
PREFIX = "proxy/"


class ShippedScore(NamedTuple):
    """A score of every architecture of a space.

    Attributes:
        values: ``(arch,)`` by official index, the higher the better.
        provenance: the column's description: source, input, seed.
    """

    values: NDArray[np.floating]
    provenance: Column


def shipped(space: str | ArchitectureSpace, score: str) -> ShippedScore:
    """A score of every architecture of a space, as it was measured for the package.

    Args:
        space: a space's name.
        score: such as ``"naswot"``.

    Raises:
        InvalidInput: for an unknown space, or a score that was not measured.
        MissingTable: where none of the space's were.
        CorruptTable: for a damaged file.
    """
    of = get_space(space)
    folder = SHIPPED / f"{of.name}-columns-proxies"
    if not (folder / MANIFEST).is_file():
        raise MissingTable(f"no scores of {of.name} ship with the package")
    columns = {
        column.quantity.removeprefix(PREFIX): column for column in read_manifest(folder)["columns"]
    }
    column = columns[checks.word(score, f"score of {of.name} that ships", columns)]
    return ShippedScore(open_column(folder, column, of.size), column)
