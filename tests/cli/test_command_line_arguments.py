"""Every command × every option with what nobody should type: one line and exit code 2, or taken."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import COMMAND, commands, is_position
from hostile import LONGEST

from nats_gym import building, cli
from nats_gym.building import building as at_work
from nats_gym.errors import InvalidInput
from nats_gym.tables.official import download
from nats_gym.training import final

#: What is typed where something else is expected.
TYPED = [
    *("", "x" * 5000, "9" * 5000, "~nobody-here/x", "a\0b", "\udcff", "two\nlines", "\x1b[31m"),
    *("-1", "0", "nan", "inf", "1e400", "none", "/dev/null/x", "[", "{}", "=", "a=[1", ","),
]
#: What makes a command run, or end early: everything that takes long is taken out below.
COMPLETE = {
    "search": ["--agent=random", "--epochs=12", "--budget=1"],
    "study": ["study.toml"],
    "report": ["no-folder"],
    "validate": ["no-folder"],
    "leaderboard": ["no-folder"],
    "analyse": ["tss", "digits"],
    "envs": [],
    "show": ["tss", "5"],
    "build": ["--space=tss", "--dataset=digits", "--out=built", "--archs=0"],
    "fit": ["no-table"],
    "measure": ["--space=sss", "--dataset=digits", "--samples=1", "--seconds=0"],
    "train": ["sss", "0", "--dataset=digits", "--epochs=1", "--out=trained"],
    "predict": ["no-network", "no.png"],
    "data status": [],
    "data import": ["no-archive"],
    "data download": ["tss"],
    "data remove": ["nothing"],
    "data add-column": ["tss", "cifar10", "power", "none.csv", "--unit=W"],
    "data remove-column": ["tss", "cifar10", "power"],
}
STUDY = """
name = "tiny"
runs = 1
[agents]
random = {}
[[searches]]
space = "tss"
datasets = ["cifar10"]
epochs = 12
budget = 1
"""


def refuse(*_: Any, **__: Any) -> Any:
    raise InvalidInput("nothing that takes long is done here")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli.terminal, "app", COMMAND)  # else made again at every call
    monkeypatch.setattr(cli.searching, "report", refuse)
    monkeypatch.setattr(at_work, "load_data", refuse)
    monkeypatch.setattr(final, "load_data", refuse)
    monkeypatch.setattr(download, "download", refuse)
    monkeypatch.setattr("nats_gym.analysis.analyse", refuse)
    monkeypatch.setattr("nats_gym.study.run_study", refuse)
    (tmp_path / "study.toml").write_text(STUDY)


def typed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *given: str) -> str:
    """What is said to what is typed: nothing, or one line."""
    monkeypatch.setattr(sys, "argv", ["nats-gym", *given])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    said = capsys.readouterr().err
    assert caught.value.code in (0, 1, 2), caught.value.code
    if caught.value.code == 2:
        assert re.fullmatch(r"nats-gym: .*\n", said), ascii(said)
        assert said[:-1].isprintable() or "\\" in said, ascii(said)
        assert len(said) < LONGEST
    return said


def test_every_command_is_here() -> None:
    assert set(commands()) == set(COMPLETE)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", COMPLETE)
def test_options(name: str, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    command, complete = commands()[name], COMPLETE[name]
    wrong = []
    positions = [param for param in command.params if is_position(param)]
    for param in command.params:
        for value in TYPED:
            if param in positions:
                given = [*complete]
                place = positions.index(param)
                given[place : place + 1] = [value]
                given = ["--", *given]
            else:
                given = [*complete, f"{param.opts[0]}={value}"]
            try:
                typed(capsys, monkeypatch, *name.split(), *given)
            except (Exception, AssertionError) as error:
                wrong.append(f"{param.name}={value[:30]!a}: {type(error).__name__}: {error!a:.300}")
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["fit", ""], ["path", "it is empty"]),
        (["data", "import", "~nobody-here/x"], ["path", "~nobody-here/x", "home"]),
        (
            [*("build", "--data-dir", "~nobody-here/x"), *COMPLETE["build"]],
            ["path", "~nobody-here/x", "home"],
        ),
        (["search", "--data-dir", "~nobody-here/x"], ["path", "~nobody-here/x", "home"]),
    ],
)
def test_a_path_that_is_none(
    given: list[str], words: list[str], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = typed(capsys, monkeypatch, *given)
    for word in words:
        assert word in said


def test_a_real_bug_still_shows_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(building, "fit_table", stumble)
    monkeypatch.setattr(sys, "argv", ["nats-gym", "fit", "somewhere"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_messages_name_commands_that_there_are() -> None:
    package = Path(cli.__file__).parent.parent
    sources = [file.read_text(encoding="utf-8") for file in package.rglob("*.py")]
    named = {one for text in sources for one in re.findall(r"nats-gym (data [a-z][a-z-]*)", text)}
    assert {"data status", "data import"} <= named <= commands().keys()
