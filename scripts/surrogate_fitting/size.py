"""90-epoch accuracy in the size space: a ridge on products of polynomials of the five widths.

Where a cell's input and output widths agree its skip is an identity, elsewhere a convolution: a
step that no polynomial makes, so each of the two skips has a polynomial of its own there.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from nats_gym.spaces import SizeSpace
from nats_gym.tables.surrogates import (
    EQUAL_WIDTHS,
    Array,
    SizeSurrogate,
    size_model_name,
)

from .diagnostics import judge, out_of_fold
from .figures import Columns
from .noise import fit_noise
from .writing import write_arrays

DEGREE = 5
RIDGE = 10.0
SKIP_DEGREE = 2
SKIP_RIDGE = 30.0

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
    choices = space.choices(columns["index"])
    basis, terms = width_polynomials(), size_terms()
    design, penalty = design_matrix(choices, basis, terms)
    report = {}
    for column, dataset, split in MODELS:
        truth = columns[column]

        def predict(_: int, seen: Array, truth: Array = truth) -> Array:
            return design[~seen] @ fit_size(design[seen], penalty, truth[seen])

        predicted = out_of_fold(truth, predict)
        fitted = fit_size(design, penalty, truth)
        coefficients = np.zeros((DEGREE + 1,) * space.num_decisions, dtype=np.float32)
        coefficients[tuple(terms.T)] = fitted[: len(terms)]
        low = terms[terms.sum(1) <= SKIP_DEGREE]
        skips = np.zeros((2, *(SKIP_DEGREE + 1,) * space.num_decisions), dtype=np.float32)
        for skip, values in zip(skips, np.split(fitted[len(terms) :], 2), strict=True):
            skip[tuple(low.T)] = values
        noise = fit_noise(predicted, truth - predicted)
        model = SizeSurrogate(coefficients, basis.astype(np.float32), skips, noise)
        name = size_model_name(dataset, split)
        arrays = {
            "coefficients": model.coefficients,
            "basis": model.basis,
            "skip_coefficients": model.skip_coefficients,
            "noise_accuracy": noise.accuracy,
            "noise_sd": noise.sd,
        }
        write_arrays(folder / f"{name}.npz", arrays)
        best = truth[np.argmax(model.accuracy(choices))]
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


def design_matrix(choices: Array, basis: Array, terms: Array) -> tuple[Array, Array]:
    """Values of all products ``(arch, term)``, and the ridge penalty of each ``(term,)``.

    Behind the products come, for each skip, those of low degree where it is an identity.
    Products of higher degrees are shrunk more.
    """
    columns = [basis[choices[:, axis]][:, terms[:, axis]] for axis in range(choices.shape[1])]
    products = np.prod(columns, axis=0)
    penalty = RIDGE * np.prod(1.0 + terms, axis=1) ** 2
    penalty[terms.sum(1) == 0] = 0.0
    low = products[:, terms.sum(1) <= SKIP_DEGREE]
    skips = [(choices[:, one] == choices[:, two])[:, None] * low for one, two in EQUAL_WIDTHS]
    skip_penalty = np.full(2 * low.shape[1], SKIP_RIDGE)
    return np.concatenate([products, *skips], axis=1), np.concatenate([penalty, skip_penalty])


def fit_size(design: Array, penalty: Array, targets: Array) -> Array:
    """Ridge coefficients ``(term,)``."""
    gram = design.T @ design
    return np.linalg.solve(gram + np.diag(penalty), design.T @ targets)
