"""Environments of tasks against plain ones, native against scalar, what they observe."""

from __future__ import annotations

import pickle
import warnings
from collections import Counter
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from nats_gym.datasets import get_dataset
from nats_gym.envs import DictObservation, DictVectorObservation, GraphObservation, make_sb3
from nats_gym.errors import InvalidInput, NotInTable, SurrogateWarning
from nats_gym.evaluators import Outcome
from nats_gym.registration import TASK_ENVIRONMENTS
from nats_gym.rewards import Lagrangian
from nats_gym.tables import device_latency
from nats_gym.tables.devices import DEVICES as ESTIMATED
from nats_gym.tasks import Task, TaskDistribution, make_tasks
from nats_gym.testing import check_vector_env

BUILDING, SEARCHING = "NATS-TSS-Tasks-v0", "NATS-TSS-Tasks-Budgeted-v0"
DEVICES = {"limits": ["latency/raspi4", "latency/fpga"]}
OBSERVED = {"observe_task": True, "observe_history": True}
MIXED = TaskDistribution(
    (
        Task("tss", "cifar10", 12, {"flops": 60.0}, "rank"),
        Task("tss", "cifar10", 200),
        Task("tss", "cifar100", 12, {"latency/raspi4": 8.0, "params": 0.8}, Lagrangian(0.5)),
        Task("tss", "ImageNet16-120", 200, reward="negative-regret"),
    )
)


class Own:
    """An evaluator that is no table."""

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Outcome:
        accuracy = 40.0 + index % 50
        return Outcome(accuracy, np.full(len(index), 700.0), metrics={"loss": 1.0 / accuracy})


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": (BUILDING, {}),
    "sizes": ("NATS-SSS-Tasks-v0", {"report_test": True, "max_flops": 100.0, **OBSERVED}),
    "devices": (BUILDING, {"tasks": DEVICES, "penalty": 1.0, "trial": "mean", **OBSERVED}),
    "mixed": (BUILDING, {"tasks": MIXED, "figures": ["latency/raspi4"], "observe_figures": True,
                         "penalty": 0.5, **OBSERVED}),
    "an evaluator": (BUILDING, {"tasks": [Task("tss", "cifar10", evaluator=Own()),
                                          Task("tss", "cifar100")], **OBSERVED}),
    "searches": (SEARCHING, {"epochs": 12, "time_budget": 4000.0, **OBSERVED}),
    "judged": ("NATS-SSS-Tasks-Budgeted-v0", {"time_budget": 1500.0, "report_test": True}),
    "mixed searches": (SEARCHING, {"tasks": MIXED, "max_evaluations": 3, "penalty": 0.5,
                                   **OBSERVED}),
    "workers": (SEARCHING, {"tasks": DEVICES, "epochs": 12, "time_budget": 900.0, "workers": 3,
                            **OBSERVED}),
    "schedules": (SEARCHING, {"fidelity_action": True, "max_evaluations": 4, **OBSERVED}),
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", SurrogateWarning)
        warnings.filterwarnings("ignore", ".*different from the unwrapped version.*")
        yield


@pytest.mark.one_in(11)
@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("case", CASES)
def test_native_copies_do_what_scalar_environments_do(case: str, mode: AutoresetMode) -> None:
    env_id, options = CASES[case]
    native = gym.make_vec(env_id, num_envs=5, autoreset_mode=mode, **options)
    copies = [lambda: gym.make(env_id, disable_env_checker=True, **options)] * 5
    check_vector_env(native, SyncVectorEnv(copies, autoreset_mode=mode), steps=90, seed=3)


@pytest.mark.parametrize("env_id", TASK_ENVIRONMENTS)
def test_both_checkers_with_everything_observed(env_id: str) -> None:
    limits = {"tasks": {"limits": ["flops", {"params": 0.5}, None]}}
    for options in ({}, {**limits, **OBSERVED}, {**limits, "side": "train", "penalty": 2.0}):
        env = gym.make(env_id, **options)
        check_env(env.unwrapped, skip_render_check=True)
        sb3_check_env(env)
    for wrapper in (DictObservation, GraphObservation):
        check_env(wrapper(gym.make(env_id, **limits, **OBSERVED)), skip_render_check=True)


