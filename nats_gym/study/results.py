"""A study's results, read from its folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nats_gym import checks
from nats_gym.errors import MissingStudy, UnreadableResult, said, shown
from nats_gym.results.arguments import bound_in_words
from nats_gym.results.result import SearchResult
from nats_gym.simulation.schedule import Epochs

from .running import CELLS, STUDY_FILE


class Group(NamedTuple):
    """What agents are compared in.

    One space, data set, schedule, budget (seconds), evaluations, and who answers, in words.
    """

    space: str
    dataset: str
    epochs: Epochs
    budget: float
    evaluations: int | None = None
    answered_by: str = "table auto"

    @property
    def bound(self) -> str:
        """What ends a run, in words."""
        return bound_in_words(self.budget, self.evaluations)


@dataclass(frozen=True)
class CellResult:
    """One agent's result in one group."""

    name: str
    label: str
    result: SearchResult

    @property
    def group(self) -> Group:
        """Where the agent was run."""
        return Group(*(getattr(self.result.arguments, name) for name in Group._fields))


@dataclass(frozen=True)
class Skipped:
    """A cell that could not run, and why."""

    label: str
    space: str
    dataset: str
    reason: str


@dataclass(frozen=True)
class StudyResults:
    """What a study found.

    Attributes:
        name: the study's.
        folder: where it lies.
        record: ``study.json``: versions, machine, and of each cell arguments, provenance and the
            real seconds that it took.
        cells: the results, in the study's order.
        skipped: what could not run.
    """

    name: str
    folder: Path
    record: dict[str, Any]
    cells: list[CellResult]
    skipped: list[Skipped]

    def groups(self) -> dict[Group, dict[str, SearchResult]]:
        """The results of each group by the agents' labels, in the study's order."""
        grouped: dict[Group, dict[str, SearchResult]] = {}
        for cell in self.cells:
            grouped.setdefault(cell.group, {})[cell.label] = cell.result
        return grouped


def load_study(folder: str | os.PathLike[str]) -> StudyResults:
    """Read what :func:`~nats_gym.study.run_study` left.

    Raises:
        MissingStudy: if there is none. UnreadableResult: if it is damaged or not finished.
        NatsGymError: if a table is not there any more.
    """
    folder = checks.path(folder, "a study")
    record = read_record(folder)
    if not record["finished"]:
        done = sum((folder / CELLS / name).is_dir() for name in record["cells"])
        raise UnreadableResult(
            f"the study in {shown(str(folder))} is not finished: {done} of "
            f"{len(record['cells'])} cells are; nats-gym study goes on with it"
        )
    cells = [
        CellResult(name, told["label"], _loaded(folder / CELLS / name, told))
        for name, told in record["cells"].items()
    ]
    skipped = [Skipped(**told) for told in record["skipped"]]
    return StudyResults(record["name"], folder, record, cells, skipped)


def read_record(folder: Path) -> dict[str, Any]:
    """A study's ``study.json``; exceptions as of :func:`load_study`."""
    path = folder / STUDY_FILE
    if not path.is_file():
        raise MissingStudy(f"no study in {shown(str(folder))}: it has no {STUDY_FILE}")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        needed = {
            "name": str,
            "finished": bool,
            "cells": dict,
            "skipped": list,
            "versions": dict,
            "machine": str,
        }
        for name, kind in needed.items():
            if not isinstance(record[name], kind):
                raise TypeError(f"{name} is no {kind.__name__}")
        for told in record["cells"].values():
            str(told["label"]), dict(told["arguments"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnreadableResult(f"{path}: no study's record: {said(error)}") from error
    return dict(record)


def _loaded(folder: Path, told: dict[str, Any]) -> SearchResult:
    """A cell's result, if it is what the study's record says."""
    result = SearchResult.load(folder)
    if result.arguments != told["arguments"]:
        raise UnreadableResult(f"{shown(str(folder))} holds another search than {STUDY_FILE} says")
    return result
