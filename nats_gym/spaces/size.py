"""The size search space (sss): 32,768 settings of five channel widths for one fixed cell.

Order, strings and networks follow NATS-Bench (Dong et al., arXiv 2009.00437).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nats_gym import checks
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, shown
from nats_gym.spaces import network_cost
from nats_gym.spaces.architecture_space import Figures
from nats_gym.spaces.decisions import Choices, Indices
from nats_gym.spaces.dense import DenseSpace
from nats_gym.streams import RandomSource, uniform_integers

#: Channel widths in the order of the choices.
WIDTHS: tuple[int, ...] = tuple(range(8, 65, 8))
#: The cell of every architecture, as a string of the topology space (index 9930).
CELL = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+"
    "|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)


class SizeSpace(DenseSpace):
    """Widths of NATS-Bench's size space: choice ``d`` is the width ``8·(d+1)``.

    >>> space = SizeSpace()
    >>> str(space.string(space.choices(284)))
    '8:8:40:32:40'
    """

    name = "sss"
    title = "size"
    official = True
    full_epochs = 90
    network_builder = "nats_gym.networks.network:build_size"
    fit_description = "nats_gym.tables.ridge:describe_sizes"
    choice_names = tuple(str(width) for width in WIDTHS)
    decisions = dict.fromkeys(
        ("cell 1", "reduction 1", "cell 2", "reduction 2", "cell 3"), choice_names
    )
    drawing = "nats_gym.envs.bar_drawing:BarDrawing"

    @cached_property
    def rank_to_index(self) -> Indices:
        """The official order of the size space is lexicographic already."""
        return np.arange(self.size)

    @property
    def index_to_rank(self) -> Indices:
        """The official order of the size space is lexicographic already."""
        return self.rank_to_index

    def official_config(self, string: str, network: Mapping[str, Any]) -> dict[str, Any]:
        """Widths, and the cell that all have."""
        self.parse(checks.text(string, "string"))
        checks.mapping(network, "network is a dictionary of options")
        return {"name": "infer.shape.tiny", "channels": string, "genotype": CELL}

    def widths(self, choices: ArrayLike) -> Indices:
        """Channel widths ``(..., 5)`` of ``choices (..., 5)``."""
        return np.asarray(WIDTHS)[self.check_choices(choices)]

    def _string(self, choices: tuple[int, ...]) -> str:
        return ":".join(self.choice_names[choice] for choice in choices)

    def _parse(self, string: str) -> list[int]:
        parts = string.split(":")
        if len(parts) != self.num_decisions or any(p not in self.choice_names for p in parts):
            raise InvalidInput(
                f"malformed sss architecture {shown(string)}: five widths joined by ':', each one "
                f"of {', '.join(self.choice_names)}; a right one: '64:48:32:16:8'"
            )
        return [self.choice_names.index(part) for part in parts]

    def mutate(self, choices: ArrayLike, rng: RandomSource) -> Choices:
        """Give one position of each architecture a uniform width.

        The paper's rule: the new width may be the old one.
        """
        child = self.check_choices(choices).copy()
        batch = child.shape[:-1]
        position = uniform_integers(rng, self.num_decisions, batch)[..., None]
        choice = uniform_integers(rng, self.num_choices, batch)[..., None]
        np.put_along_axis(child, position, choice, -1)
        return child

    def features(self, choices: ArrayLike) -> Figures:
        """Which steps each width reaches, ``(..., n·(k-1))``: near widths are alike."""
        checked = self.check_choices(choices)
        reached = checked[..., None] >= np.arange(1, self.num_choices)
        return reached.reshape(*checked.shape[:-1], -1).astype(np.float64)

    def _cost(self, choices: ArrayLike, dataset: str) -> tuple[Figures, Figures]:
        data = get_dataset(dataset)
        c1, c2, c3, c4, c5 = np.moveaxis(self.widths(choices).astype(np.float64), -1, 0)
        full, half, quarter = (network_cost.halved(data.resolution, stage) for stage in range(3))
        return network_cost.total(
            network_cost.conv_bn(3, c1, 3, full),
            _cell(c1, c1, full),
            network_cost.residual_block(c1, c2, half),
            _cell(c2, c3, half),
            network_cost.residual_block(c3, c4, quarter),
            _cell(c4, c5, quarter),
            network_cost.head(c5, data.num_classes),
        )

    def params(self, choices: ArrayLike, dataset: str) -> Figures:
        """Parameters in millions, ``(...)``."""
        return self._cost(choices, dataset)[0]

    def flops(self, choices: ArrayLike, dataset: str) -> Figures:
        """Multiply-accumulates of one image in millions, ``(...)``."""
        return self._cost(choices, dataset)[1]


def _cell(
    c_in: network_cost.Width, c_out: network_cost.Width, resolution: int
) -> network_cost.Cost:
    """The fixed cell: two 3×3 convolutions from its input, three inside, and the skip."""
    from_input = network_cost.conv_bn(c_in, c_out, 3, resolution)
    inside = network_cost.conv_bn(c_out, c_out, 3, resolution)
    # The skip is a plain identity when widths agree, else a 1×1 convolution with batch norm.
    skip = network_cost.conv_bn(c_in, c_out, 1, resolution)
    differs = np.not_equal(c_in, c_out)
    return (
        2 * from_input[0] + 3 * inside[0] + differs * skip[0],
        2 * from_input[1] + 3 * inside[1] + differs * skip[1],
    )
