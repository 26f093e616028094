"""A score that is known beforehand guides an agent: what it begins with, and each of its moves.

*Warm-up*: of so many architectures, drawn without replacement, the best by the score are asked for
first, as many as an agent begins with. *Move proposals*: of so many candidates for a move, each
drawn as the agent draws one, the score's favourite is asked for. The score is looked up, which
takes no time of a search's clock.

Source: Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021 (arXiv 2101.08134),
section 5. There the warm-up of a policy are rewards by the score; here every agent asks for the
best, whatever it learns from their answers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nats_gym.checks import instance, integer, word
from nats_gym.errors import InvalidInput
from nats_gym.spaces import ArchitectureSpace
from nats_gym.spaces.figure import Figure
from nats_gym.streams import RunStreams

#: Which end of a score is the good one, where it is not the one that its quantity says.
PREFER = ("high", "low")
#: Architectures that a warm-up asks for where an agent has no number of its own.
STARTS = 10
#: Of one move: all are held for every run.
MOST_PROPOSALS = 100


class Guide:
    """What a score says to an agent, in all runs alike.

    Args:
        score: a figure of every architecture; None for no guide, which changes nothing.
        prefer: one of :data:`PREFER`; None for what the figure's quantity says is better.
        warmup: architectures that are drawn, of which the best are asked for first, up to all of
            the space; 0 for none.
        proposals: candidates for each move; 1 leaves the agent alone.

    Raises:
        InvalidInput: for numbers out of range, a score of some architectures only, and one without
            the other.
    """

    def __init__(
        self,
        score: Figure | None = None,
        prefer: str | None = None,
        warmup: int = 0,
        proposals: int = 1,
    ) -> None:
        self.proposals = integer(proposals, "proposals", 1, MOST_PROPOSALS)
        if prefer is not None:
            prefer = word(prefer, "end of a score to prefer", PREFER)
        self._values = np.zeros(0)  # the higher the better
        if score is None:
            self.warmup = integer(warmup, "warmup", 0)
            if self.warmup or prefer or self.proposals > 1:
                raise InvalidInput(
                    "prefer, warmup and proposals go by a score: name one, such as 'flops'"
                )
            return
        score = instance(score, Figure, "a score")
        if np.isnan(score.values).any():
            raise InvalidInput(f"{score.name} is known of some architectures only")
        self.warmup = integer(warmup, "warmup", 0, len(score.values))
        if not self.warmup and self.proposals == 1:
            raise InvalidInput(f"{score.name} has no say without warmup= or proposals=")
        low = prefer == "low" if prefer else score.quantity.lower_is_better
        self._values = -score.values if low else score.values

    def first(
        self, space: ArchitectureSpace, streams: RunStreams, count: int = STARTS
    ) -> NDArray[np.int64]:
        """What every run asks for first, the best before the next: choices ``(runs, w, n)``.

        Of equals the lowest official index comes first.

        Args:
            space: what is searched.
            streams: of the runs; without a warm-up nothing is drawn.
            count: how many, if the warm-up draws so many.
        """
        if len(self._values) not in (0, space.size):
            raise InvalidInput(
                f"a score of {len(self._values):,} architectures is none of {space.name}, which "
                f"has {space.size:,}"
            )
        if not (count := min(count, self.warmup)):
            return np.zeros((streams.runs, 0, space.num_decisions), np.int64)
        order = np.argsort(-self._values, kind="stable")
        return space.choices(order[least_ranks(streams, space.size, self.warmup, count)])

    def best(self, space: ArchitectureSpace, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
        """The score's favourites, the first of equals: ``(..., n)`` of ``candidates (..., m, n)``.

        What is no architecture is nobody's favourite.
        """
        if candidates.shape[-2] == 1:
            return candidates[..., 0, :]
        liked = self._scores(space.index(candidates)).argmax(axis=-1)
        return np.take_along_axis(candidates, liked[..., None, None], axis=-2)[..., 0, :]

    def arrange(self, index: NDArray[np.int64], ahead: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Rearrange queues: each next one is the favourite among those that would come next.

        Args:
            index: official indices as they are queued, ``(batch, m)``.
            ahead: which of them stay where they are, at the beginning, ``(batch, m)``.

        Returns:
            Their places in the order that the score likes, ``(batch, m)``.
        """
        batch, m = index.shape
        every = np.arange(m)
        places = np.broadcast_to(every, (batch, m)).copy()
        if self.proposals == 1:
            return places
        scores = np.where(ahead, np.inf, self._scores(index))
        for start in range(m - 1):
            window = places[:, start : start + self.proposals]
            best = start + np.take_along_axis(scores, window, axis=1).argmax(axis=1)[:, None]
            chosen = np.take_along_axis(places, best, axis=1)[:, 0]
            passed = (every > start) & (every <= best)  # who was passed over keeps the order
            places = np.where(passed, np.roll(places, 1, axis=1), places)
            places[:, start] = chosen
        return places

    def _scores(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.where(index < 0, -np.inf, self._values[index])


#: Leaves an agent alone.
NO_GUIDE = Guide()


def least_ranks(streams: RunStreams, size: int, drawn: int, count: int) -> NDArray[np.int64]:
    """The ``count`` least of ``drawn`` different ranks below ``size``, ``(runs, count)``.

    As if all were drawn, uniformly: how many are left out before the next one is drawn by its
    distribution (sequential sampling: Vitter, ACM TOMS 1987).
    """
    rank = np.full(streams.runs, -1)
    found = []
    for still in range(drawn, drawn - count, -1):
        left = size - 1 - rank
        most = np.log(np.maximum(streams.random((streams.runs,)), 1e-300)) + _log_choose(
            left, still
        )
        low, high = np.zeros_like(rank), left - still
        while (low < high).any():  # none of the next s: C(left - s, still) of C(left, still) ways
            middle = (low + high + 1) // 2
            skipped = _log_choose(left - middle, still) > most
            low, high = np.where(skipped, middle, low), np.where(skipped, high, middle - 1)
        rank = rank + 1 + low
        found.append(rank)
    return np.stack(found, axis=1)


def _log_choose(of: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    from scipy.special import gammaln  # most agents are made without a warm-up

    return np.asarray(gammaln(of + 1.0) - gammaln(count + 1.0) - gammaln(of - count + 1.0))
