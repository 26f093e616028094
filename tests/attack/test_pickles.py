"""Hostile pickles through every reader of them: each is refused, or read to plain values.

Pickles are made here, from a seed, and each is read in a process of its own that may not grow. What
may come out is an ``UnreadableFile``, a ``ForbiddenPickle`` or plain values; never another error, a
signal, a changed function, more than 200 MB or more than a few seconds.
"""

from __future__ import annotations

import bz2
import functools
import io
import itertools
import json
import os
import pickle
import pickletools
import random
import resource
import signal
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TESTS = Path(__file__).parent.parent
SEED = 12
#: Mutations of each kind for each reader in the slow run.
MUTATIONS = 60
#: A reader may take so much more memory than for an honest file.
MORE_MEMORY = 200 << 20
MOST_UNPACKED = 16 << 20
CPU_SECONDS = 6  # two on a machine that has nothing else to do
WALL_SECONDS = 60

# ── a small assembler ────────────────────────────────────────────────────────────────────────

P4, P2, STOP = b"\x80\x04", b"\x80\x02", b"."


def text(value: str) -> bytes:
    data = value.encode()
    if len(data) < 256:
        return b"\x8c" + bytes([len(data)]) + data
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + b"(" + b"".join(arguments) + b"tR"


def binary(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def dtype(kind: str, state: bytes | None = None) -> bytes:
    made = call(name("numpy", "dtype"), text(kind), b"\x89", b"\x88")
    if state is None:
        state = tuple_of(b"K\x03", text("<"), b"NNN", number(-1), number(-1), b"K\x00")
    return made + state + b"b"


def tuple_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def scalar(kind: bytes, data: bytes) -> bytes:
    return call(name("numpy.core.multiarray", "scalar"), kind, b"C" + bytes([len(data)]) + data)


def array(shape: bytes, kind: bytes, data: bytes, order: bytes = b"\x89") -> bytes:
    empty = call(
        name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), b"K\0\x85", b"C\1b"
    )
    return empty + tuple_of(b"K\x01", shape, kind, order, binary(data)) + b"b"


ORDERED = call(name("collections", "OrderedDict"))


def record_of(kind: bytes, at: bytes) -> bytes:
    """A dtype of eight bytes whose one field lies at an offset."""
    field = b"}" + text("a") + tuple_of(kind, at) + b"s"
    state = (b"K\x03", text("|"), b"N", tuple_of(text("a")), field, b"K\x08K\x01K\x00")
    return dtype("V8", tuple_of(*state))


#: A dtype that says its eight bytes are a pointer to an object.
POINTER = record_of(dtype("O"), b"K\x00")


