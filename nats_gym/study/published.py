"""What papers report, for comparison: figures of their authors' runs, not of ours.

Source: Dong, Liu, Musial, Gabrys, NATS-Bench, TPAMI 2021, arXiv 2009.00437: full-schedule accuracy
in percent of the architectures that were found, mean and standard deviation over 500 runs.
"""

from __future__ import annotations

from typing import NamedTuple

CITATION = "Dong, Liu, Musial, Gabrys: NATS-Bench, TPAMI 2021, arXiv 2009.00437"
#: Where figures of a space come from, if not from that paper.
SOURCES = {
    "nb101": "White, Neiswanger, Savani: BANANAS, AAAI 2021, arXiv 1910.11858, and White, Nolen, "
    "Savani: Exploring the Loss Landscape in NAS, UAI 2021, arXiv 2005.02960"
}


class Method(NamedTuple):
    """A method of the paper.

    Attributes:
        title: what the paper calls it.
        agent: the name of our agent of that method; empty for none.
        figures: percent, as printed, by data set and split.
    """

    title: str
    agent: str
    figures: dict[tuple[str, str], str]


def _method(title: str, agent: str, splits: tuple[str, ...], figures: str) -> Method:
    """A row of the paper: data sets in its order, within each ``splits``."""
    keys = [(dataset, split) for dataset in _DATASETS for split in splits]
    spaced = (figure.replace("±", " ± ") for figure in figures.split())
    return Method(title, agent, dict(zip(keys, spaced, strict=True)))


def _cells(title: str, agent: str, test: str) -> Method:
    """A search of NAS-Bench-101, on CIFAR-10."""
    return Method(title, agent, {("cifar10", "test"): test})


_DATASETS = ("cifar10", "cifar100", "ImageNet16-120")
_TEST, _BOTH = ("test",), ("valid", "test")

# fmt: off
METHODS: dict[str, tuple[Method, ...]] = {
    "tss": (
        _method("Random", "random", _TEST, "93.86±0.23 71.55±0.97 45.28±0.97"),
        _method("REA", "rea", _TEST, "94.02±0.31 72.23±0.84 45.77±0.80"),
        _method("REINFORCE", "reinforce", _TEST, "93.90±0.26 71.86±0.89 45.64±0.78"),
        _method("BOHB", "bohb", _TEST, "93.94±0.28 72.00±0.86 45.70±0.86"),
        _method("ResNet's cell", "", _TEST, "93.91 70.89 44.23"),
        _method("best of the space", "", _TEST, "94.37 73.51 47.31"),
    ),
    "sss": (
        _method("Random", "random", _BOTH,
                "90.10±0.26 93.03±0.25  69.57±0.57 69.72±0.61  45.01±0.74 45.42±0.86"),
        _method("REA", "rea", _BOTH,
                "90.37±0.20 93.22±0.16  70.23±0.50 70.11±0.61  45.30±0.69 45.94±0.92"),
        _method("REINFORCE", "reinforce", _BOTH,
                "90.25±0.23 93.16±0.21  69.84±0.59 69.96±0.57  45.06±0.77 45.71±0.93"),
        _method("BOHB", "bohb", _BOTH,
                "90.07±0.28 93.01±0.24  69.75±0.60 69.90±0.60  45.11±0.69 45.56±0.81"),
        _method("TAS", "", _BOTH, "90.71 93.40  70.30 70.72  44.73 47.17"),
        _method("FBNet-V2", "", _BOTH, "90.41 93.14  70.30 70.72  45.71 46.38"),
        _method("TuNAS", "", _BOTH, "89.73 92.78  69.67 70.11  44.70 45.11"),
    ),
    # By 150 evaluations, each the mean of three trainings of 108 epochs; 100 less the test error.
    "nb101": (
        _cells("Random", "random", "93.659"),
        _cells("REA", "rea", "93.891"),
        _cells("REINFORCE", "reinforce", "93.564"),
        _cells("TPE", "tpe", "93.585"),
        _cells("BOHB", "bohb", "93.644"),
        _cells("local search", "local-search", "94.068"),
        _cells("BANANAS", "bananas", "94.077"),
        _cells("best of the space", "", "94.318"),
    ),
}
# fmt: on


def published_keys(space: str) -> set[tuple[str, str]]:
    """Data sets and splits that figures of a space are published of."""
    return {key for method in METHODS.get(space, ()) for key in method.figures}
