"""What a weight-sharing search found."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import UnreadableResult, said, shown
from nats_gym.files.untrusted import open_arrays
from nats_gym.files.writing import make_folder, replacing

#: The arrays of a result.
ARRAYS = ("index", "seconds", "alphas", "loss")


@dataclass(frozen=True, eq=False)
class SupernetResult:
    """What a weight-sharing search found, epoch by epoch.

    Attributes:
        index: official index of the architecture derived after each epoch, ``(epochs,)``.
        seconds: real seconds that had gone by then, ``(epochs,)``.
        alphas: log-probability of each choice at each decision by then, up to a constant a row,
            ``(epochs, n, k)``.
        loss: mean loss of the weights' steps, ``(epochs,)``.
        arguments: what the search was made with, defaults filled in.
    """

    index: NDArray[np.int64]
    seconds: NDArray[np.float64]
    alphas: NDArray[np.float64]
    loss: NDArray[np.float64]
    arguments: Mapping[str, Any]

    @property
    def derived(self) -> int:
        """Official index of the architecture after the last epoch."""
        return int(self.index[-1])

    @property
    def total_seconds(self) -> float:
        """Real seconds that have gone so far; 0 before the first epoch."""
        return float(self.seconds[-1]) if len(self.seconds) else 0.0

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one ``.npz`` file, whole or not at all; returns its path."""
        path = Path(path)
        make_folder(path.parent)
        arrays = {name: getattr(self, name) for name in ARRAYS}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, arguments=json.dumps(dict(self.arguments)), **arrays)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SupernetResult:
        """Read what :meth:`save` wrote.

        Raises:
            UnreadableResult: if it is missing or damaged.
        """
        try:
            with open_arrays(path, ("<f8", "<i8", "<f4", "<U")) as content:
                arrays = {name: content[name] for name in ARRAYS}
                return cls(**arrays, arguments=json.loads(str(content["arguments"])))
        except (OSError, ValueError, KeyError, RecursionError) as error:
            raise UnreadableResult(
                f"no search is read from {shown(str(path))}: {said(error)}"
            ) from error
