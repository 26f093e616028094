"""A batch spread over a Ray cluster."""

from __future__ import annotations

import faulthandler
import socket
import threading
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, NatsGymError, said, shown, warn_caller
from nats_gym.evaluators.protocol import (
    Answer,
    ForwardingEvaluator,
    StreamingEvaluator,
    check_answers,
)
from nats_gym.extras import require
from nats_gym.processes.pool import MOST_RETRIES
from nats_gym.simulation.schedule import Epochs


class ClusterFailed(NatsGymError, RuntimeError):
    """A cluster cannot be reached, or an evaluation failed on it as often as it was tried."""


#: Processors or GPUs of a task.
MOST_RESOURCES = 10_000


class RayEvaluator(ForwardingEvaluator):
    """Lets the processes of a Ray cluster answer, one evaluation a task.

    Ray starts a task again whose process or node is lost; answers arrive as they are done. A
    process keeps the evaluator, with the data it loaded, for its next task; Ray ends the process
    of a task with GPUs after it, so that the next one sees the GPUs it was given.

    Args:
        evaluator: who answers there, e.g. a :class:`TrainingEvaluator` with one worker. It is
            pickled; its module has to be importable on every node.
        num_cpus: processors that a task holds.
        num_gpus: GPUs that a task holds; a fraction lets several share one.
        max_retries: how often a task is started again whose process or node is lost.
        timeout: seconds after which the process of a task is taken for stuck and killed, which
            counts as lost; loading the data is part of them. What takes too long of itself is
            better ended by the evaluator's own ``time_limit``.
        address: of the cluster, as ``ray.init`` takes it; not used where that was called before.
            None is the cluster of ``RAY_ADDRESS`` or of ``ray start`` on this machine, else a
            new one on this machine for this process.

    Raises:
        InvalidInput: for an evaluator that does not stream, or numbers out of range; at an
            evaluation, for one that does not pickle.
        MissingPackage: without Ray.
        ClusterFailed: at an evaluation, for one that fails, or is lost more often than allowed,
            or for a cluster that cannot be reached. What is under way is cancelled.
    """

    def __init__(
        self,
        evaluator: StreamingEvaluator,
        *,
        num_cpus: float = 1,
        num_gpus: float = 0,
        max_retries: int = 3,
        timeout: float | None = None,
        address: str | None = None,
    ) -> None:
        if not checks.follows(evaluator, StreamingEvaluator):
            raise InvalidInput(
                "a cluster runs an evaluator with identity, trials_of() and stream(), see "
                f"nats_gym.evaluators.StreamingEvaluator; got {shown(evaluator)}"
            )
        for name, value in (("num_cpus", num_cpus), ("num_gpus", num_gpus)):
            plain = checks.number(value, name, 0, MOST_RESOURCES)
            if plain > 1 and plain % 1:
                raise InvalidInput(
                    f"{name} is a fraction of one, or a whole number, got {shown(value)}"
                )
        max_retries = checks.integer(max_retries, "max_retries", 0, MOST_RETRIES)
        timeout = checks.limit(timeout, "timeout")
        if address is not None:
            address = checks.text(address, "address, such as '10.0.0.1:6379',")
        require("ray", "a RayEvaluator")
        self.evaluator = evaluator
        self._resources = {"num_cpus": num_cpus, "num_gpus": num_gpus}
        self._max_retries, self._timeout, self._address = max_retries, timeout, address
        self._lock = threading.Lock()  # threads may ask at once; one connects
        self._under_way: dict[Any, None] = {}  # in the order in which they were sent

    def __reduce__(self) -> tuple[Any, ...]:
        options = {
            **self._resources,
            "max_retries": self._max_retries,
            "timeout": self._timeout,
            "address": self._address,
        }
        return _make, (self.evaluator, options)

    def stream(
        self, index: NDArray[np.int64], epochs: Epochs, trials: NDArray[np.uint64]
    ) -> Iterator[tuple[int, Answer]]:
        """Submit a batch; yield each answer as it arrives. Left early, it cancels the rest."""
        ray: Any = import_module("ray")

        try:
            pickled = ray.cloudpickle.dumps(self.evaluator)
        except Exception as error:  # what cannot be pickled raises as it likes
            raise InvalidInput(
                "a RayEvaluator sends its evaluator to other processes, and this one does not "
                f"pickle: {shown(self.evaluator)} ({type(error).__name__}: {said(error)})"
            ) from error
        self._connect(ray)
        task = ray.remote(
            max_retries=self._max_retries,
            retry_exceptions=False,  # what an evaluator raises once it would raise again
            **self._resources,
        )(_evaluate_one)
        sent = ray.put(pickled)
        pending = {
            task.remote(sent, one, epochs, trial, self._timeout): position
            for position, (one, trial) in enumerate(
                zip(index.tolist(), trials.tolist(), strict=True)
            )
        }
        self._under_way.update(dict.fromkeys(pending))
        try:
            while pending:
                for done in ray.wait(list(pending), num_returns=1)[0]:
                    position = pending.pop(done)
                    self._under_way.pop(done, None)
                    try:
                        answer = ray.get(done)
                    except ray.exceptions.RayTaskError as error:
                        cause = f"{type(error.cause).__name__}: {error.cause}"
                        raise _failed(index[position], f"failed: {cause}") from error
                    except ray.exceptions.RayError as error:
                        cause = str(error).strip().partition("\n")[0]
                        tried = f"did not come back, of {self._max_retries + 1} tries: {cause}"
                        raise _failed(index[position], tried) from error
                    yield position, Answer(*answer)
        finally:
            for reference in pending:
                self._under_way.pop(reference, None)
            if pending:
                _cancel(pending)

    def close(self) -> None:
        """Cancel what is under way, for whatever thread; who waits for it is told that it failed.

        The next evaluation begins as ever.
        """
        if self._under_way:
            _cancel(self._under_way)

    def _connect(self, ray: Any) -> None:
        with self._lock:
            if not ray.is_initialized():
                where = self._address or "this machine"
                try:
                    _knock(where)
                    ray.init(address=self._address, log_to_driver=False)
                except (OSError, ValueError, RuntimeError) as error:
                    raise ClusterFailed(f"no Ray cluster at {where}: {said(error)}") from error
        self._warn_of_waiting(ray)

    def _warn_of_waiting(self, ray: Any) -> None:
        cpus, gpus = self._resources["num_cpus"], self._resources["num_gpus"]
        for node in ray.nodes():
            has = node["Resources"]
            if node["Alive"] and has.get("CPU", 0) >= cpus and has.get("GPU", 0) >= gpus:
                return
        warn_caller(
            f"no node of the Ray cluster has {cpus} CPUs and {gpus} GPUs: evaluations wait until "
            "one joins",
            RuntimeWarning,
        )


