"""Names of figures, checked where they are asked for: which are none, and why."""

from __future__ import annotations

from collections.abc import Mapping

from nats_gym.errors import InvalidInput, listed, unknown_name
from nats_gym.spaces import Quantity
from nats_gym.tables.column import QUANTITIES
from nats_gym.tables.named_columns import known_where

#: Where a message that names some figures says that all are.
LISTED_BY = "which nats-gym show lists"


def check_figure(name: object, what: str, known: Mapping[str, Quantity]) -> str:
    """One of the names that are known.

    Args:
        name: what was given.
        what: what it is asked for as, such as ``"objective"``.
        known: by name, all that it may be.

    Raises:
        InvalidInput: for anything else. It lists what there is, and says of a column where it is.
    """
    plain = str.__str__(name) if issubclass(type(name), str) else ""
    if plain in known:
        return plain
    is_figure = plain in QUANTITIES and QUANTITIES[plain].label
    why = "the table searched, if any, lacks it" if is_figure else ""
    if where := known_where(plain):
        sets = (f"{space} on {', '.join(datasets)}" for space, datasets in where.items())
        why = f"it is known of {' and of '.join(sets)}"
    raise unknown_name(what, name, known, listed_by=LISTED_BY, why=why)


def check_cost(name: object, known: Mapping[str, Quantity]) -> str:
    """The name of a figure that may have a limit; arguments and errors as :func:`check_figure`."""
    costs = {one: of for one, of in known.items() if of.lower_is_better}
    if type(name) is str and name in known.keys() - costs.keys():
        raise InvalidInput(
            f"a limit is the most that a figure may be, and more {name} is better; allowed: "
            f"{listed(costs, LISTED_BY)}"
        )
    return check_figure(name, "limit", costs)
