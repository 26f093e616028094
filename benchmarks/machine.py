"""What a figure was measured on."""

from nats_gym.machine import describe

__all__ = ["describe"]
