"""Surrogates: what the embedded figures do not hold, estimated by small models in numpy.

* topology, 200 epochs, test: a linear model and a perceptron from the same, to logits;
* topology, 12 epochs: a perceptron from a cell's operations, its paths and the *measured*
  200-epoch validation accuracies to its 12-epoch validation accuracies;
* size, 90 epochs: a polynomial of total degree 5 in the logarithms of the five widths, and one of
  degree 2 where a skip is an identity;
* seconds and latency: straight lines in FLOPs, or in measured seconds.

``scripts/fit_surrogates.py`` fits them to public NATS-Bench results (arXiv 2009.00437) and writes
the coefficients and ``held_out.json``, the errors on architectures that a fit did not see. A
surrogate's figures carry the provenance ``surrogate``; they are never measurements.

A surrogate estimates the expected accuracy. One trial is drawn as
``mean + sigma(mean) * z`` with standard normal ``z``; the sd comes from held-out residuals, so it
holds the model's own error beside the noise of training.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.datasets import get_dataset
from nats_gym.files.untrusted import FLOATS, open_arrays, read_json
from nats_gym.tables.perceptron import Array, LinearAndPerceptron, Perceptron

Figures = NDArray[np.float64]

FOLDER = Path(__file__).resolve().parent.parent / "data" / "surrogates"
#: Rises whenever figures change; specs and results that rest on a surrogate name it.
VERSION = 2

#: Order of the columns of ``accuracy_200`` and of the topology model's outputs.
DATASET_ORDER = ("cifar10", "cifar100", "ImageNet16-120")
#: The four paths from a cell's input to its output, as positions in the choices.
PATHS: tuple[tuple[int, ...], ...] = ((3,), (0, 4), (1, 5), (0, 2, 5))
NONE, SKIP, CONV_1X1, CONV_3X3, POOL = range(5)
#: The topology models' coefficients by split: valid after 12 epochs, test after 200.
TOPOLOGY_FILES = {"valid": "tss-valid-12.npz", "test": "tss-test-200.npz"}
#: Accuracies are clipped to this before the logit, in percent.
LOGIT_RANGE = (0.5, 99.5)
#: Decisions of the size space between which a cell with a skip lies: its input and output.
EQUAL_WIDTHS = ((1, 2), (3, 4))
#: Rows of :func:`topology_structure` and of :func:`topology_features`.
TOPOLOGY_STRUCTURE, TOPOLOGY_FEATURES = 85, 91
#: Decisions of the size space, and widths of each.
SIZE_DECISIONS, SIZE_WIDTHS = 5, 8
#: Decimals of an estimated accuracy. Sums end in other last bits on another processor, with
#: another number of threads or another numpy; rounded, an estimate is one figure everywhere.
DECIMALS = 4
#: A file of coefficients, packed or not, is no larger.
LARGEST_FILE = 4 << 20
#: Times were taken on CIFAR-10's search split: 25,000 images trained on, 25,000 validated.
REFERENCE_IMAGES = 25_000


@dataclass(frozen=True)
class NoiseCurve:
    """Standard deviation of a trial as a function of its expected accuracy.

    Attributes:
        accuracy: ascending knots in percent, ``(knot,)``.
        sd: the deviation at each, in points, ``(knot,)``; linear between, constant beyond.
    """

    accuracy: Array
    sd: Array

    @classmethod
    def read(cls, accuracy: Array, sd: Array) -> NoiseCurve:
        """The curve of a file's knots; ``ValueError`` unless they can be ones."""
        one_each = accuracy.ndim == 1 and accuracy.shape == sd.shape and len(sd) > 0
        if not one_each or np.any(np.diff(accuracy) < 0) or np.any(sd < 0):
            raise ValueError("the noise of a trial is no curve of deviations")
        return cls(accuracy, sd)

    def __call__(self, predicted: Array) -> Figures:
        """Return the sd in points, of the shape of ``predicted`` (percent)."""
        return np.asarray(np.interp(predicted, self.accuracy, self.sd), dtype=np.float64)


