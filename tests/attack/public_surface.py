"""What is public, found by looking: every ``__all__``, and what is said of arguments by name.

A function that is new is called without a word being written here, as long as its arguments have
names that others have; ``plausible`` says for what it found none.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import re
import tempfile
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

import nats_gym

ROOT = Path(nats_gym.__file__).parent
#: Packages whose folders lie beside ``nats_gym`` in a checkout.
FOLDERS = {"nats_gym": ROOT, "nats_gym.envs": ROOT.parent / "envs"} | {
    "nats_gym.agents": ROOT.parent / "agents"
}
#: Old names of modules, which warn.
MOVED = ("nats_gym.tables.home",)
#: Public modules that have no ``__all__``: documents name them.
DOCUMENTED = (
    *("nats_gym.envs.pareto", "nats_gym.results.plots", "nats_gym.results.result"),
    *("nats_gym.results.summary", "nats_gym.rewards"),
    "nats_gym.study.statistics",
    *("nats_gym.training.batched", "nats_gym.training.data", "nats_gym.training.recipe"),
    *("nats_gym.training.final", "nats_gym.training.trainer"),
    "nats_gym.agents.weight_sharing.supernet_search",
)


class Target(NamedTuple):
    """A public function, class or method.

    Attributes:
        name: dotted, without ``nats_gym.``.
        function: what is called; of a method, the unbound function.
        owner: the class of a method, else None.
    """

    name: str
    function: Callable[..., Any]
    owner: type | None


@functools.cache
def modules() -> tuple[str, ...]:
    """Names of all modules of the package."""
    found = []
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            if parts[-1] == "__init__":
                parts.pop()
            name = ".".join(parts)
            # The last imports Triton, which is there on GPUs.
            if parts[-1] not in ("__main__", "fused_kernels") and name not in MOVED:
                found.append(name)
    return tuple(found)


@functools.cache
def targets(*prefixes: str) -> tuple[Target, ...]:
    """Every public function, class and method of the modules that begin with a prefix."""
    found: dict[Any, Target] = {}
    for name in modules():
        short = name.removeprefix("nats_gym").removeprefix(".")
        if prefixes and not any(short == one or short.startswith(f"{one}.") for one in prefixes):
            continue
        module = importlib.import_module(name)
        public = getattr(module, "__all__", None)
        if public is None and name in DOCUMENTED:
            public = [own for own in vars(module) if not own.startswith("_")]
        for own in public or ():
            value = getattr(module, own)
            home = getattr(value, "__module__", "")
            if not home.startswith("nats_gym") or (name in DOCUMENTED and home != name):
                continue
            for target in _targets_of(f"{short}.{own}".lstrip("."), value):
                found.setdefault(target.function, target)
    return tuple(found.values())


def _targets_of(name: str, value: Any) -> Iterator[Target]:
    if isinstance(value, FunctionType) or hasattr(value, "cache_info"):
        yield Target(name, value, None)
    elif isinstance(value, type) and not issubclass(value, BaseException):
        if getattr(value, "_is_protocol", False):
            return  # a shape, for others to fill
        if not _is_record(value) and not inspect.isabstract(value):
            yield Target(name, value, None)
        for own, method in vars(value).items():
            if own.startswith("_") or getattr(method, "__isabstractmethod__", False):
                continue
            if isinstance(method, (classmethod, staticmethod)):
                yield Target(f"{name}.{own}", getattr(value, own), None)
            elif isinstance(method, FunctionType):
                yield Target(f"{name}.{own}", method, value)


def _is_record(value: type) -> bool:
    """Whether a class only holds what a function of ours returns, and checks none of it."""
    plain = issubclass(value, tuple) or dataclasses.is_dataclass(value)
    return plain and not hasattr(value, "__post_init__")


def annotations(function: Callable[..., Any]) -> dict[str, str]:
    """The annotation of each parameter, as written; options that are gathered left out."""
    signature = inspect.signature(function)
    kept = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {
        name: _written(parameter.annotation)
        for name, parameter in signature.parameters.items()
        if parameter.kind not in kept and name != "self" and not name.startswith("_")
    }


def _written(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    if typing.get_origin(annotation) is typing.ForwardRef or isinstance(
        annotation, typing.ForwardRef
    ):
        return annotation.__forward_arg__
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")


def required(function: Callable[..., Any]) -> list[str]:
    """Parameters without a default."""
    return [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        and name != "self"
    ]


# ── plausible arguments, by the names of parameters ──────────────────────────────────────────


@functools.cache
def result() -> Any:
    """A small search."""
    return nats_gym.search("tss", "cifar10", "random", budget=30_000, runs=2)


@functools.cache
def partial_result() -> Any:
    """Another agent's, of the same task."""
    return nats_gym.search("tss", "cifar10", "rea", budget=30_000, runs=2)


def _analysis() -> Any:
    from nats_gym.analysis import analyse

    return analyse("tss", "cifar10", samples=2)


def _table() -> Any:
    return nats_gym.load_table("tss", "cifar10")


