"""What the two search spaces share: ``n`` decisions of ``k`` choices each, numbered officially.

An architecture is an int array of *choices* whose last axis has length ``n``. Every method takes
and returns arrays with any leading batch dimensions; a single architecture has shape ``()``.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, NatsGymError, shown
from nats_gym.spaces.figure import CLOSED_FORM, Figure, Quantity

Choices = NDArray[np.int64]
Indices = NDArray[np.int64]
Figures = NDArray[np.float64]
#: Most architectures drawn at once, some 100 bytes each.
MOST_SAMPLED = 50_000_000


class RandomSource(Protocol):
    """Anything that draws uniform floats: ``numpy.random.Generator`` or ``RunStreams``."""

    def random(self, size: Any, /) -> Any:
        """Return floats in [0, 1) of shape ``size``."""


def uniform_integers(rng: RandomSource, high: ArrayLike, shape: tuple[int, ...]) -> Indices:
    """Draw integers uniformly from ``0 … high-1``; ``high`` broadcasts against ``shape``."""
    try:
        drawn = np.asarray(rng.random(shape)) * np.asarray(high)
    except NatsGymError:
        raise
    except Exception as error:  # another's code, which raises what it likes
        raise InvalidInput(
            f"rng has random(size), as a numpy.random.Generator or RunStreams, got {shown(rng)}"
        ) from error
    return drawn.astype(np.int64)  # truncation is floor: nothing is negative


class ArchitectureSpace(ABC):
    """A finite space of architectures in NATS-Bench's official order.

    Attributes:
        name: ``"tss"`` or ``"sss"``.
        num_decisions: ``n``, the length of the choices axis.
        num_choices: ``k``, the choices of every decision.
        choice_names: what the choices are called, in order (``k`` of them).
        decision_names: what is decided, in order (``n`` of them).
        size: number of architectures, ``k ** n``.
        full_epochs: NATS-Bench's full training schedule, by which an answer is judged.
        closed_forms: what :meth:`figure` computes, by the name of the method that does.
        place_values: what a choice counts in the lexicographic rank, ``(n,)``, the first most.
    """

    name: str
    title: str
    num_decisions: int
    num_choices: int
    full_epochs: int
    choice_names: tuple[str, ...]
    decision_names: tuple[str, ...]
    closed_forms: ClassVar[Mapping[str, Quantity]] = {
        "params": Quantity("million parameters", "params [M]"),
        "flops": Quantity("MFLOPs", "FLOPs [M]"),
        "paths": Quantity("paths from input to output", "paths", lower_is_better=False),
    }

    def __init__(self) -> None:
        self.size = self.num_choices**self.num_decisions
        self._names: dict[int, str] = {}
        self._figures: dict[tuple[str, str], Figure] = {}
        self.place_values = self.num_choices ** np.arange(
            self.num_decisions - 1, -1, -1, dtype=np.int64
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __reduce__(self) -> tuple[type[ArchitectureSpace], tuple[()]]:
        return type(self), ()  # what it remembers is made again

    def __len__(self) -> int:
        return self.size

    def full_epochs_on(self, dataset: str) -> int:
        """Length of the full training schedule on a data set."""
        return get_dataset(dataset).full_epochs or self.full_epochs

    # ── choices ⇄ official index ──────────────────────────────────────────────────────────────

    @property
    @abstractmethod
    def rank_to_index(self) -> Indices:
        """Official index of each architecture in lexicographic order of choices, ``(size,)``."""

    @property
    @abstractmethod
    def index_to_rank(self) -> Indices:
        """Lexicographic rank of each official index, ``(size,)``; inverse of the above."""

    def index(self, choices: ArrayLike) -> Indices:
        """Official index ``(...)`` of ``choices (..., n)``. ``InvalidInput`` if out of range."""
        return np.asarray(self.rank_to_index[self.rank(choices)], dtype=np.int64)

    def rank(self, choices: ArrayLike) -> Indices:
        """Lexicographic rank ``(...)`` of ``choices (..., n)``: the choices read as one number."""
        return np.asarray(self.check_choices(choices) @ self.place_values)

    def choices(self, index: ArrayLike) -> Choices:
        """Choices ``(..., n)`` of an official ``index (...)``. ``InvalidInput`` if out of range."""
        rank = self.index_to_rank[self.check_index(index)]
        return np.asarray(rank[..., None] // self.place_values % self.num_choices)

    def all_choices(self) -> Choices:
        """Choices of every architecture in official order, ``(size, n)``."""
        return self.choices(np.arange(self.size))

    def check_choices(self, choices: ArrayLike) -> Choices:
        """Return ``choices`` as int64 ``(..., n)``; ``InvalidInput`` says what is wrong."""
        array = checks.array(choices, f"choices of {self.name} are integers")
        if array.ndim == 0 or array.shape[-1] != self.num_decisions:
            raise InvalidInput(
                f"choices of {self.name} need a last axis of {self.num_decisions}, "
                f"got shape {array.shape}"
            )
        return _as_integers_below(array, self.num_choices, f"choice of {self.name}")

    def check_index(self, index: ArrayLike) -> Indices:
        """Return ``index`` as int64; ``InvalidInput`` unless every entry is in ``0 … size-1``."""
        plain = type(index) is np.ndarray
        indices: Any = (
            index if plain else checks.array(index, f"an index of {self.name} is an integer")
        )
        return _as_integers_below(indices, self.size, f"{self.name} index")

    def check_batch(self, index: ArrayLike) -> Indices:
        """Return ``index`` as int64 ``(batch,)``, of one at least; else as :meth:`check_index`."""
        checked = self.check_index(index)
        if checked.ndim != 1 or not len(checked):
            raise InvalidInput(
                f"a batch holds one {self.name} index at least, (batch,), got {checked.shape}"
            )
        return checked

    def check_one_index(self, index: ArrayLike) -> int:
        """Return ``index`` as a plain int; ``InvalidInput`` unless it is a single official one."""
        checked = self.check_index(index)
        if checked.ndim:
            raise InvalidInput(f"one {self.name} index expected, got shape {checked.shape}")
        return int(checked)

    # Names that these had; they go after a release.

    def digits(self, index: ArrayLike) -> Choices:
        """What :meth:`choices` was called."""
        _say_renamed("digits", "choices")
        return self.choices(index)

    def all_digits(self) -> Choices:
        """What :meth:`all_choices` was called."""
        _say_renamed("all_digits", "all_choices")
        return self.all_choices()

    def check_digits(self, choices: ArrayLike) -> Choices:
        """What :meth:`check_choices` was called."""
        _say_renamed("check_digits", "check_choices")
        return self.check_choices(choices)

    # ── official strings ─────────────────────────────────────────────────────────────────────

    @abstractmethod
    def _string(self, choices: tuple[int, ...]) -> str:
        """Official string of one architecture."""

    @abstractmethod
    def _parse(self, string: str) -> list[int]:
        """Choices of one official string; ``InvalidInput`` if malformed."""

    def string(self, choices: ArrayLike) -> NDArray[np.str_]:
        """Official strings ``(...)`` of ``choices (..., n)``; shape ``()`` for one of them."""
        checked = self.check_choices(choices)
        flat = checked.reshape(-1, self.num_decisions).tolist()
        strings = np.array([self._string(tuple(row)) for row in flat], dtype=np.str_)
        return strings.reshape(checked.shape[:-1])

    def parse(self, string: str | ArrayLike) -> Choices:
        """Choices ``(..., n)`` of official strings ``(...)``.

        Raises:
            InvalidInput: for a malformed string; says what is wrong and shows a right one.
        """
        if isinstance(string, str):  # as it is: an array drops NULs at its end
            return np.array(self._parse(str.__str__(string)), dtype=np.int64)
        strings = checks.array(string, f"an architecture string of {self.name} is text")
        if strings.dtype.kind != "U":
            raise InvalidInput(
                f"an architecture string of {self.name} is text, got {shown(string)}"
            )
        parsed = [self._parse(str(item)) for item in strings.ravel()]
        return np.array(parsed, dtype=np.int64).reshape(*strings.shape, self.num_decisions)

    # ── one architecture without numpy's cost per call, for the scalar environment ───────────

    def index_of(self, choices: Sequence[int]) -> int:
        """Official index of one architecture's valid choices; :meth:`index` without arrays."""
        rank = 0
        for choice in choices:
            rank = rank * self.num_choices + choice
        return self.rank_to_index.item(rank)

    def name_of(self, index: int) -> str:
        """Official string of one valid official index, remembered."""
        name = self._names.get(index)
        if name is None:
            name = self._names[index] = str(self.string(self.choices(index)))
        return name

    @cached_property
    def names(self) -> NDArray[np.object_]:
        """Official strings of all architectures by official index, ``(size,)``, read-only."""
        names = np.array([self._string(tuple(row)) for row in self.all_choices().tolist()], object)
        names.flags.writeable = False
        return names

    # ── moving about ─────────────────────────────────────────────────────────────────────────

    def sample(self, rng: RandomSource, shape: tuple[int, ...] = ()) -> Choices:
        """Draw architectures uniformly: choices ``(*shape, n)``.

        Raises:
            InvalidInput: for what is no shape, or of more than :data:`MOST_SAMPLED`.
        """
        sizes = checks.as_integers(shape)
        if sizes is None or min(sizes, default=0) < 0 or math.prod(sizes) > MOST_SAMPLED:
            raise InvalidInput(
                f"shape is a tuple of sizes from 0, {MOST_SAMPLED:,} in all, got {shown(shape)}"
            )
        return uniform_integers(rng, self.num_choices, (*sizes, self.num_decisions))

    @abstractmethod
    def mutate(self, choices: ArrayLike, rng: RandomSource) -> Choices:
        """Change one decision of each architecture by the paper's rule for this space."""

    def neighbors(self, choices: ArrayLike) -> Choices:
        """All architectures one decision away: ``(..., n·(k-1), n)``, by decision, then choice."""
        checked = self.check_choices(choices)
        n, k = self.num_decisions, self.num_choices
        out = np.broadcast_to(checked[..., None, None, :], (*checked.shape[:-1], n, k - 1, n))
        out = out.copy()
        others = np.arange(k - 1) + (np.arange(k - 1) >= checked[..., None])  # (..., n, k-1)
        decision = np.arange(n)
        out[..., decision, :, decision] = np.moveaxis(others, -2, 0)
        return out.reshape(*checked.shape[:-1], n * (k - 1), n)

    # ── closed forms ─────────────────────────────────────────────────────────────────────────

    def figure(self, name: str, dataset: str) -> Figure:
        """A closed form of every architecture on ``dataset``.

        Raises:
            InvalidInput: for a name that is not one of :attr:`closed_forms`.
        """
        key = checks.word(name, "figure", self.closed_forms), get_dataset(dataset).name
        if key not in self._figures:
            values = getattr(self, name)(self.all_choices(), dataset)
            self._figures[key] = Figure(name, self.closed_forms[name], values, CLOSED_FORM)
        return self._figures[key]

    @abstractmethod
    def params(self, choices: ArrayLike, dataset: str) -> Figures:
        """Parameters of the network for ``dataset``, in millions, ``(...)``."""

    @abstractmethod
    def flops(self, choices: ArrayLike, dataset: str) -> Figures:
        """Multiply-accumulates of one image for ``dataset``, in millions, ``(...)``."""

    def paths(self, choices: ArrayLike, dataset: str) -> Figures:
        """Live paths from input to output, ``(...)``: one where nothing branches."""
        get_dataset(dataset)  # any will do
        return np.ones(self.check_choices(choices).shape[:-1])

    # ── one architecture, however it is written ──────────────────────────────────────────────

    def resolve(self, architecture: int | str | ArrayLike) -> int:
        """Official index of one architecture given as index, official string or choices."""
        if isinstance(architecture, str):
            return int(self.index(self.parse(architecture)))
        array = checks.array(architecture, "an architecture is an index, a string or choices")
        if array.ndim > 1:
            raise InvalidInput(f"one {self.name} architecture expected, got shape {array.shape}")
        return int(self.index(array)) if array.ndim else self.check_one_index(array)


def _say_renamed(old: str, new: str) -> None:
    warnings.warn(f"{old}() of a space is {new}() now", DeprecationWarning, stacklevel=3)


def _as_integers_below(array: NDArray[Any], bound: int, what: str) -> NDArray[np.int64]:
    if array.dtype.kind not in "iu" and array.size:
        # An integer beyond 64 bits makes an array of objects.
        objects = array.flat if array.dtype == object else ()
        huge = next((v for v in objects if isinstance(v, int) and not 0 <= v < bound), None)
        if huge is None:
            raise InvalidInput(f"a {what} is an integer, got {array.dtype} values")
        raise InvalidInput(f"{what} {shown(huge)} is out of range 0…{bound - 1}")
    integers = array.astype(np.int64, copy=False)
    # A uint64 beyond int64 wraps to a negative, so one comparison as unsigned finds both ends.
    wrong = integers.view(np.uint64) >= bound if integers.ndim else not 0 <= int(integers) < bound
    if wrong if isinstance(wrong, bool) else wrong.any():
        bad = array[wrong].flat[0] if array.ndim else array
        raise InvalidInput(f"{what} {int(bad)} is out of range 0…{bound - 1}")
    return integers
