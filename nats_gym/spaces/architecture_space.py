"""A search space: decisions, each with choices of its own, and the architectures that they make.

An architecture is written as an int array of *choices* whose last axis has length ``n``, one for
each decision. Every method takes and returns arrays with any leading batch dimensions; a single
architecture has shape ``()``. A row of choices may be no architecture, and several may be the same.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, NatsGymError, said, shown
from nats_gym.spaces.decisions import Choices, Decisions, Indices
from nats_gym.spaces.figure import CLOSED_FORM, Figure, Quantity
from nats_gym.spaces.prefixes import AllPrefixes, ListedPrefixes, Prefixes
from nats_gym.streams import RandomSource, RunStreams, combine, uniform_integers

Figures = NDArray[np.float64]
#: Most architectures drawn at once, some 100 bytes each.
MOST_SAMPLED = 50_000_000
#: Most rows of choices of a space that are looked through one by one, some 20 bytes each.
MOST_LISTED = 1 << 24
#: Most rows that a digest is over.
MOST_DIGESTED = 1 << 16
#: Rows drawn for an architecture before none is believed to be valid.
MOST_ATTEMPTS = 100_000
#: Mutations of so many decisions before more change at once.
PATIENCE = 100

#: Closed forms that a space has as soon as it has a method of that name.
WELL_KNOWN: Mapping[str, Quantity] = {
    "params": Quantity("million parameters", "params [M]"),
    "flops": Quantity("MFLOPs", "FLOPs [M]"),
    "paths": Quantity("paths from input to output", "paths", lower_is_better=False),
}


def check_listable(what: str, name: str, count: int) -> None:
    """``InvalidInput`` where a space has too many rows or architectures for what looks at each."""
    if count > MOST_LISTED:
        raise InvalidInput(f"{what}: {name} has {count:,}, up to {MOST_LISTED:,} are looked at")


class _Attempt(RunStreams):
    """A stream of each of several rows."""

    def __init__(self, keys: NDArray[np.uint64]) -> None:
        self._keys, self._drawn = keys, 0  # hashed of what they are for already


class ArchitectureSpace(Decisions):
    """A finite space of architectures: the base of every one, of your own too.

    A space needs ``name`` and ``decisions``. Where some rows of choices are no architecture it has
    :meth:`is_valid`; where several are the same, :meth:`canonical`; both are given all rows at
    once, of which there are then :data:`MOST_LISTED` at most. Everything else has a default.

    >>> class Ladder(ArchitectureSpace):
    ...     name = "ladder"
    ...     decisions = {"depth": ("1", "2", "3"), "activation": ("relu", "tanh")}
    >>> space = Ladder()
    >>> space.size, str(space.string(space.choices(4)))
    (6, '3:relu')

    Attributes:
        name: what it is asked for by: letters, digits and ``-``, ``_``.
        title: what readers call it; default the name.
        decisions: what is decided, in order, and the names of the choices of each.
        full_epochs: the full training schedule, by which an answer is judged.
        schedules: training schedules that a search may use, cheap to dear; default the full one.
        budgets: seconds of a search by data set, on trainings of ``budget_epochs``.
        tables: folders of its tables by data set, which answer where no ``source=`` is given.
        closed_forms: what :meth:`figure` computes, by the name of the method that does; ``params``,
            ``flops`` and ``paths`` are among them as soon as there is a method of that name.
        network_builder: what builds its networks, ``"module:function"``, imported on first use, of
            ``(space, choices, num_classes, **options)``; a space that has :meth:`network` needs
            none.
        fit_description: what describes its architectures to the model of a fitted table, likewise,
            of ``(space, choices)``: a pair of arrays ``(arch, feature)``, the second of features
            that only many trainings tell; by default :meth:`features`.
        edges: (target, source) nodes of each decision, where decisions are the edges of a graph.
        official: whether its name alone says, everywhere and for good, what its architectures are.
        drawing: what draws it, a :class:`nats_gym.envs.drawing.Drawing` by its place
            ``"module:name"``; by default its decisions are listed.
    """

    title: str = ""
    full_epochs: int = 12
    schedules: tuple[int | str, ...] = ()
    budgets: ClassVar[Mapping[str, float]] = {}
    budget_epochs: int = 12
    tables: ClassVar[Mapping[str, str]] = {}
    closed_forms: ClassVar[Mapping[str, Quantity]] = {}
    network_builder: ClassVar[str] = ""
    fit_description: ClassVar[str] = ""
    edges: ClassVar[tuple[tuple[int, int], ...]] = ()
    official: ClassVar[bool] = False
    drawing: str = "nats_gym.envs.list_drawing:ListDrawing"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Find the closed forms, and give the class a title."""
        super().__init_subclass__(**kwargs)
        known = {name: form for name, form in WELL_KNOWN.items() if callable(getattr(cls, name, 0))}
        cls.closed_forms = {**known, **cls.closed_forms}
        cls.title = cls.title or getattr(cls, "name", "")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __len__(self) -> int:
        return self.size

    def __reduce__(self) -> tuple[Any, ...]:
        # What it has computed is computed again.
        computed = {
            name
            for cls in type(self).__mro__
            for name, value in vars(cls).items()
            if isinstance(value, cached_property)
        }
        state = {name: value for name, value in vars(self).items() if name not in computed}
        return _remake, (type(self), state)

    @cached_property
    def every_row_valid(self) -> bool:
        """Whether every row of choices is an architecture."""
        return type(self).is_valid is ArchitectureSpace.is_valid

    @cached_property
    def digest(self) -> str:
        """What tells its definition from another of its name, 16 hexadecimal digits.

        Over its decisions, their choices, and which architecture each row is (of more than
        :data:`MOST_DIGESTED` rows, of so many of them). Empty of an :attr:`official` space.
        """
        if self.official:
            return ""
        rows = min(self.num_rows, MOST_DIGESTED)
        ranks = np.arange(rows) * (self.num_rows // rows)
        text = json.dumps([self.name, self._decisions])
        known = hashlib.sha256(text.encode())
        known.update(self.index_at(ranks).astype("<i8").tobytes())
        return known.hexdigest()[:16]

    # ── choices ⇄ official index ─────────────────────────────────────────────────────────────

    def is_valid(self, choices: Choices) -> NDArray[np.bool_]:
        """Whether ``choices (..., n)`` are architectures, ``(...)``; by default all are."""
        return np.ones(choices.shape[:-1], bool)

    def canonical(self, choices: Choices) -> Choices:
        """The row ``(..., n)`` that stands for all that are the same architecture as each given."""
        return choices

    @cached_property
    def _is_plain(self) -> bool:
        return self.every_row_valid and type(self).canonical is ArchitectureSpace.canonical

    @cached_property
    def _listed(self) -> tuple[Indices, Indices]:
        """Index of every rank, ``(rows,)``, -1 for none, and rank of every index, ``(size,)``."""
        what = "every row of choices is asked for, as index_at, rank_at and size are not written"
        check_listable(what, self.name, self.num_rows)
        ranks = np.arange(self.num_rows)
        rows = self._row_at(ranks)
        valid = checks.array(self._ask("is_valid", rows), "is_valid() returns truth values")
        if valid.shape != ranks.shape or valid.dtype != np.bool_:
            raise InvalidInput(
                f"is_valid() of {self.name} returns a bool a row, {ranks.shape}, got {valid.dtype} "
                f"{valid.shape}"
            )
        if not valid.any():
            raise InvalidInput(f"{self.name} has no valid architecture")
        standing = self.rank(self._ask("canonical", rows[valid]))
        index = np.full(len(ranks), -1)
        found, index[valid] = np.unique(standing, return_inverse=True)
        if not np.array_equal(index[found], np.arange(len(found))):
            raise InvalidInput(
                f"canonical() of {self.name} returns valid rows that stand for themselves"
            )
        return index, found

    @property
    def size(self) -> int:
        """Number of architectures."""
        return self.num_rows if self._is_plain else len(self._listed[1])

    def index_at(self, rank: ArrayLike) -> Indices:
        """Official index ``(...)`` of rows by ``rank (...)``; -1 for none, and of rank -1."""
        ranks = np.asarray(rank, dtype=np.int64)
        if self._is_plain:
            return ranks
        return np.where(ranks < 0, -1, self._listed[0].take(np.maximum(ranks, 0)))

    def rank_at(self, index: ArrayLike) -> Indices:
        """Rank ``(...)`` of the canonical row of a valid official ``index (...)``."""
        indices = np.asarray(index, dtype=np.int64)
        return indices if self._is_plain else np.asarray(self._listed[1].take(indices))

    def index(self, choices: ArrayLike) -> Indices:
        """Official index ``(...)`` of ``choices (..., n)``, -1 where they are no architecture.

        Raises:
            InvalidInput: for what is no choice of its decision.
        """
        return np.asarray(self.index_at(self.rank(choices)), dtype=np.int64)

    def rank(self, choices: ArrayLike) -> Indices:
        """Lexicographic rank ``(...)`` of ``choices (..., n)``: the choices read as one number."""
        return np.asarray(self.check_choices(choices) @ self.place_values)

    def choices(self, index: ArrayLike) -> Choices:
        """Canonical choices ``(..., n)`` of an official ``index (...)``.

        Raises:
            InvalidInput: for an index out of range.
        """
        return self._row_at(self.rank_at(self.check_index(index)))

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
        checked = checks.integers_below(array, self.num_choices, f"choice of {self.name}")
        if not self.equal_choices and (wrong := checked >= self.choice_counts).any():
            place = np.argwhere(wrong)[0]
            decision = int(place[-1])
            raise InvalidInput(
                f"choice of {self.name} {int(checked[tuple(place)])} is out of range "
                f"0…{self.choice_counts[decision] - 1} of {shown(self.decision_names[decision])}"
            )
        return checked

    def check_index(self, index: ArrayLike) -> Indices:
        """Return ``index`` as int64; ``InvalidInput`` unless every entry is in ``0 … size-1``."""
        plain = type(index) is np.ndarray
        indices: Any = (
            index if plain else checks.array(index, f"an index of {self.name} is an integer")
        )
        return checks.integers_below(indices, self.size, f"{self.name} index")

    def check_answers(self, index: ArrayLike) -> Indices:
        """Return ``index`` as int64, where -1 is none; else as :meth:`check_index`."""
        array = checks.array(index, f"an index of {self.name} is an integer")
        if array.dtype.kind != "i":
            return self.check_index(array)
        none = array == -1
        return np.where(none, -1, self.check_index(np.where(none, 0, array)))

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

    def _string(self, choices: tuple[int, ...]) -> str:
        """Official string of one row: by default its choices' names, joined by ``:``."""
        return ":".join(
            names[choice] for names, choice in zip(self.names_of_choices, choices, strict=True)
        )

    def _parse(self, string: str) -> list[int]:
        """Choices of one official string; ``InvalidInput`` if malformed."""
        parts = string.split(":")
        if len(parts) == self.num_decisions and all(
            part in names for part, names in zip(parts, self.names_of_choices, strict=True)
        ):
            return [
                names.index(part) for part, names in zip(parts, self.names_of_choices, strict=True)
            ]
        allowed = "; ".join(
            f"{name}: {', '.join(names)}" for name, names in self._decisions.items()
        )
        raise InvalidInput(
            f"malformed {self.name} architecture {shown(string)}: a choice a decision, joined by "
            f"':' ({allowed[:400]}); a right one: {shown(self._string((0,) * self.num_decisions))}"
        )

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
        """Official index of one row of choices, -1 where it is no architecture.

        :meth:`index` without arrays, and without exceptions: a choice that its decision does not
        have makes a row that is none.
        """
        return int(self.index_at(self.rank_of(choices)))

    def rank_of(self, choices: Sequence[int]) -> int:
        """Rank of one row of choices, or of its first ones; -1 if a decision lacks its choice."""
        rank = 0
        for choice, names in zip(choices, self.names_of_choices, strict=False):
            if choice >= len(names):
                return -1
            rank = rank * len(names) + choice
        return rank

    @cached_property
    def _names(self) -> dict[int, str]:
        return {}

    def name_of(self, index: int) -> str:
        """Official string of one valid official index, remembered; empty for -1."""
        name = self._names.get(index)
        if name is None:
            name = self._names[index] = "" if index < 0 else str(self.string(self.choices(index)))
        return name

    def names_of(self, index: Indices) -> NDArray[np.object_]:
        """Official strings ``(batch,)`` of official indices ``(batch,)``; empty for -1."""
        return np.array([self.name_of(one) for one in index.tolist()], object)

    # ── moving about ─────────────────────────────────────────────────────────────────────────

    def sample(self, rng: RandomSource, shape: tuple[int, ...] = ()) -> Choices:
        """Draw architectures: choices ``(*shape, n)``, uniform among the valid rows.

        Raises:
            InvalidInput: for what is no shape, or of more than :data:`MOST_SAMPLED`.
        """
        sizes = checks.as_integers(shape)
        if sizes is None or min(sizes, default=0) < 0 or math.prod(sizes) > MOST_SAMPLED:
            raise InvalidInput(
                f"shape is a tuple of sizes from 0, {MOST_SAMPLED:,} in all, got {shown(shape)}"
            )
        if self.every_row_valid:
            return uniform_integers(rng, self.choice_counts, (*sizes, self.num_decisions))
        return self.draw_valid(
            rng,
            tuple(sizes),
            lambda source, rows: uniform_integers(
                source, self.choice_counts, (len(rows), self.num_decisions)
            ),
        )

    def mutate(self, choices: ArrayLike, rng: RandomSource) -> Choices:
        """Give one uniform decision of each architecture another choice, so that it stays valid.

        Where :data:`PATIENCE` changes of one decision made none that is, two change, then
        three and so on, and one again.

        Raises:
            InvalidInput: for what is no row of choices, and where no other row was found.
        """
        parents = self.check_choices(choices)
        flat = parents.reshape(-1, self.num_decisions)
        changeable = np.flatnonzero(self.choice_counts > 1)
        if not len(changeable):
            raise InvalidInput(f"no decision of {self.name} has another choice to change to")

        attempts = itertools.count()

        def change(source: RandomSource, rows: Indices) -> Choices:
            child = flat[rows].copy()
            together = 1 + next(attempts) // PATIENCE % len(changeable)
            if together == 1:
                place = uniform_integers(source, len(changeable), (len(rows), 1))
            else:
                place = source.random((len(rows), len(changeable))).argsort(1)[:, :together]
            decision = changeable[place]
            counts = self.choice_counts[decision]
            step = 1 + uniform_integers(source, counts - 1, decision.shape)
            here = np.arange(len(rows))[:, None], decision
            child[here] = (child[here] + step) % counts
            return child

        return self.draw_valid(rng, parents.shape[:-1], change)

    def draw_valid(
        self,
        rng: RandomSource,
        shape: tuple[int, ...],
        propose: Callable[[RandomSource, Indices], Choices],
    ) -> Choices:
        """Draw rows again until each is an architecture, independently of one another.

        Args:
            rng: one number of it is drawn for each row, however often that is drawn again: so what
                one run draws does not depend on the others beside it.
            shape: of what is drawn.
            propose: ``(source, rows)`` → choices ``(len(rows), n)`` for these rows ``(m,)``, by
                numbers of ``source``, whose shapes begin with ``len(rows)``.

        Returns:
            Choices ``(*shape, n)``.

        Raises:
            InvalidInput: if :data:`MOST_ATTEMPTS` times in turn no valid row was proposed.
        """
        keys = uniform_integers(rng, 2.0**53, shape).reshape(-1).astype(np.uint64)
        drawn = np.empty((len(keys), self.num_decisions), np.int64)
        left = np.arange(len(keys))
        for attempt in range(MOST_ATTEMPTS):
            if not len(left):
                break
            proposed = propose(_Attempt(combine(keys[left], attempt)), left)
            valid = self.every_row_valid or self.index_at(proposed @ self.place_values) >= 0
            drawn[left] = proposed
            left = left[:0] if valid is True else left[~valid]
        else:
            raise InvalidInput(f"{MOST_ATTEMPTS:,} rows drawn of {self.name}, and none was valid")
        return drawn.reshape(*shape, self.num_decisions)

    def neighbors(self, choices: ArrayLike) -> Choices:
        """All rows one decision away: ``(..., num_neighbors, n)``, by decision, then choice.

        Those that are no architecture are among them; :meth:`index` is -1 for these.
        """
        checked = self.check_choices(choices)
        counts = self.choice_counts
        decision = np.repeat(np.arange(self.num_decisions), counts - 1)  # (neighbours,)
        other = np.concatenate([np.arange(count - 1) for count in counts])
        rows = np.repeat(checked[..., None, :], len(decision), axis=-2)
        rows[..., np.arange(len(decision)), decision] = other + (other >= checked[..., decision])
        return rows

    def prefixes(self, admitted: NDArray[np.bool_] | None = None) -> Prefixes:
        """Which choices may follow the first ones of a row so that an architecture can still come.

        Args:
            admitted: which architectures count, by official index ``(size,)``; None for all.
        """
        admitted = self.check_admitted(admitted)
        if admitted is None and self.every_row_valid:
            return AllPrefixes(self.choice_counts)
        check_listable("limits and masks need every row of choices", self.name, self.num_rows)
        index = self.index_at(np.arange(self.num_rows))
        valid = index >= 0
        return ListedPrefixes(
            self.choice_counts, valid if admitted is None else valid & admitted[index]
        )

    def check_admitted(self, admitted: object) -> NDArray[np.bool_] | None:
        """Return None or which architectures count, bool ``(size,)``; ``InvalidInput`` else."""
        if admitted is None:
            return None
        array = checks.array(admitted, "admitted are truth values")
        if array.dtype != np.bool_ or array.shape != (self.size,):
            raise InvalidInput(
                f"admitted are {self.size:,} truth values, got {array.dtype} {array.shape}"
            )
        return array

    def isomorphism_class(self, choices: ArrayLike) -> Indices:
        """Lowest official index among the architectures that compute the same function, ``(...)``.

        By default each stands for itself.
        """
        return self.index(choices)

    def workload_class(self, choices: ArrayLike) -> Indices:
        """The same among those whose networks take as much time, ``(...)``: by default all do."""
        return self.isomorphism_class(choices)

    @cached_property
    def has_isomorphisms(self) -> bool:
        """Whether several architectures may compute the same function."""
        return type(self).isomorphism_class is not ArchitectureSpace.isomorphism_class

    def features(self, choices: ArrayLike) -> Figures:
        """What a model reads of architectures, ``(..., f)``: by default the choices, one-hot."""
        checked = self.check_choices(choices)
        one_hot = [
            checked[..., [i]] == np.arange(count) for i, count in enumerate(self.choice_counts)
        ]
        return np.concatenate(one_hot, axis=-1).astype(np.float64)

    # ── closed forms, schedules, networks ────────────────────────────────────────────────────

    def figure(self, name: str, dataset: str) -> Figure:
        """A closed form of every architecture on ``dataset``.

        Raises:
            InvalidInput: for a name that is not one of :attr:`closed_forms`.
        """
        key = checks.word(name, "closed form", self.closed_forms), get_dataset(dataset).name
        if key not in self._figures:
            check_listable(f"{name} of every architecture is asked for", self.name, self.size)
            values = self.compute(name, self.all_choices(), dataset)
            self._figures[key] = Figure(name, self.closed_forms[name], values, CLOSED_FORM)
        return self._figures[key]

    def compute(self, name: str, choices: ArrayLike, dataset: str) -> Figures:
        """A closed form ``(...)`` of ``choices (..., n)``; raises as :meth:`figure`."""
        name = checks.word(name, "closed form", self.closed_forms)
        return np.asarray(self._ask(name, choices, dataset), dtype=np.float64)

    def _ask(self, method: str, *arguments: Any) -> Any:
        """What a method of a space of one's own answers; its exceptions as ``InvalidInput``."""
        try:
            return getattr(self, method)(*arguments)
        except NatsGymError:
            raise
        except Exception as error:  # another's code, which raises what it likes
            raise InvalidInput(f"{method}() of {self.name} failed: {said(error)}") from error

    @cached_property
    def _figures(self) -> dict[tuple[str, str], Figure]:
        return {}

    def full_epochs_on(self, dataset: str) -> int:
        """Length of the full training schedule on a data set."""
        return get_dataset(dataset).full_epochs or self.full_epochs

    def schedules_on(self, dataset: str) -> tuple[int | str, ...]:
        """Training schedules that a search on a data set may use, cheap to dear."""
        return self.schedules or (self.full_epochs_on(dataset),)

    def budget_on(self, dataset: str) -> tuple[float, int] | None:
        """Seconds of a search on a data set, and epochs of its trainings; None for unknown."""
        facts = get_dataset(dataset)
        if facts.name in self.budgets:
            return self.budgets[facts.name], self.budget_epochs
        seconds = facts.budgets.get(self.name, facts.budget)
        return None if seconds is None else (seconds, facts.budget_epochs)

    @property
    def builds_networks(self) -> bool:
        """Whether it has networks to train."""
        own = type(self).network is not ArchitectureSpace.network
        return own or bool(self.network_builder)

    @property
    def builder(self) -> Callable[..., Any] | None:
        """What :attr:`network_builder` names."""
        if not self.network_builder:
            return None
        builder: Callable[..., Any] = checks.imported(self.network_builder, "network builder")
        return builder

    def network(self, choices: ArrayLike, dataset: str, **options: Any) -> Any:
        """The torch network of one architecture for a data set, which a trainer trains.

        Args:
            choices: of one architecture, ``(n,)``.
            dataset: name of the data set: images are ``(batch, 3, resolution, resolution)``, and
                answers ``(batch, num_classes)`` logits.
            options: of the space's own.

        Raises:
            InvalidInput: where the space builds none.
        """
        if (builder := self.builder) is not None:
            return builder(self, choices, get_dataset(dataset).num_classes, **options)
        raise InvalidInput(
            f"the space {shown(self.name)} builds no networks: give it network(choices, dataset)"
        )

    # ── one architecture, however it is written ──────────────────────────────────────────────

    def resolve(self, architecture: int | str | ArrayLike) -> int:
        """Official index of one architecture given as index, official string or choices.

        Raises:
            InvalidInput: for anything else, and for choices that are no architecture.
        """
        if isinstance(architecture, str):
            index = int(self.index(self.parse(architecture)))
        else:
            array = checks.array(architecture, "an architecture is an index, a string or choices")
            if array.ndim > 1:
                raise InvalidInput(
                    f"one {self.name} architecture expected, got shape {array.shape}"
                )
            if not array.ndim:
                return self.check_one_index(array)
            index = int(self.index(array))
        if index < 0:
            raise InvalidInput(f"{shown(architecture)} is no valid architecture of {self.name}")
        return index


def _remake(cls: type[ArchitectureSpace], state: dict[str, Any]) -> ArchitectureSpace:
    space = cls.__new__(cls)
    space.__dict__.update(state)
    return space


def _say_renamed(old: str, new: str) -> None:
    warnings.warn(f"{old}() of a space is {new}() now", DeprecationWarning, stacklevel=3)
