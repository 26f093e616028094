"""Tensors of pickles and of saved files, within the bytes that belong to them.

torch takes what a pickle says of a tensor as it comes: one that reaches beyond its storage has the
storage made larger, by whatever lies in memory there. So what a file says is checked first, by the
interpreter of plain values, and what is well-formed is given to torch, to its reader that knows
tensors alone.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from nats_gym.errors import NatsGymError
from nats_gym.tables.official.opcodes import (
    ORDERED_DICT,
    Admitted,
    Functions,
    Interpreter,
    UnreadableFile,
    damage_named,
)

#: torch's names for storages of plain numbers, and the bytes of a number.
STORAGES = {
    "ByteStorage": 1,
    "CharStorage": 1,
    "BoolStorage": 1,
    "ShortStorage": 2,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "IntStorage": 4,
    "FloatStorage": 4,
    "LongStorage": 8,
    "DoubleStorage": 8,
}
#: All trainings of the largest network of a space have 10,000 tensors.
MAX_TENSORS = 30_000
MAX_DIMENSIONS = 8

# What torch's format before version 1.6 begins with, in which storages are pickled still: a number
# that tells it from others, its version, and what machine wrote it.
_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_VERSION = 1001
# More than stands before the numbers of a storage.
_HEAD_BYTES = 4096
#: Text in a saved file: settings and figures as JSON.
_MAX_TEXT = 16 << 20
_MAX_PICKLE = 64 << 20
# Bytes of the record that ends a zip file.
_ZIP_END = 22


class _Kind:
    """A storage's class, which a pickle names and does not call."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *_: Any) -> None:
        raise ValueError("a storage that is made of nothing")


_KINDS: Functions = {("torch", name): _Kind(name) for name in STORAGES}


class _Storage:
    """Where the numbers of tensors are.

    Args:
        count: how many numbers.
        loaded: torch's storage, if it is made already.
    """

    def __init__(self, count: int, loaded: Any = None) -> None:
        self.count = count
        self.loaded = loaded


class _Tensors:
    """What makes the tensors of one pickle, or checks them while their storages are not loaded.

    Args:
        load: makes a storage of what is given to ``_load_from_bytes``, if that may be called.
    """

    def __init__(self, load: Callable[[Any], _Storage] | None = None) -> None:
        self._load = load
        self._count = 0
        self.functions: Functions = {
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): self._parameter,
            **({} if load is None else {("torch.storage", "_load_from_bytes"): self._storage}),
        }

    def _counted(self) -> None:
        self._count += 1
        if self._count > 2 * MAX_TENSORS:  # a tensor and its storage
            raise ValueError(f"more than {MAX_TENSORS:,} tensors")

    def _storage(self, data: Any) -> _Storage:
        self._counted()
        assert self._load is not None
        return self._load(data)

    def _tensor(
        self,
        storage: Any,
        offset: Any,
        size: Any,
        stride: Any,
        requires_grad: Any,
        hooks: Any,
        metadata: Any = None,
    ) -> Any:
        """``torch._utils._rebuild_tensor_v2``, if the tensor is a dense part of its storage."""
        self._counted()
        if type(storage) is not _Storage:
            raise ValueError("a tensor without a storage")
        if type(size) is not tuple or type(stride) is not tuple or len(size) > MAX_DIMENSIONS:
            raise ValueError("a tensor without a shape")
        if not all(type(number) is int and number >= 0 for number in (offset, *size, *stride)):
            raise ValueError("a tensor whose shape is not made of whole numbers")
        if hooks or metadata or type(requires_grad) is not bool:
            raise ValueError("a tensor with hooks or metadata")
        if len(stride) != len(size) or not _is_dense(size, stride):
            raise ValueError(f"a tensor of shape {size} and stride {stride}, which is not dense")
        if offset + math.prod(size) > storage.count:
            raise ValueError(f"a tensor of shape {size} beyond its storage of {storage.count:,}")
        if storage.loaded is None:
            return None
        tensor = torch.empty(0, dtype=storage.loaded.dtype)
        tensor.set_(storage.loaded._untyped_storage, offset, size, stride)
        return tensor.requires_grad_() if requires_grad else tensor

    def _parameter(self, tensor: Any, requires_grad: Any, hooks: Any) -> Any:
        if type(tensor) is not torch.Tensor or type(requires_grad) is not bool or hooks:
            raise ValueError("a parameter that is no tensor")
        return torch.nn.Parameter(tensor, requires_grad)


