"""Transfer of a ranking: train what other data sets rank first, then second, and so on.

Nothing is learnt of where to look; the answer is not the luckiest observation but the highest
posterior mean, of a line from the prior scores to the answers (:mod:`.linear_posterior`).

Source: rankings of NAS-Bench-201's architectures agree between its data sets, Dong & Yang, ICLR
2020 (arXiv 2001.00326), section 5; the rule itself is the simplest that uses it.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import InvalidInput
from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import RunStreams

from .linear_posterior import LinearPosterior
from .pending import Pending
from .prior_scores import INTERCEPT, NOISE, check_prior, on_scale, prior_scores


class Transfer:
    """Architectures in the order of other tables, all runs alike.

    Args:
        space: what to search.
        streams: one random stream per run; none of it is drawn.
        among: choices of the architectures to draw from, ``(m, n)``; None for all of the space.
        prior: accuracies in percent that other tables have, ``(tables, arch)``.

    Raises:
        InvalidInput: without a prior.
    """

    prior_tables: ClassVar[str] = "others"

    def __init__(
        self,
        space: ArchitectureSpace,
        streams: RunStreams,
        among: NDArray[np.int64] | None = None,
        prior: NDArray[np.float64] | None = None,
    ) -> None:
        if prior is None:
            raise InvalidInput(
                f"transfer goes by the tables of other data sets, and there are none of "
                f"{space.name}: name some, as options={{'prior': [...]}}"
            )
        figures = check_prior(prior, space)
        known = np.arange(space.size) if among is None else space.index(among)
        scores, self._unit = prior_scores(figures[:, known])
        self._order = np.argsort(-scores, kind="stable")
        self._choices = space.choices(known)
        self._runs = streams.runs
        features = np.stack([np.full(len(scores), INTERCEPT), scores], axis=1)
        self._posterior = LinearPosterior(features, NOISE, streams.runs, np.array([0.0, 1.0]))
        self._pending = Pending(streams.runs)

    def ask(self) -> NDArray[np.int64]:
        """The next of the ranking, from the first again at its end: choices ``(runs, n)``."""
        place = np.full(self._runs, self._order[self._pending.asked % len(self._order)])
        self._pending.add(place)
        return self._choices[place]

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64] | None = None) -> None:
        """Take an answer in; arguments as of :class:`~nats_gym.agents.AskTellAgent`."""
        (place,) = self._pending.take(evaluation)
        if evaluation is None:
            evaluation = np.full(self._runs, self._pending.asked - 1)
        self._posterior.observe(place, outcome.accuracy, evaluation)

    def recommend(self) -> NDArray[np.int64]:
        """Number of the evaluation with the highest posterior mean, ``(runs,)``."""
        target = on_scale(self._posterior.accuracy, self._unit)
        return self._posterior.recommend(self._posterior.weights(target), target)
