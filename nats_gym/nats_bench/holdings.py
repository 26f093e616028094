"""What an API answers from: an archive's columns, and architectures kept as objects."""

from __future__ import annotations

import collections
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np

from nats_gym.errors import InvalidInput, shown
from nats_gym.nats_bench import arguments, records
from nats_gym.nats_bench.columns import RunReader, SearchPlan
from nats_gym.nats_bench.errors import MissingArchitecture, UnknownRuns
from nats_gym.nats_bench.files import pickle_load, record_path
from nats_gym.nats_bench.results import ArchResults
from nats_gym.spaces import get_space
from nats_gym.tables.official import OfficialArchive

if TYPE_CHECKING:
    from nats_gym.nats_bench.embedded import EmbeddedArchive

Results = dict[str, ArchResults]
KEYS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
#: Data sets of a search, and the key that answers for each.
SEARCHED = {name: name for name in KEYS[2:]} | {"cifar10": "cifar10-valid"}


class LoadedResults(Mapping[int, Results]):
    """What ``arch2infos_dict`` is: results by architecture, then by schedule.

    Looking an architecture up makes its objects and keeps them: whoever changes them changes
    what the API answers, as with the original.

    Args:
        build: makes an architecture's results.
        held: indexes that ``build`` knows.
        holds: whether it knows one.
    """

    def __init__(
        self,
        build: Callable[[int], Results],
        held: Callable[[], Iterator[int]],
        holds: Callable[[int], bool],
    ) -> None:
        self._build = build
        self._held = held
        self._holds = holds
        self.kept: dict[int, Results] = {}

    def __getitem__(self, index: int) -> Results:
        if index not in self.kept:
            if index not in self:
                raise KeyError(index)
            self.kept[index] = self._build(index)
        return self.kept[index]

    def __contains__(self, index: object) -> bool:
        if not isinstance(index, (int, np.integer)):
            return False
        return index in self.kept or self._holds(int(index))

    def __iter__(self) -> Iterator[int]:
        return iter(sorted({*self._held(), *self.kept}))

    def __len__(self) -> int:
        return len({*self._held(), *self.kept})


