"""The cache: what it keeps, what several processes make of it, what a kill leaves."""

from __future__ import annotations

import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nats_gym.errors import EvaluatorError, InvalidInput
from nats_gym.evaluators import Answer, CachedEvaluator, collect
from nats_gym.evaluators.cached import UnreadableCache
from nats_gym.spaces import get_space


class Counting:
    """Answers with figures that follow from its arguments, and counts what it is asked."""

    provenance = "measured", "measured"

    def __init__(self, identity: str = "toy", wait: float = 0.0) -> None:
        self.identity = identity
        self.wait = wait
        self.asked: list[tuple[int, int]] = []

    def trials_of(self, index: Any, trial_keys: Any) -> Any:
        return trial_keys % np.uint64(3)

    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> Any:
        trials = self.trials_of(index, trial_keys)
        return collect(len(index), self.stream(index, epochs, trials), self.provenance)

    def stream(self, index: Any, epochs: Any, trials: Any) -> Iterator[tuple[int, Answer]]:
        for position, (one, trial) in enumerate(zip(index.tolist(), trials.tolist(), strict=True)):
            time.sleep(self.wait)
            self.asked.append((one, trial))
            metrics = {"status": "completed", "pid": os.getpid()}
            yield position, Answer(one / 1000 + trial, 2.5, metrics)


def keys(*values: int) -> Any:
    return np.array(values, np.uint64)


def test_an_answer_is_evaluated_once(tmp_path: Path) -> None:
    counting = Counting()
    cached = CachedEvaluator(counting, "sss", tmp_path / "cache.sqlite")
    index = np.array([7, 8, 7, 7])
    first = cached.evaluate(index, 12, keys(0, 1, 3, 1))  # trials 0, 1, 0, 1
    assert first.accuracy.tolist() == [0.007, 1.008, 0.007, 1.007]
    assert first.seconds.tolist() == [2.5] * 4
    assert counting.asked == [(7, 0), (8, 1), (7, 1)]
    again = cached.evaluate(index, 12, keys(0, 1, 3, 1))
    assert again.accuracy.tolist() == first.accuracy.tolist()
    assert again.metrics["status"].tolist() == ["completed"] * 4
    assert len(counting.asked) == len(cached) == 3
    assert (again.provenance, again.seconds_provenance) == ("measured", "measured")