def _is_dense(size: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    """Whether every number has a place of its own, without a gap, in whatever order of axes."""
    expected = 1
    for step, length in sorted(zip(stride, size, strict=True)):
        if length != 1 and step != expected:
            return 0 in size
        expected *= length
    return True


def _counts(stored: Any) -> tuple[str, str, int]:
    """Kind, key and number of numbers of a storage, from its persistent id."""
    word, kind, key, location, count, *views = stored
    function = kind.function if type(kind) is Admitted else None
    if word != "storage" or not isinstance(function, _Kind) or views not in ([], [None]):
        raise ValueError("a storage that is no plain one")
    if type(key) is not str or type(location) is not str or type(count) is not int or count < 0:
        raise ValueError("a storage without a size")
    return function.name, key, count


# ── pickled tensors ──────────────────────────────────────────────────────────────────────────


def weight_functions() -> Functions:
    """Functions that make the tensors of an official record; for one record."""
    return _Tensors(_load_storage).functions


def _load_storage(data: Any) -> _Storage:
    """``torch.storage._load_from_bytes``; ``ValueError`` unless all of ``data`` is a storage's."""
    if type(data) is not bytes or not data.startswith(_MAGIC):
        raise ValueError("a storage in another format")
    head = data[len(_MAGIC) : _HEAD_BYTES]
    interpreter = Interpreter(
        iter([head]),
        "a storage",
        {**_KINDS, **ORDERED_DICT},
        most_bytes=_HEAD_BYTES,
        persistent=_counts,
    )
    try:
        version, machine, (kind, key, count), keys = (interpreter.run() for _ in range(4))
    except NatsGymError as error:  # who reads the file it is in will name that
        raise ValueError(str(error)) from error
    start = len(_MAGIC) + interpreter.position
    size = count * STORAGES[kind]
    if version != _VERSION or machine.get("little_endian") is not True or keys != [key]:
        raise ValueError("a storage of another version")
    if data[start : start + 8] != count.to_bytes(8, "little") or len(data) != start + 8 + size:
        raise ValueError(f"a storage of {count:,} numbers that has another size")
    loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if type(loaded) is not torch.TypedStorage or loaded._untyped_storage.nbytes() != size:
        raise ValueError("a storage that torch reads in another way")
    return _Storage(count, loaded)


# ── saved files ──────────────────────────────────────────────────────────────────────────────


def load_saved(path: Path) -> Any:
    """Read what ``torch.save`` wrote of tensors, text and numbers.

    Raises:
        UnreadableFile, ForbiddenPickle: if it is damaged, or something else.
    """
    with damage_named(str(path)), path.open("rb") as file:
        _check_saved(file, str(path))
        file.seek(0)
        return torch.load(file, map_location="cpu", weights_only=True)


def _check_saved(file: BinaryIO, name: str) -> None:
    """Raise unless a saved file is whole, and its tensors lie within its storages."""
    length = file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        listed = archive.infolist()
        members = {member.filename: member for member in listed}
        file.seek(length - _ZIP_END)
        if len(members) != len(listed) or file.read(4) != b"PK\5\6":
            raise UnreadableFile(f"{name}: a zip file that can be read in two ways")
        if any(member.compress_type != zipfile.ZIP_STORED for member in listed):
            raise UnreadableFile(f"{name}: compressed, as torch writes none")
        if sum(member.file_size for member in listed) > length:
            raise UnreadableFile(f"{name}: parts of more bytes than it has")
        damaged = archive.testzip()  # torch compares no checksum
        if damaged is not None:
            raise UnreadableFile(f"{name}: wrong checksum of {damaged}")
        (pickled,) = (member for member in members if member.endswith("/data.pkl"))
        root = pickled.removesuffix("data.pkl")

        def storage(stored: Any) -> _Storage:
            kind, key, count = _counts(stored)
            if members[f"{root}data/{key}"].file_size != count * STORAGES[kind]:
                raise ValueError(f"a storage of {count:,} numbers that has another size")
            return _Storage(count)

        interpreter = Interpreter(
            iter([archive.read(pickled)]),
            name,
            {**ORDERED_DICT, **_KINDS, **_Tensors().functions},
            most_bytes=_MAX_PICKLE,
            most_text=_MAX_TEXT,
            persistent=storage,
        )
        interpreter.run()
        interpreter.finish()
