"""What an architecture is: choices ⇄ official index ⇄ official string, and its closed-form cost."""

from __future__ import annotations

from nats_gym.spaces.architecture_space import ArchitectureSpace
from nats_gym.spaces.dense import DenseSpace
from nats_gym.spaces.figure import CLOSED_FORM, Figure, Quantity
from nats_gym.spaces.known import (
    SPACES,
    find_space,
    get_space,
    known_spaces,
    place_of,
    register_space,
    used_spaces,
)
from nats_gym.spaces.nasbench101 import NASBench101Space
from nats_gym.spaces.prefixes import Prefixes
from nats_gym.spaces.size import SizeSpace
from nats_gym.spaces.topology import TopologySpace
from nats_gym.streams import RandomSource

__all__ = [
    "CLOSED_FORM",
    "SPACES",
    "ArchitectureSpace",
    "DenseSpace",
    "Figure",
    "NASBench101Space",
    "Prefixes",
    "Quantity",
    "RandomSource",
    "SizeSpace",
    "TopologySpace",
    "find_space",
    "get_space",
    "known_spaces",
    "place_of",
    "register_space",
    "used_spaces",
]
