"""Which evaluator answers for an environment, and the warning that it estimates."""

from __future__ import annotations

import os
import warnings

from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, SurrogateWarning
from nats_gym.evaluators import Evaluator, TableEvaluator
from nats_gym.tables import SURROGATE, load_table

_warned: set[tuple[str, str, int]] = set()


def make_evaluator(
    space: str,
    dataset: str,
    trial: str | int,
    source: str | os.PathLike[str],
    evaluator: Evaluator | None,
) -> Evaluator:
    """Return ``evaluator`` if one is given, else one that answers from the table of ``source``."""
    get_dataset(dataset)
    if evaluator is None:
        return TableEvaluator(load_table(space, dataset, source), trial)
    if not isinstance(evaluator, Evaluator):
        raise InvalidInput(
            f"an evaluator has evaluate(index, epochs, trial_keys), got {evaluator!r}"
        )
    return evaluator


def prepare(evaluator: Evaluator, epochs: int) -> tuple[str, str]:
    """Load what a table holds of the schedule; provenance of its accuracies and of its seconds.

    Warns once per table and schedule when a surrogate answers. Another evaluator says what its
    figures rest on with every outcome.
    """
    if not isinstance(evaluator, TableEvaluator):
        return "", ""
    provenance = evaluator.prepare(epochs)
    table = evaluator.table
    asked = table.space.name, table.dataset, epochs
    if provenance == SURROGATE and asked not in _warned:
        _warned.add(asked)
        warnings.warn(
            f"{table.space.name} {table.dataset} at {epochs} epochs is answered by a surrogate: "
            "accuracies are a model's estimates, not measured trainings",
            SurrogateWarning,
            stacklevel=4,
        )
    return provenance, table.seconds_provenance
