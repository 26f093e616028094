"""One architecture's trainings as objects: :class:`ArchResults` of :class:`ResultsCount`.

They follow the public behaviour of the classes of the same names in ``nats_bench.api_utils``,
which also re-exports them; ``state_dict`` is what the official files hold.
"""

from __future__ import annotations

import collections
import copy
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nats_gym.checks import as_integer
from nats_gym.errors import InvalidInput, said, shown

Metrics = dict[str, Any]
#: Most numbers that a mean is taken of.
MOST_AVERAGED = 10_000_000


def mean(xlist: Sequence[Any]) -> Any:
    """Arithmetic mean of a list of numbers; ValueError for anything else, and for none."""
    try:
        count = len(xlist)
        if count > MOST_AVERAGED:
            raise ValueError(f"more than {MOST_AVERAGED:,}")
        # What says how much it holds may yet have no end.
        return sum(xlist if type(xlist) is list else itertools.islice(xlist, count)) / count
    except Exception as error:  # what is given adds itself up as it likes
        raise InvalidInput(
            f"a mean is taken of a list of numbers, got {shown(xlist)}: {said(error)}"
        ) from error


class ResultsCount:
    """One training run: learning curves, times, costs and, in ``-full`` archives, weights.

    Attributes:
        name: data set key.
        train_acc1es, train_losses, train_times: by epoch from 0.
        eval_names: evaluation sets.
        eval_acc1es, eval_losses, eval_times: by ``"<set>@<epoch>"``.
        params, flop: millions.
        latency: seconds, a list of measurements or None.
        net_state_dict: weights or None.
    """

    def __init__(
        self,
        name: str | None,
        state_dict: Any,
        train_accs: Any,
        train_losses: Any,
        params: float | None,
        flop: float | None,
        arch_config: dict[str, Any] | None,
        seed: Any,
        epochs: int | None,
        latency: list[float] | None,
    ) -> None:
        self.name = name
        self.net_state_dict = state_dict
        self.train_acc1es = copy.deepcopy(train_accs)
        self.train_acc5es: Any = None
        self.train_losses = copy.deepcopy(train_losses)
        self.train_times: Any = None
        self.arch_config: Any = copy.deepcopy(arch_config)
        self.params: Any = params
        self.flop: Any = flop
        self.seed = seed
        self.epochs: Any = epochs
        self.latency = latency
        self.reset_eval()

    def update_train_info(
        self, train_acc1es: Any, train_acc5es: Any, train_losses: Any, train_times: Any
    ) -> None:
        """Replace everything that training left."""
        self.train_acc1es = train_acc1es
        self.train_acc5es = train_acc5es
        self.train_losses = train_losses
        self.train_times = train_times

    def reset_pseudo_train_times(self, estimated_per_epoch_time: float) -> None:
        """Give every training epoch the same seconds."""
        self.train_times = collections.OrderedDict.fromkeys(
            range(self.epochs), estimated_per_epoch_time
        )

    def reset_pseudo_eval_times(self, eval_name: str, estimated_per_epoch_time: float) -> None:
        """Give every evaluation on ``eval_name`` the same seconds."""
        if eval_name not in self.eval_names:
            raise InvalidInput(f"no evaluation set {shown(eval_name)}, only {self.eval_names}")
        for epoch in range(self.epochs):
            self.eval_times[f"{eval_name}@{epoch}"] = estimated_per_epoch_time

    def reset_eval(self) -> None:
        """Forget all evaluations."""
        self.eval_names: list[str] = []
        self.eval_acc1es: dict[str, Any] = {}
        self.eval_times: dict[str, Any] = {}
        self.eval_losses: dict[str, Any] = {}

    def update_latency(self, latency: list[float] | None) -> None:
        """Replace the measurements of latency."""
        self.latency = copy.deepcopy(latency)

    def get_latency(self) -> float:
        """Mean latency in seconds, -1 if none was measured."""
        return -1.0 if self.latency is None else mean(self.latency)

    def update_eval(
        self, accs: Mapping[str, Any], losses: Mapping[str, Any], times: Mapping[str, Any]
    ) -> None:
        """Add evaluation sets; the mappings have a figure for ``"<set>@<epoch>"`` each."""
        for name in dict.fromkeys(key.split("@")[0] for key in accs):
            if name in self.eval_names:
                raise InvalidInput(f"the evaluation set {shown(name)} is there already")
            self.eval_names.append(name)
            for epoch in range(self.epochs):
                key = f"{name}@{epoch}"
                self.eval_acc1es[key] = accs[key]
                self.eval_losses[key] = losses[key]
                self.eval_times[key] = times[key]

    def update_OLD_eval(self, name: str, accs: Any, losses: Any) -> None:
        """Add one evaluation set by epoch, without times, as NAS-Bench-201 kept it."""
        assert name not in self.eval_names, f"the evaluation set {shown(name)} is there already"
        self.eval_names.append(name)
        for epoch in range(self.epochs):
            if epoch in accs:
                self.eval_acc1es[f"{name}@{epoch}"] = accs[epoch]
                self.eval_losses[f"{name}@{epoch}"] = losses[epoch]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.name}, arch={self.arch_config['arch_str']}, "
            f"FLOP={self.flop:.2f}M, Param={self.params:.3f}MB, seed={self.seed}, "
            f"{len(self.eval_names)} eval-sets: [{', '.join(self.eval_names)}])"
        )

    def get_total_epoch(self) -> int:
        """Length of the training."""
        return int(self.epochs)

    def get_times(self) -> dict[str, float | None]:
        """``T-<set>@epoch`` and ``T-<set>@total`` in seconds, None where unknown."""
        times: dict[str, float | None] = {"T-train@epoch": None, "T-train@total": None}
        if isinstance(self.train_times, dict):
            training = list(self.train_times.values())
            times = {"T-train@epoch": mean(training), "T-train@total": sum(training)}
        for name in self.eval_names:
            keys = [f"{name}@{epoch}" for epoch in range(self.epochs)]
            known = all(key in self.eval_times for key in keys) and keys
            passes = [self.eval_times[key] for key in keys] if known else None
            times[f"T-{name}@epoch"] = mean(passes) if passes else None
            times[f"T-{name}@total"] = sum(passes) if passes else None
        return times

    def get_eval_set(self) -> list[str]:
        """Names of the evaluation sets."""
        return self.eval_names

    def judge_valid(self, iepoch: int) -> None:
        """ValueError unless the training has the epoch, counted from 0."""
        if not 0 <= iepoch < self.epochs:
            raise InvalidInput(f"no epoch {shown(iepoch)}: they count from 0 to {self.epochs - 1}")

    def get_train(self, iepoch: int | None = None) -> Metrics:
        """Loss, accuracy and seconds of a training epoch, the last one if None."""
        if iepoch is None:
            iepoch = self.epochs - 1
        self.judge_valid(iepoch)
        seconds = total = None
        if self.train_times is not None:
            seconds = self.train_times[iepoch]
            total = sum([self.train_times[epoch] for epoch in range(iepoch + 1)])
        return {
            "iepoch": iepoch,
            "loss": self.train_losses[iepoch],
            "accuracy": self.train_acc1es[iepoch],
            "cur_time": seconds,
            "all_time": total,
        }

    def get_eval(self, name: str, iepoch: int | None = None) -> Metrics:
        """Loss, accuracy and seconds on an evaluation set; ``"valid"`` is ``"x-valid"``.

        Raises:
            ValueError: if the set was not evaluated at all.
            KeyError: if it was not at that epoch.
        """
        if iepoch is None:
            iepoch = self.epochs - 1
        self.judge_valid(iepoch)
        name = "x-valid" if name == "valid" else name
        key = f"{name}@{iepoch}"
        seconds = total = None
        if isinstance(self.eval_times, dict) and self.eval_times:
            if key not in self.eval_times:
                raise InvalidInput(
                    f"no evaluation on {shown(name)} at epoch {iepoch} ({shown(self)})"
                )
            seconds = self.eval_times[key]
            total = sum([self.eval_times[f"{name}@{epoch}"] for epoch in range(iepoch + 1)])
        return {
            "iepoch": iepoch,
            "loss": self.eval_losses[key],
            "accuracy": self.eval_acc1es[key],
            "cur_time": seconds,
            "all_time": total,
        }

    def get_net_param(self, clone: bool = False) -> Any:
        """Weights, or a copy of them; None if they were not kept."""
        return copy.deepcopy(self.net_state_dict) if clone else self.net_state_dict

    def get_config(self, str2structure: Callable[[str], Any] | None) -> dict[str, Any]:
        """What AutoDL-Projects builds the network from.

        Args:
            str2structure: turns the cell's string into what ``genotype`` shall hold; None keeps
                the string.
        """
        config = self.arch_config
        if config.get("name") == "infer.shape.tiny":
            genotype = config["genotype"]
            return {
                "name": "infer.shape.tiny",
                "channels": config["channels"],
                "genotype": str2structure(genotype) if str2structure else genotype,
                "num_classes": config["class_num"],
            }
        cell = {"arch_str": config["arch_str"]}
        if str2structure is not None:
            cell = {"genotype": str2structure(config["arch_str"])}
        return {
            "name": "infer.tiny",
            "C": config["channel"],
            "N": config["num_cells"],
            **cell,
            "num_classes": config["class_num"],
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything, as the official files hold it."""
        return dict(self.__dict__)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.__dict__.update(state_dict)

    @staticmethod
    def create_from_state_dict(state_dict: Mapping[str, Any]) -> ResultsCount:
        """The run that a ``state_dict`` describes."""
        run = ResultsCount(None, None, None, None, None, None, None, None, None, None)
        run.load_state_dict(state_dict)
        return run


class ArchResults:
    """All runs of one architecture on one schedule.

    Attributes:
        arch_index, arch_str: which architecture.
        all_results: runs by (data set key, seed).
        dataset_seed: seeds by data set key.
        clear_net_done: whether weights were dropped.
    """

    def __init__(self, arch_index: int, arch_str: Any) -> None:
        self.arch_index = int(arch_index)
        self.arch_str = copy.deepcopy(arch_str)
        self.all_results: dict[tuple[str, int], ResultsCount] = {}
        self.dataset_seed: dict[str, list[int]] = {}
        self.clear_net_done = False

    def _runs(self, dataset: str) -> list[ResultsCount]:
        return [self.all_results[dataset, seed] for seed in self.dataset_seed[dataset]]

    def get_compute_costs(self, dataset: str) -> dict[str, Any]:
        """``flops``, ``params`` (millions), ``latency`` (seconds) and ``T-…`` times: means over
        trials. Where trials disagree on FLOPs or parameters, seed 888 is right."""
        runs = self._runs(dataset)
        seeds = self.dataset_seed[dataset]
        latencies = [value for value in (run.get_latency() for run in runs) if value > 0]
        times: dict[str, list[Any]] = {}
        for run in runs:
            for key, value in run.get_times().items():
                times.setdefault(key, []).append(value)
        costs = {
            "flops": settled_mean([run.flop for run in runs], seeds),
            "params": settled_mean([run.params for run in runs], seeds),
            "latency": mean(latencies) if latencies else None,
        }
        return {**costs, **{key: _mean_if_known(values) for key, values in times.items()}}

    def get_metrics(
        self, dataset: str, setname: str, iepoch: int | None = None, is_random: bool | int = False
    ) -> Metrics:
        """Loss, accuracy and seconds at an epoch.

        Args:
            dataset: data set key.
            setname: ``train``, ``x-valid``, ``x-test`` or ``ori-test``.
            iepoch: epoch from 0; None for the last.
            is_random: True draws a trial from Python's global ``random``, False averages all,
                a seed takes that trial.

        Raises:
            KeyError: for an unknown data set.
            ValueError: for a seed that was not run.
        """
        seeds = self.dataset_seed[dataset]
        figures = [
            run.get_train(iepoch) if setname == "train" else run.get_eval(setname, iepoch)
            for run in self._runs(dataset)
        ]
        if isinstance(is_random, bool):
            if is_random:
                return dict(figures[random.randint(0, len(figures) - 1)])
            return {key: _mean_if_known([each[key] for each in figures]) for key in figures[0]}
        return dict(figures[position_of(is_random, seeds)])

    def get_dataset_names(self) -> list[str]:
        """Data set keys."""
        return list(self.dataset_seed)

    def get_dataset_seeds(self, dataset: str) -> list[int]:
        """Seeds of a data set key."""
        return list(self.dataset_seed[dataset])

    def get_net_param(self, dataset: str, seed: int | None = None) -> Any:
        """Weights of a trial; of all trials by seed for None."""
        if seed is None:
            return {s: self.all_results[dataset, s].get_net_param() for s in self._seeds(dataset)}
        if (dataset, seed) not in self.all_results:
            raise InvalidInput(f"no run {(dataset, seed)}, only {list(self.all_results)}")
        return self.all_results[dataset, seed].get_net_param()

    def _seeds(self, dataset: str, seed: int | None = None) -> list[int]:
        return self.dataset_seed[dataset] if seed is None else [seed]

    def reset_latency(self, dataset: str, seed: int | None, latency: float) -> None:
        """Replace the latency of one trial, or of all for None."""
        for each in self._seeds(dataset, seed):
            self.all_results[dataset, each].update_latency([latency])

    def reset_pseudo_train_times(
        self, dataset: str, seed: int | None, estimated_per_epoch_time: float
    ) -> None:
        """Replace the training seconds of one trial, or of all for None."""
        for each in self._seeds(dataset, seed):
            self.all_results[dataset, each].reset_pseudo_train_times(estimated_per_epoch_time)

    def reset_pseudo_eval_times(
        self, dataset: str, seed: int | None, eval_name: str, estimated_per_epoch_time: float
    ) -> None:
        """Replace the evaluation seconds of one trial, or of all for None."""
        for each in self._seeds(dataset, seed):
            run = self.all_results[dataset, each]
            run.reset_pseudo_eval_times(eval_name, estimated_per_epoch_time)

    def get_latency(self, dataset: str) -> float:
        """Mean latency over trials in seconds; ValueError if one was not measured."""
        latencies = [run.get_latency() for run in self._runs(dataset)]
        for seed, latency in zip(self.dataset_seed[dataset], latencies, strict=True):
            if not isinstance(latency, float) or latency <= 0:
                raise InvalidInput(
                    f"{dataset}, seed {seed}: latency {shown(latency)} is no duration"
                )
        return float(mean(latencies))

    def get_total_epoch(self, dataset: str | None = None) -> int:
        """Length of the trainings; ValueError if they differ."""
        if dataset is not None and not isinstance(dataset, str):
            raise InvalidInput(f"a data set key is a string, not {shown(dataset)}")
        names = list(self.dataset_seed) if dataset is None else [dataset]
        epochs = [run.get_total_epoch() for name in names for run in self._runs(name)]
        if len(set(epochs)) > 1:
            raise InvalidInput(f"trials of different lengths: {epochs}")
        return epochs[-1]

    def query(self, dataset: str, seed: int | None = None) -> Any:
        """The run of a seed; all by seed for None."""
        if seed is None:
            return {each: self.all_results[dataset, each] for each in self.dataset_seed[dataset]}
        return self.all_results[dataset, seed]

    def arch_idx_str(self) -> str:
        """The index as it names the architecture's file."""
        return f"{self.arch_index:06d}"

    def update(self, dataset_name: str, seed: int, result: ResultsCount) -> None:
        """Add a run; ValueError if its seed is there already."""
        seeds = self.dataset_seed.setdefault(dataset_name, [])
        if seed in seeds:
            raise InvalidInput(
                f"architecture {self.arch_index} has a run of seed {seed} on {dataset_name} already"
            )
        self.dataset_seed[dataset_name] = sorted([*seeds, seed])
        self.all_results[dataset_name, seed] = result
        self.clear_net_done = False

    def state_dict(self) -> dict[str, Any]:
        """Everything, as the official files hold it."""
        state = dict(self.__dict__)
        for key, run in self.all_results.items():
            if not isinstance(run, ResultsCount):
                raise InvalidInput(f"all_results[{key}] is no ResultsCount but {type(run)}")
        state["all_results"] = {key: run.state_dict() for key, run in self.all_results.items()}
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        state = dict(state_dict)
        if "all_results" in state:
            runs = state["all_results"]
            if not isinstance(runs, dict):
                raise InvalidInput(f"all_results is a dict, not {type(runs)}")
            state["all_results"] = {
                key: ResultsCount.create_from_state_dict(run) for key, run in runs.items()
            }
        self.__dict__.update(state)

    @staticmethod
    def create_from_state_dict(state_dict_or_file: Any) -> ArchResults:
        """The results that a ``state_dict``, or a file of one, describes."""
        if isinstance(state_dict_or_file, str):
            from nats_gym.nats_bench.files import pickle_load

            state_dict_or_file = pickle_load(state_dict_or_file)
        elif not isinstance(state_dict_or_file, dict):
            kind = type(state_dict_or_file).__name__
            raise InvalidInput(f"a state dict or the path of one was expected, not {kind}")
        results = ArchResults(-1, -1)
        results.load_state_dict(state_dict_or_file)
        return results

    def clear_params(self) -> None:
        """Drop all weights."""
        for run in self.all_results.values():
            run.net_state_dict = None
        self.clear_net_done = True

    def debug_test(self) -> None:
        """Print every run's latency and times."""
        for dataset, seeds in self.dataset_seed.items():
            print(f"{dataset}: latency {self.get_latency(dataset)} s")
            for seed in seeds:
                run = self.all_results[dataset, seed]
                print(f"  {run}: {run.get_times()}")

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(arch-index={self.arch_index}, arch={self.arch_str}, "
            f"{len(self.all_results)} runs, clear={self.clear_net_done})"
        )


def settled_mean(values: Sequence[float], seeds: Sequence[int]) -> Any:
    """Mean over trials, or seed 888's value where they disagree in the fifth decimal."""
    if len({f"{value:.5f}" for value in values}) > 1:
        return values[seeds.index(888)]
    return mean(values)


def position_of(seed: Any, seeds: Sequence[int]) -> int:
    """Position of a trial by its seed; ValueError if it was not run, or is no seed."""
    plain = as_integer(seed)
    if plain is None:
        raise InvalidInput(f"is_random is True, False or a seed, not {shown(seed)}")
    if plain not in seeds:
        raise InvalidInput(f"seed {shown(plain)} was not run, only {', '.join(map(str, seeds))}")
    return seeds.index(plain)


def _mean_if_known(values: Sequence[Any]) -> Any:
    return mean(values) if values and values[0] is not None else None
