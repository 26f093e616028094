"""The command line: ``nats-gym search | envs | show | build | fit | data``.

Bad input is one line on standard error and exit code 2.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

import nats_gym
from nats_gym.errors import NatsGymError

if TYPE_CHECKING:
    from rich.table import Table as Grid

    from nats_gym.result import SearchResult
    from nats_gym.tables import Table
    from nats_gym.tables.official import OfficialArchive

app = typer.Typer(
    name="nats-gym",
    help="Neural architecture search as reinforcement learning.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nats-gym {nats_gym.__version__}")
        raise typer.Exit


data_app = typer.Typer()
app.add_typer(data_app, name="data")


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="and exit")
    ] = False,
) -> None:
    """Neural architecture search as reinforcement learning."""
    _help_without_command(context)


@data_app.callback(invoke_without_command=True)
def data_options(context: typer.Context) -> None:
    """The tables on this machine."""
    _help_without_command(context)


def _help_without_command(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        _say(context.get_help())


@app.command()
def search(
    space: Annotated[str, typer.Option(help="tss (topology) or sss (size)")] = "tss",
    dataset: Annotated[str, typer.Option(help="cifar10, cifar100 or ImageNet16-120")] = "cifar10",
    agent: Annotated[str, typer.Option(help="random, reinforce, rea, ppo, …")] = "reinforce",
    epochs: Annotated[
        str | None,
        typer.Option(help="schedule to search on, e.g. 12, or 4/12; default the full one"),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="simulated seconds; default the paper's × epochs/12")
    ] = None,
    runs: Annotated[int, typer.Option(help="independent runs")] = 1,
    seed: Annotated[int, typer.Option(help="seed of the study")] = 0,
    source: Annotated[str, typer.Option(help="auto, embedded or a table's folder")] = "auto",
    out: Annotated[
        Path | None, typer.Option(help="folder for runs and plot; default results/<what ran>")
    ] = None,
) -> None:
    """Search an architecture within a simulated budget, in independent runs."""
    from rich.progress import Progress

    from nats_gym.agents import get_agent
    from nats_gym.files import check_folder
    from nats_gym.protocol import search as run_search
    from nats_gym.protocol import search_arguments
    from nats_gym.tables import official
    from nats_gym.tables.load import SOURCES, is_archive

    schedule = _number_or_text(epochs) if epochs else None
    if source not in SOURCES and is_archive(source):
        get_agent(agent)  # an import takes minutes: no wrong name after it
        if official.find_archive(source) is None:
            _imported(Path(source), space)
    arguments = search_arguments(space, dataset, agent, schedule, budget, runs, seed, source)
    folder = out or default_folder(arguments)
    check_folder(folder)  # before the work, not after it
    started = time.perf_counter()
    with Progress(transient=True, disable=_quiet()) as bar:
        task = bar.add_task(f"{agent} × {runs}", total=1.0)
        result = run_search(**arguments, progress=lambda share: bar.update(task, completed=share))
    seconds = time.perf_counter() - started
    report(result, seconds, folder)


def default_folder(ran: Mapping[str, Any]) -> Path:
    """Where a search's result goes: a name that two different searches do not share."""
    source = "" if ran["source"] == "auto" else f"-{Path(ran['source']).name}"
    return Path(
        "results",
        f"{ran['space']}-{ran['dataset']}-{ran['agent']}-{ran['epochs']}".replace("/", "of")
        + f"-{ran['budget']:.12g}s-{ran['runs']}runs-seed{ran['seed']}{source}",
    )


def report(result: SearchResult, seconds: float, folder: Path) -> None:
    """Save a search's runs, print its table, and plot its incumbent."""
    from nats_gym.plots import plot_incumbent
    from nats_gym.summary import summary_grid

    result.save(folder)
    _print(summary_grid([result]))
    _say(f"{seconds:.2f} s of search; runs.npz and run.json in {folder}")
    _say(f"plot: {plot_incumbent([result], folder / 'incumbent.png')}")


