"""Agents × spaces × data sets × budgets × runs, on disk, and what is made of them.

``run_study(read_study("study.toml"), "results")`` runs one, ``load_study("results")`` reads what
it found, ``write_report("results")`` makes a page of it, ``validate("results")`` replays it.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .leaderboard import Board, Entry, rank_agents, rows_of, save_leaderboard, title_of
    from .report import write_report
    from .results import CellResult, Group, Skipped, StudyResults, load_study
    from .running import run_study
    from .spec import Study, StudyCell, read_study
    from .validation import Verdict, validate

_HOMES = {
    **dict.fromkeys(("StudyCell", "Study", "read_study"), ".spec"),
    "run_study": ".running",
    **dict.fromkeys(("CellResult", "Group", "Skipped", "StudyResults", "load_study"), ".results"),
    "write_report": ".report",
    **dict.fromkeys(("Verdict", "validate"), ".validation"),
    **dict.fromkeys(
        ("Board", "Entry", "rank_agents", "rows_of", "save_leaderboard", "title_of"), ".leaderboard"
    ),
}


def __getattr__(name: str) -> Any:
    if name == "Cell":
        warnings.warn("Cell of a study is StudyCell now", DeprecationWarning, stacklevel=2)
        name = "StudyCell"
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


__all__ = [
    "Board",
    "CellResult",
    "Entry",
    "Group",
    "Skipped",
    "Study",
    "StudyCell",
    "StudyResults",
    "Verdict",
    "load_study",
    "rank_agents",
    "read_study",
    "rows_of",
    "run_study",
    "save_leaderboard",
    "title_of",
    "validate",
    "write_report",
]
