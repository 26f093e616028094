"""Processes that tests start, interrupt and kill, and what is left of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def descendants(pid: int) -> dict[int, str]:
    """Start time of every process that came of one, by its number; without the one itself."""
    parents, started = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (told := _stat(folder)):
            parents[int(folder.name)], started[int(folder.name)] = int(told[1]), told[19]
    found: dict[int, str] = {}
    new = {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - {*found}
        found |= {child: started[child] for child in new}
    return found


def alive(processes: dict[int, str]) -> list[str]:
    """Command lines of those that still run."""
    lines = []
    for pid, started in processes.items():
        folder = Path("/proc", str(pid))
        told = _stat(folder)
        if told and told[19] == started and told[0] not in "ZX":
            lines.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return lines


def _stat(folder: Path) -> list[str] | None:
    """State, parent, … of a process: the fields of its ``stat`` behind its name."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def wait_for(found: Callable[[], Any], seconds: float = 120.0) -> Any:
    """What a function returns as soon as it is something."""
    until = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < until, "did not happen"
        time.sleep(0.02)
    return value
