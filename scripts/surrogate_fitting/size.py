"""90-epoch accuracy in the size space: a ridge on products of polynomials of the five widths."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from nats_gym.spaces import SizeSpace
from nats_gym.tables.surrogates import Array, SizeSurrogate, size_model_name

from .diagnostics import judge, out_of_fold
from .figures import Columns
from .noise import fit_noise
from .writing import write_arrays

DEGREE = 5
RIDGE = 10.0

#: The models: column of the csv, data set, split.
MODELS = (
    ("cifar10_valid_90", "cifar10", "valid"),
    ("cifar10_test_90", "cifar10", "test"),
    ("cifar100_test_90", "cifar100", "test"),
    ("ImageNet16-120_test_90", "ImageNet16-120", "test"),
)


def fit_size_models(columns: Columns, folder: Path) -> dict[str, Any]:
    """Fit, judge and write the four size models; return their part of ``held_out.json``."""
    space = SizeSpace()
    digits = space.digits(columns["index"])
    basis, terms = width_polynomials(), size_terms()
    widths = range(space.num_decisions)
    design = np.prod([basis[digits[:, j]][:, terms[:, j]] for j in widths], axis=0)
    report = {}
    for column, dataset, split in MODELS:
        truth = columns[column]

        def predict(_: int, seen: Array, truth: Array = truth) -> Array:
            return design[~seen] @ fit_size(design[seen], terms, truth[seen])

        predicted = out_of_fold(truth, predict)
        coefficients = np.zeros((DEGREE + 1,) * space.num_decisions, dtype=np.float32)
        coefficients[tuple(terms.T)] = fit_size(design, terms, truth)
        noise = fit_noise(predicted, truth - predicted)
        model = SizeSurrogate(coefficients, basis.astype(np.float32), noise)
        name = size_model_name(dataset, split)
        arrays = {
            "coefficients": model.coefficients,
            "basis": model.basis,
            "noise_accuracy": noise.accuracy,
            "noise_sd": noise.sd,
        }
        write_arrays(folder / f"{name}.npz", arrays)
        best = truth[np.argmax(model.accuracy(digits))]
        report[name] = {
            "rows": len(truth),
            "rows_of_space": space.size,
            "fitted_to": f"{dataset} {split} accuracy, one trial of 90 epochs",
            **judge(truth, predicted),
            "truths_above_the_argmax_of_all_fitted_rows": int((truth > best).sum()),
        }
    return report


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