@pytest.mark.parametrize("budgeted", [False, True])
def test_an_episode_is_that_of_the_plain_environment(budgeted: bool) -> None:
    options: dict[str, Any] = {"trial": "mean", "epochs": 12}
    if budgeted:
        options["time_budget"] = 3000.0
    env = gym.make(SEARCHING if budgeted else BUILDING, tasks=DEVICES, **options).unwrapped
    suffix = "-Budgeted-v0" if budgeted else "-v0"
    plain = [
        gym.make(f"NATS-TSS-{task.dataset}{suffix}", limits=task.limits, **options).unwrapped
        for task in env.tasks
    ]
    rng = np.random.default_rng(0)
    played: Counter[int] = Counter()
    for episode in range(12):
        observation, info = env.reset(seed=5 if episode == 0 else None)
        place = env.tasks.index(env.task)
        played[place] += 1
        one = plain[place]
        expected = one.reset(seed=5)
        assert data_equivalence((observation, info), expected, exact=True)
        assert np.array_equal(env.action_masks(), one.action_masks())
        ended = False
        while not ended:
            action = rng.integers(5)
            found, expected = env.step(action), one.step(action)
            assert found[1:4] == expected[1:4]
            assert np.array_equal(found[0], expected[0])
            told = dict(found[4])
            if "accuracy" in told:
                assert told.pop("task") == place
                if not budgeted:  # that of one goes on over the tasks of the other
                    del told["clock"], expected[4]["clock"]
            assert data_equivalence(told, expected[4], exact=True)
            ended = found[2]
        index = told["index"]
        assert (env.optimum(), env.rank(index)) == (one.optimum(), one.rank(index))
        assert env.dataset == one.dataset
    assert played == dict.fromkeys(range(6), 2)  # each once a round


def test_the_first_episode_of_a_seed_draws_the_plain_environments_trials() -> None:
    env, found = gym.make(BUILDING).unwrapped, set()
    for seed in range(30):
        env.reset(seed=seed)
        one = gym.make(f"NATS-TSS-{env.task.dataset}-v0").unwrapped
        one.reset(seed=seed)
        for action in (3, 3, 3, 1, 3, 0):
            mine, theirs = env.step(action)[4], one.step(action)[4]
        assert mine == {**theirs, "task": env.tasks.index(env.task)}
        found.add(mine["accuracy"])
    assert len(found) > 3


def test_which_tasks_come_is_what_the_distribution_says() -> None:
    made = make_tasks("tss", leave_out=["ImageNet16-120"], **DEVICES)
    env = gym.make(BUILDING, tasks=made).unwrapped
    drawn = []
    for episode in range(10):
        env.reset(seed=8 if episode == 0 else None)
        drawn.append(env.task)
    assert drawn == made.sample(10, seed=8)
    test = gym.make(BUILDING, tasks=made, side="test").unwrapped
    assert test.tasks == made.test
    assert {task.dataset for task in made.test} == {"ImageNet16-120"}
    envs = gym.make_vec(BUILDING, num_envs=60, tasks=made)
    envs.reset(seed=0)
    counts = Counter(envs.call("task"))
    assert envs.call("task")[8] == made.sample(1, seed=8)[0]
    assert {*counts} == {*made.train}
    assert max(counts.values()) < 30


