"""The public ``nats_bench`` API over imported official archives.

``from nats_gym.nats_bench import create`` in place of ``from nats_bench import create``: same
calls, same answers, hundreds of times faster. ``docs/nats-bench-users.md`` says what differs.
"""

from __future__ import annotations

import os
from typing import Any

from nats_gym.checks import word
from nats_gym.errors import InvalidInput, shown
from nats_gym.nats_bench.api_size import NATSsize
from nats_gym.nats_bench.api_topology import NATStopology
from nats_gym.nats_bench.api_utils import ArchResults, ResultsCount, pickle_load, pickle_save
from nats_gym.nats_bench.networks import get_cell_based_tiny_net
from nats_gym.spaces.size import WIDTHS
from nats_gym.spaces.topology import OPERATIONS

__all__ = [
    "ArchResults",
    "NATS_BENCH_SSS_NAMEs",
    "NATS_BENCH_TSS_NAMEs",
    "NATSsize",
    "NATStopology",
    "ResultsCount",
    "create",
    "get_cell_based_tiny_net",
    "pickle_load",
    "pickle_save",
    "search_space_info",
    "version",
]

#: Version of the original whose behaviour this follows, the last entry.
NATS_BENCH_API_VERSIONs = [f"v1.{minor}" for minor in range(9)]
NATS_BENCH_SSS_NAMEs = ("sss", "size")
NATS_BENCH_TSS_NAMEs = ("tss", "topology")


def version() -> str:
    """Version of the original API that this one follows."""
    return NATS_BENCH_API_VERSIONs[-1]


def create(
    file_path_or_dict: str | os.PathLike[str] | dict[str, Any] | None,
    search_space: str,
    fast_mode: bool | int = False,
    verbose: bool | int = True,
) -> NATStopology | NATSsize:
    """Open a benchmark.

    Args:
        file_path_or_dict: official files (imported on first use), an imported archive, the
            content of an official single file, or None for the best figures on this machine.
        search_space: ``tss`` or ``topology``, ``sss`` or ``size``.
        fast_mode: count only architectures that were asked for as evaluated.
        verbose: print a line for each call.

    Raises:
        ValueError: for another search space, or files that are not its.
    """
    name = word(search_space, "search space", (*NATS_BENCH_TSS_NAMEs, *NATS_BENCH_SSS_NAMEs))
    if name in NATS_BENCH_TSS_NAMEs:
        return NATStopology(file_path_or_dict, fast_mode, verbose)
    return NATSsize(file_path_or_dict, fast_mode, verbose)


def search_space_info(main_tag: str, aux_tag: str | None) -> dict[str, Any]:
    """What a search decides about.

    Args:
        main_tag: ``nats-bench``, or ``nas-bench-201`` (with None).
        aux_tag: the search space, as for :func:`create`.

    Returns:
        ``op_names`` and ``num_nodes``, or ``candidates`` and ``num_layers``.

    Raises:
        ValueError: for other tags.
    """
    topology = {"op_names": list(OPERATIONS), "num_nodes": 4}
    if word(main_tag, "benchmark", ("nats-bench", "nas-bench-201")) == "nas-bench-201":
        if aux_tag is not None:
            raise InvalidInput(
                f"nas-bench-201 has one search space: pass None, not {shown(aux_tag)}"
            )
        return topology
    name = word(aux_tag, "search space", (*NATS_BENCH_TSS_NAMEs, *NATS_BENCH_SSS_NAMEs))
    if name in NATS_BENCH_TSS_NAMEs:
        return topology
    return {"candidates": list(WIDTHS), "num_layers": 5}
