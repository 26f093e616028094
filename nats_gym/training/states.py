"""Trainings that ended before their schedule did, kept in a folder for those that go on with them.

The state after 4 of 12 epochs is what a training of all 12 passes through, so one that goes on from
there ends as one that was never cut, to the bit on the CPU.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from nats_gym.files.writing import make_folder
from nats_gym.training.checkpoint import checkpoint_name

_UNDER_WAY = ".under-way"


class KeptStates:
    """States of trainings on disk, the furthest of each.

    Args:
        folder: where they lie. A folder of its own for every ``identity``.
        identity: what the trainings depend on beside architecture, schedule and seed.
        space: of the architectures.
    """

    def __init__(self, folder: Path, identity: str, space: str) -> None:
        self._folder = folder / hashlib.sha256(identity.encode()).hexdigest()[:16]
        self._space = space

    @contextmanager
    def lent(
        self, index: Sequence[int], seeds: Sequence[int], length: int, until: int
    ) -> Iterator[Lent]:
        """A folder of a batch's own in the block, with the states that its trainings begin with.

        Args:
            index: official indices.
            seeds: one each.
            length: epochs of the whole schedule.
            until: epochs after which these end.
        """
        make_folder(self._folder / _UNDER_WAY)
        own = Path(tempfile.mkdtemp(dir=self._folder / _UNDER_WAY))
        try:
            for one, seed in zip(index, seeds, strict=True):
                name = checkpoint_name(self._space, one, seed)
                before = [found for found in self._states(name, length) if found[0] <= until]
                if before:
                    with suppress(FileNotFoundError):  # another has got further meanwhile
                        shutil.copyfile(max(before)[1], own / name)
            yield Lent(self, own, length, until)
        finally:
            shutil.rmtree(own, ignore_errors=True)

    def keep(self, path: Path, length: int, until: int) -> None:
        """Keep the state at ``path``, which goes, and drop what it has overtaken."""
        earlier = [found for found in self._states(path.name, length) if found[0] < until]
        with suppress(FileNotFoundError):  # of a training that failed
            if until < length:
                os.replace(path, self._folder / f"{path.stem}-{until}of{length}.pt")
            for _, overtaken in earlier:
                overtaken.unlink(missing_ok=True)

    def _states(self, name: str, length: int) -> list[tuple[int, Path]]:
        """What is kept of a training: epochs and file."""
        stem = re.escape(Path(name).stem)
        pattern = re.compile(f"{stem}-([0-9]+)of{length}[.]pt")
        try:
            names = [
                file for file in os.listdir(self._folder) if file.startswith(Path(name).stem + "-")
            ]
        except FileNotFoundError:
            return []
        matches = [(pattern.fullmatch(one), self._folder / one) for one in names]
        return [(int(match[1]), path) for match, path in matches if match]


class Lent:
    """The checkpoints of a batch that is trained now.

    Attributes:
        folder: where they lie, by :func:`~nats_gym.training.checkpoint.checkpoint_name`.
    """

    def __init__(self, states: KeptStates, folder: Path, length: int, until: int) -> None:
        self.folder = folder
        self._states, self._length, self._until = states, length, until

    def keep(self, space: str, index: int, seed: int) -> None:
        """Keep the state of a training that has ended as it should."""
        path = self.folder / checkpoint_name(space, index, seed)
        self._states.keep(path, self._length, self._until)