class History(gym.Wrapper):
    """What RL² gives to an agent, from what any environment returns: at the observation's end."""

    def reset(self, **given: Any) -> Any:
        observation, info = super().reset(**given)
        return np.append(observation, np.zeros(8, np.float32)), info

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        memory = np.zeros(8)  # action, reward, accuracy, end
        memory[action] = 1.0
        memory[5] = max(-1.0, min(1.0, float(reward)))
        if "accuracy" in info:
            guessing = 100 / get_dataset(self.env.unwrapped.dataset).num_classes
            memory[6] = max(0.0, info["accuracy"] - guessing) / (100 - guessing)
            memory[7] = 1.0
        seen = np.append(observation, memory.astype(np.float32))
        return seen, reward, terminated, truncated, info


@pytest.mark.parametrize("case", ["devices", "mixed", "searches", "mixed searches", "workers"])
def test_the_history_is_what_a_plain_wrapper_gives(case: str) -> None:
    env_id, options = CASES[case]
    mine = gym.make(env_id, **options).unwrapped
    theirs = History(gym.make(env_id, **{**options, "observe_history": False}).unwrapped)
    rng, ends = np.random.default_rng(1), 0
    assert data_equivalence(mine.reset(seed=4), theirs.reset(seed=4), exact=True)
    for _ in range(150):
        action = rng.integers(5)
        found = mine.step(action)
        assert data_equivalence(found, theirs.step(action), exact=True)
        ends += found[0][-1] == 1
        if found[2]:
            assert data_equivalence(mine.reset(), theirs.reset(), exact=True)
    assert ends > 5


def test_the_parts_of_an_observation_have_names() -> None:
    env = DictObservation(gym.make(SEARCHING, tasks=DEVICES, **OBSERVED))
    observation, _ = env.reset(seed=0)
    shapes = {name: part.shape for name, part in observation.items()}
    assert shapes == {
        "decided": (30,), "position": (6,), "budget_left": (1,), "incumbent": (1,),
        "task": (12,), "last_action": (5,), "last_reward": (1,), "last_accuracy": (1,),
        "last_ended": (1,),
    }  # fmt: skip
    assert env.observation_space["last_reward"].low == -1
    envs = DictVectorObservation(gym.make_vec(SEARCHING, num_envs=3, tasks=DEVICES, **OBSERVED))
    observations, _ = envs.reset(seed=0)
    for name, part in observation.items():
        assert np.array_equal(observations[name][0], part)


def test_a_descriptor_by_hand() -> None:
    env = gym.make(BUILDING, tasks=DEVICES, observe_task=True).unwrapped
    for place, task in enumerate(env.tasks):
        observation, _ = env.reset(options={"task": place})
        facts = get_dataset(task.dataset)
        ((name, most),) = task.limits.items()
        latency = device_latency("tss", name)
        told = [
            np.log10(facts.num_classes) / 3, np.log2(facts.resolution) / 8,
            np.log10(facts.train_images) / 7, (latency <= most).mean(),
        ]  # fmt: skip
        probes = [976, 2929, 4882, 6835, 8789, 10742, 12695, 14648]
        told += [min(latency[probe] / most / 2, 1) for probe in probes]
        assert observation[36:] == pytest.approx(told, abs=1e-6)
        assert np.array_equal(env.encode([-1] * 6), observation)
    plain = gym.make(BUILDING, observe_task=True)
    observation, _ = plain.reset(seed=0)
    assert observation[39:].tolist() == [1, *[0] * 8]  # nothing is limited


