"""Fetches public archives by pooch: checksummed, and going on where a connection broke off."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nats_gym.errors import NatsGymError, said
from nats_gym.extras import require
from nats_gym.files.writing import make_folder

#: Seconds without a byte before a connection counts as broken.
TIMEOUT = 30.0
_CHUNK = 1 << 20


class DownloadFailed(NatsGymError, OSError):
    """A file could not be fetched; what has arrived is kept, and the next try goes on from it."""


def fetch(url: str, md5: str, folder: Path) -> Path:
    """Fetch a file into ``folder``, unless it is there already, and check it.

    Args:
        url: where it is; its last part names the file.
        md5: its published checksum.
        folder: where to; made if need be.

    Raises:
        MissingPackage: without pooch.
        DownloadFailed: without a connection, or if what arrived is another file. Both say where to
            put the file by hand.
    """
    name, by_hand = check_fetch(url, folder)
    import pooch  # type: ignore[import-untyped]
    from filelock import FileLock

    try:
        make_folder(folder)
        part = folder / f"{name}.part"
        with FileLock(folder / f".{name}.lock"):
            path = pooch.retrieve(
                url, known_hash=f"md5:{md5}", fname=name, path=folder, downloader=_Resuming(part)
            )
    except ValueError as error:  # pooch's word for a wrong checksum
        raise DownloadFailed(
            f"{url} sent something that is not {name} as published ({said(error)}); "
            f"try again later, {by_hand}"
        ) from error
    except OSError as error:  # requests' exceptions are OSErrors too
        raise DownloadFailed(
            f"{name} did not arrive ({_reason(error)}); the same call goes on where it broke off, "
            f"{by_hand}"
        ) from error
    return Path(path)


def check_fetch(url: str, folder: Path) -> tuple[str, str]:
    """A file's name, and how to get it without this module; says at once if pooch is missing.

    Raises:
        MissingPackage: without pooch.
    """
    name = url.rsplit("/", 1)[1]
    by_hand = f"or fetch {url} elsewhere and put it at {folder / name}"
    require("pooch", f"the download of {name}", f"; {by_hand}")
    return name, by_hand


class _Resuming:
    """A downloader in pooch's sense that keeps what has arrived in a file of its own.

    Args:
        part: that file.
    """

    def __init__(self, part: Path) -> None:
        self._part = part

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        import requests

        have = self._part.stat().st_size if self._part.exists() else 0
        # As it is: a server that packs the answer counts other bytes.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                self._part.unlink()  # longer than the file: what it is will not be known
                return self(url, output_file, pooch)
            answer.raise_for_status()
            goes_on = answer.status_code == requests.codes.partial_content
            with self._part.open("ab" if goes_on else "wb") as file:
                for chunk in answer.iter_content(_CHUNK):
                    file.write(chunk)
                size = file.tell()
            # Older urllib3 takes a connection that ends early for the end of the file.
            announced = int(answer.headers.get("Content-Length", 0))
            if size < announced + (have if goes_on else 0):
                raise requests.ConnectionError(f"the connection ended after {size} bytes")
        os.replace(self._part, output_file)
        return None


def _reason(error: OSError) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
