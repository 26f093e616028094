"""Put what ``scripts/gpu_check.py`` measured on a GPU into docs/gpu.md.

python scripts/gpu_check.py --out results/gpu
python scripts/document_gpu.py results/gpu
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from document_study import ROOT, put_between
from gpu_checking.figures import Figures, Scale
from gpu_checking.proof import find_checks
from gpu_checking.report import Report, check_shape, to_markdown

from nats_gym.errors import said

PAGE = ROOT / "docs" / "gpu.md"
BEGIN, END = "<!-- figures: scripts/document_gpu.py -->", "<!-- end of figures -->"
#: Names that a message lists.
LISTED = 5


def main(folder: Path, page: Path = PAGE) -> None:
    try:
        content = json.loads((folder / "gpu.json").read_text(encoding="utf-8"))
        check_shape(content)
    except (OSError, ValueError) as error:
        sys.exit(f"{folder / 'gpu.json'} is no report: {said(error)}")
    if content["miniature"]:
        sys.exit(f"{folder} was measured in miniature: these are no figures")
    if missing := find_missing(content):
        more = f" and {len(missing) - LISTED} more" if len(missing) > LISTED else ""
        sys.exit(f"{folder} is of some parts only; missing: {', '.join(missing[:LISTED])}{more}")
    put_between(page, BEGIN, END, to_markdown(content))


def find_missing(content: Mapping[str, Any]) -> list[str]:
    """Names of figures and checks that were not run, those aside that the report leaves out."""
    # A part whose time was spent has been run: what it left out is in the report, and on the page.
    parts = Figures(torch.device("cpu"), Report(Path(), {}, False, 0.0), Scale(), 0.0).parts
    missing = [part for part in parts if part not in content["seconds"]]
    if not content["proof"]:
        return ["proof", *missing]
    known = {one["check"] for one in content["proof"]}
    known |= {one["what"] for one in content["left_out"]}
    return missing + [check for check in find_checks() if check not in known]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="*", help="of gpu.json")
    given = parser.parse_args().folder
    if len(given) != 1:
        print(f"document_gpu: one folder of a report is needed, got {len(given)}", file=sys.stderr)
        sys.exit(2)
    main(Path(given[0]))
