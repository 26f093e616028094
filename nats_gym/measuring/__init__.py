"""What a space's networks cost on this machine, measured before any training.

``timing`` times a forward pass; ``latency`` those of a whole space, which become named columns;
``classes`` says which architectures are measured for all, ``lines`` keeps what was measured.
"""

from __future__ import annotations

from nats_gym.measuring.latency import Latency, measure_latency

__all__ = ["Latency", "measure_latency"]
