"""The checkers: what is right passes, and each way to be wrong is told as what it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorWrapper
from numpy.typing import NDArray
from plain_agents import ASKING

from nats_gym import load_table
from nats_gym.errors import InvalidInput, NatsGymError, NotInTable
from nats_gym.evaluators import Answer, Outcome, TableEvaluator
from nats_gym.registration import ENVIRONMENTS
from nats_gym.streams import combine
from nats_gym.testing import (
    AgentError,
    EvaluatorError,
    VectorEnvError,
    check_agent,
    check_evaluator,
    check_vector_env,
)

# ── agents ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.one_in(7)
@pytest.mark.parametrize("name", ASKING)
def test_the_packages_agents_pass(name: str) -> None:
    check_agent(name, evaluations=15)


class Climber:
    """An agent that keeps to the protocol: it moves on from what is better."""

    def __init__(self, space: Any, streams: Any) -> None:
        self.space, self.streams = space, streams
        self.asked = space.sample(streams, (streams.runs,))
        self.best = np.zeros(streams.runs)

    def ask(self) -> Any:
        return self.asked

    def tell(self, outcome: Outcome) -> None:
        better = outcome.accuracy > self.best
        self.best = np.maximum(self.best, outcome.accuracy)
        moved = self.space.mutate(self.asked, self.streams)
        self.asked = np.where(better[:, None], moved, self.space.canonical(self.asked))


def climber(**methods: Any) -> Any:
    return type("Mine", (Climber,), methods)


def drawing(generator: Callable[[], Any]) -> Any:
    def ask(self: Any) -> Any:
        self.source = getattr(self, "source", None) or generator()
        return self.source.integers(5, size=(self.streams.runs, 6))

    return climber(ask=ask)


def of_all_runs(self: Any, outcome: Outcome) -> None:
    Climber.tell(self, Outcome(outcome.accuracy - outcome.accuracy.mean(), outcome.seconds))


def test_an_agent_that_keeps_to_the_protocol_passes() -> None:
    check_agent(Climber)


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        (climber(ask=lambda self: self.asked[0]), r"returns choices of shape \(3, 6\), got \(6,\)"),
        (climber(ask=lambda self: self.asked + 9), "asks for what is no architecture: "),
        (climber(ask=lambda self: self.asked + 0.5), "asks for what is no architecture: "),
        (climber(ask=lambda self, runs: self.asked), r"ask\(self\) of .* without arguments"),
        (climber(tell=lambda self: None), r"told by tell\(self, outcome, evaluation\), or tell"),
        (climber(tell=lambda self, o: o.acuracy), "AttributeError: .* has no attribute 'acuracy'"),
        (climber(recommend=lambda self: np.full(3, 99)), "evaluations that were answered, got 99"),
        (climber(ask=lambda self: np.random.randint(5, size=(3, 6))), "that all of Python shares"),  # noqa: NPY002
        (drawing(np.random.default_rng), "twice by one seed: index.*draw comes from the agent's"),
        (drawing(lambda: np.random.default_rng(0)), "alone and beside others: index"),
        (climber(tell=of_all_runs), "alone and beside others: index"),
        (climber(__init__=lambda self, space, streams: 1 / 0), "ZeroDivisionError"),
    ],
)
def test_an_agent_that_breaks_what_a_search_counts_on_is_told(agent: Any, message: str) -> None:
    with pytest.raises(AgentError, match=message):
        check_agent(agent)


def test_what_neither_asks_nor_is_told_is_refused() -> None:
    for given, message in (
        ({"agent": "ppo"}, "for agents that ask and are told, ppo is none"),
        ({"agent": "raea"}, "Did you mean 'rea'"),
        ({"agent": "rea", "evaluations": 1}, "evaluations is an integer from 2"),
        ({"agent": "rea", "options": {"populatoin": 3}}, "population"),
    ):
        with pytest.raises(InvalidInput, match=message):
            check_agent(**given)


# ── evaluators ───────────────────────────────────────────────────────────────────────────────


class Sound:
    """An evaluator that keeps to the protocol."""

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Any:
        accuracy = 50.0 + (combine(trial_keys, index) % np.uint64(1000)).astype(float) / 100.0
        return Outcome(accuracy, np.full(len(index), 2.0), "mine", "mine", {"loss": accuracy / 9})


class Changed(Sound):
    """The same, but for what a test makes of its outcomes."""

    def __init__(self, change: Callable[..., Any]) -> None:
        self.change = change
        self.calls = 0

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Any:
        self.calls += 1
        outcome = super().evaluate(index, epochs, trial_keys)
        return self.change(outcome, index=index, keys=trial_keys, calls=self.calls)


def with_accuracy(value: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda o, **_: Outcome(value(o.accuracy), o.seconds, metrics=o.metrics)


def with_seconds(value: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda o, **_: Outcome(o.accuracy, value(o.seconds))


def nan_at(place: int) -> Callable[[Any], Any]:
    def change(values: Any) -> Any:
        values[place % len(values)] = np.nan
        return values

    return change


def writes(o: Any, index: Any, **_: Any) -> Any:
    index += 1
    return o


def sorts_keys(o: Any, keys: Any, **_: Any) -> Any:
    keys.sort()
    return o


def raises(o: Any, **_: Any) -> Any:
    raise KeyError("no such network")


def raises_alone(o: Any, index: Any, **_: Any) -> Any:
    if len(index) == 1:
        raise IndexError("too few")
    return o


def minds_its_company(o: Any, index: Any, **_: Any) -> Any:
    return Outcome(o.accuracy + (len(index) > 1 and index[-1] != index[0]), o.seconds)


class Reusing(Sound):
    """Returns views of one buffer."""

    def __init__(self) -> None:
        self.buffer = np.zeros(100)

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Any:
        self.buffer[: len(index)] = super().evaluate(index, epochs, trial_keys).accuracy
        return Outcome(self.buffer[: len(index)], np.ones(len(index)))


class Unpicklable(Sound):
    def __init__(self) -> None:
        self.open = lambda: None


class ForgetsInPickles(Sound):
    def __init__(self) -> None:
        self.shift = 1.0

    def __getstate__(self) -> dict[str, Any]:
        return {"shift": 0.0}

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Any:
        outcome = super().evaluate(index, epochs, trial_keys)
        return Outcome(outcome.accuracy + self.shift, outcome.seconds)


@pytest.mark.parametrize("trial", ["random", "mean", 1])
def test_tables_pass(space: Any, trial: Any) -> None:
    evaluator = TableEvaluator(load_table(space.name, "cifar100", "embedded"), trial)
    check_evaluator(evaluator, space.name, "cifar100", picklable=True)


def test_what_a_sound_evaluator_is_asked() -> None:
    asked: list[tuple[int, Any]] = []

    class Noting(Sound):
        def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Any:
            assert (index.dtype, trial_keys.dtype) == (np.int64, np.uint64)
            asked.append((len(index), epochs))
            return super().evaluate(index, epochs, trial_keys)

    check_evaluator(Noting(), "sss", "cifar10", epochs="4/12", index=[7], picklable=False)
    # The many, one, the many in another order, and an episode.
    assert asked == [(3, "4/12"), (1, "4/12"), (3, "4/12"), (1, "4/12")]
    check_evaluator(Sound(), picklable=True)


def test_real_training_need_not_repeat_itself() -> None:
    rng = np.random.default_rng(0)
    live = Changed(with_accuracy(lambda values: values + rng.random(len(values))))
    check_evaluator(live, deterministic=False)
    with pytest.raises(EvaluatorError, match="deterministic=False"):
        check_evaluator(live)


@pytest.mark.parametrize(
    ("evaluator", "words"),
    [
        (Changed(raises), ["a batch of 18", "KeyError", "no such network"]),
        (Changed(raises_alone), ["a batch of one", "IndexError: too few"]),
        (Changed(lambda o, **_: o.accuracy), ["returned a ndarray", "Outcome(accuracy, seconds)"]),
        (Changed(lambda o, **_: None), ["returned a NoneType"]),
        (Changed(with_accuracy(lambda a: a[:, None])), ["accuracy", "(18, 1)", "(18,)"]),
        (Changed(with_accuracy(lambda a: a[0])), ["accuracy", "numpy array", "float64"]),
        (Changed(with_accuracy(list)), ["accuracy", "numpy array", "list"]),
        (Changed(with_accuracy(lambda a: a.astype(np.float32))), ["accuracy", "float32"]),
        (Changed(with_accuracy(nan_at(5))), ["accuracy of architecture", "nan", "0…100"]),
        (Changed(with_accuracy(lambda a: a * 10)), ["accuracy of architecture", "0…100"]),
        (Changed(with_accuracy(lambda a: -a)), ["accuracy of architecture", "0…100"]),
        (Changed(with_seconds(nan_at(2))), ["seconds of architecture", "nan", "finite"]),
        (Changed(with_seconds(lambda s: s / 0.0)), ["seconds", "inf", "finite"]),
        (Changed(with_seconds(lambda s: -s)), ["seconds", "-2.0", "not below 0"]),
        (Changed(with_seconds(lambda s: s.astype(int))), ["seconds", "int64", "float64"]),
        (Changed(with_seconds(lambda s: s[1:])), ["seconds", "(17,)", "(18,)"]),
        (
            Changed(lambda o, **_: Outcome(o.accuracy, o.seconds, None)),  # type: ignore[arg-type]
            ["provenance", "None"],
        ),
        (
            Changed(lambda o, **_: Outcome(o.accuracy, o.seconds, "mine", "")),
            ["seconds_provenance", "''"],
        ),
        (
            Changed(lambda o, **_: Outcome(o.accuracy, o.seconds, metrics=[1])),  # type: ignore[arg-type]
            ["metrics", "list", "dictionary"],
        ),
        (
            Changed(lambda o, **_: Outcome(o.accuracy, o.seconds, metrics={"loss": np.ones(2)})),
            ["metric 'loss'", "(2,)", "(18,)"],
        ),
        (
            Changed(lambda o, **_: Outcome(o.accuracy, o.seconds, metrics={3: o.accuracy})),  # type: ignore[dict-item]
            ["named by a string", "3"],
        ),
        (Changed(writes), ["wrote into index"]),
        (Changed(sorts_keys), ["wrote into trial_keys"]),
        (Reusing(), ["changed", "fresh arrays"]),
        # By the number of calls, by the place in the batch, and by what else is in it.
        (
            Changed(lambda o, calls, **_: Outcome(o.accuracy + calls, o.seconds)),
            ["a batch of one", "was", "same trial key"],
        ),
        (
            Changed(lambda o, index, **_: Outcome(o.accuracy + np.arange(len(index)), o.seconds)),
            ["has it twice"],
        ),
        (
            Changed(lambda o, **_: Outcome(o.accuracy - o.accuracy.min() + 2.0, o.seconds)),
            ["a batch of one"],
        ),
        (Changed(minds_its_company), ["in the batch in another order", "same trial key"]),
    ],
)
def test_a_broken_evaluator_is_told_what_is_wrong(evaluator: Any, words: list[str]) -> None:
    with pytest.raises(EvaluatorError) as caught, np.errstate(divide="ignore"):
        check_evaluator(evaluator)
    for word in words:
        assert word in str(caught.value)


class Streaming(Sound):
    """A sound one that also streams, backwards."""

    identity: Any = "mine"
    provenance: Any = ("mine", "mine")

    def trials_of(self, index: Any, trial_keys: Any) -> Any:
        return trial_keys

    def stream(self, index: Any, epochs: Any, trials: Any) -> Any:
        outcome = self.evaluate(index, epochs, trials)
        for place in reversed(range(len(index))):
            yield place, Answer(outcome.accuracy[place], outcome.seconds[place])


class Empty(Streaming):
    def stream(self, index: Any, epochs: Any, trials: Any) -> Any:
        yield from ()


class Shifted(Streaming):
    def stream(self, index: Any, epochs: Any, trials: Any) -> Any:
        yield from super().stream(index + 1, epochs, trials)


class Tuples(Streaming):
    def stream(self, index: Any, epochs: Any, trials: Any) -> Any:
        yield from ((place, (50.0, 1.0)) for place in range(len(index)))


class Broken(Streaming):
    def stream(self, index: Any, epochs: Any, trials: Any) -> Any:
        raise KeyError("no such network")


class Nameless(Streaming):
    identity = 5


class OneWord(Streaming):
    provenance = "measured"


class Fractions(Streaming):
    def trials_of(self, index: Any, trial_keys: Any) -> Any:
        return trial_keys / 2


class Writing(Streaming):
    def trials_of(self, index: Any, trial_keys: Any) -> Any:
        trial_keys += np.uint64(1)
        return trial_keys


def test_a_sound_stream_passes() -> None:
    check_evaluator(Streaming(), "sss", "cifar100", epochs=12)


@pytest.mark.parametrize(
    ("evaluator", "words"),
    [
        (Empty(), ["without an answer for position 0 of a batch of 2"]),
        (Shifted(), ["in the stream", "by the same trial key"]),
        (Tuples(), ["a nats_gym.evaluators.Answer", "(50.0, 1.0)"]),
        (Broken(), ["stream failed: KeyError", "no such network"]),
        (Nameless(), ["identity is a string, got 5"]),
        (OneWord(), ["provenance is a pair of words", "'measured'"]),
        (Fractions(), ["trials_of returns whole numbers, got float64"]),
        (Writing(), ["wrote into trial_keys"]),
    ],
)
def test_a_broken_stream_is_told_what_is_wrong(evaluator: Any, words: list[str]) -> None:
    with pytest.raises(EvaluatorError) as caught:
        check_evaluator(evaluator, "tss", "cifar10", epochs=12)
    for word in words:
        assert word in str(caught.value)


def test_the_cause_is_chained() -> None:
    with pytest.raises(EvaluatorError) as caught:
        check_evaluator(Changed(raises))
    assert isinstance(caught.value.__cause__, KeyError)
    assert isinstance(caught.value, NatsGymError)
    assert isinstance(caught.value, ValueError)


def test_a_schedule_that_a_table_lacks() -> None:
    table = TableEvaluator(load_table("tss", "cifar10", "embedded"))
    with pytest.raises(NotInTable, match="90"):
        check_evaluator(table, epochs=90)


def test_fractions_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="percent"):
        check_evaluator(Changed(with_accuracy(lambda a: a / 100.0)))


@pytest.mark.parametrize(
    ("evaluator", "words"),
    [
        (Unpicklable(), ["does not pickle", "lambda"]),
        (ForgetsInPickles(), ["pickled copy", "accuracy of architecture"]),
    ],
)
def test_pickles(evaluator: Any, words: list[str]) -> None:
    check_evaluator(evaluator)
    with pytest.raises(EvaluatorError) as caught:
        check_evaluator(evaluator, picklable=True)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: check_evaluator(Sound), ["evaluator"]),  # the class, not an object of it
        (lambda: check_evaluator(3), ["evaluator", "3"]),  # type: ignore[arg-type]
        (lambda: check_evaluator(Sound(), "ttss"), ["ttss", "tss"]),
        (lambda: check_evaluator(Sound(), "tss", "cifar11"), ["cifar11", "cifar10"]),
        (lambda: check_evaluator(Sound(), epochs=-1), ["epochs", "-1"]),
        (lambda: check_evaluator(Sound(), index=[99_999]), ["99999"]),
        (lambda: check_evaluator(Sound(), index=[]), ["index"]),
        (lambda: check_evaluator(TableEvaluator(load_table("sss", "cifar10"))), ["sss", "tss"]),
    ],
)
def test_bad_arguments_of_check_evaluator(call: Any, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


# ── vector environments ──────────────────────────────────────────────────────────────────────

MODES = list(AutoresetMode)
N = 4


class Walk(gym.Env[Any, Any]):
    """Draws what it shows and pays, ends by chance or after 9 steps, refuses masked actions."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(self, observe: str = "box", act: str = "discrete", rewards: int = 0) -> None:
        box = spaces.Box(-1.0, 1.0, (3,), np.float32)
        self.metadata = {"render_modes": []}  # older vector environments write into it
        self.observe, self.act = observe, act
        self.observation_space = {
            "box": box,
            "dict": spaces.Dict({"where": box, "steps": spaces.Discrete(10)}),
            "tuple": spaces.Tuple((box, spaces.Dict({"steps": spaces.Discrete(10)}))),
            "graph": spaces.Graph(box, None),
        }[observe]
        self.action_space = {
            "discrete": spaces.Discrete(3),
            "flat": spaces.MultiDiscrete([3, 2]),
            "rows": spaces.MultiDiscrete([3, 3]),
        }[act]
        self.rewards = rewards
        if rewards:
            self.reward_space = spaces.Box(0.0, 1.0, (rewards,), np.float32)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return self._observation(), {"action_mask": self._mask()}

    def _observation(self) -> Any:
        where = self.np_random.random(3).astype(np.float32)
        steps = np.int64(self.steps)
        if self.observe == "graph":
            return spaces.GraphInstance(np.stack([where] * (1 + self.steps % 2)), None, None)
        if self.observe == "dict":
            return {"where": where, "steps": steps}
        return (where, {"steps": steps}) if self.observe == "tuple" else where

    def _mask(self) -> Any:
        self.forbidden = int(self.np_random.integers(3))
        mask = np.ones(3, np.int8)
        mask[self.forbidden] = 0
        if self.act == "discrete":
            return mask
        flat = np.concatenate([mask, np.ones(2, np.int8)])
        return flat if self.act == "flat" else np.stack([mask, np.ones(3, np.int8)])

    def step(self, action: Any) -> Any:
        first = action if self.act == "discrete" else action[0]
        assert first != self.forbidden
        self.steps += 1
        terminated = bool(self.np_random.random() < 0.1)
        truncated = self.steps == 9 and not terminated
        info: dict[str, Any] = {"action_mask": self._mask()}
        if self.steps % 2 or terminated:
            info["steps"] = self.steps
            info["word"] = f"step {self.steps}"
            info["nested"] = {"where": self.np_random.random(), "ended": terminated}
        reward = self.np_random.random(self.rewards) if self.rewards else self.np_random.random()
        if self.rewards:
            reward = reward.astype(np.float32)
        return self._observation(), reward, terminated, truncated, info


