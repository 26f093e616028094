"""The image data sets: NATS-Bench's, and one to train on at once.

``dataset`` says what is known of one, ``known`` has a row for each: a data set more is a row more.
Nothing here loads torch or scikit-learn; a row names the function that gives its images.
"""

from __future__ import annotations

from .dataset import Archive, Dataset, Images
from .known import (
    DATASETS,
    DIGITS,
    EVERY_DATASET,
    dataset_of,
    find_dataset,
    full_name,
    get_dataset,
    get_images,
    is_known,
    known_datasets,
    register_dataset,
    searched_key,
    title_of,
)

__all__ = [
    "DATASETS",
    "DIGITS",
    "EVERY_DATASET",
    "Archive",
    "Dataset",
    "Images",
    "dataset_of",
    "find_dataset",
    "full_name",
    "get_dataset",
    "get_images",
    "is_known",
    "known_datasets",
    "register_dataset",
    "searched_key",
    "title_of",
]
