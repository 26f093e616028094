"""PPO and REINFORCE on NATS-TSS-cifar10 within the paper's budget: a table and a plot.

python examples/compare_agents.py
"""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

import nats_gym
from nats_gym.results.plots import plot_incumbent
from nats_gym.results.summary import summary_grid

OUT = Path("results") / "demo"
#: PPO trains a network per run; REINFORCE's 500 runs take a fraction of a second.
RUNS = {"ppo": 10, "reinforce": 500}


def main() -> None:
    results = []
    for agent, runs in RUNS.items():
        started = time.perf_counter()
        result = nats_gym.search("tss", "cifar10", agent, epochs=12, runs=runs)
        print(f"{agent}: {runs} runs in {time.perf_counter() - started:.1f} s")
        result.save(OUT / agent)
        results.append(result)
    Console().print(summary_grid({r.arguments.agent: r for r in results}))
    print(
        "measured: a real training's figures. surrogate: estimated by a model; see the README.\n"
        f"runs: {OUT}\nplot: {plot_incumbent(results, OUT / 'incumbent.png')}"
    )


if __name__ == "__main__":
    main()
