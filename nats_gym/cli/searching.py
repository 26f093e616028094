"""``nats-gym search``."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nats_gym.errors import InvalidInput, shown
from nats_gym.files import check_source

if TYPE_CHECKING:
    from nats_gym.results.result import SearchArguments, SearchResult

from .data import imported
from .showing import draw_architecture
from .terminal import (
    DATASET_NAMES,
    SPACE_NAMES,
    app,
    interruptible,
    look_here,
    named_values,
    number_or_text,
    path,
    print_grid,
    progress_bar,
    say,
    space_name,
)


@app.command()
def search(
    space: Annotated[
        str | None,
        typer.Option(parser=space_name, help=f"{SPACE_NAMES}; default tss, or the agent's"),
    ] = None,
    dataset: Annotated[str, typer.Option(help=DATASET_NAMES)] = "cifar10",
    agent: Annotated[
        str, typer.Option(help="random, reinforce, rea, asha, ppo, gdas, …; docs/algorithms.md")
    ] = "reinforce",
    epochs: Annotated[
        str | None,
        typer.Option(
            help="schedule to search on, e.g. 12, or 4/12; default the full one. "
            "Of a weight-sharing search, its supernet's own"
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            help="simulated seconds; default the paper's × epochs/12, or none beside "
            "--evaluations. Of a weight-sharing search "
            "real ones; default no cap in practice"
        ),
    ] = None,
    evaluations: Annotated[
        int | None,
        typer.Option(
            help="architectures that a run evaluates; the budget, if given too, may end it before. "
            "Not of a weight-sharing search"
        ),
    ] = None,
    runs: Annotated[int, typer.Option(help="independent runs")] = 1,
    seed: Annotated[int, typer.Option(help="seed of the study")] = 0,
    source: Annotated[str, typer.Option(help="auto, embedded or a table's folder")] = "auto",
    option: Annotated[
        list[str] | None, typer.Option(help="of the agent, NAME=VALUE; may be repeated")
    ] = None,
    rungs: Annotated[
        str | None, typer.Option(help="schedules of a multi-fidelity agent, e.g. 1/12,4/12,12")
    ] = None,
    workers: Annotated[
        int, typer.Option(help="evaluations beside each other, of an agent that asks and is told")
    ] = 1,
    continuing: Annotated[
        str | None, typer.Option(help="what a training that goes on costs: difference or scratch")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(parser=path, help="where a weight-sharing search finds its images"),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="of a weight-sharing search: auto, cpu, cuda:0")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=path, help="folder for runs and plot; default results/<what ran>"),
    ] = None,
) -> None:
    """Search an architecture within a simulated budget, in independent runs."""

    from nats_gym.agents import find_agent
    from nats_gym.agents.weight_sharing import METHODS, get_method
    from nats_gym.files import check_folder
    from nats_gym.protocol import search as run_search
    from nats_gym.protocol import search_arguments
    from nats_gym.tables import official
    from nats_gym.tables.load import SOURCES, is_archive

    if ":" in agent:
        look_here()  # as a study finds an agent beside its file
    schedule = None if epochs is None else number_or_text(epochs)
    options = named_values(option or [], "an agent's option")
    for name, value in (("data_dir", data_dir), ("device", device)):
        if value is not None:
            options[name] = str(value)
    if space is None:
        space = get_method(agent).space if agent in METHODS else "tss"
    if check_source(source) not in SOURCES and is_archive(source):
        find_agent(agent)  # an import takes minutes: no wrong name after it
        if official.find_archive(source) is None:
            imported(Path(source), space)
    arguments = search_arguments(
        *(space, dataset, agent, schedule, budget, runs, seed, source),
        options=options,
        rungs=rungs and [number_or_text(rung.strip()) for rung in rungs.split(",")],
        workers=workers,
        continuing=continuing,
        evaluations=evaluations,
    )
    folder = out or default_folder(arguments)
    check_folder(folder)  # before the work, not after it
    _check_other(folder, arguments)
    checkpoints = folder / "checkpoints" if arguments.shares_weights else None
    started = time.perf_counter()
    kept = "nothing is kept of it, and the same command begins anew"
    if checkpoints:
        kept = f"whole epochs are kept in {checkpoints}, and the same command goes on"
    with interruptible(kept), progress_bar() as bar:
        task = bar.add_task(f"{agent} × {runs}", total=1.0)
        result = run_search(
            **arguments,
            checkpoints=checkpoints,
            progress=lambda share: bar.update(task, completed=share),
        )
    seconds = time.perf_counter() - started
    report(result, seconds, folder)
    if checkpoints:
        shutil.rmtree(checkpoints, ignore_errors=True)


def _check_other(folder: Path, arguments: SearchArguments) -> None:
    """Refuse a folder that holds what another search found."""
    from nats_gym.results.result import read_run

    try:
        there = read_run(folder).get("arguments")
    except (OSError, ValueError):
        return  # nothing that could be read again
    if there != json.loads(json.dumps(dict(arguments))):
        raise InvalidInput(
            f"{shown(str(folder))} holds another search; move it away, or give another --out"
        )


def default_folder(ran: SearchArguments) -> Path:
    """Where a search's result goes: a name that two different searches do not share."""
    source = "" if ran.source == "auto" else f"-{Path(ran.source).name}"
    told = [
        *(ran.space, ran.dataset, ran.agent),
        *(f"{name}={value}" for name, value in ran.options.items()),
        *(ran.epochs, ran.bound_in_names, f"{ran.runs}runs", f"seed{ran.seed}"),
    ]
    if ran.supernet_epochs:
        told.append(f"supernet{ran.supernet_epochs}")
    if ran.rungs:
        told.append("rungs" + ",".join(map(str, ran.rungs)))
    if ran.workers != 1:
        told.append(f"{ran.workers}workers")
    if ran.continuing:
        told.append(ran.continuing)
    name = "-".join(map(str, told)).replace("/", "of")
    return Path("results", re.sub(r"[^\w.,=+-]+", "_", name) + source)


def report(result: SearchResult, seconds: float, folder: Path) -> None:
    """Save a search's runs, print its table, and plot its incumbent."""
    from nats_gym.results.plots import plot_alphas, plot_incumbent
    from nats_gym.results.summary import summary_grid

    result.save(folder)
    print_grid(summary_grid({result.arguments.agent: result}))
    say(f"{seconds:.2f} s of search; runs.npz and run.json in {folder}")
    say(f"plot: {plot_incumbent([result], folder / 'incumbent.png')}")
    if (epochs := result.arguments.supernet_epochs) is not None:
        passed = int(result.evaluations.min())
        if passed < epochs:
            say(f"stopped by the budget after {passed} of {epochs} epochs, in mid-schedule")
        derived = int(result.recommended[0])
        say(f"alphas of the first run: {plot_alphas(result, folder / 'alphas.png')}")
        draw_architecture(result.table, derived, folder / "derived.png")
        name = result.table.space.name_of(derived)
        say(f"what it derived, {derived} {name}: {folder / 'derived.png'}")
