"""The figures of an analysis. Colours are Okabe & Ito's and cividis, safe for colour-blind eyes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nats_gym.analysis.correlations import ALL, TOP, Correlation
from nats_gym.analysis.findings import Findings, costs_of, trials_of
from nats_gym.results.plots import COLOURS
from nats_gym.spaces import CLOSED_FORM

Values = NDArray[np.float64]

MAP = "cividis"
#: A panel shows the accuracies above this percentile: the worst would squeeze all others.
LOWEST_SHOWN = 5.0


def draw_figures(analysis: Findings) -> dict[str, Figure]:
    """Draw every figure that the analysis has the numbers for, by file name."""
    drawn = {"cost": _cost(analysis), "distributions": _distributions(analysis)}
    if analysis.datasets:
        drawn["datasets"] = _datasets(analysis)
    if analysis.schedules or analysis.trials:
        drawn["agreement"] = _agreement(analysis)
    drawn["fitness-distance"] = _fitness_distance(analysis)
    if analysis.neighborhoods:
        drawn["neighbourhoods"] = _neighborhoods(analysis)
    return drawn


def _figure(analysis: Findings, title: str, panels: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(2.0 + 3.7 * panels, 4.3), layout="constrained")
    figure.suptitle(f"{analysis.title}: {title}")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    return figure, list(axes)


def _sign(figure: Figure, provenances: Iterable[str], checksums: Iterable[str]) -> Figure:
    """Say at the foot of a figure what it rests on."""
    basis = " and ".join(sorted(set(provenances)))
    tables = ", ".join(checksum[:12] for checksum in dict.fromkeys(checksums))
    figure.supxlabel(f"{basis} accuracies; checksum of table {tables}", fontsize=8, color="0.35")
    return figure


def _hexbin(
    axes: Axes, x: Values, y: Values, found: list[Correlation], x_window: tuple[float, float]
) -> None:
    """Density of architectures over ``x`` and accuracy ``y``, with their correlations."""
    held = np.isfinite(x) & np.isfinite(y)
    extent = *x_window, *_window(y)
    density = axes.hexbin(
        *(x[held], y[held]),
        gridsize=48,
        extent=extent,
        bins="log",
        cmap=MAP,
        mincnt=1,
        linewidths=0.1,
    )
    axes.axis(extent)
    axes.figure.colorbar(density, ax=axes, label="architectures", pad=0.02, aspect=40)
    lines = [f"{c.among}: τ {c.kendall:.2f}, ρ {c.spearman:.2f}" for c in found]
    axes.set_title("\n".join(lines), fontsize=9)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)


def _window(values: Values) -> tuple[float, float]:
    """Limits that show the accuracies above :data:`LOWEST_SHOWN`."""
    low, high = np.nanpercentile(values, (LOWEST_SHOWN, 100))
    return _widen(low, high)


def _widen(low: float, high: float) -> tuple[float, float]:
    margin = 0.03 * (high - low) or 1.0
    return low - margin, high + margin


def _cost(analysis: Findings) -> Figure:
    costs = costs_of(analysis.table, analysis.epochs, {})
    figure, panels = _figure(analysis, "accuracy against cost", len(costs))
    for axes, cost in zip(panels, costs, strict=True):
        label = cost.quantity.label
        found = [c for c in analysis.costs if c.between[1] == label]
        window = float(np.nanmin(cost.values)), float(np.nanmax(cost.values))
        _hexbin(axes, cost.values, analysis.accuracy, found, _widen(*window))
        closed = cost.provenance == CLOSED_FORM
        axes.set_xlabel(label if closed else f"{label}, {cost.provenance}")
    panels[0].set_ylabel("validation accuracy [%]")
    return _sign(figure, [analysis.provenance], [analysis.table.checksum])


def _distributions(analysis: Findings) -> Figure:
    figure, (histogram, quantiles) = _figure(analysis, "distribution of accuracies", 2)
    for colour, found in zip(COLOURS, analysis.distributions, strict=False):
        name = f"{found.name} ({found.provenance})"
        share = 100 * np.array(found.counts) / found.architectures
        histogram.stairs(share, found.edges, color=colour, label=name, lw=1.8)
        quantiles.plot(
            list(found.quantiles.values()), list(found.quantiles), color=colour, marker="o", ms=3
        )
    histogram.set_yscale("log")
    histogram.set_ylabel("architectures per bin [%]")
    quantiles.set_ylabel("architectures that are no better [%]")
    for axes in (histogram, quantiles):
        axes.set_xlabel("accuracy [%]")
        axes.grid(alpha=0.3)
    histogram.legend(frameon=False, fontsize=8, loc="best")
    found_all = analysis.distributions
    return _sign(figure, (d.provenance for d in found_all), (d.checksum for d in found_all))


def _datasets(analysis: Findings) -> Figure:
    figure, panels = _figure(analysis, "Kendall's τ between data sets", 2)
    names = list(dict.fromkeys(name for c in analysis.datasets for name in c.between))
    for axes, among in zip(panels, (ALL, TOP), strict=True):
        tau = np.full((len(names), len(names)), np.nan)
        for c in (c for c in analysis.datasets if c.among == among):
            column, row = map(names.index, c.between)
            tau[row, column] = c.kendall
        image = axes.imshow(tau[1:, :-1], cmap=MAP, vmin=0, vmax=1)
        for row, column in zip(*np.nonzero(np.isfinite(tau[1:, :-1])), strict=True):
            value = tau[row + 1, column]
            colour = "black" if value > 0.5 else "white"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour)
        axes.set_xticks(range(len(names) - 1), names[:-1], rotation=30, ha="right")
        axes.set_yticks(range(len(names) - 1), names[1:] if axes is panels[0] else [])
        axes.set_title(f"among {among}" + (" of the column's" if among == TOP else ""), fontsize=9)
        axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=panels, label="Kendall's τ", pad=0.02, aspect=40)
    checksums = [checksum for c in analysis.datasets for checksum in c.checksums]
    return _sign(figure, (c.provenance for c in analysis.datasets), checksums)


def _agreement(analysis: Findings) -> Figure:
    """The analysed schedule against each other one, and one trial against another."""
    table, epochs = analysis.table, analysis.epochs
    schedules = {
        c.between: [d for d in analysis.schedules if d.between == c.between]
        for c in analysis.schedules
        if f"{epochs} epochs" in c.between
    }
    figure, panels = _figure(
        analysis, "schedules and trials", len(schedules) + bool(analysis.trials)
    )
    for axes, (between, found) in zip(panels, schedules.items(), strict=False):
        longer, shorter = (table.mean_accuracy("valid", _schedule(name)) for name in between)
        _hexbin(axes, shorter, longer, found, _window(shorter))
        axes.set_xlabel(f"{between[1]}, {_basis(analysis, between[1])} [%]")
        axes.set_ylabel(f"{between[0]}, {_basis(analysis, between[0])} [%]")
    if analysis.trials:
        first, second = analysis.trials[0].between
        draws = {name: analysis.arguments[name] for name in ("samples", "seed")}
        trials = trials_of(table, epochs, **draws)
        found = [c for c in analysis.trials if c.between == (first, second)]
        _hexbin(panels[-1], trials[second], trials[first], found, _window(trials[second]))
        noise = "" if analysis.provenance == "measured" else " of the surrogate's noise"
        panels[-1].set_xlabel(f"{second}{noise} [%]")
        panels[-1].set_ylabel(f"{first}{noise} [%]")
    provenances = [c.provenance for c in (*analysis.schedules, *analysis.trials)]
    return _sign(figure, provenances, [table.checksum])


def _schedule(name: str) -> int | str:
    length = name.removesuffix(" epochs")
    return int(length) if length.isdigit() else length


def _basis(analysis: Findings, name: str) -> str:
    return analysis.table.accuracy_column("valid", _schedule(name)).provenance


def _fitness_distance(analysis: Findings) -> Figure:
    found = analysis.fitness_distance
    figure, panels = _figure(analysis, "fitness and distance", len(found))
    for axes, fdc in zip(panels, found, strict=True):
        boxes = [
            dict(zip(("whislo", "q1", "med", "q3", "whishi"), quantiles, strict=True))
            for quantiles in fdc.quantiles
        ]
        axes.bxp(
            boxes,
            positions=fdc.distances,
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": COLOURS[5], "alpha": 0.6},
            medianprops={"color": COLOURS[1], "lw": 2},
        )
        ticks = [
            f"{distance}\n{count:,}"
            for distance, count in zip(fdc.distances, fdc.architectures, strict=True)
        ]
        axes.set_xticks(fdc.distances, ticks)
        axes.set_xlabel(f"decisions that differ from {fdc.to},\nand how many architectures do")
        axes.set_title(
            f"correlation {fdc.pearson:.2f}; among the top 10 % {fdc.pearson_top:.2f}", fontsize=9
        )
        axes.grid(alpha=0.3, axis="y")
    panels[0].set_ylabel("validation accuracy [%]\n5, 25, 50, 75 and 95 % quantiles")
    return _sign(figure, (f.provenance for f in found), (f.checksum for f in found))


def _neighborhoods(analysis: Findings) -> Figure:
    figure, (walk, basins) = _figure(analysis, "neighbourhoods", 2)
    marks = ("o", "s", "^", "D", "v", "P", "X")
    for colour, mark, found in zip(COLOURS, marks, analysis.neighborhoods, strict=False):
        lags = list(range(len(found.autocorrelation)))
        walk.plot(lags, found.autocorrelation, color=colour, marker=mark, ms=4, label=found.of)
        basins.scatter(
            *(found.accuracies, found.basins),
            color=colour,
            marker=mark,
            s=28,
            alpha=0.8,
            label=f"{found.of}: {found.local_optima}",
        )
    first = analysis.neighborhoods[0]
    additive = [first.additive**lag for lag in lags]
    walk.plot(lags, additive, color="0.4", ls="--", label="if decisions only added up")
    walk.set_yscale("log")
    walk.set_xticks(lags[::5])
    walk.set_xlabel("steps of a random walk")
    walk.set_ylabel("autocorrelation of accuracy")
    basins.set_yscale("log")
    basins.set_xlabel("accuracy of the local optimum [%]")
    basins.set_ylabel("architectures that climb to it")
    basins.legend(frameon=False, fontsize=8, title="local optima", loc="upper left")
    walk.legend(frameon=False, fontsize=8)
    for axes in (walk, basins):
        axes.grid(alpha=0.3)
    rest = analysis.neighborhoods
    return _sign(figure, (n.provenance for n in rest), (n.checksum for n in rest))
