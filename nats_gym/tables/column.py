"""One column of a table: what it holds, and what that rests on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from nats_gym.errors import shown, unknown_name

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

#: What a manifest's entry may say, where not any text will do.
_KINDS: dict[str, type] = {"epochs": int, "trials": list, "version": int, "held_out": dict}
_ALLOWED: dict[str, tuple[str, ...]] = {
    "quantity": tuple(UNITS),
    "provenance": (MEASURED, SURROGATE),
    "split": ("", "valid", "test"),
}


def column_name(quantity: str, split: str = "", epochs: int = 0) -> str:
    """Name of a column within its table, e.g. accuracy-valid-200."""
    parts = (quantity, split, str(epochs) if epochs else "")
    return "-".join(part for part in parts if part)


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
        """Name that tells the column from the others of its table."""
        return column_name(self.quantity, self.split, self.epochs)

    def to_json(self) -> dict[str, Any]:
        """The manifest's entry."""
        return {"name": self.name, **asdict(self), "unit": self.unit, "trials": list(self.trials)}

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Column:
        """Inverse of :meth:`to_json`; unknown keys are left out.

        Raises:
            TypeError, ValueError: for an entry that :meth:`to_json` cannot have written.
        """
        known = {f.name: entry[f.name] for f in fields(cls) if f.name in entry}
        for name, value in known.items():
            kind = _KINDS.get(name, str)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise TypeError(f"{name} of a column is {shown(value)}, not a {kind.__name__}")
        column = cls(**{**known, "trials": tuple(known.get("trials", ()))})
        for name, allowed in _ALLOWED.items():
            if getattr(column, name) not in allowed:
                raise unknown_name(name, getattr(column, name), allowed)
        for number in (column.epochs, column.version, *column.trials):
            if type(number) is not int or number < 0:
                raise ValueError(f"{shown(number)} in {column.name} is not a number from 0")
        for error in column.held_out.values():
            if not isinstance(error, (int, float)):
                raise TypeError(f"held-out error {shown(error)} of {column.name} is not a number")
        return column
