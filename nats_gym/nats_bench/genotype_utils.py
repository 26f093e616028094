"""Cells as graphs: ``topology_str2structure`` and :class:`TopologyStructure`.

Follows the public behaviour of ``nats_bench.genotype_utils``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from copy import deepcopy
from typing import Any

from nats_gym.checks import as_integer, as_list
from nats_gym.errors import shown
from nats_gym.nats_bench.arguments import LONGEST_CELL, operations
from nats_gym.nats_bench.errors import MalformedGenotype, OutOfRange

#: An edge: operation and number of the node that it comes from.
Edge = tuple[str, int]
ZERO, IDENTITY = "none", "skip_connect"
#: Most nodes of a cell that is read; official ones have four.
MOST_NODES = 100
#: Most cells that are made at once.
MOST_CELLS = 20_000_000


def topology_str2structure(xstr: str | TopologyStructure) -> TopologyStructure:
    """The graph that an official architecture string describes."""
    return TopologyStructure.str2structure(xstr)


def get_combination(space: Sequence[str], num: int) -> list[list[Edge]]:
    """Every choice of an operation for each edge of a node with ``num`` inputs."""
    return [
        [(operation, source) for source, operation in enumerate(operations)]
        for operations in itertools.product(space, repeat=num)
    ]


def parse_edges(xstr: str) -> list[tuple[Edge, ...]]:
    """Edges into each node, in the order of the string.

    Raises:
        MalformedGenotype: unless every edge reads ``operation~source``.
    """
    if not issubclass(type(xstr), str):
        raise MalformedGenotype(f"a cell is text, got {shown(xstr)}")
    plain = str.__str__(xstr)
    if len(plain) > LONGEST_CELL or plain.count("+") >= MOST_NODES:
        raise MalformedGenotype(
            f"a cell has at most {MOST_NODES} nodes, in {LONGEST_CELL:,} characters, "
            f"got {shown(plain)}"
        )
    nodes = []
    for text in plain.split("+"):
        edges = [edge.split("~") for edge in text.split("|") if edge]
        for edge in edges:
            if len(edge) != 2 or not (edge[1].isdecimal() and len(edge[1]) < 4):
                raise MalformedGenotype(
                    f"an edge reads operation~source, not {shown('~'.join(edge))}"
                )
        nodes.append(tuple((operation, int(source)) for operation, source in edges))
    return nodes


class TopologyStructure:
    """A cell: for each node but the input, the edges that lead into it.

    Args:
        genotype: for node 1, 2, … a non-empty list of ``(operation, source)``, sources being
            earlier nodes.

    Attributes:
        node_num: number of nodes, the input included.
        nodes: edges into node 1, 2, …
        node_N: how many edges lead into each.

    Raises:
        MalformedGenotype: for anything else.
    """

    def __init__(self, genotype: Sequence[Sequence[Edge]]) -> None:
        _check_sequence(genotype, "a genotype")
        self.node_num = len(genotype) + 1
        self.nodes: list[tuple[Edge, ...]] = []
        self.node_N: list[int] = []
        for position, edges in enumerate(genotype):
            _check_sequence(edges, "a node")
            if not edges:
                raise MalformedGenotype(f"no edge leads into node {position + 1}")
            for edge in edges:
                _check_sequence(edge, "an edge")
                source = as_integer(edge[1]) if len(edge) == 2 else None
                named = source is not None and issubclass(type(edge[0]), str)
                if source is None or not named or not 0 <= source <= position:
                    raise MalformedGenotype(
                        f"{shown(edge)} cannot lead into node {position + 1}: an edge is "
                        f"(operation, source) with a source up to {position}"
                    )
            self.node_N.append(len(edges))
            self.nodes.append(tuple(deepcopy(edges)))

    def tolist(self, remove_str: str | None) -> tuple[list[tuple[Edge, ...]] | None, bool]:
        """Edges by source, without the operation ``remove_str``; ``(None, False)`` if a node
        has none left, else the list and True."""
        nodes = []
        for edges in self.nodes:
            ordered = sorted(edges, key=lambda edge: (edge[1], edge[0]))
            kept = tuple(edge for edge in ordered if edge[0] != remove_str)
            if not kept:
                return None, False
            nodes.append(kept)
        return nodes, True

    def node(self, index: int) -> tuple[Edge, ...]:
        """Entry ``index`` of ``nodes``; MalformedGenotype unless ``0 < index <= len(self)``."""
        place = as_integer(index)
        if place is None or not 0 < place <= len(self):
            raise MalformedGenotype(f"there is no node {shown(index)}, only 1 to {len(self)}")
        if place == len(self.nodes):  # as the original, which has no such entry
            raise OutOfRange(f"node {place} has no entry, only 1 to {place - 1}")
        return self.nodes[place]

    def tostr(self) -> str:
        """Official architecture string."""
        return "+".join(
            f"|{'|'.join(f'{operation}~{source}' for operation, source in edges)}|"
            for edges in self.nodes
        )

    def check_valid(self) -> bool:
        """Whether a path without ``none`` leads from the input to the last node."""
        reached = [True]
        for edges in self.nodes:
            reached.append(any(name != ZERO and reached[source] for name, source in edges))
        return reached[-1]

    def to_unique_str(self, consider_zero: bool | None = False) -> str:
        """String that is equal for isomorphic cells.

        Args:
            consider_zero: True lets ``none`` cut what comes before it and ``skip_connect``
                repeat it, which gives 6,466 classes of cells; False only the latter (12,751);
                None neither (15,625).
        """
        nodes = ["0"]
        for edges in self.nodes:
            inputs = [_contribution(nodes[src], name, consider_zero) for name, src in edges]
            nodes.append("+".join(sorted(inputs)))
        return nodes[-1]

    def check_valid_op(self, op_names: Collection[str]) -> bool:
        """Whether every operation is among ``op_names``."""
        known = as_list(op_names)
        if known is None:
            raise MalformedGenotype(f"op_names is a list of operations, got {shown(op_names)}")
        return all(name in known for edges in self.nodes for name, _ in edges)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.node_num} nodes with {self.tostr()})"

    def __len__(self) -> int:
        return len(self.nodes) + 1

    def __getitem__(self, index: int) -> tuple[Edge, ...]:
        return self.nodes[index]

    @staticmethod
    def str2structure(xstr: str | TopologyStructure) -> TopologyStructure:
        """The graph of an official architecture string; a graph is returned as it is."""
        if isinstance(xstr, TopologyStructure):
            return xstr
        return TopologyStructure(parse_edges(xstr))

    @staticmethod
    def str2fullstructure(xstr: str, default_name: str = ZERO) -> TopologyStructure:
        """Likewise, with ``default_name`` on edges that the string leaves out, by source."""
        nodes = []
        for position, edges in enumerate(parse_edges(xstr)):
            present = {source for _, source in edges}
            absent = [(default_name, s) for s in range(position) if s not in present]
            nodes.append(tuple(sorted([*edges, *absent], key=lambda edge: (edge[1], edge[0]))))
        return TopologyStructure(nodes)

    @staticmethod
    def gen_all(search_space: Sequence[str], num: int, return_ori: bool) -> list[Any]:
        """Every cell of ``num`` nodes with operations of ``search_space``, lexicographically.

        Args:
            search_space: operations.
            num: nodes, at least 2.
            return_ori: return lists of edges instead of :class:`TopologyStructure`.
        """
        _check_sequence(search_space, "a search space")
        search_space, nodes = operations(search_space), as_integer(num)
        if nodes is None or nodes < 2:
            raise MalformedGenotype(f"a cell has at least two nodes, not {shown(num)}")
        edges = nodes * (nodes - 1) // 2
        if edges * math.log(max(len(search_space), 1)) > math.log(MOST_CELLS):
            raise MalformedGenotype(
                f"at most {MOST_CELLS:,} cells are made, {len(search_space)} operations on "
                f"{shown(num)} nodes are more"
            )
        choices = [get_combination(search_space, inputs) for inputs in range(1, nodes)]
        cells = [[tuple(edges) for edges in cell] for cell in itertools.product(*choices)]
        return cells if return_ori else [TopologyStructure(cell) for cell in cells]


def _contribution(source: str, operation: str, consider_zero: bool | None) -> str:
    if consider_zero and (operation == ZERO or source == "#"):
        return "#"
    if operation == IDENTITY and consider_zero is not None:
        return source
    return f"({source})@{operation}"


def _check_sequence(given: object, what: str) -> None:
    if not isinstance(given, (list, tuple)):
        raise MalformedGenotype(f"{what} is a list or tuple, not {type(given).__name__}")
