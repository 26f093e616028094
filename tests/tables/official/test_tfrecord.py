"""Frames, their checksums and what is in them, against a plain writer and reader."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import synthetic_tfrecord as plain

from nats_gym.tables.official import tfrecord
from nats_gym.tables.official.model_metrics import MalformedRecord, read_metrics
from nats_gym.tables.official.training_records import FIGURES, cell_of, read_trainings
from nats_gym.tables.official.unpickling import UnreadableFile

CELL = ([[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]], ["input", "maxpool3x3"])
OPERATIONS = [*CELL[1], "maxpool3x3", "output"]
INDEX, HASH = 167, "001a6fcc8b38cbc515be788a86bdc804"


def packed(trial: int = 0, parameters: int = 1_756_298, path: str = "") -> bytes:
    numbers = plain.training(HASH, 108, trial)
    evaluations = [plain.evaluation(54.0 * n, x, path) for n, x in enumerate(numbers)]
    return plain.metrics(evaluations, parameters)


def one(epochs: int = 108, trial: int = 0, message: bytes | None = None) -> bytes:
    return plain.record(HASH, epochs, CELL[0], OPERATIONS, message or packed(trial))


def test_the_published_checksums() -> None:
    """RFC 3720, B.4, and the check value of the polynomial."""
    for data, expected in (
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"", 0),
    ):
        found = tfrecord.crc32c(data, np.array([0]), np.array([len(data)]))
        assert int(found[0]) == expected


def test_checksums_of_many_messages_at_once(rng: np.random.Generator) -> None:
    data = rng.bytes(50_000)
    starts = rng.integers(0, 45_000, 9_000)
    lengths = rng.choice([0, 1, 7, 300, 333, 4096], 9_000, p=[0.01, 0.2, 0.2, 0.3, 0.28, 0.01])
    found = tfrecord.masked(tfrecord.crc32c(data, starts, lengths))
    for where in [*range(40), 8_999]:
        start, length = starts[where], lengths[where]
        assert int(found[where]) == plain.checksum(data[start : start + length])


def test_frames_over_several_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [bytes([n % 256]) * (n % 90) for n in range(500)]
    path = plain.write_file(tmp_path / "some.tfrecord", messages)
    monkeypatch.setattr(tfrecord, "BLOCK_BYTES", 300)
    found, number = [], 0
    for block in tfrecord.read_blocks(path):
        assert block.first == number
        tfrecord.check_data(block, "some")
        for start, length in zip(block.starts, block.lengths, strict=True):
            found.append(block.data[start : start + length])
        number += len(block.starts)
    assert found == messages


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data[:-1], "record 99: the file ends within it"),
        (lambda data: data + b"\0" * 5, "record 100: the file ends within it"),
        (lambda data: data + b"\0" * 500, "record 100: the checksum of its length"),
        (lambda data: data + b"\xff" * 500, "record 100: the checksum of its length"),
        (lambda data: _turned(data, 56 * 41), "record 41: the checksum of its length"),
        (lambda data: _turned(data, 56 * 41 + 7), "record 41: the checksum of its length"),
        (lambda data: _turned(data, 56 * 41 + 9), "record 41: the checksum of its length"),
        (lambda data: _turned(data, 56 * 41 + 20), "record 41: its checksum differs"),
        (lambda data: _turned(data, 56 * 41 + 54), "record 41: its checksum differs"),
        (lambda data: data[: 56 * 9] + data[56 * 9 + 3 :], "record 9: the checksum of its length"),
        (lambda data: data + _head(2**40), "record 100: 1,099,511,627,776 bytes; a record has"),
        (lambda data: data + _head(4000), "record 100: the file ends within it"),
    ],
)
def test_damage_is_told_with_the_number(
    tmp_path: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    path = plain.write_file(tmp_path / "some.tfrecord", [bytes([n]) * 40 for n in range(100)])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UnreadableFile, match=reason):
        read_all(path)


def read_all(path: Path) -> None:
    for block in tfrecord.read_blocks(path):
        tfrecord.check_data(block, str(path))


def _turned(data: bytes, where: int) -> bytes:
    return data[:where] + bytes([data[where] ^ 0x40]) + data[where + 1 :]


def _head(length: int) -> bytes:
    said = struct.pack("<Q", length)
    return said + struct.pack("<I", plain.checksum(said)) + bytes(64)


def test_records_become_rows() -> None:
    found = read_trainings([one(trial=trial) for trial in range(3)] + [one(4)])
    assert found.epochs.tolist() == [108, 108, 108, 4]
    assert found.parameters.tolist() == [1_756_298] * 4
    assert found.index.tolist() == [INDEX] * 4
    assert found.hashes[0].tobytes().hex() == HASH
    for trial, row in enumerate(found.figures[:3].tolist()):
        numbers = plain.training(HASH, 108, trial)
        assert row == [*numbers[1], *numbers[2]]
    # 0→1, 0→2, 1→2 and 2→6: bits 0, 1, 2 and 17 of 21 from the left.
    assert found.drawings.tolist() == [0b111 << 18 | 1 << 3] * 4
    assert found.labels.tolist() == [[-1, 2, 2, -2, -3, -3, -3]] * 4


def test_records_in_other_words_are_the_same() -> None:
    usual = one()
    content = json.loads(usual)
    content[4] = "\n".join(content[4][n : n + 76] for n in range(0, 300, 76)) + "\n"
    others = [json.dumps(content).encode(), json.dumps(content, indent=1).encode()]
    others.append(one(message=packed(path="/tmp/model.ckpt-ü")))
    fields = b"\x7a\x03abc\x80\x01\x96\x01\x85\x01abcd"  # which nobody knows, of all wire types
    others.append(one(message=fields + packed()))
    first, *found = zip(*vars(read_trainings([usual, *others])).values(), strict=True)
    for row in found:
        for mine, theirs in zip(row, first, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_messages_of_many_layouts() -> None:
    parameters = [1 + 7**n % 10**9 for n in range(40)]
    messages = []
    for n, count in enumerate(parameters):
        numbers = plain.training(HASH, 108, n)
        evaluations = [plain.evaluation(54.0 * e, x, str(n)) for e, x in enumerate(numbers)]
        strange = b"\xf8\x01" + bytes([n])  # each another layout of the same length
        messages.append(strange + plain.metrics(evaluations, count, float(n)))
    messages *= 3
    found, figures = read_metrics(messages)
    assert found.tolist() == parameters * 3
    for n in range(40):
        assert figures[40 + n, :, 1:].tolist() == plain.training(HASH, 108, n)


EVALUATIONS = [plain.evaluation(54.0 * n, [1.0, 0.1, 0.1, 0.1]) for n in range(3)]
NAN = plain.evaluation(54.0, [1.0, 0.1, float("nan"), 0.1])
HALF = plain.evaluation(54.0, [1.0, 0.1, 0.5, 0.1], "x")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\x0a\xff", "ends within a number"),
        (b"\x0a" + b"\xff" * 12, "ends within a number"),
        (b"\x0a\x40abc", "ends within its field 1"),
        (b"\x0a\xff\xff\xff\xff\x0fabc", "ends within its field 1"),
        (b"\x09" + bytes(8), "a field 1 of wire type 1"),
        (b"\x12\x01a", "a field 2 of wire type 2"),
        (b"\x0b" * 2000, "a field 1 of wire type 3"),
        (b"\x7b" * 2000, "a field 15 of wire type 3"),
        (b"\x00\x00", "a field 0"),
        (plain.metrics(EVALUATIONS[:2], 5), "2 evaluations, a training has 3"),
        (plain.metrics(EVALUATIONS * 2, 5), "more than 3 evaluations"),
        (plain.metrics([b"\x0a\x01a", *EVALUATIONS[:2]], 5), "a field 1 of wire type 2"),
        (plain.metrics([*EVALUATIONS[:2], HALF[:-1] + b"\xff"], 5), "UTF-8"),
        (
            plain.metrics([EVALUATIONS[0], NAN, EVALUATIONS[2]], 5),
            "halfway_validation_accuracy nan",
        ),
        (plain.metrics([*EVALUATIONS[:2], plain.evaluation(1, [-1, 0, 0, 0])], 5), "time -1.0"),
        (
            plain.metrics([*EVALUATIONS[:2], plain.evaluation(1, [1, 0, 0, 1.5])], 5),
            "test_accuracy",
        ),
        (plain.metrics([*EVALUATIONS[:2], plain.evaluation(1, [1e300, 0, 0, 0])], 5), "1e[+]300"),
        (plain.metrics(EVALUATIONS, 0), "0 parameters"),
        (plain.metrics(EVALUATIONS, 2**63), "-1 parameters"),
        (plain.metrics(EVALUATIONS, 2**40), "1,099,511,627,776 parameters"),
    ],
)
def test_what_are_no_metrics_is_refused(message: bytes, reason: str) -> None:
    with pytest.raises(MalformedRecord) as caught:
        read_trainings([one(), one(message=message)])
    assert caught.value.position == 1
    assert reason.replace("[+]", "+") in caught.value.reason


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[" * 4000,
        b"{}",
        b"\xff\xfe",
        b"9" * 4000,
        b"null",
        json.dumps([HASH, 108, "0100", "input,output"]).encode(),
        json.dumps([HASH, True, "0100", "input,output", ""]).encode(),
        json.dumps([HASH, 10**400, "0100", "input,output", ""]).encode(),
        json.dumps([HASH, 107, "0100", "input,output", ""]).encode(),
        json.dumps([HASH.upper(), 108, "0100", "input,output", ""]).encode(),
        json.dumps([HASH, 108, "0100", "input,output", "a===="]).encode(),
        json.dumps([HASH, 108, "0100", "input,output", "\u00e9"]).encode(),
        b'["' + HASH.encode() + b'", 108, "0100", "input,output", NaN]',
        plain.record(HASH, 108, [[0, 1], [1, 0]], ["input", "output"], packed()),
        plain.record(HASH, 108, [[0, 2], [0, 0]], ["input", "output"], packed()),
        plain.record(HASH, 108, [[0, 1]], ["input", "output"], packed()),
        plain.record(HASH, 108, CELL[0], ["input", "output"], packed()),
        plain.record(HASH, 108, CELL[0], ["input", "skip", "skip", "output"], packed()),
        plain.record(HASH, 108, np.eye(9), ["input"] * 9, packed()),
    ],
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedRecord) as caught:
        read_trainings([one(), one(), data, one()])
    assert caught.value.position == 2
    assert len(caught.value.reason) < 400


def test_a_record_has_its_cell() -> None:
    matrix, operations = cell_of(*(part[0] for part in cell_parts()))
    assert (matrix.tolist(), operations) == (CELL[0], OPERATIONS)


def cell_parts() -> tuple[np.ndarray, np.ndarray]:
    found = read_trainings([one()])
    return found.drawings, found.labels


def test_names_of_the_figures() -> None:
    assert FIGURES[0] == "halfway_training_time"
    assert FIGURES[7] == "final_test_accuracy"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
