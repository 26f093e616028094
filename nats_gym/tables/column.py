"""One column of a table: what it holds, and what that rests on."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown
from nats_gym.simulation.schedule import LONGEST
from nats_gym.spaces import ArchitectureSpace, Quantity

#: A real training's figure.
MEASURED = "measured"
#: A model's estimate.
SURROGATE = "surrogate"

#: Between a figure's provenance and the data set for whose networks it was made, if that is
#: another: ``"measured for cifar10"``.
MADE_FOR = " for "

#: What a test accuracy rests on where a table has none but validation's.
NO_TEST = "none: validation and test are one estimate"

#: What a column may hold.
QUANTITIES = {
    "accuracy": Quantity("percent", "accuracy [%]", lower_is_better=False),
    "accuracy_curve": Quantity("percent and loss per epoch", lower_is_better=False),
    "train_seconds_per_epoch": Quantity("seconds"),
    "evaluation_seconds": Quantity("seconds"),
    "latency": Quantity("seconds per batch of 256", "latency [s]"),
}

#: Names that `info` needs for itself: of environments, the package's evaluators, and Gymnasium's,
#: MO-Gymnasium's and Stable-Baselines3's wrappers. No figure, metric or named column has them.
RESERVED = frozenset(
    "index arch valid accuracy seconds clock provenance seconds_provenance cost epochs action_mask "
    "incumbent_index incumbent_accuracy evaluation task episode final_obs final_info "
    "final_observation terminal_observation TimeLimit.truncated vector_reward".split()
)
#: And what the package's evaluators say there themselves.
OWN_METRICS = frozenset(("score", "status", "train_accuracy"))

#: What a manifest's entry may say, where not any text will do.
_KINDS: dict[str, type] = {
    **dict.fromkeys(("epochs", "version", "trained", "images", "added"), int),
    "trials": list,
    **dict.fromkeys(("held_out", "counts"), dict),
}
#: What a column may say of itself.
VOCABULARY: dict[str, tuple[str, ...]] = {
    "quantity": tuple(QUANTITIES),
    "provenance": (MEASURED, SURROGATE),
    "split": ("", "valid", "test"),
}
#: A file of the table's own folder, the coefficients of a surrogate beside it, or a column of the
#: archive that the folder is part of: nothing else in the world is a table's.
_NAME = r"(?!\.)[\w.@=+-]{1,100}"
_FILE = re.compile(rf"(?:\.\./surrogates/|\.\./\.\./(?:columns|curves)/{_NAME}/)?{_NAME}", re.ASCII)
_DIGEST = re.compile("[0-9a-f]{64}")
MOST_TRIALS = 1_000
#: What a named column may be called: ``energy``, or one of a group, ``latency/raspi4``.
_PART = r"[A-Za-z][\w.-]{0,63}"
_NAMED = re.compile(rf"{_PART}(/[A-Za-z0-9][\w.-]{{0,63}})?", re.ASCII)


def core_figures(space: ArchitectureSpace | type[ArchitectureSpace]) -> dict[str, Quantity]:
    """By name, what any table of a space may hold: its closed forms, and NATS-Bench's columns."""
    return {**space.closed_forms, **{name: of for name, of in QUANTITIES.items() if of.label}}


def is_name(name: str) -> bool:
    """Whether a named column may be called so."""
    known = name in QUANTITIES or name.endswith("_provenance")
    return not known and _NAMED.fullmatch(name) is not None


def check_name(name: object) -> str:
    """The name of a named column, once it can be one.

    Raises:
        InvalidInput: for another, such as one that a column of NATS-Bench has.
    """
    name = checks.text(name, "a column's name")
    if not is_name(name):
        raise InvalidInput(
            f"a column's name is letters, digits, '_', '.' and '-', a letter first, one '/' within "
            f"at most, none of {', '.join(QUANTITIES)}, and ends in no '_provenance'; got "
            f"{shown(name)}"
        )
    return name


def check_stored(name: object, space: ArchitectureSpace) -> str:
    """:func:`check_name` of what a table of a space stores: the space does not compute it."""
    name = check_name(name)
    if name in space.closed_forms:
        raise InvalidInput(f"{shown(name)} is a closed form of {space.name}, choose another")
    return name


def check_free(name: object, space: ArchitectureSpace) -> str:
    """:func:`check_stored` of what is to be added: nothing else has the name, nor does `info`."""
    name = check_stored(name, space)
    if name in RESERVED | OWN_METRICS or name.partition("-")[0] in QUANTITIES:
        raise InvalidInput(
            f"info, or a table, has another use for the name {shown(name)}: choose another, such "
            f"as {shown(f'my/{name}')}"
        )
    return name


def is_estimate(provenance: str) -> bool:
    """Whether figures are a model's, whatever else is said of them behind that."""
    return provenance.partition(" ")[0] == SURROGATE


def column_name(quantity: str, split: str = "", epochs: int = 0, trained: int = 0) -> str:
    """Name of a column within its table, e.g. accuracy-valid-200, or accuracy-valid-54of108."""
    of = f"{trained}of" if trained else ""
    parts = (quantity, split, f"{of}{epochs}" if epochs else "")
    return "-".join(part for part in parts if part)


