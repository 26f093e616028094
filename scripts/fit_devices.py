"""Fit the latencies of topologies on devices, and measure the model on cells that it did not see.

    python scripts/fit_devices.py --figures ../shared/figures

``--figures`` is a folder with ``tss_latency.npz``: latencies that HELP and HW-NAS-Bench measured of
a part of the cells. Writes the coefficients and ``held_out_devices.json`` beside those of
``fit_surrogates.py``, the table whose named columns the latencies are, and the table of
``docs/devices.md``. Every stated error is out of fold: five models, each fitted to four fifths of
the rows and judged on the last; the shipped one is fitted to all.

Needs the development dependencies (torch, scipy). About half a minute.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from document_study import ROOT, put_between
from surrogate_fitting.devices import (
    Latencies,
    fit_and_judge_devices,
    write_device_columns,
    write_devices,
)
from surrogate_fitting.diagnostics import SPLIT
from surrogate_fitting.writing import write_json

from nats_gym.tables.devices import DEVICES, HELD_OUT
from nats_gym.tables.surrogates import FOLDER

BEGIN, END = "<!-- devices: scripts/fit_devices.py -->", "<!-- end of devices -->"


def main() -> None:
    """Fit the model, write it and say how good it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figures", type=Path, required=True, help="folder of the npz file")
    parser.add_argument("--output", type=Path, default=FOLDER, help="where to write")
    args = parser.parse_args()
    torch.set_num_threads(1)
    started = time.perf_counter()
    args.output.mkdir(parents=True, exist_ok=True)
    model, held_out = fit_and_judge_devices(Latencies.read(args.figures / "tss_latency.npz"))
    path = write_devices(model, args.output)
    write_device_columns(held_out, path)
    content = {"split": SPLIT, "units": "milliseconds", "estimates": held_out}
    write_json(args.output / f"{HELD_OUT}.json", content)
    put_between(ROOT / "docs" / "devices.md", BEGIN, END, table(held_out))
    print(table(held_out))
    print(f"{path.stat().st_size / 1000:.0f} kB, {time.perf_counter() - started:.0f} s")


def table(held_out: dict[str, Any]) -> str:
    """A row for each setting, and what they are in the median."""
    lines = ["| name | device | R² | Kendall τ | RMSE [ms] | of |", "|---|---|---|---|---|---|"]
    for name, device in DEVICES.items():
        of = held_out[name]
        errors = f"{of['r2']:.3f} | {of['tau']:.3f} | {of['rmse']:.3g}"
        lines.append(f"| `{name}` | {device.title} | {errors} | {device.source.split()[0]} |")
    r2, tau = (np.median([of[error] for of in held_out.values()]) for error in ("r2", "tau"))
    lines.append(f"| | *median* | {r2:.3f} | {tau:.3f} | | |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
