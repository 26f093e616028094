"""Whatever public functions are given, they answer or refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hostile_values import FEW, HOSTILE
from judging import alone, faults_of
from public_surface import SCORES, Target, targets

from nats_gym.agents import find_agent
from nats_gym.registration import FAMILIES, TASK_FAMILIES
from nats_gym.tables import embedded_folder

#: Every test here runs so.
__all__ = ["alone"]
#: What is said on purpose; numpy's are no such warnings.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

#: What is not called here, and why: all of a module or class; ending in a star, itself alone.
LEFT_OUT: dict[str, str] = {
    "tables.Column.from_json": "read from manifests, which are checked as files",
    "tables.official.Runs": "made by archives",
    "tables.official.import_archive": "attacked with files, not with arguments alone",
    **{
        f"spaces.{space}.{method}": "the environments' own, of what is checked"
        for space in ("ArchitectureSpace", "NASBench101Space")
        for method in ("index_of", "rank_of", "index_at", "rank_at", "name_of", "names_of")
    },
    **{
        f"spaces.ArchitectureSpace.{method}": "a space's own to say, of rows that are checked"
        for method in ("is_valid", "canonical")
    },
    **{
        f"spaces.ArchitectureSpace.{method}": "an old name, which warns"
        for method in ("digits", "all_digits", "check_digits")
    },
    "spaces.Figure.shares": "takes nothing but the figure",
    "spaces.DenseSpace": "what two spaces have in common, no space itself",
    "nats_bench.ArchResults": "records of the public package, which raise what it raises",
    "nats_bench.ResultsCount": "likewise",
    "nats_bench.api_utils.NASBenchMetaAPI*": "what its two spaces have in common, no API itself",
    "nats_bench.api_utils.nats_is_": "any text may be asked for, and nothing be there",
    **{
        f"envs.{name}": "attacked by its options, with the environments"
        for pair in {**FAMILIES, **TASK_FAMILIES}.values()
        for name in pair
    },
    "envs.SB3VecEnv": "its methods are Stable-Baselines3's, and raise what those do",
    "envs.rendering": "drawn through environments",
    "agents.ppo.BudgetCallback": "called by Stable-Baselines3",
    "agents.weight_sharing": "attacked with the trainings",
    "study.figures.styles_for": "called by the figures",
    "results.result.kind_of_time": "called by what checks, of what is checked",
    "study.StudyResults": "a record of what was read",
    "agents.controller.ControllerAgent": "made of a folder that was read, and asked by a search",
    "agents.controller.Controller.make_env": "of a controller that was read",
    "tasks.TaskSampler": "the environments' own, of copies that they have",
    "protocol.FromTable": "what a search asks, of arguments that it has checked",
}
#: What takes long once it is called: only what must be refused is tried.
LONG = (
    *(
        "analysis.Analysis.save",
        "analysis.analyse",
        "testing.check_vector_env",
        "testing.check_agent",
    ),
    *(f"study.statistics.{of}_interval" for of in ("mean", "iqm", "profile", "improvement")),
    *("study.run_study", "study.write_report", "protocol.search*", "measuring.measure_latency"),
    *("study.figures", "study.rank_diagram", "results.plots.plot_"),
)
SMALL = {"agent": lambda: "random", "budget": lambda: 9_000.0, "runs": lambda: 1}
EMBEDDED = embedded_folder("tss", "cifar10")
LABELLED = {name: SCORES[:, 0] + 0.1 * i for i, name in enumerate("abc")}
#: Arguments of a function that are not what others of the name are.
OWN: dict[str, dict[str, Callable[[], Any]]] = {
    **{
        f"spaces.SizeSpace.{method}": {"choices": lambda: [0, 1, 2, 3, 7]}
        for method in ("widths", "mutate", "params", "flops")
    },
    "spaces.get_space": {"space": lambda: "tss"},
    "get_space": {"space": lambda: "tss"},
    "tables.Table": {"folder": lambda: EMBEDDED, "source": lambda: "embedded"},
    "tables.official.OfficialArchive": {"folder": lambda: EMBEDDED},
    "tables.official.open_archive": {"folder": lambda: EMBEDDED},
    "nats_bench.NATStopology.str2matrix": {
        "search_space": lambda: ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"]
    },
    "nats_bench.api_utils.remap_dataset_set_names": {"dataset": lambda: "cifar10-valid"},
    "nasbench.api.NASBench.get_metrics_from_hash": {
        "module_hash": lambda: "00005c142e6f48ac74fdcf73e3439874"
    },
    "nats_bench.search_space_info": {"main_tag": lambda: "nats-bench"},
    "study.statistics.average_ranks": {"scores": lambda: LABELLED},
    "study.statistics.friedman_nemenyi": {"scores": lambda: LABELLED},
    "study.statistics.nemenyi_p_values": {"scores": lambda: LABELLED},
    "protocol.search": SMALL,
    "protocol.search_arguments": SMALL,
    "testing.check_agent": {"agent": lambda: "random"},
    "agents.get_agent": {"name": lambda: "random"},
    **{
        f"agents.{name}": {"factory": lambda: find_agent("asha")[1]}
        for name in (
            "chooses_among",
            "continuing_of",
            "kind_of",
            "objectives_of",
            "results_for_model",
        )
    },
    "agents.plays_one_by_one": {"factory": lambda: find_agent("tpe")[1]},
    "study.read_study": {"path": lambda: "file"},
    "study.curves.anytime_regret": {"start": lambda: 5_000.0, "end": lambda: 30_000.0},
    "results.plots.plot_alphas": {"run": lambda: 0},
    "study.save_leaderboard": {"boards": dict, "rejected": list},
}


def named(target: Target, names: Iterable[str]) -> bool:
    """Whether a target, or what it is in, is among some names."""
    return any(
        target.name == name[:-1] if name.endswith("*") else target.name.startswith(name)
        for name in names
    )


TARGETS = [
    target
    for target in targets(
        *("spaces", "tables", "nats_bench", "nasbench", "analysis", "envs", "rewards", "testing"),
        *("agents", "protocol", "study", "results", "proxies", "measuring", "tasks"),
    )
    if not named(target, LEFT_OUT)
]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_functions_refuse_a_few_hostile_arguments(target: Target) -> None:
    assert not faults(target, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_functions_refuse_hostile_arguments(target: Target) -> None:
    assert not faults(target, tuple(HOSTILE))


def faults(target: Target, values: tuple[str, ...]) -> list[str]:
    return faults_of(target, values, OWN.get(target.name), refused=named(target, LONG))
