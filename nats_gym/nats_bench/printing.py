"""An architecture's results in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nats_gym.nats_bench.results import ArchResults

#: Label and evaluation set of what is shown of a data set key, after ``train``.
SHOWN_TSS: dict[str, tuple[tuple[str, str], ...]] = {
    "cifar10-valid": (("valid", "x-valid"),),
    "cifar10": (("test ", "ori-test"),),
}
SHOWN_SSS = {**SHOWN_TSS, "cifar10-valid": (("valid", "x-valid"), ("test", "ori-test"))}
_SHOWN_ELSE = (("valid", "x-valid"), ("test", "x-test"))


def describe(
    information: ArchResults,
    extra_info: Any,
    show: bool,
    shown: Mapping[str, tuple[tuple[str, str], ...]],
) -> list[str]:
    """Lines about every data set of an architecture: costs, then losses and accuracies."""
    names = information.get_dataset_names()
    lines = [information.arch_str, f"datasets : {names}, extra-info : {extra_info}"]
    for name in names:
        costs = information.get_compute_costs(name)
        latency = costs["latency"]
        milliseconds = f"{latency * 1000:.2f}" if latency is not None and latency > 0 else None
        lines.append(
            f"{name:14s} FLOP={costs['flops']:6.2f} M, Params={costs['params']:.3f} MB, "
            f"latency={milliseconds} ms."
        )
        figures = []
        for label, setname in (("train", "train"), *shown.get(name, _SHOWN_ELSE)):
            metrics = information.get_metrics(name, setname)
            figures.append(
                f"{label} : [loss = {metrics['loss']:.3f} & top1 = {metrics['accuracy']:.2f}%]"
            )
        lines.append(f"{name:14s} {', '.join(figures)}")
    if show:
        print("\n".join(lines))
    return lines


def show_results(results: Mapping[str, ArchResults], shown: Any) -> None:
    """Print an architecture's results on every schedule."""
    for each in results.values():
        lines = describe(each, None, False, shown)
        rule = ">" * 40
        print(f"{rule} {each.get_total_epoch():03d} epochs {rule}")
        print("\n".join(lines))
    print("<" * 40 + "------------" + "<" * 40)
