"""Every argument of every public function is checked where it enters.

Each is given what nobody should give. It is refused by an exception of the project, in one line,
or taken because it makes sense: nothing else may come of it.
"""

from __future__ import annotations

import functools
import inspect
import pathlib
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from hostile import EVERYTHING, NOTHING, attack
from plain_agents import KINDS

from nats_gym import envs
from nats_gym.agents import get_agent
from nats_gym.agents.weight_sharing import get_method
from nats_gym.analysis import analyse
from nats_gym.errors import InvalidInput
from nats_gym.evaluators import CachedEvaluator, TableEvaluator, make_evaluator, registry
from nats_gym.protocol import search, search_arguments
from nats_gym.results.result import SearchResult
from nats_gym.simulation.clock import SimulatedClock
from nats_gym.spaces import get_space
from nats_gym.streams import RunStreams, run_keys
from nats_gym.study import Study, load_study, read_study, run_study, validate, write_report
from nats_gym.tables import load_table
from nats_gym.testing import check_agent, check_evaluator, check_vector_env

IDS = [
    *("NATS-TSS-cifar10-v0", "NATS-SSS-cifar10-Budgeted-v0", "NATS-TSS-cifar10-OneShot-v0"),
    *("NATS-SSS-cifar10-Edit-v0", "mo-NATS-TSS-cifar10-v0"),
]
SHARED = [
    *("epochs", "trial", "source", "reward", "penalty", "max_params", "max_flops", "max_latency"),
    *("limits", "evaluator", "report_test"),
]
OWN = {
    "NATS-SSS-cifar10-Budgeted-v0": [
        *("time_budget", "workers", "fidelity_action", "max_evaluations"),
    ],
    "NATS-SSS-cifar10-Edit-v0": ["time_budget", "horizon"],
    "mo-NATS-TSS-cifar10-v0": ["objectives"],
}

#: Arrays are for many runs at once.
SCALARS = [value for value in EVERYTHING if not isinstance(value, np.ndarray)]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("env_id", IDS)
def test_options_of_environments(env_id: str) -> None:
    for option in [*(SHARED if env_id == IDS[0] else ()), *OWN.get(env_id, ())]:
        attack(lambda value, option=option: gym.make(env_id, **{option: value}))  # type: ignore[misc]


def test_spaces_and_datasets_of_environments() -> None:
    for made in (envs.ConstructionEnv, envs.BudgetedEnv, envs.EditVectorEnv):
        attack(lambda value, made=made: made(space=value, dataset="cifar10"))  # type: ignore[misc]
        attack(lambda value, made=made: made(space="tss", dataset=value))  # type: ignore[misc]
    attack(lambda value: envs.OneShotEnv("tss", "cifar10", render_mode=value))
    attack(lambda value: envs.BudgetedEnv("tss", "cifar10", fidelity_action=True, epochs=value))
    attack(lambda value: envs.ConstructionEnv("tss", "cifar10", unknown=value))


@pytest.mark.parametrize("env_id", IDS)
def test_resets_and_actions(env_id: str) -> None:
    env: Any = gym.make(env_id).unwrapped
    attack(lambda value: env.reset(seed=value))
    attack(lambda value: env.reset(options=value))
    for option in ("trial", "start", "unknown"):
        attack(lambda value, option=option: env.reset(options={option: value}))  # type: ignore[misc]

    def act(value: Any) -> None:
        env.reset(seed=0)
        env.step(value)

    attack(act)


@pytest.mark.parametrize("env_id", IDS)
def test_vectors(env_id: str) -> None:
    make: Callable[..., Any] = gym.make_vec(env_id, num_envs=2).unwrapped.__class__
    options = {"space": "tss", "dataset": "cifar10"}
    attack(lambda value: make(num_envs=value, **options))
    attack(lambda value: make(num_envs=2, autoreset_mode=value, **options))
    attack(lambda value: make(num_envs=2, render_mode=value, **options))
    env = make(num_envs=2, **options)
    attack(lambda value: env.reset(seed=value))
    attack(lambda value: env.reset(seed=[value, 1]))
    attack(lambda value: env.reset(options=value))
    for option in ("trial", "start", "reset_mask", "unknown"):
        attack(lambda value, option=option: env.reset(options={option: value}))  # type: ignore[misc]
    env.reset(seed=0)
    attack(lambda value: env.step(value), None, ResetNeeded)
    attack(lambda value: env.step([value, 0]), None, ResetNeeded)


