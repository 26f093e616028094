"""Named columns: what is known of architectures beside NATS-Bench's figures.

A device's latency, a score, anything of one's own, in folders of the table format: what the
package ships in ``data/<space>-columns-…``, what was added on this machine under its home, one a
folder. A name that both have means the one added here.
"""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
from functools import lru_cache
from itertools import product
from os.path import isdir
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nats_gym import checks
from nats_gym.datasets import get_dataset
from nats_gym.datasets.known import EVERY_DATASET
from nats_gym.errors import CorruptTable, InvalidInput, NatsGymError, said, shown, unknown_name
from nats_gym.files.home import home
from nats_gym.files.untrusted import map_array, open_file
from nats_gym.files.writing import make_folder
from nats_gym.spaces import SPACES, ArchitectureSpace, Quantity, get_space, known_spaces
from nats_gym.tables.column import (
    MADE_FOR,
    MEASURED,
    VOCABULARY,
    Column,
    check_free,
    check_name,
    core_figures,
    is_name,
)
from nats_gym.tables.folder import MANIFEST, read_manifest, write_table

SHIPPED = Path(__file__).parent.parent / "data"
#: Most bytes of a CSV of figures.
LARGEST_CSV = 64 << 20
#: What a column that cannot be read is said to rest on.
DAMAGED = "damaged"


class NamedColumn(NamedTuple):
    """A named column, and the folder of the table that holds it.

    Attributes:
        folder: of the table.
        column: its description; of one whose manifest cannot be read the name alone.
        provenance: what the figures rest on, and for whose networks where that is another data
            set's: ``"measured"``, ``"measured for cifar10"``; :data:`DAMAGED`.
        damage: why it cannot be read, and how it is removed; None for a column that can.
    """

    folder: Path
    column: Column
    provenance: str
    damage: CorruptTable | None = None


def named_columns(space: ArchitectureSpace, dataset: str) -> dict[str, NamedColumn]:
    """Named columns of a space on a data set, by name; of one name that which was added here.

    A damaged one that was added here is among them: nothing else stands in for it.

    Raises:
        CorruptTable: for a damaged one that ships.
    """
    return shipped_columns(space, dataset) | added_columns(space, dataset)


def shipped_columns(space: ArchitectureSpace, dataset: str) -> dict[str, NamedColumn]:
    """Those that ship; arguments and errors as :func:`named_columns`.

    They hold for every data set of NATS-Bench, and for others whose networks differ from theirs by
    their classifier alone, and say for which they were made.
    """
    found = {}
    for folder in _within(SHIPPED, f"{space.name}-columns-"):
        of, made_for, columns = _read(folder)
        if of == space.name and _same_networks(of, made_for, dataset):
            suffix = "" if made_for == dataset else f"{MADE_FOR}{made_for}"
            for column in columns:
                provenance = f"{column.provenance}{suffix}"
                found[column.quantity] = NamedColumn(folder, column, provenance)
    return found


def added_columns(space: ArchitectureSpace, dataset: str) -> dict[str, NamedColumn]:
    """Those that were added on this machine, damaged ones too; arguments as in named_columns."""
    found = {}
    for name, folder in _folders_added(space.name, dataset).items():
        try:
            of, on, columns = _read(folder)
            if (of, on, [column.quantity for column in columns]) != (space.name, dataset, [name]):
                raise CorruptTable(f"{folder} holds other columns, or of {of} {on}")
            found[name] = NamedColumn(folder, columns[0], columns[0].provenance)
        except OSError as error:
            if not folder.exists():
                continue  # it was removed just now
            nothing = Column(name, MEASURED, "", "", counts=Quantity("unknown", name))
            damage = damaged_column(space.name, dataset, name, error)
            found[name] = NamedColumn(folder, nothing, DAMAGED, damage)
    return found


def damaged_column(space: str, dataset: str, name: str, error: Exception) -> CorruptTable:
    """The exception for a column that was added here and cannot be read, with what to do."""
    return CorruptTable(
        f"the column {name} of {space} {dataset}, which was added here, is damaged: {said(error)}; "
        f"nats-gym data remove-column {space} {dataset} {name} removes it"
    )


def known_figures(space: str | ArchitectureSpace, dataset: str) -> dict[str, Quantity]:
    """By name, all that may be known of a space's architectures on a data set.

    Raises:
        InvalidInput: for an unknown space or data set.
    """
    space = get_space(space)
    named = named_columns(space, get_dataset(dataset).name)
    return {**core_figures(space), **{name: of.column.what for name, of in named.items()}}


def known_where(name: str) -> dict[str, list[str]]:
    """By space, those data sets of the package, and of columns added here, that have a column."""
    datasets = dict.fromkeys((*EVERY_DATASET, *(dataset for _, dataset in places_added())))
    found: dict[str, list[str]] = {}
    for space, dataset in product(known_spaces(), datasets):
        # What is damaged, or brought by a package that fails, is not what was asked for.
        with contextlib.suppress(NatsGymError):
            if name in named_columns(get_space(space), dataset):
                found.setdefault(space, []).append(dataset)
    return found


