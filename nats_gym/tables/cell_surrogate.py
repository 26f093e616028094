"""The surrogate of NAS-Bench-101 on CIFAR-10: small perceptrons from a cell's features.

One answers for the accuracies of a training that works, as logarithms of their errors: on the
validation images after 4, 12, 36 and 108 epochs, and on the test images after 108. One answers for
the seconds of 108 epochs. Some trainings fail and stay at the accuracy of guessing; how often, a
logistic regression says for each cell. ``scripts/fit_nasbench101.py`` fits all of it to public
figures (Ying et al., ICML 2019, arXiv 1902.09635).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from nats_gym.spaces.nasbench101 import NASBench101Space
from nats_gym.streams import NORMAL_STRATA, normal_quantiles
from nats_gym.tables.cell_features import CELL_FEATURES, cell_features
from nats_gym.tables.perceptron import Array, Perceptron
from nats_gym.tables.surrogates import (
    FOLDER,
    Figures,
    NoiseCurve,
    read_coefficients,
    round_estimates,
)

FILE = "nb101-cifar10.npz"
#: What the accuracies are of: split and epochs, in the order of the model's outputs.
ACCURACIES = (("valid", 4), ("valid", 12), ("valid", 36), ("valid", 108), ("test", 108))
EPOCHS = 108
#: Accuracy of a training that fails, percent: that of guessing.
CHANCE = 10.0
#: Cells of a pass: few enough for the caches, enough for threads not to wait for each other.
BLOCK = 16_384


@dataclass(frozen=True)
class CellSurrogate:
    """What is estimated of a cell of NAS-Bench-101.

    Attributes:
        errors: from features to the logarithms of 100 - accuracy, in the order of
            :data:`ACCURACIES`.
        seconds: from features to the logarithm of the seconds of 108 epochs.
        failing: from features to the log-odds that a training fails.
        noise: sd of a training that works by its expected accuracy, for each of
            :data:`ACCURACIES`.
        skew: skewness of these trainings: bad luck goes further than good.
    """

    errors: Perceptron
    seconds: Perceptron
    failing: Perceptron
    noise: tuple[NoiseCurve, ...]
    skew: float

    @classmethod
    def load(cls, folder: Path = FOLDER) -> CellSurrogate:
        """Read the coefficients that the package ships; ``ValueError`` for what can be none."""
        arrays = read_coefficients(folder / FILE)
        curves = zip(arrays["noise_accuracy"], arrays["noise_sd"], strict=True)
        noise = tuple(NoiseCurve.read(*curve) for curve in curves)
        skew = float(arrays["skew"])
        if len(noise) != len(ACCURACIES) or not -2 < skew < 0:
            raise ValueError(f"{len(noise)} curves of noise, skewed by {skew}")
        return cls(
            errors=Perceptron.read(arrays, CELL_FEATURES, len(ACCURACIES), "error_"),
            seconds=Perceptron.read(arrays, CELL_FEATURES, 1, "seconds_"),
            failing=Perceptron.read(arrays, CELL_FEATURES, 1, "failing_"),
            noise=noise,
            skew=skew,
        )

    def estimate(self, features: Array) -> Figures:
        """All estimates of cells by their features ``(feature, cell)``.

        Returns:
            Mean accuracies in percent in the order of :data:`ACCURACIES`, the seconds of 108
            epochs, and of :data:`NORMAL_STRATA` trainings how many fail; ``(7, cell)``.
        """
        failing = 1 / (1 + np.exp(-self.failing(features)))  # (cell, 1)
        failures = np.round(NORMAL_STRATA * failing)
        share = failures / NORMAL_STRATA
        working = 100 - np.exp(self.errors(features))
        accuracies = round_estimates((1 - share) * working + share * CHANCE)
        seconds = np.exp(self.seconds(features)).round(2)
        return np.concatenate([accuracies, seconds, failures], axis=1).T

    def estimate_all(self, space: NASBench101Space) -> Figures:
        """:meth:`estimate` of every cell of the space, ``(7, size)``, on all cores."""

        index = np.arange(space.size)
        params, flops = space.costs(index, "cifar10")

        def of(start: int) -> Figures:
            block = slice(start, start + BLOCK)
            choices = space.choices(index[block])
            return self.estimate(cell_features(choices, params[block], flops[block]))

        threads = ThreadPoolExecutor(min(os.cpu_count() or 1, 8))
        with threads, threadpool_limits(1):  # each multiplies by itself
            return np.concatenate([*threads.map(of, range(0, space.size, BLOCK))], axis=1)


def working_accuracy(mean: Figures, failures: Array) -> Figures:
    """Expected accuracy of a training that works, where the mean is of those that fail too."""
    share = np.asarray(failures, np.float64) / NORMAL_STRATA
    working = (mean - share * CHANCE) / np.maximum(1 - share, 1 / NORMAL_STRATA)
    return np.asarray(np.clip(working, 0, 100))


def skewed_quantiles(skew: float) -> NDArray[np.float64]:
    """Mid-point quantiles of a gamma distribution of mean 0 and variance 1, ``(NORMAL_STRATA,)``.

    By Wilson and Hilferty's cube of a normal quantile (PNAS 1931).

    Args:
        skew: its skewness, not 0; below 0 it is mirrored.
    """
    cubed = (1 + skew * normal_quantiles() / 6 - skew**2 / 36) ** 3
    scale = np.sign(skew) / cubed.std()
    return np.asarray((cubed - cubed.mean()) * scale)
