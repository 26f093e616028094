"""The documentation site: whether links lead anywhere, what is described, how it looks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zlib
from html import unescape
from importlib import import_module
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import BROWSER
from PIL import Image
from test_package import modules

from nats_gym.registration import FAMILIES, TASK_FAMILIES

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "scripts"))

from document_environments import PAGES  # noqa: E402
from site_making.episodes import frames  # noqa: E402
from site_making.links import broken_links  # noqa: E402

#: Pages that are looked at.
SEEN = (
    *("index", "overview", "glossary", "tutorials/train-a-controller", "environments/index"),
    *("environments/building", "reference/index", "reference/nats_gym.envs", "command-line"),
)
#: Runs in a copy of each page, and tells the page around them what it found.
PROBE = """
addEventListener("load", () => {
  const root = document.documentElement, seen = [...document.querySelectorAll("article *")];
  const scrolls = element => element && element.closest("article") &&
    (getComputedStyle(element).overflowX != "visible" || scrolls(element.parentElement));
  parent.postMessage({
    page: location.pathname, width: root.clientWidth, scroll: root.scrollWidth,
    wide: seen.filter(element => element.getBoundingClientRect().right > root.clientWidth + 1
      && !scrolls(element)).map(element => element.outerHTML.slice(0, 80)),
    images: [...document.images].map(image => image.naturalWidth),
    text: document.querySelector("article").innerText.length,
    small: Math.min(...[...document.querySelectorAll("article :is(p, td, li, pre)")]
      .map(element => parseFloat(getComputedStyle(element).fontSize))),
  }, "*");
});
"""


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    site, repository = tmp_path / "site", "https://example.org/it"
    (site / "below").mkdir(parents=True)
    (site / "other.html").write_text('<h1 id="here">')
    (site / "below" / "page.html").write_text(
        '<a href="../other.html#here"></a><a href="#top"></a><a href="https://elsewhere.org/">'
        f'</a><a href="{repository}/blob/main/README.md"></a><a href="mailto:a@b.org"></a>'
        '<a href="../gone.html"></a><a href="../other.html#gone"></a><img src="no.png">'
        f'<a href="{repository}/tree/main/gone"></a><script src="https://cdn.org/x.js"></script>'
    )
    name = str(Path("below", "page.html"))
    assert sorted(broken_links(site, ROOT, repository)) == [
        f"{name}: ../gone.html is no page",
        f"{name}: ../other.html#gone is no anchor",
        f"{name}: fetches https://cdn.org/x.js",
        f"{name}: {repository}/tree/main/gone is no file of the repository",
        f"{name}: no.png is no page",
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("furo", "myst_parser", "sphinx"):
        pytest.importorskip(package)
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, ROOT / "scripts" / "build_site.py", "--out", out]
    built = subprocess.run(command, capture_output=True, text=True)
    # Warnings of Sphinx and links that lead nowhere end it.
    assert built.returncode == 0, built.stdout + built.stderr
    return out / "html"


@pytest.mark.slow
def test_everything_public_is_described(site: Path) -> None:
    packed = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    lines = zlib.decompress(packed).decode().splitlines()
    kinds = ("py:class", "py:data", "py:exception", "py:function")
    described = [line.split()[0] for line in lines if line.split()[1] in kinds]
    public = 0
    for name, path in modules().items():
        if re.search("^__all__", path.read_text(), re.M):
            module = import_module(name.removesuffix(".__init__"))
            values = {one: getattr(module, one) for one in module.__all__}
            for one, value in values.items():
                if isinstance(value, type(re)) or one == "__version__":
                    continue
                public += 1
                places = [where for where in described if where.endswith(f".{one}")]
                homes = (import_module(where.rpartition(".")[0]) for where in places)
                assert any(getattr(home, one) is value for home in homes), f"{name}: {one}"
    assert public > 150


@pytest.mark.filterwarnings("ignore::nats_gym.errors.SurrogateWarning")
@pytest.mark.parametrize("family", {**FAMILIES, **TASK_FAMILIES})
def test_a_new_family_is_drawn_without_a_line_for_it(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("site_making.episodes.PLAYED", {})
    drawn = [frame for frame, _ in islice(frames(family), 3)]
    assert len({frame.tobytes() for frame in drawn}) > 1


@pytest.mark.slow
def test_episodes_are_small_and_move(site: Path) -> None:
    pictures = sorted((site / "_images").glob("*.webp"))
    assert len(pictures) == len(PAGES)
    for path in pictures:
        assert path.stat().st_size < 300_000
        with Image.open(path) as picture:
            drawn = []
            for number in range(picture.n_frames):
                picture.seek(number)
                drawn.append(np.asarray(picture.convert("L"), float))
        assert len(drawn) > 10
        assert all(frame.std() > 10 for frame in drawn)
        changes = [np.abs(b - a).max() for a, b in pairwise(drawn)]
        assert min(changes) > 30


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_the_screen_and_are_not_empty(site: Path, width: int, tmp_path: Path) -> None:
    height = 844
    frames = ""
    for page in SEEN:
        path = site / f"{page}.html"
        copy = path.with_name(f"probed-{path.name}")
        copy.write_text(path.read_text().replace("</head>", f"<script>{PROBE}</script></head>"))
        frames += f'<iframe src="{copy.as_uri()}" width={width} height={height}></iframe>'
    (tmp_path / "frame.html").write_text(
        "<style>body { margin: 0; display: flex } iframe { border: 0; flex: none }</style>"
        "<script>const found = []; addEventListener('message', event => { found.push(event.data);"
        f"document.body.dataset.found = JSON.stringify(found) }})</script>{frames}"
    )

    def shown(*options: str) -> str:
        command = [
            *(str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu"),
            *("--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}"),
            *(f"--window-size={len(SEEN) * width},{height + 200}", "--virtual-time-budget=20000"),
            *(*options, (tmp_path / "frame.html").as_uri()),
        ]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return ran.stdout

    told = re.search(r'data-found="([^"]*)"', shown("--dump-dom"))
    assert told is not None
    found: list[dict[str, Any]] = json.loads(unescape(told[1]))
    assert len(found) == len(SEEN)
    for page in found:
        assert page["width"] == width
        assert page["scroll"] <= width, page
        assert page["wide"] == [], page
        assert all(size > 0 for size in page["images"]), page
        assert page["text"] > 300, page
        assert page["small"] >= 12, page  # pixels

    picture = tmp_path / "pages.png"
    shown(f"--screenshot={picture}")
    with Image.open(picture) as image:
        seen = np.asarray(image.convert("L"))[:height]
    for number, page_name in enumerate(SEEN):
        page_seen = seen[:, number * width : (number + 1) * width]
        assert (page_seen < 128).mean() > 0.005, page_name  # written on
        assert (page_seen > 200).mean() > 0.5, page_name  # and readable
        for band in np.array_split(page_seen, 3):
            assert band.std() > 10, page_name
