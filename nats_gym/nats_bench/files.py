"""Official files and where they lie, by the public names of ``nats_bench.api_utils``."""

from __future__ import annotations

import bz2
import os
import pickle
import time
from pathlib import Path
from typing import Any

from nats_gym import checks
from nats_gym.errors import InvalidInput, said, shown
from nats_gym.files.writing import write_file
from nats_gym.nats_bench import arguments

PICKLE_EXT = "pickle.pbz2"
_FILE_SYSTEM = "default"


def time_string() -> str:
    """Universal time now, as ``[2021-02-03 04:05:06]``."""
    return time.strftime("[%Y-%m-%d %X]", time.gmtime())


def reset_file_system(lib: str = _FILE_SYSTEM) -> None:
    """Choose the file system; only the ``default`` one is left."""
    checks.word(lib, "file system", [_FILE_SYSTEM])


def get_file_system() -> str:
    """Name of the file system in use."""
    return _FILE_SYSTEM


def get_torch_home() -> str:
    """``TORCH_HOME``, else ``~/.torch``; ValueError if neither it nor ``HOME`` is set."""
    if "TORCH_HOME" in os.environ:
        return os.environ["TORCH_HOME"]
    if "HOME" in os.environ:
        return os.path.join(os.environ["HOME"], ".torch")
    raise InvalidInput("set TORCH_HOME to the folder of the official files; HOME is not set either")


def nats_is_dir(file_path: str | os.PathLike[str]) -> bool:
    """Whether a directory is there."""
    return os.path.isdir(arguments.file(file_path, "file_path"))


def nats_is_file(file_path: str | os.PathLike[str]) -> bool:
    """Whether a file is there."""
    return os.path.isfile(arguments.file(file_path, "file_path"))


def pickle_save(
    obj: Any, file_path: str | os.PathLike[str], ext: str = ".pbz2", protocol: int = 4
) -> None:
    """Pickle ``obj`` into the bz2 file ``file_path + ext``, whole or not at all."""
    path = _extend(file_path, ext)
    protocol = checks.integer(protocol, "protocol", -1, pickle.HIGHEST_PROTOCOL)
    try:
        pickled = pickle.dumps(obj, protocol=protocol)
    except Exception as error:  # what is given writes itself as it likes
        raise InvalidInput(f"{shown(obj)} cannot be pickled: {said(error)}") from error
    write_file(path, bz2.compress(pickled))


def pickle_load(file_path: str | os.PathLike[str], ext: str = ".pbz2") -> Any:
    """Read a bz2 pickle of ``file_path``, or else of ``file_path + ext``.

    Unlike the original, admits only what official files contain: plain values, numpy scalars
    and torch tensors. See :mod:`nats_gym.tables.official.unpickling` for what is raised.
    """
    from nats_gym.tables.official.unpickling import load_record

    extended = _extend(file_path, ext)
    return load_record(Path(file_path) if nats_is_file(file_path) else extended, weights=True)


def _extend(file_path: str | os.PathLike[str], ext: str) -> Path:
    path = checks.path(file_path, "file_path")
    return checks.path(f"{path}{checks.text(ext, 'ext')}", "file_path with ext")


def record_path(folder: str | os.PathLike[str], index: int) -> Path | None:
    """The file of an architecture in a directory of official files, None if it has none."""
    for name in (f"{index:06d}.{PICKLE_EXT}", f"{index:d}.{PICKLE_EXT}"):
        path = Path(folder, name)
        if path.is_file():
            return path
    return None
