"""Arguments, checked where they enter: each function returns a plain Python value.

Whatever is given, what is not allowed raises ``InvalidInput`` in one line that says what is. Types
are told by ``type``, for ``isinstance`` asks the object itself, and only numbers that are known to
be right are compared. numpy's scalars are as good as Python's; a truth value is no number.
"""

from __future__ import annotations

import functools
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import InvalidInput, said, shown, unknown_name

Kind = TypeVar("Kind")

#: What a seed may be: 128 bits, as many as numpy draws where no seed is given.
LARGEST_SEED = 2**128 - 1
#: Levels of nested lists that an array is made of.
DEEPEST = 16
#: Longest path, and longest name in it, that the usual file systems take, in bytes.
LONGEST_PATH, LONGEST_NAME = 4096, 255
#: Most processes, or threads of one, of a machine; longest wait, in seconds: some 30 years.
MOST_PROCESSES, MOST_THREADS, LONGEST_WAIT = 1_024, 1_024, 1e9


def as_integer(value: object) -> int | None:
    """``value`` as an int; None for what is no integer, as truth values are none."""
    kind = type(value)
    if kind is int:
        return value  # type: ignore[return-value]
    if issubclass(kind, (int, np.integer)) and kind not in (bool, np.timedelta64):
        # A subclass may convert and compare as it likes; what it holds is asked of its base.
        base: Any = int if issubclass(kind, int) else np.generic
        return base.__int__(value)
    return None


def as_number(value: object) -> float | None:
    """``value`` as a float; None for what is no number, and for NaN."""
    kind = type(value)
    if not issubclass(kind, (float, np.floating)):
        whole = as_integer(value)
        try:
            return None if whole is None else float(whole)
        except OverflowError:  # beyond every float
            return None
    base: Any = float if issubclass(kind, float) else np.generic
    plain = float(base.__float__(value))
    return None if math.isnan(plain) else plain


def as_list(value: object) -> list[Any] | None:
    """What a list, tuple, set or array holds; None for what is none such."""
    if not issubclass(type(value), (list, tuple, set, frozenset, np.ndarray)):
        return None
    try:
        return [*value]  # type: ignore[misc]
    except Exception:  # an array of no dimension, or a subclass that does as it likes
        return None


def as_integers(value: object) -> list[int] | None:
    """A list of integers as plain ones, ``(n,)``; None for what is none such."""
    if type(value) is np.ndarray and value.ndim == 1 and value.dtype.kind in "iu":
        return value.tolist()  # as many as there may be, at once
    found = as_list(value)
    plain = [None] if found is None else [as_integer(one) for one in found]
    return None if None in plain else plain  # type: ignore[return-value]


def integer(value: object, what: str, low: int = 1, high: int = 2**63 - 1) -> int:
    """An integer from ``low`` to ``high``.

    Args:
        value: what was given.
        what: its name, as the message begins.
        low, high: the least and the largest allowed.

    Raises:
        InvalidInput: for anything else.
    """
    plain = as_integer(value)
    if plain is None or not low <= plain <= high:
        most = f"{high:,}" if high < 10**12 else f"2**{high.bit_length()} - 1"
        raise InvalidInput(f"{what} is an integer from {low} to {most}, got {shown(value)}")
    return plain


def seed(value: object, what: str = "a seed") -> int:
    """A seed: an integer from 0 to :data:`LARGEST_SEED`; raises as :func:`integer`."""
    return integer(value, what, 0, LARGEST_SEED)


def number(
    value: object,
    what: str,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: float = -math.inf,
    below: float = math.inf,
    unit: str = "",
    infinite: bool = False,
) -> float:
    """A number within bounds.

    Args:
        value: what was given.
        what: its name, as the message begins.
        low, high: the least and the largest allowed.
        above, below: bounds that are not allowed themselves.
        unit: what it counts, for the message.
        infinite: whether infinity is a number too.

    Raises:
        InvalidInput: for anything else; NaN never is allowed.
    """
    plain = as_number(value)
    if (
        plain is not None
        and low <= plain <= high
        and (above < plain or above == -math.inf)
        and (plain < below or below == math.inf)
        and (infinite or math.isfinite(plain))
    ):
        return plain
    bounds = (("from", low), ("above", above or -math.inf), ("to", high), ("below", below))
    within = "".join(f" {word} {bound:,.12g}" for word, bound in bounds if math.isfinite(bound))
    bounded = infinite or math.isfinite(min(high, below))
    kind = f"{'' if above else 'positive '}{'' if bounded else 'finite '}number"
    of = f" of {unit}" if unit else ""
    raise InvalidInput(f"{what} is a {kind}{of}{within}, got {shown(value)}")


def limit(value: object, what: str) -> float | None:
    """Real seconds after which something ends, or None; raises as :func:`number`."""
    if value is None:
        return None
    return number(value, what, high=LONGEST_WAIT, above=0, unit="seconds")