def looped(mode: Any = AutoresetMode.NEXT_STEP, copy: bool = True, **options: Any) -> Any:
    return SyncVectorEnv([lambda: Walk(**options)] * N, copy=copy, autoreset_mode=mode)


class Dense(VectorWrapper):
    """Batches ``final_obs``, zeros where there is none, as native environments do."""

    def step(self, actions: Any) -> Any:
        *rest, infos = super().step(actions)
        if "final_obs" in infos:
            single = self.single_observation_space
            batch = gym.vector.utils.create_empty_array(single, self.num_envs, fn=np.zeros)
            blank = gym.vector.utils.create_empty_array(single, 1, fn=np.zeros)
            (blank,) = gym.vector.utils.iterate(gym.vector.utils.batch_space(single, 1), blank)
            last = [blank if one is None else one for one in infos["final_obs"]]
            infos["final_obs"] = gym.vector.utils.concatenate(single, last, batch)
        return (*rest, infos)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("act", ["discrete", "flat", "rows"])
@pytest.mark.parametrize("observe", ["box", "dict", "tuple", "graph"])
def test_equal_environments_pass(observe: str, act: str, mode: Any) -> None:
    options = {"observe": observe, "act": act}
    check_vector_env(looped(mode, **options), looped(mode, **options), steps=20)
    if observe != "graph":
        check_vector_env(Dense(looped(mode, **options)), looped(mode, **options), steps=20)


