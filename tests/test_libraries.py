"""What other libraries expect of the environments: how they probe, wrap and ask."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import SyncVectorEnv

import nats_gym
from nats_gym.errors import InvalidInput, SurrogateWarning, UnknownOption, warn_caller

ID = "NATS-TSS-cifar10-v0"
IDS = (ID, "NATS-SSS-cifar10-v0", "mo-NATS-TSS-cifar10-v0", "NATS-TSS-cifar100-Budgeted-v0")


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
@pytest.mark.parametrize("env_id", IDS)
def test_an_unknown_option_is_pythons_type_error_too(make: Any, env_id: str) -> None:
    with pytest.raises(UnknownOption, match="unexpected keyword argument 'frameskip'") as caught:
        make(env_id, frameskip=1)
    assert isinstance(caught.value, (TypeError, ValueError))
    assert isinstance(caught.value, InvalidInput)
    with pytest.raises(TypeError, match=r"argument 'max_flop'.*"):
        make(env_id, max_flop=3)


def test_unknown_options_of_evaluators_and_agents_are_type_errors_too() -> None:
    with pytest.raises(
        TypeError, match=r"option of evaluator train 'devise'.*Did you mean 'device'"
    ):
        gym.make(ID, evaluator={"name": "train", "devise": "cpu"})
    with pytest.raises(TypeError, match="unexpected keyword argument 'sample_sizes'"):
        nats_gym.search("tss", "cifar10", "rea", options={"sample_sizes": 3})


def test_max_episode_steps_of_a_native_vector_is_refused_with_the_remedy() -> None:
    with pytest.raises(TypeError, match="vectorization_mode='sync'"):
        gym.make_vec(ID, num_envs=2, max_episode_steps=3)
    envs = gym.make_vec(ID, num_envs=2, max_episode_steps=3, vectorization_mode="sync")
    envs.reset(seed=0)
    for _ in range(3):
        truncated = envs.step(np.zeros(2, np.int64))[3]
    assert truncated.all()


def test_native_vectors_answer_calls_as_gymnasiums_do() -> None:
    native: Any = gym.make_vec(ID, num_envs=3, render_mode="ansi", max_flops=60)
    plain: Any = SyncVectorEnv([lambda: gym.make(ID, render_mode="ansi", max_flops=60)] * 3)
    for envs in (native, plain):
        envs.reset(seed=0)
        envs.step(np.array([1, 2, 3]))
    assert native.call("render") == plain.call("render")
    np.testing.assert_array_equal(native.call("action_masks"), plain.call("action_masks"))
    assert native.call("optimum") == plain.call("optimum")
    assert native.call("regret", 11) == plain.call("regret", 11)
    for name in ("dataset", "epochs", "render_mode", "spec_of_mine"):
        for envs in (native, plain):
            envs.set_attr("spec_of_mine", [7, 7, 7])
        assert native.get_attr(name) == plain.get_attr(name)
    assert gym.make_vec(ID, num_envs=2).call("render") == (None, None)


def test_calls_that_have_no_answer_for_one_copy_are_refused() -> None:
    envs: Any = gym.make_vec(ID, num_envs=3)
    for name in ("reset", "step", "close", "clock", "np_random"):
        with pytest.raises(AttributeError, match=f"{name}: the copies"):
            envs.call(name)
        with pytest.raises(AttributeError, match=f"{name}: the copies"):
            envs.set_attr(name, 1)
    with pytest.raises(AttributeError, match="nothing_such"):
        envs.get_attr("nothing_such")
    with pytest.raises(ValueError, match="2 values for 3 copies"):
        envs.set_attr("mine", [1, 2])
    with pytest.raises(ValueError, match="'mine': its values may not differ"):
        envs.set_attr("mine", [1, 2, 3])


def test_a_number_is_judged_by_a_number() -> None:
    env: Any = gym.make(ID).unwrapped
    mean = nats_gym.load_table("tss", "cifar10").mean_accuracy()
    for given in (11, np.int64(11)):
        regret, rank = env.regret(given), env.rank(given)
        assert (type(regret), type(rank)) == (float, int)
        assert regret == mean.max() - mean[11]
        assert rank == 1 + (mean > mean[11]).sum()
    assert env.regret([11, 12]).shape == env.rank([11, 12]).shape == (2,)
    partial: Any = gym.make("NATS-TSS-digits-v0", source="digits-300").unwrapped
    lacking = int(np.flatnonzero(np.isnan(partial.evaluator.table.mean_accuracy()))[0])
    assert np.isnan(partial.rank(lacking))
    assert type(partial.regret(lacking)) is float


@pytest.mark.parametrize("made", [lambda: gym.make(ID).unwrapped, lambda: gym.make_vec(ID, 2)])
def test_a_step_before_the_first_reset_says_so(made: Any) -> None:
    env = made()
    actions = env.action_space.sample()
    with pytest.raises(ResetNeeded, match="no episode has begun"):
        env.step(actions)


def test_a_warning_points_at_the_callers_line() -> None:
    from nats_gym import envs

    envs.sources._warned.clear()
    device_tasks = nats_gym.tasks.make_tasks(
        "tss", datasets=["ImageNet16-120"], epochs=200, limits=[{"latency/raspi4": 20}]
    )
    for call in (
        lambda: gym.make(ID, epochs=12),
        lambda: gym.make_vec("NATS-TSS-cifar100-v0", num_envs=2, epochs=12),
        lambda: gym.make("NATS-SSS-cifar10-Budgeted-v0"),
        lambda: gym.make(ID, figures=["latency/1080ti_1"]),
        lambda: gym.make("NATS-TSS-cifar100-v0", report_test=True),
        lambda: gym.make("NATS-TSS-Tasks-v0", tasks=device_tasks, epochs=200),
        lambda: warn_caller("anything", SurrogateWarning),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        (found,) = [one for one in caught if one.category is SurrogateWarning]
        assert found.filename == __file__
        assert found.lineno == call.__code__.co_firstlineno


def test_skrl_wraps_and_renders_native_vectors() -> None:
    wrap_env = pytest.importorskip("skrl.envs.wrappers.torch").wrap_env
    import torch

    env = wrap_env(gym.make_vec(ID, num_envs=4, render_mode="rgb_array"))
    env.reset()
    for _ in range(7):
        _, reward, _, _, _ = env.step(torch.zeros(4, 1, dtype=torch.int64))
    assert reward.shape == (4, 1)
    assert len(env.render()) == 4


# ── TorchRL ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def torchrl() -> Any:
    return pytest.importorskip("torchrl.envs", reason="TorchRL is not installed")


@pytest.mark.parametrize("env_id", IDS)
def test_torchrl_makes_environments_by_id(torchrl: Any, env_id: str) -> None:
    env = torchrl.GymEnv(env_id)
    torchrl.check_env_specs(env)
    rollout = env.rollout(20)
    assert rollout["next", "reward"].shape[-1] == (2 if env_id.startswith("mo-") else 1)


def test_torchrl_masks_actions(torchrl: Any) -> None:
    import torch
    from torchrl.data import Binary, Composite

    made = gym.make(ID, max_flops=30)
    masks = Composite(action_mask=Binary(5, dtype=torch.bool, shape=(5,)))
    reader = torchrl.gym_like.default_info_dict_reader(["action_mask"], spec=masks)
    env = torchrl.GymWrapper(made).set_info_dict_reader(reader)
    env = torchrl.TransformedEnv(env, torchrl.transforms.ActionMask())
    torch.manual_seed(0)
    flops = made.unwrapped.figure("flops")
    for _ in range(20):
        actions = env.rollout(6)["action"].argmax(dim=-1)
        assert flops[made.unwrapped.architecture_space.index_of(actions.tolist())] <= 30