def switch(value: object, what: str) -> bool:
    """True or False, Python's or numpy's; ``InvalidInput`` for anything else."""
    if type(value) in (bool, np.bool_):
        return bool(value)
    raise InvalidInput(f"{what} is True or False, got {shown(value)}")


def text(value: object, what: str, longest: int = 1_000) -> str:
    """Text of at most ``longest`` characters that a file can hold; ``InvalidInput`` otherwise."""
    if issubclass(type(value), str):
        plain = str.__str__(value)
        if len(plain) <= longest and _encodes(plain):
            return plain
    raise InvalidInput(f"{what} is text of at most {longest:,} characters, got {shown(value)}")


def line(value: object, what: str, longest: int = 1_000, *, empty: bool = True) -> str:
    """:func:`text` in one line, without control characters; blank only where it may be empty."""
    plain = text(value, what, longest)
    if plain.isprintable() and (empty or plain.strip()):
        return plain
    told = "" if empty else ", which is not empty"
    raise InvalidInput(f"{what} is one line of printable text{told}, got {shown(value)}")


def word(value: object, what: str, allowed: Iterable[str]) -> str:
    """One of the ``allowed`` names; ``InvalidInput`` lists them and says which was likely meant."""
    allowed = tuple(allowed)
    if issubclass(type(value), str) and str.__str__(value) in allowed:
        return str.__str__(value)
    raise unknown_name(what, value, allowed)


def path(value: object, what: str, *, expand: bool = False) -> Path:
    """The path of a file or folder, there or not.

    Args:
        value: text, or an ``os.PathLike`` of text.
        what: its name, as the message begins.
        expand: whether a ``~`` at its beginning is somebody's home.

    Raises:
        InvalidInput: for what is no path, or none that a file system could take.
    """
    plain: Any = value
    if not issubclass(type(value), str) and hasattr(type(value), "__fspath__"):
        try:
            plain = os.fspath(value)  # type: ignore[call-overload]
        except Exception as error:
            raise InvalidInput(f"{what} is a path, got {shown(value)}: {said(error)}") from error
    if not issubclass(type(plain), str):
        raise InvalidInput(f"{what} is a path, got {shown(value)}")
    plain = str.__str__(plain)
    reason = _no_path(plain)
    if reason:
        raise InvalidInput(f"{what} is a path, got {shown(plain)}: {reason}")
    if not expand:
        return Path(plain)
    try:
        return Path(plain).expanduser()
    except RuntimeError as error:
        raise InvalidInput(f"{what} is a path, got {shown(plain)}: {said(error)}") from error


def mapping(value: object, what: str) -> dict[str, Any]:
    """A dictionary with names for keys, as a plain one; ``InvalidInput`` for anything else."""
    if issubclass(type(value), Mapping):
        try:
            plain = dict(value)  # type: ignore[call-overload]
        except Exception as error:
            raise InvalidInput(f"{what}, got {shown(value)}: {said(error)}") from error
        if all(issubclass(type(key), str) for key in plain):
            return plain
    raise InvalidInput(f"{what}, got {shown(value)}")


def function(value: object, what: str, optional: bool = True) -> Any:
    """What can be called, or None if ``optional``; ``InvalidInput`` for anything else."""
    if callable(value) or (optional and value is None):
        return value
    raise InvalidInput(f"{what} is a function{', or None' if optional else ''}, got {shown(value)}")


def follows(value: object, protocol: type[Kind]) -> TypeGuard[Kind]:
    """Whether an object, no class, has what a protocol names; one that will not say has not."""
    try:
        return not issubclass(type(value), type) and isinstance(value, protocol)
    except Exception:  # what is given answers as it likes
        return False


def imported(place: str, what: str) -> Any:
    """What ``"module:name"`` names.

    Raises:
        InvalidInput: where nothing can be imported from there; it says ``no <what> at``.
    """
    module, _, name = place.partition(":")
    try:
        return functools.reduce(getattr, name.split("."), import_module(module))
    except (Exception, SystemExit) as error:  # the code of others, which raises what it likes
        raise InvalidInput(f"no {what} at {shown(place)}: {said(error)}") from None


def imported_maker(place: str, what: str) -> Any:
    """The class or function at ``"module:name"`` that makes one; raises as :func:`imported`."""
    found = imported(place, what)
    if not callable(found):
        raise InvalidInput(f"what makes an {what} is called; {shown(place)} is {shown(found)}")
    return found


def plain(value: object, what: str, longest: int = 100_000) -> Any:
    """Numbers, text, lists and dictionaries, as they come back from a file.

    Args:
        value: what was given.
        what: its name, as the message begins.
        longest: characters that it may fill as JSON.

    Raises:
        InvalidInput: for what JSON does not hold, or not within ``longest`` characters.
    """
    reason, written = "", ""
    try:
        for piece in json.JSONEncoder(ensure_ascii=False).iterencode(value):
            written += piece
            if len(written) > longest:
                raise ValueError(f"more than {longest:,} characters")
        written.encode()
        return json.loads(written)
    except (RecursionError, TypeError, ValueError) as error:
        reason = said(error)
    except Exception:  # what is given converts itself as it likes
        pass
    raise InvalidInput(
        f"{what} holds numbers, text, lists and dictionaries by name, got {shown(value)}: {reason}"
    )