def test_what_environments_are_asked() -> None:
    env: Any = gym.make("mo-NATS-TSS-cifar10-v0").unwrapped
    for ask in (env.encode, env.decode, env.regret, env.rank, env.optimum, env.figure):
        attack(ask)
    attack(lambda value: env.regret(0, value))
    attack(env.pareto_front)
    attack(env.hypervolume)
    attack(lambda value: env.hypervolume([[0.5, -0.5]], value))


def test_wrappers() -> None:
    for wrapper in (
        *(envs.DictObservation, envs.MultiDiscreteObservation, envs.GraphObservation),
        *(envs.DictVectorObservation, envs.MultiDiscreteVectorObservation),
    ):
        assert attack(wrapper) == 0


def test_sb3() -> None:
    sb3 = pytest.importorskip("nats_gym.envs.sb3")
    assert attack(sb3.SB3VecEnv) == 0
    assert attack(sb3.make_sb3) == 0
    attack(lambda value: sb3.make_sb3(IDS[0], num_envs=value))
    attack(lambda value: sb3.make_sb3(IDS[0], num_envs=2, seed=value))


def test_a_masked_start_is_none() -> None:
    env = gym.make("NATS-TSS-cifar10-v0")
    with pytest.raises(InvalidInput, match=r"^a start is a list of fewer than 6 choices"):
        env.reset(options={"start": np.ma.masked})


SEARCH = [
    *("space", "dataset", "agent", "epochs", "budget", "runs", "seed", "source", "trial"),
    *("options", "rungs", "workers", "continuing", "first_run", "supernet_epochs"),
]


@pytest.mark.one_in(4)
@pytest.mark.parametrize("agent", ["random", "asha", "gdas"])
def test_what_a_search_is_called_with(agent: str) -> None:
    given = {"space": "tss", "dataset": "cifar10", "agent": agent}
    for name in SEARCH:
        attack(lambda value, name=name: search_arguments(**{**given, name: value}))  # type: ignore[misc]


def test_a_search_itself() -> None:
    for name in ("budget", "epochs", "seed", "trial", "checkpoints"):
        given = {"space": "tss", "dataset": "cifar10", "agent": "random", "budget": 9.0}
        attack(lambda value, given=given, name=name: search(**{**given, name: value}))  # type: ignore[misc]
    for progress in ("", 0, True, np.zeros(2)):
        with pytest.raises(InvalidInput, match=r"^progress is a function, or None, got"):
            search("tss", "cifar10", progress=progress)  # type: ignore[arg-type]


#: What a search tells agents, or makes of their options.
TOLD = ("space", "streams", "rungs", "among", "guide", "prior", "objectives")


@pytest.mark.one_in(5)
@pytest.mark.parametrize("agent", [name for name in KINDS if KINDS[name] != "weight-sharing"])
def test_options_of_agents(agent: str) -> None:
    given = {"space": "tss", "dataset": "cifar10", "agent": agent}
    options = [name for name in inspect.signature(get_agent(agent)).parameters if name not in TOLD]
    for option in options:
        attack(lambda value, option=option: search_arguments(**given, options={option: value}))  # type: ignore[misc]
    several = {"rungs": 2} if KINDS[agent] == "multi-fidelity" else {}
    learns = KINDS[agent] == "environment"
    made_with = () if learns else (get_space("tss"), RunStreams(run_keys([0])))
    for option in [*options, *several]:
        made = {**several, option: None}
        attack(lambda value, made=made: get_agent(agent)(*made_with, **{**made, option: value}))  # type: ignore[misc]  # noqa: B023


@pytest.mark.one_in(5)
@pytest.mark.parametrize("method", ["gdas", "enas", "rsps", "tas"])
def test_weight_sharing_searches(method: str) -> None:
    check = pytest.importorskip(
        "nats_gym.agents.weight_sharing.supernet_search"
    ).SupernetSearch.check
    own = {
        "gdas": ["tau_first"],
        "enas": ["controller_steps", "candidates"],
        "rsps": ["candidates"],
        "tas": ["warmup"],
    }
    options: list[str] = []
    if method == "gdas":
        options = ["among", "settings", "network"]
        attack(lambda value: check(value, "digits"))
        attack(lambda value: check(method, value))
        attack(lambda value: check(method, "digits", unknown=value))
        options += ["epochs", "seed", "device", "batch_size", "budget", "amp", "channels_last"]
        options += ["compile", "data_dir", "checkpoint"]
    for option in options:
        attack(lambda value, option=option: check(method, "digits", **{option: value}))  # type: ignore[misc]
    of_its_own: Any = get_method(method)
    supernet = of_its_own.supernet_class(10)
    for setting in own[method]:
        attack(lambda value, setting=setting: of_its_own(supernet, **{setting: value}))  # type: ignore[misc]


