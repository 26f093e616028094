"""Several objectives as one vector, each to be maximised: accuracy, and what a network costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym.checks import as_list
from nats_gym.errors import InvalidInput, listed, shown
from nats_gym.spaces import ArchitectureSpace, Figure, Quantity
from nats_gym.tables.figure_names import LISTED_BY, check_figure


class Objectives:
    """Figures as vectors: accuracy / 100, the others as :meth:`Figure.shares`.

    Args:
        names: of figures, as :func:`name_objectives` returns them.
        find: looks one up; it is not asked for accuracies, which evaluations tell.

    Attributes:
        names: of the objectives, in order.
    """

    def __init__(self, names: Iterable[str], find: Callable[[str], Figure]) -> None:
        self.names = tuple(names)
        self._shares = {name: find(name).shares() for name in self.names if name != "accuracy"}

    def vector(self, index: int | NDArray[np.int64], accuracy: ArrayLike) -> NDArray[np.float64]:
        """Vectors ``(..., m)`` of official indices, -1 for none, and accuracies in percent."""
        columns = [
            np.asarray(accuracy) / 100.0 if name == "accuracy" else self._shares[name][index]
            for name in self.names
        ]
        return np.stack(np.broadcast_arrays(*columns), axis=-1)


def check_complete(
    names: Iterable[str],
    find: Callable[[str], Figure],
    space: ArchitectureSpace,
    asked: NDArray[np.int64] | None,
) -> None:
    """``InvalidInput`` for an objective that is not known of all that may be asked for.

    Args:
        names: of the objectives.
        find: looks one up; it is not asked for accuracies.
        space: what is searched.
        asked: choices of what may be asked for, ``(n, decisions)``; None for all of the space.
    """
    rows = slice(None) if asked is None else space.index(asked)
    for name in names:
        if name != "accuracy" and np.isnan(find(name).values[rows]).any():
            raise InvalidInput(f"the objective {name} is known of some architectures only")


def name_objectives(objectives: Any, known: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """What objectives are, by their names in order.

    Args:
        objectives: names of two figures or more; None for accuracy and FLOPs, or in a space
            without FLOPs its first cost.
        known: by name, all figures that there are.

    Raises:
        InvalidInput: for anything else.
    """
    if objectives is None:
        costs = [name for name, of in known.items() if of.lower_is_better]
        objectives = ("accuracy", *(["flops"] if "flops" in costs else costs[:1]))
    given = as_list(objectives)
    given = [objectives] if given is None else given
    names = tuple(check_figure(name, "objective", known) for name in given)
    if len(names) < 2 or len(set(names)) < len(names):
        raise InvalidInput(
            f"objectives are two or more, each once, got {shown(names)}; allowed: "
            f"{listed(known, LISTED_BY)}"
        )
    return {name: known[name] for name in names}