@dataclass(frozen=True)
class TopologySurrogate:
    """An accuracy in the topology space, of all three data sets at once.

    Attributes:
        network: from features to accuracies, or to logits of them.
        noise: a curve per data set, in :data:`DATASET_ORDER`.
        logits: whether it is to logits.
    """

    network: Perceptron | LinearAndPerceptron
    noise: tuple[NoiseCurve, ...]
    logits: bool = False

    @classmethod
    def load(cls, folder: Path = FOLDER, split: str = "valid") -> TopologySurrogate:
        """Read the coefficients that the package ships.

        Args:
            folder: where they lie.
            split: ``"valid"`` after 12 epochs, or ``"test"`` after 200.
        """
        arrays = read_coefficients(folder / TOPOLOGY_FILES[split])
        logits = split == "test"
        kind = LinearAndPerceptron if logits else Perceptron
        network = kind.read(arrays, TOPOLOGY_FEATURES, len(DATASET_ORDER))
        curves = zip(arrays["noise_accuracy"], arrays["noise_sd"], strict=True)
        noise = tuple(NoiseCurve.read(*curve) for curve in curves)
        if len(noise) != len(DATASET_ORDER):
            raise ValueError(f"{len(noise)} curves of noise")
        return cls(network, noise, logits)

    def arrays(self) -> dict[str, Array]:
        """What :meth:`load` reads."""
        arrays = self.network.arrays()
        arrays["noise_accuracy"] = np.stack([curve.accuracy for curve in self.noise])
        arrays["noise_sd"] = np.stack([curve.sd for curve in self.noise])
        return arrays

    def accuracies(self, choices: Array, accuracy_200: Array) -> Figures:
        """Return expected accuracies in percent, ``(arch, 3)`` in :data:`DATASET_ORDER`.

        Args:
            choices: operations, ``(arch, 6)``.
            accuracy_200: measured 200-epoch validation accuracy, mean over trials, in percent,
                ``(arch, 3)`` in :data:`DATASET_ORDER`.
        """
        values = self.network(topology_features(choices, accuracy_200))
        return round_estimates(percent_of(values) if self.logits else values)

    def accuracy(self, choices: Array, accuracy_200: Array, dataset: str) -> Figures:
        """Return :meth:`accuracies` on one data set, ``(arch,)``."""
        return np.asarray(self.accuracies(choices, accuracy_200)[:, _position(dataset)])

    def sigma(self, predicted: Array, dataset: str) -> Figures:
        """Return the sd of one trial in points, for expected accuracies in percent."""
        return self.noise[_position(dataset)](predicted)


@dataclass(frozen=True)
class SizeSurrogate:
    """Accuracy after 90 epochs in the size space, of one data set and split.

    Attributes:
        coefficients: of products of the five decisions' polynomials, ``(degree,) * 5``.
        basis: the polynomials' values at the eight widths, ``(8, degree)``.
        skip_coefficients: what adds to them where the widths that :data:`EQUAL_WIDTHS` names
            agree, ``(2, low degree, …)``: there a cell's skip is an identity, elsewhere it is a
            convolution.
        noise: the spread of a trial. The public results hold a single 90-epoch trial, so all of
            the held-out residual is taken for noise.
    """

    coefficients: Array
    basis: Array
    skip_coefficients: Array
    noise: NoiseCurve

    @classmethod
    def load(cls, dataset: str, split: str, folder: Path = FOLDER) -> SizeSurrogate:
        """Read the coefficients for a data set and ``"valid"`` or ``"test"``.

        CIFAR-100 and ImageNet16-120 have one model, fitted to test accuracy, for both splits.
        The two halve the official test images at random, so they differ by a constant of the
        draw: in the paper's size space, validation lies 0.1 above test on CIFAR-100 and about
        0.5 points below it on ImageNet16-120.
        """
        arrays = read_coefficients(folder / f"{size_model_name(dataset, split)}.npz")
        names = ("coefficients", "basis", "skip_coefficients")
        coefficients, basis, skips = (arrays[name] for name in names)
        widths, degree = basis.shape
        low = skips.shape[-1]
        if (widths, coefficients.shape, skips.shape) != (
            SIZE_WIDTHS,
            (degree,) * SIZE_DECISIONS,
            (len(EQUAL_WIDTHS), *(low,) * SIZE_DECISIONS),
        ) or low > degree:
            raise ValueError(
                f"{coefficients.shape} and {skips.shape} coefficients of {basis.shape}"
            )
        noise = NoiseCurve.read(arrays["noise_accuracy"], arrays["noise_sd"])
        return cls(coefficients, basis, skips, noise)

    def grid(self) -> Figures:
        """Return expected accuracies in percent of the whole space, ``(8, 8, 8, 8, 8)``."""
        basis = self.basis.astype(np.float64)
        values = _on_grid(self.coefficients, basis)
        for (one, two), coefficients in zip(EQUAL_WIDTHS, self.skip_coefficients, strict=True):
            agree = np.eye(len(basis)).reshape(
                [len(basis) if axis in (one, two) else 1 for axis in range(values.ndim)]
            )
            values += agree * _on_grid(coefficients, basis[:, : len(coefficients)])
        return round_estimates(values)

    def accuracy(self, choices: Array) -> Figures:
        """Return expected accuracies in percent, ``(arch,)``, of ``choices (arch, 5)``."""
        return np.asarray(self.grid()[tuple(np.asarray(choices).T)])

    def sigma(self, predicted: Array) -> Figures:
        """Return the sd of one trial in points, for expected accuracies in percent."""
        return self.noise(predicted)


