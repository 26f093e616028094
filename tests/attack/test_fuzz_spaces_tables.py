"""Whatever spaces, tables, the nats_bench API and statistics are asked, they answer or refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hostile_values import FEW, HOSTILE
from judging import alone, faults_of
from public_surface import SCORES, Target, targets

from nats_gym.tables import embedded_folder

#: Every test here runs so.
__all__ = ["alone"]

#: Faults that are known, as (function, parameter): to become empty.
KNOWN: frozenset[tuple[str, str]] = frozenset(
    {("nats_bench", "*"), ("analysis", "*"), ("tables", "*"), ("load_table", "*")}
)
#: What is not called here, and why.
LEFT_OUT = {
    "tables.Column.from_json": "read from manifests, which are checked as files",
    "tables.official.Runs": "made by archives",
    "nats_bench.api_utils": "what is not a method of NATStopology is for others to build on",
    "spaces.ArchitectureSpace.index_of": "the scalar environments' own, of what is checked",
    "spaces.ArchitectureSpace.name_of": "likewise",
    "tables.official.import_archive": "attacked with files, not with arguments alone",
    "nats_bench.ArchResults": "records of the public package, which raise what it raises",
    "nats_bench.ResultsCount": "likewise",
}
#: What takes long once it is called: only what must be refused is tried.
LONG = (
    *("analysis.Analysis.save", "analysis.analyse"),
    *(f"study.statistics.{of}_interval" for of in ("mean", "iqm", "profile", "improvement")),
)
EMBEDDED = embedded_folder("tss", "cifar10")
LABELLED = {name: SCORES[:, 0] + 0.1 * i for i, name in enumerate("abc")}
#: Arguments of a function that are not what others of the name are.
OWN: dict[str, dict[str, Callable[[], Any]]] = {
    **{
        f"spaces.SizeSpace.{method}": {"digits": lambda: [0, 1, 2, 3, 7]}
        for method in ("widths", "mutate", "params", "flops")
    },
    "spaces.get_space": {"name": lambda: "tss"},
    "get_space": {"name": lambda: "tss"},
    "tables.Table": {"folder": lambda: EMBEDDED, "source": lambda: "embedded"},
    "tables.official.OfficialArchive": {"folder": lambda: EMBEDDED},
    "nats_bench.NATStopology.str2matrix": {
        "search_space": lambda: ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"]
    },
    "nats_bench.api_utils.remap_dataset_set_names": {"dataset": lambda: "cifar10-valid"},
    "nats_bench.search_space_info": {"main_tag": lambda: "nats-bench"},
    "study.statistics.average_ranks": {"scores": lambda: LABELLED},
    "study.statistics.friedman_nemenyi": {"scores": lambda: LABELLED},
    "study.statistics.nemenyi_p_values": {"scores": lambda: LABELLED},
}
TARGETS = [
    target
    for target in targets(
        *("spaces", "tables", "nats_bench", "pareto", "analysis", "study.statistics")
    )
    if not any(target.name.startswith(name) for name in LEFT_OUT)
    or target.name.startswith("nats_bench.api_utils.NASBenchMetaAPI.")
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_functions_refuse_a_few_hostile_arguments(target: Target) -> None:
    assert not faults(target, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_functions_refuse_hostile_arguments(target: Target) -> None:
    assert not faults(target, tuple(HOSTILE))


def faults(target: Target, values: tuple[str, ...]) -> list[str]:
    return faults_of(target, values, OWN.get(target.name), KNOWN, refused=target.name in LONG)
