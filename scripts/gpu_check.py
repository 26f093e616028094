"""Prove every GPU path and measure it, in minutes, with nothing to download.

    python scripts/gpu_check.py [--miniature] [--out FOLDER] [--seconds N] [--only NAME …]

Needs torch, numpy and gymnasium alone, and this source tree. Writes FOLDER/gpu.json and
FOLDER/gpu.md, after every part, in place of what is there. Without a GPU the same runs in
miniature on the CPU, and says what it could not do. FOLDER is results/gpu, or
results/gpu-miniature. The exit code is 0 if nothing failed, 1 if something did, 2 for wrong
arguments.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from time import perf_counter

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from gpu_checking.figures import MINIATURE, NEEDS, Figures, Scale
from gpu_checking.machine import describe_machine
from gpu_checking.proof import find_checks, prove
from gpu_checking.report import Report

from nats_gym import checks
from nats_gym.errors import InvalidInput, NatsGymError, did_you_mean, shown
from nats_gym.files.writing import check_folder
from nats_gym.training.devices import choose_device

ROOT = Path(__file__).resolve().parent.parent
#: Seconds of a whole run, and of one in miniature.
BUDGET, SMALL_BUDGET = 480.0, 270.0
#: Seconds that a check with a compiler may take.
COMPILING = 45.0
#: Checks that run at once, at most.
MOST = 5


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    start = perf_counter()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--miniature", action="store_true", help="small, on the CPU")
    parser.add_argument("--out", help="a folder; results/gpu, in miniature results/gpu-miniature")
    parser.add_argument("--device", default="auto", help="cuda, cuda:1, …")
    parser.add_argument("--seconds", help="after which nothing more is begun to be measured")
    parser.add_argument(
        "--only", nargs="*", metavar="NAME", help="proof, figures, or the names of some of them"
    )
    given = parser.parse_args(arguments)
    try:
        device = choose_device("cpu" if given.miniature else given.device)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", torch.cuda.current_device())
        miniature = device.type == "cpu"
        budget = SMALL_BUDGET if miniature else BUDGET
        if given.seconds is not None:
            budget = checks.limit(_number(given.seconds), "--seconds") or budget
        # A miniature, which a machine without a GPU makes unasked, replaces no GPU's report.
        place = ROOT / "results" / ("gpu-miniature" if miniature else "gpu")
        out = place if given.out is None else checks.path(given.out, "--out")
        check_folder(out)
        known = list(find_checks())
        report = Report(out, describe_machine(device), miniature, budget)
        scale = MINIATURE if miniature else Scale()
        figures = Figures(device, report, scale, start + budget)
        proof, parts = _chosen(given.only, known, list(figures.parts))
    except NatsGymError as error:
        print(f"gpu_check: {error}", file=sys.stderr)
        return 2
    if miniature:
        torch.set_num_threads(1)
    # A compiler takes as long as all else: what needs it comes last, and goes first. Not where it
    # runs beside the others.
    late = [name for name in proof if "compiled" in name and _side_by_side(device) == 1]
    _prove(device, [name for name in proof if name not in late], report)
    for part in parts:
        if part == "compiled":
            late = _prove_late(device, late, report, start + budget)
        begun = perf_counter()
        figures.measure(part)
        print(f"{part}: {perf_counter() - begun:.1f} s", flush=True)
    _prove_late(device, late, report, start + budget)
    report.save()
    print((out / "gpu.md").read_text(encoding="utf-8"))
    print(f"{out / 'gpu.json'}: {perf_counter() - start:.0f} s, {report.failures} failed")
    return 1 if report.failures else 0


def _number(text: str) -> float | str:
    """What is no number is refused by whoever wants one."""
    try:
        return float(text)
    except ValueError:
        return text


def _chosen(
    only: list[str] | None, known: list[str], parts: list[str]
) -> tuple[list[str], list[str]]:
    """Names of the checks and of the figures that were asked for, and of what those need."""
    if only is None:
        return known, parts
    files = sorted({name.split(".")[0] for name in known})
    listed = sorted({"proof", "figures", *parts, *files})
    if not only:
        raise InvalidInput(f"--only takes names, such as {', '.join(listed)}")
    proof: list[str] = []
    figures: list[str] = []
    for name in only:
        # A name may be a figure's and that of a file of checks: then both are meant.
        chosen = parts if name == "figures" else [part for part in parts if part == name]
        proved = [
            check
            for check in known
            if name in ("proof", check, check.split("[")[0], check.split(".")[0])
        ]
        if not chosen and not proved:
            raise InvalidInput(
                f"unknown --only {shown(name)}; allowed: {', '.join(listed)}, and checks such as "
                f"{known[0]}.{did_you_mean(name, [*listed, *known])}"
            )
        figures += [one for part in chosen for one in (part, *NEEDS.get(part, ()))]
        proof += proved
    return list(dict.fromkeys(proof)), [part for part in parts if part in figures]


def _prove_late(
    device: torch.device, names: list[str], report: Report, deadline: float
) -> list[str]:
    """Run checks while there is time for them; none are left to do."""
    for name in names:
        if perf_counter() + COMPILING < deadline:
            _prove(device, [name], report)
        else:
            report.content["left_out"].append({"what": name, "reason": "the time is spent"})
    return []


def _side_by_side(device: torch.device) -> int:
    """Checks at once: most of a check is waiting for the processor, to translate or to launch."""
    if device.type == "cpu":
        return 1
    return max(1, min(MOST, (os.cpu_count() or 1) // 2))


def _prove(device: torch.device, names: list[str], report: Report) -> None:
    if not names:
        return
    start = perf_counter()
    for outcome in prove(str(device), names, side_by_side=_side_by_side(device)):
        report.content["proof"].append(outcome)
        reason = outcome["reason"] and f": {outcome['reason']}"
        print(
            f"{outcome['outcome']:<8} {outcome['check']} ({outcome['seconds']:.1f} s){reason}",
            flush=True,
        )
        if outcome["outcome"] == "failed":
            print(outcome["detail"][-1500:], flush=True)
    order = list(find_checks())
    report.content["proof"].sort(key=lambda outcome: order.index(outcome["check"]))
    seconds = report.content["seconds"]
    seconds["proof"] = round(seconds.get("proof", 0.0) + perf_counter() - start, 2)
    report.save()


if __name__ == "__main__":
    sys.exit(main())
