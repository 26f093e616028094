"""``check_space``: sound spaces pass; each promise has one that breaks it, told by its name."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from nats_gym.errors import InvalidInput
from nats_gym.spaces import ArchitectureSpace
from nats_gym.spaces.prefixes import AllPrefixes, ListedPrefixes
from nats_gym.testing import SpaceError, check_space


class Sound(ArchitectureSpace):
    """Unequal choices, some rows none, some alike."""

    name = "sound"
    decisions: ClassVar[Any] = {
        "depth": ("1", "2", "3"),
        "width": ("4", "8", "12", "16", "20"),
        "activation": ("relu", "tanh"),
    }

    def is_valid(self, choices: Any) -> Any:  # not deep and wide
        return choices[..., 0] + choices[..., 1] < 6

    def canonical(self, choices: Any) -> Any:  # the narrowest has no activation
        alike = choices.copy()
        alike[..., 2] *= choices[..., 1] > 0
        return alike

    def params(self, choices: Any, dataset: str) -> Any:
        rows = self.canonical(self.check_choices(choices))
        width = 4.0 * (rows[..., 1] + 1)
        return (3 * width + width + 10 * width + 10 + 0 * rows[..., 0]) / 1e6

    def network(self, choices: Any, dataset: str) -> Any:
        width = 4 * (int(choices[1]) + 1)
        layers = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, width), nn.Linear(width, 10)]
        return nn.Sequential(*layers)


class Many(ArchitectureSpace):
    """More rows than are looked at one by one."""

    name = "many"
    decisions: ClassVar[Any] = {f"layer {i}": tuple("abcd"[: 2 + i % 3]) for i in range(20)}


class Single(ArchitectureSpace):
    name = "single"
    decisions: ClassVar[Any] = {"only": ("one",), "choice": ("there",)}


@pytest.mark.one_in(4)
@pytest.mark.parametrize("space", ["tss", "sss", "nb101", Sound, Sound(), Many, Single])
def test_sound_spaces_pass(space: Any) -> None:
    check_space(space, dataset="digits")


# ── one broken space a promise ───────────────────────────────────────────────────────────────


class BadName(Sound):
    name = "not a name"


class NoChoices(Sound):
    decisions: ClassVar[Any] = {"depth": ()}


class BadSchedules(Sound):
    schedules = ("often",)


class BadEdges(Sound):
    edges = ((1, 0),)


class NoDrawing(Sound):
    drawing = "nats_gym.envs:Nothing"


class WrongSize(Sound):
    @property
    def size(self) -> int:
        return 29


class Above(Sound):
    @property
    def size(self) -> int:
        return 5


class Shifted(Sound):
    def index(self, choices: Any) -> Any:
        found = super().index(choices)
        return np.where(found > 3, found - 1, found)


class Clipping(Sound):
    """Takes any index."""

    def choices(self, index: Any) -> Any:
        return super().choices(np.clip(index, 0, self.size - 1))


class AnotherRow(Sound):
    def choices(self, index: Any) -> Any:
        return super().choices((np.asarray(index) + 1) % self.size)


class RankedBackwards(Single):
    name = "backwards"
    decisions = Sound.decisions

    def rank(self, choices: Any) -> Any:
        return self.num_rows - 1 - super().rank(choices)


class OneByOne(Sound):
    def index_of(self, choices: Any) -> int:
        return 0


class ByAnotherRule(Sound):
    """Its indices are of another validity than it states."""

    def index_at(self, rank: Any) -> Any:
        return np.where(np.asarray(rank) == 0, -1, np.maximum(super().index_at(rank) - 1, -1))

    def rank_at(self, index: Any) -> Any:
        return super().rank_at(np.asarray(index) + 1)

    @property
    def size(self) -> int:
        return super().size - 1


class OnlyWhole(Sound):
    """Works on all rows alone."""

    def is_valid(self, choices: Any) -> Any:
        return choices[:, 0] + choices[:, 1] < 6


class TrueAlone(Sound):
    """Every row that is asked for alone is valid."""

    def is_valid(self, choices: Any) -> Any:
        return super().is_valid(choices) | (np.ndim(choices) == 1)


class OneRowAlone(Sound):
    """A row that is another one again stands for something else when asked for alone."""

    def canonical(self, choices: Any) -> Any:
        found = super().canonical(choices)
        return found + (choices[2] > found[2]) if np.ndim(choices) == 1 else found


class NotIdempotent(Sound):
    def canonical(self, choices: Any) -> Any:
        changed = choices.copy()
        changed[..., 2] = (choices[..., 2] + 1) % 2
        return changed


class NoRow(Sound):
    """Stands for rows by what they are not."""

    def canonical(self, choices: Any) -> Any:
        return super().canonical(choices).astype(float)


class WritingCanonical(Sound):
    def canonical(self, choices: Any) -> Any:
        choices[..., 2] *= choices[..., 1] > 0
        return choices


class SameStrings(Sound):
    def _string(self, choices: Any) -> str:
        return ":".join(map(str, choices[:2]))


class NoWayBack(Sound):
    def _parse(self, string: str) -> list[int]:
        return [0, 0, 0]


class ParsesAnything(Sound):
    def _parse(self, string: str) -> list[int]:
        try:
            return super()._parse(string)
        except InvalidInput:
            return [0, 0, 0]


class OtherNames(Sound):
    def name_of(self, index: int) -> str:
        return "another"


class SamplesAnything(Sound):
    def sample(self, rng: Any, shape: Any = ()) -> Any:
        return (rng.random((*shape, 3)) * self.choice_counts).astype(np.int64)


class SamplesAtRandom(Sound):
    def sample(self, rng: Any, shape: Any = ()) -> Any:
        return super().sample(np.random.default_rng(), shape)


class SamplesOne(Sound):
    def sample(self, rng: Any, shape: Any = ()) -> Any:
        return np.zeros((*shape, 3), np.int64)


class SamplesTogether(Sound):
    """What is drawn beside a run decides what it draws."""

    def sample(self, rng: Any, shape: Any = ()) -> Any:
        drawn = super().sample(rng, shape)
        return drawn[::-1].copy() if len(shape) == 1 else drawn


class MutatesAnyhow(Sound):
    def mutate(self, choices: Any, rng: Any) -> Any:
        return (rng.random(np.shape(choices)) * self.choice_counts).astype(np.int64)


class NeverMutates(Sound):
    def mutate(self, choices: Any, rng: Any) -> Any:
        return np.array(choices)


class MutatesInPlace(Sound):
    def mutate(self, choices: Any, rng: Any) -> Any:
        choices[...] = super().mutate(choices, rng)
        return choices


class FewNeighbors(Sound):
    num_neighbors = 6

    def neighbors(self, choices: Any) -> Any:
        return super().neighbors(choices)[..., :6, :]


class SelfNeighbors(Sound):
    def neighbors(self, choices: Any) -> Any:
        return np.repeat(np.asarray(choices)[..., None, :], self.num_neighbors, -2)


class OpenToAll(Sound):
    """Masks that lead into dead ends."""

    def prefixes(self, admitted: Any = None) -> Any:
        return AllPrefixes(self.choice_counts)


class DeafToLimits(Sound):
    def prefixes(self, admitted: Any = None) -> Any:
        return super().prefixes()


class Closed(Many):
    """Masks that forbid what is an architecture."""

    def prefixes(self, admitted: Any = None) -> Any:
        prefixes = AllPrefixes(self.choice_counts)
        prefixes.marginal[3, 1:] = 0
        return prefixes


class DeadEnds(Many):
    """Masks of a large space that lead to what is none."""

    @property
    def size(self) -> int:
        return self.num_rows // 2

    def is_valid(self, choices: Any) -> Any:
        return choices[..., 0] == 0

    def index_at(self, rank: Any) -> Any:
        return np.where(np.asarray(rank) < self.size, rank, -1)

    def rank_at(self, index: Any) -> Any:
        return np.asarray(index)

    def prefixes(self, admitted: Any = None) -> Any:
        return AllPrefixes(self.choice_counts)


class EmptyMasks(Sound):
    def prefixes(self, admitted: Any = None) -> Any:
        return ListedPrefixes(self.choice_counts, np.zeros(self.num_rows, bool))


class HigherClass(Sound):
    def isomorphism_class(self, choices: Any) -> Any:
        return np.full(np.shape(choices)[:-1], self.size - 1)


class RaggedFeatures(Sound):
    def features(self, choices: Any) -> Any:
        return np.full((*np.shape(choices)[:-1], 2), np.nan)


class OneFigure(Sound):
    def params(self, choices: Any, dataset: str) -> Any:
        return np.float64(1.0)


class NegativeFigure(Sound):
    def flops(self, choices: Any, dataset: str) -> Any:
        return -1.0 - np.asarray(choices)[..., 0]


class UnlikeFigures(Sound):
    """Rows of one architecture that cost differently."""

    def flops(self, choices: Any, dataset: str) -> Any:
        return 1.0 + np.asarray(choices)[..., 2]


class TooManyAnswers(Sound):
    def network(self, choices: Any, dataset: str) -> Any:
        return nn.Sequential(nn.Flatten(), nn.Linear(3072, 11))


class Lazy(Sound):
    def network(self, choices: Any, dataset: str) -> Any:
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(10))


class NoModule(Sound):
    def network(self, choices: Any, dataset: str) -> Any:
        return torch.relu


class Fails(Sound):
    def network(self, choices: Any, dataset: str) -> Any:
        raise KeyError("no such layer")


class Miscounted(Sound):
    def params(self, choices: Any, dataset: str) -> Any:
        return super().params(choices, dataset) + 1.0


class Unpicklable(Sound):
    def __init__(self) -> None:
        self.open = lambda: None


class ForgetsInPickles(Sound):
    def __init__(self, last: str = "gelu") -> None:
        self.decisions = {"depth": ("1", "2", "3"), "width": tuple("abcde"), "act": ("relu", last)}

    def __reduce__(self) -> Any:
        return ForgetsInPickles, ("tanh",)


@pytest.mark.parametrize(
    ("space", "promise", "word"),
    [
        (BadName, "name and decisions", "not a name"),
        (NoChoices, "name and decisions", "'depth' has a list of names"),
        (BadSchedules, "schedules", "often"),
        (BadEdges, "edges", "3 decisions"),
        (NoDrawing, "drawing", "Nothing"),
        (WrongSize, "index()", "25 architectures; size is 29"),
        (Above, "index()", "int64 in -1…4"),
        (Shifted, "index()", "architectures; size is"),
        (Clipping, "choices()", "index -1 of 25 is refused"),
        (AnotherRow, "choices()", "whose index is"),
        (RankedBackwards, "rank()", "the first counting most"),
        (OneByOne, "index_of()", "it is 0"),
        (ByAnotherRule, "is_valid()", "[0, 0, 0]"),
        (OnlyWhole, "is_valid()", "of (2, 15, 3) it is (2, 15)"),
        (TrueAlone, "is_valid()", "of [2, 4, 0] alone it is True, in a batch False"),
        (OneRowAlone, "canonical()", "of [0, 0, 1] alone"),
        (NotIdempotent, "canonical()", "does not stand for itself"),
        (NoRow, "canonical()", "float64"),
        (WritingCanonical, "canonical()", "wrote into"),
        (SameStrings, "string()", "two architectures are '0:1'"),
        (NoWayBack, "parse()", "the string of"),
        (ParsesAnything, "parse()", "refused by InvalidInput"),
        (OtherNames, "names_of()", "differs from string()"),
        (SamplesAnything, "sample()", "no valid architecture"),
        (SamplesAtRandom, "sample()", "the second time"),
        (SamplesOne, "sample()", "one architecture of 25"),
        (SamplesTogether, "sample()", "drawn beside it"),
        (MutatesAnyhow, "mutate()", "no valid architecture"),
        (NeverMutates, "mutate()", "differs from its parent"),
        (MutatesInPlace, "mutate()", "wrote into"),
        (FewNeighbors, "neighbors()", "7 rows one decision away"),
        (SelfNeighbors, "neighbors()", "7 rows one decision away"),
        (OpenToAll, "prefixes()", "architectures go on by"),
        (DeafToLimits, "prefixes(admitted)", "architectures go on by"),
        (Closed, "prefixes()", "forbids"),
        (DeadEnds, "prefixes()", "no architecture"),
        (EmptyMasks, "prefixes()", "architectures go on by"),
        (HigherClass, "isomorphism_class()", "lowest index"),
        (RaggedFeatures, "features()", "finite float64"),
        (OneFigure, "params()", "first axis"),
        (NegativeFigure, "closed form flops", "from 0"),
        (UnlikeFigures, "closed form flops", "one architecture"),
        (TooManyAnswers, "network()", "(2, 10), got (2, 11)"),
        (Lazy, "network()", "a lazy layer"),
        (NoModule, "network()", "torch.nn.Module"),
        (Fails, "network()", "KeyError: 'no such layer'"),
        (Miscounted, "params()", "its network has"),
        (Unpicklable, "pickling", "lambda"),
        (ForgetsInPickles, "pickling", "other decisions"),
    ],
)
def test_a_broken_promise_is_named(space: Any, promise: str, word: str) -> None:
    with pytest.raises(SpaceError, match=re.escape(word)) as caught:
        check_space(space)
    assert str(caught.value).startswith(promise), caught.value
    assert "\n" not in str(caught.value)


def test_what_is_no_space_is_refused() -> None:
    for wrong, word in ((7, "got 7"), (None, "None"), ("tts", "tss"), (dict, "dict")):
        with pytest.raises(InvalidInput, match=word):
            check_space(wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="cifar"):
        check_space("tss", dataset="cifar")
