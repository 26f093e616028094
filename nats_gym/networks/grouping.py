"""Which kind of group networks train fastest in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import nn

from nats_gym.networks.cell import Cell
from nats_gym.networks.fused import FusedNetworks, find_fusing_obstacle
from nats_gym.networks.group import NetworkGroup, Parts, SideBySide
from nats_gym.networks.network import Network
from nats_gym.networks.stacked import (
    StackedNetworks,
    find_obstacle,
    find_operations,
    find_readers,
    width_of,
)

# Measured on one core: 2 to 16 networks, images of 8 to 32 pixels, batches of 24 to 256. Stacking
# wins while a member's largest activations, times what padding adds to them, are at most so many
# numbers: a tenth to a half at that size, twice to three times the throughput at a tenth of it.
_LARGEST = 2**17
# Channels of the first stage, where most of the work is. Measured on an H200, alone, as captured
# graphs: ours are 1.1 to 2.7 times as fast as PyTorch's kernels up to so many, 0.6 to 0.8 above.
_WIDEST_FUSED = 32
# Members that share an operation, on the mean, if not all do: fewer do not save what copies cost.
_SHARING = 3.0


def choose_group(networks: Sequence[nn.Module], resolution: int, batch_size: int) -> NetworkGroup:
    """Make a group of networks, of the kind that trains them fastest.

    Args:
        networks: on their device; the group takes their parameters over.
        resolution: height and width of the images, pixels.
        batch_size: images of each network in a step.
    """
    # Our kernels halve even sides alone.
    even = resolution % 4 == 0
    narrow = [one for one, network in enumerate(networks) if even and _fusing_pays(network)]
    if narrow and not find_fusing_obstacle([networks[one] for one in narrow]):
        fused = FusedNetworks([cast(Network, networks[one]) for one in narrow])
        wide = [one for one in range(len(networks)) if one not in narrow]
        if not wide:
            return fused
        return Parts([fused, SideBySide([networks[one] for one in wide])], [narrow, wide])
    if len(networks) > 1 and not find_obstacle(networks):
        stackable = cast(Sequence[Network], networks)
        # What does not read its input is hardly computed in either kind.
        computed = [stackable[one] for one in find_readers(stackable)]
        device = stackable[0].classifier.weight.device.type
        if device == "cpu" and _stacking_pays(computed, batch_size * resolution**2):
            return StackedNetworks(stackable)
    return SideBySide(networks)


def _fusing_pays(network: nn.Module) -> bool:
    """Whether our kernels are quicker than PyTorch's."""
    return (
        isinstance(network, Network)
        and not find_fusing_obstacle([network])
        and cast(nn.Conv2d, network.stem[0]).out_channels <= _WIDEST_FUSED
    )


def _stacking_pays(networks: Sequence[Network], pixels: int) -> bool:
    """Whether fewer operations save more than padding, copies and full caches cost."""
    if len(networks) < 2:
        return False
    widths = [[width_of(cell) for cell in one.cells] for one in networks]
    padded = [max(place) for place in zip(*widths, strict=True)]
    padding = sum(padded) * len(networks) / sum(map(sum, widths))
    stages = 0
    largest = 0
    for cell, width in zip(networks[0].cells, padded, strict=True):
        stages += not isinstance(cell, Cell)
        largest = max(largest, width * pixels // 4**stages)
    operations = find_operations([cast(Cell, one.cells[0]) for one in networks])
    sharing = sum(len(members) for _, members in operations) / len(operations)
    everyone = all(len(members) == len(networks) for _, members in operations)
    return largest * padding <= _LARGEST and (everyone or sharing >= _SHARING)
