"""Boards of validated results: who found the best, on one table, at one budget.

Only searches whose every run holds, and that a table judges, are on a board. Searches by the same
agent with the same options and other seeds are one entry; the same run twice counts once, and not
at all if it is claimed in two ways. An agent of somebody's own is known by its folder, too: two may
share a name.
Weight-sharing searches, whose seconds are real, have boards of their own.

A board says whose its table is. What a table says of itself is whoever made it saying so: measured
means as much only on an embedded table, and on one of an archive that this machine imported.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.agents import AGENTS
from nats_gym.errors import InvalidInput, shown
from nats_gym.files.writing import write_file
from nats_gym.results.arguments import SearchArguments, bound_in_words
from nats_gym.results.result import SearchResult
from nats_gym.simulation.schedule import Epochs
from nats_gym.tables import MEASURED
from nats_gym.tables.load import IMPORTED, OWN
from nats_gym.tables.table import EMBEDDED

from .validation import Verdict

MARKDOWN_FILE, JSON_FILE = "leaderboard.md", "leaderboard.json"


class Board(NamedTuple):
    """What entries are compared on: one table, by its checksum, one schedule, one bound of runs.

    ``real`` says whether the budget's seconds are real, not simulated; ``origin`` whose the table
    is: see :func:`nats_gym.tables.load.origin_of`.
    """

    space: str
    dataset: str
    epochs: Epochs
    budget: float
    checksum: str
    real: bool
    origin: str = OWN
    evaluations: int | None = None


#: How a board calls its table, by origin.
TABLES = {
    EMBEDDED: "the embedded table",
    IMPORTED: "of an archive imported on this machine",
    OWN: "the claimant's own table, whose figures nobody else vouches for",
}


@dataclass(frozen=True)
class Entry:
    """An agent's place.

    Attributes:
        agent: its name, with its options and rungs.
        runs: how many.
        valid, test: full-schedule accuracy of the answers, percent, ``(runs,)``; ``test`` is None
            where the table has no measured one.
        provenance: of what was observed, and of the judgement; "measured (own table)" where the
            claimant made the table.
        folders: where the runs lie.
        contradicted: runs left out, since two claims of them differ.
    """

    agent: str
    runs: int
    valid: NDArray[np.float64]
    test: NDArray[np.float64] | None
    provenance: tuple[str, str]
    folders: tuple[str, ...]
    contradicted: int


def rank_agents(verdicts: Iterable[Verdict]) -> dict[Board, list[Entry]]:
    """Boards of the searches that hold, each sorted by mean validation accuracy, best first."""
    found: dict[Board, dict[str, dict[tuple[int, int], list[_Claim]]]] = {}
    for verdict in _each(verdicts, Verdict):
        result = verdict.result
        if result is None or not verdict.holds or not result.is_judged:
            continue
        a = result.arguments
        board = Board(
            *(a.space, a.dataset, a.epochs, a.budget),
            checksum=result.table.checksum,
            real=result.answers_last,
            origin=verdict.origin or OWN,
            evaluations=a.evaluations,
        )
        title = _title(a) if a.agent in AGENTS else f"{_title(a)} in {verdict.folder}"
        runs = found.setdefault(board, {}).setdefault(title, {})
        for run in range(result.runs):
            # A run is what its seed and number make it, wherever it is claimed.
            claims = runs.setdefault((a.seed, a.first_run + run), [])
            claims.append(_Claim(result, run, verdict.folder))
    boards = {}
    for board, agents in found.items():
        entries = [_entry(agent, list(runs.values()), board) for agent, runs in agents.items()]
        entries = [entry for entry in entries if entry.runs]
        boards[board] = sorted(entries, key=lambda entry: -float(entry.valid.mean()))
    return boards


class _Claim(NamedTuple):
    result: SearchResult
    run: int
    folder: Path

    def says_the_same(self, other: _Claim) -> bool:
        count = self.result.evaluations[self.run]
        if other.result.evaluations[other.run] != count:
            return False
        return all(
            np.array_equal(
                getattr(self.result, name)[self.run, :count],
                getattr(other.result, name)[other.run, :count],
            )
            for name in ("index", "rung", "evaluation", "continues")
        )


def save_leaderboard(
    boards: dict[Board, list[Entry]], rejected: list[Verdict], folder: str | os.PathLike[str]
) -> Path:
    """Write ``leaderboard.md`` and ``leaderboard.json``; returns the first."""
    folder = checks.path(folder, "a folder")
    rejected = checks.instances(rejected, Verdict, "rejected searches", least=0)
    boards = {
        checks.instance(board, Board, "a board"): checks.instances(entries, Entry, "entries", 0)
        for board, entries in dict.items(checks.instance(boards, dict, "boards"))
    }
    lines = ["# Leaderboard", ""]
    for board, entries in boards.items():
        lines += [f"## {title_of(board)}", ""]
        lines += [f"Table {board.checksum[:12]}: {TABLES[board.origin]}.", ""]
        lines += ["| # | agent | runs | validation [%] | test [%] | rests on |"]
        lines += ["|--:|:--|--:|--:|--:|:--|"]
        lines += [f"| {' | '.join(map(_escape, row))} |" for row in rows_of(entries)]
        lines += [""]
    if rejected:
        lines += ["## Not admitted", ""]
        lines += [
            f"- `{verdict.folder}`: {next(iter(verdict.reasons.values()))}" for verdict in rejected
        ]
    content = [
        {
            **_facts(board),
            "entries": [
                {
                    "agent": entry.agent,
                    "runs": entry.runs,
                    "valid": [float(entry.valid.mean()), float(entry.valid.std())],
                    "test": None
                    if entry.test is None
                    else [float(entry.test.mean()), float(entry.test.std())],
                    "provenance": list(entry.provenance),
                    "folders": list(entry.folders),
                    "contradicted": entry.contradicted,
                }
                for entry in entries
            ],
        }
        for board, entries in boards.items()
    ]
    for name, text in (
        (JSON_FILE, json.dumps(content, indent=1, ensure_ascii=False) + "\n"),
        (MARKDOWN_FILE, "\n".join(lines).rstrip() + "\n"),
    ):
        write_file(folder / name, text)
    return folder / MARKDOWN_FILE


def title_of(board: Board) -> str:
    """A board's title."""
    board = checks.instance(board, Board, "a board")
    seconds = f"{'real' if board.real else 'simulated'} seconds"
    bound = bound_in_words(board.budget, board.evaluations, seconds)
    return f"{board.space} {board.dataset}, {board.epochs} epochs, {bound}"


