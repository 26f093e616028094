"""What an analysis finds: its figures, and the columns that they are of."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.analysis.correlations import Correlation
from nats_gym.errors import NotInTable
from nats_gym.simulation.schedule import Epochs
from nats_gym.spaces import Figure
from nats_gym.streams import combine, combine_int, seed_key
from nats_gym.tables import SURROGATE, Table
from nats_gym.tables.column import core_figures

Values = NDArray[np.float64]

QUANTILES = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100)
#: Of the accuracies at one distance from the optimum: what a box plot draws.
BOX = (5, 25, 50, 75, 95)
#: Of a histogram of accuracies.
BINS = 50


@dataclass(frozen=True)
class Distribution:
    """How the accuracies of one split and schedule are distributed, mean over trials, percent.

    Attributes:
        split: ``"valid"`` or ``"test"``.
        epochs: the schedule.
        architectures: how many the table holds.
        mean: over these.
        std: over these.
        best: official index of the best.
        quantiles: percentile → accuracy, at :data:`QUANTILES`.
        edges: of the histogram's bins, ``(BINS + 1,)``.
        counts: architectures in each, ``(BINS,)``.
        provenance: ``"measured"`` or ``"surrogate"``.
        checksum: of the table.
    """

    split: str
    epochs: Epochs
    architectures: int
    mean: float
    std: float
    best: int
    quantiles: dict[int, float]
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    provenance: str
    checksum: str

    @property
    def name(self) -> str:
        """Split and schedule."""
        return f"{self.split}, {self.epochs} epochs"


@dataclass(frozen=True)
class FitnessDistance:
    """Accuracy against distance from the optimum: the decisions in which the two differ.

    A correlation of −1 is a landscape that leads straight to the optimum.

    Attributes:
        to: ``"the best"`` (all of equals), or ``"the best and its isomorphic cells"``.
        targets: architectures that the distance is to the nearest of.
        pearson: the fitness–distance correlation.
        spearman: the same of ranks.
        pearson_top: among the top 10 %.
        distances: those that occur, ascending.
        architectures: how many at each.
        quantiles: accuracies at each, at :data:`BOX`.
        provenance: ``"measured"`` or ``"surrogate"``.
        checksum: of the table.
    """

    to: str
    targets: int
    pearson: float
    spearman: float
    pearson_top: float
    distances: tuple[int, ...]
    architectures: tuple[int, ...]
    quantiles: tuple[tuple[float, ...], ...]
    provenance: str
    checksum: str


@dataclass(frozen=True)
class Neighborhood:
    """Ruggedness: how alike neighbours are, and where climbing to the best of them ends.

    Attributes:
        of: :data:`MEAN` over trials or a surrogate's own, one trial, or one draw of its noise.
        autocorrelation: expected along a random walk, from lag 0; lag 1 is that of neighbours.
        additive: autocorrelation at lag 1 if decisions did not interact, the most there can be.
        correlation_length: steps until it has fallen to 1/e, −1/ln ρ(1).
        local_optima: architectures without a strictly better neighbour.
        plateaus: those of them with a neighbour that is just as good.
        optima: their official indices, best first.
        accuracies: of these, percent.
        basins: architectures from which best-improvement ends at each.
        basin_of_best: share of the space from which it ends at the best.
        mean_steps: moves of a climb, mean over the space.
        provenance: ``"measured"`` or ``"surrogate"``.
        checksum: of the table.
    """

    of: str
    autocorrelation: tuple[float, ...]
    additive: float
    correlation_length: float
    local_optima: int
    plateaus: int
    optima: tuple[int, ...]
    accuracies: tuple[float, ...]
    basins: tuple[int, ...]
    basin_of_best: float
    mean_steps: float
    provenance: str
    checksum: str


@dataclass(frozen=True)
class Findings:
    """What an analysis found. Accuracies are validation accuracies in percent.

    Attributes:
        table: the table analysed.
        epochs: the schedule.
        arguments: what ``analyse`` was called with, defaults filled in.
        distributions: of every split and schedule of the table, the analysed one first.
        costs: accuracy against params, FLOPs and latency.
        columns: accuracy against named columns, those that rank most alike first.
        datasets: between the data sets and splits of this space.
        schedules: between the schedules of the table, the longer first.
        trials: between the trials of an architecture, or draws of a surrogate's noise.
        fitness_distance: to the best, and, where others compute the same, to these too.
        neighborhoods: of the mean over trials, then of each trial that is complete.
        left_out: what could not be computed, and why.
    """

    table: Table
    epochs: Epochs
    arguments: dict[str, Any]
    distributions: list[Distribution]
    costs: list[Correlation]
    datasets: list[Correlation]
    schedules: list[Correlation]
    trials: list[Correlation]
    fitness_distance: list[FitnessDistance]
    neighborhoods: list[Neighborhood]
    left_out: dict[str, str] = field(default_factory=dict)
    columns: list[Correlation] = field(default_factory=list)

    @property
    def provenance(self) -> str:
        """What the analysed accuracies are: ``"measured"`` or ``"surrogate"``."""
        return self.table.accuracy_column("valid", self.epochs).provenance

    @cached_property
    def accuracy(self) -> Values:
        """Validation accuracy, mean over trials, percent, ``(arch,)``; NaN where none is held."""
        return self.table.mean_accuracy("valid", self.epochs)

    @property
    def notes(self) -> list[str]:
        """What a reader of estimates must know; empty where all is measured."""
        schedules = dict.fromkeys([self.epochs, *self.table.epochs("valid")])
        columns = [self.table.accuracy_column("valid", schedule) for schedule in schedules]
        notes = []
        if columns[0].provenance == SURROGATE:
            notes.append(
                "The accuracies analysed are a model's. It is smoother than real figures are, so "
                "its local optima are too few and its correlations too high. The draws add its "
                "noise, which holds the model's own error too."
            )
        notes += [
            f"The estimates of {column.epochs} epochs read the measured accuracies of the full "
            "schedule, so their correlation with these is the model's in part."
            for column in columns
            if column.model == "topology-accuracy"
        ]
        return notes

    @property
    def title(self) -> str:
        """Space, data set and schedule, for a heading."""
        return f"{self.table.space.title} space, {self.table.dataset}, {self.epochs} epochs"


def trials_of(table: Table, epochs: Epochs, samples: int, seed: int) -> dict[str, Values]:
    """Validation accuracy of each trial, percent, ``(arch,)``; NaN where there is none.

    A surrogate has no trials: ``samples`` draws of them stand for these.
    """
    scatter = table.scatter("valid", epochs)
    if scatter is None:
        column = table.accuracy_column("valid", epochs)
        accuracy = table.accuracy("valid", epochs).astype(np.float64)
        names = [f"trial {trial}" for trial in column.trials] or ["trial"]
        return dict(zip(names, accuracy.T, strict=True))
    arch = np.arange(table.space.size)
    keys = [combine_int(seed_key(seed), draw) for draw in range(samples)]
    return {
        f"draw {draw + 1}": scatter.draw(arch, combine(key, arch)) for draw, key in enumerate(keys)
    }


def costs_of(table: Table, epochs: Epochs, left_out: dict[str, str]) -> list[Figure]:
    """What any table may know of every architecture and is better the lower it is."""
    costs = []
    for name, quantity in core_figures(table.space).items():
        try:
            if quantity.lower_is_better:
                costs.append(table.figure(name, epochs))
        except NotInTable as error:
            left_out[name] = str(error)
    return costs
