"""The cache: what it keeps, what several processes make of it, what a kill leaves."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
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
    classes = space.isomorphism_class(space.all_choices())
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    with pytest.raises(UnreadableCache, match="is not a cache: it holds"):
        CachedEvaluator(Counting(), "sss", other)
    with pytest.raises(InvalidInput, match="cannot be a folder"):
        CachedEvaluator(Counting(), "sss", text / "cache.sqlite")


# ── what an answer rests on ──────────────────────────────────────────────────────────────────


def outcome_of(cached: CachedEvaluator, *index: int) -> Any:
    return cached.evaluate(np.array(index), 12, np.zeros(len(index), np.uint64))


def test_two_evaluators_of_one_identity_share_no_provenance(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    estimating, training = Counting(), Counting()
    estimating.provenance = "surrogate", "measured"
    guessed, measured = (CachedEvaluator(one, "sss", path) for one in (estimating, training))
    for _ in range(2):
        for cached in (guessed, measured):
            outcome = outcome_of(cached, 7)
            basis = outcome.provenance, outcome.seconds_provenance
            assert basis == cached.evaluator.provenance
    assert estimating.asked == training.asked == [(7, 0)]
    assert len(measured) == 2


def test_the_provenance_of_an_evaluator_is_two_texts(tmp_path: Path) -> None:
    for wrong in ("measured", ("measured",), ("measured", None), ["measured", "measured"]):
        counting = Counting()
        counting.provenance = wrong  # type: ignore[assignment]
        cached = CachedEvaluator(counting, "sss", tmp_path / "cache.sqlite")
        with pytest.raises(EvaluatorError, match="a tuple of two texts"):
            outcome_of(cached, 7)
        assert counting.asked == []


# As version 0.1.0 made it.
EARLIER = """
CREATE TABLE IF NOT EXISTS evaluations (
    space TEXT, architecture INTEGER, identity TEXT, epochs TEXT, trial TEXT,
    accuracy REAL NOT NULL, seconds REAL NOT NULL, metrics TEXT NOT NULL, finished TEXT NOT NULL,
    PRIMARY KEY (space, architecture, identity, epochs, trial)
) WITHOUT ROWID
"""


def earlier_cache(path: Path, count: int) -> None:
    identity = hashlib.sha256(b"toy").hexdigest()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(EARLIER)
        for one in range(count):
            row = "sss", one, identity, "12", "0", 90.5, 1e3, '{"train_accuracy": NaN}', "2025"
            connection.execute("INSERT INTO evaluations VALUES (?,?,?,?,?,?,?,?,?)", row)
    connection.close()


def test_a_cache_of_the_earlier_version_loses_no_training(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    earlier_cache(path, 5)
    counting = Counting()
    cached = CachedEvaluator(counting, "sss", path)
    kept = outcome_of(cached, 0, 1, 2, 3, 4)
    assert counting.asked == []
    assert kept.accuracy.tolist() == [90.5] * 5
    assert kept.seconds.tolist() == [1e3] * 5
    # Nobody knows whether they were measured: the file did not say.
    assert (kept.provenance, kept.seconds_provenance) == ("unstated", "unstated")
    mixed = outcome_of(cached, 4, 5)
    assert mixed.accuracy.tolist() == [90.5, 0.005]
    assert mixed.provenance == "unstated"
    assert outcome_of(cached, 5).provenance == "measured"
    assert counting.asked == [(5, 0)]
    assert len(cached) == 6


@pytest.mark.slow
def test_several_processes_take_an_earlier_cache_over_at_once(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    earlier_cache(path, 30)
    found = [start(path, 40, 0.0) for _ in range(3)]
    said = [process.communicate(timeout=60)[0] for process in found]
    assert [process.returncode for process in found] == [0, 0, 0]
    assert said[0] == said[1] == said[2]
    assert len(CachedEvaluator(Counting(), "sss", path)) == 40


# ── files from strange hands ─────────────────────────────────────────────────────────────────


def changed(path: Path, *statements: str) -> None:
    """A cache of one answer, for architecture 7, and what somebody did to it."""
    cached = CachedEvaluator(Counting(), "sss", path)
    outcome_of(cached, 7)
    cached.close()
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_bytes_that_are_no_text_are_told_of_in_one_line(tmp_path: Path) -> None:
    said = []
    for place in range(16):
        path = tmp_path / f"{place}.sqlite"
        changed(path)
        whole = path.read_bytes()
        at = whole.index(b"CREATE TABLE") + 4 * place
        path.write_bytes(whole[:at] + b"\xa1\xd5" + whole[at + 2 :])
        try:
            outcome_of(CachedEvaluator(Counting(), "sss", path), 7)
        except UnreadableCache as error:
            said.append(str(error))
    assert len(said) > 8
    assert all(str(tmp_path) in one and one.isprintable() for one in said)


NESTED = '{"a":' * 5000 + "1" + "}" * 5000


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ("metrics = '{\"status\": '", "Expecting value"),
        ("metrics = '[1, 2]'", "metrics of an answer are a dictionary"),
        ("metrics = '{\"x\": [1, 2]}'", "metric x"),
        ("metrics = '{\"seconds\": 1}'", "cannot be called"),
        (f"metrics = '{NESTED}'", ""),
        ("metrics = '" + "1" * 5000 + "'", "digit"),
        ("metrics = x'7b7d'", "no numbers and a text"),
        ("metrics = CAST(x'7bff7d' AS TEXT)", "decode"),
        ("metrics = zeroblob(9000000)", ""),
        ("accuracy = 9e999", "0…100 percent"),
        ("accuracy = -9e999", "0…100 percent"),
        ("accuracy = 100.5", "0…100 percent"),
        ("accuracy = 'ninety'", "no numbers and a text"),
        ("seconds = 9e999", "finite"),
        ("seconds = -1", "finite"),
        ("seconds = x'00'", "no numbers and a text"),
    ],
)
def test_a_damaged_answer_is_named_and_stops_no_other(
    tmp_path: Path, figures: str, words: str
) -> None:
    path = tmp_path / "cache.sqlite"
    changed(path, f"UPDATE evaluations SET {figures}")
    cached = CachedEvaluator(Counting(), "sss", path)
    with pytest.raises(UnreadableCache) as caught:
        outcome_of(cached, 7)
    message = str(caught.value)
    assert words in message
    assert "architecture 7 of sss, epochs 12, trial 0" in message
    assert "delete its row" in message
    assert len(message) < 500
    assert "\n" not in message
    assert outcome_of(cached, 8).accuracy.tolist() == [0.008]
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM evaluations WHERE architecture = 7")
    connection.close()
    assert outcome_of(cached, 7).accuracy.tolist() == [0.007]


TABLE = "CREATE TABLE evaluations (space TEXT, architecture INTEGER, identity TEXT, epochs TEXT, "


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE evaluations (x INTEGER)"],
        ["CREATE TABLE others (x INTEGER)"],
        ["CREATE VIEW evaluations AS SELECT 1 AS space, 2 AS architecture"],
        # One column more, one constraint more, one generated.
        [TABLE + "trial TEXT, accuracy REAL, seconds REAL, metrics TEXT, finished TEXT)"],
        [EARLIER.replace("finished TEXT", "finished TEXT CHECK (randomblob(900000000) > 0)")],
        [EARLIER.replace("metrics TEXT", "metrics TEXT AS (hex(zeroblob(900000000)))")],
    ],
)
def test_a_file_with_other_tables_is_refused_and_left_alone(
    tmp_path: Path, statements: list[str]
) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(UnreadableCache, match="is not a cache: it holds '") as caught:
        CachedEvaluator(Counting(), "sss", path)
    assert len(str(caught.value)) < 600
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["other.sqlite"]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER taken BEFORE INSERT ON evaluations BEGIN "
        "UPDATE evaluations SET accuracy = 100; END",
        "CREATE VIEW answers AS SELECT * FROM evaluations",
        "CREATE INDEX quick ON evaluations (hex(metrics))",
        "CREATE TABLE more (x)",
        "ALTER TABLE evaluations ADD COLUMN more TEXT DEFAULT 'x'",
    ],
)
def test_what_somebody_added_to_a_cache_is_refused_when_it_is_opened(
    tmp_path: Path, statement: str
) -> None:
    path = tmp_path / "cache.sqlite"
    changed(path, statement)
    with pytest.raises(UnreadableCache, match="is not a cache: it holds 'CREATE"):
        CachedEvaluator(Counting(), "sss", path)


def test_a_file_that_ends_in_a_page_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    cache = CachedEvaluator(Counting(), "sss", path)
    cache.evaluate(np.arange(9), 1, keys(*range(9)))
    cache.close()
    whole = path.read_bytes()
    for short in (5_000, len(whole) - 1):
        path.write_bytes(whole[:short])
        with pytest.raises(UnreadableCache, match="cut off in a page"):
            CachedEvaluator(Counting(), "sss", path)
        assert path.read_bytes() == whole[:short]


def test_what_is_no_file_is_refused_in_one_line(tmp_path: Path) -> None:
    folder, fifo, short = tmp_path / "folder", tmp_path / "fifo", tmp_path / "short"
    folder.mkdir()
    os.mkfifo(fifo)
    short.write_bytes(b"SQLite format 3\0" + bytes(84))
    for path in (folder, fifo, Path("/dev/null"), short):
        with pytest.raises(UnreadableCache, match="cannot be a cache") as caught:
            CachedEvaluator(Counting(), "sss", path)
        assert str(path) in str(caught.value)
    for wrong in (b"bytes", 3, "x\0y", "x" * 300):
        with pytest.raises(InvalidInput):
            CachedEvaluator(Counting(), "sss", wrong)  # type: ignore[arg-type]


def test_a_training_that_is_too_long_for_this_version_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    earlier_cache(path, 5)
    with sqlite3.connect(path) as connection:
        longest = json.dumps({"log": "x" * 5_000_000})
        connection.execute("UPDATE evaluations SET metrics = ? WHERE architecture = 0", (longest,))
    connection.close()
    cached = CachedEvaluator(Counting(), "sss", path)
    assert outcome_of(cached, 1, 2, 3, 4).accuracy.tolist() == [90.5] * 4
    assert len(cached) == 5
    long = Answering((0, Answer(50.0, 1.0, {"log": "x" * 5_000_000})))
    with pytest.raises(EvaluatorError, match=r"take 5,000,0\d\d bytes"):
        outcome_of(CachedEvaluator(long, "sss", path), 9)


# ── a file that goes while it is in use ──────────────────────────────────────────────────────


def answers_in(path: Path) -> list[int]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT architecture FROM evaluations").fetchall()
    connection.close()
    return sorted(row[0] for row in rows)


@pytest.mark.parametrize("everything", [True, False])
def test_a_deleted_cache_is_noticed_and_nothing_is_lost(tmp_path: Path, everything: bool) -> None:
    class Deleting(Counting):
        def stream(self, index: Any, epochs: Any, trials: Any) -> Iterator[tuple[int, Answer]]:
            for position, answer in super().stream(index, epochs, trials):
                if index[position] == 20:
                    for suffix in ("", "-wal", "-shm") if everything else ("",):
                        Path(f"{path}{suffix}").unlink()
                yield position, answer

    path = tmp_path / "cache.sqlite"
    before = CachedEvaluator(Counting(), "sss", path)
    outcome_of(before, 100, 101)
    cached = CachedEvaluator(Deleting(), "sss", path)
    outcome_of(cached, 101)
    with pytest.warns(RuntimeWarning, match="deleted or replaced while it was in use") as said:
        outcome = outcome_of(cached, *range(40))
    assert len(said) == 1
    assert outcome.accuracy.tolist() == [one / 1000 for one in range(40)]
    assert answers_in(path) == [*range(40), 101]  # 100 was never this process's
    # The other one notices too, at its next answer, and adds what is its own.
    with pytest.warns(RuntimeWarning, match="2 entries"):
        outcome_of(before, 102)
    assert answers_in(path) == [*range(40), 100, 101, 102]
    again = CachedEvaluator(Counting(), "sss", path)
    assert outcome_of(again, *range(40)).accuracy.tolist() == outcome.accuracy.tolist()
    assert again.evaluator.asked == []
    for one in (before, cached, again):
        one.close()
    assert os.listdir(tmp_path) == ["cache.sqlite"]


@pytest.mark.slow
def test_a_replaced_cache_keeps_its_answers_and_gets_ours(tmp_path: Path) -> None:
    path, other = tmp_path / "cache.sqlite", tmp_path / "other.sqlite"
    CachedEvaluator(Counting(), "sss", other).evaluate(np.arange(5), 12, np.zeros(5, np.uint64))
    cached = CachedEvaluator(Counting(), "sss", path)
    outcome_of(cached, 10, 11)
    gc.collect()  # the other is closed: its answers are in the one file
    os.replace(other, path)
    with pytest.warns(RuntimeWarning, match="deleted or replaced"):
        outcome_of(cached, 12)
    assert answers_in(path) == [*range(5), 10, 11, 12]
    outcome_of(cached, 3, 13)
    assert cached.evaluator.asked == [(10, 0), (11, 0), (12, 0), (13, 0)]


def test_a_cache_that_was_closed_is_not_in_use(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    cached = CachedEvaluator(Counting(), "sss", path)
    outcome_of(cached, 1, 2)
    cached.close()
    path.unlink()
    outcome_of(cached, 3)
    assert answers_in(path) == [3]


def test_a_fork_and_another_folder_find_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cached = CachedEvaluator(Counting(), "sss", "cache.sqlite")
    outcome_of(cached, 1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        child = os.fork()
    if child == 0:
        status = 1
        try:
            outcome_of(cached, 1, 2)
            status = 0 if cached.evaluator.asked == [(1, 0), (2, 0)] else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    outcome_of(cached, 1, 2, 3)
    assert cached.evaluator.asked == [(1, 0), (3, 0)]
    assert answers_in(tmp_path / "cache.sqlite") == [1, 2, 3]
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_link_to_a_cache_is_the_cache(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link.sqlite").symlink_to(tmp_path / "disk" / "cache.sqlite")
    cached = CachedEvaluator(Counting(), "sss", tmp_path / "link.sqlite")
    outcome_of(cached, 1)
    (tmp_path / "disk" / "cache.sqlite").unlink()
    with pytest.warns(RuntimeWarning, match="deleted or replaced"):
        outcome_of(cached, 2)
    assert answers_in(tmp_path / "disk" / "cache.sqlite") == [1, 2]