def test_a_task_is_set_by_its_place_its_name_and_itself() -> None:
    env = gym.make(BUILDING, tasks=DEVICES).unwrapped
    order = [env.reset(seed=3) and env.task, *(env.reset() and env.task for _ in range(5))]
    task = env.tasks[4]
    env.reset(seed=3)
    for given in (4, np.int64(4), task.name, task):
        env.reset(options={"task": given})
        assert env.task == task
    assert [env.reset() and env.task for _ in range(5)] == order[1:]  # those were not drawn
    envs = gym.make_vec(BUILDING, num_envs=3, tasks=DEVICES, autoreset_mode="Disabled")
    envs.reset(seed=0, options={"task": 4})
    assert envs.call("task") == (task,) * 3
    envs.reset(options={"task": [0, task.name, 5]})
    assert envs.call("task") == (env.tasks[0], task, env.tasks[5])
    envs.reset(options={"task": 1, "reset_mask": np.array([False, True, False])})
    assert envs.call("task") == (env.tasks[0], env.tasks[1], env.tasks[5])
    plain = [gym.make(f"NATS-TSS-{one.dataset}-v0").unwrapped for one in envs.call("task")]
    assert envs.optimum().tolist() == [one.optimum() for one in plain]
    assert envs.regret([5, 6, 7]) == pytest.approx(
        [one.regret(index) for one, index in zip(plain, (5, 6, 7), strict=True)]
    )
    assert envs.rank([5, 6, 7]).tolist() == [one.rank(i) for i, one in enumerate(plain, 5)]


def test_options_of_a_reset_go_together() -> None:
    env = gym.make(BUILDING, tasks=MIXED).unwrapped
    table = gym.make("NATS-TSS-cifar10-v0").unwrapped.evaluator.table
    env.reset(seed=0, options={"task": 1, "trial": 777, "start": [3, 1, 3]})
    info = [env.step(action) for action in (1, 0, 3)][-1][4]
    assert info["accuracy"] == table.accuracy()[info["index"], 0]
    envs = gym.make_vec(BUILDING, num_envs=2, tasks=MIXED)
    envs.reset(seed=0, options={"task": [1, 3], "trial": 777, "start": [3, 1, 3]})
    infos = [envs.step(np.array([action] * 2)) for action in (1, 0, 3)][-1][4]
    assert infos["accuracy"][0] == info["accuracy"]
    assert infos["task"].tolist() == [1, 3]


@pytest.fixture(scope="module")
def on_devices() -> list[bytes]:
    """An environment and a native vector, pickled: made once."""
    native = gym.make_vec(BUILDING, num_envs=2, tasks=DEVICES)
    return [pickle.dumps(env) for env in (gym.make(BUILDING, tasks=DEVICES).unwrapped, native)]


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"task": 6}, ["unknown task", "6", "0…5"]),
        ({"task": -1}, ["unknown task"]),
        ({"task": "cifar10, latency/raspi4"}, ["Did you mean 'cifar10, latency/raspi4 ≤"]),
        ({"task": Task("tss", "cifar10")}, ["unknown task", "'cifar10'"]),
        ({"tassk": 1}, ["Did you mean 'task'"]),
        ({"task": 0, "trial": "avg"}, ["unknown trial 'avg'"]),
        ({"task": 0, "start": [9]}, ["0…4"]),
    ],
)
def test_a_reset_that_is_refused_leaves_the_episode_as_it_was(
    on_devices: list[bytes], options: dict[str, Any], words: list[str]
) -> None:
    for pickled, action in zip(on_devices, (3, [3, 3]), strict=True):
        env, again = (pickle.loads(pickled) for _ in range(2))
        for one in (env, again):
            one.reset(seed=1)
            one.step(np.array(action) if action != 3 else 3)
        with pytest.raises(InvalidInput) as caught:
            env.reset(options=options)
        assert all(word in str(caught.value) for word in words), caught.value
        for _ in range(8):
            steps = [one.step(np.array(action) if action != 3 else 3) for one in (env, again)]
            assert data_equivalence(*steps)
            if action == 3 and steps[0][2]:
                assert data_equivalence(env.reset(), again.reset())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tasks": {"datasets": ["cifer10"]}}, ["cifer10", "Did you mean 'cifar10'"]),
        ({"tasks": {"limits": ["latency/raspi"]}}, ["Did you mean 'latency/raspi4'"]),
        ({"tasks": {"data": ["cifar10"]}}, ["option of tasks", "datasets"]),
        ({"tasks": [Task("sss", "cifar10")]}, ["of sss", "of tss"]),
        ({"tasks": [Task("tss", "cifar10", limits={"latency/pi": 5})]}, ["unknown limit"]),
        ({"tasks": [Task("tss", "cifar10", limits={"flops": 1e-6})]}, ["the lowest is"]),
        ({"tasks": DEVICES, "limits": {"latency/raspi4": 9}}, ["both limit latency/raspi4"]),
        ({"tasks": {}, "dataset": "cifar10"}, ["dataset= and tasks="]),
        ({"side": "test"}, ["left out to test on"]),
        ({"side": "train_"}, ["Did you mean 'train'"]),
        ({"observe_task": 1}, ["observe_task is True or False"]),
        ({"observe_histroy": True}, ["Did you mean 'observe_history'"]),
        ({"penalty": 1.0}, ["penalty weighs the cost of limits"]),
    ],
)
def test_bad_options_are_one_clear_error(options: dict[str, Any], words: list[str]) -> None:
    for make in (gym.make, gym.make_vec):
        with pytest.raises(InvalidInput) as caught:
            make(BUILDING, **options)
        assert all(word in str(caught.value) for word in words), caught.value