@app.command()
def envs() -> None:
    """List the environment ids."""
    from nats_gym.registration import ENVIRONMENTS

    for env_id in ENVIRONMENTS:
        _say(env_id)


@app.command()
def show(
    space: Annotated[str, typer.Argument(help="tss or sss")],
    architecture: Annotated[str, typer.Argument(help="official index or official string")],
    png: Annotated[Path | None, typer.Option(help="draw it too, to this file (.png)")] = None,
    dataset: Annotated[str, typer.Option(help="whose accuracy the picture shows")] = "cifar10",
) -> None:
    """Show an architecture with its figures and what they rest on."""
    from nats_gym.datasets import DATASETS
    from nats_gym.spaces import get_space
    from nats_gym.tables import load_table

    chosen = get_space(space)
    index = chosen.resolve(_number_or_text(architecture))
    digits = chosen.digits(index)
    drawn = load_table(space, dataset)
    if png:
        _draw_architecture(drawn, index, png)
    _say(f"{chosen.title} {index}: {chosen.string(digits)}")
    for decision, digit in zip(chosen.decision_names, digits.tolist(), strict=True):
        _say(f"  {decision:<12} {chosen.choice_names[digit]}")
    for name in DATASETS:
        _print(_figures_grid(load_table(space, name), index))
    if png:
        _say(f"picture: {png}")


