"""HTML by construction: every text is escaped, because only :class:`Markup` is not."""

from __future__ import annotations

from html import escape

VOID = frozenset({"br", "img", "meta"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(tag: str, /, *children: object, **attributes: object) -> Markup:
    """Return ``<tag attributes>children</tag>``.

    Args:
        tag: name of the element.
        children: :class:`Markup` as it is, anything else as escaped text.
        attributes: of the element; ``class_`` is class, ``aria_label`` aria-label; None leaves
            one out.
    """
    opening = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if tag in VOID:
        return Markup(f"<{tag}{opening}>")
    return Markup(f"<{tag}{opening}>{joined(*children)}</{tag}>")


def joined(*children: object) -> Markup:
    """Return the children one after the other."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else escape(str(child), quote=False)
            for child in children
        )
    )


def table(
    caption: object, head: list[Markup], bodies: list[list[Markup]], class_: str | None = None
) -> Markup:
    """Return a table of rows in a box of its own that scrolls.

    Args:
        caption: text or :class:`Markup`.
        head: rows of the head.
        bodies: rows of each body.
        class_: of the table.
    """
    return element(
        "div",
        element(
            "table",
            element("caption", caption),
            element("thead", *head),
            *(element("tbody", *rows) for rows in bodies),
            class_=class_,
        ),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label="table",
    )


def row(title: object, *cells: object) -> Markup:
    """Return a row: a heading, then a cell each; an element of a cell's kind stays as it is."""
    heading = element("th", title, scope="row")
    return element("tr", heading, *(_cell("td", cell) for cell in cells))


def heading_row(*cells: object) -> Markup:
    """Return a row of column headings; an element of a heading's kind stays as it is."""
    return element("tr", *(_cell("th", cell, scope="col") for cell in cells))


def _cell(name: str, content: object, **attributes: object) -> Markup:
    if isinstance(content, Markup) and content.startswith(f"<{name}"):
        return content
    return element(name, content, **attributes)
