"""The paper's search protocol: ask, evaluate, charge the clock, tell, until the budget is spent.

Source: NATS-Bench (Dong et al., arXiv 2009.00437), section 5. A run's answer is its best observed
architecture; the evaluation that overshoots the budget counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from nats_gym.clock import SimulatedClock, default_budget
from nats_gym.errors import InvalidInput
from nats_gym.evaluators import TableEvaluator
from nats_gym.result import SearchResult
from nats_gym.schedule import Epochs, check_epochs
from nats_gym.streams import RunStreams, combine, run_keys, run_seeds
from nats_gym.tables import Table, load_table

#: Called with the share of the work done, in [0, 1].
Progress = Callable[[float], None]
Columns = dict[str, NDArray[Any]]


def search(
    space: str,
    dataset: str,
    agent: str | type = "reinforce",
    epochs: Epochs | None = None,
    budget: float | None = None,
    runs: int = 1,
    seed: int = 0,
    source: str | os.PathLike[str] = "auto",
    *,
    trial: str | int = "random",
    progress: Progress | None = None,
) -> SearchResult:
    """Search a space with an agent under the paper's protocol, in independent runs.

    Args:
        space: ``"tss"`` or ``"sss"``.
        dataset: ``"cifar10"``, ``"cifar100"`` or ``"ImageNet16-120"``.
        agent: a name of ``nats_gym.agents.AGENTS``, or a class with one of the two shapes that
            ``nats_gym.agents`` describes.
        epochs: schedule to search on; None for the full one, ``"4/12"`` for the state after 4
            epochs of the 12-epoch one (needs learning curves).
        budget: simulated seconds of each run; None for the paper's × epochs/12.
        runs: independent runs.
        seed: of the study; run r takes hash(seed, r).
        source: see :func:`nats_gym.load_table`.
        trial: see :class:`nats_gym.evaluators.TableEvaluator`.
        progress: called with the share done, now and then.

    Returns:
        The evaluations of every run and the architecture that each recommends.

    Raises:
        InvalidInput: for a bad name or number; NotInTable: for a schedule that the table lacks.

    >>> search("tss", "cifar10", "random", budget=60_000, runs=2).recommended.shape
    (2,)
    """
    from nats_gym.agents import get_agent

    table = load_table(space, dataset, source)
    chosen = get_agent(agent) if isinstance(agent, str) else agent
    if isinstance(runs, bool) or not isinstance(runs, (int, np.integer)) or runs < 1:
        raise InvalidInput(f"runs is a positive integer, got {runs!r}")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InvalidInput(f"a seed is an integer from 0, got {seed!r}")
    epochs = check_epochs(epochs, table.space.full_epochs)
    evaluator = TableEvaluator(table, trial)
    provenance = evaluator.prepare(epochs)
    budget = default_budget(space, dataset, epochs) if budget is None else budget
    SimulatedClock(budget)  # refuses a budget that is not a positive number

    seeds = run_seeds(int(seed), int(runs))
    if hasattr(chosen, "ask"):
        columns = _ask_tell(chosen, evaluator, epochs, budget, seeds, progress)
    else:
        env_id = f"NATS-{space.upper()}-{dataset}-v0"
        options = {"epochs": epochs, "evaluator": evaluator}
        columns = _learn(chosen, env_id, options, budget, seeds, progress)
    arguments = {
        "space": space,
        "dataset": dataset,
        "agent": agent if isinstance(agent, str) else f"{agent.__module__}:{agent.__qualname__}",
        "epochs": epochs,
        "budget": float(budget),
        "runs": int(runs),
        "seed": int(seed),
        "source": str(source),
        "trial": trial,
    }
    return SearchResult(
        **columns,
        arguments=arguments,
        provenance=_provenance(table, provenance),
        table=table,
    )


def _ask_tell(
    agent: Any,
    evaluator: TableEvaluator,
    epochs: Epochs,
    budget: float,
    seeds: list[int],
    progress: Progress | None,
) -> Columns:
    """Run an ask/tell agent, all runs at once; the columns of a result."""
    space = evaluator.table.space
    keys = run_keys(seeds)
    player = agent(space, RunStreams(keys))
    clock = SimulatedClock(budget, runs=len(seeds))
    history: list[tuple[NDArray[Any], ...]] = []
    while not np.all(spent := np.asarray(clock.spent)):
        index = space.index(player.ask())
        outcome = evaluator.evaluate(index, epochs, combine(keys, len(history)))
        clock.charge(np.where(spent, 0.0, outcome.seconds))
        history.append(
            (
                np.where(spent, -1, index),
                np.where(spent, np.nan, outcome.accuracy),
                np.where(spent, np.nan, outcome.seconds),
                np.where(spent, np.nan, clock.used),
            )
        )
        player.tell(outcome)
        if progress:
            progress(float(np.min(clock.used)) / budget)
    index, accuracy, seconds, used = (
        np.stack(steps, axis=1) for steps in zip(*history, strict=True)
    )
    return {"index": index, "accuracy": accuracy, "seconds": seconds, "clock": used}


def _learn(
    agent: Any,
    env_id: str,
    options: dict[str, Any],
    budget: float,
    seeds: list[int],
    progress: Progress | None,
) -> Columns:
    """Run an environment agent, one run after the other; the columns of a result."""
    histories = []
    for run, seed in enumerate(seeds):
        with gym.make(env_id, **options) as env:
            histories.append(agent().learn(env, budget, seed))
        if progress:
            progress((run + 1) / len(seeds))
    shape = len(seeds), max(map(len, histories))
    columns: Columns = {"index": np.full(shape, -1)}
    columns.update({name: np.full(shape, np.nan) for name in ("accuracy", "seconds", "clock")})
    for run, infos in enumerate(histories):
        for name, column in columns.items():
            column[run, : len(infos)] = [info[name] for info in infos]
    return columns


def _provenance(table: Table, search_accuracy: str) -> dict[str, str]:
    full = table.space.full_epochs
    record = {
        "table": table.source,
        "checksum": table.checksum,
        "search_accuracy": search_accuracy,
        "seconds": table.seconds_provenance,
        "full_schedule_valid_accuracy": table.provenance("accuracy", "valid", full),
    }
    if full in table.epochs("test"):
        record["full_schedule_test_accuracy"] = table.provenance("accuracy", "test", full)
    return record
