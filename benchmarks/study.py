"""Seconds of the shipped study of 500 runs a search, of its report, and of its replay."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from nats_gym.machine import describe
from nats_gym.study import load_study, read_study, run_study, validate, write_report

STUDY = Path(__file__).parent.parent / "studies" / "nats-bench.toml"


def main() -> None:
    study = read_study(STUDY)
    print(f"{STUDY.name}, {describe()}")
    with TemporaryDirectory() as folder:
        started = perf_counter()
        run_study(study, folder)
        print(f"  study, {len(study.cells)} cells: {perf_counter() - started:.1f} s")
        cells = load_study(folder).record["cells"]
        for agent in dict.fromkeys(told["label"] for told in cells.values()):
            seconds = [t["real_seconds"] for t in cells.values() if t["label"] == agent]
            print(f"    {agent:<14} slowest cell {max(seconds):.2f} s")
        started = perf_counter()
        write_report(folder)
        print(f"  report: {perf_counter() - started:.1f} s")
        started = perf_counter()
        assert all(verdict.holds for verdict in validate(folder))
        print(f"  replay of every run: {perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
