"""Whatever is typed behind whichever command and option: done, or refused in one line.

Commands and options are found by walking the parser, and do their real work, but for what needs
other machines or minutes.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from command_line import COMMAND, commands, is_position, typed
from hypothesis import given
from hypothesis import strategies as st
from judging import Hang, alone, bounded, profile
from PIL import Image
from small_study import study_text

from nats_gym import cli
from nats_gym.building import building
from nats_gym.errors import InvalidInput
from nats_gym.measuring import timing
from nats_gym.study import Study, run_study
from nats_gym.tables.official import download
from nats_gym.training import final
from nats_gym.training.final import train_final

#: Every test here runs so.
__all__ = ["alone"]

#: Longest line that refuses: what was given takes 200 characters, what to do instead the rest.
LONGEST = 600
#: What a parameter is that has to be given, by its name, or by that of its command too.
NEEDED = {
    "space": "tss",
    "dataset": "cifar10",
    "build dataset": "digits",
    "analyse dataset": "digits",  # the smallest table
    "archs": "0",
    "architecture": "5",
    "train dataset": "digits",
    "predict folder": "net",
    "images": "x.png",
    "file": "study.toml",
    "folder": "ran",
    "runs": "ran",
    "table": "table",
    "path": "file",
    "name": "nothing",
    "unit": "ms",
    "out": "made",
}
#: What makes a command that has such an option quick.
QUICK = {"agent": "random", "budget": "3000", "samples": "2", "jobs": "1", "out": "made"}
#: Exit codes beside 0 and 2.
OTHERS = {"validate": 1}
SPEC: dict[str, Any] = {
    "runs": 1,
    "searches": [{"space": "tss", "dataset": "cifar10", "epochs": 12, "budget": 700.0}],
    "agents": {"random": {}, "rea": {}},
}
WORDS = (
    *(
        "",
        " ",
        ".",
        "-",
        "--",
        "=",
        "-1",
        "0",
        "1",
        "1e999",
        "nan",
        "inf",
        "0x10",
        "1_0",
        "١",
        "%s",
    ),
    *("~nouser/x", "~", "x" * 10_000, "9" * 5_000, "x/" * 3_000, "é" * 200, "\x01\x1b[31m\x7f\b"),
    *("line\nbreak", "folder/line\nbreak", "\udcff", "[", "{}", "null", "zero", "pipe", "folder"),
    *(
        "file",
        "dangling",
        "unreadable",
        "file/below",
        "null/below",
        "pipe.png",
        "null.png",
        "x.png",
    ),
    *("tss", "digits", "all", "random:9", "0-3", "12", "4/12", "x=1", "x=[[", "eta=NaN", "true"),
    *("/proc/nothing/x", "os:system", "file:///dev/zero", "http://127.0.0.1:9/x", "[red]x[/red]"),
)
#: Commands that take seconds where they are not refused, and what they are told to write into.
LONG = ("analyse", "report", "study", "search")
FEW_FOLDERS = (
    *("", "~nouser/x", "x" * 10_000, "\udcff", "zero", "pipe", "file", "dangling", "null/below"),
    *("line\nbreak", "unreadable", "folder/line\nbreak"),
)


class Ended(NamedTuple):
    """How a command ended."""

    code: Any
    said: str


# ── what is written, and where ───────────────────────────────────────────────────────────────

#: Where writing is allowed while somebody looks; None while nobody does.
_ALLOWED: tuple[str, ...] | None = None
_WRITTEN: list[str] = []
_CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.chmod")


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if _ALLOWED is None or event not in (*_CHANGES, "open", "os.truncate", "sqlite3.connect"):
        return
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & writing):
        return
    for place in arguments[: 2 if event in ("os.rename", "os.link") else 1]:
        if isinstance(place, (str, bytes, os.PathLike)):
            path = os.path.abspath(os.fsdecode(place))
            nowhere = path in ("/dev/null", "/dev/tty") or path.startswith("/proc")
            if not nowhere and not path.startswith(_ALLOWED):
                _WRITTEN.append(f"{event} {path[:200]}")


sys.addaudithook(_look)


@contextmanager
def watched(*folders: str) -> Iterator[list[str]]:
    """Yield what the block writes outside of folders."""
    global _ALLOWED
    _WRITTEN.clear()
    _ALLOWED = folders
    try:
        yield _WRITTEN
    finally:
        _ALLOWED = None


# ── commands ─────────────────────────────────────────────────────────────────────────────────


def ended(arguments: list[str]) -> Ended:
    """Run a command line in this process, with streams that write what a terminal's would."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace")
    before, sys.argv = sys.argv, ["nats-gym", *arguments]
    try:
        with bounded(), redirect_stdout(out), redirect_stderr(err):
            cli.main()
    except SystemExit as end:
        out.flush()
        err.flush()
        return Ended(end.code, err.buffer.getvalue().decode())  # type: ignore[attr-defined]
    finally:
        sys.argv = before
    raise AssertionError("a command line that does not exit")


