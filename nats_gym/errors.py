"""What nats-gym raises on bad input, and the warning that a figure is an estimate.

Every exception derives from :class:`NatsGymError`, so that the command line can print any of
them in one line, and from the built-in class that a caller would catch anyway.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NatsGymError(Exception):
    """Base of every exception that nats-gym raises on purpose."""

    def __str__(self) -> str:
        # KeyError and LookupError print the repr of their argument; a sentence reads better.
        return str(self.args[0]) if self.args else ""


class InvalidInput(NatsGymError, ValueError):
    """A name, number or string that is not among what is allowed."""


class NotInTable(NatsGymError, LookupError):
    """A table was asked for a figure that it does not hold."""


class CorruptTable(NatsGymError, OSError):
    """A table's folder is incomplete, or a file in it is not what its manifest says."""


class MissingTable(NatsGymError, FileNotFoundError):
    """No table where one was expected."""


class MissingStudy(NatsGymError, FileNotFoundError):
    """No study, or no results of one, where it was expected."""


class EvaluatorError(NatsGymError, ValueError):
    """An evaluator returned what no outcome can be."""


class UnreadableResult(NatsGymError, OSError):
    """A saved search is incomplete or damaged, or its table is not the one that was searched."""


class SurrogateWarning(UserWarning):
    """A figure in use is a model's estimate, not a real training's result."""


def shown(value: object, limit: int = 120) -> str:
    """``repr(value)`` for a message: never a page long, and never an error of its own."""
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python prints
        return f"a {type(value).__name__} of thousands of digits"
    return text if len(text) <= limit else f"{text[:limit]}…"


def did_you_mean(given: object, allowed: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the allowed name nearest to ``given``, else ``""``."""
    by_lower = {name.lower(): name for name in allowed}
    # No number is a name mistyped, and a page of text is none either.
    text = "" if isinstance(given, int) else str(given)[:100].lower()
    near = difflib.get_close_matches(text, by_lower, n=1, cutoff=0.5)
    return f" Did you mean {by_lower[near[0]]!r}?" if near else ""


def unknown_name(kind: str, given: object, allowed: Iterable[str]) -> InvalidInput:
    """Build the exception for a name that is not allowed: what was given, what is, the nearest."""
    names = list(allowed)
    return InvalidInput(
        f"unknown {kind} {shown(given)}; allowed: {', '.join(names)}.{did_you_mean(given, names)}"
    )
