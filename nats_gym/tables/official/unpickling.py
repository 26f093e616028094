"""Reads official files without running anything that they say.

A pickle may name any function and have it called. For the few that official files name stand
functions of our own; every other name is refused before it is looked up.
"""

from __future__ import annotations

import bz2
import io
import itertools
import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from nats_gym.errors import said
from nats_gym.files.untrusted import open_file
from nats_gym.tables.official.opcodes import (
    ORDERED_DICT,
    Admitted,
    Functions,
    Interpreter,
    damage_named,
    named,
)
from nats_gym.tables.official.opcodes import ForbiddenPickle as ForbiddenPickle
from nats_gym.tables.official.opcodes import UnreadableFile as UnreadableFile
from nats_gym.tables.official.plain_numpy import PlainType, scalar
from nats_gym.tables.official.plain_pickles import MOST_BYTES, is_plain

#: A record with the weights of all its trainings has about 100 MB, one without them 90 kB.
MAX_ENTRY_BYTES = 128 << 20
#: What an unpacked record may take: with the weights of all its trainings it is about 100 MB.
MAX_RECORD_BYTES = 192 << 20
#: A file that unpacks to more than so many times its size, and more than so much, is a bomb.
MAX_RATIO, ANY_RATIO_BYTES = 200, 16 << 20
_BLOCK = MOST_BYTES


def _left_out(*_: Any) -> None:
    """Stands for every weight of a file that is read for its figures."""


#: What pickles of plain values and numpy's numbers name.
PLAIN_FUNCTIONS: Functions = {
    **ORDERED_DICT,
    ("numpy", "dtype"): PlainType,
    # numpy's module has one name or the other by version.
    ("numpy.core.multiarray", "scalar"): scalar,
    ("numpy._core.multiarray", "scalar"): scalar,
}
#: What the records of official files name.
RECORD_FUNCTIONS: Functions = {
    **PLAIN_FUNCTIONS,
    ("torch._utils", "_rebuild_tensor_v2"): _left_out,
    ("torch._utils", "_rebuild_parameter"): _left_out,
    ("torch.storage", "_load_from_bytes"): _left_out,
}


def unpacked(pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Undo bz2, a block at a time; ``UnreadableFile`` if it is truncated or something else."""
    reader = bz2.BZ2Decompressor()
    taken = given = 0
    for piece in pieces:
        taken += len(piece)
        while piece or not (reader.needs_input or reader.eof):
            if reader.eof:  # files of several processes are streams one after another
                reader = bz2.BZ2Decompressor()
            try:
                block = reader.decompress(piece, _BLOCK)
            except (OSError, ValueError, EOFError) as error:
                raise UnreadableFile(f"{name}: truncated or not bz2 ({said(error)})") from error
            piece = reader.unused_data
            given += len(block)
            if given > max(ANY_RATIO_BYTES, MAX_RATIO * taken):
                raise UnreadableFile(f"{name}: unpacks to more than {MAX_RATIO} times its size")
            if block:
                yield block
    if not reader.eof:
        raise UnreadableFile(f"{name}: truncated")


def load_bytes(data: bytes, name: str, weights: bool = False) -> Any:
    """Unpickle the compressed content of an official file.

    Args:
        data: the file's bytes.
        name: what to call it in messages.
        weights: rebuild torch tensors; else each becomes None.

    Returns:
        Plain values, in containers that nowhere hold themselves.

    Raises:
        UnreadableFile: if it is truncated, damaged, too large or not a pickle.
        ForbiddenPickle: if it names what official files do not contain.
    """
    blocks = unpacked([data], name)
    first = next(blocks, b"")
    if is_plain(first):
        with damage_named(name):
            content = _PlainUnpickler(io.BytesIO(first)).load()
        if next(blocks, b""):
            raise UnreadableFile(f"{name}: something follows its end")
        return content
    functions = RECORD_FUNCTIONS
    if weights:
        from nats_gym.tables.official.weights import weight_functions

        functions = {**PLAIN_FUNCTIONS, **weight_functions()}
    interpreter = Interpreter(
        itertools.chain([first], blocks),
        name,
        functions,
        most_bytes=MAX_RECORD_BYTES,
        keep_bytes=weights,
    )
    content = interpreter.run()
    interpreter.finish()
    return content


class _PlainUnpickler(pickle.Unpickler):
    """Python's own reader, for pickles that ``is_plain``."""

    def find_class(self, module: str, name: str) -> Admitted:
        return named(module, name, PLAIN_FUNCTIONS)


def load_record(path: Path, weights: bool = False) -> Any:
    """:func:`load_bytes` of a file of at most :data:`MAX_ENTRY_BYTES`."""
    try:
        with open_file(path, MAX_ENTRY_BYTES) as file:
            data = file.read(MAX_ENTRY_BYTES + 1)
    except ValueError as error:
        raise UnreadableFile(f"{path}: {said(error)}") from error
    return load_bytes(data, str(path), weights)
