"""Answers to the API's questions, from columns or from the objects that take their place."""

from __future__ import annotations

import collections
import random
from collections.abc import Iterable
from typing import Any

import numpy as np

from nats_gym.checks import word
from nats_gym.errors import InvalidInput, said, shown
from nats_gym.nats_bench import scan
from nats_gym.nats_bench.errors import UnknownRuns
from nats_gym.nats_bench.holdings import KEYS, SEARCHED, Holdings
from nats_gym.nats_bench.info import PartialInfo, more_info
from nats_gym.nats_bench.results import ArchResults, Metrics, position_of

#: Accuracy in percent, latency in seconds (None if unknown), seconds charged.
Answer = tuple[float, float | None, float]


def get_more_info(
    holdings: Holdings, index: int, dataset: str, iepoch: int | None, hp: str, is_random: Any
) -> dict[str, Any]:
    """See ``NASBenchMetaAPI.get_more_info``."""
    kept = kept_results(holdings, index, dataset, hp)
    if kept is not None:
        if is_random is True:
            is_random = random.choice(kept.get_dataset_seeds(dataset))
        trial = is_random if isinstance(is_random, bool) else _seed(kept, dataset, is_random)
        return more_info(
            dataset, hp, lambda name: kept.get_metrics(dataset, name, iepoch, trial), False
        )
    reader = holdings.reader(dataset, hp)
    positions = reader.positions(index)
    if is_random is True:
        positions = [random.choice(positions)]
    elif is_random is not False:
        seeds = [reader.seeds[position] for position in positions]
        positions = [positions[position_of(is_random, seeds)]]

    def metrics(name: str) -> Metrics:
        return reader.metrics(name, index, positions, iepoch, averaged=is_random is False)

    if holdings.partial and not reader.runs.sets:
        raise UnknownRuns(
            f"no accuracy of {shown(dataset)} with hp {shown(hp)}{reader.runs.lacking}"
        )
    return more_info(dataset, hp, metrics, holdings.partial)


def _seed(results: ArchResults, dataset: str, seed: Any) -> int:
    seeds = results.dataset_seed[dataset]
    return seeds[position_of(seed, seeds)]


def kept_results(holdings: Holdings, index: int, dataset: str, hp: str) -> ArchResults | None:
    """An architecture's object, if it is kept as one; UnknownRuns if that lacks the runs."""
    if index not in holdings.kept:
        return None
    results = holdings.kept[index]
    if hp not in results:
        raise UnknownRuns(f"architecture {index} has no hp {shown(hp)}, only {', '.join(results)}")
    if dataset not in results[hp].dataset_seed:
        keys = ", ".join(results[hp].dataset_seed)
        raise UnknownRuns(f"architecture {index} has no data set {shown(dataset)}, only {keys}")
    return results[hp]


def get_costs(holdings: Holdings, index: int, dataset: str, hp: str) -> dict[str, Any]:
    """See ``NASBenchMetaAPI.get_cost_info``."""
    kept = kept_results(holdings, index, dataset, hp)
    if kept is not None:
        return kept.get_compute_costs(dataset)
    costs = holdings.reader(dataset, hp).costs(index)
    if not holdings.partial:
        return costs
    return PartialInfo({name: value for name, value in costs.items() if value is not None})


def get_latency(holdings: Holdings, index: int, dataset: str, hp: str) -> float | None:
    """See ``NASBenchMetaAPI.get_latency``."""
    if index in holdings.kept:
        latency: float | None = get_costs(holdings, index, dataset, hp)["latency"]
        return latency
    reader = holdings.reader(dataset, hp)
    reader.positions(index)  # raises if there is no trial
    return reader.latency(index)


