"""What nats-gym raises on bad input, and the warning that a figure is an estimate.

Every exception derives from :class:`NatsGymError`, so that the command line can print any of
them in one line, and from the built-in class that a caller would catch anyway.
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import count, islice
from typing import Any


class NatsGymError(Exception):
    """Base of every exception that nats-gym raises on purpose."""

    def __str__(self) -> str:
        # KeyError and LookupError print the repr of their argument; a sentence reads better.
        # A path in it may have any character in its name.
        return printable(str(self.args[0])) if self.args else ""


class InvalidInput(NatsGymError, ValueError):
    """A name, number or string that is not among what is allowed."""


class UnknownOption(InvalidInput, TypeError):
    """A keyword argument that is not taken.

    A TypeError too, and worded as Python's own, for libraries that pass one, read the message and
    try again without (TorchRL does with ``frameskip``).
    """


class NotInTable(NatsGymError, LookupError):
    """A table was asked for a figure that it does not hold."""


class CorruptTable(NatsGymError, OSError):
    """A table's folder is incomplete, or a file in it is not what its manifest says."""


class MissingTable(NatsGymError, FileNotFoundError):
    """No table where one was expected."""


class MissingStudy(NatsGymError, FileNotFoundError):
    """No study, or no results of one, where it was expected."""


class MissingPackage(NatsGymError, ImportError):
    """A package is not installed that only a part of nats-gym needs; says how to install it."""


class EvaluatorError(NatsGymError, ValueError):
    """An evaluator returned what no outcome can be."""


class UnreadableResult(NatsGymError, OSError):
    """A saved search is incomplete or damaged, or its table is not the one that was searched."""


class CannotWrite(NatsGymError, OSError):
    """A file or folder cannot be written: no room, no permission. What was there before stays."""


class SurrogateWarning(UserWarning):
    """A figure in use is a model's estimate, not a real training's result."""


class OriginWarning(UserWarning):
    """Figures in NATS-Bench's format, under its names, are not NATS-Bench's."""


#: Characters of what was given that a message quotes, and of the names that it lists; most names
#: where something else lists all of them.
SHOWN, LISTED, NAMED = 200, 1_000, 12


def shown(value: object, limit: int = SHOWN) -> str:
    """What was given, as a message quotes it: in one line of at most ``limit`` characters.

    Never an error of its own, nor long at work, however large or deep plain containers are.
    """
    quoted = ""
    try:
        for piece in _pieces(value):
            quoted += piece
            if len(quoted) > limit:
                break
    except Exception:  # what is given writes itself as it likes
        quoted = f"a {type(value).__name__} that has no text"
    return _in_one_line(quoted, limit)


def said(error: BaseException, limit: int = SHOWN) -> str:
    """What an exception says, or else what it is: ours whole, others' as :func:`shown`."""
    if isinstance(error, NatsGymError):
        return str(error)
    try:
        text = str(error)
        if isinstance(error, KeyError):
            text = f"no {text}"
        elif isinstance(error, OSError) and error.strerror:  # without a descriptor for a name
            text = error.strerror
    except Exception:
        text = ""
    return _in_one_line(text or type(error).__name__, limit)


def printable(text: str) -> str:
    """Text without characters that no line has, such as the end of one."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def _in_one_line(text: str, limit: int) -> str:
    if "\n" in text:  # an array's rows
        text = " ".join(text.split())
    if not text.isprintable():
        text = text[: limit + 1].encode("unicode_escape").decode()
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    dict: ("{", "}"),
}


def _pieces(value: Any) -> Iterator[str]:
    """The ``repr`` of a value, piece by piece, so that one may stop."""
    kind = type(value)
    if kind in _BRACKETS and value:
        opening, closing = _BRACKETS[kind]
        yield opening
        for place, item in enumerate(value):
            yield ", " if place else ""
            yield from _pieces(item)
            if kind is dict:
                yield ": "
                yield from _pieces(value[item])
        yield f",{closing}" if kind is tuple and len(value) == 1 else closing
    elif kind in (str, bytes, bytearray):
        yield repr(value[:SHOWN])
    elif kind is int and value.bit_length() > 4 * SHOWN:  # Python may not write so many digits
        yield f"an integer of {value.bit_length():,} bits"
    else:
        yield repr(value)


def did_you_mean(given: object, allowed: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the allowed name nearest to ``given``, else ``""``."""
    if not issubclass(type(given), str):  # no number is a name mistyped
        return ""
    by_lower = {name.lower(): name for name in islice(allowed, LISTED)}
    text = str.__str__(given)[:100].lower()
    near = difflib.get_close_matches(text, by_lower, n=1, cutoff=0.5)
    return f" Did you mean {shown(by_lower[near[0]])}?" if near else ""


def unknown_option(
    given: object, allowed: Iterable[str], of: str = "", why: str = ""
) -> UnknownOption:
    """Build the exception for a keyword argument that is not taken, ``of`` whom if not clear."""
    found = unknown_name(f"option of {of}" if of else "option", given, allowed, why=why)
    return UnknownOption(f"{found} (got an unexpected keyword argument {shown(given)})")


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of whoever called the library, through however many of its own calls.

    Those may lie in the end of a ``with`` block, which contextlib calls.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _is_library(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _is_library(module: str) -> bool:
    return module.partition(".")[0] in ("nats_gym", "gymnasium", "mo_gymnasium", "contextlib")


def listed(allowed: Iterable[str], listed_by: str = "") -> str:
    """Names in a message: all, or so many of them that a reader sees what they are like.

    Args:
        allowed: the names.
        listed_by: what lists all of them, such as ``"which nats-gym show lists"``: fewer do then.
    """
    names = list(allowed)
    if listed_by and len(names) > NAMED:  # first of each group, such as latency/…, then the next
        places: dict[str, Iterator[int]] = defaultdict(count)
        names.sort(key=lambda one: next(places[one.partition("/")[0]]) if "/" in one else 0)
    text = ", ".join(names[: NAMED if listed_by else LISTED]) or "none, for there is none"
    if len(text) > LISTED:
        text = text[: LISTED - 1]
    elif len(names) <= (NAMED if listed_by else LISTED):
        return text
    return f"{text}… ({len(names):,} in all{', ' if listed_by else ''}{listed_by})"


def unknown_name(
    kind: str, given: object, allowed: Iterable[str], *, listed_by: str = "", why: str = ""
) -> InvalidInput:
    """Build the exception for a name that is not allowed: what was given, what is, the nearest.

    Args:
        kind: what it should be a name of.
        given: what was given.
        allowed: the names that are allowed.
        listed_by: see :func:`listed`.
        why: why it is none, where that is known; then no other was meant.
    """
    names = list(allowed)
    end = "" if why else did_you_mean(given, names)
    return InvalidInput(
        f"unknown {kind} {shown(given)}{': ' if why else ''}{why}; allowed: "
        f"{listed(names, listed_by)}.{end}"
    )
