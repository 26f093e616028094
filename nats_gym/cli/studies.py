"""``nats-gym study``, ``report``, ``validate``, ``leaderboard`` and ``analyse``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .terminal import (
    DATASET_NAMES,
    SPACE_NAMES,
    app,
    interruptible,
    number_or_text,
    path,
    print_grid,
    progress_bar,
    say,
    space_name,
)

if TYPE_CHECKING:
    from nats_gym.study import StudyResults, Verdict

#: Runs that do not hold, shown of each search.
SHOWN = 5


@app.command()
def study(
    file: Annotated[
        Path, typer.Argument(parser=path, help="what to run, e.g. studies/nats-bench.toml")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            parser=path, help="folder, to go on with if it is there; default results/FILE"
        ),
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="processes; default one a core")] = None,
) -> None:
    """Run a study of many searches; interrupted, it goes on where it stopped."""
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from nats_gym.study import load_study, read_study, run_study

    plan = read_study(file)
    folder = out or Path("results", file.stem)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    kept = f"what is done is kept in {folder}, and the same command goes on"
    with interruptible(kept), progress_bar(*columns) as bar:
        task = bar.add_task("runs", total=None)
        run_study(
            plan,
            folder,
            jobs,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    results = load_study(folder)
    _say_what_ran(results)
    say(f"results in {folder}; nats-gym report {folder}")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(parser=path, help="a finished study's folder")],
    out: Annotated[Path | None, typer.Option(parser=path, help="default FOLDER/report")] = None,
    figure: Annotated[
        list[str] | None,
        typer.Option(help="shown of the answers besides, such as latency/raspi4; again for more"),
    ] = None,
) -> None:
    """Write a study's page, its headline table in Markdown and LaTeX, and its plots."""
    from nats_gym.study import write_report

    say(f"report: {write_report(folder, out, figure or ())}")


@app.command()
def validate(
    runs: Annotated[
        Path, typer.Argument(parser=path, help="a search's or a study's folder, or one of such")
    ],
) -> None:
    """Replay every claimed run against its table; exit code 1 if one does not hold."""
    from nats_gym.study import validate as replay

    verdicts = []
    for verdict in replay(runs):
        verdicts.append(verdict)
        _say_verdict(verdict)
    failed = sum(not verdict.holds for verdict in verdicts)
    say(f"{len(verdicts) - failed} of {len(verdicts)} searches hold")
    if failed:
        raise typer.Exit(1)


@app.command()
def leaderboard(
    folder: Annotated[Path, typer.Argument(parser=path, help="holds searches and studies")],
    out: Annotated[Path | None, typer.Option(parser=path, help="default FOLDER")] = None,
) -> None:
    """Replay all results in a folder, and rank the agents of those that hold."""
    from nats_gym.files.writing import check_folder, make_folder
    from nats_gym.results.summary import grid
    from nats_gym.study import rank_agents, rows_of, save_leaderboard, title_of
    from nats_gym.study import validate as replay

    out = out or folder
    check_folder(out)
    verdicts = list(replay(folder))
    make_folder(out)
    boards = rank_agents(verdicts)
    rejected = [verdict for verdict in verdicts if not verdict.holds]
    for board, entries in boards.items():
        rows = grid(title_of(board), "#", "agent", "runs", "validation [%]", "test [%]", "rests on")
        for row in rows_of(entries):
            rows.add_row(*row)
        print_grid(rows)
    for verdict in rejected:
        _say_verdict(verdict)
    say(f"leaderboard: {save_leaderboard(boards, rejected, out)}")


@app.command()
def analyse(
    space: Annotated[str, typer.Argument(parser=space_name, help=SPACE_NAMES)],
    dataset: Annotated[str, typer.Argument(help=DATASET_NAMES)],
    source: Annotated[str, typer.Option(help="auto, embedded or a table's folder")] = "auto",
    epochs: Annotated[str | None, typer.Option(help="schedule; default the full one")] = None,
    samples: Annotated[int, typer.Option(help="draws that stand for a surrogate's trials")] = 4,
    seed: Annotated[int, typer.Option(help="seed of these draws")] = 0,
    out: Annotated[
        Path | None, typer.Option(parser=path, help="folder; default results/analysis-<what ran>")
    ] = None,
) -> None:
    """Analyse a space: costs, rank correlations, distributions, and its landscape."""
    from nats_gym.analysis import analyse as run_analysis

    schedule = None if epochs is None else number_or_text(epochs)
    ran = [space, dataset, *filter(None, [epochs]), *([Path(source).name] * (source != "auto"))]
    folder = out or Path("results", "-".join(["analysis", *ran]).replace("/", "of"))
    found = run_analysis(space, dataset, source, folder, schedule, samples, seed)
    for rows in found.grids():
        print_grid(rows)
    for note in found.notes:
        say(note)
    for what, reason in found.left_out.items():
        say(f"left out: {what}: {reason}")
    say(f"page and figures in {folder}")


def _say_what_ran(results: StudyResults) -> None:
    from nats_gym.results.summary import summary_grid

    for searches in results.groups().values():
        print_grid(summary_grid(searches))
    reasons: dict[str, list[str]] = {}
    for skipped in results.skipped:
        reasons.setdefault(skipped.reason, []).append(skipped.label)
    for reason, labels in reasons.items():
        say(f"skipped: {', '.join(labels)}: {reason}")


def _say_verdict(verdict: Verdict) -> None:
    """One line for a search, and one for each of the first runs that do not hold."""
    mark = "✓" if verdict.holds else "✗"
    count = f"{int(verdict.valid.sum()):,} of {len(verdict.valid):,} runs hold"
    say(f"{mark} {verdict.folder}: {verdict.title}: {count}")
    for run, reason in list(verdict.reasons.items())[:SHOWN]:
        say(f"    ✗ {'all' if run < 0 else f'run {run}'}: {reason}")
    if len(verdict.reasons) > SHOWN:
        say(f"    ✗ and {len(verdict.reasons) - SHOWN:,} more")
