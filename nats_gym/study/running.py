"""Runs a study: cells beside each other on this machine's cores, each kept as soon as it is whole.

A folder of results holds ``study.json`` and ``cells/NAME/``, a search's result each. A cell whose
agent plays its runs one by one is kept in blocks of runs until it is whole.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.agents import plays_one_by_one
from nats_gym.datasets.own import title_of_kept
from nats_gym.errors import InvalidInput, NotInTable, UnreadableResult, said, shown
from nats_gym.evaluators import TableEvaluator
from nats_gym.files.writing import (
    alone,
    check_folder,
    make_folder,
    sweep,
    unfinished_folder,
    write_file,
)
from nats_gym.machine import describe, versions
from nats_gym.processes.pool import Pool, Task, TaskFailed
from nats_gym.protocol import FromTable, find_kind, search
from nats_gym.results.files import RUN_FILE
from nats_gym.results.result import SearchResult
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.tables import load_table

from .spec import Study, StudyCell

STUDY_FILE, SPEC_FILE, CELLS, BLOCKS = "study.json", "study.toml", "cells", "blocks"

#: Called with the runs done and those to do, in all cells.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Block:
    """Some runs of a cell, which one process plays.

    Attributes:
        cell: the cell.
        first, runs: number of the first run, and how many.
        folder: where the result goes: the cell's, or one of its blocks'.
        places: folders where modules of agents and spaces lie.
        space: what the cell searches, which a process may not know by its name.
    """

    cell: StudyCell
    first: int
    runs: int
    folder: Path
    places: tuple[str, ...]
    space: ArchitectureSpace


def run_study(
    study: Study,
    out: str | os.PathLike[str],
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Run what a study lacks of its cells.

    Args:
        study: see :func:`~nats_gym.study.read_study` and :meth:`Study.of`.
        out: folder for the results; what it holds of this study is kept.
        jobs: processes; None for the cores of this machine, or one if evaluators train.
        progress: called with the runs done and those to do, now and then.

    Returns:
        The folder.

    Raises:
        InvalidInput: if the folder holds results of other arguments, or another process runs a
            study there; and whatever :func:`nats_gym.search` raises.
    """
    from joblib import cpu_count

    cores = cpu_count()
    if jobs is None:  # who trains has workers of its own
        live = isinstance(study, Study) and any(cell.search.evaluator for cell in study.cells)
        jobs = 1 if live else cores
    jobs = checks.integer(jobs, "jobs", 1, checks.MOST_PROCESSES)
    out, progress = checks.path(out, "out"), checks.function(progress, "progress")
    if not isinstance(study, Study):
        raise InvalidInput(f"a study is a nats_gym.study.Study, got {shown(study)}")
    check_folder(out)
    make_folder(out)
    with _alone(out):
        cells, skipped = _possible(study)
        lacking = {cell.name: list(_missing(cell, out, study.places)) for cell in cells}
        record = _begun(out, study, cells, skipped)
        total = sum(cell.search.runs for cell in cells)
        tell = progress or (lambda done, total: None)
        blocks = [block for cell in cells for block in lacking[cell.name]]
        done = total - sum(block.runs for block in blocks)
        tell(done, total)
        # The longest first would be best; those in blocks are the slow ones.
        blocks.sort(key=lambda block: block.runs == block.cell.search.runs)
        left = {cell.name: sum(block.cell is cell for block in blocks) for cell in cells}
        with closing(_played(blocks, jobs, cores)) as played:  # an interruption ends its processes
            for block, seconds in played:
                cell = block.cell
                left[cell.name] -= 1
                kept = record["cells"][cell.name]
                kept["real_seconds"] = round((kept.get("real_seconds") or 0.0) + seconds, 3)
                if not left[cell.name]:
                    _join(cell, out)
                _write(out, record)
                done += block.runs
                tell(done, total)
        for cell in cells:  # blocks of an interrupted study may all have been there
            _join(cell, out)
            record["cells"][cell.name] |= _resting_on(out / CELLS / cell.name)
        record["finished"] = True
        _write(out, record)
    return out


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the folder, free of what killed processes left; ``InvalidInput`` if another does."""
    with alone(out / ".lock", f"another process runs a study in {shown(str(out))}"):
        _sweep(out)
        try:
            yield
        finally:
            _sweep(out)  # of an interruption


def _sweep(out: Path) -> None:
    sweep(out, out / CELLS, *(out / BLOCKS).glob("*"))
    for folder in (*(out / BLOCKS).glob("*"), out / BLOCKS):
        with suppress(OSError):  # not empty, or not there
            folder.rmdir()


def _possible(study: Study) -> tuple[list[StudyCell], list[dict[str, Any]]]:
    """The cells whose rungs their tables have, and of the others what is missing."""
    cells, skipped = [], []
    for cell in study.cells:
        ran = cell.search
        if ran.evaluator is not None:
            cells.append(cell)
            continue
        table = load_table(ran.space, ran.dataset, ran.source)
        evaluator = TableEvaluator(table, ran.trial)
        try:
            find_kind(cell.agent).prepare(ran, FromTable(evaluator))
        except NotInTable as error:
            if ran.continuing is None:  # the study asks for the schedule that is not there
                raise
            names = {"label": cell.label, "space": ran.space, "dataset": ran.dataset}
            skipped.append({**names, "reason": str(error)})
        else:
            cells.append(cell)
    if not cells:
        raise NotInTable(f"no cell of the study can run: {skipped[0]['reason']}")
    return cells, skipped


def _begun(
    out: Path, study: Study, cells: Iterable[StudyCell], skipped: list[dict[str, Any]]
) -> dict[str, Any]:
    """Write down what is going to run; the record."""
    try:
        before = json.loads((out / STUDY_FILE).read_text(encoding="utf-8"))["cells"]
    except FileNotFoundError:
        before = {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnreadableResult(f"{out / STUDY_FILE}: no study's record: {said(error)}") from None
    record: dict[str, Any] = {
        "name": study.name,
        "finished": False,
        "versions": versions(),
        "machine": describe(),
        "places": list(study.places),
        "cells": {},
        "skipped": skipped,
    }
    for cell in cells:
        _refuse_changed(out, cell, before, {one.name for one in cells})
        told = {"label": cell.label, "arguments": cell.arguments}
        seconds = before.get(cell.name, {}).get("real_seconds")
        record["cells"][cell.name] = {**told, "real_seconds": seconds}
    (out / CELLS).mkdir(exist_ok=True)
    write_file(out / SPEC_FILE, study.text)
    _write(out, record)
    return record


def _refuse_changed(
    out: Path, cell: StudyCell, before: Mapping[str, Any], named: Collection[str]
) -> None:
    """Refuse a cell whose images were others when the study began: their folder changed."""
    title = title_of_kept(cell.search.dataset)
    if title is None or cell.name in before:
        return
    for name, told in before.items():
        there = told.get("arguments", {})
        earlier = str(there.get("dataset"))
        wanted = json.loads(json.dumps({**cell.arguments, "dataset": earlier}))
        # What was not asked for, a search fills in.
        same = all(there.get(key) == value for key, value in wanted.items() if value is not None)
        same = same and told.get("label") == cell.label and title_of_kept(earlier) == title
        if same and name not in named:
            raise InvalidInput(
                f"the images of {shown(title)} changed since the study in {shown(str(out))} "
                f"began, from {earlier} to {cell.search.dataset}; take another folder"
            )


def _write(out: Path, record: dict[str, Any]) -> None:
    write_file(out / STUDY_FILE, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _resting_on(folder: Path) -> dict[str, Any]:
    """What a cell's result says of itself, for the study's record."""
    run = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    return {name: run[name] for name in ("arguments", "provenance", "summary", "runs_sha256")}


def _missing(cell: StudyCell, out: Path, places: tuple[str, ...]) -> Iterator[Block]:
    """Blocks of a cell that are not there yet.

    Raises:
        InvalidInput: if the folder holds the cell with other arguments or of another table.
    """
    folder, runs = out / CELLS / cell.name, cell.search.runs
    space = get_space(cell.search.space)
    if folder.is_dir():
        _check_same(cell, folder, cell.arguments)
        return
    if not _in_blocks(cell):
        yield Block(cell, 0, runs, folder, places, space)
        return
    for first in _firsts(cell):
        count = min(_block_of(cell), runs - first)
        block = out / BLOCKS / cell.name / str(first)
        if block.is_dir():
            _check_same(cell, block, {**cell.arguments, "runs": count, "first_run": first})
        else:
            yield Block(cell, first, count, block, places, space)


def _in_blocks(cell: StudyCell) -> bool:
    """Whether the runs of a cell are played one by one."""
    return cell.search.evaluator is not None or plays_one_by_one(find_kind(cell.agent).factory)


def _block_of(cell: StudyCell) -> int:
    """Runs of a cell that are played and kept together."""
    return 1 if cell.search.evaluator is not None else find_kind(cell.agent).block


def _firsts(cell: StudyCell) -> range:
    """The first run of each block of a cell."""
    return range(0, cell.search.runs, _block_of(cell))


def _check_same(cell: StudyCell, folder: Path, arguments: dict[str, Any]) -> None:
    kept = SearchResult.load(folder)
    for name, wanted in {"evaluations": None, "evaluator": None, **arguments}.items():
        found = kept.arguments.get(name)
        if name == "rungs" and wanted is None:
            continue  # the table's own
        if found != wanted:
            raise InvalidInput(
                f"{shown(str(folder))} holds this cell with {name} {shown(found)}, the study says "
                f"{shown(wanted)}; take another folder"
            )


def _played(
    blocks: list[Block], jobs: int, cores: int
) -> Generator[tuple[Block, float], None, None]:
    """Play blocks, several at a time; each, and its seconds, as it is done."""
    if jobs == 1 or len(blocks) < 2:
        for block in blocks:
            yield block, play(block)
        return
    import cloudpickle

    # A block may hold an agent or a space of the caller's script, which cannot be imported
    # elsewhere; what can be is looked for in the study's places.
    tasks = [
        {"places": [*block.places], "block": np.frombuffer(cloudpickle.dumps(block), np.uint8)}
        for block in blocks
    ]
    workers = min(jobs, len(blocks))
    with Pool(f"{__name__}:make_player", workers=workers, threads=max(1, cores // jobs)) as pool:
        for number, answer in pool.map(tasks):
            if "raised" in answer:
                error = pickle.loads(answer["raised"].tobytes())
                raise error from TaskFailed(answer["traceback"])
            yield blocks[number], answer["seconds"]


def make_player() -> Task:
    """What a process of a study runs: :func:`play`, a block as bytes."""
    import cloudpickle

    def player(places: list[str], block: NDArray[np.uint8]) -> dict[str, Any]:
        sys.path.extend(place for place in places if place not in sys.path)
        try:
            return {"seconds": play(pickle.loads(block.tobytes()))}
        except Exception as error:  # an agent's own too is raised where the study was called
            dumped = cloudpickle.dumps(error)
            pickle.loads(dumped)  # what cannot be read again is told as text
            told = traceback.format_exc()
            return {"raised": np.frombuffer(dumped, np.uint8), "traceback": told}

    return player


def play(block: Block) -> float:
    """Play a block, keep its result; real seconds that it took."""
    get_space(block.space)
    started = time.perf_counter()
    arguments = {**block.cell.arguments, "runs": block.runs, "first_run": block.first}
    checkpoints = block.folder.parent / ".checkpoints" if block.cell.search.real_time else None
    if checkpoints and block.cell.search.evaluator is not None:
        checkpoints = checkpoints / block.folder.name  # of one search each
    result = search(agent=block.cell.agent, **arguments, checkpoints=checkpoints)
    _keep(result, block.folder)
    return time.perf_counter() - started


def _keep(result: SearchResult, folder: Path) -> None:
    """Save a result whole or not at all.

    A process that outlived a killed study may have kept the same one meanwhile.
    """
    make_folder(folder.parent)
    with unfinished_folder(folder.parent) as temporary:
        result.save(temporary)
        temporary.chmod(0o755)
        try:
            os.replace(temporary, folder)
        except OSError:
            if not folder.is_dir():
                raise
            SearchResult.load(folder)


def _join(cell: StudyCell, out: Path) -> None:
    """Make one result of a cell's blocks, if it is not made."""
    folder, blocks = out / CELLS / cell.name, out / BLOCKS / cell.name
    if not folder.is_dir():
        parts = [SearchResult.load(blocks / str(first)) for first in _firsts(cell)]
        _keep(SearchResult.joined(parts), folder)
    shutil.rmtree(blocks, ignore_errors=True)
