"""Whatever trainings, networks, builds and the evaluators that train are given, they run or refuse.

They train on eight images, so that what is accepted is trained too.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hostile_values
import numpy as np
import pytest
from hostile_values import FEW, HOSTILE
from hypothesis import given
from hypothesis import strategies as st
from judging import alone, attack, faults_of, profile, try_values
from public_surface import INSTANCES, Target, annotations, required, targets

import nats_gym
from nats_gym.agents.weight_sharing.supernet_search import SupernetSearch
from nats_gym.building import Plan
from nats_gym.building.trainings import TrainingStore
from nats_gym.evaluators import (
    Answer,
    CachedEvaluator,
    Outcome,
    ProxyEvaluator,
    RayEvaluator,
    TrainingEvaluator,
    make_evaluator,
)
from nats_gym.evaluators.factories import (
    make_proxy_evaluator,
    make_ray_evaluator,
    make_training_evaluator,
)
from nats_gym.networks import TrainedNetwork, build, save
from nats_gym.networks.card import Card
from nats_gym.networks.preprocessing import Preprocessing
from nats_gym.tables import embedded_folder
from nats_gym.training.architecture import train_architecture
from nats_gym.training.batched import TrainingPool
from nats_gym.training.data import ImageData, load_data
from nats_gym.training.recipe import Recipe
from nats_gym.training.record import COMPLETED, DIVERGED, TrainingFailed
from nats_gym.training.trainer import train

#: Every test here runs so.
__all__ = ["alone"]
pytestmark = pytest.mark.slow

#: Many of these build networks and train them: some values for all.
VALUES = tuple(dict.fromkeys((*FEW, *random.Random(0).sample(sorted(HOSTILE), 15))))
#: A network that is built and trained in no time.
SPACE, INDEX = "sss", 0


@functools.cache
def few_images() -> ImageData:
    """Choices, of whose splits each has eight images."""
    data = load_data("digits")
    return replace(data, splits={name: rows[:8] for name, rows in data.splits.items()})


def trainer(**options: Any) -> TrainingEvaluator:
    """Answers within milliseconds."""
    made = TrainingEvaluator(SPACE, "digits", **{"device": "cpu", **options})
    made._data = few_images()
    return made


def cached(path: str = "cache.sqlite") -> CachedEvaluator:
    return CachedEvaluator(trainer(), SPACE, path)


def scorer(**options: Any) -> ProxyEvaluator:
    return ProxyEvaluator(SPACE, "digits", **{"score": "snip", "batch": 4, **options})


def store() -> TrainingStore:
    return TrainingStore(Path("store"), Plan.of(SPACE, "digits", 1))


def network() -> Any:
    return build(SPACE, INDEX, 10)


def card() -> Card:
    classes = tuple(map(str, range(10)))
    preprocessing = Preprocessing(8, (0.3, 0.3, 0.3), (0.4, 0.4, 0.4))
    return Card(SPACE, nats_gym.get_space(SPACE).name_of(INDEX), INDEX, classes, preprocessing)


def saved() -> str:
    if not Path("trained").exists():
        save("trained", network(), card())
    return "trained"


#: What is not called here, and why.
LEFT_OUT = {
    "evaluators.RayEvaluator.evaluate": "starts Ray",
    "evaluators.RayEvaluator.stream": "likewise",
    "evaluators.TableEvaluator.evaluate_one": "the scalar environments' own, of what is checked",
    "networks.Network.forward": "torch's own, which raises what torch raises",
    "training.trainer.seeded": "calls what it is given, which raises what it likes",
    "training.batched.make_trainer": "what an interpreter of a pool runs",
    "agents.weight_sharing.supernet_search.SupernetSearch.run": "takes no arguments",
    "agents.weight_sharing.supernet_search.SupernetSearch.check": "by agents' options",
    "agents.weight_sharing.supernet_search.make_sgd": "called by methods",
}
#: What takes long once it is called: only what must be refused is tried.
LONG = (
    *("building.build", "building.export_official", "networks.export_onnx"),
    "training.final.train_final",
)
#: Functions that are called, and raise what they like.
CALLED = frozenset({("training.trainer.train", "progress")})
ONE = {
    "index": lambda: np.array([INDEX]),
    "trial_keys": lambda: np.array([1], np.uint64),
    "trials": lambda: np.array([1], np.uint64),
    "epochs": lambda: 1,
}
OWN: dict[str, dict[str, Callable[[], Any]]] = {
    "building.build": {
        "plan": lambda: Plan.of(SPACE, "digits", 1),
        "architectures": lambda: np.array([INDEX]),
    },
    "building.Plan.differences": {"other": lambda: Plan.of(SPACE, "digits", 1)},
    "building.check_export": {"plan": lambda: Plan.of(SPACE, "digits", 1)},
    "building.export_official": {"store": store},
    "building.fit_table": {"folder": lambda: embedded_folder("tss", "cifar10")},
    "building.parse_architectures": {"space": lambda: nats_gym.get_space(SPACE)},
    "evaluators.CachedEvaluator": {
        "evaluator": trainer,
        "space": lambda: SPACE,
        "path": lambda: "cache.sqlite",
    },
    "evaluators.RayEvaluator": {"evaluator": trainer},
    "evaluators.ProxyEvaluator": {"space": lambda: SPACE, "dataset": lambda: "digits"},
    "evaluators.TrainingEvaluator": {
        "space": lambda: SPACE,
        "dataset": lambda: "digits",
        "device": lambda: "cpu",
    },
    **{
        f"evaluators.{owner}.{method}": {name: ONE[name] for name in names}
        for owner in (
            *("CachedEvaluator", "TrainingEvaluator", "ProxyEvaluator", "RayEvaluator"),
            "TableEvaluator",
        )
        for method, names in {
            "evaluate": ("index", "epochs", "trial_keys"),
            "stream": ("index", "epochs", "trials"),
            "trials_of": ("index", "trial_keys"),
        }.items()
    },
    "evaluators.TableEvaluator.evaluate": {"index": ONE["index"], "trial_keys": ONE["trial_keys"]},
    "proxies.score_architectures": {
        "space": lambda: SPACE,
        "architectures": lambda: np.array([INDEX]),
        "scores": lambda: ["params"],
        "dataset": lambda: "digits",
        "batch": lambda: 4,
    },
    "proxies.score_network": {
        "network": network,
        "score": lambda: "snip",
        "images": lambda: few_images().images[:4].float(),
        "labels": lambda: few_images().labels[:4],
    },
    "proxies.find_score": {"given": lambda: "snip"},
    "proxies.register_score": {"name": lambda: "own", "function": lambda: len},
    "proxies.rank_mean": {"scores": lambda: {"a": [1.0, 2.0]}},
    "proxies.vote": {"scores": lambda: {"a": [1.0, 2.0]}},
    "proxies.shipped": {"score": lambda: "naswot"},
    "evaluators.collect": {
        "answers": lambda: [(0, Answer(50.0, 1.0))],
        "provenance": lambda: ("measured", "measured"),
    },
    "evaluators.make_evaluator": {"given": lambda: {"name": "train"}, "dataset": lambda: "digits"},
    "networks.TrainedNetwork": {"network": network, "card": card},
    "networks.TrainedNetwork.predict": {"pictures": lambda: [np.zeros((9, 7), np.uint8)]},
    "networks.export_onnx": {
        "trained": lambda: TrainedNetwork(network(), card()),
        "path": lambda: "net.onnx",
    },
    "networks.save": {"folder": lambda: "net", "network": network, "card": card},
    "networks.load": {"folder": saved},
    "networks.Network": {
        "digits": lambda: [0, 1, 2, 3, 4, 0],
        "widths": lambda: [8, 8, 16, 16, 32],
        "cells_per_stage": lambda: 1,
    },
    "training.batched.TrainingPool": {"space": lambda: SPACE, "data": few_images},
    "training.batched.TrainingPool.train": {
        "index": ONE["index"],
        "seeds": lambda: [0],
    },
    "training.data.ImageData": {
        name: lambda name=name: getattr(few_images(), name)
        for name in ("images", "labels", "splits", "mean", "std", "crop_padding")
    },
    "training.data.ImageData.to": {"device": lambda: "cpu"},
    "training.data.load_data": {"key": lambda: "digits"},
    "training.data.require_data": {"key": lambda: "digits", "data_dir": lambda: "folder"},
    "training.data.data_folder": {"data_dir": lambda: "folder"},
    "training.data.split_source": {"key": lambda: "cifar100", "data_dir": lambda: "folder"},
    "training.final.train_final": {
        "space": lambda: SPACE,
        "architecture": lambda: INDEX,
        "dataset": lambda: "digits",
        "folder": lambda: "final",
    },
    "training.recipe.Recipe.changed": {"given": lambda: {"batch_size": 8}},
    "training.recipe.Recipe.from_json": {"text": lambda: Recipe().to_json()},
    "training.recipe.Recipe.learning_rate_at": {"epoch": lambda: 3},
    "training.trainer.seeded": {"build": lambda: network},
    "training.trainer.train": {
        "network": network,
        "data": few_images,
        "recipe": lambda: Recipe(epochs=2, batch_size=8),
        "device": lambda: "cpu",
    },
    "agents.weight_sharing.supernet_search.SupernetSearch": {
        "method": lambda: "tunas",
        "dataset": few_images,
    },
}
TARGETS = [
    target
    for target in targets(
        *("training", "networks", "building", "evaluators", "proxies", "agents.weight_sharing")
    )
    if not any(target.name.startswith(name) for name in LEFT_OUT)
]


@pytest.fixture(autouse=True)
def instances(monkeypatch: pytest.MonkeyPatch) -> None:
    """What methods are called on."""
    for name, make in {
        "CachedEvaluator": cached,
        "RayEvaluator": lambda: RayEvaluator(trainer()),
        "TrainingEvaluator": trainer,
        "ProxyEvaluator": scorer,
        "ImageData": few_images,
        "TrainedNetwork": lambda: TrainedNetwork(network(), card()),
        "TrainingPool": lambda: TrainingPool(SPACE, few_images()),
    }.items():
        monkeypatch.setitem(INSTANCES, name, make)


def check_answer(found: Any) -> None:
    """What was made does what it is for."""
    if isinstance(found, ProxyEvaluator):
        found.identity.encode()
    elif isinstance(found, TrainingEvaluator):
        json.dumps([found.identity, found.recipe.to_json(), found.network])
        if found._workers == 1:
            found._data = few_images()
            check_outcome(found.evaluate(np.array([INDEX]), 1, np.array([1], np.uint64)))
    elif isinstance(found, Plan):
        assert Plan.from_json(json.loads(json.dumps(found.to_json()))) == found
    elif isinstance(found, Recipe):
        assert Recipe.from_json(found.to_json()) == found
        assert 0 <= found.learning_rate_at(0) < np.inf
    elif isinstance(found, Outcome):
        check_outcome(found)
    getattr(found, "close", lambda: None)()


def check_outcome(outcome: Any) -> None:
    assert np.isfinite([outcome.accuracy, outcome.seconds]).all()
    assert ((outcome.accuracy >= 0) & (outcome.accuracy <= 100)).all()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_functions_refuse_hostile_arguments(target: Target) -> None:
    assert not faults(target, VALUES)


def faults(target: Target, values: tuple[str, ...]) -> list[str]:
    own = OWN.get(target.name)
    refused = target.name in LONG
    return faults_of(target, values, own, CALLED, done=check_answer, refused=refused)


# ── evaluators by name, with options ─────────────────────────────────────────────────────────

FACTORIES = {
    "train": make_training_evaluator,
    "proxy": make_proxy_evaluator,
    "ray": make_ray_evaluator,
}
#: Parts of options that are dictionaries, and what each takes.
PARTS = {
    # A schedule comes with the question, and a compiler takes a minute.
    "recipe": {
        name: kind
        for name, kind in annotations(Recipe).items()
        if name not in ("epochs", "compile")
    },
    "network": {"cells_per_stage": "int | None", "stem_width": "int | None"},
}


def option_faults(name: str, values: tuple[str, ...]) -> list[str]:
    def make(**options: Any) -> Any:
        parts = {part: options.pop(part) for part in [*options] if "." in part}
        for part, value in parts.items():
            option, _, field = part.partition(".")
            options[option] = {**(options.get(option) or {}), field: value}
        return make_evaluator({"name": name, **options}, SPACE, "digits")

    options = annotations(FACTORIES[name])
    for subject in required(FACTORIES[name]):
        del options[subject]
    options |= {f"{part}.{one}": kind for part, of in PARTS.items() for one, kind in of.items()}
    plausible = {"device": "cpu", "cache": False}
    return try_values(make, plausible, options, values, f"evaluator {name}", done=check_made)


def check_made(found: Any) -> None:
    """What was made says who it is, and answers where that takes no other process."""
    found.identity.encode()
    within = found.evaluator if isinstance(found, CachedEvaluator) else found
    if isinstance(within, TrainingEvaluator):  # and not a cluster's
        within._data = few_images()
        if within._workers == 1:
            check_outcome(found.evaluate(np.array([INDEX]), 1, np.array([1], np.uint64)))
    getattr(found, "close", lambda: None)()


@pytest.mark.parametrize("name", FACTORIES)
def test_evaluators_refuse_hostile_options(name: str) -> None:
    assert not option_faults(name, FEW)


# ── schedules without end ────────────────────────────────────────────────────────────────────

NEVER_ENDING = (10**30, 10**9, 10_001, 10**5_000, "1/1000000000", "9" * 30, np.uint64(2**63))


@pytest.mark.parametrize("epochs", NEVER_ENDING, ids=hostile_values.told)
def test_a_schedule_without_end_is_refused(epochs: Any) -> None:
    one = np.array([INDEX]), epochs, np.array([0], np.uint64)
    for told, call in {
        "Recipe": lambda: Recipe(epochs=epochs),
        "Plan.of": lambda: Plan.of(SPACE, "digits", epochs),
        "train": lambda: train(network(), few_images(), Recipe(), epochs=epochs),
        "evaluate": lambda: trainer().evaluate(*one),
        "cached": lambda: cached().evaluate(*one),
        "stream": lambda: list(trainer().stream(*one)),
        "supernet": lambda: SupernetSearch("tunas", few_images(), epochs=epochs),
    }.items():
        answer = attack(call, f"{told}(epochs={hostile_values.told(epochs)})")
        assert answer.refusal is not None, told


# ── recipes ──────────────────────────────────────────────────────────────────────────────────

FIELDS: dict[str, list[Any]] = {
    "epochs": [1, 2, np.int8(1)],
    "batch_size": [1, 3, 8, 1_000_000],
    "learning_rate": [0, 0.1, 5e-324, 1e308, 1e30],
    "momentum": [0, 0.9, 1 - 2**-53, 5e-324],
    "weight_decay": [0, 5e-4, 1e308],
    "horizontal_flip": [True, False, np.True_],
    "crop_padding": [None, 0, 1, 64],
    "amp": [False, True],
    "channels_last": [False, True],
    "on_failure": ["chance", "zero", "raise"],
}


def train_by_a_recipe(data: st.DataObject) -> None:
    """Train with drawn fields: what is accepted trains, or fails as the recipe says."""
    fields = {"epochs": 1, "batch_size": 8}
    fields |= hostile_values.draw_some(data, FIELDS)
    told = ", ".join(f"{name}={hostile_values.told(value)}" for name, value in fields.items())
    made = attack(lambda: Recipe(**fields), f"Recipe({told})")
    if made.refusal is not None or made.value.epochs > 3:
        return
    recipe = made.value
    options = {"network": {}, "seed": 1, "device": "cpu", "evaluate_on": ["x-valid", "x-test"]}
    answer = attack(lambda: train_architecture(SPACE, INDEX, few_images(), recipe, **options), told)
    if answer.refusal is not None:
        assert isinstance(answer.refusal, TrainingFailed)
        assert recipe.on_failure == "raise"
        return
    record = answer.value
    assert record.status in (COMPLETED, DIVERGED)
    assert 0 <= record.accuracy("x-valid") <= 100
    if record.status == COMPLETED:
        assert record.epochs == recipe.epochs
        assert np.isfinite(record.train.loss).all()


@given(st.data())
@profile(60)
def test_recipes_train_or_refuse(data: st.DataObject) -> None:
    train_by_a_recipe(data)
