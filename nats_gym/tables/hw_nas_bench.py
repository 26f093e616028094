"""Imports HW-NAS-Bench's file: measured costs of topologies on devices, as named columns.

The file (``HW-NAS-Bench-v1_0.pickle``; Li et al., ICLR 2021, arXiv 2103.10584, MIT) is a pickle of
``{"nasbench201": {data set: {metric: [a number for each cell], "config": [...]}}, "fbnet": …}``, in
milliseconds and millijoules. It is read by the interpreter of ``official.opcodes``, which runs
nothing. What it has of FBNet is passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.datasets import DATASETS
from nats_gym.errors import InvalidInput, NatsGymError, said, shown
from nats_gym.files.untrusted import open_file
from nats_gym.spaces import ArchitectureSpace, Quantity, get_space
from nats_gym.tables.devices import HW_NAS_BENCH
from nats_gym.tables.named_columns import SHIPPED, NamedColumn, add_column, named_columns
from nats_gym.tables.official.opcodes import Interpreter
from nats_gym.tables.official.unpickling import PLAIN_FUNCTIONS, UnreadableFile

SPACE, KEY = "tss", "nasbench201"
LICENCE = "MIT"
#: The public file has some 10 MB, of which three million values take less than 150 MB.
MAX_FILE_BYTES, MAX_VALUES_BYTES = 48 << 20, 768 << 20
_BLOCK = 1 << 20
_CONFIG, _STRING = "config", "arch_str"
#: How a pickle begins, of protocol 2 and later, which neither bz2 nor a TFRecord does; and how a
#: dictionary of protocol 1 does.
_PROTO, _DICTIONARY = b"\x80", b"}"


class Metric(NamedTuple):
    """A metric of the file, as a column."""

    name: str
    unit: str
    label: str
    lower_is_better: bool = True


_MS, _MJ = "milliseconds", "millijoules"
#: The file's metrics, by its names.
METRICS = {
    "edgegpu_latency": Metric("latency/edgegpu", _MS, "latency on an edge GPU [ms]"),
    "edgegpu_energy": Metric("energy/edgegpu", _MJ, "energy on an edge GPU [mJ]"),
    "raspi4_latency": Metric("latency/raspi4", _MS, "latency on Raspberry Pi 4 [ms]"),
    "edgetpu_latency": Metric("latency/edgetpu", _MS, "latency on an edge TPU [ms]"),
    "pixel3_latency": Metric("latency/pixel3", _MS, "latency on Google Pixel 3 [ms]"),
    "eyeriss_latency": Metric("latency/eyeriss", _MS, "latency on Eyeriss (ASIC) [ms]"),
    "eyeriss_energy": Metric("energy/eyeriss", _MJ, "energy on Eyeriss (ASIC) [mJ]"),
    "eyeriss_arithmetic_intensity": Metric(
        "arithmetic_intensity/eyeriss",
        "operations per byte",
        "arithmetic intensity on Eyeriss (ASIC)",
        lower_is_better=False,
    ),
    "fpga_latency": Metric("latency/fpga", _MS, "latency on FPGA [ms]"),
    "fpga_energy": Metric("energy/fpga", _MJ, "energy on FPGA [mJ]"),
}


def is_pickle(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a file that begins as a pickle does, unpacked, or is named as one.

    None of NATS-Bench's is.
    """
    path = checks.path(path, "a file")
    try:
        with open_file(path) as file:
            return file.read(1) == _PROTO or path.suffix.lower() in (".pickle", ".pkl")
    except (OSError, ValueError):
        return False


def import_hw_nas_bench(path: str | os.PathLike[str]) -> dict[str, tuple[str, ...]]:
    """Add the columns of HW-NAS-Bench's file to the topology tables on this machine.

    All are checked before the first is written. Those of an earlier import are replaced.

    Args:
        path: of the file.

    Returns:
        Names of the columns, by data set.

    Raises:
        UnreadableFile: if it is truncated, damaged, too large or another file.
        ForbiddenPickle: if it holds anything but plain values; nothing of it is run.
        InvalidInput: if a column of one of the names was added here that is none of an import's.
        CorruptTable: if one is damaged.
    """
    space, path = get_space(SPACE), checks.path(path, "HW-NAS-Bench's file")
    found = _read(path).get(KEY)
    if type(found) is not dict:
        raise UnreadableFile(f"{path}: no HW-NAS-Bench: it has no {KEY!r}")
    columns = {
        dataset: _columns_of(space, found[dataset], f"{path}: {dataset}")
        for dataset in DATASETS
        if dataset in found
    }
    if not columns:
        raise UnreadableFile(f"{path}: no HW-NAS-Bench: it has none of {', '.join(DATASETS)}")
    for dataset, some in columns.items():
        held = named_columns(space, dataset)
        for metric in some:
            there = held.get(metric.name)
            if there is None or there.folder.parent == SHIPPED or _is_imported(there, metric):
                continue
            source = f" (from {shown(there.column.source)})" if there.column.source else ""
            raise there.damage or InvalidInput(
                f"{metric.name} of {SPACE} {dataset} is a column of yours{source}, which no import "
                "replaces: nothing was imported; to have HW-NAS-Bench's in its place, remove it "
                f"first: nats-gym data remove-column {SPACE} {dataset} {metric.name}"
            )
    for dataset, some in columns.items():
        for metric, values in some.items():
            add_column(
                SPACE,
                dataset,
                metric.name,
                values,
                unit=metric.unit,
                label=metric.label,
                lower_is_better=metric.lower_is_better,
                source=HW_NAS_BENCH,
                licence=LICENCE,
                replace=True,
            )
    return {dataset: tuple(metric.name for metric in some) for dataset, some in columns.items()}


