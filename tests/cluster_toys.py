"""An evaluator that leaves a record of what happens to it, in a module that workers import."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nats_gym.evaluators import Answer, collect


class Toy:
    """Answers with figures that follow from its arguments.

    Args:
        folder: where every attempt, end and copy of the evaluator adds a line.
        wait: seconds an evaluation takes.
        fates: of architectures: ``"broken"`` raises, ``"dies"`` kills its process, ``"stuck"``
            sleeps in C and holds the interpreter's lock, ``"stuck once"`` does so at the first
            attempt.
        held: an evaluation ends only when :meth:`release` has been called, of any copy.
    """

    identity = "toy"
    provenance = "measured", "measured"

    def __init__(
        self,
        folder: Path,
        wait: float = 0.0,
        fates: Mapping[int, str] | None = None,
        held: bool = False,
    ):
        self.folder, self.wait, self.fates, self.held = folder, wait, dict(fates or {}), held

    def __reduce__(self) -> tuple[Any, ...]:
        return _copy, (self.folder, self.wait, self.fates, self.held)

    def trials_of(self, index: Any, trial_keys: Any) -> Any:
        return trial_keys % np.uint64(3)

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Any:
        trials = self.trials_of(index, trial_keys)
        return collect(len(index), self.stream(index, epochs, trials), self.provenance)

    def stream(self, index: Any, epochs: Any, trials: Any) -> Iterator[tuple[int, Answer]]:
        for position, (one, trial) in enumerate(zip(index.tolist(), trials.tolist(), strict=True)):
            attempt = self.note("attempts", one)
            fate = self.fates.get(one)
            if fate == "broken":
                raise ValueError("broken")
            if fate == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            if fate == "stuck" or (fate == "stuck once" and attempt == 1):
                ctypes.PyDLL(None).sleep(600)
            time.sleep(self.wait)
            while self.held and not (self.folder / "released").exists():
                time.sleep(0.02)
            self.note("ends", one)
            yield position, Answer(one / 1000 + trial, 2.5, {"schedule": epochs, "twice": 2 * one})

    def release(self) -> None:
        (self.folder / "released").touch()

    def note(self, event: str, one: int) -> int:
        """Add a line; how many this architecture has."""
        with (self.folder / event).open("a") as file:
            file.write(f"{one} {os.getpid()}\n")
        return sum(other == one for other, _ in self.noted(event))

    def noted(self, event: str) -> list[tuple[int, int]]:
        """Architecture and process of every line so far."""
        path = self.folder / event
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(line.split()[0]), int(line.split()[1])) for line in lines]


def _copy(*arguments: Any) -> Toy:
    toy = Toy(*arguments)
    toy.note("copies", -1)
    return toy
