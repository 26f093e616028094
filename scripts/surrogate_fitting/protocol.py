"""What a surrogate is for: searches that it answers must end where searches on real figures end.

Both sides are tables in a temporary folder, and the searches are the package's own.

The surrogate answers out of fold where real figures exist. Random search draws from those cells
alone, so its two sides draw the same ones. REINFORCE needs every cell: on the others both sides
rest on the surrogate, the real side with one fixed trial a cell, as the public files have.
CIFAR-10's real column is a mean of two trials, of which the protocol draws one; their half
difference is simulated with the spread among isomorphic cells.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from build_embedded import TRIALS

from nats_gym import search
from nats_gym.agents.random_search import RandomSearch
from nats_gym.datasets import get_dataset
from nats_gym.spaces import TopologySpace
from nats_gym.streams import uniform_integers
from nats_gym.tables import MEASURED, SURROGATE, Column, write_table
from nats_gym.tables.surrogates import DATASET_ORDER, REFERENCE_IMAGES, Array, CostSurrogate

from .diagnostics import rounded
from .figures import Columns, Measured
from .noise import isomorphic_noise
from .topology import TopologyFit

#: The schedule that the paper searches on.
PAPER_EPOCHS = 12


def random_search_among(pool: Array) -> type[RandomSearch]:
    """Random search over the architectures with official indices ``pool``."""

    class RandomSearchAmong(RandomSearch):
        def ask(self) -> Array:
            drawn = uniform_integers(self.streams, len(pool), (self.streams.runs,))
            return self.space.choices(pool[drawn])

    return RandomSearchAmong


@dataclass(frozen=True)
class ProtocolCheck:
    """Searches on real 12-epoch figures against searches on the surrogate and its noise.

    Attributes:
        columns: of ``tss.csv.gz``.
        measured: the 200-epoch figures, by which a search's answer is judged.
        topology: the fitted model and its out-of-fold predictions.
        costs: for seconds of the validation pass.
    """

    columns: Columns
    measured: Measured
    topology: TopologyFit
    costs: CostSurrogate

    def report(self, runs: int) -> dict[str, Any]:
        """Return surrogate minus real, mean accuracy of answers in points, and standard errors.

        Args:
            runs: searches per agent, data set and side. Run r of both sides has the same seed,
                so the error is that of paired differences.
        """
        agents = {
            "random": random_search_among(self.columns["index"]),
            "reinforce": "reinforce",
        }
        report: dict[str, Any] = {
            "about": "surrogate minus real: validation accuracy after 200 epochs of what a search "
            "on 12 epochs finds, in points",
            "runs": runs,
        }
        for seed, dataset in enumerate(DATASET_ORDER):
            report[dataset] = {}
            with tempfile.TemporaryDirectory() as folder:
                tables = self.write_tables(Path(folder), dataset)
                for name, agent in agents.items():
                    answers = [
                        search("tss", dataset, agent, PAPER_EPOCHS, None, runs, seed, table)
                        for table in tables
                    ]
                    modelled, real = (answer.full_schedule_accuracy() for answer in answers)
                    difference = modelled - real
                    report[dataset][name] = {
                        "real": rounded(real.mean()),
                        "difference": rounded(difference.mean()),
                        "standard_error": rounded(difference.std() / np.sqrt(runs)),
                    }
        return report

    def write_tables(self, folder: Path, dataset: str) -> tuple[Path, Path]:
        """Write a data set's two tables under ``folder``; return the surrogate's and the real."""

        def column(quantity: str, provenance: str = MEASURED, **facts: Any) -> Column:
            return Column(quantity, provenance, "the protocol check", "", **facts)

        space = TopologySpace()
        expected, trials = self.accuracy_12(dataset)
        measured = self.measured
        answers = measured.accuracy[:, DATASET_ORDER.index(dataset)]
        train = measured.train_seconds * get_dataset(dataset).train_images / REFERENCE_IMAGES
        valid = self.costs.topology_valid_seconds(
            space.all_choices(), measured.train_seconds, dataset
        )
        shared = [
            (column("accuracy", split="valid", epochs=space.full_epochs), answers),
            (column("train_seconds_per_epoch"), train),
            (column("evaluation_seconds", split="valid"), valid),
        ]
        facts: dict[str, Any] = {"split": "valid", "epochs": PAPER_EPOCHS}
        surrogate = (column("accuracy", SURROGATE, **facts), expected)
        real = (column("accuracy", trials=TRIALS[: trials.shape[1]], **facts), trials)

        modelled_table, real_table = folder / "modelled", folder / "real"
        write_table(modelled_table, space.name, dataset, [surrogate, *shared])
        self.topology.write(modelled_table)  # a table looks for the noise beside its column
        write_table(real_table, space.name, dataset, [real, *shared])
        return modelled_table, real_table

    def accuracy_12(self, dataset: str) -> tuple[Array, Array]:
        """12-epoch accuracy in percent: expected ``(arch,)``, and real trials ``(arch, trial)``."""
        space, c = TopologySpace(), DATASET_ORDER.index(dataset)
        model, index = self.topology.model, self.columns["index"]
        rng = np.random.default_rng(c)
        expected = model.accuracies(space.all_choices(), self.measured.accuracy)[:, c]
        expected[index] = self.topology.out_of_fold[:, c]
        real = expected + model.sigma(expected, dataset) * rng.standard_normal(space.size)
        real[index] = self.columns[f"{dataset}_valid_12"]
        if dataset != "cifar10":
            return expected, real[:, None]
        half = isomorphic_noise(index, real[index])(real) * rng.standard_normal(space.size)
        return expected, np.stack([real + half, real - half], axis=1)
