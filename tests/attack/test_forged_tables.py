"""Forged and damaged tables, and results that rest on them: refused in one line, by their kind."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nats_gym import search
from nats_gym.errors import CorruptTable, UnreadableResult
from nats_gym.evaluators import TableEvaluator
from nats_gym.files.untrusted import checksum_of
from nats_gym.results.result import SearchResult
from nats_gym.study import rank_agents, rows_of, save_leaderboard, validate
from nats_gym.tables import (
    MEASURED,
    NO_TEST,
    SURROGATE,
    Column,
    Table,
    embedded_folder,
    load_table,
    write_table,
)
from nats_gym.tables.folder import MANIFEST, earlier_checksum, sha256_of
from nats_gym.tables.load import OWN, copied_estimates, origin_of
from nats_gym.tables.table import EMBEDDED

ACCURACY = "accuracy-valid-90.npy"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """An honest table of one's own: measured accuracies and seconds of the size space."""
    rng = np.random.default_rng(0)
    shared: dict[str, Any] = {
        "provenance": MEASURED,
        "source": "a test",
        "licence": "none",
    }
    seconds = rng.uniform(1, 2, 32_768)
    trials = rng.integers(10_000, 22_000, (32_768, 2)) / 250
    columns = [
        (Column("accuracy", split="valid", epochs=90, trials=(0, 1), **shared), trials),
        (Column("train_seconds_per_epoch", **shared), seconds),
        (Column("evaluation_seconds", split="valid", **shared), seconds),
    ]
    write_table(tmp_path / "own", "sss", "cifar10", columns)
    return tmp_path / "own"


@pytest.fixture
def embedded_copy(tmp_path: Path) -> Path:
    """A copy of an embedded size table with its coefficients."""
    source = embedded_folder("sss", "cifar10").parent
    for name in ("sss-cifar10", "surrogates"):
        shutil.copytree(source / name, tmp_path / name)
    return tmp_path / "sss-cifar10"


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None], sign: bool = True) -> None:
    """Change a manifest; ``sign`` makes its checksum the right one for what it then says."""
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    if sign:
        manifest["checksum"] = checksum_of(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def first(**facts: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["columns"][0].update(facts)


def all_measured(manifest: dict[str, Any]) -> None:
    for column in manifest["columns"]:
        column.update(provenance=MEASURED)


def without_models(manifest: dict[str, Any]) -> None:
    all_measured(manifest)
    for column in manifest["columns"]:
        column.update(model="", version=0, held_out={})


# ── manifests ────────────────────────────────────────────────────────────────────────────────


def test_estimates_that_are_called_measured_are_refused(embedded_copy: Path) -> None:
    whole = (embedded_copy / MANIFEST).read_text()
    rewrite(embedded_copy, all_measured, sign=False)
    with pytest.raises(CorruptTable, match="said to be measured and is a model's"):
        Table(embedded_copy, "copy")
    rewrite(embedded_copy, all_measured)
    with pytest.raises(CorruptTable, match="said to be measured and is a model's"):
        Table(embedded_copy, "copy")
    # Without its model a column is its file, and coefficients are no figures.
    rewrite(embedded_copy, without_models)
    with pytest.raises(CorruptTable, match="no column of figures"):
        Table(embedded_copy, "copy").accuracy()
    (embedded_copy / MANIFEST).write_text(whole)
    assert origin_of(Table(embedded_copy, "copy")) == EMBEDDED


def test_every_field_of_a_manifest_is_in_its_checksum(own: Path) -> None:
    path = own / MANIFEST
    whole = json.loads(path.read_text())
    changes = {"source": "?", "licence": "?", "note": "?", "epochs": 12, "trials": [3, 4]}
    assert set(changes) < set(whole["columns"][0])
    for name, value in changes.items():
        rewrite(own, first(**{name: value}), sign=False)
        with pytest.raises(CorruptTable):
            Table(own, "changed")
        path.write_text(json.dumps(whole))
    for change in ({"dataset": "cifar100"}, {"more": 1}):
        path.write_text(json.dumps({**whole, **change}))
        with pytest.raises(CorruptTable, match="checksum is not that of the manifest"):
            Table(own, "changed")
    del whole["columns"][2]
    path.write_text(json.dumps(whole))
    with pytest.raises(CorruptTable, match="checksum"):
        Table(own, "changed")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"file": "x" * 5_000}, "is none in the table's folder"),
        ({"file": ""}, "is none in the table's folder"),
        ({"file": "/etc/passwd"}, "is none in the table's folder"),
        ({"file": "../other/a.npy"}, "is none in the table's folder"),
        ({"file": "../../../../etc/passwd"}, "is none in the table's folder"),
        ({"file": "../surrogates/../../x"}, "is none in the table's folder"),
        ({"file": ".hidden"}, "is none in the table's folder"),
        ({"file": "a\\b.npy"}, "is none in the table's folder"),
        ({"file": "a\x00.npy"}, "is none in the table's folder"),
        ({"sha256": "0"}, "is no SHA-256"),
        ({"trials": [7, 7]}, "is there twice"),
        ({"trials": list(range(1_001))}, "at most 1,000"),
        ({"trials": [True, 2]}, "not a number from 0"),
        ({"trials": [2**63, 2]}, "not a number from 0"),
        ({"epochs": 10**9}, "at most 10,000"),
        ({"epochs": 10**4_000}, "not a number from 0"),
        ({"model": "ridge"}, "said to be measured"),
        ({"version": 1}, "said to be measured"),
        ({"held_out": {"r2": 0.9}}, "said to be measured"),
        ({"held_out": {"r2": 10**400}}, "is not a number"),
        ({"held_out": {"r2": True}}, "is not a number"),
        ({"name": "latency"}, "name 'latency'"),
        ({"unit": "seconds"}, "unit 'seconds'"),
    ],
)
def test_columns_that_cannot_be_are_refused(own: Path, facts: dict[str, Any], reason: str) -> None:
    rewrite(own, first(**facts))
    with pytest.raises(CorruptTable, match=reason) as caught:
        Table(own, "forged")
    message = str(caught.value)
    assert str(own / MANIFEST) in message
    assert "\n" not in message
    assert len(message) < 700 + len(str(own))


