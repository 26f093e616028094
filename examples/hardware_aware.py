"""Accuracy against the latency on a device: the front that NSGA-II finds, and how good it is.

python examples/hardware_aware.py [figure] [evaluations]
"""

import sys

import numpy as np

import nats_gym
from nats_gym.envs.pareto import non_dominated

if __name__ == "__main__":
    cost = sys.argv[1] if len(sys.argv) > 1 else "latency/raspi4"
    evaluations = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    found = nats_gym.search(
        "tss", "cifar10", "nsga2", evaluations=evaluations, runs=20,
        options={"objectives": ["accuracy", cost]},
    )  # fmt: skip
    figure = found.table.figure(cost)
    index, accuracy = found.index[0], found.accuracy[0]  # of the first run
    front = np.flatnonzero(non_dominated(np.column_stack([accuracy, -figure.values[index]])))
    print(f"{figure.quantity.label}, {figure.provenance}:")
    for place in front[np.argsort(accuracy[front])]:
        name = found.table.space.name_of(int(index[place]))
        print(f"{accuracy[place]:6.2f} % {figure.values[index[place]]:8.2f}  {name}")
    for count in sorted({20, 50, 100, evaluations}):
        shares = found.hypervolume()[:, min(count, evaluations) - 1]
        print(f"after {count}: {shares.mean():.2%} of the hypervolume, mean of {found.runs} runs")
