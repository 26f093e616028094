"""A space is more than its name: what was made with another definition of it is not taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest

import nats_gym
from nats_gym.building.plan import Plan
from nats_gym.building.trainings import TrainingStore
from nats_gym.errors import CorruptTable, InvalidInput, UnknownOption
from nats_gym.evaluators import CachedEvaluator, Outcome
from nats_gym.evaluators.protocol import Answer
from nats_gym.spaces import ArchitectureSpace, get_space, known, register_space
from nats_gym.streams import uniform_below
from nats_gym.tables import MEASURED, Column, load_table, write_table
from nats_gym.testing import SpaceError, check_space


class Narrow(ArchitectureSpace):
    name = "net"
    decisions: ClassVar = {"width": ("1", "2"), "activation": ("relu", "tanh", "gelu")}

    def params(self, choices: Any, dataset: str) -> Any:
        return 1.0 + self.check_choices(choices).sum(-1)

    def network(self, choices: Any, dataset: str, **options: Any) -> Any:
        import torch

        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(10))


class Wide(Narrow):
    decisions: ClassVar = {"width": ("64", "128"), "activation": ("relu", "tanh", "gelu")}


class Bent(Narrow):
    def is_valid(self, choices: Any) -> Any:
        return choices[..., 0] <= choices[..., 1]


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_registered", {})


def take(space: type[ArchitectureSpace]) -> ArchitectureSpace:
    return register_space(space, replace=True)


class Counting:
    identity, provenance = "one and the same", ("toy", "toy")

    def __init__(self) -> None:
        self.asked: list[int] = []

    def trials_of(self, index: Any, trial_keys: Any) -> Any:
        return np.zeros(len(index), np.uint64)

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Outcome:
        return Outcome(np.full(len(index), 50.0), np.ones(len(index)))

    def stream(self, index: Any, epochs: Any, trials: Any) -> Iterator[tuple[int, Answer]]:
        for position, one in enumerate(index.tolist()):
            self.asked.append(one)
            yield position, Answer(50.0, 1.0)


def test_digests_tell_definitions_apart() -> None:
    digests = [space().digest for space in (Narrow, Wide, Bent)]
    assert len(set(digests)) == 3
    assert Narrow().digest == Narrow().digest
    assert [get_space(name).digest for name in ("tss", "sss", "nb101")] == ["", "", ""]


def test_a_cache_does_not_answer_for_another_definition(tmp_path: Path) -> None:
    counting = Counting()
    index, keys = np.array([0, 3]), np.zeros(2, np.uint64)
    for space in (Narrow, Narrow, Wide, Bent):
        take(space)
        CachedEvaluator(counting, "net", tmp_path / "c.sqlite").evaluate(index, 3, keys)
    assert counting.asked == [0, 3, 0, 3, 0, 3]


def test_a_table_is_of_one_definition(tmp_path: Path) -> None:
    take(Narrow)
    column = Column("accuracy", MEASURED, "us", "", split="valid", epochs=12)
    write_table(tmp_path / "t", "net", "digits", [(column, np.linspace(10, 60, 6))])
    assert load_table("net", "digits", tmp_path / "t").best()[0] == 5
    take(Wide)
    with pytest.raises(CorruptTable, match="another space called 'net'"):
        load_table("net", "digits", tmp_path / "t")


def test_a_build_is_of_one_definition(tmp_path: Path) -> None:
    take(Narrow)
    plan = Plan.of("sss", "digits")
    own = Plan("net", "digits", plan.recipe, {})
    assert Plan.from_json(own.to_json()) == own
    assert "definition" not in plan.to_json()
    told = own.to_json()
    take(Wide)
    there, here = Plan.from_json(told), Plan("net", "digits", plan.recipe, {})
    assert [one.partition(" ")[0] for one in here.differences(there)] == ["definition"]


def test_a_build_of_another_definition_is_not_gone_on_with(tmp_path: Path) -> None:
    take(Narrow)
    recipe = Plan.of("sss", "digits").recipe
    store = TrainingStore(tmp_path, Plan("net", "digits", recipe, {}))
    store.checkpoints.mkdir(exist_ok=True)
    (store.checkpoints / "0.pt").touch()  # a training is under way
    take(Wide)
    with pytest.raises(InvalidInput, match="holds another build: definition"):
        TrainingStore(tmp_path, Plan("net", "digits", recipe, {}))
    with pytest.raises(InvalidInput, match="build of another space called net"):
        TrainingStore(tmp_path)
    take(Narrow)
    assert TrainingStore(tmp_path).plan.definition == Narrow().digest


def test_choices_have_an_order() -> None:
    class Shaken(ArchitectureSpace):
        name = "shaken"
        decisions: ClassVar = {"a": {"x", "y", "z"}}

    with pytest.raises(InvalidInput, match="in an order"):
        register_space(Shaken)
    with pytest.raises(SpaceError):
        check_space(Shaken)


def test_no_answer_at_all_breaks_a_promise() -> None:
    class Mute(Narrow):
        def prefixes(self, admitted: Any = None) -> Any:
            return None

    with pytest.raises(SpaceError, match="prefixes"):
        check_space(Mute, picklable=False)


@pytest.mark.parametrize(
    "wrong", [{"title": 3}, {"closed_forms": {"params": 3}}, {"closed_forms": {1: None}}]
)
def test_what_a_definition_says_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        register_space(type("Wrong", (Narrow,), {"name": "wrong", **wrong}))


def test_a_class_with_arguments_is_registered_as_an_object() -> None:
    class Sized(Narrow):
        name = "sized"

        def __init__(self, depth: int) -> None:
            self.depth = depth

    with pytest.raises(InvalidInput, match="is made without arguments; register an object"):
        register_space(Sized)
    assert register_space(Sized(3)).name == "sized"


# ── spaces too large to be listed ────────────────────────────────────────────────────────────


class Large(ArchitectureSpace):
    name = "large"
    decisions: ClassVar = {f"d{i}": tuple("abcdefghi") for i in range(19)}

    def params(self, choices: Any, dataset: str) -> Any:
        return 1.0 + self.check_choices(choices).sum(-1)


def answer(index: Any, epochs: Any, keys: Any) -> Outcome:
    return Outcome(10.0 + index % 80, np.ones(len(index)))


def test_a_large_space_is_edited_and_what_needs_all_of_it_refused() -> None:
    take(Large)
    evaluator = SimpleNamespace(evaluate=answer)
    options = {"space": "large", "evaluator": evaluator, "time_budget": 50}
    env = gym.make("NAS-Edit-v0", horizon=5, **options)
    native = gym.make_vec("NAS-Edit-v0", num_envs=3, horizon=5, **options)
    info, infos = env.reset(seed=3)[1], native.reset(seed=3)[1]
    assert info["index"] == infos["index"][0]
    assert 2**32 < infos["index"].max() < 9**19
    assert info["action_mask"].sum() == 19 * 8
    for edit in (4, 77, 150):
        info, infos = env.step(edit)[4], native.step(np.array([edit] * 3))[4]
        assert info["accuracy"] == infos["accuracy"][0]
    for refused in (
        lambda: gym.make("NAS-v0", space="large", evaluator=evaluator, limits={"params": 9}),
        lambda: gym.make("mo-NAS-v0", space="large", evaluator=evaluator),
    ):
        with pytest.raises(InvalidInput, match=r"params of every architecture .* up to 16,777,216"):
            refused()


@pytest.mark.parametrize("count", [7, 2**32, 2**32 + 1, 9**19, 2**62])
def test_uniform_integers_of_any_range(count: int) -> None:
    keys = np.random.default_rng(0).integers(2**64, size=500, dtype=np.uint64)
    bits = 32 if count <= 2**32 else 64
    expected = [(key >> (64 - bits)) * count >> bits for key in keys.tolist()]
    assert uniform_below(keys, count).tolist() == expected


# ── what is missing is said ──────────────────────────────────────────────────────────────────


def test_a_space_that_is_not_named() -> None:
    for make in (gym.make, lambda env_id, **o: gym.make_vec(env_id, num_envs=2, **o)):
        for env_id in ("NAS-v0", "NAS-Edit-v0", "mo-NAS-v0", "NAS-Budgeted-v0", "NAS-OneShot-v0"):
            with pytest.raises(InvalidInput, match="space= says what is searched: tss, sss, nb101"):
                make(env_id)
            with pytest.raises(InvalidInput, match="space= says what is searched: tss, sss, nb101"):
                make(env_id, evaluator="proxy", score="synflow")
            with pytest.raises(UnknownOption, match="Did you mean 'space'"):
                make(env_id, spacee="tss")
    with pytest.raises(InvalidInput, match="register_space"):
        gym.make("NAS-v0", space="my_module:MySpace")


def test_the_default_objectives_are_what_the_space_has() -> None:
    take(Narrow)
    env = gym.make("mo-NAS-v0", space="net", evaluator=SimpleNamespace(evaluate=answer))
    assert env.unwrapped.objectives == ("accuracy", "params")
    assert nats_gym.get_space("net").size == 6


@pytest.mark.parametrize("method", ["is_valid", "canonical", "params", "network"])
def test_what_a_space_raises_is_told_in_one_line(method: str) -> None:
    from nats_gym.networks import build

    def broken(self: Any, *_: Any) -> Any:
        raise KeyError("oh\ndear")

    made = register_space(type("Broken", (Narrow,), {"name": "broken", method: broken}))
    with pytest.raises(InvalidInput, match=rf"{method}\(\) of broken failed: .*oh") as caught:
        build(made, 0, 10) if method == "network" else made.figure("params", "digits")
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, KeyError)


def test_the_only_other_architecture_is_found() -> None:
    class Pair(ArchitectureSpace):
        name = "pair"
        decisions: ClassVar = {"a": tuple("01"), "b": tuple("0123"), "c": tuple("012")}

        def is_valid(self, choices: Any) -> Any:
            return (choices == [0, 1, 2]).all(-1) | (choices == [0, 3, 1]).all(-1)

    space = Pair()
    parents = np.tile([0, 1, 2], (20_000, 1))
    assert (space.mutate(parents, np.random.default_rng(0)) == [0, 3, 1]).all()
