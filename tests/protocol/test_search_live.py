"""Searches on an evaluator: real workers, a journal, and what is left of it all."""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_agents import ASKING, KINDS, plain_rea

import nats_gym
from nats_gym.agents import get_agent, learns_in_copies, takes_guide
from nats_gym.errors import InvalidInput, NatsGymError, NotInTable
from nats_gym.evaluators import Outcome
from nats_gym.processes.pool import WorkerDied
from nats_gym.protocol.journal import UnreadableJournal
from nats_gym.protocol.live import Standing
from nats_gym.results.plots import plot_incumbent
from nats_gym.results.result import SearchResult
from nats_gym.results.summary import summary_grid
from nats_gym.simulation.schedule import trained_epochs
from nats_gym.spaces import get_space
from nats_gym.streams import run_seeds
from nats_gym.study import validate

COLUMNS = ("index", "accuracy", "seconds", "clock", "rung", "evaluation", "continues")
LEARNERS = [  # but for those that are trained already, and for another space than this one
    name
    for name, kind in KINDS.items()
    if kind == "environment" and not hasattr(get_agent(name), "trained_for")
]
IN_COPIES = [name for name in LEARNERS if learns_in_copies(get_agent(name))]


class Scripted:
    """Answers by a formula; fails, waits and counts as it is told."""

    identity = "scripted"

    def __init__(self, wait: float = 0.0, fails_at: int | None = None, dead: Any = ()) -> None:
        self.wait, self.fails_at, self.dead = wait, fails_at, dead
        self.asked: list[tuple[int, Any, int]] = []
        self.closed = 0
        self.together: threading.Barrier | None = None

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Outcome:
        if self.together is not None:
            self.together.wait(timeout=60)
        number = len(self.asked)
        self.asked.append((int(index[0]), epochs, int(trial_keys[0])))
        if number == self.fails_at:
            raise RuntimeError("the machine is on fire")
        if number in self.dead:
            raise WorkerDied("the worker died")
        time.sleep(self.wait)
        accuracy = (index * 7919 % 8191) / 8191 * 60 + 2.0 * trained_epochs(epochs)
        status = np.where(index % 5 == 0, "diverged", "completed")
        seconds = np.full(1, float(trained_epochs(epochs)))
        return Outcome(accuracy, seconds, "measured", "measured", {"status": status})

    def close(self) -> None:
        self.closed += 1
        if self.together is not None:
            self.together.abort()


def search(agent: Any, evaluator: Any = None, **given: Any) -> SearchResult:
    evaluator = Scripted() if evaluator is None else evaluator
    given = {"epochs": 9, "evaluations": 40, "seed": 2, **given}
    return nats_gym.search("sss", "digits", agent, evaluator=evaluator, **given)


def same(one: SearchResult, other: SearchResult, *columns: str) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
        for name in columns or COLUMNS
    )


def cut(folder: Path, answers: int) -> None:
    """Leave the first answers of every run in a journal, as a kill would."""
    with sqlite3.connect(folder / "journal.sqlite") as file:
        file.execute("DELETE FROM answers WHERE place >= ?", (answers,))
    file.close()


@pytest.mark.one_in(11)
@pytest.mark.parametrize("agent", ASKING)
def test_a_search_goes_on_wherever_it_was_cut(agent: str, tmp_path: Path) -> None:
    whole = search(agent, runs=2, checkpoints=tmp_path)
    assert whole.evaluations.tolist() == [40, 40]
    without = search(agent, runs=2)
    untimed = [name for name in COLUMNS if name != "clock"]
    assert same(whole, without, *untimed)
    idle = Scripted()
    assert same(search(agent, idle, runs=2, checkpoints=tmp_path), whole)
    assert not idle.asked  # all of it stands in the journal
    for answers in (31, 13, 0):
        cut(tmp_path, answers)
        evaluator = Scripted()
        again = search(agent, evaluator, runs=2, checkpoints=tmp_path)
        assert same(again, whole, *untimed)
        assert (again.clock[:, :answers] == whole.clock[:, :answers]).all()
        assert (np.diff(again.clock) >= 0).all()
        assert len(evaluator.asked) == 2 * (40 - answers)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("agent", [name for name in ASKING if takes_guide(get_agent(name))])
def test_a_guided_search_goes_on_where_it_was_cut(agent: str, tmp_path: Path) -> None:
    options = {"score": "params", "prefer": "high", "warmup": 500, "proposals": 3}
    whole = search(agent, runs=2, options=options, checkpoints=tmp_path)
    assert whole.provenance["score"] == "params: closed form"
    cut(tmp_path, 13)
    evaluator = Scripted()
    again = search(agent, evaluator, runs=2, options=options, checkpoints=tmp_path)
    assert same(again, whole, "index", "accuracy", "evaluation")
    assert len(evaluator.asked) == 2 * (40 - 13)
    back = SearchResult.load(again.save(tmp_path / "kept"))
    assert back.provenance == again.provenance


