"""Holds a space to what :class:`~nats_gym.spaces.ArchitectureSpace` promises of every one."""

from __future__ import annotations

import importlib
import itertools
import math
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, NatsGymError, shown
from nats_gym.simulation.schedule import check_epochs
from nats_gym.spaces import ArchitectureSpace, Quantity, get_space
from nats_gym.spaces.known import check_definition
from nats_gym.streams import RunStreams, run_keys, run_seeds
from nats_gym.testing.differences import find_difference, told

Array = NDArray[Any]

#: Rows of choices that are all looked at; of a space that has more, some are drawn.
ROWS_LOOKED_AT = 1 << 15
#: Architectures of a larger space that are asked for, and of any for what is slow.
DRAWN = 512
#: Subjects, from the first to the last, that are also asked for alone.
_ALONE = 8
#: Images that a network is given.
_IMAGES = 2


class SpaceError(NatsGymError, AssertionError):
    """A space does not keep what every space promises."""


def check_space(
    space: str | ArchitectureSpace | type[ArchitectureSpace],
    *,
    dataset: str = "cifar10",
    picklable: bool = True,
) -> None:
    """Check that a space of yours keeps what environments, agents and tables count on.

    In turn: its name, decisions and schedules; official index, choices and ranks, there and back;
    ``is_valid`` and ``canonical``; strings, there and back; that ``sample`` and ``mutate`` give
    architectures, the same by the same numbers, whatever is drawn beside; ``neighbors``;
    the masks of ``prefixes``; ``isomorphism_class``; ``features``; closed forms; a network, built
    for a batch of images; pickling. Batches of any shape have to be answered as their parts are,
    and nothing given may be written into.

    A space of up to 32,768 rows is looked at whole, and its masks are compared with all that
    follows each prefix; of a larger one some hundred architectures are drawn: seconds in all.

    Args:
        space: yours: the space, its class, or its registered name.
        dataset: what its closed forms and its network are asked for.
        picklable: it can be sent to other processes; False for a class that no module holds.

    Raises:
        SpaceError: at the first thing that is wrong: it begins with what is promised. An exception
            of the space's own is its cause.
        InvalidInput: for what is no space at all, and for an unknown data set.

    >>> check_space("tss")
    """
    dataset, picklable = get_dataset(dataset).name, checks.switch(picklable, "picklable")
    subject = _Subject(_definition(space), dataset)
    for check in (
        *(_check_definition, _check_validity, _check_index, _check_choices, _check_agreement),
        *(_check_strings, _check_sample, _check_mutate, _check_neighbors, _check_prefixes),
        *(_check_isomorphism, _check_features, _check_closed_forms, _check_network),
    ):
        # What is no answer at all breaks where it is looked at.
        _answer(check.__name__.removeprefix("_check_").replace("_", " "), check, subject)
    if picklable:
        _check_pickle(subject)


def _definition(space: Any) -> ArchitectureSpace:
    own = isinstance(space, ArchitectureSpace) or (
        isinstance(space, type) and issubclass(space, ArchitectureSpace)
    )
    if not own:
        if not isinstance(space, str):
            raise InvalidInput(f"space is a space, its class or its name, got {shown(space)}")
        return get_space(space)
    return _answer("name and decisions", check_definition, space)


def _answer(promise: str, ask: Callable[..., Any], *arguments: Any) -> Any:
    """What a space answers; its exceptions break the promise."""
    try:
        return ask(*arguments)
    except SpaceError:
        raise
    except Exception as error:
        raise SpaceError(f"{promise}: {told(error)}") from error


def _expect(truth: Any, promise: str, found: str) -> None:
    if not truth:
        raise SpaceError(f"{promise}: {found}")


def _refuse_first(wrong: Array, promise: str, words: str, *of: Array) -> None:
    """Break the promise by the first place that is wrong: in words, with what is there."""
    for place in np.flatnonzero(wrong)[:1]:
        raise SpaceError(f"{promise}: " + words.format(*(shown(one[place].tolist()) for one in of)))


