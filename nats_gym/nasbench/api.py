"""NAS-Bench-101's public API: ``NASBench``, ``ModelSpec`` and ``OutOfDomainError``.

Source: Ying et al., ICML 2019, arXiv 1902.09635, and the package ``nasbench``.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nats_gym import checks
from nats_gym.errors import (
    InvalidInput,
    MissingTable,
    NotInTable,
    SurrogateWarning,
    shown,
    warn_caller,
)
from nats_gym.nasbench.figures import (
    NAMES,
    EstimatedFigures,
    Figures,
    ImportedFigures,
    hashes,
    index_of,
)
from nats_gym.nasbench.model_spec import ModelSpec
from nats_gym.spaces.cell_graphs import INPUT, MOST_EDGES, MOST_VERTICES, OPERATIONS, OUTPUT
from nats_gym.tables import load_table, official
from nats_gym.tables.official.archive import ARCHIVE_FILE
from nats_gym.tables.official.training_files import DATASET, SPACE, TRIALS
from nats_gym.tables.table import EMBEDDED

__all__ = ["ModelSpec", "NASBench", "OutOfDomainError"]


class OutOfDomainError(InvalidInput):
    """A cell or a schedule that the benchmark does not have."""


class NASBench:
    """Figures of NAS-Bench-101's cells.

    Args:
        dataset_file: a public file (``nasbench_full.tfrecord``), imported on first use; the folder
            of an import; ``"embedded"`` for the estimates inside the package, which a
            ``SurrogateWarning`` tells; None for a whole public file that was imported, else these.
        seed: of Python's ``random``, which chooses among the trainings of a query; None for
            none of its own.

    Attributes:
        valid_epochs: lengths of the schedules.
        fixed_statistics: matrix, operations and parameters by module hash.
        computed_statistics: of each module hash, the figures of all trainings by schedule.
        training_time_spent, total_epochs_spent: what queries have been charged.
        config: settings of the public benchmark.

    Raises:
        MissingTable: if nothing is at ``dataset_file``.
        InvalidInput: for another benchmark's files, or a seed that is none.
        NatsGymError: if a file cannot be imported; see ``nats_gym.tables.official``.
    """

    def __init__(
        self, dataset_file: str | os.PathLike[str] | None = None, seed: int | None = None
    ) -> None:
        if seed is not None:
            seed = checks.seed(seed)
        self._figures = _open(dataset_file)
        self.valid_epochs = set(self._figures.schedules)
        self.config = _config()
        self.fixed_statistics = _Statistics(self._figures, self._fixed)
        self.computed_statistics = _Statistics(self._figures, self._computed)
        self.reset_budget_counters()
        random.seed(seed)

    def query(
        self, model_spec: ModelSpec, epochs: int = 108, stop_halfway: bool = False
    ) -> dict[str, Any]:
        """Figures of one of a cell's trainings, chosen by ``random``, and charge its cost.

        Args:
            model_spec: the cell.
            epochs: of the schedule.
            stop_halfway: the state after half of it.

        Returns:
            ``module_adjacency``, ``module_operations``, ``trainable_parameters``,
            ``training_time`` (s), ``train_accuracy``, ``validation_accuracy`` and
            ``test_accuracy`` (0 … 1); NaN for what is not among the estimates.

        Raises:
            OutOfDomainError: for a cell that is not in the space, or another schedule.
            NotInTable: for a cell that a partial file lacks, or half-way figures of estimates.
        """
        epochs = self._check_epochs(epochs)
        index = self._index(model_spec)
        figures = self._figures
        halfway = checks.switch(stop_halfway, "stop_halfway")
        if halfway and figures.without_halfway:
            raise NotInTable(figures.without_halfway)
        trial = random.randint(0, TRIALS - 1)
        matrix, operations, parameters = figures.cell(index)
        seconds, train, valid, test = figures.training(index, epochs, trial, halfway)
        self.training_time_spent += seconds
        self.total_epochs_spent += epochs // 2 if halfway else epochs
        return {
            "module_adjacency": matrix,
            "module_operations": operations,
            "trainable_parameters": parameters,
            "training_time": seconds,
            "train_accuracy": train,
            "validation_accuracy": valid,
            "test_accuracy": test,
        }

    def is_valid(self, model_spec: ModelSpec) -> bool:
        """Whether a cell is in the space."""
        try:
            _check_spec(model_spec)
        except OutOfDomainError:
            return False
        return True

    def get_budget_counters(self) -> tuple[float, int]:
        """Seconds and epochs that queries have been charged."""
        return self.training_time_spent, self.total_epochs_spent

    def reset_budget_counters(self) -> None:
        """Set both to 0."""
        self.training_time_spent = 0.0
        self.total_epochs_spent = 0

    def hash_iterator(self) -> Iterator[str]:
        """Module hashes of all cells, ascending: the official order.

        Of estimates each is computed, which takes about a minute for all.
        """
        return hashes(self._figures)

    def get_metrics_from_hash(self, module_hash: str) -> tuple[dict[str, Any], dict[int, Any]]:
        """All that is known of a cell; nothing is charged.

        Returns:
            ``module_adjacency``, ``module_operations`` and ``trainable_parameters``; and by
            schedule a list of trainings, each with ``halfway_`` and ``final_`` figures.

        Raises:
            InvalidInput: for what is no module hash of a cell here.
        """
        index = self._figures.find(checks.text(module_hash, "a module hash"))
        if index < 0:
            raise InvalidInput(f"no cell here has the module hash {shown(module_hash)}")
        return self._fixed(index), self._computed(index)

    def get_metrics_from_spec(self, model_spec: ModelSpec) -> tuple[dict[str, Any], dict[int, Any]]:
        """:meth:`get_metrics_from_hash` of a cell.

        Raises:
            OutOfDomainError: for a cell that is not in the space.
            NotInTable: for one that a partial file lacks.
        """
        index = self._index(model_spec)
        return self._fixed(index), self._computed(index)

    def _check_epochs(self, epochs: object) -> int:
        plain = epochs if type(epochs) is int else checks.as_integer(epochs)
        if plain is None or plain not in self.valid_epochs:
            raise OutOfDomainError(
                f"invalid number of epochs {shown(epochs)}, must be one of "
                f"{', '.join(map(str, self._figures.schedules))}"
            )
        return plain

    def _index(self, spec: ModelSpec) -> int:
        """Official index of a cell that is here."""
        index = -1
        if type(spec) is ModelSpec and spec.matrix is not None and spec.ops is not None:
            index = index_of(spec.matrix, spec.ops)
        if index < 0:
            _check_spec(spec)
        if not self._figures.has(index):
            raise NotInTable(f"cell {index} is not in this partial file")
        return index

    def _fixed(self, index: int) -> dict[str, Any]:
        matrix, operations, parameters = self._figures.cell(index)
        return {
            "module_adjacency": matrix,
            "module_operations": operations,
            "trainable_parameters": parameters,
        }

    def _computed(self, index: int) -> dict[int, list[dict[str, float]]]:
        return {
            epochs: [self._point(index, epochs, trial) for trial in range(TRIALS)]
            for epochs in self._figures.schedules
        }

    def _point(self, index: int, epochs: int, trial: int) -> dict[str, float]:
        figures = self._figures
        point: dict[str, float] = _WithoutHalfway(figures.without_halfway)
        if not figures.without_halfway:
            half = figures.training(index, epochs, trial, True)
            point = {f"halfway_{name}": one for name, one in zip(NAMES, half, strict=True)}
        final = figures.training(index, epochs, trial, False)
        point.update({f"final_{name}": one for name, one in zip(NAMES, final, strict=True)})
        return point


class _WithoutHalfway(dict[str, float]):
    """Figures of a training whose half-way ones are not known, which says why."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self._reason = reason

    def __missing__(self, name: object) -> float:
        if str(name).startswith("halfway_"):
            raise NotInTable(self._reason)
        raise KeyError(name)


