"""Ray: what comes of a batch whose processes, nodes or driver are killed. All on loopback."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cluster_toys import Toy
from ray_cluster import HEAD, OTHER, SMALL, cluster

import nats_gym
from nats_gym.errors import InvalidInput
from nats_gym.evaluators import CachedEvaluator, RayEvaluator, TrainingEvaluator
from nats_gym.evaluators.cluster import ClusterFailed
from nats_gym.protocol.journal import Entry, Journal
from nats_gym.study import Study, load_study, run_study

#: The fixture of most tests here.
__all__ = ["cluster"]


def keys(*values: int) -> Any:
    return np.array(values, np.uint64)


def meanwhile(done: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=done, daemon=True)
    thread.start()
    return thread


def wait_for(found: Callable[[], Any], seconds: float = 60.0) -> Any:
    until = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < until, "did not happen"
        time.sleep(0.02)
    return value


def attempts(toy: Toy) -> Counter[int]:
    return Counter(one for one, _ in toy.noted("attempts"))


# ── without a cluster ────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_ray_is_imported_at_the_first_evaluation_only() -> None:
    program = (
        "import sys, nats_gym.evaluators as e\n"
        "e.RayEvaluator(e.TrainingEvaluator('sss', 'digits'))\n"
        "assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"num_cpus": -1}, "num_cpus"),
        ({"num_gpus": 1.5}, "num_gpus"),  # Ray would refuse it
        ({"num_gpus": "1"}, "num_gpus"),
        ({"max_retries": -1}, "max_retries"),
        ({"max_retries": True}, "max_retries"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"address": 6379}, "address"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, options: Any, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        RayEvaluator(Toy(tmp_path), **options)


def test_an_evaluator_that_does_not_stream_is_refused() -> None:
    with pytest.raises(InvalidInput, match="StreamingEvaluator"):
        RayEvaluator(object())  # type: ignore[arg-type]


def test_what_does_not_pickle_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    toy = Toy(tmp_path)
    toy.fates = {0: threading.Lock()}  # type: ignore[dict-item]
    with pytest.raises(InvalidInput, match=r"does not pickle: .*Toy.*lock"):
        RayEvaluator(toy).evaluate(np.zeros(1, int), 12, np.zeros(1, np.uint64))


def test_a_copy_runs_the_same(tmp_path: Path) -> None:
    options = {"num_cpus": 2, "num_gpus": 0.5, "max_retries": 1, "timeout": 9.0, "address": "a:1"}
    copy = pickle.loads(pickle.dumps(RayEvaluator(Toy(tmp_path, 0.5), **options)))
    assert copy.__reduce__()[1][1] == options
    assert copy.evaluator.wait == 0.5


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with socket.socket() as taken:  # bound but not listening: nobody answers
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ClusterFailed, match=f"no Ray cluster at {address}"):
            RayEvaluator(Toy(tmp_path), address=address).evaluate(np.array([1]), 12, keys(0))


# ── on one node ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_batch_gets_the_figures_it_gets_without_ray(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    index, trial_keys = np.array([5, 9, 5, 2, 9, 7]), keys(0, 1, 2, 3, 4, 2**63)
    spread = RayEvaluator(toy).evaluate(index, "4/12", trial_keys)
    direct = toy.evaluate(index, "4/12", trial_keys)
    assert spread.accuracy.tolist() == direct.accuracy.tolist()
    assert spread.seconds.tolist() == direct.seconds.tolist()
    assert spread.metrics["twice"].tolist() == direct.metrics["twice"].tolist()
    assert spread.metrics["schedule"].tolist() == ["4/12"] * 6
    assert (spread.provenance, spread.seconds_provenance) == ("measured", "measured")


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_answers_come_as_they_are_done(tmp_path: Path) -> None:
    toy = Toy(tmp_path, wait=0.3)
    answers = RayEvaluator(toy).stream(np.arange(8), 12, np.zeros(8, np.uint64))
    next(answers)
    assert len(toy.noted("ends")) < 8
    assert len(list(answers)) == 7


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_process_keeps_the_evaluator(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    evaluator = RayEvaluator(toy)
    for _ in range(2):
        evaluator.evaluate(np.arange(6), 12, np.arange(6, dtype=np.uint64))
    assert len(toy.noted("attempts")) == 12
    copies = Counter(process for _, process in toy.noted("copies"))
    assert set(copies.values()) == {1}
    assert set(copies) == {process for _, process in toy.noted("attempts")}


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_batch_outlives_a_killed_process(tmp_path: Path) -> None:
    toy = Toy(tmp_path, wait=0.05, fates={3: "stuck once"})

    def kill() -> None:
        process = wait_for(lambda: dict(toy.noted("attempts")).get(3))
        os.kill(process, signal.SIGKILL)

    thread = meanwhile(kill)
    answers = list(RayEvaluator(toy).stream(np.arange(8), 12, np.ones(8, np.uint64)))
    thread.join()
    assert sorted(position for position, _ in answers) == list(range(8))
    assert all(answer.accuracy == position / 1000 + 1 for position, answer in answers)
    assert attempts(toy) == {**dict.fromkeys(range(8), 1), 3: 2}


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_stuck_process_is_killed_and_its_task_begun_again(tmp_path: Path) -> None:
    toy = Toy(tmp_path, fates={2: "stuck once"})
    found = RayEvaluator(toy, timeout=2.0).evaluate(np.arange(4), 12, keys(0, 0, 0, 0))
    assert found.accuracy.tolist() == [0.0, 0.001, 0.002, 0.003]
    assert attempts(toy) == {0: 1, 1: 1, 2: 2, 3: 1}


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(("fate", "timeout"), [("dies", None), ("stuck", 1.0)])
def test_lost_more_often_than_allowed(tmp_path: Path, fate: str, timeout: float | None) -> None:
    toy = Toy(tmp_path, fates={4: fate})
    with pytest.raises(ClusterFailed, match="architecture 4 did not come back, of 2 tries: The"):
        RayEvaluator(toy, max_retries=1, timeout=timeout).evaluate(np.array([4]), 12, keys(0))
    assert attempts(toy) == {4: 2}


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_an_evaluator_that_raises_ends_the_batch(tmp_path: Path) -> None:
    toy = Toy(tmp_path, wait=0.5, fates={1: "broken"})
    with pytest.raises(ClusterFailed) as caught:
        RayEvaluator(toy).evaluate(np.arange(20), 12, np.zeros(20, np.uint64))
    assert str(caught.value) == "the evaluation of architecture 1 failed: ValueError: broken"
    assert isinstance(caught.value.__cause__, ValueError)
    # What ran is cancelled, and what waited never begins.
    time.sleep(1.5)
    assert len(toy.noted("attempts")) <= 4
    assert attempts(toy)[1] == 1
    # The cluster is as good as new.
    toy.fates = {}
    assert RayEvaluator(toy).evaluate(np.array([1]), 12, keys(0)).accuracy.tolist() == [0.001]


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_what_no_node_can_hold_is_said(tmp_path: Path) -> None:
    import ray

    with pytest.warns(RuntimeWarning, match="no node of the Ray cluster has 1 CPUs and 4 GPUs"):
        RayEvaluator(Toy(tmp_path), num_gpus=4)._connect(ray)


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_training_on_a_cluster_is_training() -> None:
    trainer = TrainingEvaluator("sss", "digits", device="cpu", trials=2)
    index, trial_keys = np.array([0, 17_000]), keys(1, 2)
    spread = RayEvaluator(trainer).evaluate(index, 1, trial_keys)
    direct = trainer.evaluate(index, 1, trial_keys)
    assert spread.accuracy.tolist() == direct.accuracy.tolist()
    assert (spread.seconds > 0).all()
    assert spread.metrics["status"].tolist() == ["completed"] * 2


# ── a driver that is killed ──────────────────────────────────────────────────────────────────

DRIVER = """
import sys
from pathlib import Path
import numpy as np
import ray
from cluster_toys import Toy
from nats_gym.evaluators import CachedEvaluator, RayEvaluator

