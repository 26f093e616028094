"""Fetches the official archives from where their authors put them, with gdown."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nats_gym.errors import SHOWN, NatsGymError
from nats_gym.extras import require
from nats_gym.files import make_folder
from nats_gym.spaces import get_space
from nats_gym.tables.folder import sha256_of
from nats_gym.tables.home import home
from nats_gym.tables.official.entries import TAR, Listing

README = "https://github.com/D-X-Y/NATS-Bench"
#: Name and Google Drive id of the tar of each space, as its authors list them.
TARS = {
    "tss": ("NATS-tss-v1_0-3ffb9-simple.tar", "17_saCsj_krKjlCBLOJEpNtzPXArMCqxU"),
    "sss": ("NATS-sss-v1_0-50262-simple.tar", "1scOMTUwcQhAMa_IMedp9lTzwmgqHLGgA"),
}
RETRIES = 5


class DownloadFailed(NatsGymError, OSError):
    """The archive could not be fetched; what has arrived is kept and the next try resumes."""


@dataclass(frozen=True)
class Downloaded:
    """A file that has arrived.

    Attributes:
        path: where it lies.
        size: bytes.
        sha256: hexadecimal digest.
    """

    path: Path
    size: int
    sha256: str


def download(
    space: str,
    url: str | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Downloaded:
    """Fetch the official tar of a space into ``downloads/`` under nats-gym's home.

    Args:
        space: ``"tss"`` or ``"sss"``.
        url: another place to fetch it from, such as a mirror.
        progress: called with the bytes there so far and in all (None if not announced).

    Raises:
        InvalidInput: for an unknown space.
        MissingPackage: without gdown.
        DownloadFailed: if the server does not give the file out (Drive's quota), or the connection
            breaks; says how to go on.
    """
    get_space(space)
    name, drive_id = TARS[space]
    require("gdown", f"the download of {name}", f"; or {by_hand(space)}")
    import gdown
    from gdown.exceptions import FileURLRetrievalError

    folder = home() / "downloads"
    make_folder(folder)
    path = folder / name
    if not path.exists():
        try:
            gdown.download(
                url=url or f"https://drive.google.com/uc?id={drive_id}",
                output=str(path),
                quiet=True,
                resume=True,
                retries=RETRIES,
                progress=progress,
            )
        except FileURLRetrievalError as error:
            raise DownloadFailed(
                f"Google Drive does not give {name} out now, most likely because its quota for "
                f"the file is used up ({_first_line(error)}); try again tomorrow, or "
                + by_hand(space)
            ) from error
        except (OSError, gdown.exceptions.DownloadError) as error:
            raise DownloadFailed(
                f"{name} did not arrive ({_first_line(error)}); the same command resumes, or "
                + by_hand(space)
            ) from error
    try:
        Listing(path, TAR, "").entries  # noqa: B018 - walks the whole tar
    except NatsGymError as error:
        os.unlink(path)
        raise DownloadFailed(
            f"the server sent something that is not {name} as a whole, perhaps a page saying that "
            f"its quota is used up ({_first_line(error)}); try again later, or {by_hand(space)}"
        ) from error
    return Downloaded(path, path.stat().st_size, sha256_of(path))


def by_hand(space: str) -> str:
    """How to get an archive without this module."""
    name, drive_id = TARS[space]
    return (
        f"fetch {name} in a browser (https://drive.google.com/file/d/{drive_id}, or a mirror that "
        f"{README} lists) and run: nats-gym data import {name}"
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = lines[0] if lines else type(error).__name__
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"