def test_schedules_to_choose_from_are_the_same_in_all_tasks() -> None:
    tasks = [Task("tss", "cifar10"), Task("tss", "cifar100", epochs=12)]
    with pytest.raises(InvalidInput, match="2 to 5 schedules, got 12"):
        gym.make(SEARCHING, tasks=tasks, fidelity_action=True)
    with pytest.raises(NotInTable):
        gym.make(BUILDING, tasks=[Task("tss", "cifar10", 50)])


def test_options_of_tasks_name_their_ids() -> None:
    for option in ("tasks", "side", "observe_task", "observe_history"):
        with pytest.raises(InvalidInput, match=f"{option} is an option of NATS-TSS-Tasks-v0"):
            gym.make("NATS-TSS-cifar10-v0", **{option: "train"})


@pytest.mark.one_in(3)
@pytest.mark.parametrize("case", CASES)
def test_pickled_in_mid_episode_they_go_on_alike(case: str) -> None:
    env_id, options = CASES[case]
    for env in (
        gym.make(env_id, **options).unwrapped,
        gym.make_vec(env_id, num_envs=3, **options).unwrapped,
    ):
        rng = np.random.default_rng(0)
        many = hasattr(env, "num_envs")
        actions = [rng.integers(5, size=3 if many else None) for _ in range(40)]
        env.reset(seed=2)
        for action in actions[:20]:
            if env.step(action)[2] is True:
                env.reset()
        again = pickle.loads(pickle.dumps(env))
        for action in actions[20:]:
            mine, theirs = env.step(action), again.step(action)
            assert data_equivalence(mine, theirs, exact=True)
            if mine[2] is True:
                assert data_equivalence(env.reset(), again.reset(), exact=True)


def test_pictures_show_the_episodes_task() -> None:
    env = gym.make(BUILDING, render_mode="ansi")
    envs = gym.make_vec(BUILDING, num_envs=1, render_mode="ansi")
    for place, name in enumerate(("CIFAR-10", "CIFAR-100", "ImageNet16-120")):
        env.reset(seed=0, options={"task": place})
        envs.reset(seed=0, options={"task": place})
        assert env.render() == envs.render()[0]
        assert name in env.render() or env.unwrapped.dataset in env.render()


def test_one_evaluator_and_one_set_of_limits_for_what_is_the_same() -> None:
    env = gym.make(BUILDING, tasks={"limits": [*ESTIMATED]}, penalty=1.0).unwrapped
    assert len(env.tasks) == 3 * 27
    assert len({id(one.evaluator) for one in env._members}) == 3
    assert len({id(one.reward_function) for one in env._members}) == 3
    assert len({id(one.limits) for one in env._members}) == 27
    again = pickle.loads(pickle.dumps(env))
    for name, count in (("evaluator", 3), ("reward_function", 3), ("_figures", 3), ("limits", 27)):
        assert len({id(getattr(one, name)) for one in again._members}) == count


