"""The spaces that are known by name: the package's, those of other packages, and your own."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from nats_gym import checks
from nats_gym.errors import InvalidInput, NatsGymError, said, shown, unknown_name
from nats_gym.spaces.architecture_space import ArchitectureSpace
from nats_gym.spaces.figure import Quantity
from nats_gym.spaces.nasbench101 import NASBench101Space
from nats_gym.spaces.size import SizeSpace
from nats_gym.spaces.topology import TopologySpace

#: The package's own, by name.
SPACES: dict[str, type[ArchitectureSpace]] = {
    "tss": TopologySpace,
    "sss": SizeSpace,
    "nb101": NASBench101Space,
}
#: Entry points of packages that bring spaces: each an :class:`ArchitectureSpace`, class or object.
GROUP = "nats_gym.spaces"

_registered: dict[str, ArchitectureSpace] = {}
#: Where those were imported from that were registered so.
_places: dict[str, str] = {}


def register_space(
    space: ArchitectureSpace | type[ArchitectureSpace] | str, *, replace: bool = False
) -> ArchitectureSpace:
    """Make a space known by its name, wherever a space is asked for.

    Args:
        space: the space, its class, or where that can be imported from, ``"my_module:MySpace"``.
        replace: whether it takes the place of another of its name.

    Returns:
        The space.

    Raises:
        InvalidInput: for what is no space or cannot be imported, and for a name that another one
            has.

    >>> class Pair(ArchitectureSpace):
    ...     name = "pair"
    ...     decisions = {"first": ("a", "b"), "second": ("x", "y", "z")}
    >>> get_space(register_space(Pair).name).size
    6
    """
    checks.switch(replace, "replace")
    place = str(space) if isinstance(space, str) and ":" in space else ""
    made = check_definition(checks.imported(place, "space") if place else space)
    other = _registered.get(made.name) or (_own(made.name) if made.name in SPACES else None)
    if other is not None and other is not made:
        if type(other) is type(made) and repr(_vars_of(other)) == repr(_vars_of(made)):
            return other
        again = _place(other) == _place(made) and type(other) is not type(made)
        if made.name in SPACES or not (replace or again):  # a class that is defined again is new
            raise InvalidInput(
                f"a space called {shown(made.name)} is known already: {shown(other)}"
            )
    _registered[made.name] = made
    _places.pop(made.name, None)
    if place:
        _places[made.name] = place
    return made


def find_space(place: str) -> ArchitectureSpace:
    """The space of a name, or of a place ``"my_module:MySpace"``, known by its name from then on.

    Raises:
        InvalidInput: as :func:`get_space` and :func:`register_space` do.
    """
    place = checks.text(place, "a space's name or place")
    return register_space(place) if ":" in place else get_space(place)


def place_of(space: ArchitectureSpace, default: str | None = None) -> str:
    """What another process finds a space by, with :func:`find_space`.

    Args:
        space: the space.
        default: what is said instead where none can.

    Raises:
        InvalidInput: without a default, for one of your own that cannot be imported, as its class
            is of the script that runs, or was made with arguments.
    """
    if default is not None:
        checks.instance(default, str, "default")
    space = checks.instance(space, ArchitectureSpace, "space")
    if space.name in SPACES or (space.name in _brought() and get_space(space.name) is space):
        return space.name
    if space.name in _places and _registered.get(space.name) is space:
        return _places[space.name]
    place = ":".join(_place(space))
    try:
        found = checks.imported(place, "space") if _place(space)[0] != "__main__" else None
    except InvalidInput:
        found = None
    if found is not type(space) or _vars_of(space):
        if default is not None:
            return default
        raise InvalidInput(
            f"other processes cannot import the space {shown(space.name)}: put it into a module, "
            "and register_space('my_module:MySpace'), a class or what is made of one"
        )
    return place


def known_spaces() -> tuple[str, ...]:
    """Names of all spaces: the package's, those registered, those of other packages."""
    return tuple(dict.fromkeys([*SPACES, *_registered, *_brought()]))


def used_spaces() -> tuple[ArchitectureSpace | type[ArchitectureSpace], ...]:
    """The package's spaces, and those registered: none has to be imported for it."""
    return (*SPACES.values(), *_registered.values())


def get_space(space: str | ArchitectureSpace | type[ArchitectureSpace]) -> ArchitectureSpace:
    """Return a space, shared and immutable.

    Args:
        space: its name, or the space itself or its class, which is known by its name from then on.

    Raises:
        InvalidInput: for an unknown name, and for what is no space.
    """
    if type(space) is not str:
        if not issubclass(type(space), str):
            return register_space(space)
        space = str.__str__(space)
    if space in _registered:
        return _registered[space]
    if space in SPACES:
        return _own(space)
    brought = _brought()
    if space in brought:
        try:
            found = brought[space].load()
        except Exception as error:
            raise InvalidInput(
                f"the space {shown(space)} cannot be loaded from {shown(brought[space].value)}: "
                f"{said(error)}"
            ) from error
        made = check_definition(found)
        if made.name != space:
            raise InvalidInput(
                f"the entry point {shown(space)} of {GROUP} brings a space called "
                f"{shown(made.name)}"
            )
        return register_space(made)
    unknown = unknown_name("space", space, known_spaces())
    raise InvalidInput(
        f"{unknown} One of your own is registered first: nats_gym.register_space('module:Class') "
        "or, on the command line, --known-space module:Class"
    )


@cache
def _own(name: str) -> ArchitectureSpace:
    return SPACES[name]()


@cache
def _brought() -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=GROUP)}


def check_definition(space: Any) -> ArchitectureSpace:
    """A space, made of its class, whose name and decisions are right; ``InvalidInput`` else."""
    if isinstance(space, type) and issubclass(space, ArchitectureSpace):
        try:
            space = space()
        except NatsGymError:
            raise
        except Exception as error:  # another's code
            raise InvalidInput(
                f"the space {space.__name__} is made without arguments; register an object of one "
                f"that takes some: {said(error)}"
            ) from error
    if not isinstance(space, ArchitectureSpace):
        raise unknown_name("space", space, known_spaces())
    name = getattr(space, "name", None)
    if type(name) is not str or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise InvalidInput(
            "a space's name is up to 64 letters, digits, '-' and '_', and begins with a letter or "
            f"digit, got {shown(name)}"
        )
    checks.text(space.title, f"the title of {name}", 100)
    for form, quantity in checks.mapping(space.closed_forms, "closed forms of a space").items():
        checks.instance(quantity, Quantity, f"closed form {shown(form)} of {name}")
    space.num_rows  # noqa: B018 - raises for what are no decisions
    return space


def _vars_of(space: ArchitectureSpace) -> Any:
    """What an object of a space holds but what it has computed."""
    return space.__reduce__()[1][1]


def _place(space: ArchitectureSpace) -> tuple[str, str]:
    return type(space).__module__, type(space).__qualname__
