"""The zero-cost baseline: evaluate the largest architecture that fits, then the next largest.

Nothing is learnt. The first evaluation of a run is what the size alone would pick; later ones go
down the list, so that a run's answer is the best observed among the largest few. What a search
gains over this is what its evaluations taught it.

Source: parameters and FLOPs as baselines, Ning et al., NeurIPS 2021 (arXiv 2008.03064) and White
et al., ICLR blog track 2022 ("A Deeper Look at Zero-Cost Proxies for Lightweight NAS").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nats_gym.checks import as_list, mapping, number
from nats_gym.errors import InvalidInput, shown
from nats_gym.evaluators import Outcome
from nats_gym.spaces import ArchitectureSpace
from nats_gym.spaces.architecture_space import check_listable
from nats_gym.streams import RunStreams

#: An agent is not told the data set. Only the size space's classifier depends on it, by little.
PROXY_DATASET = "cifar10"


class Largest:
    """Architectures from the largest down; equals in random order, all runs at once.

    Large by several proxies is large by the mean of the ranks that they give.

    Args:
        space: what to search.
        streams: one random stream per run.
        proxies: some of the space's closed forms; None for all of them.
        limits: the most allowed of a closed form, by its name; ``{"flops": 100.0}``.
        among: choices of the architectures to draw from, ``(m, n)``; None for all of the space.

    Raises:
        InvalidInput: for an unknown or no proxy, where nothing fits, and for a space that has no
            closed forms, or too many architectures to be put in order.
    """

    def __init__(
        self,
        space: ArchitectureSpace,
        streams: RunStreams,
        proxies: Sequence[str] | None = None,
        limits: Mapping[str, float] | None = None,
        among: NDArray[np.int64] | None = None,
    ) -> None:
        if not space.closed_forms:
            raise InvalidInput(
                f"largest goes by the closed forms of a space; {shown(space.name)} has none: give "
                "it params(choices, dataset) or flops(choices, dataset)"
            )
        check_listable("largest puts every architecture in order", space.name, space.size)
        chosen = [*space.closed_forms] if proxies is None else as_list(proxies)
        if not chosen:
            known = ", ".join(space.closed_forms)
            raise InvalidInput(f"proxies are a list of some of {known}, got {shown(proxies)}")
        limits = mapping({} if limits is None else limits, "limits are numbers by names of proxies")
        fit = np.arange(space.size) if among is None else space.index(among)
        for name, limit in limits.items():
            most = number(limit, f"the limit of {shown(name)}", infinite=True)
            fit = fit[space.figure(name, PROXY_DATASET).values[fit] <= most]
        if not fit.size:
            raise InvalidInput(f"no {space.name} architecture fits {shown(dict(limits))}")
        ranks = np.zeros(len(fit), dtype=np.int64)
        for name in chosen:
            ranks += _doubled_rank(space.figure(name, PROXY_DATASET).values[fit])
        order = np.argsort(-ranks, kind="stable")
        ends = np.flatnonzero(np.diff(ranks[order])) + 1

        self.space = space
        self.streams = streams
        self._groups = np.split(space.choices(fit[order]), ends)  # of equals, the largest first
        self._entered = 0
        self._queue = np.zeros((streams.runs, 0, space.num_decisions), dtype=np.int64)

    def ask(self) -> NDArray[np.int64]:
        """The next largest per run, from the start again at the end: choices ``(runs, n)``."""
        if not self._queue.shape[1]:
            equals = self._groups[self._entered % len(self._groups)]
            self._entered += 1
            self._queue = equals[self.streams.random((self.streams.runs, len(equals))).argsort(1)]
        asked, self._queue = self._queue[:, 0], self._queue[:, 1:]
        return asked

    def tell(self, outcome: Outcome, evaluation: NDArray[np.int64] | None = None) -> None:
        """The order is settled before."""


def _doubled_rank(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Twice the mean rank among equals, so that ranks stay integers and ties exact."""
    ordered = np.sort(values := values.round(6))
    return np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