def values() -> Iterator[tuple[str, bytes]]:
    """Hostile values: what a pickle puts where a number, a dict or an array should be."""
    yield "pointer", scalar(POINTER, bytes(range(8)))
    yield "pointer again", b"(" + scalar(POINTER, b"A" * 8) * 4 + b"t"
    wide = record_of(dtype("f8"), b"M\xff\xff")
    yield "field beyond its item", scalar(wide, b"A" * 8)
    for kind in (
        "O",
        "O8",
        "V8",
        "S8",
        "U2",
        "M8[s]",
        "m8",
        "c16",
        "f16",
        "V2000000000",
        "f1",
        "?",
    ):
        yield f"scalar of {kind}", scalar(dtype(kind), b"A" * 8)
    for data in (b"", b"A" * 7, b"A" * 9, b"A" * 255):
        yield f"scalar of {len(data)} bytes", scalar(dtype("f8"), data)
    yield "scalar without order", scalar(call(name("numpy", "dtype"), text("f8")), b"A" * 8)
    yield (
        "two states",
        dtype("f8") + tuple_of(b"K\x03", text("<"), b"NNN", number(-1) * 2, b"K\0") + b"b",
    )
    for state in (
        b"N",
        b")",
        tuple_of(b"K\x03", text("|"), b"NNN", number(-1) * 2, b"K\x00"),
        tuple_of(b"K\x03", text("<"), b"N", tuple_of(text("a")), b"}", b"K\x08K\x01K\x1b"),
        tuple_of(b"K\x03", text("<"), b"NNN", b"J\xff\xff\xff\x7f" * 2, b"K\x3f"),
        tuple_of(b"K\x04", text("<"), b"NNN", number(-1) * 2, b"K\x00", b"}"),
        tuple_of(
            b"K\x03",
            text("<"),
            tuple_of(dtype("f8"), tuple_of(b"K\x09")),
            b"NN",
            number(-1) * 2,
            b"K\0",
        ),
    ):
        yield f"dtype state {state!r}"[:60], scalar(dtype("f8", state), b"A" * 8)
    for module, function in (
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy", "dtype"),
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch.storage", "_load_from_bytes"),
        ("_codecs", "encode"),
    ):
        hold = name(module, function)
        yield (
            f"defaults of {function}",
            hold + tuple_of(b"N", b"}" + text("__defaults__") + b"(Ntsb")[:-1] + b"b",
        )
        yield f"attributes of {function}", hold + b"}" + text("__doc__") + b"Nsb"
        yield f"slots of {function}", hold + tuple_of(b"N", b"}" + text("function") + b"Ns") + b"b"
        yield f"call of {function}", call(hold)
        yield f"call of {function} with itself", call(hold, hold, hold, hold)
        yield f"new {function}", hold + b")\x81"
        yield f"new {function} with words", hold + b")}\x92"
        yield f"object {function}", b"(" + hold + b"o"
        yield f"instance of {function}", b"(" + f"i{module}\n{function}\n".encode()
    for module, attribute in (
        ("os", "system"),
        ("builtins", "getattr"),
        ("numpy", "load"),
        ("numpy", "dtype.type"),
        ("collections", "OrderedDict.update"),
        ("torch", "load"),
        ("nats_gym", "search"),
        ("nats_gym.tables.official.opcodes", "Interpreter"),
        ("", ""),
        ("x" * 200, "y" * 90),
        ("a\x1b[2Jb", "c"),
    ):
        yield f"name {module[:20]}.{attribute[:20]}", name(module, attribute)
    yield "metadata that is text", ORDERED + b"}" + text("_metadata") + text("x") + b"sb"
    yield "methods over", ORDERED + b"}" + text("items") + name("numpy", "dtype") + b"sb"
    yield "class over", ORDERED + b"}" + text("__class__") + name("numpy", "dtype") + b"sb"
    yield "slot state", ORDERED + tuple_of(b"N", b"}" + text("values") + b"Ns") + b"b"
    yield "state of a dict", b"}" + b"}" + text("get") + b"Nsb"
    yield "state of a list", b"]" + b"}" + text("append") + b"Nsb"
    yield "extension", b"\x82\x01"
    yield "extension of four bytes", b"\x84\xff\xff\xff\x7f"
    yield "persistent", b"P1\n"
    yield "persistent too", b"K\x01Q"
    yield "next buffer", b"\x97"
    yield "read-only buffer", b"\x97\x98"
    yield "items of a list", b"](" + b"K\x00K\x01u"
    yield "odd items", b"}(K\x00u"
    yield "items of a name", name("numpy", "dtype") + b"(K\x00K\x01u"
    yield "marks of nothing", b"uuu"
    yield "unhashable", b"}]K\x01s"
    for shape, kind, data in (
        (
            b"(K\x05K\x05t",
            dtype("u1", tuple_of(b"K\x03", text("|"), b"NNN", number(-1) * 2, b"K\0")),
            b"abc",
        ),
        (b"(J\xff\xff\xff\xfft", dtype("f8"), b""),
        (tuple_of(*[b"J\xff\xff\xff\x7f"] * 8), dtype("f8"), b"A" * 8),
        (tuple_of(*[b"K\x01"] * 64), dtype("f8"), b"A" * 8),
        (b"K\x05", dtype("f8"), b"A" * 40),
        (b")", dtype("O"), b"A" * 8),
        (b")", POINTER, b"A" * 8),
    ):
        yield f"array of {shape!r}"[:60], array(shape, kind, data)
        yield f"array by columns of {shape!r}"[:60], array(shape, kind, data, b"\x88")
        yield f"array ordered {shape!r}"[:60], array(shape, kind, data, b"K\x05")


