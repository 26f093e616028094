"""A file of JSON, a line an entry, that only grows: what was measured, kept as it comes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nats_gym.errors import InvalidInput, said, shown
from nats_gym.files.untrusted import open_file
from nats_gym.files.writing import check_replaceable, unwritable_named

#: Most bytes of such a file.
LARGEST = 1 << 30


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The entries of a file, none where there is none.

    A last line without its end was cut when a process was killed, and is left out.

    Raises:
        InvalidInput: for a file that holds anything else.
    """
    found: list[dict[str, Any]] = []
    where = shown(str(path))
    try:
        for number, line in enumerate(_whole_lines(path).splitlines(), 1):
            where = f"line {number} of {shown(str(path))}"
            if line:
                entry = json.loads(line)
                if type(entry) is not dict:
                    raise ValueError(f"no dictionary: {shown(entry)}")
                found.append(entry)
    except (OSError, RecursionError, ValueError) as error:
        raise InvalidInput(f"{where} holds no measurement: {said(error)}") from error
    return found


@contextmanager
def appending(path: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yield what appends an entry, which is in the file once it returns; a cut last line goes.

    Raises:
        CannotWrite: for what the operating system refuses.
    """
    check_replaceable(path)
    with unwritable_named(path):
        file = open(path, "ab")  # noqa: SIM115  (closed below)
    with file:
        file.truncate(len(_whole_lines(path)))

        def append(entry: dict[str, Any]) -> None:
            with unwritable_named(path):
                file.write(json.dumps(entry).encode() + b"\n")
                file.flush()

        yield append


def _whole_lines(path: Path) -> bytes:
    try:
        with open_file(path, LARGEST) as file:
            content = file.read()
    except FileNotFoundError:
        return b""
    return content[: content.rfind(b"\n") + 1]
