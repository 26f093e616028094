"""Tables of other data sets, by which an agent may know something before a search begins.

What is searched must not be among them: not by its name, and not as a copy that calls itself
something else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.datasets import DATASETS, find_dataset, get_dataset, known_datasets
from nats_gym.errors import SHOWN, InvalidInput, MissingTable, NotInTable, shown, unknown_name
from nats_gym.files.writing import check_source, lacking
from nats_gym.spaces import get_space
from nats_gym.tables.folder import MANIFEST
from nats_gym.tables.load import datasets_of, load_table
from nats_gym.tables.table import EMBEDDED, Table

#: Stands for all data sets of the space but the one searched, and for none.
OTHERS, NONE = "others", "none"
#: Tables of one search.
MOST_TABLES = 100
#: Share of figures that are the searched table's own in a copy of it, and what rounding moves them.
_COPIED, _AGREES = 0.5, 1e-4


def prior_names(
    space: str, dataset: str, prior: object, source: str | os.PathLike[str] = "auto"
) -> list[str]:
    """Names of the tables that a prior is made of: data sets', or tables' folders.

    Args:
        space: a space's name.
        dataset: what is searched.
        prior: a name or a list of them; ``"others"`` for all data sets but the one searched that
            there are whole tables of; None, ``"none"`` or an empty list for none.
        source: of the table searched.

    Raises:
        InvalidInput: for what is no list of names.
    """
    space, dataset = get_space(space).name, get_dataset(dataset).name
    source = check_source(source)
    if isinstance(prior, str):
        prior = [checks.text(prior, "a data set of a prior")]
        if prior == [OTHERS]:
            prior = _others(space, dataset, source)
        elif prior == [NONE]:
            prior = []
    named = [] if prior is None else checks.as_list(prior)
    names = [checks.text(name, "a data set of a prior") for name in named or []]
    if named is None or len(named) > MOST_TABLES or {"", OTHERS, NONE} & {*names}:
        raise InvalidInput(
            f"a prior is {shown(OTHERS)} alone, {shown(NONE)} alone, or a list of data sets, "
            f"{MOST_TABLES} at most, got {shown(prior)}"
        )
    if len(set(names)) < len(names):
        raise InvalidInput(f"a prior names a data set twice: {shown(names)}")
    return names


def open_prior(
    space: str,
    dataset: str,
    names: Sequence[str],
    source: str | os.PathLike[str] = "auto",
    own: Table | None = None,
) -> list[Table]:
    """Open the tables of a prior.

    Args:
        space, dataset: what is searched.
        names: as :func:`prior_names` returns them.
        source: of the table searched, which answers for the others where it has them.
        own: the table searched; None for an evaluator's search, which has none.

    Raises:
        InvalidInput: for the searched data set, its table under another name, and a table of
            another space or of some architectures only.
        MissingTable, NotInTable: where there is none.
    """
    space, dataset = get_space(space).name, get_dataset(dataset).name
    source = check_source(source)
    if own is not None:
        own = checks.instance(own, Table, "the searched table")
    tables: list[Table] = []
    for name in prior_names(space, dataset, list(names), source):
        table = _open(space, dataset, name, source)
        if _is_searched(table, dataset, own):
            raise InvalidInput(
                f"{shown(name)} is the table of {dataset}, which is searched: a prior is of other "
                "data sets"
            )
        known = int((~np.isnan(table.mean_accuracy("valid"))).sum())
        if known < table.space.size:
            raise InvalidInput(
                f"the table of {shown(name)} knows {known:,} of {table.space.size:,} "
                "architectures; a prior is of tables that know all"
            )
        if any(_is_copy(table, other) for other in tables):
            raise InvalidInput(f"a prior names the table of {table.dataset} twice: {shown(name)}")
        tables.append(table)
    return tables


def prior_figures(tables: Sequence[Table]) -> NDArray[np.float64]:
    """Full-schedule validation accuracies, mean over trials, percent, ``(tables, arch)``."""
    tables = checks.instances(tables, Table, "tables of a prior")
    return np.stack([table.mean_accuracy("valid") for table in tables])


def prior_record(tables: Sequence[Table]) -> dict[str, str]:
    """What a result says of its prior: data set, provenance and checksum of each table.

    Never where a table lies: the search's options have its path as it was given, if one was.
    """
    tables = checks.instances(tables, Table, "tables of a prior", least=0)
    told = [
        f"{table.dataset}: {table.accuracy_column('valid').provenance}, {table.checksum[:16]}"
        for table in tables
    ]
    return {"prior": "; ".join(told)} if told else {}


def is_searched(space: str, dataset: str, name: str, own: Table | None = None) -> bool:
    """Whether a data set is the one searched: by its name, or by the figures of its tables.

    Args:
        space, dataset: what is searched.
        name: of a data set that there is an embedded table of.
        own: the table searched; None for an evaluator's search, which has none.
    """
    space, dataset, name = get_space(space).name, get_dataset(dataset).name, get_dataset(name).name
    if own is not None:
        own = checks.instance(own, Table, "the searched table")
    return name == dataset or any(
        _is_searched(load_table(space, name, source), dataset, own) for source in ("auto", EMBEDDED)
    )


def _is_searched(table: Table, dataset: str, own: Table | None) -> bool:
    return table.dataset == dataset or (own is not None and _is_copy(table, own))


def _others(space: str, dataset: str, source: str | Path) -> list[str]:
    """Data sets but one of which there are whole tables."""
    found = []
    for name in dict.fromkeys([*DATASETS, *get_space(space).tables]):
        if name == dataset:
            continue
        try:
            accuracy = _open(space, dataset, name, source).mean_accuracy("valid")
        except (MissingTable, NotInTable):
            continue
        if not np.isnan(accuracy).any():
            found.append(name)
    return found


def _is_table(name: str) -> bool:
    """Whether a name is the path of a table's folder, and no data set's."""
    # A data set's is one wherever the search is run again.
    return find_dataset(name) is None and lacking(name, MANIFEST) == ""


def _open(space: str, dataset: str, name: str, source: str | Path) -> Table:
    if _is_table(name):
        table = Table(name, name)
        if table.space.name != space:
            raise InvalidInput(f"{shown(name)} is a table of {table.space.name}, not of {space}")
        return table
    found = find_dataset(name)  # by its name alone: a result that anyone wrote may say it
    if found is None:
        raise _unknown(name)
    if (other := found.name) == dataset:
        raise InvalidInput(f"{other} is searched: a prior is of other data sets")
    return load_table(space, other, source if other in datasets_of(source) else "auto")


def _unknown(name: str) -> InvalidInput:
    """The exception for a name that is neither a data set's nor a table's folder."""
    lacks = lacking(name, MANIFEST)
    if lacks:
        return InvalidInput(f"no table's folder, nor a data set, is {shown(name)}: {lacks}")
    if "," in name:
        several = json.dumps([one.strip() for one in name.split(",")], separators=(",", ":"))
        return InvalidInput(
            f"no data set is {shown(name)}; several are a list, on the command line "
            f"'prior={several[:SHOWN]}'"
        )
    return unknown_name(
        "dataset of a prior", name, [*known_datasets(), OTHERS, NONE, "the folder of a table"]
    )


def _is_copy(table: Table, own: Table) -> bool:
    """Whether a table is the searched one, whatever it calls itself."""
    if table.checksum == own.checksum or table.folder.resolve() == own.folder.resolve():
        return True
    stored = [
        {one.sha256 for one in each.columns if one.quantity == "accuracy" and not one.model}
        for each in (table, own)
    ]
    if stored[0] & stored[1]:  # of models one file may hold the coefficients of several
        return True
    figures, mine = table.mean_accuracy("valid"), own.mean_accuracy("valid")
    known = ~np.isnan(mine)
    return bool((np.abs(figures - mine)[known] <= _AGREES).mean() > _COPIED)
