"""What is known of a data set: the numbers that costs, splits, schedules and searches depend on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nats_gym.errors import InvalidInput

#: Gives the images of a key: ``(key, folder, download)`` → an
#: :class:`~nats_gym.training.data.ImageData`.
Loader = Callable[[str, Path, bool], Any]
_Channels = tuple[float, float, float]


@dataclass(frozen=True)
class Archive:
    """The public files of a data set's images, each with its checksum.

    Attributes:
        folder: what they unpack to.
        train, test: names of the files, unpacked, and a digest of each: of pickles the published
            MD5, of MNIST's idx files (images, then labels) SHA-256.
        counts: training and test images.
        url: where the publisher serves them.
        file: name of the tar at ``url``; ``""`` where none may be fetched without registering.
        md5: the tar's.
        files: where each is served alone, below ``url``: names and the published MD5.
        installed: where else they lie, if a system's package brings them.
        reader: what reads them, by its place: ``(dataset, archive, path)`` → training and test
            :class:`~nats_gym.training.archives.Images`.
        labels: key of the labels in a pickle.
        first_label: the least of them.
        further_classes: whether there are others than the data set's, which come after these.
    """

    folder: str
    train: Mapping[str, str] = field(hash=False)
    test: Mapping[str, str] = field(hash=False)
    counts: tuple[int, int]
    url: str
    file: str = ""
    md5: str = ""
    files: Mapping[str, str] = field(default_factory=dict, hash=False)
    installed: tuple[str, ...] = ()
    reader: str = "nats_gym.training.archives:read_archive"
    labels: str = "labels"
    first_label: int = 0
    further_classes: bool = False

    @property
    def fetched(self) -> dict[str, str]:
        """Addresses of what may be fetched by anyone, and the MD5 of each."""
        if self.file:
            return {self.url: self.md5}
        return {self.url + name: md5 for name, md5 in self.files.items()}


@dataclass(frozen=True)
class Images:
    """Images of a data set, parted for training and evaluation.

    Attributes:
        key: what they are called, in official files too.
        splits: names of their parts, ``"train"`` and what a network is evaluated on.
        loader: gives them; or its place, ``"module:name"``, which is imported on first use.
    """

    key: str
    splits: tuple[str, ...]
    loader: Loader | str


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
        title: what readers call it; default the name.
        in_nats_bench: whether NATS-Bench trained on it, so that its archives may be asked.
        full_epochs: length of its full training schedule; None for the space's.
        budgets: seconds of a search by space, on trainings of ``budget_epochs``.
        budget: likewise for every other space; None where nobody has chosen any.
        budget_epochs: see there.
        recipe: fields of a :class:`~nats_gym.training.recipe.Recipe` that differ from
            NATS-Bench's.
        cells_per_stage: of networks, by space; what is missing is the official number.
        supernet: ``epochs`` and ``batch_size`` of a weight-sharing search, where not NATS-Bench's.
        small: whether such a search is over in seconds: methods take their ``small_settings``, and
            one torch thread is quickest.
        images: what networks train on; the first are those of a search.
        mean: of each channel of a byte image, 0…255.
        std: likewise its standard deviation.
        crop_padding: black pixels at each border before a random crop.
        archive: the public files of its images, if they come from such.
        split_files: names under which a published list of test images is looked for, the published
            name last; none where splits follow from a seed.
        package: import name of what loading takes, if not in the core.
        embedded: name of its table inside the package; ``""`` for none.
        evaluator: what answers in an environment where nothing is asked for; ``""`` for a table.
        stem_width: channels of the stem of networks, by space; what is missing is the official
            number.
        norm_momentum: likewise the momentum of their batch norms.
        classes: their names, by label; none where they have but numbers.
        licence: of the images; ``""`` if their publisher states none.
    """

    name: str
    num_classes: int
    resolution: int
    train_images: int
    valid_images: int
    test_images: int
    title: str = ""
    in_nats_bench: bool = False
    full_epochs: int | None = None
    budgets: Mapping[str, float] = field(default_factory=dict, hash=False)
    budget: float | None = None
    budget_epochs: int = 12
    recipe: Mapping[str, Any] = field(default_factory=dict, hash=False)
    cells_per_stage: Mapping[str, int] = field(default_factory=dict, hash=False)
    supernet: Mapping[str, int] = field(default_factory=dict, hash=False)
    small: bool = False
    images: tuple[Images, ...] = ()
    mean: _Channels = (127.5, 127.5, 127.5)
    std: _Channels = (127.5, 127.5, 127.5)
    crop_padding: int = 0
    archive: Archive | None = None
    split_files: tuple[str, ...] = ()
    package: str = ""
    embedded: str = ""
    evaluator: str = ""
    stem_width: Mapping[str, int] = field(default_factory=dict, hash=False)
    norm_momentum: Mapping[str, float] = field(default_factory=dict, hash=False)
    classes: tuple[str, ...] = ()
    licence: str = ""

    def __post_init__(self) -> None:
        """Fill the title in."""
        object.__setattr__(self, "title", self.title or self.name)

    @property
    def searched(self) -> Images:
        """The images that a search trains and validates on.

        Raises:
            InvalidInput: for a data set that is known by its figures alone.
        """
        if not self.images:
            raise InvalidInput(f"no images of {self.name} are known, to train on")
        return self.images[0]

    @property
    def data_key(self) -> str:
        """Key of the images that a search trains and validates on."""
        return self.searched.key

    @property
    def test_split(self) -> str:
        """What an answer is tested on: x-test, or where a search has none, all test images."""
        return "x-test" if "x-test" in self.searched.splits else "ori-test"

    @property
    def topology_cells(self) -> int | None:
        """Deprecated: ``cells_per_stage["tss"]``, None for the official number."""
        warnings.warn(
            "Dataset.topology_cells goes with the next release; cells_per_stage has it by space",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.cells_per_stage.get("tss")
