"""A table: what is known of every architecture of one space on one data set."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.datasets import EVERY_DATASET, get_dataset
from nats_gym.errors import CorruptTable, MissingTable, NotInTable
from nats_gym.simulation.schedule import LONGEST, Epochs, check_epochs
from nats_gym.spaces import ArchitectureSpace, Figure, Quantity, get_space
from nats_gym.tables import grid, modelled
from nats_gym.tables.column import (
    MEASURED,
    NO_TEST,
    QUANTITIES,
    SURROGATE,
    VOCABULARY,
    Column,
    column_name,
    core_figures,
)
from nats_gym.tables.figure_names import check_figure
from nats_gym.tables.folder import (
    check_figures,
    earlier_checksum,
    former_checksums,
    open_column,
    read_manifest,
)
from nats_gym.tables.named_columns import SHIPPED as COLUMNS_THAT_SHIP
from nats_gym.tables.named_columns import damaged_column, known_figures, named_columns
from nats_gym.tables.scatter import Scatter

CURVES_HINT = "import the archive with its learning curves: nats-gym data import PATH"
SOURCE_HINT = "give a table that has it as source="
ARCHIVE_HINT = (
    "the official archive holds the rest: nats-gym data download {}, or give a table's folder as "
    "source="
)


#: What the package's own tables are called.
EMBEDDED = "embedded"
#: Partial tables that ship inside the package under a name of their own, and their data sets.
SHIPPED = {
    one.embedded: one.name for one in EVERY_DATASET.values() if one.embedded not in ("", one.name)
}


class Table:
    """Read-only columns over all architectures of a space, in official order.

    Args:
        folder: a folder in the table format (``nats_gym.tables.folder``).
        source: what to call it in messages and results.

    Attributes:
        space: the architecture space.
        dataset: official data set key.
        source: ``"embedded"`` or the folder.
        checksum: digest over all that the manifest says; equal tables have equal ones.
        columns: what the table holds.

    Raises:
        MissingTable, CorruptTable: see ``nats_gym.tables.folder``.
    """

    def __init__(self, folder: str | Path, source: str | Path) -> None:
        self.folder = checks.path(folder, "a table's folder")
        manifest = read_manifest(self.folder)
        self.space = get_space(manifest["space"])
        self.dataset: str = manifest["dataset"]
        self.source = str(checks.path(source, "a table's source"))
        self.checksum: str = manifest["checksum"]
        self.columns: list[Column] = manifest["columns"]
        self._opened: dict[str, NDArray[Any]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        # Figures stay where they lie: a copy opens them again.
        if self.source != EMBEDDED:
            return Table, (self.folder, self.source)
        return open_embedded, (self.space.name, self.dataset)

    def measured_elsewhere(self, dataset: str) -> NDArray[np.floating]:
        """Full-schedule validation accuracies that the package holds of another data set, percent.

        Mean over trials, ``(arch,)``, as they are stored: what models of this space read.
        """
        return open_embedded(self.space.name, get_dataset(dataset).name).stored_mean("valid")

    def __repr__(self) -> str:
        return f"Table({self.space.name!r}, {self.dataset!r}, source={self.source!r})"

    @cached_property
    def full_epochs(self) -> int:
        """Length of the table's full training schedule: the longest that it has accuracies of.

        Of validation accuracies, if it has any; the data set's own of a table without accuracies.
        """
        held = self.epochs("valid") or self.epochs("test")
        return held[-1] if held else self.space.full_epochs_on(self.dataset)

    @property
    def earlier_checksum(self) -> str:
        """What results of format 1's time, when nothing had been added, know the table by."""
        return earlier_checksum([column for column in self.columns if not column.added])

    @cached_property
    def former_checksums(self) -> frozenset[str]:
        """What results know the table by that were saved before columns were added to it."""
        return former_checksums(self.space.name, self.dataset, self.columns)

    @cached_property
    def test_is_validation(self) -> bool:
        """Whether test accuracies of the full schedule are those of validation, under two names.

        They are where one model was fitted to answer for both: no test of anything.
        """
        files = {
            (column.file, column.sha256)
            for column in self.columns
            if (column.quantity, column.epochs, column.trained) == ("accuracy", self.full_epochs, 0)
            and not modelled.tells_splits_apart(column)
        }
        return len(files) == 1 and self.full_epochs in self.epochs("test")

    def rests_on(self, column: Column) -> str:
        """A column's provenance; :data:`NO_TEST` of a test accuracy that is validation's."""
        name = column_name("accuracy", "test", self.full_epochs)
        if checks.instance(column, Column, "a column").name == name and self.test_is_validation:
            return NO_TEST
        return column.provenance

    @property
    def estimates_test(self) -> bool:
        """Whether test accuracies of the full schedule are estimates of their own."""
        if self.test_is_validation or self.full_epochs not in self.epochs("test"):
            return False
        return self.provenance("accuracy", "test", self.full_epochs) == SURROGATE

    # ── figures ──────────────────────────────────────────────────────────────────────────────

    def accuracy(self, split: str = "valid", epochs: Epochs | None = None) -> NDArray[np.floating]:
        """Accuracy in percent, ``(arch, trial)``; NaN where a trial does not exist.

        A measured one is ``100 · hits / images``, to the last bit of float64, however it is
        stored. A surrogate's column is ``(arch, 1)``: its mean.

        Args:
            split: ``"valid"`` or ``"test"``.
            epochs: a training schedule; ``"4/12"`` for the state after 4 epochs of one, or a
                number that is no schedule for the full one after so many epochs, both of which
                need learning curves or a column of that state; None for the full schedule (tss
                200, sss 90, nb101 108).

        Raises:
            NotInTable: for a schedule or split that the table does not hold.
            CorruptTable: if an accuracy lies outside 0…100.
        """
        column, trained = self.accuracy_column(split, epochs), self._schedule(split, epochs)[0]
        if column.quantity == "accuracy_curve":
            figures = self._accuracy_within(column, trained)
        else:
            figures = self._figures(column)
        return figures if figures.ndim == 2 else figures[:, None]

    def _accuracy_within(self, column: Column, trained: int) -> NDArray[np.floating]:
        accuracy = self._figures(column)[:, :, trained - 1, 0].copy()
        accuracy[np.isnan(self.accuracy(column.split, column.epochs))] = np.nan
        check_figures(self.folder, column, accuracy)
        return self._counted(column, accuracy)

    def _counted(self, column: Column, accuracy: NDArray[np.floating]) -> NDArray[np.float64]:
        return grid.restore(accuracy, self._images(column), single=column.images > 0)

    def _images(self, column: Column) -> int:
        """What an accuracy was counted on."""
        return column.images or grid.images_of(self.dataset, column.split)

    def mean_accuracy(
        self, split: str = "valid", epochs: Epochs | None = None
    ) -> NDArray[np.float64]:
        """Accuracy in percent, mean over trials, ``(arch,)``; NaN without any.

        Architectures of as many hits in as many trials have equal means.
        """
        accuracy, column = self.accuracy(split, epochs), self.accuracy_column(split, epochs)
        if column.provenance != MEASURED:
            return _mean_over_trials(accuracy)
        return grid.mean_over_trials(accuracy, self._images(column))

    def known_choices(self, epochs: Epochs | None = None) -> NDArray[np.int64] | None:
        """Choices of what a partial table can validate, ``(m, n)``; None where it has all."""
        known = np.flatnonzero(~np.isnan(self.mean_accuracy("valid", epochs)))
        return None if len(known) == self.space.size else self.space.choices(known)

    def stored_mean(self, split: str) -> NDArray[np.float64]:
        """Full-schedule accuracy, mean over trials, of the figures as the file has them, (arch,).

        What the surrogates were fitted with reads.
        """
        column = self.column("accuracy", split, self.full_epochs)
        return _mean_over_trials(open_column(self.folder, column, self.space.size))

    def noise_std(self, split: str = "valid", epochs: Epochs | None = None) -> NDArray[np.float64]:
        """Standard deviation of a surrogate's trials that work, in points, ``(arch,)``.

        Zeros for a measured column: its trials are there.
        """
        scatter = self.scatter(split, epochs)
        return np.zeros(self.space.size) if scatter is None else scatter.sd

    def scatter(self, split: str = "valid", epochs: Epochs | None = None) -> Scatter | None:
        """How a surrogate's trials lie around its mean; None for measured ones, which are there."""
        column = self.accuracy_column(split, epochs)
        if column.provenance != SURROGATE:
            return None
        scatter = modelled.scatter(self, column, self._figures(column))
        if not np.all((scatter.sd >= 0) & (scatter.sd < np.inf)):
            raise CorruptTable(f"{self.folder}: trials of {column.name} scatter by no number")
        return scatter

    def train_seconds(self, epochs: Epochs | None) -> NDArray[np.float64]:
        """Seconds to train for ``epochs`` during search, ``(arch,)``."""
        trained, length = self._schedule("valid", epochs)
        return trained * self._cost("train_seconds_per_epoch", epochs=length, trained=trained)

    def evaluation_seconds(
        self, split: str = "valid", epochs: Epochs | None = None
    ) -> NDArray[np.float64]:
        """Seconds of one pass over ``split``, ``(arch,)``."""
        return self._cost("evaluation_seconds", split, self._schedule(split, epochs)[1])

    def query_seconds(self, epochs: Epochs | None) -> NDArray[np.float64]:
        """Seconds that one evaluation costs: the training and one validation pass, ``(arch,)``."""
        return self.train_seconds(epochs) + self.evaluation_seconds("valid", epochs)

    def query_columns(self, epochs: Epochs | None = None) -> list[Column]:
        """What one evaluation reads: accuracies, seconds of an epoch and of a validation pass.

        Raises:
            NotInTable: names all of them that the table lacks.
        """
        trained, length = self._schedule("valid", epochs)
        found: list[Column] = []
        lacking: list[NotInTable] = []
        for look_up in (
            partial(self.accuracy_column, "valid", epochs),
            partial(self._cost_column, "train_seconds_per_epoch", epochs=length, trained=trained),
            partial(self._cost_column, "evaluation_seconds", "valid", length),
        ):
            try:
                found.append(look_up())
            except NotInTable as error:
                lacking.append(error)
        if len(lacking) == 1:
            raise lacking[0]
        if lacking:
            *names, last = (error.args[1] for error in lacking)
            raise NotInTable(
                f"the {self.source} table of {self.space.name} {self.dataset} has no "
                f"{', '.join(names)} and no {last}, which an evaluation needs; "
                f"{self.remedy('accuracy')}"
            )
        return found

    def latency(self, epochs: Epochs | None = None) -> NDArray[np.float64]:
        """Seconds of a forward pass over a batch of 256, ``(arch,)``."""
        return self.figure("latency", epochs).values.copy()

    def figure(self, name: str, epochs: Epochs | None = None) -> Figure:
        """What is known of every architecture, by name: a mean over trials, or a closed form.

        A named column is the table's own, or one that its space has on its data set: see
        ``nats_gym.tables.named_columns``.

        Raises:
            InvalidInput: for another name.
            NotInTable: for what this table does not hold.
        """
        if type(name) is not str or name not in core_figures(self.space):
            own = {column.quantity: column for column in self.columns if column.counts}
            if type(name) is str and name in own:
                return self._as_figure(name, own[name])
            if type(name) is not str or name not in named_columns(self.space, self.dataset):
                name = check_figure(name, "figure", self.known_figures)
            return named_figure(self.space, self.dataset, name)
        if name in self.space.closed_forms:
            return self.space.figure(name, self.dataset)
        if name == "accuracy":
            column = self.accuracy_column("valid", epochs)
            values = self.mean_accuracy("valid", epochs)
            return Figure(name, column.what, values, column.provenance)
        length = self._schedule("valid", epochs)[1]
        return self._as_figure(name, self._cost_column(name, epochs=length))

    def _as_figure(self, name: str, column: Column) -> Figure:
        return Figure(name, column.what, self.means(column), column.provenance, column.sha256)

    @property
    def known_figures(self) -> dict[str, Quantity]:
        """By name, what :meth:`figure` knows: the table's columns, closed forms, named columns."""
        own = {column.quantity: column.what for column in self.columns if column.counts}
        known = {**known_figures(self.space, self.dataset), **own, **self.space.closed_forms}
        lacking = QUANTITIES.keys() - {column.quantity for column in self.columns}
        return {name: of for name, of in known.items() if name not in lacking}

    def best(self, split: str = "valid", epochs: Epochs | None = None) -> tuple[int, float]:
        """Official index and mean accuracy (percent) of the best architecture known."""
        mean = self.mean_accuracy(split, epochs)
        index = int(np.nanargmax(mean))
        return index, float(mean[index])

    def means(self, column: Column) -> NDArray[np.float64]:
        """A column's figures, mean over trials, ``(arch,)``; NaN without any."""
        return _mean_over_trials(self._figures(checks.instance(column, Column, "a column")))

    def row(self, column: Column, index: int) -> NDArray[np.float64]:
        """One architecture's figures in a column of the table, ``(trial,)``, existing ones."""
        row = self._figures(checks.instance(column, Column, "a column"))[
            checks.integer(index, "index", 0, self.space.size - 1)
        ]
        figures = np.atleast_1d(row).astype(np.float64)
        return figures[~np.isnan(figures)]

    # ── what it holds ────────────────────────────────────────────────────────────────────────

    def epochs(self, split: str = "valid") -> tuple[int, ...]:
        """Training schedules that the table holds accuracies of, ascending."""
        split = checks.word(split, "split", VOCABULARY["split"])
        accuracies = (c for c in self.columns if c.quantity == "accuracy" and not c.trained)
        return tuple(sorted({c.epochs for c in accuracies if c.split == split}))

    def column(self, quantity: str, split: str = "", epochs: int = 0, trained: int = 0) -> Column:
        """Description of one column, as a :class:`Column` says of itself.

        Raises:
            InvalidInput: for what no column of any table is.
            NotInTable: names what the table holds and how to get the rest.
        """
        quantity = checks.word(quantity, "quantity", VOCABULARY["quantity"])
        split = checks.word(split, "split", VOCABULARY["split"])
        epochs = checks.integer(epochs, "epochs", 0, LONGEST)
        trained = checks.integer(trained, "epochs trained", 0, LONGEST)
        wanted = column_name(quantity, split, epochs, trained)
        for column in self.columns:
            if column.name == wanted:
                return column
        held = ", ".join(
            f"{column.name} ({column.provenance})"
            for column in self.columns
            if column.quantity == quantity
        )
        raise NotInTable(
            f"the {self.source} table of {self.space.name} {self.dataset} has no {wanted}; "
            f"{f'it holds {held}; ' if held else ''}{self.remedy(quantity, epochs)}",
            wanted,
        )

    def remedy(self, quantity: str, epochs: int = 0) -> str:
        """Where figures that the table lacks come from, in words."""
        quantity = checks.word(quantity, "quantity", VOCABULARY["quantity"])
        epochs = checks.integer(epochs, "epochs", 0, LONGEST)
        if not self.space.official:  # of which public archives know nothing
            return SOURCE_HINT
        if not get_dataset(self.dataset).in_nats_bench:  # nobody else has trained on it
            schedule = f" --epochs {epochs}" if epochs else ""
            return (
                f"a build trains them: nats-gym build --space {self.space.name} --dataset "
                f"{self.dataset}{schedule}"
            )
        if quantity == "accuracy_curve" and self.source != "embedded":
            return CURVES_HINT
        archived = {one.quantity for one in open_embedded(self.space.name, self.dataset).columns}
        if quantity not in {*archived, "accuracy_curve"}:  # what archives have, estimates have
            return SOURCE_HINT
        return ARCHIVE_HINT.format(self.space.name)

    def accuracy_column(self, split: str = "valid", epochs: Epochs | None = None) -> Column:
        """Description of the column that :meth:`accuracy` reads."""
        trained, length = self._schedule(split, epochs)
        if trained == length:
            return self.column("accuracy", split, length)
        if self._has_state(split, trained, length):
            return self.column("accuracy", split, length, trained)
        return self.column("accuracy_curve", split, length)

    def provenance(self, quantity: str, split: str = "", epochs: int = 0) -> str:
        """``"measured"`` or ``"surrogate"``."""
        return self.column(quantity, split, epochs).provenance

    @property
    def latency_provenance(self) -> str:
        """Provenance of :meth:`latency`."""
        return self._cost_column("latency", epochs=self.full_epochs).provenance

    @property
    def surrogate_version(self) -> int:
        """Version of the surrogates' coefficients that the table rests on; 0 for none."""
        return max((column.version for column in self.columns), default=0)

    @cached_property
    def seconds_provenance(self) -> str:
        """Provenance of :meth:`query_seconds`: measured only if all that it adds up is."""
        held = {
            column.provenance
            for column in self.columns
            if column.quantity in ("train_seconds_per_epoch", "evaluation_seconds")
        }
        return SURROGATE if SURROGATE in held else MEASURED

    def _schedule(self, split: str, epochs: Epochs | None) -> tuple[int, int]:
        """Epochs trained, and length of the schedule that they belong to."""
        checked = check_epochs(epochs, self.full_epochs)
        if isinstance(checked, str):
            trained, length = map(int, checked.split("/"))
            return trained, length
        full = self.full_epochs
        known = {*self.epochs(split), *self.epochs("valid")}
        has_curve = any(c.quantity == "accuracy_curve" and c.epochs == full for c in self.columns)
        has_state = has_curve or self._has_state(split, checked, full)
        within = checked not in known and checked < full and has_state
        return checked, full if within else checked

    def _has_state(self, split: str, trained: int, length: int) -> bool:
        """Whether a column of its own has accuracies after so many epochs of a schedule."""
        wanted = "accuracy", split, length, trained
        return any(wanted == (c.quantity, c.split, c.epochs, c.trained) for c in self.columns)

    def _cost(
        self, quantity: str, split: str = "", epochs: int = 0, trained: int = 0
    ) -> NDArray[np.float64]:
        """A cost, mean over trials, ``(arch,)``: of the schedule, or one that all share."""
        return _mean_over_trials(self._figures(self._cost_column(quantity, split, epochs, trained)))

    def _cost_column(
        self, quantity: str, split: str = "", epochs: int = 0, trained: int = 0
    ) -> Column:
        names = {column.name for column in self.columns}
        if column_name(quantity, split, epochs, trained) in names:
            return self.column(quantity, split, epochs, trained)
        of_schedule = column_name(quantity, split, epochs)
        return self.column(quantity, split, epochs if of_schedule in names else 0)

    def _figures(self, column: Column) -> NDArray[Any]:
        if column.name not in self._opened:
            if column.model:
                figures = modelled.figures(self, column)
            else:
                figures = open_column(self.folder, column, self.space.size)
            if column.quantity != "accuracy_curve":  # which are looked at as they are used
                check_figures(self.folder, column, figures)
            if column.counts:
                figures = figures.astype(np.float64)
            if (column.quantity, column.provenance) == ("accuracy", MEASURED):
                figures = self._counted(column, figures)
            figures.flags.writeable = False
            self._opened[column.name] = figures
        return self._opened[column.name]


