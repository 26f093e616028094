"""One column of a table: what it holds, and what that rests on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

#: A real training's figure.
MEASURED = "measured"
#: A model's estimate.
SURROGATE = "surrogate"

UNITS = {
    "accuracy": "percent",
    "accuracy_curve": "percent and loss per epoch",
    "train_seconds_per_epoch": "seconds",
    "evaluation_seconds": "seconds",
    "latency": "seconds per batch of 256",
}


@dataclass(frozen=True)
class Column:
    """Description of a column, as its manifest has it.

    Attributes:
        quantity: a key of :data:`UNITS`.
        provenance: :data:`MEASURED` or :data:`SURROGATE`.
        source: where the figures, or those that the model was fitted to, come from.
        licence: licence of that source.
        file: the ``.npy`` of a stored column or the coefficients of a modelled one, relative to
            the table's folder.
        sha256: digest of ``file``.
        split: ``"valid"`` or ``"test"`` for accuracies and evaluation seconds.
        epochs: length of the training schedule; 0 for a figure that all schedules share.
        trials: seeds along the trial axis; empty for a column without one.
        model: name of the model that turns ``file`` into the column; empty for a stored column.
        version: that of the model's coefficients; 0 for a stored column.
        held_out: errors of that model on rows that it was not fitted to.
        note: what a reader must know besides.
    """

    quantity: str
    provenance: str
    source: str
    licence: str
    file: str = ""
    sha256: str = ""
    split: str = ""
    epochs: int = 0
    trials: tuple[int, ...] = ()
    model: str = ""
    version: int = 0
    held_out: dict[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def unit(self) -> str:
        """Unit of the figures."""
        return UNITS[self.quantity]

    @property
    def name(self) -> str:
        """Name that tells the column from the others of its table, e.g. accuracy-valid-200."""
        parts = (self.quantity, self.split, str(self.epochs) if self.epochs else "")
        return "-".join(part for part in parts if part)

    def to_json(self) -> dict[str, Any]:
        """The manifest's entry."""
        return {"name": self.name, **asdict(self), "unit": self.unit, "trials": list(self.trials)}

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Column:
        """Inverse of :meth:`to_json`; unknown keys are left out, missing ones raise TypeError."""
        known = {f.name: entry[f.name] for f in fields(cls) if f.name in entry}
        return cls(**{**known, "trials": tuple(known.get("trials", ()))})