def _cancel(references: Iterable[Any]) -> None:
    """The newest first: what waits would begin where the end of another makes room for it."""
    ray: Any = import_module("ray")
    if ray.is_initialized():
        for reference in [*references][::-1]:
            ray.cancel(reference, force=True)


def _knock(address: str) -> None:
    """Raise OSError where nobody answers; Ray would take minutes to say so."""
    host, _, port = address.rpartition(":")
    if port.isdigit() and "/" not in host:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=10.0):
            pass


def _evaluate_one(
    pickled: bytes, index: int, epochs: Epochs, trial: int, timeout: float | None
) -> tuple[float, float, dict[str, Any]]:
    """What a process of the cluster runs."""
    if timeout is not None:
        # Its thread needs no interpreter lock, so that it also ends what is stuck in C.
        faulthandler.dump_traceback_later(timeout, exit=True)
    try:
        answers = _unpickle(pickled).stream(
            np.array([index], np.int64), epochs, np.array([trial], np.uint64)
        )
        ((_, answer),) = check_answers(1, answers)
        return answer.accuracy, answer.seconds, answer.metrics
    finally:
        if timeout is not None:
            faulthandler.cancel_dump_traceback_later()


@lru_cache(maxsize=1)  # more would keep more than one data set in memory
def _unpickle(pickled: bytes) -> StreamingEvaluator:
    from ray import cloudpickle

    return cloudpickle.loads(pickled)


def _failed(architecture: Any, what: str) -> ClusterFailed:
    return ClusterFailed(f"the evaluation of architecture {int(architecture)} {what}")


def _make(evaluator: StreamingEvaluator, options: dict[str, Any]) -> RayEvaluator:
    return RayEvaluator(evaluator, **options)
