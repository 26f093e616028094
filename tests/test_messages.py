"""Messages quote what was given through one function, in one short line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import nats_gym

ROOT = Path(nats_gym.__file__).parent
FOLDERS = (ROOT, ROOT.parent / "envs", ROOT.parent / "agents")
#: Functions whose text Python asks for, of the name that they are given.
TOLD_BY_PYTHON = {"__repr__", "__getattr__"}


def raw_quotes(tree: ast.Module) -> Iterator[ast.expr]:
    """What f-strings quote with ``!r``, but for constants of ours, and texts that Python makes."""
    excused = {
        id(inner)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name in TOLD_BY_PYTHON
        for inner in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FormattedValue) and node.conversion == ord("r"):
            constant = isinstance(node.value, ast.Name) and node.value.id.isupper()
            if not constant and id(node) not in excused:
                yield node.value


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_what_was_given_is_quoted_by_the_house_s_function(folder: Path) -> None:
    files = sorted(folder.rglob("*.py"))
    assert len(files) > 10
    assert not [
        f"{path.relative_to(folder)}:{quoted.lineno}: {ast.unparse(quoted)}!r"
        for path in files
        for quoted in raw_quotes(ast.parse(path.read_text(encoding="utf-8")))
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("raise ValueError(f'no {name!r}')", ["name"]),
        ("def f(x):\n    return InvalidInput(f'{x.y!r} and {SHORT!r}')", ["x.y"]),
        ("def __repr__(self):\n    return f'It({self.name!r})'", []),
        ("raise ValueError(f'no {shown(name)}')", []),
    ],
)
def test_a_raw_quote_is_found(source: str, expected: list[str]) -> None:
    assert [ast.unparse(found) for found in raw_quotes(ast.parse(source))] == expected
