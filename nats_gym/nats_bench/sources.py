"""Which figures an API answers from: what ``file_path_or_dict`` stands for."""

from __future__ import annotations

import collections
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nats_gym import checks
from nats_gym.errors import InvalidInput, SurrogateWarning, shown, warn_caller
from nats_gym.nats_bench.files import PICKLE_EXT
from nats_gym.tables.official import OfficialArchive, find_archive, newest_archive
from nats_gym.tables.official.archive import ARCHIVE_FILE
from nats_gym.tables.official.store import ArchiveChanged

if TYPE_CHECKING:
    from nats_gym.nats_bench.embedded import EmbeddedArchive

_WAIT_SECONDS = 0.5
_DICTS = (dict, collections.OrderedDict)


def open_path(path: str | os.PathLike[str], space: str, verbose: bool) -> OfficialArchive:
    """The archive at a path, imported if it is asked for the first time.

    Args:
        path: official files (a directory, a tar or the single pickle), or an imported archive.
        space: ``"tss"`` or ``"sss"``.
        verbose: say that an import begins.

    Raises:
        InvalidInput: if nothing is there, or an archive of another space; see also
            :func:`nats_gym.tables.official.import_archive`.
    """
    path = Path(path)
    if not path.exists():
        raise InvalidInput(f"{shown(str(path))} is neither a file nor a directory")
    if (path / ARCHIVE_FILE).is_file():
        archive = OfficialArchive(path)
    else:
        archive = _known(path) or _imported(path, space, verbose)
    if archive.space.name != space:
        raise InvalidInput(f"{shown(str(path))} holds {archive.space.name}, asked for was {space}")
    return archive


def _known(path: Path) -> OfficialArchive | None:
    try:
        return find_archive(path)
    except ArchiveChanged:
        return None


def _imported(path: Path, space: str, verbose: bool) -> OfficialArchive:
    # Takes memory that a reader of what is imported has no use for.
    from nats_gym.tables.official.importing import ImportRunning, import_archive

    if verbose:
        print(f"importing {path}, once; later it opens in milliseconds")
    while True:
        try:
            return import_archive(path, space)
        except ImportRunning:  # another process may be importing this very archive
            time.sleep(_WAIT_SECONDS)


def open_default(
    space: str, base_name: str, fast_mode: bool, verbose: bool
) -> OfficialArchive | EmbeddedArchive:
    """What ``None`` stands for: the best figures on this machine.

    Official files in ``$TORCH_HOME``, if it is set; an imported archive; official files in
    ``~/.torch``; the embedded figures, with a warning.
    """
    explicit = os.environ.get("TORCH_HOME")
    if explicit and (path := _official_files(Path(explicit), base_name, fast_mode)):
        return open_path(path, space, verbose)
    if archive := newest_archive(space):
        return archive
    if path := _official_files(Path("~/.torch").expanduser(), base_name, fast_mode):
        return open_path(path, space, verbose)
    from nats_gym.nats_bench.embedded import EmbeddedArchive  # brings the surrogates along

    embedded = EmbeddedArchive(space)
    warn_caller(
        f"no official files of {space} on this machine: the embedded figures answer. "
        f"{embedded.provenance()}. `nats-gym data download {space}` gets the official ones.",
        SurrogateWarning,
    )
    return embedded


def _official_files(folder: Path, base_name: str, fast_mode: bool) -> Path | None:
    single = f"{base_name}.{PICKLE_EXT}"
    directories = [f"{base_name}-simple", f"{base_name}-full"]
    names = [*directories, single] if fast_mode else [single, *directories]
    for name in (*names, f"{base_name}-simple.tar"):
        if (folder / name).exists():
            return folder / name
    return None


def check_dict(given: dict[str, Any]) -> dict[str, Any]:
    """What the official single file has, of a dict that has it too; ValueError if it has not."""
    content = checks.mapping(given, "an official dict is a dictionary by name")
    for key in ("meta_archs", "arch2infos", "evaluated_indexes"):
        if key not in content:
            raise InvalidInput(f"an official dict has '{key}'; this one has {shown([*content])}")
    names, infos = checks.as_list(content["meta_archs"]), content["arch2infos"]
    if not names or not all(type(name) is str for name in names):
        raise InvalidInput(f"'meta_archs' is a list of strings, got {shown(content['meta_archs'])}")
    held = checks.as_integers([*infos]) if type(infos) in _DICTS else None
    evaluated = checks.as_integers(content["evaluated_indexes"])
    for key, indexes in (("arch2infos", held), ("evaluated_indexes", evaluated)):
        if indexes is None or not all(0 <= index < len(names) for index in indexes):
            raise InvalidInput(
                f"'{key}' goes by index, 0…{len(names) - 1}, got {shown(content[key])}"
            )
    return {"meta_archs": names, "arch2infos": infos, "evaluated_indexes": {*(evaluated or ())}}
