"""How fast a table answers: opening it, a batch of architectures, a single one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from nats_gym.evaluators import TableEvaluator
from nats_gym.machine import describe
from nats_gym.tables import Table, embedded_folder, load_table

BATCH, SINGLES, ROUNDS = 1_000_000, 20_000, 7


def timed(call) -> float:
    """Median seconds of ``call()``."""
    times = []
    for _ in range(ROUNDS):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return median(times)


def open_anew(folder: Path, epochs: int) -> None:
    """Open a table and bring one column of accuracies and its costs to memory."""
    table = Table(folder, source="embedded")
    table.accuracy("valid", epochs)
    table.query_seconds(epochs)


def materialise_cells() -> tuple[float, float]:
    """Seconds to all estimates of NAS-Bench-101 for the first time, and from the file then kept.

    The list of cells, which a process reads once, is part of the first.
    """
    code = (
        "import time; from nats_gym.tables import load_table; "
        "loaded = time.perf_counter(); table = load_table('nb101', 'cifar10', 'embedded'); "
        "table.mean_accuracy('valid', 108); print(time.perf_counter() - loaded)"
    )

    def seconds(home: str) -> float:
        environment = {**os.environ, "NATS_GYM_HOME": home}
        command = [sys.executable, "-W", "ignore", "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        return float(done.stdout)

    first, again = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as home:
            first.append(seconds(home))
            again.append(seconds(home))
    return median(first), median(again)


def main() -> None:
    warnings.simplefilter("ignore")
    print(f"table look-ups, median of {ROUNDS}, {describe()}")
    for space, epochs in (("tss", 200), ("tss", 12), ("sss", 90)):
        folder = embedded_folder(space, "cifar10")
        table = load_table(space, "cifar10")
        index = np.random.default_rng(0).integers(0, table.space.size, BATCH)
        keys = np.arange(BATCH, dtype=np.uint64)
        column = np.ascontiguousarray(table.accuracy("valid", epochs)[:, 0])
        evaluator = TableEvaluator(table, trial="random")
        evaluator.prepare(epochs)
        some = index[:SINGLES].tolist()
        opening = timed(lambda f=folder, e=epochs: open_anew(f, e))
        gather = timed(lambda c=column, i=index: c[i])
        evaluate = timed(lambda ev=evaluator, i=index, e=epochs, k=keys: ev.evaluate(i, e, k))
        single = timed(lambda ev=evaluator, s=some, e=epochs: [ev.evaluate_one(i, e, i) for i in s])
        print(f"  {space} {epochs} epochs ({table.provenance('accuracy', 'valid', epochs)})")
        print(f"    open and load          {opening * 1e3:8.1f} ms")
        print(f"    look-up, batched       {BATCH / gather / 1e6:8.1f} M/s")
        print(f"    random trial, batched  {BATCH / evaluate / 1e6:8.1f} M/s")
        print(f"    random trial, single   {single / SINGLES * 1e6:8.2f} µs")
    first, again = materialise_cells()
    print("  nb101, all 423,624 cells (surrogate)")
    print(f"    materialise            {first:8.2f} s")
    print(f"    from the file          {again * 1e3:8.1f} ms")


if __name__ == "__main__":
    main()