def bombs() -> Iterator[tuple[str, Iterator[bytes]]]:
    """Pickles, in pieces, that ask for memory or time."""

    def whole(*parts: bytes) -> Iterator[bytes]:
        yield P4
        yield from parts

    def much(part: bytes, size: int) -> Iterator[bytes]:
        block = part * (-(-(1 << 20) // len(part)))
        return itertools.repeat(block, size >> 20)

    yield (
        "a string of 7 GB",
        itertools.chain([P4, b"\x8d", struct.pack("<Q", 7 << 30)], much(b"a", 64 << 20)),
    )
    yield (
        "bytes of 7 GB",
        itertools.chain([P4, b"\x8e", struct.pack("<Q", 7 << 30)], much(b"a", 600 << 20)),
    )
    yield "a bytearray of 7 GB", whole(b"\x96", struct.pack("<Q", 7 << 30), b"abc")
    yield "text of 4 GB", whole(b"X\xff\xff\xff\xffabc")
    yield "bytes of 4 GB", whole(b"B\xff\xff\xff\xffabc")
    yield "a frame of 8 EB", whole(b"\x95" + b"\xff" * 7 + b"\x7fN.")
    for number_of in (1 << 16, 1 << 24, 0x7FFFFFFF, 0xFFFFFFFF):
        yield f"note {number_of}", whole(b"Nr" + struct.pack("<I", number_of), STOP)
        yield f"note {number_of} framed", framed(b"Nr" + struct.pack("<I", number_of) + STOP)
        yield f"text note {number_of}", whole(f"Np{number_of}\n.".encode())
        yield f"fetched {number_of}", whole(b"Nj" + struct.pack("<I", number_of), STOP)
    yield "a dtype of 2 GB", whole(scalar(dtype("V2000000000"), b"A" * 8), STOP)
    for title, part in (
        ("nothing", b"N"),
        ("nothing and its end", b"N0"),
        ("marks", b"("),
        ("lists", b"]"),
        ("sets", b"\x8f"),
        ("dicts", b"}"),
        ("empty tuples", b")"),
        ("small numbers", b"K\x00"),
        ("floats", b"G" + bytes(8)),
        ("texts", text("ab")),
        ("noted texts", text("ab") + b"\x94"),
        ("notes", b"N\x94"),
        ("frames", b"\x95" + bytes(8)),
        ("protocols", P4),
        ("lists with one", b"]Na"),
        ("dicts with one", b"}NNs"),
        ("ordered dicts", b"ccollections\nOrderedDict\n)R"),
        ("dtypes", b"cnumpy\ndtype\n" + text("f8") + b"\x85R"),
        ("scalars", scalar(dtype("f8"), b"A" * 8)),
        ("names", name("collections", "OrderedDict")),
        ("small bytes", b"C\xff" + bytes(255)),
        ("large bytes", b"B\x00\x10\x00\x00" + bytes(4096)),
        ("long integers", b"\x8a\xff" + b"\xff" * 255),
        ("two", b"2"),
    ):
        yield f"much of {title}", itertools.chain([P4, b"N"], much(part, 256 << 20), [STOP])
        yield f"a megabyte of {title}", itertools.chain([P4, b"N"], much(part, 1 << 20), [STOP])
        yield f"a framed megabyte of {title}", framed(b"N" + part * (1_000_000 // len(part)) + STOP)
    yield "a long integer of 4 GB", whole(b"\x8b\xff\xff\xff\x7f" + b"\xff" * 4096)
    yield "a long integer of megabytes", whole(b"\x8b\x00\x00\x40\x00" + b"\xff" * (4 << 20), STOP)
    yield "text of an integer", whole(b"L" + b"9" * (4 << 20) + b"L\n.")
    yield "a float as text", whole(b"F" + b"9" * (4 << 20) + b"\n.")
    modulus = (1 << 61) - 1  # of the hash of numbers
    items = (
        b"\x8a\x10" + (index * modulus).to_bytes(16, "little") + b"N" for index in range(60_000)
    )
    yield "keys of one hash", whole(b"}(", *items, b"u.")
    pairs = b"".join(tuple_of(number(index), number(-index)) + b"N" for index in range(20_000))
    yield "keys of two numbers", whole(b"}(", pairs, b"u.")
    for depth in (3_000, 100_000, 900_000):
        yield f"tuples {depth} deep", whole(b"}N" + b"\x85" * depth + b"Ns.")
        yield (
            f"framed tuples {depth} deep",
            framed(b"}N\x94" + b"\x86\x94N" * (depth // 3) + b"Ns."),
        )
        yield f"lists {depth} deep", whole(b"]" * depth + b"a" * (depth - 1), STOP)
        yield (
            f"framed lists {depth} deep",
            framed(b"]" * (depth // 2) + b"a" * (depth // 2 - 1) + STOP),
        )
        yield (
            f"ordered dicts {depth} deep",
            whole((ORDERED + b"N") * min(depth, 30_000), b"s" * (min(depth, 30_000) - 1), STOP),
        )
    yield "a list within itself", whole(b"]\x94h\x00a.")
    shared = b"]\x94" + b"".join(
        b"](" + b"h" + bytes([level]) * 1 + b"h" + bytes([level]) + b"e\x94" for level in range(30)
    )
    yield "shared lists", whole(shared, STOP)
    yield "many names", whole(*(name("m" * 200, f"n{index}") for index in range(10)))
    yield "no end of a name", itertools.chain([P4, b"c"], much(b"a", 64 << 20))


def framed(content: bytes) -> Iterator[bytes]:
    """A pickle as Python writes it, in one frame."""
    yield P4 + b"\x95" + struct.pack("<Q", len(content)) + content


# ── mutations of honest pickles ──────────────────────────────────────────────────────────────


@functools.cache
def honest() -> dict[str, bytes]:
    """Pickles that readers take, by the reader's name."""
    import torch
    from synthetic_archive import SHORT, official_dict, record

    pixels = np.arange(36, dtype=np.uint8).reshape(3, 12)
    network = OrderedDict(a=torch.ones(2, 3), b=torch.arange(4))
    network._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    content = record("tss", 3, schedules=SHORT["tss"])["12"]
    weighted = {"12": {**content, "net": network}}
    single = official_dict("tss", (0, 3), schedules=SHORT["tss"])
    single["meta_archs"] = single["meta_archs"][:5]
    saved = io.BytesIO()
    torch.save({"network": network, "lr": 0.1, "text": "{}"}, saved)
    with zipfile.ZipFile(saved) as archive:
        pickled = archive.read("archive/data.pkl")
    return {
        "record": pickle.dumps({"12": content}, protocol=4),
        "weights": pickle.dumps(weighted, protocol=4),
        "single": pickle.dumps(single, protocol=4),
        "batch": pickle.dumps({"data": pixels, "labels": [1, 2, 3]}, protocol=2),
        "storage": torch.ones(4)._typed_storage().__reduce__()[1][0],
        "saved": pickled,
    }


INTERESTING = (
    *(bytes([code]) for code in range(0x20, 0xA0)),
    b"\xff" * 4,
    b"\0" * 4,
    b"\xff\xff\xff\x7f",
    b"r\xff\xff\xff\x7f",
    b"\x8d" + b"\xff" * 8,
    b"\x95" + bytes(8),
    b"}b",
    b")R",
    b"N\x85\x86",
)


def mutated(pickled: bytes, draw: random.Random, parts: list[bytes]) -> bytes:
    """A pickle with bits turned, pieces put in, left out or moved, or hostile values in it."""
    changed = bytearray(pickled)
    for _ in range(draw.choice((1, 1, 1, 2, 5, 20))):
        at = draw.randrange(len(changed)) if changed else 0
        how = draw.randrange(6)
        if how == 0 and changed:
            changed[at] ^= 1 << draw.randrange(8)
        elif how == 1:
            changed[at:at] = draw.choice(INTERESTING)
        elif how == 2:
            del changed[at : at + draw.choice((1, 2, 4, 30))]
        elif how == 3:
            other = draw.randrange(len(changed) + 1)
            changed[at:at] = changed[other : other + draw.choice((1, 5, 40, 400))]
        elif how == 4:
            changed[at : at + 4] = draw.choice(INTERESTING)
        else:
            changed[at:at] = draw.choice(parts)
    return bytes(changed)


@functools.cache
def places_of_values(pickled: bytes) -> list[tuple[int, int]]:
    """Where each of a pickle's own values begins, and ends."""
    begun = [(code.name, at) for code, _, at in pickletools.genops(pickled)]
    ends = [at for _, at in begun[1:]] + [len(pickled)]
    return [
        (at, end)
        for (name, at), end in zip(begun, ends, strict=True)
        if name in ("BINFLOAT", "BININT1", "BININT2", "NONE", "NEWTRUE", "NEWFALSE", "EMPTY_DICT")
    ]


def at_an_opcode(pickled: bytes, draw: random.Random, part: bytes) -> bytes:
    """A pickle with a value in place of one of its own, where that begins."""
    at, end = draw.choice(places_of_values(pickled))
    changed = pickled[:at] + part + pickled[end:]
    # One frame, which ends where the pickle does.
    return unframed(changed) if changed[2:3] == b"\x95" else changed


def unframed(pickled: bytes) -> bytes:
    return pickled[:2] + pickled[11:]


def corpus(reader: str) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Names and pickles, in pieces, for one reader; bombs once for what is read by one code."""
    draw = random.Random(f"{SEED} {reader}")
    whole = honest()[reader]
    yield "honest", [whole]
    parts = [*dict(values()).values()]
    if reader != "storage":
        for title, value in values():
            yield title, [P4 + value + STOP]
            yield f"{title}, in place", [at_an_opcode(whole, draw, value)]
        if reader != "weights":
            yield from bombs()
    for count in range(MUTATIONS):
        yield f"mutation {count}", [mutated(whole, draw, parts)]
        if reader != "storage":
            yield f"value {count}", [at_an_opcode(whole, draw, draw.choice(parts))]


# ── readers ──────────────────────────────────────────────────────────────────────────────────


def read_record(path: Path) -> Any:
    from nats_gym.tables.official.unpickling import load_record

    return load_record(path)


def read_weights(path: Path) -> Any:
    from nats_gym.tables.official.unpickling import load_record

    return load_record(path, weights=True)


def read_single(path: Path) -> Any:
    from nats_gym.tables.official import streaming

    with streaming._Blocks(path) as blocks:
        read = streaming.StreamUnpickler(blocks, str(path), lambda index, content: None)
        return read.run()


def read_images(path: Path) -> Any:
    from nats_gym.training.archives import read_batch

    return read_batch(bz2.decompress(path.read_bytes()), "labels", 2, str(path))


def read_storage(path: Path) -> Any:
    from nats_gym.tables.official.unpickling import load_bytes

    call = name("torch.storage", "_load_from_bytes")
    pickled = P4 + call + binary(bz2.decompress(path.read_bytes())) + b"\x85R."
    return load_bytes(bz2.compress(pickled, 1), str(path), weights=True)


def read_saved(path: Path) -> Any:
    import torch

    from nats_gym.tables.official.weights import load_saved

    whole = path.with_suffix(".whole")
    torch.save({"network": torch.ones(2, 3), "more": torch.arange(4)}, whole)
    forged = path.with_suffix(".pt")
    with zipfile.ZipFile(whole) as one, zipfile.ZipFile(forged, "w") as other:
        for member in one.infolist():
            data = one.read(member)
            if member.filename.endswith("/data.pkl"):
                data = bz2.decompress(path.read_bytes())
            other.writestr(member.filename, data)
    return load_saved(forged)


READERS: dict[str, Callable[[Path], Any]] = {
    "record": read_record,
    "weights": read_weights,
    "single": read_single,
    "batch": read_images,
    "storage": read_storage,
    "saved": read_saved,
}


def state_of_the_process() -> Any:
    """What a pickle might change: attributes and defaults of what it can name, and of modules."""
    import collections

    import torch

    from nats_gym.tables.official import opcodes, plain_numpy, streaming, unpickling, weights
    from nats_gym.training import archives

    things: list[Any] = [collections, np, torch, torch.storage, torch._utils]
    things += [opcodes, plain_numpy, streaming, unpickling, weights, archives]
    tables = (
        unpickling.RECORD_FUNCTIONS,
        unpickling.PLAIN_FUNCTIONS,
        weights._KINDS,
        archives._FUNCTIONS,
    )
    functions = [function for table in tables for function in table.values()]
    functions += [opcodes.Admitted, opcodes.Interpreter, np.dtype, np.ndarray, OrderedDict]
    functions += [torch.storage._load_from_bytes, torch._utils._rebuild_tensor_v2]
    found = [sorted(vars(thing)) for thing in things]
    for function in functions:
        kept = [getattr(function, part, None) for part in ("__defaults__", "__kwdefaults__")]
        found.append([repr(kept), sorted(getattr(function, "__dict__", {}))])
    return found


def judge(reader: str, path: Path) -> str:
    """What came of reading a file: the error's name, or that values were read."""
    from nats_gym.tables.official.unpickling import ForbiddenPickle, UnreadableFile

    try:
        READERS[reader](path)
    except (UnreadableFile, ForbiddenPickle) as error:
        said = str(error)
        named = str(path.with_suffix("")) in said and len(said) < len(str(path)) + 400
        return type(error).__name__ if named and said.isprintable() else f"says {said!r}"
    return "read"


def drive(reader: str, folder: Path) -> None:
    """Read every pickle of a corpus in a process of its own; one line of JSON for each."""
    import torch

    from nats_gym.training import archives  # noqa: F401

    torch.set_num_threads(1)
    cases = corpus(reader)
    wanted = json.loads(sys.stdin.read() or "null")
    for number_of, (title, pieces) in enumerate(cases):
        if wanted is not None:
            if not wanted:
                break
            if title not in wanted:
                continue
            wanted.remove(title)
        path = folder / f"{number_of}.pbz2"
        if write(path, pieces) > MOST_UNPACKED and reader in ("batch", "storage", "saved"):
            path.unlink()  # what is not packed is no bomb: it has to be as large on the disk
            continue
        print(json.dumps([title, *in_a_child(reader, path)]), flush=True)
        path.unlink()


def write(path: Path, pieces: Iterable[bytes]) -> int:
    """Pack pieces into a file, equal ones that follow each other once; their size, unpacked."""
    size, last, packed, gathered = 0, b"", b"", bytearray()
    with path.open("wb") as file:
        for piece in pieces:
            size += len(piece)
            if len(piece) < 1 << 20:
                gathered += piece
                continue
            if gathered:
                file.write(bz2.compress(gathered, 1))
                gathered.clear()
            if piece is not last:
                last, packed = piece, bz2.compress(piece, 1)
            file.write(packed)
        if gathered:
            file.write(bz2.compress(gathered, 1))
    return size


def in_a_child(reader: str, path: Path) -> tuple[str, int, float]:
    """What a child makes of a file, the most memory that it had, and its seconds of processor."""
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        room = pages * resource.getpagesize() + 3 * MORE_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (room, room))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(WALL_SECONDS)
        before = state_of_the_process()
        try:
            outcome = judge(reader, path)
        except BaseException as error:
            outcome = f"raised {type(error).__name__}: {str(error)[:200]}"
        if state_of_the_process() != before:
            outcome = f"changed the process, and {outcome}"
        os.write(sending, outcome.encode()[:2000])
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as file:
        outcome = file.read().decode()
    _, status, usage = os.wait4(child, 0)
    if os.WIFSIGNALED(status):
        outcome = f"died by signal {os.WTERMSIG(status)}"
    return outcome, usage.ru_maxrss << 10, usage.ru_utime + usage.ru_stime


# ── what must come of it ─────────────────────────────────────────────────────────────────────


def outcomes(reader: str, folder: Path, titles: list[str] | None = None) -> list[Any]:
    """Run the corpus, or the pickles of some titles, through a reader."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, reader, str(folder)],
        input=json.dumps(titles),
        capture_output=True,
        text=True,
        env=environment,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(results: list[Any]) -> None:
    """Assert that each was refused or read as plain values, in bounds."""
    normal = next(memory for title, _, memory, _ in results if title == "honest")
    wrong = [
        (title, outcome, memory >> 20, seconds)
        for title, outcome, memory, seconds in results
        if outcome not in ("read", "UnreadableFile", "ForbiddenPickle")
        or memory - normal > MORE_MEMORY
        or seconds > CPU_SECONDS
    ]
    assert not wrong, wrong[:20]
    assert dict(row[:2] for row in results)["honest"] == "read"


#: Some of each kind, for every run of the suite.
QUICK = [
    "honest",
    "pointer",
    "field beyond its item, in place",
    "defaults of scalar",
    "methods over",
    "a string of 7 GB",
    "note 4294967295",
    "note 4294967295 framed",
    "tuples 100000 deep",
    "keys of one hash",
]


@pytest.mark.parametrize("reader", ["record"])
def test_a_handful(reader: str, tmp_path: Path) -> None:
    results = outcomes(reader, tmp_path, QUICK)
    check(results)
    assert len(results) == len(QUICK)
    assert {outcome for title, outcome, *_ in results if title != "honest"} <= {
        "UnreadableFile",
        "ForbiddenPickle",
    }


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_every_pickle_through_every_reader(reader: str, tmp_path: Path) -> None:
    results = outcomes(reader, tmp_path)
    assert len(results) > MUTATIONS
    check(results)
    refused = [title for title, outcome, *_ in results if outcome != "read"]
    assert len(refused) > len(results) / 2
    read = {title for title, outcome, *_ in results if outcome == "read"}
    assert not {
        title for title in read if title.startswith(("pointer", "field", "defaults", "slots"))
    }


if __name__ == "__main__":
    drive(sys.argv[1], Path(sys.argv[2]))
