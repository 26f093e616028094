"""Which evaluator answers for an environment, and the warning that it estimates."""

from __future__ import annotations

import os
import warnings

from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, SurrogateWarning
from nats_gym.evaluators import Evaluator, TableEvaluator
from nats_gym.schedule import Epochs
from nats_gym.tables import SURROGATE, load_table

_warned: set[tuple[str, str, Epochs]] = set()


def choose_evaluator(
    space: str,
    dataset: str,
    epochs: Epochs,
    trial: str | int,
    source: str | os.PathLike[str],
    evaluator: Evaluator | None,
) -> tuple[Evaluator, tuple[str, str]]:
    """The evaluator of an environment, and the provenance of its accuracies and seconds.

    Without an ``evaluator`` the table of ``source`` answers, and a warning says once per table
    and schedule if it estimates. An evaluator that is not a table says what its figures rest on
    with every outcome; until then its provenance is empty.
    """
    get_dataset(dataset)
    if evaluator is None:
        chosen = TableEvaluator(load_table(space, dataset, source), trial)
        if chosen.prepare(epochs) == SURROGATE:
            _warn_once(space, dataset, epochs)
        evaluator = chosen
    if not isinstance(evaluator, Evaluator):
        raise InvalidInput(
            f"an evaluator has evaluate(index, epochs, trial_keys), got {evaluator!r}"
        )
    if isinstance(evaluator, TableEvaluator):
        return evaluator, (evaluator.prepare(epochs), evaluator.table.seconds_provenance)
    return evaluator, ("", "")


def _warn_once(space: str, dataset: str, epochs: Epochs) -> None:
    if (space, dataset, epochs) not in _warned:
        _warned.add((space, dataset, epochs))
        warnings.warn(
            f"{space} {dataset} at {epochs} epochs is answered by a surrogate: accuracies are a "
            "model's estimates, not measured trainings",
            SurrogateWarning,
            stacklevel=5,
        )
