"""Controllers trained over tasks: kept, read again, deployed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, PPO

import nats_gym
from nats_gym.agents import find_agent, kind_of
from nats_gym.agents.controller import (
    CARD,
    WEIGHTS,
    ControllerAgent,
    ControllerCard,
    UnreadableController,
    load_controller,
    save_controller,
)
from nats_gym.envs import make_sb3
from nats_gym.errors import InvalidInput, NotInTable
from nats_gym.evaluators import Outcome
from nats_gym.files.untrusted import checksum_of
from nats_gym.results.result import SearchResult
from nats_gym.spaces import ArchitectureSpace, known, register_space
from nats_gym.streams import run_seeds
from nats_gym.study.results import CellResult, StudyResults
from nats_gym.study.tables import headline_tables
from nats_gym.tasks import Task

pytestmark = pytest.mark.usefixtures("one_thread")
MADE: dict[str, Any] = {
    "tasks": {"leave_out": ["ImageNet16-120"]},
    "epochs": 12,
    "max_evaluations": 4,
    "observe_task": True,
    "observe_history": True,
}
SMALL: dict[str, Any] = {"n_steps": 24, "batch_size": 96, "n_epochs": 1, "seed": 0, "device": "cpu"}


def train(policy: str) -> Any:
    env = make_sb3("NATS-TSS-Tasks-Budgeted-v0", num_envs=8, seed=0, **MADE)
    if policy == "ppo":
        return PPO("MlpPolicy", env, policy_kwargs={"net_arch": [16]}, **SMALL).learn(192)
    contrib = pytest.importorskip("sb3_contrib")
    settings = {"lstm_hidden_size": 8, "shared_lstm": True, "enable_critic_lstm": False}
    return contrib.RecurrentPPO("MlpLstmPolicy", env, policy_kwargs=settings, **SMALL).learn(192)


@pytest.fixture(scope="module", params=["ppo", "recurrent-ppo"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: Any) -> tuple[Any, Path]:
    model, folder = train(request.param), tmp_path_factory.mktemp("controllers") / request.param
    card = save_controller(folder, model, {"accuracy": 83.5})
    assert (card.policy, card.evaluations, card.steps) == (request.param, 4, 192)
    assert card.tasks == ("cifar10", "cifar100")
    return model, folder


def test_what_is_read_is_what_was_saved(trained: tuple[Any, Path]) -> None:
    model, folder = trained
    controller = load_controller(folder)
    assert controller.card.figures == {"accuracy": 83.5}
    env = gym.make("NATS-TSS-Tasks-Budgeted-v0", **MADE)
    observation, _ = env.reset(seed=3)
    mine = theirs = None
    start = np.array([True])
    for _ in range(20):
        given = {"episode_start": start, "deterministic": True}
        action, mine = model.predict(observation, state=mine, **given)
        again, theirs = controller.policy.predict(observation, state=theirs, **given)
        assert action == again
        observation, _, ended, _, _ = env.step(action.item())
        start = np.array([ended])
        if ended:
            observation, _ = env.reset()


def test_a_search_is_what_the_policy_does_in_the_environment(trained: tuple[Any, Path]) -> None:
    _, folder = trained
    searched = nats_gym.search(
        "tss", "ImageNet16-120", str(folder), epochs=12, evaluations=6, runs=2, trial="mean"
    )
    assert searched.evaluations.tolist() == [6, 6]
    alone = nats_gym.search(
        *("tss", "ImageNet16-120", str(folder), 12),
        evaluations=6,
        runs=1,
        first_run=1,
        trial="mean",
    )
    assert alone.index[0].tolist() == searched.index[1].tolist()
    env: Any = gym.make(
        "NATS-TSS-Tasks-Budgeted-v0",
        **{**MADE, "tasks": {"datasets": "ImageNet16-120"}},
        trial="mean",
    )
    policy = load_controller(folder).policy
    for run, seed in enumerate(run_seeds(0, 2)):
        torch.manual_seed(seed & 0xFFFFFFFF)
        observation, _ = env.reset(seed=0)
        found: list[int] = []
        state, start = None, np.array([True])
        while len(found) < 6:
            action, state = policy.predict(observation, state=state, episode_start=start)
            observation, _, ended, _, info = env.step(action.item())
            found += [info["index"]] if "index" in info else []
            start = np.array([ended])
            if ended:
                observation, _ = env.reset()
                state = None
        assert found == searched.index[run].tolist()


def test_a_folder_is_an_agents_name(trained: tuple[Any, Path], tmp_path: Path) -> None:
    _, folder = trained
    name, factory = find_agent(str(folder))
    assert (name, kind_of(factory)) == (str(folder), "environment")
    (tmp_path / "controller.json").mkdir()
    for other, told in (
        (str(tmp_path), "no controller in .*: no file controller.json in it"),
        ("mt/ctx", "no controller in 'mt/ctx': no such folder"),
        ("ctx", "unknown agent 'ctx'; allowed: .* or a controller's folder"),
        ("", "unknown agent ''"),
    ):
        with pytest.raises(InvalidInput, match=told):
            find_agent(other)
    with pytest.raises(NotInTable, match="controller cannot search a part of a space"):
        nats_gym.search("tss", "digits", str(folder), source="digits-300", evaluations=40)
    with pytest.raises(InvalidInput, match="searches tss, not sss"):
        nats_gym.search("sss", "cifar10", str(folder), evaluations=2)


def test_a_controller_of_ones_own_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_registered", {**known._registered})

    class Stairs(ArchitectureSpace):
        name = "stairs"
        decisions: ClassVar = {"depth": tuple("123"), "width": tuple("abcd")}

    def evaluate(index: Any, epochs: Any, trial_keys: Any) -> Outcome:
        return Outcome(40.0 + 3.0 * index, 1.0 + 0.0 * index)

    answers, space = SimpleNamespace(evaluate=evaluate), register_space(Stairs)
    made = {"tasks": [Task("stairs", name, evaluator=answers) for name in ("cifar10", "digits")]}
    env = make_sb3("NAS-Tasks-Budgeted-v0", 4, seed=0, space=space, max_evaluations=3, **made)
    names = tuple(task.name for task in made["tasks"])
    card = save_controller(tmp_path / "made", PPO("MlpPolicy", env, **SMALL).learn(96))
    assert (card.space, card.tasks) == ("stairs", names)
    found = nats_gym.search(
        "stairs", "cifar100", str(tmp_path / "made"), evaluations=5, evaluator=answers
    )
    assert found.provenance["learned_on"] == "; ".join(names)
    assert (found.accuracy == 40.0 + 3.0 * found.index).all()


def test_a_result_says_what_a_controller_learned_on(
    trained: tuple[Any, Path], tmp_path: Path
) -> None:
    _, folder = trained
    tasks = load_controller(folder).card.tasks
    found = nats_gym.search("tss", "cifar10", str(folder), epochs=12, evaluations=2)
    assert found.provenance["learned_on"] == "; ".join(tasks)
    again = SearchResult.load(found.save(tmp_path / "kept"))
    assert again.provenance == found.provenance
    cell = CellResult("one", "mine", found)
    (headline,) = headline_tables(StudyResults("study", folder, {}, [cell], []))
    assert any(
        f"mine has prior knowledge: it was trained to search {tasks[0]}" in note
        for note in headline.notes
    )


@pytest.mark.parametrize("damage", ["weights", "longer", "card", "other settings", "no weights"])
def test_a_damaged_controller_is_refused(
    trained: tuple[Any, Path], damage: str, tmp_path: Path
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(trained[1], folder)
    weights, card = folder / WEIGHTS, folder / CARD
    if damage in ("weights", "longer"):
        content = bytearray(weights.read_bytes())
        content[-5] ^= 1
        weights.write_bytes(bytes(content) + (b"x" if damage == "longer" else b""))
    elif damage == "no weights":
        weights.unlink()
    else:
        told = json.loads(card.read_text())
        if damage == "card":
            told["evaluations"] = 5
        else:
            told["settings"] = {"net_arch": [17]}
            told["checksum"] = checksum_of(told)
        card.write_text(json.dumps(told))
    told = "weights.safetensors: No such file" if damage == "no weights" else ""
    with pytest.raises(UnreadableController, match=f"no controller in .*{told}"):
        load_controller(folder)


def test_what_is_no_controller_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableController):
        load_controller(tmp_path)
    with pytest.raises(InvalidInput, match="path"):
        ControllerAgent(3)  # type: ignore[arg-type]
    env = make_sb3("NATS-TSS-cifar10-v0", num_envs=4)
    with pytest.raises(InvalidInput, match="max_evaluations"):
        save_controller(tmp_path / "made", PPO("MlpPolicy", env, **SMALL))
    with pytest.raises(InvalidInput, match="max_evaluations"):
        save_controller(tmp_path / "made", A2C("MlpPolicy", "CartPole-v1", device="cpu"))
    with pytest.raises(InvalidInput, match="policy"):
        ControllerCard("tss", "dqn")
    for settings in (
        *(
            {"net_arch": [10**6]},
            {"net_arch": [8] * 99},
            {"net_arch": {"pi": 8}},
            {"activation": 1},
        ),
        *({"lstm_hidden_size": -1}, {"n_lstm_layers": 10**9}, {"ortho_init": 1}, [8]),
    ):
        with pytest.raises(InvalidInput, match="polic"):
            ControllerCard("tss", "ppo", settings)  # type: ignore[arg-type]
    kept = {"net_arch": {"pi": [8], "vf": [4, 2]}, "ortho_init": False}
    assert ControllerCard("tss", "ppo", kept).settings == kept
    assert not (tmp_path / "made").exists()


def test_a_folder_holds_one_controller(trained: tuple[Any, Path]) -> None:
    with pytest.raises(InvalidInput, match="holds a controller"):
        save_controller(trained[1], trained[0])


def test_a_card_that_could_not_be_read_again_is_not_written(
    trained: tuple[Any, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nats_gym.agents.controller.LARGEST_CARD", 100)
    with pytest.raises(InvalidInput, match="a card has at most 100 bytes"):
        save_controller(tmp_path / "made", trained[0])
    assert not (tmp_path / "made").exists()
