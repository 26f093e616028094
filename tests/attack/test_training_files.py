"""NAS-Bench-101's files from hostile hands: cut, flipped, and framed rightly around bombs."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import struct
from pathlib import Path

import pytest
import synthetic_tfrecord as plain
from judging import bounded
from nasbench101_files import cells_of

from nats_gym.errors import NatsGymError
from nats_gym.tables import official

pytestmark = pytest.mark.usefixtures("home")

CELLS = cells_of([0, 167])
HASH, MATRIX, OPERATIONS, PARAMETERS = CELLS[1]


@pytest.fixture(scope="module")
def honest() -> list[bytes]:
    """Six records."""
    return list(plain.records(CELLS, [4]))


def refused(content: bytes, folder: Path, name: str = "some.tfrecord") -> str:
    """How a file is refused: in a short line, and with nothing left behind."""
    path = folder / name
    path.write_bytes(content)
    with bounded(), pytest.raises(NatsGymError) as caught:
        official.import_archive(path)
    message = str(caught.value)
    assert len(message) < 700
    assert message.isprintable()
    archives = official.archives_folder()
    assert {each.name for each in archives.glob("*")} <= {".lock"} if archives.is_dir() else True
    return message


def test_cut_anywhere_it_is_refused(honest: list[bytes], tmp_path: Path) -> None:
    frames = [*map(plain.frame, honest)]
    content = b"".join(frames)
    starts = [sum(map(len, frames[:n])) for n in range(len(frames) + 1)]
    within = {0, 1, 7, 8, 9, 11, 12, 13, 200}  # of the length, its checksum, the data
    cuts = {start + place for start in starts[:-1] for place in within}
    cuts |= {end - place for end in starts[1:] for place in (1, 2, 4, 5)}  # of theirs
    cuts -= {starts[3]}  # the whole file of one cell
    for cut in sorted(cuts):
        message = refused(content[:cut], tmp_path)
        if cut in starts:
            assert "trainings of cell" in message or "no record in it" in message
        else:
            number = sum(start <= cut for start in starts) - 1
            assert f"record {number}: the file ends within it" in message


@pytest.mark.parametrize("many", [60, pytest.param(1_000, marks=pytest.mark.slow)])
def test_any_flipped_bit_is_found(many: int, honest: list[bytes], tmp_path: Path) -> None:
    frames = [*map(plain.frame, honest)]
    content, ends = b"".join(frames), [*map(len, frames)]
    draw = random.Random(0)
    places = [*range(16), *(draw.randrange(len(content)) for _ in range(many))]
    for place in places:
        number = next(n for n in range(6) if place < sum(ends[: n + 1]))
        flipped = bytearray(content)
        flipped[place] ^= 1 << draw.randrange(8)
        assert f"record {number}: " in refused(bytes(flipped), tmp_path)


@pytest.mark.parametrize("length", [4_097, 2**31, 2**32 + 5, 2**63, 2**64 - 1])
def test_giant_lengths_are_not_believed(length: int, honest: list[bytes], tmp_path: Path) -> None:
    said = struct.pack("<Q", length)
    giant = said + struct.pack("<I", plain.checksum(said)) + bytes(64)
    message = refused(b"".join(map(plain.frame, honest[:3])) + giant, tmp_path)
    assert f"record 3: {length:,} bytes; a record has 4,096 at most" in message


@pytest.mark.parametrize(
    "content",
    [b"", bytes(10_000), b"\xff" * 10_000, b"<html>" * 999, os.urandom(9_999)],
    ids=["empty", "zeros", "ones", "a page", "noise"],
)
def test_what_is_no_such_file(content: bytes, tmp_path: Path) -> None:
    refused(content, tmp_path)


def packed(data: bytes) -> bytes:
    """A record whose metrics are any bytes."""
    return plain.record(HASH, 4, MATRIX, OPERATIONS, data)


def training(*figures: float, parameters: int = PARAMETERS) -> bytes:
    """A record whose three evaluations have the same figures."""
    evaluations = [plain.evaluation(2.0 * n, figures) for n in range(3)]
    return packed(plain.metrics(evaluations, parameters))


NAN, INF = float("nan"), float("inf")
BOMBS = {
    "brackets": b"[" * 4_096,
    "brackets, closed": b"[" * 2_048 + b"]" * 2_048,
    "braces": b'{"a":' * 800,
    "digits": b"9" * 4_096,
    "an exponent": b'["' + HASH.encode() + b'", 1e999999, "01", "input", "AA=="]',
    "a number of 4,000 digits": b'["' + HASH.encode() + b'", ' + b"1" * 4_000 + b', "", "", ""]',
    "no UTF-8": b'["\xff\xfe\x00"]',
    "UTF-16": json.dumps([HASH, 4, "01", "input,output", "AA=="]).encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf[]",
    "lone surrogates": b'["\\ud800", 4, "\\udfff", "\\ud800", "\\udc00"]',
    "zeros": bytes(4_000),
    "a name of control characters": json.dumps(["\x1b[2J\n", 4, "0", "\r", "\x00"]).encode(),
    "base64 of nothing": packed(b""),
    "base64 with junk": json.dumps([HASH, 4, "0100", "input,output", "A" * 3_001]).encode(),
    "base64 within base64": packed(base64.b64encode(base64.b64encode(bytes(1_000)))),
    "gzip in base64": packed(b"\x1f\x8b\x08" + bytes(1_000)),
    "protobuf that nests": packed(b"\x0a\x7f" * 1_000),
    "protobuf that groups": packed(b"\x0b" * 2_000),
    "protobuf of a giant length": packed(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
    "protobuf of a negative length": packed(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    "protobuf of an endless number": packed(b"\x10" + b"\xff" * 2_000),
    "protobuf of empty evaluations": packed(b"\x0a\x00" * 1_400),
    "not a number": training(1.0, 0.1, NAN, 0.1),
    "infinite seconds": training(INF, 0.1, 0.1, 0.1),
    "negative seconds": training(-1.0, 0.1, 0.1, 0.1),
    "an accuracy in percent": training(1.0, 91.0, 92.0, 90.0),
    "an accuracy below none": training(1.0, 0.1, -1e-9, 0.1),
    "other parameters": training(1.0, 0.1, 0.1, 0.1, parameters=PARAMETERS + 1),
    "negative parameters": training(1.0, 0.1, 0.1, 0.1, parameters=2**64 - 5),
    "a schedule of none": plain.record(HASH, 0, MATRIX, OPERATIONS, b""),
    "a schedule of 5": plain.record(HASH, 5, MATRIX, OPERATIONS, b""),
    "another's hash": plain.record(
        CELLS[0][0], 4, MATRIX, OPERATIONS, base64.b64decode(json.loads(packed(b"x"))[4])
    ),
    "nothing": b"",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused_by_their_number(bomb: str, honest: list[bytes], tmp_path: Path) -> None:
    content = b"".join(map(plain.frame, [*honest[:4], BOMBS[bomb], *honest[4:]]))
    message = refused(content, tmp_path)
    assert re.search(r"some\.tfrecord: record 4: ", message), message


def test_a_hostile_name_is_no_hostile_message(tmp_path: Path) -> None:
    refused(plain.frame(b"x"), tmp_path, "\x1b[2J\n\udcff.tfrecord")


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    fifo, folder, loop = (tmp_path / f"{name}.tfrecord" for name in ("fifo", "folder", "loop"))
    os.mkfifo(fifo)
    folder.mkdir()
    loop.symlink_to(loop)
    for path in (fifo, folder, loop):
        with bounded(), pytest.raises(NatsGymError):
            official.import_archive(path)


def test_a_file_too_large_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "some.tfrecord"
    with path.open("wb") as file:
        file.truncate((8 << 30) + 1)  # a hole
    with bounded(), pytest.raises(NatsGymError, match="8,589,934,593 bytes; the single file"):
        official.import_archive(path)