def _spread(count: int) -> set[int]:
    """The first, the last and some between of so many."""
    return {*np.linspace(0, count - 1, min(_ALONE, count)).astype(int).tolist()}


class _Subject:
    """A space, and the rows of it that are looked at.

    Attributes:
        rows: choices ``(row, n)``, all or some that are drawn, architectures or not.
        index: their official indices ``(row,)``, known once they are checked.
        whole: whether these are all rows.
        some: official indices of up to :data:`DRAWN` architectures, and ``chosen``, their choices.
    """

    index: Array
    some: Array
    chosen: Array

    def __init__(self, space: ArchitectureSpace, dataset: str) -> None:
        self.space, self.dataset = space, dataset
        self.rng = np.random.default_rng(0)
        self.counts = np.array([len(names) for names in space.names_of_choices])
        self.n = len(self.counts)
        count = math.prod(self.counts.tolist())
        self.whole = count <= ROWS_LOOKED_AT
        if self.whole:
            self.rows = _all_rows(self.counts)
        else:
            self.rows = self.rng.integers(self.counts, size=(DRAWN, self.n))

    @property
    def valid(self) -> Array:
        """Choices of the architectures among the rows."""
        return self.rows[self.index >= 0]

    def ask(self, method: str, given: Array, *arguments: Any) -> Array:
        """What a method of arrays answers: asked whole, in another shape, and one by one."""
        what = f"{method}()"
        function = getattr(self.space, method)
        kept = given.copy()
        whole = np.asarray(_answer(what, function, given, *arguments))
        _expect(np.array_equal(given, kept), what, "it wrote into what it was given")
        rowwise = given.ndim > 1
        _expect(
            whole.shape[:1] == (len(given),),
            what,
            f"of {len(given)} it returned {whole.shape}; its first axis is theirs",
        )
        two = given[: len(given) // 2 * 2]
        shape = (2, len(two) // 2, *two.shape[1:])
        folded = _answer(what, function, two.reshape(shape), *arguments)
        folded = np.asarray(folded)
        expected = (*shape[:2], *whole.shape[1:])
        _expect(folded.shape == expected, what, f"of {shape} it is {expected}, got {folded.shape}")
        self._same(what, folded.reshape(len(two), *whole.shape[1:]), whole[: len(two)], "in two")
        for place in sorted(_spread(len(given)) | self._kinds(given, whole)):
            alone = np.asarray(_answer(what, function, given[place], *arguments))
            subject = given[place].tolist() if rowwise else int(given[place])
            self._same(what, alone, whole[place], f"of {subject} alone")
        return whole

    def _kinds(self, given: Array, whole: Array) -> set[int]:
        """A row that is none, one that is one, and one that is again, as far as answers tell."""
        if whole.shape == given.shape:  # canonical rows: where another stands for it
            whole = (whole != given).any(-1)
        if not len(whole) or whole.ndim > 1 or whole.dtype.kind not in "bi":
            return set()
        again = whole >= 0
        again[np.unique(whole, return_index=True)[1]] = False
        return {int(whole.argmin()), int(whole.argmax()), int(again.argmax())}

    def _same(self, what: str, mine: Array, theirs: Array, where: str) -> None:
        if mine.shape != theirs.shape:
            raise SpaceError(f"{what}: {where} it is {mine.shape}, in a batch {theirs.shape}")
        if different := find_difference(mine, theirs):
            raise SpaceError(
                f"{what}: {where} it is {shown(different.mine)}, in a batch "
                f"{shown(different.theirs)}"
            )

    def check_rows(self, what: str, rows: Array, shape: tuple[int, ...]) -> None:
        """Rows of choices of a shape, each a choice that its decision has."""
        _expect(
            isinstance(rows, np.ndarray) and rows.dtype == np.int64 and rows.shape == shape,
            what,
            f"choices are int64 {shape}, got {getattr(rows, 'dtype', type(rows).__name__)} "
            f"{np.shape(rows)}",
        )
        names = np.broadcast_to(self.space.decision_names, rows.shape)
        wrong = (rows < 0) | (rows >= self.counts)
        _refuse_first(wrong, what, "{} is no choice of {}", rows.ravel(), names.ravel())

    def check_valid(self, what: str, rows: Array, shape: tuple[int, ...]) -> None:
        """The same, and each an architecture."""
        self.check_rows(what, rows, shape)
        wrong = np.asarray(self.space.index(rows)) < 0
        _refuse_first(wrong, what, "{} is no valid architecture", rows.reshape(-1, self.n))


def _all_rows(counts: Array) -> Array:
    """All rows of so many choices a decision, ``(rows, n)``, in lexicographic order."""
    rows = list(itertools.product(*map(range, counts.tolist())))
    return np.array(rows, np.int64).reshape(len(rows), len(counts))


# ── what it says of itself ───────────────────────────────────────────────────────────────────


def _check_definition(of: _Subject) -> None:
    space = of.space
    _expect(
        isinstance(space.title, str) and space.title, "title", f"a text, got {shown(space.title)}"
    )
    counts = of.counts.tolist()
    _expect(
        np.array_equal(space.choice_counts, counts) and space.num_decisions == of.n,
        "choice_counts",
        f"{shown(space.choice_counts.tolist())} of {space.num_decisions} decisions; names are "
        f"{counts}",
    )
    _expect(space.num_choices == max(counts), "num_choices", f"{space.num_choices} of {counts}")
    rows = math.prod(counts)
    _expect(space.num_rows == rows, "num_rows", f"{space.num_rows}; the choices make {rows}")
    _answer("full_epochs", lambda: check_epochs(space.full_epochs_on(of.dataset), 1))
    schedules = _answer("schedules", space.schedules_on, of.dataset)
    _expect(schedules, "schedules", "there is none")
    for one in schedules:
        _answer("schedules", check_epochs, one, 1)
    if space.edges:
        pairs = [tuple(edge) for edge in space.edges]
        _expect(
            len(pairs) == of.n and all(len(pair) == 2 for pair in pairs),
            "edges",
            f"a (target, source) for each of {of.n} decisions, got {shown(space.edges)}",
        )
    _answer("drawing", checks.imported, space.drawing, "drawing")


# ── choices, indices, ranks ──────────────────────────────────────────────────────────────────


def _check_validity(of: _Subject) -> None:
    valid = of.ask("is_valid", of.rows)
    _expect(
        valid.dtype == np.bool_ and valid.shape == of.rows.shape[:1],
        "is_valid()",
        f"truth values {of.rows.shape[:1]}, got {valid.dtype} {valid.shape}",
    )
    _expect(valid.any() or not of.whole, "is_valid()", "no row is an architecture")
    rows = of.rows[valid]
    standing = of.ask("canonical", rows)
    of.check_rows("canonical()", standing, rows.shape)
    again = np.asarray(of.space.canonical(standing.copy()))
    _differ("canonical()", "that does not stand for itself", rows, standing, again)
    _expect(
        np.asarray(of.space.is_valid(standing.copy())).all(),
        "canonical()",
        "a valid row is stood for by one that is none",
    )


def _check_index(of: _Subject) -> None:
    space, rows = of.space, math.prod(of.counts.tolist())
    size = _answer("size", lambda: space.size)
    _expect(
        checks.as_integer(size) is not None and 1 <= size <= rows,
        "size",
        f"a number of architectures, 1 … {rows:,}, got {shown(size)}",
    )
    if not of.whole:  # rows by chance may hold no architecture: some of each kind
        some = of.rng.integers(space.size, size=DRAWN)
        drawn = _answer("choices()", space.choices, some)
        of.check_rows("choices()", drawn, (DRAWN, of.n))
        of.rows = np.concatenate([of.rows, drawn])
    index = of.ask("index", of.rows)
    _expect(
        index.dtype == np.int64 and index.min() >= -1 and index.max() < space.size,
        "index()",
        f"int64 in -1…{space.size - 1}, got {index.dtype} in {index.min()}…{index.max()}",
    )
    of.index = index
    found = np.unique(index[index >= 0])
    if of.whole and len(found) != space.size:
        raise SpaceError(
            f"index(): of all {len(index):,} rows it gives {len(found):,} architectures; "
            f"size is {space.size:,}"
        )
    if len(found) > DRAWN:
        of.some = np.sort(of.rng.choice(found, DRAWN, replace=False))
    else:
        of.some = found
    rank = of.ask("rank", of.rows)
    values = [math.prod(of.counts[i + 1 :].tolist()) for i in range(of.n)]
    expected = of.rows @ np.array(values)
    _expect(
        np.array_equal(rank, expected),
        "rank()",
        "it is not the choices read as one number, the first counting most",
    )
    _expect(
        np.array_equal(_answer("index_at()", space.index_at, rank), index),
        "index_at()",
        "it differs from index() of the rows of these ranks",
    )
    for row, one in zip(of.rows[:DRAWN].tolist(), index[:DRAWN].tolist(), strict=True):
        alone = _answer("index_of()", space.index_of, row)
        _expect(alone == one, "index_of()", f"of {row} it is {shown(alone)}, index() {one}")


def _check_choices(of: _Subject) -> None:
    space, found = of.space, np.unique(of.index[of.index >= 0])
    rows = of.ask("choices", found)
    of.check_rows("choices()", rows, (len(found), of.n))
    again = np.asarray(space.index(rows))
    words = "of index {} it is {}, whose index is {}"
    _refuse_first(again != found, "choices()", words, found, rows, again)
    ranks = _answer("rank_at()", space.rank_at, found)
    _expect(
        np.array_equal(ranks, space.rank(rows)), "rank_at()", "it differs from rank() of choices()"
    )
    of.chosen = rows[np.searchsorted(found, of.some)]
    for wrong in (-1, space.size):
        try:
            space.choices(wrong)
        except InvalidInput:
            continue
        except Exception as error:
            raise SpaceError(f"choices(): of index {wrong}, {told(error)}") from error
        raise SpaceError(f"choices(): index {wrong} of {space.size:,} is refused by InvalidInput")


def _check_agreement(of: _Subject) -> None:
    """Index, validity and standing rows say the same."""
    valid = np.asarray(of.space.is_valid(of.rows.copy()))
    words = "of {} it is {}, and index() is {}"
    _refuse_first(valid != (of.index >= 0), "is_valid()", words, of.rows, valid, of.index)
    standing = np.asarray(of.space.canonical(of.valid.copy()))
    chosen = np.asarray(of.space.choices(of.index[of.index >= 0]))
    _differ("canonical()", "choices() of its index is another row", of.valid, standing, chosen)


def _differ(what: str, wrong: str, rows: Array, mine: Array, theirs: Array) -> None:
    words = f"of {{}} it is {{}}; {wrong}: {{}}"
    _refuse_first((mine != theirs).any(-1), what, words, rows, mine, theirs)


def _check_strings(of: _Subject) -> None:
    space = of.space
    strings = of.ask("string", of.chosen)
    _expect(strings.dtype.kind == "U", "string()", f"text, got {strings.dtype}")
    names, count = np.unique(strings, return_counts=True)
    if (count > 1).any():
        raise SpaceError(f"string(): two architectures are {shown(str(names[count > 1][0]))}")
    back = _answer("parse()", space.parse, strings)
    of.check_rows("parse()", back, of.chosen.shape)
    words = "of {} it is {}, the string of {}"
    _refuse_first((back != of.chosen).any(-1), "parse()", words, strings, back, of.chosen)
    known = np.asarray(_answer("names_of()", space.names_of, of.some))
    _expect(known.tolist() == strings.tolist(), "names_of()", "it differs from string()")
    for place in sorted(_spread(len(of.some))):
        one = int(of.some[place])
        _expect(space.name_of(one) == strings[place], "name_of()", "it differs from string()")
        _expect(
            _answer("resolve()", space.resolve, str(strings[place])) == one,
            "resolve()",
            f"{shown(str(strings[place]))} is not {one}",
        )
    try:
        parsed = space.parse("\0 no architecture")
    except InvalidInput:
        return
    except Exception as error:
        raise SpaceError(f"parse(): what is no architecture fails by {told(error)}") from error
    raise SpaceError(f"parse(): what is no architecture is refused by InvalidInput, got {parsed}")


# ── moving about ─────────────────────────────────────────────────────────────────────────────


def _streams(runs: int) -> RunStreams:
    return RunStreams(run_keys(run_seeds(0, runs, 0)))


def _check_draws(of: _Subject, what: str, draw: Callable[[Any, int], Array]) -> None:
    """What is drawn is the same by the same numbers, and of each run whatever runs beside it."""
    twice = [_answer(what, draw, np.random.default_rng(7), 64) for _ in range(2)]
    of.check_valid(what, twice[0], (64, of.n))
    _expect(np.array_equal(*twice), what, "the same rng gave other choices the second time")
    few, many = (_answer(what, draw, _streams(runs), runs) for runs in (2, 5))
    _expect(
        np.array_equal(few, many[:2]), what, "what a run draws depends on the runs drawn beside it"
    )


def _check_sample(of: _Subject) -> None:
    what, space = "sample()", of.space
    for shape in ((), (0,), (2, 3)):
        drawn = _answer(what, space.sample, np.random.default_rng(1), shape)
        of.check_valid(what, drawn, (*shape, of.n))
    _check_draws(of, what, lambda rng, runs: space.sample(rng, (runs,)))
    drawn = space.sample(np.random.default_rng(2), (DRAWN,))
    _expect(
        space.size == 1 or len(np.unique(space.index(drawn))) > 1,
        what,
        f"{DRAWN} draws are one architecture of {space.size:,}",
    )


def _check_mutate(of: _Subject) -> None:
    what, space = "mutate()", of.space
    if space.size == 1:
        return  # nothing to become
    parents = np.resize(of.chosen, (64, of.n))

    def draw(rng: Any, runs: int) -> Array:
        given = parents[:runs].copy()
        children = space.mutate(given, rng)
        _expect(np.array_equal(given, parents[:runs]), what, "it wrote into what it was given")
        return children

    _check_draws(of, what, draw)
    child = _answer(what, space.mutate, parents[0], np.random.default_rng(3))
    of.check_valid(what, child, (of.n,))
    children = space.mutate(parents, np.random.default_rng(4))
    _expect((children != parents).any(), what, "no child of 64 differs from its parent")


def _check_neighbors(of: _Subject) -> None:
    what, space = "neighbors()", of.space
    rows = of.ask("neighbors", of.chosen)
    of.check_rows(what, rows, (len(of.chosen), space.num_neighbors, of.n))
    for row, found in zip(of.chosen[:32].tolist(), rows.tolist(), strict=False):
        expected = {
            (*row[:place], choice, *row[place + 1 :])
            for place, count in enumerate(of.counts.tolist())
            for choice in range(count)
            if choice != row[place]
        }
        others = {tuple(one) for one in found}
        _expect(
            others == expected and len(found) == len(expected),
            what,
            f"those of {row} are not the {len(expected)} rows one decision away, each once",
        )


# ── masks ────────────────────────────────────────────────────────────────────────────────────


def _check_prefixes(of: _Subject) -> None:
    if of.whole:
        _compare_masks(of, None)
        if of.space.size > 1:
            admitted = np.zeros(of.space.size, bool)
            admitted[of.some[:: 2 if len(of.some) < 6 else 3]] = True
            _compare_masks(of, admitted)
    else:
        _walk(of)


def _compare_masks(of: _Subject, admitted: Array | None) -> None:
    """Every mask against all rows that go on from its prefix."""
    what = "prefixes()" if admitted is None else "prefixes(admitted)"
    given = None if admitted is None else admitted.copy()
    prefixes = _answer(what, of.space.prefixes, given)
    counts = of.index >= 0
    if admitted is not None:
        counts &= admitted[of.index]
    rows = of.rows[counts]
    for position, choices in enumerate(of.counts.tolist()):
        before = _all_rows(of.counts[:position])
        values = np.array([math.prod(of.counts[i + 1 : position]) for i in range(position)], int)
        expected = np.zeros((len(before), int(of.counts.max())), np.int8)
        expected[rows[:, :position] @ values, rows[:, position]] = 1
        ranks = np.arange(len(before))
        positions = np.full(len(before), position)
        masks = np.asarray(_answer(what, prefixes.masks, positions, ranks))
        _expect(
            masks.shape == expected.shape,
            what,
            f"masks are (batch, {expected.shape[1]}), got {masks.shape}",
        )
        _refuse_first(
            (masks != expected).any(1) & expected.any(1),  # after what is lost all are open
            what,
            "after {} the mask is {}; architectures go on by {}",
            *(before, masks, expected),
        )
        _expect(masks[:, :choices].any(1).all(), what, "a mask is empty")
        for rank in ranks[:: max(1, len(ranks) // 16)].tolist():
            mask = _answer(what, prefixes.mask, position, rank)
            _expect(np.array_equal(mask, masks[rank]), what, "mask() differs from masks()")


def _walk(of: _Subject) -> None:
    """Open choices lead to architectures, and nothing that leads to one is forbidden."""
    what, space = "prefixes()", of.space
    try:
        prefixes = space.prefixes()
    except InvalidInput as error:
        raise SpaceError(f"{what}: {error}") from error
    walkers = 64
    rows = np.zeros((walkers, of.n), np.int64)
    valid = of.valid[:: max(1, len(of.valid) // walkers)]
    ranks, theirs = np.zeros(walkers, np.int64), np.zeros(len(valid), np.int64)
    for position, count in enumerate(of.counts.tolist()):
        masks = np.asarray(_answer(what, prefixes.masks, np.full(walkers, position), ranks))
        chances = of.rng.random(masks.shape) * (masks > 0)
        rows[:, position] = chances.argmax(1)
        _expect(masks[:, :count].any(1).all(), what, "a mask is empty")
        _expect((rows[:, position] < count).all(), what, "a mask opens what is no choice")
        ranks = ranks * count + rows[:, position]
        mine = np.asarray(prefixes.masks(np.full(len(valid), position), theirs))
        shut = mine[np.arange(len(valid)), valid[:, position]] == 0
        if shut.any():
            row = valid[shut][0].tolist()
            raise SpaceError(
                f"{what}: after {row[:position]} the mask forbids {row[position]}, and {row} is "
                "an architecture"
            )
        theirs = theirs * count + valid[:, position]
    index = np.asarray(space.index(rows))
    words = "choices that masks left open make {}, which is no architecture"
    _refuse_first(index < 0, what, words, rows)


# ── what is known of an architecture ─────────────────────────────────────────────────────────


def _check_isomorphism(of: _Subject) -> None:
    what, space = "isomorphism_class()", of.space
    found = of.ask("isomorphism_class", of.chosen)
    _expect(
        found.shape == of.some.shape and found.dtype.kind == "i",
        what,
        f"integers {of.some.shape}, got {found.dtype} {found.shape}",
    )
    _expect(
        ((found >= 0) & (found <= of.some)).all(), what, "the lowest index of those alike, its own"
    )
    again = np.asarray(space.isomorphism_class(space.choices(found)))
    _expect(np.array_equal(again, found), what, "what stands for a class stands for itself too")


def _check_features(of: _Subject) -> None:
    found = of.ask("features", of.chosen)
    _expect(
        found.ndim == 2 and found.dtype == np.float64 and np.isfinite(found).all(),
        "features()",
        f"finite float64 ({len(of.chosen)}, f), got {found.dtype} {found.shape}",
    )


def _check_closed_forms(of: _Subject) -> None:
    space = of.space
    for name, quantity in space.closed_forms.items():
        what = f"closed form {name}"
        _expect(isinstance(quantity, Quantity), what, f"a Quantity, got {shown(quantity)}")
        _expect(callable(getattr(space, name, None)), what, f"there is no method {name}()")
        found = of.ask(name, of.chosen, of.dataset)
        _expect(
            found.shape == of.some.shape, what, f"one a row, {of.some.shape}, got {found.shape}"
        )
        _expect(
            found.dtype.kind in "fiu" and np.isfinite(found).all() and (found >= 0).all(),
            what,
            f"finite numbers from 0, got {found.dtype}, {shown(found.min())} at least",
        )
        alike = of.valid[:: max(1, len(of.valid) // DRAWN)]
        one, two = (space.compute(name, rows, of.dataset) for rows in (alike, _standing(of, alike)))
        if different := find_difference(one, two):
            raise SpaceError(
                f"{what}: of two rows that are one architecture it is {different.mine} and "
                f"{different.theirs}"
            )
        if of.whole:
            figure = _answer(what, space.figure, name, of.dataset)
            _expect(
                figure.values.shape == (space.size,)
                and np.array_equal(figure.values[of.some], found),
                what,
                "figure() differs from what the method says of each architecture",
            )


def _standing(of: _Subject, rows: Array) -> Array:
    return np.asarray(of.space.choices(of.space.index(rows)))


def _check_network(of: _Subject) -> None:
    space, data = of.space, get_dataset(of.dataset)
    if not space.builds_networks:
        return
    torch: Any = importlib.import_module("torch")
    training: Any = importlib.import_module("nats_gym.training.architecture")
    what = "network()"
    options = training.preset(space.name, of.dataset)[1]
    images = torch.zeros(_IMAGES, 3, data.resolution, data.resolution)
    for place in {0, len(of.some) - 1}:
        row = of.chosen[place]
        network = _answer(what, partial(space.network, **options), row, of.dataset)
        _expect(
            isinstance(network, torch.nn.Module),
            what,
            f"a torch.nn.Module, got {type(network).__name__}",
        )
        lazy = any(torch.nn.parameter.is_lazy(p) for p in network.parameters())
        _expect(not lazy, what, "a lazy layer has no weights to train: give layers their sizes")
        with torch.no_grad():
            answers = _answer(f"{what} of {row.tolist()}", network.eval(), images)
        expected = (_IMAGES, data.num_classes)
        _expect(
            isinstance(answers, torch.Tensor) and tuple(answers.shape) == expected,
            what,
            f"images {tuple(images.shape)} have answers {expected}, got "
            f"{tuple(getattr(answers, 'shape', ())) or type(answers).__name__}",
        )
        _expect(bool(torch.isfinite(answers).all()), what, "answers are no finite numbers")
        if "params" in space.closed_forms:
            counted = sum(p.numel() for p in network.parameters()) / 1e6
            stated = float(space.compute("params", row, of.dataset))
            _expect(
                math.isclose(counted, stated, rel_tol=1e-9, abs_tol=1e-9),
                "params()",
                f"{stated} million of {row.tolist()} on {of.dataset}; its network has {counted}",
            )


def _check_pickle(of: _Subject) -> None:
    space, what = of.space, "pickling"
    copy = _answer(what, lambda: pickle.loads(pickle.dumps(space)))
    alike = type(copy) is type(space) and copy.name == space.name
    _expect(alike, what, f"a copy of {shown(space)} is {shown(copy)}")
    _expect(
        copy.decision_names == space.decision_names
        and copy.names_of_choices == space.names_of_choices
        and np.array_equal(copy.index(of.rows[:DRAWN]), of.index[:DRAWN]),
        what,
        "a copy has other decisions or indices",
    )