def add_column(
    space: str,
    dataset: str,
    name: str,
    values: ArrayLike | str | os.PathLike[str],
    *,
    unit: str,
    label: str = "",
    lower_is_better: bool = True,
    provenance: str = MEASURED,
    source: str = "",
    licence: str = "",
    note: str = "",
    replace: bool = False,
) -> Path:
    """Add a column to the tables of a space and data set on this machine.

    Args:
        space: a space's name.
        dataset: a data set's name.
        name: what it is looked up by, such as ``"latency/phone"``.
        values: a finite number for every architecture in official order, ``(arch,)``; or a file of
            them: ``.npy``, or ``.csv`` with a line ``architecture,value`` for each, the
            architecture by official index or string, in any order.
        unit: of the numbers, such as ``"ms"``; under a name that ships that one's.
        label: what an axis says; default name and unit.
        lower_is_better: whether it is a cost.
        provenance: ``"measured"`` or ``"surrogate"``.
        source, licence, note: what a reader should know.
        replace: whether a column of that name that was added here may be replaced.

    Returns:
        Its folder.

    Raises:
        InvalidInput: for a name that is taken or none, another unit or direction than a column has
            that ships under it, or a closed form of the package's other spaces, a wrong count, and
            what is no number, twice there or missing.
    """
    unit = checks.line(unit, "a unit", 50, empty=False)
    folder = folder_of_column(
        space, dataset, name, replace, unit=unit, lower_is_better=lower_is_better
    )
    of, dataset, name = get_space(space), get_dataset(dataset).name, check_name(name)
    if name in (shipped := shipped_columns(of, dataset)):
        unit = shipped[name].column.unit  # which may be given by its symbol
    label = checks.line(label, "a label", 100).strip() or f"{name} [{unit}]"
    column = Column(
        name,
        checks.word(provenance, "provenance", VOCABULARY["provenance"]),
        checks.line(source, "a source"),
        checks.line(licence, "a licence"),
        note=checks.line(note, "a note"),
        counts=Quantity(unit, label[:100], checks.switch(lower_is_better, "lower_is_better")),
    )
    figures = _figures_of(of, values)
    make_folder(folder.parent)
    there = added_columns(of, dataset).get(name)
    if there is not None and there.damage is not None:  # which is no table to be replaced
        remove_column(of.name, dataset, name)
    write_table(folder, of.name, dataset, [(column, figures)])
    return folder


def folder_of_column(
    space: str,
    dataset: str,
    name: str,
    replace: bool = False,
    *,
    unit: str,
    lower_is_better: bool = True,
) -> Path:
    """Where a column will lie, once it may be added; arguments and errors as :func:`add_column`."""
    of, dataset = get_space(space), get_dataset(dataset).name
    name, cost = check_free(name, of), checks.switch(lower_is_better, "lower_is_better")
    shipped = shipped_columns(of, dataset).get(name)
    forms = [one.closed_forms[name] for one in SPACES.values() if name in one.closed_forms]
    for what in [shipped.column.what] if shipped is not None else forms[:1]:
        known = unit == what.unit or what.label.endswith(f"[{unit}]")
        if not known or cost != what.lower_is_better:
            told = "ships" if shipped is not None else "of other spaces is"
            ships, got = ("lower" if one else "higher" for one in (what.lower_is_better, cost))
            raise InvalidInput(
                f"{name} {told} in {what.unit}, {ships} is better; got {shown(unit)}, {got} is "
                "better: convert the figures, or choose another name"
            )
    folder = _added(of.name, dataset) / name.replace("/", "+")
    if folder.exists() and not checks.switch(replace, "replace"):
        there = added_columns(of, dataset).get(name)
        if there is not None and there.damage is not None:
            raise there.damage
        raise InvalidInput(
            f"{of.name} {dataset} has a column {shown(name)} already, in {folder}: replace=True or "
            "--replace takes its place"
        )
    return folder


def remove_column(space: str, dataset: str, name: str) -> None:
    """Delete a column that was added on this machine; ``InvalidInput`` if there is none."""
    of, dataset = get_space(space), get_dataset(dataset).name
    added = _folders_added(of.name, dataset)
    name = checks.text(name, "a column's name")
    if name not in added:
        raise unknown_name("column added here", name, added)
    # Out of sight first: a removal that is cut short leaves no half of a column.
    hidden = added[name].with_name(f".{added[name].name}-removed")
    shutil.rmtree(hidden, ignore_errors=True)
    added[name].rename(hidden)
    shutil.rmtree(hidden)


def places_added() -> list[tuple[str, str]]:
    """Spaces and data sets, by name, that columns were added to here."""
    places = (folder.name.partition("@") for folder in _within(home() / "columns"))
    return [(space, dataset) for space, _, dataset in places if _folders_added(space, dataset)]


def _folders_added(space: str, dataset: str) -> dict[str, Path]:
    """Folders of what was added here, by the columns' names; what else lies there is none."""
    names = {folder.name.replace("+", "/"): folder for folder in _within(_added(space, dataset))}
    return {name: folder for name, folder in names.items() if is_name(name)}


