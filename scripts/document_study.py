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
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    readme.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
    (ROOT / "docs" / "images").mkdir(exist_ok=True)
    shutil.copyfile(report / "plots" / PICTURE, ROOT / "docs" / "images" / "nats-bench.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