class _Statistics(Mapping[str, Any]):
    """What is known by module hash, made when it is asked for."""

    def __init__(self, figures: Figures, of: Callable[[int], Any]) -> None:
        self._figures, self._of = figures, of

    def __getitem__(self, module_hash: str) -> Any:
        """Of one cell; KeyError for what is no module hash here."""
        index = self._figures.find(module_hash) if type(module_hash) is str else -1
        if index < 0:
            raise KeyError(module_hash)
        return self._of(index)

    def __iter__(self) -> Iterator[str]:
        return hashes(self._figures)

    def __len__(self) -> int:
        return len(self._figures.indices())


def _open(dataset_file: str | os.PathLike[str] | None) -> Figures:
    if dataset_file is None:
        newest = official.newest_archive(SPACE) if official.archives_folder().is_dir() else None
        return _embedded() if newest is None else ImportedFigures(newest)
    path = checks.path(dataset_file, "dataset_file", expand=True)
    if str(path) == EMBEDDED:
        return _embedded()
    return ImportedFigures(_archive(path))


def _archive(path: Path) -> official.OfficialArchive:
    if not path.exists():
        raise MissingTable(
            f"nothing at {shown(str(path))}; a public file, an import's folder, 'embedded', or "
            "None; nats-gym data download nb101 fetches the public file"
        )
    if (path / ARCHIVE_FILE).is_file():
        archive = official.OfficialArchive(path)
    else:
        archive = official.find_archive(path) or official.import_archive(path, SPACE)
    if archive.space.name != SPACE:
        raise InvalidInput(
            f"{shown(str(path))} is an archive of {archive.space.name}, asked for was {SPACE}"
        )
    return archive