def _within(folder: Path, begin: str = "") -> list[Path]:
    """Folders in a folder whose names begin so, but hidden ones."""
    try:
        with os.scandir(folder) as there:
            # Which, unlike an entry's own, is no error of a link that leads to itself.
            names = [one.name for one in there if one.name.startswith(begin) and isdir(one)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in sorted(names) if not name.startswith(".")]


def _added(space: str, dataset: str) -> Path:
    return home() / "columns" / f"{space}@{dataset}"


def _read(folder: Path) -> tuple[str, str, tuple[Column, ...]]:
    """Space, data set and named columns of a folder; raises ``OSError`` of some kind."""
    try:
        changed = (folder / MANIFEST).stat().st_mtime_ns
    except FileNotFoundError:
        changed = 0  # which is told in the same words as of a table
    return _read_once(folder, changed)


@lru_cache(maxsize=1_024)
def _read_once(folder: Path, changed: int) -> tuple[str, str, tuple[Column, ...]]:
    """:func:`_read`, again only where the manifest was ``changed`` since."""
    manifest = read_manifest(folder)
    named = tuple(column for column in manifest["columns"] if column.counts)
    return get_space(manifest["space"]).name, manifest["dataset"], named


def _same_networks(space: str, measured: str, dataset: str) -> bool:
    """Whether figures of one data set's networks hold for another's, or nearly."""
    facts = [get_dataset(one) for one in (measured, dataset)]
    if all(one.in_nats_bench for one in facts):
        return True
    bodies = {
        (one.resolution, one.cells_per_stage.get(space), one.stem_width.get(space)) for one in facts
    }
    return len(bodies) == 1


def _figures_of(space: ArchitectureSpace, values: object) -> NDArray[np.float64]:
    if isinstance(values, (str, os.PathLike)):
        path = checks.path(values, "a file of figures")
        values = _read_csv(space, path) if path.suffix.lower() == ".csv" else _read_npy(path)
    figures = checks.numbers(values, "a column's figures are numbers (arch,)").astype(np.float64)
    if figures.shape != (space.size,):
        raise InvalidInput(
            f"a column of {space.name} has {space.size:,} figures, got {figures.shape}"
        )
    if len(wrong := np.flatnonzero(~np.isfinite(figures))):
        others = f", nor are those of {len(wrong) - 1:,} others" if len(wrong) > 2 else ""
        others = f", nor is that of {wrong[1]}" if len(wrong) == 2 else others
        raise InvalidInput(
            f"figure {figures[wrong[0]]} of architecture {wrong[0]} is no finite number{others}"
        )
    return figures


def _read_npy(path: Path) -> NDArray[np.generic]:
    try:
        return map_array(
            path, ("<f8", "<f4", "<f2", "<i8", "<i4", "<i2", "|i1", "|u1", "<u2", "<u4")
        )
    except (OSError, ValueError) as error:
        other = path.suffix.lower() != ".npy"
        hint = " (nor is it called .csv, which is read too)" if other else ""
        told = f"{shown(str(path))} is no .npy of numbers{hint}: {said(error)}"
        raise InvalidInput(told) from error


def _read_csv(space: ArchitectureSpace, path: Path) -> NDArray[np.float64]:
    """Figures by official index or string; a first line that has none is a heading."""
    figures = np.full(space.size, np.nan)
    try:
        with open_file(path) as file:
            content = file.read(LARGEST_CSV + 1)
        if len(content) > LARGEST_CSV:
            raise InvalidInput(f"{shown(str(path))} has more than {LARGEST_CSV >> 20} MB")
        lines = csv.reader(content.decode("utf-8-sig").splitlines(), strict=True)
        for number, line in enumerate(lines, 1):
            if not line or (number == 1 and not _is_number(line[-1])):
                continue
            where = f"line {number} of {shown(str(path))}"
            parted = any(mark in cell for cell in line for mark in ";\t")
            hint = "; a comma stands between the two, and a point in numbers" if parted else ""
            if len(line) != 2 or not _is_number(line[1]):
                raise InvalidInput(f"{where} is no architecture,value: {shown(line)}{hint}")
            index = _index_of(space, line[0].strip(), where, hint)
            if not np.isnan(figures[index]):
                raise InvalidInput(f"{where}: architecture {index} a second time")
            figures[index] = float(line[1])
            if not np.isfinite(figures[index]):
                raise InvalidInput(f"{where}: {line[1]} is not finite")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{shown(str(path))} is no CSV: {said(error)}") from error
    if len(missing := np.flatnonzero(np.isnan(figures))):
        few = f"{len(missing):,} of {space.size:,} architectures, the first is {missing[0]}"
        lacks = few if len(missing) > 1 else f"architecture {missing[0]}"
        raise InvalidInput(f"{shown(str(path))} lacks {lacks}")
    return figures


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _index_of(space: ArchitectureSpace, text: str, where: str, hint: str) -> int:
    try:
        short = text.isdecimal() and len(text) < 20
        index = int(text) if short else int(space.index(space.parse(text)))
        if not 0 <= index < space.size:
            raise InvalidInput(f"an index is in 0…{space.size - 1:,}, got {shown(text)}")
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {said(error)}{hint}") from error
    return index
