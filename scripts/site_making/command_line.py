"""A page with what `--help` says of every command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import typer
from click.testing import CliRunner

from nats_gym.cli import app

#: Columns: what a phone shows at the size of code.
WIDTH = 72


def commands(command: Any, words: list[str]) -> Iterator[list[str]]:
    """A command and those below it, each as one types it."""
    if hasattr(command, "commands"):
        for name, below in command.commands.items():
            yield from commands(below, [*words, name])
    else:
        yield words


def command_line_page() -> str:
    """The page, in Markdown."""
    root: Any = typer.main.get_command(app)
    lines = ["# Command line", "", "What `--help` says of each command.", ""]
    # typer reads its width from the environment.
    environment = {**os.environ, "COLUMNS": str(WIDTH), "TERMINAL_WIDTH": str(WIDTH)}
    for words in commands(root, []):
        shown = CliRunner().invoke(
            root, [*words, "--help"], env=environment, prog_name="nats-gym", terminal_width=WIDTH
        )
        assert shown.exit_code == 0, shown.output
        lines += [f"## nats-gym {' '.join(words)}", "", "```text", shown.output.strip(), "```", ""]
    return "\n".join(lines)
