"""``nats-gym search``."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nats_gym.errors import InvalidInput, shown
from nats_gym.files.writing import check_source

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from nats_gym.protocol.live import Standing
    from nats_gym.results.arguments import SearchArguments
    from nats_gym.results.result import SearchResult

from .data import imported
from .showing import draw_architecture
from .terminal import (
    DATASET_NAMES,
    SPACE_NAMES,
    EpochLines,
    app,
    in_words,
    interruptible,
    look_here,
    named_values,
    number_or_text,
    path,
    print_grid,
    progress_bar,
    say,
    seconds,
    space_name,
)

#: Seconds between two lines on a search that finds nothing better, off a terminal.
_BETWEEN_LINES = 30.0
#: Characters of a folder's name that is made here, of the 255 that a system takes.
LONGEST_FOLDER = 200
#: Architectures that are trained in full after a search.
MOST_FINAL = 100
#: What options of an evaluator are called here.
_SAID = {"name": "--evaluator", "workers": "--workers"}


@app.command()
def search(
    space: Annotated[
        str | None,
        typer.Option(parser=space_name, help=f"{SPACE_NAMES}; default tss, or the agent's"),
    ] = None,
    dataset: Annotated[str, typer.Option(help=DATASET_NAMES)] = "cifar10",
    agent: Annotated[
        str,
        typer.Option(
            help="random, reinforce, rea, asha, ppo, gdas, controller, …, or the folder of a "
            "controller of yours; docs/algorithms.md"
        ),
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
            parser=seconds,
            metavar="TIME",
            help="simulated seconds; default the paper's × epochs/12, or none beside "
            "--evaluations. Of a weight-sharing search and with --evaluator "
            "real ones, e.g. 90, 30m, 8h; default no cap in practice",
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
        int, typer.Option(help="evaluations beside each other; not of weight-sharing searches")
    ] = 1,
    continuing: Annotated[
        str | None, typer.Option(help="what a training that goes on costs: difference or scratch")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(parser=path, help="where a weight-sharing search finds its images"),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="of what is trained: auto, cpu, cuda:0, or several: cuda:0,cuda:1"),
    ] = None,
    evaluator: Annotated[
        str | None,
        typer.Option(
            help="who answers instead of a table, for real: train, proxy, ray, …, or "
            "module:Class of your own"
        ),
    ] = None,
    evaluator_option: Annotated[
        list[str] | None,
        typer.Option(help='of the evaluator, NAME=VALUE, e.g. recipe={"batch_size":128}; repeated'),
    ] = None,
    final: Annotated[
        int, typer.Option(help="with --evaluator: train so many of the best in full, and keep them")
    ] = 0,
    final_epochs: Annotated[
        int | None, typer.Option(help="length of that training; default the full schedule")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=path, help="folder for runs and plot; default results/<what ran>"),
    ] = None,
) -> None:
    """Search an architecture within a budget, in independent runs.

    A table answers, in simulated time; with --evaluator the networks are trained, in real time.
    """
    from nats_gym.agents import find_agent
    from nats_gym.agents.weight_sharing import METHODS, get_method
    from nats_gym.files.writing import check_folder
    from nats_gym.protocol import search as run_search
    from nats_gym.protocol import search_arguments
    from nats_gym.spaces import SPACES
    from nats_gym.tables import official
    from nats_gym.tables.load import SOURCES, is_archive

    if ":" in f"{agent}{evaluator or ''}":
        look_here()  # as a study finds an agent beside its file
    schedule = None if epochs is None else number_or_text(epochs)
    options = named_values(option or [], "an agent's option")
    live = None
    if evaluator is not None:
        live = {"name": evaluator}
        for name, value in named_values(evaluator_option or [], "an evaluator's option").items():
            if name in _SAID:
                raise InvalidInput(f"an evaluator's {name} is said by {_SAID[name]}")
            live[name] = value
    elif evaluator_option or final:
        raise InvalidInput("--evaluator-option and --final go with --evaluator")
    if final_epochs is not None and not final:
        raise InvalidInput("--final-epochs goes with --final")
    for name, value in (("data_dir", data_dir), ("device", device)):
        if value is not None:
            (options if live is None else live)[name] = str(value)
    if not 0 <= final <= MOST_FINAL:
        raise InvalidInput(f"--final is from 0 to {MOST_FINAL} architectures, got {final}")
    if space is None:
        space = get_method(agent).space if agent in METHODS else next(iter(SPACES))
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
        evaluator=live,
    )
    folder = out or default_folder(arguments)
    check_folder(folder)  # before the work, not after it
    _check_other(folder, arguments)
    checkpoints = folder / "checkpoints" if arguments.shares_weights else None
    if live is not None:
        _search_live(arguments, folder, final, final_epochs)
        return
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
    report(result, time.perf_counter() - started, folder)
    if checkpoints:
        shutil.rmtree(checkpoints, ignore_errors=True)


def _search_live(
    arguments: SearchArguments, folder: Path, final: int, final_epochs: int | None
) -> None:
    """Search on an evaluator, tell of it, and train the best in full."""
    from nats_gym.protocol import search as run_search

    started = time.perf_counter()
    kept = f"all answers are kept in {folder}, and the same command goes on"
    with interruptible(kept), progress_bar() as bar:
        display = LiveDisplay(arguments, bar)
        result = run_search(
            **arguments, checkpoints=folder, progress=display.progress, watch=display.watch
        )
    report(result, time.perf_counter() - started, folder)
    if (failed := int(result.provenance["failures"])) > 0:
        say(f"{failed} of {int(result.evaluations.sum())} evaluations failed; one that does counts")
        say("as chance, so look at the best with care")
    space, best = result.table.space, best_observed(result, max(1, final))
    for index, accuracy in best:
        say(f"observed {result.observed.said(accuracy)}: {index} {space.name_of(index)}")
    if final:
        _train_best(result, best, folder, final_epochs)
    elif best:
        say(f"in full: nats-gym train {space.name} {best[0][0]} --dataset {arguments.dataset}")


def best_observed(result: SearchResult, most: int) -> list[tuple[int, float]]:
    """The best architectures of all runs, each by its best accuracy on the longest schedule."""
    rungs = result.rung[result.there & (result.index >= 0)]
    if not len(rungs):
        return []
    found: dict[int, float] = {}
    longest = result.there & (result.index >= 0) & (result.rung == rungs.max())
    pairs = zip(result.index[longest].tolist(), result.accuracy[longest].tolist(), strict=True)
    for index, accuracy in pairs:
        found[index] = max(accuracy, found.get(index, accuracy))
    return sorted(found.items(), key=lambda pair: -pair[1])[:most]


def _train_best(
    result: SearchResult, best: list[tuple[int, float]], folder: Path, epochs: int | None
) -> None:
    """Train architectures in full with the evaluator's options, each kept in a folder."""
    from nats_gym.training.final import train_final

    arguments = result.arguments
    told = dict(arguments.evaluator or {})
    device = str(told.get("device", "auto")).split(",")[0]
    with interruptible(f"whole epochs are kept in {folder}, and the same command goes on"):
        for rank, (index, accuracy) in enumerate(best, start=1):
            place = folder / "final" / f"{rank}-{index}"
            lines = EpochLines(f"{arguments.space} {index} in full, {rank} of {len(best)}")
            trained = train_final(
                *(arguments.space, index, arguments.dataset, place),
                epochs=epochs,
                recipe=told.get("recipe"),
                network=told.get("network"),
                seed=arguments.seed,
                device=device,
                data_dir=told.get("data_dir"),
                valid_accuracy=None if result.observed.name else accuracy,
                progress=lines.tell,
            )
            tested = trained.card.figures.get("test_accuracy")
            figure = "not tested" if tested is None else f"{tested:.2f} % test accuracy"
            say(f"trained in full, {figure}: {place} (nats-gym predict {place} IMAGE…)")