def simulate(holdings: Holdings, index: int, dataset: str, iepoch: int | None, hp: str) -> Answer:
    """One random trial of a search: see ``NASBenchMetaAPI.simulate_train_eval``."""
    if index not in holdings.kept:
        plan = holdings.plan(dataset, hp)
        if plan is not None:
            holdings.reader(SEARCHED[dataset], hp).positions(index)  # raises if there is no trial
            return plan.draw(index, iepoch)
    info = get_more_info(holdings, index, SEARCHED[dataset], iepoch, hp, is_random=True)
    if "valid-accuracy" in info:
        accuracy, passes = info["valid-accuracy"], info["valid-per-time"]
    else:
        last = get_more_info(holdings, index, dataset, None, hp, is_random=True)
        accuracy, passes = info["valtest-accuracy"], last["valid-per-time"]
    latency = get_latency(holdings, index, dataset, hp)
    return accuracy, latency, info["train-all-time"] + passes


def check_searched(dataset: Any) -> str:
    """The name of a data set that a search may use; ValueError for any other."""
    if issubclass(type(dataset), str) and str.__str__(dataset) == "cifar10-valid":
        raise InvalidInput(
            f"unknown dataset 'cifar10-valid'; allowed: {', '.join(SEARCHED)}. "
            "('cifar10' is answered from cifar10-valid)"
        )
    return word(dataset, "dataset", SEARCHED)


def find_best(
    holdings: Holdings,
    indexes: Iterable[int],
    dataset: str,
    setname: str,
    flop_max: float | None,
    param_max: float | None,
    hp: str,
) -> tuple[int, float | None]:
    """See ``NASBenchMetaAPI.find_best``; the lowest of equal indexes wins."""
    rows = np.sort(np.fromiter(indexes, np.int64))
    kept = [index for index in holdings.kept if index in set(rows.tolist())]
    rows = rows[~np.isin(rows, kept)]
    found: list[tuple[int, float]] = []
    if len(rows):
        reader = holdings.reader(dataset, hp)
        index, accuracy = scan.best(reader, setname, rows, flop_max, param_max)
        found += [] if accuracy is None else [(index, accuracy)]
    for index in kept:
        results = kept_results(holdings, index, dataset, hp)
        assert results is not None
        costs = results.get_compute_costs(dataset)
        if (flop_max is None or costs["flops"] <= flop_max) and (
            param_max is None or costs["params"] <= param_max
        ):
            found.append((index, results.get_metrics(dataset, setname)["accuracy"]))
    return min(found, key=lambda one: (-one[1], one[0]), default=(-1, None))


def count_trials(
    holdings: Holdings, indexes: Iterable[int], dataset: str, hp: str
) -> dict[int, int]:
    """See ``NASBenchMetaAPI.statistics``."""
    kept = [index for index in indexes if index in holdings.kept]
    rows = sorted(set(indexes) - set(kept))
    counts: collections.Counter[int] = collections.Counter()
    for index in kept:
        results = holdings.kept[index]
        if hp not in results:
            raise UnknownRuns(
                f"architecture {index} has no hp {shown(hp)}, only {', '.join(results)}"
            )
        counts[len(results[hp].dataset_seed.get(dataset, ()))] += 1
    if rows:
        try:
            reader = holdings.reader(dataset, hp)
        except UnknownRuns:
            if hp not in holdings.hps:
                raise
            counts[0] += len(rows)
        else:
            counts.update(scan.count_trials(reader, rows))
    return dict(counts)


def get_weights(holdings: Holdings, index: int, dataset: str, seed: int | None, hp: str) -> Any:
    """See ``NASBenchMetaAPI.get_net_param``."""
    if index in holdings.kept and (seed is None or dataset in KEYS):
        results = kept_results(holdings, index, dataset, hp)
        assert results is not None
        return results.get_net_param(dataset, seed)
    try:
        reader = holdings.reader(dataset, hp)
        seeds = [reader.seeds[position] for position in reader.positions(index)]
    except UnknownRuns as error:
        if seed is None:
            raise
        raise InvalidInput(f"there is no run of seed {shown(seed)}: {said(error)}") from error
    if seed is None:
        return {each: holdings.weights(index, hp, dataset, each) for each in seeds}
    if seed not in seeds:
        raise InvalidInput(f"seed {shown(seed)} was not run, only {', '.join(map(str, seeds))}")
    return holdings.weights(index, hp, dataset, int(seed))