@pytest.mark.one_in(7)
@pytest.mark.parametrize("agent", ASKING)
def test_many_workers_and_an_evaluator_that_breaks(agent: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="on fire"):
        search(agent, Scripted(fails_at=17), workers=3, checkpoints=tmp_path)
    kept: list[Standing] = []
    found = search(agent, workers=3, checkpoints=tmp_path, watch=kept.append)
    replayed = [one for one in kept if one.replayed]
    assert 14 <= len(replayed) <= 17
    assert [one.clock for one in kept] == found.clock[0].tolist()
    assert kept[-1].accuracy == found.accuracy[0].max()  # which an agent may not answer with
    if found.recommends is None:
        assert kept[-1].architecture == found.recommended[0]
    wrong = (found.index % 5 == 0).sum()
    assert kept[-1].failures == wrong == int(found.provenance["failures"])
    idle = Scripted()
    assert same(search(agent, idle, workers=3, checkpoints=tmp_path), found)
    assert not idle.asked


@pytest.mark.one_in(3)
@pytest.mark.parametrize("agent", LEARNERS)
def test_agents_that_learn_in_an_environment(agent: str, tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    given = {"evaluations": 12, "epochs": 2, "checkpoints": tmp_path}
    whole = search(agent, Scripted(0.005), **given)
    assert whole.evaluations.tolist() == [12]
    assert whole.clock[0, -1] == pytest.approx(whole.seconds.sum())
    idle = Scripted()
    assert same(search(agent, idle, **given), whole)
    cut(tmp_path, 5)
    evaluator = Scripted()
    again = search(agent, evaluator, **given)
    assert same(again, whole, "index", "accuracy")
    assert (again.clock[:, :5] == whole.clock[:, :5]).all()
    assert len(evaluator.asked) >= 7


@pytest.mark.one_in(3)
@pytest.mark.parametrize("agent", IN_COPIES)
def test_what_learns_in_copies_has_its_workers_work_at_once(agent: str, tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    given = {"evaluations": 10, "epochs": 2, "workers": 3, "checkpoints": tmp_path}
    evaluator = Scripted()
    evaluator.together = threading.Barrier(3)
    whole = search(agent, evaluator, **given)
    assert whole.evaluations.tolist() == [10]
    assert len(evaluator.asked) == 12  # the last three at once
    answered = sorted(index for index, _, _ in evaluator.asked)
    assert not {*whole.index[0].tolist()} - {*answered}
    assert sorted(whole.evaluation[0, :9]) == [*range(9)]  # in the order of the answers
    assert np.cumsum(whole.seconds[0]) == pytest.approx(whole.clock[0])
    (verdict,) = validate(whole.save(tmp_path))
    assert verdict.holds, verdict.reasons
    idle = Scripted()
    assert same(search(agent, idle, **given), whole)
    assert not idle.asked
    cut(tmp_path, 5)  # within a batch
    again = search(agent, **given)
    assert again.index[0, :5].tolist() == whole.index[0, :5].tolist()
    asked = [one.index[0, np.argsort(one.evaluation[0, :9])].tolist() for one in (again, whole)]
    assert asked[0] == asked[1]  # in whatever order the rest was answered


def test_copies_take_as_many_steps_to_an_update_as_one() -> None:
    sb3 = pytest.importorskip("stable_baselines3")
    updates: list[tuple[int, int]] = []

    class Counted(sb3.PPO):  # type: ignore[misc, name-defined]
        def train(self) -> None:
            updates.append((self.num_timesteps, self.env.num_envs))
            super().train()

    class CountedAgent(get_agent("ppo")):  # type: ignore[misc]
        algorithm = Counted

    for workers in (1, 4):
        search(CountedAgent, epochs=2, evaluations=60, workers=workers)
    assert {(steps % 48, copies) for steps, copies in updates} == {(0, 1), (0, 4)}
    assert [steps for steps, copies in updates if copies == 4][:3] == [48, 96, 144]


@pytest.mark.parametrize("workers", [2, 5])
def test_asynchronous_evolution_on_threads_is_a_plain_simulation(workers: int) -> None:
    """Each answer comes when a plain simulation of scripted durations says that it does."""
    space = get_space("sss")
    score = (np.arange(space.size) * 7919 % 8191) / 8191 * 60 + 18.0
    script = np.random.default_rng(6).random(200) + 0.5
    (seed,) = run_seeds(2, 1)
    plain = [*plain_rea(space, seed, lambda _, n: script[n], lambda i: score[i], workers, 40)]
    turn = threading.Condition()
    done = [0]

    class InTurn(Scripted):
        def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Outcome:
            with turn:
                turn.wait_for(lambda: done[0] == 40 or plain[done[0]][1] == index[0], timeout=60)
            return super().evaluate(index, epochs, trial_keys)

    def watch(_: Standing) -> None:
        with turn:
            done[0] += 1
            turn.notify_all()

    found = search("rea", InTurn(), workers=workers, watch=watch)
    assert found.evaluation[0].tolist() == [number for number, _, _ in plain]
    assert found.index[0].tolist() == [index for _, index, _ in plain]


def test_what_goes_on_pays_the_difference_with_its_trial() -> None:
    evaluator = Scripted()
    found = search("asha", evaluator, continuing="difference", evaluations=60)
    assert list(found.arguments.rungs or ()) == ["1/9", "3/9", 9]
    whole = np.array([1.0, 3.0, 9.0])
    goes_on = found.continues[0] >= 0
    assert goes_on.sum() > 10
    before = np.where(goes_on, found.rung[0, np.maximum(found.continues[0], 0)], 0)
    paid = np.where(goes_on, whole[before], 0.0)
    assert (found.seconds[0] == whole[found.rung[0]] - paid).all()
    keys = [key for _, _, key in evaluator.asked]
    assert all(keys[n] == keys[m] for n, m in enumerate(found.continues[0]) if m >= 0)
    anew = search("asha", Scripted(), continuing="scratch", evaluations=60)
    assert (anew.seconds[0] == whole[anew.rung[0]]).all()


def test_workers_work_at_once_and_what_is_under_way_is_dropped() -> None:
    evaluator = Scripted()
    evaluator.together = threading.Barrier(8)  # fewer would wait until it breaks
    found = search("rea", evaluator, workers=8, evaluations=40)
    assert found.evaluations.tolist() == [40]
    assert len(evaluator.asked) == 40
    assert evaluator.closed == 1


def test_a_budget_is_of_seconds_that_pass() -> None:
    found = search("random", Scripted(0.05), evaluations=None, budget=0.3)
    assert found.clock[0, -1] >= 0.3
    assert (found.clock[0, :-1] < 0.3).all()
    assert 1 <= found.evaluations[0] <= 6


def test_a_lost_worker_is_an_answer_of_chance_and_many_in_a_row_are_none() -> None:
    found = search("random", Scripted(dead={2, 3, 20}))
    assert (found.accuracy[0, [2, 3, 20]] == 10.0).all()  # of ten digits
    assert (found.seconds[0, [2, 3, 20]] == 0.0).all()
    with pytest.raises(NatsGymError, match=r"10 evaluations in a row were lost.*worker died"):
        search("random", Scripted(dead=range(5, 40)), workers=2)


def test_a_result_is_kept_shown_and_judged_by_what_was_observed(tmp_path: Path) -> None:
    found = search("rea", runs=2)
    back = SearchResult.load(found.save(tmp_path / "kept"))
    assert same(back, found)
    assert dict(back.arguments) == dict(found.arguments)
    assert back.provenance == found.provenance
    assert back.provenance["clock"] == "real"
    assert "checksum" not in back.provenance
    assert {*found.summary()} == {"runs", "evaluations", "observed_valid_accuracy"}
    for ask in (back.regret, back.full_schedule_accuracy):
        with pytest.raises(NotInTable, match="has no table"):
            ask()
    shown = summary_grid({"rea": back})
    assert "real seconds" in str(shown.title) or "evaluations" in str(shown.title)
    assert shown.row_count == 2
    assert plot_incumbent([back], tmp_path / "incumbent.png").stat().st_size > 1000


def test_the_journal_of_another_search_is_refused(tmp_path: Path) -> None:
    search("rea", checkpoints=tmp_path)
    with pytest.raises(InvalidInput, match=r"another search: its arguments have seed 2, not 3"):
        search("rea", checkpoints=tmp_path, seed=3)
    other = Scripted()
    other.identity = "another recipe"
    with pytest.raises(InvalidInput, match="its evaluator is 'scripted', not 'another recipe'"):
        search("rea", other, checkpoints=tmp_path)
    other = Scripted()
    other.data_digest = "0f"  # type: ignore[attr-defined]
    with pytest.raises(InvalidInput, match="its data is None, not '0f'"):
        search("rea", other, checkpoints=tmp_path)


def test_a_damaged_journal_is_said(tmp_path: Path) -> None:
    search("rea", checkpoints=tmp_path)
    with sqlite3.connect(tmp_path / "journal.sqlite") as file:
        file.execute("UPDATE answers SET answer = replace(answer, '0', '1') WHERE place = 7")
    file.close()
    with pytest.raises(UnreadableJournal, match="answer 7 of run 0"):
        search("rea", checkpoints=tmp_path)
    (tmp_path / "journal.sqlite").write_bytes(b"no journal at all" * 1000)
    with pytest.raises(UnreadableJournal, match="a journal"):
        search("rea", checkpoints=tmp_path)


def test_a_journal_that_somebody_wrote_in_is_another(tmp_path: Path) -> None:
    search("rea", checkpoints=tmp_path)
    with sqlite3.connect(tmp_path / "journal.sqlite") as file:
        file.execute("UPDATE search SET value = 'no JSON' WHERE what = 'arguments'")
    file.close()
    with pytest.raises(InvalidInput, match="another search: its arguments is 'no JSON', not"):
        search("rea", checkpoints=tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_evaluator_that_ends_the_process_ends_it(workers: int) -> None:
    class Ends(Scripted):
        def evaluate(self, *given: Any) -> Outcome:
            raise SystemExit(3)

    with pytest.raises(SystemExit, match="3"):
        search("random", Ends(), workers=workers)


def test_an_agent_that_asks_otherwise_is_said(tmp_path: Path) -> None:
    class Fickle:
        def __init__(self, space: Any, streams: Any) -> None:
            self.space, self.runs = space, streams.runs

        def ask(self) -> Any:
            drawn = np.random.default_rng().integers(0, self.space.size, self.runs)
            return self.space.choices(drawn)

        def tell(self, outcome: Any) -> None:
            pass

    search(Fickle, checkpoints=tmp_path)
    with pytest.raises(UnreadableJournal, match="asks otherwise now"):
        search(Fickle, checkpoints=tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"evaluations": None}, "takes real time: give its budget"),
        ({"trial": "mean"}, "evaluator= answers itself"),
        ({"source": "embedded"}, "evaluator= answers itself"),
        ({"evaluator": "trian"}, "Did you mean 'train'"),
        ({"evaluator": {"nam": "train"}}, "Did you mean 'name'"),
        ({"evaluator": 3}, "an evaluator is one of train, proxy, ray"),
        ({"evaluator": {"name": "train", "devise": "cpu"}}, "Did you mean 'device'"),
        ({"agent": "tunas", "evaluations": None}, "evaluator= is for agents that evaluate"),
        ({"agent": "asha", "epochs": 2}, "needs two rungs at least"),
        ({"watch": 3}, "watch"),
    ],
)
def test_what_is_no_search_on_an_evaluator_is_refused(given: Any, message: str) -> None:
    given = {"agent": "rea", "evaluator": Scripted(), **given}
    with pytest.raises(InvalidInput, match=message):
        search(**given)


