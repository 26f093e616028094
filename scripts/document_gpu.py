"""Put what ``scripts/gpu_check.py`` measured on a GPU into docs/gpu.md.

python scripts/gpu_check.py --out results/gpu
python scripts/document_gpu.py results/gpu
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from document_study import ROOT, put_between
from gpu_checking.report import check_shape, to_markdown

PAGE = ROOT / "docs" / "gpu.md"
BEGIN, END = "<!-- figures: scripts/document_gpu.py -->", "<!-- end of figures -->"


def main(folder: Path, page: Path = PAGE) -> None:
    content = json.loads((folder / "gpu.json").read_text(encoding="utf-8"))
    check_shape(content)
    if content["miniature"]:
        sys.exit(f"{folder} was measured in miniature: these are no figures")
    put_between(page, BEGIN, END, to_markdown(content))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
