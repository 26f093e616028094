"""BANANAS-style predictor search: an ensemble guesses accuracies, the best guesses are evaluated.

Source: White, Neiswanger & Savani, AAAI 2021 (arXiv 1910.11858): path encoding, an ensemble of
networks, independent Thompson sampling over mutations of the best. Ours differs in the networks:
one hidden layer of random weights whose output layer is solved by ridge regression, in place of
ten layers trained by gradient. So all runs are fitted in one batch of small linear systems.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace, TopologySpace
from nats_gym.spaces.architecture_space import uniform_integers
from nats_gym.spaces.topology import EDGES, NONE
from nats_gym.streams import RunStreams

INITIAL = 10  # uniform architectures before the first fit
BATCH = 10  # evaluations between fits
PARENTS = 10  # the best so far, that candidates are mutations of
CANDIDATES = 200
ENSEMBLE = 5
HIDDEN = 32
RIDGE = 1.0

#: Paths of the topology space's cell from input to output, by length.
PATHS: dict[int, tuple[tuple[int, ...], ...]] = {
    1: ((0, 3),),
    2: ((0, 1, 3), (0, 2, 3)),
    3: ((0, 1, 2, 3),),
}


class Bananas:
    """Predictor search over all runs at once.

    Args:
        space: what to search.
        streams: one random stream per run.
    """

    def __init__(self, space: ArchitectureSpace, streams: RunStreams) -> None:
        self.space = space
        self.streams = streams
        self._encoding = encode(space, space.choices(space.rank_to_index))  # by rank
        features = self._encoding.shape[1]
        weights = streams.normal((streams.runs, features, ENSEMBLE * HIDDEN))
        self._weights = weights / np.sqrt(self._encoding.sum(axis=1).mean())
        self._asked: list[NDArray[np.int64]] = []
        self._accuracy: list[NDArray[np.float64]] = []
        self._queue = space.sample(streams, (streams.runs, INITIAL))

    def ask(self) -> NDArray[np.int64]:
        """The next of the architectures chosen at the last fit: choices ``(runs, n)``."""
        if not self._queue.shape[1]:
            self._queue = self._choose()
        asked, self._queue = self._queue[:, 0], self._queue[:, 1:]
        self._asked.append(asked)
        return asked

    def tell(self, outcome: Outcome) -> None:
        """Remember what the architectures scored, for the next fit."""
        self._accuracy.append(outcome.accuracy)

    def _choose(self) -> NDArray[np.int64]:
        """Fit the ensemble and take the best of the candidates' samples: ``(runs, BATCH, n)``."""
        runs = self.streams.runs
        asked = np.stack(self._asked, axis=1)  # (runs, t, n)
        accuracy = np.stack(self._accuracy, axis=1)  # (runs, t)
        best = np.argsort(-accuracy, axis=1, kind="stable")[:, :PARENTS]
        drawn = uniform_integers(self.streams, best.shape[1], (runs, CANDIDATES))
        parents = np.take_along_axis(best, drawn, axis=1)[..., None]
        candidates = self.space.mutate(np.take_along_axis(asked, parents, axis=1), self.streams)

        evaluated, ranks = self.space.rank(asked), self.space.rank(candidates)
        guesses = self._predict(evaluated, accuracy, ranks)  # (runs, ENSEMBLE, candidates)
        noise = self.streams.normal(ranks.shape)
        sampled = guesses.mean(axis=1) + guesses.std(axis=1) * noise
        # What was evaluated is chosen only where the candidates run out.
        sampled[(ranks[..., None] == evaluated[:, None]).any(axis=-1)] -= 1e6
        sampled[_repeats(ranks)] = -np.inf
        chosen = np.argsort(-sampled, axis=1, kind="stable")[:, :BATCH, None]
        return np.take_along_axis(candidates, chosen, axis=1)

    def _predict(
        self,
        evaluated: NDArray[np.int64],
        accuracy: NDArray[np.float64],
        ranks: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Every network's standardised guess ``(runs, ENSEMBLE, candidates)``."""
        centre = accuracy.mean(axis=1, keepdims=True)
        target = (accuracy - centre) / np.maximum(accuracy.std(axis=1, keepdims=True), 1e-9)
        seen = self._hidden(evaluated)  # (runs, ENSEMBLE, t, HIDDEN)
        gram = seen.swapaxes(-1, -2) @ seen + RIDGE * np.eye(HIDDEN)
        output = np.linalg.solve(gram, seen.swapaxes(-1, -2) @ target[:, None, :, None])
        return np.asarray((self._hidden(ranks) @ output)[..., 0])

    def _hidden(self, ranks: NDArray[np.int64]) -> NDArray[np.float64]:
        """Hidden layers ``(runs, ENSEMBLE, t, HIDDEN)`` of architectures ``(runs, t)``."""
        layer = np.maximum(self._encoding[ranks] @ self._weights, 0.0)
        return layer.reshape(*ranks.shape, ENSEMBLE, HIDDEN).swapaxes(1, 2)


def encode(space: ArchitectureSpace, choices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Features ``(..., features)`` of ``choices (..., n)``, the last always 1.

    The topology space's are the paper's: which sequences of operations lead from input to output
    (155 of one to three operations; those through ``none`` lead nowhere). The size space has one
    path, so its features say of every width which steps it reaches.
    """
    one = np.ones((*choices.shape[:-1], 1))
    if not isinstance(space, TopologySpace):
        reached = choices[..., None] >= np.arange(1, space.num_choices)
        return np.concatenate([reached.reshape(*choices.shape[:-1], -1), one], axis=-1)
    edge = {pair: place for place, pair in enumerate(EDGES)}
    columns = []
    for length, paths in PATHS.items():
        for operations in itertools.product(range(space.num_choices), repeat=length):
            present = np.zeros(choices.shape[:-1], dtype=bool)
            for nodes in () if NONE in operations else paths:
                steps = [edge[target, source] for source, target in itertools.pairwise(nodes)]
                present |= (choices[..., steps] == operations).all(axis=-1)
            columns.append(present)
    return np.concatenate([np.stack(columns, axis=-1), one], axis=-1)


def _repeats(ranks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of each row were there before, ``(runs, t)``."""
    order = ranks.argsort(axis=1, kind="stable")
    ordered = np.take_along_axis(ranks, order, axis=1)
    repeated = np.zeros(ranks.shape, dtype=bool)
    np.put_along_axis(repeated, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    return repeated
