"""What stands where a search has no table."""

from __future__ import annotations

from typing import Any

from nats_gym.errors import NotInTable
from nats_gym.spaces import ArchitectureSpace, Figure, Quantity
from nats_gym.tables.column import Column
from nats_gym.tables.table import known_without_table, named_figure


class NoTable:
    """Stands where a table would, of a search on an evaluator: it judges nothing.

    Attributes:
        space, dataset: what was searched.
        source, columns: that there is none, and so none of its own.
    """

    source = "none"
    checksum = ""
    columns: tuple[Column, ...] = ()

    def __init__(self, space: ArchitectureSpace, dataset: str) -> None:
        self.space, self.dataset = space, dataset

    def figure(self, name: str) -> Figure:
        """A closed form or named column; see :meth:`nats_gym.tables.Table.figure`."""
        return named_figure(self.space, self.dataset, name)

    @property
    def known_figures(self) -> dict[str, Quantity]:
        """As :attr:`nats_gym.tables.Table.known_figures`."""
        return known_without_table(self.space, self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise NotInTable(
            f"a search on an evaluator has no table, which {name} is asked of: what it knows is "
            "what it observed"
        )