def array(value: object, what: str) -> NDArray[Any]:
    """A numpy array, none of it masked; ``InvalidInput`` for what numpy makes none of."""
    if type(value) is np.ndarray:
        return value
    try:
        if not _may_be_array(value):
            raise TypeError("nothing that an array is made of")
        plain = np.asarray(value)
        # Its module is loaded with the first masked array, and takes a while.
        masked = "numpy.ma" in sys.modules and np.ma.is_masked(value)
    except Exception as error:
        raise InvalidInput(f"{what}, got {shown(value)}: {said(error)}") from error
    if masked:
        raise InvalidInput(f"{what}, got {shown(value)}")
    return plain


def numbers(value: object, what: str) -> NDArray[np.float64]:
    """An array of numbers, as float64; ``InvalidInput`` for anything else, truth values too.

    NaN and infinity are the caller's to judge, and so is the shape.
    """
    given = array(value, what)
    if given.dtype.kind not in "iuf":
        raise InvalidInput(f"{what}, got {shown(value)}")
    with np.errstate(over="ignore"):  # what is wider than a float64 becomes infinite
        return given.astype(np.float64)


def integers_below(array: NDArray[Any], bound: int, what: str) -> NDArray[np.int64]:
    """Return an array as int64; ``InvalidInput`` unless every entry is in ``0 … bound-1``."""
    if array.dtype.kind not in "iu" and array.size:
        # An integer beyond 64 bits makes an array of objects.
        objects = array.flat if array.dtype == object else ()
        huge = next((v for v in objects if isinstance(v, int) and not 0 <= v < bound), None)
        if huge is None:
            raise InvalidInput(f"a {what} is an integer, got {array.dtype} values")
        raise InvalidInput(f"{what} {shown(huge)} is out of range 0…{bound - 1}")
    integers = array.astype(np.int64, copy=False)
    if integers.ndim:
        # A uint64 beyond int64 wraps to a negative, so one comparison as unsigned finds both ends.
        wrong = integers.view(np.uint64) >= bound
        bad = array[wrong].flat[0] if wrong.any() else None
    else:  # in plain numbers, for the scalar environment
        bad = None if 0 <= int(integers) < bound else array
    if bad is not None:
        raise InvalidInput(f"{what} {int(bad)} is out of range 0…{bound - 1}")
    return integers


def keys(value: object, what: str, count: int) -> NDArray[Any]:
    """An array ``(count,)`` of integers of 64 bits; ``InvalidInput`` for anything else."""
    plain = type(value) is np.ndarray  # at every evaluation: nothing is worded that nobody reads
    given: Any = value if plain else array(value, f"{what} are {count:,} integers")
    if given.dtype.kind not in "iu" or given.shape != (count,):
        raise InvalidInput(f"{what} are {count:,} integers, got {shown(value)}")
    return given


def instance(value: object, kind: type[Kind], what: str) -> Kind:
    """``value`` itself; ``InvalidInput`` unless it is one of ``kind``, or of a class below it."""
    if issubclass(type(value), kind):
        return value  # type: ignore[return-value]
    raise InvalidInput(f"{what} is a {kind.__name__}, got {shown(value)}")


def instances(value: object, kind: type[Kind], what: str, least: int = 1) -> list[Kind]:
    """A list or tuple of ``least`` at least of ``kind``; raises as :func:`instance`."""
    found = as_list(value)
    if (
        found is not None
        and len(found) >= least
        and all(issubclass(type(one), kind) for one in found)
    ):
        return found
    raise InvalidInput(f"{what} are a list of {kind.__name__}, got {shown(value)}")


def _may_be_array(value: Any) -> bool:
    """Whether numpy may look at a value: not where it would never end."""
    kind = type(value)
    if not issubclass(kind, (list, tuple)):
        # Another sequence is asked for each of its items, however many it says that it has.
        return not issubclass(kind, (Sequence, Mapping)) or issubclass(kind, (str, bytes, range))
    depth = 0
    while issubclass(type(value), (list, tuple)) and len(value):
        value, depth = value[0], depth + 1
        if depth > DEEPEST:  # lists of the same lists grow without end
            return False
    return True


def _encodes(plain: str) -> bool:
    """Whether text can be written down: no half of a surrogate pair is in it."""
    try:
        plain.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_path(plain: str) -> str | None:
    """Why text is the path of nothing on any usual file system; None if it may be."""
    if not plain:
        return "it is empty"
    if "\0" in plain:
        return "it holds a NUL"
    try:
        encoded = os.fsencode(plain)
    except UnicodeEncodeError:
        return "no file system writes it"
    if len(encoded) > LONGEST_PATH or max(map(len, encoded.split(b"/"))) > LONGEST_NAME:
        return f"longer than {LONGEST_PATH:,} bytes, or than {LONGEST_NAME} between two '/'"
    return None