def test_several_objectives() -> None:
    vector = pytest.importorskip("mo_gymnasium.wrappers.vector")
    envs = [vector.MOSyncVectorEnv([lambda: Walk(rewards=2)] * N) for _ in range(2)]
    check_vector_env(*envs, steps=40)

    class Swapped(VectorWrapper):
        def step(self, actions: Any) -> Any:
            observations, rewards, *rest = self.env.step(actions)
            return observations, rewards[:, ::-1], *rest

    with pytest.raises(VectorEnvError, match=r"environment 0: reward\[0\]"):
        check_vector_env(Swapped(envs[0]), envs[1])
    with pytest.raises(InvalidInput, match="of looped failed"):  # it holds one reward each
        check_vector_env(envs[0], looped(rewards=2))


@pytest.mark.one_in(29)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("env_id", [i for i in ENVIRONMENTS if "-cifar10-" in i])
def test_shipped_environments_pass(env_id: str, mode: Any) -> None:
    shorter = {"Budgeted": {"time_budget": 800.0}, "Edit": {"horizon": 20}}
    options = next((given for kind, given in shorter.items() if kind in env_id), {})
    copies = [lambda: gym.make(env_id, disable_env_checker=True, **options)] * N
    if env_id.startswith("mo-"):
        vector = pytest.importorskip("mo_gymnasium.wrappers.vector")
        if mode is not AutoresetMode.NEXT_STEP:
            pytest.skip("MO-Gymnasium's loop knows one autoreset mode")
        slow = vector.MOSyncVectorEnv(copies)
    else:
        slow = SyncVectorEnv(copies, autoreset_mode=mode)
    native = gym.make_vec(env_id, num_envs=N, autoreset_mode=mode, **options)
    check_vector_env(native, slow, steps=25 if "NATS-" in env_id else 55)


