"""Reads official records without running anything.

A pickle may name any function and have it called. This reader admits the few names that official
files contain (FACTS of NATS-Bench 1.0) and refuses every other before it is looked up.
"""

from __future__ import annotations

import bz2
import collections
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nats_gym.errors import NatsGymError

# What numpy calls to rebuild a scalar; its module is numpy.core or numpy._core by version.
_NUMPY_SCALAR: Any = np.float64(0).__reduce__()[0]  # type: ignore[unused-ignore]

# A record with the weights of all its trainings unpacks to about 100 MB; a bomb to anything.
MAX_RECORD_BYTES = 256 << 20

ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "scalar"): _NUMPY_SCALAR,
    ("numpy._core.multiarray", "scalar"): _NUMPY_SCALAR,
}
# A trained network's weights, in -full archives.
_TORCH = {
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch.storage", "_load_from_bytes"),
}


class UnreadableFile(NatsGymError, OSError):
    """An official file that is truncated, damaged or not what it should be."""


class ForbiddenPickle(NatsGymError, pickle.UnpicklingError):
    """A pickle that names something official files never contain. Nothing of it was run."""

    def __init__(self, module: str, name: str) -> None:
        super().__init__(f"{module}.{name} is not allowed in an official file; it was not run")


class RecordUnpickler(pickle.Unpickler):
    """Unpickles plain values, and weights as they are or not at all.

    Args:
        file: the pickle.
        weights: rebuild torch tensors; else each becomes None.
    """

    def __init__(self, file: Any, weights: bool = False) -> None:
        super().__init__(file)
        self._weights = weights

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle may name; raise ``ForbiddenPickle`` for the rest."""
        return find_allowed(module, name, self._weights)


def find_allowed(module: str, name: str, weights: bool = False) -> Any:
    """What ``module.name`` stands for in an official file, or ``ForbiddenPickle``."""
    allowed = ALLOWED.get((module, name))
    if allowed is not None:
        return allowed
    if (module, name) in _TORCH:
        return _torch_function(name) if weights else _left_out
    raise ForbiddenPickle(module, name)


def _left_out(*_: Any) -> None:
    """Stands for every weight of a file that is read for its figures."""


def _torch_function(name: str) -> Callable[..., Any]:
    import torch

    if name == "_load_from_bytes":
        # torch's own calls its unrestricted loader.
        return lambda data: torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    return getattr(torch._utils, name)


def decompress(data: bytes, name: str) -> bytes:
    """Undo bz2; ``UnreadableFile`` if ``data`` is truncated, too large or something else."""
    reader = bz2.BZ2Decompressor()
    try:
        content = reader.decompress(data, MAX_RECORD_BYTES)
    except (OSError, ValueError, EOFError) as error:
        raise UnreadableFile(f"{name}: truncated or not bz2 ({error})") from error
    if not reader.eof:
        if len(content) == MAX_RECORD_BYTES:
            raise UnreadableFile(f"{name}: more than {MAX_RECORD_BYTES >> 20} MB, unpacked")
        raise UnreadableFile(f"{name}: truncated")
    return content


def load_bytes(data: bytes, name: str, weights: bool = False) -> Any:
    """Unpickle the compressed content of an official file.

    Args:
        data: the file's bytes.
        name: what to call it in messages.
        weights: rebuild torch tensors; else each becomes None.

    Raises:
        UnreadableFile: if it is truncated, damaged or not a pickle.
        ForbiddenPickle: if it names what official files do not contain.
    """
    try:
        return RecordUnpickler(io.BytesIO(decompress(data, name)), weights).load()
    except ForbiddenPickle as error:
        error.args = (f"{name}: {error}",)
        raise
    except NatsGymError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise UnreadableFile(f"{name}: not a whole pickle ({error!r})") from error


def load_record(path: Path, weights: bool = False) -> Any:
    """:func:`load_bytes` of a file."""
    return load_bytes(Path(path).read_bytes(), str(path), weights)