@dataclass(frozen=True)
class CostSurrogate:
    """Seconds of the simulated clock that the embedded figures do not hold, and latency.

    Attributes:
        topology_valid: intercept, weight of the seconds of a training epoch, and weight of each
            operation's count without ``none``; for a pass over 25,000 images, in seconds.
        size: by ``train``, ``valid`` (seconds per image) and ``latency`` (seconds per batch of
            256): ``b``, per MFLOP, for all data sets, and ``a``, the constant of each.
    """

    topology_valid: tuple[float, ...]
    size: dict[str, dict[str, Any]]

    @classmethod
    def load(cls, folder: Path = FOLDER) -> CostSurrogate:
        """Read the coefficients that the package ships."""
        content = read_json(folder / "costs.json", LARGEST_FILE)
        topology = tuple(map(float, content["topology_valid"]))
        size = {
            figure: {
                "b": float(content["size"][figure]["b"]),
                "a": {name: float(content["size"][figure]["a"][name]) for name in DATASET_ORDER},
            }
            for figure in ("train", "valid", "latency")
        }
        if len(topology) != 2 + POOL:
            raise ValueError(f"{len(topology)} weights of a validation pass")
        return cls(topology, size)

    def topology_valid_seconds(self, choices: Array, train_seconds: Array, dataset: str) -> Figures:
        """Return seconds of one validation pass in the topology space, ``(arch,)``.

        Args:
            choices: operations, ``(arch, 6)``.
            train_seconds: measured seconds of a training epoch *on cifar10-valid* (25,000
                images), whichever ``dataset`` is asked for, ``(arch,)``.
            dataset: scales the pass by its validation images, as the public files do.
        """
        intercept, per_second, *per_operation = self.topology_valid
        counts = (np.asarray(choices)[:, :, None] == np.arange(SKIP, POOL + 1)).sum(1)  # (arch, 4)
        # Term by term: a product of matrices adds in an order of the processor's own.
        by_operations = sum(
            count * weight for count, weight in zip(counts.T, per_operation, strict=True)
        )
        seconds = intercept + per_second * np.asarray(train_seconds) + by_operations
        return np.asarray(seconds * get_dataset(dataset).valid_images / REFERENCE_IMAGES)

    def size_train_seconds(self, flops: Array, dataset: str) -> Figures:
        """Return seconds of one training epoch in the size space, ``(arch,)``.

        ``flops`` are those of one image *of that data set*, in millions, ``(arch,)``;
        ``cifar10`` means the 25,000 images of the search split.
        """
        return get_dataset(dataset).train_images * self._line("train", flops, dataset)

    def size_valid_seconds(self, flops: Array, dataset: str) -> Figures:
        """Return seconds of one validation pass in the size space; as the above otherwise."""
        return get_dataset(dataset).valid_images * self._line("valid", flops, dataset)

    def size_latency(self, flops: Array, dataset: str) -> Figures:
        """Return seconds that a batch of 256 takes in the size space; as the above otherwise."""
        return self._line("latency", flops, dataset)

    def _line(self, figure: str, flops: Array, dataset: str) -> Figures:
        line = self.size[figure]
        return np.asarray(line["a"][dataset] + line["b"] * np.asarray(flops), dtype=np.float64)


