"""The benchmark's API, :class:`NASBenchMetaAPI`, and the public names of its module.

Follows the public behaviour of ``nats_bench`` 1.8 (Dong, Liu, Musial, Gabrys, TPAMI 2021), on an
imported archive: a question is a look-up in columns. Only architectures that were reloaded,
given in a dict or taken from ``arch2infos_dict`` are kept as objects, and then asked themselves.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from nats_gym.checks import integer, word
from nats_gym.errors import InvalidInput, shown, unknown_name, warn_caller
from nats_gym.nats_bench import arguments, printing, questions, records
from nats_gym.nats_bench.catalogue import Catalogue
from nats_gym.nats_bench.errors import MissingArchitecture
from nats_gym.nats_bench.files import (
    PICKLE_EXT,
    get_file_system,
    get_torch_home,
    nats_is_dir,
    nats_is_file,
    pickle_load,
    pickle_save,
    reset_file_system,
    time_string,
)
from nats_gym.nats_bench.holdings import KEYS
from nats_gym.nats_bench.info import remap_dataset_set_names
from nats_gym.nats_bench.results import ArchResults, ResultsCount, mean

__all__ = [
    "PICKLE_EXT",
    "ArchResults",
    "NASBenchMetaAPI",
    "ResultsCount",
    "get_file_system",
    "get_torch_home",
    "mean",
    "nats_is_dir",
    "nats_is_file",
    "pickle_load",
    "pickle_save",
    "remap_dataset_set_names",
    "reset_file_system",
    "time_string",
]


#: What a schedule is spelt as, known or not.
_SPELT = (str, int)


class NASBenchMetaAPI(Catalogue):
    """What both search spaces' APIs answer; :class:`Catalogue` has how they are opened."""

    # ── figures ──────────────────────────────────────────────────────────────────────────────

    def get_more_info(
        self,
        index: Any,
        dataset: str,
        iepoch: int | None = None,
        hp: str | int = "12",
        is_random: bool | int = True,
    ) -> dict[str, Any]:
        """``{train,valid,test,valtest}-{loss,accuracy,per-time,all-time}`` of an architecture.

        Args:
            index: official index, string, or object with ``tostr()``.
            dataset: ``cifar10-valid`` (trained on half of CIFAR-10), ``cifar10`` (on all of it),
                ``cifar100`` or ``ImageNet16-120``.
            iepoch: epoch from 0; None for the last.
            hp: schedule. The default is the short one, not the full training.
            is_random: True draws a trial from Python's global ``random``, False averages all,
                a seed takes that trial.

        Raises:
            ValueError: for an unknown architecture or epoch, or a seed that was not run.
            KeyError: for an unknown data set or schedule.
        """
        self._say("get_more_info", index, dataset, iepoch, hp, is_random)
        dataset, is_random = arguments.name(dataset, "dataset"), arguments.trial(is_random)
        position, hp = self._prepare(index), self._holdings.hp(hp)
        return questions.get_more_info(self._holdings, position, dataset, iepoch, hp, is_random)

    def simulate_train_eval(
        self,
        arch: Any,
        dataset: str,
        iepoch: int | None = None,
        hp: str | int = "12",
        account_time: bool | int = True,
    ) -> tuple[float, float | None, float, float]:
        """Train and validate an architecture on a simulated clock: one random trial.

        Args:
            arch: official index, string, or object with ``tostr()``.
            dataset: ``cifar10`` (answered from ``cifar10-valid``), ``cifar100`` or
                ``ImageNet16-120``.
            iepoch: stop after this epoch, from 0; None for the whole schedule.
            hp: schedule.
            account_time: advance the clock.

        Returns:
            Validation accuracy (percent), latency (seconds), seconds of training and one
            validation pass, and the clock.

        Raises:
            ValueError: for an unknown architecture, data set or epoch.
            KeyError: for an unknown schedule.
        """
        named = type(dataset) is str and type(hp) in _SPELT
        plan = self._plans.get((dataset, hp)) if named else None
        index = self._known.get(arch, -1) if type(arch) is str else arch
        if plan is None or type(index) is not int or not 0 <= index < self._size:
            answer = self._simulate(arch, dataset, iepoch, hp)
        elif index in self._kept:
            answer = self._simulate(index, dataset, iepoch, hp)
        else:
            try:
                answer = plan.draw(index, iepoch)
            except IndexError:  # no trial
                answer = self._simulate(index, dataset, iepoch, hp)
            self.evaluated_indexes.add(index)
        if self.verbose:
            self._say("simulate_train_eval", arch, dataset, iepoch, hp)
        if account_time is True or arguments.flag(account_time, "account_time"):
            self._used_time += answer[2]
        return (*answer, self._used_time)

    def _simulate(self, arch: Any, dataset: str, iepoch: Any, hp: Any) -> questions.Answer:
        dataset = questions.check_searched(dataset)
        index, hp = self._prepare(arch), self._holdings.hp(hp)
        return questions.simulate(self._holdings, index, dataset, iepoch, hp)

    def get_cost_info(self, index: Any, dataset: str, hp: str | int = "12") -> dict[str, Any]:
        """``flops``, ``params`` (millions), ``latency`` (seconds) and ``T-<set>@{epoch,total}``.

        Means over trials; seed 888's FLOPs and parameters where trials disagree.

        Raises:
            ValueError: for an unknown architecture or schedule.
            KeyError: for an unknown data set.
        """
        self._say("get_cost_info", index, dataset, hp)
        position, dataset = self._prepare(index), arguments.name(dataset, "dataset")
        hp = self._check_hp(position, hp)
        return questions.get_costs(self._holdings, position, dataset, hp)

    def get_latency(self, index: Any, dataset: str, hp: str | int = "12") -> float | None:
        """Seconds of a forward pass over a batch of 256. Raises what ``get_cost_info`` does."""
        self._say("get_latency", index, dataset, hp)
        position, dataset = self._prepare(index), arguments.name(dataset, "dataset")
        hp = self._check_hp(position, hp)
        return questions.get_latency(self._holdings, position, dataset, hp)

    def _check_hp(self, index: int, hp: Any) -> str:
        """A schedule that an architecture has; ValueError if it does not."""
        spelt = self._holdings.hp(hp)
        held = self._holdings.kept.get(index, self._holdings.hps)
        if spelt not in held:
            raise InvalidInput(
                f"architecture {index} has no hp {shown(spelt)}, only {', '.join(held)}"
                f"{self._holdings.lacking}"
            )
        return spelt

    def find_best(
        self,
        dataset: str,
        metric_on_set: str,
        flop_max: float | None = None,
        param_max: float | None = None,
        hp: str | int = "12",
        enforce_all: bool | int | None = None,
    ) -> tuple[int, float | None]:
        """Index and accuracy (mean over trials) of the best architecture within limits.

        Args:
            dataset: data set key, or a data set with ``valid`` or ``test`` as set.
            metric_on_set: ``train``, ``valid``, ``test`` or an evaluation set's own name.
            flop_max: most million FLOPs.
            param_max: most million parameters.
            hp: schedule.
            enforce_all: with ``fast_mode``: look at all architectures (the default), or only at
                those evaluated so far.

        Returns:
            ``(-1, None)`` if no architecture is within the limits.

        Raises:
            KeyError: for an unknown data set or schedule.
            ValueError: for an unknown set, or if not all architectures are held.
        """
        self._say("find_best", dataset, metric_on_set, flop_max, param_max, hp, enforce_all)
        dataset, metric_on_set = remap_dataset_set_names(dataset, metric_on_set)
        flop_max = arguments.cost(flop_max, "flop_max")
        param_max = arguments.cost(param_max, "param_max")
        if self.fast_mode if enforce_all is None else arguments.flag(enforce_all, "enforce_all"):
            self._prepare_all()
        rows, hp = self.evaluated_indexes, self._holdings.hp(hp)
        return questions.find_best(
            self._holdings, rows, dataset, metric_on_set, flop_max, param_max, hp
        )

    def _prepare_all(self) -> None:
        if not self.fast_mode:
            raise AssertionError(
                "enforce_all=True goes with fast_mode=True; else all are looked at"
            )
        missing = sorted({*range(self._size)}.difference(self._holdings.loaded))
        if missing:
            raise MissingArchitecture(
                f"{len(missing):,} of {self._size:,} architectures are not in {self.filename}, "
                f"the first is {missing[0]}; enforce_all=False takes those evaluated so far"
            )
        self.evaluated_indexes.update(range(self._size))

    def statistics(self, dataset: str, hp: str | int) -> dict[int, int]:
        """Number of evaluated architectures by their number of trials.

        Raises:
            ValueError: for an unknown data set.
            KeyError: for an unknown schedule.
        """
        self._say("statistics", dataset, hp)
        dataset = word(dataset, "dataset", KEYS)
        rows, hp = self.evaluated_indexes, self._holdings.hp(hp)
        return questions.count_trials(self._holdings, rows, dataset, hp)

    # ── whole trainings ──────────────────────────────────────────────────────────────────────

    def query_meta_info_by_index(self, arch_index: int, hp: str | int = "12") -> ArchResults:
        """A copy of all runs of an architecture on a schedule.

        Raises:
            ValueError: for an unknown architecture or schedule.
        """
        self._say("query_meta_info_by_index", arch_index, hp)
        return self._results(arch_index, hp)

    def _results(self, arch_index: Any, hp: Any, keys: Sequence[str] = KEYS) -> ArchResults:
        index = self._prepare(arch_index)
        return self._holdings.build(index, self._check_hp(index, hp), keys)

    def query_by_index(
        self, arch_index: int, dataname: str | None = None, hp: str | int = "12"
    ) -> Any:
        """All runs of an architecture, or ``{seed: ResultsCount}`` of one data set key.

        Raises:
            ValueError: for an unknown architecture, schedule or data set.
        """
        self._say("query_by_index", arch_index, dataname, hp)
        if dataname is None:
            return self._results(arch_index, hp)
        dataname = arguments.name(dataname, "dataname")
        info = self._results(arch_index, hp, (dataname,))
        if dataname not in info.get_dataset_names():
            names = self._results(arch_index, hp).get_dataset_names()
            raise unknown_name("dataset", dataname, names)
        return info.query(dataname)

    def query_by_arch(self, arch: Any, hp: str | int) -> str | None:
        """``query_info_str_by_arch`` by its name in NAS-Bench-201."""
        return self.query_info_str_by_arch(arch, hp)

    def query_info_str_by_arch(self, arch: Any, hp: str | int = "12") -> str | None:
        """An architecture's results on a schedule in words.

        Returns:
            None, with a warning, for an architecture without results unless ``fast_mode``.

        Raises:
            ValueError: for an unknown architecture or schedule.
        """
        self._say("query_info_str_by_arch", arch, hp)
        index = self._find(arch)
        if not self.fast_mode and (index == -1 or not self._holdings.holds(index)):
            warn_caller(f"there are no results of architecture {shown(arch)}")
            return None
        lines = printing.describe(
            self._results(index, hp), f"arch-index={index}", False, self._shown
        )
        return "\n".join(lines)

    def show(self, index: int = -1) -> None:
        """Print an architecture's results on every schedule; of all architectures for -1."""
        index = integer(index, "index", -(2**63))
        if index < 0:
            print(self)
            held = list(self._holdings.loaded)
            for position, each in enumerate(held):
                rule = "-" * 10
                print(f"\n{rule} The ({position:5d}/{len(held):5d}) {each:06d}-th {rule}")
                print(f"arch : {self._holdings.name(each)}")
                printing.show_results(self._all_results(each), self._shown)
        elif index >= self._size:
            print(f"architecture {index} is out of range 0…{self._size - 1}")
        elif not self.fast_mode and not self._holdings.holds(index):
            print(f"there are no results of architecture {index}")
        else:
            self._prepare_info(index)
            printing.show_results(self._all_results(index), self._shown)

    def _all_results(self, index: int) -> dict[str, ArchResults]:
        hps = self._holdings.kept.get(index, self._holdings.hps)
        results = {hp: self._holdings.build(index, hp) for hp in hps}
        return {hp: each for hp, each in results.items() if each.all_results}

    def get_net_config(self, index: int, dataset: str) -> dict[str, Any]:
        """What AutoDL-Projects builds the network from; KeyError for an unknown data set."""
        self._say("get_net_config", index, dataset)
        position, dataset = self._prepare(index), arguments.name(dataset, "dataset")
        if position in self._kept:
            first = next(iter(self._kept[position]))
            results = questions.kept_results(self._holdings, position, dataset, first)
            assert results is not None
            config: dict[str, Any] = next(iter(results.query(dataset).values())).get_config(None)
            return config
        reader = self._holdings.reader(dataset, self._holdings.hps[0])
        run = ResultsCount(dataset, None, None, None, None, None, None, None, None, None)
        run.arch_config = records.arch_config(reader, self._holdings.name(position))
        return run.get_config(None)

    def get_net_param(
        self, index: int, dataset: str, seed: int | None, hp: str | int = "12"
    ) -> Any:
        """Trained weights of a trial; ``{seed: weights}`` for None.

        Weights are None unless the archive is a ``-full`` one.

        Raises:
            ValueError: for an unknown architecture, schedule or seed.
            KeyError: for an unknown data set.
        """
        self._say("get_net_param", index, dataset, seed, hp)
        position, dataset = self._prepare(index), arguments.name(dataset, "dataset")
        hp, seed = self._check_hp(position, hp), arguments.seed(seed)
        return questions.get_weights(self._holdings, position, dataset, seed, hp)

    def clear_params(self, index: int, hp: str | int | None = None) -> None:
        """Forget an architecture's weights, on one schedule or all, until it is reloaded.

        Raises:
            ValueError: for an unknown schedule.
        """
        self._say("clear_params", index, hp)
        index = integer(index, "index", 0)
        hp = None if hp is None else self._holdings.hp(hp)
        if index not in self.evaluated_indexes:
            warn_caller(f"architecture {index} was not asked for: nothing to clear")
            return
        held = list(self._kept.get(index, self._holdings.hps))
        hps = held if hp is None else [self._check_hp(index, hp)]
        self._holdings.clear_weights(index, hps)

    def reload(self, archive_root: str | None = None, index: int | None = None) -> None:
        """Read official files again; what they say takes the place of the archive's figures.

        Args:
            archive_root: a directory of official files; None for the ``-full`` one in
                ``$TORCH_HOME``, else ``archive_dir``.
            index: an architecture, or None for all.

        Raises:
            ValueError: if there is no such directory, or no file of an architecture.
        """
        self._say("reload", archive_root, index)
        archive_root = arguments.folder(archive_root, "archive_root")
        if archive_root is None:
            archive_root = self._default_root()
        if archive_root is None or not nats_is_dir(archive_root):
            raise InvalidInput(f"there is no directory {shown(archive_root)} to reload from")
        for each in range(self._size) if index is None else [self._checked(index)]:
            self._holdings.load(each, archive_root)
            self.evaluated_indexes.add(each)

    def _default_root(self) -> str | None:
        full = os.path.join(get_torch_home(), f"{self._all_base_names[-1]}-full")
        if nats_is_dir(full):
            return full
        warn_caller(f"there is no {full}: reloading from {self.archive_dir}")
        return self.archive_dir
