"""The command line's commands, found by walking it, and what is typed to have one run."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import typer

from nats_gym import cli

COMMAND: Any = typer.main.get_command(cli.app)


def commands(of: Any = COMMAND, name: str = "") -> dict[str, Any]:
    """Every command by its words: ``"data import"``."""
    found: dict[str, Any] = {}
    for one, command in of.commands.items():
        deeper = hasattr(command, "commands")
        found |= commands(command, f"{name}{one} ") if deeper else {f"{name}{one}": command}
    return found


def is_position(param: Any) -> bool:
    """Whether a parameter is told by its position, and not by a name."""
    return param.param_type_name == "argument"


def typed(name: str, given: dict[str, str]) -> list[str]:
    """What is typed to give a command its parameters, by their names, each a text."""
    params = {param.name: param for param in commands()[name].params}
    positions = [given[one] for one, param in params.items() if is_position(param) and one in given]
    options = []
    for one, value in given.items():
        if not is_position(params[one]):
            flag = getattr(params[one], "is_flag", False)
            options += [params[one].opts[0]] if flag else [f"{params[one].opts[0]}={value}"]
    return [*name.split(), *options, *(["--", *positions] if positions else [])]


def call(monkeypatch: pytest.MonkeyPatch, capsys: Any, *arguments: str) -> tuple[int, str, str]:
    """Run in this process, which is quicker: exit code, standard output and error."""
    monkeypatch.setattr(sys, "argv", ["nats-gym", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    printed = capsys.readouterr()
    return int(caught.value.code or 0), printed.out, printed.err
