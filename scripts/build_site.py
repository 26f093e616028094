"""Build the documentation site, without a network.

    python scripts/build_site.py [--out build/site]

Lays the pages out in ``OUT/pages`` (docs, the README and its like, a reference and pictures that
are made here), lets Sphinx make ``OUT/html`` of them, and follows every link. Ends with 1 after a
warning of Sphinx or for a link that leads nowhere. Needs the extra ``docs``.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from document_environments import PAGES as FAMILY_PAGES
from site_making.command_line import command_line_page
from site_making.episodes import write_episode
from site_making.links import broken_links
from site_making.reference import public_modules, write_reference

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REPOSITORY = PYPROJECT["project"]["urls"]["Repository"]
#: Pages from outside docs/, and what they are called on the site.
BESIDE = {
    "README.md": "overview.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}


def page_names() -> dict[Path, Path]:
    """Every page and picture of the repository, and where it lies on the site."""
    docs = ROOT / "docs"
    pages = {path: path.relative_to(docs) for path in docs.rglob("*") if path.is_file()}
    pages |= {ROOT / name: Path(page) for name, page in BESIDE.items()}
    index = {
        path: page.with_name("index.md") for path, page in pages.items() if page.name == "README.md"
    }
    return pages | index


def relinked(text: str, source: Path, pages: dict[Path, Path], known: dict[str, str]) -> str:
    """A page's text with its links as they are on the site.

    Args:
        text: of the page.
        source: where it lies.
        pages: where each page is on the site; what is none is linked to in the repository.
        known: public names, which link to what they are described under.
    """

    def link(found: re.Match[str]) -> str:
        path, hash_, anchor = found[2].partition("#")
        if not path or ":" in path:
            return found[0]
        target = Path(os.path.normpath(source.parent / path))
        if target / "README.md" in pages:
            target /= "README.md"
        if target in pages:
            there = os.path.relpath(pages[target], pages[source].parent)
        else:
            kind = "tree" if target.is_dir() else "blob"
            there = f"{REPOSITORY}/{kind}/main/{target.relative_to(ROOT)}"
        return f"{found[1]}({there}{hash_}{anchor})"

    def name(found: re.Match[str]) -> str:
        there = known.get(found[1])
        return f"{{py:obj}}`{found[1]} <{there}>`" if there else found[0]

    parts = re.split(r"(^```.*?^```$|^#.*?$)", text, flags=re.M | re.S)
    for number in range(0, len(parts), 2):  # between are code and headings, left as they are
        part = re.sub(r"(\[[^\]]*\])\(([^)\s]+)\)", link, parts[number])
        parts[number] = re.sub(r"`(nats_gym(?:\.\w+)*)`", name, part)
    return "".join(parts)


def lay_out(folder: Path) -> None:
    """Write the sources of the site, those that are made here included."""
    pages = page_names()
    texts = [path for path in [*pages, *(ROOT / "examples").glob("*.py")] if path.suffix != ".png"]
    written = "\n".join(path.read_text(encoding="utf-8") for path in texts)
    packages = PYPROJECT["tool"]["setuptools"]["packages"]
    known = write_reference(folder / "reference", public_modules(packages, written))
    pictures = {name: Path(name).with_suffix(".webp") for name, _ in FAMILY_PAGES.values()}
    for source, page in pages.items():
        path = folder / page
        path.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix != ".md":
            shutil.copy(source, path)
            continue
        text = relinked(source.read_text(encoding="utf-8"), source, pages, known)
        if page.parent.name == "environments" and page.name in pictures:
            title, _, rest = text.partition("\n")
            shown = f"![An episode, drawn by the environment]({pictures[page.name]})"
            text = f"{title}\n\n{shown}\n{rest}"
        if page == Path("environments", "index.md"):
            names = "\n".join(Path(name).stem for name, _ in FAMILY_PAGES.values())
            text += f"\n:::{{toctree}}\n:hidden:\n\n{names}\n:::\n"
        path.write_text(text, encoding="utf-8")
    for family, (name, _) in FAMILY_PAGES.items():
        write_episode(family, folder / "environments" / pictures[name])
    (folder / "command-line.md").write_text(command_line_page(), encoding="utf-8")


def main() -> int:
    """Build and check; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site")
    out = parser.parse_args().out
    shutil.rmtree(out, ignore_errors=True)
    lay_out(out / "pages")
    sphinx = [sys.executable, "-m", "sphinx", "--builder", "html", "--fail-on-warning"]
    sphinx += ["--keep-going", "--quiet", "--doctree-dir", out / "doctrees", out / "pages"]
    if code := subprocess.run([*sphinx, out / "html"]).returncode:
        return code
    broken = [*broken_links(out / "html", ROOT, REPOSITORY)]
    print("\n".join(broken) or out / "html" / "index.html")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
