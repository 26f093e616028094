"""Figures: what is known of every architecture of a space, looked up by name.

A space computes its closed forms, a table holds the rest. Objectives, limits, rewards, proxies and
analyses know no figure but by what it says of itself here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks

#: Provenance of what a space computes: as exact as a measurement.
CLOSED_FORM = "closed form"


@dataclass(frozen=True)
class Quantity:
    """What a column counts, or a space computes, and how it is shown.

    Attributes:
        unit: in words.
        label: name and unit, as an axis has them; empty for what cannot be looked up as a figure,
            such as a learning curve.
        lower_is_better: whether it is a cost, which can be limited, and which objectives minimise.
    """

    unit: str
    label: str = ""
    lower_is_better: bool = True


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure of every architecture of a space on a data set.

    Attributes:
        name: what it is looked up by.
        quantity: what it counts.
        values: by official index, ``(arch,)``, at least 0, read-only: whoever looks the figure up
            may get the same array; NaN where it is not known.
        provenance: :data:`CLOSED_FORM`, or that of a table's column.
        digest: of the column's file; empty for what is computed.

    Raises:
        InvalidInput: for what is none of these.
    """

    name: str
    quantity: Quantity
    values: NDArray[np.float64]
    provenance: str
    digest: str = ""

    def __post_init__(self) -> None:
        checks.text(self.name, "a figure's name")
        checks.instance(self.quantity, Quantity, "quantity")
        checks.text(self.provenance, "provenance")
        checks.text(self.digest, "a digest")
        values = checks.numbers(self.values, "a figure's values are numbers (arch,)")
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    def shares(self) -> NDArray[np.float64]:
        """As something to be maximised: shares of the largest, a cost's below 0, ``(arch + 1,)``.

        Where figures are negative, shares of their range. The last is the worst there is, for what
        is no architecture, index -1.
        """
        cost = self.quantity.lower_is_better
        values = np.append(self.values, (np.nanmax if cost else np.nanmin)(self.values))
        least = min(np.nanmin(values), 0.0)
        span = np.nanmax(values) - least
        share = (values - least if least else values) / (span or 1.0)
        return -share if cost else share
