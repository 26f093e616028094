"""``nats-gym envs`` and ``nats-gym show``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table as Grid

    from nats_gym.spaces import ArchitectureSpace
    from nats_gym.tables import Table
    from nats_gym.tables.no_table import NoTable

from nats_gym.errors import CorruptTable, MissingTable

from .terminal import SPACE_NAMES, app, complain, number_or_text, path, print_grid, say, space_name

#: What stands for a figure, or for what it rests on, where there is none.
UNKNOWN = "—"


@app.command()
def envs() -> None:
    """List the environment ids: of benchmarks, of any data set, of tasks, and of any space."""
    from nats_gym.registration import EVERY_ID

    for env_id in EVERY_ID:
        say(env_id)


@app.command()
def show(
    space: Annotated[str, typer.Argument(parser=space_name, help=SPACE_NAMES)],
    architecture: Annotated[str, typer.Argument(help="official index or official string")],
    png: Annotated[
        Path | None, typer.Option(parser=path, help="draw it too, to this file (.png)")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="show it alone; whose accuracy the picture shows")
    ] = None,
    source: Annotated[
        str, typer.Option(help="auto, embedded, digits-300, a table's folder or an archive")
    ] = "auto",
) -> None:
    """Show an architecture with its figures and what they rest on.

    On all of NATS-Bench's data sets that there is a table of, and those that columns were added
    for; on one with --dataset, or that of a table with --source.
    """
    from nats_gym.spaces import get_space
    from nats_gym.tables.no_table import NoTable

    chosen = get_space(space)
    index = chosen.resolve(number_or_text(architecture))
    choices = chosen.choices(index)
    tables = _tables_of(chosen, dataset, source)
    if png:
        table = next(iter(tables), None)
        if table is None or isinstance(table, NoTable):
            raise MissingTable(f"a picture shows figures, and no table of {chosen.name} is known")
        draw_architecture(table, index, png)
    say(f"{chosen.title} {index}: {chosen.string(choices)}")
    for (decision, names), choice in zip(chosen.decisions.items(), choices.tolist(), strict=True):
        say(f"  {decision:<12} {names[choice]}")
    for table in tables:
        print_grid(_figures_grid(table, index))
    if png:
        say(f"picture: {png}")


def _tables_of(space: ArchitectureSpace, dataset: str | None, source: str) -> list[Table | NoTable]:
    """The table asked for, or all that there are; what columns alone are known of, too."""
    from nats_gym.datasets import get_dataset, is_known
    from nats_gym.tables import load_table
    from nats_gym.tables.load import datasets_of
    from nats_gym.tables.named_columns import named_columns, places_added
    from nats_gym.tables.no_table import NoTable

    asked = [dataset] if dataset else [*datasets_of(source)]
    if source == "auto" and not dataset:
        asked += [
            *space.tables,
            *(of for name, of in places_added() if name == space.name and is_known(of)),
        ]
    found: list[Table | NoTable] = []
    for name in dict.fromkeys(asked):
        try:
            found.append(load_table(space.name, name, source))
        except MissingTable:
            if source == "auto" and named_columns(space, get_dataset(name).name):
                found.append(NoTable(space, get_dataset(name).name))
            elif source != "auto" or dataset:
                raise
    return found


def _figures_grid(table: Table | NoTable, index: int) -> Grid:
    """What a table knows of one architecture, with the closed-form cost of its network."""
    import numpy as np

    from nats_gym.results.summary import grid
    from nats_gym.tables.column import NO_TEST, core_figures

    source = table.source if table.columns else "no table"
    rows = grid(f"{table.dataset} ({source})", "figure", "value", "provenance")
    for name in table.space.closed_forms:
        figure = table.figure(name)
        rows.add_row(figure.quantity.label, f"{figure.values[index]:.8g}", figure.provenance)
    own = {column.quantity for column in table.columns}
    for name in table.known_figures:
        if name in core_figures(table.space) or name in own:
            continue
        try:
            figure = table.figure(name)
        except CorruptTable as error:
            complain(str(error))
            rows.add_row(name, "damaged", UNKNOWN)
            continue
        value, label = figure.values[index], f"{name} [{figure.quantity.unit}]"
        told = ("not measured", UNKNOWN) if np.isnan(value) else (f"{value:.6g}", figure.provenance)
        rows.add_row(label, *told)
    for column in table.columns:
        if column.quantity == "accuracy_curve":
            continue  # hundreds of numbers; what they end in is shown
        basis, values = table.rests_on(column), table.row(column, index)
        told = ("not measured", UNKNOWN)
        if basis == NO_TEST:
            told = (UNKNOWN, basis)
        elif len(values):
            told = (" / ".join(f"{value:.6g}" for value in values), basis)
        rows.add_row(f"{column.name} [{column.unit}]", *told)
    return rows


def draw_architecture(table: Table, index: int, path: Path) -> None:
    """Draw an architecture with its full-schedule accuracy."""
    from nats_gym.envs.rendering import Scene, save_png

    choices = table.space.choices(index)
    column = table.accuracy_column()
    known = len(table.row(column, index)) > 0
    scene = Scene(
        table.space,
        table.dataset,
        choices.tolist(),
        accuracy=float(table.mean_accuracy()[index]) if known else None,
        provenance=column.provenance if known else None,
        caption=str(table.space.string(choices)),
    )
    save_png(scene, path)
