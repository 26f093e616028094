"""Messages quote what was given through one function, in one short line."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

import nats_gym
from nats_gym import errors

ROOT = Path(nats_gym.__file__).parent
FOLDERS = (ROOT, ROOT.parent / "envs", ROOT.parent / "agents")
#: Functions whose text Python asks for, of the name that they are given.
TOLD_BY_PYTHON = {"__repr__", "__getattr__"}
#: Names of private exceptions that carry an exit code or what became of a training.
DEATHS = ("death", "failure")
#: Exceptions whose messages are the house's.
OURS = {name for name, value in vars(errors).items() if isinstance(value, type)}


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


def raw_errors(tree: ast.Module) -> Iterator[ast.expr]:
    """Exceptions that an f-string quotes as they are, where they may be others'."""
    for handler in ast.walk(tree):
        if isinstance(handler, ast.ExceptHandler) and handler.name:
            kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
            if not {ast.unparse(kind).split(".")[-1] for kind in kinds} <= OURS:
                for node in ast.walk(handler):
                    quoted = node.value if isinstance(node, ast.FormattedValue) else None
                    if isinstance(quoted, ast.Name) and quoted.id == handler.name:
                        yield quoted


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
@pytest.mark.parametrize(("raw", "excused"), [(raw_quotes, ()), (raw_errors, DEATHS)])
def test_what_was_given_is_quoted_by_the_house_s_function(
    folder: Path, raw: Callable[[ast.Module], Iterator[ast.expr]], excused: tuple[str, ...]
) -> None:
    files = sorted(folder.rglob("*.py"))
    assert len(files) > 10
    assert not [
        f"{path.relative_to(folder)}:{quoted.lineno}: {ast.unparse(quoted)}"
        for path in files
        for quoted in raw(parsed(path))
        if ast.unparse(quoted) not in excused
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


@pytest.mark.parametrize(
    ("handled", "expected"),
    [
        ("except OSError as error:\n    raise E(f'{path}: {error}')", ["error"]),
        ("except (OSError, InvalidInput) as error:\n    raise E(f'{error}')", ["error"]),
        ("except InvalidInput as error:\n    raise E(f'{error}')", []),
        ("except OSError as error:\n    raise E(f'{path}: {said(error)}')", []),
    ],
)
def test_a_raw_error_is_found(handled: str, expected: list[str]) -> None:
    found = raw_errors(ast.parse(f"try:\n    call()\n{handled}"))
    assert [ast.unparse(one) for one in found] == expected
