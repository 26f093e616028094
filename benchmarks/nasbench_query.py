"""Queries of ``nats_gym.nasbench``: ``python benchmarks/nasbench_query.py [FILE] [--cells N]``.

FILE is a public file or an import of one; without it, a file of N cells with made-up figures is
imported. Medians over cells that are asked for the first time, and again.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from nats_gym.machine import describe
from nats_gym.nasbench import api
from nats_gym.spaces.nasbench101 import NASBench101Space


def made_up(folder: Path, cells: int) -> Path:
    """A file of some cells with made-up figures."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    import synthetic_tfrecord
    from nasbench101_files import cells_of

    indices = np.random.default_rng(0).choice(NASBench101Space().size, cells, replace=False)
    records = synthetic_tfrecord.records(cells_of(indices.tolist()))
    return synthetic_tfrecord.write_file(folder / "made_up.tfrecord", records)


def seconds_of(call: object, arguments: list[tuple[object, ...]]) -> list[float]:
    """Seconds of each call."""
    found = []
    for each in arguments:
        start = perf_counter()
        call(*each)  # type: ignore[operator]
        found.append(perf_counter() - start)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?")
    parser.add_argument("--cells", type=int, default=2_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = given.file
        if file is None:
            os.environ["NATS_GYM_HOME"] = folder
            file = made_up(Path(folder), given.cells)
        start = perf_counter()
        api.NASBench(file)
        first = perf_counter() - start
        start = perf_counter()
        bench = api.NASBench(file, seed=0)
        again = perf_counter() - start
        cells = [
            (one["module_adjacency"], one["module_operations"])
            for _, one in zip(range(given.cells), bench.fixed_statistics.values(), strict=False)
        ]
        bench = api.NASBench(file, seed=0)
        specs = [(api.ModelSpec(*cell),) for cell in cells]
        print(describe())
        print(f"first opening {first:.2f} s, later ones {1e3 * again:.1f} ms")
        for name, call, arguments in (
            ("ModelSpec", api.ModelSpec, cells),
            ("query, first", bench.query, specs),
            ("query, again", bench.query, specs * 5),
            ("is_valid", bench.is_valid, specs),
            ("get_metrics_from_spec", bench.get_metrics_from_spec, specs),
        ):
            print(f"{name:22} {1e6 * median(seconds_of(call, arguments)):8.1f} µs")


if __name__ == "__main__":
    main()
