"""``nats-gym data …``: the tables on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table as Grid

    from nats_gym.spaces import Quantity
    from nats_gym.tables import Table
    from nats_gym.tables.official import OfficialArchive

from nats_gym.errors import CorruptTable

from .terminal import (
    SPACE_NAMES,
    app,
    help_without_command,
    interruptible,
    path,
    print_grid,
    progress_bar,
    say,
    space_name,
)

data_app = typer.Typer()
app.add_typer(data_app, name="data")


@data_app.callback(invoke_without_command=True)
def data_options(context: typer.Context) -> None:
    """The tables on this machine."""
    help_without_command(context)


@data_app.command("status")
def data_status() -> None:
    """Say which tables this machine has, and what each rests on."""
    from nats_gym.datasets import DATASETS
    from nats_gym.files.home import home
    from nats_gym.results.summary import grid
    from nats_gym.spaces import known_spaces
    from nats_gym.tables import NO_TEST, embedded_folder, load_table, official
    from nats_gym.tables.named_columns import places_added

    for space in known_spaces():
        for dataset in DATASETS:
            if not embedded_folder(space, dataset).is_dir():
                continue
            table = load_table(space, dataset, "embedded")
            title = f"{space} {dataset}: {table.source}, checksum {table.checksum[:12]}"
            rows = grid(title, "column", "provenance", "held-out errors")
            for column in table.columns:
                errors = ", ".join(f"{name} {value:g}" for name, value in column.held_out.items())
                basis = table.rests_on(column)
                rows.add_row(column.name, basis, "" if basis == NO_TEST else errors)
            print_grid(rows)
            say(f"  from {'; '.join(dict.fromkeys(c.source for c in table.columns))}\n")
            if dataset == next(iter(DATASETS)) and (named := _shipped_grid(table)).row_count:
                print_grid(named)
    for space, dataset in places_added():
        _show_added(space, dataset)
    imported = official.archive_folders()
    for folder in imported:
        try:
            print_grid(_archive_grid(official.open_archive(folder)))
        except CorruptTable as error:
            say(f"{folder.name}: an imported archive, damaged: {error}")
    if not imported:
        say("no archive is imported: nats-gym data import PATH")
    say(f"NATS_GYM_HOME: {home()}")


@data_app.command("import")
def data_import(
    path: Annotated[
        Path,
        typer.Argument(
            parser=path,
            help="a -simple or -full directory, its .tar, the .pickle.pbz2, a .tfrecord, or "
            "HW-NAS-Bench's .pickle",
        ),
    ],
    space: Annotated[
        str | None, typer.Option(help="tss, sss or nb101; default: told by what is read")
    ] = None,
    curves: Annotated[
        bool, typer.Option(help="learning curves too, about 750 MB for topology")
    ] = True,
    strict: Annotated[bool, typer.Option(help="stop at the first unreadable record")] = False,
) -> None:
    """Import an official archive, once; interrupted, it resumes where it stopped."""
    from nats_gym.tables.hw_nas_bench import is_pickle

    if is_pickle(path):
        _import_hardware(path, space)
        return
    print_grid(_archive_grid(imported(path, space, curves, strict)))


@data_app.command("download")
def data_download(
    space: Annotated[str, typer.Argument(help="tss (2 GB), sss (1 GB) or nb101 (2 GB)")],
    url: Annotated[str | None, typer.Option(help="another place to fetch the file from")] = None,
    curves: Annotated[bool, typer.Option(help="import learning curves too")] = True,
    file: Annotated[
        str | None,
        typer.Option(help="which of a space's files, e.g. nasbench_only108.tfrecord (500 MB)"),
    ] = None,
) -> None:
    """Fetch the official archive of a space and import it."""
    from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    from nats_gym.tables.official.download import download, public_file

    columns = (*Progress.get_default_columns()[:2], DownloadColumn(), TransferSpeedColumn())
    with progress_bar(*columns, TimeRemainingColumn()) as bar:
        task = bar.add_task(public_file(space, file).name, total=None)

        def show(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        arrived = download(space, url, show, file)
    say(f"{arrived.path}: {arrived.size:,} bytes, SHA-256 {arrived.sha256}")
    if arrived.published:
        say(f"of which the beginning, {arrived.published}, is published, and is right")
    print_grid(_archive_grid(imported(arrived.path, space, curves)))


@data_app.command("remove")
def data_remove(
    name: Annotated[str, typer.Argument(help="name of an imported archive, as status shows it")],
) -> None:
    """Delete an imported archive; the files that it was made from stay."""
    from nats_gym.tables import official

    official.remove_archive(name)
    say(f"removed {name}")


@data_app.command("add-column")
def data_add_column(
    space: Annotated[str, typer.Argument(parser=space_name, help=SPACE_NAMES)],
    dataset: Annotated[str, typer.Argument(help="the data set's name, e.g. cifar10")],
    name: Annotated[str, typer.Argument(help="what it is looked up by, e.g. latency/phone")],
    file: Annotated[
        Path,
        typer.Argument(parser=path, help=".npy in official order, or .csv of architecture,value"),
    ],
    unit: Annotated[str, typer.Option(help="of the numbers, e.g. ms")],
    label: Annotated[str, typer.Option(help="what an axis says; default name and unit")] = "",
    higher_is_better: Annotated[bool, typer.Option("--higher-is-better")] = False,
    estimated: Annotated[
        bool, typer.Option("--estimated", help="a model's figures; default: measured ones")
    ] = False,
    origin: Annotated[str, typer.Option(help="where the figures come from")] = "",
    licence: Annotated[str, typer.Option(help="licence of the figures")] = "",
    note: Annotated[str, typer.Option(help="what a reader should know besides")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="one that was added before")] = False,
) -> None:
    """Add a column of your own to the tables of a space and data set on this machine."""
    from nats_gym.tables import MEASURED, SURROGATE, add_column

    folder = add_column(
        space,
        dataset,
        name,
        file,
        unit=unit,
        label=label,
        lower_is_better=not higher_is_better,
        provenance=SURROGATE if estimated else MEASURED,
        source=origin,
        licence=licence,
        note=note,
        replace=replace,
    )
    say(f"{name} [{unit}] of {space} {dataset}: {folder}")
    say_before_shipped(space, dataset, [name])


@data_app.command("remove-column")
def data_remove_column(
    space: Annotated[str, typer.Argument(parser=space_name, help=SPACE_NAMES)],
    dataset: Annotated[str, typer.Argument(help="the data set's name")],
    name: Annotated[str, typer.Argument(help="the column's name")],
) -> None:
    """Delete a column that was added here."""
    from nats_gym.tables import remove_column

    remove_column(space, dataset, name)
    say(f"removed {name} of {space} {dataset}")


def say_before_shipped(space: str, dataset: str, names: Iterable[str]) -> None:
    """Say of which columns that ship others take the place."""
    from nats_gym.datasets import get_dataset
    from nats_gym.spaces import get_space
    from nats_gym.tables.named_columns import shipped_columns

    shipped = shipped_columns(get_space(space), get_dataset(dataset).name)
    for name in names:
        if name in shipped:
            of = f"{name} of {space} {dataset}"
            say(f"{of} stands before what ships under its name ({shipped[name].provenance})")


def imported(
    path: Path, space: str | None, curves: bool = True, strict: bool = False
) -> OfficialArchive:
    """Import an archive, unless it is, with a progress bar."""
    from rich.markup import escape

    from nats_gym.tables import official

    kept = "what was read is kept, and the same command goes on"
    with interruptible(kept), progress_bar() as bar:
        task = bar.add_task(f"importing {escape(path.name)}", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None)

        return official.import_archive(path, space, curves, strict, progress=show)


def _import_hardware(path: Path, space: str | None) -> None:
    """Add HW-NAS-Bench's columns to the tables on this machine, and say which."""
    from nats_gym.errors import InvalidInput
    from nats_gym.results.summary import grid
    from nats_gym.tables.hw_nas_bench import SPACE, import_hw_nas_bench

    if space not in (None, SPACE):
        raise InvalidInput(f"HW-NAS-Bench is of {SPACE}, asked for was {space}")
    found = import_hw_nas_bench(path)
    rows = grid(f"{SPACE}: columns of HW-NAS-Bench, measured", "data set", "columns")
    for dataset, names in found.items():
        rows.add_row(dataset, ", ".join(names))
    print_grid(rows)
    if told := list(_say_lacking(found)):
        say(f"the file lacks {'; '.join(told)}")
    for dataset, names in found.items():
        say_before_shipped(SPACE, dataset, names)