@app.command("build")
def build_table(
    space: Annotated[str, typer.Option(help="tss (topology) or sss (size)")],
    dataset: Annotated[str, typer.Option(help="cifar10, cifar100, ImageNet16-120 or digits")],
    out: Annotated[Path, typer.Option(help="folder of the build, to go on with if it is there")],
    archs: Annotated[str, typer.Option(help="0-199,300 or random:300:seed0 or all")],
    epochs: Annotated[int | None, typer.Option(help="default the full schedule")] = None,
    trials: Annotated[int, typer.Option(help="trainings of each, with seeds 0, 1, …")] = 1,
    workers: Annotated[int, typer.Option(help="trainings at a time on this machine")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, or cuda:0,cuda:1 in turn")] = "auto",
    data_dir: Annotated[Path | None, typer.Option(help="where the data set lies")] = None,
    curves: Annotated[bool, typer.Option(help="learning curves in the table too")] = True,
    licence: Annotated[str, typer.Option(help="of the figures, as the table says")] = "unstated",
    ray: Annotated[bool, typer.Option("--ray", help="train on a Ray cluster instead")] = False,
    address: Annotated[str | None, typer.Option(help="of that cluster")] = None,
    gpus: Annotated[float, typer.Option(help="GPUs that a training holds there")] = 0.0,
    export_official: Annotated[
        Path | None, typer.Option(help="write files for the public nats_bench too, here")
    ] = None,
    export_as: Annotated[
        str | None, typer.Option("--as", help="data set key in those, e.g. cifar10-valid")
    ] = None,
) -> None:
    """Train architectures into a table of your own; interrupted, it goes on where it stopped."""
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from nats_gym import building

    plan = building.Plan.of(space, dataset, epochs)
    chosen = building.parse_architectures(archs, plan.architectures)
    cluster = {"num_gpus": gpus, "address": address} if ray else None
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True, disable=_quiet()) as bar:
        task = bar.add_task("training", total=None)
        built = building.build(
            *(out, plan, chosen, trials),
            workers=workers,
            devices=device.split(","),
            cluster=cluster,
            data_dir=data_dir,
            curves=curves,
            licence=licence,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    _say(f"{built.trained} trained now; {built.trainings} trainings in {out}")
    _say(f"table of {built.architectures} architectures: {built.table.folder}")
    if export_official:
        with building.open_build(out) as store:
            written = building.export_official(store, export_official, export_as)
        _say(f"official files of {written} architectures: {export_official}")


@app.command()
def fit(
    table: Annotated[Path, typer.Argument(help="a partial table, such as a build's DIR/table")],
    out: Annotated[Path | None, typer.Option(help="default beside it, TABLE-fitted")] = None,
) -> None:
    """Estimate the architectures that a partial table lacks: a new table, all of estimates."""
    from nats_gym.building import fit_table

    fitted = fit_table(table, out)
    for column in fitted.columns:
        errors = ", ".join(f"{name} {value:g}" for name, value in column.held_out.items())
        _say(f"{column.name} ({column.provenance}): held out {errors}")
    _say(f"table of {fitted.space.size:,} estimated architectures: {fitted.folder}")


@data_app.command("status")
def data_status() -> None:
    """Say which tables this machine has, and what each rests on."""
    from nats_gym.datasets import DATASETS
    from nats_gym.spaces import SPACES
    from nats_gym.summary import grid
    from nats_gym.tables import load_table, official
    from nats_gym.tables.home import home

    for space in SPACES:
        for dataset in DATASETS:
            table = load_table(space, dataset, "embedded")
            title = f"{space} {dataset}: {table.source}, checksum {table.checksum[:12]}"
            rows = grid(title, "column", "provenance", "held-out errors")
            for column in table.columns:
                errors = ", ".join(f"{name} {value:g}" for name, value in column.held_out.items())
                rows.add_row(column.name, column.provenance, errors)
            _print(rows)
            _say(f"  from {'; '.join(dict.fromkeys(c.source for c in table.columns))}\n")
    imported = official.archives()
    for archive in imported:
        _print(_archive_grid(archive))
    if not imported:
        _say("no official archive is imported: nats-gym data import PATH")
    _say(f"NATS_GYM_HOME: {home()}")


@data_app.command("import")
def data_import(
    path: Annotated[
        Path, typer.Argument(help="a -simple or -full directory, its .tar, or the .pickle.pbz2")
    ],
    space: Annotated[
        str | None, typer.Option(help="tss or sss; default: told by the first record")
    ] = None,
    curves: Annotated[
        bool, typer.Option(help="learning curves too, about 750 MB for topology")
    ] = True,
    strict: Annotated[bool, typer.Option(help="stop at the first unreadable record")] = False,
) -> None:
    """Import an official NATS-Bench archive, once; interrupted, it resumes where it stopped."""
    _print(_archive_grid(_imported(path, space, curves, strict)))


@data_app.command("download")
def data_download(
    space: Annotated[str, typer.Argument(help="tss (about 2 GB) or sss (about 1 GB)")],
    url: Annotated[str | None, typer.Option(help="another place to fetch the tar from")] = None,
    curves: Annotated[bool, typer.Option(help="import learning curves too")] = True,
) -> None:
    """Fetch the official archive of a space and import it."""
    from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    from nats_gym.tables.official.download import TARS, download

    columns = (*Progress.get_default_columns()[:2], DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), transient=True, disable=_quiet()) as bar:
        task = bar.add_task(TARS.get(space, (space,))[0], total=None)
        arrived = download(
            space, url, lambda done, total: bar.update(task, completed=done, total=total)
        )
    _say(f"{arrived.path}: {arrived.size:,} bytes, SHA-256 {arrived.sha256}")
    _print(_archive_grid(_imported(arrived.path, space, curves)))


@data_app.command("remove")
def data_remove(
    name: Annotated[str, typer.Argument(help="name of an imported archive, as status shows it")],
) -> None:
    """Delete an imported archive; the files that it was made from stay."""
    from nats_gym.errors import unknown_name
    from nats_gym.tables import official

    imported = {archive.folder.name: archive for archive in official.archives()}
    if name not in imported:
        raise unknown_name("imported archive", name, imported)
    official.remove_archive(imported[name])
    _say(f"removed {name}")