class Faulty(VectorWrapper):
    """Changes what a step returns, on and after the step of a number."""

    def __init__(self, env: Any, change: Callable[[list[Any]], Any], since: int = 0) -> None:
        super().__init__(env)
        self.change, self.since, self.steps = change, since, 0

    def step(self, actions: Any) -> Any:
        answer = list(super().step(actions))
        self.steps += 1
        if self.steps < self.since:
            return tuple(answer)
        changed = self.change(answer)
        return tuple(answer) if changed is None else changed


def bit_of_observation(answer: list[Any]) -> None:
    answer[0][2, 1] = np.nextafter(answer[0][2, 1], np.float32(9), dtype=np.float32)


def bit_of_reward(answer: list[Any]) -> None:
    answer[1][3] = np.nextafter(answer[1][3], 9.0)


def set_item(part: int, value: Callable[[Any], Any]) -> Callable[[list[Any]], None]:
    def change(answer: list[Any]) -> None:
        answer[part] = value(answer[part])

    return change


def in_infos(name: str, value: Callable[[Any], Any]) -> Callable[[list[Any]], None]:
    def change(answer: list[Any]) -> None:
        if name in answer[4]:
            answer[4][name] = value(answer[4][name])

    return change


def without(*names: str) -> Callable[[list[Any]], None]:
    def change(answer: list[Any]) -> None:
        for name in names:
            answer[4].pop(name, None)

    return change