class Holdings:
    """Finds the figures of an architecture.

    Args:
        space: ``"tss"`` or ``"sss"``.
        source: an archive; None if there are objects only.
        names: architecture strings, if they are not those of the space.
    """

    def __init__(
        self,
        space: str,
        source: OfficialArchive | EmbeddedArchive | None,
        names: Sequence[str] | None = None,
    ) -> None:
        self.space = get_space(space)
        self.source = source
        self._names = None if names is None else list(names)
        self._cleared: set[tuple[int, str]] = set()
        self._begin()

    def _begin(self) -> None:
        self.loaded = LoadedResults(self._build_all, self.held_indexes, self._archived)
        self.kept = self.loaded.kept
        self.found: dict[str, int] = {}  # indexes of the strings looked up so far
        self._readers: dict[tuple[str, str], RunReader] = {}
        self.plans: dict[tuple[str, Any], SearchPlan] = {}
        self._record: tuple[Path, Any] | None = None  # the weights read last
        if isinstance(self.source, OfficialArchive):
            # Open now what a search reads, so that its first query is as fast as the others.
            for hp in self.source.hps:
                for dataset in SEARCHED:
                    self.plan(dataset, hp)
            default = self.plans.get(("cifar10", "12"))
            if default is not None:
                default.at(0, 0)  # maps the first pages

    def __getstate__(self) -> dict[str, Any]:
        """Without open files: another process opens them itself."""
        state = {name: self.__dict__[name] for name in ("space", "_names", "_cleared", "kept")}
        official = isinstance(self.source, OfficialArchive)
        state["source"] = self.source.folder if official else self.source  # type: ignore[union-attr]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        kept, source = state.pop("kept"), state["source"]
        self.__dict__.update(state)
        self.space = get_space(self.space.name)
        self.source = OfficialArchive(source) if isinstance(source, Path) else source
        self._begin()
        self.kept.update(kept)

    # ── architectures ────────────────────────────────────────────────────────────────────────

    @cached_property
    def names(self) -> list[str]:
        """Architecture strings by index."""
        if self._names is not None:
            return self._names
        return list(map(str, self.space.string(self.space.all_choices()).tolist()))

    @cached_property
    def index_by_name(self) -> dict[str, int]:
        """Index by architecture string; ValueError if one is there twice."""
        found = {name: index for index, name in enumerate(self.names)}
        if len(found) != len(self.names):
            raise InvalidInput("meta_archs names an architecture twice")
        return found

    def name(self, index: int) -> str:
        """One architecture's string."""
        return self.space.name_of(index) if self._names is None else self._names[index]

    def find(self, name: str) -> int:
        """Index of an architecture string, -1 if there is none such."""
        if self._names is not None:
            return self.index_by_name.get(name, -1)
        index = self.found.get(name)
        if index is None:
            try:
                index = self.found[name] = self.space.resolve(name)
            except InvalidInput:
                return -1
        return index

    @cached_property
    def size(self) -> int:
        """Number of architectures of the space."""
        return self.space.size if self._names is None else len(self._names)

    def held_indexes(self) -> Iterator[int]:
        """Architectures that the archive has."""
        return iter(() if self.source is None else np.flatnonzero(self.source.held).tolist())

    def holds(self, index: int) -> bool:
        """Whether there are figures of an architecture."""
        return index in self.kept or self._archived(index)

    def _archived(self, index: int) -> bool:
        held = self.source is not None and 0 <= index < self.size
        return held and bool(self.source.held[index])  # type: ignore[union-attr]

    # ── schedules ────────────────────────────────────────────────────────────────────────────

    @property
    def hps(self) -> list[str]:
        """Schedules, as the files spell them."""
        own = [hp for results in self.kept.values() for hp in results]
        return list(dict.fromkeys([*(self.source.hps if self.source else ()), *own]))

    def hp(self, given: Any) -> str:
        """A schedule as the files spell it: 1 and ``"1"`` are ``"01"``."""
        hp = arguments.schedule(given)
        return hp if hp in self.hps else hp.zfill(2)

    @property
    def lacking(self) -> str:
        """How to get what is not there, to end a message with."""
        return self.source.lacking if self.source is not None else ""

    def reader(self, key: str, hp: str) -> RunReader:
        """Reads a data set key on a schedule; UnknownRuns names what there is."""
        reader = self._readers.get((key, hp))
        if reader is None:
            if self.source is None or hp not in self.source.hps:
                held = ", ".join(self.hps)
                raise UnknownRuns(f"no results with hp {shown(hp)}, only with {held}{self.lacking}")
            if key not in self.source.keys(hp):
                keys = ", ".join(self.source.keys(hp))
                raise UnknownRuns(
                    f"no results of data set {shown(key)} with hp {shown(hp)}, only of {keys}"
                )
            reader = self._readers[key, hp] = RunReader(self.source.runs(key, hp))
        return reader

    def plan(self, dataset: str, hp: str) -> SearchPlan | None:
        """Answers a search on a data set; None if the archive lacks something for it."""
        if (dataset, hp) not in self.plans:
            try:
                plan = SearchPlan(self.reader(SEARCHED[dataset], hp), self.reader(dataset, hp))
            except UnknownRuns:
                return None
            self.plans[dataset, hp] = self.plans[dataset, int(hp)] = plan
        return self.plans[dataset, hp]

    @property
    def partial(self) -> bool:
        """Whether answers may lack what the official files hold."""
        return not isinstance(self.source, (OfficialArchive, NoneType))

    # ── objects ──────────────────────────────────────────────────────────────────────────────

    def build(self, index: int, hp: str, keys: Sequence[str] = KEYS) -> ArchResults:
        """A copy of an architecture's results on a schedule; KeyError if there are none."""
        if index in self.kept:
            return copy.deepcopy(self.kept[index][hp])
        source = self.source
        if source is None or hp not in source.hps:
            raise KeyError(hp)
        if self.partial:
            raise UnknownRuns(
                "the embedded figures hold final accuracies and costs, not whole trainings: "
                f"`nats-gym data download {self.space.name}` gets those"
            )
        readers = [self.reader(key, hp) for key in source.keys(hp) if key in keys]
        return records.build(index, self.name(index), readers)

    def _build_all(self, index: int) -> Results:
        results: Results = collections.OrderedDict()
        for hp in self.source.hps if self.source else ():
            each = self.build(index, hp)
            if each.all_results:
                results[hp] = each
        return results

    def keep(self, index: int, states: Any) -> None:
        """Keep the content of an official record, in place of the archive's figures."""
        index = int(index)
        self.kept[index] = collections.OrderedDict(
            (hp, ArchResults.create_from_state_dict(state)) for hp, state in states.items()
        )
        self._cleared -= {(index, hp) for hp in states}

    def load(self, index: int, folder: str) -> None:
        """Keep what an official file says; MissingArchitecture if the folder has none."""
        path = record_path(folder, index)
        if path is None:
            raise MissingArchitecture(f"{shown(folder)} has no file of architecture {index}")
        content = pickle_load(path)
        if not isinstance(content, dict):
            raise MissingArchitecture(f"{path} is not an architecture's record")
        self.keep(index, content)

    # ── weights ──────────────────────────────────────────────────────────────────────────────

    def weights(self, index: int, hp: str, key: str, seed: int) -> Any:
        """A trial's weights, read from the ``-full`` archive; None if there are none."""
        folder = None if self.source is None else self.source.weights
        if folder is None or (index, hp) in self._cleared:
            return None
        path = record_path(folder, index)
        if path is None:
            raise MissingArchitecture(
                f"{shown(str(folder))} has no file of architecture {index} now"
            )
        if self._record is None or self._record[0] != path:
            self._record = path, pickle_load(path)
        return self._record[1][hp]["all_results"][key, seed]["net_state_dict"]

    def clear_weights(self, index: int, hps: Sequence[str]) -> None:
        """Answer None for an architecture's weights until it is reloaded."""
        for hp in hps:
            self._cleared.add((index, hp))
            if index in self.kept:
                self.kept[index][hp].clear_params()
        self._record = None
