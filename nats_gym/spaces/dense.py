"""NATS-Bench's spaces: ``n`` decisions of ``k`` choices each, all of them architectures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym.datasets import get_dataset
from nats_gym.spaces.architecture_space import ArchitectureSpace, Figures
from nats_gym.spaces.decisions import Indices


class DenseSpace(ArchitectureSpace):
    """A space in NATS-Bench's official order, whose networks have a closed-form cost.

    Attributes:
        choice_names: what the choices of every decision are called, in order (``k`` of them).
    """

    choice_names: tuple[str, ...]

    # ── choices ⇄ official index ─────────────────────────────────────────────────────────────

    @property
    def rank_to_index(self) -> Indices:
        """Official index of each architecture in lexicographic order of choices, ``(size,)``."""
        raise NotImplementedError

    @property
    def index_to_rank(self) -> Indices:
        """Lexicographic rank of each official index, ``(size,)``; inverse of the above."""
        raise NotImplementedError

    def index_at(self, rank: ArrayLike) -> Indices:
        """Official index ``(...)`` of the rows of a ``rank (...)``."""
        return np.asarray(self.rank_to_index[np.asarray(rank)])

    def rank_at(self, index: ArrayLike) -> Indices:
        """Rank ``(...)`` of a valid official ``index (...)``."""
        return np.asarray(self.index_to_rank[np.asarray(index)])

    def index_of(self, choices: Sequence[int]) -> int:
        """Official index of one architecture's valid choices; :meth:`index` without arrays."""
        return self.rank_to_index.item(self.rank_of(choices))

    def rank_of(self, choices: Sequence[int]) -> int:
        """Rank of one architecture's choices, or of its first ones."""
        rank, k = 0, self.num_choices
        for choice in choices:
            rank = rank * k + choice
        return rank

    @cached_property
    def names(self) -> NDArray[np.object_]:
        """Official strings of all architectures by official index, ``(size,)``, read-only."""
        names = np.array([self._string(tuple(row)) for row in self.all_choices().tolist()], object)
        names.flags.writeable = False
        return names

    def names_of(self, index: Indices) -> NDArray[np.object_]:
        """Official strings ``(batch,)`` of official indices ``(batch,)``."""
        return self.names.take(index)

    def official_config(self, string: str, network: Mapping[str, Any]) -> dict[str, Any]:
        """What official files say of a network of the space, beside its string and classes.

        Args:
            string: its architecture's.
            network: the options that it was built with.
        """
        raise NotImplementedError

    # ── closed forms ─────────────────────────────────────────────────────────────────────────

    def params(self, choices: ArrayLike, dataset: str) -> Figures:
        """Parameters of the network for ``dataset``, in millions, ``(...)``."""
        raise NotImplementedError

    def flops(self, choices: ArrayLike, dataset: str) -> Figures:
        """Multiply-accumulates of one image for ``dataset``, in millions, ``(...)``."""
        raise NotImplementedError

    def paths(self, choices: ArrayLike, dataset: str) -> Figures:
        """Live paths from input to output, ``(...)``: one where nothing branches."""
        get_dataset(dataset)  # any will do
        return np.ones(self.check_choices(choices).shape[:-1])