def next_for_final(answer: list[Any]) -> None:
    if "final_obs" in answer[4]:
        answer[4]["final_obs"] = answer[0].copy()


def exchanged_ends(answer: list[Any]) -> None:
    answer[2], answer[3] = answer[3], answer[2]


def refuse(answer: list[Any]) -> None:
    raise RuntimeError("lost")


def nested(answer: list[Any]) -> None:
    if "nested" in answer[4]:
        answer[4]["nested"]["where"] = answer[4]["nested"]["where"] + 1


SAME = AutoresetMode.SAME_STEP


@pytest.mark.parametrize(
    ("mode", "change", "since", "words"),
    [
        *(
            (mode, bit_of_observation, 17, ["step 17 after", "environment 2: observation[1] is"])
            for mode in MODES
        ),
        (SAME, bit_of_reward, 5, ["step 5 after", "environment 3: reward is", "looped's is"]),
        (SAME, set_item(0, np.float64), 0, ["step 1 after", "float64 (4, 3)", "float32 (4, 3)"]),
        (SAME, set_item(0, lambda o: o[:, :2]), 0, ["observations are float32 (4, 2)"]),
        (SAME, set_item(1, lambda r: r[:, None]), 0, ["reward is float64 (4, 1)", "float64 (4,)"]),
        (SAME, set_item(1, list), 0, ["reward is"]),
        (SAME, set_item(1, np.float32), 0, ["reward is"]),  # bits are lost
        (SAME, set_item(2, lambda t: t.astype(int)), 0, ["terminated is int64", "bool (4,)"]),
        (SAME, set_item(4, lambda i: [i]), 0, ["infos is a list; it is a dictionary"]),
        (SAME, exchanged_ends, 0, ["terminated is", "environment"]),
        (
            SAME,
            lambda a: tuple(a[:4]),
            0,
            ["returned a tuple of 4", "observation, reward, terminated"],
        ),
        (SAME, refuse, 3, ["step 3 after", "failed", "RuntimeError: lost"]),
        (SAME, without("final_obs", "_final_obs"), 0, ["infos lacks 'final_obs'"]),
        (SAME, without("final_info", "_final_info"), 0, ["infos lacks 'final_info'"]),
        (SAME, without("_final_obs"), 0, ["infos lacks '_final_obs'"]),
        (SAME, next_for_final, 0, ["infos['final_obs'][0] is", "environment"]),
        (
            SAME,
            in_infos("final_obs", lambda o: np.array([None, *o], object)[1:-1]),
            0,
            ["infos['final_obs']"],
        ),
        (SAME, in_infos("final_obs", lambda o: 7), 0, ["final_obs", "has nothing for environment"]),
        (SAME, without("word"), 0, ["infos lacks 'word'"]),
        (SAME, lambda a: a[4].update(more=1), 0, ["infos has 'more'", "looped's lacks"]),
        (SAME, nested, 0, ["infos['nested']['where'] is"]),
        (SAME, in_infos("word", lambda w: np.full(N, "x", object)), 0, ["infos['word'] is 'x'"]),
        (SAME, in_infos("_word", lambda m: ~m), 0, ["infos['_word'][0] is", "looped's is"]),
        (SAME, in_infos("_word", lambda m: m.astype(int)), 0, ["infos['_word'] is int64"]),
        (
            SAME,
            in_infos("action_mask", lambda m: 1 - m),
            0,
            ["environment 0: infos['action_mask'][0] is"],
        ),
    ],
)
def test_what_a_step_gets_wrong(mode: Any, change: Any, since: int, words: list[str]) -> None:
    with pytest.raises(VectorEnvError) as caught:
        check_vector_env(Faulty(looped(mode), change, since), looped(mode), steps=40)
    for word in words:
        assert word in str(caught.value)


