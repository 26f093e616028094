"""Whether links lead anywhere: from page to page, to an anchor, to a file of the repository."""

from __future__ import annotations

import os
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Elements that make a browser fetch something, and where they say what.
FETCHED = {"script": "src", "img": "src", "source": "srcset", "link": "href", "iframe": "src"}


class Page(HTMLParser):
    """The anchors and links of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = {"", "top"}
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        # rel="canonical" and such fetch nothing.
        if tag in FETCHED and given.get(FETCHED[tag]) and given.get("rel") != "canonical":
            self.fetched.append(given[FETCHED[tag]])


def broken_links(site: Path, root: Path, repository: str) -> Iterator[str]:
    """What does not resolve, without a network.

    Args:
        site: the folder with the pages.
        root: the checkout that links to ``repository`` stand for.
        repository: its address; files are below ``/blob/main`` and ``/tree/main``.

    Yields:
        A line for each link that leads nowhere, and for each file that comes from elsewhere.
    """
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        name = os.path.relpath(path, site.resolve())
        for link in page.fetched:
            parts = urlsplit(link)
            if parts.scheme not in ("", "data") or parts.netloc:
                yield f"{name}: fetches {link}"
        for link in dict.fromkeys(page.links + page.fetched):
            parts = urlsplit(link)
            if link.startswith((f"{repository}/blob/", f"{repository}/tree/")):
                below = link.removeprefix(repository).partition("#")[0].split("/", 3)[3:]
                if not below or not (root / below[0]).exists():
                    yield f"{name}: {link} is no file of the repository"
            elif not parts.scheme and not parts.netloc:
                target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                if not target.is_file():
                    yield f"{name}: {link} is no page"
                elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                    yield f"{name}: {link} is no anchor"
