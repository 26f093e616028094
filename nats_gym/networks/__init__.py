"""Torch networks of both spaces: built from an architecture, or loaded with official weights.

``blocks`` holds what an edge can be, ``cell`` computes the edges that matter, ``network`` puts
stem, cells and classifier together, ``official`` reads weights.
"""

from __future__ import annotations

from nats_gym.networks.network import Network, build
from nats_gym.networks.official import load_official

__all__ = ["Network", "build", "load_official"]
