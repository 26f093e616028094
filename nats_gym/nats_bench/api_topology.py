"""The API of the topology search space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.checks import word
from nats_gym.nats_bench import arguments, printing

# Importable from here as from the module that this one stands for.
from nats_gym.nats_bench.api_utils import (  # noqa: F401
    PICKLE_EXT,
    ArchResults,
    NASBenchMetaAPI,
    get_torch_home,
    nats_is_dir,
    nats_is_file,
    pickle_load,
    time_string,
)
from nats_gym.nats_bench.errors import MalformedGenotype
from nats_gym.nats_bench.genotype_utils import Edge, parse_edges, topology_str2structure
from nats_gym.spaces.topology import OPERATIONS

#: Names of the official files, without what follows; the last is in use.
ALL_BASE_NAMES = ["NATS-tss-v1_0-3ffb9"]


def print_information(
    information: ArchResults, extra_info: Any = None, show: bool = False
) -> list[str]:
    """Lines about an architecture's results; printed too if ``show``."""
    return printing.describe(information, extra_info, show, printing.SHOWN_TSS)


class NATStopology(NASBenchMetaAPI):
    """The topology search space, 15,625 architectures; schedules ``12`` and ``200``."""

    _search_space_name = "topology"
    _space_name = "tss"
    _full_train_epochs = 200
    _all_base_names = ALL_BASE_NAMES
    _shown = printing.SHOWN_TSS

    def get_unique_str(self, arch: Any) -> str:
        """String that is equal for isomorphic architectures; ValueError for none of the space."""
        self._say("get_unique_str", arch)
        name = self._holdings.name(self._checked(self._find(arch)))
        return topology_str2structure(name).to_unique_str(consider_zero=True)

    @staticmethod
    def str2lists(arch_str: str) -> list[tuple[Edge, ...]]:
        """Edges ``(operation, source)`` into node 1, 2 and 3."""
        return parse_edges(arch_str)

    @staticmethod
    def str2matrix(arch_str: str, search_space: Sequence[str] = OPERATIONS) -> NDArray[np.float64]:
        """Adjacency matrix ``(target, source)`` of positions in ``search_space``.

        ValueError for an operation that is not in ``search_space``. Of two edges between the same
        nodes the later one stays.
        """
        nodes, known = parse_edges(arch_str), arguments.operations(search_space)
        matrix = np.zeros((len(nodes) + 1, len(nodes) + 1))
        for target, edges in enumerate(nodes, 1):
            for operation, source in edges:
                if source > len(nodes):
                    raise MalformedGenotype(f"an edge comes from one of {len(nodes) + 1} nodes")
                matrix[target, source] = known.index(word(operation, "operation", known))
        return matrix
