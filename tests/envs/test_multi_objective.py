"""Vector rewards: conventions of MO-Gymnasium, fronts against a brute force, native vectors."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import nats_gym
from nats_gym.analysis.findings import costs_of
from nats_gym.envs import MultiObjectiveEnv
from nats_gym.errors import InvalidInput
from nats_gym.registration import TABULAR
from nats_gym.spaces import Quantity, TopologySpace, get_space

IDS = [env_id for env_id in TABULAR if env_id.startswith("mo-NATS-")]
ALL = ("accuracy", "latency", "flops", "params")


def last_step(env: Any, choices: Any) -> tuple[np.ndarray, dict[str, Any]]:
    env.reset(seed=0)
    steps = [env.step(digit) for digit in choices]
    for step in steps[:-1]:
        assert not step[1].any()
    assert steps[-1][2]
    return steps[-1][1], steps[-1][4]


def test_digits_with_several_objectives_from_the_table_that_ships() -> None:
    env = gym.make("mo-NATS-SSS-digits-v0", source="digits-300")
    table = env.unwrapped.evaluator.table
    index = int(np.flatnonzero(~np.isnan(table.mean_accuracy()))[5])
    reward, info = last_step(env, table.space.choices(index))
    flops = table.space.flops(table.space.all_choices(), "digits")
    assert reward.tolist() == pytest.approx([info["accuracy"] / 100, -flops[index] / flops.max()])
    front = env.unwrapped.pareto_indices()
    assert not np.isnan(table.mean_accuracy()[front]).any()


@pytest.mark.parametrize("env_id", IDS)
def test_rewards_lie_in_the_reward_space(env_id: str) -> None:
    env = gym.make(env_id, objectives=ALL)
    inner = env.unwrapped
    assert inner.reward_space.shape == (4,)
    assert inner.reward_dim == 4
    rng = np.random.default_rng(0)
    space = inner.architecture_space
    for choices in rng.integers(space.num_choices, size=(5, space.num_decisions)):
        reward, info = last_step(env, choices)
        assert reward in inner.reward_space
        assert reward[0] == np.float32(info["accuracy"] / 100)


def test_costs_are_fractions_of_the_largest() -> None:
    env = gym.make("mo-NATS-TSS-cifar10-v0", objectives=("params", "accuracy", "latency"))
    reward, info = last_step(env, [3] * 6)
    latency = nats_gym.load_table("tss", "cifar10").latency()
    assert reward[0] == -1  # the largest network
    assert info["params"] == pytest.approx(1.531546)
    assert info["latency"] == latency[info["index"]]
    assert reward[2] == pytest.approx(-info["latency"] / latency.max())
    assert info["latency_provenance"] == "measured"
    assert "flops" not in info


def test_a_further_closed_form_serves_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def convolutions(self: TopologySpace, choices: Any, dataset: str) -> Any:
        return np.isin(choices, (2, 3)).sum(axis=-1).astype(np.float64)

    closed_forms = {**TopologySpace.closed_forms, "convolutions": Quantity("convolutions", "convs")}
    monkeypatch.setattr(TopologySpace, "closed_forms", closed_forms)
    monkeypatch.setattr(TopologySpace, "convolutions", convolutions, raising=False)
    env = gym.make(
        "mo-NATS-TSS-cifar10-v0",
        objectives=("convolutions", "accuracy"),
        limits={"convolutions": 1},
    )
    reward, info = last_step(env, [2, 3, 3, 0, 0, 0])
    assert (reward[0], info["convolutions"], info["cost"]) == (-0.5, 3, 2)
    assert env.unwrapped.figure("convolutions").max() == 6
    assert (env.unwrapped.figure("convolutions")[env.unwrapped.limits.feasible] <= 1).all()
    plain = gym.make("NATS-TSS-cifar10-v0", reward=lambda seen: seen.figure("convolutions"))
    assert [plain.reset(seed=0), *(plain.step(2) for _ in range(6))][-1][1] == 6
    table = nats_gym.load_table("tss", "cifar10")
    labels = [cost.quantity.label for cost in costs_of(table, 200, {})]
    assert labels == ["params [M]", "FLOPs [M]", "convs", "latency [s]"]


def test_more_paths_are_better() -> None:
    env = gym.make("mo-NATS-TSS-cifar10-v0", objectives=("accuracy", "paths"))
    assert env.unwrapped.reward_space.high.tolist() == [1, 1]
    for choices, paths in (([3] * 6, 4), ([0, 0, 0, 1, 0, 0], 1), ([0] * 6, 0)):
        reward, info = last_step(env, choices)
        assert (reward[1], info["paths"]) == (paths / 4, paths)
    assert "paths_provenance" not in info


@pytest.mark.parametrize(
    ("env_id", "options"),
    [
        ("mo-NATS-TSS-cifar10-v0", {}),
        ("mo-NATS-TSS-cifar10-v0", {"objectives": ALL, "epochs": 12}),
        ("mo-NATS-SSS-cifar100-v0", {"objectives": ("accuracy", "params"), "max_flops": 50.0}),
        ("mo-NATS-TSS-cifar10-v0", {"objectives": ("flops", "latency")}),
        ("mo-NATS-TSS-cifar10-v0", {"trial": 0}),
    ],
)
def test_the_front_against_a_plain_sweep(env_id: str, options: dict[str, Any]) -> None:
    env = gym.make(env_id, **options).unwrapped
    space, table = (
        env.architecture_space,
        nats_gym.load_table(env.architecture_space.name, env.dataset),
    )
    choices = space.all_choices()
    accuracy = table.mean_accuracy("valid", env.epochs)
    if options.get("trial") == 0:
        accuracy = table.accuracy()[:, 0].astype(float)
    flops, params = space.flops(choices, env.dataset), space.params(choices, env.dataset)
    columns = {
        "accuracy": accuracy / 100,
        "latency": -table.latency() / table.latency().max(),
        "flops": -flops / flops.max(),
        "params": -params / params.max(),
    }
    points = np.stack([columns[name] for name in env.objectives], axis=1).astype(np.float32)
    among = np.flatnonzero(flops <= options.get("max_flops", np.inf))
    best: list[int] = []
    order = among[np.argsort(-points[among].sum(axis=1), kind="stable")]
    while len(order):  # whoever dominates another has a greater sum, so comes before it
        one, others = points[order[0]], points[order]
        best.append(int(order[0]))
        order = order[~((one >= others).all(axis=1) & (one > others).any(axis=1))][1:]
    assert env.pareto_indices().tolist() == sorted(best)
    front = env.pareto_front()
    assert np.array_equal(front, points[sorted(best)])
    half = env.pareto_front(gamma=0.5)
    assert np.allclose(half, np.array(front) * 0.5 ** (space.num_decisions - 1))


def test_hypervolume_of_two_objectives_by_hand() -> None:
    env = gym.make("mo-NATS-TSS-cifar10-v0").unwrapped
    front = np.array(sorted(map(tuple, env.pareto_front())))[::-1]  # by accuracy, falling
    volume, left = 0.0, -1.0
    for accuracy, flops in front:
        volume += accuracy * max(flops - left, 0)
        left = max(flops, left)
    assert env.hypervolume() == pytest.approx(volume, rel=1e-5)
    assert env.hypervolume(front[:3]) < env.hypervolume()
    assert env.hypervolume([[0.5, -0.5]], reference=[0.25, -1.0]) == pytest.approx(0.125)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_the_native_vector_against_scalar_environments(mode: str) -> None:
    options: dict[str, Any] = {"objectives": ALL, "max_params": 0.6}
    native = gym.make_vec("mo-NATS-TSS-cifar10-v0", num_envs=3, autoreset_mode=mode, **options)
    copies = [gym.make("mo-NATS-TSS-cifar10-v0", **options) for _ in range(3)]
    native.reset(seed=7)
    for i, env in enumerate(copies):
        env.reset(seed=7 + i)
    rng = np.random.default_rng(0)
    for _ in range(3):
        for step in range(6):
            actions = rng.integers(5, size=3)
            _, rewards, terminated, _, infos = native.step(actions)
            assert rewards.dtype == np.float32
            for i, env in enumerate(copies):
                _, reward, _, _, info = env.step(actions[i])
                assert np.array_equal(rewards[i], reward)
                if step == 5:
                    final = infos["final_info"] if mode == "SameStep" else infos
                    for name in (*ALL, "cost", "latency_provenance"):
                        assert final[name][i] == info[name]
        for env in copies:
            env.reset()
        if mode == "NextStep":
            native.step(actions)
        elif mode == "Disabled":
            native.reset(options={"reset_mask": terminated})


class FreshWeights(gym.Wrapper, gym.utils.RecordConstructorArgs):
    """LinearReward hands out its own weights, which the checker takes for a shared buffer."""

    def __init__(self, env):
        gym.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)

    def step(self, action):
        *step, info = self.env.step(action)
        return *step, {**info, "reward_weights": info["reward_weights"].copy()}


def test_mo_gymnasiums_wrappers_work() -> None:
    mo_gymnasium = pytest.importorskip("mo_gymnasium")
    from mo_gymnasium.wrappers import LinearReward, MORecordEpisodeStatistics
    from stable_baselines3.common.env_checker import check_env as sb3_check_env

    env = mo_gymnasium.make("mo-NATS-TSS-cifar10-v0")
    weighted = LinearReward(env, weight=np.array([1.0, 0.3]))
    sb3_check_env(weighted)
    with warnings.catch_warnings():  # it warns of every wrapper
        warnings.filterwarnings("ignore", ".*different from the unwrapped version.*")
        check_env(FreshWeights(weighted), skip_render_check=True)
    statistics = MORecordEpisodeStatistics(mo_gymnasium.make("mo-NATS-TSS-cifar10-v0"))
    statistics.reset(seed=0)
    info = [statistics.step(3) for _ in range(6)][-1][4]
    assert info["episode"]["r"].shape == (2,)


@pytest.mark.slow
def test_agents_learn_through_mo_gymnasiums_wrappers() -> None:
    pytest.importorskip("mo_gymnasium")
    from mo_gymnasium.wrappers import LinearReward
    from stable_baselines3 import PPO

    def flops_after_training(weight: float) -> float:
        env = LinearReward(gym.make("mo-NATS-TSS-cifar10-v0"), weight=np.array([1.0, weight]))
        model = PPO(
            "MlpPolicy", env, n_steps=240, batch_size=240, n_epochs=8, learning_rate=5e-3,
            gamma=1.0, seed=0, device="cpu",
        )  # fmt: skip
        model.learn(6000)
        observation, terminated = env.reset(seed=0)[0], False
        while not terminated:
            action, _ = model.predict(observation, deterministic=True)
            observation, _, terminated, _, info = env.step(action)
        return float(info["flops"])

    assert flops_after_training(3.0) < 30 < flops_after_training(0.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"objectives": ("accuracy", "speed")}, ["unknown objective 'speed'"]),
        ({"objectives": ("accuracy", "flop")}, ["Did you mean 'flops'"]),
        ({"objectives": ("accuracy",)}, ["two or more"]),
        ({"objectives": "accuracy"}, ["two or more"]),
        ({"objectives": ("flops", "flops")}, ["each once"]),
        ({"reward": "rank"}, ["reward", "objectives"]),
        ({"penalty": 1.0}, ["penalty", "objectives"]),
        ({"objectives": 5}, ["5"]),
        ({"objectives": (1, 2)}, ["1"]),
    ],
)
def test_bad_objectives_are_refused(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        MultiObjectiveEnv("tss", "cifar10", **options)
    for word in words:
        assert word in str(caught.value)


def test_live_training_knows_no_front() -> None:
    class Live:
        def evaluate(self, index, epochs, trial_keys):
            raise AssertionError("never asked")

    env = MultiObjectiveEnv("tss", "cifar10", evaluator=Live())
    with pytest.raises(InvalidInput, match="live training"):
        env.pareto_front()
    assert get_space("tss").size == 15_625
