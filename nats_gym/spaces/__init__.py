"""What an architecture is: choices ⇄ official index ⇄ official string, and its closed-form cost."""

from __future__ import annotations

from functools import cache

from nats_gym.checks import word
from nats_gym.spaces.architecture_space import ArchitectureSpace, RandomSource
from nats_gym.spaces.figure import CLOSED_FORM, Figure, Quantity
from nats_gym.spaces.size import SizeSpace
from nats_gym.spaces.topology import TopologySpace

SPACES: dict[str, type[ArchitectureSpace]] = {"tss": TopologySpace, "sss": SizeSpace}


@cache
def _shared_space(name: str) -> ArchitectureSpace:
    return SPACES[name]()


def get_space(name: str) -> ArchitectureSpace:
    """Return the (shared, immutable) space called ``"tss"`` or ``"sss"``.

    Raises:
        InvalidInput: for any other name.
    """
    return _shared_space(word(name, "space", SPACES))


__all__ = [
    "CLOSED_FORM",
    "SPACES",
    "ArchitectureSpace",
    "Figure",
    "Quantity",
    "RandomSource",
    "SizeSpace",
    "TopologySpace",
    "get_space",
]