def faults(name: str, arguments: dict[str, str]) -> list[str]:
    """What is wrong with how a command ends that is given these parameters."""
    told = f"nats-gym {name} {' '.join(f'{one}={text:.60}' for one, text in arguments.items())!a}"
    with watched(os.getcwd(), os.environ["NATS_GYM_HOME"], os.environ["MPLCONFIGDIR"]) as written:
        try:
            code, said = ended(typed(name, arguments))
        except (Exception, Hang) as error:
            return [f"{told}: {type(error).__name__}: {error!s:.300}"]
    found = [f"writes outside: {place}" for place in dict.fromkeys(written)]
    if code == 2:
        if not said.startswith("nats-gym: ") or said.count("\n") != 1 or not said.endswith("\n"):
            found.append(f"says {said!a:.300}")
        if not said[:-1].isprintable():
            found.append(f"says what is no text: {said!a:.300}")
        if len(said) > LONGEST:
            found.append(f"says {len(said):,} characters: {said!a:.500}")
    elif code not in (0, OTHERS.get(name, 0)):
        found.append(f"ends with {code}: {said!a:.300}")
    elif said:
        found.append(f"succeeds and says {said!a:.300}")
    return [f"{told}: {one}" for one in found]


def nothing(*_: Any, **__: Any) -> Iterator[Any]:
    """Stands for trainings, none of which comes back."""
    return iter(())


def refuse(*_: Any, **__: Any) -> Any:
    """Stands for a training that takes long."""
    raise InvalidInput("nothing is trained here")


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trained network."""
    folder = tmp_path_factory.mktemp("net") / "net"
    train_final("sss", 0, "digits", folder, epochs=1, device="cpu")
    return folder


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small finished study."""
    return run_study(Study.of(SPEC), tmp_path_factory.mktemp("ran") / "ran", jobs=1)


@pytest.fixture
def here(
    alone: None, ran: Path, net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with what commands read, and quick ends of what would take minutes."""
    monkeypatch.setattr(cli.terminal, "app", COMMAND)  # else made again at every call
    monkeypatch.setattr(building, "_on_this_machine", nothing)
    monkeypatch.setattr(building, "_on_cluster", nothing)
    monkeypatch.setattr(final, "train", refuse)
    monkeypatch.setattr(download, "RETRIES", 0)
    monkeypatch.setattr(timing, "MOST", 3)
    monkeypatch.setenv("HOME", str(tmp_path / "folder"))
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MPLCONFIGDIR", os.environ.get("MPLCONFIGDIR", str(ran.parent / "mpl")))
    (tmp_path / "ran").symlink_to(ran)
    (tmp_path / "net").symlink_to(net)
    Image.new("L", (9, 9)).save(tmp_path / "x.png")
    (tmp_path / "study.toml").write_text(study_text(1, 700, "random", "rea"))
    (tmp_path / "line\nbreak").write_text("x")
    (tmp_path / "unreadable").write_text("x")
    (tmp_path / "unreadable").chmod(0)
    for name in ("pipe", "null"):
        if (tmp_path / name).exists():
            (tmp_path / f"{name}.png").symlink_to(name)


def needed(name: str) -> dict[str, str]:
    """What a command has to be given, and what makes it quick."""
    found = {}
    for param in commands()[name].params:
        if param.name in QUICK and not is_position(param):
            found[param.name] = QUICK[param.name]
        elif param.required:
            found[param.name] = NEEDED.get(f"{name} {param.name}") or NEEDED[param.name]
    return found


COMMANDS = list(commands())


def nodes(folder: Path) -> dict[str, int]:
    """Devices and pipes, and the links to them, by which of the disk's entries they are."""
    return {path.name: path.lstat().st_ino for path in folder.iterdir() if not path.is_file()} | {
        path.name: path.lstat().st_ino for path in folder.iterdir() if path.is_symlink()
    }


@pytest.mark.slow
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", COMMANDS)
def test_commands_refuse_hostile_words(name: str, tmp_path: Path) -> None:
    before, found = nodes(tmp_path), []
    for number, param in enumerate(commands()[name].params):
        flag = getattr(param, "is_flag", False)
        words = FEW_FOLDERS if name in LONG and param.name == "out" else WORDS
        for place, word in enumerate(("",) if flag else words):
            given = needed(name)
            if "out" in given:
                given["out"] = f"made-{number}-{place}"
            found += faults(name, {**given, param.name: word})
    assert not found, "\n" + "\n".join(found)
    after = nodes(tmp_path)
    assert {name: after.get(name) for name in before} == before


def type_something(data: st.DataObject) -> None:
    """Several options at once."""
    several = [one for one in COMMANDS if commands()[one].params and one not in LONG[:3]]
    name = data.draw(st.sampled_from(several))
    given = needed(name)
    for param in data.draw(st.lists(st.sampled_from(commands()[name].params), max_size=4)):
        given[param.name] = data.draw(st.sampled_from(WORDS))
    found = faults(name, given)
    assert not found, "\n".join(found)


@pytest.mark.slow
@given(st.data())
@profile(100)
@pytest.mark.usefixtures("here")
def test_commands_refuse_several_hostile_words(data: st.DataObject) -> None:
    type_something(data)
