"""Measure zero-cost scores of all topologies, a network for each class of isomorphic ones.

    python scripts/measure_proxies.py measure FOLDER [--samples 200] [--scores naswot,synflow]
    python scripts/measure_proxies.py compare FOLDER ../shared/figures/tss_proxies.npz
    python scripts/measure_proxies.py ship FOLDER

``measure`` appends a line of JSON for each network to FOLDER/scores.jsonl and goes on where it was
stopped: what is there is not measured again, and a last line that was cut is left out. Classes come
in a seeded order, so that a part of them is a sample. The networks are CIFAR-10's, of seed 0, the
images 64 of standard normal noise with random labels; one thread computes. ``compare`` prints
Spearman's rank correlations with published scores. ``ship`` writes the scores of which all classes
were measured as named columns of the package.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from nats_gym.machine import describe, versions
from nats_gym.measuring.classes import classes_of, in_random_order, of_every_architecture
from nats_gym.measuring.lines import appending, read_lines
from nats_gym.proxies.registry import find_score
from nats_gym.proxies.scoring import Scorer
from nats_gym.proxies.shipped import PREFIX
from nats_gym.spaces import Quantity, get_space
from nats_gym.tables import MEASURED, Column, write_table
from nats_gym.tables.named_columns import SHIPPED

LINES = "scores.jsonl"
SPACE, DATASET, SEED, BATCH = "tss", "cifar10", 0, 64
#: Quick ones first.
SCORES = ("synflow", "logsynflow", "naswot", "zen", "jacob_cov", "grad_norm", "snip", "fisher")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("measure", "compare", "ship"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("published", type=Path, nargs="?")
    parser.add_argument("--samples", type=int)
    parser.add_argument("--scores", default=",".join(SCORES))
    given = parser.parse_args()
    if given.command == "measure":
        measure(given.folder, given.scores.split(","), given.samples)
    elif given.command == "compare":
        compare(given.folder, given.published)
    else:
        ship(given.folder)


def measured(folder: Path) -> dict[str, dict[int, float]]:
    """By score and class, what was measured."""
    found: dict[str, dict[int, float]] = {}
    for entry in read_lines(folder / LINES):
        for name, value in entry["scores"].items():
            found.setdefault(name, {})[entry["index"]] = value
    return found


def measure(folder: Path, scores: list[str], samples: int | None) -> None:
    """Measure what is missing, a score after the other."""
    folder.mkdir(parents=True, exist_ok=True)
    done = measured(folder)
    classes = in_random_order(classes_of(get_space(SPACE)))
    with appending(folder / LINES) as append:
        for name in scores:
            scorer = Scorer(SPACE, DATASET, [name], batch=BATCH)
            for index in classes[:samples].tolist():
                if index not in done.get(name, {}):
                    found = scorer.score(index, SEED)
                    append({"index": index, "scores": found.values, "seconds": found.seconds})


def compare(folder: Path, published: Path) -> None:
    """Print rank correlations, over the classes that both have."""
    from scipy.stats import spearmanr

    theirs = np.load(published)
    rows = {index: row for row, index in enumerate(theirs["index"].tolist())}
    names = [name for name in theirs.files if name.startswith(f"{DATASET}_")]
    for name, values in measured(folder).items():
        both = [index for index in values if index in rows]
        own = np.array([values[index] for index in both])
        for other in names:
            column = theirs[other][[rows[index] for index in both]]
            print(f"{name} {other} {spearmanr(own, column)[0]:.4f} of {len(both)}")


def ship(folder: Path) -> None:
    """Write the named columns."""
    classes = classes_of(get_space(SPACE))
    stored = []
    for name, values in measured(folder).items():
        if len(values) < len(np.unique(classes)):
            print(f"{name}: {len(values)} classes only, left out")
            continue
        column = of_every_architecture(classes, values)
        lowest = column[np.isfinite(column)].min()
        worst = int(np.isinf(column).sum())
        column[np.isneginf(column)] = lowest
        score = find_score(name)
        note = (
            f"{BATCH} images of standard normal noise, random labels, seed {SEED}, CIFAR-10's "
            "networks; each class of isomorphic topologies measured once, its lowest index; "
            f"{worst} of minus infinity stand at the least of the others"
        )
        made = Column(
            PREFIX + name,
            MEASURED,
            f"scripts/measure_proxies.py, torch {versions()['torch']}, {describe()}; {score.paper}",
            "MIT",
            note=note,
            counts=Quantity("score", score.label, lower_is_better=False),
        )
        stored.append((made, column.astype(np.float32)))
    write_table(SHIPPED / f"{SPACE}-columns-proxies", SPACE, DATASET, stored)


if __name__ == "__main__":
    main()