@pytest.mark.parametrize(
    "text",
    [
        '{"format": NaN}',
        '{"format": 2, "x": 1e999}',
        "[" * 100_000,
        '{"a":' * 50_000,
        "\xff",
        "",
        "3",
        "null",
        '{"format": true, "space": "sss", "dataset": "cifar10", "columns": []}',
        '{"format": 2, "space": "sss", "dataset": "cifar10", "columns": ["accuracy"]}',
        '{"format": 2, "space": "sss", "dataset": "cifar10", "columns": [null]}',
        '{"format": 2, "space": "sss", "dataset": "cifar10", "columns": {"a": 1}}',
    ],
)
def test_texts_that_are_no_manifest_are_refused(own: Path, text: str) -> None:
    (own / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(CorruptTable):
        Table(own, "forged")


def test_a_manifest_is_of_a_bounded_size(own: Path) -> None:
    with (own / MANIFEST).open("r+b") as file:
        file.truncate(60 << 30)  # sparse
    with pytest.raises(CorruptTable, match="bytes, at most"):
        Table(own, "forged")


# ── columns ──────────────────────────────────────────────────────────────────────────────────


def header(descr: str, shape: str, fortran: str = "False") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def write_bomb(path: Path, name: str, start: bytes, megabytes: int) -> None:
    """Write one array of zeros, packed a thousandfold."""
    packed = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
    with packed as archive, archive.open(f"{name}.npy", "w") as file:
        file.write(start)
        for _ in range(megabytes):
            file.write(bytes(10**6))


def saved(array: Any, save: Any = np.save, **options: Any) -> bytes:
    file = io.BytesIO()
    save(file, array, **options)
    return file.getvalue()


RIGHT = np.full((32_768, 2), 50.0)
FIGURES = RIGHT.tobytes()


@pytest.mark.parametrize(
    "content",
    [
        saved(RIGHT, np.savez),
        saved(RIGHT.astype(object), allow_pickle=True),
        saved(RIGHT.astype(">f8")),
        saved(RIGHT.astype(np.float16)),
        saved(RIGHT.astype(np.complex128)),
        saved(RIGHT.astype(np.int64)),
        saved(RIGHT.astype(np.longdouble)),
        saved(RIGHT.astype([("a", "<f8")])),
        saved(RIGHT.T),
        saved(RIGHT)[:-8],
        saved(RIGHT) + b"\0",
        header("'<f8'", "(True, True)") + FIGURES[:8],
        header("'<f8'", "(32768, True)") + FIGURES,
        header("'<f8'", "(-1, 2)") + FIGURES,
        header("'<f8'", "(32768.0, 2)") + FIGURES,
        header("'<f8'", "(99999999999999999999, 2)") + FIGURES,
        header("'<f8'", "(32768, 2)", "1") + FIGURES,
        header("'<f8'", "[32768, 2]") + FIGURES,
        header("'<f8'", "(32768, 2), 'more': 1") + FIGURES,
        header("'<f8'", "(" * 200 + ")" * 200) + FIGURES,
        header("__import__('os').abort()", "(32768, 2)") + FIGURES,
        b"\x93NUMPY\x01\x00\xff\xff" + b" " * 65_535 + FIGURES,
        b"\x93NUMPY\x02\x00" + saved(RIGHT)[8:],
        b"\x93NUMPY\x01\x00",
        b"",
        saved(np.full((32_768, 2), np.nan)),
        saved(RIGHT * -1),
        saved(RIGHT * 3),
        saved(np.where(np.arange(65_536).reshape(32_768, 2) == 9, np.inf, RIGHT)),
    ],
)
def test_files_that_hold_no_accuracies_are_refused(own: Path, content: bytes) -> None:
    (own / ACCURACY).write_bytes(content)
    rewrite(own, first(sha256=sha256_of(own / ACCURACY)))
    with pytest.raises(CorruptTable) as caught:
        Table(own, "forged").accuracy()
    message = str(caught.value)
    assert str(own) in message
    assert "\n" not in message
    assert len(message) < 700 + len(str(own))


@pytest.mark.parametrize("wrong", [-1.0, -1e-300, np.inf, -np.inf])
def test_seconds_that_cannot_be_are_refused(own: Path, wrong: float) -> None:
    path = own / "train_seconds_per_epoch.npy"
    seconds = np.ones(32_768)
    seconds[7] = wrong
    np.save(path, seconds)
    rewrite(own, lambda manifest: manifest["columns"][1].update(sha256=sha256_of(path)))
    table = Table(own, "forged")
    with pytest.raises(CorruptTable, match="of architecture 7 is"):
        table.train_seconds(90)
    with pytest.raises(CorruptTable):
        TableEvaluator(table).prepare(90)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes by name here")
def test_pipes_and_devices_are_not_waited_for(own: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for target in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/stdin"), tmp_path, own / "no"):
        (own / ACCURACY).unlink()
        (own / ACCURACY).symlink_to(target)
        with pytest.raises(CorruptTable, match=ACCURACY):
            Table(own, "forged").accuracy()


def test_a_large_sparse_file_is_refused_unread(own: Path) -> None:
    with (own / ACCURACY).open("r+b") as file:
        file.truncate(60 << 30)
    with pytest.raises(CorruptTable, match="its header says"):
        Table(own, "forged").accuracy()


def test_a_link_to_a_regular_file_is_one(own: Path, tmp_path: Path) -> None:
    expected = Table(own, "own").accuracy()
    shutil.move(own / ACCURACY, tmp_path / "elsewhere.npy")
    (own / ACCURACY).symlink_to(tmp_path / "elsewhere.npy")
    assert np.array_equal(Table(own, "own").accuracy(), expected)


def test_columns_in_columns_order_read_as_any(own: Path) -> None:
    expected = np.array(Table(own, "own").accuracy())
    np.save(own / ACCURACY, np.asfortranarray(expected))
    rewrite(own, first(sha256=sha256_of(own / ACCURACY)))
    assert np.array_equal(Table(own, "own").accuracy(), expected)


# ── coefficients ─────────────────────────────────────────────────────────────────────────────


def damaged_npz(path: Path, **changes: Any) -> None:
    with np.load(path) as content:
        arrays = {name: content[name].copy() for name in content}
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    "changes",
    [
        {"coefficients": lambda a: a * np.nan},
        {"coefficients": lambda a: a.astype(np.float16)},
        {"coefficients": lambda a: a[:-1]},
        {"noise_sd": lambda a: a * np.nan},
        {"noise_sd": lambda a: -a},
        {"noise_sd": lambda a: a[:-1]},
        {"noise_accuracy": lambda a: a[::-1]},
        {"basis": lambda a: np.ones((100_000, a.shape[1]), np.float32)},
        {"basis": lambda a: a[0]},
        {"skip_coefficients": lambda a: a[:1]},
        {"more": lambda a: a},
    ],
)
def test_coefficients_that_cannot_be_are_refused(embedded_copy: Path, changes: Any) -> None:
    path = embedded_copy.parent / "surrogates" / "sss-cifar10-valid-90.npz"
    if "more" in changes:
        write_bomb(path, "coefficients", header("'<f4'", "(5000000,)"), 20)  # 20 MB in 20 kB
    else:
        damaged_npz(path, **changes)
    rewrite(
        embedded_copy,
        lambda manifest: [
            column.update(sha256=sha256_of(path))
            for column in manifest["columns"]
            if column["file"].endswith(path.name)
        ],
    )
    with pytest.raises(CorruptTable, match="coefficients"):
        Table(embedded_copy, "forged").noise_std()  # of the accuracies, which come first


@pytest.mark.parametrize("text", ["{}", "[]", '{"topology_valid": [1], "size": {}}', "NaN"])
def test_costs_that_cannot_be_are_refused(embedded_copy: Path, text: str) -> None:
    path = embedded_copy.parent / "surrogates" / "costs.json"
    path.write_text(text)
    rewrite(
        embedded_copy,
        lambda manifest: [
            column.update(sha256=sha256_of(path))
            for column in manifest["columns"]
            if column["file"].endswith(path.name)
        ],
    )
    with pytest.raises(CorruptTable, match="coefficients"):
        Table(embedded_copy, "forged").latency()


# ── results that rest on a table of somebody's ───────────────────────────────────────────────


def saved_search(source: Path | str, folder: Path) -> Path:
    return search("sss", "cifar10", "random", runs=2, budget=20_000, source=source).save(folder)


def estimates_as_figures(folder: Path) -> Path:
    """Write the embedded estimates as if somebody had measured them."""
    table = load_table("sss", "cifar10", "embedded")
    shared: dict[str, Any] = {"provenance": MEASURED, "source": "honest work", "licence": "MIT"}
    valid = Column("accuracy", split="valid", epochs=90, trials=(0,), **shared)
    columns = [
        (valid, np.array(table.accuracy())),
        (Column("train_seconds_per_epoch", **shared), table.train_seconds(1)),
        (Column("evaluation_seconds", split="valid", **shared), table.evaluation_seconds()),
    ]
    write_table(folder, "sss", "cifar10", columns)
    return folder


def test_estimates_written_down_as_measured_do_not_hold(tmp_path: Path) -> None:
    forged = estimates_as_figures(tmp_path / "forged")
    table = Table(forged, "forged")
    assert copied_estimates(table) == [column.name for column in table.columns]
    (verdict,) = validate(saved_search(forged, tmp_path / "result"))
    assert not verdict.holds
    assert "are the estimates of an embedded model" in verdict.reasons[-1]
    assert rank_agents([verdict]) == {}


def test_an_estimate_under_another_name_is_known_too(tmp_path: Path) -> None:
    """The estimated test accuracies as the validation's, beside seconds of somebody's own."""
    table = load_table("tss", "cifar10", "embedded")
    shared: dict[str, Any] = {"provenance": MEASURED, "source": "honest work", "licence": "MIT"}
    seconds = np.random.default_rng(0).uniform(10, 20, table.space.size)
    valid = Column("accuracy", split="valid", epochs=200, trials=(0,), **shared)
    estimated = next(
        c for c in table.columns if c.quantity == "accuracy" and c.provenance == SURROGATE
    )
    columns = [
        (valid, np.array(table.means(estimated))[:, None]),
        (Column("train_seconds_per_epoch", **shared), seconds),
        (Column("evaluation_seconds", split="valid", **shared), seconds / 10),
    ]
    write_table(tmp_path / "forged", "tss", "cifar10", columns)
    assert copied_estimates(Table(tmp_path / "forged", "forged")) == [valid.name]


def test_a_table_of_ones_own_is_called_so(own: Path, tmp_path: Path) -> None:
    assert origin_of(Table(own, "own")) == OWN
    (verdict,) = validate(saved_search(own, tmp_path / "result"))
    assert verdict.holds, verdict.reasons
    assert verdict.origin == OWN
    assert "on the claimant's own table" in verdict.title
    boards = rank_agents([verdict])
    ((entry,),) = boards.values()
    assert entry.provenance == ("measured (own table)", "measured (own table)")
    ((*_, basis),) = rows_of([entry])
    assert basis == "searched on measured (own table), judged on measured (own table)"
    text = save_leaderboard(boards, [], tmp_path).read_text()
    assert "the claimant's own table" in text
    (board,) = json.loads((tmp_path / "leaderboard.json").read_text())
    assert board["origin"] == OWN


def test_an_embedded_table_is_known_wherever_it_lies(embedded_copy: Path, tmp_path: Path) -> None:
    for source in ("embedded", embedded_copy):
        (verdict,) = validate(saved_search(source, tmp_path / Path(source).name / "result"))
        assert verdict.holds, verdict.reasons
        assert verdict.origin == EMBEDDED
        ((entry,),) = rank_agents([verdict]).values()
        assert entry.provenance == ("surrogate", "surrogate")


@pytest.mark.parametrize("name", ["search_accuracy", "seconds", "full_schedule_valid_accuracy"])
def test_a_result_rests_on_what_its_table_does(tmp_path: Path, name: str) -> None:
    folder = saved_search("embedded", tmp_path / "result")
    record = json.loads((folder / "run.json").read_text())
    record["provenance"][name] = "measured"
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(UnreadableResult, match="its provenance is not that of its table"):
        SearchResult.load(folder)


@pytest.mark.parametrize("what", ["pipe", "sparse", "bomb", "shape", "dtype", "pickle"])
def test_results_that_no_search_wrote_are_refused(tmp_path: Path, what: str) -> None:
    folder = saved_search("embedded", tmp_path / "result")
    path = folder / "runs.npz"
    with np.load(path) as content:
        arrays = {name: content[name].copy() for name in content}
    if what == "pipe":
        path.unlink()
        path.symlink_to("/dev/zero")
    elif what == "sparse":
        with path.open("r+b") as file:
            file.truncate(60 << 30)
    elif what == "bomb":
        write_bomb(path, "index", header("'<i8'", "(2, 5000000)"), 80)
    else:
        changed = {
            "shape": arrays["accuracy"][:, :-1],
            "dtype": arrays["index"],
            "pickle": arrays["index"].astype(object),
        }[what]
        np.savez(path, **{**arrays, "accuracy": changed})
    if what not in ("pipe", "sparse"):
        record = json.loads((folder / "run.json").read_text())
        record["runs_sha256"] = sha256_of(path)
        (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(UnreadableResult) as caught:
        SearchResult.load(folder)
    assert str(folder) in str(caught.value)


# ── what earlier versions wrote ──────────────────────────────────────────────────────────────


def as_earlier(folder: Path) -> None:
    """Give a table the manifest that format 1 had."""
    table = Table(folder, "own")
    rewrite(
        folder,
        lambda manifest: manifest.update(format=1, checksum=earlier_checksum(table.columns)),
        sign=False,
    )


def test_tables_of_an_earlier_version_open_and_say_so_by_their_checksum(own: Path) -> None:
    now = Table(own, "own")
    as_earlier(own)
    before = Table(own, "own")
    assert np.array_equal(before.accuracy(), now.accuracy())
    assert before.earlier_checksum == now.earlier_checksum
    assert before.checksum not in (now.checksum, before.earlier_checksum)
    # Its own checksum was not over what it says; the one that it is known by now is.
    known = before.checksum
    rewrite(own, first(source="somebody else"), sign=False)
    assert Table(own, "own").checksum != known
    rewrite(own, lambda manifest: manifest.update(checksum="0" * 64), sign=False)
    with pytest.raises(CorruptTable, match="checksum"):
        Table(own, "own")


def test_an_earlier_manifest_lends_no_other_table_its_name(embedded_copy: Path) -> None:
    as_earlier(embedded_copy)
    rewrite(embedded_copy, first(source="real trainings"), sign=False)
    assert origin_of(Table(embedded_copy, "copy")) == OWN
    rewrite(embedded_copy, all_measured, sign=False)
    with pytest.raises(CorruptTable, match="said to be measured"):
        Table(embedded_copy, "copy")


def test_results_of_an_earlier_version_open_and_hold(tmp_path: Path) -> None:
    source = load_table("tss", "cifar10", "embedded")
    folder = search("tss", "cifar10", "random", epochs=200, runs=2, source="embedded").save(
        tmp_path / "result"
    )
    path = folder / "runs.npz"
    with np.load(path) as content:
        arrays = {name: content[name].copy() for name in content}
    arrays["accuracy"] = arrays["accuracy"].astype(np.float32).astype(np.float64)
    np.savez_compressed(path, **arrays)
    record = json.loads((folder / "run.json").read_text())
    record["provenance"]["checksum"] = source.earlier_checksum
    record["runs_sha256"] = sha256_of(path)
    (folder / "run.json").write_text(json.dumps(record))
    result = SearchResult.load(folder)
    assert result.provenance["checksum"] == source.checksum
    (verdict,) = validate(folder)
    assert verdict.holds, verdict.reasons
    # The same figures are nothing that this version can have found.
    record["provenance"]["checksum"] = source.checksum
    (folder / "run.json").write_text(json.dumps(record))
    (verdict,) = validate(folder)
    assert "an accuracy is not the table's" in verdict.reasons.values()


#: Checksums of the embedded topology tables before they had test accuracies.
FORMER = {
    "cifar10": "7f675ce86364133f73e9826d7b2952d6af082495f47d462bf7843e1f247a52ed",
    "cifar100": "809334ad67fd85d1a8462273bd90cb8a52537ca871afd45e67188fc8a62eb250",
    "ImageNet16-120": "fe4892cf21bb4477eca46246c2f8ad498c34153390e66480204bac0191ed12fd",
}


@pytest.mark.parametrize("dataset", FORMER)
def test_results_from_before_columns_were_added_open_and_hold(tmp_path: Path, dataset: str) -> None:
    source = load_table("tss", dataset, "embedded")
    assert source.former_checksums == {FORMER[dataset]}
    folder = search("tss", dataset, "random", runs=2, budget=9_000, source="embedded").save(
        tmp_path / "result"
    )
    record = json.loads((folder / "run.json").read_text())

    def written(checksum: str) -> str:
        record["provenance"]["checksum"] = checksum
        (folder / "run.json").write_text(json.dumps(record))
        (verdict,) = validate(folder)
        return "; ".join(verdict.reasons.values())

    del record["provenance"]["full_schedule_test_accuracy"]
    del record["summary"]["full_schedule_test_accuracy"]
    assert written(FORMER[dataset]) == ""
    assert "summary" in written(source.checksum)  # which has them
    assert "is now the embedded table" in written("0" * 64)
    record["summary"]["regret"]["mean"] += 0.1
    assert "summary" in written(FORMER[dataset])
    record["summary"] = 3
    assert "summary" in written(FORMER[dataset])


def test_one_estimate_of_both_splits_is_no_test(tmp_path: Path) -> None:
    result = search("sss", "cifar100", "random", runs=2, budget=20_000, source="embedded")
    assert result.provenance["full_schedule_test_accuracy"] == NO_TEST
    assert result.summary()["test"] == NO_TEST
    assert "full_schedule_test_accuracy" not in result.summary()
    (verdict,) = validate(result.save(tmp_path / "result"))
    assert verdict.holds, verdict.reasons
    assert not load_table("sss", "cifar10", "embedded").test_is_validation
    assert not load_table("tss", "cifar100", "embedded").test_is_validation
