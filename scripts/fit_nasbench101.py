"""Fit the surrogate of NAS-Bench-101 that the package ships, and measure it on unseen rows.

    python scripts/fit_nasbench101.py --figures ../shared/figures

``--figures`` is a folder with ``nb101_test.npz`` and ``nb101_schedules.npz``: public figures of a
part of the cells. Writes the coefficients, and ``held_out_nb101.json``, beside those of
``fit_surrogates.py``. Every stated error is out of fold: five models, each fitted to four fifths
of the rows and judged on the last; the shipped one is fitted to all.

Needs the development dependencies (torch, scipy). About ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from surrogate_fitting.cells import Figures, fit_and_judge_cells, write_cells
from surrogate_fitting.diagnostics import SPLIT
from surrogate_fitting.writing import write_json

from nats_gym.tables.surrogates import FOLDER


def main() -> None:
    """Fit the model and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figures", type=Path, required=True, help="folder of the npz files")
    parser.add_argument("--output", type=Path, default=FOLDER, help="where to write")
    args = parser.parse_args()
    torch.set_num_threads(1)
    started = time.perf_counter()
    args.output.mkdir(parents=True, exist_ok=True)
    model, held_out = fit_and_judge_cells(Figures.read(args.figures))
    path = write_cells(model, args.output)
    units = "accuracies in percent, errors in points, seconds"
    content = {"split": SPLIT, "units": units, "estimates": held_out}
    write_json(args.output / "held_out_nb101.json", content)
    print((args.output / "held_out_nb101.json").read_text(encoding="utf-8"))
    print(f"{path.stat().st_size / 1000:.0f} kB, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