class LiveDisplay:
    """Tells how far a search on an evaluator is: in a bar, or line by line off a terminal.

    Args:
        arguments: of the search.
        bar: shown in a terminal.
    """

    def __init__(self, arguments: SearchArguments, bar: Bar) -> None:
        self._arguments, self._bar = arguments, bar
        self._task = bar.add_task(f"{arguments.agent} × {arguments.runs}", total=1.0)
        self._told, self._best = 0.0, -1.0

    def progress(self, share: float) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=share)

    def watch(self, standing: Standing) -> None:
        """Tell of an answer: in a terminal of each, else of a better one, and now and then."""
        line = self.line(standing)
        self._bar.update(self._task, description=line)
        now, better = time.monotonic(), standing.accuracy > self._best
        self._best = max(self._best, standing.accuracy)
        wanted = better or now - self._told >= _BETWEEN_LINES
        if self._bar.disable and wanted and not standing.replayed:
            say(line)
            self._told = now

    def line(self, standing: Standing) -> str:
        """How far it is, in words."""
        ran = self._arguments
        done = f"{standing.evaluations}"
        left = max(0.0, ran.budget - standing.clock)
        if ran.evaluations is not None:
            done += f" of {ran.evaluations}"
            each = standing.clock / standing.evaluations
            left = min(left, each * (ran.evaluations - standing.evaluations))
        run = f"run {standing.run}: " if ran.runs > 1 else ""
        best = "none yet"
        if standing.architecture >= 0:
            best = f"{standing.observed.said(standing.accuracy)} of {standing.architecture}"
        failed = f", {standing.failures} failed" if standing.failures else ""
        told = f"{run}{done} evaluated, best {best}{failed}"
        return f"{told}, {in_words(standing.clock)} gone, {in_words(left)} left"


def _check_other(folder: Path, arguments: SearchArguments) -> None:
    """Refuse a folder that holds what another search found."""
    from nats_gym.protocol.journal import differing
    from nats_gym.results.files import read_run

    try:
        there = read_run(folder).get("arguments")
    except (OSError, ValueError):
        return  # nothing that could be read again
    asked = json.loads(json.dumps(dict(arguments)))
    if there != asked:
        raise InvalidInput(
            f"{shown(str(folder))} holds another search: its arguments {differing(there, asked)}; "
            "move it away, or give another --out"
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
    if ran.evaluator is not None:
        told += [f"{name}={value}" for name, value in ran.evaluator.items()]
    name = "-".join(map(str, told)).replace("/", "of")
    name = re.sub(r"[^\w.,=+-]+", "_", name) + source
    if len(name) > LONGEST_FOLDER:
        name = f"{name[:LONGEST_FOLDER]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return Path("results", name)


def report(result: SearchResult, seconds: float, folder: Path) -> None:
    """Save a search's runs, print its table, and plot its incumbent."""
    from nats_gym.results.plots import plot_alphas, plot_incumbent
    from nats_gym.results.summary import front_grid, summary_grid

    result.save(folder)
    print_grid(summary_grid({result.arguments.agent: result}))
    if result.weighed and not result.answers_last:
        print_grid(front_grid(result))
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
