"""The command line itself: its options, how it prints, and how it fails."""

from __future__ import annotations

import io
import json
import re
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

import nats_gym
from nats_gym import checks
from nats_gym.datasets import EVERY_DATASET, get_dataset
from nats_gym.errors import SHOWN, InvalidInput, NatsGymError, said, shown

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn
    from rich.table import Table as Grid

    from nats_gym.training.record import TrainingRecord

#: Of a message; the longest that are meant are paths.
LONGEST_WORD = 1_000

#: What a command's data set may be, in words.
DATASET_NAMES = f"{', '.join(EVERY_DATASET)}, or the path of images"

#: What a command's space may be, in words.
SPACE_NAMES = "tss (topology), sss (size), nb101, or your own: its name, or module:Class"

#: Seconds between two lines on a training.
BETWEEN_EPOCHS = 5.0

#: Exit codes: of what cannot be done as it was asked for, and of Ctrl-C, as shells have it.
REFUSED, INTERRUPTED = 2, 130

app = typer.Typer(
    name="nats-gym",
    help="Neural architecture search as reinforcement learning.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nats-gym {nats_gym.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="and exit")
    ] = False,
    spaces: Annotated[
        list[str] | None,
        typer.Option(
            "--known-space", help="module:Class of a space that results are of; may be repeated"
        ),
    ] = None,
) -> None:
    """Neural architecture search as reinforcement learning."""
    from nats_gym.spaces import find_space

    for one in spaces or []:
        look_here()
        find_space(one)
    help_without_command(context)


def help_without_command(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        say(context.get_help())


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # not all take ± or ✓
    written, warnings.formatwarning = warnings.formatwarning, _one_line
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # newer releases of Typer return it
            raise KeyboardInterrupt
    except NatsGymError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{shown(str(error.filename or 'file'))}: {error.strerror or said(error)}")
    except (typer.Abort, KeyboardInterrupt):
        fail("interrupted", INTERRUPTED)
    except Exception as error:
        # Newer releases of Typer carry a click of their own, so the class of a usage error has
        # no public name; what it can do tells it.
        if not hasattr(error, "format_message"):
            raise
        fail(error.format_message())
    finally:
        warnings.formatwarning = written
    sys.exit(code or 0)


def _one_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """A warning as this command line says it: its place in the code is nobody's here."""
    return f"nats-gym: {' '.join(str(message).split())}\n"


def print_grid(grid: Grid) -> None:
    from rich.console import Console

    # Off a terminal nothing needs to wrap: a pipe has no width.
    width = None if sys.stdout.isatty() else 160
    Console(width=width, markup=False, emoji=False).print(grid)  # paths may look like markup


def path(text: str) -> Path:
    """How every option that is a path is read; ``~`` is a home, as in a shell."""
    try:
        return checks.path(text, "it", expand=True)
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from None


def space_name(text: str) -> str:
    """How every option that is a space is read: a name, or ``"module:Class"`` beside here.

    That is known by its name from then on, as a study knows those beside its file.
    """
    if ":" not in text:
        return text
    from nats_gym.spaces import register_space

    look_here()
    try:
        return register_space(text).name
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from None


def look_here() -> None:
    """Find modules in the current folder."""
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def results_folder(*told: object) -> Path:
    """Where what a command makes goes by default: a folder named after what it was told."""
    return Path("results", re.sub(r"[^\w.,=+-]+", "_", "-".join(map(str, told)))[:200])


def check_data_dir(data_dir: Path | None, dataset: str) -> None:
    """Refuse a folder for images that lie in none."""
    if data_dir is not None and not get_dataset(dataset).archive:
        raise InvalidInput(f"--data-dir is for images in files; those of {dataset} need none")


_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """How a time is read: seconds, or with a unit, ``30m``, ``8h``, ``1.5d``."""
    found = re.fullmatch(r"\s*(.*?)\s*([smhd]?)\s*", text)
    try:
        return float(found[1]) * _UNITS[found[2]] if found else float(text)
    except ValueError:
        raise typer.BadParameter(
            f"{shown(text)} is no time: seconds, or with a unit, such as 90s, 30m, 8h, 1.5d"
        ) from None


def in_words(time: float) -> str:
    """Seconds as a person says them: ``42 s``, ``7 min``, ``3 h 05 min``."""
    minutes = round(time / 60)
    if time < 100:
        return f"{time:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def number_or_text(text: str) -> int | str:
    return int(text) if re.fullmatch("-?[0-9]{1,18}", text) else text


def progress_bar(*columns: ProgressColumn) -> Progress:
    """A bar on standard error while it is a terminal, which goes when the work is done."""
    from rich.console import Console
    from rich.progress import Progress

    hidden = not sys.stderr.isatty()
    # A console told to be quiet, for a hidden bar of an older Rich ends in an empty line.
    console = Console(stderr=True, quiet=hidden)
    return Progress(*columns, console=console, transient=True, disable=hidden)


def say(line: str) -> None:
    typer.echo(_writable(line))


@contextmanager
def interruptible(how: str) -> Iterator[None]:
    """Answer Ctrl-C in the block with one line: ``how`` to go on."""
    try:
        yield
    except KeyboardInterrupt:
        fail(f"interrupted; {how}", INTERRUPTED)


def fail(message: str, code: int = REFUSED) -> NoReturn:
    complain(message)
    sys.exit(code)


def complain(message: str) -> None:
    """Say in a line what cannot be done; the command goes on with the rest."""
    # A usage error quotes what was given as it is, however long.
    words = (word if len(word) <= LONGEST_WORD else f"{word[:SHOWN]}…" for word in message.split())
    typer.echo(_writable(f"nats-gym: {' '.join(words)}"), err=True)


def named_values(given: list[str], what: str) -> dict[str, Any]:
    """Options typed as ``NAME=VALUE``: each value as JSON reads it, else as text."""
    options: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidInput(f"{what} is NAME=VALUE, got {shown(text)}")
        if name in options:
            raise InvalidInput(f"{what} is given once, got {shown(name)} a second time")
        try:
            options[name] = json.loads(value)
        except (RecursionError, ValueError):
            options[name] = {"True": True, "False": False}.get(value, value)
    return options


def _writable(text: str) -> str:
    """Text that any terminal takes, and none obeys.

    A file's name may hold what is no character, and what a result says of itself anything.
    """
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda one: ascii(one[0])[1:-1], text)
    return text.encode(errors="backslashreplace").decode()


class EpochLines:
    """What is trained in a line once it is, then a line on it now and then, and at its end."""

    def __init__(self, what: str) -> None:
        self._what, self._last = what, -BETWEEN_EPOCHS

    def tell(self, record: TrainingRecord, epochs: int) -> None:
        """Say how far it is, if there was no line for a while."""
        now, done, curve = time.monotonic(), record.epochs, record.train
        if done < epochs and now - self._last < BETWEEN_EPOCHS:
            return
        if self._last < 0:
            say(self._what)
        self._last = now
        left = sum(curve.seconds) / done * (epochs - done)
        say(
            f"epoch {done} of {epochs}: loss {curve.loss[-1]:.3f}, accuracy "
            f"{curve.accuracy[-1]:.2f} % as trained, {record.seconds:.0f} s, {left:.0f} s left"
        )