def _evaluator() -> Any:
    from nats_gym.evaluators import TableEvaluator

    return TableEvaluator(_table())


def _recipe() -> Any:
    from nats_gym.training.recipe import Recipe

    return Recipe(epochs=1)


def _plan() -> Any:
    from nats_gym.building import Plan

    return Plan.of("tss", "digits", 1)


def _env() -> Any:
    from nats_gym.envs import ConstructionEnv

    return ConstructionEnv("tss", "cifar10")


def _vector(native: bool = True) -> Any:
    import gymnasium as gym

    mode = "vector_entry_point" if native else "sync"
    return gym.make_vec("NATS-TSS-cifar10-v0", num_envs=2, vectorization_mode=mode)


def _tasks() -> Any:
    from nats_gym.tasks import make_tasks

    return make_tasks("tss").train


def _streams() -> Any:
    from nats_gym.streams import RunStreams, run_keys

    return RunStreams(run_keys([0, 1]))


def _data() -> Any:
    from nats_gym.training.data import load_data

    return load_data("digits")


SCORES = np.array([[0.5, 0.7], [0.6, 0.9], [0.4, 0.8]])
#: Each made anew, by the name of a parameter, or of a method's class and a parameter.
PLAUSIBLE: dict[str, Callable[[], Any]] = {
    "space": lambda: "tss",
    "dataset": lambda: "cifar10",
    "name": lambda: "cifar10",
    "search_space": lambda: "tss",
    "agent": lambda: "random",
    "epochs": lambda: 200,
    "index": lambda: 7,
    "arch_index": lambda: 7,
    "architecture": lambda: 7,
    "digits": lambda: [0, 1, 2, 3, 4, 0],
    "string": lambda: nats_gym.get_space("tss").name_of(7),
    "arch": lambda: 7,
    "arch_str": lambda: nats_gym.get_space("tss").name_of(7),
    "seed": lambda: 0,
    "seeds": lambda: [0, 1],
    "runs": lambda: 2,
    "workers": lambda: 1,
    "budget": lambda: 30_000.0,
    "split": lambda: "valid",
    "table": _table,
    "evaluator": _evaluator,
    "given": lambda: {"name": "train"},
    "result": result,
    "results": lambda: [result(), partial_result()],
    "parts": lambda: [result(), result()],
    "tasks": lambda: [{"random": result(), "rea": partial_result()}],
    "analysis": functools.cache(_analysis),
    "plan": _plan,
    "recipe": _recipe,
    "env": _env,
    "venv": _vector,
    "native": _vector,
    "looped": lambda: _vector(False),
    "env_id": lambda: "NATS-TSS-cifar10-v0",
    "rng": lambda: np.random.default_rng(0),
    "streams": _streams,
    "data": functools.cache(_data),
    "key": lambda: 1,
    "word": lambda: 2,
    "keys": lambda: np.array([1, 2], np.uint64),
    "trial_keys": lambda: np.array([1], np.uint64),
    "count": lambda: 3,
    "reward": lambda: "accuracy",
    "accuracies": lambda: lambda: np.linspace(0, 100, 15_625),
    "arrays": lambda: False,
    "threshold": lambda: 94.0,
    "evaluation": lambda: _evaluation(),
    "accuracy": lambda: np.linspace(0.0, 100.0, 15_625),
    "points": lambda: [[1.0, 2.0], [2.0, 1.0]],
    "reference": lambda: [0.0, 0.0],
    "scores": lambda: SCORES,
    "x": lambda: SCORES,
    "y": lambda: SCORES + 0.1,
    "thresholds": lambda: [0.1, 0.5],
    "target": lambda: 1.0,
    "regret": lambda: np.array([[3.0, 1.0], [2.0, 0.5]]),
    "values": lambda: np.array([[3.0, 1.0], [2.0, 0.5]]),
    "clock": lambda: np.array([[1.0, 2.0], [1.5, 3.0]]),
    "times": lambda: np.array([10.0, 1e4]),
    "start": lambda: 1.0,
    "end": lambda: 3.0,
    "path": lambda: "written.png",
    "folder": lambda: "made",
    "out": lambda: "made",
    "text": lambda: "0-3,7",
    "first": lambda: np.arange(10.0),
    "second": lambda: np.arange(10.0)[::-1].copy(),
    "baseline": lambda: "random",
    "title": lambda: "title",
    "labels": lambda: ["random", "rea"],
    "label": lambda: "random",
    "full": lambda: 200,
    "spec": lambda: {
        "runs": 1,
        "searches": [{"space": "tss", "dataset": "cifar10", "budget": 9_000.0}],
        "agents": {"random": {}},
    },
    "hp": lambda: "200",
    "setname": lambda: "train",
    "source": lambda: "auto",
    "trial": lambda: "random",
    "trials": lambda: np.array([0]),
    "trial_key": lambda: 1,
    "content": lambda: _plan().to_json(),
    "quantity": lambda: "accuracy",
    "num_classes": lambda: 10,
    "method": lambda: "gdas",
    "num_envs": lambda: 2,
    "batch": lambda: 1,
    "observation": lambda: _env().reset(seed=0)[0],
    "neighbors": lambda: _neighbors(),
    "targets": lambda: np.arange(15_625) == 7,
    "steps": lambda: 3,
    "xlist": lambda: [1.0, 2.0],
    "main_tag": lambda: "nats-bench",
    "aux_tag": lambda: "tss",
    "file_path": lambda: "file",
    "file_path_or_dict": lambda: None,
    "obj": lambda: {"a": 1},
    "metric_on_set": lambda: "valid",
    "kind": lambda: "space",
    "value": lambda: 1,
    "allowed": lambda: ["a", "b"],
    "dataset_name": lambda: "cifar10",
    "iepoch": lambda: 11,
    "which": lambda: np.array([0, 1]),
    "finish": lambda: np.array([1.0, 2.0]),
    "train": lambda: _tasks(),
    "policy": lambda: "ppo",
    "size": lambda: (2, 3),
    "shape": lambda: (2,),
    "seconds": lambda: 1.0,
    "time": lambda: 5.0,
    "positions": lambda: 6,
    "group": lambda: _groups()[0],
    "others": lambda: _groups(),
    "figure": lambda: _figure(),
    "factory": lambda: "nats_gym.processes.pool:main",
    "network": lambda: {"cells_per_stage": 1},
    "similar": lambda: 0.1,
    "verdicts": list,
    "column": lambda: _table().columns[0],
    "study": lambda: _study(),
    "settings": lambda: None,
    "info": dict,
    "outcome": lambda: _evaluator().evaluate(np.array([7]), 200, np.array([1], np.uint64)),
}


