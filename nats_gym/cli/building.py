"""``nats-gym build``, ``nats-gym fit`` and ``nats-gym measure``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nats_gym.errors import InvalidInput

from .data import say_before_shipped
from .terminal import (
    DATASET_NAMES,
    SPACE_NAMES,
    app,
    check_data_dir,
    interruptible,
    number_or_text,
    path,
    print_grid,
    progress_bar,
    results_folder,
    say,
    space_name,
)


@app.command("build")
def build_table(
    space: Annotated[str, typer.Option(parser=space_name, help=SPACE_NAMES)],
    dataset: Annotated[str, typer.Option(help=DATASET_NAMES)],
    out: Annotated[
        Path, typer.Option(parser=path, help="folder of the build, to go on with if it is there")
    ],
    archs: Annotated[str, typer.Option(help="0-199,300 or random:300:seed0 or all")],
    epochs: Annotated[int | None, typer.Option(help="default the full schedule")] = None,
    trials: Annotated[int, typer.Option(help="trainings of each, with seeds 0, 1, …")] = 1,
    workers: Annotated[
        int | None, typer.Option(help="trainings at a time on this machine, default 1")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, or cuda:0,cuda:1 in turn")] = "auto",
    data_dir: Annotated[
        Path | None, typer.Option(parser=path, help="where the data set lies")
    ] = None,
    curves: Annotated[bool, typer.Option(help="learning curves in the table too")] = True,
    licence: Annotated[
        str | None,
        typer.Option(help="of the figures, as the table says; default as it said, or unstated"),
    ] = None,
    ray: Annotated[bool, typer.Option("--ray", help="train on a Ray cluster instead")] = False,
    address: Annotated[str | None, typer.Option(help="of that cluster")] = None,
    gpus: Annotated[
        float | None, typer.Option(help="GPUs that a training holds there, default 0")
    ] = None,
    export_official: Annotated[
        Path | None,
        typer.Option(parser=path, help="write files for the public nats_bench too, here"),
    ] = None,
    export_as: Annotated[
        str | None, typer.Option("--as", help="data set key in those, e.g. cifar10-valid")
    ] = None,
) -> None:
    """Train architectures into a table of your own; interrupted, it goes on where it stopped."""
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from nats_gym import building

    _check_together(ray, workers, device, address, gpus)
    if export_as is not None and export_official is None:
        raise InvalidInput("--as names the data set of --export-official DIR, which is not given")
    plan = building.Plan.of(space, dataset, epochs)
    check_data_dir(data_dir, plan.dataset)
    chosen = building.parse_architectures(archs, plan.architectures)
    if export_official:
        building.check_export(plan, export_official, export_as)
        if export_official.resolve().is_relative_to((out / building.TABLE).resolve()):
            raise InvalidInput(f"--export-official {export_official} is where the table goes")
    cluster: dict[str, Any] | None = None
    if ray:
        cluster = {"num_gpus": 0 if gpus is None else gpus, "address": address}
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    kept = f"what is trained is kept in {out}, and the same command goes on"
    with interruptible(kept), progress_bar(*columns) as bar:
        task = bar.add_task("training", total=None)
        built = building.build(
            *(out, plan, chosen, trials),
            workers=1 if workers is None else workers,
            devices=device.split(","),
            cluster=cluster,
            data_dir=data_dir,
            curves=curves,
            licence=licence,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    say(f"{built.trained} trained now; {built.trainings} trainings in {out}")
    say(f"table of {built.architectures} architectures: {built.table.folder}")
    if export_official:
        with building.open_build(out) as store:
            written = building.export_official(store, export_official, export_as)
        say(f"official files of {written} architectures: {export_official}")


def _check_together(
    ray: bool, workers: int | None, device: str, address: str | None, gpus: float | None
) -> None:
    """Refuse options that would be passed over."""
    if ray and workers is not None:
        raise InvalidInput("--workers is for this machine; on Ray, --gpus says how many fit")
    if ray and "," in device:
        raise InvalidInput(f"on Ray a training takes what Ray gives it: one --device, not {device}")
    if not ray:
        for option, value in (("--address", address), ("--gpus", gpus)):
            if value is not None:
                raise InvalidInput(f"{option} is an option of --ray, which is not given")


@app.command()
def fit(
    table: Annotated[
        Path, typer.Argument(parser=path, help="a partial table, such as a build's DIR/table")
    ],
    out: Annotated[
        Path | None, typer.Option(parser=path, help="default beside it, TABLE-fitted")
    ] = None,
) -> None:
    """Estimate the architectures that a partial table lacks: a new table, all of estimates.

    A table at --out is replaced; any other folder that holds something is refused.
    """
    from nats_gym.building import fit_table

    fitted = fit_table(table, out)
    for column in fitted.columns:
        errors = ", ".join(f"{name} {value:g}" for name, value in column.held_out.items())
        say(f"{column.name} ({column.provenance}): held out {errors}")
    say(f"table of {fitted.space.size:,} estimated architectures: {fitted.folder}")


@app.command()
def measure(
    space: Annotated[str, typer.Option(parser=space_name, help=SPACE_NAMES)],
    dataset: Annotated[str, typer.Option(help=DATASET_NAMES)] = "cifar10",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1")] = "cpu",
    batch: Annotated[str, typer.Option(help="images, e.g. 1,256: a column for each")] = "1",
    threads: Annotated[int, typer.Option(help="on the CPU")] = 1,
    dead_branches: Annotated[
        bool,
        typer.Option(
            "--dead-branches",
            help="compute what cannot reach the output, and measure isomorphic architectures each",
        ),
    ] = False,
    passes: Annotated[int, typer.Option(help="over the space, each in an order of its own")] = 2,
    seconds: Annotated[float, typer.Option(help="of repetitions for a network in a pass")] = 0.1,
    samples: Annotated[
        int | None, typer.Option(help="of how many networks, drawn at random; adds no column")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="of the column; default latency/cpu-1-thread-batch1 or so")
    ] = None,
    licence: Annotated[str, typer.Option(help="of the figures")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="one that was added before")] = False,
    out: Annotated[
        Path | None,
        typer.Option(parser=path, help="folder of the timings; default results/<what measured>"),
    ] = None,
) -> None:
    """Time a space's networks on this machine, and add the latency as a column, in milliseconds.

    Interrupted, it goes on where it stopped. A part of them (--samples) is shown, and no column.
    """
    from numpy import isnan, nanquantile

    from nats_gym.measuring import measure_latency
    from nats_gym.results.summary import grid

    told = [space, dataset, device, *(["dead"] if dead_branches else []), f"batch{batch}"]
    told += [f"{threads}threads", f"{seconds:g}s", *([] if name is None else [name])]
    folder = out or results_folder("measure", *told)
    kept = f"what was measured is kept in {folder}, and the same command goes on"
    with interruptible(kept), progress_bar() as bar:
        task = bar.add_task("measuring", total=None)
        found = measure_latency(
            *(space, dataset, folder),
            device=device,
            batch=[number_or_text(one.strip()) for one in batch.split(",")],  # type: ignore[misc]
            threads=threads,
            dead_branches=dead_branches,
            passes=passes,
            seconds=seconds,
            samples=samples,
            name=name,
            licence=licence,
            replace=replace,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    title = f"{space} {dataset}: milliseconds of a forward pass"
    rows = grid(title, "column", "least", "median", "most", "passes apart", "rank correlation")
    for one in found:
        least, median, most = nanquantile(one.milliseconds, (0, 0.5, 1))
        figures = (f"{least:.3f}", f"{median:.3f}", f"{most:.3f}")
        apart = "—" if isnan(one.spread) else f"{one.spread:.2%}"
        alike = "—" if isnan(one.correlation) else f"{one.correlation:.4f}"
        rows.add_row(one.name, *figures, apart, alike)
    print_grid(rows)
    if found[0].folder is None:
        say(f"a part of {space}, of which there is no column; without --samples the rest follows")
    else:
        say_before_shipped(space, dataset, [one.name for one in found])