def _imported(
    path: Path, space: str | None, curves: bool = True, strict: bool = False
) -> OfficialArchive:
    """Import an archive, unless it is, with a progress bar."""
    from rich.progress import Progress

    from nats_gym.tables import official

    with Progress(transient=True, disable=_quiet()) as bar:
        task = bar.add_task(f"importing {path.name}", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None)

        return official.import_archive(path, space, curves, strict, progress=show)


def _archive_grid(archive: OfficialArchive) -> Grid:
    """What an imported archive holds."""
    from nats_gym.summary import grid

    facts = archive.facts
    rows = grid(f"{archive.folder.name}: official archive, measured", "fact", "value")
    bytes_used = sum(f.stat().st_blocks * 512 for f in archive.folder.rglob("*") if f.is_file())
    rows.add_row("imported from", archive.source)
    rows.add_row("space", archive.space.name)
    rows.add_row("architectures", f"{facts['architectures']:,} of {archive.space.size:,}")
    rows.add_row("schedules", ", ".join(archive.hps))
    rows.add_row("learning curves", "yes" if facts["curves"] else "no")
    rows.add_row("weights", str(archive.weights or "none"))
    short = {name: count for name, count in facts["without_all_trials"].items() if count}
    missing = ", ".join(f"{name}: {count:,}" for name, count in short.items())
    rows.add_row("without all trials", missing or "none")
    rows.add_row("unreadable records", str(len(facts["unreadable"]) or "none"))
    for line in facts["unreadable"][:5]:
        rows.add_row("", line)
    rows.add_row("on the disk", f"{bytes_used / 1e6:,.0f} MB in {archive.folder}")
    return rows


def main() -> None:
    """Run the command line."""
    try:
        code = app(standalone_mode=False)
    except NatsGymError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'file'}: {error.strerror or error}")
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        # Newer releases of Typer carry a click of their own, so the class of a usage error has
        # no public name; what it can do tells it.
        if not hasattr(error, "format_message"):
            raise
        _fail(error.format_message())
    sys.exit(code or 0)


def _figures_grid(table: Table, index: int) -> Grid:
    """What a table knows of one architecture, with the closed-form cost of its network."""
    from nats_gym.summary import grid

    digits = table.space.digits(index)
    rows = grid(f"{table.dataset} ({table.source})", "figure", "value", "provenance")
    params, flops = (
        cost(digits, table.dataset) for cost in (table.space.params, table.space.flops)
    )
    rows.add_row("params [M]", f"{params:.6f}", "closed form")
    rows.add_row("FLOPs [M]", f"{flops:.5f}", "closed form")
    for column in table.columns:
        if column.quantity == "accuracy_curve":
            continue  # hundreds of numbers; what they end in is shown
        values = table.row(column, index)
        shown = " / ".join(f"{value:.6g}" for value in values)
        rows.add_row(f"{column.name} [{column.unit}]", shown, column.provenance)
    return rows


def _draw_architecture(table: Table, index: int, path: Path) -> None:
    """Draw an architecture with its full-schedule accuracy."""
    from nats_gym.envs.rendering import Scene, save_png

    digits = table.space.digits(index)
    column = table.accuracy_column()
    known = len(table.row(column, index)) > 0
    scene = Scene(
        table.space,
        table.dataset,
        digits.tolist(),
        accuracy=float(table.mean_accuracy()[index]) if known else None,
        provenance=column.provenance if known else None,
        caption=str(table.space.string(digits)),
    )
    save_png(scene, path)


def _print(grid: Grid) -> None:
    from rich.console import Console

    # Off a terminal nothing needs to wrap: a pipe has no width.
    Console(width=None if sys.stdout.isatty() else 160).print(grid)


def _number_or_text(text: str) -> int | str:
    return int(text) if re.fullmatch("-?[0-9]{1,18}", text) else text


def _quiet() -> bool:
    return not sys.stderr.isatty()


def _say(line: str) -> None:
    typer.echo(line)


def _fail(message: str) -> NoReturn:
    typer.echo(f"nats-gym: {' '.join(message.split())}", err=True)
    sys.exit(2)
