"""Answers that come in another order than questions, against searches written out plainly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from plain_agents import ASKING, KINDS, plain_rea, streams

import nats_gym
from nats_gym.agents import get_agent, prior_of
from nats_gym.agents.local_search import LocalSearch
from nats_gym.agents.pending import Pending
from nats_gym.agents.reinforce import Reinforce
from nats_gym.errors import InvalidInput
from nats_gym.evaluators import Outcome
from nats_gym.spaces import get_space
from nats_gym.streams import RunStreams, run_keys, run_seeds
from nats_gym.tables import load_table

ANY_ORDER = [name for name in ASKING if KINDS[name] == "ask-tell"]


def told(accuracy) -> Outcome:
    accuracy = np.atleast_1d(np.asarray(accuracy, float))
    vectors = np.stack([accuracy, -accuracy % 7], axis=-1)
    return Outcome(accuracy, np.ones(len(accuracy)), objectives=vectors)


def test_what_is_pending_is_known_by_its_number() -> None:
    pending = Pending(3)
    asked = [np.arange(6).reshape(3, 2) + 10 * number for number in range(3)]
    for choices in asked:
        pending.add(choices)
    (found,) = pending.take(np.array([2, 0, 2]))
    assert found.tolist() == [[20, 21], [2, 3], [24, 25]]
    (found,) = pending.take(np.array([1, 1, 1]))
    assert found.tolist() == asked[1].tolist()
    with pytest.raises(InvalidInput, match="evaluation 1 is not one that waits"):
        pending.take(np.array([1, 1, 1]))
    pending.take(np.array([0, 2, 0]))
    with pytest.raises(InvalidInput, match="evaluation 2 "):
        pending.take(None)


@pytest.mark.parametrize("name", ANY_ORDER)
def test_the_number_of_the_last_question_is_the_same_as_none(name: str) -> None:
    space = get_space("sss")
    score = np.random.default_rng(1).random(space.size) * 90
    factory = get_agent(name)
    options = {"prior": score[None]} if prior_of(factory) == "others" else {}
    agents = [factory(space, streams(2), **options) for _ in range(2)]
    for number in range(25):
        choices = [agent.ask() for agent in agents]
        assert (choices[0] == choices[1]).all()
        outcome = told(score[space.index(choices[0])])
        agents[0].tell(outcome)
        agents[1].tell(outcome, np.full(2, number))


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", ANY_ORDER)
def test_a_run_of_many_workers_is_that_run_alone(name: str) -> None:
    given = {"epochs": 12, "evaluations": 30, "workers": 5, "seed": 3}
    together = nats_gym.search("tss", "cifar10", name, runs=3, **given)
    alone = nats_gym.search("tss", "cifar10", name, runs=1, first_run=2, **given)
    for column in ("index", "accuracy", "clock", "evaluation"):
        assert (getattr(together, column)[2:] == getattr(alone, column)).all()
    assert (together.evaluation != np.arange(30)).any()  # answers overtake each other
    busy = together.seconds.sum(axis=1) / together.clock[:, -1]
    assert (busy > 3.5).all()
    assert (busy <= 5).all()


@pytest.mark.parametrize("workers", [1, 2, 4, 16])
def test_asynchronous_evolution_is_that_of_a_plain_simulation(workers: int) -> None:
    table = load_table("tss", "cifar10", "embedded")
    accuracy, seconds = table.mean_accuracy("valid", 12), table.query_seconds(12)
    found = nats_gym.search(
        *("tss", "cifar10", "rea", 12),
        trial="mean",
        evaluations=60,
        runs=2,
        seed=9,
        workers=workers,
    )
    for run, seed in enumerate(run_seeds(9, 2)):
        plain = plain_rea(
            table.space, seed, lambda i, _: seconds[i], lambda i: accuracy[i], workers, 60
        )
        for place, (number, index, clock) in enumerate(plain):
            assert found.evaluation[run, place] == number
            assert found.index[run, place] == index
            assert found.clock[run, place] == pytest.approx(clock)


@pytest.mark.parametrize("workers", [2, 7])
def test_evolution_with_scripted_durations(workers: int) -> None:
    """Durations that have nothing to do with the architecture, ties among them."""
    space = get_space("sss")
    score = np.random.default_rng(2).random(space.size) * 100
    script = np.random.default_rng(3).integers(1, 6, 200).astype(float)
    (seed,) = run_seeds(5, 1)
    agent = get_agent("rea")(space, RunStreams(run_keys([seed])))
    plain = plain_rea(space, seed, lambda _, n: script[n], lambda i: score[i], workers, 80)
    asked: list[int] = []
    for number, index, _ in plain:
        while len(asked) <= number or len(asked) < workers:
            asked.append(int(space.index(agent.ask())[0]))
        assert asked[number] == index
        agent.tell(told(score[index]), np.array([number]))
        asked.append(int(space.index(agent.ask())[0]))


def test_reinforce_steps_on_the_policy_that_there_is_when_the_answer_comes() -> None:
    space = get_space("tss")
    agent = Reinforce(space, streams(1))
    logits = torch.tensor(agent.logits[0].copy(), requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.01)
    asked = [agent.ask()[0] for _ in range(4)]
    numerator = denominator = 0.0
    for number, reward in ((2, 50.0), (0, 80.0), (3, 20.0), (1, 90.0)):
        agent.tell(told(reward), np.array([number]))
        numerator, denominator = 0.9 * numerator + 0.1 * reward, 0.9 * denominator + 0.1
        policy = torch.distributions.Categorical(logits=logits)
        loss = -policy.log_prob(torch.tensor(asked[number])).sum()
        optimizer.zero_grad()
        (loss * (reward - numerator / denominator)).backward()
        optimizer.step()
        assert agent.logits[0] == pytest.approx(logits.detach().numpy(), abs=1e-9)


@pytest.mark.parametrize("improvement", ["first", "best"])
def test_local_search_ends_its_climbs_at_optima_whatever_the_order(improvement: str) -> None:
    """With many workers too: where no neighbour is better, all of them seen."""
    space, random = get_space("tss"), np.random.default_rng(4)
    score = random.random(space.size) * 100
    agent = LocalSearch(space, streams(1), improvement)
    open_: dict[int, int] = {}
    seen: set[int] = set()
    asked, optima = 0, 0
    for _ in range(600):
        while len(open_) < 6:
            index = int(space.index(agent.ask())[0])
            open_[asked] = index
            asked += 1
        number = int(random.choice([*open_]))
        index = open_.pop(number)
        climb, stood = int(agent._climb[0]), int(space.index(agent.current)[0])
        climbing = bool(agent._climbing[0])
        agent.tell(told(score[index]), np.array([number]))
        seen.add(index)
        if climbing and (agent._climb[0] != climb or not agent._climbing[0]):
            optima += 1
            last = stood if agent._climb[0] != climb else int(space.index(agent.current)[0])
            neighbors = space.index(space.neighbors(space.choices(np.array([last])))[0])
            assert set(neighbors.tolist()) <= seen | {last}
    assert optima > 3


class Deaf:
    """An agent of one's own that is told of its last question."""

    def __init__(self, space, streams) -> None:
        self.space, self.streams, self.heard = space, streams, []

    def ask(self):
        return self.space.sample(self.streams, (self.streams.runs,))

    def tell(self, outcome) -> None:
        self.heard.append(outcome.accuracy)


