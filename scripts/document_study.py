"""Put a study's headline table and a plot of its report into the README.

nats-gym study studies/nats-bench.toml --out results/nats-bench
nats-gym report results/nats-bench
python scripts/document_study.py results/nats-bench
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PICTURE = "tss-CIFAR-100-regret.png"
BEGIN, END = "<!-- headline: scripts/document_study.py -->", "<!-- end of headline -->"


def main(folder: Path) -> None:
    report = folder / "report"
    table = (report / "headline.md").read_text(encoding="utf-8")
    table = re.sub(r"^## (.*)$", r"**\1**", table, flags=re.MULTILINE).strip()
    put_between(ROOT / "README.md", BEGIN, END, table)
    (ROOT / "docs" / "images").mkdir(exist_ok=True)
    shutil.copyfile(report / "plots" / PICTURE, ROOT / "docs" / "images" / "nats-bench.png")


def put_between(page: Path, begin: str, end: str, text: str) -> None:
    """Put a text between two lines of a page, in place of what stands there."""
    before, rest = page.read_text(encoding="utf-8").split(begin)
    after = rest.split(end)[1]
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