def _is_imported(there: NamedColumn, metric: Metric) -> bool:
    """Whether a column that was added here is as an import adds it."""
    column, counts = there.column, Quantity(metric.unit, metric.label, metric.lower_is_better)
    return (column.source, column.licence, column.counts) == (HW_NAS_BENCH, LICENCE, counts)


def _read(path: Path) -> dict[Any, Any]:
    def blocks(file: Any) -> Iterator[bytes]:
        while block := file.read(_BLOCK):
            yield block

    try:
        with open_file(path, MAX_FILE_BYTES) as file:
            begun = file.read(1)
            if begun not in (_PROTO, _DICTIONARY):
                raise UnreadableFile(
                    f"{path}: a pickle of protocol 0, or none; protocols 1 to 5 are read: load it "
                    "where it was made, and write it with pickle.dump(content, file, protocol=4)"
                )
            file.seek(0)
            reader = Interpreter(
                blocks(file),
                str(path),
                PLAIN_FUNCTIONS,
                most_bytes=MAX_FILE_BYTES,
                most_growth=MAX_VALUES_BYTES,
            )
            content = reader.run()
            reader.finish()
    except NatsGymError:
        raise
    except (OSError, ValueError) as error:
        raise UnreadableFile(f"{path}: {said(error)}") from error
    if type(content) is not dict:
        raise UnreadableFile(f"{path}: no HW-NAS-Bench: it holds {shown(type(content).__name__)}")
    return content


def _columns_of(
    space: ArchitectureSpace, metrics: Any, where: str
) -> dict[Metric, NDArray[np.float64]]:
    """Columns of a data set in official order."""
    if type(metrics) is not dict:
        raise UnreadableFile(f"{where}: no metrics by name")
    known = {metric: metrics[name] for name, metric in METRICS.items() if name in metrics}
    if not known:
        raise UnreadableFile(f"{where}: none of {', '.join(METRICS)}")
    order = _order(space, metrics.get(_CONFIG), where)
    columns = {}
    for metric, values in known.items():
        figures = np.empty(space.size)
        figures[order] = _numbers(values, space.size, f"{where}: {metric.name}")
        columns[metric] = figures
    return columns


def _numbers(values: Any, count: int, what: str) -> NDArray[np.float64]:
    if type(values) is not list or len(values) != count:
        counted = f"{len(values):,}" if type(values) is list else shown(type(values).__name__)
        raise UnreadableFile(f"{what}: {count:,} numbers expected, got {counted}")
    for index, value in enumerate(values):
        number = type(value) in (int, float) or isinstance(value, (np.floating, np.integer))
        if not number or not 0 <= value < 1e12:  # NaN is neither
            raise UnreadableFile(f"{what} of architecture {index} is {shown(value)}")
    return np.array(values, np.float64)


def _order(space: ArchitectureSpace, configs: Any, where: str) -> NDArray[np.int64]:
    """Official index of each row: as the rows' configurations say, else the rows' own order."""
    if configs is None:
        return np.arange(space.size)
    if type(configs) is not list or len(configs) != space.size:
        raise UnreadableFile(f"{where}: {_CONFIG} is no list of {space.size:,} cells")
    strings = [row.get(_STRING) if type(row) is dict else None for row in configs]
    if any(type(string) is not str for string in strings):
        if all(string is None for string in strings):
            return np.arange(space.size)
        raise UnreadableFile(f"{where}: {_CONFIG} names some cells and not others")
    known = {str(name): index for index, name in enumerate(space.string(space.all_choices()))}
    order = np.array([known.get(str(string), -1) for string in strings])
    if (order < 0).any():
        raise UnreadableFile(f"{where}: {shown(strings[int(order.argmin())])} is no cell of tss")
    if len(np.unique(order)) < space.size:
        raise UnreadableFile(f"{where}: {_CONFIG} has a cell twice")
    return order
