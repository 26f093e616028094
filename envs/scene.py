"""What there is to see of an episode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nats_gym.spaces import ArchitectureSpace

#: What is shown of a choice that its decision does not have.
NO_SUCH_CHOICE = "no such choice"


@dataclass(frozen=True)
class Scene:
    """What there is to see of an episode.

    Attributes:
        space, dataset: what is searched.
        choices: one a decision, -1 where it is open.
        position: the decision that comes next; None for none.
        accuracy: percent, of the evaluation that arrived last; None for none.
        provenance: what that accuracy rests on.
        clock: simulated seconds used.
        budget: simulated seconds in all; infinite without one.
        evaluations: how many there were.
        incumbent: official index and accuracy of the best so far.
        horizon: steps taken, and steps in all.
        caption: a further line, such as the official string or the epochs chosen. In a picture
            it may fill two, and the font has Latin letters and no arrows.
    """

    space: ArchitectureSpace
    dataset: str
    choices: Sequence[int]
    position: int | None = None
    accuracy: float | None = None
    provenance: str | None = None
    clock: float = 0.0
    budget: float = math.inf
    evaluations: int = 0
    incumbent: tuple[int, float] | None = None
    horizon: tuple[int, int] | None = None
    caption: str = ""

    def choice_name(self, decision: int) -> str:
        """What was chosen; ``?`` for the decision that comes next, ``·`` for those to come."""
        choice = self.choices[decision]
        if choice < 0:
            return "?" if decision == self.position else "·"
        names = self.space.names_of_choices[decision]
        return names[choice] if choice < len(names) else NO_SUCH_CHOICE

    @property
    def is_invalid(self) -> bool:
        """Whether everything is decided, and no architecture."""
        return min(self.choices) >= 0 and self.space.index_of(self.choices) < 0
