"""A search: an agent, a table, a simulated budget, and independent runs."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from nats_gym import checks
from nats_gym.agents import find_agent, kind_of
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, shown
from nats_gym.evaluators import (
    Evaluator,
    TableEvaluator,
    evaluator_names,
    evaluator_options,
    make_evaluator,
)
from nats_gym.evaluators.protocol import check_subject
from nats_gym.results.arguments import SearchArguments
from nats_gym.results.result import SearchResult
from nats_gym.simulation.schedule import Epochs
from nats_gym.spaces import ArchitectureSpace, get_space
from nats_gym.streams import run_seeds
from nats_gym.tables import Table, load_table
from nats_gym.tables.no_table import NoTable

from .answers import Answers, FromTable
from .asking import AskTell, MultiFidelity
from .kind import Kind, Progress, Runs
from .learning import Environment
from .sharing import WeightSharing

if TYPE_CHECKING:
    from .live import Watch

#: What a result in memory may hold, 56 bytes each.
MAX_EVALUATIONS = 100_000_000
#: By the names that :func:`nats_gym.agents.kind_of` gives them.
KINDS: dict[str, type[Kind]] = {
    "ask-tell": AskTell,
    "multi-fidelity": MultiFidelity,
    "environment": Environment,
    "weight-sharing": WeightSharing,
}
#: What a search itself tells an agent.
TOLD = (
    *("among", "budget", "checkpoint", "epochs", "guide", "progress", "rungs", "seed", "space"),
    "streams",
)


def search(
    space: str | ArchitectureSpace | type[ArchitectureSpace],
    dataset: str,
    agent: str | Callable[..., Any] = "reinforce",
    epochs: Epochs | None = None,
    budget: float | None = None,
    runs: int = 1,
    seed: int = 0,
    source: str | os.PathLike[str] = "auto",
    *,
    trial: str | int = "random",
    options: Mapping[str, Any] | None = None,
    rungs: Sequence[Epochs] | None = None,
    workers: int = 1,
    continuing: str | None = None,
    first_run: int = 0,
    supernet_epochs: int | None = None,
    evaluations: int | None = None,
    evaluator: Evaluator | str | Mapping[str, Any] | None = None,
    checkpoints: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> SearchResult:
    """Search a space with an agent under the paper's protocol, in independent runs.

    Args:
        space: ``"tss"``, ``"sss"``, ``"nb101"`` or another that is registered, by name; or a space
            of your own, the object or its class.
        dataset: ``"cifar10"``, ``"cifar100"``, ``"ImageNet16-120"`` or ``"digits"``.
        agent: a name of ``nats_gym.agents.AGENTS``, or what makes an agent of one of the
            shapes that ``nats_gym.agents`` describes: its class, a partial of it, a function.
        epochs: schedule to search on; None for the full one, ``"4/12"`` for the state after 4
            epochs of the 12-epoch one (needs learning curves). Of a weight-sharing search: the
            supernet's own; None for its default. Its answers are looked up at the full schedule.
        budget: simulated seconds of each run, finite; None for the space's own on the data set
            (of NATS-Bench's spaces the paper's × epochs/12). Of a
            weight-sharing search: real ones; None for an hour an epoch, which caps nothing.
            Beside ``evaluations`` it may be infinite, and None is.
        runs: independent runs, up to :data:`MAX_RUNS`.
        seed: of the study; run r takes hash(seed, r).
        source: see :func:`nats_gym.load_table`.
        trial: see :class:`nats_gym.evaluators.TableEvaluator`.
        options: keyword arguments of the agent, such as ``{"improvement": "best"}``. The
            ``prior`` of one that learns from other data sets' tables are their names, or
            ``"others"``; the ``score`` of one that a guide can guide is a figure's name, beside
            ``warmup``, ``proposals`` and ``prefer``, see :mod:`nats_gym.agents.guide`; a result
            records which they were. The ``objectives`` of one that weighs several are names of
            figures.
        rungs: of a multi-fidelity agent: the schedules that it may train to, such as ``("1/12",
            "4/12", 12)``; None for the states of ``epochs`` after a third of it, a ninth and so
            on where the table has learning curves of it, else for all schedules of the table.
        workers: evaluations beside each other, on simulated workers: of an agent that asks and is
            told, as they are done; of one that learns in copies of an environment, in batches.
        continuing: of a multi-fidelity agent: whether going on with a training costs the
            ``"difference"`` (and the trial is the same) or starts from ``"scratch"``; None for
            the agent's own. Between two schedules, whose learning rates fall differently, a
            training that goes on is an idealisation.
        first_run: number of the first run; runs 17 … 19 of a study alone are ``first_run=17,
            runs=3``.
        supernet_epochs: of a weight-sharing search: the same as ``epochs``, which a result records
            as the schedule that answers are looked up at.
        evaluations: after so many a run ends, if its budget lasts so long, whatever the schedules
            of a multi-fidelity agent; None for no such bound. Weight-sharing searches, which
            evaluate nothing, take none.
        evaluator: who answers instead of a table, for real: ``"train"``, ``"ray"`` or another name
            of ``nats_gym.evaluators``; ``"my_module:MyEvaluator"``, a class or function that makes
            one; a dictionary of its ``name`` and options; or an object. Its
            clock is real, ``workers`` evaluate at once, answers come as they are done, and runs
            follow one another. A training that fails is an answer, one whose worker died too.
        checkpoints: of a weight-sharing search: folder for the state of every run after each
            epoch; a run whose state is there goes on from it. Of one on an evaluator: folder for
            its journal, every answer as it comes, and for the states of trainings that may go on;
            the same search goes on from there.
        progress: called with the share done, now and then.
        watch: of a search on an evaluator: called with a
            :class:`~nats_gym.protocol.live.Standing` after every answer.

    Returns:
        The evaluations of every run and the architecture that each recommends. What an agent asks
        for and is no architecture of the space is one that scores 0 and takes no time.

    Raises:
        InvalidInput: for a bad name or number; NotInTable: for a schedule that the table lacks.

    >>> search("tss", "cifar10", "random", budget=60_000, runs=2).recommended.shape
    (2,)
    """
    kept = None if checkpoints is None else checks.path(checkpoints, "checkpoints")
    progress = _silent if progress is None else checks.function(progress, "progress")
    watch = checks.function(watch, "watch")
    arguments = search_arguments(
        *(space, dataset, agent, epochs, budget, runs, seed, source),
        trial=trial,
        options=options,
        rungs=rungs,
        workers=workers,
        continuing=continuing,
        first_run=first_run,
        supernet_epochs=supernet_epochs,
        evaluations=evaluations,
        evaluator=evaluator,
    )
    kind = find_kind(agent, arguments.options)
    kind.look_up(arguments.space, arguments.dataset, arguments.source, evaluator is None)
    if evaluator is not None:
        return _search_live(kind, arguments, evaluator, kept, progress, watch)
    looked_up = TableEvaluator(
        load_table(arguments.space, arguments.dataset, arguments.source), arguments.trial
    )
    looked_up.announce = False
    answers = FromTable(looked_up)
    arguments = kind.prepare(arguments, answers)
    if not arguments.shares_weights:
        _refuse_endless(arguments, answers.table)
    return _found(kind, arguments, answers, kept, progress)


def _search_live(
    kind: Kind,
    arguments: SearchArguments,
    evaluator: Evaluator | str | Mapping[str, Any],
    kept: Path | None,
    progress: Progress,
    watch: Watch | None,
) -> SearchResult:
    """Search on an evaluator; one that is made here ends with the search."""
    from .live import TRAININGS, Live

    space, dataset = get_space(arguments.space), arguments.dataset
    made = None
    if isinstance(evaluator, (str, Mapping)):
        options: dict[str, Any] = {}
        goes_on = arguments.continuing == "difference"
        wanted = {
            "workers": arguments.workers,
            "checkpoints": kept / TRAININGS if kept and goes_on else None,
        }
        recorded = arguments.evaluator or {}
        for name, value in wanted.items():
            if value is not None and name not in recorded and name in evaluator_options(evaluator):
                options[name] = value
        evaluator = made = make_evaluator(evaluator, space.name, dataset, **options)
    try:
        name = str((arguments.evaluator or {})["name"])
        live = Live(evaluator, space, dataset, name, watch)
        arguments = kind.prepare(arguments, live)
        with live.kept(kept, arguments, kind.record(live)):
            return _found(kind, arguments, live, kept, progress)
    finally:
        if made is not None:
            getattr(made, "close", lambda: None)()


def _found(
    kind: Kind, arguments: SearchArguments, answers: Answers, kept: Path | None, progress: Progress
) -> SearchResult:
    seeds = run_seeds(arguments.seed, arguments.runs, arguments.first_run)
    told = kind.record(answers)
    columns = kind.play(Runs(arguments, answers, seeds, kept, progress))
    if kind.record(answers) != told:
        raise InvalidInput(
            f"a column that {arguments.agent} weighs became another while it searched: search "
            "again, or where answers are kept (checkpoints=) bring the earlier column back first"
        )
    table = answers.table or NoTable(answers.space, answers.dataset)
    return SearchResult(
        **columns,
        arguments=arguments,
        provenance={**answers.provenance(arguments), **told},
        table=cast(Table, table),
    )


def _recorded_evaluator(given: object, space: str, dataset: str) -> dict[str, Any] | None:
    """An evaluator as a result records it: its name, and its options if it is made by name.

    Raises:
        InvalidInput: for what is no evaluator, or one of another space or data set.
    """
    if given is None:
        return None
    if isinstance(given, (str, Mapping)):
        evaluator_options(given)
        record = {"name": given} if isinstance(given, str) else dict(given)
        for option, value in record.items():
            if any(callable(one) for one in checks.as_list(value) or [value]):
                raise InvalidInput(
                    f"an evaluator's option {option} is a function, of which a result can record "
                    "but a name: a score has one after nats_gym.proxies.register_score(NAME, "
                    "FUNCTION); else give the evaluator itself, as an object"
                )
        checks.plain(record, "an evaluator's options, which a result records,")
        return record
    if not checks.follows(given, Evaluator):
        raise InvalidInput(
            f"an evaluator is one of {', '.join(evaluator_names())}, 'module:name', a dictionary, "
            f"or an object with evaluate(index, epochs, trial_keys); got {shown(given)}"
        )
    check_subject(given, space, dataset)
    return {"name": f"{type(given).__module__}:{type(given).__qualname__}"}


def search_arguments(
    space: str | ArchitectureSpace | type[ArchitectureSpace],
    dataset: str,
    agent: str | Callable[..., Any] = "reinforce",
    epochs: Epochs | None = None,
    budget: float | None = None,
    runs: int = 1,
    seed: int = 0,
    source: str | os.PathLike[str] = "auto",
    *,
    trial: str | int = "random",
    options: Mapping[str, Any] | None = None,
    rungs: Sequence[Epochs] | None = None,
    workers: int = 1,
    continuing: str | None = None,
    first_run: int = 0,
    supernet_epochs: int | None = None,
    evaluations: int | None = None,
    evaluator: Evaluator | str | Mapping[str, Any] | None = None,
) -> SearchArguments:
    """What a search's result records of its arguments: checked, defaults filled in.

    Arguments and exceptions as :func:`search`.
    """
    kind = find_kind(agent, options)
    space, dataset = get_space(space).name, get_dataset(dataset).name
    kind.look_up(space, dataset, source, evaluator is None)
    kind.check_options(space, dataset)
    return kind.complete(
        *(space, dataset, epochs, budget, runs, seed, source),
        trial=trial,
        rungs=rungs,
        workers=workers,
        continuing=continuing,
        first_run=first_run,
        supernet_epochs=supernet_epochs,
        evaluations=evaluations,
        evaluator=_recorded_evaluator(evaluator, space, dataset),
    )


def find_kind(agent: str | Callable[..., Any], options: Mapping[str, Any] | None = None) -> Kind:
    """An agent as a search runs it.

    Args:
        agent: as of :func:`search`.
        options: keyword arguments that it is made with besides.

    Raises:
        InvalidInput: for what makes no agent, or options that it does not have or that cannot be
            recorded.
    """
    name, factory = find_agent(agent)
    options = checks.mapping(
        {} if options is None else options, "options are a dictionary of the agent's"
    )
    checks.plain(options, "an agent's options, which a result records,")
    for option in options:
        if option in TOLD:
            raise InvalidInput(f"{option} is what the search tells an agent, no option of {name}")
    return KINDS[kind_of(factory, options, name)](name, factory, options)


def _silent(share: float) -> None:
    """Progress that nobody follows."""


def _refuse_endless(arguments: SearchArguments, table: Table) -> None:
    runs, most = arguments.runs, arguments.evaluations or math.inf
    bought = arguments.budget / float(np.nanmean(table.query_seconds(arguments.ladder[0])))
    expected = runs * min(bought, most)
    if expected > MAX_EVALUATIONS:
        raise InvalidInput(
            f"{arguments.bound} in {runs:,} runs are about {expected:.1g} evaluations; "
            f"a search holds up to {MAX_EVALUATIONS:,}"
        )