def test_answers_of_other_schedules_recipes_and_spaces_are_others(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    counting = Counting()
    cached = CachedEvaluator(counting, "sss", path)
    for epochs in (12, 90, "4/12"):
        cached.evaluate(np.array([7]), epochs, keys(0))
    counting.identity = "another recipe"
    cached.evaluate(np.array([7]), 12, keys(0))
    CachedEvaluator(counting, "tss", path).evaluate(np.array([7]), 12, keys(0))
    assert len(counting.asked) == len(cached) == 5


def test_a_copy_and_another_run_find_what_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cache.sqlite"
    cached = CachedEvaluator(Counting(), "sss", path)
    cached.evaluate(np.array([7]), 12, keys(0))
    copy = pickle.loads(pickle.dumps(cached))
    copy.evaluate(np.array([7]), 12, keys(0))
    assert copy.evaluator.asked == [(7, 0)]  # it was pickled after it
    cached.close()
    again = CachedEvaluator(Counting(), "sss", path)
    again.evaluate(np.array([7]), 12, keys(0))
    assert again.evaluator.asked == []


def test_topologies_of_one_function_may_share(tmp_path: Path) -> None:
    space = get_space("tss")
    classes = space.isomorphism_class(space.all_digits())
    one = int(np.flatnonzero(classes != np.arange(space.size))[0])
    representative = int(classes[one])
    counting = Counting()
    shared = CachedEvaluator(counting, "tss", tmp_path / "a.sqlite", share_isomorphic=True)
    outcome = shared.evaluate(np.array([one, representative]), 12, keys(0, 0))
    assert counting.asked == [(representative, 0)]
    assert outcome.accuracy[0] == outcome.accuracy[1]
    plain = CachedEvaluator(Counting(), "tss", tmp_path / "b.sqlite")
    plain.evaluate(np.array([one, representative]), 12, keys(0, 0))
    assert plain.evaluator.asked == [(one, 0), (representative, 0)]


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import numpy as np
from test_cached_evaluator import Counting
from nats_gym.evaluators import CachedEvaluator
cached = CachedEvaluator(Counting(wait={wait}), "sss", {path!r})
index = np.arange(int(sys.argv[1]))
outcome = cached.evaluate(index, 12, np.zeros(len(index), np.uint64))
print(outcome.metrics["pid"].tolist())
"""


def start(path: Path, count: int, wait: float) -> subprocess.Popen[str]:
    script = SCRIPT.format(tests=str(Path(__file__).parent), path=str(path), wait=wait)
    command = [sys.executable, "-c", script, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_share_a_cache_and_agree(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    found = [start(path, 40, 0.02) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in found]
    assert [process.returncode for process in found] == [0, 0]
    # Whoever was first, both return what is kept; so what they say is equal, pids included.
    assert said[0] == said[1]
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT architecture FROM evaluations").fetchall()
    assert sorted(row[0] for row in rows) == list(range(40))


def test_a_killed_process_loses_nothing_that_had_arrived(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    process = start(path, 200, 0.05)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.is_file() and len(CachedEvaluator(Counting(), "sss", path)) >= 5:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    counting = Counting()
    cached = CachedEvaluator(counting, "sss", path)
    kept = len(cached)
    assert 5 <= kept < 200
    cached.evaluate(np.arange(200), 12, np.zeros(200, np.uint64))
    assert [one for one, _ in counting.asked] == list(range(kept, 200))
    assert len(cached) == 200


def test_an_evaluator_that_fails_leaves_what_it_had_answered(tmp_path: Path) -> None:
    class Failing(Counting):
        def stream(self, index: Any, epochs: Any, trials: Any) -> Iterator[tuple[int, Answer]]:
            for position, answer in super().stream(index, epochs, trials):
                if index[position] == 3:
                    raise RuntimeError("out of memory")
                yield position, answer

    cached = CachedEvaluator(Failing(), "sss", tmp_path / "cache.sqlite")
    with pytest.raises(RuntimeError, match="out of memory"):
        cached.evaluate(np.arange(6), 12, np.zeros(6, np.uint64))
    assert len(cached) == 3


class Answering(Counting):
    """Streams what it is given, whatever is asked."""

    def __init__(self, *pairs: Any) -> None:
        super().__init__()
        self.pairs = pairs

    def stream(self, index: Any, epochs: Any, trials: Any) -> Iterator[Any]:
        yield from self.pairs


def test_an_answer_that_ran_out_of_time_is_passed_on_and_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    late = Answering((0, Answer(10.0, 0.01, {"status": "timed out"})))
    cached = CachedEvaluator(late, "sss", path)
    outcome = cached.evaluate(np.array([7, 7]), 12, keys(0, 0))
    assert outcome.accuracy.tolist() == [10.0, 10.0]
    assert outcome.metrics["status"].tolist() == ["timed out"] * 2
    assert len(cached) == 0
    patient = CachedEvaluator(Counting(), "sss", path)  # the same identity
    assert patient.evaluate(np.array([7]), 12, keys(0)).accuracy.tolist() == [0.007]


class Tensor:
    """A number of some other library's."""

    def __float__(self) -> float:
        return 50.0

    def __repr__(self) -> str:
        return "tensor(50.)"


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([(0, Answer(150.0, 1.0))], ["accuracy", "0…100", "150.0"]),
        ([(0, Answer(-5.0, 1.0))], ["accuracy", "-5.0"]),
        ([(0, Answer(float("nan"), 1.0))], ["accuracy", "nan"]),
        ([(0, Answer(50.0, float("inf")))], ["seconds", "finite", "inf"]),
        ([(0, Answer(50.0, -1.0))], ["seconds", "-1.0"]),
        ([(0, Answer("50", 1.0))], ["accuracy", "'50'"]),
        ([(0, Answer(Tensor(), 1.0))], ["accuracy", "tensor(50.)"]),
        ([(0, Answer(50.0, 1.0, {"loss": Tensor()}))], ["metric loss", "tensor(50.)"]),
        ([(0, Answer(50.0, 1.0, {"log": {"x": Tensor()}}))], ["metric log", "tensor(50.)"]),
        ([(0, Answer(50.0, 1.0, {"seconds": 3.0}))], ["cannot be called 'seconds'"]),
        ([(0, Answer(50.0, 1.0, ["loss"]))], ["metrics", "dictionary"]),
        ([(0, (50.0, 1.0))], ["Answer", "(50.0, 1.0)"]),
        ([None], ["a position and an Answer", "None"]),
        ([(0, Answer(50.0, 1.0))], ["without an answer for position 1", "batch of 2"]),
        ([(100, Answer(50.0, 1.0))], ["0…1 once", "100"]),
        ([(0, Answer(50.0, 1.0)), (0, Answer(50.0, 1.0))], ["0…1 once", "0 again"]),
        ([("first", Answer(50.0, 1.0))], ["0…1 once", "'first'"]),
    ],
)
def test_what_cannot_be_an_answer_is_refused_and_not_kept(
    pairs: list[Any], words: list[str], tmp_path: Path
) -> None:
    cached = CachedEvaluator(Answering(*pairs), "sss", tmp_path / "cache.sqlite")
    for evaluator in (cached, cached.evaluator):  # the cache, and collect() alone
        with pytest.raises(EvaluatorError) as caught:
            evaluator.evaluate(np.array([7, 8]), 12, keys(0, 0))
        for word in words:
            assert word in str(caught.value)
    with sqlite3.connect(cached.path) as connection:
        rows = connection.execute("SELECT accuracy, seconds FROM evaluations").fetchall()
    assert set(rows) <= {(50.0, 1.0)}


