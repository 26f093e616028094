"""Judges an answer by its full-schedule test accuracy: for `info`, never for a reward.

Where a table has no test accuracies but validation's under another name (one model's estimates for
both splits), they are called what they are, and no test.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym.tables import NO_TEST, Table


class Judge:
    """Full-schedule test accuracy, mean over trials, of an architecture.

    Args:
        table: where test accuracies come from.

    Raises:
        NotInTable: if the table has no test accuracies of the full schedule.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._epochs = table.full_epochs
        self._accuracy = table.mean_accuracy("test", self._epochs)
        self._name = "valid_accuracy" if table.test_is_validation else "test_accuracy"
        self._facts = {"provenance": table.provenance("accuracy", "test", self._epochs)}
        if table.test_is_validation:
            self._facts["test"] = NO_TEST
        self.estimates = table.estimates_test

    def __reduce__(self) -> tuple[type[Judge], tuple[Table]]:
        return Judge, (self._table,)

    def knows(self, index: int) -> bool:
        """Whether there is a judgement of an official index: a partial table lacks most."""
        return not math.isnan(self._accuracy.item(index))

    def known(self, index: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Likewise of a batch ``(batch,)``."""
        return ~np.isnan(self._accuracy[index])

    def __call__(self, index: int) -> dict[str, Any]:
        """The judgement of one official index."""
        return {self._name: self._accuracy.item(index), "epochs": self._epochs, **self._facts}

    def columns(self, index: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """The judgements of a batch ``(batch,)``, an array for each figure."""
        return {
            self._name: self._accuracy[index],
            "epochs": np.full(len(index), self._epochs),
            **{name: np.array([said] * len(index), object) for name, said in self._facts.items()},
        }
