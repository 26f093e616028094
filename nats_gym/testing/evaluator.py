"""Asks an evaluator for batches, one by one, and in an episode, and compares the answers."""

from __future__ import annotations

import pickle
import warnings
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.datasets import get_dataset
from nats_gym.envs import ConstructionEnv
from nats_gym.errors import EvaluatorError, InvalidInput, shown
from nats_gym.evaluators import Evaluator, Outcome, StreamingEvaluator, checked
from nats_gym.evaluators.protocol import check_answers
from nats_gym.simulation.schedule import Epochs, check_epochs
from nats_gym.spaces import get_space
from nats_gym.testing.differences import find_difference, told


def check_evaluator(
    evaluator: Evaluator,
    space: str = "tss",
    dataset: str = "cifar10",
    *,
    epochs: Epochs | None = None,
    index: ArrayLike | None = None,
    deterministic: bool = True,
    picklable: bool = False,
) -> None:
    """Check that an evaluator of yours can answer for environments and searches.

    It is asked for a batch of many (one architecture thrice in it), for batches of one, for the
    many in another order and as a strided view, and in one episode of an environment. Of each
    outcome its type is checked; accuracy and seconds: float64, ``(batch,)``, finite, accuracy in
    0…100 percent, seconds from 0; provenance: words; metrics: ``(batch,)``. What it was given and
    what it returned before must stay as it was. One that streams is also asked for two by
    ``stream``: its trials, identity and provenance are looked at, and that every position is
    answered once, as ``evaluate`` answers it.

    Args:
        evaluator: yours.
        space, dataset: what it answers for.
        epochs: the schedule to ask for; the space's full one by default.
        index: official indices to ask for, ``(n,)``; 16 of the whole space by default. Some
            ``2·n + 10`` evaluations are made: give one or two to an evaluator that trains.
        deterministic: an architecture and its trial key decide the accuracy, whatever is asked
            beside it, before it and in which order, as a table does it. False for an evaluator
            that trains.
        picklable: it can be sent to other processes, and answers the same there.

    Raises:
        EvaluatorError: at the first thing that is wrong; an exception of the evaluator's own is
            its cause.
        InvalidInput: for other arguments, and for what is no evaluator at all.
        NotInTable: if it is a table's, and the table lacks the schedule.

    Warns:
        UserWarning: if no accuracy is above 1: fractions, where percent is expected?
    """
    architectures, dataset = get_space(space), get_dataset(dataset).name
    space = architectures.name
    deterministic = checks.switch(deterministic, "deterministic")
    picklable = checks.switch(picklable, "picklable")
    epochs = check_epochs(epochs, architectures.full_epochs_on(dataset))
    rng = np.random.default_rng(0)
    if index is None:
        index = rng.choice(architectures.size, 16, replace=False)
    index = np.atleast_1d(architectures.check_index(index)).ravel()
    if not len(index):
        raise InvalidInput("index holds at least one architecture, got none")
    env = ConstructionEnv(space, dataset, epochs=epochs, evaluator=evaluator)

    # The first architecture thrice: with one key twice, and with another.
    many = np.concatenate([index, index[:1], index[:1]])
    keys = rng.integers(2**64, size=len(many), dtype=np.uint64)
    keys[-1] = keys[0]
    what = f"a batch of {len(many)}"
    outcome = _ask(evaluator, many, epochs, keys, what)
    if (outcome.accuracy <= 1.0).all():
        warnings.warn(
            f"no accuracy of {what} is above 1: accuracies are percent, 0…100, not fractions",
            stacklevel=2,
        )
    kept = deepcopy(outcome)
    expected = kept.accuracy
    if deterministic and expected[-1] != expected[0]:
        raise _differs(f"{what}, which has it twice,", many[0], expected[-1], expected[0])

    asked = [("a batch of one", np.array([i])) for i in range(min(3, len(index)))]
    asked.append(("the batch in another order", rng.permutation(len(many))))
    for what, order in asked:
        # Strided views, as a slice of someone's array is.
        some, some_keys = np.repeat(many[order], 2)[::2], np.repeat(keys[order], 2)[::2]
        again = _ask(evaluator, some, epochs, some_keys, what)
        if deterministic:
            _check_equal(some, again.accuracy, expected[order], what)
    if checks.follows(evaluator, StreamingEvaluator):
        _check_stream(
            evaluator, many[:2], epochs, keys[:2], expected[:2] if deterministic else None
        )
    for name in ("accuracy", "seconds", "metrics"):
        if find_difference(getattr(outcome, name), getattr(kept, name)):
            raise EvaluatorError(
                f"{name} of an outcome changed when evaluate was called again: return fresh arrays"
            )
    if picklable:
        _check_pickle(
            evaluator, many[:2], epochs, keys[:2], expected[:2] if deterministic else None
        )

    env.reset(seed=0)
    for choice in architectures.choices(index[0]):
        try:
            env.step(choice)
        except Exception as error:
            raise EvaluatorError(
                f"an episode of a {space} {dataset} environment failed: {told(error)}"
            ) from error