address, head, folder = sys.argv[1:]
ray.init(address=address, _node_ip_address=head, log_to_driver=False)
toy = Toy(Path(folder), wait=0.3)
cached = CachedEvaluator(RayEvaluator(toy), "sss", Path(folder) / "cache.sqlite")
for _ in cached.stream(np.arange(12), 12, np.zeros(12, np.uint64)):
    print("answer", flush=True)
"""


@pytest.mark.slow
def test_a_cache_keeps_what_arrived_before_the_driver_was_killed(
    cluster: Any, tmp_path: Path
) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, cluster.address, HEAD, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with driver:
        assert driver.stdout
        assert len(list(itertools.islice(driver.stdout, 3))) == 3
        driver.kill()
    toy = Toy(tmp_path)
    with_cache = CachedEvaluator(RayEvaluator(toy), "sss", tmp_path / "cache.sqlite")
    kept = len(with_cache)
    assert 3 <= kept < 12
    # Ray ends what the dead driver had under way.
    wait_for(lambda: not any(Path(f"/proc/{one}").exists() for _, one in toy.noted("attempts")))
    (tmp_path / "attempts").unlink()
    found = with_cache.evaluate(np.arange(12), 12, np.zeros(12, np.uint64))
    assert found.accuracy.tolist() == [one / 1000 for one in range(12)]
    assert sum(attempts(toy).values()) == 12 - kept
    assert len(with_cache) == 12
    with_cache.close()


# ── two nodes, one of which is lost ──────────────────────────────────────────────────────────


@contextmanager
def losing_a_node(cluster: Any, toy: Toy) -> Iterator[list[int]]:
    """Another node, killed while it works for a held toy: on which architectures."""
    import ray

    other = cluster.add_node(node_ip_address=OTHER, num_cpus=2, **SMALL)
    (raylet,) = (info.process.pid for info in other.all_processes["raylet"])
    lost: list[int] = []

    def running_there() -> dict[int, int]:
        """Architectures in work there, with their processes, whose parent is the raylet."""
        there = {one: it for one, it in toy.noted("attempts") if parent(it) == raylet}
        return there if len(there) == 2 else {}

    def kill() -> None:
        try:
            there = wait_for(running_there)
            lost.extend(there)
            for process in (raylet, *there.values()):  # they would outlive it
                os.kill(process, signal.SIGKILL)
        finally:
            toy.release()

    thread = meanwhile(kill)
    yield lost
    thread.join()
    assert lost
    # The head may be busy, and hear of it late.
    wait_for(lambda: [node["NodeName"] for node in ray.nodes() if node["Alive"]] == [HEAD])
    cluster.remove_node(other)


@pytest.mark.slow
def test_a_batch_outlives_a_lost_node(cluster: Any, tmp_path: Path) -> None:
    toy = Toy(tmp_path, held=True)
    with losing_a_node(cluster, toy) as lost:
        answers = list(RayEvaluator(toy).stream(np.arange(16), 12, np.ones(16, np.uint64)))
    assert sorted(position for position, _ in answers) == list(range(16))
    assert all(answer.accuracy == position / 1000 + 1 for position, answer in answers)
    assert all(attempts(toy)[one] == 2 for one in lost)


@pytest.mark.slow
def test_a_search_outlives_a_lost_node(cluster: Any, tmp_path: Path) -> None:
    import ray

    toy = Toy(tmp_path, held=True)
    given: dict[str, Any] = {"epochs": 1, "evaluations": 14, "workers": 4}
    given |= {"evaluator": RayEvaluator(toy), "checkpoints": tmp_path / "search"}
    with losing_a_node(cluster, toy):
        found = nats_gym.search("sss", "digits", "rea", **given)
    assert found.evaluations.tolist() == [14]
    assert found.provenance["failures"] == "0"  # what was lost was begun again
    assert ((found.accuracy * 1000 - found.index) % 1000 < 1e-6).all()
    # What was in flight at the end is cancelled, and may have begun while it was.
    wait_for(lambda: ray.available_resources().get("CPU") == 2.0)
    done = len(toy.noted("attempts"))
    again = nats_gym.search("sss", "digits", "rea", **given)
    assert (again.index == found.index).all()
    assert len(toy.noted("attempts")) == done


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_study_on_a_cluster_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    evaluator = {"name": "ray", "device": "cpu", "cache": False, "recipe": {"batch_size": 256}}
    evaluator["network"] = {"cells_per_stage": 1}
    search = {"space": "sss", "dataset": "digits", "epochs": 1, "evaluations": 4}
    search["evaluator"] = evaluator
    agents = {"rea": {"workers": 2}, "random": {"workers": 2}}
    study = Study.of({"runs": 1, "searches": [search], "agents": agents})
    written = Journal.append
    answers: list[int] = []

    def append(journal: Journal, run: int, entry: Entry) -> None:
        written(journal, run, entry)
        answers.append(entry.index)
        if len(answers) == 6:  # in the second cell
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "append", append)
    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path)
    run_study(study, tmp_path)
    assert len(answers) == 8  # what was answered is not trained again
    (searches,) = load_study(tmp_path).groups().values()
    assert sorted(searches) == ["random", "rea"]
    for found in searches.values():
        assert found.evaluations.tolist() == [4]
        assert found.provenance["failures"] == "0"


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_what_is_under_way_is_cancelled_from_another_thread(tmp_path: Path) -> None:
    evaluator = RayEvaluator(Toy(tmp_path, wait=60.0))
    failed: list[Exception] = []

    def ask() -> None:
        try:
            evaluator.evaluate(np.array([5]), 1, keys(0))
        except ClusterFailed as error:
            failed.append(error)

    thread = meanwhile(ask)
    wait_for(lambda: Toy(tmp_path).noted("attempts"))
    evaluator.close()
    thread.join(30)
    assert not thread.is_alive()
    assert failed


def parent(process: int) -> int | None:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return None
    return int(status.rpartition(")")[2].split()[1])