def _evaluation() -> Any:
    from nats_gym.rewards import Evaluation

    return Evaluation(50.0, 40.0, 30.0, 0.0, True)


@functools.cache
def _neighbors() -> Any:
    from nats_gym.analysis.landscape import neighbor_indices

    return neighbor_indices(nats_gym.get_space("tss"))


def _groups() -> Any:
    from nats_gym.study.results import Group

    return [Group("tss", "cifar10", 200, 30_000.0), Group("sss", "cifar10", 90, 30_000.0)]


def _figure() -> Any:
    from matplotlib.figure import Figure

    return Figure()


def _study() -> Any:
    from nats_gym.study import Study

    return Study.of(PLAUSIBLE["spec"]())


def plausible(target: Target, own: dict[str, Callable[[], Any]] | None = None) -> dict[str, Any]:
    """Arguments of a target that have no default, each of the kind that its name asks for.

    Args:
        target: a public function.
        own: by parameter, what is another kind of thing for this one.

    Raises:
        LookupError: names the parameters that nothing is known of.
    """
    makers = {**PLAUSIBLE, **(own or {})}
    wanted = [*required(target.function), *(name for name in own or {})]
    unknown = [name for name in wanted if name not in makers]
    if unknown:
        raise LookupError(f"{target.name}: nothing plausible for {', '.join(unknown)}")
    return {name: makers[name]() for name in dict.fromkeys(wanted)}


def _api() -> Any:
    from nats_gym.nats_bench import NATStopology

    return NATStopology(None, True, False)


def _cell() -> Any:
    from nats_gym.nasbench.api import ModelSpec

    return ModelSpec([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", "maxpool3x3", "output"])


def _cells() -> Any:
    from nats_gym.nasbench.api import NASBench

    return NASBench("embedded")


@functools.cache
def _archive() -> Any:
    """The import of a small archive, under the home that tests have."""
    from synthetic_archive import SHORT, write_archive

    from nats_gym.tables.official import import_archive

    with tempfile.TemporaryDirectory(prefix="nats-gym-attack-") as folder:
        path = write_archive(Path(folder), "tss", range(3), schedules=SHORT["tss"])
        return import_archive(path, "tss")


def _wrap(name: str) -> Any:
    import nats_gym.envs

    return getattr(nats_gym.envs, name)(_vector())


#: What methods are called on, by the name of their class, where its own arguments make none.
INSTANCES: dict[str, Callable[[], Any]] = {
    "DictVectorObservation": lambda: _wrap("DictVectorObservation"),
    "MultiDiscreteVectorObservation": lambda: _wrap("MultiDiscreteVectorObservation"),
    "ArchitectureSpace": lambda: nats_gym.get_space("tss"),
    "SearchResult": result,
    "Table": _table,
    "Analysis": lambda: PLAUSIBLE["analysis"](),
    "Plan": _plan,
    "NASBenchMetaAPI": _api,
    "NATStopology": _api,
    "ModelSpec": _cell,
    "NASBench": _cells,
    "OfficialArchive": lambda: _archive(),
    "Column": lambda: _table().columns[0],
    "Study": _study,
}


def instance(owner: type) -> Any:
    """An instance of a public class."""
    if owner.__name__ in INSTANCES:
        return INSTANCES[owner.__name__]()
    return owner(**plausible(Target(owner.__name__, owner, None)))


def short_name(name: str) -> str:
    """A name as a test's id."""
    return re.sub(r"[^\w.]+", "-", name)
