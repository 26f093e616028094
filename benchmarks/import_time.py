"""How long ``import nats_gym`` takes, in fresh interpreters, beside numpy and gymnasium alone."""

from __future__ import annotations

import subprocess
import sys
from statistics import median

from nats_gym.machine import describe

ROUNDS = 11
HEAVY = ("torch", "stable_baselines3", "matplotlib")


def seconds(module: str) -> float:
    """Seconds that importing ``module`` takes in a new interpreter."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    return float(subprocess.check_output([sys.executable, "-c", code]))


def main() -> None:
    modules = ("numpy", "gymnasium", "nats_gym")
    times: dict[str, list[float]] = {module: [] for module in modules}
    for _ in range(ROUNDS):  # in turn, so that a slow moment hits all of them
        for module in modules:
            times[module].append(seconds(module))
    code = f"import nats_gym, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True)
    print(f"import time, median of {ROUNDS}, {describe()}")
    for module in modules:
        print(f"  {module:<10} {median(times[module]) * 1e3:7.0f} ms")
    print(f"  heavy modules loaded by nats_gym: {loaded.strip()}")


if __name__ == "__main__":
    main()
