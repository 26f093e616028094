"""Seconds and latency: straight lines in measured seconds, operation counts or FLOPs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nats_gym.datasets import DATASETS
from nats_gym.spaces import SizeSpace, TopologySpace
from nats_gym.tables.surrogates import (
    CONV_1X1,
    CONV_3X3,
    DATASET_ORDER,
    POOL,
    REFERENCE_IMAGES,
    SKIP,
    Array,
    CostSurrogate,
)

from .diagnostics import out_of_fold, relative_error, rounded
from .figures import Columns, Measured
from .writing import write_json

# Public records of the size space, by official index: seconds of a training epoch, seconds of a
# validation pass, and seconds of a batch of 256, on cifar10-valid, CIFAR-10 with all 50,000
# training images, CIFAR-100 and ImageNet16-120.
RECORD_DATASETS = ("cifar10", "cifar10-full", "cifar100", "ImageNet16-120")
SIZE_RECORDS: dict[str, dict[int, tuple[float | None, ...]]] = {
    "train": {
        0: (3.548, 5.202, 5.135, 9.793),
        11: (2.940, 5.417, 5.537, 11.203),
        12: (None, 5.540, None, None),
        284: (3.347, 6.121, 6.127, 11.937),
        1234: (None, 5.811, None, None),
    },
    "valid": {
        0: (1.219, None, 0.376, 0.244),
        11: (1.363, None, 0.368, 0.250),
        284: (1.465, None, 0.401, 0.270),
    },
    "latency": {
        0: (0.0130, 0.0130, 0.0180, 0.0192),
        11: (0.0153, 0.0153, 0.0175, 0.0193),
        284: (0.0164, 0.0164, 0.0197, 0.0206),
    },
}
#: What each data set's records are divided by: images, or 1.
UNITS: dict[str, dict[str, int]] = {
    "train": {name: data.train_images for name, data in DATASETS.items()}
    | {"cifar10-full": 50_000},
    "valid": {name: data.valid_images for name, data in DATASETS.items()},
    "latency": dict.fromkeys(RECORD_DATASETS, 1),
}


def fit_costs(
    columns: Columns, measured: Measured, folder: Path
) -> tuple[CostSurrogate, dict[str, Any]]:
    """Fit, judge and write seconds and latency; return them and their part of ``held_out.json``."""
    topology_valid, held_out = fit_topology_valid_seconds(columns)
    lines, fits = {}, {}
    for figure in SIZE_RECORDS:
        lines[figure], fits[figure] = fit_size_line(figure)
    model = CostSurrogate(tuple(topology_valid), lines)
    valid = model.topology_valid_seconds(
        TopologySpace().all_choices(), measured.train_seconds, "cifar10"
    )
    on_cifar10 = {
        "train": measured.train_seconds / REFERENCE_IMAGES,
        "valid": valid / REFERENCE_IMAGES,
        "latency": measured.latency,
    }
    for figure, values in on_cifar10.items():
        fits[figure]["b"] = lines[figure]["b"]
        fits[figure]["b_of_the_topology_space"] = topology_slope(values)
    write_json(folder / "costs.json", {"topology_valid": topology_valid, "size": lines})
    return model, {"topology_valid": held_out, "size": fits}


def operation_counts(choices: Array) -> Array:
    """How often each operation but ``none`` occurs in cells ``(arch, 6)``: ``(arch, 4)``."""
    return (choices[:, :, None] == np.arange(SKIP, POOL + 1)).sum(1)


def fit_topology_valid_seconds(columns: Columns) -> tuple[list[float], dict[str, Any]]:
    """Fit the validation pass to training seconds and operation counts; judge it out of fold."""
    seconds = columns["cifar10valid_valid_seconds"]
    counts = operation_counts(TopologySpace().choices(columns["index"]))
    train = columns["cifar10valid_train_seconds_per_epoch"]
    design = np.column_stack([np.ones(len(counts)), train, counts])

    def fit(rows: Array) -> Array:
        return np.linalg.lstsq(design[rows], seconds[rows], rcond=None)[0]

    predicted = out_of_fold(seconds, lambda _, seen: design[~seen] @ fit(seen))
    held_out = {"rows": len(seconds), **relative_error(seconds, predicted)}
    return fit(np.full(len(seconds), True)).tolist(), held_out


def fit_size_line(figure: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fit ``unit · (a_dataset + b · MFLOPs)`` with one b ≥ 0 to the public records.

    Args:
        figure: of :data:`SIZE_RECORDS`.

    Returns:
        The line, as :class:`CostSurrogate` has it, and how well it fits.
    """
    space = SizeSpace()
    rows = []  # (data set, MFLOPs, figure per unit)
    for index, values in SIZE_RECORDS[figure].items():
        for name, value in zip(RECORD_DATASETS, values, strict=True):
            if value is not None:
                official = "cifar10" if name == "cifar10-full" else name
                flops = float(space.flops(space.choices(index), official))
                rows.append((name, flops, value / UNITS[figure][name]))
    names = [name for name in RECORD_DATASETS if any(row[0] == name for row in rows)]
    mflops = np.array([row[1] for row in rows])
    target = np.array([row[2] for row in rows])
    constants = np.array([[row[0] == name for name in names] for row in rows], dtype=float)
    design = np.column_stack([constants, mflops])
    weights = np.linalg.lstsq(design, target, rcond=None)[0]
    error = target - design @ weights
    variance = (error**2).sum() / (len(rows) - len(weights))
    b_error = np.sqrt(variance * np.linalg.inv(design.T @ design)[-1, -1])
    if weights[-1] < 0:
        raise SystemExit(f"the fit of {figure} falls with FLOPs: b = {weights[-1]}")
    line = {
        "b": float(weights[-1]),
        "a": {n: float(w) for n, w in zip(names, weights, strict=False) if n in DATASET_ORDER},
    }
    fit = {
        "records": len(rows),
        "mflops_fitted": [rounded(mflops.min()), rounded(mflops.max())],
        "b_standard_error": float(b_error),
        **relative_error(target, target - error),
    }
    return line, fit


def topology_slope(figure: Array) -> float:
    """Cost of a MFLOP in the topology space: 3×3 against 1×1 convolutions, all else the same.

    Args:
        figure: per image or batch on CIFAR-10, of all architectures, ``(arch,)``.
    """
    space = TopologySpace()
    counts = operation_counts(space.all_choices())
    design = np.column_stack([np.ones(len(counts)), counts])
    weights = np.linalg.lstsq(design, figure, rcond=None)[0]
    alike = [space.flops([op] * space.num_decisions, "cifar10") for op in (CONV_1X1, CONV_3X3)]
    edge = (alike[1] - alike[0]) / space.num_decisions
    # The constant stands where the count of "none" would.
    return float((weights[CONV_3X3] - weights[CONV_1X1]) / edge)