TRAINED = [
    *("device", "recipe", "network", "trials", "workers", "threads", "split", "data_dir"),
    *("download", "time_limit", "timeout", "retries", "together"),
]


def test_live_training() -> None:
    training = pytest.importorskip("nats_gym.evaluators.training")
    made = functools.partial(training.TrainingEvaluator, space="tss", dataset="digits")
    for name in ("space", "dataset", *TRAINED):
        attack(lambda value, name=name: made(**{name: value}))  # type: ignore[misc]
    for name in training.Recipe.__dataclass_fields__:
        attack(lambda value, name=name: training.Recipe(**{name: value}))  # type: ignore[misc]
    attack(training.Recipe.from_json)
    for name in ("cells_per_stage", "stem_width"):
        attack(lambda value, name=name: made(network={name: value}))  # type: ignore[misc]
    evaluator = made()
    attack(lambda value: [*evaluator.stream(value, 1, np.zeros(1, np.uint64))], EVERYTHING)
    attack(lambda value: [*evaluator.stream(np.zeros(1, int), value, np.zeros(0, np.uint64))])


def test_an_endless_schedule_is_refused() -> None:
    for epochs in (10**30, 10_001, "1/10001", 10**5000):
        with pytest.raises(InvalidInput, match=r"^epochs is an integer from 1 to 10,000, or"):
            gym.make("NATS-TSS-digits-v0", epochs=epochs)


def test_evaluators_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda **_: ())  # it takes its time
    attack(lambda value: make_evaluator(value, "tss", "digits"))
    attack(lambda value: make_evaluator("train", value, "digits"))
    attack(lambda value: make_evaluator("train", "tss", value))
    attack(lambda value: make_evaluator({"name": value}, "tss", "digits"))
    for name in (*TRAINED[:6], "share_isomorphic", "unknown"):
        attack(lambda value, name=name: make_evaluator("train", "tss", "digits", **{name: value}))  # type: ignore[misc]
    for name in ("num_cpus", "num_gpus", "max_retries", "timeout", "address"):
        attack(lambda value, name=name: make_evaluator("ray", "tss", "digits", **{name: value}))  # type: ignore[misc]


