"""The report in a real browser: what is loaded, how wide and large things are, what answers."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import BROWSER, BROWSERS

from nats_gym.study.page import POLICY
from nats_gym.study.report import write_report
from nats_gym.study.running import run_study
from nats_gym.study.spec import Study

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(BROWSERS)} is installed"),
]
pytest.importorskip("scipy")

#: Runs in a copy of the page, and tells the page around it what it found.
PROBE = """
const refused = [];
document.addEventListener("securitypolicyviolation", event => refused.push(event.blockedURI));
const seen = element => element.getBoundingClientRect().width > 0;
const box = element => element.getBoundingClientRect();
// Letters are drawn as shapes in hundredths of their size.
const inlined = () => [...document.querySelectorAll("svg g[transform*=scale] use")].filter(seen)
  .map(use => 100 * Math.hypot(use.getScreenCTM().a, use.getScreenCTM().b));
const pictured = () => [...document.images].filter(seen).flatMap(image => {
  const svg = decodeURIComponent(image.currentSrc);
  const width = Number(svg.match(/viewBox=.0 0 ([\\d.]+)/)[1]);
  return [...svg.matchAll(/scale\\(([\\d.]+) -/g)]
    .map(found => 100 * found[1] * box(image).width / width);
});
const point = (plot, kind, x, y, pointerType) =>
  plot.dispatchEvent(new PointerEvent(kind, { clientX: x, clientY: y, pointerType }));
const answers = plot => {
  const said = plot.querySelector("output"), dot = plot.querySelector(".dot");
  const before = said.hidden;
  const [marker] = [...plot.querySelectorAll("g[clip-path] use")].filter(seen).map(box)
    .filter(drawn => drawn.width < 20);  // bands are larger
  const x = marker.x + marker.width / 2, y = marker.y + marker.height / 2;
  point(plot, "pointermove", x, y, "mouse");
  const at = box(dot), met = [at.x + at.width / 2 - x, at.y + at.height / 2 - y];
  const first = said.textContent;
  const within = [...Array(9).keys()].every(step => {
    point(plot, "pointerdown", box(plot).x + step * box(plot).width / 8, y, "touch");
    return box(said).left >= box(plot).left - 1 && box(said).right <= box(plot).right + 1;
  });
  const last = said.textContent;
  const press = key => {
    plot.dispatchEvent(new KeyboardEvent("keydown", { key }));
    return said.textContent;
  };
  const keys = [press("ArrowLeft"), press("ArrowDown"), press("ArrowUp")];
  point(plot, "pointerleave", 0, 0, "mouse");
  const lines = Object.fromEntries(JSON.parse(plot.dataset.trace).lines);
  return { before, met, first, within, last, keys, lines, after: said.hidden };
};
addEventListener("load", () => {
  const root = document.documentElement;
  const wide = [...document.querySelectorAll("body *")].filter(element =>
    box(element).right > root.clientWidth + 1 && !element.closest(".scroll, pre"));
  parent.postMessage({
    width: root.clientWidth, scroll: root.scrollWidth, refused,
    wide: wide.map(element => element.outerHTML.slice(0, 80)),
    images: [...document.images].map(image => image.naturalWidth),
    loaded: performance.getEntriesByType("resource").map(entry => entry.name.slice(0, 60)),
    small: [...document.querySelectorAll("p, td, th, figcaption, li, summary")]
      .map(element => parseFloat(getComputedStyle(element).fontSize)).sort((a, b) => a - b)[0],
    letters: [...inlined(), ...pictured()].sort((a, b) => a - b),
    beside: [...document.querySelectorAll("[id^=group]")].map(group => {
      const plot = box(group.querySelector("figure")), table = box(group.querySelector(".scroll"));
      return table.left >= plot.right && table.top < plot.bottom && plot.top < table.bottom;
    }),
    folded: ["none", "beforeprint", "afterprint"].map(kind => {
      dispatchEvent(new Event(kind));
      return document.querySelectorAll("details.note:not([open])").length;
    }),
    answers: [...document.querySelectorAll("[data-trace]")].map(answers),
  }, "*");
});
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
    digest = base64.b64encode(hashlib.sha256(PROBE.encode()).digest()).decode()
    assert text.count("script-src ") == POLICY.count("script-src ") == 1
    text = text.replace("script-src ", f"script-src 'sha256-{digest}' ")
    text = text.replace("</head>", f"<script>{PROBE}</script></head>")
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
    assert len(found["letters"]) > 500
    assert found["letters"][0] >= (11 if width == 390 else 10)
    assert found["beside"] == [width == 1280] * 3
    on_screen, on_paper, afterwards = found["folded"]
    assert on_screen == afterwards > 5
    assert on_paper == 0
    assert len(found["answers"]) == 3
    for answer in found["answers"]:
        assert answer["before"]
        assert answer["after"]
        assert answer["within"]
        assert np.abs(answer["met"]).max() < 1  # pixel from a marker on a line to the answer's dot
        for said in (answer["first"], answer["last"], *answer["keys"]):
            told = re.fullmatch(r"(.+): after [\d,]+ simulated seconds, regret (.+) points", said)
            assert told is not None, said
            assert float(told[2]) in answer["lines"][told[1]]
        left, down, up = (said.split(":")[0] for said in answer["keys"])
        assert left == answer["last"].split(":")[0]
        assert down != up