def _embedded() -> EstimatedFigures:
    figures = EstimatedFigures(load_table(SPACE, DATASET, EMBEDDED))
    warn_caller(
        "no public file of NAS-Bench-101 answers, but the estimates inside the package: validation "
        "accuracy, seconds and, at 108 epochs, test accuracy of trainings that never were. "
        "nats-gym data download nb101 gets the public file.",
        SurrogateWarning,
    )
    return figures


def _check_spec(spec: object) -> None:
    """Raise ``OutOfDomainError`` for a cell that is not in the space."""
    spec = checks.instance(spec, ModelSpec, "model_spec")
    if spec.matrix is None or spec.ops is None:
        raise OutOfDomainError("invalid spec, provided graph is disconnected")
    vertices, edges = len(spec.ops), int(np.sum(spec.matrix))
    if vertices > MOST_VERTICES:
        raise OutOfDomainError(f"too many vertices, got {vertices}, at most {MOST_VERTICES}")
    if edges > MOST_EDGES:
        raise OutOfDomainError(f"too many edges, got {edges}, at most {MOST_EDGES}")
    if spec.ops[0] != INPUT:
        raise OutOfDomainError(f"first operation should be 'input', got {shown(spec.ops[0])}")
    if spec.ops[-1] != OUTPUT:
        raise OutOfDomainError(f"last operation should be 'output', got {shown(spec.ops[-1])}")
    for name in spec.ops[1:-1]:
        if name not in OPERATIONS:
            raise OutOfDomainError(
                f"unsupported op {shown(name)}, available ops are {', '.join(OPERATIONS)}"
            )


def _config() -> dict[str, Any]:
    return {
        "module_vertices": MOST_VERTICES,
        "max_edges": MOST_EDGES,
        "num_repeats": TRIALS,
        "available_ops": [*OPERATIONS],
        "stem_filter_size": 128,
        "num_stacks": 3,
        "num_modules_per_stack": 3,
        "num_labels": 10,
        "batch_size": 256,
        "train_epochs": 108,
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "batch_norm_momentum": 0.997,
        "batch_norm_epsilon": 1e-5,
    }