def test_caches(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    attack(lambda value: make_evaluator("train", "tss", "digits", cache=value))
    attack(lambda value: CachedEvaluator(value, "tss"))


def test_a_training(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = pytest.importorskip("nats_gym.training.trainer")
    import torch

    from nats_gym.networks import build
    from nats_gym.training.data import ImageData, load_data

    attack(load_data)
    attack(trainer.choose_device)
    attack(lambda value: trainer.seeded(lambda: torch.nn.Linear(1, 1), value))
    attack(lambda value: load_data("digits", value))
    attack(lambda value: load_data("digits", device=value))
    attack(lambda value: load_data("digits", download=value))
    for name in ("space", "architecture", "num_classes", "cells_per_stage", "stem_width"):
        given = {"space": "tss", "architecture": 0, "num_classes": 2}
        attack(lambda value, given=given, name=name: build(**{**given, name: value}))  # type: ignore[misc]
    black, row = torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)
    splits = {"train": row, "x-valid": row}
    data = ImageData("own", 2, black, row.repeat(2), splits, (0.5,) * 3, (0.5,) * 3, 0)
    network = build("tss", 0, 2)
    names = ("network", "data", "recipe", "seed", "device", "evaluate_on", "evaluate", "epochs")
    for name in (*names, "time_limit", "label"):
        given = {"network": network, "data": data, "recipe": trainer.Recipe(epochs=1)}
        attack(lambda value, given=given, name=name: trainer.train(**{**given, name: value}))  # type: ignore[misc]
    given = {"data": data, "recipe": trainer.Recipe(epochs=1), "seeds": [0]}
    attack(lambda value: trainer.train_together(value, **{**given, "seeds": []}))
    for name in ("seeds", "labels", "checkpoints"):
        for many in (False, True):  # in place of the list, and within it

            def together(value: Any, name: str = name, many: bool = many) -> Any:
                return trainer.train_together(
                    [network], **{**given, name: [value] if many else value}
                )

            attack(together)


def test_pools_of_processes() -> None:
    pool = pytest.importorskip("nats_gym.processes.pool")
    for name in ("workers", "threads", "retries"):
        attack(lambda value, name=name: pool.Pool("os:getpid", **{name: value}).close(), NOTHING)  # type: ignore[misc]
    attack(lambda value: pool.Pool(value).close(), NOTHING)
    batched = pytest.importorskip("nats_gym.training.batched")
    attack(lambda value: batched.TrainingPool("tss", value))


def test_tables_and_spaces() -> None:
    for name in ("space", "dataset", "source"):
        given = {"space": "tss", "dataset": "cifar10", "source": "embedded"}
        attack(lambda value, given=given, name=name: load_table(**{**given, name: value}))  # type: ignore[misc]
    table, rng = load_table("tss", "cifar10", "embedded"), np.random.default_rng(0)
    for ask in (table.accuracy, table.mean_accuracy, table.query_seconds):
        attack(ask)
    space: Any = get_space("tss")
    names = ("index", "choices", "rank", "string", "parse", "neighbors", "resolve", "is_live")
    for name in (*names, "unique_string", "isomorphism_class", "check_one_index"):
        attack(getattr(space, name))
    attack(lambda value: space.params(value, "cifar10"))
    attack(lambda value: space.flops([0] * 6, value))
    attack(lambda value: space.sample(rng, value))
    attack(lambda value: space.sample(value))
    attack(lambda value: space.mutate([0] * 6, value))


def test_clocks() -> None:
    attack(SimulatedClock)
    attack(lambda value: SimulatedClock(1.0, value))
    attack(lambda value: SimulatedClock(1.0).charge(value), SCALARS)
    attack(lambda value: SimulatedClock(1.0).advance(value), SCALARS)


def test_studies(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    whole = {
        "agents": {"random": {}},
        "searches": [{"space": "tss", "datasets": ["cifar10"], "epochs": 12}],
    }
    attack(Study.of)
    for name in ("agents", "searches", "runs", "seed", "source", "trial", "name", "unknown"):
        attack(lambda value, name=name: Study.of({**whole, name: value}))  # type: ignore[misc]
    attack(lambda value: Study.of({**whole, "agents": {"random": value}}))
    for name in ("space", "datasets", "dataset", "epochs", "budget", "unknown"):
        search = whole["searches"][0]  # type: ignore[index]
        attack(lambda v, s=search, name=name: Study.of({**whole, "searches": [{**s, name: v}]}))  # type: ignore[misc]
    for name in ("agent", "options", "spaces", "rungs", "workers", "runs"):
        attack(lambda v, name=name: Study.of({**whole, "agents": {"random": {name: v}}}))  # type: ignore[misc]
    for read in (read_study, load_study, write_report, SearchResult.load):
        attack(read)
    attack(lambda value: [*validate(value)])
    attack(lambda value: run_study(value, "out"))
    attack(lambda value: run_study(Study.of(whole), "out", value), NOTHING)


def test_analyses() -> None:
    pytest.importorskip("scipy")
    for name in ("space", "dataset", "source", "samples", "seed"):
        given: dict[str, Any] = {"space": "tss", "dataset": "digits", "source": "embedded"}
        attack(lambda v, given=given, name=name: analyse(**{**given, "epochs": 3, name: v}))  # type: ignore[misc]


def test_what_checks_others() -> None:
    attack(check_evaluator)
    for name in ("space", "dataset", "epochs", "index"):
        evaluator = TableEvaluator(load_table("tss", "cifar10", "embedded"))
        attack(lambda v, e=evaluator, name=name: check_evaluator(e, **{name: v}))  # type: ignore[misc]
    attack(check_agent)
    for name in ("space", "dataset", "options", "source", "evaluations"):
        attack(lambda v, name=name: check_agent("random", **{"evaluations": 2, name: v}))  # type: ignore[misc]
    env = gym.make_vec(IDS[0], num_envs=1)
    attack(lambda value: check_vector_env(value, env))
    attack(lambda value: check_vector_env(env, env, steps=value))
