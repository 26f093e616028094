"""The paper's search protocol: ask, evaluate, charge the clock, tell, until the budget is spent.

Source: NATS-Bench (Dong et al., arXiv 2009.00437), section 5. A run's answer is its best observed
architecture; the evaluation that overshoots the budget counts.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from nats_gym.clock import SimulatedClock, check_budget, default_budget
from nats_gym.errors import InvalidInput, shown
from nats_gym.evaluators import TableEvaluator, check_trial
from nats_gym.files import check_source
from nats_gym.result import SearchResult
from nats_gym.schedule import Epochs, check_epochs
from nats_gym.spaces import get_space
from nats_gym.streams import RunStreams, combine, run_keys, run_seeds
from nats_gym.tables import Table, load_table

#: Called with the share of the work done, in [0, 1].
Progress = Callable[[float], None]
Columns = dict[str, NDArray[Any]]

MAX_RUNS = 1_000_000
#: What a result in memory may hold, 32 bytes each.
MAX_EVALUATIONS = 100_000_000
#: What a result keeps of every evaluation.
RECORDED = ("index", "accuracy", "seconds", "clock")


def search(
    space: str,
    dataset: str,
    agent: str | Callable[..., Any] = "reinforce",
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
        agent: a name of ``nats_gym.agents.AGENTS``, or what makes an agent of one of the two
            shapes that ``nats_gym.agents`` describes: its class, a partial of it, a function.
        epochs: schedule to search on; None for the full one, ``"4/12"`` for the state after 4
            epochs of the 12-epoch one (needs learning curves).
        budget: simulated seconds of each run, finite; None for the paper's × epochs/12.
        runs: independent runs, up to :data:`MAX_RUNS`.
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
    from nats_gym.agents import find_agent, makes_ask_tell

    arguments = search_arguments(
        space, dataset, agent, epochs, budget, runs, seed, source, trial=trial
    )
    epochs, budget = arguments["epochs"], arguments["budget"]
    factory = find_agent(agent)[1]
    asks = makes_ask_tell(factory)
    table = load_table(space, dataset, source)
    evaluator = TableEvaluator(table, arguments["trial"])
    evaluator.announce = False
    accuracy_provenance = evaluator.prepare(epochs)
    _refuse_endless(table, epochs, budget, arguments["runs"])

    seeds = run_seeds(arguments["seed"], arguments["runs"])
    run = _ask_tell if asks else _learn
    columns = run(factory, evaluator, epochs, budget, seeds, progress or _silent)
    return SearchResult(
        **columns,
        arguments=arguments,
        provenance=_provenance(table, accuracy_provenance),
        table=table,
    )


def search_arguments(
    space: str,
    dataset: str,
    agent: str | Callable[..., Any] = "reinforce",
    epochs: Epochs | None = None,
    budget: float | None = None,
    runs: int = 1,
    seed: int = 0,
    source: str | os.PathLike[str] = "auto",
    *,
    trial: str | int = "random",
) -> dict[str, Any]:
    """What a search's result records of its arguments: checked, defaults filled in, plain values.

    Arguments and exceptions as :func:`search`.
    """
    from nats_gym.agents import find_agent

    name, _ = find_agent(agent)
    epochs = check_epochs(epochs, get_space(space).full_epochs_on(dataset))
    budget = check_budget(default_budget(space, dataset, epochs) if budget is None else budget)
    if not math.isfinite(budget):
        raise InvalidInput(f"a search needs a finite budget of seconds, got {budget}")
    if not _is_integer(runs) or not 1 <= runs <= MAX_RUNS:
        raise InvalidInput(f"runs is a positive integer up to {MAX_RUNS:,}, got {shown(runs)}")
    if not _is_integer(seed) or seed < 0:
        raise InvalidInput(f"a seed is an integer from 0, got {shown(seed)}")
    return {
        "space": space,
        "dataset": dataset,
        "agent": name,
        "epochs": epochs,
        "budget": budget,
        "runs": int(runs),
        "seed": int(seed),
        "source": str(check_source(source)),
        "trial": check_trial(trial),
    }


def _is_integer(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _silent(share: float) -> None:
    """Progress that nobody follows."""


def _refuse_endless(table: Table, epochs: Epochs, budget: float, runs: int) -> None:
    expected = runs * budget / float(np.nanmean(table.query_seconds(epochs)))
    if expected > MAX_EVALUATIONS:
        raise InvalidInput(
            f"a budget of {budget:g} s in {runs:,} runs buys about {expected:.1g} evaluations; "
            f"a search holds up to {MAX_EVALUATIONS:,}"
        )


def _ask_tell(
    agent: Callable[..., Any],
    evaluator: TableEvaluator,
    epochs: Epochs,
    budget: float,
    seeds: list[int],
    progress: Progress,
) -> Columns:
    """Run an ask/tell agent, all runs at once; the columns of a result."""
    space = evaluator.table.space
    keys = run_keys(seeds)
    player = _made(agent, ("ask", "tell"), space, RunStreams(keys))
    clock = SimulatedClock(budget, runs=len(seeds))
    history: list[tuple[NDArray[Any], ...]] = []
    while not np.all(spent := np.asarray(clock.spent)):
        index = space.index(player.ask())
        if index.shape != keys.shape:
            raise InvalidInput(
                f"ask() returns digits of shape {(*keys.shape, space.num_decisions)}, "
                f"got {(*index.shape, space.num_decisions)}"
            )
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
        progress(min(float(np.min(clock.used)) / budget, 1.0))
    index, accuracy, seconds, used = (
        np.stack(steps, axis=1) for steps in zip(*history, strict=True)
    )
    return {"index": index, "accuracy": accuracy, "seconds": seconds, "clock": used}


def _learn(
    agent: Callable[..., Any],
    evaluator: TableEvaluator,
    epochs: Epochs,
    budget: float,
    seeds: list[int],
    progress: Progress,
) -> Columns:
    """Run an environment agent, one run after the other; the columns of a result."""
    table = evaluator.table
    env_id = f"NATS-{table.space.name.upper()}-{table.dataset}-v0"
    histories = []
    for run, seed in enumerate(seeds):

        def tell(clock: float, run: int = run) -> None:
            progress((run + min(clock / budget, 1.0)) / len(seeds))

        player = _made(agent, ("learn",))
        with _Watched(gym.make(env_id, epochs=epochs, evaluator=evaluator), tell) as env:
            histories.append(_checked_infos(player.learn(env, budget, seed)))
        tell(budget)
    shape = len(seeds), max(map(len, histories))
    columns: Columns = {"index": np.full(shape, -1)}
    columns.update({name: np.full(shape, np.nan) for name in RECORDED if name not in columns})
    for run, infos in enumerate(histories):
        for name, column in columns.items():
            column[run, : len(infos)] = [info[name] for info in infos]
    return columns


class _Watched(gym.Wrapper[Any, Any, Any, Any]):
    """Tells the clock of an environment after every evaluation."""

    def __init__(self, env: gym.Env[Any, Any], tell: Callable[[float], None]) -> None:
        super().__init__(env)
        self._tell = tell

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        if "clock" in info:
            self._tell(info["clock"])
        return observation, reward, terminated, truncated, info


def _made(agent: Callable[..., Any], methods: Sequence[str], *arguments: Any) -> Any:
    """Make an agent; ``InvalidInput`` if it lacks what its kind has."""
    player = agent(*arguments)
    lacking = [method for method in methods if not callable(getattr(player, method, None))]
    if lacking:
        raise InvalidInput(
            f"{shown(agent)} makes {shown(player)}, which has no {' and no '.join(lacking)}; "
            "see nats_gym.agents"
        )
    return player


def _checked_infos(infos: Any) -> list[dict[str, Any]]:
    """What an agent's ``learn`` returned, if it is what it should be."""
    if (
        not isinstance(infos, list)
        or not infos
        or not all(isinstance(info, dict) and info.keys() >= set(RECORDED) for info in infos)
    ):
        raise InvalidInput(
            "learn() returns the terminal info of every evaluation, one at least, each with "
            f"{', '.join(RECORDED)}; got {shown(infos)}"
        )
    return infos


def _provenance(table: Table, search_accuracy: str) -> dict[str, str]:
    full = table.full_epochs
    record = {
        "table": table.source,
        "checksum": table.checksum,
        "search_accuracy": search_accuracy,
        "seconds": table.seconds_provenance,
        "full_schedule_valid_accuracy": table.provenance("accuracy", "valid", full),
    }
    if full in table.epochs("test"):
        record["full_schedule_test_accuracy"] = table.provenance("accuracy", "test", full)
    if table.surrogate_version:
        record["surrogate_version"] = str(table.surrogate_version)
    return record
