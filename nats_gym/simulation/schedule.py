"""How an ``epochs`` argument is read.

``12`` is the 12-epoch training schedule; ``"4/12"`` is the state after 4 epochs of it, which a
table with learning curves knows. The learning rate falls to 0 over a schedule's whole length, so
the two are different things.
"""

from __future__ import annotations

import re

from nats_gym.checks import as_integer
from nats_gym.errors import InvalidInput, shown

#: 12, or "4/12".
Epochs = int | str
#: Longest schedule; the longest official one has 200 epochs.
LONGEST = 10_000


def check_epochs(epochs: object, full: int) -> Epochs:
    """Return ``epochs`` in its plain form: an int, or ``"k/E"`` with k below E.

    Args:
        epochs: an integer up to :data:`LONGEST`, ``"k/E"``, or None for the full schedule.
        full: length of the full schedule.

    Raises:
        InvalidInput: for anything else.
    """
    if epochs is None:
        return full
    trained = length = as_integer(epochs) or 0
    if issubclass(type(epochs), str):
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", epochs)  # type: ignore[call-overload]
        trained, length = map(int, match.groups()) if match else (0, 0)
    if not 0 < trained <= length <= LONGEST:
        raise InvalidInput(
            f"epochs is an integer from 1 to {LONGEST:,}, or 'k/E' for the state after k of E "
            f"epochs, got {shown(epochs)}"
        )
    return trained if trained == length else f"{trained}/{length}"


def trained_epochs(epochs: Epochs) -> int:
    """Number of epochs trained: 4 of ``"4/12"``."""
    return int(str(epochs).split("/")[0])
