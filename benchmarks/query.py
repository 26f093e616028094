"""``nats_gym.nats_bench`` against ``nats_bench`` on one archive, in one run.

``python benchmarks/query.py [ARCHIVE] [--size N] [--space tss]``: without an archive, one of N
architectures is made up; its records are as large as the official ones. Each figure is measured
in a process of its own, so that neither warms the other up.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from nats_gym.machine import describe

OURS, THEIRS = "nats_gym.nats_bench", "nats_bench"
TOUCHED, REPEATS = 400, 2_000
SCANNED_BY_THEIRS = 300  # of a scan that would take hours; the rest by rule of three
FIGURES = {
    "create": "ms",
    "very first query": "µs",
    "first query": "µs",
    "repeated query, 12": "µs",
    "repeated query, full": "µs",
    "repeated query, an epoch": "µs",
    "scan of all": "ms",
    "memory, whole process": "MB",
    "memory, without imports": "MB",
}


def resident() -> float:
    """Resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def timed(call, repeats: int = 1) -> float:
    """Seconds per call."""
    start = perf_counter()
    for _ in range(repeats):
        call()
    return (perf_counter() - start) / repeats


def measure(module: str, path: str, space: str, indices: list[int]) -> dict[str, float]:
    """All figures of one API. Runs in a fresh process."""
    from importlib import import_module

    create = import_module(module).create
    figures = {}
    memory = resident()
    start = perf_counter()
    api = create(path, space, True, False)
    figures["create"] = (perf_counter() - start) * 1e3
    some = random.Random(0).sample(indices, min(TOUCHED, len(indices)))
    first = [timed(lambda i=i: api.simulate_train_eval(i, "cifar10")) * 1e6 for i in some]
    figures["very first query"], figures["first query"] = first[0], median(first[1:])
    figures["memory, whole process"] = resident()
    figures["memory, without imports"] = resident() - memory
    full = str(api.full_train_epochs)
    for name, options in (("12", {}), ("full", {"hp": full}), ("an epoch", {"iepoch": 0})):
        each = REPEATS if module == OURS else 20
        figures[f"repeated query, {name}"] = 1e6 * median(
            timed(lambda o=options, i=i: api.simulate_train_eval(i, "cifar10", **o), each)
            for i in some[:5]
        )
    if module == OURS:
        api.evaluated_indexes.update(indices)
        figures["scan of all"] = 1e3 * timed(
            lambda: api.find_best("cifar10", "valid", enforce_all=False)
        )
    else:
        fresh = create(path, space, True, False)
        subset = random.Random(1).sample(indices, min(SCANNED_BY_THEIRS, len(indices)))
        seconds = 0.0
        for index in subset:
            start = perf_counter()
            fresh._prepare_info(index)
            seconds += perf_counter() - start
        seconds += timed(lambda: fresh.find_best("cifar10", "valid", enforce_all=False))
        figures["scan of all"] = seconds * 1e3 * len(indices) / len(subset)
    return figures


def in_a_process(*arguments: str) -> dict[str, float]:
    """What :func:`measure` returns."""
    command = [sys.executable, __file__, "--measure", *arguments]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(answer.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", nargs="?", help="a -simple directory")
    parser.add_argument("--space", default="tss", choices=["tss", "sss"])
    parser.add_argument("--size", type=int, default=1_000, help="architectures to make up")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        module, path, space = options.measure
        names = sorted(name for name in os.listdir(path) if name[:6].isdigit())
        print(json.dumps(measure(module, path, space, [int(name[:6]) for name in names])))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = options.archive
        if path is None:
            sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
            from synthetic_archive import write_archive

            path = write_archive(Path(folder), options.space, range(options.size))
            os.environ["NATS_GYM_HOME"] = folder
        from nats_gym.tables.official import import_archive

        seconds = timed(lambda: import_archive(path, options.space))
        compare(str(path), options.space, options.rounds, seconds)


def compare(path: str, space: str, rounds: int, importing: float) -> None:
    """Print both APIs' medians and their ratios."""
    count = sum(name[:6].isdigit() for name in os.listdir(path))
    print(f"{space}, {count:,} architectures, median of {rounds}, {describe()}")
    print(f"import, once: {importing:.1f} s")
    answers = {
        module: [in_a_process(module, path, space) for _ in range(rounds)]
        for module in (OURS, THEIRS)
    }
    print(f"{'':27}{'nats_gym':>14}{'nats_bench':>14}{'ratio':>10}")
    for name, unit in FIGURES.items():
        ours, theirs = (median(a[name] for a in answers[module]) for module in (OURS, THEIRS))
        times = theirs / max(ours, 0.1)  # memory may not grow at all
        ratio = f"{times:,.0f}×" if times >= 30 else f"{times:.1f}×"
        print(f"  {name:25}{ours:11,.1f} {unit}{theirs:11,.1f} {unit}{ratio:>10}")
    print(f"  (nats_bench's scan: {min(SCANNED_BY_THEIRS, count)} architectures, scaled up)")


if __name__ == "__main__":
    main()
