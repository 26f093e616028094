"""The folder of what is stored, under the name that it had here."""

from __future__ import annotations

from nats_gym.home import home

__all__ = ["home"]