#: Where processes to be killed come from, which have imported already what takes long.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["nats_gym.evaluators.training", "sklearn.datasets"])


def answers_of(folder: Path) -> list[Any]:
    if not (folder / "journal.sqlite").exists():
        return []
    file = sqlite3.connect(folder / "journal.sqlite")
    try:
        return file.execute("SELECT answer FROM answers ORDER BY place").fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        file.close()


def kill(begin: Any, folder: Path, kills: int, evaluations: int, wait: float = 0.03) -> list[Any]:
    """Kill a search so often at random moments, look that nothing is lost, and go on.

    Returns:
        The answers that were in the journal at the last kill.
    """
    draws, kept = random.Random(kills), []
    for _ in range(kills):
        process = FORKS.Process(target=begin)
        process.start()
        until = time.monotonic() + 120
        target = len(kept) + draws.randint(0, max(1, evaluations // kills - 1))
        while time.monotonic() < until and process.is_alive():
            if len(answers_of(folder)) >= target:
                break
            time.sleep(draws.random() * wait)
        time.sleep(draws.random() * wait)  # into whatever comes next
        process.kill()
        process.join()
        now = answers_of(folder)
        assert now[: len(kept)] == kept
        kept = now
    return kept


def kill_and_go_on(agent: str, workers: int, folder: Path, kills: int) -> SearchResult:
    given = {"workers": workers, "checkpoints": folder, "evaluations": 30}
    kept = kill(partial(search, agent, Scripted(0.02), **given), folder, kills, 30)
    found = search(agent, Scripted(), **given)
    assert answers_of(folder)[: len(kept)] == kept
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("agent", "workers"), [("rea", 1), ("asha", 2)])
def test_killed_it_goes_on(agent: str, workers: int, tmp_path: Path) -> None:
    found = kill_and_go_on(agent, workers, tmp_path, kills=2)
    assert found.evaluations.tolist() == [30]
    if workers == 1:
        whole = search(agent, evaluations=30)
        assert same(found, whole, "index", "accuracy", "rung", "continues", "seconds")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("agent", ["rea", "asha", "bohb", "tpe"])
def test_killed_ten_times_it_goes_on(agent: str, workers: int, tmp_path: Path) -> None:
    found = kill_and_go_on(agent, workers, tmp_path, kills=10)
    if workers == 1:
        whole = search(agent, evaluations=30)
        assert same(found, whole, "index", "accuracy", "rung", "continues", "seconds")
