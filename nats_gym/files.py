"""Whole or absent: a file is written under a temporary name and renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os.path import lexists
from pathlib import Path

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown


def check_source(source: object) -> str | Path:
    """Return a table's ``source``; ``InvalidInput`` unless it is a word or a path."""
    path = checks.path(source, "a source other than 'auto', 'embedded' and 'digits-300'")
    return str.__str__(source) if isinstance(source, str) else path


def check_folder(path: Path) -> None:
    """Raise ``InvalidInput`` if ``path`` cannot become a folder that we may write to."""
    # A link that leads nowhere is there, and in the way.
    nearest = next(parent for parent in (path, *path.absolute().parents) if lexists(parent))
    if not nearest.is_dir():
        raise InvalidInput(f"{shown(str(path))} cannot be a folder: {shown(str(nearest))} is none")
    if not os.access(nearest, os.W_OK):
        raise InvalidInput(
            f"{shown(str(path))} cannot be written: {shown(str(nearest))} is read-only"
        )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` unless the block raises."""
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
