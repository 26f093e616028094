"""The analysis of one space on one data set: what is asked of its table, and the answers.

As in NATS-Bench (Dong et al., arXiv 2009.00437, section 4) and NAS-Bench-201 (arXiv 2001.00326):
accuracy against cost, rank correlation between data sets, and how accuracies are distributed;
besides, between schedules and trials, and the landscape that local search walks on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import combinations

import numpy as np

from nats_gym import checks
from nats_gym.analysis.correlations import ALL, Correlation, correlate, pearson, spearman, top
from nats_gym.analysis.findings import (
    BINS,
    BOX,
    QUANTILES,
    Distribution,
    FitnessDistance,
    Neighborhood,
    Values,
    costs_of,
    trials_of,
)
from nats_gym.analysis.landscape import (
    additive_autocorrelation,
    autocorrelation,
    climb,
    correlation_length,
    distance_to,
    neighbor_indices,
)
from nats_gym.analysis.report import Analysis
from nats_gym.datasets import DATASETS
from nats_gym.errors import CorruptTable, InvalidInput, MissingTable, NotInTable, shown
from nats_gym.extras import require
from nats_gym.files.writing import check_folder, check_source
from nats_gym.simulation.schedule import Epochs, check_epochs, trained_epochs
from nats_gym.spaces import ArchitectureSpace, Figure, get_space
from nats_gym.spaces.decisions import Indices
from nats_gym.tables import MEASURED, NO_TEST, SURROGATE, Table, load_table
from nats_gym.tables.column import MADE_FOR, core_figures
from nats_gym.tables.modelled import tells_splits_apart

WALK_STEPS = 20
MEAN = "mean"
#: Draws of a surrogate's noise that stand for trials.
SAMPLES = 4

#: Draws of noise that memory holds: a column of each space is that long.
MOST_SAMPLES = 10_000


def analyse(
    space: str | ArchitectureSpace | type[ArchitectureSpace],
    dataset: str,
    source: str | os.PathLike[str] = "auto",
    out: str | os.PathLike[str] | None = None,
    epochs: Epochs | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Analysis:
    """Analyse a space on a data set.

    A partial table is analysed as far as it goes: what needs all architectures is left out, and
    :attr:`Analysis.left_out` says so.

    Args:
        space: the space, or its name.
        dataset: official data set key, or ``"digits"``.
        source: what :func:`nats_gym.load_table` takes.
        out: folder to save the analysis to.
        epochs: training schedule; None for the full one.
        samples: draws of a surrogate's noise that stand for trials, from 2.
        seed: of these draws.

    Raises:
        InvalidInput: for an unknown space, data set or schedule, too few samples, a negative
            seed, a folder that cannot be written, or a table of another space.
        MissingTable, CorruptTable: if there is no such table, or it is damaged.
        NotInTable: if the table lacks the schedule.
    """
    require("scipy", "an analysis")
    samples, seed = checks.integer(samples, "samples", 2, MOST_SAMPLES), checks.seed(seed)
    source = check_source(source)
    if out is not None:
        out = checks.path(out, "out")
        check_folder(out)  # before the work, not after it
    space = get_space(space).name
    table = load_table(space, dataset, source)
    schedule = check_epochs(epochs, table.full_epochs)
    accuracy = table.mean_accuracy("valid", schedule)
    trials = trials_of(table, schedule, samples, seed)
    left_out: dict[str, str] = {}
    try:
        neighbors = neighbor_indices(table.space)
    except InvalidInput as error:  # too many
        neighbors, left_out["the landscape"] = None, str(error)
    analysis = Analysis(
        table=table,
        epochs=schedule,
        arguments={
            "space": space,
            "dataset": dataset,
            "source": os.fspath(source),
            "epochs": schedule,
            "samples": samples,
            "seed": seed,
        },
        distributions=_distributions(table, schedule, left_out),
        costs=_correlated(table, schedule, accuracy, costs_of(table, schedule, left_out)),
        columns=_named(table, schedule, accuracy, left_out),
        datasets=_between_datasets(table, source, schedule, left_out),
        schedules=_between_schedules(table, schedule, left_out),
        trials=_between_trials(table, schedule, trials, left_out),
        fitness_distance=[]
        if neighbors is None
        else _fitness_distance(table, schedule, accuracy, neighbors, left_out),
        neighborhoods=[]
        if neighbors is None
        else _neighborhoods(table, schedule, accuracy, trials, neighbors, left_out),
        left_out=left_out,
    )
    if out is not None:
        analysis.save(out)
    return analysis


def _distributions(table: Table, epochs: Epochs, left_out: dict[str, str]) -> list[Distribution]:
    found = [_distribution(table, "valid", epochs)]
    others = [(s, e) for s in ("valid", "test") for e in reversed(table.epochs(s))]
    for split, schedule in others:
        if (split, schedule) == ("valid", epochs):
            continue
        if table.rests_on(table.accuracy_column(split, schedule)) == NO_TEST:
            left_out[f"distribution of {split}, {schedule} epochs"] = NO_TEST
            continue
        try:
            found.append(_distribution(table, split, schedule))
        except NotInTable as error:
            left_out[f"distribution of {split}, {schedule} epochs"] = str(error)
    return found


def _distribution(table: Table, split: str, epochs: Epochs) -> Distribution:
    accuracy = table.mean_accuracy(split, epochs)
    held = accuracy[_held(table, accuracy, epochs)]
    counts, edges = np.histogram(held, BINS)
    return Distribution(
        split=split,
        epochs=epochs,
        architectures=len(held),
        mean=float(held.mean()),
        std=float(held.std()),
        best=int(np.nanargmax(accuracy)),
        quantiles=dict(zip(QUANTILES, np.percentile(held, QUANTILES).tolist(), strict=True)),
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        provenance=table.accuracy_column(split, epochs).provenance,
        checksum=table.checksum,
    )


def _held(table: Table, accuracy: Values, epochs: Epochs) -> Indices:
    held = np.flatnonzero(~np.isnan(accuracy))
    if not held.size:
        raise NotInTable(f"{shown(table)} holds no architecture trained for {epochs} epochs")
    return held


def _correlated(
    table: Table, epochs: Epochs, accuracy: Values, figures: Iterable[Figure]
) -> list[Correlation]:
    found: list[Correlation] = []
    provenance = table.accuracy_column("valid", epochs).provenance
    for figure in figures:
        core = figure.name in core_figures(table.space)
        between = ("accuracy", figure.quantity.label if core else figure.name)
        basis = together(provenance, figure.provenance)
        found += correlate(between, accuracy, figure.values, basis, [table.checksum])
    return found


def _named(
    table: Table, epochs: Epochs, accuracy: Values, left_out: dict[str, str]
) -> list[Correlation]:
    figures = []
    for name in sorted(table.known_figures.keys() - core_figures(table.space).keys()):
        try:
            figures.append(table.figure(name))
        except CorruptTable as error:
            left_out[name] = str(error)
    found = _correlated(table, epochs, accuracy, figures)
    alike = {c.between: abs(c.kendall) for c in found if c.among == ALL}
    for name in sorted({figure.name for figure in figures} - {one for _, one in alike}):
        left_out[name] = "fewer than two architectures have it and an accuracy"
    return sorted(found, key=lambda c: -np.nan_to_num(alike[c.between]))


def _between_datasets(
    table: Table, source: str | os.PathLike[str], epochs: Epochs, left_out: dict[str, str]
) -> list[Correlation]:
    """Every pair of data set and split; the analysed data set first, so first in its pairs."""
    accuracies: dict[str, tuple[Values, Table, str]] = {}
    tables = {table.dataset: table}
    if table.dataset in DATASETS:
        for dataset in DATASETS:
            try:
                tables.setdefault(dataset, load_table(table.space.name, dataset, source))
            except (InvalidInput, MissingTable, NotInTable) as error:
                left_out[f"between data sets: {dataset}"] = str(error)
    for dataset, of in tables.items():
        estimates = set()
        for split in ("valid", "test"):
            name = f"{dataset} {split}"
            try:
                accuracy, column = (
                    of.mean_accuracy(split, epochs),
                    of.accuracy_column(split, epochs),
                )
            except NotInTable:
                left_out[f"between data sets: {name}"] = f"its table has none of {epochs} epochs"
                continue
            estimate = column.model, column.sha256
            if column.model and estimate in estimates and not tells_splits_apart(column):
                left_out[f"between data sets: {name}"] = "one estimate serves both splits"
                continue
            estimates.add(estimate)
            accuracies[name] = accuracy, of, column.provenance
    found: list[Correlation] = []
    for first, second in combinations(accuracies, 2):
        (x, one, x_basis), (y, other, y_basis) = accuracies[first], accuracies[second]
        checksums = [one.checksum, other.checksum]
        found += correlate((first, second), x, y, together(x_basis, y_basis), checksums)
    return found


def _between_schedules(table: Table, epochs: Epochs, left_out: dict[str, str]) -> list[Correlation]:
    schedules = sorted({*table.epochs("valid"), epochs}, key=trained_epochs, reverse=True)
    if len(schedules) < 2:
        left_out["between schedules"] = f"the table holds {epochs} epochs only"
    found: list[Correlation] = []
    for longer, shorter in combinations(schedules, 2):
        bases = [table.accuracy_column("valid", e).provenance for e in (longer, shorter)]
        found += correlate(
            (f"{longer} epochs", f"{shorter} epochs"),
            table.mean_accuracy("valid", longer),
            table.mean_accuracy("valid", shorter),
            together(*bases),
            [table.checksum],
        )
    return found


def _between_trials(
    table: Table, epochs: Epochs, trials: dict[str, Values], left_out: dict[str, str]
) -> list[Correlation]:
    if len(trials) < 2:
        left_out["between trials"] = "the table holds one trial"
    provenance = table.accuracy_column("valid", epochs).provenance
    found: list[Correlation] = []
    for (first, x), (second, y) in combinations(trials.items(), 2):
        found += correlate((first, second), x, y, provenance, [table.checksum])
    return found


def _fitness_distance(
    table: Table, epochs: Epochs, accuracy: Values, neighbors: Indices, left_out: dict[str, str]
) -> list[FitnessDistance]:
    space = table.space
    held = _held(table, accuracy, epochs)
    if len(held) < space.size:
        left_out["the optimum"] = (
            f"distances are to the best of the {len(held):,} architectures held, of {space.size:,}"
        )
    best = accuracy == np.nanmax(accuracy)
    targets = {"the best": best}
    if space.has_isomorphisms:
        classes = space.isomorphism_class(space.all_choices())
        same = np.isin(classes, classes[best])
        if same.sum() > best.sum():
            targets["the best and its isomorphic cells"] = same
    found = []
    for to, target in targets.items():
        distance = distance_to(target, neighbors)[held]
        if apart := int((distance < 0).sum()):
            left_out[f"distances to {to}"] = f"{apart:,} architectures have no way there"
        values, distance = accuracy[held][distance >= 0], distance[distance >= 0]
        leaders = top(values)
        occurring = np.unique(distance)
        at = [values[distance == d] for d in occurring]
        found.append(
            FitnessDistance(
                to=to,
                targets=int(target.sum()),
                pearson=pearson(values, distance),
                spearman=spearman(values, distance),
                pearson_top=pearson(values[leaders], distance[leaders]),
                distances=tuple(occurring.tolist()),
                architectures=tuple(map(len, at)),
                quantiles=tuple(tuple(np.percentile(v, BOX).tolist()) for v in at),
                provenance=table.accuracy_column("valid", epochs).provenance,
                checksum=table.checksum,
            )
        )
    return found


def _neighborhoods(
    table: Table,
    epochs: Epochs,
    accuracy: Values,
    trials: dict[str, Values],
    neighbors: Indices,
    left_out: dict[str, str],
) -> list[Neighborhood]:
    missing = int(np.isnan(accuracy).sum())
    if missing:
        left_out["neighbourhoods"] = (
            f"the table lacks {missing:,} of {table.space.size:,} architectures, and so neighbours"
        )
        return []
    landscapes = {MEAN: accuracy}
    if len(trials) > 1:
        landscapes |= trials
    provenance = table.accuracy_column("valid", epochs).provenance
    found = []
    for of, values in landscapes.items():
        if np.isnan(values).any():
            left_out[f"neighbourhoods of {of}"] = (
                f"{np.isnan(values).sum():,} architectures were not trained so often"
            )
            continue
        found.append(_neighborhood(of, table, values, neighbors, provenance))
    return found


def _neighborhood(
    of: str, table: Table, accuracy: Values, neighbors: Indices, provenance: str
) -> Neighborhood:
    walk = autocorrelation(accuracy, neighbors, WALK_STEPS)
    climbs = climb(accuracy, neighbors)
    optima, basins = np.unique(climbs.end, return_counts=True)
    order = np.argsort(-accuracy[optima], kind="stable")
    optima, basins = optima[order], basins[order]
    return Neighborhood(
        of=of,
        autocorrelation=tuple(walk.tolist()),
        additive=additive_autocorrelation(table.space),
        correlation_length=correlation_length(float(walk[1])),
        local_optima=len(optima),
        plateaus=int(climbs.plateau[optima].sum()),
        optima=tuple(optima.tolist()),
        accuracies=tuple(accuracy[optima].tolist()),
        basins=tuple(basins.tolist()),
        basin_of_best=int(basins[accuracy[optima] == accuracy.max()].sum()) / table.space.size,
        mean_steps=float(climbs.steps.mean()),
        provenance=provenance,
        checksum=table.checksum,
    )


def together(*provenances: str) -> str:
    """What figures rest on together: measured only if all are; each, if one is of others."""
    if any(MADE_FOR in one for one in provenances):
        return ", ".join(dict.fromkeys(provenances))
    return SURROGATE if SURROGATE in provenances else MEASURED
