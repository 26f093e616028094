"""Spaces by name: registered ones, and those that other packages bring."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import gymnasium as gym
import pytest

import nats_gym
from nats_gym.errors import InvalidInput
from nats_gym.spaces import known, known_spaces


class Brought(nats_gym.ArchitectureSpace):
    name = "brought"
    decisions: ClassVar[Any] = {"depth": ("1", "2"), "act": ("relu", "tanh", "gelu")}


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another package's entry points; what is registered in a test is forgotten."""
    entries = [
        EntryPoint("brought", f"{__name__}:Brought", known.GROUP),
        EntryPoint("misnamed", f"{__name__}:Brought", known.GROUP),
        EntryPoint("gone", f"{__name__}:Nothing", known.GROUP),
        EntryPoint("no-space", f"{__name__}:packages", known.GROUP),
    ]
    monkeypatch.setattr(known, "entry_points", lambda group: entries * (group == known.GROUP))
    monkeypatch.setattr(known, "_registered", {})
    known._brought.cache_clear()
    yield
    known._brought.cache_clear()


def test_a_space_of_another_package_is_known_by_its_name() -> None:
    assert known.GROUP == "nats_gym.spaces"
    assert "brought" in known_spaces()
    space = nats_gym.get_space("brought")
    assert isinstance(space, Brought)
    assert nats_gym.get_space("brought") is space
    env = gym.make("NAS-v0", space="brought", evaluator=Sixths())
    env.reset(seed=0)
    env.step(1)
    assert env.step(2)[1] == pytest.approx(5 / 6)


class Sixths:
    """A sixth of all answers an index."""

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Any:
        from nats_gym.evaluators import Outcome

        return Outcome(100.0 * index / 6, 1.0 + 0.0 * index)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("misnamed", ["entry point 'misnamed'", "called 'brought'"]),
        ("gone", ["'gone' cannot be loaded", "Nothing"]),
        ("no-space", ["unknown space"]),
        ("ours", ["register_space('module:Class')", "--known-space module:Class"]),
        ("brougt", ["Did you mean 'brought'"]),
    ],
)
def test_what_a_package_does_not_bring_is_said(name: str, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        nats_gym.get_space(name)
    for word in words:
        assert word in str(caught.value)


def test_a_registered_space_is_found_and_not_replaced_unasked() -> None:
    class Other(nats_gym.ArchitectureSpace):
        name = "brought"
        decisions: ClassVar[Any] = {"depth": ("1", "2")}

    space = nats_gym.register_space(Other)
    assert nats_gym.get_space("brought") is space
    with pytest.raises(InvalidInput, match="known already"):
        nats_gym.register_space(Brought)
    assert nats_gym.register_space(Brought, replace=True).size == 6
    with pytest.raises(InvalidInput, match="known already"):
        nats_gym.register_space(type("Taken", (Other,), {"name": "tss"}), replace=True)
