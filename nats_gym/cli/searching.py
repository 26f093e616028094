"""``nats-gym search``."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nats_gym.errors import InvalidInput

if TYPE_CHECKING:
    from nats_gym.result import SearchResult

from .data import imported
from .terminal import app, number_or_text, print_grid, quiet, say


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
    option: Annotated[
        list[str] | None, typer.Option(help="of the agent, NAME=VALUE; may be repeated")
    ] = None,
    rungs: Annotated[
        str | None, typer.Option(help="schedules of a multi-fidelity agent, e.g. 1/12,4/12,12")
    ] = None,
    workers: Annotated[int, typer.Option(help="simulated workers of such an agent")] = 1,
    continuing: Annotated[
        str | None, typer.Option(help="what a training that goes on costs: difference or scratch")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="folder for runs and plot; default results/<what ran>")
    ] = None,
) -> None:
    """Search an architecture within a simulated budget, in independent runs."""
    from rich.progress import Progress

    from nats_gym.agents import find_agent
    from nats_gym.files import check_folder
    from nats_gym.protocol import search as run_search
    from nats_gym.protocol import search_arguments
    from nats_gym.tables import official
    from nats_gym.tables.load import SOURCES, is_archive

    schedule = number_or_text(epochs) if epochs else None
    if source not in SOURCES and is_archive(source):
        find_agent(agent)  # an import takes minutes: no wrong name after it
        if official.find_archive(source) is None:
            imported(Path(source), space)
    arguments = search_arguments(
        *(space, dataset, agent, schedule, budget, runs, seed, source),
        options=_options(option or []),
        rungs=[number_or_text(rung.strip()) for rung in rungs.split(",")] if rungs else None,
        workers=workers,
        continuing=continuing,
    )
    folder = out or default_folder(arguments)
    check_folder(folder)  # before the work, not after it
    started = time.perf_counter()
    with Progress(transient=True, disable=quiet()) as bar:
        task = bar.add_task(f"{agent} × {runs}", total=1.0)
        result = run_search(**arguments, progress=lambda share: bar.update(task, completed=share))
    seconds = time.perf_counter() - started
    report(result, seconds, folder)


def default_folder(ran: Mapping[str, Any]) -> Path:
    """Where a search's result goes: a name that two different searches do not share."""
    source = "" if ran["source"] == "auto" else f"-{Path(ran['source']).name}"
    told = [
        *(ran["space"], ran["dataset"], ran["agent"]),
        *(f"{name}={value}" for name, value in ran["options"].items()),
        *(ran["epochs"], f"{ran['budget']:.12g}s", f"{ran['runs']}runs", f"seed{ran['seed']}"),
    ]
    if ran["rungs"]:
        told.append("rungs" + ",".join(map(str, ran["rungs"])))
    if ran["workers"] != 1:
        told.append(f"{ran['workers']}workers")
    if ran["continuing"]:
        told.append(ran["continuing"])
    name = "-".join(map(str, told)).replace("/", "of")
    return Path("results", re.sub(r"[^\w.,=+-]+", "_", name) + source)


def _options(given: list[str]) -> dict[str, Any]:
    """Options of an agent: each value as JSON reads it, else as text."""
    options: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidInput(f"an agent's option is NAME=VALUE, got {text!r}")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options


def report(result: SearchResult, seconds: float, folder: Path) -> None:
    """Save a search's runs, print its table, and plot its incumbent."""
    from nats_gym.plots import plot_incumbent
    from nats_gym.summary import summary_grid

    result.save(folder)
    print_grid(summary_grid({result.arguments["agent"]: result}))
    say(f"{seconds:.2f} s of search; runs.npz and run.json in {folder}")
    say(f"plot: {plot_incumbent([result], folder / 'incumbent.png')}")