def test_numbers_of_numpy_are_kept_as_plain_ones(tmp_path: Path) -> None:
    metrics = {"loss": np.float32(0.5), "epoch": np.int64(3), "log": {"lr": [0.1]}, "note": None}
    answer = Answer(np.float32(62.5), np.int64(3), metrics)  # type: ignore[arg-type]
    cached = CachedEvaluator(Answering((0, answer)), "sss", tmp_path / "cache.sqlite")
    first = cached.evaluate(np.array([7]), 12, keys(0))
    again = cached.evaluate(np.array([7]), 12, keys(0))
    for outcome in (first, again):
        assert outcome.accuracy.tolist() == [62.5]
        assert outcome.seconds.tolist() == [3.0]
        assert {name: values.tolist() for name, values in outcome.metrics.items()} == {
            "loss": [0.5],
            "epoch": [3],
            "log": [{"lr": [0.1]}],
            "note": [None],
        }


class Deaf:
    def evaluate(self, index: Any, epochs: Any, trial_keys: Any) -> None:
        """Does not stream."""


def test_what_cannot_be_a_cache_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"stream\(\)"):
        CachedEvaluator(Deaf(), "sss", tmp_path / "cache.sqlite")  # type: ignore[arg-type]
    text = tmp_path / "notes.txt"
    text.write_text("no database at all, but long enough to be looked at" * 10)
    with pytest.raises(UnreadableCache, match=r"notes\.txt"):
        CachedEvaluator(Counting(), "sss", text)
    elsewhere = Counting()
    elsewhere.space = get_space("tss")  # type: ignore[attr-defined]
    with pytest.raises(InvalidInput, match="the space 'tss', not 'sss'"):
        CachedEvaluator(elsewhere, "sss", tmp_path / "cache.sqlite")
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE evaluations (x INTEGER)")
    with pytest.raises(UnreadableCache, match="no cache of this version"):
        CachedEvaluator(Counting(), "sss", other)
    with pytest.raises(InvalidInput, match="cannot be a folder"):
        CachedEvaluator(Counting(), "sss", text / "cache.sqlite")
