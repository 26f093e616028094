"""The report in a real browser: nothing is loaded, nothing is wider than the screen."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from nats_gym.study.page import POLICY
from nats_gym.study.report import write_report
from nats_gym.study.running import run_study
from nats_gym.study.spec import Study

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(BROWSERS)} is installed"),
]
pytest.importorskip("scipy")

#: Runs in a copy of the page, and tells the page around it what it found.
PROBE = """
<script>
const refused = [];
document.addEventListener("securitypolicyviolation", event => refused.push(event.blockedURI));
addEventListener("load", () => {
  const root = document.documentElement;
  const wide = [...document.querySelectorAll("body *")].filter(element =>
    element.getBoundingClientRect().right > root.clientWidth + 1 &&
    !element.closest(".scroll, pre"));
  parent.postMessage({
    width: root.clientWidth, scroll: root.scrollWidth, refused,
    wide: wide.map(element => element.outerHTML.slice(0, 80)),
    images: [...document.images].map(image => image.naturalWidth),
    loaded: performance.getEntriesByType("resource").map(entry => entry.name.slice(0, 60)),
    small: [...document.querySelectorAll("p, td, th, figcaption, li")]
      .map(element => parseFloat(getComputedStyle(element).fontSize)).sort((a, b) => a - b)[0],
  }, "*");
});
</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = {
        "name": "a study",
        "runs": 8,
        "searches": [
            {"space": "tss", "datasets": ["cifar10", "ImageNet16-120"], "epochs": 12},
            {"space": "sss", "datasets": ["cifar100"]},
        ],
        "agents": {
            "random": {},
            "reinforce": {},
            "an agent with a rather long label": {"agent": "local-search"},
            "successive-halving": {},  # left out on the size space, with a long reason
        },
    }
    folder = tmp_path_factory.mktemp("study") / "results"
    return write_report(run_study(Study.of(spec), folder, jobs=1))


def measured(page: Path, width: int, folder: Path) -> dict[str, Any]:
    """What the probe finds in a frame ``width`` pixels wide; a window cannot be so narrow."""
    text = page.read_text()
    assert POLICY in unescape(text)
    allowed = f"{POLICY}; script-src 'unsafe-inline'"
    text = text.replace(escape(POLICY), escape(allowed)).replace("</head>", f"{PROBE}</head>")
    (folder / "copy.html").write_text(text)
    (folder / "frame.html").write_text(
        f'<iframe src="copy.html" width="{width}" height="844" style="border:0"></iframe>'
        "<script>addEventListener('message', event => {"
        "document.body.dataset.found = JSON.stringify(event.data)})</script>"
    )
    command = [
        *(str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *(f"--user-data-dir={folder / 'profile'}", "--window-size=1400,900"),
        *("--virtual-time-budget=20000", "--dump-dom", (folder / "frame.html").as_uri()),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'data-found="([^"]*)"', ran.stdout)
    assert found is not None, ran.stdout[-2000:] + ran.stderr[-2000:]
    return dict(json.loads(unescape(found[1])))


@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_the_screen_and_loads_nothing(page: Path, width: int, tmp_path: Path) -> None:
    found = measured(page, width, tmp_path)
    assert found["width"] == width
    assert found["wide"] == []
    assert found["scroll"] <= width
    assert found["refused"] == []
    assert all(name.startswith("data:") for name in found["loaded"])
    assert found["images"]
    assert all(size > 0 for size in found["images"])
    assert found["small"] >= 12  # pixels
