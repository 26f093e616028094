"""What observed fronts are worth: against brute force, and the whole table's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nats_gym
from nats_gym.errors import InvalidInput, NotInTable
from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams
from nats_gym.study.figures import hypervolume_curves

OBJECTIVES = ("accuracy", "latency/raspi4")


def staircase(points: list[tuple[float, float]], reference: tuple[float, float]) -> float:
    """Area that points dominate above a reference, strip by strip."""
    area, height = 0.0, reference[1]
    for x, y in sorted(points, reverse=True):
        if x > reference[0] and y > height:
            area, height = area + (x - reference[0]) * (y - height), y
    return area


def observed_front(points: list[tuple[float, float]]) -> list[int]:
    found: list[int] = []
    highest = -float("inf")
    for i in sorted(range(len(points)), key=lambda i: points[i], reverse=True):
        if points[i][1] > highest:
            found, highest = [*found, i], points[i][1]
    return found


@pytest.mark.parametrize("agent", ["random", "rea", "nsga2"])
@pytest.mark.parametrize("reference", [None, (0.5, -0.6)])
def test_curves_are_those_of_brute_force(agent: str, reference: Any) -> None:
    options = {"objectives": list(OBJECTIVES)} if agent == "nsga2" else None
    found = nats_gym.search("tss", "cifar10", agent, 12, evaluations=60, runs=2, options=options)
    shares = found.hypervolume(OBJECTIVES, reference)
    latency = found.table.figure("latency/raspi4").values
    cost = -latency / latency.max()
    truth = found.table.mean_accuracy("valid") / 100
    best = observed_front([*zip(truth, cost, strict=True)])
    ends = [(float(of[best].min()), float(of[best].max())) for of in (truth, cost)]
    worst = reference or tuple(low - 0.1 * (high - low) for low, high in ends)
    whole = staircase([*zip(truth, cost, strict=True)], worst)
    for run in range(2):
        index, seen = found.index[run], found.accuracy[run] / 100
        for count in (1, 2, 5, 17, 60):
            points = [*zip(seen[:count], cost[index[:count]], strict=True)]
            front = index[observed_front(points)]
            area = staircase([*zip(truth[front], cost[front], strict=True)], worst)
            assert shares[run, count - 1] == pytest.approx(area / whole, abs=1e-12)


class Listed:
    """Asks for given architectures, over and over."""

    def __init__(self, space: ArchitectureSpace, streams: RunStreams, listed: Any = (0,)) -> None:
        self.choices, self.runs, self.asked = space.choices(np.array(listed)), streams.runs, 0

    def ask(self) -> Any:
        self.asked += 1
        return np.tile(self.choices[(self.asked - 1) % len(self.choices)], (self.runs, 1))

    def tell(self, outcome: Outcome) -> None:
        """It learns nothing."""


class Guess:
    """An evaluator."""

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Outcome:
        return Outcome(np.full(1, 50.0), np.ones(1))


def test_the_whole_front_has_all_of_it_and_nothing_more() -> None:
    env = nats_gym.envs.MultiObjectiveEnv("tss", "cifar10", objectives=OBJECTIVES)
    front = env.pareto_indices().tolist()
    found = nats_gym.search(
        *("tss", "cifar10", Listed),
        options={"listed": front},
        evaluations=len(front),
        trial="mean",
    )
    shares = found.hypervolume(OBJECTIVES)[0]
    assert shares[-1] == pytest.approx(1.0)
    assert (np.diff(shares) >= 0).all()
    assert shares[-2] < 1.0
    # With another reference too, and with objectives of which more is better.
    assert found.hypervolume(OBJECTIVES, [0.9, -0.5])[0, -1] == pytest.approx(1.0)


def test_behind_the_last_evaluation_there_is_nothing() -> None:
    found = nats_gym.search("tss", "cifar10", "random", 12, budget=8_000, runs=5)
    assert np.array_equal(np.isnan(found.hypervolume(OBJECTIVES)), ~found.there)


def test_what_has_no_front_is_refused() -> None:
    found = nats_gym.search("tss", "cifar10", "random", evaluations=3)
    with pytest.raises(InvalidInput, match="nothing in the table is better"):
        found.hypervolume(OBJECTIVES, (1.0, 0.0))
    with pytest.raises(InvalidInput, match="objectives, the reference"):
        found.hypervolume(OBJECTIVES, (0.0, 0.0, 0.0))
    with pytest.raises(InvalidInput, match="two or more"):
        found.hypervolume(["accuracy"])
    with pytest.raises(NotInTable, match="has no table"):
        nats_gym.search("sss", "digits", "random", evaluator=Guess(), evaluations=1).hypervolume()


def test_a_study_draws_them(tmp_path: Any) -> None:
    searches = {
        agent: nats_gym.search("tss", "cifar10", agent, evaluations=40, runs=3)
        for agent in ("random", "nsga2")
    }
    axes = hypervolume_curves(searches, OBJECTIVES).axes[0]
    for line, result in zip(axes.lines, searches.values(), strict=True):
        count, missing = line.get_data()
        shares = result.hypervolume(OBJECTIVES).mean(axis=0)
        assert missing == pytest.approx(100 * (1 - shares[np.asarray(count, int) - 1]))
    assert "latency/raspi4 (surrogate)" in axes.get_ylabel()