def round_estimates(accuracy: Figures) -> Figures:
    """Accuracies in percent, to :data:`DECIMALS`."""
    within: Figures = np.clip(accuracy, 0, 100)
    return within.round(DECIMALS)


def logits_of(accuracy: Array) -> Figures:
    """Logits of accuracies in percent, clipped to :data:`LOGIT_RANGE`."""
    share = np.clip(np.asarray(accuracy, np.float64), *LOGIT_RANGE) / 100
    return np.asarray(np.log(share / (1 - share)))


def percent_of(logits: Array) -> Figures:
    """Inverse of :func:`logits_of`, but for its clipping."""
    return np.asarray(100 / (1 + np.exp(-np.clip(logits, -30, 30))))


def _on_grid(coefficients: Array, basis: Figures) -> Figures:
    """Values of a sum of products of polynomials, ``(8, 8, 8, 8, 8)``."""
    values = coefficients.astype(np.float64)
    for _ in range(values.ndim):  # each contracts the leading axis and appends its widths
        values = np.tensordot(values, basis, axes=(0, 1))
    return np.asarray(values)


def size_model_name(dataset: str, split: str) -> str:
    """Name of the size model that answers for a data set and split."""
    shared = get_dataset(dataset).test_split == "x-test"  # halves of the same images
    return f"sss-{dataset}-90" if shared else f"sss-{dataset}-{split}-90"


def read_coefficients(path: Path) -> Mapping[str, Array]:
    """The arrays of a file of coefficients; ``ValueError`` for what can be none."""
    with open_arrays(path, FLOATS, LARGEST_FILE, LARGEST_FILE) as content:
        arrays = dict(content)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} are not all finite")
    return arrays


@cache
def held_out(name: str = "held_out") -> dict[str, Any]:
    """Return the errors on unseen architectures that go with the shipped coefficients.

    Args:
        name: ``"held_out"`` of NATS-Bench's spaces, ``"held_out_nb101"`` of NAS-Bench-101.
    """
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return content


def topology_features(choices: Array, accuracy_200: Array) -> Array:
    """Describe cells to the topology model: ``(feature, arch)``.

    :func:`topology_structure` (85), then the measured accuracies in percent and as logits (6).
    Arguments as :meth:`TopologySurrogate.accuracies`.
    """
    measured = np.asarray(accuracy_200, dtype=np.float64).T  # (dataset, arch)
    return np.concatenate([topology_structure(choices), measured, logits_of(measured)])


def topology_structure(choices: Array) -> Figures:
    """Describe cells by what is in them alone: ``(feature, arch)`` of ``choices (arch, 6)``.

    In order: each edge's operation, one-hot (30); the same for edges that lie on a live path
    from input to output, without ``none`` (24); of each path if no edge of it is ``none``: that
    it is live, its count of each other operation, whether it convolves, whether it is only skips
    (28); the live paths' number, most convolutions and most 3×3 convolutions (3).
    """
    edges = np.asarray(choices).T  # (edge, arch)
    is_op = [edges == op for op in range(POOL + 1)]  # op → (edge, arch)
    live_paths = [np.all(edges[list(path)] != NONE, axis=0) for path in PATHS]
    live_edges = np.stack(list(_live_edges(live_paths)))
    rows: list[Array] = [*is_op, *(live_edges & is_op[op] for op in range(SKIP, POOL + 1))]

    convolutions, threes = [], []
    for path, live in zip(PATHS, live_paths, strict=True):
        on_path = list(path)
        counts = [
            is_op[op][on_path].sum(0, dtype=np.float64) * live for op in range(SKIP, POOL + 1)
        ]
        convs = counts[1] + counts[2]
        rows += [live, *counts, convs > 0, counts[0] == len(path)]
        convolutions.append(convs)
        threes.append(counts[2])
    rows += [np.sum(live_paths, axis=0), np.max(convolutions, axis=0), np.max(threes, axis=0)]
    return np.concatenate([np.atleast_2d(row).astype(np.float64) for row in rows])


def _live_edges(live_paths: list[Array]) -> Iterable[Array]:
    """Whether each edge lies on a live path, edge by edge, ``(arch,)``."""
    for edge in range(6):
        yield np.any(
            [live for path, live in zip(PATHS, live_paths, strict=True) if edge in path], 0
        )


def _position(dataset: str) -> int:
    return DATASET_ORDER.index(get_dataset(dataset).name)
