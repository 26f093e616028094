"""Transfer of a ranking: train what other data sets rank first, then second, and so on.

Few-shot search (:mod:`.few_shot`) without features, that asks as if no answer taught it where to
look. Its line from the prior scores to the answers says only which of them to believe.

Source: rankings of NAS-Bench-201's architectures agree between its data sets, Dong & Yang, ICLR
2020 (arXiv 2001.00326), section 5; the rule itself is the simplest that uses it.
"""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nats_gym.errors import InvalidInput
from nats_gym.spaces import ArchitectureSpace

from .few_shot import FewShot
from .prior_scores import check_prior


class Transfer(FewShot):
    """Architectures in the order of other tables, all runs alike; no stream is drawn from.

    Arguments as of :class:`~nats_gym.agents.few_shot.FewShot`, but all of a large space is ranked.

    Raises:
        InvalidInput: without a prior.
    """

    prior_tables: ClassVar[str] = "others"

    def _check(self, prior: object, space: ArchitectureSpace) -> NDArray[np.float64]:
        if prior is None:
            raise InvalidInput(
                f"transfer goes by the tables of other data sets, and there are none of "
                f"{space.name}: name some, as options={{'prior': [...]}}"
            )
        return check_prior(prior, space)

    def _pool(self, space: ArchitectureSpace) -> NDArray[np.int64]:
        return space.choices(np.arange(space.size))

    def _describe(self, space: ArchitectureSpace) -> NDArray[np.float64]:
        return np.empty((len(self._choices), 0))

    def _choose(self) -> NDArray[np.int64]:
        """The next of the ranking, from the first again at its end, ``(runs,)``."""
        return np.full(self.streams.runs, self._order[self._pending.asked % len(self._order)])

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(-self._scores, kind="stable")
