"""An opened benchmark: what it is, which architectures it has and which count as evaluated."""

from __future__ import annotations

import copy
import operator
import os
import random
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from nats_gym import checks
from nats_gym.errors import InvalidInput, OriginWarning, said, shown
from nats_gym.nats_bench import arguments
from nats_gym.nats_bench.errors import MissingArchitecture, OutOfRange
from nats_gym.nats_bench.files import PICKLE_EXT, record_path, time_string
from nats_gym.nats_bench.holdings import Holdings
from nats_gym.nats_bench.results import ArchResults
from nats_gym.nats_bench.sources import check_dict, open_default, open_path
from nats_gym.tables.official import OfficialArchive


class Catalogue:
    """An opened benchmark.

    Args:
        file_path_or_dict: official files (a directory, the single ``.pickle.pbz2`` or a tar,
            imported on first use), an imported archive, the content of an official single file,
            or None for the best figures on this machine.
        fast_mode: as in the original, architectures count as evaluated once they were asked
            for; else all that are held do at once. Any kind of path goes with either.
        verbose: print a line for each call.

    Attributes:
        evaluated_indexes: see ``fast_mode``.
        filename: name of the file or directory.

    Raises:
        ValueError: if the path or dict is not an official archive of this space.
    """

    _search_space_name: str
    _space_name: str
    _full_train_epochs: int
    _all_base_names: list[str]
    _shown: Mapping[str, tuple[tuple[str, str], ...]]

    def __init__(
        self,
        file_path_or_dict: str | os.PathLike[str] | dict[str, Any] | None = None,
        fast_mode: bool | int = False,
        verbose: bool | int = True,
    ) -> None:
        self.verbose = arguments.flag(verbose, "verbose")
        self.filename: str | None = None
        self._fast_mode = arguments.flag(fast_mode, "fast_mode")
        self._archive_dir: str | None = None
        self._used_time: float = 0
        self.evaluated_indexes: set[int] = set()
        if isinstance(file_path_or_dict, dict):
            self._holdings = self._from_dict(file_path_or_dict)
        else:
            self._holdings = self._from_path(file_path_or_dict)
        self._size = self._holdings.size
        self._remember()
        self._say("created", self)

    def _from_dict(self, given: dict[str, Any]) -> Holdings:
        content = check_dict(given)
        holdings = Holdings(self._space_name, None, content["meta_archs"])
        _ = holdings.index_by_name  # raises if an architecture is there twice
        for index in sorted(content["arch2infos"]):
            try:
                holdings.keep(index, copy.deepcopy(content["arch2infos"][index]))
            except Exception as error:  # whatever the content raises
                raise InvalidInput(f"the results of architecture {index}: {said(error)}") from error
        self.evaluated_indexes = content["evaluated_indexes"]
        return holdings

    def _from_path(self, path: Any) -> Holdings:
        if path is None:
            base_name = self._all_base_names[-1]
            source = open_default(self._space_name, base_name, self._fast_mode, self.verbose)
            path = source.source
        else:
            path = checks.path(path, "file_path_or_dict, if no dict and not None,", expand=True)
            source = open_path(path, self._space_name, self.verbose)
        if isinstance(source, OfficialArchive) and not source.official:
            names = " and ".join(dict.fromkeys(key for hp in source.hps for key in source.keys(hp)))
            warnings.warn(
                f"the figures that {shown(str(path))} has under {names}: {source.origin}",
                OriginWarning,
                stacklevel=4,
            )
        path = os.fspath(path)
        self.filename = os.path.basename(path)
        is_official = os.path.isfile(os.path.join(path, f"meta.{PICKLE_EXT}"))
        self._archive_dir = path if is_official else None
        holdings = Holdings(self._space_name, source)
        if not self._fast_mode:
            self.evaluated_indexes = set(holdings.held_indexes())
        return holdings

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_plans", "_kept", "_known")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._remember()

    def _remember(self) -> None:
        """Keep at hand what a search's query reads."""
        self._plans, self._kept = self._holdings.plans, self._holdings.kept
        self._known = self._holdings.found

    def _say(self, question: str, *words: Any) -> None:
        if self.verbose:
            print(time_string(), question, *map(shown, words))

    # ── what it is ───────────────────────────────────────────────────────────────────────────

    @property
    def meta_archs(self) -> list[str]:
        """Architecture strings by index."""
        return self._holdings.names

    @property
    def archstr2index(self) -> dict[str, int]:
        """Index by architecture string."""
        return self._holdings.index_by_name

    @property
    def arch2infos_dict(self) -> Mapping[int, dict[str, ArchResults]]:
        """Results as objects, by index and schedule, made when looked up."""
        return self._holdings.loaded

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.meta_archs[index]
        position = operator.index(index)
        if not -self._size <= position < self._size:
            raise OutOfRange(f"architecture {shown(position)} is out of range 0…{self._size - 1}")
        return self._holdings.name(position % self._size)

    def arch(self, index: int) -> str:
        """Architecture string; ValueError for an index out of range."""
        self._say("arch", index)
        return self._holdings.name(self._checked(index))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self.evaluated_indexes)}/{len(self)} architectures, "
            f"fast_mode={self.fast_mode}, file={self.filename})"
        )

    @property
    def avaliable_hps(self) -> list[str]:
        """Schedules that can be asked for. The name is spelt as in the original."""
        return self._holdings.hps

    @property
    def used_time(self) -> float:
        """Simulated seconds so far."""
        return self._used_time

    @property
    def search_space_name(self) -> str:
        """``topology`` or ``size``."""
        return self._search_space_name

    @property
    def fast_mode(self) -> bool:
        """Whether only architectures that were asked for count as evaluated."""
        return self._fast_mode

    @property
    def archive_dir(self) -> str | None:
        """Directory of the official files, if it is one."""
        return self._archive_dir

    @property
    def full_train_epochs(self) -> int:
        """Epochs of the full schedule."""
        return self._full_train_epochs

    @property
    def full_epochs_in_paper(self) -> int:
        """Epochs of the full schedule."""
        return self._full_train_epochs

    @property
    def is_size(self) -> bool:
        """Whether this is the size space."""
        return self._space_name == "sss"

    @property
    def is_topology(self) -> bool:
        """Whether this is the topology space."""
        return self._space_name == "tss"

    def reset_archive_dir(self, archive_dir: str | None) -> None:
        """Directory for ``reload``, and for architectures that are not held."""
        self._archive_dir = arguments.folder(archive_dir, "archive_dir")

    def reset_fast_mode(self, fast_mode: bool | int) -> None:
        """Change ``fast_mode``; what counts as evaluated stays."""
        self._fast_mode = arguments.flag(fast_mode, "fast_mode")

    def reset_time(self) -> None:
        """Set the simulated clock back to 0."""
        self._used_time = 0

    def random(self) -> int:
        """A random index, from Python's global ``random``."""
        return random.randint(0, len(self) - 1)

    # ── finding an architecture ──────────────────────────────────────────────────────────────

    def query_index_by_arch(self, arch: Any) -> int:
        """Official index of an index, a string, or an object with ``tostr()``.

        Returns:
            -1 for what is none of them, or a string of no architecture.

        Raises:
            ValueError: for an index out of range.
        """
        self._say("query_index_by_arch", arch)
        return self._find(arch)

    def _find(self, arch: Any) -> int:
        if issubclass(type(arch), (int, np.integer, np.bool_)):
            return self._checked(arch)
        if not issubclass(type(arch), str):
            try:
                arch = arch.tostr() if hasattr(arch, "tostr") else None
            except Exception as error:  # an object of others
                raise InvalidInput(f"the tostr() of {shown(arch)}: {said(error)}") from error
        return self._holdings.find(str.__str__(arch)) if issubclass(type(arch), str) else -1

    def _checked(self, index: Any) -> int:
        plain = checks.as_integer(index)
        if plain is None or not 0 <= plain < self._size:
            raise InvalidInput(f"architecture {shown(index)} is none of 0…{self._size - 1}")
        return plain

    def _prepare(self, arch: Any) -> int:
        """Index of an architecture that there are figures of; it counts as evaluated now."""
        index = self._find(arch)
        if index == -1:
            raise InvalidInput(
                f"{shown(arch)} is no architecture of the {self.search_space_name} space"
            )
        self._prepare_info(index)
        return index

    def _prepare_info(self, index: int) -> None:
        index = self._checked(index)
        if not self._holdings.holds(index):
            folder = self._archive_dir if self._fast_mode else None
            if folder is None or record_path(folder, index) is None:
                raise MissingArchitecture(
                    f"architecture {index} is not in {self.filename or 'the dict'}"
                )
            self._holdings.load(index, folder)
        self.evaluated_indexes.add(index)