def test_one_evaluator_of_several_data_sets_keeps_their_figures_apart() -> None:
    tasks = [Task("tss", "cifar10"), Task("tss", "cifar100")]
    env = gym.make(BUILDING, tasks=tasks, evaluator=Own()).unwrapped
    for place, task in enumerate(tasks):
        env.reset(seed=0, options={"task": place})
        one = gym.make(f"NATS-TSS-{task.dataset}-v0").unwrapped
        assert env.optimum() == one.optimum()
        for name in ("params", "latency"):  # the classifiers differ
            assert np.array_equal(env.figure(name), one.figure(name))


def test_a_trial_is_asked_of_the_task_wanted() -> None:
    tasks = [Task("tss", "cifar10", evaluator=Own()), Task("tss", "cifar100")]
    env = gym.make(BUILDING, tasks=tasks).unwrapped
    envs = gym.make_vec(BUILDING, num_envs=2, tasks=tasks)
    table = gym.make("NATS-TSS-cifar100-v0").unwrapped.evaluator.table
    for one, task, action in ((env, 1, 3), (envs, 1, [3, 3]), (envs, [1, 1], [3, 3])):
        one.reset(seed=0, options={"task": 0})
        one.reset(options={"task": task, "trial": 777})
        info = [one.step(np.array(action)) for _ in range(6)][-1][4]
        assert np.all(info["accuracy"] == table.accuracy()[info["index"], 0])
        for refused in ({"task": 0, "trial": 777}, {"trial": 777}):  # any may be drawn
            with pytest.raises(InvalidInput, match="trial chooses among a table's"):
                one.reset(options=refused)


def test_tasks_of_one_name_are_told_apart_by_their_places() -> None:
    tasks = [Task("tss", "cifar10", evaluator=Own()) for _ in range(2)]
    assert tasks[0].name == "cifar10, evaluator Own"
    assert Task("tss", "cifar10", evaluator="train").name == "cifar10, evaluator 'train'"
    env = gym.make(BUILDING, tasks=tasks).unwrapped
    with pytest.raises(InvalidInput, match="several tasks are called 'cifar10, evaluator Own'"):
        env.reset(options={"task": tasks[0].name})
    env.reset(options={"task": tasks[1]})
    assert env.task is env.tasks[1]


def test_a_penalty_beside_no_common_limits() -> None:
    env = gym.make(BUILDING, tasks={"limits": ["flops", None]}, penalty=2.0, limits={}).unwrapped
    assert [isinstance(one.reward_function, Lagrangian) for one in env._members] == [
        True,
        False,
    ] * 3


def test_ppo_learns_over_tasks() -> None:
    env = make_sb3(SEARCHING, num_envs=16, seed=0, max_evaluations=4, **OBSERVED)
    model = PPO("MlpPolicy", env, n_steps=24, batch_size=192, seed=0, device="cpu")
    model.learn(16 * 24 * 2)
    assert {*env.get_attr("task")} == {*env.venv.tasks}


def test_what_all_tasks_have_and_one_has_otherwise_is_refused() -> None:
    tasks = {"datasets": ["cifar10"], "epochs": 12}
    with pytest.raises(InvalidInput, match=r"epochs= of all tasks is 200.*12 epochs"):
        gym.make("NATS-TSS-Tasks-v0", tasks=tasks, epochs=200)
    env = gym.make("NATS-TSS-Tasks-v0", tasks=tasks, epochs=12)
    for other in (Task("sss", "cifar10"), Task("tss", "cifar10", 12, evaluator="proxy")):
        with pytest.raises(InvalidInput, match="task"):
            env.reset(options={"task": other})
    with pytest.raises(InvalidInput, match="of sss is none of this environment's"):
        env.reset(options={"task": Task("sss", "cifar10")})
    env.reset(options={"task": Task("tss", "cifar10", 12)})
