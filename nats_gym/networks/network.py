"""The networks of both spaces, under the names of the official weights.

Source: NAS-Bench-201 (arXiv 2001.00326), figure 1, and NATS-Bench (arXiv 2009.00437), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import nn

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown
from nats_gym.networks.blocks import ResidualBlock
from nats_gym.networks.cell import Cell
from nats_gym.spaces import get_space
from nats_gym.spaces.size import CELL, WIDTHS
from nats_gym.spaces.topology import CELLS_PER_STAGE, STEM_WIDTH

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
        operations = get_space("tss").check_choices(choices)
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
        self._wide = width >= _CACHE_LINE
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
        """Normalised images ``(B, 3, H, W)``, sides divisible by 4 → logits of each class."""
        if images.device.type == "cpu" and (self._wide or _alone()):
            # oneDNN's own format: half again as fast there.
            images = images.contiguous(memory_format=torch.channels_last)
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
    space: str,
    architecture: int | str | ArrayLike,
    num_classes: int,
    *,
    cells_per_stage: int | None = None,
    stem_width: int | None = None,
) -> Network:
    """Build the network of an architecture, with torch's default initial weights.

    Outputs and gradients are those of the plain network that computes every edge. An edge that
    cannot matter is not computed: its parameters are there, their gradient stays None, and so do
    the running statistics of its batch norm; in the plain network those move, and never reach an
    output.

    Args:
        space: ``"tss"`` or ``"sss"``.
        architecture: official index, official string or choices.
        num_classes: width of the classifier.
        cells_per_stage: default the official 5 (tss) or 1 (sss).
        stem_width: channels of the first stage, which the second and third double; tss only,
            default the official 16.

    Returns:
        A module from images ``(B, 3, H, W)`` to logits ``(B, num_classes)``. Parameters and
        buffers are named as in the official weights.

    Raises:
        InvalidInput: for an unknown space or architecture, or a number below 1.
    """
    space_ = get_space(space)
    choices = space_.choices(space_.resolve(architecture))
    if cells_per_stage is not None:
        cells_per_stage = checks.integer(cells_per_stage, "cells_per_stage", 1, MOST_CELLS)
    if space_.name == "tss":
        width = STEM_WIDTH
        if stem_width is not None:
            width = checks.integer(stem_width, "stem_width", 1, MOST_CHANNELS)
        widths = (width, 2 * width, 2 * width, 4 * width, 4 * width)
        return Network(choices.tolist(), widths, cells_per_stage or CELLS_PER_STAGE, num_classes)
    if stem_width is not None:
        raise InvalidInput(
            f"stem_width={shown(stem_width)}: a size architecture has its widths from its choices; "
            "stem_width is for tss"
        )
    cell = get_space("tss").parse(CELL).tolist()
    widths = tuple(WIDTHS[choice] for choice in choices.tolist())
    return Network(cell, widths, cells_per_stage or _SIZE_CELLS_PER_STAGE, num_classes)


def _alone() -> bool:
    """Whether no threads would share cache lines in batch norm's backward pass.

    They do in the channels-last format at 8 channels, and lose more than it brings. Compiled code
    has a backward pass of its own.
    """
    return torch.compiler.is_compiling() or torch.get_num_threads() == 1
