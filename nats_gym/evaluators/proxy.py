"""Answers before any training: zero-cost scores of the networks, on this machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.evaluators.network import NetworkEvaluator
from nats_gym.evaluators.observed import as_accuracy
from nats_gym.evaluators.protocol import Answer
from nats_gym.proxies.combining import COMBINATIONS
from nats_gym.proxies.registry import find_score, version_of
from nats_gym.proxies.score import Function, Score
from nats_gym.proxies.scoring import Scored, Scorer
from nats_gym.simulation.schedule import Epochs, check_epochs
from nats_gym.tables import MEASURED

#: What an "accuracy" of this evaluator rests on.
PROXY = "proxy"
#: Most architectures that one is ranked among.
MOST_REFERENCE = 10_000


class ProxyEvaluator(NetworkEvaluator):
    """Evaluates architectures by a zero-cost score, with real seconds.

    What it calls accuracy is the score brought to 0…100 by :func:`as_accuracy`, a strictly
    increasing function, and no accuracy: it ranks architectures as the score does. The score itself
    is the metric ``score``.

    Several scores are one by their combination, which ranks an architecture among ``reference``
    others: the share that it is above is the metric ``score``, 100 times it the accuracy.

    Args:
        space: a space that builds networks.
        dataset: whose resolution and classes the networks have.
        score: a name, see :func:`nats_gym.proxies.score_names`, or a function of your own from a
            network in training mode, images ``(B, 3, H, W)`` and labels ``(B,)`` to a number, the
            higher the better; or a list of such.
        combine: of several scores: ``"vote"`` or ``"rank_mean"``, see :mod:`nats_gym.proxies`.
        reference: of several scores: how many architectures, drawn uniformly, an architecture is
            ranked among. They are scored, with seed 0, before the first answer, whose seconds
            leave that out.
        images: ``"noise"``, standard normal, or ``"pink"``, with the spectrum of natural images,
            both with random labels; or ``"data"``, training images.
        batch: how many images.
        device: ``"auto"`` takes a CUDA device if there is one.
        network: arguments of :func:`nats_gym.networks.build`; default the data set's own.
        trials: how many networks of an architecture there are to draw from, each with weights and
            images of a seed of its own, 0, 1, …; None for new ones at every evaluation.
        threads: on the CPU.
        data_dir, download: see :func:`nats_gym.training.data.load_data`.

    Raises:
        InvalidInput: for arguments out of range, an unknown score, a space without networks.
        MissingPackage: for a package that loading the data takes.
        ScoreFailed: at an evaluation, where the score's function raises.
        EvaluatorError: at an evaluation, where it returns no number.
    """

    provenance = PROXY, MEASURED

    def __init__(
        self,
        space: str,
        dataset: str,
        *,
        score: str | Function | Score | Sequence[str | Function | Score] = "naswot",
        combine: str = "vote",
        reference: int = 64,
        images: str = "noise",
        batch: int = 64,
        device: str = "cpu",
        network: Mapping[str, Any] | None = None,
        trials: int | None = 1,
        threads: int = 1,
        data_dir: str | os.PathLike[str] | None = None,
        download: bool = True,
    ) -> None:
        self._keep(locals())
        several = checks.as_list(score)
        given: list[Any] = [score] if several is None else several
        self.scores = [find_score(one) for one in given]
        self._versions = [version_of(score) for score in self.scores]
        self._arguments["score"] = self.scores[0] if several is None else self.scores
        self._combine = checks.word(combine, "combination of scores", COMBINATIONS)
        self._count = checks.integer(reference, "reference", 1, MOST_REFERENCE)
        self._reference: dict[str, list[float]] | None = None
        self._combined = len(self.scores) > 1
        self._scorer = Scorer(
            space,
            dataset,
            self.scores,
            images=images,
            batch=batch,
            device=device,
            network=network,
            threads=threads,
            data_dir=data_dir,
            download=download,
        )
        self.space, self.dataset = self._scorer.space, self._scorer.dataset.name
        self._lock = threading.Lock()  # torch's generators and threads are the process's

    @property
    def identity(self) -> str:
        """What a score depends on beside architecture and trial."""
        names = ",".join(
            f"{score.name} {version}" if version else score.name
            for score, version in zip(self.scores, self._versions, strict=True)
        )
        if self._combined:
            names = f"{self._combine}({names}) of {self._count}"
        return f"proxy {names} {self._scorer.identity}"

    @property
    def observes(self) -> str:
        """Name of what is brought to 0…100: see :class:`nats_gym.evaluators.observed.Observed`."""
        names = ", ".join(score.name for score in self.scores)
        return f"{self._combine}({names})" if self._combined else names

    @property
    def named(self) -> bool:
        """Whether the identity tells the scores from others, in other processes too."""
        return None not in self._versions

    def stream(
        self, index: NDArray[np.int64], epochs: Epochs | None, trials: NDArray[np.uint64]
    ) -> Iterator[tuple[int, Answer]]:
        """Score a batch with the trials as seeds; the schedule changes nothing.

        Raises:
            InvalidInput: for an index out of range, or what is no schedule.
            ScoreFailed, EvaluatorError: see the class.
        """
        index = self.space.check_batch(index)
        trials = checks.keys(trials, "trials, one per index,", index.size)
        check_epochs(epochs, self.space.full_epochs_on(self.dataset))
        for position, (one, trial) in enumerate(zip(index.tolist(), trials.tolist(), strict=True)):
            with self._lock:
                if self._combined and self._reference is None:
                    self._reference = self._score_reference()
                found = self._scorer.score(one, trial)
            yield position, self._answer(found)

    def _answer(self, found: Scored) -> Answer:
        if self._reference is None:
            (value,) = found.values.values()
            return Answer(as_accuracy(value), found.seconds, {"score": value})
        ranked = {name: [*self._reference[name], value] for name, value in found.values.items()}
        share = float(COMBINATIONS[self._combine](ranked)[-1])
        return Answer(100 * share, found.seconds, {"score": share})

    def _score_reference(self) -> dict[str, list[float]]:
        """Scores, by name, of the architectures that others are ranked among."""
        draws = np.random.default_rng(0)
        index = self.space.index(self.space.sample(draws, (self._count,)))
        scored = [self._scorer.score(one).values for one in index.tolist()]
        return {score.name: [values[score.name] for values in scored] for score in self.scores}