def _ask(
    evaluator: Evaluator,
    index: NDArray[np.int64],
    epochs: Epochs,
    keys: NDArray[np.uint64],
    what: str,
) -> Outcome:
    given, given_keys = index.copy(), keys.copy()
    try:
        outcome = evaluator.evaluate(index, epochs, keys)
    except Exception as error:
        raise EvaluatorError(f"evaluate failed on {what}: {told(error)}") from error
    for name, now, before in (("index", index, given), ("trial_keys", keys, given_keys)):
        if not np.array_equal(now, before):
            raise EvaluatorError(f"evaluate wrote into {name}, which is its caller's, on {what}")
    _check_outcome(outcome, index, what)
    return outcome


def _check_outcome(outcome: Outcome, index: NDArray[np.int64], what: str) -> None:
    if not isinstance(outcome, Outcome):
        raise EvaluatorError(
            f"evaluate returned a {type(outcome).__name__} for {what}; it returns a "
            "nats_gym.evaluators.Outcome(accuracy, seconds)"
        )
    for name, high, allowed in (
        ("accuracy", 100.0, "percent, 0…100"),
        ("seconds", np.inf, "finite and not below 0"),
    ):
        values = getattr(outcome, name)
        _check_column(name, values, len(index), what)
        if values.dtype != np.float64:
            raise EvaluatorError(f"{name} of {what} is {values.dtype}, not float64")
        wrong = ~(np.isfinite(values) & (values >= 0) & (values <= high))
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            raise EvaluatorError(
                f"{name} of architecture {index[place]} in {what} is {values[place]}; "
                f"it is {allowed}"
            )
    for name in ("provenance", "seconds_provenance"):
        word = getattr(outcome, name)
        if not isinstance(word, str) or not word:
            raise EvaluatorError(f"{name} of {what} is a word, got {shown(word)}")
    if not isinstance(outcome.metrics, dict):
        kind = type(outcome.metrics).__name__
        raise EvaluatorError(f"metrics of {what} are a {kind}; they are a dictionary")
    for name, values in outcome.metrics.items():
        if not isinstance(name, str):
            raise EvaluatorError(f"a metric of {what} is named by a string, got {shown(name)}")
        _check_column(f"metric {shown(name)}", values, len(index), what)
    checked(outcome, len(index))


def _check_stream(
    evaluator: StreamingEvaluator,
    index: NDArray[np.int64],
    epochs: Epochs,
    keys: NDArray[np.uint64],
    expected: NDArray[np.float64] | None,
) -> None:
    what = "the stream"
    if not isinstance(evaluator.identity, str):
        raise EvaluatorError(f"identity is a string, got {shown(evaluator.identity)}")
    provenance = evaluator.provenance
    words = isinstance(provenance, tuple) and [isinstance(word, str) for word in provenance]
    if words != [True, True]:
        raise EvaluatorError(
            f"provenance is a pair of words, of accuracies and seconds, got {shown(provenance)}"
        )
    given, given_keys = index.copy(), keys.copy()
    try:
        trials = evaluator.trials_of(index, keys)
    except Exception as error:
        raise EvaluatorError(f"trials_of failed: {told(error)}") from error
    _check_column("trials_of", trials, len(index), f"a batch of {len(index)}")
    if trials.dtype.kind not in "iu":
        raise EvaluatorError(f"trials_of returns whole numbers, got {trials.dtype}")
    try:
        answers = dict(check_answers(len(index), evaluator.stream(index, epochs, trials)))
    except EvaluatorError:
        raise
    except Exception as error:
        raise EvaluatorError(f"stream failed: {told(error)}") from error
    for name, now, before in (("index", index, given), ("trial_keys", keys, given_keys)):
        if not np.array_equal(now, before):
            raise EvaluatorError(f"trials_of or stream wrote into {name}, which is its caller's")
    if expected is not None:
        accuracy = np.array([answers[position].accuracy for position in range(len(index))])
        _check_equal(index, accuracy, expected, what)


def _check_column(name: str, values: Any, batch: int, what: str) -> None:
    if not isinstance(values, np.ndarray):
        raise EvaluatorError(f"{name} of {what} is a {type(values).__name__}, not a numpy array")
    if values.shape != (batch,):
        raise EvaluatorError(f"{name} of {what} has shape {values.shape}, not ({batch},)")


def _check_pickle(
    evaluator: Evaluator,
    index: NDArray[np.int64],
    epochs: Epochs,
    keys: NDArray[np.uint64],
    expected: NDArray[np.float64] | None,
) -> None:
    try:
        copy = pickle.loads(pickle.dumps(evaluator))
    except Exception as error:
        raise EvaluatorError(f"the evaluator does not pickle: {told(error)}") from error
    what = "its pickled copy's batch"
    outcome = _ask(copy, index, epochs, keys, what)
    if expected is not None:
        _check_equal(index, outcome.accuracy, expected, what)


def _check_equal(
    index: NDArray[np.int64],
    accuracy: NDArray[np.float64],
    expected: NDArray[np.float64],
    what: str,
) -> None:
    for place in np.flatnonzero(accuracy != expected)[:1]:
        raise _differs(what, index[place], accuracy[place], expected[place])


def _differs(what: str, index: Any, accuracy: Any, expected: Any) -> EvaluatorError:
    return EvaluatorError(
        f"accuracy of architecture {index} in {what} is {accuracy}, and was {expected} by the "
        "same trial key before; pass deterministic=False if that is meant, as of real training"
    )
