"""How fast a table answers: opening it, a batch of architectures, a single one."""

from __future__ import annotations

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


if __name__ == "__main__":
    main()