@dataclass(frozen=True)
class Column:
    """Description of a column, as its manifest has it.

    Attributes:
        quantity: a key of :data:`QUANTITIES`; of a named column its name, such as
            ``"latency/raspi4"``.
        provenance: :data:`MEASURED` or :data:`SURROGATE`.
        source: where the figures, or those that the model was fitted to, come from.
        licence: licence of that source.
        file: the ``.npy`` of a stored column or the coefficients of a modelled one, relative to
            the table's folder.
        sha256: digest of ``file``.
        split: ``"valid"`` or ``"test"`` for accuracies and evaluation seconds.
        epochs: length of the training schedule; 0 for a figure that all schedules share.
        trained: after how many of these epochs, where it is not after all; else 0.
        images: what an accuracy was counted on, before it was rounded to single precision, where
            that is not the data set's split; else 0.
        counts: what a named column counts; None for one of :data:`QUANTITIES`.
        trials: seeds along the trial axis; empty for a column without one.
        model: name of the model that turns ``file`` into the column; empty for a stored column.
        version: that of the model's coefficients; 0 for a stored column.
        held_out: errors of that model on rows that it was not fitted to.
        note: what a reader must know besides.
        added: how often the table had been added to before it had this column, and with it: 0 for
            what it began with. Results know the table by what it was, too.
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
    trained: int = 0
    images: int = 0
    counts: Quantity | None = None
    added: int = 0

    def __post_init__(self) -> None:
        """Refuse words that no column may use."""
        for name, allowed in VOCABULARY.items():
            if name != "quantity" or self.counts is None:
                checks.word(getattr(self, name), f"{name} of a column", allowed)
        if self.counts is not None:
            counts = checks.instance(self.counts, Quantity, "what a column counts")
            check_name(self.quantity)
            for name in ("unit", "label"):
                of = f"the {name} of the Quantity that column {self.quantity} counts"
                checks.line(getattr(counts, name), of, 100, empty=False)
            checks.switch(counts.lower_is_better, f"lower_is_better of column {self.quantity}")

    @property
    def what(self) -> Quantity:
        """What the figures are."""
        return self.counts or QUANTITIES[self.quantity]

    @property
    def unit(self) -> str:
        """Unit of the figures."""
        return self.what.unit

    @property
    def name(self) -> str:
        """Name that tells the column from the others of its table."""
        return column_name(self.quantity, self.split, self.epochs, self.trained)

    def to_json(self) -> dict[str, Any]:
        """The manifest's entry."""
        facts = {"name": self.name, **asdict(self), "unit": self.unit, "trials": list(self.trials)}
        for name in ("trained", "images", "counts", "added"):  # which stand where they say anything
            if not facts[name]:
                del facts[name]
        return facts

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Column:
        """Inverse of :meth:`to_json`; unknown keys are left out.

        Raises:
            TypeError, ValueError: for an entry that :meth:`to_json` cannot have written.
        """
        known = {f.name: entry[f.name] for f in fields(cls) if f.name in entry}
        for name, value in known.items():
            kind = _KINDS.get(name, str)
            if type(value) is not kind:
                raise TypeError(
                    f"{name} of a column is {shown(value)}, its type is {kind.__name__}"
                )
        if "counts" in known:
            words = ("unit", "label", "lower_is_better")
            known["counts"] = Quantity(*(known["counts"][word] for word in words))
        column = cls(**{**known, "trials": tuple(known.get("trials", ()))})
        column._check()
        for name in ("name", "unit"):  # which follow from the rest
            if entry.get(name, getattr(column, name)) != getattr(column, name):
                raise ValueError(f"{name} {shown(entry[name])} of {column.name}")
        return column

    def _check(self) -> None:
        """Raise ``TypeError`` or ``ValueError`` for what no column can be."""
        numbers = (self.epochs, self.version, self.trained, self.images, self.added)
        for number in (*numbers, *self.trials):
            if type(number) is not int or not 0 <= number < 2**63:
                raise ValueError(f"{shown(number)} in a column is not a number from 0")
        if self.epochs > LONGEST:
            raise ValueError(f"{self.epochs:,} epochs of a column, at most {LONGEST:,}")
        if self.counts and (self.split or self.epochs or self.trained or self.trials):
            raise ValueError(f"{self.name} is of no split, schedule or trials, and said to be")
        if self.trained and self.trained >= self.epochs:
            raise ValueError(f"{self.name} is of no time within {self.epochs} epochs")
        if not _FILE.fullmatch(self.file):
            raise ValueError(
                f"file {shown(self.file)} of {self.name} is none in the table's folder, no "
                "surrogate's coefficients and no archive's column"
            )
        if not _DIGEST.fullmatch(self.sha256):
            raise ValueError(f"sha256 {shown(self.sha256)} of {self.name} is no SHA-256")
        if len(self.trials) > MOST_TRIALS:
            raise ValueError(f"{len(self.trials):,} trials of {self.name}, at most {MOST_TRIALS:,}")
        if len(set(self.trials)) < len(self.trials):
            raise ValueError(
                f"trials {shown(list(self.trials))} of {self.name}: one is there twice"
            )
        for error in self.held_out.values():
            if type(error) not in (int, float) or not -1e300 < error < 1e300:
                raise TypeError(f"held-out error {shown(error)} of {self.name} is not a number")
        if self.provenance == MEASURED and (self.model or self.version or self.held_out):
            raise ValueError(
                f"{self.name} is said to be measured and is a model's: model {shown(self.model)}, "
                f"version {self.version}, held-out errors {shown(self.held_out)}"
            )
