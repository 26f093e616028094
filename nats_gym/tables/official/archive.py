"""An imported archive: every trial's final figures and learning curves, as memory-mapped columns.

Layout of the folder::

    archive.json                      what was imported, from where, what it is and holds
    held.npy                          (arch,) whether the archive has the architecture at all
    columns/<key>@<hp>/<name>.npy     (arch, trial) float64, NaN where a trial does not exist
    curves/<key>@<hp>/<set>.npy       (arch, trial, epoch, 2) float32: accuracy and loss
    tables/<dataset>/                 the same columns as a table, for environments and searches

A *key* is what NATS-Bench calls a data set: ``cifar10-valid`` is trained on half of CIFAR-10's
training images, ``cifar10`` on all of them. *hp* is the training schedule as the files spell it:
``01``, ``12``, ``90`` or ``200``. Sets are ``train``, ``x-valid``, ``x-test`` and ``ori-test``.
NAS-Bench-101's files have a schedule's length for *hp*, ``halfway-`` columns in place of curves,
and::

    cells/<name>.npy                  matrices (arch, 49): row by row, then zeros; labels
                                      (arch, 7); parameters (arch,); hashes (arch, 16)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.errors import CorruptTable, MissingTable, said, shown
from nats_gym.files.untrusted import map_array, read_json
from nats_gym.files.writing import write_file
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.tables.official.origin import NATS_BENCH, differences
from nats_gym.tables.official.runs import KEYS, Runs

ARCHIVE_FILE = "archive.json"
LARGEST_FACTS = 64 << 20
FORMAT = 1


class OfficialArchive:
    """Reads an imported archive.

    Args:
        folder: what ``import_archive`` returned.

    Attributes:
        folder: likewise.
        facts: the content of ``archive.json``.
        space: the architecture space.

    Raises:
        MissingTable, CorruptTable: if the folder is not an imported archive.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = checks.path(folder, "an archive's folder")
        path = self.folder / ARCHIVE_FILE
        if not path.is_file():
            raise MissingTable(f"no imported archive at {shown(str(self.folder))}")
        try:
            self.facts: dict[str, Any] = read_json(path, LARGEST_FACTS)
            if self.facts["format"] != FORMAT:
                raise CorruptTable(
                    f"{path}: format {shown(self.facts['format'])}, this version reads {FORMAT}"
                )
            self.space: ArchitectureSpace = get_space(self.facts["space"])
            self._runs = {
                (runs["key"], runs["hp"]): Runs(
                    key=runs["key"],
                    hp=runs["hp"],
                    epochs=runs["epochs"],
                    seeds=tuple(runs["seeds"]),
                    sets=tuple(runs["sets"]),
                    curve_sets=tuple(runs["curve_sets"]),
                    arch_config=runs["arch_config"],
                    folder=self.folder,
                    columns=tuple(runs.get("columns", ())),
                )
                for runs in self.facts["runs"]
            }
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptTable(f"{path}: not an archive's facts ({said(error)})") from error

    lacking = ""

    def __repr__(self) -> str:
        return f"OfficialArchive({self.space.name!r}, from={self.source!r})"

    @property
    def trained_on(self) -> str:
        """Data set that its records say they were trained on, whatever key they are filed under.

        Empty if they do not say, as NATS-Bench's do not.
        """
        configs = (runs.arch_config for runs in self._runs.values())
        return str(next((config["trained_on"] for config in configs if "trained_on" in config), ""))

    @cached_property
    def differences(self) -> tuple[str, ...]:
        """In what it contradicts what is known of the public archives, in words."""
        if "differences" in self.facts:
            return tuple(self.facts["differences"])
        # An import of the first version did not look.
        every = [self.runs(key, hp) for hp in self.hps for key in self.keys(hp)]
        return tuple(differences(self.space, self.held, every))

    @property
    def official(self) -> bool:
        """Whether nothing speaks against its being what was published."""
        return not (self.trained_on or self.differences)

    @property
    def mistaken(self) -> bool:
        """Whether the first version imported it, and its tables call it NATS-Bench's wrongly."""
        return "differences" not in self.facts and not self.official

    @property
    def origin(self) -> str:
        """What its figures are, in words."""
        if self.trained_on:
            return f"own training on {self.trained_on}"
        if not self.differences:
            return str(self.facts.get("origin", NATS_BENCH))
        benchmark = "NATS-Bench" if "origin" not in self.facts else self.space.title
        return f"not {benchmark}'s, though in its format: {self.differences[0]}"

    @property
    def source(self) -> str:
        """The file or directory that was imported."""
        return str(self.facts["source"]["path"])

    @property
    def weights(self) -> Path | None:
        """The ``-full`` directory that holds the trained weights, if it was one."""
        return Path(self.facts["weights"]) if self.facts["weights"] else None

    @property
    def complete(self) -> bool:
        """Whether every architecture of the space is there."""
        return bool(self.facts["architectures"] == self.space.size)

    @property
    def hps(self) -> tuple[str, ...]:
        """Schedules, as the files spell them, in ascending order of epochs."""
        epochs = {hp: runs.epochs for (_, hp), runs in self._runs.items()}
        return tuple(sorted(epochs, key=epochs.__getitem__))

    @cached_property
    def held(self) -> NDArray[np.bool_]:
        """Whether the archive has the architecture, ``(arch,)``."""
        path = self.folder / "held.npy"
        try:
            held = map_array(path, ("|b1",))
            if held.shape != (self.space.size,):
                raise ValueError(f"{held.shape}, the space has {self.space.size} architectures")
        except (OSError, ValueError) as error:
            raise CorruptTable(f"{path}: cannot be read ({said(error)})") from error
        return np.asarray(held)

    def keys(self, hp: str) -> tuple[str, ...]:
        """Data set keys that the archive has on a schedule, in official order."""
        hp = checks.text(hp, "hp")
        return tuple(key for key in KEYS if (key, hp) in self._runs)

    def runs(self, key: str, hp: str) -> Runs:
        """All trials of a data set key on a schedule.

        Raises:
            KeyError: if the archive has none.
        """
        return self._runs[checks.text(key, "key"), checks.text(hp, "hp")]


def write_facts(path: Path, facts: Mapping[str, Any]) -> None:
    """Write the content of ``archive.json``, whole or not at all."""
    # Escaped: a path may hold bytes that are no text.
    write_file(path, json.dumps(facts, indent=1) + "\n")