def test_blanks_and_infos_types_are_free() -> None:
    """Where a mask says nothing is, anything may be; and the final observation may be dense."""

    def fill(answer: list[Any]) -> None:
        infos = answer[4]
        if "steps" in infos:
            infos["steps"] = np.where(infos["_steps"], infos["steps"], 77).astype(np.int32)

    check_vector_env(Faulty(looped(), fill), looped(), steps=40)


class Overriding(VectorWrapper):
    """Resets, steps or spaces as a test has them."""

    def __init__(self, env: Any, **methods: Any) -> None:
        super().__init__(env)
        for name, method in methods.items():
            setattr(self, name, method if not callable(method) else method.__get__(self))


def one_seed_for_all(self: Any, *, seed: Any = None, options: Any = None) -> Any:
    return self.env.reset(seed=[seed] * N if isinstance(seed, int) else seed, options=options)


def seeds_of_a_list_counted_on(self: Any, *, seed: Any = None, options: Any = None) -> Any:
    return self.env.reset(seed=seed[0] if isinstance(seed, list) else seed, options=options)


def forgets_its_streams(self: Any, *, seed: Any = None, options: Any = None) -> Any:
    return self.env.reset(seed=5 if seed is None else seed, options=options)


def resets_all(self: Any, *, seed: Any = None, options: Any = None) -> Any:
    return self.env.reset(seed=seed)


