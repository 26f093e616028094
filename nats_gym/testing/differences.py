"""Where two values differ first: numbers, arrays, and nested dictionaries and lists of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

_PLAIN = {bool, int, float, str, type(None), np.bool_, np.int64, np.float32, np.float64}


class Difference(NamedTuple):
    """Where two values differ, and what they are there."""

    place: str
    mine: Any
    theirs: Any


def find_difference(mine: Any, theirs: Any, place: str = "") -> Difference | None:
    """Where two values differ first, nested ones too; None if they are equal, NaN to NaN."""
    if _are_plainly_equal(mine, theirs):
        return None
    pairs: Iterable[tuple[Any, Any, Any]]
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        if mine.keys() != theirs.keys():
            return Difference(place, mine, theirs)
        pairs = ((name, mine[name], value) for name, value in theirs.items())
    elif isinstance(mine, (tuple, list)) and isinstance(theirs, (tuple, list)):
        if len(mine) != len(theirs):
            return Difference(place, mine, theirs)
        pairs = ((i, one, two) for i, (one, two) in enumerate(zip(mine, theirs, strict=True)))
    elif is_array(mine) and is_array(theirs) and object in (mine.dtype, theirs.dtype):
        if mine.shape != theirs.shape:
            return Difference(place, mine, theirs)
        pairs = ((i, one, theirs[i]) for i, one in np.ndenumerate(mine))
    else:
        return _difference_of_arrays(mine, theirs, place)
    for key, one, two in pairs:
        found = find_difference(one, two, f"{place}[{_index(key)}]")
        if found:
            return found
    return None


def _are_plainly_equal(mine: Any, theirs: Any) -> bool:
    """Whether two plain values or arrays of one type are equal: most are; this tells it fast."""
    if type(mine) is not type(theirs):
        return False
    if type(mine) is np.ndarray:
        same = mine.shape == theirs.shape and mine.dtype == theirs.dtype != object
        return same and bool((mine == theirs).all())
    return type(mine) in _PLAIN and mine == theirs


def _difference_of_arrays(mine: Any, theirs: Any, place: str) -> Difference | None:
    try:
        one, two = np.asarray(mine), np.asarray(theirs)
    except ValueError:  # a ragged list, and what is none
        return Difference(place, mine, theirs)
    numbers = [array.dtype.kind in "biufc" for array in (one, two)]
    if one.shape != two.shape or numbers[0] != numbers[1]:
        return Difference(place, mine, theirs)
    if one.dtype == object and not one.shape:  # single things that numpy does not know
        return None if mine is theirs or mine == theirs else Difference(place, mine, theirs)
    unequal = np.asarray(one != two)
    if one.dtype.kind in "fc" and two.dtype.kind in "fc":
        unequal &= ~(np.isnan(one) & np.isnan(two))
    if not unequal.any():
        return None
    first = tuple(np.argwhere(unequal)[0].tolist())
    place += f"[{_index(first)}]" if first else ""
    return Difference(place, one[first].item(), two[first].item())


def _index(key: Any) -> str:
    return ", ".join(map(str, key)) if isinstance(key, tuple) else repr(key)


def is_array(values: Any) -> bool:
    """Whether these are values of several."""
    return isinstance(values, np.ndarray) and values.ndim > 0


def told(error: Exception) -> str:
    """An exception's kind and words."""
    return f"{type(error).__name__}: {error}"
