"""The image data sets: NATS-Bench's, and one to train on at once.

The numbers that costs, splits and schedules depend on.

Source: NATS-Bench (arXiv 2009.00437), section 3.3. ``cifar10`` here means what its search
protocol means by it: trained on 25,000 images and validated on the other 25,000.
"""

from __future__ import annotations

from dataclasses import dataclass

from nats_gym.checks import word


@dataclass(frozen=True)
class Dataset:
    """One data set as the search sees it.

    Attributes:
        name: official key.
        num_classes: width of the classifier.
        resolution: height and width of an image, in pixels.
        train_images: images in a training epoch during search.
        valid_images: images in one validation pass.
        test_images: images that an answer is tested on.
        full_epochs: length of its full training schedule; None for the space's.
        topology_cells: cells a stage of topology networks; None for the official number.
    """

    name: str
    num_classes: int
    resolution: int
    train_images: int
    valid_images: int
    test_images: int
    full_epochs: int | None = None
    topology_cells: int | None = None


#: NATS-Bench's.
DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset("cifar10", 10, 32, 25_000, 25_000, 10_000),
        Dataset("cifar100", 100, 32, 50_000, 5_000, 5_000),
        Dataset("ImageNet16-120", 120, 16, 151_700, 3_000, 3_000),
    )
}

#: Scikit-learn's digits, 8×8: networks are trained on them in seconds.
DIGITS = Dataset("digits", 10, 8, 897, 500, 400, full_epochs=4, topology_cells=3)
_EVERY = {**DATASETS, DIGITS.name: DIGITS}


def get_dataset(name: str) -> Dataset:
    """Return the data set called ``name``; ``InvalidInput`` names the allowed ones."""
    return _EVERY[word(name, "dataset", _EVERY)]
