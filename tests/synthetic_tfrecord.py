"""Writes files in NAS-Bench-101's official format, full of made-up figures, and reads them plainly.

Nothing here is shared with the package: protobuf, frames and checksums are written, and read again,
byte by byte.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

#: NAS-Bench-101's first cell as the public file has it, at 108 epochs: validation, test and seconds
#: of the end, then half-way, for each of three trainings; accuracies in hits among 9,984 images.
FIRST = {
    "hash": "00005c142e6f48ac74fdcf73e3439874",
    "parameters": 8_555_530,
    "seconds": (1769.128, 1768.251, 1768.976),
    "valid": (0.9241787, 0.9245793, 0.9304888),
    "test": (0.9211739, 0.9190705, 0.9215745),
    "half_seconds": (883.458,),
    "half_valid": (0.7776442, 0.8291266, 0.8115985),
    "half_test": (0.7740384, 0.8204126, 0.8058894),
}
IMAGES = 9_984
NAMES = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
NUMBERS = ("training_time", "train_accuracy", "validation_accuracy", "test_accuracy")


def counted(hits: float) -> float:
    """An accuracy as the public files hold it: of a number of hits, rounded to float32."""
    return float(np.float32(round(hits) / IMAGES))


@cache
def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


def checksum(data: bytes) -> int:
    """Masked CRC-32C."""
    crc, table = 0xFFFFFFFF, _table()
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def frame(data: bytes) -> bytes:
    """A TFRecord of some data."""
    length = struct.pack("<Q", len(data))
    ends = (struct.pack("<I", checksum(part)) for part in (length, data))
    return length + next(ends) + data + next(ends)


def varint(number: int) -> bytes:
    """An unsigned number as protobuf writes it."""
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))


def evaluation(epoch: float, figures: Sequence[float], path: str = "") -> bytes:
    """An ``EvaluationData``."""
    numbers = (epoch, *figures)
    said = b"".join(bytes([8 * n + 1]) + struct.pack("<d", x) for n, x in enumerate(numbers, 1))
    told = path.encode()
    return said + (b"\x32" + varint(len(told)) + told if path else b"")


def metrics(evaluations: Iterable[bytes], parameters: int, seconds: float = 0.0) -> bytes:
    """A ``ModelMetrics``."""
    said = b"".join(b"\x0a" + varint(len(each)) + each for each in evaluations)
    return said + b"\x10" + varint(parameters) + b"\x19" + struct.pack("<d", seconds)


def record(
    digest: str, epochs: int, matrix: Any, operations: Sequence[str], packed: bytes
) -> bytes:
    """The data of a frame."""
    bits = "".join(str(int(bit)) for bit in np.asarray(matrix).ravel())
    encoded = base64.b64encode(packed).decode()
    return json.dumps([digest, epochs, bits, ",".join(operations), encoded]).encode()


def training(digest: str, epochs: int, trial: int, seed: int = 0) -> list[list[float]]:
    """Made-up numbers of a training: before it, half-way and at its end."""
    rng = np.random.default_rng([int(digest[:8], 16), epochs, trial, seed])
    best = rng.uniform(0.1, 0.95) * IMAGES
    seconds = float(np.float32(rng.uniform(2.5, 50.0) * epochs))
    shares = ((0.0, 0.1), (0.5, rng.uniform(0.5, 0.9)), (1.0, 1.0))
    return [
        [seconds * time, *(counted(best * share - lost) for lost in (-300 * time, 0, 40 * time))]
        for time, share in shares
    ]


def records(
    cells: Iterable[tuple[str, Any, Sequence[str], int]],
    schedules: Sequence[int] = (4, 12, 36, 108),
    seed: int = 0,
) -> Iterator[bytes]:
    """Data of all frames for cells of ``(hash, matrix, operations, parameters)``."""
    for digest, matrix, operations, parameters in cells:
        for epochs in schedules:
            for trial in range(3):
                numbers = training(digest, epochs, trial, seed)
                if (digest, epochs) == (FIRST["hash"], 108):
                    numbers = first_training(trial)
                at = [0.0, epochs / 2, float(epochs)]
                evaluations = [evaluation(t, x) for t, x in zip(at, numbers, strict=True)]
                packed = metrics(evaluations, parameters, 1.1 * numbers[2][0])
                yield record(digest, epochs, matrix, operations, packed)


def first_training(trial: int) -> list[list[float]]:
    """What the public file says of a training of NAS-Bench-101's first cell; train's is made up."""
    half = FIRST["half_seconds"] * 3 if len(FIRST["half_seconds"]) == 1 else FIRST["half_seconds"]
    seconds = [float(np.float32(s)) for s in (0.0, half[trial], FIRST["seconds"][trial])]
    valid = [counted(a * IMAGES) for a in (0.1, FIRST["half_valid"][trial], FIRST["valid"][trial])]
    test = [counted(a * IMAGES) for a in (0.1, FIRST["half_test"][trial], FIRST["test"][trial])]
    return [[s, 0.5, v, t] for s, v, t in zip(seconds, valid, test, strict=True)]


def write_file(path: Path, data: Iterable[bytes]) -> Path:
    """Write a TFRecord file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for each in data:
            file.write(frame(each))
    return path


# ── and reads them ───────────────────────────────────────────────────────────────────────────


def read_plainly(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fixed and computed statistics by hash, as the public API describes them."""
    fixed: dict[str, Any] = {}
    computed: dict[str, Any] = {}
    content = path.read_bytes()
    while content:
        (length,) = struct.unpack_from("<Q", content)
        digest, epochs, bits, operations, packed = json.loads(content[12 : 12 + length])
        content = content[16 + length :]
        size = int(len(bits) ** 0.5)
        parameters, evaluations = _read_metrics(base64.b64decode(packed))
        fixed.setdefault(
            digest,
            {
                "module_adjacency": np.array([*map(int, bits)], np.int8).reshape(size, size),
                "module_operations": operations.split(","),
                "trainable_parameters": parameters,
            },
        )
        point = {
            f"{when}_{name}": number
            for when, numbers in zip(("halfway", "final"), evaluations[1:], strict=True)
            for name, number in zip(NUMBERS, numbers[1:], strict=True)
        }
        computed.setdefault(digest, {}).setdefault(epochs, []).append(point)
    return fixed, computed


def _read_metrics(packed: bytes) -> tuple[int, list[list[float]]]:
    """Of messages as :func:`metrics` writes them, without paths."""
    evaluations, position = [], 0
    while packed[position] == 0x0A:
        size = packed[position + 1]
        inner = packed[position + 2 : position + 2 + size]
        evaluations.append([struct.unpack_from("<d", inner, 9 * n + 1)[0] for n in range(5)])
        position += 2 + size
    parameters, shift, position = 0, 0, position + 1
    while True:
        parameters |= (packed[position] & 0x7F) << shift
        shift, position = shift + 7, position + 1
        if packed[position - 1] < 0x80:
            return parameters, evaluations
