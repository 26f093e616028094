"""Official NATS-Bench archives: imported once into memory-mapped columns, then read from those.

``entries`` finds the files of an archive, ``unpickling`` and ``streaming`` read them without
running anything, ``extraction`` turns an architecture's record into rows, ``assembly`` joins
these into columns, ``importing`` drives it all, ``store`` knows what is imported, and ``archive``
reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nats_gym.tables.official.archive import OfficialArchive
from nats_gym.tables.official.runs import Runs
from nats_gym.tables.official.store import (
    archive_folders,
    archives,
    archives_folder,
    find_archive,
    newest_archive,
    open_archive,
)

if TYPE_CHECKING:
    from nats_gym.tables.official.importing import import_archive, remove_archive

__all__ = [
    "OfficialArchive",
    "Runs",
    "archive_folders",
    "archives",
    "archives_folder",
    "find_archive",
    "import_archive",
    "newest_archive",
    "open_archive",
    "remove_archive",
]


def __getattr__(name: str) -> Any:
    # Importing takes modules that a reader of what is imported should not pay for.
    if name in ("import_archive", "remove_archive"):
        from nats_gym.tables.official import importing

        return getattr(importing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
