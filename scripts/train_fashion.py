"""Train what studies/transfer-fashion.toml searches: some architectures of each space, on clothes.

As those on digits that ship, so that the pictures alone differ: as many, as small, in the same
recipe and networks. The architectures are drawn uniformly, and those that the tables of
NATS-Bench's data sets rank first. Fashion-MNIST is read where a system's package has it, else
fetched. Interrupted, it goes on; a number after the folder is that of trainings of each, default 1.

python scripts/train_fashion.py results/fashion
nats-gym study studies/transfer-fashion.toml --out results/transfer-fashion
python scripts/document_curves.py transfer-fashion results/transfer-fashion
python benchmarks/transfer.py --trained results/fashion
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import numpy as np

from nats_gym.agents.prior_scores import prior_scores
from nats_gym.building import Plan, build, parse_architectures
from nats_gym.datasets import DATASETS, get_dataset
from nats_gym.datasets.own import SPLIT_SEED, split_classes
from nats_gym.files.writing import replacing
from nats_gym.tables.prior import open_prior, prior_figures
from nats_gym.training.architecture import preset
from nats_gym.training.data import load_data

CLOTHES, DIGITS = get_dataset("fashion-mnist"), get_dataset("digits")
#: Of the images of each part: what it is called in the file, and the share that is kept.
PARTS = {"train": ("train", 0.018), "x-valid": ("valid", 0.05), "ori-test": ("test", 0.01)}
DRAWN, FIRST = 40, 5


def write_sample(path: Path) -> None:
    """Write a share of each class of each part, as they are."""
    data = load_data(CLOTHES.data_key)
    labels = data.labels.numpy()
    arrays = {"classes": np.array(CLOTHES.classes)}
    for split, (part, share) in PARTS.items():
        kept, _ = split_classes(labels, data.rows(split).numpy(), (share,), SPLIT_SEED)
        arrays |= {f"x_{part}": data.images.numpy()[kept, 0], f"y_{part}": labels[kept]}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def main(folder: Path, trials: int = 1) -> None:
    """Train both spaces' architectures once, then again if more trials are asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    images = folder / "fashion-mnist.npz"
    if not images.exists():
        write_sample(images)
    dataset = get_dataset(f"{images}?resolution={DIGITS.resolution}").name
    for trial, space in product(range(1, trials + 1), ("tss", "sss")):
        recipe, network = preset(space, DIGITS.name)
        plan = Plan.of(space, dataset, DIGITS.full_epochs, recipe, network)
        scores, _ = prior_scores(prior_figures(open_prior(space, dataset, [*DATASETS])))
        drawn = parse_architectures(f"random:{DRAWN}:seed0", plan.architectures)
        chosen = np.union1d(drawn, np.argsort(-scores, kind="stable")[:FIRST])
        built = build(
            *(folder / space, plan, chosen, trial), workers=2, devices=["cpu"], licence="MIT"
        )
        print(f"{built.trainings} trainings of {space} in {folder / space}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
