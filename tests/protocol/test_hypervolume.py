"""What observed fronts are worth: against brute force, and the whole table's."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import nats_gym
from nats_gym.cli.terminal import print_grid
from nats_gym.errors import InvalidInput, NotInTable
from nats_gym.evaluators import Outcome
from nats_gym.results.summary import front_grid, summary_grid
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams
from nats_gym.study import load_study
from nats_gym.study.figures import fronts, hypervolume_curves
from nats_gym.study.report import write_report
from nats_gym.study.running import run_study
from nats_gym.study.spec import Study

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


def test_the_front_of_a_run_is_that_of_brute_force() -> None:
    found = nats_gym.search("tss", "cifar10", "random", 12, budget=9_000, runs=4)
    latency = found.table.figure("latency/raspi4").values
    for run, front in enumerate(found.front(OBJECTIVES)):
        count = found.evaluations[run]
        points = [
            *zip(found.accuracy[run, :count], -latency[found.index[run, :count]], strict=True)
        ]
        assert front.tolist() == observed_front(points)
    live = nats_gym.search("tss", "cifar10", "random", evaluator=Guess(), evaluations=9)
    (front,) = live.front(OBJECTIVES)  # of one accuracy: the quickest
    assert front.tolist() == [int(np.argmin(latency[live.index[0]]))]


def test_a_search_by_objectives_says_what_its_front_is_worth(capsys: Any) -> None:
    options = {"objectives": list(OBJECTIVES)}
    found = nats_gym.search("tss", "cifar10", "nsga2", evaluations=30, runs=3, options=options)
    other = nats_gym.search("tss", "cifar10", "random", evaluations=30)
    shares = 100 * found.hypervolume(OBJECTIVES)[:, -1]
    assert (found.weighed, other.weighed) == (OBJECTIVES, ())
    assert found.summary()["hypervolume"] == {"mean": shares.mean(), "std": shares.std()}
    assert "hypervolume" not in other.summary()
    print_grid(summary_grid({"nsga2": found, "random": other}))
    print_grid(front_grid(found))
    told = " ".join(capsys.readouterr().out.split())
    assert f"{shares.mean():.2f} ± {shares.std():.2f} — accuracy (measured), latency" in told
    front = found.front()[0]
    assert f"front of the first run: {len(front)} architectures" in told
    for place in front:
        index = int(found.index[0, place])
        latency = found.table.figure("latency/raspi4").values[index]
        assert f"{index} {found.accuracy[0, place]:.2f} {latency:.6g}" in told


def test_hypervolumes_by_other_objectives_have_a_row_of_their_own() -> None:
    asked = {"near": OBJECTIVES, "far": ("accuracy", "flops"), "again": OBJECTIVES}
    found = {
        label: nats_gym.search(
            "tss", "cifar10", "nsga2", evaluations=20, options={"objectives": list(objectives)}
        )
        for label, objectives in asked.items()
    }
    rows = zip(*(column.cells for column in summary_grid(found).columns), strict=True)
    near, far = (row for row in rows if str(row[0]).startswith("hypervolume"))
    assert str(near[0]).endswith("by accuracy, latency/raspi4")
    assert str(far[0]).endswith("by accuracy, flops")
    assert [cell == "—" for cell in near[1:4]] == [False, True, False]
    assert [cell == "—" for cell in far[1:4]] == [True, False, True]
    assert far[-1] == "accuracy (measured), flops (closed form)"


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
    axes = fronts(searches, OBJECTIVES).axes[0]
    table = searches["random"].table
    latency, truth = (table.figure(name).values for name in ("latency/raspi4", "accuracy"))
    for line, result in zip(axes.lines, searches.values(), strict=False):
        ends = result.hypervolume(OBJECTIVES)[:, -1]
        run = int(np.flatnonzero(ends == np.median(ends))[0])
        index = result.index[run, result.front(OBJECTIVES)[run]]
        points = [*zip(truth[index], -latency[index], strict=True)]
        expected = [points[i] for i in observed_front(points)]
        assert [*zip(*line.get_data(), strict=True)] == [(-cost, y) for y, cost in expected[::-1]]
    whole = nats_gym.envs.MultiObjectiveEnv("tss", table.dataset, objectives=OBJECTIVES)
    assert sorted(axes.lines[2].get_xdata()) == sorted(latency[whole.pareto_indices()])
    with pytest.raises(InvalidInput, match="two objectives"):
        fronts(searches, (*OBJECTIVES, "flops"))


@pytest.mark.slow
def test_a_report_tells_of_hypervolumes(tmp_path: Any) -> None:
    options = {"objectives": list(OBJECTIVES)}
    spec = {
        "runs": 3,
        "searches": [{"space": "tss", "datasets": ["cifar10"], "epochs": 12, "budget": 15_000}],
        "agents": {"random": {}, "nsga2": {"options": options}},
    }
    folder = run_study(Study.of(spec), tmp_path, jobs=1)
    page = write_report(folder).read_text()
    cells = load_study(folder).cells
    least = min(int(cell.result.evaluations.min()) for cell in cells)
    assert f"after {least}" in page
    for cell in cells:
        shares = 100 * cell.result.hypervolume(OBJECTIVES)
        for count in (1, 3, 10, least):
            assert f">{shares[:, count - 1].mean():.2f}<" in page
    names = {path.name for path in (folder / "report" / "plots").iterdir()}
    for kind in ("hypervolume", "front"):
        assert any(f"-{kind}-accuracy-latency-raspi4.svg" in name for name in names)
    assert "The reference point is the worst on the table’s front" in page
    for plot in ("Hypervolume", "Fronts"):  # what each objective rests on
        assert f"{plot} by accuracy (measured), latency/raspi4 (surrogate)" in page
    (banner,) = re.findall(r"In whole or in part the (.*) come from a surrogate model", page)
    assert banner.endswith("full-schedule test accuracies and latency/raspi4")


@pytest.mark.parametrize("agent", ["nsga2", "scalarised-rea"])
def test_an_objective_of_a_part_of_the_space_is_refused(agent: str) -> None:
    options = {"objectives": ["accuracy", "proxy/synflow"]}
    with pytest.raises(InvalidInput, match="proxy/synflow is known of some architectures only"):
        nats_gym.search("sss", "cifar10", agent, evaluations=5, options=options)
    found = nats_gym.search("tss", "cifar10", agent, evaluations=5, options=options)
    assert found.hypervolume().shape == (1, 5)
    part = nats_gym.search("sss", "cifar10", "random", evaluations=5)
    for judge in (part.hypervolume, part.front):
        with pytest.raises(InvalidInput, match="proxy/synflow is known of some architectures only"):
            judge(options["objectives"])
