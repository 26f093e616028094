"""A page of reference for every public module, found by what is importable."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.pycode import ModuleAnalyzer

#: What is not ours, though our classes inherit it.
FOREIGN = (
    *("BaseException", "Env", "Generic", "Module", "NamedTuple", "Protocol", "VecEnv"),
    *("VectorEnv", "VectorObservationWrapper", "ObservationWrapper", "dict", "object", "tuple"),
)


def public_modules(packages: list[str], texts: str) -> dict[str, list[str]]:
    """Modules with their public names: those with ``__all__``, and those that ``texts`` name.

    Args:
        packages: every package, dotted.
        texts: what users read and run: pages and examples.
    """
    named = set(re.findall(r"nats_gym(?:\.[a-z_0-9]+)+", texts))
    found = {}
    for name in sorted({module for package in packages for module in modules_of(package)}):
        # Not imported yet: the kernels take Triton.
        spec = find_spec(name)
        path = Path(str(spec.origin if spec else name))
        tree = ast.parse(path.read_text(encoding="utf-8"))
        defined = {*defined_names(tree)}
        written = any(one == name or one.startswith(f"{name}.") for one in named)
        if "__all__" in defined:
            found[name] = sorted({*import_module(name).__all__} - {"__version__"}, key=str.lower)
        elif written and not path.name.startswith("__"):
            public = (one for one in defined_names(tree) if not one.startswith("_"))
            found[name] = [one for one in dict.fromkeys(public) if one.isidentifier()]
    return {name: names for name, names in found.items() if names}


def modules_of(package: str) -> Iterator[str]:
    """A package and the modules in it, by name."""
    yield package
    folder = Path(str(import_module(package).__file__)).parent
    for found in pkgutil.iter_modules([str(folder)]):
        if not found.ispkg and not found.name.startswith("_"):
            yield f"{package}.{found.name}"


def defined_names(tree: ast.Module) -> Iterator[str]:
    """What a module defines itself, in its order."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (one.id for one in node.targets if isinstance(one, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def comment_on(name: str, value: Any) -> str:
    """What the comment ``#:`` at a constant's definition says."""
    for module in [one for key, one in sorted(sys.modules.items()) if key.startswith("nats_gym")]:
        if isinstance(module, ModuleType) and vars(module).get(name) is value:
            comments = ModuleAnalyzer.for_module(module.__name__).find_attr_docs()
            if ("", name) in comments:
                return " ".join(comments["", name]).strip()
    return ""


def entry(module: str, name: str) -> list[str]:
    """The directive for one public name."""
    value = getattr(import_module(module), name)
    if isinstance(value, type):
        made = [f".. autoclass:: {module}.{name}", "   :members:"]
        return [*made, f"   :inherited-members: {', '.join(FOREIGN)}", "   :show-inheritance:", ""]
    if inspect.isroutine(value) or hasattr(value, "__wrapped__"):
        return [f".. autofunction:: {module}.{name}", ""]
    plain = isinstance(value, str | int | float)
    shown = [f"   :value: {value!r}"] if plain else [f"   :type: {type(value).__name__}"]
    return [
        f".. py:data:: {name}",
        f"   :module: {module}",
        *shown,
        "",
        f"   {comment_on(name, value)}",
        "",
    ]


def module_page(name: str, public: list[str], homes: dict[tuple[str, int], str]) -> str:
    """The page of a module; what another page has already is a link to it."""
    lines = [name, "=" * len(name), "", f".. automodule:: {name}", "   :no-members:", ""]
    elsewhere = []
    for one in public:
        value = getattr(import_module(name), one)
        if isinstance(value, ModuleType):
            continue
        home = homes.setdefault((one, id(value)), name)
        if home == name:
            lines += entry(name, one)
        else:
            elsewhere.append(f"- :py:obj:`{home}.{one}`")
    return "\n".join([*lines, *(["Also here:", ""] if elsewhere else []), *elsewhere, ""])


def write_reference(folder: Path, modules: dict[str, list[str]]) -> dict[str, str]:
    """Write a page for each module, and one that leads to them.

    Returns:
        every public name, dotted, and the one that it is described under.
    """
    folder.mkdir(parents=True, exist_ok=True)
    homes: dict[tuple[str, int], str] = {}
    # A name belongs to the module nearest to the top.
    for name in sorted(modules, key=lambda name: (name.count("."), name)):
        (folder / f"{name}.rst").write_text(
            module_page(name, modules[name], homes), encoding="utf-8"
        )
    lines = ["Reference", "=========", "", "Everything public, from the docstrings.", ""]
    lines += [".. toctree::", "   :maxdepth: 1", ""]
    lines += [f"   {name.removeprefix('nats_gym.')} <{name}>" for name in sorted(modules)]
    (folder / "index.rst").write_text("\n".join([*lines, ""]), encoding="utf-8")
    known = {name: name for name in modules}
    for name, public in modules.items():
        for one in public:
            home = homes.get((one, id(getattr(import_module(name), one))), "")
            known |= {f"{name}.{one}": f"{home}.{one}"} if home else {}
    return known
