"""Replays claimed runs against their tables.

What a run claims is looked up again, evaluation by evaluation: that each architecture, at its
schedule and with the trial drawn for it, scored and cost what is written, that its clock adds up
and stopped where the budget was spent, and that the answer is the best that it observed, or, of an
agent that says itself what it answers, one that it had observed. How an agent came to ask for what
it did is its own affair, and so are the real seconds of a weight-sharing search. Real trainings are
not replayed: of a search on an evaluator it is checked that its runs are in order, fit their bounds
and their journal, if that is there.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.agents import AGENTS, get_agent, learned_on, prior_of, recommends, takes_guide
from nats_gym.agents.weight_sharing import METHODS, get_method
from nats_gym.errors import InvalidInput, MissingStudy, NatsGymError, shown
from nats_gym.evaluators import TableEvaluator, evaluator_names
from nats_gym.protocol import search_arguments
from nats_gym.protocol.journal import JOURNAL, Journal
from nats_gym.protocol.ladder import find_rungs
from nats_gym.results.arguments import SearchArguments
from nats_gym.results.files import RUN_FILE, RUNS_FILE, open_runs, read_run
from nats_gym.results.result import SearchResult
from nats_gym.simulation.clock import MOST_IDLE, count_idle
from nats_gym.simulation.schedule import Epochs
from nats_gym.streams import combine, run_keys, run_seeds
from nats_gym.tables import SURROGATE
from nats_gym.tables.load import OWN, copied_estimates, origin_of

Flags = NDArray[np.bool_]
#: Points that computing in float32, or rounding an estimate, may move an accuracy by.
ROUNDED = 8e-5


@dataclass(frozen=True)
class Verdict:
    """What a replay says of one search.

    Attributes:
        folder: where it lies.
        title: agent, space, data set and schedule.
        valid: whether each run holds, ``(runs,)``; empty if the files cannot be read.
        reasons: why the first runs that do not hold do not, by run; -1 for the whole of it.
        result: what was replayed; None if it cannot be read.
        origin: whose the table is: see :func:`nats_gym.tables.load.origin_of`; "" if unknown.
    """

    folder: Path
    title: str
    valid: Flags
    reasons: dict[int, str]
    result: SearchResult | None
    origin: str = ""

    @property
    def holds(self) -> bool:
        """Whether everything holds."""
        return not self.reasons


def validate(folder: str | os.PathLike[str]) -> Iterator[Verdict]:
    """Replay every search in a folder: a search's own, a study's, or one that holds such.

    Raises:
        MissingStudy: if there is no search at all.
    """
    folder = checks.path(folder, "runs")
    places = {
        path.parent
        for name in (RUN_FILE, RUNS_FILE)
        for path in folder.rglob(name)
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    if not places:
        raise MissingStudy(f"no search in {shown(str(folder))}: no {RUN_FILE} there or below")
    for place in sorted(places):
        yield _verdict(place)


def _verdict(folder: Path) -> Verdict:
    try:
        result = SearchResult.load(folder)
        _check_claims(result)
        a = result.arguments
        title = f"{a.agent} · {a.space} {a.dataset} · {a.epochs} epochs"
        origin = origin_of(result.table) if result.is_judged else ""
        if not result.is_judged:
            title += f" · on {result.provenance['evaluator']}, not replayed"
        elif origin == OWN:
            title += f" · on the claimant's own table, {result.table.source}"
        failures = list(_failures(result, folder))
        summary_holds = _summary_holds(result, folder)
    except NatsGymError as error:
        return Verdict(folder, folder.name, np.zeros(0, bool), {-1: str(error)}, None)
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        reason = f"it is not what a search writes: {shown(error)}"
        return Verdict(folder, folder.name, np.zeros(0, bool), {-1: reason}, None)
    valid = np.ones(result.runs, dtype=bool)
    reasons: dict[int, str] = {}
    for wrong, reason in failures:
        for run in np.flatnonzero(wrong & valid).tolist():
            reasons[run] = reason
        valid &= ~wrong
    if not summary_holds:
        reasons[-1] = f"the summary in {RUN_FILE} is not that of the runs"
        if unrecorded := result.unrecorded:
            reasons[-1] += (
                f"; it was saved before searches recorded which column {' and '.join(unrecorded)} "
                "is: another may have the name now, see nats-gym data status"
            )
    return Verdict(folder, title, valid, reasons, result, origin)


def _check_claims(result: SearchResult) -> None:
    """Check what a search says that it was called with, and rests on.

    Raises:
        InvalidInput: for arguments that no such search has, or a table that calls an embedded
            model's estimates measured.
    """
    judged = result.is_judged
    if judged and origin_of(result.table) == OWN and (copied := copied_estimates(result.table)):
        raise InvalidInput(
            f"its table says of {', '.join(copied)} that they are measured, and they are the "
            "estimates of an embedded model"
        )
    claimed = result.arguments
    # An agent of one's own is not here; its claims are those of one of its kind.
    known: dict[str, Any] = {}
    if claimed.agent not in AGENTS:
        known = {"agent": _stand_in(claimed), "options": {}}
    own = claimed.evaluator is not None and claimed.evaluator["name"] not in evaluator_names()
    if own:  # nor is an evaluator of one's own
        known["evaluator"] = "train"
    checked = search_arguments(**{**claimed, **known})
    for name, value in checked.items():
        unlike = claimed.get(name) != value and not (own and name == "evaluator")
        if name not in ("agent", "options", "rungs") and unlike:
            raise InvalidInput(f"no search says {name} {shown(claimed[name])} so")
    if result.runs != claimed.runs:
        raise InvalidInput(f"it claims {claimed.runs:,} runs and has {result.runs:,}")
    if result.answers_last != claimed.shares_weights:
        raise InvalidInput("only weight-sharing searches have alphas, and all of them")
    if claimed.agent in AGENTS:
        factory = get_agent(claimed.agent)
        told = {
            "prior": prior_of(factory) is not None and bool(claimed.options.get("prior")),
            "score": takes_guide(factory) and claimed.options.get("score") is not None,
        }
        for name, was_told in told.items():
            if was_told != (name in result.provenance):
                raise InvalidInput(f"its provenance does not say what its {name} rests on")
        learned = "; ".join(learned_on(factory, checked.options))
        if result.provenance.get("learned_on", "") != learned:
            raise InvalidInput(f"its provenance does not say that it learned on {shown(learned)}")
        own_answers = recommends(factory)
        if own_answers != (result.recommends is not None):
            raise InvalidInput(
                f"{claimed.agent} says itself what it answers"
                if own_answers
                else f"{claimed.agent} answers its best observed"
            )
    if claimed.rungs is not None and judged:
        find_rungs(TableEvaluator(result.table, claimed.trial), claimed.epochs, claimed.rungs)


def _stand_in(claimed: SearchArguments) -> str:
    """A known agent of the kind that the arguments are of."""
    if claimed.shares_weights:
        return next(name for name in METHODS if get_method(name).space == claimed.space)
    return "random" if claimed.rungs is None else "asha"


def _failures(result: SearchResult, folder: Path) -> Iterator[tuple[Flags, str]]:
    """Which runs are wrong in what, the most basic first."""
    a, there = result.arguments, result.there
    runs, none = np.arange(result.runs), there & (result.index < 0)
    order = np.arange(result.index.shape[1])
    ladder = a.ladder
    numbers = np.where(there, result.evaluation, np.arange(-1, -len(order) - 1, -1))
    in_order = numbers == order if a.workers == 1 else numbers < len(order) + a.workers
    repeated = np.zeros(result.runs, dtype=bool)
    repeated |= (np.diff(np.sort(numbers, axis=1), axis=1) == 0).any(axis=1)
    broken: Flags = np.asarray(
        repeated
        | (there & ~in_order).any(axis=1)
        | (~there & ((result.rung != -1) | (result.index != -1))).any(axis=1)
        | (~there & ~np.isnan(result.accuracy)).any(axis=1)
        | ~there[:, 0]
        | (there[:, 1:] & ~there[:, :-1]).any(axis=1)
        | (result.evaluation < -1).any(axis=1)
        | (result.index >= result.table.space.size).any(axis=1)
        | (there & ((result.rung < 0) | (result.rung >= len(ladder)))).any(axis=1)
        | (none & (result.index != -1)).any(axis=1)
        | (there & (result.continues >= np.maximum(result.evaluation, 0))).any(axis=1)
    )
    yield broken, "its evaluations are not in order"
    if broken.any():
        return

    at = result.column_of  # (runs, number): the column of each evaluation
    goes_on = there & (result.continues >= 0)
    before = at[runs[:, None], np.maximum(result.continues, 0)]
    impossible: Flags = goes_on & ((before < 0) | (before >= order))
    yield np.asarray(impossible.any(axis=1)), "it goes on with an evaluation that was not answered"
    goes_on &= ~impossible
    before = np.where(goes_on, before, 0)
    other: Flags = goes_on & (
        (np.take_along_axis(result.index, before, 1) != result.index)
        | (np.take_along_axis(result.rung, before, 1) >= result.rung)
    )
    yield (
        np.asarray(other.any(axis=1)),
        "it goes on with a training of another architecture, or as long",
    )

    if result.recommends is not None:
        answered = np.take_along_axis(at, np.maximum(result.recommends, 0), axis=1)
        early = there & ((answered < 0) | (answered > order))
        yield np.asarray(early.any(axis=1)), "it answers with what it had not observed by then"

    if not result.is_judged:
        yield from _observed_failures(result, there, folder)
    else:
        accuracy, seconds = _replay(result, ladder, goes_on, before)
        wrong = _differ(accuracy, result.accuracy, there, _rounding(result, ladder, folder))
        yield wrong, "an accuracy is not the table's"
        if not result.answers_last:  # whose seconds were real
            wrong = _differ(seconds, result.seconds, there)
            yield wrong, "an evaluation's seconds are not the table's"
            yield from _clock_failures(result, there, int(a.workers))
    with open_runs(folder) as arrays:
        answers = arrays["recommended"]
    if answers.shape != result.recommended.shape:
        raise ValueError(f"{len(result.recommended)} answers, {answers.shape} are claimed")
    yield (
        np.asarray(answers != result.recommended),
        "its answer is not "
        + ("its best observed" if result.recommends is None else "what it recommends"),
    )


def _observed_failures(
    result: SearchResult, there: Flags, folder: Path
) -> Iterator[tuple[Flags, str]]:
    """What is wrong with runs on an evaluator, which nothing but their journal knows."""
    accuracy, seconds = result.accuracy, result.seconds
    figures = (accuracy >= 0) & (accuracy <= 100) & (seconds >= 0)
    yield np.asarray((there & ~figures).any(axis=1)), "a figure is none"
    steps = np.diff(np.where(there, result.clock, np.inf), axis=1, prepend=0.0)
    yield np.asarray((there & ~(steps >= 0)).any(axis=1)), "its clock goes back"
    yield from _bound_failures(result, there)
    if not (folder / JOURNAL).is_file():
        return
    journal = Journal(folder / JOURNAL)
    try:
        differing = [not _is_journalled(result, run, journal) for run in range(result.runs)]
    finally:
        journal.close()
    yield np.array(differing), "its answers are not those of its journal"


def _is_journalled(result: SearchResult, run: int, journal: Journal) -> bool:
    """Whether a run's columns are what its journal has, but for what was not evaluated."""
    claimed = result.index[run] >= 0
    entries = journal.entries(result.arguments.first_run + run)
    entries = [one for one in entries if one.index >= 0][: int(claimed.sum())]
    if len(entries) < claimed.sum():
        return False
    exact = ["index", "accuracy", "rung"]
    if claimed.sum() == result.evaluations[run]:  # else an environment counts otherwise
        exact += ["evaluation", "continues"]
    there = {name: [getattr(one, name) for one in entries] for name in (*exact, "clock")}
    # The clock of an environment adds up differences.
    return all(
        np.array_equal(getattr(result, name)[run, claimed], there[name]) for name in exact
    ) and np.allclose(result.clock[run, claimed], there["clock"])


