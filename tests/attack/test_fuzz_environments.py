"""Whatever environments are made with, reset with and told to do, they play on or refuse."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import hostile_values
import numpy as np
import pytest
from gymnasium.vector import VectorEnv
from hostile_values import FEW, HOSTILE
from hypothesis import given
from hypothesis import strategies as st
from judging import Fault, alone, attack, bounded, profile, try_values

import nats_gym.envs
from nats_gym.evaluators import Outcome
from nats_gym.registration import (
    ENVIRONMENTS,
    FAMILIES,
    TASK_ENVIRONMENTS,
    TASK_FAMILIES,
    family_of,
)
from nats_gym.rewards import REWARDS

#: Every test here runs so.
__all__ = ["alone"]

#: The families' classes, and those of them that play one environment at a time.
PAIRS = {**FAMILIES, **TASK_FAMILIES}
CLASSES = sorted({name for pair in PAIRS.values() for name in pair})
SCALAR = sorted({name for name, _ in PAIRS.values()})


def options_of(cls: type) -> dict[str, str]:
    """Options of an environment's class, inherited ones too, with their annotations."""
    found: dict[str, str] = {}
    for base in (*cls.__mro__, *getattr(cls, "scalar", cls).__mro__):
        if base.__module__.startswith("nats_gym"):
            for name, parameter in inspect.signature(base.__init__).parameters.items():
                kinds = (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
                if name != "self" and parameter.kind not in kinds:
                    found.setdefault(name, str(parameter.annotation))
    return found


class Toy:
    """An evaluator that is no table."""

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Outcome:
        batch = len(index)
        metrics = {"loss": np.linspace(0.0, 1.0, batch)}
        return Outcome(np.full(batch, 50.0), np.full(batch, 900.0), metrics=metrics)


#: Values that options may have, by name; what is not here is left at its default.
SENSIBLE: dict[str, list[Any]] = {
    "epochs": [None, 12, 200, 90, np.int32(12), "4/12", "12", (12, 200), [90]],
    "trial": ["random", "mean", 0, 777, 1, 888, 10**6, np.uint8(1)],
    "source": ["auto", "embedded", "digits-300"],
    "reward": [
        *(None, *sorted(REWARDS), {"name": "lagrangian", "multiplier": 0.5}, np.sin),
        *({"name": "threshold-bonus", "threshold": 90.0}, {"name": "negative-regret", "best": 95}),
        *(lambda e: e.accuracy / 10, lambda e: 1),
    ],
    "penalty": [0, 0.0, 1.0, -0.0, 1e300, 5e-324],
    "max_params": [None, 0.5, 1e-3, 1e300, 5e-324, np.float32(1)],
    "max_flops": [None, 50, 1e9],
    "max_latency": [None, 0.02, 1.0],
    "limits": [None, {}, {"latency": 0.02}, {"flops": 50, "params": 0.5}, {"paths": 2}],
    "evaluator": [None, Toy(), "train", "ray", {"name": "train"}],
    "report_test": [False, True],
    "render_mode": [None, "ansi", "rgb_array"],
    "time_budget": [None, 1.0, 5_000.0, 1e300, 5e-324, float("inf")],
    "workers": [1, 2, 50],
    "fidelity_action": [False, True, np.True_],
    "horizon": [1, 3, 50, 10**9],
    "objectives": [("accuracy", "flops"), ["latency", "params"], ("accuracy",)],
    "autoreset_mode": ["NextStep", "SameStep", "Disabled"],
    "device": ["cpu", "auto"],
    "trials": [1, None],
    "cache": [False],
    "tasks": [
        *(None, {}, {"datasets": ["cifar10", "cifar100"], "leave_out": ["cifar100"]}),
        *({"limits": ["flops", None]}, {"limits": [{"params": 0.5}, "flops"], "share": 0.1}),
    ],
    "side": ["train", "test"],
    "observe_task": [False, True],
    "observe_history": [False, True],
}


# ── options, one at a time ───────────────────────────────────────────────────────────────────


@pytest.mark.one_in(7)
@pytest.mark.parametrize("name", CLASSES)
def test_options_refuse_a_few_hostile_values(name: str) -> None:
    assert not option_faults(name, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCALAR)
def test_options_refuse_hostile_values(name: str) -> None:
    assert not option_faults(name, tuple(HOSTILE))


@pytest.mark.parametrize("name", sorted({*CLASSES} - {*SCALAR}))
def test_a_vector_hands_the_options_of_its_scalar_on(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vector = getattr(nats_gym.envs, name)
    made: dict[str, Any] = {}
    begin = vector.scalar.__init__

    def beginning(self: Any, *given: Any, **options: Any) -> None:
        made.update(inspect.signature(begin).bind(self, *given, **options).arguments)
        begin(self, *given, **options)

    monkeypatch.setattr(vector.scalar, "__init__", beginning)
    options = {"trial": 1, "epochs": 12, "max_flops": 100.0, "max_params": 1.0}
    vector(space="tss", dataset="cifar10", num_envs=2, **options).close()
    assert {**made, **made.get("options", {})}.items() >= options.items()


def option_faults(name: str, values: tuple[str, ...]) -> list[str]:
    cls = getattr(nats_gym.envs, name)
    made: dict[str, Any] = {"space": "tss", "dataset": "cifar10"}
    if hasattr(cls, "scalar"):
        made["num_envs"] = 2
    return try_values(cls, made, options_of(cls), values, name, done=play_a_little)


def play_a_little(env: Any) -> None:
    """Play an environment that was made: what it answers is what an environment may answer."""
    for seed in (0, None):
        env.reset(seed=seed)
        for _ in range(8):
            done = step(env, env.action_space.sample())
            if np.all(done):
                break
    env.render()
    env.close()


def step(env: Any, action: Any) -> Any:
    """Take a step, and look at all that comes back; whether the episode, or each, has ended."""
    observation, reward, terminated, truncated, info = env.step(action)
    assert env.observation_space.contains(observation)
    assert np.isfinite(reward).all()
    many = isinstance(env, VectorEnv)
    may_be_none = -1 if "valid" in info else 0  # what is no architecture has index -1
    for name, low, high in (
        ("index", may_be_none, 423_623),
        ("accuracy", 0.0, 100.0),
        ("seconds", 0.0, 1e12),
        ("clock", 0.0, 1e15),
        ("cost", 0.0, np.inf),
        ("incumbent_accuracy", 0.0, 100.0),
        ("incumbent_index", -1, 423_623),
    ):
        if name in info:
            figures = np.asarray(info[name], float)
            known = np.asarray(info.get(f"_{name}", np.ones(figures.shape, bool)))
            assert ((figures >= low) & (figures <= high))[known].all(), (name, info[name])
    if "action_mask" in info:
        masks = np.asarray(info["action_mask"])
        assert set(np.unique(masks)) <= {0, 1}
        assert masks.reshape(len(masks) if many else 1, -1).any(axis=1).all()
    return terminated | truncated if many else terminated or truncated


# ── everything at once ───────────────────────────────────────────────────────────────────────


@st.composite
def drawn(draw: Any, sensible: list[Any], hostile: int = 8) -> Any:
    """A sensible value, once in a while a hostile one, by its name."""
    if draw(st.integers(0, hostile)) == 0:
        return HOSTILE[draw(hostile_values.names())]()
    return draw(st.sampled_from(sensible))


WRAPPERS: list[Any] = [
    *(None, None, nats_gym.envs.DictObservation, nats_gym.envs.MultiDiscreteObservation),
    *(nats_gym.envs.GraphObservation, gym.wrappers.RecordEpisodeStatistics),
    *(lambda env: gym.wrappers.TimeLimit(env, 3), gym.wrappers.FlattenObservation),
    lambda env: gym.wrappers.TransformReward(env, abs),
]


@contextmanager
def made(env_id: str, mode: str | None, options: dict[str, Any], num_envs: int) -> Iterator[Any]:
    """An environment of one of Gymnasium's kinds, closed in the end; None if it was refused."""
    if mode is None:
        answer = attack(lambda: gym.make(env_id, **options), f"{env_id} {sorted(options)}")
    else:
        answer = attack(
            lambda: gym.make_vec(env_id, num_envs=num_envs, vectorization_mode=mode, **options),
            f"{mode} {env_id} {sorted(options)}",
        )
    try:
        yield answer.value
    finally:
        if answer.value is not None:
            answer.value.close()


def play(data: st.DataObject) -> None:
    """Make an environment of drawn options, and play it with drawn resets and actions."""
    env_id = data.draw(st.sampled_from(sorted({**ENVIRONMENTS, **TASK_ENVIRONMENTS})))
    mode = data.draw(st.sampled_from([None, None, "vector_entry_point", "sync"]))
    cls = getattr(nats_gym.envs, PAIRS[family_of(env_id)][mode == "vector_entry_point"])
    known = [name for name in options_of(cls) if name in SENSIBLE and name != "num_envs"]
    chosen = data.draw(st.lists(st.sampled_from(known), unique=True, max_size=4))
    # Earlier releases of Gymnasium look at a render mode before we do.
    values = {name: drawn(SENSIBLE[name]) for name in chosen}
    values |= {"render_mode": st.sampled_from(SENSIBLE["render_mode"])}
    options = {name: data.draw(values[name], label=name) for name in chosen}
    if "digits" in env_id:
        # Trainings take long: asked for, but made only to be closed.
        options.setdefault("source", "digits-300")
    trains = isinstance(options.get("evaluator"), (str, dict))
    with made(env_id, mode, options, data.draw(st.integers(1, 3))) as env:
        if env is None or trains or options.get("source") not in (None, "auto", "embedded"):
            return
        wrapper = data.draw(st.sampled_from(WRAPPERS)) if mode is None else None
        if wrapper is not None:
            wrapped = attack(lambda: wrapper(env), "a wrapper")
            env = wrapped.value or env
        # Gymnasium's own vectors, and the wrappers that make() adds, check some of what passes.
        others = "gymnasium" if mode != "vector_entry_point" else None
        for _ in range(data.draw(st.integers(1, 3))):
            given_options = data.draw(
                st.one_of(st.none(), st.fixed_dictionaries({}, optional=RESET)), label="options"
            )
            if data.draw(st.integers(0, 9)) == 0:
                given_options = HOSTILE[data.draw(hostile_values.names())]()
            seed = data.draw(drawn([0, 1, None, 2**63, 2**100, np.int64(3)]), label="seed")
            begun = attack(
                lambda seed=seed, given_options=given_options: env.reset(
                    seed=seed, options=given_options
                ),
                "reset",
                others=others,
            )
            if begun.refusal is None:
                assert env.observation_space.contains(begun.value[0])
            for _ in range(data.draw(st.integers(0, 9))):
                action = env.action_space.sample()
                if data.draw(st.integers(0, 9)) == 0:
                    action = HOSTILE[data.draw(hostile_values.names())]()
                answer = attack(lambda action=action: step(env, action), "step", others=others)
                if answer.refusal is not None or np.all(answer.value):
                    break
        attack(env.render, "render", others=others)


RESET = {
    "trial": drawn(["random", "mean", 0, 777, 888]),
    "task": drawn([0, 1, 2, "cifar10", [0, 0], None]),
    "start": drawn([None, [], [0], [1, 2], (0, 1, 2, 3, 4), 5, 15_624, np.int16(7)]),
    "reset_mask": drawn([np.array([True]), np.array([True, False]), np.array([False])]),
    "nothing": st.just(1),
}


@given(st.data())
@profile(40)
def test_environments_play_on_or_refuse_a_little(data: st.DataObject) -> None:
    play(data)


@pytest.mark.slow
@given(st.data())
@profile(1_500)
def test_environments_play_on_or_refuse(data: st.DataObject) -> None:
    play(data)


# ── what is asked of an environment ──────────────────────────────────────────────────────────

#: Questions, and whether an answer is one: a value that a table can have given.
QUESTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "encode": lambda env, value: env.encode(value),
    "decode": lambda env, value: env.decode(value),
    "regret": lambda env, value: env.regret(value),
    "rank": lambda env, value: env.rank(value),
    "regret of split": lambda env, value: env.regret(7, value),
    "optimum": lambda env, value: env.optimum(value),
    "figure": lambda env, value: env.figure(value),
    "step": lambda env, value: env.step(value),
    "seed": lambda env, value: env.reset(seed=value),
    "options": lambda env, value: env.reset(options=value),
    "trial": lambda env, value: env.reset(options={"trial": value}),
    "start": lambda env, value: env.reset(options={"start": value}),
    "reset_mask": lambda env, value: env.reset(options={"reset_mask": value}),
    "pareto_front": lambda env, value: env.pareto_front(value),
    "hypervolume": lambda env, value: env.hypervolume(value),
    "reference": lambda env, value: env.hypervolume([[0.5, -0.5]], value),
}


def question_faults(name: str, values: tuple[str, ...]) -> list[str]:
    cls = getattr(nats_gym.envs, name)
    options = {"num_envs": 2} if hasattr(cls, "scalar") else {}
    env = cls(space="tss", dataset="cifar10", **options)
    env.reset(seed=0)
    faults = []
    for question, ask in QUESTIONS.items():
        method = question.split()[0]
        if method in ("pareto_front", "hypervolume", "reference") and "Multi" not in name:
            continue
        if method == "figure" and "Vector" in name:
            continue
        for value in values:
            told = f"{name}.{question}({value})"
            try:
                answer = attack(lambda ask=ask, value=value: ask(env, HOSTILE[value]()), told)
            except Fault as fault:
                faults.append(str(fault))
                continue
            if answer.refusal is None and not _sensible(question, value, answer.value):
                faults.append(f"{told}: {answer.value!r:.200}")
    with bounded():
        play_a_little(env)  # whatever it refused has left nothing half-done
    return faults


def _sensible(question: str, value: str, answer: Any) -> bool:
    """Whether a hostile value can have been meant, and its answer is one."""
    if question == "seed":
        return value in (
            *("None", "0", "1", "3", "2147483648", "9223372036854775807", "9223372036854775808"),
            *(str(2**128 - 1), "np.uint8(200)", "np.uint64 max", "[1]"),
            *("int that refuses", "array [1, 2]", "10**400", "10**5000", str(2**128), "array []"),
        )
    if question in ("regret", "rank"):
        figures = np.asarray(answer)
        return bool((figures >= (0 if question == "regret" else 1)).all())
    if question in ("reset_mask", "regret of split", "optimum", "figure"):
        return value in ("None",)
    if question in ("trial", "start", "options"):
        return value not in hostile_values.FLAGS and "nan" not in value and "mask" not in value
    if question == "step":
        return value in ("0", "1", "3", "int that refuses", "array 1", "array [1, 2]")
    if question in ("pareto_front", "hypervolume", "reference"):
        return value not in hostile_values.FLAGS and "nan" not in value and "mask" not in value
    return "mask" not in value and value not in hostile_values.FLAGS


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", CLASSES)
def test_questions_are_answered_or_refused_a_few(name: str) -> None:
    assert not question_faults(name, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_questions_are_answered_or_refused(name: str) -> None:
    assert not question_faults(name, tuple(HOSTILE))
