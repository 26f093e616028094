"""The networks of NATS-Bench's spaces, under the names of the official weights; and of any space.

Source: NAS-Bench-201 (arXiv 2001.00326), figure 1, and NATS-Bench (arXiv 2009.00437), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import nn

from nats_gym import checks
from nats_gym.datasets import DATASETS
from nats_gym.errors import InvalidInput, NatsGymError, said, shown
from nats_gym.networks.blocks import ResidualBlock
from nats_gym.networks.cell import Cell
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.spaces.size import CELL, WIDTHS
from nats_gym.spaces.topology import CELLS_PER_STAGE, STEM_WIDTH, TopologySpace

#: Sizes of a network that memory still holds.
MOST_CLASSES, MOST_CELLS, MOST_CHANNELS = 1_000_000, 100, 1_024

# Cells of each of the three stages of a size network.
_SIZE_CELLS_PER_STAGE = 1
# Channels, as floats, that fill a cache line.
_CACHE_LINE = 16


class Network(nn.Module):
    """Stem, three stages of cells with a residual block between them, classifier.

    Args:
        choices: operation of each edge of a cell.
        widths: channels of stem and first stage, first residual block, second stage, second
            residual block, third stage.
        cells_per_stage: cells in each stage.
        num_classes: width of the classifier.

    Raises:
        InvalidInput: for another number of choices or widths, or a value out of range.
    """

    def __init__(
        self, choices: Sequence[int], widths: Sequence[int], cells_per_stage: int, num_classes: int
    ) -> None:
        super().__init__()
        operations = TopologySpace().check_choices(choices)
        if operations.ndim != 1:
            raise InvalidInput(f"choices are one operation an edge, got shape {operations.shape}")
        choices = operations.tolist()
        given = checks.as_integers(widths) or []
        if len(given) != 5:
            raise InvalidInput(f"widths are five integers, got {shown(widths)}")
        widths = [checks.integer(wide, "a width", 1, 4 * MOST_CHANNELS) for wide in given]
        cells_per_stage = checks.integer(cells_per_stage, "cells_per_stage", 1, MOST_CELLS)
        num_classes = checks.integer(num_classes, "num_classes", 1, MOST_CLASSES)
        width = widths[0]
        self._width = width
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        cells: list[nn.Module] = []
        for part, wide in enumerate(widths):
            if part % 2:
                cells.append(ResidualBlock(width, wide))
            else:
                cells.append(Cell(choices, width, wide))
                cells += [Cell(choices, wide, wide) for _ in range(cells_per_stage - 1)]
            width = wide
        self.cells = nn.ModuleList(cells)
        self.lastact = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images ``(B, 3, H, W)`` → logits of each class."""
        images = lay_out(images, self._width)
        last = self.cells[-1]
        assert isinstance(last, Cell)
        if last.reads_input:
            x = self.stem(images)
            for cell in self.cells:
                x = cell(x)
        else:
            # No cell passes anything on: what comes before the last one cannot matter.
            batch, _, height, width = images.shape
            x = last(images.new_zeros(batch, last.c_in, height // 4, width // 4))
        return self.classifier(self.lastact(x).mean((2, 3)))


def build(
    space: str | ArchitectureSpace,
    architecture: int | str | ArrayLike,
    num_classes: int,
    *,
    dataset: str | None = None,
    **options: Any,
) -> Any:
    """Build the network of an architecture, with the initial weights of its space.

    Args:
        space: a space, or its name.
        architecture: official index, official string or choices.
        num_classes: width of the classifier.
        dataset: what it is to be trained on, for spaces of your own that ask; default CIFAR-10.
        options: of the space's networks: ``cells_per_stage``, default the official 5 (tss), 1
            (sss) or 3 (nb101); ``stem_width``, channels of the first stage, which the second and
            third double, default the official 16 (tss) or 128 (nb101).

    Returns:
        A module from images ``(B, 3, H, W)`` to logits ``(B, num_classes)``; of tss and sss a
        :class:`Network`, whose parameters and buffers are named as in the official weights.

    Raises:
        InvalidInput: for an unknown space or architecture, a number below 1, or a space
            that builds no networks.
    """
    found = get_space(space)
    named = next(iter(DATASETS)) if dataset is None else checks.text(dataset, "dataset")
    choices = found.choices(found.resolve(architecture))
    if (builder := found.builder) is not None:
        return builder(found, choices, num_classes, **options)
    try:
        return found.network(choices, named, **options)
    except NatsGymError:
        raise
    except Exception as error:  # another's code, which raises what it likes
        raise InvalidInput(f"network() of {found.name} failed: {said(error)}") from error


def build_topology(
    space: ArchitectureSpace,
    choices: ArrayLike,
    num_classes: int,
    *,
    cells_per_stage: int | None = None,
    stem_width: int | None = None,
) -> Network:
    """Build the network of a topology, with torch's default initial weights.

    Outputs and gradients are those of the plain network that computes every edge. An edge that
    cannot matter is not computed: its parameters are there, their gradient stays None, and so do
    the running statistics of its batch norm; in the plain network those move, and never reach an
    output. Arguments and exceptions as :func:`build`.
    """
    cells = _cells(cells_per_stage, CELLS_PER_STAGE)
    width = STEM_WIDTH
    if stem_width is not None:
        width = checks.integer(stem_width, "stem_width", 1, MOST_CHANNELS)
    widths = (width, 2 * width, 2 * width, 4 * width, 4 * width)
    return Network(space.check_choices(choices).tolist(), widths, cells, num_classes)


def build_size(
    space: ArchitectureSpace,
    choices: ArrayLike,
    num_classes: int,
    *,
    cells_per_stage: int | None = None,
    stem_width: int | None = None,
) -> Network:
    """Build the network of a size architecture, as :func:`build_topology` does."""
    cells = _cells(cells_per_stage, _SIZE_CELLS_PER_STAGE)
    if stem_width is not None:
        raise InvalidInput(
            f"stem_width={shown(stem_width)}: a size architecture has its widths from its choices; "
            "stem_width is for tss"
        )
    cell = TopologySpace().parse(CELL).tolist()
    widths = tuple(WIDTHS[choice] for choice in space.check_choices(choices).tolist())
    return Network(cell, widths, cells, num_classes)


def _cells(given: int | None, official: int) -> int:
    if given is None:
        return official
    return checks.integer(given, "cells_per_stage", 1, MOST_CELLS)


def lay_out(images: torch.Tensor, width: int) -> torch.Tensor:
    """Images in the format that networks of such a width are computed fastest in."""
    if images.device.type == "cpu" and (width >= _CACHE_LINE or _alone()):
        # oneDNN's own format: half again as fast there.
        return images.contiguous(memory_format=torch.channels_last)
    return images


def _alone() -> bool:
    """Whether no threads would share cache lines in batch norm's backward pass.

    They do in the channels-last format at 8 channels, and lose more than it brings. Compiled code
    has a backward pass of its own.
    """
    return torch.compiler.is_compiling() or torch.get_num_threads() == 1
