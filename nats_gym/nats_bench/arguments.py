"""What the API is asked with, checked where it enters; whatever nats_bench means by it is taken."""

from __future__ import annotations

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown

#: Longest name of a data set, a set, a schedule or an operation; longest cell.
LONGEST_NAME, LONGEST_CELL = 100, 10_000


def flag(value: object, what: str) -> bool:
    """True or False, or 1 or 0 as nats_bench takes them; ``InvalidInput`` for anything else."""
    if checks.as_integer(value) in (0, 1):
        return bool(checks.as_integer(value))
    return checks.switch(value, what)


def name(value: object, what: str) -> str:
    """The name of a data set or of a set, known or not."""
    return checks.text(value, what, LONGEST_NAME)


def schedule(value: object) -> str:
    """A schedule, known or not: text, or the number of epochs."""
    whole = checks.as_integer(value)
    if whole is not None and 0 <= whole < 10_000:
        return str(whole)
    return name(value, "hp")


def trial(value: object) -> bool | int:
    """True or False, or a seed, known or not."""
    whole = checks.as_integer(value)
    return checks.switch(value, "is_random, if no seed,") if whole is None else whole


def seed(value: object) -> int | None:
    """A seed, known or not, or None for all."""
    return None if value is None else checks.integer(value, "seed", -(2**63))


def cost(value: object, what: str) -> float | None:
    """The most that an architecture may cost, or None."""
    return None if value is None else checks.number(value, what, low=0, infinite=True)


def folder(value: object, what: str) -> str | None:
    """The path of a directory, there or not, or None."""
    return None if value is None else str(checks.path(value, what))


def file(value: object, what: str) -> str:
    """The path of a file, there or not: for text that none can have, that text."""
    return str.__str__(value) if isinstance(value, str) else str(checks.path(value, what))


def operations(value: object) -> list[str]:
    """The names of operations, a list or tuple; ``InvalidInput`` for anything else."""
    what = "a search space is a list of operations"
    found = checks.as_list(value) if issubclass(type(value), (list, tuple)) else None
    if found is None:
        raise InvalidInput(f"{what}, got {shown(value)}")
    return [name(one, "an operation") for one in found]