def known_without_table(space: str | ArchitectureSpace, dataset: str) -> dict[str, Quantity]:
    """By name, what is known where there is no table: accuracies observed, and what names find.

    Raises:
        InvalidInput: for an unknown space or data set.
    """
    known = known_figures(space, dataset)
    return {name: of for name, of in known.items() if name == "accuracy" or name not in QUANTITIES}


def named_figure(space: ArchitectureSpace, dataset: str, name: str) -> Figure:
    """What is known of every architecture without a table: a named column, or a closed form.

    Raises:
        InvalidInput: for a name that nothing has: it lists all figures of the space.
        NotInTable: for accuracies.
        CorruptTable: for a damaged column; says how one that was added here is removed.
    """
    if type(name) is str and name in space.closed_forms:
        return space.figure(name, dataset)
    named = named_columns(space, dataset)
    if type(name) is not str or name not in named:
        name = check_figure(name, "figure", known_without_table(space, dataset))
    if name not in named:
        raise NotInTable(f"{name} of {space.name} {dataset} is no named column: a table has it")
    folder, column, provenance, damage = named[name]
    if damage is not None:
        raise damage
    try:
        figure = Table(folder, "named")._as_figure(name, column)
    except OSError as error:
        if folder.parent == COLUMNS_THAT_SHIP:
            raise
        raise damaged_column(space.name, dataset, name, error) from error
    return replace(figure, provenance=provenance)