def test_an_agent_that_is_told_of_its_last_question_takes_one_worker() -> None:
    given = {"epochs": 12, "evaluations": 5}
    plain = nats_gym.search("tss", "cifar10", Deaf, **given)
    uniform = nats_gym.search("tss", "cifar10", "random", **given)
    assert (plain.index == uniform.index).all()
    with pytest.raises(InvalidInput, match=r"tell\(self, outcome, evaluation\).*one worker"):
        nats_gym.search("tss", "cifar10", Deaf, workers=2, **given)


class LearnsAlone:
    def learn(self, env: Any, budget: float, seed: int) -> None:
        raise AssertionError("it is refused before")


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        ("darts", "workers= is for agents that ask and are told"),
        (LearnsAlone, r"learns in one environment.*learns_in_copies = True"),
    ],
)
def test_agents_that_do_not_ask_take_no_workers(agent: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        nats_gym.search("tss", "cifar10", agent, workers=2)


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["ppo", "dqn"])
def test_copies_of_an_environment_wait_for_their_slowest(agent: str) -> None:
    """On a table: a batch ends with the longest of its trainings."""
    given: Any = {"epochs": 12, "runs": 2, "evaluations": 30, "trial": "mean"}
    found = nats_gym.search("tss", "cifar10", agent, workers=3, **given)
    table = nats_gym.load_table("tss", "cifar10")
    seconds = table.query_seconds(12)[found.index].reshape(2, 10, 3)
    ends = np.cumsum(seconds.max(-1), axis=1)
    assert found.clock[:, 2::3] == pytest.approx(ends)
    assert (found.accuracy > 0).all()
    alone = nats_gym.search("tss", "cifar10", agent, workers=3, first_run=1, **{**given, "runs": 1})
    assert (alone.index == found.index[1:]).all()
