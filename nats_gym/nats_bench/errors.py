"""What this API raises besides the package's own exceptions, each also what nats_bench raises."""

from __future__ import annotations

from nats_gym.errors import InvalidInput, NatsGymError


class MissingArchitecture(InvalidInput, AssertionError):
    """An archive does not hold the architecture asked for.

    nats_bench raises AssertionError or ValueError, according to ``fast_mode``.
    """


class UnknownRuns(NatsGymError, KeyError):
    """No such data set, schedule or epoch: nats_bench raises KeyError."""


class OutOfRange(InvalidInput, IndexError):
    """``api[index]`` beyond the last architecture: nats_bench raises IndexError."""


class MalformedGenotype(InvalidInput, AssertionError):
    """A cell that is not what it should be: nats_bench raises AssertionError."""