def _mean_over_trials(figures: NDArray[Any]) -> NDArray[np.float64]:
    """``(arch,)`` of ``(arch, trial)`` or ``(arch,)``; NaN where no trial exists."""
    if figures.ndim == 1:
        return figures.astype(np.float64)
    exists = ~np.isnan(figures)
    total = np.where(exists, figures, 0.0).sum(axis=1, dtype=np.float64)
    count = exists.sum(axis=1)
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def embedded_folder(space: str, dataset: str) -> Path:
    """Folder of the table that ships inside the package; ``MissingTable`` where none does."""
    space, facts = get_space(space).name, get_dataset(dataset)
    if not facts.embedded:
        raise _no_table(get_space(space), facts.name)
    return Path(__file__).parent.parent / "data" / f"{space}-{facts.embedded}"


@cache
def open_embedded(space: str, dataset: str) -> Table:
    """The table that ships inside the package, one object for all."""
    folder = embedded_folder(space, dataset)
    if not folder.is_dir():
        raise _no_table(get_space(space), dataset)
    return Table(folder, source=EMBEDDED)


def _no_table(space: ArchitectureSpace, dataset: str) -> MissingTable:
    build = f"nats-gym build --space {space.name} --dataset {dataset}"
    return MissingTable(
        f"the package holds no table of {space.name} on {dataset}: give one as source="
        f"{f', such as {build} makes' if space.builds_networks else ''}; searches and environments "
        "do without where evaluator= answers"
    )