def _rounding(result: SearchResult, ladder: Sequence[Epochs], folder: Path) -> NDArray[np.float64]:
    """How far an accuracy may lie from the table's, ``(runs, evaluation)``."""
    bases = [result.table.accuracy_column("valid", epochs).provenance for epochs in ladder]
    # An earlier version rounded measured figures to float32, and did not round a model's.
    earlier = read_run(folder)["provenance"]["checksum"] == result.table.earlier_checksum
    each = [ROUNDED if earlier or basis == SURROGATE else 0.0 for basis in bases]
    return np.array([*each, 0.0])[result.rung]


def _replay(
    result: SearchResult, ladder: Sequence[Epochs], goes_on: Flags, before: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Accuracies and seconds that the table gives, ``(runs, evaluation)``; NaN behind the end."""
    a, table = result.arguments, result.table
    evaluator = TableEvaluator(table, a.trial)
    first, runs = a.first_run, result.runs
    keys = run_keys(run_seeds(a.seed, runs, first))
    shares = goes_on if a.continuing == "difference" else np.zeros_like(goes_on)
    trial = result.evaluation.copy()
    for column in range(trial.shape[1]):  # the trial of a training's beginning, however often on
        on = np.flatnonzero(shares[:, column])
        trial[on, column] = trial[on, before[on, column]]
    none = result.there & (result.index < 0)
    accuracy, seconds = (np.where(none, 0.0, np.nan) for _ in range(2))
    for rung, epochs in enumerate(ladder):
        here = np.nonzero((result.rung == rung) & (result.index >= 0))
        if not len(here[0]):
            continue
        drawn = combine(keys[here[0]], trial[here])
        outcome = evaluator.evaluate(result.index[here], epochs, drawn)
        accuracy[here], seconds[here] = outcome.accuracy, outcome.seconds
    for rung, epochs in enumerate(ladder):
        paid = shares & ~none & (np.take_along_axis(result.rung, before, 1) == rung)
        seconds[paid] -= table.train_seconds(epochs)[result.index[paid]]
    return accuracy, seconds


def _clock_failures(
    result: SearchResult, there: Flags, workers: int
) -> Iterator[tuple[Flags, str]]:
    clock, seconds = result.clock, result.seconds
    if workers == 1:
        started = np.concatenate([np.zeros((result.runs, 1)), clock[:, :-1]], axis=1)
        yield _differ(started + seconds, clock, there), "its clock does not add up"
    else:
        yield (
            np.array([not _fits(run, workers) for run in _intervals(result, there)]),
            f"its evaluations do not fit on {workers} workers",
        )
    yield from _bound_failures(result, there)


def _bound_failures(result: SearchResult, there: Flags) -> Iterator[tuple[Flags, str]]:
    """Which runs end too early, or too late."""
    clock, budget = result.clock, result.arguments.budget
    last = there & ~np.pad(there[:, 1:], ((0, 0), (0, 1)))
    spent = clock >= budget
    if (most := result.arguments.evaluations) is not None:
        spent |= np.cumsum(there, axis=1) >= most
    elif math.isfinite(budget):
        spent |= _idle(clock) >= MOST_IDLE
    early = (there & ~last & spent).any(axis=1)
    late = (last & ~spent).any(axis=1)
    yield np.asarray(early), "it goes on after its budget was spent"
    yield np.asarray(late), "it stops before its budget is spent"


def _idle(clock: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many evaluations in a row had taken no time, at each, ``(runs, evaluation)``."""
    counts = np.empty(clock.shape, np.int64)
    idle, before = np.zeros(len(clock), np.int64), np.zeros(len(clock))
    for column in range(clock.shape[1]):
        counts[:, column] = idle = count_idle(idle, clock[:, column] > before)
        before = clock[:, column]
    return counts


def _intervals(
    result: SearchResult, there: Flags
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    for run in range(result.runs):
        yield result.clock[run, there[run]], result.seconds[run, there[run]]


def _fits(run: tuple[NDArray[np.float64], NDArray[np.float64]], workers: int) -> bool:
    """Whether evaluations begin when another ends, or at 0, and never too many at a time."""
    clock, seconds = run
    if np.any(np.diff(clock) < 0):
        return False
    starts = np.concatenate([[0.0], clock])
    near = np.searchsorted(starts, clock - seconds)
    start = np.full(len(clock), np.nan)
    for step in (-2, -1, 0, 1, 2):  # the sum, not the difference, is what was computed, to the bit
        candidate = starts[np.clip(near + step, 0, len(starts) - 1)]
        start = np.where(candidate + seconds == clock, candidate, start)
    if np.isnan(start).any():
        return False
    # At every end: those begun by then, less those that had ended.
    begun = np.searchsorted(np.sort(start), clock, side="right")
    ended = np.searchsorted(clock, clock, side="right")
    return bool((begun - ended <= workers).all())


def _differ(
    found: NDArray[np.float64],
    claimed: NDArray[np.float64],
    there: Flags,
    by: NDArray[np.float64] | float = 0.0,
) -> Flags:
    same = (found == claimed) | (np.abs(found - claimed) <= by)  # NaN is neither
    return np.asarray((there & ~same).any(axis=1))


def _summary_holds(result: SearchResult, folder: Path) -> bool:
    """Whether every figure of the summary is the one of the runs, but for rounding."""
    record = read_run(folder)
    claimed, found = record["summary"], json.loads(json.dumps(result.summary()))
    if not isinstance(claimed, dict):
        return False
    old = claimed.get("full_schedule_test_accuracy")
    if result.is_judged and not old:
        before = {result.table.earlier_checksum, *result.table.former_checksums}
        if record["provenance"]["checksum"] in before:  # the table had none yet
            found.pop("full_schedule_test_accuracy", None)
    if old and "test" in found:
        # What an earlier version called a test.
        claimed = {**claimed, "test": found["test"]}
        del claimed["full_schedule_test_accuracy"]
    return _alike(claimed, found)


def _alike(claimed: Any, found: Any) -> bool:
    if isinstance(found, dict):
        same = isinstance(claimed, dict) and claimed.keys() == found.keys()
        return same and all(_alike(claimed[name], found[name]) for name in found)
    if isinstance(found, float) and isinstance(claimed, float):
        both_unknown = math.isnan(claimed) and math.isnan(found)
        return both_unknown or math.isclose(claimed, found, rel_tol=1e-6, abs_tol=1e-5)
    return bool(claimed == found)
