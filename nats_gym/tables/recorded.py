"""Columns as a result records them, so that another of the same name is not taken for one.

An import or an addition may give a name to other figures than a search has weighed.
"""

from __future__ import annotations

from collections.abc import Iterable

from nats_gym import checks
from nats_gym.spaces import Figure, get_space
from nats_gym.tables.column import core_figures
from nats_gym.tables.named_columns import added_columns

#: What a result's provenance calls an objective's column: this, and its name.
OBJECTIVE = "objective "


def column_record(figure: Figure) -> str:
    """What a column is: ``"surrogate, ms, lower is better, 0123456789abcdef"``."""
    figure = checks.instance(figure, Figure, "a figure")
    better = "lower" if figure.quantity.lower_is_better else "higher"
    of = f"{figure.provenance}, {figure.quantity.unit}, {better} is better"
    return f"{of}, {figure.digest[:16]}"


def unrecorded(space: str, names: Iterable[str], told: Iterable[str]) -> list[str]:
    """Of what a search weighed, the named columns that its provenance's keys tell nothing of."""
    core = core_figures(get_space(space))
    return [name for name in names if name not in core and f"{OBJECTIVE}{name}" not in {*told}]


def another_column(space: str, dataset: str, name: str, recorded: str, here: str) -> str:
    """That a column is not the recorded one, what each is, and what to do, in a sentence.

    Args:
        space, dataset: what was searched.
        name: the column's.
        recorded: what a result says of it.
        here: what is to be said of the one of that name here; empty where there is none.
    """
    space, name = get_space(space).name, checks.text(name, "a column's name")
    recorded, here = checks.text(recorded, "a record"), checks.text(here, "what is here")
    added = added_columns(get_space(space), checks.text(dataset, "a dataset"))
    if not here:
        here, do = "none", "add it: nats-gym data add-column or data import"
    elif name in added:
        do = (
            f"nats-gym data remove-column {space} {dataset} {name} takes it away, a NATS_GYM_HOME "
            "elsewhere leaves it out"
        )
    else:
        do = "add the other: nats-gym data add-column or data import; or name a table that has it"
    return (
        f"{name} of {space} {dataset} is not the column that the search went by: that one is "
        f"{recorded}; here is {here}. To read the search, {do}"
    )
