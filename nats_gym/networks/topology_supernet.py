"""The topology supernet: every edge of every cell holds all five operations.

Source: NATS-Bench (arXiv 2009.00437), section 5.2; GDAS (Dong & Yang, CVPR 2019, arXiv 1910.04465)
for the straight-through path.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from nats_gym.checks import integer
from nats_gym.errors import InvalidInput, shown
from nats_gym.networks.blocks import ConvBN, ResidualBlock
from nats_gym.networks.cell import OUTPUT, make_edge, run_cell
from nats_gym.networks.network import MOST_CELLS, MOST_CHANNELS, MOST_CLASSES
from nats_gym.networks.supernet import NORM_EPSILON, Supernet, batch_norm
from nats_gym.spaces.topology import (
    CELLS_PER_STAGE,
    CONV_1X1,
    CONV_3X3,
    EDGES,
    NONE,
    OPERATIONS,
    STEM_WIDTH,
    live_edges,
)

SKIP, POOL = OPERATIONS.index("skip_connect"), OPERATIONS.index("avg_pool_3x3")
_DIGITS = frozenset(range(len(OPERATIONS)))


class TopologySupernet(Supernet):
    """All topologies in one network.

    Stem, residual blocks and last activation keep the batch norms of a stand-alone network, with
    parameters and running statistics, as in NATS-Bench's code; those of the cells' operations have
    neither. A path equals the stand-alone network of its architecture, of the same weights and
    with such batch norms, in training and evaluation.

    Args:
        num_classes: width of the classifier.
        channels: of the first stage, which the second and third double.
        cells_per_stage: cells in each of the three stages.

    Attributes:
        cell_count: cells in all.

    Raises:
        InvalidInput: for a number below 1.
    """

    def __init__(
        self, num_classes: int, channels: int = STEM_WIDTH, cells_per_stage: int = CELLS_PER_STAGE
    ) -> None:
        num_classes = integer(num_classes, "num_classes", 1, MOST_CLASSES)
        channels = integer(channels, "channels", 1, MOST_CHANNELS)
        cells_per_stage = integer(cells_per_stage, "cells_per_stage", 1, MOST_CELLS)
        blocks = _blocks(channels, cells_per_stage)
        super().__init__(channels, blocks, 4 * channels, num_classes, nn.BatchNorm2d)
        self.cell_count = 3 * cells_per_stage
        self._run_mixture: Callable[..., torch.Tensor] = self._mixture

    def path(self, images: torch.Tensor, choices: Sequence[int]) -> torch.Tensor:
        """Logits of one architecture; nothing else is computed.

        Args:
            images: normalised, ``(B, 3, H, W)``.
            choices: operation of each edge.

        Returns:
            ``(B, num_classes)``.

        Raises:
            InvalidInput: for what are no choices of the topology space.
        """
        live = _live(choices)
        if not self.training and not any(EDGES[edge][1] == 0 for edge in live):
            # No cell passes anything on: what comes before the last one cannot matter, but to the
            # running statistics.
            last = self.cells[-1]
            assert isinstance(last, MixedCell)
            batch, _, height, width = images.shape
            x = images.new_zeros(batch, last.width, height // 4, width // 4)
            return self.classify(last.path(x, choices, live))
        return self._along(images, itertools.repeat((choices, live)))

    def path_of_each_cell(
        self, images: torch.Tensor, choices: Sequence[Sequence[int]]
    ) -> torch.Tensor:
        """Logits where every cell goes a path of its own; no architecture does, RSPS' steps do.

        Args:
            images: as :meth:`path`'s.
            choices: operation of each edge of each cell, ``(cell_count, 6)``.

        Returns:
            ``(B, num_classes)``.

        Raises:
            InvalidInput: for what are no choices of so many cells.
        """
        if len(choices) != self.cell_count:
            raise InvalidInput(f"paths are of {self.cell_count} cells, got {shown(choices)}")
        return self._along(images, iter([(one, _live(one)) for one in choices]))

    def _along(
        self, images: torch.Tensor, paths: Iterator[tuple[Sequence[int], Sequence[int]]]
    ) -> torch.Tensor:
        """Logits where each cell in turn takes the next choices and what is live of them."""

        def through(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
            return block.path(x, *next(paths)) if isinstance(block, MixedCell) else block(x)

        return self._logits(images, through)

    def mixture(self, images: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Logits where every edge is the weighted sum of all its operations.

        Args:
            images: as :meth:`path`'s.
            weights: of each operation on each edge, ``(6, 5)``.

        Returns:
            ``(B, num_classes)``.

        Raises:
            InvalidInput: for weights of another shape.
        """
        _check_weights(weights)
        return self._run_mixture(images, weights)

    def _mixture(self, images: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        def through(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
            return block.mixture(x, weights) if isinstance(block, MixedCell) else block(x)

        return self._logits(images, through)

    def straight_through(self, images: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Logits of the chosen operations alone, with gradients for all weights.

        The chosen operation is multiplied by its weight, 1. To that GDAS adds the weights of the
        others as they are: zeros in value, whose gradient is the sum of the edge's.

        Args:
            images: as :meth:`path`'s.
            weights: one-hot in value, ``(6, 5)``.

        Returns:
            ``(B, num_classes)``.

        Raises:
            InvalidInput: for weights of another shape.
        """
        _check_weights(weights)
        chosen = weights.detach().argmax(1)
        others = weights.sum(1) - weights.gather(1, chosen[:, None])[:, 0]
        choices = chosen.tolist()

        def through(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
            if isinstance(block, MixedCell):
                return block.straight_through(x, choices, weights, others)
            return block(x)

        return self._logits(images, through)

    def compile_parts(self) -> None:
        """Compile the mixture and the residual blocks; the cells of a path are ever others."""
        self._run_mixture = torch.compile(self._mixture)
        for block in self.cells:
            if isinstance(block, ResidualBlock):
                block.compile()

    def classify(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the last block's output, ``(B, C, H, W)``."""
        logits: torch.Tensor = self.classifier(self.lastact(x).mean((2, 3)))
        return logits.float() if self.amp else logits

    def _logits(
        self, images: torch.Tensor, through: Callable[[nn.Module, torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """Logits of images, given what a block makes of its input."""
        if images.device.type == "cpu":
            # oneDNN's own format: half again as fast there.
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.amp):
            x = self.stem(images)
            for block in self.cells:
                x = through(block, x)
            return self.classify(x)


class MixedCell(nn.Module):
    """A cell with all operations on every edge, ``layers[edge][operation]``.

    Args:
        width: channels of all its nodes.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.ModuleList(
            nn.ModuleList(
                make_edge(choice, width, width, batch_norm) for choice in range(len(OPERATIONS))
            )
            for _ in EDGES
        )

    def path(self, x: torch.Tensor, choices: Sequence[int], live: Sequence[int]) -> torch.Tensor:
        """``(B, C, H, W)`` → the same, by one operation an edge."""
        return run_cell(live, [self._layer(*one) for one in enumerate(choices)], x, self.width)

    def mixture(self, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """``(B, C, H, W)`` → the same, by all operations; ``weights`` are ``(6, 5)``.

        Edges from one node are computed together: it is rectified and pooled once, and one
        convolution of each kernel makes the channels of all its edges. A batch norm multiplies by
        the weights as if they were its parameters.
        """
        nodes: list[torch.Tensor] = [x]
        totals: dict[int, torch.Tensor] = {}
        for source in range(OUTPUT):
            node = nodes[source]
            edges = [edge for edge, (_, start) in enumerate(EDGES) if start == source]
            rectified, pooled = node.relu(), self._layer(edges[0], POOL)(node)
            ones = self._convolve(rectified, CONV_1X1, edges, weights)
            threes = self._convolve(rectified, CONV_3X3, edges, weights)
            for edge, one, three in zip(edges, ones, threes, strict=True):
                target = EDGES[edge][0]
                total = one + three if target not in totals else totals[target] + one + three
                total = torch.addcmul(total, node, weights[edge, SKIP])
                totals[target] = torch.addcmul(total, pooled, weights[edge, POOL])
            nodes.append(totals[source + 1])
        return nodes[OUTPUT]

    def _convolve(
        self, rectified: torch.Tensor, choice: int, edges: Sequence[int], weights: torch.Tensor
    ) -> Sequence[torch.Tensor]:
        """A convolution on each of some edges from one node, normalised, times its weight."""
        kernels = torch.cat([_kernel(self._layer(edge, choice)) for edge in edges])
        values = nn.functional.conv2d(rectified, kernels, padding=kernels.shape[-1] // 2)
        scales = weights[edges, choice].repeat_interleave(self.width)
        values = nn.functional.batch_norm(
            values, None, None, scales, training=True, eps=NORM_EPSILON
        )
        return values.chunk(len(edges), 1)

    def straight_through(
        self, x: torch.Tensor, choices: Sequence[int], weights: torch.Tensor, others: torch.Tensor
    ) -> torch.Tensor:
        """``(B, C, H, W)`` → the same, by one operation an edge and zeros with a gradient.

        Args:
            x: the cell's input.
            choices: operation of each edge.
            weights: one-hot in value, ``(6, 5)``.
            others: on each edge the sum of the other operations' weights, 0 in value, ``(6,)``.
        """
        reaches_output = {OUTPUT}
        for (target, source), choice in reversed(list(zip(EDGES, choices, strict=True))):
            if choice != NONE and target in reaches_output:
                reaches_output.add(source)
        nodes = [x]
        rectified: dict[int, torch.Tensor] = {}
        for node in range(1, OUTPUT + 1):
            if node not in reaches_output:
                nodes.append(x)  # never read
                continue
            into = [edge for edge, (target, _) in enumerate(EDGES) if target == node]
            total = others[into[0] : into[-1] + 1].sum().to(x.dtype).expand_as(x)
            for edge in into:
                choice, source = choices[edge], EDGES[edge][1]
                if choice == NONE:
                    continue
                layer = self._layer(edge, choice)
                if isinstance(layer, ConvBN):
                    if source not in rectified:
                        rectified[source] = nodes[source].relu()
                    value = layer(rectified[source])
                else:
                    value = layer(nodes[source])
                total = total + weights[edge, choice] * value
            nodes.append(total)
        return nodes[OUTPUT]

    def _layer(self, edge: int, choice: int) -> nn.Module:
        operations = self.layers[edge]
        assert isinstance(operations, nn.ModuleList)
        return operations[choice]


def _kernel(layer: nn.Module) -> torch.Tensor:
    assert isinstance(layer, ConvBN)
    convolution = layer.op[0]
    assert isinstance(convolution, nn.Conv2d)
    return convolution.weight


def _live(choices: Sequence[int]) -> tuple[int, ...]:
    """The live edges of a cell; ``InvalidInput`` for what are no choices of one."""
    try:
        right = len(choices) == len(EDGES) and {*choices} <= _DIGITS
    except Exception:  # what is given counts itself as it likes
        right = False
    if not right:
        raise InvalidInput(f"choices are six numbers from 0 to 4, got {shown(choices)}")
    return live_edges(choices)


def _check_weights(weights: torch.Tensor) -> None:
    shape = len(EDGES), len(OPERATIONS)
    if weights.shape != shape:
        raise InvalidInput(f"weights are {shape}, got {tuple(weights.shape)}")


def _blocks(channels: int, cells_per_stage: int) -> Iterator[nn.Module]:
    for stage in range(3):
        width = channels * 2**stage
        if stage:
            yield ResidualBlock(width // 2, width)
        for _ in range(cells_per_stage):
            yield MixedCell(width)
