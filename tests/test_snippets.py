"""Every snippet of the README, CONTRIBUTING and the docs.

Python is pasted into the interpreter, command lines are parsed and quick ones run.

A tutorial's are pasted into one interpreter, in order, and print what stands below them.

A snippet that needs more than the package, or takes long, says so in its first line: ``# Needs …``,
``# Takes …``. What it needs and this machine lacks is not run, but still has to paste.
"""

from __future__ import annotations

import code
import re
import shlex
import shutil
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest import mock

import click
import gymnasium as gym
import numpy as np
import pytest
import torch
import typer
from click.testing import CliRunner

import nats_gym
from nats_gym.cli import app
from nats_gym.extras import PACKAGES, require
from nats_gym.spaces import SPACES
from nats_gym.study import read_study

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONTRIBUTING = "CONTRIBUTING.md"
PAGES = [ROOT / "README.md", ROOT / CONTRIBUTING, *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [
    (f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, found.start()) + 2}", *found.groups())
    for page, text in ((page, page.read_text()) for page in PAGES)
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
]
PYTHON = {where: text for where, language, text in BLOCKS if language == "python"}
TUTORIALS = sorted({where.split(":")[0] for where in PYTHON if "tutorials/" in where})
LONG = {where for where, text in PYTHON.items() if text.startswith("# Takes ")}
COMMANDS = [
    (where, line)
    for where, language, text in BLOCKS
    if language in ("sh", "bash", "")
    for line in text.replace("\\\n", " ").splitlines()
    if language or line.startswith("nats-gym ")
]
#: Command lines that are run, quick ones and ones that take a while, in this order.
QUICK = ("nats-gym search --space tss", "nats-gym show", "nats-gym envs", "nats-gym data status")
LONGER = (
    *("nats-gym study", "nats-gym report", "nats-gym validate", "nats-gym leaderboard"),
    *("nats-gym analyse tss cifar10 ", "nats-gym search --agent darts", "nats-gym fit"),
)


def words(line: str) -> list[str]:
    return shlex.split(line, comments=True)


class Pasted(code.InteractiveConsole):
    """An interpreter into which text is pasted, line by line."""

    def write(self, data: str) -> None:
        raise AssertionError(data)

    def showtraceback(self) -> None:
        raise

    def paste(self, text: str) -> None:
        for line in [*text.splitlines(), ""]:
            self.push(line)
        assert not self.buffer, f"unfinished: {self.buffer}"


def check_needs(text: str) -> None:
    """Skip what this machine lacks of a snippet's first line."""
    says = text.splitlines()[0] if text.startswith("# Needs ") else ""
    if "GPU" in says and not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")
    if "official archive" in says:
        pytest.skip("no official archive")
    named = set(re.findall(r"\w+", says)) & {*PROJECT["optional-dependencies"]}
    for module, (_, extra) in PACKAGES.items():
        if extra in named:
            try:
                require(module, "this")
            except nats_gym.errors.MissingPackage as error:
                pytest.skip(str(error))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with what the pages assume: the studies, and the first build's table."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    shutil.copytree(ROOT / "studies", "studies")
    table = nats_gym.load_table("sss", "digits", "digits-300").folder
    shutil.copytree(table, Path("mine", "table"))
    return tmp_path


