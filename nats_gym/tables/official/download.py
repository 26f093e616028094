"""Fetches the official archives from where their authors put them, with gdown."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nats_gym import checks
from nats_gym.errors import SHOWN, NatsGymError
from nats_gym.extras import require
from nats_gym.files.home import home
from nats_gym.files.writing import make_folder
from nats_gym.tables.folder import sha256_of
from nats_gym.tables.official.entries import TAR, list_archive
from nats_gym.tables.official.origin import NASBENCH_101
from nats_gym.tables.official.unpickling import UnreadableFile


@dataclass(frozen=True)
class PublicFile:
    """A file that its authors serve.

    Attributes:
        name: of the file.
        url: where it is fetched from.
        in_a_browser: likewise for people.
        page: of the benchmark, whose mirrors are listed there.
        sha256: how its checksum begins, as far as that is published; empty if it is not.
    """

    name: str
    url: str
    in_a_browser: str
    page: str
    sha256: str = ""


def _on_drive(name: str, drive_id: str) -> PublicFile:
    return PublicFile(
        name,
        f"https://drive.google.com/uc?id={drive_id}",
        f"https://drive.google.com/file/d/{drive_id}",
        "https://github.com/D-X-Y/NATS-Bench",
    )


def _on_storage(name: str) -> PublicFile:
    url = f"https://storage.googleapis.com/nasbench/{name}"
    page = "https://github.com/google-research/nasbench"
    return PublicFile(name, url, url, page, NASBENCH_101.files[name])


#: The files of each space, as their authors list them; the first is fetched if none is named.
FILES: dict[str, tuple[PublicFile, ...]] = {
    "tss": (_on_drive("NATS-tss-v1_0-3ffb9-simple.tar", "17_saCsj_krKjlCBLOJEpNtzPXArMCqxU"),),
    "sss": (_on_drive("NATS-sss-v1_0-50262-simple.tar", "1scOMTUwcQhAMa_IMedp9lTzwmgqHLGgA"),),
    "nb101": (_on_storage("nasbench_full.tfrecord"), _on_storage("nasbench_only108.tfrecord")),
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
        published: how that begins as published, which was checked; empty if it is not published.
    """

    path: Path
    size: int
    sha256: str
    published: str = ""


def public_file(space: str, file: str | None = None) -> PublicFile:
    """A space's public file, the first or the named one; ``InvalidInput`` where there is none."""
    files = FILES[checks.word(space, "space with public files", FILES)]
    if file is None:
        return files[0]
    names = [each.name for each in files]
    return files[names.index(checks.word(file, f"file of {space}", names))]


def download(
    space: str,
    url: str | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    file: str | None = None,
) -> Downloaded:
    """Fetch the official file of a space into ``downloads/`` under nats-gym's home.

    Args:
        space: ``"tss"``, ``"sss"`` or ``"nb101"``.
        url: another place to fetch it from, such as a mirror.
        progress: called with the bytes there so far and in all (None if not announced).
        file: which of several, e.g. ``"nasbench_only108.tfrecord"``; None for all figures.

    Raises:
        InvalidInput: for an unknown space or file.
        MissingPackage: without gdown.
        DownloadFailed: if the server does not give the file out (Drive's quota), the connection
            breaks, or what arrives is another file; says how to go on.
    """
    wanted = public_file(space, file)
    name = wanted.name
    require("gdown", f"the download of {name}", f"; or {by_hand(wanted)}")
    import gdown
    from gdown.exceptions import FileURLRetrievalError

    folder = home() / "downloads"
    make_folder(folder)
    path = folder / name
    if not path.exists():
        try:
            gdown.download(
                url=url or wanted.url,
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
                + by_hand(wanted)
            ) from error
        except (OSError, gdown.exceptions.DownloadError) as error:
            raise DownloadFailed(
                f"{name} did not arrive ({_first_line(error)}); the same command resumes, or "
                + by_hand(wanted)
            ) from error
    try:
        listing = list_archive(path)
        if listing.kind == TAR:
            listing.entries  # noqa: B018 - walks the whole tar
        sha256 = sha256_of(path)
        if not sha256.startswith(wanted.sha256):
            raise UnreadableFile(f"its SHA-256 begins with {sha256[:8]}, not {wanted.sha256}")
    except NatsGymError as error:
        os.unlink(path)
        raise DownloadFailed(
            f"the server sent something that is not {name} as a whole, perhaps a page saying that "
            f"its quota is used up ({_first_line(error)}); try again later, or {by_hand(wanted)}"
        ) from error
    return Downloaded(path, path.stat().st_size, sha256, wanted.sha256)


def by_hand(wanted: PublicFile) -> str:
    """How to get a file without this module."""
    return (
        f"fetch {wanted.name} in a browser ({wanted.in_a_browser}, or a mirror that "
        f"{wanted.page} lists) and run: nats-gym data import {wanted.name}"
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = lines[0] if lines else type(error).__name__
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"
