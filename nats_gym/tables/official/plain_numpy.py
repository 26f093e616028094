"""What pickles say of numpy values, built by ourselves from checked parts.

numpy's own functions take a pickled state as it comes: a forged one is a pointer into memory.
Official files and image archives hold plain numbers alone, which a type, a shape and some bytes
describe.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The types that are read: booleans, integers and floats of 1 to 8 bytes, as numpy spells them.
PLAIN = frozenset("b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split())
MAX_DIMENSIONS = 8


class PlainType:
    """A dtype as a pickle makes it: first its name, then its byte order.

    Args:
        name: one of :data:`PLAIN`; what is given besides says nothing of plain types.
    """

    __slots__ = ("_dtype", "_name")

    def __init__(self, name: Any, _align: Any = False, _copy: Any = True) -> None:
        if type(name) is not str or name not in PLAIN:
            raise ValueError("a dtype that is no plain number's")
        self._name = name
        self._dtype: np.dtype[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        """Take the byte order; ``ValueError`` if there is more to a state, or a second one."""
        order = state[1] if type(state) is tuple and len(state) == 8 else None
        if (
            self._dtype is not None
            or type(order) is not str
            or order not in ("|" if self._name[1] == "1" else "<>")
            or len(order) != 1
            or [type(part) for part in state] != _STATE_TYPES
            or (state[0], *state[5:]) != (3, -1, -1, 0)
        ):
            raise ValueError("a dtype's state that is no plain number's")
        self._dtype = np.dtype(order + self._name)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type; ``ValueError`` while its byte order is not known."""
        if self._dtype is None:
            raise ValueError("a dtype without a byte order")
        return self._dtype


_NONE = type(None)
_STATE_TYPES = [int, str, _NONE, _NONE, _NONE, int, int, int]


def scalar(kind: Any, data: Any) -> Any:
    """A number of numpy's: ``numpy.core.multiarray.scalar``.

    Raises:
        ValueError: if ``data`` is not the bytes of one.
    """
    if type(kind) is not PlainType:
        raise ValueError("a number without a plain dtype")
    return _numbers(kind, data, 1)[0]


class PlainArray:
    """An array as a pickle makes it: first empty, then its state.

    Args: those of ``numpy.core.multiarray._reconstruct``, all the same for every array.
    """

    __slots__ = ("_array",)

    def __init__(self, _kind: Any, _shape: Any, _code: Any) -> None:
        self._array: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        """Take shape, type and content; ``ValueError`` unless they are an array of numbers."""
        version, shape, kind, by_columns, data = state
        if (
            self._array is not None
            or type(version) is not int
            or version != 1
            or type(shape) is not tuple
            or len(shape) > MAX_DIMENSIONS
            or not all(type(length) is int and length >= 0 for length in shape)
            or type(kind) is not PlainType
            or type(by_columns) is not bool
        ):
            raise ValueError("an array's state that is no array's of plain numbers")
        numbers = _numbers(kind, data, math.prod(shape))
        self._array = numbers.reshape(shape, order="F" if by_columns else "C")

    @property
    def array(self) -> NDArray[Any]:
        """The array, read-only; ``ValueError`` while it has no content."""
        if self._array is None:
            raise ValueError("an array without content")
        return self._array


def _numbers(kind: PlainType, data: Any, count: int) -> NDArray[Any]:
    """``count`` numbers, which take all of ``data``."""
    dtype = kind.dtype
    if type(data) is str:  # Python 2 knew no bytes
        data = data.encode("latin1")
    if type(data) is not bytes or len(data) != count * dtype.itemsize:
        raise ValueError(f"not the bytes of {count:,} numbers of type {dtype}")
    if dtype.kind == "b" and data.strip(b"\0\1"):
        raise ValueError("a boolean that is neither true nor false")
    return np.frombuffer(data, dtype)
