"""How an ``epochs`` argument is read.

``12`` is the 12-epoch training schedule; ``"4/12"`` is the state after 4 epochs of it, which a
table with learning curves knows. The learning rate falls to 0 over a schedule's whole length, so
the two are different things.
"""

from __future__ import annotations

import re

import numpy as np

from nats_gym.errors import InvalidInput, shown

#: 12, or "4/12".
Epochs = int | str


def check_epochs(epochs: object, full: int) -> Epochs:
    """Return ``epochs`` in its plain form: an int, or ``"k/E"`` with k below E.

    Args:
        epochs: a positive integer, ``"k/E"``, or None for the full schedule.
        full: length of the full schedule.

    Raises:
        InvalidInput: for anything else.
    """
    if epochs is None:
        return full
    if isinstance(epochs, (int, np.integer)) and not isinstance(epochs, bool) and epochs > 0:
        return int(epochs)
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", epochs) if isinstance(epochs, str) else None
    trained, length = map(int, match.groups()) if match else (0, 0)
    if not 0 < trained <= length:
        raise InvalidInput(
            "epochs is a positive integer, or 'k/E' for the state after k of E epochs, "
            f"got {shown(epochs)}"
        )
    return trained if trained == length else f"{trained}/{length}"


def trained_epochs(epochs: Epochs) -> int:
    """Number of epochs trained: 4 of ``"4/12"``."""
    return int(str(epochs).split("/")[0])
