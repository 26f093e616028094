"""The files that come out, whole or absent: coefficients and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from nats_gym.files.writing import replacing, write_file
from nats_gym.tables.surrogates import Array


def write_arrays(path: Path, arrays: dict[str, Array]) -> None:
    """Write a compressed npz."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write indented json."""
    write_file(path, json.dumps(content, indent=2) + "\n")