def paste(where: str) -> None:
    check_needs(PYTHON[where])
    threads = torch.get_num_threads()
    try:
        # What a snippet registers goes with it.
        with mock.patch.dict(gym.registry), mock.patch.dict(SPACES):
            Pasted({"__name__": "__console__"}).paste(PYTHON[where])
    finally:
        torch.set_num_threads(threads)


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    "where", sorted(where for where in {*PYTHON} - LONG if "tutorials/" not in where)
)
def test_python_runs_as_it_is_pasted(where: str, folder: Path) -> None:
    paste(where)


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS)
def test_a_tutorial_runs_from_top_to_bottom(
    page: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    interpreter = Pasted({"__name__": "__console__"})
    compared, printed = 0, ""
    for where, language, text in BLOCKS:
        if where.startswith(f"{page}:"):
            if language == "text":
                assert printed == text, where
                compared += 1
            elif language == "python":
                capsys.readouterr()
                interpreter.paste(text)
                printed = capsys.readouterr().out
    torch.set_num_threads(threads)
    assert compared


def test_every_kind_of_reader_has_a_tutorial() -> None:
    start = (ROOT / "docs" / "index.md").read_text()
    assert len(TUTORIALS) == 4
    for page in TUTORIALS:
        assert start.count(page.removeprefix("docs/").removesuffix(".md")) == 2  # link and order


@pytest.mark.slow
@pytest.mark.parametrize("where", sorted(LONG))
def test_long_python_runs_as_it_is_pasted(
    where: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paste(where)
    shown = capsys.readouterr().out.count("fps")
    assert shown >= 5 or ".learn(" not in PYTHON[where]  # what learns shows that it is at work


def test_what_can_be_added_has_a_short_example_each() -> None:
    text = (ROOT / CONTRIBUTING).read_text()
    sections = dict(re.findall(r"^### An? (\w+)\n(.*?)(?=^##)", text, re.M | re.S))
    assert [*sections] == ["agent", "evaluator", "environment", "column", "space", "reward"]
    for section in sections.values():
        (example,) = re.findall(r"^```python\n(.*?)^```$", section, re.M | re.S)
        assert len(example.splitlines()) <= 25


def test_the_environment_that_contributing_adds_serves_masked_agents() -> None:
    maskable = pytest.importorskip("sb3_contrib").MaskablePPO
    (example,) = (text for text in PYTHON.values() if "class IndexEnv" in text)
    names: dict[str, Any] = {}
    with mock.patch.dict(gym.registry):
        exec(example, names)
        env = names["env"]
        masks = env.unwrapped.action_masks()
        assert masks.shape == (15_625,)
        assert np.array_equal(masks, env.reset(seed=0)[1]["action_mask"])
        # Before 2.8 it refuses its own probabilities of so many actions, on some processors.
        if metadata.version("sb3-contrib") >= "2.8":
            maskable("MlpPolicy", env, n_steps=2, batch_size=2, device="cpu").learn(2)
        with pytest.raises(nats_gym.errors.InvalidInput, match=r"0…15624, got \[1, 2, 3\]"):
            env.step([1, 2, 3])


def test_what_contributing_names_is_there() -> None:
    named = re.findall(r"`([\w.-]+/[\w./-]*)`", (ROOT / CONTRIBUTING).read_text())
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_python_that_is_not_run_here_pastes_too() -> None:
    class Unrun(Pasted):
        def runcode(self, code: Any) -> None:
            assert code

    for text in PYTHON.values():
        Unrun().paste(text)


@pytest.mark.parametrize(("where", "line"), COMMANDS)
def test_a_command_line_is_one(where: str, line: str) -> None:
    assert "…" not in line, "a placeholder cannot be pasted"
    for given in line.split("&&"):
        command, *arguments = words(given)
        if command == "nats-gym":
            parsed(arguments)
        elif command == "make":
            targets = [word for word in arguments if "=" not in word]
            makefile = (ROOT / "Makefile").read_text()
            assert all(re.search(rf"^{target}:", makefile, re.M) for target in targets)
        elif command == "pip":
            for one in re.findall(r"\.\[(.*?)\]", given):
                assert {*one.split(",")} <= {*PROJECT["optional-dependencies"]}
            for file in re.findall(r"-c (\S+)", given):
                assert (ROOT / file).is_file()
        elif command == "python":
            assert (ROOT / arguments[0]).is_file()
        else:
            assert command in ("cd", "git", "ray")


@cache
def whole_command() -> click.Command:
    return typer.main.get_command(app)


def parsed(arguments: list[str]) -> None:
    """Parse a command line without running it; raises as the command would."""
    command: Any = whole_command()
    name = ""
    while hasattr(command, "commands"):
        name, *arguments = arguments
        command = command.commands[name]
    command.make_context(name, arguments)


def invoke(starts: tuple[str, ...]) -> None:
    for start in starts:
        lines = {line: None for _, line in COMMANDS if f"{line} ".startswith(start)}
        assert lines, f"no page has {start!r} any more"
        done = CliRunner().invoke(
            whole_command(), words(next(iter(lines)))[1:], catch_exceptions=False
        )
        assert done.exit_code == 0, done.output


def test_quick_commands_run(folder: Path) -> None:
    invoke(QUICK)


@pytest.mark.slow
def test_longer_commands_run(folder: Path) -> None:
    invoke(LONGER)


def test_the_study_that_the_docs_show_is_one(folder: Path) -> None:
    (text,) = (text for _, language, text in BLOCKS if language == "toml")
    Path("study.toml").write_text(text)
    shutil.copy(ROOT / "examples" / "my_agent.py", "my_module.py")
    source = Path("my_module.py").read_text()
    Path("my_module.py").write_text(source.split("\nresult =")[0].replace("HillClimber", "MyAgent"))
    assert len(read_study("study.toml").cells) > 10
