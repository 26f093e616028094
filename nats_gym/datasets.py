"""The image data sets of NATS-Bench: the numbers that costs and splits depend on.

Source: NATS-Bench (arXiv 2009.00437), section 3.3. ``cifar10`` here means what its search
protocol means by it: trained on 25,000 images and validated on the other 25,000.
"""

from __future__ import annotations

from dataclasses import dataclass

from nats_gym.errors import unknown_name


@dataclass(frozen=True)
class Dataset:
    """One data set as the search sees it.

    Attributes:
        name: official key.
        num_classes: width of the classifier.
        resolution: height and width of an image, in pixels.
        train_images: images in a training epoch during search.
        valid_images: images in one validation pass.
    """

    name: str
    num_classes: int
    resolution: int
    train_images: int
    valid_images: int


DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset("cifar10", 10, 32, 25_000, 25_000),
        Dataset("cifar100", 100, 32, 50_000, 5_000),
        Dataset("ImageNet16-120", 120, 16, 151_700, 3_000),
    )
}


def get_dataset(name: str) -> Dataset:
    """Return the data set called ``name``; ``InvalidInput`` names the allowed ones."""
    if not isinstance(name, str) or name not in DATASETS:
        raise unknown_name("dataset", name, DATASETS)
    return DATASETS[name]