def _say_lacking(found: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """Of each data set, what a file of HW-NAS-Bench lacks, and what stays of earlier imports."""
    from nats_gym.datasets import DATASETS
    from nats_gym.spaces import get_space
    from nats_gym.tables.devices import HW_NAS_BENCH
    from nats_gym.tables.hw_nas_bench import METRICS, SPACE
    from nats_gym.tables.named_columns import added_columns

    for dataset in DATASETS:
        there = added_columns(get_space(SPACE), dataset)
        lacking = [m.name for m in METRICS.values() if m.name not in found.get(dataset, ())]
        kept = [one for one in lacking if one in there and there[one].column.source == HW_NAS_BENCH]
        if lacking:
            what = ", ".join(lacking) if dataset in found else "everything"
            told = f" (kept from an earlier import: {', '.join(kept)})" if kept else ""
            yield f"of {dataset} {what}{told}"


def _shipped_grid(table: Table) -> Grid:
    """The named columns of a space that ship, made for a data set."""
    from nats_gym.results.summary import grid
    from nats_gym.tables.named_columns import shipped_columns

    title = f"{table.space.name}: named columns that ship, made for {table.dataset}"
    rows = grid(title, *_NAMED)
    for name, named in shipped_columns(table.space, table.dataset).items():
        column = named.column
        rows.add_row(*_named_row(name, column.what, named.provenance), column.source)
    return rows


def _show_added(space: str, dataset: str) -> None:
    """The named columns of a space on a data set that were added here, each looked at."""
    from nats_gym.errors import InvalidInput
    from nats_gym.results.summary import grid
    from nats_gym.spaces import get_space
    from nats_gym.tables.named_columns import DAMAGED, added_columns, shipped_columns
    from nats_gym.tables.table import named_figure

    rows = grid(f"{space} {dataset}: named columns that were added here", *_NAMED)
    damages = []
    try:
        of = get_space(space)
        added, shipped = added_columns(of, dataset), shipped_columns(of, dataset)
    except InvalidInput as error:  # whose space or images are not here
        say(f"{space} {dataset}: columns that were added here, for {error}\n")
        return
    for name, named in added.items():
        source = named.column.source or "—"
        told = f"{source}; before the one that ships" if name in shipped else source
        try:
            figure = named_figure(of, dataset, name)
            rows.add_row(*_named_row(name, figure.quantity, figure.provenance), told)
        except CorruptTable as error:
            damages.append(str(error))
            rows.add_row(name, "", DAMAGED, "")
    print_grid(rows)
    for damage in damages:
        say(f"  {damage}")


#: What is said of a named column.
_NAMED = ("column", "better", "provenance", "from")


def _named_row(name: str, what: Quantity, provenance: str) -> tuple[str, str, str]:
    better = "lower" if what.lower_is_better else "higher"
    return f"{name} [{what.unit}]", better, provenance


def _archive_grid(archive: OfficialArchive) -> Grid:
    """What an imported archive holds."""
    from nats_gym.results.summary import grid

    facts = archive.facts
    rows = grid(f"{archive.folder.name}: an imported archive, measured", "fact", "value")
    bytes_used = sum(f.stat().st_blocks * 512 for f in archive.folder.rglob("*") if f.is_file())
    rows.add_row("what it is", archive.origin)
    for line in archive.differences[1:]:
        rows.add_row("", line)
    rows.add_row("imported from", archive.source)
    rows.add_row("space", archive.space.name)
    rows.add_row("architectures", f"{facts['architectures']:,} of {archive.space.size:,}")
    rows.add_row("schedules", ", ".join(archive.hps))
    rows.add_row("learning curves", _curves_of(archive))
    rows.add_row("weights", str(archive.weights or "none"))
    short = {name: count for name, count in facts["without_all_trials"].items() if count}
    missing = ", ".join(f"{name}: {count:,}" for name, count in short.items())
    rows.add_row("without all trials", missing or "none")
    rows.add_row("unreadable records", str(len(facts["unreadable"]) or "none"))
    for line in facts["unreadable"][:5]:
        rows.add_row("", line)
    rows.add_row("on the disk", f"{bytes_used / 1e6:,.0f} MB in {archive.folder}")
    return rows


def _curves_of(archive: OfficialArchive) -> str:
    """Which figures an archive has from within the schedules."""
    names = {
        name
        for hp in archive.hps
        for key in archive.keys(hp)
        for name in archive.runs(key, hp).names
    }
    if any(name.startswith("halfway-") for name in names):
        return "no, but figures half-way"
    return "yes" if archive.facts["curves"] else "no"
