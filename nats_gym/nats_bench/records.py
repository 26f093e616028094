"""Result objects made from an archive's columns and curves."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from functools import cache
from typing import Any

from nats_gym.nats_bench.columns import ACCURACY, LOSS, RunReader
from nats_gym.nats_bench.results import ArchResults, ResultsCount


def build(index: int, name: str, readers: Iterable[RunReader]) -> ArchResults:
    """An architecture's results on one schedule.

    Args:
        index: official index.
        name: architecture string.
        readers: of the data set keys to include; those without a trial are left out.
    """
    results = ArchResults(index, name)
    results.clear_net_done = True
    for reader in readers:
        params = reader.runs.column("params")
        positions = [t for t, value in enumerate(params[index].tolist()) if value == value]
        seeds = [reader.seeds[position] for position in positions]
        if seeds:
            results.dataset_seed[reader.key] = seeds
        for seed, position in zip(seeds, positions, strict=True):
            results.all_results[reader.key, seed] = _run(reader, index, position, name)
    return results


@cache
def _epoch_keys(setname: str, epochs: int) -> tuple[str, ...]:
    return tuple(f"{setname}@{epoch}" for epoch in range(epochs))


def arch_config(reader: RunReader, name: str) -> dict[str, Any]:
    """The files' ``arch_config`` of an architecture."""
    template = reader.runs.arch_config
    return {key: name if value is None else value for key, value in template.items()}


def _run(reader: RunReader, index: int, position: int, name: str) -> ResultsCount:
    epochs = reader.epochs

    def final(column_name: str) -> Any:
        column = reader.column(column_name)
        value = None if column is None else column.item(index, position)
        return value if value == value else None

    def by_epoch(setname: str, keys: Iterable[Any], figure: int) -> dict[Any, Any]:
        last = final(f"{setname}-{'loss' if figure else 'accuracy'}")
        keys = list(keys)
        curve = reader.curve(setname)
        values = dict.fromkeys(keys[-1:])
        if curve is not None:
            row = curve.row(index)[position, :, figure]
            values = dict(zip(keys, row.tolist(), strict=True))
        values[keys[-1]] = last  # float64, as the file has it
        return values if last is not None else {}

    latency, seconds = final("latency"), final("train-seconds")
    run = ResultsCount(
        name=reader.key,
        state_dict=None,
        train_accs=None,
        train_losses=None,
        params=final("params"),
        flop=final("flops"),
        arch_config=arch_config(reader, name),
        seed=f"{reader.seeds[position]:04d}",
        epochs=epochs,
        latency=[latency] if latency is not None and latency > 0 else None,
    )
    run.update_train_info(
        by_epoch("train", range(epochs), ACCURACY),
        None,
        by_epoch("train", range(epochs), LOSS),
        None if seconds is None else collections.OrderedDict.fromkeys(range(epochs), seconds),
    )
    for setname in reader.runs.sets:
        if final(f"{setname}-accuracy") is None:
            continue
        keys = _epoch_keys(setname, epochs)
        run.eval_names.append(setname)
        run.eval_acc1es.update(by_epoch(setname, keys, ACCURACY))
        run.eval_losses.update(by_epoch(setname, keys, LOSS))
        passes = final(f"{setname}-seconds")
        if passes is not None:
            run.eval_times.update(dict.fromkeys(keys, passes))
    return run
