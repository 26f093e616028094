"""BANANAS-style predictor search: an ensemble guesses accuracies, the best guesses are evaluated.

Source: White, Neiswanger & Savani, AAAI 2021 (arXiv 1910.11858): path encoding, an ensemble of
networks, independent Thompson sampling over mutations of the best. Ours differs in the networks:
one hidden layer of random weights whose output layer is solved by ridge regression, in place of
ten layers trained by gradient. So all runs are fitted in one batch of small linear systems.

Where several architectures are evaluated beside each other, a fit takes the answers that there are
(:data:`LEAST` at least; before, architectures are uniform), and what is under way is not chosen
again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams, uniform_integers

from .guide import NO_GUIDE, Guide
from .pending import Pending
from .repeats import repeats

INITIAL = 10  # uniform architectures before the first fit
LEAST = 5  # answers that a fit takes
BATCH = 10  # evaluations between fits
PARENTS = 10  # the best so far, that candidates are mutations of
CANDIDATES = 200
ENSEMBLE = 5
HIDDEN = 32
RIDGE = 1.0

#: Features of a space that are kept, 8 bytes each; those of a larger one are computed when needed.
MOST_KEPT = 1 << 22
#: Architectures whose features set the scale of the weights, the space's or some from all over it.
SCALED_BY = 1 << 16


class Bananas:
    """Predictor search over all runs at once.

    Args:
        space: what to search.
        streams: one random stream per run.
        guide: what a score says to what comes before the first fit, and to each candidate.
    """

    def __init__(
        self, space: ArchitectureSpace, streams: RunStreams, guide: Guide = NO_GUIDE
    ) -> None:
        self.space = space
        self.streams = streams
        step = -(-space.size // SCALED_BY)
        encoding = encode(space, space.choices(np.arange(0, space.size, step)))
        #: Of every architecture by official index, where they are few.
        self._encoding = encoding if step == 1 and encoding.size <= MOST_KEPT else None
        weights = streams.normal((streams.runs, encoding.shape[1], ENSEMBLE * HIDDEN))
        self._weights = weights / np.sqrt(encoding.sum(axis=1).mean())
        self._pending = Pending(streams.runs)
        self._asked: list[NDArray[np.int64]] = []  # index (runs,) of every evaluation
        self._answered: list[NDArray[np.int64]] = []  # choices (runs, n), as answers came
        self._accuracy: list[NDArray[np.float64]] = []
        self._guide = guide
        first = guide.first(space, streams, INITIAL)
        uniform = space.sample(streams, (streams.runs, INITIAL - first.shape[1]))
        self._queue = np.concatenate([first, uniform], axis=1)

    def ask(self) -> NDArray[np.int64]:
        """The next of the architectures chosen at the last fit: choices ``(runs, n)``."""
        if not self._queue.shape[1]:
            enough = len(self._accuracy) >= LEAST
            uniform = (self.streams.runs, 1)
            self._queue = self._choose() if enough else self.space.sample(self.streams, uniform)
        asked, self._queue = self._queue[:, 0], self._queue[:, 1:]
        self._pending.add(asked)
        self._asked.append(self.space.index(asked))
        return asked

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64] | None = None) -> None:
        """Remember what the architectures scored, for the next fit.

        Args:
            outcome: arrays ``(runs,)``.
            evaluation: the number of each run's evaluation; None for the last.
        """
        self._answered.extend(self._pending.take(evaluation))
        self._accuracy.append(outcome.accuracy)

    def _choose(self) -> NDArray[np.int64]:
        """Fit the ensemble and take the best of the candidates' samples: ``(runs, BATCH, n)``."""
        runs = self.streams.runs
        asked = np.stack(self._asked, axis=1)  # (runs, asked)
        answered = np.stack(self._answered, axis=1)  # (runs, t, n)
        accuracy = np.stack(self._accuracy, axis=1)  # (runs, t)
        best = np.argsort(-accuracy, axis=1, kind="stable")[:, :PARENTS]
        drawn = uniform_integers(self.streams, best.shape[1], (runs, CANDIDATES))
        parents = np.take_along_axis(best, drawn, axis=1)[..., None]
        proposed = np.take_along_axis(answered, parents, axis=1)[:, :, None]
        proposed = np.repeat(proposed, self._guide.proposals, axis=2)
        candidates = self._guide.best(self.space, self.space.mutate(proposed, self.streams))

        evaluated, index = self.space.index(answered), self.space.index(candidates)
        guesses = self._predict(evaluated, accuracy, index)  # (runs, ENSEMBLE, candidates)
        noise = self.streams.normal(index.shape)
        sampled = guesses.mean(axis=1) + guesses.std(axis=1) * noise
        # What was asked for is chosen only where the candidates run out.
        sampled[(index[..., None] == asked[:, None]).any(axis=-1)] -= 1e6
        sampled[repeats(index)] = -np.inf
        chosen = np.argsort(-sampled, axis=1, kind="stable")[:, :BATCH, None]
        return np.take_along_axis(candidates, chosen, axis=1)

    def _predict(
        self, evaluated: NDArray[np.int64], accuracy: NDArray[np.float64], index: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Every network's standardised guess ``(runs, ENSEMBLE, candidates)``."""
        centre = accuracy.mean(axis=1, keepdims=True)
        target = (accuracy - centre) / np.maximum(accuracy.std(axis=1, keepdims=True), 1e-9)
        seen = self._hidden(evaluated)  # (runs, ENSEMBLE, t, HIDDEN)
        gram = seen.swapaxes(-1, -2) @ seen + RIDGE * np.eye(HIDDEN)
        output = np.linalg.solve(gram, seen.swapaxes(-1, -2) @ target[:, None, :, None])
        return np.asarray((self._hidden(index) @ output)[..., 0])

    def _hidden(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Hidden layers ``(runs, ENSEMBLE, t, HIDDEN)`` of architectures ``(runs, t)``."""
        kept = self._encoding
        encoding = encode(self.space, self.space.choices(index)) if kept is None else kept[index]
        layer = np.maximum(encoding @ self._weights, 0.0)
        return layer.reshape(*index.shape, ENSEMBLE, HIDDEN).swapaxes(1, 2)


def encode(space: ArchitectureSpace, choices: NDArray[np.int64]) -> NDArray[np.float64]:
    """The space's features of ``choices (..., n)`` and a 1, ``(..., features + 1)``."""
    features = space.features(choices)
    return np.concatenate([features, np.ones((*features.shape[:-1], 1))], axis=-1)
