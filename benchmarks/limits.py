"""The two limits of a training step on an accelerator: what it must move, and multiply.

Counted, not measured: no GPU is needed. ``docs/training.md`` says what is counted; the rates there
are those of one NVIDIA H200.
"""

from __future__ import annotations

import argparse

import numpy as np

from nats_gym.networks import Network, build
from nats_gym.networks.fused_tables import Structure, find_structures
from nats_gym.spaces import get_space

BATCH, RESOLUTION = 256, 32
# Measured on one NVIDIA H200.
BYTES_PER_SECOND = 4.2e12
# Bytes of an activation, and operations a second; float32 is multiplied as TF32.
KINDS = {"float32": (4, 412e12), "bfloat16": (2, 790e12)}


def count(network: Network) -> tuple[int, int]:
    """Numbers that a step of one image moves, and its floating-point operations, at least."""
    moved = flop = 0
    size = RESOLUTION
    for number, structure in enumerate(find_structures([network])):
        if number == 0:
            moved += 2 * 3 * size**2  # the images, read forward and for the stem's gradient
        size //= 2 if any(unit.shared for unit in structure.units) else 1
        moved += count_moves(structure, size)
        products = count_products(structure, size)
        # Two operations a product, forward and for both gradients; images need none.
        flop += 2 * products * (3 if number else 2)
    return moved, flop


def count_moves(structure: Structure, size: int) -> int:
    """Numbers of a block's activations that are moved, each of them once a pass."""
    (width,) = structure.widths
    # Written and read forward, read backward. What has no batch norm goes straight into its sum.
    convolved = sum(3 * unit.conv.out_channels for unit in structure.units if unit.norm)
    # The same, and the gradient is written and read; a node that is another's skip is that other.
    nodes = 0
    for node in range(1, structure.nodes + 1):
        units = sum(unit.target == node for unit in structure.units)
        links = [link.pooled for link in structure.links if link.target == node]
        nodes += bool(units or links) and (units > 0 or links != [False])
    return (convolved + 5 * nodes * width) * size**2


def count_products(structure: Structure, size: int) -> int:
    """Products of a block's convolutions, of one image and pass."""
    return sum(unit.conv.weight.numel() for unit in structure.units) * size**2


def choose() -> list[tuple[str, str, int]]:
    """Smallest, middle and largest of both spaces by their operations."""
    chosen = []
    for name in ("tss", "sss"):
        space = get_space(name)
        order = np.argsort(space.figure("flops", "cifar10").values, kind="stable")
        readers = (one for one in order.tolist() if reads_images(name, one))
        rows = {"smallest": next(readers), "middle": order[len(order) // 2], "largest": order[-1]}
        chosen += [(name, label, int(index)) for label, index in rows.items()]
    return chosen


def reads_images(space: str, index: int) -> bool:
    """Whether a network depends on its images."""
    network = build(space, index, 10, cells_per_stage=1)
    return network.cells[-1].reads_input


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    print(f"A step of one network, batch {BATCH}, {RESOLUTION}×{RESOLUTION} images, at least:\n")
    columns = ["network", "GFLOP"]
    columns += [f"{kind}: {what}" for kind in KINDS for what in ("GB", "moved, ms", "computed, ms")]
    print(f"| {' | '.join(columns)} |\n|---{'|---:' * (len(columns) - 1)}|")
    for space, label, index in choose():
        moved, flop = (BATCH * one for one in count(build(space, index, 10)))
        row = [f"{space} {index}, {label}", f"{flop / 1e9:.1f}"]
        for width, rate in KINDS.values():
            milliseconds = 1e3 * width * moved / BYTES_PER_SECOND, 1e3 * flop / rate
            row += [f"{width * moved / 1e9:.2f}", *(f"{one:.3f}" for one in milliseconds)]
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
