"""Measure zero-cost scores of all topologies, a network for each class, and of a sample of sizes.

    python scripts/measure_proxies.py measure FOLDER [--space sss] [--scores naswot,synflow]
        [--batch 64] [--samples 200] [--part 0/2]
    python scripts/measure_proxies.py compare FOLDER ../shared/figures/tss_proxies.npz
    python scripts/measure_proxies.py ship FOLDER [--space sss]

``measure`` appends a line of JSON for each network to FOLDER/SPACE-*.jsonl and goes on where it was
stopped: what is there is not measured again, and a last line that was cut is left out.
Architectures come in a seeded order, so that a part of them is a sample; ``--part 1/2`` takes every
second one, for a process on another core. The networks are CIFAR-10's, of seed 0, the images pink
noise with random labels; one thread computes. ``compare`` prints Spearman's rank correlations with
published scores. ``ship`` writes the scores of which all were measured as named columns of the
package; other sizes than the sample are NaN.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nats_gym.machine import describe, versions
from nats_gym.measuring.classes import classes_of, in_random_order, of_every_architecture
from nats_gym.measuring.lines import appending, read_lines
from nats_gym.proxies.registry import find_score
from nats_gym.proxies.scoring import Scorer
from nats_gym.proxies.shipped import PREFIX
from nats_gym.spaces import Quantity, get_space
from nats_gym.tables import MEASURED, Column, write_table
from nats_gym.tables.named_columns import SHIPPED

DATASET, SEED, IMAGES = "cifar10", 0, "pink"
#: Sizes that are measured.
SIZES = 4_000
SCORES = "synflow,logsynflow,naswot,zen,jacob_cov,grad_norm,snip,fisher"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("measure", "compare", "ship"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("published", type=Path, nargs="?")
    parser.add_argument("--space", default="tss", choices=("tss", "sss"))
    parser.add_argument("--samples", type=int)
    parser.add_argument("--scores", default=SCORES)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--part", default="0/1")
    given = parser.parse_args()
    if given.command == "measure":
        asked = architectures(given.space)[: given.samples]
        part, parts = map(int, given.part.split("/"))
        scores = given.scores.split(",")
        measure(given.folder, given.space, asked[part::parts], scores, given.batch, part)
    elif given.command == "compare":
        compare(given.folder, given.published)
    else:
        ship(given.folder, given.space)


def architectures(name: str) -> NDArray[np.int64]:
    """What is measured, in order: of each class of isomorphic topologies the lowest index."""
    if name == "sss":
        return np.random.default_rng(0).permutation(get_space(name).size)[:SIZES]
    return in_random_order(classes_of(get_space(name)))


def measured(folder: Path, space: str) -> dict[tuple[str, int], dict[int, float]]:
    """By score, batch and architecture, what was measured."""
    found: dict[tuple[str, int], dict[int, float]] = {}
    for path in sorted(folder.glob(f"{space}-*.jsonl")):
        for entry in read_lines(path):
            for name, value in entry["scores"].items():
                found.setdefault((name, entry["batch"]), {})[entry["index"]] = value
    return found


def measure(
    folder: Path, space: str, asked: NDArray[np.int64], scores: list[str], batch: int, part: int
) -> None:
    """Measure what is missing, an architecture after the other."""
    folder.mkdir(parents=True, exist_ok=True)
    done = measured(folder, space)
    scorer = Scorer(space, DATASET, scores, images=IMAGES, batch=batch)
    with appending(folder / f"{space}-{part}.jsonl") as append:
        for index in asked.tolist():
            if any(index not in done.get((name, batch), {}) for name in scores):
                found = scorer.score(index, SEED)
                entry = {"index": index, "batch": batch, "scores": found.values}
                append({**entry, "seconds": found.seconds})


def compare(folder: Path, published: Path) -> None:
    """Print rank correlations, over the rows of the classes that both have."""
    from scipy.stats import spearmanr

    theirs = np.load(published)
    class_of = classes_of(get_space("tss"))[theirs["index"]]
    names = [name for name in theirs.files if name.startswith(f"{DATASET}_")]
    for (score, batch), values in measured(folder, "tss").items():
        rows = [row for row, index in enumerate(class_of.tolist()) if index in values]
        own = np.array([values[index] for index in class_of[rows].tolist()])
        for other in names:
            print(
                f"{score} {batch} {other} {spearmanr(own, theirs[other][rows])[0]:.4f} "
                f"of {len(rows)}"
            )


def ship(folder: Path, name: str) -> None:
    """Write the named columns."""
    asked = architectures(name)
    classes = np.arange(get_space(name).size) if name == "sss" else classes_of(get_space(name))
    stored = []
    for (of, batch), values in measured(folder, name).items():
        if missing := len(set(asked.tolist()) - set(values)):
            print(f"{of}, batch {batch}: {missing} are not measured, left out")
            continue
        column = of_every_architecture(classes, values)
        worst = int(np.isneginf(column).sum())
        column[np.isneginf(column)] = column[np.isfinite(column)].min()
        score = find_score(of)
        which = "each class of isomorphic topologies measured once, its lowest index"
        if name == "sss":
            which = f"a seeded sample of {len(asked):,} sizes"
        note = (
            f"{batch} images of pink noise, random labels, seed {SEED}, CIFAR-10's networks; "
            f"{which}; {worst} of minus infinity stand at the least of the others"
        )
        made = Column(
            PREFIX + of,
            MEASURED,
            f"scripts/measure_proxies.py, torch {versions()['torch']}, {describe()}; {score.paper}",
            "MIT",
            note=note,
            counts=Quantity("score", score.label, lower_is_better=False),
        )
        stored.append((made, column.astype(np.float32)))
    write_table(SHIPPED / f"{name}-columns-proxies", name, DATASET, stored)


if __name__ == "__main__":
    main()
