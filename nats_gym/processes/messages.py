"""Messages between processes: JSON with numpy arrays in it, each part behind its length.

No pickle: a message cannot run anything.
"""

from __future__ import annotations

import io
import json
import struct
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_LENGTH = struct.Struct("<Q")
_ARRAY = "__array__"


def write_message(file: IO[bytes], content: Any) -> None:
    """Write plain values and arrays, nested as they like.

    Raises:
        TypeError: for a value that is neither; nothing is written then.
    """
    arrays: list[NDArray[Any]] = []

    def stand_in(value: Any) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            arrays.append(value)
            return {_ARRAY: len(arrays) - 1}
        raise TypeError(f"a {type(value).__name__} cannot be sent to another process")

    # The content is walked before its arrays are counted.
    text = json.dumps(content, default=stand_in)
    _write_part(file, json.dumps([text, len(arrays)]).encode())
    for array in arrays:
        part = io.BytesIO()
        np.save(part, array, allow_pickle=False)
        _write_part(file, part.getbuffer())
    file.flush()


def read_message(file: IO[bytes]) -> Any:
    """Read what :func:`write_message` wrote; ``EOFError`` if the other side is gone."""
    text, count = json.loads(_read_part(file))
    arrays = [np.load(io.BytesIO(_read_part(file)), allow_pickle=False) for _ in range(count)]

    def put_back(value: dict[str, Any]) -> Any:
        return arrays[value[_ARRAY]] if value.keys() == {_ARRAY} else value

    return json.loads(text, object_hook=put_back)


def _write_part(file: IO[bytes], part: bytes | memoryview) -> None:
    file.write(_LENGTH.pack(len(part)))
    file.write(part)


def _read_part(file: IO[bytes]) -> bytes:
    return _read_exactly(file, _LENGTH.unpack(_read_exactly(file, _LENGTH.size))[0])


def _read_exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data
