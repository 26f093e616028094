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

import nats_gym
from nats_gym.study.page import POLICY
from nats_gym.study.report import write_report
from nats_gym.study.results import CellResult, Skipped, StudyResults

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(BROWSERS)} is installed"),
]
pytest.importorskip("scipy")

AGENTS = ("random", "reinforce", "an-agent-with-a-rather-long-label")

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
    cells = [
        CellResult(
            name=f"{space}-{dataset}-{label}",
            label=label,
            result=nats_gym.search(
                space,
                dataset,
                label if label in nats_gym.AGENTS else "random",
                epochs=epochs,
                budget=20 * seconds,
                runs=8,
                seed=place,
            ),
        )
        for space, dataset, epochs, seconds in (
            ("tss", "cifar10", 12, 200),
            ("tss", "ImageNet16-120", 12, 1000),
            ("sss", "cifar100", 90, 700),
        )
        for place, label in enumerate(AGENTS)
    ]
    study = StudyResults(
        name="a study",
        record={"versions": {"nats-gym": "1"}, "machine": {"cores": 2}},
        cells=cells,
        skipped=[Skipped("bohb", "sss", "cifar100", "the table holds one schedule alone, " * 4)],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nats_gym.study.report.load_study", lambda _: study)
        return write_report(tmp_path_factory.mktemp("study"))


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
