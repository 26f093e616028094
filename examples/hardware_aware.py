"""Accuracy against the latency on a device: the front that NSGA-II finds, and how good it is.

python examples/hardware_aware.py [figure] [evaluations]
"""

import sys

import nats_gym

if __name__ == "__main__":
    cost = sys.argv[1] if len(sys.argv) > 1 else "latency/raspi4"
    try:
        evaluations = int(sys.argv[2]) if len(sys.argv) > 2 else 300
        found = nats_gym.search(
            "tss", "cifar10", "nsga2", evaluations=evaluations, runs=20,
            options={"objectives": ["accuracy", cost]},
        )  # fmt: skip
    except ValueError as error:  # no such figure, or number of evaluations
        sys.exit(f"hardware_aware.py: {error}")
    figure = found.table.figure(cost)
    print(f"{figure.quantity.label}, {figure.provenance}:")
    for place in found.front()[0][::-1]:  # of the first run
        index, accuracy = int(found.index[0, place]), found.accuracy[0, place]
        name = found.table.space.name_of(index)
        print(f"{accuracy:6.2f} % {figure.values[index]:8.2f}  {name}")
    for count in sorted({min(count, evaluations) for count in (20, 50, 100, evaluations)}):
        shares = found.hypervolume()[:, count - 1]
        print(f"after {count}: {shares.mean():.2%} of the hypervolume, mean of {found.runs} runs")
