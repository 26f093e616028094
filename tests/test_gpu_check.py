"""scripts/gpu_check.py: its command line, its proof, the shape of what it writes."""

from __future__ import annotations

import copy
import json
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import SkipTest

import pytest
import torch

sys.path += [str(Path(__file__).parent.parent / "scripts"), str(Path(__file__).parent / "gpu")]
import document_gpu
import gpu_check
import gpu_place
from gpu_checking import figures, proof
from gpu_checking.machine import card_teraflops
from gpu_checking.proof import run_check
from gpu_checking.report import SHAPE, VERSION, check_shape, to_markdown
from torch import nn

from nats_gym.training.data import ImageData
from nats_gym.training.recipe import Recipe
from nats_gym.training.record import TrainingRecord
from nats_gym.training.trainer import train

pytestmark = pytest.mark.usefixtures("one_thread")


def checked(tmp_path: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report of a run in miniature."""
    code = gpu_check.main(["--miniature", "--out", str(tmp_path), *arguments])
    return code, json.loads((tmp_path / "gpu.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "figurs"], "Did you mean 'figures'"),
        (["--only", "data", "latency"], "Did you mean 'latencies'"),
        (["--only", "data.flips_and_crops_are_bits"], "Did you mean 'data.flips_and_crops"),
        (["--only"], "--only takes names, such as bfloat16, "),
        (["--seconds", "soon"], "--seconds"),
        (["--seconds", "-1"], "--seconds"),
        (["--device", "gpu"], "no device 'gpu' here"),
        (["--out", "/dev/null/x"], "cannot be"),
    ],
)
def test_wrong_arguments(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu_check.main(arguments) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


@pytest.mark.slow
def test_some_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = checked(tmp_path, "--only", "ceilings", "ours", "latencies")
    assert code == 0
    check_shape(report)
    assert report["version"] == VERSION
    assert report["miniature"] is True
    assert len(report["figures"]["ceilings"]) == 3
    assert len(report["figures"]["latencies"]) == 8
    assert [one["what"] for one in report["left_out"]] == ["ours: ours"]
    assert list(report["seconds"]) == ["ceilings", "ours", "latencies"]
    written = (tmp_path / "gpu.md").read_text()
    assert written == to_markdown(report) + "\n"
    assert "| ms of a forward pass | batch 1 | batch 16 |" in written
    assert written.strip() in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"gpu.json", "gpu.md"}


def test_a_name_of_figures_and_of_checks_is_both() -> None:
    known = ["data.flips[1]", "together.a[x y]", "together.b", "training.c"]
    parts = ["plain", "plain-random", "together", "training", "latencies"]
    assert gpu_check._chosen(["training"], known, parts) == (["training.c"], ["training"])
    # What several at once are compared with is measured along.
    assert gpu_check._chosen(["together"], known, parts) == (known[1:3], parts[:3])
    assert gpu_check._chosen(["together.a"], known, parts) == (known[1:2], [])
    assert gpu_check._chosen(["latencies", "proof"], known, parts) == (known, ["latencies"])
    assert gpu_check._chosen(["figures"], known, parts) == ([], parts)
    assert gpu_check._chosen(None, known, parts) == (known, parts)


def test_what_is_needed_is_a_figure_measured_before(tmp_path: Path) -> None:
    report = gpu_check.Report(tmp_path, {}, True, 1.0)
    parts = list(figures.Figures(torch.device("cpu"), report, figures.MINIATURE, 0.0).parts)
    for part, needed in figures.NEEDS.items():
        assert all(parts.index(one) < parts.index(part) for one in needed)


def test_a_wrong_name_is_told_each_name_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_check.main(["--only", "x" * 10_000]) == 2
    said = capsys.readouterr().err
    assert len(said) < 600
    listed = said.partition("allowed: ")[2].partition(", and checks")[0].split(", ")
    assert listed == sorted(set(listed))
    assert {"proof", "figures", "training", "together", "weight_sharing"} < set(listed)


def test_a_miniature_lies_beside_a_gpus_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_check, "ROOT", tmp_path)
    assert gpu_check.main(["--miniature", "--only", "ceilings", "--seconds", "0.001"]) == 0
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["gpu-miniature"]


@pytest.mark.slow
def test_some_checks(tmp_path: Path) -> None:
    scores, two = "devices.zero_cost_scores_are_the_cpus", "devices.two_devices_train_alike"
    code, report = checked(tmp_path, "--only", "data", scores, two)
    assert code == 0
    check_shape(report)
    proved = {one["check"]: one["outcome"] for one in report["proof"]}
    assert proved["data.flips_and_crops_are_the_cpus_bits[1]"] == "passed"
    assert [proved[name] for name in proved if name.startswith(scores)] == ["passed"] * 3
    assert proved[two] == "left out"
    assert all(name.startswith(("data.", "devices.")) for name in proved)
    assert list(report["seconds"]) == ["proof"]


def test_what_the_time_does_not_reach_is_left_out(tmp_path: Path) -> None:
    code, report = checked(tmp_path, "--seconds", "0.001", "--only", "ceilings", "supernets")
    assert code == 0
    check_shape(report)
    assert not any(report["figures"].values())
    assert len(report["left_out"]) == 3 + 9
    assert {one["reason"] for one in report["left_out"]} == {"the time is spent"}


@pytest.mark.slow
def test_a_figure_that_fails_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such kernel\nand more")

    monkeypatch.setattr(figures.Figures, "_copy", fail)
    code, report = checked(tmp_path, "--only", "ceilings")
    assert code == 1
    check_shape(report)
    assert len(report["figures"]["ceilings"]) == 2
    assert report["failed"] == [
        {"what": "ceilings: copy", "reason": "RuntimeError: no such kernel"}
    ]


# ── the proof ────────────────────────────────────────────────────────────────────────────────

CHECKS = """
import os, time
from unittest import SkipTest
from gpu_place import each
def test_fine(place): assert place.folder.is_dir() and place.miniature
@each(1, 2)
def test_cases(place, case): assert case == 1, f"case is {case}"
def test_left_out(place): raise SkipTest("no moon")
def test_dies(place): os._exit(0)
def test_late(place): time.sleep(60)
def test_zlast(place): pass
"""


@pytest.mark.slow
@pytest.mark.parametrize("side_by_side", [1, 3])
def test_a_check_that_fails_stops_no_other(side_by_side: int, tmp_path: Path) -> None:
    (tmp_path / "test_gpu_toy.py").write_text(CHECKS)
    place = proof.CHECKS / "gpu_place.py"
    (tmp_path / "gpu_place.py").write_text(place.read_text())
    names = [
        *("toy.fine", "toy.cases[1]", "toy.cases[2]", "toy.left_out"),
        *("toy.dies", "toy.late", "toy.zlast"),
    ]
    options: dict[str, Any] = {"longest": 12.0, "side_by_side": side_by_side}
    found = {one["check"]: one for one in proof.prove("cpu", names, folder=tmp_path, **options)}
    assert sorted(found) == sorted(names)
    assert side_by_side > 1 or list(found) == names
    outcomes = [found[name]["outcome"] for name in names]
    assert outcomes == ["passed", "passed", "failed", "left out", "failed", "failed", "passed"]
    assert "case is 2" in found["toy.cases[2]"]["reason"]
    assert found["toy.left_out"]["reason"] == "no moon"
    assert "ended with 0" in found["toy.dies"]["reason"]
    assert "longer than 12 s" in found["toy.late"]["reason"]


@pytest.mark.slow
def test_who_has_had_enough_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "test_gpu_toy.py").write_text(CHECKS)
    (tmp_path / "gpu_place.py").write_text((proof.CHECKS / "gpu_place.py").read_text())
    proved = proof.prove("cpu", ["toy.fine", "toy.late"], folder=tmp_path, side_by_side=2)
    assert next(proved)["check"] == "toy.fine"
    start = time.monotonic()
    proved.close()
    assert time.monotonic() - start < 30  # where toy.late sleeps for a minute
    assert not any(isinstance(one, proof._Prover) for one in threading.enumerate())


@pytest.mark.parametrize(
    ("raised", "outcome", "reason"),
    [
        (None, "passed", ""),
        (SkipTest("no such device"), "left out", "no such device"),
        (ValueError("a\nb"), "failed", "ValueError in test_gpu_check.py"),
        (AssertionError(), "failed", "AssertionError in"),
    ],
)
def test_an_outcome(raised: Exception | None, outcome: str, reason: str) -> None:
    def check(place: Any) -> None:
        if raised is not None:
            raise raised

    found = run_check("one", check, None)
    assert (found["check"], found["outcome"]) == ("one", outcome)
    assert found["reason"].startswith(reason)
    assert "\n" not in found["reason"]


def test_every_file_has_checks() -> None:
    names = list(proof.find_checks())
    assert len(names) == len(set(names)) > 40
    files = {path.stem.removeprefix("test_gpu_") for path in proof.CHECKS.glob("test_*.py")}
    assert {name.split(".")[0] for name in names} == files


# ── what is written ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def report(tmp_path: Path) -> dict[str, Any]:
    """A row in each table."""
    made = gpu_check.Report(tmp_path, gpu_check.describe_machine(torch.device("cpu")), True, 60.0)
    made.save()
    content = copy.deepcopy(made.content)
    row = {"space": "tss", "index": 7, "batch": 256, "peak_mib": None, "utilisation": 0.25}
    content["figures"]["alone"] = [
        {
            **row,
            "way": way,
            "precision": "tf32",
            "gflop_per_image": 0.75,
            "images_per_second": 12_345.6,
            "of_card": None,
        }
        for way in ("ours", "plain loop, DataLoader")
    ]
    content["figures"]["together"] = [
        {
            **row,
            "index": [7, 7],
            "what": "trials",
            "group": "SideBySide",
            "count": 2,
            "images_per_second": 100.0,
            "plain_images_per_second": 20.0,
            "times_plain": 5.0,
        }
    ]
    content["proof"] = [
        {"check": "a", "outcome": "failed", "reason": "b", "seconds": 1, "detail": ""}
    ]
    content["left_out"] = [{"what": "c", "reason": "d"}]
    check_shape(content)
    return content


def test_markdown(report: dict[str, Any]) -> None:
    lines = to_markdown(report).splitlines()
    head = "| images a second | GFLOP an image | plain loop, DataLoader | ours |"
    assert lines[lines.index(head) + 1 : lines.index(head) + 3] == [
        "| --- | ---: | ---: | ---: |",
        "| tss 7 | 0.75 | 12,346 | 12,346 |",
    ]
    assert "| tss 7 | 0.75 | 25 / – / – | 25 / – / – |" in lines
    assert "| 2 tss, trials, SideBySide | 100 | 20 | 5.00× | 25 | – |" in lines
    assert "Proof: 0 passed, 1 failed, 0 left out." in lines
    assert "- a failed: b" in lines
    assert "- left out (d): c" in lines


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda report: report.pop("proof"), "lacks or has too much: proof"),
        (lambda report: report["machine"].update(gpu="x"), "report.machine lacks"),
        (lambda report: report.update(version="1"), "report.version is '1', not int"),
        (lambda report: report["figures"].update(alone={}), "report.figures.alone is no list"),
        (
            lambda report: report["figures"]["together"][0]["index"].append(0.5),
            r"together\[0\].index\[2\] is 0.5",
        ),
        (lambda report: report.update(seconds=3), "report.seconds has no fields"),
        (lambda report: report["seconds"].update(proof=None), "seconds.proof is None"),
    ],
)
def test_another_shape_is_refused(
    report: dict[str, Any], change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    change(report)
    with pytest.raises(ValueError, match=said):
        check_shape(report)
    assert set(SHAPE) == set(gpu_check.Report(Path(), {}, True, 1.0).content)


def test_cards() -> None:
    assert card_teraflops("NVIDIA H200", "bf16") == 989.4
    assert card_teraflops("NVIDIA H100 PCIe", "tf32") == 378.0
    assert card_teraflops("NVIDIA H100 80GB HBM3", "tf32") == 494.7
    assert card_teraflops("AMD EPYC", "tf32") is None


PARTS = (
    *("ceilings", "ours", "plain", "plain-random", "together", "training", "supernets"),
    *("latencies", "plain-workers", "together-fewer", "bfloat16", "not-fused", "eager"),
    *("trainings-together", "compiled"),
)


def proved(check: str) -> dict[str, Any]:
    return {"check": check, "outcome": "passed", "reason": "", "seconds": 1.0, "detail": ""}


@pytest.mark.parametrize("text", [None, "{", "[]", '"' + "x" * 10_000 + '"'])
def test_no_report_is_refused_in_a_line(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "gpu.json").write_text(text)
    with pytest.raises(SystemExit, match=r"gpu\.json is no report: .{5,200}$"):
        document_gpu.main(tmp_path)


def test_a_report_goes_into_the_page(report: dict[str, Any], tmp_path: Path) -> None:
    page = tmp_path / "gpu.md"
    page.write_text(f"before\n{document_gpu.BEGIN}\nold\n{document_gpu.END}\nafter\n")
    (tmp_path / "gpu.json").write_text(json.dumps(report))
    with pytest.raises(SystemExit, match="in miniature"):
        document_gpu.main(tmp_path, page)
    report["miniature"] = False
    checks = list(proof.find_checks())
    # A part of which the time left all out has been run, and a check left out is said to be.
    for missing, lacking in (
        ("missing: proof, ceilings, ours, plain, plain-random and 11 more", {"proof": []}),
        (f"missing: ceilings, ours, plain, plain-random, together and {10 + len(checks)} more", {}),
        ("missing: compiled$", {"seconds": dict.fromkeys(PARTS[:-1], 1.0), "proof": checks}),
        (
            f"missing: {re.escape(checks[-1])}$",
            {"seconds": dict.fromkeys(PARTS, 1.0), "proof": checks[:-1]},
        ),
    ):
        made = report | lacking
        made["proof"] = [one if isinstance(one, dict) else proved(one) for one in made["proof"]]
        (tmp_path / "gpu.json").write_text(json.dumps(made))
        with pytest.raises(SystemExit, match=missing):
            document_gpu.main(tmp_path, page)
        assert "old" in page.read_text()
    report["seconds"] = dict.fromkeys(PARTS, 1.0)
    report["proof"] = [proved(one) for one in checks[:-1]]
    report["left_out"] = [{"what": checks[-1], "reason": "the time is spent"}]
    (tmp_path / "gpu.json").write_text(json.dumps(report))
    document_gpu.main(tmp_path, page)
    wanted = f"{document_gpu.BEGIN}\n{to_markdown(report)}\n{document_gpu.END}"
    assert page.read_text() == f"before\n{wanted}\nafter\n"
    assert document_gpu.BEGIN in document_gpu.PAGE.read_text()


# ── what the checks allow ────────────────────────────────────────────────────────────────────


def on_the_cpu(seed: int = 1, noise: float = 0.0, rate: float = 1.0) -> gpu_place.Training:
    """Training, with what each convolution makes, and its gradient, changed by noise."""

    def noisy(values: torch.Tensor) -> torch.Tensor:
        return values + noise * values.detach().std() * torch.randn_like(values)

    def change(module: nn.Module, given: Any, made: torch.Tensor) -> torch.Tensor:
        made = noisy(made)
        if made.requires_grad:
            made.register_hook(noisy)
        return made

    def way(networks: list[nn.Module], data: ImageData, recipe: Recipe) -> list[TrainingRecord]:
        recipe = replace(recipe, learning_rate=rate * recipe.learning_rate)
        hooks = [
            module.register_forward_hook(change)
            for network in networks
            for module in network.modules()
            if isinstance(module, nn.Conv2d) and noise
        ]
        records = [train(one, data, recipe, seed=seed, device="cpu") for one in networks]
        for hook in hooks:
            hook.remove()
        return records

    return way


@pytest.mark.slow
def test_checks_allow_rounding_and_nothing_else() -> None:
    starts, plain = [gpu_place.network("tss", gpu_place.TOPOLOGIES[2])], on_the_cpu()
    for noise in (1e-6, 1e-5):
        gpu_place.train_alike(starts, on_the_cpu(noise=noise), plain)
    with pytest.raises(AssertionError, match="first loss"):
        gpu_place.train_alike(starts, on_the_cpu(seed=2), plain)
    with pytest.raises(AssertionError, match="loss of the first steps"):
        gpu_place.train_alike(starts, on_the_cpu(rate=1.1), plain)