def rows_of(entries: list[Entry]) -> list[tuple[str, ...]]:
    """A board's rows: place, agent, runs, validation and test accuracy, provenance."""
    return [
        (
            str(place),
            entry.agent,
            str(entry.runs),
            _mean_std(entry.valid),
            "—" if entry.test is None else _mean_std(entry.test),
            "searched on {}, judged on {}".format(*entry.provenance)
            + (f"; {entry.contradicted} runs claimed in two ways" if entry.contradicted else ""),
        )
        for place, entry in enumerate(checks.instances(entries, Entry, "entries", 0), start=1)
    ]


def _facts(board: Board) -> dict[str, Any]:
    """What a board is, for JSON: no bound where there is none."""
    facts = board._asdict()
    if board.evaluations is None:
        del facts["evaluations"]
    elif math.isinf(board.budget):
        facts["budget"] = None
    return facts


def _each(given: Iterable[Any], kind: type[Any]) -> Iterator[Any]:
    """One after another; ``InvalidInput`` for what is not of a kind, or cannot be gone through."""
    try:
        found = iter(given)
    except Exception as error:
        raise InvalidInput(f"{shown(given)} is no series of {kind.__name__}") from error
    for one in found:
        yield checks.instance(one, kind, "one of a series")


def _title(ran: SearchArguments) -> str:
    """An agent's name with all that makes it another entry."""
    told = [f"{name}={value}" for name, value in ran.options.items()]
    if ran.rungs:
        told += [f"rungs {' '.join(map(str, ran.rungs))}", str(ran.continuing)]
    if ran.workers != 1:
        told.append(f"{ran.workers} workers")
    if ran.trial != "random":
        told.append(f"trial {ran.trial}")
    return f"{ran.agent} ({', '.join(told)})" if told else ran.agent


def _entry(agent: str, claimed: list[list[_Claim]], board: Board) -> Entry:
    runs = [claims[0] for claims in claimed if all(map(claims[0].says_the_same, claims))]
    provenance = claimed[0][0].result.provenance
    tested = provenance.get("full_schedule_test_accuracy") == MEASURED
    bases = provenance["search_accuracy"], provenance["full_schedule_valid_accuracy"]
    searched, judged = (f"{basis} (own table)" if board.origin == OWN else basis for basis in bases)
    return Entry(
        agent,
        len(runs),
        valid=_judged(runs, "valid"),
        test=_judged(runs, "test") if tested else None,
        provenance=(searched, judged),
        folders=tuple(sorted({str(claim.folder) for claim in runs})),
        contradicted=len(claimed) - len(runs),
    )


def _judged(runs: list[_Claim], split: str) -> NDArray[np.float64]:
    if not runs:
        return np.zeros(0)
    answers = np.array([claim.result.recommended[claim.run] for claim in runs])
    return runs[0].result.judged(answers, split)


def _mean_std(values: NDArray[np.float64]) -> str:
    return f"{values.mean():.2f} ± {values.std():.2f}"


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|")
