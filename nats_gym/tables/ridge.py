"""A model that makes a whole column of a partial table: a ridge on what describes an architecture.

``nats_gym.building.fitting`` fits it. A column's file is one float64 vector: intercept, a weight
for each feature, then the knots of the noise, their accuracies and their deviations.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nats_gym import checks
from nats_gym.files.untrusted import FLOATS, map_array
from nats_gym.spaces import ArchitectureSpace
from nats_gym.tables.perceptron import WIDEST, Array
from nats_gym.tables.surrogates import (
    DECIMALS,
    EQUAL_WIDTHS,
    Figures,
    NoiseCurve,
    logits_of,
    percent_of,
    topology_structure,
)

#: Name of the model in a column's description, and the version of what it reads.
MODEL, VERSION = "ridge", 2
#: Decimals of estimated seconds.
SECONDS_DECIMALS = 9
#: A closed-form cost has a logarithm from here on.
_LEAST_COST = 1e-12


@dataclass(frozen=True)
class FittedColumn:
    """One fitted column.

    Attributes:
        intercept: see :meth:`figures`.
        weights: of :func:`architecture_features`, ``(feature,)``.
        noise: spread of an accuracy's trials, by expected accuracy; None for seconds and latency.
    """

    intercept: float
    weights: Figures
    noise: NoiseCurve | None = None

    def to_vector(self) -> Figures:
        """The file's content."""
        knots = [] if self.noise is None else [self.noise.accuracy, self.noise.sd]
        return np.concatenate([[self.intercept], self.weights, *knots]).astype(np.float64)

    @classmethod
    def from_vector(cls, vector: Array, features: int) -> FittedColumn:
        """Inverse of :meth:`to_vector`, of a model of so many features.

        Raises:
            ValueError: for a vector that cannot be one.
        """
        plain = vector.ndim == 1 and vector.dtype == np.float64
        if not plain or not 0 <= len(vector) - 1 - features <= 2 * WIDEST:
            raise ValueError(f"{vector.dtype} {vector.shape} for {features} features")
        knots = vector[1 + features :]
        if len(knots) % 2 or not np.isfinite(vector).all():
            raise ValueError("no finite weights and pairs of knots")
        noise = NoiseCurve.read(*np.split(knots, 2)) if len(knots) else None
        return cls(float(vector[0]), vector[1 : 1 + features], noise)

    @classmethod
    def load(cls, path: Path, features: int) -> FittedColumn:
        """Read a column's file; ``ValueError`` or ``OSError`` if it is none."""
        return cls.from_vector(map_array(path, FLOATS), features)

    def figures(self, features: Array, quantity: str) -> Figures:
        """The column, ``(arch,)``: percent, or seconds.

        Intercept and weighted features are an accuracy's logit, or the logarithm of seconds.
        Rounded as the shipped models' are, so that every processor makes one figure of them.

        Args:
            features: those of the architectures, ``(arch, feature)``.
            quantity: the column's.
        """
        figures = unlink(self.intercept + features @ self.weights, quantity)
        return np.round(figures, DECIMALS if quantity == "accuracy" else SECONDS_DECIMALS)


def link(figures: Array, quantity: str) -> Figures:
    """Accuracies (percent) as logits, anything else as logarithms."""
    if quantity != "accuracy":
        return np.asarray(np.log(figures), np.float64)
    return logits_of(figures)


def unlink(values: Array, quantity: str) -> Figures:
    """Inverse of :func:`link`, but for its clipping."""
    if quantity != "accuracy":
        return np.asarray(np.exp(values))
    return percent_of(values)


def architecture_features(space: ArchitectureSpace, choices: Array, dataset: str) -> Figures:
    """Describe architectures to the model, ``(arch, feature)``.

    What the space describes them by (:attr:`ArchitectureSpace.fit_description`), or its
    ``features``; between coarse and finer ones the closed-form cost, where there is one, as
    logarithms and their squares. The last :func:`count_finer` are the finer ones.

    Args:
        space: whose.
        choices: ``(arch, n)``.
        dataset: whose networks' cost.
    """
    choices = np.asarray(choices)
    names = [name for name in ("params", "flops") if name in space.closed_forms]
    costs = [np.maximum(space.compute(name, choices, dataset), _LEAST_COST) for name in names]
    cost = np.log(np.stack(costs, axis=1)) if costs else np.empty((len(choices), 0))
    coarse, finer = _describe(space, choices)
    return np.concatenate([coarse, cost, cost**2, finer], axis=1)


def count_finer(space: ArchitectureSpace) -> int:
    """How many of a space's features are finer ones, which few trainings can tell.

    A fit shrinks them more, or leaves them out.
    """
    return int(_describe(space, space.choices(np.zeros(1, np.int64)))[1].shape[1])


def _describe(space: ArchitectureSpace, choices: Array) -> tuple[Figures, Figures]:
    if not space.fit_description:
        return space.features(choices), np.empty((len(choices), 0))
    describe = checks.imported(space.fit_description, "description of architectures")
    coarse, finer = describe(space, choices)
    return coarse, finer


def describe_sizes(space: ArchitectureSpace, choices: Array) -> tuple[Figures, Figures]:
    """Logarithms of widths, their products of two, where a skip is an identity; of three."""
    width = 2 * np.log(1.0 + choices) / np.log(space.num_choices) - 1  # −1 … 1

    def products(degree: int) -> list[Array]:
        axes = itertools.combinations_with_replacement(range(choices.shape[1]), degree)
        return [width[:, list(some)].prod(axis=1) for some in axes]

    equal = [choices[:, one] == choices[:, two] for one, two in EQUAL_WIDTHS]
    coarse = [*products(1), *products(2), *equal, width.min(axis=1)]
    return np.stack(coarse, axis=1).astype(np.float64), np.stack(products(3), axis=1)


def describe_topologies(space: ArchitectureSpace, choices: Array) -> tuple[Figures, Figures]:
    """Operations, live edges and paths; pairs of operations."""
    cell = topology_structure(choices).T
    one_hot = choices[:, :, None] == np.arange(space.num_choices)
    pairs = [
        (one_hot[:, one, :, None] & one_hot[:, two, None, :]).reshape(len(choices), -1)
        for one, two in itertools.combinations(range(choices.shape[1]), 2)
    ]
    return cell, np.concatenate(pairs, axis=1).astype(np.float64)
