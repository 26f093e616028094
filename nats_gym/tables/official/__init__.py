"""Official NATS-Bench archives: imported once into memory-mapped columns, then read from those.

``entries`` finds the files of an archive, ``unpickling`` and ``streaming`` read them without
running anything, ``extraction`` turns an architecture's record into rows, ``assembly`` joins
these into columns, ``store`` drives it all and knows what is imported, ``archive`` reads it.
"""

from nats_gym.tables.official.archive import OfficialArchive, Runs
from nats_gym.tables.official.store import (
    archives,
    archives_folder,
    find_archive,
    import_archive,
    newest_archive,
    remove_archive,
)

__all__ = [
    "OfficialArchive",
    "Runs",
    "archives",
    "archives_folder",
    "find_archive",
    "import_archive",
    "newest_archive",
    "remove_archive",
]