def clears_its_mask(self: Any, *, seed: Any = None, options: Any = None) -> Any:
    answer = self.env.reset(seed=seed, options=options and dict(options))
    if options:
        options["reset_mask"][:] = False
    return answer


def reset_without_infos(self: Any, *, seed: Any = None, options: Any = None) -> Any:
    return self.env.reset(seed=seed, options=options)[0]


def clears_its_actions(self: Any, actions: Any) -> Any:
    answer = self.env.step(actions)
    actions[:] = 7
    return answer


REWARDS = np.zeros(N)


def reuses_rewards(self: Any, actions: Any) -> Any:
    observations, rewards, *rest = self.env.step(actions)
    REWARDS[:] = rewards
    return observations, REWARDS, *rest


@pytest.mark.parametrize(
    ("mode", "methods", "words"),
    [
        (
            AutoresetMode.NEXT_STEP,
            {"reset": one_seed_for_all},
            ["reset(seed=0) (seeds 0…3), environment 1: observation[0]"],
        ),
        (
            SAME,
            {"reset": seeds_of_a_list_counted_on},
            ["reset(seed=[20, 17, 14, 11]), environment 1: observation[0]"],
        ),
        (SAME, {"reset": forgets_its_streams}, ["reset() without a seed, environment 0"]),
        (AutoresetMode.DISABLED, {"reset": resets_all}, ["'reset_mask': [", "environment"]),
        (AutoresetMode.DISABLED, {"reset": clears_its_mask}, ["wrote into the reset_mask"]),
        (SAME, {"reset": reset_without_infos}, ["reset(seed=0)", "tuple of observation, infos"]),
        (SAME, {"step": clears_its_actions}, ["step 1 after", "wrote into the actions"]),
        (SAME, {"step": reuses_rewards}, ["step 2 after", "changed the reward", "fresh arrays"]),
        (
            SAME,
            {"observation_space": spaces.Box(-1.0, 1.0, (N, 3), np.float64)},
            ["observation_space is", "float64", "batch_space"],
        ),
        (SAME, {"action_space": spaces.Discrete(3)}, ["action_space is Discrete(3)"]),
        (
            SAME,
            {"single_action_space": spaces.Discrete(4)},
            ["single_action_space is Discrete(4), looped's Discrete(3)"],
        ),
        (SAME, {"metadata": {}}, ["autoreset_mode", "None"]),
        (SAME, {"metadata": {"autoreset_mode": "SameStep"}}, ["autoreset_mode", "'SameStep'"]),
    ],
)
def test_what_else_is_wrong(mode: Any, methods: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(VectorEnvError) as caught:
        check_vector_env(Overriding(looped(mode), **methods), looped(mode), steps=40)
    for word in words:
        assert word in str(caught.value)


def test_stale_observations() -> None:
    with pytest.raises(VectorEnvError, match=r"step 1 after .* changed the observation that reset"):
        check_vector_env(looped(copy=False), looped())


@pytest.mark.parametrize("does", MODES)
@pytest.mark.parametrize("says", MODES)
def test_another_autoreset_than_declared(says: Any, does: Any) -> None:
    if says is does or (says, does) == (AutoresetMode.DISABLED, AutoresetMode.NEXT_STEP):
        return  # where all that ended are reset at once, as one has to, these two are the same
    liar = Overriding(looped(does), metadata={"autoreset_mode": says})
    with pytest.raises(VectorEnvError, match=r"step|failed"):
        check_vector_env(liar, looped(says))
    with pytest.raises(VectorEnvError, match="autoreset_mode"):
        check_vector_env(looped(does), looped(says))


def test_nan_equals_nan_and_nothing_else() -> None:
    def to_nan(answer: list[Any]) -> None:
        answer[0][0, 0] = np.nan

    check_vector_env(Faulty(looped(), to_nan), Faulty(looped(), to_nan), steps=10)
    with pytest.raises(VectorEnvError, match=r"observation\[0\] is nan, looped's is 0\."):
        check_vector_env(Faulty(looped(), to_nan), looped(), steps=10)


def test_a_check_without_an_end_says_so() -> None:
    with pytest.warns(UserWarning, match="no episode ended"):
        check_vector_env(gym.make_vec("NATS-TSS-cifar10-v0", 2), of_nats(2), steps=5)


def of_nats(num_envs: int) -> Any:
    return SyncVectorEnv([lambda: gym.make("NATS-TSS-cifar10-v0")] * num_envs)


def test_the_cause_of_a_failure_is_chained() -> None:
    with pytest.raises(VectorEnvError) as caught:
        check_vector_env(Faulty(looped(), refuse), looped())
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert isinstance(caught.value, NatsGymError)


def test_the_callers_random_state_stays() -> None:
    slow = looped()
    slow.single_action_space.seed(3)
    expected = Walk().action_space
    expected.seed(3)
    check_vector_env(looped(), slow, steps=10)
    drawn: list[NDArray[Any]] = [slow.single_action_space.sample() for _ in range(9)]
    assert drawn == [expected.sample() for _ in range(9)]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: check_vector_env(Walk(), looped()), ["native", "VectorEnv"]),  # type: ignore[arg-type]
        (lambda: check_vector_env(looped(), Walk), ["looped", "VectorEnv"]),  # type: ignore[arg-type]
        (lambda: check_vector_env(*[looped()] * 2), ["one environment"]),
        (lambda: check_vector_env(of_nats(2), of_nats(3)), ["num_envs=2", "looped 3"]),
        (lambda: check_vector_env(looped(), looped(), steps=0), ["steps", "0"]),
        (lambda: check_vector_env(looped(), looped(), steps=2.0), ["steps", "2.0"]),  # type: ignore[arg-type]
        (lambda: check_vector_env(looped(), looped(), seed=-1), ["seed", "-1"]),
        (
            lambda: check_vector_env(looped(), Overriding(looped(), metadata={})),
            ["looped.metadata", "AutoresetMode"],
        ),
    ],
)
def test_bad_arguments_of_check_vector_env(call: Any, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
