"""A batch spread over a Ray cluster."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import InvalidInput, NatsGymError, shown
from nats_gym.evaluators.protocol import Answer, Outcome, StreamingEvaluator, collect
from nats_gym.schedule import Epochs


class ClusterFailed(NatsGymError, RuntimeError):
    """An evaluation failed on the cluster, as often as it was tried."""


class RayEvaluator:
    """Lets the processes of a Ray cluster answer, one evaluation a task.

    Ray starts a task again whose process or node is lost; answers arrive as they are done. The
    evaluator is sent to the cluster once and stays in each process, with the data it loads.

    Args:
        evaluator: who answers there, e.g. a :class:`TrainingEvaluator` with one worker.
        num_cpus: processors that a task holds.
        num_gpus: GPUs that a task holds; a fraction lets several share one.
        max_retries: how often a task is started again whose process or node is lost.
        timeout: seconds after which the process of a task is taken for stuck and killed, which
            counts as lost. What takes too long of itself is better ended by the evaluator's own
            ``time_limit``.
        address: of the cluster; None for one on this machine, unless ``ray.init`` was called.

    Raises:
        InvalidInput: for an evaluator that does not stream, or numbers out of range.
        ClusterFailed: at an evaluation, for one that fails, or is lost more often than allowed.
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
        if not isinstance(evaluator, StreamingEvaluator):
            raise InvalidInput(
                "a cluster runs an evaluator with identity, trials_of() and stream(), see "
                f"nats_gym.evaluators.StreamingEvaluator; got {shown(evaluator)}"
            )
        for name, value in (("num_cpus", num_cpus), ("num_gpus", num_gpus)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
                raise InvalidInput(f"{name} is a number from 0, got {shown(value)}")
        if isinstance(max_retries, bool) or not isinstance(max_retries, int) or max_retries < 0:
            raise InvalidInput(f"max_retries is an integer from 0, got {shown(max_retries)}")
        self.evaluator = evaluator
        self._resources = {"num_cpus": num_cpus, "num_gpus": num_gpus}
        self._max_retries, self._timeout, self._address = max_retries, timeout, address
        self._sent: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        options = {
            **self._resources,
            "max_retries": self._max_retries,
            "timeout": self._timeout,
            "address": self._address,
        }
        return _made, (self.evaluator, options)

    @property
    def identity(self) -> str:
        """That of the evaluator on the cluster."""
        return self.evaluator.identity

    @property
    def provenance(self) -> tuple[str, str]:
        """That of the evaluator on the cluster."""
        return self.evaluator.provenance

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "evaluator":
            raise AttributeError(name)
        return getattr(self.evaluator, name)

    def evaluate(
        self, index: NDArray[np.int64], epochs: Epochs, trial_keys: NDArray[np.uint64]
    ) -> Outcome:
        """Answer a batch; see :class:`~nats_gym.evaluators.Evaluator`."""
        trials = self.trials_of(index, trial_keys)
        return collect(len(index), self.stream(index, epochs, trials), self.provenance)

    def trials_of(
        self, index: NDArray[np.int64], trial_keys: NDArray[np.uint64]
    ) -> NDArray[np.uint64]:
        """Those of the evaluator on the cluster."""
        return self.evaluator.trials_of(index, trial_keys)

    def stream(
        self, index: NDArray[np.int64], epochs: Epochs, trials: NDArray[np.uint64]
    ) -> Iterator[tuple[int, Answer]]:
        """Submit a batch; yield each answer as it arrives."""
        ray = self._cluster()
        task = ray.remote(
            max_retries=self._max_retries,
            retry_exceptions=False,
            **self._resources,
        )(_evaluate_one)
        pending = {
            task.remote(self._sent, one, epochs, trial, self._timeout): position
            for position, (one, trial) in enumerate(
                zip(index.tolist(), trials.tolist(), strict=True)
            )
        }
        try:
            while pending:
                for done in ray.wait(list(pending), num_returns=1)[0]:
                    position = pending.pop(done)
                    try:
                        answer = ray.get(done)
                    except ray.exceptions.RayError as error:
                        raise ClusterFailed(
                            f"architecture {int(index[position])}: {str(error).strip()}"
                        ) from error
                    yield position, Answer(*answer)
        finally:
            for reference in pending:
                ray.cancel(reference, force=True)

    def _cluster(self) -> Any:
        try:
            import ray
        except ImportError:
            raise InvalidInput("a RayEvaluator needs Ray: pip install 'nats-gym[ray]'") from None
        if not ray.is_initialized():
            ray.init(address=self._address, log_to_driver=False)
            self._sent = None
        if self._sent is None:
            self._sent = ray.put(self.evaluator)
        return ray


def _evaluate_one(
    evaluator: StreamingEvaluator, index: int, epochs: Epochs, trial: int, timeout: float | None
) -> tuple[float, float, dict[str, Any]]:
    """What a process of the cluster runs."""
    watchdog = None
    if timeout is not None:
        watchdog = threading.Timer(timeout, os._exit, [1])
        watchdog.daemon = True
        watchdog.start()
    try:
        answers = evaluator.stream(
            np.array([index], np.int64), epochs, np.array([trial], np.uint64)
        )
        ((_, answer),) = answers
        return tuple(answer)
    finally:
        if watchdog:
            watchdog.cancel()


def _made(evaluator: StreamingEvaluator, options: dict[str, Any]) -> RayEvaluator:
    return RayEvaluator(evaluator, **options)
