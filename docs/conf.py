"""How Sphinx makes the site; `make site` runs it on what scripts/build_site.py lays out."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import nats_gym

project = "nats-gym"
author = "The nats-gym developers"
release = version = nats_gym.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

html_theme = "furo"
html_title = f"nats-gym {release}"
html_copy_source = False
html_show_copyright = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
# A link is a page, an address or a file of the repository; anything else is a mistake.
myst_url_schemes = ["http", "https", "mailto"]
suppress_warnings = ["myst.header"]  # docstrings begin with a heading of the second level

default_role = "code"  # docstrings of environments are Markdown
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
napoleon_use_ivar = True
nitpicky = True
# What belongs to other packages is not looked up: that takes a network.
nitpick_ignore_regex = [("py:.*", r"(?!nats_gym\b).*")]


def exists(name: str) -> bool:
    """Whether a dotted name is something in the package."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = import_module(".".join(parts[:cut]))
            for part in parts[cut:]:
                found = getattr(found, part)
        except (ImportError, AttributeError):
            continue
        return True
    return False


def leave_internal_names(app: Any, env: Any, node: Any, content: Any) -> Any:
    """A type that is there but not public gets no link; what is nowhere is warned of."""
    return content if exists(node["reftarget"]) else None


def skip_field_numbers(
    app: Any, kind: str, name: str, member: Any, skip: bool, options: Any
) -> bool | None:
    """Fields of named tuples are described by their class."""
    return True if str(getattr(member, "__doc__", "")).startswith("Alias for field") else None


def tabulated(rows: list[str]) -> list[str]:
    """A Markdown table in reStructuredText."""
    indent = rows[0][: len(rows[0]) - len(rows[0].lstrip())]
    made = [f"{indent}.. list-table::", f"{indent}   :header-rows: 1", ""]
    for row in (row for row in rows if not re.fullmatch(r"[\s|:-]+", row)):
        cells = re.split(r"(?<!\\)\|", row.strip().strip("|"))
        for number, cell in enumerate(cells):
            made.append(f"{indent}   {'-' if number else '* -'} {cell.strip()}")
            made[-1] = made[-1].replace(f"{indent}   - ", f"{indent}     - ")
    return [*made, ""]


def read_markdown(
    app: Any, kind: str, name: str, member: Any, options: Any, lines: list[str]
) -> None:
    """Headings, tables and code of docstrings, in place, as reStructuredText has them."""
    made: list[str] = []
    table: list[str] = []
    fenced = False
    for line in [*lines, ""]:
        if line.lstrip().startswith("|"):
            table.append(line)
            continue
        if table:
            made += tabulated(table)
            table = []
        if line.startswith("```"):
            fenced = not fenced
            made += ["", ".. code-block:: python", ""] if fenced else [""]
        elif fenced:
            made.append(f"   {line}")
        elif line.startswith("#"):
            made += ["", f".. rubric:: {line.lstrip('# ')}", ""]
        else:
            if re.match(r"- ", line) and made and re.match(r"[^\s-]", made[-1]):
                made.append("")  # which a list after a paragraph does not need in Markdown
            made.append(line)
    lines[:] = made


def setup(app: Any) -> None:
    app.connect("missing-reference", leave_internal_names)
    app.connect("autodoc-skip-member", skip_field_numbers)
    app.connect("autodoc-process-docstring", read_markdown, priority=400)
